/* SPDX-License-Identifier: BSD-3-Clause */
/* Closing: every way out of ESTABLISHED, half close, RST, TIME_WAIT. */
#include <errno.h>
#include <string.h>

#include "fixture.h"

/* What tcp_for_each() shows, by state. */
static void count_state(const struct tcp_pcb *pcb, void *arg)
{
	((unsigned int *)arg)[pcb->pub.state]++;
}

static unsigned int states(struct host *h, enum tcp_state state)
{
	unsigned int n[TCP_STATE_MAX] = { 0 };

	tcp_for_each(h->w, count_state, n);
	return n[state];
}

static void test_we_close(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	sock_close(s);
	assert_false(s->gone);
	assert_int_equal(sock_state(s), TCP_FIN_WAIT_1);
	peer_expect(&p, TCP_F_ACK | TCP_F_FIN, 0);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_int_equal(sock_state(s), TCP_FIN_WAIT_2);
	peer_send(&p, TCP_F_ACK | TCP_F_FIN, NULL, 0);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(h->info.ack, p.seq);
	assert_true(s->gone);
	assert_int_equal(states(h, TCP_TIME_WAIT), 1);
	host_wait(h, 59 * SEC);
	assert_int_equal(states(h, TCP_TIME_WAIT), 1);
	host_wait(h, 2 * SEC);
	assert_int_equal(states(h, TCP_TIME_WAIT), 0);
	host_close(h);
}

static void test_peer_closes(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	peer_send(&p, TCP_F_ACK | TCP_F_FIN, NULL, 0);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(sock_state(s), TCP_CLOSE_WAIT);
	assert_true(s->eof);
	/* we may still talk */
	sock_write(s, "bye", 3);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 3);
	sock_close(s);
	assert_int_equal(sock_state(s), TCP_LAST_ACK);
	peer_expect(&p, TCP_F_ACK | TCP_F_FIN, 0);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_true(s->gone);
	assert_int_equal(states(h, TCP_TIME_WAIT), 0);
	host_close(h);
}

static void test_simultaneous(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	uint32_t ack = p.ack;

	sock_close(s);
	peer_expect(&p, TCP_F_ACK | TCP_F_FIN, 0);
	peer_send_at(&p, p.seq, ack, TCP_F_ACK | TCP_F_FIN, NULL, 0);
	p.seq++;
	assert_int_equal(sock_state(s), TCP_CLOSING);
	peer_expect(&p, TCP_F_ACK, 0);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_true(s->gone);
	assert_int_equal(states(h, TCP_TIME_WAIT), 1);
	host_close(h);
}

static void test_half_close(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	sock_write(s, "request", 7);
	assert_int_equal(tcp_shutdown_write(h->w, s->pcb), 0);
	host_run(h);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 7);
	peer_expect(&p, TCP_F_ACK | TCP_F_FIN, 0);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_int_equal(sock_state(s), TCP_FIN_WAIT_2);
	/* for as long as it likes */
	host_wait(h, 300 * SEC);
	peer_send(&p, TCP_F_ACK, "answer", 6);
	assert_int_equal(sock_read(s, NULL, 99), 6);
	peer_send(&p, TCP_F_ACK | TCP_F_FIN, NULL, 0);
	assert_true(s->eof);
	assert_true(s->errored);
	assert_int_equal(s->error, 0); /* both ended in order */
	assert_int_equal(sock_state(s), TCP_TIME_WAIT);
	assert_int_equal(states(h, TCP_TIME_WAIT), 1);
	sock_close(s);
	assert_true(s->gone);
	assert_int_equal(states(h, TCP_TIME_WAIT), 1);
	host_close(h);
}

/* FIN in the segment that acknowledges ours. */
static void test_fin_ack_of_fin(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	sock_close(s);
	peer_expect(&p, TCP_F_ACK | TCP_F_FIN, 0);
	peer_send(&p, TCP_F_ACK | TCP_F_FIN, NULL, 0);
	assert_true(s->gone);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(states(h, TCP_TIME_WAIT), 1);
	host_close(h);
}

