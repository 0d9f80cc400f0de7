/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir's own drops, by a watch (bin/weir/watch.h). Counts are read from the memory that weird's
 * workers count in, so none is lost at any rate. Packets come by the watch's rings; those that
 * found no room are known by the difference: counted there, and not shown.
 *
 * A watch lasts from start to stop. At stop its connection's sending side is closed, and weird's
 * end of file says that nothing more is counted: what is read then is all.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bin/weir/cli.h"
#include "bin/weir/dropwatch/source.h"
#include "bin/weir/dropwatch/weir_card.h"
#include "bin/weir/dropwatch/weir_events.h"

#define SAMPLE_SNAP_BYTES 96u
#define PACKETS_A_POLL 256u
#define PACKETS_RING_MIN_BYTES (1u << 20)
#define PACKET_USUAL_BYTES 2048u /* what a packet takes of a ring when all of it is wanted */
#define LOSSES_A_POLL 64u
#define COUNTS_MS 100
#define PACKETS_MS 10
#define END_MS 5000

struct weir_source {
	struct drop_source base; /* first */
	const struct drop_options *options;
	struct drop_settings settings;
	struct weird_syms *syms;
	struct weir_events events;
	struct weir_card card;
	struct watch *watch;	/* NULL: not started; while it is stopping, and a while after */
	bool card_off;		/* weird did not answer about its cards */
	bool running;		/* else weird counts no more */
	struct drop_stats past; /* of the watches before this one */
	uint64_t shown;
	char watches[96];
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- the request ---- */

/* SKB_DROP_REASON_NO_SOCKET and no_socket are NO_SOCKET, too. */
static json_t *reason_name(const char *text)
{
	static const char prefix[] = "SKB_DROP_REASON_";
	char name[64];
	size_t n = 0;

	if (strncasecmp(text, prefix, sizeof(prefix) - 1) == 0)
		text += sizeof(prefix) - 1;
	for (; text[n] && n < sizeof(name) - 1; n++)
		name[n] = (char)toupper((unsigned char)text[n]);
	name[n] = '\0';
	return json_string(name);
}

static uint32_t ring_bytes(const struct drop_settings *s)
{
	uint64_t packet =
		sizeof(struct watch_record) + (s->trunc_bytes && s->trunc_bytes < PACKET_USUAL_BYTES
						       ? s->trunc_bytes
						       : PACKET_USUAL_BYTES);
	uint64_t wanted = s->queue_packets * packet, bytes = PACKETS_RING_MIN_BYTES;

	if (!s->packets)
		return WATCH_RING_MIN_BYTES;
	while (bytes < wanted && bytes < WATCH_RING_MAX_BYTES)
		bytes *= 2;
	return (uint32_t)bytes;
}

/* A new watch, or NULL after words on standard error. */
static struct watch *ask(const struct weir_source *s)
{
	uint32_t trunc = s->settings.trunc_bytes;
	json_t *reasons = json_array(), *request;

