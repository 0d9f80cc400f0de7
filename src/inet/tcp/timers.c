/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything that happens because time has passed. A pcb has one timer in the wheel and four
 * deadlines: rtx_ns (retransmission, or persist), ack_ns (delayed ACK), long_ns (keepalive,
 * FIN_WAIT_2), and pace_ns while data waits for it (F_PACE_WAIT). A deadline that moves later, as
 * rtx_ns does with each ACK, is a store and no more.
 */
#include <errno.h>

#include "inet/tcp/recovery.h"

void tcp_timer_arm(struct worker *w, struct tcp_pcb *pcb, uint64_t at_ns)
{
	if (!timer_armed(&pcb->timer) || pcb->timer.expires_ns > at_ns)
		timer_set(&w->timers, &pcb->timer, at_ns);
}

void tcp_rtx_start(struct worker *w, struct tcp_pcb *pcb)
{
	uint64_t rto_ns = tcp_rto_ns(w, pcb);

	if (unlikely(pcb->retries))
		rto_ns = tcp_user_timeout_clamp(w, pcb, rto_ns);
	tcp_rtx_kind(w, pcb, TCP_RTX_RTO, rto_ns);
}

void tcp_rtx_kind(struct worker *w, struct tcp_pcb *pcb, enum tcp_rtx_kind kind, uint64_t after_ns)
{
	pcb->flags &= ~F_PERSIST;
	pcb->rtx_kind = kind;
	pcb->rtx_ns = w->now_ns + after_ns;
	tcp_timer_arm(w, pcb, pcb->rtx_ns);
}

void tcp_persist_start(struct worker *w, struct tcp_pcb *pcb)
{
	tcp_rtx_kind(w, pcb, TCP_RTX_PERSIST, tcp_rto_ns(w, pcb));
	pcb->flags |= F_PERSIST;
}

/* A socket's own value, or else the parameter. */
static uint32_t or_param(uint32_t own, int32_t param)
{
	return own ? own : (uint32_t)param;
}

static uint64_t keep_idle_ns(const struct worker *w, const struct tcp_pcb *pcb)
{
	return or_param(pcb->pub.keep_idle_s, w->tcp->params.tcp_keepalive_time) * TCP_S_NS;
}

static uint64_t keep_interval_ns(const struct worker *w, const struct tcp_pcb *pcb)
{
	return or_param(pcb->pub.keep_interval_s, w->tcp->params.tcp_keepalive_intvl) * TCP_S_NS;
}

static bool keepalive_runs(const struct tcp_pcb *pcb)
{
	return pcb->pub.keepalive && tcp_synchronised(pcb) && !(pcb->flags & F_DETACHED);
}

static uint64_t user_timeout_ns(const struct tcp_pcb *pcb)
{
	return pcb->pub.user_timeout_ms * TCP_MS_NS;
}

/* keepalive, or one of its times, may have changed. */
void tcp_keepalive_update(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->pub.state == TCP_FIN_WAIT_2 && (pcb->flags & F_DETACHED))
		return; /* long_ns is the end of the wait for the peer's FIN */
	if (!keepalive_runs(pcb)) {
		pcb->long_ns = 0;
		pcb->keep_probes = 0;
		return;
	}
	pcb->long_ns = pcb->last_rcv_ns + keep_idle_ns(w, pcb);
	if (pcb->keep_probes)
		pcb->long_ns = w->now_ns + keep_interval_ns(w, pcb);
	tcp_timer_arm(w, pcb, pcb->long_ns);
}

/* A segment that nobody can accept, so that the peer answers [tcp_xmit_probe_skb]. */
static void probe(struct worker *w, struct tcp_pcb *pcb)
{
	if (tcp_route(w, pcb) == 0)
		tcp_xmit(w, pcb, pcb->snd_una - 1, 0, TCP_F_ACK);
}

/* The window is closed. What is urgent is announced all the same (RFC 9293 section 3.8.5, MUST-67),
 * by a segment that the peer accepts [tcp_write_wakeup]. */
static void window_probe(struct worker *w, struct tcp_pcb *pcb)
{
	if ((pcb->flags & F_SND_URG) && tcp_urgent_mode(pcb) && tcp_route(w, pcb) == 0)
		tcp_xmit(w, pcb, pcb->snd_una, 0, TCP_F_ACK);
	tcp_mib(w, TCPWinProbe);
	probe(w, pcb);
}