/* RFC 2525 section 2.17 */
static void test_close_unread(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	peer_send(&p, TCP_F_ACK, "data", 4);
	peer_expect(&p, TCP_F_ACK, 0);
	sock_close(s);
	assert_true(s->gone);
	peer_expect(&p, TCP_F_RST | TCP_F_ACK, 0);
	assert_int_equal(h->info.seq, p.ack);
	host_close(h);
}

static void test_linger_zero(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	tcp_public(s->pcb)->linger = true;
	sock_close(s);
	assert_true(s->gone);
	peer_expect(&p, TCP_F_RST | TCP_F_ACK, 0);
	host_close(h);
}

static void test_abort(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	tcp_abort(h->w, s->pcb);
	host_run(h);
	assert_true(s->gone);
	peer_expect(&p, TCP_F_RST | TCP_F_ACK, 0);
	/* what comes now is the listener's, which has no use for it */
	peer_send(&p, TCP_F_ACK, "more", 4);
	assert_int_equal(drops_of(h, TCP_FLAGS), 1);
	peer_expect(&p, TCP_F_RST, 0);
	host_close(h);
}

/* The program is gone, and the peer still sends. */
static void test_data_after_close(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	sock_close(s);
	peer_expect(&p, TCP_F_ACK | TCP_F_FIN, 0);
	peer_send(&p, TCP_F_ACK, "data", 4);
	assert_int_equal(drops_of(h, TCP_ABORT_ON_DATA), 1);
	peer_expect(&p, TCP_F_RST, 0);
	assert_true(s->gone);
	host_close(h);
}

/* An orphan in FIN_WAIT_2 does not wait for ever. */
static void test_fin_wait_2(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	sock_close(s);
	peer_expect(&p, TCP_F_ACK | TCP_F_FIN, 0);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	host_wait(h, 59 * SEC);
	assert_false(s->gone);
	host_wait(h, 2 * SEC);
	assert_true(s->gone);
	host_close(h);
}

/* The data that was written goes out after the close, the FIN behind it, both again if need be. */
static void test_close_with_data(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .window = 4 };
	struct sock *s = peer_established(&p, h, NULL);

	tcp_public(s->pcb)->nodelay = true;
	sock_write(s, "12345678", 8);
	peer_expect(&p, TCP_F_ACK, 4);
	sock_close(s);
	peer_silent(&p);
	p.window = 1000;
	peer_send(&p, TCP_F_ACK, NULL, 0);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH | TCP_F_FIN, 4);
	assert_memory_equal(h->info.data, "5678", 4);
	host_wait(h, SEC + SEC / 10); /* the initial RTO: 200 ms after a first sample */
	p.ack -= 5;
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH | TCP_F_FIN, 4);
	frame_take_all(h->wire);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_int_equal(sock_state(s), TCP_FIN_WAIT_2);
	host_close(h);
}

static void test_rst_in_close_wait(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	peer_send(&p, TCP_F_ACK | TCP_F_FIN, NULL, 0);
	peer_send(&p, TCP_F_RST, NULL, 0);
	assert_int_equal(s->error, EPIPE);
	sock_close(s);
	host_close(h);
}

static void time_wait(struct peer *p, struct host *h, struct sock **listener, bool ts)
{
	struct sock *s;

	p->ts = ts;
	p->ts_val = 1000;
	s = peer_established(p, h, listener);
	sock_close(s);
	peer_expect(p, TCP_F_ACK | TCP_F_FIN, 0);
	peer_send(p, TCP_F_ACK | TCP_F_FIN, NULL, 0);
	peer_expect(p, TCP_F_ACK, 0);
	assert_int_equal(states(h, TCP_TIME_WAIT), 1);
}

