/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command "watch": somebody wants to see packets (`weir dropwatch`, `trace`, `capture`). The
 * request says which; the answer has what the records' numbers mean, and the descriptor of the
 * memory in which they come (wire/watch_abi.h). The watch ends with the connection.
 *
 * {"cmd": "watch", "stages": ["port-rx", ...] or ["all"], "drops": bool, "records": bool, "follow":
 * bool, "snap": bytes, "ring": bytes, "reasons": [names], "ports": [names], "filter": {"ethernet":
 * HEX, "ip": HEX}} all optional; HEX: struct sock_filter as in memory, two digits a byte, for
 * frames and for packets that begin with their IP header.
 */
#include <errno.h>
#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bin/weird/control/commands.h"
#include "core/filter.h"
#include "engine/engine.h"
#include "inet/tcp/tcp.h"
#include "obs/observer.h"
#include "obs/report.h"
#include "wire/watch_abi.h"

#define RING_BYTES (4u << 20)
#define SNAP_BYTES 262u

struct observed {
	struct control_held held; /* first */
	struct observer *o;
};

struct ask {
	const json_t *request;
	struct observer_spec spec;
	struct sock_filter filter[2][FILTER_MAX_INSNS];
	json_t *error; /* what is wrong with the request, for people */
};

static void wrong(struct ask *a, json_t *words)
{
	if (!a->error)
		a->error = json_pack("{s:o}", "error", words);
	else
		json_decref(words);
}

static uint32_t stage_bits(const char *label)
{
	if (strcmp(label, "all") == 0)
		return (1u << STAGE_MAX) - 1;
	for (unsigned int stage = 0; stage < STAGE_MAX; stage++) {
		if (strcmp(stage_label(stage), label) == 0)
			return 1u << stage;
	}
	return 0;
}

static void read_stages(struct ask *a)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(a->request, "stages"), i, item)
	{
		const char *label = json_string_value(item);
		uint32_t bit = label ? stage_bits(label) : 0;

		if (!bit)
			wrong(a, json_sprintf("there is no stage '%s' (weir path lists them)",
					      label ? label : "?"));
		a->spec.stages |= bit;
	}
}

static void read_reasons(struct ask *a)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(a->request, "reasons"), i, item)
	{
		const char *name = json_string_value(item);
		unsigned int reason = 0;

		while (name && reason < DROP_REASON_MAX &&
		       strcmp(drop_reason_info(reason)->name, name) != 0)
			reason++;
		if (!name || reason == DROP_REASON_MAX)
			wrong(a, json_sprintf("weir knows no drop reason '%s'", name ? name : "?"));
		else
			a->spec.reasons[reason / 64] |= 1ull << (reason & 63);
	}
}

static void read_ports(struct ask *a, const struct engine *engine)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(a->request, "ports"), i, item)
	{
		const char *name = json_string_value(item);
		unsigned int p = 0;

		while (name && p < engine->port_count && strcmp(engine->port[p]->name, name) != 0)
			p++;
		if (!name || p == engine->port_count)
			wrong(a, json_sprintf("there is no port '%s' (weir stat lists them)",
					      name ? name : "?"));
		else
			a->spec.ports |= 1ull << (p + 1);
	}
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Instructions in `to`: how many, or 0 where the text is none. */
static uint32_t read_program(const char *hex, struct sock_filter *to)
{
	size_t bytes = strlen(hex) / 2, n = bytes / sizeof(*to);
	uint8_t *out = (uint8_t *)to;

	if (strlen(hex) % (2 * sizeof(*to)) || n > FILTER_MAX_INSNS)
		return 0;
	for (size_t i = 0; i < bytes; i++) {
		int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return 0;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return (uint32_t)n;
}

static void read_filter(struct ask *a)
{
	const json_t *filter = json_object_get(a->request, "filter");
	const char *ethernet = json_string_value(json_object_get(filter, "ethernet"));
	const char *ip = json_string_value(json_object_get(filter, "ip"));

	if (!filter)
		return;
	a->spec.ethernet_count = ethernet ? read_program(ethernet, a->filter[0]) : 0;
	a->spec.ip_count = ip ? read_program(ip, a->filter[1]) : 0;
	a->spec.ethernet = a->filter[0];
	a->spec.ip = a->filter[1];
	if (!a->spec.ethernet_count || !a->spec.ip_count)
		wrong(a, json_string("the filter is not two programs in hexadecimal digits"));
}

static uint32_t read_size(const json_t *request, const char *name, uint32_t otherwise)
{
	const json_t *value = json_object_get(request, name);
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value))
		return otherwise;
	return n >= 0 && n <= UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void read_all(struct ask *a, const struct engine *engine)
{
	const json_t *r = a->request;

	a->spec.drops = json_is_true(json_object_get(r, "drops"));
	a->spec.records = json_is_true(json_object_get(r, "records"));
	a->spec.follow = json_is_true(json_object_get(r, "follow"));
	a->spec.snap_bytes = read_size(r, "snap", SNAP_BYTES);
	a->spec.ring_bytes = read_size(r, "ring", RING_BYTES);
	read_stages(a);
	read_reasons(a);
	read_ports(a, engine);
	read_filter(a);
}

