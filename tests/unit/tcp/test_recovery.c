/* SPDX-License-Identifier: BSD-3-Clause */
/* Loss: fast retransmit, NewReno, SACK, slow start, limited transmit, path MTU. */
#include <errno.h>
#include <string.h>

#include "fixture.h"

#define MSS 1000u
#define RTT (20 * MS)

static char data[60000];

/* Established, segments of MSS bytes, SACK or not. */
static struct sock *open_mss(struct peer *p, struct host *h, bool sack)
{
	static const uint8_t opt[] = { 2, 4, 0x03, 0xe8, 4, 2, 1, 1 };
	struct sock *s;

	memcpy(p->opt, opt, sizeof(opt));
	p->opt_len = sack ? 8 : 4;
	s = peer_established(p, h, NULL);
	/* Reno's figures are the simplest; a path of 20 ms. */
	tcp_cc_choose(h->w, s->pcb, &tcp_reno);
	s->pcb->rtt_min_us = RTT / 1000;
	s->pcb->srtt_us8 = RTT / 1000 * 8;
	return s;
}

/* An ACK with SACK blocks given as numbers of segments from base. */
static void sack(struct peer *p, uint32_t ack, uint32_t base, unsigned int n,
		 const unsigned int (*r)[2])
{
	p->opt[0] = p->opt[1] = 1;
	p->opt[2] = TCP_OPT_SACK;
	p->opt[3] = (uint8_t)(2 + 8 * n);
	for (unsigned int i = 0; i < n; i++) {
		be32_store(p->opt + 4 + 8 * i, base + r[i][0] * MSS);
		be32_store(p->opt + 8 + 8 * i, base + r[i][1] * MSS);
	}
	p->opt_len = n ? 4 + 8 * n : 0;
	peer_send_at(p, p->seq, ack, TCP_F_ACK, NULL, 0);
	p->opt_len = 0;
}

static void expect_seq(struct peer *p, uint32_t seq)
{
	assert_true(frame_take(p->h->wire, ETH_TYPE_IP4, p->h->frame, &p->h->info));
	assert_int_equal((int32_t)(p->h->info.seq - seq) / (int)MSS, 0);
	assert_int_equal(p->h->info.seq, seq);
	assert_int_equal(p->h->info.data_len, MSS);
}

static void test_slow_start(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = open_mss(&p, h, false);
	uint32_t base = p.ack;

	sock_write(s, data, sizeof(data));
	for (unsigned int i = 0; i < 10; i++)
		expect_seq(&p, base + i * MSS);
	peer_silent(&p);
	peer_send_at(&p, p.seq, base + 2 * MSS, TCP_F_ACK, NULL, 0);
	for (unsigned int i = 10; i < 14; i++)
		expect_seq(&p, base + i * MSS);
	peer_silent(&p);
	/* congestion avoidance: one segment a window */
	s->pcb->ssthresh = s->pcb->cwnd;
	peer_send_at(&p, p.seq, base + 8 * MSS, TCP_F_ACK, NULL, 0);
	for (unsigned int i = 14; i < 20; i++)
		expect_seq(&p, base + i * MSS);
	peer_silent(&p);
	peer_send_at(&p, p.seq, base + 14 * MSS, TCP_F_ACK, NULL, 0);
	for (unsigned int i = 20; i < 27; i++)
		expect_seq(&p, base + i * MSS);
	peer_silent(&p);
	host_close(h);
}

static void test_fast_retransmit(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = open_mss(&p, h, false);
	uint32_t base = p.ack;

	sock_write(s, data, 20 * MSS);
	for (unsigned int i = 0; i < 10; i++)
		expect_seq(&p, base + i * MSS);
	host_wait(h, RTT);
	/* 0 and 3 are lost. Limited transmit on the first two duplicates. */
	peer_send_at(&p, p.seq, base, TCP_F_ACK, NULL, 0);
	expect_seq(&p, base + 10 * MSS);
	peer_send_at(&p, p.seq, base, TCP_F_ACK, NULL, 0);
	expect_seq(&p, base + 11 * MSS);
	assert_int_equal(s->pcb->recovery, TCP_DISORDER);
	peer_send_at(&p, p.seq, base, TCP_F_ACK, NULL, 0);
	expect_seq(&p, base);
	peer_silent(&p);
	assert_int_equal(s->pcb->recovery, TCP_RECOVERY);
	/* half of the window: what limited transmit sent does not count (RFC 5681 section 3.2) */
	assert_int_equal(s->pcb->ssthresh, 5 * MSS);
	/* partial: the next hole at once (RFC 6582) */
	peer_send_at(&p, p.seq, base + 3 * MSS, TCP_F_ACK, NULL, 0);
	expect_seq(&p, base + 3 * MSS);
	frame_take_all(h->wire);
	peer_send_at(&p, p.seq, s->pcb->snd_nxt, TCP_F_ACK, NULL, 0);
	assert_int_equal(s->pcb->recovery, TCP_OPEN);
	assert_int_equal(s->pcb->cwnd, 5 * MSS);
	assert_int_equal(s->pcb->total_retrans, 2);
	host_close(h);
}

