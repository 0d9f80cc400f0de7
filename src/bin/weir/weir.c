/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line's main: global options, the table of commands, help. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bin/weir/cli.h"
#include "bin/weir/dropwatch/help.h"
#include "bin/weir/trace/help.h"

#ifndef WEIR_VERSION
#define WEIR_VERSION "unknown"
#endif

struct cli cli = { .instance = CLI_INSTANCE, .rundir = CLI_RUNDIR };

static int run_command(const struct cli_command *command, int argc, char **argv)
{
	(void)command;
	return cmd_run(argc, argv);
}

const struct cli_command cli_commands[] = {
	{ "run", "[--] PROGRAM [ARGUMENT...]", "run a program, unchanged, on weir's network", NULL,
	  run_command },
	{ "stat", "[stages|ports|workers|sockets] [-i] [--json]",
	  "stages, ports, workers and sockets",
	  "  stages, ports, workers, sockets   print that part only\n"
	  "  -i                                with sockets: what TCP knows of each, as ss -ti\n"
	  "  --json                            print one JSON object\n\n"
	  "example:\n  weir stat sockets -i\n"
	  "  weir stat --json | jq '.ports[].rx_packets'\n",
	  cmd_stat },
	{ "sockets", "[--json]", "what each program has on weir, and what not and why",
	  "  --json   print one JSON object: programs, no_program\n\n"
	  "example:\n  weir sockets\n"
	  "  weir sockets --json | jq '.programs[] | {program, not_on_weir}'\n",
	  cmd_sockets },
	{ "path", "[--json]", "the way of packets, stage by stage, with drops and Linux's names",
	  "  --json   print one JSON object: stages and drops\n\n"
	  "example:\n  weir path\n",
	  cmd_path },
	{ "ledger", "[--json]", "where every packet went; the sum must balance",
	  "  --json   print one JSON object: entered, originated, delivered, transmitted,\n"
	  "           forwarded, absorbed, dropped, held, balance (0: it balances), drops,\n"
	  "           ports: what each card saw and lost, lost_before, lost_after\n\n"
	  "example:\n  weir ledger\n"
	  "  weir ledger --json | jq '.drops[] | select(.reason == \"NO_SOCKET\")'\n",
	  cmd_ledger },
	{ "drops", "[-n COUNT] [--json]", "the last packets that were dropped, newest first",
	  "  -n COUNT   at most so many (default 20; weird remembers 256 for each worker)\n"
	  "  --json     print a JSON array, with the first bytes of each packet in hex\n\n"
	  "example:\n  weir drops -n 5\n",
	  cmd_drops },
	{ "dropwatch", "[--kernel [--netns NAME]] [--top N] [--for TIME] [OPTION...]",
	  "watch packets being dropped: where, why, and what to do (as dropwatch)", DROPWATCH_HELP,
	  cmd_dropwatch },
	{ "trace", "[-n COUNT] [--for TIME] [--drops-only] [--summary] [-v] [--json] [FILTER]",
	  "follow packets through every stage: what is decided, how long it takes, their end",
	  TRACE_HELP, cmd_trace },
	{ "addr", "[add|del ADDRESS/LENGTH dev PORT] [--json]", "show, add and delete addresses",
	  "  add ADDRESS/LENGTH dev PORT   give a port an address\n"
	  "  del ADDRESS/LENGTH dev PORT   take it away\n"
	  "  --json                        print a JSON array\n\n"
	  "example:\n  weir addr add 198.18.0.3/24 dev weir0\n",
	  cmd_addr },
	{ "route", "[add|del PREFIX/LENGTH|default [via GATEWAY] [dev PORT]] [--json]",
	  "show, add and delete routes",
	  "  add PREFIX/LENGTH via GATEWAY [dev PORT]   over a gateway\n"
	  "  add PREFIX/LENGTH dev PORT                 on the link itself\n"
	  "  del PREFIX/LENGTH                          delete; default is 0.0.0.0/0\n"
	  "  --json                                     print a JSON array\n\n"
	  "example:\n  weir route add default via 198.18.0.1\n",
	  cmd_route },
	{ "port", "[add SPECIFICATION | set PORT txqueuelen N] [--json]", "show, add and set ports",
	  "  add SPECIFICATION       open a port, as weird --port does (weird(8) lists them)\n"
	  "  set PORT txqueuelen N   frames that may wait for room in its send ring (1024)\n"
	  "  --json                  print a JSON array\n\n"
	  "example:\n  weir port add tap,name=weir1,addr=198.18.1.1/24\n",
	  cmd_port },
	{ "why", "[--for TIME] [--json]", "what is being lost, where, why, and what to change",
	  "  --for TIME   look for so long: 5s (default), 500ms, 2m\n"
	  "  --json       print one JSON object: seconds, findings, normal\n\n"
	  "Exit status: 0 nothing is being lost, 1 something is, 2 it could not be found out.\n\n"
	  "example:\n  weir why --for 10s\n"
	  "  weir why --json | jq -r '.findings[].commands[]'\n",
	  cmd_why },
	{ "ethtool", "PORT [-S|-k|-g|-l|-i] [--json]",
	  "a port's own statistics, offloads, rings and queues",
	  "  (no option)   link: speed, duplex, whether there is one\n"
	  "  -S            statistics: what the card saw, lost and says itself\n"
	  "  -k            offloads\n"
	  "  -g            rings: frames that fit into them\n"
	  "  -l            channels: queues\n"
	  "  -i            driver\n"
	  "  --json        print one JSON object with all of these: port, about, counters\n\n"
	  "example:\n  weir ethtool weir0 -S\n",
	  cmd_ethtool },
	{ "forward", "on|off", "whether weir passes on packets that are not for it",
	  "example:\n  weir forward on\n", cmd_forward },
	{ "sysctl", "[-a] [[-w] NAME[=VALUE]...] [--json]", "show and set parameters of TCP",
	  "  -a                 all of them, with their meaning (as without a word)\n"
	  "  NAME               its value; with or without net.ipv4. in front\n"
	  "  [-w] NAME=VALUE    set it: every socket, from the next time that it is looked at\n"
	  "  --json             print a JSON array: name, value, default, text, min, max\n\n"
	  "example:\n  weir sysctl tcp_ecn\n"
	  "  weir sysctl -w tcp_ecn=1 tcp_rmem='4096 131072 6291456'\n",
	  cmd_sysctl },
	{ "nstat", "[-z] [NAME...] [--json]", "TCP's counters, by the names of Linux's nstat",
	  "  NAME     those whose name holds NAME\n"
	  "  -z       those that are 0, too\n"
	  "  --json   print a JSON array: name, value, text\n\n"
	  "example:\n  weir nstat Retrans\n"
	  "  weir nstat --json | jq '.[] | select(.name == \"TcpRetransSegs\").value'\n",
	  cmd_nstat },
	{ "capture", "[-i PORT] [-w FILE] [--stage STAGE|--drops] [FILTER]",
	  "packets as they pass, as text or into files, as tcpdump does",
	  "  -i PORT[,PORT]    of these ports; any is the default. -D lists them\n"
	  "  --ingress, --egress   as they come in, as they go out; both is the default\n"
	  "  --stage STAGE[,STAGE]   at stages of the path (weir path lists them)\n"
	  "  --drops           dropped ones, each with its reason and place\n"
	  "  -c COUNT          end after so many          --for 10s   end after a time\n"
	  "  -s BYTES          of each packet (262144)    -B KIB      room in the ring (16384)\n"
	  "  -w FILE           to a file, pcapng; - is standard output\n"
	  "  -C MB, -G SECONDS, -W FILES   next file by size, by time; how many files\n"
	  "  --pcap-format     the old format             -U   write packet by packet\n"
	  "  --fix-checksums   fill in checksums that are left to the card\n"
	  "  -x, -X            bytes in hexadecimal, with characters too; -e: Ethernet header\n"
	  "  -q                no words at the beginning and the end\n"
	  "  --json            one JSON object a packet, a line each; counts at the end\n"
	  "  FILTER            libpcap's words (man pcap-filter)\n\n"
	  "example:\n  weir capture -i weir0 -c 10 tcp port 80\n"
	  "  weir capture --drops -w drops.pcapng\n"
	  "  weir capture -w - | tshark -r -\n",
	  cmd_capture },
	{ "stop", "", "end the daemon in order",
	  "example:\n  weir stop\n  weir --instance blue stop\n", cmd_stop },
	{ 0 },
};

