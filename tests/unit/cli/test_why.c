/* SPDX-License-Identifier: BSD-3-Clause */
/* weir why: what two readings say. Conditions that no machine without the hardware can have (a
 * broken cable) are here only; the others are provoked by tests/system/test_why.py, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "bin/weir/cli.h"
#include "bin/weir/why/why.h"

struct cli cli;

/* A UDP datagram from 198.18.0.1 port 4660 to 198.18.0.2 port 53, in its Ethernet frame. */
#define UDP_FRAME                                                                                  \
	"020000000001020000000002"                                                                 \
	"0800"                                                                                     \
	"4500001d000000004011aaaac6120001c6120002"                                                 \
	"12340035000900007800"
#define UDP_PACKET "4500001d000000004011aaaac6120001c612000212340035000900007800"

static json_t *reading(json_int_t second)
{
	return json_pack("{s:I, s:{s:{s:i, s:i, s:[]}, s:[], s:[], s:[]}, s:[], s:[], s:[], s:[]}",
			 "time_ns", second * 1000000000, "stat", "ledger", "held", 0,
			 "alloc_failed", 0, "drops", "ports", "workers", "sockets", "counters",
			 "recent", "parameters", "routes");
}

static json_t *part(json_t *r, const char *name)
{
	return json_object_get(json_object_get(r, "stat"), name);
}

static void add_drop(json_t *r, const char *reason, json_int_t count, const char *severity)
{
	json_array_append_new(json_object_get(part(r, "ledger"), "drops"),
			      json_pack("{s:s, s:s, s:s, s:i, s:I, s:s, s:s}", "reason", reason,
					"function", "f", "file", "src/f.c", "line", 7, "count",
					count, "severity", severity, "text", "words"));
}

static void add_named(json_t *r, const char *list, const char *name, const char *value)
{
	json_array_append_new(json_object_get(r, list),
			      json_pack("{s:s, s:s}", "name", name, "value", value));
}

static void add_counter(json_t *r, const char *name, json_int_t value)
{
	json_array_append_new(json_object_get(r, "counters"),
			      json_pack("{s:s, s:I}", "name", name, "value", value));
}

static void add_port(json_t *r, const char *driver, const char *loss, json_int_t count)
{
	json_array_append_new(part(r, "ports"),
			      json_pack("{s:i, s:s, s:s, s:s, s:i, s:i, s:[{s:s, s:I}], s:[s]}",
					"ifindex", 2, "name", "weir0", "type", "tap", "driver",
					driver, "rx_ring", 1000, "txqueuelen", 1024, "losses",
					"name", loss, "count", count, "addresses",
					"198.18.0.2/24"));
}

static void add_sock(json_t *r, const char *proto, const char *state, json_int_t drops,
		     json_int_t rcvbuf, bool asked)
{
	json_array_append_new(part(r, "sockets"),
			      json_pack("{s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:I, s:I, s:b}",
					"proto", proto, "state", state, "local", "0.0.0.0:53",
					"pid", 42, "program", "named", "worker", 0, "recv_q", 9,
					"send_q", 8, "drops", drops, "rcvbuf", rcvbuf,
					"rcvbuf_asked", (int)asked));
}

static void add_recent(json_t *r, const char *reason, const char *head)
{
	json_array_append_new(json_object_get(r, "recent"),
			      json_pack("{s:s, s:i, s:i, s:s}", "reason", reason, "age_us", 1000,
					"ifindex", 2, "head", head));
}

struct pair {
	json_t *before, *after, *found;
};

static int setup(void **state)
{
	static struct pair pair;

	pair.before = reading(10);
	pair.after = reading(12);
	pair.found = NULL;
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	json_decref(p->before);
	json_decref(p->after);
	json_decref(p->found);
	return 0;
}

static json_t *find(struct pair *p)
{
	json_decref(p->found);
	p->found = why_find(p->before, p->after);
	assert_non_null(p->found);
	return json_object_get(p->found, "findings");
}

/* The only finding; it has this name. */
static const json_t *the_one(struct pair *p, const char *name)
{
	json_t *findings = find(p);

	assert_int_equal(json_array_size(findings), 1);
	assert_string_equal(cli_string(json_array_get(findings, 0), "name"), name);
	return json_array_get(findings, 0);
}