/* The last loss, and the last small segment, were nearly 2 GB ago; what they left behind must not
 * seem to lie ahead when the numbers have gone on. */
static void test_long_without_loss(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = open_mss(&p, h, false);
	uint32_t base = p.ack;

	s->pcb->recover = s->pcb->snd_small = base - INT32_MAX + 3 * MSS / 2;
	for (unsigned int i = 0; i < 2; i++, base += MSS) {
		sock_write(s, data, MSS);
		expect_seq(&p, base);
		peer_send_at(&p, p.seq, base + MSS, TCP_F_ACK, NULL, 0);
	}
	sock_write(s, data, 5 * MSS + 1);
	for (unsigned int i = 0; i < 5; i++)
		expect_seq(&p, base + i * MSS);
	/* the small one, too: there is no other on the way */
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_int_equal(h->info.data_len, 1);
	for (unsigned int i = 0; i < 3; i++)
		peer_send_at(&p, p.seq, base, TCP_F_ACK, NULL, 0);
	expect_seq(&p, base);
	assert_int_equal(s->pcb->recovery, TCP_RECOVERY);
	peer_send_at(&p, p.seq, s->pcb->snd_nxt, TCP_F_ACK, NULL, 0);
	host_close(h);
}

static void test_sack_recovery(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = open_mss(&p, h, true);
	uint32_t base = p.ack;

	sock_write(s, data, 10 * MSS);
	for (unsigned int i = 0; i < 10; i++)
		expect_seq(&p, base + i * MSS);
	host_wait(h, RTT);
	/* 0, 2 and 4 are lost */
	sack(&p, base, base, 1, (const unsigned int[][2]){ { 1, 2 } });
	sack(&p, base, base, 2, (const unsigned int[][2]){ { 3, 4 }, { 1, 2 } });
	peer_silent(&p);
	assert_int_equal(s->pcb->recovery, TCP_DISORDER);
	sack(&p, base, base, 3, (const unsigned int[][2]){ { 5, 6 }, { 3, 4 }, { 1, 2 } });
	expect_seq(&p, base);
	peer_silent(&p);
	assert_int_equal(s->pcb->recovery, TCP_RECOVERY);
	assert_int_equal(s->pcb->ssthresh, 5 * MSS);
	/* PRR: two more arrived, two more may go */
	sack(&p, base, base, 3, (const unsigned int[][2]){ { 5, 8 }, { 3, 4 }, { 1, 2 } });
	expect_seq(&p, base + 2 * MSS);
	expect_seq(&p, base + 4 * MSS);
	peer_silent(&p);
	sack(&p, base, base, 3, (const unsigned int[][2]){ { 5, 10 }, { 3, 4 }, { 1, 2 } });
	peer_silent(&p);
	sack(&p, base + 2 * MSS, base, 2, (const unsigned int[][2]){ { 5, 10 }, { 3, 4 } });
	peer_silent(&p); /* nothing is sent twice */
	host_wait(h, RTT);
	sack(&p, base + 10 * MSS, base, 0, NULL);
	assert_int_equal(s->pcb->recovery, TCP_OPEN);
	assert_int_equal(s->pcb->cwnd, 5 * MSS);
	assert_int_equal(s->pcb->total_retrans, 3);
	assert_int_equal(byte_ring_used(&tcp_public(s->pcb)->snd), 0);
	assert_int_equal(s->pcb->sacked_bytes, 0);
	assert_null(s->pcb->sent_head);
	host_close(h);
}

/* Two SACKed segments are no proof: a quarter of a round trip later they are (RFC 8985
 * section 6.2). */
static void test_reordering_timer(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = open_mss(&p, h, true);
	uint32_t base = p.ack;

	sock_write(s, data, 4 * MSS);
	for (unsigned int i = 0; i < 4; i++)
		expect_seq(&p, base + i * MSS);
	host_wait(h, RTT);
	sack(&p, base, base, 1, (const unsigned int[][2]){ { 1, 3 } });
	assert_int_equal(s->pcb->rtx_kind, TCP_RTX_REO);
	host_wait(h, RTT / 4 - MS);
	peer_silent(&p);
	host_wait(h, 2 * MS);
	expect_seq(&p, base);
	peer_silent(&p);
	assert_int_equal(s->pcb->recovery, TCP_RECOVERY);
	host_close(h);
}

/* The last segments are lost: a probe after two round trips shows it (RFC 8985 section 7). */
static void test_tail_loss(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = open_mss(&p, h, true);
	uint32_t base = p.ack;

	sock_write(s, data, 5 * MSS);
	for (unsigned int i = 0; i < 5; i++)
		expect_seq(&p, base + i * MSS);
	host_wait(h, RTT);
	sack(&p, base + 2 * MSS, base, 0, NULL);
	assert_int_equal(s->pcb->rtx_kind, TCP_RTX_TLP);
	host_wait(h, 2 * RTT);
	peer_silent(&p);
	host_wait(h, 5 * MS);
	expect_seq(&p, base + 4 * MSS);
	peer_silent(&p);
	assert_int_equal(s->pcb->tlp_probes, 1);
	assert_int_equal(s->pcb->recovery, TCP_OPEN);
	host_wait(h, RTT);
	sack(&p, base + 2 * MSS, base, 1, (const unsigned int[][2]){ { 4, 5 } });
	expect_seq(&p, base + 2 * MSS);
	assert_int_equal(s->pcb->recovery, TCP_RECOVERY);
	assert_int_equal(s->pcb->retries, 0);
	host_close(h);
}

