/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BBR, version 1 (draft-cardwell-iccrg-bbr-congestion-control-00, as Linux's tcp_bbr.c has it): not
 * loss but a model of the path says how fast and how much: the largest rate at which data was
 * delivered in the last ten rounds, and the smallest round trip of the last ten seconds. Their
 * product (BDP) is what the path holds without a queue.
 *
 *	STARTUP    2.89 times the rate each round, until it grows no more for three rounds
 *	DRAIN      the inverse, until no more than the BDP is on the way
 *	PROBE_BW   phases of one round trip: 5/4 of the rate, to see whether there is more; 3/4, to
 *	           take back the queue that it made; then six at the rate itself. At most 2 BDP and
 *what ACKs come in heaps of are on the way. PROBE_RTT  four segments for 200 ms, where the smallest
 *round trip is ten seconds old: the queue that others see as ours goes, and the round trip can be
 *seen again
 *
 * A loss is no sign of congestion in itself: in the first round of a recovery as much is sent as
 * arrives, after it the window is what the model says. A policer is found by bbr_policer.c.
 *
 * ECN marks are not answered. There is room in cc.h for later versions: they have other bounds for
 * what is on the way, and the same samples.
 */
#include "inet/tcp/bbr.h"

#include <linux/inet_diag.h>
#include <string.h>

#define PACING_MARGIN_PERCENT 1u /* slower than the bottleneck: its queue gets shorter */
#define EXTRA_ACKED_MAX_MS 100u

static struct bbr *bbr_of(struct tcp_pcb *pcb)
{
	return tcp_cc_state(pcb, struct bbr);
}

uint32_t bbr_pacing_gain(const struct bbr *b)
{
	switch (b->mode) {
	case BBR_STARTUP:
		return BBR_GAIN_HIGH;
	case BBR_DRAIN:
		return BBR_GAIN_DRAIN;
	case BBR_PROBE_BW:
		if (b->lt_use || b->cycle > 1)
			return BBR_GAIN_ONE;
		return b->cycle == 0 ? BBR_GAIN_ONE * 5 / 4 : BBR_GAIN_ONE * 3 / 4;
	default:
		return BBR_GAIN_ONE;
	}
}

static uint32_t cwnd_gain(const struct bbr *b)
{
	if (b->mode == BBR_STARTUP || b->mode == BBR_DRAIN)
		return BBR_GAIN_HIGH;
	return b->mode == BBR_PROBE_BW ? BBR_GAIN_CWND : BBR_GAIN_ONE;
}

/* gain * bw * min_rtt in bytes; the initial window as long as no round trip was measured. */
static uint64_t bdp(const struct tcp_pcb *pcb, const struct bbr *b, uint32_t bw, uint32_t gain)
{
	if (b->min_rtt_us == UINT32_MAX)
		return (uint64_t)TCP_INIT_CWND_SEGMENTS * pcb->snd_mss;
	return (bbr_bytes_s(bw) * b->min_rtt_us / 1000000 * gain) / BBR_GAIN_ONE;
}

/* A window that is not too small for full bursts at both ends: three bursts more, an even number of
 * segments for delayed ACKs, and two for the phase that probes. */
static uint32_t with_bursts(const struct tcp_pcb *pcb, const struct bbr *b, uint64_t bytes)
{
	uint32_t two = 2u * pcb->snd_mss;

	bytes += 3ull * tcp_pace_burst_bytes(pcb, pcb->pacing_rate);
	bytes = (bytes + two - 1) / two * two;
	if (b->mode == BBR_PROBE_BW && b->cycle == 0)
		bytes += two;
	return (uint32_t)tcp_min64(bytes, TCP_MAX_CWND);
}

uint32_t bbr_inflight(struct worker *w, const struct tcp_pcb *pcb, const struct bbr *b, uint32_t bw,
		      uint32_t gain)
{
	return with_bursts(pcb, b, bdp(pcb, b, bw, gain));
}

/* Not in the phase that drains: flows that begin together do not probe together. */
void bbr_probe_bw(struct worker *w, struct bbr *b)
{
	b->mode = BBR_PROBE_BW;
	b->cycle = (uint8_t)((BBR_CYCLE - worker_random(w) % (BBR_CYCLE - 1)) % BBR_CYCLE);
	b->cycle_ns = w->now_ns;
}

void bbr_save_cwnd(const struct tcp_pcb *pcb, struct bbr *b)
{
	if (b->prior_state < TCP_RECOVERY && b->mode != BBR_PROBE_RTT)
		b->prior_cwnd = pcb->cwnd;
	else
		b->prior_cwnd = tcp_max(b->prior_cwnd, pcb->cwnd);
}

void bbr_probe_rtt_over(struct worker *w, struct tcp_pcb *pcb, struct bbr *b)
{
	if (!b->probe_rtt_done_ns || w->now_ns <= b->probe_rtt_done_ns)
		return;
	b->min_rtt_ns_at = w->now_ns; /* the next in ten seconds */
	pcb->cwnd = tcp_max(pcb->cwnd, b->prior_cwnd);
	if (b->full)
		bbr_probe_bw(w, b);
	else
		b->mode = BBR_STARTUP;
}

static uint64_t paced(uint64_t bytes_s, uint32_t gain)
{
	return bytes_s * gain / BBR_GAIN_ONE * (100 - PACING_MARGIN_PERCENT) / 100;
}

/* Before the first sample: the window in a round trip, or in 1 ms. */
static void rate_from_rtt(struct tcp_pcb *pcb, struct bbr *b)
{
	uint32_t us = 1000;

	if (pcb->srtt_us8) {
		us = tcp_max(pcb->srtt_us8 / 8, 1);
		b->rtt_seen = true;
	}
	pcb->pacing_rate = paced(pcb->cwnd * 1000000ull / us, BBR_GAIN_HIGH);
}

static void set_rate(struct tcp_pcb *pcb, struct bbr *b, uint32_t gain)
{
	uint64_t rate = paced(bbr_bytes_s(bbr_bw(b)), gain);

	if (!b->rtt_seen && pcb->srtt_us8)
		rate_from_rtt(pcb, b);
	/* Until the pipe is full a smaller rate says only that it was not. */
	if (b->full || rate > pcb->pacing_rate)
		pcb->pacing_rate = tcp_max64(rate, 1);
}

/* A loss: in the first round as much as arrives (packet conservation), then as before. True: cwnd
 * is set. */
static bool recover_or_restore(struct tcp_pcb *pcb, struct bbr *b, const struct tcp_rate *rate,
			       uint32_t *cwnd)
{
	uint32_t arrived = tcp_pipe(pcb) + rate->newly_bytes;
	uint8_t prior = b->prior_state;

	*cwnd = tcp_max(pcb->cwnd > rate->lost_bytes ? pcb->cwnd - rate->lost_bytes : 0,
			pcb->snd_mss);
	if (pcb->recovery == TCP_RECOVERY && prior != TCP_RECOVERY) {
		b->conserve = true;
		b->round_end = (uint32_t)pcb->delivered_bytes;
		*cwnd = arrived;
	} else if (prior >= TCP_RECOVERY && pcb->recovery < TCP_RECOVERY) {
		b->conserve = false;
		*cwnd = tcp_max(*cwnd, b->prior_cwnd);
	}
	b->prior_state = pcb->recovery;
	if (b->conserve)
		*cwnd = tcp_max(*cwnd, arrived);
	return b->conserve;
}

static uint64_t aggregated(const struct bbr *b)
{
	uint64_t most = bbr_bytes_s(bbr_bw(b)) * EXTRA_ACKED_MAX_MS / 1000;

	return b->full ? tcp_min64(tcp_max(b->extra_acked[0], b->extra_acked[1]), most) : 0;
}

static uint32_t next_cwnd(struct tcp_pcb *pcb, struct bbr *b, const struct tcp_rate *rate)
{
	uint32_t newly = rate->newly_bytes, target, cwnd;

	if (!newly)
		return pcb->cwnd;
	if (recover_or_restore(pcb, b, rate, &cwnd))
		return cwnd;
	target = with_bursts(pcb, b, bdp(pcb, b, bbr_bw(b), cwnd_gain(b)) + aggregated(b));
	if (b->full)
		cwnd = tcp_min(cwnd + newly, target);
	else if (cwnd < target ||
		 pcb->delivered_bytes < (uint64_t)TCP_INIT_CWND_SEGMENTS * pcb->snd_mss)
		cwnd += newly;
	return tcp_max(cwnd, BBR_MIN_SEGMENTS * pcb->snd_mss);
}

static void bbr_control(struct worker *w, struct tcp_pcb *pcb, const struct tcp_rate *rate)
{
	struct bbr *b = bbr_of(pcb);

	bbr_model(w, pcb, b, rate);
	set_rate(pcb, b, bbr_pacing_gain(b));
	pcb->cwnd = tcp_min(next_cwnd(pcb, b, rate), TCP_MAX_CWND);
	if (b->mode == BBR_PROBE_RTT)
		pcb->cwnd = tcp_min(pcb->cwnd, BBR_MIN_SEGMENTS * pcb->snd_mss);
}

static void bbr_init(struct worker *w, struct tcp_pcb *pcb)
{
	struct bbr *b = bbr_of(pcb);

	b->round_end = (uint32_t)pcb->delivered_bytes;
	b->prior_state = TCP_OPEN;
	b->min_rtt_us = pcb->rtt_min_us ? pcb->rtt_min_us : UINT32_MAX;
	b->min_rtt_ns_at = b->epoch_ns = w->now_ns;
	pcb->ssthresh = TCP_MAX_CWND;
	rate_from_rtt(pcb, b);
	bbr_lt_reset(w, pcb, b);
}

static uint32_t bbr_ssthresh(struct worker *w, struct tcp_pcb *pcb, uint32_t flight)
{
	bbr_save_cwnd(pcb, bbr_of(pcb));
	return pcb->ssthresh;
}

/* BBR did not cut for the loss, so there is nothing to give back but the pipe's being full. */
static uint32_t bbr_undo_cwnd(struct worker *w, struct tcp_pcb *pcb)
{
	struct bbr *b = bbr_of(pcb);

	b->full_bw = 0;
	b->full_rounds = 0;
	bbr_lt_reset(w, pcb, b);
	return pcb->cwnd;
}

static void bbr_state(struct worker *w, struct tcp_pcb *pcb, uint8_t recovery_state)
{
	struct bbr *b = bbr_of(pcb);

	if (recovery_state != TCP_LOSS)
		return;
	b->prior_state = TCP_LOSS;
	b->full_bw = 0;
	b->round_start = true;
	bbr_lt_sample(w, pcb, b, true, false);
}

/* The program was silent: go on at the rate that is known, without the burst that would come of
 * a window that is all free. */
static void bbr_event(struct worker *w, struct tcp_pcb *pcb, enum tcp_cc_event event)
{
	struct bbr *b = bbr_of(pcb);

	if (event != TCP_CC_SEND_IDLE || !pcb->app_limited_bytes)
		return;
	b->idle_restart = true;
	b->epoch_ns = w->now_ns;
	b->epoch_bytes = 0;
	if (b->mode == BBR_PROBE_BW)
		set_rate(pcb, b, BBR_GAIN_ONE);
	else if (b->mode == BBR_PROBE_RTT)
		bbr_probe_rtt_over(w, pcb, b);
}

static uint32_t bbr_info(const struct tcp_pcb *pcb, void *info, uint32_t len)
{
	const struct bbr *b = tcp_cc_state(pcb, const struct bbr);
	uint64_t bw = bbr_bytes_s(bbr_bw(b));
	struct tcp_bbr_info i = {
		.bbr_bw_lo = (uint32_t)bw,
		.bbr_bw_hi = (uint32_t)(bw >> 32),
		.bbr_min_rtt = b->min_rtt_us,
		.bbr_pacing_gain = bbr_pacing_gain(b),
		.bbr_cwnd_gain = cwnd_gain(b),
	};

	len = tcp_min(len, sizeof(i));
	memcpy(info, &i, len);
	return len;
}

const struct tcp_cc_ops tcp_bbr = {
	.name = "bbr",
	.flags = TCP_CC_PACED,
	.init = bbr_init,
	.ssthresh = bbr_ssthresh,
	.undo_cwnd = bbr_undo_cwnd,
	.state = bbr_state,
	.event = bbr_event,
	.control = bbr_control,
	.info = bbr_info,
};
