/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of /proc/net about a host on a wire, column by column. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bin/weird/setup.h"
#include "common/testing.h"
#include "dev/wire.h"
#include "engine/below.h"
#include "inet/inet.h"
#include "procnet/procnet.h"

static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };
static char error[ENGINE_ERROR_BYTES];

static struct program *host_open(void)
{
	static struct program host;

	below_begin(&host, false);
	return &host;
}

static void host_close(struct program *h)
{
	below_settle(h);
	frame_take_all(h->port);
	below_end(h);
}

/* The peer asks who we are, so that we know it too. */
static void host_meet(struct program *h)
{
	uint8_t frame[64];
	size_t len = frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, peer_mac, PEER,
			       frame_broadcast, US);

	assert_int_equal(wire_put(h->port, frame, len), 0);
	below_settle(h);
	frame_take_all(h->port);
}

/* The file's text, with an end; the caller's. */
static char *file_of(struct program *h, const char *name)
{
	const struct procnet p = { .worker = h->engine->worker, .worker_count = 1 };
	char *text = NULL;
	size_t len = 0;

	assert_int_equal(procnet_read(&p, name, &text, &len), 0);
	assert_int_equal(strlen(text), len);
	return text;
}

/* The nth line, without its end; "" where there is none. The same place each time. */
static const char *line_of(const char *text, unsigned int n)
{
	static char line[256];
	const char *end;

	for (; n && text; n--) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	end = text ? strchr(text, '\n') : NULL;
	assert_true(!end || (size_t)(end - text) < sizeof(line));
	snprintf(line, sizeof(line), "%.*s", end ? (int)(end - text) : 0, text ? text : "");
	return line;
}

static void test_dev(void **state)
{
	struct program *h = host_open();
	unsigned long long rx_bytes, rx_packets, errors, dropped, missed, tx_bytes, tx_packets;
	struct port_stats s = { 0 };
	char name[16], *text;

	host_meet(h);
	port_stats(h->port, &s);
	assert_true(s.rx_packets > 0 && s.tx_packets > 0);
	text = file_of(h, "dev");
	assert_non_null(strstr(line_of(text, 0), "|   Receive"));
	assert_int_equal(strncmp(line_of(text, 2), "    lo:", 7), 0);
	assert_int_equal(sscanf(line_of(text, 3),
				" %15[^:]: %llu %llu %llu %llu %llu 0 0 0 %llu %llu 0 0 0 0 0 0",
				name, &rx_bytes, &rx_packets, &errors, &dropped, &missed, &tx_bytes,
				&tx_packets),
			 8);
	assert_string_equal(name, h->port->name);
	assert_int_equal(rx_bytes, s.rx_bytes);
	assert_int_equal(rx_packets, s.rx_packets);
	assert_int_equal(errors + dropped + missed, 0);
	assert_int_equal(tx_bytes, s.tx_bytes);
	assert_int_equal(tx_packets, s.tx_packets);
	assert_string_equal(line_of(text, 4), "");
	free(text);
	host_close(h);
}

static void test_route(void **state)
{
	struct program *h = host_open();
	char *text, expected[128];

	assert_int_equal(setup_route(h->engine, "10.1.0.0/16 via 198.18.0.1", error), 0);
	assert_int_equal(setup_route(h->engine, "default via 198.18.0.1", error), 0);
	text = file_of(h, "route");
	assert_int_equal(strlen(line_of(text, 0)), 127);
	/* default, then the shorter prefix first; addresses as the host's words */
	snprintf(expected, sizeof(expected), "%s\t00000000\t010012C6\t0003\t0\t0\t0\t00000000",
		 h->port->name);
	assert_int_equal(strncmp(line_of(text, 1), expected, strlen(expected)), 0);
	snprintf(expected, sizeof(expected), "%s\t0000010A\t010012C6\t0003\t0\t0\t0\t0000FFFF",
		 h->port->name);
	assert_int_equal(strncmp(line_of(text, 2), expected, strlen(expected)), 0);
	snprintf(expected, sizeof(expected), "%s\t000012C6\t00000000\t0001\t0\t0\t0\t00FFFFFF",
		 h->port->name);
	assert_int_equal(strncmp(line_of(text, 3), expected, strlen(expected)), 0);
	assert_string_equal(line_of(text, 4), "");
	free(text);
	host_close(h);
}

