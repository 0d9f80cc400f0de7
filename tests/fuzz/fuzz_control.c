/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is said on ctl.sock: lines of any bytes to the daemon's own commands, of an engine without
 * threads. Every line is answered by one line, a JSON object.
 */
#include "bin/weird/control/commands.h"
#include "bin/weird/control/control.h"
#include "bin/weird/loop.h"
#include "fuzz_engine.h"

#include <jansson.h>

#define HELD_MAX 16

static struct engine *engine;
static struct control_held *held[HELD_MAX]; /* by the connections of this input: watches */
static unsigned int held_count;

/* It would make ports of the machine that fuzzes; what it takes is fuzz_config's. */
static bool makes_ports(const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(request, "cmd"));
	bool makes = name && strcmp(name, "port-add") == 0;

	json_decref(request);
	return makes;
}

static void ask(const char *line, size_t len)
{
	char *answer;
	json_t *reply;
	size_t size;

	if (makes_ports(line, len))
		return;
	answer = control_answer(engine, line, len);
	FUZZ_CHECK(answer != NULL);
	size = strlen(answer);
	FUZZ_CHECK(size > 1 && strchr(answer, '\n') == answer + size - 1);
	reply = json_loads(answer, 0, NULL);
	FUZZ_CHECK(json_is_object(reply));
	json_decref(reply);
	free(answer);
	held[held_count] = control_held_take();
	if (held[held_count])
		held_count++;
	FUZZ_CHECK(held_count < HELD_MAX);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	engine = fuzz_engine();
	FUZZ_CHECK(control_loop_init(engine) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = (const char *)data, *end = line + size, *stop;

	for (; line < end; line = stop + 1) {
		stop = memchr(line, '\n', (size_t)(end - line));
		if (!stop)
			stop = end;
		ask(line, (size_t)(stop - line));
	}
	while (held_count) {
		held_count--;
		held[held_count]->end(held[held_count]);
	}
	return 0;
}
