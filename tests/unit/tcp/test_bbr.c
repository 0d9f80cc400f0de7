/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BBR on a path made by the test: one queue of a given rate and length, a delay, losses. Samples
 * are those of rate.c, the controller and pace.c are the real ones; the rest of TCP is left away:
 * what is lost is known at once when a later packet arrives, and counts as new when it is sent
 * again.
 */
#include "cc_common.h"

#include <linux/inet_diag.h>

#include "inet/tcp/recovery.h"
#include "inet/tcp/bbr.h"

#define PACKETS 8192u /* on the way at most */

struct path {
	struct cc_bench *b;
	struct tcp_stack *stack;
	/* the path */
	uint64_t rate, rtt_ns;	/* bytes a second; without the queue */
	uint64_t buffer;	/* bytes; 0: no limit */
	unsigned int loss_1000; /* so many of a thousand are lost */
	uint64_t policer;	/* bytes a second, 0: none; a bucket of 1 MB */
	uint64_t tokens_ns;
	/* the sender */
	uint64_t app_rate; /* what the program has, bytes a second, 0: no end of it */
	uint64_t app_bytes;
	struct tcp_sent sent[PACKETS];
	uint64_t arrives_ns[PACKETS]; /* its ACK; 0: it was lost */
	uint32_t first, next;
	uint64_t free_ns;     /* when the queue is empty */
	uint64_t repaired_ns; /* when what was resent in this recovery has arrived */
	uint64_t queue_max_bytes, lost, passed;
	uint32_t random;
};

static struct path *path_open(uint64_t rate, uint64_t rtt_ns, uint64_t buffer)
{
	struct path *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->b = calloc(1, sizeof(*p->b));
	p->stack = calloc(1, sizeof(*p->stack));
	assert_true(p->b && p->stack);
	tcp_params_init(&p->stack->params);
	p->b->w.tcp = p->stack;
	p->b->w.now_ns = TEST_START_NS;
	p->b->pcb.snd_mss = MSS;
	p->b->pcb.cc = &tcp_bbr;
	p->b->pcb.srtt_us8 = (uint32_t)(rtt_ns / 1000 * 8);
	p->b->pcb.rtt_min_us = (uint32_t)(rtt_ns / 1000);
	timer_wheel_init(&p->b->w.timers, TEST_START_NS);
	p->b->pcb.timer.fn = tcp_timer_fired;
	tcp_cc_start(&p->b->w, &p->b->pcb);
	p->rate = rate;
	p->rtt_ns = rtt_ns;
	p->buffer = buffer;
	p->random = 1;
	return p;
}

static void path_close(struct path *p)
{
	free(p->stack);
	free(p->b);
	free(p);
}

static bool by_chance(struct path *p)
{
	p->random = p->random * 1664525 + 1013904223;
	return (p->random >> 8) % 1000 < p->loss_1000;
}

/* A bucket that fills at p->policer up to 1 MB, counted in time. */
static bool policed(struct path *p, uint64_t now_ns)
{
	uint64_t cost_ns, full_ns;

	if (!p->policer)
		return false;
	cost_ns = MSS * TCP_S_NS / p->policer;
	full_ns = 1000 * cost_ns;
	if (p->tokens_ns + full_ns < now_ns)
		p->tokens_ns = now_ns - full_ns;
	if (p->tokens_ns + cost_ns > now_ns)
		return true;
	p->tokens_ns += cost_ns;
	return false;
}

/* When the ACK of a packet that is sent now comes; 0: never. */
static uint64_t through(struct path *p)
{
	uint64_t now_ns = p->b->w.now_ns, queue;

	if (by_chance(p) || policed(p, now_ns))
		return 0;
	queue = p->free_ns > now_ns ? (p->free_ns - now_ns) * p->rate / TCP_S_NS : 0;
	if (p->buffer && queue + MSS > p->buffer)
		return 0;
	if (queue > p->queue_max_bytes)
		p->queue_max_bytes = queue;
	p->free_ns = tcp_max64(p->free_ns, now_ns) + MSS * TCP_S_NS / p->rate;
	return p->free_ns + p->rtt_ns;
}

static bool may_send(struct path *p)
{
	struct tcp_pcb *pcb = &p->b->pcb;
	uint64_t since_ns = p->b->w.now_ns - TEST_START_NS;

	if (pcb->flight_bytes + MSS > pcb->cwnd || p->next - p->first >= PACKETS)
		return false;
	if (p->app_rate && p->app_bytes + MSS > since_ns * p->app_rate / TCP_S_NS) {
		pcb->app_limited_bytes = tcp_max64(pcb->delivered_bytes + pcb->flight_bytes, 1);
		return false;
	}
	return tcp_pace_room(&p->b->w, pcb, MSS);
}

