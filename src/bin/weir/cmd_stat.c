/* SPDX-License-Identifier: BSD-3-Clause */
/* weir stat: stages, ports, workers, sockets. weir path: the same stages, read as a way. */
#include <string.h>

#include "bin/weir/cli.h"
#include "bin/weir/cmd_print.h"

static void heading(const char *text)
{
	printf("%s%s%s\n", cli_colour(CLI_BOLD), text, cli_colour(CLI_PLAIN));
}

/* ---- stages ---- */

/* The stages of one direction; all of them, or only those that a packet has seen. */
static void print_stages(const json_t *stages, const char *direction, bool all)
{
	static const char *const heads[] = { "stage",	      "packets",       "bursts",  "drops",
					     "packets/burst", "cycles/packet", "in Linux" };
	struct cli_table *t = cli_table_new("lrrrrrl", heads);
	const json_t *stage;
	size_t i;

	json_array_foreach(stages, i, stage)
	{
		if (strcmp(cli_string(stage, "direction"), direction))
			continue;
		if (!all && !cli_int(stage, "packets"))
			continue;
		cli_table_cell(t, "%s", cli_string(stage, "stage"));
		cli_table_number(t, cli_int(stage, "packets"));
		cli_table_number(t, cli_int(stage, "bursts"));
		cli_table_number(t, cli_int(stage, "drops"));
		cli_table_cell(t, "%.1f",
			       json_number_value(json_object_get(stage, "packets_per_burst")));
		if (cli_int(stage, "cycles"))
			cli_table_cell(
				t, "%.0f",
				json_number_value(json_object_get(stage, "cycles_per_packet")));
		else
			cli_table_cell(t, "-");
		cli_table_cell(t, "%s", cli_string(stage, "linux"));
	}
	cli_table_print(t, stdout);
}

static void part_stages(const json_t *stat)
{
	const json_t *stages = json_object_get(stat, "stages");

	heading("stages, receive");
	print_stages(stages, "receive", false);
	heading("stages, send");
	print_stages(stages, "send", false);
}

/* ---- ports ---- */

static void print_losses(const json_t *port)
{
	const json_t *loss;
	char text[CLI_NUMBER_BYTES];
	size_t i;

	json_array_foreach(json_object_get(port, "losses"), i, loss)
	{
		if (cli_int(loss, "count"))
			printf("    %s%s %s%s: %s\n", cli_colour(CLI_YELLOW),
			       cli_string(loss, "name"), cli_number(cli_int(loss, "count"), text),
			       cli_colour(CLI_PLAIN), cli_string(loss, "text"));
	}
}

void print_port(const json_t *port)
{
	char rx[CLI_NUMBER_BYTES], tx[CLI_NUMBER_BYTES], waiting[CLI_NUMBER_BYTES], caps[128];

	printf("  %lld: %s%s%s  %s, %s, %s, mtu %lld, %lld queue%s, sleeps by %s\n",
	       (long long)cli_int(port, "ifindex"), cli_colour(CLI_BOLD), cli_string(port, "name"),
	       cli_colour(CLI_PLAIN), cli_string(port, "type"), cli_string(port, "mac"),
	       json_is_true(json_object_get(port, "up")) ? "up" : "down",
	       (long long)cli_int(port, "mtu"), (long long)cli_int(port, "queues"),
	       cli_int(port, "queues") == 1 ? "" : "s", cli_string(port, "sleep"));
	cli_join(json_object_get(port, "addresses"), ", ", caps, sizeof(caps));
	if (caps[0])
		printf("    addresses %s\n", caps);
	cli_join(json_object_get(port, "caps"), ", ", caps, sizeof(caps));
	printf("    offloads  %s\n", caps[0] ? caps : "none");
	printf("    received  %s packets, %s bytes\n", cli_number(cli_int(port, "rx_packets"), rx),
	       cli_number(cli_int(port, "rx_bytes"), waiting));
	printf("    sent      %s packets, %s bytes", cli_number(cli_int(port, "tx_packets"), tx),
	       cli_number(cli_int(port, "tx_bytes"), waiting));
	if (cli_int(port, "tx_backlog"))
		printf(", %s wait", cli_number(cli_int(port, "tx_backlog"), waiting));
	putchar('\n');
	print_losses(port);
}

static void part_ports(const json_t *stat)
{
	const json_t *port;
	size_t i;

	heading("ports");
	json_array_foreach(json_object_get(stat, "ports"), i, port) print_port(port);
}

/* ---- workers ---- */

