/* SPDX-License-Identifier: BSD-3-Clause */
/* weir why: two readings some seconds apart, and what find.c makes of them, printed. */
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "bin/weir/cli.h"
#include "bin/weir/why/why.h"

#define SECONDS 5.0
#define SECONDS_MAX 86400.0
#define PROGRESS_S 2.0
#define CODE_LOST 1
#define CODE_TROUBLE 2

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- readings ---- */

/* The member of an answer, as a member of the reading. False: there was no answer. */
static bool take(json_t *reading, json_t *request, const char *member, const char *as)
{
	json_t *answer = cli_ask(request);

	if (!answer)
		return false;
	json_object_set(reading, as, member ? json_object_get(answer, member) : answer);
	json_decref(answer);
	return true;
}

static json_t *read_all(void)
{
	json_t *r = json_pack("{s:I}", "time_ns", (json_int_t)clock_ns());

	if (r && take(r, json_pack("{s:s, s:b}", "cmd", "stat", "tcp", 1), NULL, "stat") &&
	    take(r, json_pack("{s:s}", "cmd", "counters"), "counters", "counters") &&
	    take(r, json_pack("{s:s, s:i}", "cmd", "drops", "count", 0), "recent", "recent") &&
	    take(r, json_pack("{s:s}", "cmd", "sysctl"), "parameters", "parameters") &&
	    take(r, json_pack("{s:s}", "cmd", "route"), "routes", "routes"))
		return r;
	json_decref(r);
	return NULL;
}

/* Wait; on a terminal say that we do, where it is for long. */
static void wait_for(double seconds)
{
	uint64_t end_ns = clock_ns() + (uint64_t)(seconds * 1e9), now_ns;
	bool tell = seconds > PROGRESS_S && isatty(STDERR_FILENO);

	while ((now_ns = clock_ns()) < end_ns) {
		double left = (double)(end_ns - now_ns) / 1e9, step = left < 0.5 ? left : 0.5;
		struct timeval tv = { .tv_sec = (time_t)step,
				      .tv_usec = (suseconds_t)((step - floor(step)) * 1e6) + 1 };

		if (tell)
			fprintf(stderr, "\rweir why: reading, %.0f s left ", ceil(left));
		select(0, NULL, NULL, NULL, &tv);
	}
	if (tell)
		fprintf(stderr, "\r%40s\r", "");
}

/* ---- commands that work as they stand ---- */

/* "weir ..." and "weird ..." for this instance. */
static json_t *for_instance(const char *command)
{
	const char *rest = strchr(command, ' ');
	bool weir = strncmp(command, "weir ", 5) == 0 || strncmp(command, "weird ", 6) == 0;
	char default_rundir[256];

	snprintf(default_rundir, sizeof(default_rundir), "%s", cli_default_rundir());
	if (!weir || !rest)
		return json_string(command);
	return json_sprintf("%.*s%s%s%s%s%s", (int)(rest - command), command,
			    strcmp(cli.rundir, default_rundir) ? " --rundir " : "",
			    strcmp(cli.rundir, default_rundir) ? cli.rundir : "",
			    strcmp(cli.instance, CLI_INSTANCE) ? " --instance " : "",
			    strcmp(cli.instance, CLI_INSTANCE) ? cli.instance : "", rest);
}

static void complete_commands(json_t *found)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(json_object_get(found, "findings"), i, finding)
	{
		json_t *commands = json_object_get(finding, "commands");

		for (size_t j = 0; j < json_array_size(commands); j++)
			json_array_set_new(
				commands, j,
				for_instance(json_string_value(json_array_get(commands, j))));
	}
}

/* ---- text ---- */

static void print_lines(const char *head, const json_t *list, const char *mark)
{
	const json_t *line;
	size_t i;

	json_array_foreach(list, i, line)
		printf("   %-8s %s%s\n", i ? "" : head, mark, json_string_value(line));
}

static void print_where(const json_t *finding)
{
	const json_t *site;
	size_t i;

	json_array_foreach(json_object_get(finding, "where"), i, site) printf(
		"   %-8s %s%s()%s %s:%lld, %s\n", i ? "" : "where", cli_colour(CLI_DIM),
		cli_string(site, "function"), cli_colour(CLI_PLAIN), cli_string(site, "file"),
		(long long)cli_int(site, "line"), cli_string(site, "reason"));
}