static void has_command(const json_t *finding, const char *command)
{
	const json_t *each;
	size_t i;

	json_array_foreach(json_object_get(finding, "commands"), i, each)
	{
		if (strcmp(json_string_value(each), command) == 0)
			return;
	}
	fail_msg("no command %s", command);
}

static void nothing_is_lost(void **state)
{
	struct pair *p = *state;

	assert_int_equal(json_array_size(find(p)), 0);
	/* What was lost before is over. */
	add_drop(p->before, "NOMEM", 5, "warn");
	add_drop(p->after, "NOMEM", 5, "warn");
	add_port(p->before, "tun", "rx_missed", 7);
	add_port(p->after, "tun", "rx_missed", 7);
	assert_int_equal(json_array_size(find(p)), 0);
}

static void readings_without_anything_are_no_harm(void **state)
{
	struct pair *p = *state;
	json_t *empty = json_object(), *found = why_find(empty, empty);

	assert_int_equal(json_array_size(json_object_get(found, "findings")), 0);
	json_decref(found);
	found = why_find(empty, p->after);
	json_decref(found);
	json_decref(empty);
}

static void counts_and_rates(void **state)
{
	struct pair *p = *state;
	const json_t *finding, *site;

	add_drop(p->before, "NO_SOCKET", 4, "info");
	add_drop(p->after, "NO_SOCKET", 14, "info");
	add_recent(p->after, "NO_SOCKET", UDP_FRAME);
	finding = the_one(p, "no-socket");
	assert_int_equal(cli_int(finding, "lost"), 10);
	assert_int_equal(cli_int(finding, "total"), 14);
	assert_true(json_real_value(json_object_get(finding, "rate")) == 5.0);
	assert_string_equal(cli_string(finding, "title"), "nobody has 198.18.0.2 port 53 (UDP)");
	site = json_array_get(json_object_get(finding, "where"), 0);
	assert_string_equal(cli_string(site, "function"), "f");
	assert_int_equal(cli_int(site, "line"), 7);
	assert_int_equal(cli_int(site, "count"), 10);
}

static void the_most_important_is_first(void **state)
{
	struct pair *p = *state;
	json_t *findings;

	add_drop(p->after, "NO_SOCKET", 1000, "info");
	add_drop(p->after, "IP_INHDR", 3, "error");
	add_drop(p->after, "NOMEM", 1, "warn");
	findings = find(p);
	assert_int_equal(json_array_size(findings), 3);
	assert_string_equal(cli_string(json_array_get(findings, 0), "name"), "packet-buffers");
	assert_string_equal(cli_string(json_array_get(findings, 1), "name"), "other");
	assert_string_equal(cli_string(json_array_get(findings, 2), "name"), "no-socket");
	assert_true(cli_string(json_array_get(findings, 1), "change")[0]);
}

static void what_is_normal_is_no_finding(void **state)
{
	struct pair *p = *state;
	const json_t *normal;

	add_drop(p->after, "UNHANDLED_PROTO", 3, "info");
	assert_int_equal(json_array_size(find(p)), 0);
	normal = json_array_get(json_object_get(p->found, "normal"), 0);
	assert_string_equal(cli_string(normal, "reason"), "UNHANDLED_PROTO");
	assert_int_equal(cli_int(normal, "count"), 3);
}

static void a_tap_gets_a_longer_queue(void **state)
{
	struct pair *p = *state;

	add_port(p->before, "tun", "rx_missed", 5);
	add_port(p->after, "tun", "rx_missed", 505);
	has_command(the_one(p, "receive-ring"), "ip link set dev weir0 txqueuelen 2048");
}

static void a_card_gets_a_worker_more(void **state)
{
	struct pair *p = *state;

	json_array_append_new(part(p->after, "workers"), json_object());
	add_port(p->after, "net_ixgbe", "rx_missed", 505);
	has_command(the_one(p, "receive-ring"), "weird --workers 2");
}

static void a_broken_cable(void **state)
{
	struct pair *p = *state;
	const json_t *finding;

	add_port(p->before, "net_ixgbe", "rx_crc", 0);
	add_port(p->after, "net_ixgbe", "rx_crc", 30);
	finding = the_one(p, "broken-frames");
	assert_int_equal(cli_int(finding, "lost"), 30);
	assert_non_null(strstr(cli_string(finding, "change"), "cable"));
	has_command(finding, "weir ethtool weir0 -S");
}

