/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proportional rate reduction (RFC 6937): from the window before the loss to ssthresh, in step with
 * what arrives; where loss took more than that, back up to ssthresh, by slow start when the ACK
 * made progress (PRR-SSRB), else by what was delivered (PRR-CRB).
 */
#include "inet/tcp/recovery.h"

void tcp_prr_begin(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t flight = pcb->snd_nxt - pcb->snd_una;

	pcb->recover = pcb->snd_nxt;
	pcb->tlp_end = 0;
	pcb->cwnd_acked = 0;
	pcb->prior_cwnd = pcb->cwnd;
	pcb->prior_ssthresh = pcb->ssthresh;
	pcb->prr_delivered = pcb->prr_out = 0;
	pcb->ssthresh = tcp_max(pcb->cc->ssthresh(w, pcb, flight), 2u * pcb->snd_mss);
	if (pcb->flags & F_ECN)
		pcb->ecn |= ECN_CWR_DUE;
}

void tcp_prr_acked(struct tcp_pcb *pcb, const struct tcp_ack *a, uint32_t lost)
{
	uint32_t pipe = tcp_pipe(pcb), mss = pcb->snd_mss, newly = a->newly_bytes;
	int64_t send, least;

	/* Without SACK each duplicate ACK is a segment, and a partial one of its own is one more.
	 */
	if (!(pcb->flags & F_SACK_OK) && pcb->recovery != TCP_CWR)
		newly = a->what & (ACK_DUP | ACK_ADVANCED) ? mss : 0;
	if (!newly || !pcb->prior_cwnd)
		return;
	pcb->prr_delivered += newly;
	if (pipe > pcb->ssthresh) {
		uint64_t due = (uint64_t)pcb->ssthresh * pcb->prr_delivered / pcb->prior_cwnd;

		/* in whole segments: less than one would never go out */
		send = (int64_t)((due + mss - 1) / mss * mss) - (int64_t)pcb->prr_out;
	} else {
		int64_t limit = (int64_t)pcb->prr_delivered - (int64_t)pcb->prr_out;

		if (limit < (int64_t)newly)
			limit = newly;
		if ((a->what & ACK_ADVANCED) && !lost)
			limit += mss;
		send = (int64_t)(pcb->ssthresh - pipe);
		if (send > limit)
			send = limit;
	}
	/* The first retransmission goes out whatever the sums say; without SACK that of each
	 * partial ACK, too (RFC 6582 section 3.2). */
	least = !pcb->prr_out || (!(pcb->flags & F_SACK_OK) && (a->what & ACK_ADVANCED)) ? mss : 0;
	if (send < least)
		send = least;
	pcb->cwnd = pipe + (uint32_t)send;
}

void tcp_prr_end(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->cc->control)
		return;
	if (pcb->recovery == TCP_CWR || pcb->undo_marker)
		pcb->cwnd = tcp_max(pcb->ssthresh, 2u * pcb->snd_mss);
	pcb->cwnd_acked = 0;
	if (pcb->cc->event)
		pcb->cc->event(w, pcb, TCP_CC_DONE);
}
