/* SPDX-License-Identifier: BSD-3-Clause */
/* What happens because time passes: RTO and backoff, persist, keepalive, delayed ACK, Nagle, cork.
 */
#include <errno.h>
#include <string.h>

#include "fixture.h"

#define SLACK (2 * MS) /* a timer is up to a tick of the wheel late, and lateness adds up */

/* Nothing comes for about ns, then a segment. */
static void expect_after(struct peer *p, uint64_t ns, uint8_t flags, uint32_t len)
{
	host_wait(p->h, ns - SLACK);
	peer_silent(p);
	host_wait(p->h, SLACK + MS / 10);
	peer_expect(p, flags, len);
}

static void test_rto(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	uint64_t wait = 200 * MS; /* the handshake took no time: Linux's minimum */
	uint32_t seq = p.ack;

	sock_write(s, "abc", 3);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 3);
	for (unsigned int i = 0; i < 8; i++, wait *= 2) {
		expect_after(&p, wait, TCP_F_ACK | TCP_F_PSH, 3);
		assert_int_equal(h->info.seq, seq);
	}
	assert_int_equal(s->pcb->total_retrans, 8);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_int_equal(s->pcb->retries, 0);
	host_wait(h, 300 * SEC);
	peer_silent(&p);
	host_close(h);
}

/* Fifteen repetitions, doubling up to 120 s: then it is over. */
static void test_rto_gives_up(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	uint64_t start = h->w->now_ns;
	unsigned int n = 0;

	sock_write(s, "abc", 3);
	while (!s->errored) {
		host_wait(h, SEC);
		while (frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info))
			n++;
		assert_true(h->w->now_ns - start < 2000 * SEC);
	}
	assert_int_equal(s->error, ETIMEDOUT);
	assert_int_equal(n, 16);
	/* 0.2 * (2^10 - 1) + 6 * 120 */
	assert_in_range((h->w->now_ns - start) / SEC, 924, 927);
	sock_close(s);
	host_close(h);
}

static void test_user_timeout(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	tcp_public(s->pcb)->user_timeout_ms = 5000;
	sock_write(s, "abc", 3);
	host_wait(h, 4900 * MS);
	assert_false(s->errored);
	host_wait(h, 2 * SEC);
	assert_int_equal(s->error, ETIMEDOUT);
	frame_take_all(h->wire);
	sock_close(s);
	host_close(h);
}

static void test_rtt(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	for (unsigned int i = 0; i < 60; i++) {
		sock_write(s, "x", 1);
		peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 1);
		host_wait(h, 100 * MS);
		peer_send(&p, TCP_F_ACK, NULL, 0);
	}
	assert_in_range(s->pcb->srtt_us8 / 8, 98000, 100000);
	assert_in_range(s->pcb->rto_us, 298000, 300100); /* srtt and 200 ms */
	host_close(h);
}

static void test_persist(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .window = 3 };
	struct sock *s = peer_established(&p, h, NULL);
	uint64_t wait = 200 * MS;

	tcp_public(s->pcb)->nodelay = true;
	sock_write(s, "abcdef", 6);
	peer_expect(&p, TCP_F_ACK, 3);
	p.window = 0;
	peer_send(&p, TCP_F_ACK, NULL, 0);
	for (unsigned int i = 0; i < 6; i++, wait *= 2) {
		expect_after(&p, wait, TCP_F_ACK, 0);
		assert_int_equal(h->info.seq, p.ack - 1);
		peer_send(&p, TCP_F_ACK, NULL, 0); /* still closed, but alive: for ever */
	}
	p.window = 100;
	peer_send(&p, TCP_F_ACK, NULL, 0);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 3);
	host_close(h);
}

/* A closed window that answers is waited for; one that does not is given up. */
static void test_persist_dead(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .window = 3 };
	struct sock *s = peer_established(&p, h, NULL);

	sock_write(s, "abcdef", 6);
	p.ack += 3;
	p.window = 0;
	peer_send(&p, TCP_F_ACK, NULL, 0);
	for (unsigned int i = 0; i < 20; i++) {
		frame_take_all(h->wire);
		host_wait(h, 100 * SEC);
		if (s->pcb->pub.state != TCP_CLOSED && i < 8)
			peer_send(&p, TCP_F_ACK, NULL, 0);
		assert_true(i >= 8 || !s->errored);
	}
	host_wait(h, 2000 * SEC);
	assert_int_equal(s->error, ETIMEDOUT);
	frame_take_all(h->wire);
	sock_close(s);
	host_close(h);
}

/* A peer that takes back what it offered (RFC 9293 SHLD-15): nothing more is sent, nothing breaks.
 */
static void test_window_shrinks(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .window = 2000 };
	struct sock *s = peer_established(&p, h, NULL);
	static char data[4000];
	uint32_t una = p.ack;

	sock_write(s, data, sizeof(data));
	for (unsigned int i = 0; i < 3; i++)
		peer_expect(&p, TCP_F_ACK, 536);
	p.window = 500;
	peer_send_at(&p, p.seq, una + 536, TCP_F_ACK, NULL, 0);
	peer_silent(&p);
	/* the head is asked about, no more */
	host_wait(h, 210 * MS);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_int_equal(h->info.seq, una + 536);
	peer_silent(&p);
	p.window = 60000;
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK, NULL, 0);
	host_wait(h, SEC);
	assert_true(wire_waiting(h->wire) > 0);
	host_close(h);
}

