/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that change a running weird: addresses, routes, ports, forwarding, stop. Named and
 * spelt as ip(8) does it, so that what people know carries over. */
#include <stdlib.h>
#include <string.h>

#include "bin/weir/cli.h"
#include "bin/weir/cmd_print.h"

/* Ask for a change; print nothing when it worked. */
static int change(json_t *request)
{
	json_t *answer = cli_ask(request);

	if (!answer)
		return CLI_FAILED;
	json_decref(answer);
	return CLI_OK;
}

/* The member `name` of what `cmd` answers, as JSON or one line each by print. */
static int show(const char *cmd, const char *name, bool as_json, void (*print)(const json_t *item))
{
	json_t *answer = cli_ask(json_pack("{s:s}", "cmd", cmd)), *list;
	const json_t *item;
	size_t i;

	if (!answer)
		return CLI_FAILED;
	list = json_incref(json_object_get(answer, name));
	json_decref(answer);
	if (as_json)
		return cli_print_json(list);
	json_array_foreach(list, i, item) print(item);
	json_decref(list);
	return CLI_OK;
}

/* Words behind a verb: "dev X", "via Y", each at most once, into request. 0 or a usage status. */
static int words(const struct cli_command *command, int argc, char **argv, json_t *request)
{
	for (int i = 0; i < argc; i += 2) {
		if (strcmp(argv[i], "dev") && strcmp(argv[i], "via"))
			return cli_misuse(command, "what is '%s'?", argv[i]);
		if (i + 1 == argc)
			return cli_misuse(command, "'%s' needs a word behind it", argv[i]);
		if (json_object_get(request, argv[i]))
			return cli_misuse(command, "'%s' is there twice", argv[i]);
		json_object_set_new(request, argv[i], json_string(argv[i + 1]));
	}
	return CLI_OK;
}

/* `add|del WHAT [dev X] [via Y]` as a request for `object`-add or `object`-del. */
static int add_or_del(const struct cli_command *command, int argc, char **argv, const char *member,
		      bool needs_dev)
{
	json_t *request;
	char cmd[32];
	int status;

	if (strcmp(argv[0], "add") && strcmp(argv[0], "del"))
		return cli_misuse(command, "what is '%s'? add or del is wanted", argv[0]);
	if (argc < 2)
		return cli_misuse(command, "%s what?", argv[0]);
	snprintf(cmd, sizeof(cmd), "%s-%s", command->name, argv[0]);
	request = json_pack("{s:s, s:s}", "cmd", cmd, member, argv[1]);
	status = words(command, argc - 2, argv + 2, request);
	if (status == CLI_OK && needs_dev && !json_object_get(request, "dev"))
		status = cli_misuse(command, "which port? say: dev PORT (weir port lists them)");
	if (status == CLI_OK)
		return change(request);
	json_decref(request);
	return status;
}

static void print_addr(const json_t *item)
{
	printf("%s dev %s\n", cli_string(item, "address"), cli_string(item, "dev"));
}

int cmd_addr(const struct cli_command *command, int argc, char **argv)
{
	bool as_json = false;
	int status, at = cli_options(command, argc, argv, &as_json, &status);

	if (at < 0)
		return status;
	if (at == argc)
		return show("addr", "addresses", as_json, print_addr);
	return add_or_del(command, argc - at, argv + at, "address", true);
}

static void print_route(const json_t *item)
{
	printf("%s", cli_string(item, "prefix"));
	if (cli_string(item, "via")[0])
		printf(" via %s", cli_string(item, "via"));
	printf(" dev %s\n", cli_string(item, "dev"));
}

int cmd_route(const struct cli_command *command, int argc, char **argv)
{
	bool as_json = false;
	int status, at = cli_options(command, argc, argv, &as_json, &status);

	if (at < 0)
		return status;
	if (at == argc)
		return show("route", "routes", as_json, print_route);
	return add_or_del(command, argc - at, argv + at, "prefix", false);
}

/* set PORT txqueuelen N */
static int port_set(const struct cli_command *command, int argc, char **argv)
{
	json_int_t n;
	char *end;

	if (argc != 3 || strcmp(argv[1], "txqueuelen"))
		return cli_misuse(command, "set what? As in: set weir0 txqueuelen 4096");
	n = strtoll(argv[2], &end, 10);
	if (*end || end == argv[2])
		return cli_misuse(command, "'%s' is not a number", argv[2]);
	return change(
		json_pack("{s:s, s:s, s:I}", "cmd", "port-set", "port", argv[0], "txqueuelen", n));
}

int cmd_port(const struct cli_command *command, int argc, char **argv)
{
	bool as_json = false;
	int status, at = cli_options(command, argc, argv, &as_json, &status);

	if (at < 0)
		return status;
	if (at == argc)
		return show("stat", "ports", as_json, print_port);
	if (strcmp(argv[at], "set") == 0)
		return port_set(command, argc - at - 1, argv + at + 1);
	if (strcmp(argv[at], "add"))
		return cli_misuse(command, "what is '%s'? add or set is wanted", argv[at]);
	if (at + 2 != argc)
		return cli_misuse(command, "add what? One specification, as weird --port takes it");
	return change(json_pack("{s:s, s:s}", "cmd", "port-add", "spec", argv[at + 1]));
}

int cmd_forward(const struct cli_command *command, int argc, char **argv)
{
	int status, at = cli_options(command, argc, argv, NULL, &status);
	bool on;

	if (at < 0)
		return status;
	if (at + 1 != argc)
		return cli_misuse(command, "on or off is wanted");
	on = strcmp(argv[at], "on") == 0;
	if (!on && strcmp(argv[at], "off"))
		return cli_misuse(command, "'%s' is neither on nor off", argv[at]);
	return change(json_pack("{s:s, s:b}", "cmd", "forward", "on", (int)on));
}

int cmd_stop(const struct cli_command *command, int argc, char **argv)
{
	int status, at = cli_options(command, argc, argv, NULL, &status);

	if (at < 0)
		return status;
	if (at != argc)
		return cli_misuse(command, "what is '%s'?", argv[at]);
	return change(json_pack("{s:s}", "cmd", "stop"));
}
