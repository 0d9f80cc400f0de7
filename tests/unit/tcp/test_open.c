/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening: both sides, both at once, what is negotiated, what goes wrong. */
#include <errno.h>
#include <string.h>

#include "fixture.h"

static void test_passive(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *l, *s = peer_established(&p, h, &l);

	assert_true(s->connected);
	assert_int_equal(tcp_public(s->pcb)->remote.port_be, host_to_be16(40000));
	peer_silent(&p);
	sock_close(l);
	host_close(h);
}

static void test_active(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s;

	peer_accept(&p, h, &s, 81);
	assert_int_equal(sock_state(s), TCP_ESTABLISHED);
	peer_silent(&p);
	host_close(h);
}

static void test_simultaneous(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .port = 81, .seq = 5000, .window = 65535 };
	struct sock *s = sock_connect(h, PEER, 81);

	host_run(h);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	p.to = h->info.sport;
	p.ack = h->info.seq;
	peer_send(&p, TCP_F_SYN, NULL, 0);
	assert_int_equal(sock_state(s), TCP_SYN_RECEIVED);
	peer_expect(&p, TCP_F_SYN | TCP_F_ACK, 0);
	assert_int_equal(h->info.ack, 5001);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_int_equal(sock_state(s), TCP_ESTABLISHED);
	assert_true(s->connected);
	host_close(h);
}

/* The other's answer may be SYN,ACK, sent before ours came. */
static void test_simultaneous_syn_ack(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .port = 81, .seq = 5000, .window = 65535 };
	struct sock *s = sock_connect(h, PEER, 81);

	host_run(h);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	p.to = h->info.sport;
	p.ack = h->info.seq;
	peer_send(&p, TCP_F_SYN, NULL, 0);
	peer_expect(&p, TCP_F_SYN | TCP_F_ACK, 0);
	peer_send_at(&p, 5000, p.ack, TCP_F_SYN | TCP_F_ACK, NULL, 0);
	assert_int_equal(sock_state(s), TCP_ESTABLISHED);
	host_close(h);
}

/* A connection to itself is a simultaneous open too. */
static void test_loopback(void **state)
{
	struct host *h = host_plain();
	struct sock *l = sock_listen(h, 0, 80), *c = sock_connect(h, LOCALHOST, 80), *s;
	char data[8];

	host_run(h);
	assert_true(c->connected);
	s = sock_accept(l);
	assert_non_null(s);
	assert_int_equal(sock_write(c, "ping", 4), 4);
	host_run(h);
	assert_int_equal(sock_read(s, data, sizeof(data)), 4);
	assert_memory_equal(data, "ping", 4);
	host_close(h);
}

static void test_refused(void **state)
{
	struct host *h = host_plain();
	struct sock *c = sock_connect(h, LOCALHOST, 80);

	host_run(h);
	assert_int_equal(c->error, ECONNREFUSED);
	assert_int_equal(sock_state(c), TCP_CLOSED);
	assert_int_equal(drops_of(h, NO_SOCKET), 1);
	sock_close(c);
	assert_true(c->gone);
	host_close(h);
}

/* 1, 2, 4, 8, 16, 32 and 64 s: six repetitions, given up after 127 s. */
static void test_syn_retries(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .port = 81, .window = 65535 };
	struct sock *s = sock_connect(h, PEER, 81);
	uint64_t start = h->w->now_ns, wait = SEC;

	host_run(h);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	p.to = h->info.sport;
	p.ack = h->info.seq;
	for (unsigned int i = 0; i < 6; i++, wait *= 2) {
		host_wait(h, wait - MS);
		peer_silent(&p);
		host_wait(h, MS);
		peer_expect(&p, TCP_F_SYN, 0);
		p.ack--;
		assert_int_equal(h->info.seq, p.ack);
		/* a timer is up to a tick of the wheel late */
		assert_true(h->w->now_ns - start < (2 * wait - SEC) + 6 * MS);
	}
	assert_false(s->errored);
	host_wait(h, 64 * SEC);
	peer_silent(&p);
	assert_int_equal(s->error, ETIMEDOUT);
	sock_close(s);
	host_close(h);
}

