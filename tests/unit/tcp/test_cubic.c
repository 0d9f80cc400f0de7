/* SPDX-License-Identifier: BSD-3-Clause */
/* CUBIC (RFC 9438) and HyStart++ (RFC 9406) against figures from the RFCs' formulas. */
#include "cc_common.h"

#include <math.h>

#define C 0.4
#define BETA 0.7

/* A long-running flow: window in segments, in congestion avoidance. */
static struct cc_bench *in_avoidance(const struct tcp_cc_ops *ops, uint32_t segments)
{
	struct cc_bench *b = cc_open(ops);

	b->pcb.cwnd = segments * MSS;
	b->pcb.ssthresh = segments * MSS;
	return b;
}

static void test_reduce(void **state)
{
	struct cc_bench *b = in_avoidance(&tcp_cubic, 100);

	cc_lose(b);
	assert_int_equal(b->pcb.ssthresh, 70 * MSS);
	b->pcb.cwnd = 2 * MSS;
	cc_lose(b);
	assert_int_equal(b->pcb.ssthresh, 2 * MSS);
	free(b);
}

/* After a loss at 1000 segments and 100 ms: W_cubic(t) at each round, concave and convex. */
static void test_curve(void **state)
{
	struct cc_bench *b = in_avoidance(&tcp_cubic, 1000);
	double k = cbrt(1000 * (1 - BETA) / C), w_max = 1000;
	uint64_t start;

	cc_lose(b);
	assert_int_equal(b->pcb.cwnd, 700 * MSS);
	start = b->w.now_ns;
	for (unsigned int i = 0; i < 150; i++) {
		double t, want, got;

		cc_round(b, 100 * MS, true);
		t = (double)(b->w.now_ns - start) / 1e9;
		want = C * pow(t - k, 3) + w_max;
		got = (double)b->pcb.cwnd / MSS;
		/* grow aims at the curve one RTT on, ACK by ACK */
		assert_true(got > want * 0.97 - 5 && got < want * 1.03 + 5);
	}
	assert_true(b->pcb.cwnd > 1050 * MSS);
	free(b);
}

/* The window at the flat point stays for a while at W_max, whatever the RTT. */
static void test_rtt_independent(void **state)
{
	uint32_t at[2];

	for (int i = 0; i < 2; i++) {
		struct cc_bench *b = in_avoidance(&tcp_cubic, 2000);
		uint64_t rtt = i ? 50 * MS : 200 * MS, end;

		cc_lose(b);
		end = b->w.now_ns + 8 * TCP_S_NS;
		while (b->w.now_ns < end)
			cc_round(b, rtt, true);
		at[i] = b->pcb.cwnd;
		free(b);
	}
	assert_true(at[0] > at[1] ? at[0] - at[1] < at[1] / 20 : at[1] - at[0] < at[0] / 20);
}

/* RFC 9438 section 4.3: short round trips, small windows: not slower than Reno's alpha. */
static void test_reno_friendly(void **state)
{
	struct cc_bench *b = in_avoidance(&tcp_cubic, 20);
	uint32_t before;

	cc_lose(b);
	before = b->pcb.cwnd;
	for (unsigned int i = 0; i < 10; i++)
		cc_round(b, 1 * MS, true);
	/* 9/17 of a segment each round */
	assert_in_range(b->pcb.cwnd, before + 45 * MSS / 10, before + 56 * MSS / 10);
	for (unsigned int i = 0; i < 10; i++)
		cc_round(b, 1 * MS, true);
	assert_true(b->pcb.cwnd > 20 * MSS);
	/* W_est has reached the window before the loss: a whole segment each round */
	before = b->pcb.cwnd;
	for (unsigned int i = 0; i < 10; i++)
		cc_round(b, 1 * MS, true);
	assert_in_range(b->pcb.cwnd, before + 9 * MSS, before + 11 * MSS);
	free(b);
}

/* Section 4.7: a second loss below the first W_max leaves room to others. */
static void test_fast_convergence(void **state)
{
	struct cc_bench *b = in_avoidance(&tcp_cubic, 1000);
	double k = cbrt((850. * 0.85 - 850 * 0.7) / C);
	uint64_t start;

	cc_lose(b);
	b->pcb.cwnd = 850 * MSS;
	cc_lose(b);
	assert_int_equal(b->pcb.cwnd, 595 * MSS);
	start = b->w.now_ns;
	while ((double)(b->w.now_ns - start) / 1e9 < k)
		cc_round(b, 50 * MS, true);
	/* flat at 0.85 of 850 */
	assert_in_range(b->pcb.cwnd, 715 * MSS, 730 * MSS);
	free(b);
}

