/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loss recovery: what state a connection's sending side is in, and what an ACK makes of it.
 *
 *                      SACK, dup ACK             ECE, or a loss that a probe repaired
 *          +--------+ ----------------> +----------+          +-----+
 *          |  OPEN  |                   | DISORDER |--------->| CWR |   window comes down by PRR
 *          +--------+ <---------------- +----------+          +-----+
 *            ^    ^      all is there       | a packet is lost   |
 *            |    |                         v                    |
 *            |    |     `recover` reached +----------+ <---------+
 *            |    +---------------------- | RECOVERY |   window comes down by PRR (prr.c)
 *            |          or undone         +----------+
 *            |                              | time-out (from any state)
 *            |    `recover` reached         v
 *            +------------------------- +--------+
 *                 or undone (F-RTO)     |  LOSS  |   window from one segment, slow start
 *                                       +--------+
 *
 * What is lost: with SACK what RACK says (rack.c); without, the segment at snd_una after three
 * duplicate ACKs and at each partial ACK (NewReno, RFC 6582). After a time-out: the first segment,
 * and what RACK finds overdue; where it has no idea, everything. Lost segments are resent by
 * output.c before anything new, within cwnd. Each loss can turn out to be none: undo.c.
 *
 * F-RTO (RFC 5682, with SACK's help): after a time-out the first ACK that makes progress lets new
 * data out instead of more retransmissions. If then something arrives that was never resent, the
 * time-out was spurious.
 *
 * Limited transmit (RFC 3042) needs no code of its own: what duplicate ACKs or SACKs say has
 * arrived leaves the pipe, so new data may follow.
 */
#include "inet/tcp/recovery.h"

/* Without SACK a duplicate ACK says that some segment arrived. */
static uint32_t dup_bytes(const struct tcp_pcb *pcb)
{
	if ((pcb->flags & F_SACK_OK) || pcb->recovery == TCP_LOSS)
		return 0;
	if (pcb->recovery <= TCP_CWR) /* RFC 3042: no more than two segments beyond the window */
		return tcp_min(pcb->dupacks, 2) * pcb->snd_mss;
	return pcb->dupacks * (uint32_t)pcb->snd_mss;
}

uint32_t tcp_pipe(const struct tcp_pcb *pcb)
{
	uint32_t dups = dup_bytes(pcb);

	return pcb->flight_bytes > dups ? pcb->flight_bytes - dups : 0;
}

void tcp_recovery_state(struct worker *w, struct tcp_pcb *pcb, uint8_t state)
{
	if (pcb->recovery == state)
		return;
	if (pcb->cc->state)
		pcb->cc->state(w, pcb, state);
	pcb->recovery = state;
}

void tcp_recovery_settle(struct worker *w, struct tcp_pcb *pcb)
{
	bool doubt = pcb->sacked_bytes || pcb->lost_bytes || pcb->dupacks;

	tcp_recovery_state(w, pcb, doubt ? TCP_DISORDER : TCP_OPEN);
}

static void lose(struct tcp_pcb *pcb, struct tcp_sent *r)
{
	if (!(r->flags & SENT_OUT))
		return;
	tcp_sent_state(pcb, r, SENT_LOST);
	pcb->lost_total += r->end - r->start;
}

/* The segment at snd_una is lost. */
static void lose_head(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_sent_at at = tcp_sent_first(pcb);
	struct tcp_sent *r;

	if (!at.block)
		return;
	r = tcp_sent_of(&at);
	if (r->end - r->start > pcb->snd_mss)
		tcp_sent_split(w, pcb, &at, r->start + pcb->snd_mss);
	lose(pcb, tcp_sent_of(&at));
}

void tcp_recovery_enter(struct worker *w, struct tcp_pcb *pcb)
{
	tcp_undo_begin(pcb);
	if (pcb->recovery != TCP_CWR)
		tcp_prr_begin(w, pcb);
	else
		pcb->recover = pcb->snd_nxt;
	tcp_recovery_state(w, pcb, TCP_RECOVERY);
	if (pcb->flags & F_SACK_OK) {
		tcp_mib(w, TCPSackRecovery);
	} else {
		tcp_mib(w, TCPRenoRecovery);
		lose_head(w, pcb);
	}
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
}

void tcp_recovery_cwr(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->recovery >= TCP_CWR)
		return;
	pcb->undo_marker = 0;
	tcp_prr_begin(w, pcb);
	tcp_recovery_state(w, pcb, TCP_CWR);
}

static bool time_to_recover(const struct tcp_pcb *pcb)
{
	if (pcb->lost_bytes)
		return true;
	/* RFC 6582 section 3.2: not for what an earlier recovery's retransmissions provoke. */
	return !(pcb->flags & F_SACK_OK) && pcb->dupacks >= TCP_DUP_THRESH &&
	       tcp_seq_geq(pcb->snd_una, pcb->recover);
}

