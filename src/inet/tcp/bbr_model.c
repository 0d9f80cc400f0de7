/* SPDX-License-Identifier: BSD-3-Clause */
/* How BBR measures the path, and when it goes from one mode to the next: at each ACK. */
#include "inet/tcp/bbr.h"

#define FULL_BW_ROUNDS 3u
#define EXTRA_EPOCH_BYTES (1u << 30)
#define EXTRA_EPOCH_US 10000000ull

uint32_t bbr_max_bw(const struct bbr *b)
{
	uint32_t max = 0;

	for (unsigned int i = 0; i < BBR_BW_SLOTS; i++)
		max = tcp_max(max, b->bw[i]);
	return max;
}

uint32_t bbr_bw(const struct bbr *b)
{
	return b->lt_use ? b->lt_bw : bbr_max_bw(b);
}

/* A slot holds the best of two rounds: with the first of them what was ten rounds ago goes. */
static uint32_t *bw_slot(struct bbr *b)
{
	return &b->bw[b->rounds / 2 % BBR_BW_SLOTS];
}

static void round_count(struct tcp_pcb *pcb, struct bbr *b, const struct tcp_rate *rate)
{
	if ((int32_t)((uint32_t)rate->prior_delivered_bytes - b->round_end) < 0)
		return;
	b->round_end = (uint32_t)pcb->delivered_bytes;
	b->rounds++;
	b->round_start = true;
	b->conserve = false;
}

static void bw_update(struct worker *w, struct tcp_pcb *pcb, struct bbr *b,
		      const struct tcp_rate *rate)
{
	uint32_t bw;

	b->round_start = false;
	if (!rate->interval_ns)
		return;
	round_count(pcb, b, rate);
	bbr_lt_sample(w, pcb, b, rate->lost_bytes, rate->app_limited);
	bw = bbr_bw_of(rate->delivered_bytes, rate->interval_ns);
	/* What was sent for want of data says nothing, unless it says more. */
	if (rate->app_limited && bw < bbr_max_bw(b))
		return;
	if (b->round_start && b->rounds % 2 == 0)
		*bw_slot(b) = 0;
	*bw_slot(b) = tcp_max(*bw_slot(b), bw);
}

static void extra_window(struct bbr *b)
{
	if (!b->round_start || ++b->extra_rounds < BBR_EXTRA_ROUNDS)
		return;
	b->extra_rounds = 0;
	b->extra_slot ^= 1;
	b->extra_acked[b->extra_slot] = 0;
}

/* ACKs that come in heaps: how much was acknowledged beyond what the rate explains? So much more
 * must be on the way, lest the pipe runs dry while no ACK comes. */
static void aggregation(struct worker *w, struct tcp_pcb *pcb, struct bbr *b,
			const struct tcp_rate *rate)
{
	uint64_t epoch_us, expected;
	uint32_t extra;

	if (!rate->newly_bytes || !rate->interval_ns)
		return;
	extra_window(b);
	epoch_us = (w->now_ns - b->epoch_ns) / 1000;
	expected = tcp_min64(epoch_us, EXTRA_EPOCH_US) * bbr_bytes_s(bbr_bw(b)) / 1000000;
	if (b->epoch_bytes <= expected || epoch_us > EXTRA_EPOCH_US ||
	    b->epoch_bytes + (uint64_t)rate->newly_bytes > EXTRA_EPOCH_BYTES) {
		b->epoch_bytes = 0;
		b->epoch_ns = w->now_ns;
		expected = 0;
	}
	b->epoch_bytes += rate->newly_bytes;
	extra = tcp_min(b->epoch_bytes - (uint32_t)expected, pcb->cwnd);
	b->extra_acked[b->extra_slot] = tcp_max(b->extra_acked[b->extra_slot], extra);
}

/* What will be on the way when the next segment may leave. */
static uint32_t in_net(const struct worker *w, const struct tcp_pcb *pcb, const struct bbr *b,
		       uint32_t flight)
{
	uint64_t wait_ns = pcb->pace_ns > w->now_ns ? pcb->pace_ns - w->now_ns : 0, gone;

	gone = tcp_min64(wait_ns, TCP_S_NS) * bbr_bytes_s(bbr_bw(b)) / TCP_S_NS;
	if (bbr_pacing_gain(b) > BBR_GAIN_ONE)
		flight += tcp_pace_burst_bytes(pcb, pcb->pacing_rate);
	return gone < flight ? flight - (uint32_t)gone : 0;
}

