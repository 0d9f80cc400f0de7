/* SPDX-License-Identifier: BSD-3-Clause */
/* What the numbers of a record mean, in words. They come from weird's memory: any may be wrong. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "bin/weir/trace/trace.h"

static const struct {
	const char *name, *text;
} notes[] = {
#define NOTE(name, text) { #name, text },
#include "wire/watch_note.def"
#undef NOTE
};

static const char *name_in(const json_t *about, const char *list, unsigned int i)
{
	const char *name = json_string_value(json_array_get(json_object_get(about, list), i));

	return name ? name : "?";
}

const char *trace_stage(const json_t *about, unsigned int stage)
{
	const char *name =
		cli_string(json_array_get(json_object_get(about, "stages"), stage), "stage");

	return name[0] ? name : "?";
}

const char *trace_stage_linux(const json_t *about, unsigned int stage)
{
	return cli_string(json_array_get(json_object_get(about, "stages"), stage), "linux");
}

const char *trace_port(const json_t *about, unsigned int ifindex)
{
	const json_t *port;
	size_t i;

	json_array_foreach(json_object_get(about, "ports"), i, port)
	{
		if (ifindex && cli_int(port, "ifindex") == (json_int_t)ifindex)
			return cli_string(port, "name");
	}
	return "";
}

const char *trace_fate(const json_t *about, unsigned int fate)
{
	return name_in(about, "fates", fate);
}

const json_t *trace_reason(const json_t *about, unsigned int reason)
{
	return json_array_get(json_object_get(about, "reasons"), reason);
}

const json_t *trace_site(const json_t *about, uint32_t site)
{
	return json_array_get(json_object_get(about, "sites"), site);
}

const char *trace_note_name(unsigned int note)
{
	return note < WATCH_NOTE_MAX ? notes[note].name : "?";
}

double trace_us(const json_t *about, uint64_t from_cycles, uint64_t to_cycles)
{
	double hz = (double)cli_int(about, "cycles_per_second");

	/* Workers' counters agree but for a little: nothing happened before what it follows. */
	return hz > 0 && to_cycles > from_cycles ? (double)(to_cycles - from_cycles) * 1e6 / hz : 0;
}

/* ---- programs ---- */

/* Its name, as the kernel has it. False: there is no such process (that we may see). */
static bool name_of(uint64_t pid, char *name, size_t room)
{
	char path[64];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%llu/comm", (unsigned long long)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(name, (int)room, f) != NULL;
	fclose(f);
	if (ok)
		name[strcspn(name, "\n")] = '\0';
	/* A program may call itself anything: nothing of it is for the terminal. */
	for (char *c = name; ok && *c; c++)
		*c = *c < ' ' || *c == 0x7f ? '?' : *c;
	return ok;
}

const char *trace_program(uint64_t pid, char text[TRACE_WORDS_BYTES])
{
	char name[32];

	if (!pid)
		snprintf(text, TRACE_WORDS_BYTES, "no process");
	else if (name_of(pid, name, sizeof(name)))
		snprintf(text, TRACE_WORDS_BYTES, "%s[%llu]", name, (unsigned long long)pid);
	else
		snprintf(text, TRACE_WORDS_BYTES, "process %llu", (unsigned long long)pid);
	return text;
}

/* ---- notes ---- */

static void put_address(uint64_t value, char *text, size_t room)
{
	uint32_t ip_be = (uint32_t)value;

	if (!inet_ntop(AF_INET, &ip_be, text, (socklen_t)room))
		snprintf(text, room, "?");
}

/* One argument, shown as the letter says. */
static void put_argument(const json_t *about, char how, uint64_t value,
			 char text[TRACE_WORDS_BYTES])
{
	const char *name;

	switch (how) {
	case 'a':
		put_address(value, text, TRACE_WORDS_BYTES);
		break;
	case 'i':
		name = trace_port(about, (unsigned int)value);
		snprintf(text, TRACE_WORDS_BYTES, "%s", name[0] ? name : "an unknown port");
		break;
	case 's':
		snprintf(text, TRACE_WORDS_BYTES, "%s",
			 name_in(about, "tcp_states", (unsigned int)value));
		break;
	case 'p':
		trace_program(value, text);
		break;
	case 'q':
		snprintf(text, TRACE_WORDS_BYTES, "#%llu", (unsigned long long)value);
		break;
	case 'u':
		snprintf(text, TRACE_WORDS_BYTES, "%.3f us", (double)value / 1e3);
		break;
	default:
		snprintf(text, TRACE_WORDS_BYTES, "%llu", (unsigned long long)value);
	}
}

