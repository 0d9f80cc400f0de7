/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The acknowledgment field of a segment for a synchronised connection (RFC 9293 section 3.10.7.4,
 * "fifth, check the ACK field"): what arrived, the window, duplicates.
 */
#include "inet/tcp/tcp_impl.h"

/* RFC 9293: only a segment that is not older than the last one used may change the window. */
void tcp_window_take(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	uint32_t wnd = seg->wnd << pcb->snd_wscale;

	if (tcp_seq_gt(pcb->snd_wl1, seg->seq) ||
	    (pcb->snd_wl1 == seg->seq && tcp_seq_gt(pcb->snd_wl2, seg->ack)))
		return;
	pcb->snd_wl1 = seg->seq;
	pcb->snd_wl2 = seg->ack;
	if (wnd == pcb->snd_wnd)
		return;
	if (wnd > pcb->snd_wnd && (pcb->flags & F_PERSIST))
		pcb->backoff = 0;
	pcb->snd_wnd = wnd;
	pcb->snd_max_wnd = tcp_max(pcb->snd_max_wnd, wnd);
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
}

/* Our FIN is acknowledged. */
static void fin_acked(struct worker *w, struct tcp_pcb *pcb)
{
	switch (pcb->pub.state) {
	case TCP_FIN_WAIT_1:
		tcp_set_state(w, pcb, TCP_FIN_WAIT_2);
		pcb->rtx_ns = 0;
		if (pcb->flags & F_DETACHED) {
			pcb->long_ns = w->now_ns + TCP_FIN_WAIT2_NS;
			tcp_timer_arm(w, pcb, pcb->long_ns);
		}
		break;
	case TCP_CLOSING:
		tcp_time_wait(w, pcb);
		break;
	case TCP_LAST_ACK:
		tcp_finish(w, pcb);
		break;
	default:
		break;
	}
}

/* The send ring gives up what was acknowledged: all below una that is not our FIN. */
static uint32_t ring_advance(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t end = tcp_data_end(pcb), una = pcb->snd_una, bytes;

	if (!(pcb->flags & F_SND_MAPPED))
		return 0;
	if (tcp_seq_gt(una, end))
		una = end;
	bytes = una - pcb->snd_base - pcb->pub.snd.head;
	if (bytes) {
		pcb->pub.snd.head += bytes;
		pcb->bytes_acked += bytes;
		pcb->flags |= F_ACKED;
	}
	return bytes;
}

void tcp_ack_advance(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	uint32_t bytes;

	pcb->snd_una = seg->ack;
	bytes = ring_advance(w, pcb);
	if (pcb->board)
		tcp_board_acked(w, pcb);
	tcp_rtt_acked(w, pcb, seg);
	pcb->retries = 0;
	pcb->soft_error = 0;
	pcb->unacked_since_ns = w->now_ns;
	tcp_recovery_acked(w, pcb, bytes);
	if (pcb->recovery == TCP_OPEN)
		pcb->backoff = 0;
	if (pcb->snd_una == pcb->snd_nxt)
		pcb->rtx_ns = 0;
	else
		tcp_rtx_start(w, pcb);
	neigh_confirm(w, &pcb->flow);
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
	if ((pcb->flags & F_FIN_SENT) && pcb->snd_una == pcb->fin_seq + 1)
		fin_acked(w, pcb);
}

/* RFC 5961 section 5: what it acknowledges is too old, or was never sent. */
static bool ack_refused(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	if (tcp_seq_gt(seg->ack, pcb->snd_nxt)) {
		tcp_challenge(w, pcb);
		pkt_drop(w, seg->p, DROP_TCP_INVALID_ACK_SEQUENCE);
		return true;
	}
	if (tcp_seq_lt(seg->ack, pcb->snd_una - pcb->snd_max_wnd)) {
		tcp_challenge(w, pcb);
		pkt_drop(w, seg->p, DROP_TCP_OLD_ACK);
		return true;
	}
	return false;
}

static bool is_duplicate(const struct tcp_pcb *pcb, const struct tcp_seg *seg, uint32_t old_wnd)
{
	return seg->len == 0 && !(seg->flags & TCP_F_FIN) && pcb->snd_una != pcb->snd_nxt &&
	       seg->wnd << pcb->snd_wscale == old_wnd;
}

bool tcp_ack_segment(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	uint32_t old_wnd = pcb->snd_wnd;
	bool fresh;

	if (ack_refused(w, pcb, seg))
		return false;
	fresh = seg->sack_n && tcp_board_take(w, pcb, seg);
	if (tcp_seq_lt(seg->ack, pcb->snd_una)) {
		if (fresh)
			tcp_recovery_dupack(w, pcb, true);
		if (seg->len || (seg->flags & TCP_F_FIN))
			return true;
		pkt_drop(w, seg->p, DROP_TCP_OLD_ACK);
		return false;
	}
	pcb->last_ack_rcv_ns = w->now_ns;
	tcp_window_take(w, pcb, seg);
	if (pcb->flags & F_PERSIST)
		pcb->retries = 0; /* it answers */
	if (seg->ack != pcb->snd_una) {
		tcp_ack_advance(w, pcb, seg);
		if (fresh && pcb->pub.state != TCP_CLOSED && pcb->snd_una != pcb->snd_nxt)
			tcp_recovery_dupack(w, pcb, true);
	} else if (fresh || (!(pcb->flags & F_SACK_OK) && is_duplicate(pcb, seg, old_wnd))) {
		tcp_recovery_dupack(w, pcb, fresh);
	}
	return true;
}