static void test_syn_ack_retries(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .port = 40000, .to = 80, .seq = 77, .window = 65535 };
	struct sock *l = sock_listen(h, US, 80);
	uint64_t wait = SEC;

	peer_send(&p, TCP_F_SYN, NULL, 0);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	p.ack = h->info.seq;
	assert_int_equal(l->pcb->listen->half_open_n, 1);
	for (unsigned int i = 0; i < 5; i++, wait *= 2) {
		host_wait(h, wait + MS);
		peer_expect(&p, TCP_F_SYN | TCP_F_ACK, 0);
		p.ack--;
		peer_silent(&p);
	}
	host_wait(h, 33 * SEC);
	assert_int_equal(l->pcb->listen->half_open_n, 0);
	assert_int_equal(l->queued, 0);
	host_close(h);
}

/* A SYN that comes again is answered again. */
static void test_syn_again(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .port = 40000, .to = 80, .seq = 77, .window = 65535 };

	sock_listen(h, US, 80);
	peer_send(&p, TCP_F_SYN, NULL, 0);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	p.ack = h->info.seq;
	peer_send_at(&p, 77, 0, TCP_F_SYN, NULL, 0);
	peer_expect(&p, TCP_F_SYN | TCP_F_ACK, 0);
	assert_int_equal(p.ack, h->info.seq + 1);
	host_close(h);
}

static void test_options(void **state)
{
	static const uint8_t opt[] = { 2, 4, 0x03, 0xe8, 4, 2, 8, 10, 0, 0,
				       0, 9, 0,	   0,	 0, 0, 1, 3,  3, 5 };
	struct host *h = host_plain();
	struct sock *l = sock_listen(h, US, 80), *s;
	struct peer p = { .h = h, .port = 40000, .to = 80, .seq = 77, .window = 1000 };

	tcp_public(l->pcb)->rcv_space_bytes = 1 << 20;
	tcp_public(l->pcb)->rcv_locked = true; /* SO_RCVBUF */
	l->rx_size = 1 << 20;
	memcpy(p.opt, opt, sizeof(opt));
	p.opt_len = sizeof(opt);
	peer_send(&p, TCP_F_SYN, NULL, 0);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_int_equal(be16_load(frame_tcp_option(&h->info, TCP_OPT_MSS)), 1460);
	assert_int_equal(frame_tcp_option(&h->info, TCP_OPT_WSCALE)[0], 5); /* 65535 << 5 > 1 MiB */
	assert_int_equal(be32_load(frame_tcp_option(&h->info, TCP_OPT_TIMESTAMP) + 4), 9);
	assert_non_null(frame_tcp_option(&h->info, TCP_OPT_SACK_OK));
	assert_int_equal(h->info.window, 65535);
	p.ack = h->info.seq + 1;
	p.opt_len = 0;
	p.ts = true;
	p.ts_val = 10;
	p.ts_ecr = be32_load(frame_tcp_option(&h->info, TCP_OPT_TIMESTAMP));
	peer_send(&p, TCP_F_ACK, NULL, 0);
	s = sock_accept(l);
	assert_non_null(s);
	assert_int_equal(s->pcb->snd_wnd, 1000 << 5);
	assert_int_equal(s->pcb->snd_mss, 1000 - 12);
	host_close(h);
}

/* What the peer does not offer is not used. */
static void test_no_options(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .port = 40000, .to = 80, .seq = 77, .window = 1000 };
	struct sock *l = sock_listen(h, US, 80);

	tcp_public(l->pcb)->rcv_space_bytes = 1 << 20;
	peer_send(&p, TCP_F_SYN, NULL, 0);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_null(frame_tcp_option(&h->info, TCP_OPT_WSCALE));
	assert_null(frame_tcp_option(&h->info, TCP_OPT_TIMESTAMP));
	assert_null(frame_tcp_option(&h->info, TCP_OPT_SACK_OK));
	p.ack = h->info.seq + 1;
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_int_equal(l->queue[0]->pcb->snd_mss, TCP_DEFAULT_MSS);
	host_close(h);
}