static void usage(FILE *to)
{
	fprintf(to, "usage: weir [--instance NAME] [--rundir DIR] COMMAND [ARGUMENT...]\n\n"
		    "weir is the Linux network subsystem as a program; its daemon is weird(8).\n\n"
		    "commands:\n");
	for (const struct cli_command *c = cli_commands; c->name; c++)
		fprintf(to, "  %-9s  %s\n", c->name, c->summary);
	fprintf(to,
		"\noptions:\n"
		"  --instance NAME  which weird (default: $WEIR_INSTANCE, else " CLI_INSTANCE ")\n"
		"  --rundir DIR     where instances live (default: $WEIR_RUNDIR, else " CLI_RUNDIR
		", or\n"
		"                   $XDG_RUNTIME_DIR/weir when not root)\n"
		"  --help           this text; weir COMMAND --help: a command's\n"
		"  --version        the version\n\n"
		"example:\n"
		"  weird --port tap,name=weir0 --addr 198.18.0.2/24 &\n"
		"  weir run -- nginx\n"
		"  weir ledger\n");
}

void cli_help(const struct cli_command *command, FILE *to)
{
	fprintf(to, "usage: weir [--instance NAME] %s%s%s\n\n%s.\n\n%s", command->name,
		command->args[0] ? " " : "", command->args, command->summary,
		command->help ? command->help : "");
	fprintf(to, "\nMore: man weir-%s\n", command->name);
}