static void test_keepalive(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	struct tcp_public *pub = tcp_public(s->pcb);

	pub->keepalive = true;
	pub->keep_idle_s = 10;
	pub->keep_interval_s = 2;
	pub->keep_count = 3;
	tcp_option_changed(h->w, s->pcb);
	expect_after(&p, 10 * SEC, TCP_F_ACK, 0);
	assert_int_equal(h->info.seq, p.ack - 1);
	peer_send(&p, TCP_F_ACK, NULL, 0); /* alive */
	expect_after(&p, 10 * SEC, TCP_F_ACK, 0);
	expect_after(&p, 2 * SEC, TCP_F_ACK, 0);
	expect_after(&p, 2 * SEC, TCP_F_ACK, 0);
	host_wait(h, 2 * SEC + SLACK);
	peer_expect(&p, TCP_F_RST | TCP_F_ACK, 0);
	assert_int_equal(s->error, ETIMEDOUT);
	sock_close(s);
	host_close(h);
}

static void test_keepalive_off(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	host_wait(h, 8000 * SEC);
	peer_silent(&p);
	tcp_public(s->pcb)->keepalive = true; /* the default time is two hours */
	tcp_option_changed(h->w, s->pcb);
	host_wait(h, 2 * SLACK);
	peer_expect(&p, TCP_F_ACK, 0);
	host_close(h);
}

/* In conversation an ACK waits for the answer, 40 ms at most; the second full segment is
 * acknowledged at once. */
static void test_delayed_ack(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	static char block[1460];

	peer_send(&p, TCP_F_ACK, "q", 1);
	peer_expect(&p, TCP_F_ACK, 0);
	sock_write(s, "a", 1);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 1);
	/* now both talk */
	peer_send(&p, TCP_F_ACK, "q", 1);
	peer_silent(&p);
	sock_write(s, "a", 1);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 1);
	assert_int_equal(h->info.ack, p.seq);
	peer_send(&p, TCP_F_ACK, "q", 1);
	expect_after(&p, 40 * MS, TCP_F_ACK, 0);
	/* it learnt that no answer comes; a full segment twice */
	s->pcb->quickacks = 0;
	peer_send(&p, TCP_F_ACK, block, sizeof(block));
	peer_silent(&p);
	peer_send(&p, TCP_F_ACK, block, sizeof(block));
	peer_expect(&p, TCP_F_ACK, 0);
	host_close(h);
}

static void test_quickack_option(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	tcp_quickack_set(s->h->w, s->pcb, 0);
	peer_send(&p, TCP_F_ACK, "q", 1);
	peer_silent(&p);
	assert_false(tcp_quickack_get(s->pcb));
	tcp_option_changed(h->w, s->pcb); /* another option has nothing to do with it */
	peer_silent(&p);
	tcp_quickack_set(h->w, s->pcb, 1);
	assert_true(tcp_quickack_get(s->pcb));
	host_run(h);
	peer_expect(&p, TCP_F_ACK, 0);
	host_close(h);
}

static void test_nagle(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	sock_write(s, "a", 1);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 1);
	sock_write(s, "b", 1);
	sock_write(s, "c", 1);
	peer_silent(&p);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 2);
	sock_write(s, "d", 1);
	peer_silent(&p);
	tcp_public(s->pcb)->nodelay = true;
	tcp_option_changed(h->w, s->pcb);
	host_run(h);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 1);
	sock_write(s, "e", 1);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 1);
	host_close(h);
}

static void test_cork(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	static char data[600];

	tcp_public(s->pcb)->cork = true;
	sock_write(s, "head", 4);
	peer_silent(&p);
	sock_write(s, data, sizeof(data));
	peer_expect(&p, TCP_F_ACK, 536); /* the full one goes */
	peer_silent(&p);
	tcp_public(s->pcb)->cork = false;
	tcp_option_changed(h->w, s->pcb);
	host_run(h);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 68);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	/* not for ever: 200 ms */
	tcp_public(s->pcb)->cork = true;
	sock_write(s, "x", 1);
	expect_after(&p, 200 * MS, TCP_F_ACK | TCP_F_PSH, 1);
	host_close(h);
}

/* A timer that is only pushed back is not touched in the wheel, and does not fire in vain for ever.
 */
static void test_lazy_timer(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	sock_write(s, "x", 1);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 1);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_true(timer_armed(&s->pcb->timer));
	host_wait(h, SEC);
	assert_false(timer_armed(&s->pcb->timer));
	host_close(h);
}

/* No packet buffers: nothing breaks, and it goes on when they are back. */
static void test_no_buffers(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	static struct pkt *hog[4096];
	unsigned int n = 0;

	while (n < 4096 && pkt_alloc_raw(h->w, &hog[n], 1) == 0)
		n++;
	assert_int_equal(sock_write(s, "hello", 5), 5);
	peer_silent(&p);
	assert_true(h->w->ledger.alloc_failed > 0);
	pkt_free_raw(hog, n);
	host_wait(h, 250 * MS);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 5);
	host_close(h);
}

static void test_idle_restart(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	sock_write(s, "x", 1);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 1);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	s->pcb->cwnd = 100 * 536;
	host_wait(h, 10 * SEC);
	sock_write(s, "x", 1);
	assert_int_equal(s->pcb->cwnd, 10 * 536);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rto),
		cmocka_unit_test(test_rto_gives_up),
		cmocka_unit_test(test_user_timeout),
		cmocka_unit_test(test_rtt),
		cmocka_unit_test(test_persist),
		cmocka_unit_test(test_persist_dead),
		cmocka_unit_test(test_window_shrinks),
		cmocka_unit_test(test_keepalive),
		cmocka_unit_test(test_keepalive_off),
		cmocka_unit_test(test_delayed_ack),
		cmocka_unit_test(test_quickack_option),
		cmocka_unit_test(test_nagle),
		cmocka_unit_test(test_cork),
		cmocka_unit_test(test_lazy_timer),
		cmocka_unit_test(test_no_buffers),
		cmocka_unit_test(test_idle_restart),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
