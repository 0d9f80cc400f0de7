/* SPDX-License-Identifier: BSD-3-Clause */
/* conserve: all settings, one after the other, and the closing line. See README.md. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conserve.h"
#include "core/log.h"

#define FRAMES_DEFAULT 1000000u
#define PACKETS 8192u
#define FILES 3u
#define FILE_FRAMES 20000u
#define COVERED_FROM 100000u /* frames from which on every stage has to have seen packets */
#define REASONS_LEAST 50u

static const char usage[] =
	"usage: conserve [--frames N] [--seed N] [--pcap FILE|FOLDER] [--only NAME] [--verbose]\n"
	"\n"
	"Frames of a bad world, at every loss setting, with one and two workers, while programs\n"
	"start and die: after every burst all packets must have an end.\n"
	"  --frames N    in all (1000000)\n"
	"  --seed N      other frames (1)\n"
	"  --pcap PATH   a capture file, or a folder of them (*.pcap), beside those that are made\n"
	"  --only NAME   this setting alone\n"
	"  --verbose     stages and reasons at the end\n"
	"\n"
	"Example: conserve --frames 20000000 --seed 7 --pcap /srv/captures\n";

/* The loss settings. */
static const struct {
	const char *name, *fault;
	unsigned int packets; /* 0: enough */
} settings[] = {
	{ "clean", "", 0 },
	{ "loss-2", "fault,loss=0.02,seed=3:", 0 },
	{ "loss-40", "fault,loss=0.4,seed=4:", 0 },
	{ "duplicates", "fault,dup=0.2,seed=5:", 0 },
	{ "reordered", "fault,reorder=0.2,reorder_us=500,seed=6:", 0 },
	{ "late", "fault,delay_us=20000,jitter_us=15000,seed=7:", 0 },
	{ "corrupt", "fault,corrupt=0.05,seed=8:", 0 },
	{ "slow", "fault,rate_mbit=20,queue=30,seed=9:", 0 },
	{ "few-buffers", "", 1200 },
	{ "all",
	  "fault,loss=0.1,dup=0.1,reorder=0.1,delay_us=3000,jitter_us=2000,corrupt=0.02,"
	  "rate_mbit=100,queue=100,seed=10:",
	  0 },
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

struct totals {
	const char *only;
	uint64_t passed, failed, frames, bursts, starts, deaths;
	struct ledger sum;
	bool verbose;
	char error[ERROR_BYTES];
};

static void one(struct totals *t, const struct run *run)
{
	struct outcome out = { 0 };
	bool ok;

	if (t->only && !strstr(run->name, t->only))
		return;
	if (ledger_init(&out.sum))
		exit(1);
	ok = world_run(run, &out);
	t->passed += ok;
	t->failed += !ok;
	t->frames += out.frames;
	t->bursts += out.bursts;
	t->starts += out.starts;
	t->deaths += out.deaths;
	ledger_add(&t->sum, &out.sum);
	ledger_free(&out.sum);
	if (t->verbose)
		printf("%-24s %u worker(s) %9" PRIu64 " frames: %s\n", run->name, run->workers,
		       out.frames, ok ? "balanced" : "FAILED");
	fflush(stdout);
}

static void made(struct totals *t, uint64_t frames, uint64_t seed)
{
	for (unsigned int workers = 1; workers <= MAX_WORKERS; workers++) {
		for (unsigned int i = 0; i < SETTINGS; i++) {
			struct run run = { .name = settings[i].name,
					   .fault = settings[i].fault,
					   .workers = workers,
					   .packets = settings[i].packets ? settings[i].packets
									  : PACKETS,
					   .frames = frames / (SETTINGS * MAX_WORKERS),
					   .seed = seed * 1000 + i };

			one(t, &run);
		}
	}
}

/* A file from the wire, mutated; and as it is by weir's own port. */
static void from_file(struct totals *t, const char *path, uint64_t frames, uint64_t seed)
{
	for (unsigned int i = 0; i < SETTINGS; i += 4) {
		struct run run = { .name = "file",
				   .fault = settings[i].fault,
				   .pcap = path,
				   .workers = 1 + i / 4 % 2,
				   .packets = PACKETS,
				   .frames = frames / 3,
				   .seed = seed };

		one(t, &run);
		run.name = "file-port";
		run.pcap_port = true;
		run.workers = 1;
		one(t, &run);
	}
}

static void files_made(struct totals *t, uint64_t frames, uint64_t seed)
{
	char dir[] = "/tmp/weir-conserve-XXXXXX", path[64];

	if (!mkdtemp(dir)) {
		printf("conserve: %s: %s\n", dir, strerror(errno));
		t->failed++;
		return;
	}
	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/%u.pcap", dir, i);
		if (pcaps_write(path, seed + i, FILE_FRAMES, t->error)) {
			from_file(t, path, frames / FILES, seed + i);
		} else {
			printf("conserve: %s\n", t->error);
			t->failed++;
		}
		unlink(path);
	}
	rmdir(dir);
}

