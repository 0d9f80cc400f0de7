/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "bin/weir/dropwatch/dropwatch.h"

static const char *origin(const struct drop_event *event)
{
	return event->hardware ? "hardware" : "software";
}

const char *print_place(const struct drop_event *event, char text[PRINT_PLACE_BYTES])
{
	if (event->function)
		snprintf(text, PRINT_PLACE_BYTES, "%s+%" PRIx64, event->function,
			 event->offset_bytes);
	else
		snprintf(text, PRINT_PLACE_BYTES, "location");
	return text;
}

/* dropwatch's line: scripts take the count, the place and the address from it. */
void print_summary(FILE *to, const struct drop_event *event)
{
	char place[PRINT_PLACE_BYTES];

	if (event->hardware && !event->function)
		fprintf(to, "%" PRIu64 " drops at %s%s%s [hardware]\n", event->count,
			event->site ? event->site : "", event->site ? ":" : "", event->reason);
	else if (event->function)
		fprintf(to, "%" PRIu64 " drops at %s (0x%" PRIx64 ") [%s]\n", event->count,
			print_place(event, place), event->address, origin(event));
	else
		fprintf(to, "%" PRIu64 " drops at location 0x%" PRIx64 " [%s]\n", event->count,
			event->address, origin(event));
}

static void print_time(FILE *to, uint64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000u);
	char text[64] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
	fprintf(to, "timestamp: %s %09" PRIu64 " nsec\n", text, time_ns % 1000000000u);
}

static void print_symbol(FILE *to, const struct drop_event *event)
{
	if (event->hardware && !event->function)
		fprintf(to, "drop at: %s (%s)\n", event->reason,
			event->meaning ? event->meaning : "");
	else if (event->function)
		fprintf(to, "drop at: %s+0x%" PRIx64 " (0x%" PRIx64 ")\n", event->function,
			event->offset_bytes, event->address);
	else
		fprintf(to, "drop at: 0x%" PRIx64 " (0x%" PRIx64 ")\n", event->address,
			event->address);
}

void print_packet(FILE *to, const struct drop_event *event)
{
	const struct drop_packet *packet = event->packet;

	print_symbol(to, event);
	fprintf(to, "origin: %s\n", origin(event));
	if (packet && packet->ifindex)
		fprintf(to, "input port ifindex: %" PRIu32 "\n", packet->ifindex);
	if (packet && packet->ifname)
		fprintf(to, "input port name: %s\n", packet->ifname);
	if (packet) {
		print_time(to, packet->time_ns);
		if (packet->protocol)
			fprintf(to, "protocol: 0x%x\n", packet->protocol);
		fprintf(to, "length: %" PRIu32 "\n", packet->caplen_bytes);
		fprintf(to, "original length: %" PRIu32 "\n", packet->len_bytes);
	}
	if (!event->hardware)
		fprintf(to, "drop reason: %s\n", event->reason);
}

void print_frames(FILE *to, const struct drop_event *event)
{
	for (size_t i = 0; i < event->frame_count; i++) {
		const struct drop_frame *f = &event->frames[i];

		fprintf(to, "    [<%016" PRIx64 ">] ", f->address);
		if (f->function)
			fprintf(to, "%s+0x%" PRIx64, f->function, f->offset_bytes);
		else
			fputs("0x0", to);
		if (f->file)
			fprintf(to, "  %s:%" PRIu32, f->file, f->line);
		fputc('\n', to);
	}
}

static enum cli_colour severity_colour(const char *severity)
{
	if (!severity || strcmp(severity, "info") == 0)
		return CLI_BOLD;
	return strcmp(severity, "warn") == 0 ? CLI_YELLOW : CLI_RED;
}

static void print_field(FILE *to, const char *name, const char *text)
{
	if (text && *text)
		fprintf(to, "    %s%-8s%s %s\n", cli_colour(CLI_DIM), name, cli_colour(CLI_PLAIN),
			text);
}

