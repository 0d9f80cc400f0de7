/* SPDX-License-Identifier: BSD-3-Clause */
/* Fifty thousand connections at a time: held for hours, a share of them with keepalive, all closed,
 * all memory back, and again. tests/bench/tcp_connections.c does it with a million and a clock. */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include "common/testing.h"
#include "engine/direct.h"
#include "inet/tcp/tcp_impl.h"
#include "weir.h"

#define PAIRS 25000u
#define GROUP 50u
#define PORTS 2u
#define SECOND 1000000000ull

static int client[PAIRS], server[PAIRS];

static struct sockaddr_in local(unsigned int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void set(struct weir *weir, int fd, int level, int name, int value)
{
	assert_int_equal(weir_setsockopt(weir, fd, level, name, &value, sizeof(value)), 0);
}

/* One in ten asks after a minute of silence, both ends in turn. */
static void set_keepalive(struct weir *weir, unsigned int i)
{
	int fd = i % 20 ? client[i] : server[i];

	if (i % 10)
		return;
	set(weir, fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(weir, fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
}

static void open_all(struct weir *weir, const int *listener)
{
	for (unsigned int at = 0; at < PAIRS; at += GROUP) {
		unsigned int which = at / (PAIRS / PORTS);
		struct sockaddr_in to = local(1000 + which);

		for (unsigned int i = at; i < at + GROUP; i++) {
			client[i] = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
			assert_true(client[i] >= 0);
			assert_int_equal(
				weir_connect(weir, client[i], (struct sockaddr *)&to, sizeof(to)),
				-1);
		}
		weir_engine_advance(weir, 0);
		for (unsigned int i = at; i < at + GROUP; i++) {
			server[i] = weir_accept(weir, listener[which], NULL, NULL);
			assert_true(server[i] >= 0);
			set_keepalive(weir, i);
		}
	}
}

/* Each is there, and its bytes come to its other end: found by the port that it came from. */
static void talk(struct weir *weir)
{
	for (unsigned int i = 0; i < PAIRS; i += 97) {
		assert_int_equal(weir_send(weir, client[i], &i, sizeof(i), 0), sizeof(i));
	}
	weir_engine_advance(weir, SECOND);
	for (unsigned int i = 0, got; i < PAIRS; i += 97) {
		struct sockaddr_in from, to;
		socklen_t len = sizeof(from);
		unsigned int j = i / GROUP * GROUP;

		/* Connections of a group may have been accepted in another order. */
		assert_int_equal(weir_getsockname(weir, client[i], (struct sockaddr *)&from, &len),
				 0);
		for (; j < (i / GROUP + 1) * GROUP; j++) {
			len = sizeof(to);
			weir_getpeername(weir, server[j], (struct sockaddr *)&to, &len);
			if (to.sin_port == from.sin_port)
				break;
		}
		assert_int_equal(weir_recv(weir, server[j], &got, sizeof(got), 0), sizeof(got));
		assert_int_equal(got, i);
	}
}

static void close_all(struct weir *weir)
{
	for (unsigned int i = 0; i < PAIRS; i++) {
		assert_int_equal(weir_close(weir, client[i]), 0);
		assert_int_equal(weir_close(weir, server[i]), 0);
		if (i % GROUP == 0)
			weir_engine_advance(weir, 0);
	}
	weir_engine_advance(weir, 0);
}

static void test_fifty_thousand(void **state)
{
	const struct weir_config config = {
		.virtual_time = true, .start_ns = SECOND, .seed = 7, .memory_bytes = 16ull << 30
	};
	char error[WEIR_ERROR_BYTES];
	struct weir *weir = weir_engine_open(&config, error);
	struct weir_ledger ledger;
	struct tcp_stack *tcp;
	int listener[PORTS];
	uint32_t total = 0;

	assert_non_null(weir);
	tcp = weir->w->tcp;
	for (unsigned int i = 0; i < PORTS; i++) {
		struct sockaddr_in at = local(1000 + i);

		listener[i] = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
		assert_int_equal(weir_bind(weir, listener[i], (struct sockaddr *)&at, sizeof(at)),
				 0);
		assert_int_equal(weir_listen(weir, listener[i], 128), 0);
	}
	for (unsigned int round = 0; round < 2; round++) {
		uint64_t probes = weir_drops_of(weir, "TCP_INVALID_SEQUENCE");

		open_all(weir, listener);
		assert_int_equal(tcp->pcbs.used, 2 * PAIRS + PORTS);
		weir_engine_advance(weir, 600 * SECOND);
		/* From one end of a tenth of them, after 60 s and then each 75, which is the
		 * longer one [tcp_keepalive_timer]: below the window, so dropped. */
		assert_int_equal(weir_drops_of(weir, "TCP_INVALID_SEQUENCE") - probes,
				 8 * PAIRS / 10);
		talk(weir);
		close_all(weir);
		weir_engine_advance(weir, 120 * SECOND);
		assert_int_equal(tcp->pcbs.used, PORTS);
		assert_int_equal(tcp->tws.used, 0);
		assert_int_equal(tcp->sent.used, 0);
		assert_int_equal(tcp->ranges.used, 0);
		assert_int_equal(tcp->ranges_many.used, 0);
		/* The second time takes the memory of the first. */
		assert_true(round == 0 || tcp->pcbs.total == total);
		total = tcp->pcbs.total;
	}
	weir_ledger(weir, &ledger);
	assert_int_equal(ledger.balance, 0);
	assert_int_equal(ledger.held, 0);
	assert_int_equal(ledger.dropped, weir_drops_of(weir, "TCP_INVALID_SEQUENCE"));
	assert_true(weir_pool_is_full(weir));
	weir_engine_close(weir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fifty_thousand),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