static void files_given(struct totals *t, const char *path, uint64_t frames, uint64_t seed)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[4096];

	if (!dir) {
		from_file(t, path, frames, seed);
		return;
	}
	while ((entry = readdir(dir))) {
		const char *dot = strrchr(entry->d_name, '.');

		if (!dot || strcmp(dot, ".pcap"))
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		from_file(t, name, frames, seed);
	}
	closedir(dir);
}

/* What the frames met: every stage, and most reasons. */
static void coverage(struct totals *t)
{
	unsigned int reasons = 0, quiet = 0;

	for (unsigned int i = 0; i < STAGE_MAX; i++) {
		quiet += t->sum.stage[i].packets == 0;
		if (t->verbose || t->sum.stage[i].packets == 0)
			printf("  %-14s %10" PRIu64 " packets, %9" PRIu64 " dropped\n",
			       stage_label(i), t->sum.stage[i].packets, t->sum.stage[i].drops);
	}
	for (unsigned int i = 0; i < DROP_REASON_MAX; i++) {
		uint64_t n = ledger_drops_of(&t->sum, (enum drop_reason)i);

		reasons += n > 0;
		if (t->verbose)
			printf("  %-26s %10" PRIu64 "\n", drop_reason_info(i)->name, n);
	}
	printf("conserve: %u of %u stages, %u of %u reasons\n", STAGE_MAX - quiet, STAGE_MAX,
	       reasons, DROP_REASON_MAX);
	if (t->only || t->frames < COVERED_FROM)
		return;
	if (quiet || reasons < REASONS_LEAST)
		t->failed++;
	else
		t->passed++;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*end == '\0' && end != text)
		return n;
	fprintf(stderr, "conserve: %s is not a number\n%s", text, usage);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "frames", 1, NULL, 'f' },
						 { "seed", 1, NULL, 's' },
						 { "pcap", 1, NULL, 'p' },
						 { "only", 1, NULL, 'o' },
						 { "verbose", 0, NULL, 'v' },
						 { "help", 0, NULL, 'h' },
						 { 0 } };
	uint64_t frames = FRAMES_DEFAULT, seed = 1;
	struct totals t = { 0 };
	const char *pcap = NULL;
	time_t start = time(NULL);

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'f')
			frames = number(optarg);
		else if (c == 's')
			seed = number(optarg);
		else if (c == 'p')
			pcap = optarg;
		else if (c == 'o')
			t.only = optarg;
		else if (c == 'v')
			t.verbose = true;
		else
			return fputs(usage, c == 'h' ? stdout : stderr), c == 'h' ? 0 : 2;
	}
	log_set_level(LOG_LEVEL_ERROR);
	if (ledger_init(&t.sum))
		return 1;
	made(&t, frames * 3 / 4, seed);
	files_made(&t, frames / 4, seed);
	if (pcap)
		files_given(&t, pcap, frames / 4, seed);
	coverage(&t);
	printf("conserve: %" PRIu64 " frames, %" PRIu64 " bursts, %" PRIu64
	       " programs started, %" PRIu64 " ended, %ld s: %" PRIu64 " passed, %" PRIu64
	       " failed\n",
	       t.frames, t.bursts, t.starts, t.deaths, (long)(time(NULL) - start), t.passed,
	       t.failed);
	ledger_free(&t.sum);
	return t.failed || !t.passed;
}