static void a_device_that_loses_what_it_has(void **state)
{
	struct pair *p = *state;

	add_port(p->after, "net_ixgbe", "tx_lost", 3);
	has_command(the_one(p, "send-lost"), "weir ethtool weir0 -S");
	json_array_clear(part(p->after, "ports"));
	add_port(p->after, "tun", "tx_lost", 3);
	has_command(the_one(p, "send-lost"), "weir dropwatch --kernel");
}

static void a_full_arena(void **state)
{
	struct pair *p = *state;
	json_t *drop;

	add_drop(p->after, "NOMEM", 9, "warn");
	drop = json_array_get(json_object_get(part(p->after, "ledger"), "drops"), 0);
	json_object_set_new(drop, "function", json_string("dgram_deliver"));
	add_named(p->after, "parameters", "rmem_default", "8388608");
	has_command(the_one(p, "program-memory"), "weir sysctl net.core.rmem_default=262144");
	json_object_set_new(part(p->after, "ledger"), "alloc_failed", json_integer(1));
	has_command(the_one(p, "packet-buffers"), "weird --packets 1");
}

static void a_receive_buffer(void **state)
{
	struct pair *p = *state;
	const json_t *finding;

	add_drop(p->after, "SOCKET_RCVBUFF", 9, "warn");
	add_sock(p->before, "udp", "UNCONN", 1, 262144, false);
	add_sock(p->after, "udp", "UNCONN", 10, 262144, false);
	finding = the_one(p, "receive-buffer");
	has_command(finding, "weir sysctl net.core.rmem_default=1048576");
	assert_non_null(strstr(cli_string(finding, "title"), "named (pid 42)"));
	/* The program's own wish: it has to wish for more, and be let. */
	json_array_clear(part(p->after, "sockets"));
	add_sock(p->after, "udp", "UNCONN", 10, 2097152, true);
	add_named(p->after, "parameters", "rmem_max", "4194304");
	finding = the_one(p, "receive-buffer");
	has_command(finding, "weir sysctl net.core.rmem_max=8388608");
	assert_non_null(strstr(cli_string(finding, "change"), "setsockopt(SO_RCVBUF, 8388608)"));
	/* As large as they get. */
	json_array_clear(part(p->after, "sockets"));
	add_sock(p->after, "udp", "UNCONN", 10, 8388608, true);
	finding = the_one(p, "receive-buffer");
	assert_int_equal(json_array_size(json_object_get(finding, "commands")), 0);
	assert_non_null(strstr(cli_string(finding, "change"), "SO_REUSEPORT"));
}

static void an_accept_queue(void **state)
{
	struct pair *p = *state;
	const json_t *finding;

	add_drop(p->after, "TCP_LISTEN_OVERFLOW", 9, "warn");
	add_sock(p->after, "tcp", "LISTEN", 9, 0, false);
	add_named(p->after, "parameters", "somaxconn", "8");
	finding = the_one(p, "accept-queue");
	has_command(finding, "weir sysctl net.core.somaxconn=128");
	assert_non_null(strstr(cli_string(finding, "change"), "listen(fd, 128)"));
	assert_non_null(strstr(cli_string(finding, "title"), "0.0.0.0:53"));
}

static void a_path_that_loses(void **state)
{
	struct pair *p = *state;

	add_counter(p->before, "TcpRetransSegs", 5);
	add_counter(p->before, "TcpOutSegs", 1000);
	add_counter(p->after, "TcpRetransSegs", 14);
	add_counter(p->after, "TcpOutSegs", 1500);
	assert_int_equal(json_array_size(find(p)), 0); /* a few are normal */
	add_counter(p->before, "x", 0);
	json_array_clear(json_object_get(p->after, "counters"));
	add_counter(p->after, "TcpRetransSegs", 55);
	add_counter(p->after, "TcpOutSegs", 2000);
	has_command(the_one(p, "path-loss"), "weir sysctl net.ipv4.tcp_congestion_control=bbr");
}

static void bounds_are_raised(void **state)
{
	struct pair *p = *state;
	json_t *findings;

	add_counter(p->after, "TcpExtTCPTimeWaitOverflow", 4);
	add_counter(p->after, "TcpExtTCPAbortOnMemory", 4);
	add_counter(p->after, "TcpExtTCPResetSkipped", 4);
	add_named(p->after, "parameters", "tcp_max_orphans", "4");
	add_named(p->after, "parameters", "tcp_reset_limit", "28");
	findings = find(p);
	assert_int_equal(json_array_size(findings), 3);
	has_command(json_array_get(findings, 0), "weir sysctl net.ipv4.tcp_max_orphans=16");
	has_command(json_array_get(findings, 1), "weir sysctl net.ipv4.tcp_max_tw_buckets=8");
	has_command(json_array_get(findings, 2), "weir sysctl net.ipv4.tcp_reset_limit=64");
}

