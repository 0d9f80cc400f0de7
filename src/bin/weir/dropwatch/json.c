/* SPDX-License-Identifier: BSD-3-Clause */
/* Drops for programs. What is not known is left out, so that a member is always what it says. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bin/weir/dropwatch/dropwatch.h"

/* Bytes of a packet that are no text: what is not UTF-8 is left out with its member. */
static void set_text(json_t *object, const char *name, const char *text)
{
	if (text)
		json_object_set_new(object, name, json_string(text));
}

static void set_number(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
}

/* A JSON number has 53 bits with many readers: addresses are text. */
static void set_address(json_t *object, uint64_t address)
{
	char text[24];

	if (!address)
		return;
	snprintf(text, sizeof(text), "0x%" PRIx64, address);
	set_text(object, "address", text);
}

/* An array, as the ledger has it. */
static void set_path(json_t *object, const char *path)
{
	static const char between[] = " > ";
	json_t *stages;

	if (!path)
		return;
	stages = json_array();
	while (*path) {
		const char *end = strstr(path, between);
		size_t len = end ? (size_t)(end - path) : strlen(path);

		json_array_append_new(stages, json_stringn(path, len));
		path += end ? len + sizeof(between) - 1 : len;
	}
	json_object_set_new(object, "path", stages);
}

static json_t *json_frame(const struct drop_frame *frame)
{
	json_t *object = json_object();

	set_address(object, frame->address);
	set_text(object, "function", frame->function);
	if (frame->function)
		set_number(object, "offset", frame->offset_bytes);
	set_text(object, "file", frame->file);
	if (frame->file)
		set_number(object, "line", frame->line);
	return object;
}

static json_t *json_bytes(const struct drop_packet *packet)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * 256];
	size_t n = packet->caplen_bytes < 256 ? packet->caplen_bytes : 256;

	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[packet->bytes[i] >> 4];
		text[2 * i + 1] = digits[packet->bytes[i] & 15];
	}
	return json_stringn(text, 2 * n);
}

static void set_packet(json_t *object, const struct drop_packet *packet)
{
	set_number(object, "time_ns", packet->time_ns);
	if (packet->ifindex)
		set_number(object, "ifindex", packet->ifindex);
	set_text(object, "ifname", packet->ifname);
	if (packet->protocol)
		set_number(object, "protocol", packet->protocol);
	set_number(object, "length", packet->len_bytes);
	set_number(object, "captured", packet->caplen_bytes);
	json_object_set_new(object, "head", json_bytes(packet));
}

json_t *json_drop(const struct drop_event *event, bool packet)
{
	json_t *object = json_object(), *frames;

	set_text(object, "event", packet ? "packet" : "drops");
	set_number(object, "count", event->count);
	set_text(object, "origin", event->hardware ? "hardware" : "software");
	set_text(object, "reason", event->reason);
	set_text(object, "severity", event->severity);
	set_text(object, "text", event->meaning);
	set_text(object, "advice", event->advice);
	if (event->hardware && !event->function)
		set_text(object, "port", event->site);
	else
		set_text(object, "function", event->site ? event->site : event->function);
	set_text(object, "symbol", event->function);
	if (event->function)
		set_number(object, "offset", event->offset_bytes);
	set_address(object, event->address);
	set_text(object, "file", event->file);
	if (event->file)
		set_number(object, "line", event->line);
	set_path(object, event->path);
	set_text(object, "flow", event->flow);
	set_text(object, "socket", event->socket);
	set_text(object, "program", event->program);
	set_text(object, "netns", event->netns);
	if (event->frame_count) {
		frames = json_array();
		for (size_t i = 0; i < event->frame_count; i++)
			json_array_append_new(frames, json_frame(&event->frames[i]));
		json_object_set_new(object, "stack", frames);
	}
	if (event->packet)
		set_packet(object, event->packet);
	return object;
}

json_t *json_stats(const struct drop_stats *stats)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "event", "stats", "drops",
			 (json_int_t)stats->drops, "packets", (json_int_t)stats->packets,
			 "packets_skipped", (json_int_t)stats->packets_skipped, "lost_events",
			 (json_int_t)stats->lost_events, "hardware_drops",
			 (json_int_t)stats->hardware_drops);
}

json_t *json_top(const struct tally *t, const struct drop_stats *stats, unsigned int top,
		 double seconds)
{
	json_t *places = json_array(), *document = json_stats(stats);

	json_object_del(document, "event");
	for (size_t i = 0; i < t->count && i < top; i++) {
		struct drop_event event = t->entries[i].event;
		json_t *place;

		event.count = t->entries[i].total;
		place = json_drop(&event, false);
		json_object_del(place, "event");
		json_array_append_new(places, place);
	}
	json_object_set_new(document, "seconds", json_real(seconds));
	json_object_set_new(document, "kinds", json_integer((json_int_t)t->count));
	json_object_set_new(document, "places", places);
	return document;
}
