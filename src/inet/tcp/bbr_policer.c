/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BBR and token-bucket policers: where much is lost (20 %) and two intervals in a row, each of four
 * rounds at least from loss to loss, deliver at the same rate (to 1/8, or 4 kbit/s), that is taken
 * for the path's for the next 48 rounds, and not probed beyond.
 */
#include "inet/tcp/bbr.h"

#define INTERVAL_MIN_ROUNDS 4u
#define INTERVAL_MAX_ROUNDS (4u * INTERVAL_MIN_ROUNDS)
#define LOSS_SHARE 50u /* of 256 */
#define BW_NEAR_SHIFT 3u
#define BW_NEAR (500u >> BBR_BW_SHIFT)
#define USE_ROUNDS 48u

static void interval_begin(const struct worker *w, const struct tcp_pcb *pcb, struct bbr *b)
{
	b->lt_ms = (uint32_t)(w->now_ns / TCP_MS_NS);
	b->lt_delivered = (uint32_t)pcb->delivered_bytes;
	b->lt_lost = (uint32_t)pcb->lost_total;
	b->lt_rounds = 0;
}

void bbr_lt_reset(const struct worker *w, const struct tcp_pcb *pcb, struct bbr *b)
{
	b->lt_bw = 0;
	b->lt_use = false;
	b->lt_sampling = false;
	interval_begin(w, pcb, b);
}

static void interval_end(const struct worker *w, const struct tcp_pcb *pcb, struct bbr *b,
			 uint32_t bw)
{
	uint32_t diff = bw > b->lt_bw ? bw - b->lt_bw : b->lt_bw - bw;

	if (b->lt_bw && (diff <= b->lt_bw >> BW_NEAR_SHIFT || diff <= BW_NEAR)) {
		b->lt_bw = (uint32_t)(((uint64_t)bw + b->lt_bw) / 2);
		b->lt_use = true;
		b->lt_rounds = 0;
		return;
	}
	b->lt_bw = bw;
	interval_begin(w, pcb, b);
}

/* How long the policer's rate is kept. */
static void in_use(struct worker *w, const struct tcp_pcb *pcb, struct bbr *b)
{
	if (b->mode != BBR_PROBE_BW || !b->round_start || ++b->lt_rounds < USE_ROUNDS)
		return;
	bbr_lt_reset(w, pcb, b);
	bbr_probe_bw(w, b);
}

void bbr_lt_sample(struct worker *w, const struct tcp_pcb *pcb, struct bbr *b, bool lost,
		   bool app_limited)
{
	uint32_t ms, bytes;

	if (b->lt_use) {
		in_use(w, pcb, b);
		return;
	}
	if (!b->lt_sampling) {
		if (!lost)
			return;
		interval_begin(w, pcb, b);
		b->lt_sampling = true;
	}
	if (app_limited) {
		bbr_lt_reset(w, pcb, b);
		return;
	}
	if (b->round_start)
		b->lt_rounds++;
	if (b->lt_rounds < INTERVAL_MIN_ROUNDS)
		return;
	if (b->lt_rounds > INTERVAL_MAX_ROUNDS) {
		bbr_lt_reset(w, pcb, b);
		return;
	}
	if (!lost)
		return; /* an interval ends with a loss: the bucket is empty */
	bytes = (uint32_t)pcb->delivered_bytes - b->lt_delivered;
	ms = (uint32_t)(w->now_ns / TCP_MS_NS) - b->lt_ms;
	if (!bytes || !ms ||
	    ((uint64_t)((uint32_t)pcb->lost_total - b->lt_lost) << 8) <
		    (uint64_t)LOSS_SHARE * bytes)
		return;
	interval_end(w, pcb, b, bbr_bw_of(bytes, ms * TCP_MS_NS));
}