int cli_misuse(const struct cli_command *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "weir %s: ", command->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nusage: weir %s %s\n       weir %s --help says more\n", command->name,
		command->args, command->name);
	return CLI_USAGE;
}

int cli_fail(const char *format, ...)
{
	va_list args;

	fputs("weir: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return CLI_FAILED;
}

int cli_print_json(json_t *document)
{
	int rc = document
			 ? json_dumpf(document, stdout,
				      JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6))
			 : -1;

	json_decref(document);
	if (rc == 0)
		rc = putchar('\n') == EOF || fflush(stdout) ? -1 : 0;
	return rc ? cli_fail("cannot write: %s", strerror(errno)) : CLI_OK;
}

int cli_options(const struct cli_command *command, int argc, char **argv, bool *json, int *status)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ 0 },
	};
	int c;

	optind = 0; /* start again: main used getopt before */
	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			cli_help(command, stdout);
			*status = CLI_OK;
			return -1;
		}
		if (c == 'j' && json) {
			*json = true;
			continue;
		}
		*status = cli_misuse(command, "no such option: %s", argv[optind - 1]);
		return -1;
	}
	return optind;
}

/* A name becomes a folder's name: no way out of the run folder. As weird has it. */
static bool instance_ok(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";

	return name[0] && strlen(name) <= 32 && name[0] != '.' && name[0] != '-' &&
	       !name[strspn(name, allowed)];
}

static const struct cli_command *command_find(const char *name)
{
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

/* Where weird has its sockets when it is not told: root's place, or the user's own. */
const char *cli_default_rundir(void)
{
	static char path[256];
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		return CLI_RUNDIR;
	if (runtime && *runtime)
		snprintf(path, sizeof(path), "%s/weir", runtime);
	else
		snprintf(path, sizeof(path), "/tmp/weir-%u", (unsigned int)geteuid());
	return path;
}

static void defaults_from_environment(void)
{
	const char *instance = getenv("WEIR_INSTANCE"), *rundir = getenv("WEIR_RUNDIR");
	const char *term = getenv("TERM");

	cli.rundir = cli_default_rundir();

	if (instance && *instance)
		cli.instance = instance;
	if (rundir && *rundir)
		cli.rundir = rundir;
	cli.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && term && strcmp(term, "dumb");
}

/* The global options: the index of the command in argv, or -1 when we are done with *status. */
static int global_options(int argc, char **argv, int *status)
{
	static const struct option options[] = {
		{ "instance", required_argument, NULL, 'i' },
		{ "rundir", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+hi:", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			cli.instance = optarg;
			break;
		case 'r':
			cli.rundir = optarg;
			break;
		case 'h':
			usage(stdout);
			*status = CLI_OK;
			return -1;
		case 'v':
			printf("weir %s\n", WEIR_VERSION);
			*status = CLI_OK;
			return -1;
		default:
			fprintf(stderr, "weir --help lists options and commands\n");
			*status = CLI_USAGE;
			return -1;
		}
	}
	return optind;
}

int main(int argc, char **argv)
{
	const struct cli_command *command;
	int status = CLI_USAGE, at;

	defaults_from_environment();
	at = global_options(argc, argv, &status);
	if (at < 0)
		return status;
	if (at == argc) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (!instance_ok(cli.instance)) {
		cli_fail("'%s' cannot be an instance's name: at most 32 letters, digits, '_', "
			 "'.' and '-', "
			 "beginning with a letter or digit",
			 cli.instance);
		return CLI_USAGE;
	}
	command = command_find(argv[at]);
	if (!command) {
		cli_fail("there is no command '%s'", argv[at]);
		fprintf(stderr, "      weir --help lists the commands\n");
		return CLI_USAGE;
	}
	/* So that `weir run`, and a weir that a program starts, mean the same instance. */
	setenv("WEIR_INSTANCE", cli.instance, 1);
	setenv("WEIR_RUNDIR", cli.rundir, 1);
	return command->fn(command, argc - at, argv + at);
}
