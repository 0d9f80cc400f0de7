/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim: runs the simulator's sets, or one run by its parameters. See README.md.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

#define RUNS_DEFAULT 2000u
#define PROGRESS_S 5

static const char usage[] =
	"usage: sim [--runs N] [--seed N] [--set NAME] [--list]\n"
	"       sim [--frames] [--trace FILE [--every US]] \"NAME=VALUE ...\"\n"
	"\n"
	"The first form plays sets of runs, made from the seed, and ends with one line: how many\n"
	"runs, bytes and failures. The second plays one run.\n"
	"  --runs N      about so many runs, all sets together (2000)\n"
	"  --seed N      other runs (1)\n"
	"  --set NAME    this set only\n"
	"  --list        print each run's parameters and result\n"
	"  --frames      print each frame that enters the link\n"
	"  --trace FILE  write what the connections looked like (scripts/sim_plot.py)\n"
	"  --every US    so often (10000), 0: at each event\n"
	"\n"
	"Parameters and what they are initially:\n";

struct total {
	uint64_t runs, failures, bytes, frames;
	double virtual_s;
	time_t last_s;
	bool list, progress;
};

static char running[SIM_TEXT_BYTES];

/* A check within the engine has failed: say which run it was. */
static void crashed(int signal)
{
	static const char text[] =
		"\nsim: it ended in this run; again by:\n  build/tests/sim/sim \"";
	ssize_t n = write(2, text, sizeof(text) - 1);

	n = write(2, running, strlen(running));
	n = write(2, "\"\n", 2);
	(void)n;
	raise(signal); /* SA_RESETHAND */
}

static void on_crash(void)
{
	struct sigaction sa = { .sa_handler = crashed, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGABRT, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

static void print_result(const struct result *r)
{
	printf("%s: %" PRIu64 " bytes in %.3f s, %" PRIu64 " frames; goodput %.0f bytes/s", //
	       r->failed ? "FAILED" : "passed", r->bytes, (double)r->virtual_ns / 1e9, r->frames,
	       r->goodput);
	if (r->wanted > 0)
		printf(" (%.3f of %.0f)", r->goodput / r->wanted, r->wanted);
	if (r->jain > 0)
		printf(", Jain %.3f", r->jain);
	printf("; %" PRIu64 " segments sent again, %" PRIu64 " lost, %" PRIu64
	       " time-outs (%" PRIu64 " undone), %" PRIu64 " undone, longest stall %.3f s\n",
	       r->retrans, r->data_lost, r->rtos, r->spurious_rtos, r->undone,
	       (double)r->stall_ns / 1e9);
}

static void run_one(const struct sim_params *p, const struct sim_out *out, struct result *r)
{
	params_print(p, running);
	sim_run(p, out, r);
}

static int play_one(const char *text, const char *trace_path, uint64_t every_us, bool frames)
{
	char error[SIM_TEXT_BYTES];
	struct sim_params p;
	struct result r;
	struct sim_out out = { .report = stdout,
			       .frames = frames ? stdout : NULL,
			       .every_ns = every_us * SIM_US_NS };

	params_init(&p);
	if (!params_parse(&p, text, error)) {
		fprintf(stderr, "sim: %s\n", error);
		return 2;
	}
	if (trace_path && !(out.trace = fopen(trace_path, "w"))) {
		perror(trace_path);
		return 2;
	}
	run_one(&p, &out, &r);
	if (out.trace)
		fclose(out.trace);
	print_result(&r);
	if (r.failed)
		printf("%s\n", r.error);
	return r.failed;
}

static void progress(struct total *t, const char *set)
{
	time_t now = time(NULL);

	if (now - t->last_s < PROGRESS_S)
		return;
	t->last_s = now;
	printf("sim: %s: %" PRIu64 " runs, %" PRIu64 " failures\n", set, t->runs, t->failures);
	fflush(stdout);
}

static void account(struct total *t, const char *set, const struct result *r)
{
	t->runs++;
	t->bytes += r->bytes;
	t->frames += r->frames;
	t->virtual_s += (double)r->virtual_ns / 1e9;
	if (t->list) {
		printf("%s: %s\n", set, running);
		print_result(r);
	}
	if (r->failed) {
		t->failures++;
		printf("sim: FAILED in %s: %s\n  again by: build/tests/sim/sim \"%s\"\n", set,
		       r->error, running);
		fflush(stdout);
	}
	progress(t, set);
}

static void play_set(struct total *t, const struct sim_set *set, uint64_t runs, uint64_t seed)
{
	uint64_t n = set->fixed ? set->fixed : runs * set->share / 1000 + 1;

	for (uint64_t i = 0; i < n; i++) {
		struct sim_params p;
		struct result r;

		params_init(&p);
		p.seed = seed * 1000003 + i + 1;
		set->make(&p, i);
		run_one(&p, &(struct sim_out){ 0 }, &r);
		account(t, set->name, &r);
	}
}

static int play_sets(const char *only, uint64_t runs, uint64_t seed, bool list)
{
	struct total t = { .last_s = time(NULL), .list = list };
	time_t begin = time(NULL);

	for (unsigned int i = 0; sim_set_at(i); i++) {
		if (!only || strcmp(only, sim_set_at(i)->name) == 0)
			play_set(&t, sim_set_at(i), runs, seed);
	}
	printf("sim: %" PRIu64 " runs, %" PRIu64 " MB in %" PRIu64
	       " frames, %.0f s of virtual time in "
	       "%ld s, %" PRIu64 " failures\n",
	       t.runs, t.bytes / 1000000, t.frames, t.virtual_s, (long)(time(NULL) - begin),
	       t.failures);
	return t.failures || !t.runs;
}

static void help(void)
{
	fputs(usage, stdout);
	params_help();
	printf("\nSets:\n");
	for (unsigned int i = 0; sim_set_at(i); i++)
		printf("  %-18s %s\n", sim_set_at(i)->name, sim_set_at(i)->text);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "runs", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 's' },
		{ "set", required_argument, NULL, 'S' },
		{ "list", no_argument, NULL, 'l' },
		{ "trace", required_argument, NULL, 't' },
		{ "every", required_argument, NULL, 'e' },
		{ "frames", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t runs = RUNS_DEFAULT, seed = 1, every_us = 10000;
	const char *only = NULL, *trace = NULL;
	char error[SIM_ERROR_BYTES];
	bool list = false, frames = false;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		if (c == 'r')
			runs = strtoull(optarg, NULL, 10);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (c == 'S')
			only = optarg;
		else if (c == 'l')
			list = true;
		else if (c == 't')
			trace = optarg;
		else if (c == 'f')
			frames = true;
		else if (c == 'e')
			every_us = strtoull(optarg, NULL, 10);
		else {
			help();
			return c == 'h' ? 0 : 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	on_crash();
	if (!sim_start(error)) {
		fprintf(stderr, "sim: %s\n", error);
		return 2;
	}
	if (optind < argc)
		return play_one(argv[optind], trace, every_us, frames);
	return play_sets(only, runs, seed, list);
}