static void time_out(struct worker *w, struct tcp_pcb *pcb)
{
	tcp_mib(w, TCPAbortOnTimeout);
	tcp_fail(w, pcb, pcb->soft_error ? pcb->soft_error : ETIMEDOUT);
}

static void keepalive_fired(struct worker *w, struct tcp_pcb *pcb)
{
	uint64_t idle_ns = w->now_ns - pcb->last_rcv_ns;
	uint32_t count = or_param(pcb->pub.keep_count, w->tcp->params.tcp_keepalive_probes);

	if (!keepalive_runs(pcb))
		return;
	/* Data on the way tests the connection by itself. */
	if (pcb->snd_una != pcb->snd_nxt || idle_ns < keep_idle_ns(w, pcb)) {
		pcb->keep_probes = 0;
		pcb->long_ns = (pcb->snd_una != pcb->snd_nxt ? w->now_ns : pcb->last_rcv_ns) +
			       keep_idle_ns(w, pcb);
		return;
	}
	if (user_timeout_ns(pcb) ? idle_ns >= user_timeout_ns(pcb) && pcb->keep_probes > 0
				 : pcb->keep_probes >= count) {
		tcp_reset_send(w, pcb);
		time_out(w, pcb);
		return;
	}
	pcb->keep_probes++;
	tcp_mib(w, TCPKeepAlive);
	probe(w, pcb);
	pcb->long_ns = w->now_ns + keep_interval_ns(w, pcb);
}

static void long_fired(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->pub.state == TCP_FIN_WAIT_2 && (pcb->flags & F_DETACHED))
		tcp_pcb_free(w, pcb);
	else
		keepalive_fired(w, pcb);
}

/* For TCP_INFO: time-outs, and rows of them. */
static void rto_account(struct worker *w, struct tcp_pcb *pcb)
{
	tcp_mib(w, TCPTimeouts);
	if (!pcb->rto_since_ms) {
		pcb->rto_since_ms = tcp_now_ms(w) ? tcp_now_ms(w) : 1;
		pcb->total_rto_recoveries++;
	}
	pcb->total_rto++;
}

/* An answer came at last. */
void tcp_rto_answered(const struct worker *w, struct tcp_pcb *pcb)
{
	pcb->total_rto_ms += tcp_now_ms(w) - pcb->rto_since_ms;
	pcb->rto_since_ms = 0;
}

void tcp_syn_timer(struct worker *w, struct tcp_pcb *pcb, uint8_t flags, unsigned int max,
		   bool send)
{
	uint64_t limit_ns = user_timeout_ns(pcb);

	if (pcb->retries >= max || (limit_ns && w->now_ns - pcb->unacked_since_ns >= limit_ns)) {
		time_out(w, pcb);
		return;
	}
	rto_account(w, pcb);
	pcb->retries++;
	pcb->backoff++;
	pcb->flags &= ~F_RTT_TIMED;
	tcp_fo_timeout(w, pcb);
	if (send) {
		pcb->total_retrans++;
		tcp_mib(w, TCPSynRetrans);
		if (tcp_route(w, pcb) == 0)
			tcp_xmit(w, pcb, pcb->iss, 0, flags);
	}
	tcp_rtx_start(w, pcb);
}

static void persist_fired(struct worker *w, struct tcp_pcb *pcb)
{
	int32_t window = (int32_t)(pcb->snd_una + pcb->snd_wnd - pcb->snd_nxt);

	pcb->flags &= ~F_PERSIST;
	tcp_snd_map(pcb);
	if (pcb->snd_nxt == tcp_data_end(pcb) && !(pcb->flags & F_FIN_QUEUED))
		return;
	if (window > 0) {
		/* Held back by Nagle, cork or a small window, or for want of buffers: not for ever.
		 */
		pcb->flags |= F_PUSH_NOW | F_OUTPUT;
		tcp_list(w, pcb);
		return;
	}
	if (tcp_probes_over(w, pcb)) {
		time_out(w, pcb);
		return;
	}
	if (pcb->backoff < 30)
		pcb->backoff++;
	if (pcb->retries < 255)
		pcb->retries++;
	window_probe(w, pcb);
	tcp_persist_start(w, pcb);
}

