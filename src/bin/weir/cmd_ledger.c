/* SPDX-License-Identifier: BSD-3-Clause */
/* weir ledger: where every packet went. weir drops: the last ones that were dropped. */
#include <stdlib.h>
#include <string.h>

#include "bin/weir/cli.h"
#include "bin/weir/cmd_print.h"

struct line {
	const char *member;
	const char *text;
};

static const struct line lines_in[] = {
	{ "entered", "received from ports" },
	{ "originated", "made by weir" },
	{ 0 },
};

static const struct line lines_out[] = {
	{ "delivered", "their payload reached a socket" },
	{ "transmitted", "left through a port" },
	{ "forwarded", "routed on through a port" },
	{ "absorbed", "for weir itself, and said all they had to say (ACK, ARP)" },
	{ "dropped", "each with a reason, below" },
	{ "held", "in queues now" },
	{ 0 },
};

static json_int_t print_lines(const json_t *ledger, const struct line *lines)
{
	char text[CLI_NUMBER_BYTES];
	json_int_t sum = 0;

	for (; lines->member; lines++) {
		json_int_t value = cli_int(ledger, lines->member);

		sum += value;
		printf("  %-12s %18s   %s%s%s\n", lines->member, cli_number(value, text),
		       cli_colour(CLI_DIM), lines->text, cli_colour(CLI_PLAIN));
	}
	printf("  %-12s %18s\n", "", "------------------");
	printf("  %-12s %18s\n", lines == lines_in + 2 ? "in" : "out", cli_number(sum, text));
	return sum;
}

static enum cli_colour severity_colour(const char *severity)
{
	if (strcmp(severity, "info") == 0)
		return CLI_PLAIN;
	return strcmp(severity, "warn") == 0 ? CLI_YELLOW : CLI_RED;
}

/* The drops, the largest count first: also for weir path. */
void print_drops(const json_t *drops)
{
	static const char *const heads[] = { "count",	 "reason", "severity",
					     "function", "where",  "meaning" };
	struct cli_table *t = cli_table_new("rlllll", heads);
	const json_t *drop;
	size_t i;

	json_array_foreach(drops, i, drop)
	{
		cli_table_number(t, cli_int(drop, "count"));
		cli_table_cell(t, "%s", cli_string(drop, "reason"));
		cli_table_cell(t, "%s", cli_string(drop, "severity"));
		cli_table_cell(t, "%s()", cli_string(drop, "function"));
		cli_table_cell(t, "%s:%lld", cli_string(drop, "file"),
			       (long long)cli_int(drop, "line"));
		cli_table_cell(t, "%s", cli_string(drop, "text"));
	}
	cli_table_print(t, stdout);
}

static void print_balance(const json_t *ledger)
{
	json_int_t balance = cli_int(ledger, "balance");
	char text[CLI_NUMBER_BYTES];

	printf("\n  %-12s %s%18s%s   %s\n", "balance", cli_colour(balance ? CLI_RED : CLI_GREEN),
	       cli_number(balance, text), cli_colour(CLI_PLAIN),
	       balance == 0 ? "every packet is accounted for"
	       : balance > 0
		       ? "packets were lost in silence: this is a defect in weir, please report it"
		       : "packets ended twice: this is a defect in weir, please report it");
	if (cli_int(ledger, "alloc_failed"))
		printf("  %s packets could not be made: no buffers were left\n",
		       cli_number(cli_int(ledger, "alloc_failed"), text));
}

/* What the cards saw, and what they lost on their own side. */
static void print_cards(const json_t *ledger)
{
	static const char *const heads[] = { "port",	    "seen",  "entered",	  "waiting",
					     "lost before", "given", "lost after" };
	struct cli_table *t = cli_table_new("lrrrrrr", heads);
	const json_t *port;
	size_t i;

	printf("\n%sbefore weir, and after weir%s: seen by the card = entered + waiting + lost "
	       "before\n",
	       cli_colour(CLI_BOLD), cli_colour(CLI_PLAIN));
	json_array_foreach(json_object_get(ledger, "ports"), i, port)
	{
		cli_table_cell(t, "%s", cli_string(port, "name"));
		cli_table_number(t, cli_int(port, "seen"));
		cli_table_number(t, cli_int(port, "entered"));
		cli_table_number(t, cli_int(port, "waiting"));
		cli_table_number(t, cli_int(port, "lost_before"));
		cli_table_number(t, cli_int(port, "given"));
		cli_table_number(t, cli_int(port, "lost_after"));
	}
	cli_table_print(t, stdout);
}