static void test_listen_overflow(void **state)
{
	struct host *h = host_plain();
	struct sock *l = sock_listen(h, US, 80);
	struct peer p = { .h = h, .port = 40000, .to = 80, .seq = 77, .window = 65535 };
	struct peer q = p;

	l->backlog = 1;
	/* Two SYNs while there is room for one: the second one's last ACK finds none. */
	peer_send(&p, TCP_F_SYN, NULL, 0);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	p.ack = h->info.seq + 1;
	q.port = 40001;
	peer_send(&q, TCP_F_SYN, NULL, 0);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	q.ack = h->info.seq + 1;
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_int_equal(l->queued, 1);
	peer_send(&q, TCP_F_ACK, NULL, 0);
	assert_int_equal(drops_of(h, TCP_LISTEN_OVERFLOW), 1);
	/* A third SYN is not even answered. */
	q.port = 40002;
	peer_send_at(&q, 99, 0, TCP_F_SYN, NULL, 0);
	assert_int_equal(drops_of(h, TCP_LISTEN_OVERFLOW), 2);
	peer_silent(&q);
	/* The SYN,ACK comes again, and its ACK finds room. */
	assert_non_null(sock_accept(l));
	q.port = 40001;
	host_wait(h, SEC + MS);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_int_equal(h->info.flags, TCP_F_SYN | TCP_F_ACK);
	peer_send(&q, TCP_F_ACK, NULL, 0);
	assert_int_equal(l->queued, 1);
	host_close(h);
}

static void test_half_open_limit(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .to = 80, .seq = 77, .window = 65535 };
	struct sock *l = sock_listen(h, US, 80);

	assert_int_equal(tcp_param_set(h->w, "tcp_syncookies", "0"), 0);
	for (unsigned int i = 0; i < 4096; i++) {
		p.port = (uint16_t)(2000 + i);
		peer_send_at(&p, 77, 0, TCP_F_SYN, NULL, 0);
		frame_take_all(h->wire);
	}
	assert_int_equal(l->pcb->listen->half_open_n, 4096);
	p.port = 1999;
	peer_send_at(&p, 77, 0, TCP_F_SYN, NULL, 0);
	assert_int_equal(drops_of(h, TCP_REQQ_FULL), 1);
	peer_silent(&p);
	/* They go with their listener. */
	sock_close(l);
	assert_int_equal(h->w->tcp->pcbs.used, 0);
	host_close(h);
}

static void test_refused_by_socket(void **state)
{
	struct host *h = host_plain();
	struct sock *l = sock_listen(h, US, 80);
	struct peer p = { 0 };

	l->refuse = true;
	peer_connect(&p, h, 40000, 80);
	peer_expect(&p, TCP_F_RST | TCP_F_ACK, 0);
	assert_int_equal(h->w->tcp->pcbs.used, 1);
	host_close(h);
}

/* What a listener has no use for. */
static void test_listen_nonsense(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .port = 40000, .to = 80, .window = 65535 };

	sock_listen(h, US, 80);
	peer_send_at(&p, 5, 99, TCP_F_ACK, NULL, 0);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_int_equal(h->info.flags, TCP_F_RST);
	assert_int_equal(h->info.seq, 99);
	assert_int_equal(drops_of(h, TCP_FLAGS), 1);
	peer_send_at(&p, 5, 0, TCP_F_RST, NULL, 0);
	assert_int_equal(drops_of(h, TCP_RESET), 1);
	peer_send_at(&p, 5, 0, TCP_F_FIN, NULL, 0);
	peer_send_at(&p, 5, 0, TCP_F_SYN | TCP_F_FIN, NULL, 0);
	peer_send_at(&p, 5, 0, TCP_F_SYN | TCP_F_RST, NULL, 0);
	assert_int_equal(drops_of(h, TCP_FLAGS), 4);
	peer_silent(&p);
	host_close(h);
}

