/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/kernel_words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/weir/dropwatch/flow.h"
#include "bin/weir/dropwatch/kernel_lines.h"
#include "bin/weir/dropwatch/kernel_netns.h"
#include "bin/weir/dropwatch/kernel_packets.h"
#include "bin/weir/dropwatch/kernel_reasons.h"
#include "bin/weir/dropwatch/kernel_syms.h"

/* What an event points to. */
struct event_room {
	struct drop_frame frames[KDROP_FRAMES];
	struct drop_packet packet;
	char socket[KERNEL_SOCKET_BYTES], flow[FLOW_TEXT_BYTES];
};

struct kernel_words {
	struct kernel_syms *syms;
	struct kernel_lines *lines;
	struct kernel_reasons *reasons;
	struct kernel_netns *netns;

	struct drop_event *events;
	struct event_room *rooms;
	size_t count, most; /* events there are, and may be */
	size_t allocated;
};

static const char note_hidden[] =
	"functions are shown as addresses: " KERNEL_SYMS_PATH
	" hides them from this process, which needs CAP_SYSLOG (or root), and "
	"kernel.kptr_restrict below 2";
static const char note_no_table[] =
	"functions are shown as addresses: there is no " KERNEL_SYMS_PATH
	" to be read: the kernel needs CONFIG_KALLSYMS=y";

static struct kernel_syms *read_syms(const char **note)
{
	FILE *file = fopen(KERNEL_SYMS_PATH, "re");
	struct kernel_syms *syms;
	bool hidden = false;

	*note = NULL;
	if (!file) {
		*note = note_no_table;
		file = fopen("/dev/null", "re");
		if (!file)
			return NULL;
	}
	syms = kernel_syms_read(file, &hidden);
	fclose(file);
	if (hidden)
		*note = note_hidden;
	return syms;
}

static struct kernel_lines *read_lines(const struct kernel_syms *syms)
{
#ifdef WEIR_WITH_LIBDW
	return kernel_lines_of_kernel(kernel_syms_address(syms, "_stext"));
#else
	return NULL;
#endif
}

struct kernel_words *kernel_words_new(const struct btf *btf, const char **note)
{
	struct kernel_words *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->syms = read_syms(note);
	w->reasons = kernel_reasons_new(btf);
	w->netns = kernel_netns_new();
	if (!w->syms || !w->reasons || !w->netns) {
		kernel_words_free(w);
		return NULL;
	}
	w->lines = read_lines(w->syms);
	return w;
}

void kernel_words_free(struct kernel_words *w)
{
	if (!w)
		return;
	kernel_syms_free(w->syms);
#ifdef WEIR_WITH_LIBDW
	kernel_lines_close(w->lines);
#endif
	kernel_reasons_free(w->reasons);
	kernel_netns_free(w->netns);
	free(w->events);
	free(w->rooms);
	free(w);
}

int kernel_words_reason(const struct kernel_words *w, const char *name)
{
	return kernel_reason_number(w->reasons, name);
}

int kernel_words_begin(struct kernel_words *w, size_t count)
{
	w->count = 0;
	w->most = count;
	if (count <= w->allocated)
		return 0;
	free(w->events);
	free(w->rooms);
	w->events = calloc(count, sizeof(*w->events));
	w->rooms = calloc(count, sizeof(*w->rooms));
	w->allocated = w->events && w->rooms ? count : 0;
	w->most = w->allocated;
	return w->allocated ? 0 : -ENOMEM;
}

/* ---- one event ---- */

static void find_line(struct kernel_words *w, uint64_t address, const char **file, uint32_t *line)
{
#ifdef WEIR_WITH_LIBDW
	kernel_lines_find(w->lines, address, file, line);
#endif
}

static void fill_reason(struct kernel_words *w, struct drop_event *e, uint32_t number)
{
	struct kernel_reason reason;

	kernel_reason_of(w->reasons, number, &reason);
	e->reason = reason.name;
	e->severity = reason.severity;
	e->meaning = reason.meaning;
	e->advice = reason.advice;
}

void kernel_words_add(struct kernel_words *w, const struct kdrop_key *key, uint64_t count)
{
	struct drop_event *e;

	if (w->count == w->most)
		return;
	e = &w->events[w->count++];
	*e = (struct drop_event){ .count = count, .address = key->location };
	if (!key->location) {
		/* The overflow of the program's table: neither place nor reason were kept. */
		e->reason = "NOT_SPECIFIED";
		e->severity = "warn";
		e->meaning = "weir keeps no more places and reasons apart than it has";
		return;
	}
	e->function = kernel_syms_find(w->syms, key->location, &e->offset_bytes);
	find_line(w, key->location, &e->file, &e->line);
	fill_reason(w, e, key->reason);
	e->netns = kernel_netns_name(w->netns, key->netns);
}

/* The BPF program's own frames, and the tracepoint's, are before the place of the drop. */
void kernel_words_frames(struct kernel_words *w, const __u64 *frames, size_t count)
{
	struct drop_event *e = w->count ? &w->events[w->count - 1] : NULL;
	struct drop_frame *to = w->count ? w->rooms[w->count - 1].frames : NULL;
	size_t first = 0;

	while (e && first < count && frames[first] != e->address)
		first++;
	if (!e || first >= count)
		return; /* the place is not among them: they say nothing about this drop */
	for (size_t i = first; i < count && i - first < KDROP_FRAMES; i++) {
		struct drop_frame *f = &to[i - first];

		*f = (struct drop_frame){ .address = frames[i] };
		f->function = kernel_syms_find(w->syms, f->address, &f->offset_bytes);
		find_line(w, f->address, &f->file, &f->line);
	}
	e->frames = to;
	e->frame_count = count - first;
}

void kernel_words_packet(struct kernel_words *w, const struct kdrop_packet *packet,
			 int64_t realtime_ns)
{
	struct event_room *room = w->count ? &w->rooms[w->count - 1] : NULL;
	struct drop_event *e = w->count ? &w->events[w->count - 1] : NULL;
	struct flow flow;

	if (!e)
		return;
	flow_parse(packet->bytes, packet->caplen_bytes, true, &flow);
	if (flow_text(&flow, room->flow)[0])
		e->flow = room->flow;
	kernel_packet_show(packet, realtime_ns, &room->packet);
	e->packet = &room->packet;
	e->socket = kernel_socket_text(&packet->socket, room->socket);
}

const struct drop_event *kernel_words_events(const struct kernel_words *w, size_t *count)
{
	*count = w->count;
	return w->events;
}