static void print_finding(size_t number, const json_t *finding)
{
	char lost[CLI_NUMBER_BYTES], total[CLI_NUMBER_BYTES];

	printf("%s%zu. %s%s\n", cli_colour(CLI_BOLD), number, cli_string(finding, "title"),
	       cli_colour(CLI_PLAIN));
	printf("   %-8s %s%s, %.1f a second%s; %s since weir began\n", "lost",
	       cli_colour(CLI_YELLOW), cli_number(cli_int(finding, "lost"), lost),
	       json_number_value(json_object_get(finding, "rate")), cli_colour(CLI_PLAIN),
	       cli_number(cli_int(finding, "total"), total));
	print_where(finding);
	print_lines("who", json_object_get(finding, "who"), "");
	printf("   %-8s %s\n", "why", cli_string(finding, "why"));
	printf("   %-8s %s\n", "change", cli_string(finding, "change"));
	print_lines("", json_object_get(finding, "commands"), "$ ");
	putchar('\n');
}

static void print_normal(const json_t *normal)
{
	const json_t *item;
	char n[CLI_NUMBER_BYTES];
	size_t i;

	if (!json_array_size(normal))
		return;
	printf("dropped as usual, as Linux would:\n");
	json_array_foreach(normal, i, item)
		printf("   %s %s: %s\n", cli_number(cli_int(item, "count"), n),
		       cli_string(item, "reason"), cli_string(item, "text"));
}

static void print_found(const json_t *found)
{
	const json_t *findings = json_object_get(found, "findings"), *finding;
	size_t i;

	json_array_foreach(findings, i, finding) print_finding(i + 1, finding);
	if (json_array_size(findings) == 0)
		printf("%snothing is being lost%s (looked at for %.1f s)\n", cli_colour(CLI_GREEN),
		       cli_colour(CLI_PLAIN), json_number_value(json_object_get(found, "seconds")));
	print_normal(json_object_get(found, "normal"));
}

/* ---- the command ---- */

/* "5", "5s", "500ms", "2m"; negative: it is none. */
static double parse_seconds(const char *text)
{
	char *unit;
	double n = strtod(text, &unit);

	if (unit == text || !isfinite(n) || n < 0)
		return -1;
	if (strcmp(unit, "ms") == 0)
		n /= 1000;
	else if (strcmp(unit, "m") == 0)
		n *= 60;
	else if (*unit && strcmp(unit, "s"))
		return -1;
	return n <= SECONDS_MAX ? n : -1;
}

static int options(const struct cli_command *command, int argc, char **argv, double *seconds,
		   bool *as_json)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "for", required_argument, NULL, 'f' },
		{ 0 },
	};
	int c;

	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			cli_help(command, stdout);
			return CLI_OK;
		}
		if (c == 'j')
			*as_json = true;
		else if (c != 'f')
			return cli_misuse(command, "no such option: %s", argv[optind - 1]);
		else if ((*seconds = parse_seconds(optarg)) < 0)
			return cli_misuse(command, "--for %s: a time is wanted, as in 5s or 500ms",
					  optarg);
	}
	if (optind < argc)
		return cli_misuse(command, "what is '%s'?", argv[optind]);
	return -1;
}

int cmd_why(const struct cli_command *command, int argc, char **argv)
{
	json_t *before, *after, *found;
	double seconds = SECONDS;
	bool as_json = false;
	int status = options(command, argc, argv, &seconds, &as_json);

	if (status >= 0)
		return status;
	before = read_all();
	if (!before)
		return CODE_TROUBLE;
	wait_for(seconds);
	after = read_all();
	found = after ? why_find(before, after) : NULL;
	json_decref(before);
	json_decref(after);
	if (!found)
		return CODE_TROUBLE;
	complete_commands(found);
	status = json_array_size(json_object_get(found, "findings")) ? CODE_LOST : CLI_OK;
	if (as_json)
		return cli_print_json(found) == CLI_OK ? status : CODE_TROUBLE;
	print_found(found);
	json_decref(found);
	return status;
}
