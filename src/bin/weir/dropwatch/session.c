/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bin/weir/dropwatch/dropwatch.h"

/* Counts of one kind are one line so often, not more: as the kernel's monitor gathers them. */
#define FLUSH_NS 500000000u
#define PROGRESS_NS 1000000000u

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Nothing but packets goes to standard output. */
static bool silent(const struct session *s)
{
	return s->options->top_given || (s->options->pcap && strcmp(s->options->pcap, "-") == 0);
}

bool session_open(struct session *s)
{
	char error[DROP_ERROR_BYTES] = "";
	int rc;

	if (s->source)
		return true;
	rc = s->options->kernel ? drop_source_kernel_open(&s->options->source, &s->source, error)
				: drop_source_weir_open(&s->options->source, &s->source, error);
	if (rc == 0) {
		if (s->source->note)
			fprintf(stderr, "weir: dropwatch: %s\n", s->source->note);
		return true;
	}
	s->source = NULL;
	if (error[0])
		cli_fail("dropwatch: %s", error);
	return false;
}

/* The source is no more, as when weird ended: it is opened again by the next start. */
static void source_failed(struct session *s, const char *error)
{
	fflush(stdout);
	cli_fail("dropwatch: %s", error[0] ? error : "the drops come no more");
	s->running = false;
	s->failed = true;
	s->source->ops->close(s->source);
	s->source = NULL;
}

bool session_start(struct session *s)
{
	char error[DROP_ERROR_BYTES] = "";

	if (!session_open(s))
		return false;
	if (s->source->ops->start(s->source, &s->settings, error)) {
		if (error[0])
			cli_fail("dropwatch: %s", error);
		return false;
	}
	/* What an alert limit has cut off is of the time before. */
	for (size_t i = 0; i < s->tally.count; i++)
		s->tally.entries[i].event.count = 0;
	s->running = true;
	s->failed = false;
	s->alerts = 0;
	s->started_ns = now_ns();
	s->flushed_ns = 0;
	s->progress_ns = s->started_ns;
	return true;
}

/* ---- what came ---- */

