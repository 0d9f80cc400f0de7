/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loss was none: the packets were late or reordered, and what was resent arrived twice. Two
 * signs: the ACK echoes a time stamp from before the first retransmission (Eifel, RFC 3522), or
 * D-SACKs account for all that was resent (RFC 3708). Then window and threshold go back to where
 * they were (RFC 4015), and recovery ends.
 */
#include "inet/tcp/recovery.h"

void tcp_undo_begin(struct tcp_pcb *pcb)
{
	pcb->undo_marker = pcb->snd_una ? pcb->snd_una : 1;
	pcb->undo_rxt_bytes = 0;
	pcb->undo_rxt = false;
	pcb->rxt_ts_set = false;
}

/* The ACK was sent before anything of ours that was resent came. */
static bool original_arrived(const struct tcp_pcb *pcb, const struct tcp_ack *a)
{
	return pcb->rxt_ts_set && a && a->ts_ecr && (int32_t)(a->ts_ecr - pcb->rxt_ts) < 0;
}

static bool may_undo(const struct tcp_pcb *pcb, const struct tcp_ack *a)
{
	bool all_twice = pcb->undo_rxt && pcb->undo_rxt_bytes == 0;

	return pcb->undo_marker && (all_twice || original_arrived(pcb, a));
}

static void undo(struct worker *w, struct tcp_pcb *pcb, bool unmark)
{
	if (unmark) {
		struct tcp_sent_at at = tcp_sent_first(pcb);

		for (; at.block; tcp_sent_next(&at)) {
			if (tcp_sent_of(&at)->flags & SENT_LOST)
				tcp_sent_state(pcb, tcp_sent_of(&at), SENT_OUT);
		}
	}
	if (pcb->cc->undo_cwnd)
		pcb->cwnd = pcb->cc->undo_cwnd(w, pcb);
	else
		pcb->cwnd = tcp_max(pcb->cwnd, pcb->prior_cwnd);
	pcb->ssthresh = tcp_max(pcb->ssthresh, pcb->prior_ssthresh);
	pcb->undo_marker = 0;
	pcb->ecn &= (uint8_t)~ECN_CWR_DUE;
	pcb->reo_persist = 16;
	pcb->undone++;
}

/* In RECOVERY, at an ACK that does not reach its end. */
bool tcp_undo_partial(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a)
{
	if (!pcb->undo_marker || !original_arrived(pcb, a))
		return false;
	if (pcb->reord_seen < UINT32_MAX)
		pcb->reord_seen++;
	tcp_mib(w, TCPPartialUndo);
	undo(w, pcb, true);
	tcp_recovery_settle(w, pcb);
	return true;
}

bool tcp_undo_dsack(struct worker *w, struct tcp_pcb *pcb)
{
	if (!pcb->undo_marker || !pcb->undo_rxt || pcb->undo_rxt_bytes)
		return false;
	tcp_mib(w, TCPDSACKUndo);
	undo(w, pcb, false);
	return true;
}

/* The end of RECOVERY or LOSS was reached. */
bool tcp_undo_recovered(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a)
{
	bool done = may_undo(pcb, a);

	if (!done) {
		pcb->reo_persist -= !!pcb->reo_persist;
		return false;
	}
	if (pcb->recovery == TCP_LOSS)
		tcp_mib(w, TCPLossUndo);
	else
		tcp_mib(w, TCPFullUndo);
	undo(w, pcb, false);
	return true;
}

bool tcp_undo_loss(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a, bool frto)
{
	if (!frto && !may_undo(pcb, a))
		return false;
	tcp_mib(w, TCPLossUndo);
	if (frto)
		tcp_mib(w, TCPSpuriousRTOs);
	undo(w, pcb, true);
	pcb->retries = 0;
	pcb->backoff = 0;
	pcb->frto = false;
	tcp_recovery_settle(w, pcb);
	return true;
}