static void send_one(struct path *p)
{
	struct tcp_pcb *pcb = &p->b->pcb;
	struct tcp_sent *r = &p->sent[p->next % PACKETS];

	if (pcb->flight_bytes == 0)
		pcb->cc->event(&p->b->w, pcb, TCP_CC_SEND_IDLE);
	*r = (struct tcp_sent){ .start = pcb->snd_nxt, .end = pcb->snd_nxt + MSS };
	tcp_rate_sent(&p->b->w, pcb, r, pcb->flight_bytes == 0);
	pcb->snd_nxt += MSS;
	pcb->flight_bytes += MSS;
	pcb->data_segs_out++;
	p->app_bytes += MSS;
	tcp_pace_sent(&p->b->w, pcb, MSS);
	p->arrives_ns[p->next++ % PACKETS] = through(p);
}

static void lose_until(struct path *p, uint32_t at)
{
	struct tcp_pcb *pcb = &p->b->pcb;

	if (pcb->recovery == TCP_OPEN ||
	    tcp_seq_lt(p->sent[p->first % PACKETS].start, pcb->recover))
		p->repaired_ns = p->b->w.now_ns + pcb->srtt_us8 / 8 * 1000ull;
	for (; p->first != at; p->first++) {
		pcb->flight_bytes -= MSS;
		pcb->lost_total += MSS;
		p->lost++;
	}
	if (pcb->recovery == TCP_OPEN) {
		pcb->ssthresh = pcb->cc->ssthresh(&p->b->w, pcb, pcb->flight_bytes);
		pcb->cc->state(&p->b->w, pcb, TCP_RECOVERY);
		pcb->recovery = TCP_RECOVERY;
		pcb->recover = pcb->snd_nxt;
	}
}

/* The ACK of the first packet that arrives. */
static void ack_one(struct path *p, uint32_t at)
{
	struct tcp_pcb *pcb = &p->b->pcb;
	struct tcp_sent *r = &p->sent[at % PACKETS];
	struct tcp_ack a = { .prior_flight = pcb->flight_bytes,
			     .prior_lost = (uint32_t)pcb->lost_total,
			     .newly_bytes = MSS,
			     .acked_bytes = MSS,
			     .newest_acked_ns = r->sent_ns };
	struct tcp_rate rate;

	if (at != p->first)
		lose_until(p, at);
	tcp_rate_arrived(&p->b->w, pcb, r, &a);
	p->first++;
	pcb->flight_bytes -= MSS;
	pcb->snd_una = r->end;
	p->passed += MSS;
	if (pcb->recovery && tcp_seq_gt(pcb->snd_una, pcb->recover) &&
	    p->b->w.now_ns >= p->repaired_ns) {
		pcb->cc->state(&p->b->w, pcb, TCP_OPEN);
		pcb->recovery = TCP_OPEN;
	}
	tcp_rate_sample(&p->b->w, pcb, &a, &rate);
	pcb->cc->control(&p->b->w, pcb, &rate);
}

/* Till so much time has gone by. */
static void run(struct path *p, uint64_t ns)
{
	struct worker *w = &p->b->w;
	uint64_t end_ns = w->now_ns + ns;

	while (w->now_ns < end_ns) {
		uint64_t next_ns = w->now_ns + TCP_MS_NS;
		uint32_t at = p->first;

		while (may_send(p))
			send_one(p);
		p->b->pcb.pace_burst = 0;
		while (at != p->next && !p->arrives_ns[at % PACKETS])
			at++;
		if (at != p->next)
			next_ns = tcp_min64(next_ns, p->arrives_ns[at % PACKETS]);
		if (p->b->pcb.pace_ns > w->now_ns)
			next_ns = tcp_min64(next_ns, p->b->pcb.pace_ns);
		w->now_ns = next_ns;
		if (at != p->next && p->arrives_ns[at % PACKETS] <= w->now_ns)
			ack_one(p, at);
		else if (at == p->next && p->first != at && w->now_ns % (200 * MS) < MS)
			lose_until(p, at); /* all of it */
	}
}

static struct tcp_bbr_info info_of(struct path *p)
{
	struct tcp_bbr_info i;

	assert_int_equal(tcp_bbr.info(&p->b->pcb, &i, sizeof(i)), sizeof(i));
	return i;
}

/* The link is full, the rate is known, and the queue is short. */
static void test_fills(void **state)
{
	static const struct {
		uint64_t rate, rtt_ns;
	} cases[] = { { 125000, 100 * MS },
		      { 1250000, 40 * MS },
		      { 12500000, 10 * MS },
		      { 2500000, 100 * MS } };

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bdp = cases[i].rate * cases[i].rtt_ns / TCP_S_NS;
		struct path *p = path_open(cases[i].rate, cases[i].rtt_ns, 0);
		uint64_t before;

		run(p, 3 * TCP_S_NS);
		assert_int_equal(info_of(p).bbr_cwnd_gain, 512); /* PROBE_BW */
		p->queue_max_bytes = 0;
		before = p->passed;
		run(p, 5 * TCP_S_NS);
		assert_in_range(info_of(p).bbr_bw_lo, cases[i].rate * 97 / 100,
				cases[i].rate * 103 / 100);
		assert_in_range(info_of(p).bbr_min_rtt, cases[i].rtt_ns / 1000,
				cases[i].rtt_ns * 11 / 10000 + 8000);
		assert_true(p->passed - before > 5 * cases[i].rate * 95 / 100);
		assert_true(p->queue_max_bytes < bdp);
		assert_true(p->b->pcb.cwnd <= 2 * bdp + bdp / 4 + 32 * MSS);
		path_close(p);
	}
}