/* Section 4.4: at most half a window more in a round trip. */
static void test_clamp(void **state)
{
	struct cc_bench *b = in_avoidance(&tcp_cubic, 10);
	uint32_t before;

	cc_lose(b);
	cc_round(b, 100 * MS, true);
	b->w.now_ns += 100 * TCP_S_NS; /* no ACK at all, so the curve is far away */
	before = b->pcb.cwnd;
	b->pcb.cc->grow(&b->w, &b->pcb, before);
	assert_int_equal(b->pcb.cwnd, before + before / 2);
	free(b);
}

/* What the program does not use is no time for the curve (sections 4.2, 5.8). */
static void test_app_limited(void **state)
{
	struct cc_bench *a = in_avoidance(&tcp_cubic, 1000), *b = in_avoidance(&tcp_cubic, 1000);

	cc_lose(a);
	cc_lose(b);
	for (unsigned int i = 0; i < 10; i++) {
		cc_round(a, 100 * MS, true);
		cc_round(b, 100 * MS, true);
	}
	/* b: an idle hour, then some time at half speed */
	b->w.now_ns += 3600 * TCP_S_NS;
	b->pcb.cc->event(&b->w, &b->pcb, TCP_CC_SEND_IDLE);
	for (unsigned int i = 0; i < 50; i++)
		cc_round(b, 100 * MS, false);
	cc_round(a, 100 * MS, true);
	cc_round(b, 100 * MS, true);
	assert_in_range(b->pcb.cwnd, a->pcb.cwnd - 5 * MSS, a->pcb.cwnd + 5 * MSS);
	free(a);
	free(b);
}

/* Section 4.8: after a time-out the curve starts flat at the window where avoidance begins. */
static void test_timeout(void **state)
{
	struct cc_bench *b = in_avoidance(&tcp_cubic, 1000);
	uint64_t start;

	cc_lose(b);
	b->pcb.cc->event(&b->w, &b->pcb, TCP_CC_TIMEOUT);
	assert_int_equal(b->pcb.ssthresh, 700 * MSS);
	b->pcb.cwnd = MSS;
	while (b->pcb.cwnd < b->pcb.ssthresh)
		cc_round(b, 100 * MS, true);
	start = b->w.now_ns;
	while (b->w.now_ns < start + 3 * TCP_S_NS)
		cc_round(b, 100 * MS, true);
	/* 0.4 * 3^3 = 11 segments, or Reno's 30 * 9/17 = 16 where that is more */
	assert_in_range(b->pcb.cwnd, 710 * MSS, 720 * MSS);
	free(b);
}

/* Section 4.9: the loss was none, all is as before. */
static void test_undo(void **state)
{
	struct cc_bench *a = in_avoidance(&tcp_cubic, 500), *b = in_avoidance(&tcp_cubic, 500);

	cc_lose(a);
	cc_lose(b);
	for (unsigned int i = 0; i < 20; i++) {
		cc_round(a, 100 * MS, true);
		cc_round(b, 100 * MS, true);
	}
	cc_lose(b);
	assert_true(b->pcb.cwnd < a->pcb.cwnd);
	b->pcb.cwnd = b->pcb.cc->undo_cwnd(&b->w, &b->pcb);
	assert_int_equal(b->pcb.cwnd, a->pcb.cwnd);
	b->pcb.ssthresh = a->pcb.ssthresh;
	for (unsigned int i = 0; i < 20; i++) {
		cc_round(a, 100 * MS, true);
		cc_round(b, 100 * MS, true);
	}
	assert_int_equal(b->pcb.cwnd, a->pcb.cwnd);
	free(a);
	free(b);
}

/* No window, however large, overflows the sums. */
static void test_extremes(void **state)
{
	struct cc_bench *b = in_avoidance(&tcp_cubic, 10);

	b->pcb.cwnd = TCP_MAX_CWND;
	cc_lose(b);
	assert_int_equal(b->pcb.cwnd, (uint64_t)TCP_MAX_CWND * 7 / 10);
	for (unsigned int i = 0; i < 10000; i++) {
		uint32_t before = b->pcb.cwnd;

		b->w.now_ns += 100 * MS;
		cc_ack(b, b->pcb.cwnd, 100 * MS, true);
		assert_in_range(b->pcb.cwnd, before, TCP_MAX_CWND);
	}
	assert_int_equal(b->pcb.cwnd, TCP_MAX_CWND);
	b->pcb.snd_mss = 65483;
	b->w.now_ns += 1000000 * TCP_S_NS;
	cc_ack(b, MSS, 100 * MS, true);
	assert_int_equal(b->pcb.cwnd, TCP_MAX_CWND);
	free(b);
}

