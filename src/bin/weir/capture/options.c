/* SPDX-License-Identifier: BSD-3-Clause */
/* The words behind `weir capture`: letters as tcpdump's, where it has the option. */
#include <ctype.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bin/weir/capture/capture.h"
#include "wire/watch_abi.h"

#define DURATION_MAX 1000000u /* of whatever unit */

enum { OPT_INGRESS = 256, OPT_EGRESS, OPT_STAGE, OPT_DROPS, OPT_FOR, OPT_PCAP, OPT_FIX };

static const char letters[] = "+hi:w:c:s:C:G:W:B:UlneqxXDp";

static const struct option longs[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'j' },
	{ "interface", required_argument, NULL, 'i' },
	{ "ingress", no_argument, NULL, OPT_INGRESS },
	{ "egress", no_argument, NULL, OPT_EGRESS },
	{ "stage", required_argument, NULL, OPT_STAGE },
	{ "drops", no_argument, NULL, OPT_DROPS },
	{ "for", required_argument, NULL, OPT_FOR },
	{ "pcap-format", no_argument, NULL, OPT_PCAP },
	{ "fix-checksums", no_argument, NULL, OPT_FIX },
	{ "snapshot-length", required_argument, NULL, 's' },
	{ "list-interfaces", no_argument, NULL, 'D' },
	{ "packet-buffered", no_argument, NULL, 'U' },
	{ 0 },
};

/* tcpdump's -C: millions of bytes; with k, m or g: KiB, MiB, GiB. */
static bool file_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "kmg";
	const char *rest, *unit;
	uint64_t n;

	if (!cli_digits(text, 1000000, &n, &rest) || !n)
		return false;
	unit = *rest ? strchr(units, tolower((unsigned char)*rest)) : NULL;
	*bytes = unit ? n << (10 * (unit - units + 1)) : n * 1000000u;
	return !*rest || (unit && !rest[1]);
}

/* -B: KiB of each worker's ring, up to the next power of two. */
static bool ring_size(const char *text, uint32_t *bytes)
{
	uint64_t n;

	if (!cli_unsigned(text, 1, WATCH_RING_MAX_BYTES >> 10, &n))
		return false;
	*bytes = WATCH_RING_MIN_BYTES;
	while (*bytes < n << 10)
		*bytes *= 2;
	return true;
}

static bool snap(const char *text, uint32_t *bytes)
{
	uint64_t n;

	if (!cli_unsigned(text, 0, CAPTURE_SNAP_DEFAULT, &n))
		return false;
	*bytes = n ? (uint32_t)n : CAPTURE_SNAP_DEFAULT;
	return true;
}

static bool count(const char *text, uint64_t *value)
{
	return cli_unsigned(text, 1, UINT64_MAX / 2, value);
}

/* "a,b", or one more -i: false where there are too many. */
static bool ports(struct capture_options *o, char *text)
{
	char *save, *name = strtok_r(text, ",", &save);

	for (; name; name = strtok_r(NULL, ",", &save)) {
		if (o->port_count == CAPTURE_PORTS_MAX)
			return false;
		o->port[o->port_count++] = name;
	}
	return true;
}

static bool file_count(const char *text, unsigned int *value)
{
	uint64_t n;

	if (!cli_unsigned(text, 1, 1000000, &n))
		return false;
	*value = (unsigned int)n;
	return true;
}

/* An option with a value: NULL, or what would have been right. */
static const char *with_value(struct capture_options *o, int c)
{
	switch (c) {
	case 'i':
		return ports(o, optarg) ? NULL : "at most 32 ports (any: all there are)";
	case 'w':
		o->file = optarg;
		return NULL;
	case 'c':
		return count(optarg, &o->count) ? NULL : "a number of packets";
	case 's':
		return snap(optarg, &o->snap_bytes) ? NULL : "bytes, at most 262144";
	case 'C':
		return file_size(optarg, &o->file_bytes)
			       ? NULL
			       : "millions of bytes, or with k, m, g behind it KiB, MiB, GiB";
	case 'G':
		return cli_unsigned(optarg, 1, UINT32_MAX, &o->file_s) ? NULL : "seconds";
	case 'W':
		return file_count(optarg, &o->file_nr) ? NULL : "a number of files";
	case 'B':
		return ring_size(optarg, &o->ring_bytes) ? NULL : "KiB, at most 65536";
	case OPT_FOR:
		return cli_duration(optarg, DURATION_MAX, &o->for_ns) ? NULL
								      : "a time, as 10s, 500ms, 2m";
	default: /* OPT_STAGE */
		o->stages = optarg;
		return NULL;
	}
}

