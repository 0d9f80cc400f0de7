/* SPDX-License-Identifier: BSD-3-Clause */
/* DCTCP (RFC 8257): alpha follows the share of marked bytes, the window follows alpha. */
#include "cc_common.h"

#include <linux/inet_diag.h>

static struct cc_bench *bench(uint32_t segments)
{
	struct cc_bench *b = cc_open(&tcp_dctcp);

	b->pcb.flags |= F_ECN;
	b->pcb.cc->init(&b->w, &b->pcb);
	b->pcb.cwnd = b->pcb.ssthresh = segments * MSS;
	return b;
}

static uint32_t alpha(const struct cc_bench *b)
{
	struct tcp_dctcp_info i;

	assert_int_equal(b->pcb.cc->info(&b->pcb, &i, sizeof(i)), sizeof(i));
	return i.dctcp_alpha;
}

/* A window of which so many segments are marked; it does not grow. */
static void window(struct cc_bench *b, uint32_t marked)
{
	struct tcp_pcb *pcb = &b->pcb;
	uint32_t n = pcb->cwnd / MSS;

	pcb->snd_nxt = pcb->snd_una + n * MSS;
	for (uint32_t i = 0; i < n; i++) {
		struct tcp_rate rate = { .acked_bytes = MSS, .newly_bytes = MSS };

		rate.ece = i < marked;
		pcb->snd_una += MSS;
		pcb->cc->acked(&b->w, pcb, &rate);
		pcb->snd_nxt += MSS;
	}
}

static void test_alpha(void **state)
{
	struct cc_bench *b = bench(100);

	assert_int_equal(alpha(b), 1024);
	window(b, 0); /* what was on the way before, and this one: 15/16 each */
	assert_int_equal(alpha(b), 900);
	for (unsigned int i = 0; i < 100; i++)
		window(b, 25);
	assert_in_range(alpha(b), 240, 272); /* a quarter, within its granularity */
	for (unsigned int i = 0; i < 200; i++)
		window(b, 100);
	assert_in_range(alpha(b), 1000, 1024);
	for (unsigned int i = 0; i < 200; i++)
		window(b, 0);
	assert_int_equal(alpha(b), 0);
	free(b);
}

static void test_reduce(void **state)
{
	struct cc_bench *b = bench(100);

	cc_lose(b); /* alpha is 1 */
	assert_int_equal(b->pcb.cwnd, 50 * MSS);
	b->pcb.cwnd = 100 * MSS;
	for (unsigned int i = 0; i < 100; i++)
		window(b, 50);
	cc_lose(b);
	assert_in_range(b->pcb.cwnd, 73 * MSS, 77 * MSS);
	b->pcb.cwnd = 2 * MSS;
	cc_lose(b);
	assert_int_equal(b->pcb.cwnd, 2 * MSS);
	/* losses: half, whatever alpha */
	b->pcb.cwnd = 100 * MSS;
	b->pcb.cc->state(&b->w, &b->pcb, TCP_RECOVERY);
	assert_int_equal(b->pcb.ssthresh, 50 * MSS);
	b->pcb.cwnd = 60 * MSS;
	b->pcb.cc->event(&b->w, &b->pcb, TCP_CC_TIMEOUT);
	assert_int_equal(b->pcb.ssthresh, 30 * MSS);
	free(b);
}

/* Reno's growth: doubled, then a segment a round. */
static void test_grow(void **state)
{
	struct cc_bench *b = bench(40);

	b->pcb.cwnd = 10 * MSS;
	cc_round(b, MS, true);
	assert_int_equal(b->pcb.cwnd, 20 * MSS);
	cc_round(b, MS, true);
	cc_round(b, MS, true);
	assert_int_equal(b->pcb.cwnd, 41 * MSS);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alpha),
		cmocka_unit_test(test_reduce),
		cmocka_unit_test(test_grow),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