static void test_time_wait(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };

	time_wait(&p, h, NULL, false);
	/* RFC 1337: a RST does not end it, where we are told so */
	assert_int_equal(tcp_param_set(h->w, "tcp_rfc1337", "1"), 0);
	peer_send_at(&p, p.seq, 0, TCP_F_RST, NULL, 0);
	assert_int_equal(drops_of(h, TCP_RESET), 1);
	/* the FIN again: our ACK was lost; 60 s begin anew */
	host_wait(h, 30 * SEC);
	peer_send_at(&p, p.seq - 1, p.ack, TCP_F_ACK | TCP_F_FIN, NULL, 0);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(h->info.ack, p.seq);
	host_wait(h, 45 * SEC);
	assert_int_equal(states(h, TCP_TIME_WAIT), 1);
	/* data, an old SYN, a stray */
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, TCP_CLOSE), 1);
	peer_expect(&p, TCP_F_ACK, 0);
	peer_send_at(&p, p.seq - 1000, 0, TCP_F_SYN, NULL, 0);
	assert_int_equal(drops_of(h, TCP_INVALID_SYN), 1);
	peer_send_at(&p, p.seq - 9, p.ack, TCP_F_ACK, NULL, 0);
	assert_int_equal(drops_of(h, TCP_INVALID_SEQUENCE), 1);
	peer_silent(&p); /* not more than twice a second */
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK, NULL, 0);
	assert_int_equal(states(h, TCP_TIME_WAIT), 1);
	host_wait(h, 16 * SEC);
	assert_int_equal(states(h, TCP_TIME_WAIT), 0);
	host_close(h);
}

/* RFC 6191: a newer SYN may take the pair at once, by its number or by its time stamp. */
static void test_time_wait_reuse(void **state)
{
	struct host *h = host_plain();
	struct sock *l;
	struct peer p = { 0 };
	uint32_t old_seq;

	time_wait(&p, h, &l, true);
	old_seq = p.ack;
	p.ts_val = 1001;
	peer_send_at(&p, p.seq - 5000, 0, TCP_F_SYN, NULL, 0);
	assert_int_equal(states(h, TCP_TIME_WAIT), 0);
	assert_int_equal(states(h, TCP_SYN_RECEIVED), 1);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_int_equal(h->info.flags, TCP_F_SYN | TCP_F_ACK);
	assert_true(tcp_seq_gt(h->info.seq, old_seq + 65535));
	host_close(h);
}

static void test_time_wait_paws(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };

	time_wait(&p, h, NULL, true);
	p.ts_val = 999;
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, TCP_RFC7323_PAWS), 1);
	host_close(h);
}

/* Sequence reused from our side: connect() may take a pair in TIME_WAIT after a second. */
static void test_time_wait_connect(void **state)
{
	struct host *h = host_plain();
	struct sock *l = sock_listen(h, LOCALHOST, 80), *c, *s;
	struct endpoint local = ep(LOCALHOST, 5000), remote = ep(LOCALHOST, 80);

	for (unsigned int i = 0; i < 2; i++) {
		c = sock_open(h);
		tcp_public(c->pcb)->reuse_addr = true;
		assert_int_equal(tcp_bind(h->w, c->pcb, &local), 0);
		assert_int_equal(tcp_connect(h->w, c->pcb, &remote), 0);
		host_run(h);
		assert_true(c->connected);
		s = sock_accept(l);
		sock_close(c);
		host_run(h);
		sock_close(s);
		host_run(h);
		assert_true(c->gone && s->gone);
		assert_int_equal(states(h, TCP_TIME_WAIT), 1);
		c = sock_open(h);
		tcp_public(c->pcb)->reuse_addr = true;
		assert_int_equal(tcp_bind(h->w, c->pcb, &local), 0);
		assert_int_equal(tcp_connect(h->w, c->pcb, &remote), -EADDRNOTAVAIL);
		sock_close(c);
		host_wait(h, 2 * SEC);
	}
	host_close(h);
}

static void test_bind(void **state)
{
	struct host *h = host_plain();
	struct sock *a = sock_open(h), *b = sock_open(h), *c = sock_open(h), *d = sock_open(h);
	struct endpoint any = ep(0, 80), us = ep(US, 80), stranger = ep(PEER, 80), zero = ep(US, 0);

	assert_int_equal(tcp_bind(h->w, a->pcb, &stranger), -EADDRNOTAVAIL);
	assert_int_equal(tcp_bind(h->w, a->pcb, &any), 0);
	assert_int_equal(tcp_bind(h->w, a->pcb, &us), -EINVAL);
	assert_int_equal(tcp_bind(h->w, b->pcb, &us), -EADDRINUSE);
	tcp_public(a->pcb)->reuse_addr = tcp_public(b->pcb)->reuse_addr = true;
	assert_int_equal(tcp_bind(h->w, b->pcb, &us), 0);
	assert_int_equal(tcp_listen(h->w, a->pcb, 4096), 0);
	assert_int_equal(tcp_listen(h->w, b->pcb, 4096), -EADDRINUSE);
	tcp_public(c->pcb)->reuse_addr = true;
	assert_int_equal(tcp_bind(h->w, c->pcb, &us), -EADDRINUSE); /* somebody listens */
	assert_int_equal(tcp_bind(h->w, d->pcb, &zero), 0);
	assert_in_range(be16_to_host(tcp_public(d->pcb)->local.port_be), 32768, 60999);
	sock_close(a);
	sock_close(b);
	assert_int_equal(tcp_bind(h->w, c->pcb, &us), 0);
	assert_int_equal(tcp_listen(h->w, c->pcb, 4096), 0);
	assert_int_equal(tcp_connect(h->w, c->pcb, &us), -EISCONN);
	host_close(h);
}

