/* SPDX-License-Identifier: BSD-3-Clause */
/* weir sysctl: TCP's parameters, as sysctl(8) shows and sets them. weir nstat: TCP's counters. */
#include <string.h>

#include "bin/weir/cli.h"

static json_t *member(json_t *answer, const char *name)
{
	json_t *list = json_incref(json_object_get(answer, name));

	json_decref(answer);
	return list;
}

/* ---- sysctl ---- */

static int list_all(bool as_json)
{
	static const char *const heads[] = { "parameter", "value", "default", "meaning" };
	json_t *answer = cli_ask(json_pack("{s:s}", "cmd", "sysctl")), *list, *item;
	struct cli_table *t;
	size_t i;

	if (!answer)
		return CLI_FAILED;
	list = member(answer, "parameters");
	if (as_json)
		return cli_print_json(list);
	t = cli_table_new("llll", heads);
	json_array_foreach(list, i, item)
	{
		const char *usual = cli_string(item, "default");

		cli_table_cell(t, "%s", cli_string(item, "name"));
		cli_table_cell(t, "%s", cli_string(item, "value"));
		cli_table_cell(t, "%s", strcmp(usual, cli_string(item, "value")) ? usual : "");
		cli_table_cell(t, "%s", cli_string(item, "text"));
	}
	cli_table_print(t, stdout);
	json_decref(list);
	return CLI_OK;
}

/* "NAME" asks, "NAME=VALUE" sets; the list that answers has one item. */
static json_t *request_of(const char *word)
{
	const char *equal = strchr(word, '=');
	size_t len = equal ? (size_t)(equal - word) : strlen(word);

	while (len > 0 && word[len - 1] == ' ')
		len--;
	if (!equal)
		return json_pack("{s:s, s:s%}", "cmd", "sysctl", "name", word, len);
	return json_pack("{s:s, s:s%, s:s}", "cmd", "sysctl-set", "name", word, len, "value",
			 equal + 1 + strspn(equal + 1, " "));
}

static int each_word(int argc, char **argv, bool as_json)
{
	json_t *all = json_array(), *answer, *list, *item;
	int status = CLI_OK;
	size_t j;

	for (int i = 0; i < argc; i++) {
		answer = cli_ask(request_of(argv[i]));
		if (!answer) {
			status = CLI_FAILED; /* the others may be right: as sysctl(8) */
			continue;
		}
		list = member(answer, "parameters");
		json_array_foreach(list, j, item)
		{
			if (!as_json)
				printf("%s = %s\n", cli_string(item, "name"),
				       cli_string(item, "value"));
		}
		json_array_extend(all, list);
		json_decref(list);
	}
	if (as_json && cli_print_json(json_incref(all)) != CLI_OK)
		status = CLI_FAILED;
	json_decref(all);
	return status;
}

/* Take an option out of the words: is it there? */
static bool flag(int *argc, char **argv, const char *name)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], name))
			continue;
		memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof(*argv));
		--*argc;
		return true;
	}
	return false;
}

int cmd_sysctl(const struct cli_command *command, int argc, char **argv)
{
	bool as_json = false, write = flag(&argc, argv, "-w"), all = flag(&argc, argv, "-a");
	int status, at = cli_options(command, argc, argv, &as_json, &status);

	if (at < 0)
		return status;
	if (write && at == argc)
		return cli_misuse(command, "-w needs NAME=VALUE, as in tcp_ecn=1");
	for (int i = at; write && i < argc; i++)
		if (!strchr(argv[i], '='))
			return cli_misuse(command, "-w %s: write it as NAME=VALUE", argv[i]);
	if (all && at < argc)
		return cli_misuse(command, "-a stands alone");
	return at == argc ? list_all(as_json) : each_word(argc - at, argv + at, as_json);
}

/* ---- nstat ---- */

static bool asked_for(const json_t *item, bool zeros, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcasestr(cli_string(item, "name"), argv[i]))
			return true;
	return argc == 0 && (zeros || cli_int(item, "value"));
}

static json_t *asked_counters(json_t *answer, bool zeros, int argc, char **argv)
{
	json_t *list = json_array(), *item;
	size_t i;

	json_array_foreach(json_object_get(answer, "counters"), i, item)
	{
		if (asked_for(item, zeros, argc, argv))
			json_array_append(list, item);
	}
	json_decref(answer);
	return list;
}

int cmd_nstat(const struct cli_command *command, int argc, char **argv)
{
	static const char *const heads[] = { "counter", "value", "meaning" };
	bool as_json = false, zeros = flag(&argc, argv, "-z");
	int status, at = cli_options(command, argc, argv, &as_json, &status);
	json_t *answer, *list, *item;
	struct cli_table *t;
	size_t i;

	if (at < 0)
		return status;
	answer = cli_ask(json_pack("{s:s}", "cmd", "counters"));
	if (!answer)
		return CLI_FAILED;
	list = asked_counters(answer, zeros || as_json, argc - at, argv + at);
	if (as_json)
		return cli_print_json(list);
	if (json_array_size(list) == 0 && at < argc)
		printf("no counter's name holds that: weir nstat -z lists them\n");
	t = cli_table_new("lrl", heads);
	json_array_foreach(list, i, item)
	{
		cli_table_cell(t, "%s", cli_string(item, "name"));
		cli_table_number(t, cli_int(item, "value"));
		cli_table_cell(t, "%s", cli_string(item, "text"));
	}
	cli_table_print(t, stdout);
	json_decref(list);
	return CLI_OK;
}