/* TCP_THIN_LINEAR_TIMEOUTS: a stream with so little on the way gets no help from duplicate ACKs;
 * its first time-outs do not double [tcp_stream_is_thin]. */
static bool stays_linear(const struct tcp_pcb *pcb)
{
	return pcb->pub.thin_linear && pcb->pub.state == TCP_ESTABLISHED && pcb->retries <= 6 &&
	       pcb->ssthresh < TCP_MAX_CWND && pcb->snd_nxt - pcb->snd_una < 4u * pcb->snd_mss;
}

static void rtx_fired(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->pub.state == TCP_SYN_SENT) {
		tcp_syn_timer(w, pcb, TCP_F_SYN,
			      or_param(pcb->pub.syn_count, w->tcp->params.tcp_syn_retries), true);
		return;
	}
	if (pcb->pub.state == TCP_SYN_RECEIVED) {
		tcp_syn_ack_timer(w, pcb);
		return;
	}
	if (pcb->syn_unacked) {
		/* Nothing else is sent again before it is acknowledged, as in Linux. */
		tcp_syn_timer(w, pcb, TCP_F_SYN | TCP_F_ACK,
			      (unsigned int)w->tcp->params.tcp_synack_retries, true);
		return;
	}
	if (!tcp_may_transmit(pcb))
		return;
	if (pcb->flags & F_PERSIST) {
		persist_fired(w, pcb);
		return;
	}
	if (pcb->snd_una == pcb->snd_nxt)
		return;
	if (pcb->rtx_kind == TCP_RTX_TLP) {
		tcp_tlp_timer(w, pcb);
		return;
	}
	if (pcb->rtx_kind == TCP_RTX_REO) {
		pcb->rtx_kind = TCP_RTX_RTO;
		tcp_rack_timer(w, pcb);
		return;
	}
	if (tcp_retries_over(w, pcb)) {
		time_out(w, pcb);
		return;
	}
	if (tcp_path_doubted(w, pcb, tcp_mtu_doubt(w, pcb)))
		tcp_mtu_black_hole(w, pcb);
	rto_account(w, pcb);
	tcp_recovery_timeout(w, pcb);
	if (pcb->retries < 255)
		pcb->retries++;
	if (stays_linear(pcb))
		pcb->backoff = 0;
	else if (pcb->backoff < 30)
		pcb->backoff++;
	tcp_rtx_start(w, pcb);
}

static uint64_t earliest(const struct tcp_pcb *pcb)
{
	uint64_t at_ns = TIMER_NEVER;

	if (pcb->rtx_ns)
		at_ns = pcb->rtx_ns;
	if (pcb->ack_ns && pcb->ack_ns < at_ns)
		at_ns = pcb->ack_ns;
	if (pcb->long_ns && pcb->long_ns < at_ns)
		at_ns = pcb->long_ns;
	if ((pcb->flags & F_PACE_WAIT) && pcb->pace_ns < at_ns)
		at_ns = pcb->pace_ns;
	return at_ns;
}

static bool due(const struct worker *w, uint64_t *deadline_ns)
{
	if (!*deadline_ns || *deadline_ns > w->now_ns)
		return false;
	*deadline_ns = 0;
	return true;
}

void tcp_timer_fired(struct worker *w, struct timer *t)
{
	struct tcp_pcb *pcb = (struct tcp_pcb *)((char *)t - offsetof(struct tcp_pcb, timer));

	tcp_enter(w);
	if (due(w, &pcb->ack_ns)) {
		/* The program had its chance to answer: acknowledge in time from now on. */
		pcb->flags &= ~F_PINGPONG;
		tcp_mib(w, DelayedACKs);
		tcp_ack_now(w, pcb);
	}
	if ((pcb->flags & F_PACE_WAIT) && pcb->pace_ns <= w->now_ns) {
		pcb->flags &= ~F_PACE_WAIT;
		pcb->flags |= F_OUTPUT;
		tcp_list(w, pcb);
	}
	if (due(w, &pcb->rtx_ns))
		rtx_fired(w, pcb);
	if (pcb->pub.state != TCP_CLOSED && due(w, &pcb->long_ns))
		long_fired(w, pcb);
	if (pcb->pub.state != TCP_CLOSED && earliest(pcb) != TIMER_NEVER)
		tcp_timer_arm(w, pcb, earliest(pcb));
	tcp_leave(w);
}