/* Each loss by its name, as the drops are. */
static void print_losses(const json_t *ledger)
{
	static const char *const heads[] = { "count", "name", "where", "port", "meaning" };
	struct cli_table *t = cli_table_new("rllll", heads);
	const json_t *port, *loss;
	unsigned int n = 0;
	size_t i, j;

	json_array_foreach(json_object_get(ledger, "ports"), i, port)
	{
		json_array_foreach(json_object_get(port, "losses"), j, loss)
		{
			if (!cli_int(loss, "count") || !cli_string(loss, "lost")[0])
				continue;
			n++;
			cli_table_number(t, cli_int(loss, "count"));
			cli_table_cell(t, "%s", cli_string(loss, "name"));
			cli_table_cell(t, "%s", cli_string(loss, "lost"));
			cli_table_cell(t, "%s", cli_string(port, "name"));
			cli_table_cell(t, "%s", cli_string(loss, "text"));
		}
	}
	if (!n)
		printf("\n  the cards lost nothing\n");
	else
		printf("\n%slost by the cards%s\n", cli_colour(CLI_BOLD), cli_colour(CLI_PLAIN));
	if (n)
		cli_table_print(t, stdout);
	else
		cli_table_free(t);
}

int cmd_ledger(const struct cli_command *command, int argc, char **argv)
{
	bool as_json = false;
	int status, at = cli_options(command, argc, argv, &as_json, &status);
	json_t *ledger;

	if (at < 0)
		return status;
	if (at != argc)
		return cli_misuse(command, "what is '%s'?", argv[at]);
	ledger = cli_ask(json_pack("{s:s}", "cmd", "ledger"));
	if (!ledger)
		return CLI_FAILED;
	if (as_json)
		return cli_print_json(ledger);
	printf("%sledger%s of instance %s\n\n", cli_colour(CLI_BOLD), cli_colour(CLI_PLAIN),
	       cli.instance);
	print_lines(ledger, lines_in);
	putchar('\n');
	print_lines(ledger, lines_out);
	print_balance(ledger);
	if (json_array_size(json_object_get(ledger, "drops"))) {
		printf("\n%sdrops%s\n", cli_colour(CLI_BOLD), cli_colour(CLI_PLAIN));
		print_drops(json_object_get(ledger, "drops"));
	} else {
		printf("\n  nothing was dropped\n");
	}
	print_cards(ledger);
	print_losses(ledger);
	json_decref(ledger);
	return CLI_OK;
}

static void print_record(const json_t *record)
{
	const char *severity = cli_string(record, "severity");
	char path[512];

	printf("%s%s%s  %s\n", cli_colour(severity_colour(severity)), cli_string(record, "reason"),
	       cli_colour(CLI_PLAIN), cli_string(record, "text"));
	printf("    where   %s() %s:%lld\n", cli_string(record, "function"),
	       cli_string(record, "file"), (long long)cli_int(record, "line"));
	printf("    path    %s\n",
	       cli_join(json_object_get(record, "path"), " > ", path, sizeof(path)));
	printf("    packet  %lld bytes, interface %lld, %.6f s old: %.96s\n",
	       (long long)cli_int(record, "length"), (long long)cli_int(record, "ifindex"),
	       (double)cli_int(record, "age_us") / 1e6, cli_string(record, "head"));
}

/* -n COUNT or its default; -1 with *status where the command is over. */
static long drops_count(const struct cli_command *command, int *argc, char **argv, int *status)
{
	long count = 20;
	char *end;

	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "-n"))
			continue;
		if (i + 1 == *argc) {
			*status = cli_misuse(command, "-n needs a number");
			return -1;
		}
		count = strtol(argv[i + 1], &end, 10);
		if (*end || end == argv[i + 1] || count < 1 || count > 100000) {
			*status = cli_misuse(command, "-n %s: a number from 1 to 100000 is wanted",
					     argv[i + 1]);
			return -1;
		}
		memmove(&argv[i], &argv[i + 2], (size_t)(*argc - i - 1) * sizeof(*argv));
		*argc -= 2;
		i--;
	}
	return count;
}

int cmd_drops(const struct cli_command *command, int argc, char **argv)
{
	bool as_json = false;
	int status = CLI_OK, at;
	long count = drops_count(command, &argc, argv, &status);
	json_t *answer, *list, *record;
	size_t i;

	if (count < 0)
		return status;
	at = cli_options(command, argc, argv, &as_json, &status);
	if (at < 0)
		return status;
	if (at != argc)
		return cli_misuse(command, "what is '%s'?", argv[at]);
	answer = cli_ask(json_pack("{s:s, s:I}", "cmd", "drops", "count", (json_int_t)count));
	if (!answer)
		return CLI_FAILED;
	list = json_incref(json_object_get(answer, "recent"));
	json_decref(answer);
	if (as_json)
		return cli_print_json(list);
	if (json_array_size(list) == 0)
		printf("nothing was dropped\n");
	json_array_foreach(list, i, record) print_record(record);
	json_decref(list);
	return CLI_OK;
}