static void part_workers(const json_t *stat)
{
	static const char *const heads[] = { "worker", "loops",	 "with work",
					     "sleeps", "timers", "buffers free",
					     "of",     "held",	 "balance" };
	struct cli_table *t = cli_table_new("rrrrrrrrr", heads);
	const json_t *worker;
	size_t i;

	heading("workers");
	json_array_foreach(json_object_get(stat, "workers"), i, worker)
	{
		const json_t *pool = json_object_get(worker, "pool");
		const json_t *ledger = json_object_get(worker, "ledger");
		const json_t *loop = json_object_get(worker, "loop");

		cli_table_number(t, cli_int(worker, "worker"));
		cli_table_number(t, cli_int(loop, "loops"));
		cli_table_number(t, cli_int(loop, "busy_loops"));
		cli_table_number(t, cli_int(loop, "sleeps"));
		cli_table_number(t, cli_int(worker, "timers"));
		cli_table_number(t, cli_int(pool, "free"));
		cli_table_number(t, cli_int(pool, "size"));
		cli_table_number(t, cli_int(ledger, "held"));
		cli_table_number(t, cli_int(ledger, "balance"));
	}
	cli_table_print(t, stdout);
}

/* ---- sockets ---- */

/* A word as ss(8) has it, where there is something to say. */
static void detail(const json_t *tcp, const char *member, const char *word, double divide)
{
	json_int_t value = cli_int(tcp, member);

	if (value && divide <= 1)
		printf(" %s:%.0f", word, (double)value / divide);
	else if (value)
		printf(" %s:%g", word, (double)value / divide);
}

/* As `ss -ti`: bytes, packets, milliseconds, bits a second. */
static void print_detail(const json_t *tcp)
{
	char options[128];

	cli_join(json_object_get(tcp, "options"), " ", options, sizeof(options));
	printf("\t %s%s%s wscale:%lld,%lld", options, options[0] ? " " : "",
	       cli_string(tcp, "congestion"), (long long)cli_int(tcp, "snd_wscale"),
	       (long long)cli_int(tcp, "rcv_wscale"));
	detail(tcp, "rto", "rto", 1000);
	printf(" rtt:%g/%g", (double)cli_int(tcp, "rtt") / 1000,
	       (double)cli_int(tcp, "rttvar") / 1000);
	detail(tcp, "snd_mss", "mss", 1);
	detail(tcp, "pmtu", "pmtu", 1);
	detail(tcp, "snd_cwnd", "cwnd", 1);
	if (cli_int(tcp, "snd_ssthresh") < 0x7fffffff)
		detail(tcp, "snd_ssthresh", "ssthresh", 1);
	detail(tcp, "bytes_sent", "bytes_sent", 1);
	detail(tcp, "bytes_retrans", "bytes_retrans", 1);
	detail(tcp, "bytes_acked", "bytes_acked", 1);
	detail(tcp, "bytes_received", "bytes_received", 1);
	detail(tcp, "segs_out", "segs_out", 1);
	detail(tcp, "segs_in", "segs_in", 1);
	detail(tcp, "unacked", "unacked", 1);
	detail(tcp, "lost", "lost", 1);
	detail(tcp, "sacked", "sacked", 1);
	detail(tcp, "backoff", "backoff", 1);
	if (cli_int(tcp, "total_retrans"))
		printf(" retrans:%lld/%lld", (long long)cli_int(tcp, "retrans"),
		       (long long)cli_int(tcp, "total_retrans"));
	detail(tcp, "delivery_rate", "delivery_rate", 1.0 / 8);
	detail(tcp, "notsent_bytes", "notsent", 1);
	detail(tcp, "busy_time", "busy_ms", 1000);
	detail(tcp, "rwnd_limited", "rwnd_limited_ms", 1000);
	detail(tcp, "sndbuf_limited", "sndbuf_limited_ms", 1000);
	detail(tcp, "min_rtt", "minrtt", 1000);
	printf(" snd_wnd:%lld rcv_wnd:%lld\n", (long long)cli_int(tcp, "snd_wnd"),
	       (long long)cli_int(tcp, "rcv_wnd"));
}

static void part_details(const json_t *stat)
{
	const json_t *sock, *tcp;
	size_t i;

	json_array_foreach(json_object_get(stat, "sockets"), i, sock)
	{
		printf("  %s %s %lld %lld %s %s\n", cli_string(sock, "proto"),
		       cli_string(sock, "state"), (long long)cli_int(sock, "recv_q"),
		       (long long)cli_int(sock, "send_q"), cli_string(sock, "local"),
		       cli_string(sock, "remote"));
		tcp = json_object_get(sock, "tcp");
		if (tcp)
			print_detail(tcp);
	}
}

