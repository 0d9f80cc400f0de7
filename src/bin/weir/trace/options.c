/* SPDX-License-Identifier: BSD-3-Clause */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bin/weir/trace/trace.h"

#define RING_DEFAULT (4u << 20)
#define OPEN_DEFAULT 4096u
#define OPEN_MAX (1u << 20)

enum { OPT_FOR = 256, OPT_DROPS_ONLY, OPT_SUMMARY, OPT_JSON, OPT_RING, OPT_OPEN };

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "count", required_argument, NULL, 'n' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "for", required_argument, NULL, OPT_FOR },
	{ "drops-only", no_argument, NULL, OPT_DROPS_ONLY },
	{ "summary", no_argument, NULL, OPT_SUMMARY },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "ring", required_argument, NULL, OPT_RING },
	{ "open", required_argument, NULL, OPT_OPEN },
	{ 0 },
};

/* Of an option that takes a value: false after words. */
static bool read_value(struct trace_options *o, const struct cli_command *command, int c,
		       const char *text)
{
	uint64_t n = 0;

	switch (c) {
	case 'n':
		if (cli_unsigned(text, 1, UINT64_MAX, &o->count))
			return true;
		cli_misuse(command, "'%s' is no number of packets", text);
		return false;
	case OPT_FOR:
		if (cli_duration(text, UINT64_MAX, &o->for_ns))
			return true;
		cli_misuse(command, "'%s' is no time: 10s, 500ms and 2m are", text);
		return false;
	case OPT_RING:
		if (cli_unsigned(text, WATCH_RING_MIN_BYTES, WATCH_RING_MAX_BYTES, &n) &&
		    !(n & (n - 1))) {
			o->ring_bytes = (uint32_t)n;
			return true;
		}
		cli_misuse(command, "a ring has %u to %u bytes, a power of two",
			   WATCH_RING_MIN_BYTES, WATCH_RING_MAX_BYTES);
		return false;
	default:
		if (cli_unsigned(text, 1, OPEN_MAX, &n)) {
			o->open_max = (uint32_t)n;
			return true;
		}
		cli_misuse(command, "1 to %u packets can be open at a time", OPEN_MAX);
		return false;
	}
}

/* The rest of the words are the filter, with or without quotes around it. */
static char *join(char **words, int n)
{
	size_t room = 1;
	char *text;

	for (int i = 0; i < n; i++)
		room += strlen(words[i]) + 1;
	text = calloc(1, room);
	for (int i = 0; text && i < n; i++) {
		strcat(text, i ? " " : "");
		strcat(text, words[i]);
	}
	return text;
}

static int over(int *status, int with)
{
	*status = with;
	return -1;
}

int trace_options_read(struct trace_options *o, const struct cli_command *command, int argc,
		       char **argv, int *status)
{
	int c;

	*o = (struct trace_options){ .ring_bytes = RING_DEFAULT, .open_max = OPEN_DEFAULT };
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+hn:v", long_options, NULL)) != -1) {
		switch (c) {
		case 'h':
			cli_help(command, stdout);
			return over(status, CLI_OK);
		case 'v':
			o->verbose = true;
			break;
		case OPT_DROPS_ONLY:
			o->drops_only = true;
			break;
		case OPT_SUMMARY:
			o->summary = true;
			break;
		case OPT_JSON:
			o->json = true;
			break;
		case '?':
			return over(status,
				    cli_misuse(command, "no such option, or without its value: %s",
					       argv[optind - 1]));
		default:
			if (!read_value(o, command, c, optarg))
				return over(status, CLI_USAGE);
		}
	}
	if (optind == argc)
		return 0;
	o->filter = join(argv + optind, argc - optind);
	return o->filter ? 0 : over(status, cli_fail("out of memory"));
}