static void print_one(struct session *s, const struct drop_event *event, struct tally_entry *entry)
{
	if (s->options->json) {
		json_t *object = json_drop(event, event->packet != NULL);

		json_dumpf(object, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(object);
		return;
	}
	if (event->packet)
		print_packet(stdout, event);
	else
		print_summary(stdout, event);
	if (s->settings.stack)
		print_frames(stdout, event);
	if (s->detail && s->settings.packets && !event->packet)
		printf("    counted, and not shown as packets: the queue was full\n");
	if (s->detail)
		print_detail(stdout, event, entry->told);
	entry->told = true;
	if (event->packet)
		putchar('\n');
}

/* true: that was the last that was asked for. */
static bool alert(struct session *s)
{
	return s->alert_limit && ++s->alerts >= s->alert_limit;
}

/* The counts that came since the last time. */
static bool flush(struct session *s)
{
	s->flushed_ns = now_ns();
	for (size_t i = 0; i < s->tally.count; i++) {
		struct tally_entry *entry = &s->tally.entries[i];

		if (entry->event.count == 0)
			continue;
		if (!silent(s))
			print_one(s, &entry->event, entry);
		entry->event.count = 0;
		if (alert(s))
			return true;
	}
	fflush(stdout);
	return false;
}

/* true: enough. */
static bool take_event(struct session *s, const struct drop_event *event)
{
	struct tally_entry *entry;

	if (s->sink && event->packet && sink_packet(s->sink, event)) {
		s->over = s->failed = true;
		return true;
	}
	entry = tally_add(&s->tally, event);
	if (!entry) {
		cli_fail("dropwatch: out of memory");
		s->over = s->failed = true;
		return true;
	}
	/* Frames are of one drop each: such a count is shown as it comes. */
	if (!event->packet && !(s->settings.stack && event->frame_count))
		return false;
	entry->event.count -= event->count;
	if (!silent(s))
		print_one(s, event, entry);
	return alert(s);
}

/* false: the source is no more. *came: there were some. */
static bool take_events(struct session *s, int timeout_ms, int wake_fd, bool *enough, bool *came)
{
	const struct drop_event *events;
	char error[DROP_ERROR_BYTES] = "";
	size_t count = 0;

	*came = false;
	if (s->source->ops->poll(s->source, timeout_ms, wake_fd, &events, &count, error)) {
		flush(s);
		source_failed(s, error);
		return false;
	}
	for (size_t i = 0; i < count && !*enough; i++)
		*enough = take_event(s, &events[i]);
	*came = count > 0;
	return true;
}

bool session_stats(struct session *s)
{
	char error[DROP_ERROR_BYTES] = "";

	if (!s->source)
		return true; /* those of the end */
	if (s->source->ops->stats(s->source, &s->stats, error) == 0)
		return true;
	source_failed(s, error);
	return false;
}

/* What is not in the lines above. */
static void print_missing(const struct session *s)
{
	char text[CLI_NUMBER_BYTES];

	if (s->stats.packets_skipped)
		printf("    %s packets were counted and are not shown: they came faster than they "
		       "could be taken (set queue N makes room, a filter asks for less)\n",
		       cli_number((json_int_t)s->stats.packets_skipped, text));
	if (s->stats.lost_events)
		printf("    %s events were lost on the way here: of them only this number is "
		       "known\n",
		       cli_number((json_int_t)s->stats.lost_events, text));
}

void session_stop(struct session *s)
{
	char error[DROP_ERROR_BYTES] = "";
	bool enough, came;

	if (!s->running)
		return;
	s->running = false;
	if (s->source->ops->stop(s->source, error)) {
		flush(s);
		source_failed(s, error);
		return;
	}
	enough = s->alert_limit && s->alerts >= s->alert_limit;
	do {
		if (!take_events(s, 0, -1, &enough, &came))
			return;
	} while (came && !enough);
	if (!session_stats(s))
		return;
	if (!enough)
		flush(s);
	if (s->detail && !s->options->json && !silent(s))
		print_missing(s);
	fflush(stdout);
}

/* On a terminal, for who waits. */
static void progress(struct session *s)
{
	const struct dropwatch_options *o = s->options;
	uint64_t now = now_ns();
	char text[CLI_NUMBER_BYTES];

	if (!silent(s) || !isatty(STDERR_FILENO) || now - s->progress_ns < PROGRESS_NS ||
	    !session_stats(s))
		return;
	s->progress_ns = now;
	fprintf(stderr, "\r  %" PRIu64 " s", (now - s->started_ns) / 1000000000u);
	if (o->for_ms)
		fprintf(stderr, " of %.1f s", (double)o->for_ms / 1000);
	fprintf(stderr, ", %s drops (Ctrl-C ends it)   ",
		cli_number((json_int_t)s->stats.drops, text));
}

void session_turn(struct session *s, int timeout_ms)
{
	bool enough = false, came;

	if (!take_events(s, timeout_ms, s->input->epoll_fd, &enough, &came))
		return;
	if (!enough && now_ns() - s->flushed_ns >= FLUSH_NS)
		enough = flush(s);
	fflush(stdout);
	if (!s->source)
		return;
	progress(s);
	if (enough && !s->failed && s->running) {
		if (!dropwatch_batch(s->options))
			printf("Alert limit reached, deactivating!\n"
			       "Waiting for deactivation ack...\n");
		session_stop(s);
		if (!dropwatch_batch(s->options))
			printf("Got a stop message\n");
		s->over = dropwatch_batch(s->options);
	}
}

void session_close(struct session *s)
{
	if (s->source)
		s->source->ops->close(s->source);
	s->source = NULL;
	tally_free(&s->tally);
}