static void test_syn_sent_nonsense(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .port = 81, .seq = 5000, .window = 65535 };
	struct sock *s = sock_connect(h, PEER, 81);

	host_run(h);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	p.to = h->info.sport;
	p.ack = h->info.seq + 1;
	/* an ACK of what we never sent: RST, and a RST in answer to nothing of ours: nothing */
	peer_send_at(&p, 5000, p.ack + 7, TCP_F_SYN | TCP_F_ACK, NULL, 0);
	assert_int_equal(drops_of(h, TCP_INVALID_ACK_SEQUENCE), 1);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_int_equal(h->info.flags, TCP_F_RST);
	assert_int_equal(h->info.seq, p.ack + 7);
	peer_send_at(&p, 5000, p.ack + 7, TCP_F_RST | TCP_F_ACK, NULL, 0);
	peer_send_at(&p, 5000, 0, TCP_F_RST, NULL, 0);
	assert_int_equal(drops_of(h, TCP_RESET), 2);
	peer_send_at(&p, 5000, p.ack, TCP_F_ACK, NULL, 0);
	assert_int_equal(drops_of(h, TCP_FLAGS), 1);
	assert_int_equal(sock_state(s), TCP_SYN_SENT);
	peer_send_at(&p, 0, p.ack, TCP_F_RST | TCP_F_ACK, NULL, 0);
	assert_int_equal(s->error, ECONNREFUSED);
	sock_close(s);
	host_close(h);
}

static void test_syn_received_nonsense(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .port = 40000, .to = 80, .seq = 77, .window = 65535 };
	struct sock *l = sock_listen(h, US, 80);

	peer_send(&p, TCP_F_SYN, NULL, 0);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	p.ack = h->info.seq + 1;
	peer_send_at(&p, p.seq, p.ack + 1, TCP_F_ACK, NULL, 0);
	assert_int_equal(drops_of(h, TCP_INVALID_ACK_SEQUENCE), 1);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_int_equal(h->info.flags, TCP_F_RST);
	peer_send_at(&p, p.seq, 0, 0, "x", 1);
	assert_int_equal(drops_of(h, TCP_NO_ACK), 1);
	peer_send_at(&p, p.seq + 100000, p.ack, TCP_F_ACK, NULL, 0);
	assert_int_equal(drops_of(h, TCP_INVALID_SEQUENCE), 1);
	peer_send_at(&p, p.seq + 9, 0, TCP_F_SYN, NULL, 0);
	assert_int_equal(drops_of(h, TCP_INVALID_SYN), 1);
	peer_send_at(&p, p.seq + 9, 0, TCP_F_RST, NULL, 0);
	assert_int_equal(drops_of(h, TCP_RESET), 1);
	assert_int_equal(l->pcb->listen->half_open_n, 1);
	peer_send_at(&p, p.seq, 0, TCP_F_RST, NULL, 0);
	assert_int_equal(l->pcb->listen->half_open_n, 0);
	host_close(h);
}

/* Data with the last ACK of the handshake. */
static void test_data_with_ack(void **state)
{
	struct host *h = host_plain();
	struct peer p = { .h = h, .port = 40000, .to = 80, .seq = 77, .window = 65535 };
	struct sock *l = sock_listen(h, US, 80), *s;
	char data[8];

	peer_send(&p, TCP_F_SYN, NULL, 0);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	p.ack = h->info.seq + 1;
	peer_send(&p, TCP_F_ACK | TCP_F_PSH, "hello", 5);
	s = sock_accept(l);
	assert_int_equal(sock_read(s, data, sizeof(data)), 5);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(h->info.ack, p.seq);
	host_close(h);
}