static bool phase_over(struct worker *w, const struct tcp_pcb *pcb, const struct bbr *b,
		       const struct tcp_rate *rate)
{
	bool full = w->now_ns - b->cycle_ns > b->min_rtt_us * 1000ull;
	uint32_t gain = bbr_pacing_gain(b), flight;

	if (gain == BBR_GAIN_ONE)
		return full;
	flight = in_net(w, pcb, b, rate->prior_flight_bytes);
	/* Probing needs so much on the way that it can show; draining ends once the queue is gone.
	 */
	if (gain > BBR_GAIN_ONE)
		return full &&
		       (rate->lost_bytes || flight >= bbr_inflight(w, pcb, b, bbr_max_bw(b), gain));
	return full || flight <= bbr_inflight(w, pcb, b, bbr_max_bw(b), BBR_GAIN_ONE);
}

/* Three rounds in which the rate did not grow by a quarter: the pipe is full. */
static void full_pipe(struct bbr *b, const struct tcp_rate *rate)
{
	uint32_t bw = bbr_max_bw(b);

	if (b->full || !b->round_start || rate->app_limited)
		return;
	if (bw >= b->full_bw + (uint64_t)b->full_bw / 4) {
		b->full_bw = bw;
		b->full_rounds = 0;
		return;
	}
	b->full = ++b->full_rounds >= FULL_BW_ROUNDS;
}

static void drain(struct worker *w, struct tcp_pcb *pcb, struct bbr *b)
{
	if (b->mode == BBR_STARTUP && b->full) {
		b->mode = BBR_DRAIN;
		pcb->ssthresh = bbr_inflight(w, pcb, b, bbr_max_bw(b), BBR_GAIN_ONE);
	}
	if (b->mode == BBR_DRAIN && in_net(w, pcb, b, tcp_pipe(pcb)) <=
					    bbr_inflight(w, pcb, b, bbr_max_bw(b), BBR_GAIN_ONE))
		bbr_probe_bw(w, b);
}

static void probe_rtt(struct worker *w, struct tcp_pcb *pcb, struct bbr *b)
{
	uint32_t pipe = tcp_pipe(pcb);

	/* What is measured now is not the path's rate. */
	pcb->app_limited_bytes = tcp_max64(pcb->delivered_bytes + pipe, 1);
	if (!b->probe_rtt_done_ns) {
		if (pipe > BBR_MIN_SEGMENTS * pcb->snd_mss)
			return;
		b->probe_rtt_done_ns = w->now_ns + BBR_PROBE_RTT_NS;
		b->probe_rtt_round = false;
		b->round_end = (uint32_t)pcb->delivered_bytes;
		return;
	}
	if (b->round_start)
		b->probe_rtt_round = true;
	if (b->probe_rtt_round)
		bbr_probe_rtt_over(w, pcb, b);
}

static void min_rtt(struct worker *w, struct tcp_pcb *pcb, struct bbr *b,
		    const struct tcp_rate *rate)
{
	bool expired = w->now_ns > b->min_rtt_ns_at + BBR_MIN_RTT_NS;
	uint32_t us = (uint32_t)tcp_min64(rate->rtt_ns / 1000, UINT32_MAX);
	bool delayed = rate->acked_bytes < pcb->snd_mss; /* perhaps: one small segment's ACK */

	if (rate->rtt_ns && (us < b->min_rtt_us || (expired && !delayed))) {
		b->min_rtt_us = tcp_max(us, 1);
		b->min_rtt_ns_at = w->now_ns;
	}
	if (expired && !b->idle_restart && b->mode != BBR_PROBE_RTT) {
		b->mode = BBR_PROBE_RTT;
		bbr_save_cwnd(pcb, b);
		b->probe_rtt_done_ns = 0;
	}
	if (b->mode == BBR_PROBE_RTT)
		probe_rtt(w, pcb, b);
	if (rate->delivered_bytes)
		b->idle_restart = false;
}

void bbr_model(struct worker *w, struct tcp_pcb *pcb, struct bbr *b, const struct tcp_rate *rate)
{
	bw_update(w, pcb, b, rate);
	aggregation(w, pcb, b, rate);
	if (b->mode == BBR_PROBE_BW && phase_over(w, pcb, b, rate)) {
		b->cycle = (uint8_t)((b->cycle + 1) % BBR_CYCLE);
		b->cycle_ns = w->now_ns;
	}
	full_pipe(b, rate);
	drain(w, pcb, b);
	min_rtt(w, pcb, b, rate);
}