/* RFC 9406: the RTT stays, so slow start doubles the window each round. */
static void test_slow_start(void **state)
{
	struct cc_bench *b = cc_open(&tcp_cubic);

	for (unsigned int i = 0; i < 6; i++) {
		uint32_t before = b->pcb.cwnd;

		cc_round(b, 50 * MS, true);
		assert_int_equal(b->pcb.cwnd, 2 * before);
	}
	assert_int_equal(b->pcb.ssthresh, TCP_MAX_CWND);
	/* An ACK of very much: L = 8 segments, unless paced. */
	cc_ack(b, 20 * MSS, 50 * MS, true);
	assert_int_equal(b->pcb.cwnd, 648 * MSS);
	b->pcb.flags |= F_PACED;
	cc_ack(b, 20 * MSS, 50 * MS, true);
	assert_int_equal(b->pcb.cwnd, 668 * MSS);
	free(b);
}

/* The RTT grows by an eighth: a quarter of the pace for five rounds, then ssthresh. */
static void test_css(void **state)
{
	struct cc_bench *b = cc_open(&tcp_cubic);
	uint32_t before;

	cc_round(b, 50 * MS, true);
	cc_round(b, 50 * MS, true);
	before = b->pcb.cwnd;
	cc_round(b, 60 * MS, true); /* noticed at the eighth sample */
	assert_in_range(b->pcb.cwnd, before * 5 / 4, before * 2 - 1);
	for (unsigned int i = 0; i < 3; i++) {
		before = b->pcb.cwnd;
		cc_round(b, 60 * MS, true);
		assert_in_range(b->pcb.cwnd, before * 5 / 4 - MSS, before * 5 / 4 + MSS);
		assert_int_equal(b->pcb.ssthresh, TCP_MAX_CWND);
	}
	for (unsigned int i = 0; i < 4; i++)
		cc_round(b, 60 * MS, true);
	assert_true(b->pcb.ssthresh < TCP_MAX_CWND);
	assert_true(b->pcb.cwnd >= b->pcb.ssthresh);
	free(b);
}

/* The RTT comes down again: it was noise, and slow start goes on. */
static void test_css_resume(void **state)
{
	struct cc_bench *b = cc_open(&tcp_reno);
	uint32_t before;

	cc_round(b, 50 * MS, true);
	cc_round(b, 50 * MS, true);
	cc_round(b, 60 * MS, true);
	cc_round(b, 50 * MS, true);
	cc_round(b, 50 * MS, true);
	before = b->pcb.cwnd;
	cc_round(b, 50 * MS, true);
	assert_in_range(b->pcb.cwnd, before * 2 - MSS, before * 2 + MSS);
	assert_int_equal(b->pcb.ssthresh, TCP_MAX_CWND);
	free(b);
}

/* Below the threshold of 4 ms, and with less than eight samples, nothing is concluded. */
static void test_css_not(void **state)
{
	struct cc_bench *b = cc_open(&tcp_cubic);
	uint32_t before;

	for (unsigned int i = 0; i < 8; i++) {
		before = b->pcb.cwnd;
		cc_round(b, (1 + 3 * i) * MS, true);
		assert_int_equal(b->pcb.cwnd, 2 * before);
	}
	free(b);
}

static void test_find(void **state)
{
	assert_ptr_equal(tcp_cc_find("cubic", 16), &tcp_cubic);
	assert_ptr_equal(tcp_cc_find("renomination", 4), &tcp_reno);
	assert_null(tcp_cc_find("cubi", 16));
	assert_null(tcp_cc_find("", 0));
	assert_null(tcp_cc_find("vegas", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reduce),
		cmocka_unit_test(test_curve),
		cmocka_unit_test(test_rtt_independent),
		cmocka_unit_test(test_reno_friendly),
		cmocka_unit_test(test_fast_convergence),
		cmocka_unit_test(test_clamp),
		cmocka_unit_test(test_app_limited),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_css),
		cmocka_unit_test(test_css_resume),
		cmocka_unit_test(test_css_not),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