static void a_neighbour_is_named(void **state)
{
	struct pair *p = *state;
	const json_t *finding;

	add_port(p->after, "tun", "rx_missed", 0);
	add_drop(p->after, "NEIGH_FAILED", 2, "warn");
	add_recent(p->after, "NEIGH_FAILED", UDP_PACKET);
	finding = the_one(p, "neighbour");
	assert_non_null(strstr(cli_string(finding, "title"), "198.18.0.2"));
	has_command(finding, "ip addr add 198.18.0.2/24 dev weir0");
	json_array_append_new(json_object_get(p->after, "routes"),
			      json_pack("{s:s, s:s, s:s}", "prefix", "198.18.0.0/16", "via",
					"198.18.0.9", "dev", "weir0"));
	finding = the_one(p, "neighbour");
	assert_non_null(strstr(cli_string(finding, "title"), "198.18.0.9"));
	has_command(finding, "weir route del 198.18.0.0/16");
}

static void packets_are_taken_apart(void **state)
{
	struct why_packet p;

	(void)state;
	why_packet_parse(UDP_FRAME, &p);
	assert_true(p.ethernet && p.ip);
	assert_string_equal(p.mac, "02:00:00:00:00:02");
	assert_string_equal(p.src, "198.18.0.1");
	assert_string_equal(p.dst, "198.18.0.2");
	assert_int_equal(p.src_port, 4660);
	assert_int_equal(p.dst_port, 53);
	assert_string_equal(p.proto, "UDP");
	why_packet_parse(UDP_PACKET, &p);
	assert_true(!p.ethernet && p.ip);
	assert_int_equal(p.dst_port, 53);
	/* Cut anywhere, and what is no hex. */
	for (size_t n = 0; n < sizeof(UDP_FRAME); n++) {
		char cut[sizeof(UDP_FRAME)];

		memcpy(cut, UDP_FRAME, n);
		cut[n] = '\0';
		why_packet_parse(cut, &p);
	}
	why_packet_parse("zz", &p);
	assert_false(p.ip);
	why_packet_parse("4f000000", &p);
	assert_false(p.ip);
}

static void routes_and_subnets(void **state)
{
	struct pair *p = *state;
	json_t *routes = json_object_get(p->after, "routes");
	unsigned int len = 0;

	add_port(p->after, "tun", "rx_missed", 0);
	json_array_append_new(routes, json_pack("{s:s, s:s}", "prefix", "default", "via", "a"));
	json_array_append_new(routes, json_pack("{s:s, s:s}", "prefix", "10.0.0.0/8", "via", "b"));
	json_array_append_new(routes, json_pack("{s:s, s:s}", "prefix", "10.1.0.0/16", "via", "c"));
	json_array_append_new(routes, json_pack("{s:s, s:s}", "prefix", "10.1/99", "via", "d"));
	assert_string_equal(cli_string(why_route(p->after, "10.1.2.3"), "via"), "c");
	assert_string_equal(cli_string(why_route(p->after, "10.2.2.3"), "via"), "b");
	assert_string_equal(cli_string(why_route(p->after, "192.0.2.1"), "via"), "a");
	assert_null(why_route(p->after, "nonsense"));
	assert_non_null(why_subnet(p->after, "198.18.0.200", &len));
	assert_int_equal(len, 24);
	assert_null(why_subnet(p->after, "198.18.1.200", &len));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing_is_lost),
		CASE(readings_without_anything_are_no_harm),
		CASE(counts_and_rates),
		CASE(the_most_important_is_first),
		CASE(what_is_normal_is_no_finding),
		CASE(a_tap_gets_a_longer_queue),
		CASE(a_card_gets_a_worker_more),
		CASE(a_broken_cable),
		CASE(a_device_that_loses_what_it_has),
		CASE(a_full_arena),
		CASE(a_receive_buffer),
		CASE(an_accept_queue),
		CASE(a_path_that_loses),
		CASE(bounds_are_raised),
		CASE(a_neighbour_is_named),
		CASE(packets_are_taken_apart),
		CASE(routes_and_subnets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
