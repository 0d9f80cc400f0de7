/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP under attack: what a flood costs is bounded, and a blind guess does nothing. */
#include "fixture.h"
#include "inet/tcp/mib.h"

static uint64_t counter(struct host *h, const char *name)
{
	return tcp_counter(h->w, (unsigned int)tcp_mib_find(name));
}

static void param(struct host *h, const char *name, const char *value)
{
	assert_int_equal(tcp_param_set(h->w, name, value), 0);
}

/* One SYN from each of so many ports and numbers; what answers is thrown away. */
static void syns(struct host *h, unsigned int n)
{
	struct peer p = { .h = h, .to = 80, .window = 1000 };

	for (unsigned int i = 0; i < n; i++) {
		p.port = (uint16_t)(1024 + i % 60000);
		peer_send_at(&p, i * 7919u, 0, TCP_F_SYN, NULL, 0);
		frame_take_all(h->wire);
	}
}

/* The half-open queue fills, and then nothing more is kept; a client gets in all the same. */
static void test_syn_flood(void **state)
{
	struct host *h = host_plain();
	struct sock *l = sock_listen(h, US, 80);
	struct peer p = { 0 };
	uint32_t pcbs;

	assert_int_equal(tcp_listen(h->w, l->pcb, 128), 0);
	syns(h, 1000);
	pcbs = h->w->tcp->pcbs.total;
	syns(h, 50000);
	assert_int_equal(l->pcb->listen->half_open_n, 128);
	assert_int_equal(h->w->tcp->pcbs.total, pcbs);
	assert_true(counter(h, "SyncookiesSent") > 40000);
	peer_connect(&p, h, 61500, 80);
	assert_int_equal(l->queued, 1);
	assert_int_equal(counter(h, "SyncookiesRecv"), 1);
	peer_send(&p, TCP_F_ACK, "question", 8);
	peer_expect(&p, TCP_F_ACK, 0);
	/* Those who never answer are forgotten. */
	for (unsigned int i = 0; i < 100; i++) {
		host_wait(h, SEC);
		frame_take_all(h->wire);
	}
	assert_int_equal(l->pcb->listen->half_open_n, 0);
	host_close(h);
}

/* ACKs that guess cookies: one in 2^22 and two minutes would do. */
static void test_cookie_guesses(void **state)
{
	struct host *h = host_plain();
	struct sock *l = sock_listen(h, US, 80);
	struct peer p = { .h = h, .port = 40000, .to = 80, .seq = 1, .window = 1000 };
	uint32_t guess = 1;

	param(h, "tcp_syncookies", "2");
	param(h, "tcp_reset_limit", "10");
	peer_send_at(&p, 0, 0, TCP_F_SYN, NULL, 0);
	frame_take_all(h->wire);
	for (unsigned int i = 0; i < 20000; i++) {
		guess = guess * 1664525u + 1013904223u;
		peer_send_at(&p, 1, guess, TCP_F_ACK, NULL, 0);
	}
	assert_int_equal(l->queued, 0);
	assert_int_equal(h->w->tcp->pcbs.used, 1);
	assert_int_equal(drops_of(h, TCP_SYNCOOKIE), 20000);
	assert_int_equal(counter(h, "OutRsts"), 10);
	assert_int_equal(counter(h, "TCPResetSkipped"), 19990);
	frame_take_all(h->wire);
	host_close(h);
}

/* 100,000 segments of one byte, each behind a hole: no more ranges than there is room for in a
 * large block, and the bytes are in the ring; the packets are not kept. */
static void test_tiny_segments(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	uint32_t ranges = h->w->tcp->ranges_many.total, base = p.seq;

	for (uint32_t i = 0; i < 100000; i++) {
		peer_send_at(&p, base + 2 + 2 * (i * 7919u % 15000u), p.ack, TCP_F_ACK, "x", 1);
		frame_take_all(h->wire);
	}
	assert_int_equal(s->pcb->ooo->n, TCP_RANGES_MAX);
	assert_int_equal(h->w->tcp->ranges.used, 0);
	assert_int_equal(h->w->tcp->ranges_many.used, 1);
	assert_int_equal(h->w->tcp->ranges_many.total, ranges);
	assert_int_equal(h->w->ledger.held, 0);
	assert_true(drops_of(h, TCP_OFO_QUEUE_PRUNE) > 50000);
	/* And the connection still works. */
	peer_send(&p, TCP_F_ACK, "in order", 8);
	assert_true(s->readable > 0);
	host_close(h);
}

/* Whatever a stranger guesses whose numbers are outside of the windows. */
static void guesses(struct peer *p, uint32_t seq, uint32_t ack)
{
	static const uint8_t flags[] = { TCP_F_RST,
					 TCP_F_RST | TCP_F_ACK,
					 TCP_F_SYN,
					 TCP_F_ACK,
					 TCP_F_ACK | TCP_F_FIN,
					 TCP_F_ACK | TCP_F_PSH,
					 TCP_F_SYN | TCP_F_ACK };
	uint32_t guess = 12345;

	for (unsigned int i = 0; i < 3000; i++) {
		uint8_t f = flags[i % sizeof(flags)];

		guess = guess * 1664525u + 1013904223u;
		/* A fourth of the space away, on either side. */
		peer_send_at(p, seq + 0x40000000u + guess / 2, ack + 0x40000000u + guess / 2, f,
			     "evil", f & TCP_F_PSH ? 4 : 0);
		frame_take_all(p->h->wire);
	}
}

static void test_blind_established(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	guesses(&p, p.seq, p.ack);
	assert_int_equal(sock_state(s), TCP_ESTABLISHED);
	assert_int_equal(s->readable, 0);
	peer_send(&p, TCP_F_ACK, "good", 4);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(s->readable, 1);
	host_close(h);
}

static void test_blind_syn_received(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .port = 40000, .to = 80, .seq = 77, .window = 65535 };
	struct sock *l = sock_listen(h, US, 80);

	peer_send(&p, TCP_F_SYN, NULL, 0);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	p.ack = h->info.seq + 1;
	guesses(&p, p.seq, p.ack);
	assert_int_equal(l->pcb->listen->half_open_n, 1);
	assert_int_equal(l->queued, 0);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_int_equal(l->queued, 1);
	host_close(h);
}

static void test_blind_time_wait(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	uint32_t guess = 12345;

	sock_close(s);
	peer_expect(&p, TCP_F_ACK | TCP_F_FIN, 0);
	peer_send(&p, TCP_F_ACK | TCP_F_FIN, NULL, 0);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(h->w->tcp->tws.used, 1);
	for (unsigned int i = 0; i < 3000; i++) {
		guess = guess * 1664525u + 1013904223u;
		peer_send_at(&p, p.seq + 1 + guess % 0xfffffff0u, p.ack, TCP_F_RST, NULL, 0);
		peer_send_at(&p, p.seq - 1 - guess / 2, 0, TCP_F_SYN, NULL, 0); /* old ones */
		frame_take_all(h->wire);
	}
	assert_int_equal(h->w->tcp->tws.used, 1);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syn_flood),	   cmocka_unit_test(test_cookie_guesses),
		cmocka_unit_test(test_tiny_segments),	   cmocka_unit_test(test_blind_established),
		cmocka_unit_test(test_blind_syn_received), cmocka_unit_test(test_blind_time_wait),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
