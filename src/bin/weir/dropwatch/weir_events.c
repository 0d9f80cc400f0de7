/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/weir_events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bin/weir/advice.h"
#include "bin/weir/cli.h"
#include "bin/weir/dropwatch/weir_card.h"

#define LINKTYPE_ETHERNET 1
#define LINKTYPE_RAW 101

struct weir_text {
	struct drop_packet packet;
	struct drop_frame frame;
	char path[384];
	char flow[FLOW_TEXT_BYTES];
	char socket[128];
	char program[96];
};

int weir_events_begin(struct weir_events *e, struct watch *watch)
{
	free(e->cells);
	e->watch = watch;
	e->sites = watch_sites(watch);
	e->reasons = watch_reasons(watch);
	e->count = 0;
	e->cells = calloc((size_t)e->sites * e->reasons + 1, sizeof(e->cells[0]));
	if (!e->bytes)
		e->bytes = malloc(WEIR_EVENTS_BYTES);
	return e->cells && e->bytes ? 0 : -ENOMEM;
}

void weir_events_free(struct weir_events *e)
{
	owners_free(&e->owners);
	free(e->cells);
	free(e->events);
	free(e->texts);
	free(e->bytes);
}

int weir_events_clear(struct weir_events *e, size_t room)
{
	struct drop_event *events;
	struct weir_text *texts;

	e->count = 0;
	e->bytes_used = 0;
	if (room <= e->room)
		return 0;
	events = calloc(room, sizeof(*events));
	texts = calloc(room, sizeof(*texts));
	if (!events || !texts) {
		free(events);
		free(texts);
		return -ENOMEM;
	}
	free(e->events);
	free(e->texts);
	e->events = events;
	e->texts = texts;
	e->room = room;
	return 0;
}

struct weir_cell *weir_events_cell(struct weir_events *e, uint32_t site, uint32_t reason)
{
	if (site >= e->sites || reason >= e->reasons)
		return NULL;
	return &e->cells[(size_t)site * e->reasons + reason];
}

static bool is_local(const struct watch_record *record)
{
	return record->flags & WATCH_F_ORIGINATED;
}

static void record_flow(const struct watch_record *record, struct flow *flow)
{
	flow_parse(record->data, record->data_bytes, record->link == WATCH_LINK_ETHERNET, flow);
}

void weir_events_sample(struct weir_events *e, const struct watch_record *record)
{
	struct weir_cell *cell = weir_events_cell(e, record->site, record->code);

	if (!cell)
		return;
	record_flow(record, &cell->flow);
	cell->seen = true;
	cell->local = is_local(record);
}

/* ---- words ---- */

static const json_t *about(const struct weir_events *e, const char *list, size_t index)
{
	return json_array_get(json_object_get(watch_about(e->watch), list), index);
}

static const char *known(const char *text)
{
	return text[0] ? text : NULL;
}

static const char *path_text(const struct weir_events *e, uint32_t path, char *text, size_t room)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned int bit = 0; bit < 32; bit++) {
		int n;

		if (!(path >> bit & 1))
			continue;
		n = snprintf(text + used, room - used, "%s%s", used ? " > " : "",
			     cli_string(about(e, "stages", bit), "stage"));
		if (n < 0 || (size_t)n >= room - used)
			break;
		used += (size_t)n;
	}
	return known(text);
}

static void name_socket(struct weir_events *e, struct drop_event *event, struct weir_text *text,
			const struct flow *flow, bool local)
{
	const json_t *program, *socket = owners_find(&e->owners, flow, local, &program);
	const char *remote;

	if (!socket)
		return;
	remote = cli_string(socket, "remote");
	snprintf(text->socket, sizeof(text->socket), "%s %s%s%s %s", cli_string(socket, "proto"),
		 cli_string(socket, "local"), strstr(remote, ":*") ? "" : " ",
		 strstr(remote, ":*") ? "" : remote, cli_string(socket, "state"));
	event->socket = text->socket;
	if (!program)
		return;
	snprintf(text->program, sizeof(text->program), "%.64s (pid %lld)",
		 cli_string(program, "program"),
		 (long long)(cli_int(socket, "pid")
				     ? cli_int(socket, "pid")
				     : json_integer_value(json_array_get(
					       json_object_get(program, "pids"), 0))));
	event->program = text->program;
}

