/* SPDX-License-Identifier: BSD-3-Clause */
/* weir dropwatch: with a prompt, or, for scripts, as the options say. */
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bin/weir/dropwatch/dropwatch.h"

#define TURN_MS 250

static double seconds_since(uint64_t then_ns)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - then_ns) / 1e9;
}

/* Until the time is up, a signal, or the alert limit; returns how long it was. */
static double watch(struct session *s)
{
	double limit = (double)s->options->for_ms / 1000, seconds = 0;

	while (s->running && !s->over) {
		int turn_ms = TURN_MS;

		if (limit > 0 && limit - seconds < (double)TURN_MS / 1000)
			turn_ms = (int)((limit - seconds) * 1000) + 1;
		session_turn(s, turn_ms);
		input_wait(s->input, 0);
		seconds = seconds_since(s->started_ns);
		if (input_signal(s->input) || (limit > 0 && seconds >= limit))
			break;
	}
	if (isatty(STDERR_FILENO) && s->progress_ns != s->started_ns)
		fprintf(stderr, "\r\033[K");
	session_stop(s);
	return seconds;
}

static void print_end(struct session *s, double seconds)
{
	const struct dropwatch_options *o = s->options;
	json_t *document;

	if (o->top_given) {
		tally_sort(&s->tally);
		if (!o->json) {
			print_top(stdout, &s->tally, &s->stats, o->top, seconds);
			return;
		}
		document = json_top(&s->tally, &s->stats, o->top, seconds);
		if (cli_print_json(document) != CLI_OK)
			s->failed = true;
	} else if (o->json) {
		document = json_stats(&s->stats);
		json_dumpf(document, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(document);
	}
}

static void batch(struct session *s)
{
	struct sink sink;
	double seconds;

	if (s->options->pcap) {
		if (sink_open(&sink, s->options->pcap, s->options->source.filter)) {
			s->failed = true;
			return;
		}
		s->sink = &sink;
	}
	if (session_start(s)) {
		/* For who waits for it, as tcpdump does. */
		fprintf(stderr, "weir dropwatch: watching %s\n", s->source->watches);
		seconds = watch(s);
		print_end(s, seconds);
	} else {
		s->failed = true;
	}
	if (s->sink && sink_close(&sink, &s->stats))
		s->failed = true;
	if (s->sink && !s->failed && isatty(STDERR_FILENO))
		fprintf(stderr, "%llu packets are in %s; of %llu drops\n",
			(unsigned long long)sink.written, sink.name,
			(unsigned long long)s->stats.drops);
}

static void say_lookup(const struct dropwatch_options *o)
{
	if (o->kernel || o->lookup_kas)
		printf("Initializing kallsyms db\n");
	else
		printf("Initializing the symbols of weird\n");
}

int cmd_dropwatch(const struct cli_command *command, int argc, char **argv)
{
	struct dropwatch_options options;
	struct input input;
	struct session s;
	int status;

	if (!dropwatch_options(command, argc, argv, &options, &status))
		return status;
	if (options.lookup_list) {
		printf("Available lookup methods:\nkas - the kernel's symbols; of weird its own "
		       "(what dropwatch does without being asked)\n");
		return CLI_OK;
	}
	s = (struct session){ .options = &options,
			      .input = &input,
			      .settings = options.settings,
			      .detail = !options.classic,
			      .alert_limit = options.alert_limit };
	if (!session_open(&s))
		return CLI_FAILED;
	if (input_open(&input, !dropwatch_batch(&options))) {
		session_close(&s);
		return cli_fail("dropwatch: cannot wait for commands and signals: out of "
				"descriptors or memory");
	}
	if (dropwatch_batch(&options)) {
		batch(&s);
	} else {
		say_lookup(&options);
		prompt_run(&s);
	}
	session_close(&s);
	input_close(&input);
	return s.failed ? CLI_FAILED : CLI_OK;
}