/* OPEN, DISORDER, CWR */
static void ack_undisturbed(struct worker *w, struct tcp_pcb *pcb, struct tcp_ack *a)
{
	if (a->what & ACK_ADVANCED)
		pcb->dupacks = 0;
	/* Beyond `recover`: the peer has seen our CWR, and what has ECE from here on means a new
	 * mark. */
	if (pcb->recovery == TCP_CWR && tcp_seq_gt(pcb->snd_una, pcb->recover)) {
		tcp_prr_end(w, pcb);
		tcp_recovery_state(w, pcb, TCP_OPEN);
	}
	if (pcb->recovery != TCP_CWR)
		tcp_undo_dsack(w, pcb);
	if (a->what & ACK_ECE)
		tcp_recovery_cwr(w, pcb);
	if (pcb->flags & F_SACK_OK)
		tcp_rack_detect(w, pcb);
	if (time_to_recover(pcb)) {
		if (!pcb->mtu_probe || !tcp_mtu_probe_lost(w, pcb))
			tcp_recovery_enter(w, pcb);
	} else if (pcb->recovery != TCP_CWR)
		tcp_recovery_settle(w, pcb);
}

static void recovery_over(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a)
{
	pcb->dupacks = 0;
	/* undo_marker stays: the D-SACK that shows the loss to be none comes after this. */
	if (!tcp_undo_recovered(w, pcb, a))
		tcp_prr_end(w, pcb);
	tcp_recovery_settle(w, pcb);
}

/* A partial ACK without SACK: the first hole was filled by our retransmission, what lies behind it
 * had been the duplicate ACKs'. */
static void partial_newreno(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a)
{
	uint32_t segments = (a->acked_bytes + pcb->snd_mss - 1) / pcb->snd_mss;

	pcb->dupacks = pcb->dupacks + 1u > segments ? (uint8_t)(pcb->dupacks + 1 - segments) : 0;
	lose_head(w, pcb);
}

static void ack_in_recovery(struct worker *w, struct tcp_pcb *pcb, struct tcp_ack *a)
{
	if (tcp_seq_geq(pcb->snd_una, pcb->recover)) {
		recovery_over(w, pcb, a);
		if (pcb->sacked_bytes)
			ack_undisturbed(w, pcb, a);
		return;
	}
	if (a->what & ACK_ADVANCED) {
		if (tcp_undo_partial(w, pcb, a))
			return;
		if (!(pcb->flags & F_SACK_OK))
			partial_newreno(w, pcb, a);
	}
	if (tcp_undo_dsack(w, pcb)) {
		tcp_recovery_settle(w, pcb);
		return;
	}
	if (pcb->flags & F_SACK_OK)
		tcp_rack_detect(w, pcb);
}

/* F-RTO, RFC 5682 section 3.1 steps 2 and 3. True: the time-out was spurious. */
static bool frto(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a)
{
	if ((a->what & ACK_ORIG) && tcp_undo_loss(w, pcb, a, true))
		return true;
	if (tcp_seq_gt(pcb->snd_nxt, pcb->recover)) {
		/* New data is out: what now says "something is missing" means it. */
		if (a->what & (ACK_SACKED | ACK_DUP))
			pcb->frto = false;
	} else if ((a->what & ACK_ADVANCED) && tcp_seq_lt(pcb->snd_una, pcb->recover)) {
		pcb->recover = pcb->snd_nxt;
		pcb->frto_new = true;
	} else if (a->what & ACK_DUP) {
		pcb->frto = false;
	}
	return false;
}

static void ack_in_loss(struct worker *w, struct tcp_pcb *pcb, struct tcp_ack *a)
{
	bool recovered = tcp_seq_geq(pcb->snd_una, pcb->recover);

	if ((a->what & ACK_ADVANCED) && tcp_undo_loss(w, pcb, a, false))
		return;
	if (pcb->frto && frto(w, pcb, a))
		return;
	if (recovered) {
		pcb->frto = false;
		pcb->dupacks = 0;
		tcp_undo_recovered(w, pcb, a);
		tcp_recovery_settle(w, pcb);
		return;
	}
	if (pcb->flags & F_SACK_OK)
		tcp_rack_detect(w, pcb);
}

/* How much an ACK lets the window grow by. After a time-out (prior: the state before the ACK) one
 * that jumps over what had long arrived must not let out a burst. With SACK it is known what is
 * new; without it the burst would be what had arrived, again: two segments for one ACK (RFC 3465).
 */
static uint32_t growth(const struct tcp_pcb *pcb, const struct tcp_ack *a, uint8_t prior)
{
	bool sack = pcb->flags & F_SACK_OK;

	if (pcb->reord_seen)
		return a->newly_bytes;
	if (!(a->what & ACK_ADVANCED))
		return 0;
	if (prior == TCP_LOSS && sack)
		return a->newly_bytes;
	return pcb->recovery == TCP_LOSS ? tcp_min(a->acked_bytes, 2u * pcb->snd_mss)
					 : a->acked_bytes;
}

