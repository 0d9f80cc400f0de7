/* SPDX-License-Identifier: BSD-3-Clause */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bin/weir/dropwatch/dropwatch.h"

enum {
	OPT_TOP = 256,
	OPT_FOR,
	OPT_REASON,
	OPT_FILTER,
	OPT_PCAP,
	OPT_PACKET,
	OPT_KERNEL,
	OPT_NETNS,
	OPT_ALL_NETNS,
	OPT_LIMIT,
	OPT_TRUNC,
	OPT_QUEUE,
	OPT_CLASSIC,
	OPT_JSON,
	OPT_STACK
};

static const struct option options[] = {
	{ "lmethod", required_argument, NULL, 'l' },
	{ "top", required_argument, NULL, OPT_TOP },
	{ "for", required_argument, NULL, OPT_FOR },
	{ "reason", required_argument, NULL, OPT_REASON },
	{ "filter", required_argument, NULL, OPT_FILTER },
	{ "pcap", required_argument, NULL, OPT_PCAP },
	{ "packet", no_argument, NULL, OPT_PACKET },
	{ "kernel", no_argument, NULL, OPT_KERNEL },
	{ "netns", required_argument, NULL, OPT_NETNS },
	{ "all-netns", no_argument, NULL, OPT_ALL_NETNS },
	{ "alertlimit", required_argument, NULL, OPT_LIMIT },
	{ "trunc", required_argument, NULL, OPT_TRUNC },
	{ "queue", required_argument, NULL, OPT_QUEUE },
	{ "stack", no_argument, NULL, OPT_STACK },
	{ "classic", no_argument, NULL, OPT_CLASSIC },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* "10s", "500ms", "2m", "10" (seconds), "0.5s". */
static bool duration_ms(const char *text, uint64_t *ms)
{
	static const struct {
		const char *name;
		double ms;
	} units[] = { { "", 1000 }, { "s", 1000 }, { "ms", 1 }, { "m", 60000 }, { "h", 3600000 } };
	char *end;
	double value;

	if (text[0] < '0' || text[0] > '9')
		return false;
	value = strtod(text, &end);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].name) == 0) {
			value *= units[i].ms;
			*ms = value >= 1 && value <= 1e12 ? (uint64_t)value : 0;
			return *ms > 0;
		}
	}
	return false;
}

/* The words of a list, "A,B"; the list is cut into them. */
static bool reasons(struct dropwatch_options *o, char *list)
{
	for (char *word = strtok(list, ", "); word; word = strtok(NULL, ", ")) {
		if (o->source.reason_count == DROPWATCH_REASONS_MAX)
			return false;
		o->reasons[o->source.reason_count++] = word;
	}
	return o->source.reason_count > 0;
}

static bool lookup(const char *name, struct dropwatch_options *o)
{
	o->lookup_kas = strcmp(name, "kas") == 0;
	o->lookup_list = strcmp(name, "list") == 0;
	return o->lookup_kas || o->lookup_list;
}

/* One option; false where its value is none, with what would be one in *wanted. */
static bool take(struct dropwatch_options *o, int c, char *value, const char **wanted)
{
	uint64_t n = 0;

	switch (c) {
	case 'l':
		*wanted = "kas (or list)";
		return lookup(value, o);
	case OPT_TOP:
		*wanted = "a number from 1 to 10000";
		if (!cli_unsigned(value, 1, 10000, &n))
			return false;
		o->top = (unsigned int)n;
		o->top_given = true;
		return true;
	case OPT_FOR:
		*wanted = "a time, as 10s, 500ms or 2m";
		return duration_ms(value, &o->for_ms);
	case OPT_REASON:
		*wanted = "reasons, as NO_SOCKET,UDP_CSUM (64 at most)";
		return reasons(o, value);
	case OPT_FILTER:
		o->source.filter = value;
		return true;
	case OPT_PCAP:
		o->pcap = value;
		return true;
	case OPT_PACKET:
		o->settings.packets = true;
		return true;
	case OPT_KERNEL:
		o->kernel = true;
		return true;
	case OPT_NETNS:
		o->source.netns = value;
		return true;
	case OPT_ALL_NETNS:
		o->source.all_netns = true;
		return true;
	case OPT_LIMIT:
		*wanted = "a number from 1 on";
		return cli_unsigned(value, 1, UINT64_MAX, &o->alert_limit);
	case OPT_TRUNC:
	case OPT_QUEUE:
		*wanted = "a number";
		if (!cli_unsigned(value, 0, UINT32_MAX, &n))
			return false;
		if (c == OPT_TRUNC)
			o->settings.trunc_bytes = (uint32_t)n;
		else
			o->settings.queue_packets = (uint32_t)n;
		return true;
	case OPT_STACK:
		o->settings.stack = true;
		return true;
	case OPT_CLASSIC:
		o->classic = true;
		return true;
	default:
		o->json = true;
		return true;
	}
}

/* What does not go together; NULL: all does. */
static const char *contradiction(const struct dropwatch_options *o)
{
	if ((o->source.netns || o->source.all_netns) && !o->kernel)
		return "--netns and --all-netns are of the kernel's namespaces: with --kernel only";
	if (o->source.netns && o->source.all_netns)
		return "--netns NAME or --all-netns: not both";
	if (o->classic && o->json)
		return "--classic or --json: not both";
	if (o->pcap && strcmp(o->pcap, "-") == 0 && (o->json || o->top_given))
		return "--pcap - takes standard output: not with --json or --top";
	return NULL;
}

bool dropwatch_batch(const struct dropwatch_options *o)
{
	return o->top_given || o->for_ms || o->json || o->pcap;
}

bool dropwatch_options(const struct cli_command *command, int argc, char **argv,
		       struct dropwatch_options *o, int *status)
{
	const char *wanted = NULL, *wrong;
	int c;

	*o = (struct dropwatch_options){
		.settings = { .software = true,
			      .trunc_bytes = DROP_TRUNC_DEFAULT,
			      .queue_packets = DROP_QUEUE_DEFAULT },
	};
	o->source.reasons = o->reasons;
	*status = CLI_OK;
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":l:h", options, NULL)) != -1) {
		if (c == 'h') {
			cli_help(command, stdout);
			return false;
		}
		if (c == '?' || c == ':') {
			*status = cli_misuse(command,
					     c == ':' ? "%s needs a value" : "no such option: %s",
					     argv[optind - 1]);
			return false;
		}
		if (!take(o, c, optarg, &wanted)) {
			*status =
				cli_misuse(command, "'%s' is not %s", optarg ? optarg : "", wanted);
			return false;
		}
	}
	wrong = contradiction(o);
	if (o->kernel && !o->source.netns)
		o->source.all_netns = true;
	if (wrong)
		*status = cli_misuse(command, "%s", wrong);
	else if (optind != argc)
		*status = cli_misuse(command, "what is '%s'?", argv[optind]);
	if (o->pcap)
		o->settings.packets = true;
	return *status == CLI_OK;
}