/* ---- the answer ---- */

static json_t *sites_list(void)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < drop_site_count(); i++) {
		const struct drop_site *s = drop_site(i);

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:i}", "function", s->function, "file",
						report_file(s->file), "line", (int)s->line));
	}
	return list;
}

static json_t *reasons_list(void)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < DROP_REASON_MAX; i++) {
		const struct drop_reason_info *info = drop_reason_info(i);

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", info->name,
						      "text", info->text, "severity",
						      report_severity(info->severity), "linux",
						      info->linux_name));
	}
	return list;
}

static json_t *stages_list(void)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < STAGE_MAX; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "stage", stage_label(i),
						      "linux", report_stage_linux(i), "direction",
						      i < STAGE_SOCK_SEND ? "receive" : "send"));
	return list;
}

static json_t *ports_list(const struct engine *engine)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < engine->port_count; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:i, s:i, s:b}", "name",
						engine->port[i]->name, "ifindex", (int)i + 1, "mtu",
						(int)engine->port[i]->mtu_bytes, "loop",
						!!(engine->port[i]->caps & PORT_CAP_LOOP)));
	return list;
}

static json_t *fates_list(void)
{
	return json_pack("[s, s, s, s]", "delivered", "transmitted", "forwarded", "absorbed");
}

_Static_assert(FATE_MAX == 4 && FATE_DELIVERED == 0 && FATE_ABSORBED == 3, "fates_list()");

static json_t *tcp_states_list(void)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < TCP_STATE_MAX; i++)
		json_array_append_new(list, json_string(tcp_state_name(i)));
	return list;
}

static json_t *about(const struct engine *engine, const struct observer *o)
{
	return json_pack("{s:b, s:i, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "ok", 1, "pid",
			 (int)getpid(), "filter", observer_filter_how(o), "cycles_per_second",
			 (json_int_t)rte_get_tsc_hz(), "sites", sites_list(), "reasons",
			 reasons_list(), "stages", stages_list(), "ports", ports_list(engine),
			 "fates", fates_list(), "tcp_states", tcp_states_list());
}

/* ---- life ---- */

static void observed_end(struct control_held *held)
{
	struct observed *seen = (struct observed *)held;

	observer_stop(seen->o);
	observer_free(seen->o);
	free(seen);
}

static json_t *begin(struct engine *engine, const struct observer_spec *spec)
{
	struct observed *seen = calloc(1, sizeof(*seen));
	int err;

	if (!seen)
		return NULL;
	err = observer_new(spec, engine->worker, engine->worker_count, &seen->o);
	if (err) {
		free(seen);
		return json_pack(
			"{s:o}", "error",
			err == -EINVAL ? json_string("the filter or a size is not acceptable")
			: err == -EUSERS
				? json_sprintf("%u watch already, which is all that can: "
					       "end one of them",
					       OBSERVERS_MAX)
				: json_sprintf("no memory to watch with: %s", strerror(-err)));
	}
	seen->held.fd = observer_fd(seen->o);
	seen->held.end = observed_end;
	observer_start(seen->o);
	control_hold(&seen->held);
	return about(engine, seen->o);
}

json_t *control_observe(struct engine *engine, const json_t *request)
{
	struct ask *a = calloc(1, sizeof(*a));
	json_t *answer;

	if (!a)
		return NULL;
	a->request = request;
	read_all(a, engine);
	answer = a->error ? a->error : begin(engine, &a->spec);
	free(a);
	return answer;
}