const char *trace_note(const json_t *about, const struct trace_event *e,
		       char text[TRACE_WORDS_BYTES])
{
	const char *from = e->code < WATCH_NOTE_MAX ? notes[e->code].text : "an unknown note";
	size_t used = 0;

	text[0] = '\0';
	while (*from && used + 1 < TRACE_WORDS_BYTES) {
		char one[TRACE_WORDS_BYTES] = { *from, '\0' };

		if (from[0] == '%' && (from[1] == '0' || from[1] == '1') && from[2]) {
			put_argument(about, from[2], e->arg[from[1] - '0'], one);
			from += 3;
		} else {
			from++;
		}
		used += (size_t)snprintf(text + used, TRACE_WORDS_BYTES - used, "%s", one);
	}
	return text;
}

/* ---- a packet's end ---- */

uint64_t trace_packet_pid(const struct trace_packet *p)
{
	uint64_t pid = 0;

	for (unsigned int i = 0; i < p->count; i++) {
		const struct trace_event *e = &p->event[i];

		if (e->kind == WATCH_NOTE &&
		    (e->code == WATCH_NOTE_SOCKET || e->code == WATCH_NOTE_RAW_SOCKET ||
		     e->code == WATCH_NOTE_LISTENER))
			pid = e->arg[1];
	}
	return pid;
}

const struct trace_event *trace_packet_last(const struct trace_packet *p)
{
	return p->end == TRACE_ENDED && p->count ? &p->event[p->count - 1] : NULL;
}

bool trace_packet_dropped(const struct trace_packet *p)
{
	const struct trace_event *last = trace_packet_last(p);

	return last && last->kind == WATCH_DROP;
}

/* The port at which it was last. */
static const char *port_of(const json_t *about, const struct trace_packet *p)
{
	for (unsigned int i = p->count; i--;) {
		const struct trace_event *e = &p->event[i];

		if (e->kind == WATCH_PACKET && strcmp(trace_stage(about, e->stage), "port-tx") == 0)
			return trace_port(about, e->ifindex);
	}
	return "";
}

static const char *ended_fate(const json_t *about, const struct trace_packet *p, const char *fate,
			      char text[TRACE_WORDS_BYTES])
{
	uint64_t pid = trace_packet_pid(p);
	const char *port = port_of(about, p);
	char who[TRACE_WORDS_BYTES];

	if (strcmp(fate, "delivered") == 0 && pid)
		snprintf(text, TRACE_WORDS_BYTES, "delivered to %.200s", trace_program(pid, who));
	else if ((strcmp(fate, "transmitted") == 0 || strcmp(fate, "forwarded") == 0) && port[0])
		snprintf(text, TRACE_WORDS_BYTES, "%s on %s", fate, port);
	else
		snprintf(text, TRACE_WORDS_BYTES, "%s", fate);
	return text;
}

const char *trace_packet_fate(const json_t *about, const struct trace_packet *p,
			      char text[TRACE_WORDS_BYTES])
{
	const struct trace_event *last = trace_packet_last(p);

	if (last && last->kind == WATCH_END)
		return ended_fate(about, p, trace_fate(about, last->code), text);
	if (last)
		snprintf(text, TRACE_WORDS_BYTES, "dropped: %s",
			 cli_string(trace_reason(about, last->code), "name"));
	else
		snprintf(text, TRACE_WORDS_BYTES, "%s",
			 p->end == TRACE_GIVEN_UP
				 ? "given up: too many packets were on their way at a time "
				   "(--open)"
				 : "not seen: still held, or the record of its end was lost");
	return text;
}