/* STARTUP overruns a queue of one BDP by what it sends in two round trips; after it nothing is
 * lost. */
static void test_one_bdp(void **state)
{
	struct path *p = path_open(2500000, 40 * MS, 100000);
	uint64_t lost;

	run(p, 2 * TCP_S_NS);
	lost = p->lost;
	assert_true(lost < 300);
	p->passed = 0;
	run(p, 7 * TCP_S_NS);
	assert_int_equal(p->lost, lost);
	assert_true(p->passed > 7 * 2500000ull * 95 / 100);
	path_close(p);
}

/* Losses that no congestion makes do not slow it down. */
static void test_random_loss(void **state)
{
	static const unsigned int loss_1000[] = { 10, 50 };

	for (unsigned int i = 0; i < 2; i++) {
		struct path *p = path_open(2500000, 40 * MS, 200000);

		p->loss_1000 = loss_1000[i];
		run(p, 2 * TCP_S_NS);
		p->passed = 0;
		run(p, 8 * TCP_S_NS);
		assert_true(p->passed > 8 * 2500000ull * 80 / 100);
		path_close(p);
	}
}

/* Ten seconds without a smaller round trip: four segments for 200 ms, then as before. */
static void test_probe_rtt(void **state)
{
	struct path *p = path_open(1250000, 40 * MS, 0);
	unsigned int small_ms = 0;
	uint32_t cwnd;

	run(p, 5 * TCP_S_NS);
	cwnd = p->b->pcb.cwnd;
	for (unsigned int ms = 0; ms < 11000; ms++) {
		run(p, MS);
		small_ms += p->b->pcb.cwnd == 4 * MSS;
	}
	/* 200 ms, a round trip at least, and the time that it takes to get down there */
	assert_in_range(small_ms, 200, 700);
	assert_in_range(info_of(p).bbr_min_rtt, 40000, 42000);
	assert_in_range(p->b->pcb.cwnd, cwnd * 9 / 10, cwnd * 11 / 10);
	path_close(p);
}

/* The path gets slower: forgotten in ten rounds; faster: found by probing. */
static void test_change(void **state)
{
	struct path *p = path_open(2500000, 40 * MS, 0);

	run(p, 3 * TCP_S_NS);
	p->rate = 1250000;
	run(p, 3 * TCP_S_NS);
	assert_in_range(info_of(p).bbr_bw_lo, 1200000, 1300000);
	p->rate = 2500000;
	run(p, 4 * TCP_S_NS);
	assert_in_range(info_of(p).bbr_bw_lo, 2300000, 2600000);
	path_close(p);
}

/* A program that has less than the path carries: what is known of the path is not forgotten by
 * samples that say less. */
static void test_app_limited(void **state)
{
	struct path *p = path_open(2500000, 40 * MS, 0);

	run(p, 3 * TCP_S_NS);
	p->app_bytes = 3 * 250000;
	p->app_rate = 250000;
	run(p, 4 * TCP_S_NS);
	assert_in_range(info_of(p).bbr_bw_lo, 2300000, 2600000);
	path_close(p);
}

/* A policer throws away what is beyond its rate: that rate is found, and kept to. */
static void test_policer(void **state)
{
	struct path *p = path_open(12500000, 20 * MS, 0);
	const struct bbr *b = tcp_cc_state(&p->b->pcb, const struct bbr);
	uint64_t lost;

	p->policer = 1250000;
	run(p, TCP_S_NS);
	assert_true(b->lt_use);
	assert_in_range(info_of(p).bbr_bw_lo, 1200000, 1300000);
	assert_int_equal(info_of(p).bbr_pacing_gain, 256);
	lost = p->lost;
	p->passed = 0;
	run(p, TCP_S_NS / 2);
	assert_true((p->lost - lost) * MSS * 20 < p->passed);
	assert_true(p->passed > 1250000 / 2 * 90 / 100);
	/* 48 rounds later it is looked at anew */
	run(p, TCP_S_NS);
	assert_true(p->lost - lost > 20);
	path_close(p);
}

/* The first window goes at 2.89 * 10 segments in a round trip; nothing is paced before ten are out.
 */
static void test_start(void **state)
{
	struct path *p = path_open(12500000, 100 * MS, 0);

	assert_in_range(p->b->pcb.pacing_rate, 280000, 290000);
	assert_int_equal(info_of(p).bbr_pacing_gain, 739);
	while (may_send(p))
		send_one(p);
	assert_int_equal(p->b->pcb.data_segs_out, 10);
	path_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),	    cmocka_unit_test(test_fills),
		cmocka_unit_test(test_one_bdp),	    cmocka_unit_test(test_random_loss),
		cmocka_unit_test(test_probe_rtt),   cmocka_unit_test(test_change),
		cmocka_unit_test(test_app_limited), cmocka_unit_test(test_policer),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
