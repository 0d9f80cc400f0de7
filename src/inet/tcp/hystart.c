/* SPDX-License-Identifier: BSD-3-Clause */
#include "inet/tcp/hystart.h"

#include "inet/tcp/tcp_impl.h"

/* RFC 9406 section 4.3 */
#define MIN_RTT_THRESH_US 4000u
#define MAX_RTT_THRESH_US 16000u
#define MIN_RTT_DIVISOR 8u
#define N_RTT_SAMPLE 8u
#define CSS_GROWTH_DIVISOR 4u
#define CSS_ROUNDS 5u
#define L_SEGMENTS 8u /* an ACK's growth at most, where segments are not paced */

static bool hystart_on(const struct tcp_pcb *pcb)
{
	return pcb->ssthresh >= TCP_MAX_CWND;
}

static void round_begin(struct hystart *h, struct tcp_pcb *pcb)
{
	h->round_end = pcb->snd_nxt;
	h->last_min_us = h->min_us;
	h->min_us = 0;
	h->samples = 0;
	if (!h->css)
		return;
	if (++h->css_rounds >= CSS_ROUNDS)
		pcb->ssthresh = pcb->cwnd;
}

static void judge(struct hystart *h)
{
	uint32_t threshold;

	if (h->samples < N_RTT_SAMPLE)
		return;
	if (h->css) {
		if (h->min_us < h->base_us)
			h->css = false; /* left too early: go on */
		return;
	}
	if (!h->last_min_us)
		return;
	threshold = tcp_min(tcp_max(h->last_min_us / MIN_RTT_DIVISOR, MIN_RTT_THRESH_US),
			    MAX_RTT_THRESH_US);
	if (h->min_us < h->last_min_us + threshold)
		return;
	h->css = true;
	h->css_rounds = 0;
	h->base_us = h->min_us;
}

void hystart_acked(struct hystart *h, struct tcp_pcb *pcb, const struct tcp_rate *rate)
{
	uint32_t rtt_us = (uint32_t)tcp_min64(rate->rtt_ns / 1000, UINT32_MAX);

	if (!hystart_on(pcb))
		return;
	/* The ACK of the last one belongs to the round that it ends: its round trip is of that. */
	if (!h->begun || tcp_seq_gt(pcb->snd_una, h->round_end)) {
		h->begun = true;
		round_begin(h, pcb);
	}
	if (!rate->rtt_ns)
		return;
	rtt_us = tcp_max(rtt_us, 1);
	if (!h->min_us || rtt_us < h->min_us)
		h->min_us = rtt_us;
	if (h->samples < UINT16_MAX)
		h->samples++;
	judge(h);
}

uint32_t hystart_grow(struct hystart *h, struct tcp_pcb *pcb, uint32_t bytes)
{
	uint32_t step = bytes;

	if (!hystart_on(pcb))
		return tcp_slow_start(pcb, bytes);
	if (!(pcb->flags & F_PACED))
		step = tcp_min(step, L_SEGMENTS * pcb->snd_mss);
	if (h->css)
		step /= CSS_GROWTH_DIVISOR;
	tcp_slow_start(pcb, step);
	return 0;
}
