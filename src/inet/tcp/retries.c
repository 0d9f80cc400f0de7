/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long to try: when an unanswered connection is given up (RFC 9293 section 3.8.3, RFC 5482).
 *
 * Linux's limits are written as numbers of time-outs (tcp_retries1, tcp_retries2,
 * tcp_orphan_retries) and mean times: as long as so many would take, were the first of them
 * 200 ms; 924.6 s for 15. The connection ends with the first time-out that is later than that,
 * counted from the first retransmission [retransmits_timed_out]. So a path with a long round trip
 * does not make the user wait longer, and one with a short one may see a retransmission more.
 * TCP_USER_TIMEOUT is such a time by itself. Probes of a closed window are counted, for as long as
 * the peer answers them it is alive [tcp_probe_timer].
 */
#include "inet/tcp/tcp_impl.h"

#define RETRY_RTO_NS (200ull * TCP_MS_NS) /* [TCP_RTO_MIN], whatever tcp_rto_min_us is */

static uint64_t model_ns(const struct worker *w, unsigned int count)
{
	uint64_t rto_ns = RETRY_RTO_NS, sum_ns = rto_ns;

	while (count-- > 0) {
		rto_ns = tcp_min64(rto_ns * 2, tcp_rto_max_ns(w));
		sum_ns += rto_ns;
	}
	return sum_ns;
}

/* Since the first retransmission, or, where none could be sent, since what waits began to. */
static uint64_t retried_ns(const struct worker *w, const struct tcp_pcb *pcb)
{
	if (pcb->rxt_ts_set)
		return (tcp_ts_now(w, pcb->ts_offset) - pcb->rxt_ts) * TCP_MS_NS;
	return w->now_ns - pcb->unacked_since_ns;
}

/* The least RTO of Linux's is a tick more than 200 ms, and with it the n-th time-out comes at the
 * end of the time for n. Ours may be 200 ms sharp: half a percent must not make it one more. */
static bool reached(uint64_t ns, uint64_t model)
{
	return ns + ns / 200 >= model;
}

static uint64_t user_timeout_ns(const struct tcp_pcb *pcb)
{
	return pcb->pub.user_timeout_ms * TCP_MS_NS;
}

static bool orphan_alive(const struct worker *w, const struct tcp_pcb *pcb)
{
	return tcp_rto_ns(w, pcb) < tcp_rto_max_ns(w);
}

/* One that no program holds gets fewer, and none where the wait has reached its limit and the path
 * is said to be broken [tcp_orphan_retries]. */
static unsigned int retries_max(const struct worker *w, const struct tcp_pcb *pcb)
{
	unsigned int orphan = (unsigned int)w->tcp->params.tcp_orphan_retries;
	bool alive = orphan_alive(w, pcb);

	if (!(pcb->flags & F_DETACHED))
		return (unsigned int)w->tcp->params.tcp_retries2;
	if (pcb->soft_error && !alive)
		return 0;
	return orphan == 0 && alive ? TCP_ORPHAN_RETRIES : orphan;
}

bool tcp_path_doubted(const struct worker *w, const struct tcp_pcb *pcb, unsigned int count)
{
	return pcb->retries && reached(retried_ns(w, pcb), model_ns(w, count));
}

/* A peer that took its window back is waited for as long as it says anything
 * [tcp_rtx_probe0_timed_out]. */
static bool silent_too_long(const struct worker *w, const struct tcp_pcb *pcb)
{
	uint64_t limit_ns = user_timeout_ns(pcb) ? user_timeout_ns(pcb) : 2 * tcp_rto_max_ns(w);

	return w->now_ns - pcb->last_rcv_ns > limit_ns &&
	       w->now_ns - pcb->unacked_since_ns > limit_ns;
}

bool tcp_retries_over(const struct worker *w, const struct tcp_pcb *pcb)
{
	if (pcb->snd_wnd == 0 && !(pcb->flags & F_DETACHED))
		return silent_too_long(w, pcb);
	if (!pcb->retries)
		return false;
	if (user_timeout_ns(pcb))
		return retried_ns(w, pcb) >= user_timeout_ns(pcb);
	return reached(retried_ns(w, pcb), model_ns(w, retries_max(w, pcb)));
}

uint64_t tcp_user_timeout_clamp(const struct worker *w, const struct tcp_pcb *pcb, uint64_t rto_ns)
{
	uint64_t limit_ns = user_timeout_ns(pcb), past_ns;

	if (!limit_ns)
		return rto_ns;
	past_ns = pcb->rxt_ts_set ? retried_ns(w, pcb) : 0;
	return past_ns >= limit_ns ? TCP_MS_NS : tcp_min64(rto_ns, limit_ns - past_ns);
}

/* Each answer begins the count anew, but an orphan is not kept by answers alone. */
bool tcp_probes_over(const struct worker *w, const struct tcp_pcb *pcb)
{
	unsigned int max = retries_max(w, pcb);

	if (user_timeout_ns(pcb) && pcb->unacked_since_ns)
		return w->now_ns - pcb->unacked_since_ns >= user_timeout_ns(pcb);
	if ((pcb->flags & F_DETACHED) && !orphan_alive(w, pcb) && pcb->backoff >= max)
		return true;
	return pcb->retries >= max;
}

uint64_t tcp_fin_wait2_ns(const struct worker *w, const struct tcp_pcb *pcb)
{
	uint64_t ns = (uint64_t)(pcb->pub.linger2_s > 0 ? pcb->pub.linger2_s
							: w->tcp->params.tcp_fin_timeout) *
		      TCP_S_NS;

	return tcp_max64(ns, tcp_rto_ns(w, pcb) * 7 / 2); /* [tcp_fin_time] */
}