static void part_sockets(const json_t *stat)
{
	static const char *const heads[] = { "proto", "state", "recv-q", "send-q",
					     "local", "peer",  "program" };
	struct cli_table *t = cli_table_new("llrrlll", heads);
	const json_t *sock;
	size_t i;

	heading("sockets");
	json_array_foreach(json_object_get(stat, "sockets"), i, sock)
	{
		cli_table_cell(t, "%s", cli_string(sock, "proto"));
		cli_table_cell(t, "%s", cli_string(sock, "state"));
		cli_table_number(t, cli_int(sock, "recv_q"));
		cli_table_number(t, cli_int(sock, "send_q"));
		cli_table_cell(t, "%s", cli_string(sock, "local"));
		cli_table_cell(t, "%s", cli_string(sock, "remote"));
		if (cli_int(sock, "pid"))
			cli_table_cell(t, "%s (pid %lld)", cli_string(sock, "program"),
				       (long long)cli_int(sock, "pid"));
		else
			cli_table_cell(t, "-");
	}
	cli_table_print(t, stdout);
}

static const struct part {
	const char *name;
	void (*print)(const json_t *stat);
} parts[] = {
	{ "stages", part_stages },
	{ "ports", part_ports },
	{ "workers", part_workers },
	{ "sockets", part_sockets },
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

static const struct part *part_find(const char *name)
{
	for (size_t i = 0; i < PARTS; i++) {
		if (strcmp(parts[i].name, name) == 0)
			return &parts[i];
	}
	return NULL;
}

/* With --json and a part: {part: [...]} only. */
static int stat_json(json_t *stat, const struct part *part)
{
	json_t *only;

	if (!part)
		return cli_print_json(stat);
	only = json_pack("{s:O}", part->name, json_object_get(stat, part->name));
	json_decref(stat);
	return cli_print_json(only);
}

/* -i: is it there? It is taken out. */
static bool wants_details(int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "-i"))
			continue;
		memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof(*argv));
		--*argc;
		return true;
	}
	return false;
}

int cmd_stat(const struct cli_command *command, int argc, char **argv)
{
	bool as_json = false, details = wants_details(&argc, argv);
	int status, at = cli_options(command, argc, argv, &as_json, &status);
	const struct part *part = NULL;
	json_t *stat;

	if (at < 0)
		return status;
	if (at < argc) {
		part = part_find(argv[at]);
		if (!part || at + 1 < argc)
			return cli_misuse(command, "what is '%s'?", part ? argv[at + 1] : argv[at]);
	}
	if (details && (!part || part->print != part_sockets))
		return cli_misuse(command, "-i is for sockets: weir stat sockets -i");
	stat = cli_ask(json_pack("{s:s, s:b}", "cmd", "stat", "tcp", (int)details));
	if (!stat)
		return CLI_FAILED;
	if (as_json)
		return stat_json(stat, part);
	if (details) {
		part_details(stat);
		json_decref(stat);
		return CLI_OK;
	}
	for (size_t i = 0; i < PARTS; i++) {
		if (part && part != &parts[i])
			continue;
		parts[i].print(stat);
		if (!part && i + 1 < PARTS)
			putchar('\n');
	}
	json_decref(stat);
	return CLI_OK;
}

int cmd_path(const struct cli_command *command, int argc, char **argv)
{
	bool as_json = false;
	int status, at = cli_options(command, argc, argv, &as_json, &status);
	json_t *stat, *drops;

	if (at < 0)
		return status;
	if (at != argc)
		return cli_misuse(command, "what is '%s'?", argv[at]);
	stat = cli_ask(json_pack("{s:s}", "cmd", "stat"));
	if (!stat)
		return CLI_FAILED;
	drops = json_object_get(json_object_get(stat, "ledger"), "drops");
	if (as_json) {
		json_t *path = json_pack("{s:O, s:O}", "stages", json_object_get(stat, "stages"),
					 "drops", drops);

		json_decref(stat);
		return cli_print_json(path);
	}
	heading("receive: from the wire to the socket");
	print_stages(json_object_get(stat, "stages"), "receive", true);
	heading("\nsend: from the socket to the wire");
	print_stages(json_object_get(stat, "stages"), "send", true);
	if (json_array_size(drops)) {
		heading("\ndrops on the way");
		print_drops(drops);
	} else {
		printf("\nnothing was dropped\n");
	}
	json_decref(stat);
	return CLI_OK;
}
