/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trace itself. weird is not asked again once the watch is open: records are read until it is
 * enough, or time, or somebody interrupts, or weird has ended. What was lost is said at the end,
 * always.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bin/weir/trace/trace.h"
#include "bin/weir/watch.h"

#define HEAD_BYTES 128u /* of a packet, without -v: its headers */
#define LOOK_MS 10
#define ROUND_RECORDS 4096u /* then what has ended is printed */
#define PROGRESS_NS 1000000000ull

struct trace {
	const struct trace_options *o;
	struct watch *watch;
	const json_t *about;
	struct trace_store *store;
	struct trace_summary *summary;
	uint64_t shown, begin_ns, told_ns;
	bool failed; /* standard output takes nothing more */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the watch ---- */

static struct watch *open_watch(const struct trace_options *o, int *status)
{
	json_t *request = json_pack("{s:b, s:b, s:b, s:i, s:i, s:[s]}", "drops", 1, "records", 1,
				    "follow", 1, "snap",
				    (int)(o->verbose ? WATCH_SNAP_MAX_BYTES : HEAD_BYTES), "ring",
				    (int)o->ring_bytes, "stages", "all");
	struct watch *watch;

	*status = request ? 0 : cli_fail("out of memory");
	if (request && o->filter)
		*status = watch_filter(request, o->filter);
	if (*status) {
		json_decref(request);
		return NULL;
	}
	watch = watch_open(request);
	*status = watch ? 0 : CLI_FAILED;
	return watch;
}

/* ---- packets ---- */

static bool is_wanted(const struct trace_options *o, const struct trace_packet *p)
{
	return !o->drops_only || trace_packet_dropped(p);
}

static void show(struct trace *t, const struct trace_packet *p)
{
	t->shown++;
	if (t->summary) {
		trace_summary_add(t->summary, p);
	} else if (t->o->json) {
		json_t *packet = trace_json(t->about, p, t->o->verbose);

		if (packet &&
		    json_dumpf(packet, stdout,
			       JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) == 0)
			putchar('\n');
		json_decref(packet);
	} else {
		trace_text(t->about, p, t->o->verbose, stdout);
	}
}

static bool enough(const struct trace *t)
{
	return t->o->count && t->shown >= t->o->count;
}

/* Packets that are done with; all: whatever there is. */
static void show_done(struct trace *t, bool all)
{
	struct trace_packet *p;

	while (!enough(t) && (p = trace_store_take(t->store, all))) {
		if (is_wanted(t->o, p))
			show(t, p);
		trace_packet_free(p);
	}
	t->failed |= fflush(stdout) != 0;
}

/* Read what there is, but not for ever. True: it was all. */
static bool read_records(struct trace *t)
{
	const struct watch_record *r;

	for (unsigned int n = 0; n < ROUND_RECORDS; n++) {
		r = watch_next(t->watch);
		if (!r)
			return true;
		trace_store_add(t->store, r);
	}
	return false;
}

/* ---- the loop ---- */

/* Who waits for a summary sees that something happens. */
static void tell_progress(struct trace *t)
{
	uint64_t now = now_ns();

	if (!t->summary || !isatty(STDERR_FILENO) || now - t->told_ns < PROGRESS_NS)
		return;
	t->told_ns = now;
	fprintf(stderr, "\r%llu packets, %u on their way, %llu s; Ctrl-C ends\033[K",
		(unsigned long long)t->shown, trace_store_open(t->store),
		(unsigned long long)((now - t->begin_ns) / 1000000000u));
}

static bool is_over(const struct trace *t)
{
	return enough(t) || t->failed || interrupted ||
	       (t->o->for_ns && now_ns() - t->begin_ns >= t->o->for_ns);
}

/* True: weird has ended. */
static bool run(struct trace *t)
{
	bool gone = false;

	while (!gone && !is_over(t)) {
		bool all;

		gone = watch_gone(t->watch);
		all = read_records(t);
		show_done(t, false);
		trace_store_round(t->store);
		tell_progress(t);
		if (all && !gone) {
			struct pollfd pfd = { .fd = watch_fd(t->watch), .events = POLLIN };

			poll(&pfd, 1, LOOK_MS);
		}
	}
	while (!enough(t) && !read_records(t))
		show_done(t, false);
	return gone;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* ---- the end ---- */

static const char *why_over(const struct trace *t, bool gone)
{
	if (gone)
		return "weird has ended";
	return enough(t) ? "count" : interrupted ? "interrupted" : t->failed ? "output" : "time";
}

static void finish_json(const struct trace *t, bool gone)
{
	json_t *end = json_pack("{s:{s:s, s:I, s:I, s:I}}", "trace", "end", why_over(t, gone),
				"packets", (json_int_t)t->shown, "lost_records",
				(json_int_t)watch_lost(t->watch), "given_up_records",
				(json_int_t)trace_store_forgot(t->store));

	if (end && t->summary)
		json_object_set_new(json_object_get(end, "trace"), "summary",
				    trace_summary_json(t->summary));
	if (end && json_dumpf(end, stdout,
			      JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) == 0)
		putchar('\n');
	json_decref(end);
}

static void finish_text(const struct trace *t)
{
	uint64_t lost = watch_lost(t->watch);

	if (t->summary)
		trace_summary_text(t->summary, stdout);
	fflush(stdout);
	fprintf(stderr, "%s%llu packets, %llu records lost\n",
		t->summary && isatty(STDERR_FILENO) ? "\r\033[K" : "", (unsigned long long)t->shown,
		(unsigned long long)lost);
	if (lost)
		fprintf(stderr,
			"      weird writes faster than this reads: a larger ring (--ring), or a "
			"narrower filter\n");
}

static int finish(struct trace *t, bool gone)
{
	show_done(t, true);
	if (t->o->json)
		finish_json(t, gone);
	else
		finish_text(t);
	if (fflush(stdout) || t->failed)
		return cli_fail("cannot write");
	return gone ? cli_fail("weird has ended") : CLI_OK;
}

static void tell_beginning(const struct trace_options *o)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "following %s%s%s in instance '%s'; Ctrl-C ends\n",
			o->filter ? "'" : "", o->filter ? o->filter : "every packet",
			o->filter ? "'" : "", cli.instance);
}

int trace_run(const struct trace_options *o)
{
	struct trace t = { .o = o, .begin_ns = now_ns() };
	int status;

	catch_signals();
	t.watch = open_watch(o, &status);
	if (!t.watch)
		return status;
	t.about = watch_about(t.watch);
	t.store = trace_store_new(t.about, o->open_max);
	t.summary = o->summary ? trace_summary_new(t.about) : NULL;
	if (t.store && (t.summary || !o->summary)) {
		tell_beginning(o);
		status = finish(&t, run(&t));
	} else {
		status = cli_fail("out of memory");
	}
	trace_summary_free(t.summary);
	trace_store_free(t.store);
	watch_close(t.watch);
	return status;
}

int cmd_trace(const struct cli_command *command, int argc, char **argv)
{
	struct trace_options o;
	int status;

	if (trace_options_read(&o, command, argc, argv, &status))
		return status;
	status = trace_run(&o);
	free(o.filter);
	return status;
}