/* "f" of "f.isra.0", as the compiler names the parts that it makes of a function. */
static bool same_function(const char *symbol, const char *function)
{
	size_t len = strcspn(symbol, ".");

	return strlen(function) == len && strncmp(symbol, function, len) == 0;
}

static void name_place(const struct weir_events *e, struct drop_event *event, const json_t *site,
		       uint64_t pc)
{
	const char *symbol = pc ? weird_syms_find(e->syms, pc, &event->offset_bytes) : NULL;

	event->address = pc;
	event->function = known(cli_string(site, "function"));
	event->file = known(cli_string(site, "file"));
	event->line = (uint32_t)cli_int(site, "line");
	if (!symbol)
		return;
	if (event->function && !same_function(symbol, event->function))
		event->site = event->function;
	event->function = symbol;
}

static struct drop_event *event_new(struct weir_events *e, uint32_t site, uint32_t reason,
				    uint64_t pc, uint32_t path)
{
	const json_t *why = about(e, "reasons", reason);
	struct weir_text *text = &e->texts[e->count];
	struct drop_event *event = &e->events[e->count++];

	*event = (struct drop_event){ .count = 1, .reason = cli_string(why, "name") };
	event->severity = known(cli_string(why, "severity"));
	event->meaning = known(cli_string(why, "text"));
	event->advice = known(advice_for(event->reason));
	name_place(e, event, about(e, "sites", site), pc);
	event->path = path_text(e, path, text->path, sizeof(text->path));
	text->frame = (struct drop_frame){ event->address, event->function, event->offset_bytes,
					   event->file, event->line };
	event->frames = &text->frame;
	event->frame_count = event->address ? 1 : 0;
	return event;
}

bool weir_events_add(struct weir_events *e, uint32_t site, uint32_t reason, uint64_t count)
{
	struct weir_cell *cell = weir_events_cell(e, site, reason);
	struct drop_event *event;
	struct weir_text *text;

	if (!cell || e->count == e->room)
		return false;
	text = &e->texts[e->count];
	event = event_new(e, site, reason, watch_pc(e->watch, site), watch_path(e->watch, site));
	event->count = count;
	if (!cell->seen)
		return true;
	event->flow = known(flow_text(&cell->flow, text->flow));
	name_socket(e, event, text, &cell->flow, cell->local);
	return true;
}

bool weir_events_add_loss(struct weir_events *e, const char *port, const json_t *loss,
			  uint64_t count)
{
	if (e->count == e->room)
		return false;
	e->events[e->count++] = (struct drop_event){
		.count = count,
		.hardware = true,
		.site = port,
		.reason = cli_string(loss, "name"),
		.severity = "warn",
		.meaning = known(cli_string(loss, "text")),
		.advice = weir_card_advice(cli_string(loss, "name")),
	};
	return true;
}

static const char *port_name(const struct weir_events *e, uint32_t ifindex)
{
	const json_t *port;
	size_t i;

	json_array_foreach(json_object_get(watch_about(e->watch), "ports"), i, port)
	{
		if (cli_int(port, "ifindex") == (json_int_t)ifindex)
			return known(cli_string(port, "name"));
	}
	return NULL;
}

bool weir_events_add_packet(struct weir_events *e, const struct watch_record *record)
{
	struct weir_text *text = &e->texts[e->count];
	struct drop_event *event;
	struct flow flow;

	if (e->count == e->room || record->data_bytes > WEIR_EVENTS_BYTES - e->bytes_used)
		return false;
	record_flow(record, &flow);
	event = event_new(e, record->site, record->code, record->pc, record->path);
	event->flow = known(flow_text(&flow, text->flow));
	name_socket(e, event, text, &flow, is_local(record));
	memcpy(e->bytes + e->bytes_used, record->data, record->data_bytes);
	text->packet = (struct drop_packet){
		.time_ns = record->stamp_ns,
		.ifindex = record->ifindex,
		.ifname = port_name(e, record->ifindex),
		.protocol = flow.protocol,
		.link_type = record->link == WATCH_LINK_ETHERNET ? LINKTYPE_ETHERNET : LINKTYPE_RAW,
		.len_bytes = record->len_bytes,
		.caplen_bytes = record->data_bytes,
		.bytes = e->bytes + e->bytes_used,
	};
	event->packet = &text->packet;
	e->bytes_used += record->data_bytes;
	return true;
}
