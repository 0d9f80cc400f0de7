/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two stacks, one bad cable, virtual time: every byte arrives once and in order, both ways at once,
 * both ends close in order, both ledgers balance, all buffers come back, and all that within a
 * bounded time.
 */
#include <stdio.h>
#include <string.h>

#include "fixture.h"

struct flow {
	struct sock *from, *to;
	uint64_t total, sent, got;
	uint32_t seed;
	bool closed;
};

static uint8_t byte_at(const struct flow *f, uint64_t i)
{
	uint64_t x = (i + f->seed) * 0x9e3779b97f4a7c15ull;

	return (uint8_t)(x >> 56);
}

static bool flow_write(struct flow *f)
{
	uint8_t data[4096];
	uint32_t len = f->total - f->sent < sizeof(data) ? (uint32_t)(f->total - f->sent)
							 : (uint32_t)sizeof(data);

	if (!f->from->pcb || f->from->errored)
		return false;
	if (len == 0) {
		if (!f->closed)
			assert_int_equal(tcp_shutdown_write(f->from->h->w, f->from->pcb), 0);
		f->closed = true;
		return false;
	}
	for (uint32_t i = 0; i < len; i++)
		data[i] = byte_at(f, f->sent + i);
	len = sock_write(f->from, data, len);
	f->sent += len;
	return len > 0;
}

static bool flow_read(struct flow *f)
{
	uint8_t data[8192];
	uint32_t len;

	if (!f->to->pcb)
		return false;
	len = sock_read(f->to, data, sizeof(data));
	for (uint32_t i = 0; i < len; i++) {
		if (data[i] != byte_at(f, f->got + i))
			fail_msg("byte %llu is wrong", (unsigned long long)(f->got + i));
	}
	f->got += len;
	assert_true(f->got <= f->total);
	return len > 0;
}

static bool finished(const struct flow *f)
{
	return f->closed && f->got == f->total && f->to->eof;
}

static struct sock *net_connect(struct net *n, struct sock *listener, struct sock **client,
				uint64_t limit_ns)
{
	struct sock *server = NULL;

	*client = sock_connect(n->a, PEER, 80);
	(*client)->rx_size = (*client)->tx_size = 262144;
	while (!(server = sock_accept(listener)) || !(*client)->connected) {
		if (server)
			listener->queue[listener->queued++] = server;
		assert_false((*client)->errored);
		assert_true(net_step(n, limit_ns));
	}
	return server;
}

/* Returns the virtual time it took. */
static uint64_t transfer(const char *fault, uint64_t bytes, uint64_t limit_ns, bool gso)
{
	struct flow up = { .total = bytes, .seed = 1 }, down = { .total = bytes / 2, .seed = 7 };
	const char *wire = gso ? "csum=1,tso=1" : "csum=0";
	struct sock *listener, *client, *server;
	char a[256], b[256];
	struct net n;
	uint64_t took;

	snprintf(a, sizeof(a), "%s%swire,mac=02:00:00:00:00:0a,%s", fault, *fault ? "seed=11:" : "",
		 wire);
	snprintf(b, sizeof(b), "%s%swire,mac=02:00:00:00:00:0b,%s", fault, *fault ? "seed=12:" : "",
		 wire);
	net_open(&n, a, b, 16384);
	listener = sock_listen(n.b, PEER, 80);
	listener->rx_size = listener->tx_size = 262144;
	tcp_public(listener->pcb)->rcv_space_bytes = 262144;
	limit_ns += n.now_ns;
	server = net_connect(&n, listener, &client, limit_ns);
	up.from = down.to = client;
	up.to = down.from = server;
	took = n.now_ns;
	while (!finished(&up) || !finished(&down)) {
		bool moved = flow_read(&up);

		moved |= flow_read(&down);

		while (flow_write(&up))
			moved = true;
		while (flow_write(&down))
			moved = true;
		net_run(&n);
		assert_false(client->errored && client->error);
		assert_false(server->errored && server->error);
		if (!moved && !net_step(&n, limit_ns))
			fail_msg("stalled: %llu of %llu, %llu of %llu bytes",
				 (unsigned long long)up.got, (unsigned long long)up.total,
				 (unsigned long long)down.got, (unsigned long long)down.total);
	}
	took = n.now_ns - took;
	sock_close(client);
	sock_close(server);
	sock_close(listener);
	net_wait(&n, 300 * SEC);
	assert_true(client->gone && server->gone);
	assert_int_equal(n.a->w->ledger.alloc_failed, 0);
	net_close(&n);
	return took;
}

static void report(const char *what, uint64_t bytes, uint64_t took_ns)
{
	print_message("%s: %llu bytes in %.3f s of virtual time\n", what, (unsigned long long)bytes,
		      (double)took_ns / 1e9);
}

static void test_clean(void **state)
{
	report("clean", 4000000, transfer("", 4000000, 10 * SEC, false));
}

static void test_clean_gso(void **state)
{
	report("clean, TSO", 4000000, transfer("", 4000000, 10 * SEC, true));
}

static void test_delay(void **state)
{
	report("10 ms each way", 4000000,
	       transfer("fault,delay_us=10000,", 4000000, 60 * SEC, false));
}

static void test_loss_2(void **state)
{
	report("2 % loss", 2000000,
	       transfer("fault,loss=0.02,delay_us=5000,", 2000000, 300 * SEC, false));
}

static void test_loss_10(void **state)
{
	report("10 % loss", 1000000,
	       transfer("fault,loss=0.10,delay_us=5000,", 1000000, 900 * SEC, false));
}

static void test_loss_20(void **state)
{
	report("20 % loss", 500000,
	       transfer("fault,loss=0.20,delay_us=5000,", 500000, 3600 * SEC, false));
}

static void test_reorder(void **state)
{
	report("reordering", 1000000,
	       transfer("fault,reorder=0.1,delay_us=2000,jitter_us=3000,", 1000000, 300 * SEC,
			false));
}

static void test_duplicates(void **state)
{
	report("duplicates", 1000000,
	       transfer("fault,dup=0.2,delay_us=1000,", 1000000, 100 * SEC, false));
}

static void test_corruption(void **state)
{
	report("corruption", 500000,
	       transfer("fault,corrupt=0.03,delay_us=1000,", 500000, 900 * SEC, false));
}

static void test_everything(void **state)
{
	report("everything", 500000,
	       transfer("fault,loss=0.05,dup=0.05,reorder=0.05,corrupt=0.02,"
			"delay_us=3000,jitter_us=2000,",
			500000, 1800 * SEC, false));
}

static void test_rate(void **state)
{
	report("10 Mbit/s, a queue of 20", 2000000,
	       transfer("fault,rate_mbit=10,queue=20,delay_us=10000,", 2000000, 120 * SEC, false));
}

int main(void)
{

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),	   cmocka_unit_test(test_clean_gso),
		cmocka_unit_test(test_delay),	   cmocka_unit_test(test_loss_2),
		cmocka_unit_test(test_loss_10),	   cmocka_unit_test(test_loss_20),
		cmocka_unit_test(test_reorder),	   cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_corruption), cmocka_unit_test(test_everything),
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