static void without_value(struct capture_options *o, int c)
{
	switch (c) {
	case OPT_INGRESS:
		o->ingress = true;
		break;
	case OPT_EGRESS:
		o->egress = true;
		break;
	case OPT_DROPS:
		o->drops = true;
		break;
	case OPT_PCAP:
		o->old_format = true;
		break;
	case OPT_FIX:
		o->fix_checksums = true;
		break;
	case 'U':
		o->unbuffered = true;
		break;
	case 'e':
		o->macs = true;
		break;
	case 'q':
		o->quiet = true;
		break;
	case 'x':
	case 'X':
		o->hex = (char)c;
		break;
	case 'D':
		o->list_ports = true;
		break;
	case 'j':
		o->json = true;
		break;
	default: /* -l, -n, -p: as it is anyway */
		break;
	}
}

/* Words that are left over are the filter, as tcpdump has it. */
static bool filter_join(struct capture_options *o, int argc, char **argv)
{
	size_t room = 1;

	if (argc == 0)
		return true;
	for (int i = 0; i < argc; i++)
		room += strlen(argv[i]) + 1;
	o->filter_made = calloc(1, room);
	if (!o->filter_made)
		return false;
	for (int i = 0; i < argc; i++) {
		strcat(o->filter_made, argv[i]);
		if (i + 1 < argc)
			strcat(o->filter_made, " ");
	}
	o->filter = o->filter_made;
	return true;
}

/* What does not go together: NULL, or words. */
static const char *conflict(const struct capture_options *o)
{
	bool to_pipe = o->file && strcmp(o->file, "-") == 0;

	if (!o->file && (o->file_bytes || o->file_s || o->file_nr || o->old_format))
		return "-C, -G, -W and --pcap-format are for files: say -w FILE";
	if (to_pipe && (o->file_bytes || o->file_s))
		return "-w - is one stream: it cannot be cut into files (-C, -G)";
	if (o->file_nr && !o->file_bytes && !o->file_s)
		return "-W needs -C (a ring of files) or -G (so many, then the end)";
	if (o->file && (o->json || o->hex))
		return "-w writes packets to a file: --json, -x and -X are for the screen";
	if (o->old_format && o->drops)
		return "the old format has no room for the reasons of drops: leave --pcap-format "
		       "out";
	return NULL;
}

static void settle(struct capture_options *o)
{
	for (unsigned int i = 0; i < o->port_count; i++) {
		if (strcmp(o->port[i], "any") == 0) {
			o->port_count = 0;
			break;
		}
	}
	if (!o->stages && !o->drops && !o->ingress && !o->egress)
		o->ingress = o->egress = true;
}

int capture_options_read(struct capture_options *o, const struct cli_command *command, int argc,
			 char **argv, int *status)
{
	const char *wrong = NULL;
	int c;

	*o = (struct capture_options){ .snap_bytes = CAPTURE_SNAP_DEFAULT,
				       .ring_bytes = CAPTURE_RING_DEFAULT };
	optind = 0; /* start again: main used getopt before */
	opterr = 0;
	while (!wrong && (c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (c == 'h') {
			cli_help(command, stdout);
			*status = CLI_OK;
			return -1;
		}
		if (c == '?') {
			*status = cli_misuse(command, "no such option, or nothing behind it: %s",
					     argv[optind - 1]);
			return -1;
		}
		if (optarg)
			wrong = with_value(o, c);
		else
			without_value(o, c);
	}
	if (wrong) {
		*status = cli_misuse(command, "'%s' is not %s", optarg, wrong);
		return -1;
	}
	wrong = conflict(o);
	if (wrong || !filter_join(o, argc - optind, argv + optind)) {
		*status = wrong ? cli_misuse(command, "%s", wrong) : cli_fail("out of memory");
		return -1;
	}
	settle(o);
	return 0;
}