	if (!trunc || trunc > WATCH_SNAP_MAX_BYTES)
		trunc = WATCH_SNAP_MAX_BYTES;
	for (size_t i = 0; i < s->options->reason_count; i++)
		json_array_append_new(reasons, reason_name(s->options->reasons[i]));
	request = json_pack("{s:b, s:b, s:I, s:I, s:o}", "drops", 1, "records", 1, "snap",
			    (json_int_t)(s->settings.packets ? trunc : SAMPLE_SNAP_BYTES), "ring",
			    (json_int_t)ring_bytes(&s->settings), "reasons", reasons);
	if (s->options->filter && watch_filter(request, s->options->filter)) {
		json_decref(request);
		return NULL;
	}
	return watch_open(request);
}

/* ---- counting ---- */

static uint64_t cells_sum(const struct weir_source *s)
{
	uint64_t sum = 0;

	for (uint32_t site = 0; site < s->events.sites; site++) {
		for (uint32_t reason = 0; reason < s->events.reasons; reason++)
			sum += watch_count(s->watch, site, reason);
	}
	return sum;
}

static bool packets(const struct weir_source *s)
{
	return s->settings.packets && s->settings.software;
}

/* Everything that is asked for. */
static uint64_t seen_sum(const struct weir_source *s)
{
	return (s->settings.software ? cells_sum(s) : 0) + s->card.total;
}

/* Drops of a cell that were not handed over yet. */
static uint64_t cell_new(const struct weir_source *s, uint32_t site, uint32_t reason)
{
	const struct weir_cell *cell = &s->events.cells[(size_t)site * s->events.reasons + reason];
	uint64_t count = watch_count(s->watch, site, reason);

	return count > cell->counted ? count - cell->counted : 0;
}

/* What the cards lost; the events have room for it. */
static void take_losses(struct weir_source *s, bool last)
{
	const json_t *loss;
	const char *port;
	uint64_t count;

	if (!s->settings.hardware || s->card_off)
		return;
	s->card_off = !weir_card_ask(&s->card, now_ns(), last);
	while (s->events.count < s->events.room && (count = weir_card_next(&s->card, &port, &loss)))
		weir_events_add_loss(&s->events, port, loss, count);
}

static int take_counts(struct weir_source *s)
{
	struct weir_events *e = &s->events;
	size_t kinds = 0;
	int rc;

	for (uint32_t site = 0; s->settings.software && site < e->sites; site++) {
		for (uint32_t reason = 0; reason < e->reasons; reason++)
			kinds += cell_new(s, site, reason) > 0;
	}
	rc = weir_events_clear(e, kinds + LOSSES_A_POLL);
	if (rc)
		return rc;
	take_losses(s, !s->running);
	if (kinds == 0)
		return 0;
	owners_refresh(&e->owners, now_ns());
	for (uint32_t site = 0; site < e->sites; site++) {
		for (uint32_t reason = 0; reason < e->reasons; reason++) {
			uint64_t count = cell_new(s, site, reason);

			if (count && weir_events_add(e, site, reason, count))
				weir_events_cell(e, site, reason)->counted += count;
		}
	}
	return 0;
}

/* The packets that stand for the counts: as many as there are, which are not many. */
static void take_samples(struct weir_source *s)
{
	const struct watch_record *record;

	for (unsigned int i = 0; i < 4096 && (record = watch_next(s->watch)); i++) {
		if (record->kind == WATCH_DROP)
			weir_events_sample(&s->events, record);
	}
}

static int take_packets(struct weir_source *s)
{
	struct weir_events *e = &s->events;
	const struct watch_record *record;
	int rc = weir_events_clear(e, PACKETS_A_POLL);

	while (rc == 0 && e->count < PACKETS_A_POLL &&
	       WEIR_EVENTS_BYTES - e->bytes_used >= WATCH_SNAP_MAX_BYTES &&
	       (record = watch_next(s->watch))) {
		struct weir_cell *cell = weir_events_cell(e, record->site, record->code);

		if (record->kind != WATCH_DROP || !cell)
			continue;
		if (e->count == 0)
			owners_refresh(&e->owners, now_ns());
		if (!weir_events_add_packet(e, record))
			continue;
		cell->counted++;
		cell->shown++;
		s->shown++;
	}
	return rc;
}

static int collect(struct weir_source *s)
{
	int rc;

	if (!packets(s)) {
		take_samples(s);
		return take_counts(s);
	}
	rc = take_packets(s);
	if (rc == 0 && s->running)
		take_losses(s, false);
	/* At the end: what is counted and was not shown. */
	if (rc == 0 && s->events.count == 0 && !s->running)
		return take_counts(s);
	return rc;
}

/* ---- life ---- */

static void forget(struct weir_source *s)
{
	if (!s->watch)
		return;
	s->past.drops += seen_sum(s);
	s->past.hardware_drops += s->card.total;
	s->card.total = 0;
	s->past.packets += s->shown;
	s->past.packets_skipped += packets(s) ? cells_sum(s) - s->shown : 0;
	s->shown = 0;
	watch_close(s->watch);
	s->watch = NULL;
	s->running = false;
}

static int weir_start(struct drop_source *base, const struct drop_settings *settings, char *error)
{
	struct weir_source *s = (struct weir_source *)base;

	forget(s);
	s->settings = *settings;
	s->watch = ask(s);
	if (!s->watch)
		return -ECONNREFUSED; /* words are said */
	s->events.owners.off = false;
	if (weir_events_begin(&s->events, s->watch)) {
		snprintf(error, DROP_ERROR_BYTES, "out of memory");
		return -ENOMEM;
	}
	s->card_off = settings->hardware && !weir_card_begin(&s->card, now_ns());
	if (s->card_off)
		return -ECONNREFUSED;
	s->running = true;
	return 0;
}

static int weir_stop(struct drop_source *base, char *error)
{
	struct weir_source *s = (struct weir_source *)base;
	struct pollfd pfd = { .fd = watch_fd(s->watch), .events = POLLIN };

	shutdown(pfd.fd, SHUT_WR);
	s->running = false;
	if (poll(&pfd, 1, END_MS) > 0)
		return 0;
	snprintf(error, DROP_ERROR_BYTES,
		 "weird does not answer that it watches no more: what was counted last may be "
		 "missing");
	return -ETIMEDOUT;
}

/* true: something may have come; false: the time is up, or somebody else wants to be heard. */
static bool wait_more(struct weir_source *s, uint64_t end_ns, int wake_fd)
{
	struct pollfd pfds[2] = { { .fd = wake_fd, .events = POLLIN },
				  { .fd = watch_fd(s->watch), .events = POLLIN } };
	int step_ms = packets(s) ? PACKETS_MS : COUNTS_MS;
	uint64_t now = now_ns();

	if (!s->running || now >= end_ns)
		return false;
	if ((end_ns - now) / 1000000u < (uint64_t)step_ms)
		step_ms = (int)((end_ns - now) / 1000000u) + 1;
	return poll(pfds, 2, step_ms) >= 0 && !pfds[0].revents;
}

static int weir_poll(struct drop_source *base, int timeout_ms, int wake_fd,
		     const struct drop_event **events, size_t *count, char *error)
{
	struct weir_source *s = (struct weir_source *)base;
	uint64_t end_ns = now_ns() + (uint64_t)timeout_ms * 1000000u;
	bool gone = false, more = true;
	int rc;

	/* Counts are gathered for a moment, or a busy weird would be looked at without a pause. */
	if (!packets(s))
		more = wait_more(s, end_ns, wake_fd);
	do {
		gone = s->running && watch_gone(s->watch); /* before the last look */
		rc = collect(s);
	} while (rc == 0 && s->events.count == 0 && !gone && more &&
		 (more = wait_more(s, end_ns, wake_fd)));
	*events = s->events.events;
	*count = s->events.count;
	if (rc)
		snprintf(error, DROP_ERROR_BYTES, "out of memory");
	if (rc || !gone || s->events.count)
		return rc;
	snprintf(error, DROP_ERROR_BYTES,
		 "the weird of instance '%s' has ended (or ended this watch): start it again, then "
		 "watch again",
		 cli.instance);
	return -EPIPE;
}

static int weir_stats(struct drop_source *base, struct drop_stats *stats, char *error)
{
	struct weir_source *s = (struct weir_source *)base;

	(void)error;
	*stats = s->past;
	if (!s->watch)
		return 0;
	stats->drops += seen_sum(s);
	stats->hardware_drops += s->card.total;
	stats->packets += s->shown;
	if (packets(s))
		stats->packets_skipped += s->running ? watch_lost(s->watch)
						     : cells_sum(s) - s->shown;
	return 0;
}

static void weir_close(struct drop_source *base)
{
	struct weir_source *s = (struct weir_source *)base;

	forget(s);
	weir_events_free(&s->events);
	weir_card_free(&s->card);
	weird_syms_free(s->syms);
	free(s);
}

static const struct drop_source_ops weir_ops = { weir_start, weir_stop, weir_poll, weir_stats,
						 weir_close };

/* A watch for a moment: is there a weird that lets us, does it understand what we want? */
static bool try_out(struct weir_source *s)
{
	struct watch *watch = ask(s);
	char path[64];

	if (!watch)
		return false;
	snprintf(path, sizeof(path), "/proc/%lld/exe",
		 (long long)cli_int(watch_about(watch), "pid"));
	watch_close(watch);
	s->syms = weird_syms_read(path);
	s->events.syms = s->syms;
	if (!s->syms)
		s->base.note = "weird's executable cannot be read, or has no symbols (it is "
			       "stripped): offsets in functions are +0; functions, files and lines "
			       "are right";
	return true;
}

int drop_source_weir_open(const struct drop_options *options, struct drop_source **source,
			  char error[DROP_ERROR_BYTES])
{
	struct weir_source *s = calloc(1, sizeof(*s));

	*source = NULL;
	if (!s) {
		snprintf(error, DROP_ERROR_BYTES, "out of memory");
		return -ENOMEM;
	}
	s->base.ops = &weir_ops;
	s->base.watches = s->watches;
	snprintf(s->watches, sizeof(s->watches), "instance '%s' of weir", cli.instance);
	s->options = options;
	if (!try_out(s)) {
		free(s);
		return -ECONNREFUSED; /* words are said */
	}
	*source = &s->base;
	return 0;
}