/* What is left of a connection keeps others from its port, but no listener that has the port on
 * another worker; a listener here does. */
static void test_bind_twin(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *l, *s = peer_established(&p, h, &l), *a = sock_open(h), *b = sock_open(h);
	struct endpoint local = tcp_public(s->pcb)->local;

	sock_close(l);
	sock_close(s);
	peer_expect(&p, TCP_F_ACK | TCP_F_FIN, 0);
	peer_send(&p, TCP_F_ACK | TCP_F_FIN, NULL, 0);
	assert_int_equal(states(h, TCP_TIME_WAIT), 1);
	assert_int_equal(tcp_bind(h->w, a->pcb, &local), -EADDRINUSE);
	assert_int_equal(tcp_bind_twin(h->w, a->pcb, &local), 0);
	assert_int_equal(tcp_bind_twin(h->w, a->pcb, &local), -EINVAL);
	assert_int_equal(tcp_listen(h->w, a->pcb, 8), 0);
	assert_int_equal(tcp_bind_twin(h->w, b->pcb, &local), -EADDRINUSE);
	assert_int_equal(tcp_public(b->pcb)->local.port_be, 0);
	host_close(h);
}

static void test_reuse_port(void **state)
{
	struct host *h = host_plain();
	struct sock *l[4];
	struct endpoint us = ep(US, 80);
	unsigned int total = 0;

	for (unsigned int i = 0; i < 4; i++) {
		l[i] = sock_open(h);
		tcp_public(l[i]->pcb)->reuse_port = true;
		assert_int_equal(tcp_bind(h->w, l[i]->pcb, &us), 0);
		assert_int_equal(tcp_listen(h->w, l[i]->pcb, 4096), 0);
	}
	for (uint16_t i = 0; i < 100; i++) {
		struct peer p = { 0 };

		peer_connect(&p, h, (uint16_t)(40000 + i), 80);
	}
	for (unsigned int i = 0; i < 4; i++) {
		assert_in_range(l[i]->queued, 10, 45);
		total += l[i]->queued;
	}
	assert_int_equal(total, 100);
	host_close(h);
}

static void test_info(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	uint8_t info[512];

	sock_write(s, "abc", 3);
	host_run(h);
	assert_in_range(tcp_get_info(h->w, s->pcb, info, sizeof(info)), 104, sizeof(info));
	assert_int_equal(info[0], 1); /* TCP_ESTABLISHED in Linux's numbers */
	assert_int_equal(tcp_get_info(h->w, s->pcb, info, 8), 8);
	assert_string_equal(tcp_state_name(TCP_ESTABLISHED), "ESTAB");
	assert_string_equal(tcp_state_name(TCP_STATE_MAX), "?");
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_we_close),
		cmocka_unit_test(test_peer_closes),
		cmocka_unit_test(test_simultaneous),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_fin_ack_of_fin),
		cmocka_unit_test(test_close_unread),
		cmocka_unit_test(test_linger_zero),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_data_after_close),
		cmocka_unit_test(test_fin_wait_2),
		cmocka_unit_test(test_close_with_data),
		cmocka_unit_test(test_rst_in_close_wait),
		cmocka_unit_test(test_time_wait),
		cmocka_unit_test(test_time_wait_reuse),
		cmocka_unit_test(test_time_wait_paws),
		cmocka_unit_test(test_time_wait_connect),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_bind_twin),
		cmocka_unit_test(test_reuse_port),
		cmocka_unit_test(test_info),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