static void test_arp(void **state)
{
	struct program *h = host_open();
	char *text = file_of(h, "arp"), expected[128];

	assert_string_equal(line_of(text, 1), "");
	free(text);
	host_meet(h);
	text = file_of(h, "arp");
	snprintf(expected, sizeof(expected),
		 "198.18.0.1       0x1         0x2         02:00:00:00:00:01     *        %s",
		 h->port->name);
	assert_string_equal(line_of(text, 1), expected);
	assert_string_equal(line_of(text, 2), "");
	free(text);
	host_close(h);
}

/* A listener, a datagram socket, and what sockstat counts of them. */
static void test_sockets(void **state)
{
	struct app_sock listener = { ABI_SOCK_NONE, 0 }, udp = { ABI_SOCK_NONE, 0 };
	struct program *h = host_open();
	char *text;

	assert_int_equal(app_bind(&h->app, &listener, SOCK_STREAM, 0, 80), 0);
	text = file_of(h, "tcp"); /* bound and no more: Linux does not show it either */
	assert_string_equal(line_of(text, 1), "");
	free(text);
	assert_int_equal(app_listen(&h->app, listener, 5), 0);
	assert_int_equal(app_bind(&h->app, &udp, SOCK_DGRAM, US, 53), 0);
	text = file_of(h, "tcp");
	assert_int_equal(strlen(line_of(text, 0)), 149);
	assert_int_equal(strncmp(line_of(text, 1),
				 "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:", 57),
			 0);
	assert_int_equal(strlen(line_of(text, 1)), 149);
	assert_string_equal(line_of(text, 2), "");
	free(text);
	text = file_of(h, "udp");
	assert_int_equal(strncmp(line_of(text, 1),
				 "    0: 020012C6:0035 00000000:0000 07 00000000:00000000 00:", 58),
			 0);
	assert_int_equal(strlen(line_of(text, 1)), 127);
	free(text);
	text = file_of(h, "sockstat");
	assert_string_equal(text, "sockets: used 2\nTCP: inuse 1 orphan 0 tw 0\nUDP: inuse 1\n"
				  "RAW: inuse 0\n");
	free(text);
	app_release(&h->app, listener);
	app_release(&h->app, udp);
	host_close(h);
}

/* As many names as values in each group, and what was counted under its name. */
static void test_counters(void **state)
{
	struct app_sock s = { ABI_SOCK_NONE, 0 };
	struct program *h = host_open();
	char *text, *name, *value, *names_at, *values_at;
	bool found = false;

	assert_int_equal(app_connect(&h->app, &s, SOCK_STREAM, 0x7f000001u, 9), -EINPROGRESS);
	below_settle(h); /* and is refused */
	text = file_of(h, "snmp");
	value = strchr(text, '\n') + 1;
	name = strtok_r(text, " \n", &names_at);
	value = strtok_r(value, " \n", &values_at);
	for (; value;
	     name = strtok_r(NULL, " ", &names_at), value = strtok_r(NULL, " \n", &values_at)) {
		assert_non_null(name);
		if (strcmp(name, "AttemptFails") == 0) {
			assert_string_equal(value, "1");
			found = true;
		}
	}
	assert_true(found);
	free(text);
	app_release(&h->app, s);
	host_close(h);
}

/* IPv6's files are there and say that there is none; what weir does not have is not there. */
static void test_names(void **state)
{
	static const char *const none[] = { "", "fib_trie", "nf_conntrack", "../dev", "dev/" };
	struct program *h = host_open();
	const struct procnet p = { .worker = h->engine->worker, .worker_count = 1 };
	char *text = file_of(h, "if_inet6");
	size_t len;

	assert_string_equal(text, "");
	free(text);
	text = file_of(h, "tcp6");
	assert_non_null(strstr(line_of(text, 0), "local_address"));
	assert_string_equal(line_of(text, 1), "");
	free(text);
	for (unsigned int i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		text = NULL;
		assert_int_equal(procnet_read(&p, none[i], &text, &len), -ENOENT);
		assert_null(text);
	}
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dev),	 cmocka_unit_test(test_route),
		cmocka_unit_test(test_arp),	 cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_counters), cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
