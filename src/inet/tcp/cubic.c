/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CUBIC (RFC 9438), with HyStart++ for the first slow start.
 *
 * After a congestion event the window W follows a cubic curve over time that is flat at W_max, the
 * window where the event was: it comes up steeply, feels its way around W_max, then looks further.
 *
 *	W_cubic(t) = C * (t - K)^3 + W_max,   K = cbrt((W_max - cwnd_epoch) / C)	(segments,
 *s)
 *
 * t is counted from the begin of the epoch, the first growth after the event; time in which the
 * program did not fill the window is taken out of it. Where Reno would have the larger window
 * (W_est: short round trips), that one is used. A time-out, or the end of slow start without loss,
 * leaves no W_max: the curve begins at its flat point.
 *
 * Windows are bytes here, time within the curve is counted in 1/1024 s (tick). The window at the
 * event is cwnd and not what was on the way (RFC 9438 section 4.6 allows either); this is sound
 * because cwnd only grows while it is in full use.
 */
#include "inet/tcp/cc.h"

#include "inet/tcp/hystart.h"
#include "inet/tcp/tcp_impl.h"

#define BETA_NUM 7u /* beta = 0.7 */
#define BETA_DEN 10u
#define ALPHA_NUM 9u /* 3 * (1 - beta) / (1 + beta) = 9 / 17 */
#define ALPHA_DEN 17u
#define C_NUM 2u /* C = 0.4 */
#define C_DEN 5u
#define TICK_SHIFT 10u
#define TICKS_MAX (1u << 18) /* 256 s beside the flat point: the window is at its limit before */

/* What a congestion event changes, and undoing one brings back. */
struct cubic_epoch {
	uint64_t start_ns; /* 0: the next growth begins one */
	uint32_t w_max;	   /* where the last event was, after fast convergence; 0: none */
	uint32_t origin;   /* the curve's flat point in this epoch */
	uint32_t k;	   /* ticks */
	uint32_t w_est;
	uint32_t prior_cwnd; /* up to here W_est grows with alpha, then as Reno does */
};

struct cubic {
	struct cubic_epoch now, saved;
	uint64_t acked_ns; /* of the last ACK that moved snd_una */
	uint64_t rest;	   /* of growth, in 1/cwnd byte */
	uint32_t est_rest; /* of W_est's */
	struct hystart hystart;
	bool grew;     /* cwnd was in full use at the last ACK */
	bool is_saved; /* at the first event of those that one undo takes back */
};

/* The integer cube root: the largest r with r^3 <= v. */
static uint32_t cube_root(uint64_t v)
{
	uint64_t root = 0;

	for (uint64_t bit = 1u << 21; bit; bit >>= 1) {
		uint64_t r = root | bit;

		if (r <= 2642245 && r * r * r <= v) /* cbrt(2^64) */
			root = r;
	}
	return (uint32_t)root;
}

static void cubic_init(struct worker *w, struct tcp_pcb *pcb)
{
	struct cubic *c = tcp_cc_state(pcb, struct cubic);

	c->acked_ns = w->now_ns;
}

static void epoch_begin(struct worker *w, struct tcp_pcb *pcb, struct cubic *c)
{
	struct cubic_epoch *e = &c->now;

	e->start_ns = w->now_ns;
	e->w_est = pcb->cwnd;
	c->rest = 0;
	c->est_rest = 0;
	if (pcb->cwnd >= e->w_max) {
		e->k = 0;
		e->origin = pcb->cwnd;
		return;
	}
	e->origin = e->w_max;
	/* (W_max - cwnd) / C s^3, in ticks^3 */
	e->k = cube_root(((uint64_t)(e->w_max - pcb->cwnd) * C_DEN << 3 * TICK_SHIFT) /
			 (C_NUM * (uint64_t)pcb->snd_mss));
}

/* W_cubic at a time after the epoch's begin. */
static uint32_t curve(const struct tcp_pcb *pcb, const struct cubic_epoch *e, uint64_t t_ns)
{
	uint64_t t = (tcp_min64(t_ns, 1ull << 53) << TICK_SHIFT) / TCP_S_NS, off, bytes;

	off = t < e->k ? e->k - t : t - e->k;
	if (off > TICKS_MAX)
		off = TICKS_MAX;
	bytes = ((off * off * off >> TICK_SHIFT) * pcb->snd_mss * C_NUM / C_DEN) >> 2 * TICK_SHIFT;
	if (t < e->k)
		return bytes < e->origin ? e->origin - (uint32_t)bytes : 0;
	return (uint32_t)tcp_min64(e->origin + bytes, TCP_MAX_CWND);
}

