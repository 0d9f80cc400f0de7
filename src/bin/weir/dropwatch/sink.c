/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dropped packets as a pcapng file: an interface a (port, kind of bytes), and on each packet a
 * comment with what dropwatch would have printed, which Wireshark shows and finds
 * (frame.comment contains "NO_SOCKET").
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "bin/weir/dropwatch/dropwatch.h"

static int sink_fail(const struct sink *sink, int error)
{
	return cli_fail("dropwatch: cannot write %s: %s%s", sink->name, strerror(-error),
			error == -ENOSPC ? " (what it has so far can be read)" : "");
}

int sink_open(struct sink *sink, const char *name, const char *filter)
{
	FILE *to;
	int rc;

	*sink = (struct sink){ .name = name, .filter = filter };
	to = strcmp(name, "-") ? fopen(name, "wbe") : stdout;
	if (!to)
		return sink_fail(sink, -errno);
	rc = pcapng_begin(&sink->file, to, "weir dropwatch");
	if (rc == 0 && fflush(to))
		rc = -errno;
	return rc ? sink_fail(sink, rc) : 0;
}

/* The interface's number in the file; packets of the 65th and on go to the last. */
static int sink_interface(struct sink *sink, const struct drop_packet *packet)
{
	uint16_t link_type = packet->link_type ? packet->link_type : PCAPNG_LINKTYPE_ETHERNET;
	char name[32];
	uint32_t i;
	int rc;

	for (i = 0; i < sink->file.interfaces; i++) {
		if (sink->interface[i].ifindex == packet->ifindex &&
		    sink->interface[i].link_type == link_type)
			return (int)i;
	}
	if (i == SINK_INTERFACES)
		return SINK_INTERFACES - 1;
	snprintf(name, sizeof(name), "if%" PRIu32, packet->ifindex);
	rc = pcapng_interface(&sink->file,
			      packet->ifname	? packet->ifname
			      : packet->ifindex ? name
						: "none",
			      link_type == PCAPNG_LINKTYPE_ETHERNET ? "dropped packets"
								    : "dropped packets, from IP on",
			      sink->filter, link_type, 0);
	sink->interface[i].ifindex = packet->ifindex;
	sink->interface[i].link_type = link_type;
	return rc;
}

static void comment_line(char *text, size_t room, size_t *used, const char *name, const char *value)
{
	int n;

	if (!value || !*value)
		return;
	n = snprintf(text + *used, room - *used, "\n%s%s", name, value);
	if (n > 0 && (size_t)n < room - *used)
		*used += (size_t)n;
	else
		text[*used] = '\0';
}

static void comment(const struct drop_event *event, char *text, size_t room)
{
	char place[PRINT_PLACE_BYTES], source[PRINT_PLACE_BYTES] = "";
	size_t used;

	snprintf(text, room, "%s%s%s", event->reason, event->meaning ? ": " : "",
		 event->meaning ? event->meaning : "");
	used = strlen(text);
	if (event->file)
		snprintf(source, sizeof(source), " (%s:%" PRIu32 ")", event->file, event->line);
	if (event->function) {
		comment_line(text, room, &used, "dropped at ", print_place(event, place));
		if (source[0] && used + strlen(source) < room) {
			strcpy(text + used, source);
			used += strlen(source);
		}
	}
	comment_line(text, room, &used, "what to do: ", event->advice);
	comment_line(text, room, &used, "socket: ", event->socket);
	comment_line(text, room, &used, "program: ", event->program);
	comment_line(text, room, &used, "netns: ", event->netns);
	comment_line(text, room, &used, "path: ", event->path);
}

int sink_packet(struct sink *sink, const struct drop_event *event)
{
	const struct drop_packet *packet = event->packet;
	struct pcapng_packet out;
	char text[4096];
	int number;

	if (!packet)
		return 0;
	number = sink_interface(sink, packet);
	if (number < 0)
		return sink_fail(sink, number);
	comment(event, text, sizeof(text));
	out = (struct pcapng_packet){ .interface = (uint32_t)number,
				      .time_ns = packet->time_ns,
				      .bytes = packet->bytes,
				      .caplen_bytes = packet->caplen_bytes,
				      .len_bytes = packet->len_bytes,
				      .flags = packet->ifindex ? PCAPNG_INBOUND : PCAPNG_OUTBOUND,
				      .comment = text };
	if (pcapng_packet(&sink->file, &out))
		return sink_fail(sink, sink->file.error);
	sink->written++;
	return 0;
}

int sink_close(struct sink *sink, const struct drop_stats *stats)
{
	FILE *to = sink->file.to;
	struct timespec now;
	int rc = sink->file.error;

	clock_gettime(CLOCK_REALTIME, &now);
	for (uint32_t i = 0; i < sink->file.interfaces && rc == 0; i++) {
		uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;

		/* Of the whole watch, told once: the source does not know them for each. */
		if (i == 0)
			rc = pcapng_statistics(&sink->file, i, now_ns, stats->drops,
					       stats->packets_skipped + stats->lost_events);
	}
	if ((to == stdout ? fflush(to) : fclose(to)) && rc == 0)
		rc = -errno;
	return rc ? sink_fail(sink, rc) : 0;
}