/* The retransmission is lost too: data sent after it arrives, and it is sent again, without RTO. */
static void test_retransmission_lost(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = open_mss(&p, h, true);
	uint32_t base = p.ack;

	sock_write(s, data, 40 * MSS);
	for (unsigned int i = 0; i < 10; i++)
		expect_seq(&p, base + i * MSS);
	host_wait(h, RTT);
	sack(&p, base, base, 1, (const unsigned int[][2]){ { 1, 4 } });
	expect_seq(&p, base);
	host_wait(h, MS);
	sack(&p, base, base, 1, (const unsigned int[][2]){ { 1, 10 } });
	for (unsigned int i = 10; i < 14; i++)
		expect_seq(&p, base + i * MSS);
	host_wait(h, RTT);
	sack(&p, base, base, 1, (const unsigned int[][2]){ { 1, 14 } });
	expect_seq(&p, base);
	assert_int_equal(s->pcb->retries, 0);
	host_close(h);
}

static void test_timeout(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = open_mss(&p, h, true);
	uint32_t base = p.ack;

	sock_write(s, data, 11 * MSS);
	for (unsigned int i = 0; i < 10; i++)
		expect_seq(&p, base + i * MSS);
	host_wait(h, RTT);
	sack(&p, base, base, 1, (const unsigned int[][2]){ { 5, 6 } });
	expect_seq(&p, base + 10 * MSS);
	/* the reordering timer finds what was sent before 5, and all of it gets lost again */
	host_wait(h, RTT / 4 + MS);
	frame_take_all(h->wire);
	host_wait(h, 400 * MS);
	expect_seq(&p, base);
	peer_silent(&p);
	assert_int_equal(s->pcb->recovery, TCP_LOSS);
	assert_int_equal(s->pcb->cwnd, s->pcb->flight_bytes);
	/* slow start over the holes; 5 is there */
	host_wait(h, RTT);
	sack(&p, base + MSS, base, 1, (const unsigned int[][2]){ { 5, 6 } });
	expect_seq(&p, base + MSS);
	frame_take_all(h->wire);
	host_wait(h, RTT);
	sack(&p, base + 11 * MSS, base, 0, NULL);
	assert_int_equal(s->pcb->recovery, TCP_OPEN);
	assert_int_equal(s->pcb->lost_bytes, 0);
	assert_int_equal(s->pcb->flight_bytes, 0);
	host_close(h);
}

/* SACK blocks that cannot be: ignored. */
static void test_sack_nonsense(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = open_mss(&p, h, true);
	uint32_t base = p.ack;

	sock_write(s, data, 5 * MSS);
	frame_take_all(h->wire);
	sack(&p, base, base, 3,
	     (const unsigned int[][2]){ { 6, 9 }, { 3, 2 }, { 100000, 200000 } });
	assert_int_equal(s->pcb->sacked_bytes, 0);
	assert_int_equal(s->pcb->recovery, TCP_OPEN);
	peer_silent(&p);
	host_close(h);
}

/* Routers let only 600 bytes through (RFC 1191): what is on the way goes again, smaller. */
static void test_path_mtu(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = open_mss(&p, h, false);
	struct ipaddr us = ipaddr_from_ip4(host_to_be32(US)),
		      them = ipaddr_from_ip4(host_to_be32(PEER));
	uint32_t base = p.ack;
	uint8_t l4[8];

	sock_write(s, data, 2 * MSS);
	expect_seq(&p, base);
	expect_seq(&p, base + MSS);
	be16_store(l4, p.to);
	be16_store(l4 + 2, p.port);
	/* of something that is not on the way: ignored */
	be32_store(l4 + 4, base + 99999);
	assert_true(tcp_icmp_error(h->w, &us, &them, l4, EMSGSIZE, true, 600));
	assert_int_equal(s->pcb->snd_mss, MSS);
	be32_store(l4 + 4, base);
	assert_true(tcp_icmp_error(h->w, &us, &them, l4, EMSGSIZE, true, 600));
	assert_int_equal(s->pcb->snd_mss, 560);
	host_run(h);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_int_equal(h->info.seq, base);
	assert_int_equal(h->info.data_len, 560);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_start),	    cmocka_unit_test(test_fast_retransmit),
		cmocka_unit_test(test_long_without_loss),   cmocka_unit_test(test_sack_recovery),
		cmocka_unit_test(test_reordering_timer),    cmocka_unit_test(test_tail_loss),
		cmocka_unit_test(test_retransmission_lost), cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_sack_nonsense),	    cmocka_unit_test(test_path_mtu),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
