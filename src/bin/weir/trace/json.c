/* SPDX-License-Identifier: BSD-3-Clause */
/* A packet as JSON. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "bin/weir/advice.h"
#include "bin/weir/trace/trace.h"

static void put_address(json_t *to, const char *name, uint32_t ip_be)
{
	char text[INET_ADDRSTRLEN];

	json_object_set_new(to, name, json_string(inet_ntop(AF_INET, &ip_be, text, sizeof(text))));
}

static void put_headers(json_t *to, const struct trace_packet *p)
{
	struct trace_headers h;

	trace_headers_read(p, &h);
	if (strcmp(h.protocol, "?") == 0)
		return;
	json_object_set_new(to, "protocol", json_string(h.protocol));
	if (h.ip) {
		put_address(to, "source", h.src_be);
		put_address(to, "destination", h.dst_be);
	}
	if (h.ports) {
		json_object_set_new(to, "source_port", json_integer(h.src_port));
		json_object_set_new(to, "destination_port", json_integer(h.dst_port));
	}
	json_object_set_new(to, "length", json_integer(h.len_bytes));
	if (h.detail[0])
		json_object_set_new(
			to, strcmp(h.protocol, "TCP") == 0 && h.ports ? "tcp_flags" : "detail",
			json_string(h.detail));
}

static void put_note(json_t *to, const json_t *about, const struct trace_event *e)
{
	char text[TRACE_WORDS_BYTES];

	json_object_set_new(to, "note", json_string(trace_note_name(e->code)));
	json_object_set_new(to, "text", json_string(trace_note(about, e, text)));
	json_object_set_new(to, "args",
			    json_pack("[I, I]", (json_int_t)e->arg[0], (json_int_t)e->arg[1]));
}

static void put_drop(json_t *to, const json_t *about, const struct trace_event *e)
{
	const json_t *reason = trace_reason(about, e->code), *site = trace_site(about, e->site);
	const char *name = cli_string(reason, "name");

	json_object_set_new(to, "reason", json_string(name));
	json_object_set_new(to, "text", json_string(cli_string(reason, "text")));
	json_object_set_new(to, "severity", json_string(cli_string(reason, "severity")));
	json_object_set_new(to, "advice", json_string(advice_for(name)));
	json_object_set_new(to, "function", json_string(cli_string(site, "function")));
	json_object_set_new(to, "file", json_string(cli_string(site, "file")));
	json_object_set_new(to, "line", json_integer(cli_int(site, "line")));
}

static json_t *event_json(const json_t *about, const struct trace_event *e, uint64_t before)
{
	json_t *to = json_pack("{s:f, s:s}", "after_us", trace_us(about, before, e->cycles),
			       "stage", trace_stage(about, e->stage));

	if (!to)
		return NULL;
	if (e->kind == WATCH_PACKET)
		json_object_set_new(to, "linux", json_string(trace_stage_linux(about, e->stage)));
	if (e->kind == WATCH_PACKET && e->ifindex)
		json_object_set_new(to, "port", json_string(trace_port(about, e->ifindex)));
	if (e->kind == WATCH_NOTE)
		put_note(to, about, e);
	else if (e->kind == WATCH_DROP)
		put_drop(to, about, e);
	else if (e->kind == WATCH_END)
		json_object_set_new(to, "fate", json_string(trace_fate(about, e->code)));
	return to;
}

/* One word: what scripts ask for. */
static const char *fate_word(const json_t *about, const struct trace_packet *p)
{
	const struct trace_event *last = trace_packet_last(p);

	if (!last)
		return p->end == TRACE_GIVEN_UP ? "given up" : "not seen";
	return last->kind == WATCH_DROP ? "dropped" : trace_fate(about, last->code);
}

static void put_bytes(json_t *to, const struct trace_packet *p)
{
	char *hex = malloc(2 * (size_t)p->data_bytes + 1);

	if (!hex)
		return;
	hex[0] = '\0';
	for (uint32_t i = 0; i < p->data_bytes; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", p->data[i]);
	json_object_set_new(to, "bytes", json_string(hex));
	free(hex);
}

static void put_end(json_t *to, const json_t *about, const struct trace_packet *p)
{
	const struct trace_event *last = trace_packet_last(p);
	uint64_t pid = trace_packet_pid(p);
	char text[TRACE_WORDS_BYTES];

	json_object_set_new(to, "fate", json_string(fate_word(about, p)));
	json_object_set_new(to, "fate_text", json_string(trace_packet_fate(about, p, text)));
	if (last && last->kind == WATCH_DROP)
		put_drop(to, about, last);
	if (pid)
		json_object_set_new(to, "program",
				    json_pack("{s:I, s:s}", "pid", (json_int_t)pid, "text",
					      trace_program(pid, text)));
	json_object_set_new(to, "beginning_seen", json_boolean(p->begun));
	json_object_set_new(to, "end_seen", json_boolean(last != NULL));
	if (p->count)
		json_object_set_new(to, "total_us",
				    json_real(trace_us(about, p->event[0].cycles,
						       p->event[p->count - 1].cycles)));
	if (p->more)
		json_object_set_new(to, "events_not_kept", json_integer(p->more));
}

json_t *trace_json(const json_t *about, const struct trace_packet *p, bool verbose)
{
	json_t *to = json_pack("{s:I, s:I, s:b}", "packet", (json_int_t)p->id, "time_ns",
			       (json_int_t)p->stamp_ns, "made_here",
			       !!(p->flags & WATCH_F_ORIGINATED));
	json_t *events = json_array();

	if (p->count && p->event[0].ifindex)
		json_object_set_new(to, "port",
				    json_string(trace_port(about, p->event[0].ifindex)));
	put_headers(to, p);
	for (unsigned int i = 0; i < p->count; i++)
		json_array_append_new(
			events, event_json(about, &p->event[i], p->event[i ? i - 1 : 0].cycles));
	json_object_set_new(to, "events", events);
	put_end(to, about, p);
	if (verbose)
		put_bytes(to, p);
	return to;
}