/* RFC 9438 section 4.3: W_est += alpha * segments / cwnd, in bytes. */
static void reno_friendly(const struct tcp_pcb *pcb, struct cubic *c, uint32_t bytes)
{
	struct cubic_epoch *e = &c->now;
	uint64_t alpha = e->w_est < e->prior_cwnd ? ALPHA_NUM : ALPHA_DEN;
	uint64_t unit = (uint64_t)pcb->cwnd * ALPHA_DEN;
	uint64_t sum = (uint64_t)bytes * pcb->snd_mss * alpha + c->est_rest * (uint64_t)ALPHA_DEN;

	e->w_est = (uint32_t)tcp_min64(e->w_est + sum / unit, TCP_MAX_CWND);
	c->est_rest = (uint32_t)(sum % unit / ALPHA_DEN);
}

static void avoid(struct worker *w, struct tcp_pcb *pcb, struct cubic *c, uint32_t bytes)
{
	struct cubic_epoch *e = &c->now;
	uint64_t t_ns, sum;
	uint32_t target;

	if (!e->start_ns)
		epoch_begin(w, pcb, c);
	t_ns = w->now_ns - e->start_ns;
	reno_friendly(pcb, c, bytes);
	if (curve(pcb, e, t_ns) < e->w_est) {
		pcb->cwnd = tcp_max(pcb->cwnd, e->w_est);
		return;
	}
	target = curve(pcb, e, t_ns + pcb->srtt_us8 / 8 * 1000ull);
	if (target <= pcb->cwnd)
		return;
	target = tcp_min(target, pcb->cwnd + pcb->cwnd / 2);
	sum = (uint64_t)bytes * (target - pcb->cwnd) + c->rest;
	c->rest = sum % pcb->cwnd;
	pcb->cwnd = (uint32_t)tcp_min64(pcb->cwnd + sum / pcb->cwnd, TCP_MAX_CWND);
}

static void cubic_grow(struct worker *w, struct tcp_pcb *pcb, uint32_t bytes)
{
	struct cubic *c = tcp_cc_state(pcb, struct cubic);

	c->grew = true;
	if (pcb->recovery == TCP_OPEN)
		c->is_saved = false;
	if (pcb->cwnd < pcb->ssthresh)
		bytes = hystart_grow(&c->hystart, pcb, bytes);
	if (bytes)
		avoid(w, pcb, c, bytes);
}

/* Time in which the window was not in full use does not count: without this the curve would have
 * run away meanwhile. */
static void skip(struct worker *w, struct cubic *c)
{
	if (c->now.start_ns)
		c->now.start_ns = tcp_min64(c->now.start_ns + (w->now_ns - c->acked_ns), w->now_ns);
}

static void cubic_acked(struct worker *w, struct tcp_pcb *pcb, const struct tcp_rate *rate)
{
	struct cubic *c = tcp_cc_state(pcb, struct cubic);

	hystart_acked(&c->hystart, pcb, rate);
	if (!rate->acked_bytes)
		return;
	if (!c->grew)
		skip(w, c);
	c->grew = false;
	c->acked_ns = w->now_ns;
}

static uint32_t cubic_ssthresh(struct worker *w, struct tcp_pcb *pcb, uint32_t flight)
{
	struct cubic *c = tcp_cc_state(pcb, struct cubic);
	struct cubic_epoch *e = &c->now;

	if (!c->is_saved) {
		c->saved = *e;
		c->is_saved = true;
	}
	/* Fast convergence: whoever got less than the last time leaves more to others. */
	if (pcb->cwnd < e->w_max)
		e->w_max = (uint32_t)((uint64_t)pcb->cwnd * (BETA_DEN + BETA_NUM) / (2 * BETA_DEN));
	else
		e->w_max = pcb->cwnd;
	e->start_ns = 0;
	e->prior_cwnd = pcb->cwnd;
	return tcp_max((uint32_t)((uint64_t)pcb->cwnd * BETA_NUM / BETA_DEN), 2u * pcb->snd_mss);
}

/* RFC 9438 section 4.9 */
static uint32_t cubic_undo_cwnd(struct worker *w, struct tcp_pcb *pcb)
{
	struct cubic *c = tcp_cc_state(pcb, struct cubic);

	if (c->is_saved)
		c->now = c->saved;
	c->is_saved = false;
	c->acked_ns = w->now_ns;
	return tcp_max(pcb->cwnd, pcb->prior_cwnd);
}

static void cubic_event(struct worker *w, struct tcp_pcb *pcb, enum tcp_cc_event event)
{
	struct cubic *c = tcp_cc_state(pcb, struct cubic);

	if (event == TCP_CC_SEND_IDLE) {
		skip(w, c);
		c->acked_ns = w->now_ns;
	} else if (event == TCP_CC_TIMEOUT) {
		/* RFC 9438 section 4.8: K = 0, W_max = cwnd where congestion avoidance begins */
		c->now.w_max = 0;
		c->now.start_ns = 0;
	}
}

const struct tcp_cc_ops tcp_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.acked = cubic_acked,
	.grow = cubic_grow,
	.ssthresh = cubic_ssthresh,
	.undo_cwnd = cubic_undo_cwnd,
	.event = cubic_event,
};