void print_detail(FILE *to, const struct drop_event *event, bool brief)
{
	char place[PRINT_PLACE_BYTES] = "";

	fprintf(to, "    %s%s%s%s%s\n", cli_colour(severity_colour(event->severity)), event->reason,
		cli_colour(CLI_PLAIN), event->meaning ? ": " : "",
		event->meaning ? event->meaning : "");
	if (event->file)
		snprintf(place, sizeof(place), "%s:%" PRIu32 "%s%s%s", event->file, event->line,
			 event->site ? " in " : "", event->site ? event->site : "",
			 event->site ? "()" : "");
	if (!brief)
		print_field(to, "do", event->advice);
	print_field(to, "packet", event->flow);
	print_field(to, "socket", event->socket);
	print_field(to, "program", event->program);
	print_field(to, "netns", event->netns);
	if (brief)
		return;
	print_field(to, "source", place);
	print_field(to, "path", event->path);
}

/* ---- the table ---- */

static void top_row(struct cli_table *t, const struct tally_entry *entry)
{
	const struct drop_event *event = &entry->event;
	char place[PRINT_PLACE_BYTES];

	cli_table_number(t, (json_int_t)entry->total);
	cli_table_cell(t, "%s", event->reason);
	if (event->function)
		cli_table_cell(t, "%s", print_place(event, place));
	else if (event->hardware)
		cli_table_cell(t, "%s", event->site ? event->site : "hardware");
	else
		cli_table_cell(t, "0x%" PRIx64, event->address);
	if (event->file)
		cli_table_cell(t, "%s:%" PRIu32, event->file, event->line);
	else
		cli_table_cell(t, "-");
	cli_table_cell(t, "%s",
		       event->netns	? event->netns
		       : event->program ? event->program
					: "-");
	cli_table_cell(t, "%s", event->meaning ? event->meaning : "");
}

/* Of several places with one reason, the advice once. */
static bool advised_before(const struct tally *t, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (strcmp(t->entries[i].event.reason, t->entries[index].event.reason) == 0)
			return true;
	}
	return false;
}

static void top_advice(FILE *to, const struct tally *t, unsigned int top)
{
	bool first = true;

	for (size_t i = 0; i < t->count && i < top; i++) {
		const struct drop_event *event = &t->entries[i].event;

		if (!event->advice || advised_before(t, i))
			continue;
		fprintf(to, "%s  %s: %s\n", first ? "\n" : "", event->reason, event->advice);
		first = false;
	}
}

static void top_rest(FILE *to, const struct tally *t, unsigned int top)
{
	char text[CLI_NUMBER_BYTES];
	uint64_t rest = 0;

	for (size_t i = top; i < t->count; i++)
		rest += t->entries[i].total;
	if (rest)
		fprintf(to, "  %s more in %zu other places\n", cli_number((json_int_t)rest, text),
			t->count - top);
}

void print_top(FILE *to, const struct tally *t, const struct drop_stats *stats, unsigned int top,
	       double seconds)
{
	/* The kernel's drops have a namespace, weir's a program. */
	bool netns = t->count && t->entries[0].event.netns;
	const char *const heads[] = {
		"count", "reason", "place", "source", netns ? "netns" : "program", "meaning"
	};
	struct cli_table *table;
	char text[CLI_NUMBER_BYTES];

	fprintf(to, "%s drops in %.1f s\n", cli_number((json_int_t)stats->drops, text), seconds);
	if (stats->lost_events)
		fprintf(to, "%s%s events were lost on the way here and are in no line below%s\n",
			cli_colour(CLI_RED), cli_number((json_int_t)stats->lost_events, text),
			cli_colour(CLI_PLAIN));
	if (t->count == 0)
		return;
	table = cli_table_new("rlllll", heads);
	for (size_t i = 0; i < t->count && i < top; i++)
		top_row(table, &t->entries[i]);
	cli_table_print(table, to);
	top_rest(to, t, top);
	top_advice(to, t, top);
}