static void test_icmp_hard(void **state)
{
	struct host *h = host_plain();
	struct sock *s = sock_connect(h, PEER, 81);
	uint8_t l4[8];

	be16_store(l4, be16_to_host(tcp_public(s->pcb)->local.port_be));
	be16_store(l4 + 2, 81);
	be32_store(l4 + 4, s->pcb->iss);
	struct ipaddr us = ipaddr_from_ip4(host_to_be32(US)),
		      them = ipaddr_from_ip4(host_to_be32(PEER));

	assert_true(tcp_icmp_error(h->w, &us, &them, l4, EHOSTUNREACH, false, 0));
	assert_int_equal(s->soft_error, EHOSTUNREACH);
	assert_false(s->errored);
	assert_true(tcp_icmp_error(h->w, &us, &them, l4, ECONNREFUSED, true, 0));
	assert_int_equal(s->error, ECONNREFUSED);
	assert_false(tcp_icmp_error(h->w, &us, &them, l4, ECONNREFUSED, true, 0));
	sock_close(s);
	host_close(h);
}

/* Nobody answers ARP: the program learns of it, without waiting for the SYN's time-out. */
static void test_no_neighbour(void **state)
{
	struct host *h = host_plain();
	struct sock *s = sock_connect(h, FRAME_IP(198, 18, 0, 99), 81);

	host_wait(h, 10 * SEC);
	assert_int_equal(s->error, EHOSTUNREACH);
	sock_close(s);
	host_close(h);
}

static void test_isn(void **state)
{
	struct host *h = host_plain();
	struct endpoint a = ep(US, 1), b = ep(PEER, 2), c = ep(PEER, 3);
	uint32_t x = tcp_isn(h->w, &a, &b), y = tcp_isn(h->w, &a, &c);

	assert_int_not_equal(x, y);
	h->w->now_ns += MS;
	assert_int_equal(tcp_isn(h->w, &a, &b) - x, MS >> 6);
	host_close(h);
}

/* RFC 6056 section 3.3.1: ports of Linux's range, no two the same, and the next cannot be told from
 * the last; one that a program bound is left alone. */
static void test_ports(void **state)
{
	struct host *h = host_plain();
	struct endpoint fixed = ep(US, 40001);
	unsigned int in_turn = 0;
	uint16_t port[100];
	struct sock *s;

	s = sock_open(h);
	assert_int_equal(tcp_bind(h->w, s->pcb, &fixed), 0);
	for (unsigned int i = 0; i < 100; i++) {
		s = sock_connect(h, PEER, 81);
		port[i] = be16_to_host(tcp_public(s->pcb)->local.port_be);
		assert_in_range(port[i], 32768, 60999);
		assert_int_not_equal(port[i], 40001);
		for (unsigned int j = 0; j < i; j++)
			assert_int_not_equal(port[i], port[j]);
		in_turn += i > 0 && port[i] == port[i - 1] + 1;
	}
	assert_in_range(in_turn, 0, 5);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passive),
		cmocka_unit_test(test_active),
		cmocka_unit_test(test_simultaneous),
		cmocka_unit_test(test_simultaneous_syn_ack),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_syn_retries),
		cmocka_unit_test(test_syn_ack_retries),
		cmocka_unit_test(test_syn_again),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_no_options),
		cmocka_unit_test(test_listen_overflow),
		cmocka_unit_test(test_half_open_limit),
		cmocka_unit_test(test_refused_by_socket),
		cmocka_unit_test(test_listen_nonsense),
		cmocka_unit_test(test_syn_sent_nonsense),
		cmocka_unit_test(test_syn_received_nonsense),
		cmocka_unit_test(test_data_with_ack),
		cmocka_unit_test(test_icmp_hard),
		cmocka_unit_test(test_no_neighbour),
		cmocka_unit_test(test_isn),
		cmocka_unit_test(test_ports),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
