/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pacing: segments leave spread over the round trip, in bursts of about a millisecond [the internal
 * pacing of tcp_output.c]. A connection is paced when its controller says so (TCP_CC_PACED: it sets
 * pacing_rate) or when SO_MAX_PACING_RATE is set; then the rate of the others is cwnd / srtt, with
 * room to grow: tcp_pacing_ss_ratio in slow start, tcp_pacing_ca_ratio after it.
 *
 * pace_ns is when what was sent so far has left at this rate. A burst may begin at pace_ns or
 * later, and moves it on by what it sends; a burst that begins late, because the timer or the
 * worker was, gets up to half of its time back. While data waits for pace_ns it is one of the pcb's
 * deadlines (F_PACE_WAIT). Retransmissions are paced like new data; single probes are not.
 *
 * Whoever is not paced pays one test of a flag.
 */
#include "inet/tcp/cc.h"
#include "inet/tcp/tcp_impl.h"

#define PACE_UNPACED_SEGMENTS 10u  /* the first of a connection: the initial window [fq] */
#define PACE_BURST_SHIFT 10u	   /* a burst: rate / 1024, what leaves in a millisecond */
#define PACE_BURST_MIN_SEGMENTS 2u /* [tcp_min_tso_segs] */
#define PACE_SLOW_RATE 150000u	   /* bytes a second, below which BBR's bursts are one segment */

/* cwnd / srtt, in bytes a second; 0: no round trip was measured. */
static uint64_t window_rate(const struct worker *w, const struct tcp_pcb *pcb)
{
	const struct tcp_params *params = &w->tcp->params;
	uint64_t window = tcp_max(pcb->cwnd, pcb->snd_nxt - pcb->snd_una);
	int32_t ratio = pcb->cwnd < pcb->ssthresh / 2 ? params->tcp_pacing_ss_ratio
						      : params->tcp_pacing_ca_ratio;

	if (!pcb->srtt_us8)
		return 0;
	return window * 8000000 / pcb->srtt_us8 * (uint32_t)ratio / 100;
}

uint64_t tcp_pacing_rate(const struct worker *w, const struct tcp_pcb *pcb)
{
	uint64_t max = pcb->pub.max_pacing_rate;
	uint64_t rate = pcb->cc->flags & TCP_CC_PACED ? pcb->pacing_rate : window_rate(w, pcb);

	if (!rate)
		return max;
	return max ? tcp_min64(rate, max) : rate;
}

/* What may leave in one burst [tcp_tso_autosize]. */
uint32_t tcp_pace_burst_bytes(const struct tcp_pcb *pcb, uint64_t rate)
{
	uint32_t mss = pcb->snd_mss, segments = PACE_BURST_MIN_SEGMENTS;
	uint32_t bytes = (uint32_t)tcp_min64(rate >> PACE_BURST_SHIFT, TCP_GSO_MAX_BYTES);

	if ((pcb->cc->flags & TCP_CC_PACED) && rate < PACE_SLOW_RATE)
		segments = 1;
	return tcp_max(bytes - bytes % mss, segments * mss);
}

void tcp_pacing_update(struct worker *w, struct tcp_pcb *pcb)
{
	if ((pcb->cc->flags & TCP_CC_PACED) || pcb->pub.max_pacing_rate) {
		pcb->flags |= F_PACED;
	} else if (pcb->flags & F_PACED) {
		pcb->flags &= ~(F_PACED | F_PACE_WAIT);
		pcb->pace_ns = 0;
		pcb->flags |= F_OUTPUT;
		tcp_list(w, pcb);
	}
}

static void burst_begin(struct worker *w, struct tcp_pcb *pcb, uint64_t rate)
{
	uint64_t late_ns = w->now_ns - pcb->pace_ns;

	pcb->pace_burst = tcp_pace_burst_bytes(pcb, rate);
	pcb->pace_late_ns = pcb->pace_ns ? (uint32_t)tcp_min64(late_ns, UINT32_MAX) : 0;
	pcb->pace_ns = w->now_ns;
}

uint32_t tcp_pace_room(struct worker *w, struct tcp_pcb *pcb, uint32_t mss)
{
	if (pcb->pace_ns <= w->now_ns) {
		uint64_t rate = tcp_pacing_rate(w, pcb);

		if (!rate)
			return UINT32_MAX;
		burst_begin(w, pcb, rate);
	}
	if (pcb->pace_burst)
		return (pcb->pace_burst + mss - 1) / mss * mss;
	pcb->flags |= F_PACE_WAIT;
	tcp_timer_arm(w, pcb, pcb->pace_ns);
	return 0;
}

void tcp_pace_sent(struct worker *w, struct tcp_pcb *pcb, uint32_t bytes)
{
	uint64_t rate = tcp_pacing_rate(w, pcb), ns;
	uint32_t late_ns;

	pcb->pace_ns = tcp_max64(pcb->pace_ns, w->now_ns);
	if (!rate || pcb->data_segs_out < PACE_UNPACED_SEGMENTS)
		return;
	pcb->pace_burst -= tcp_min(bytes, pcb->pace_burst);
	ns = bytes * TCP_S_NS / rate;
	late_ns = (uint32_t)tcp_min64(ns / 2, pcb->pace_late_ns);
	pcb->pace_late_ns -= late_ns;
	pcb->pace_ns += ns - late_ns;
}