static void congestion_control(struct worker *w, struct tcp_pcb *pcb, struct tcp_ack *a,
			       const struct tcp_rate *rate, uint8_t prior)
{
	/* The ACK that ends a reduction leaves cwnd where the reduction left it. */
	bool reducing = prior == TCP_RECOVERY || prior == TCP_CWR;
	uint32_t bytes;

	if (pcb->cc->acked)
		pcb->cc->acked(w, pcb, rate);
	if (pcb->cc->control) {
		pcb->cc->control(w, pcb, rate);
		return;
	}
	if (pcb->recovery == TCP_RECOVERY || pcb->recovery == TCP_CWR) {
		tcp_prr_acked(pcb, a, rate->lost_bytes);
		return;
	}
	bytes = growth(pcb, a, prior);
	if (bytes && tcp_cwnd_used(pcb) && !reducing)
		pcb->cc->grow(w, pcb, bytes);
}

static bool dubious(const struct tcp_pcb *pcb, const struct tcp_ack *a)
{
	return pcb->recovery != TCP_OPEN ||
	       (a->what & (ACK_SACKED | ACK_DUP | ACK_DSACK | ACK_ECE)) || pcb->sacked_bytes;
}

void tcp_recovery_ack(struct worker *w, struct tcp_pcb *pcb, struct tcp_ack *a)
{
	uint8_t prior = pcb->recovery;
	struct tcp_rate rate;

	if ((a->what & ACK_DUP) && pcb->dupacks < 255)
		pcb->dupacks++;
	/* After a time-out the window is full, and by this ACK that ends it, too. */
	if (pcb->recovery == TCP_LOSS)
		pcb->flags |= F_CWND_LIMITED;
	if (a->what & ACK_ECE)
		pcb->undo_marker = 0; /* there was congestion, whatever arrived twice */
	tcp_rack_reo_wnd(pcb, a);
	tcp_tlp_acked(w, pcb, a);
	if (dubious(pcb, a)) {
		if (pcb->recovery == TCP_RECOVERY)
			ack_in_recovery(w, pcb, a);
		else if (pcb->recovery == TCP_LOSS)
			ack_in_loss(w, pcb, a);
		else
			ack_undisturbed(w, pcb, a);
		pcb->flags |= F_OUTPUT;
		tcp_list(w, pcb);
	}
	tcp_rate_sample(w, pcb, a, &rate);
	congestion_control(w, pcb, a, &rate, prior);
}

/* All that is not SACKed, or what RACK holds for overdue, is lost. */
static void lose_for_time(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_sent_at at = tcp_sent_first(pcb);
	/* The peer may have thrown away what it SACKed (RFC 2018 section 8): it has, when the first
	 * is SACKed and not acknowledged; be sure not to count on it when time-outs repeat. */
	bool renege = at.block && ((tcp_sent_of(&at)->flags & SENT_SACKED) || pcb->backoff >= 3);
	bool rack = pcb->rack_sent_ns && (pcb->flags & F_SACK_OK) && !renege;

	for (bool head = true; at.block; tcp_sent_next(&at), head = false) {
		struct tcp_sent *r = tcp_sent_of(&at);

		if (renege && (r->flags & SENT_SACKED))
			tcp_sent_state(pcb, r, SENT_OUT);
		if (head || !rack || tcp_rack_overdue(w, pcb, r))
			lose(pcb, r);
	}
}

void tcp_recovery_timeout(struct worker *w, struct tcp_pcb *pcb)
{
	bool fresh = pcb->recovery < TCP_RECOVERY;

	/* RFC 5681 section 3.1: ssthresh once for each loss, not for each repetition of the timer
	 */
	if (pcb->recovery <= TCP_DISORDER || tcp_seq_geq(pcb->snd_una, pcb->recover) ||
	    (pcb->recovery == TCP_LOSS && !pcb->retries)) {
		tcp_undo_begin(pcb);
		tcp_prr_begin(w, pcb);
		if (pcb->cc->event)
			pcb->cc->event(w, pcb, TCP_CC_TIMEOUT);
	}
	lose_for_time(w, pcb);
	pcb->frto = (pcb->flags & F_SACK_OK) && (fresh || pcb->retries);
	pcb->frto_new = false;
	tcp_recovery_state(w, pcb, TCP_LOSS);
	pcb->recover = pcb->snd_nxt;
	pcb->tlp_end = 0;
	pcb->dupacks = 0;
	pcb->cwnd = pcb->flight_bytes + pcb->snd_mss;
	pcb->cwnd_acked = 0;
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
}

void tcp_recovery_smaller(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_sent_at at = tcp_sent_first(pcb);

	/* What is no larger than that may still arrive [tcp_simple_retransmit]. */
	for (; at.block; tcp_sent_next(&at)) {
		const struct tcp_sent *r = tcp_sent_of(&at);

		if (r->end - r->start > pcb->snd_mss)
			lose(pcb, tcp_sent_of(&at));
	}
	if (!pcb->lost_bytes)
		return;
	if (pcb->recovery != TCP_LOSS) {
		pcb->undo_marker = 0;
		pcb->prior_ssthresh = pcb->ssthresh;
		tcp_recovery_state(w, pcb, TCP_LOSS);
	}
	pcb->frto = false;
	pcb->recover = pcb->snd_nxt;
	pcb->cwnd = tcp_max(pcb->cwnd, TCP_INIT_CWND_SEGMENTS * pcb->snd_mss);
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
}
