/* SPDX-License-Identifier: BSD-3-Clause */
/* weir sockets: for each program what it has on weir, and what not and why. */
#include "bin/weir/cli.h"

static void print_table(const json_t *sockets)
{
	static const char *const heads[] = { "proto", "state", "recv-q", "send-q",
					     "local", "peer",  "pid",	 "fd" };
	struct cli_table *t = cli_table_new("llrrllrr", heads);
	const json_t *sock;
	size_t i;

	json_array_foreach(sockets, i, sock)
	{
		cli_table_cell(t, "%s", cli_string(sock, "proto"));
		cli_table_cell(t, "%s", cli_string(sock, "state"));
		cli_table_number(t, cli_int(sock, "recv_q"));
		cli_table_number(t, cli_int(sock, "send_q"));
		cli_table_cell(t, "%s", cli_string(sock, "local"));
		cli_table_cell(t, "%s", cli_string(sock, "remote"));
		if (cli_int(sock, "pid"))
			cli_table_cell(t, "%lld", (long long)cli_int(sock, "pid"));
		else
			cli_table_cell(t, "-");
		if (json_object_get(sock, "fd"))
			cli_table_cell(t, "%lld", (long long)cli_int(sock, "fd"));
		else
			cli_table_cell(t, "-");
	}
	cli_table_print(t, stdout);
}

static void print_off(const json_t *program)
{
	char text[CLI_NUMBER_BYTES];
	const json_t *off;
	size_t i;

	json_array_foreach(json_object_get(program, "not_on_weir"), i, off)
	{
		printf("  not on weir: %s, %s: %s", cli_string(off, "what"),
		       cli_number(cli_int(off, "count"), text), cli_string(off, "why"));
		if (cli_string(off, "kernel")[0])
			printf(" %s", cli_string(off, "kernel"));
		putchar('\n');
	}
}

static void print_program(const json_t *program)
{
	const json_t *pids = json_object_get(program, "pids"), *pid;
	size_t i;

	printf("%s%s%s, process", cli_colour(CLI_BOLD), cli_string(program, "program"),
	       cli_colour(CLI_PLAIN));
	json_array_foreach(pids, i, pid) printf(" %lld", (long long)json_integer_value(pid));
	if (cli_int(program, "processes") > (json_int_t)json_array_size(pids))
		printf(" and more, %lld in all", (long long)cli_int(program, "processes"));
	putchar('\n');
	if (json_array_size(json_object_get(program, "sockets")))
		print_table(json_object_get(program, "sockets"));
	if (cli_int(program, "passed"))
		printf("  %lld under way over UNIX sockets\n",
		       (long long)cli_int(program, "passed"));
	print_off(program);
}

int cmd_sockets(const struct cli_command *command, int argc, char **argv)
{
	bool as_json = false;
	int status, at = cli_options(command, argc, argv, &as_json, &status);
	json_t *answer;
	const json_t *program, *none;
	size_t i;

	if (at < 0)
		return status;
	if (at != argc)
		return cli_misuse(command, "what is '%s'?", argv[at]);
	answer = cli_ask(json_pack("{s:s}", "cmd", "sockets"));
	if (!answer)
		return CLI_FAILED;
	if (as_json)
		return cli_print_json(answer);
	json_array_foreach(json_object_get(answer, "programs"), i, program) print_program(program);
	none = json_object_get(answer, "no_program");
	if (json_array_size(none)) {
		printf("%sno program any more%s\n", cli_colour(CLI_BOLD), cli_colour(CLI_PLAIN));
		print_table(none);
	}
	json_decref(answer);
	return CLI_OK;
}
