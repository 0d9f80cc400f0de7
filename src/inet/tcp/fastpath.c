/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Header prediction: the two segments that a connection in its stride receives, the next data in
 * order and the pure ACK of what was sent. Anything else goes the long way (segment.c), which would
 * do the same with these; so this file only saves time.
 */
#include "inet/tcp/tcp_impl.h"

static bool predicted(const struct worker *w, const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	const uint32_t never = F_FIN_SEEN | F_DETACHED | F_URG_WAIT;

	return pcb->pub.state == TCP_ESTABLISHED && !pcb->syn_unacked &&
	       (seg->flags & ~TCP_F_PSH) == TCP_F_ACK && seg->seq == pcb->rcv_nxt &&
	       !(pcb->flags & never) && !pcb->ooo && !pcb->sacked_bytes &&
	       pcb->recovery == TCP_OPEN && seg->sack_n == 0 && !pcb->tlp_end &&
	       seg->ack - pcb->snd_una <= pcb->snd_nxt - pcb->snd_una && !tcp_paws_old(w, pcb, seg);
}

bool tcp_segment_fast(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	struct byte_ring *rcv = &pcb->pub.rcv;

	if (!predicted(w, pcb, seg))
		return false;
	if (seg->len) {
		if ((int32_t)(pcb->rcv_adv - pcb->rcv_nxt - seg->len) < 0 || !rcv->data ||
		    byte_ring_free(rcv) < seg->len)
			return false;
	} else if (seg->ack == pcb->snd_una) {
		return false; /* a duplicate, or a window update */
	}
	tcp_ts_update(w, pcb, seg);
	pcb->last_ack_rcv_ms = tcp_now_ms(w);
	tcp_window_take(w, pcb, seg);
	if (seg->ack != pcb->snd_una)
		tcp_ack_fast(w, pcb, seg);
	if (seg->len == 0) {
		pkt_consume(w, seg->p, FATE_ABSORBED);
		return true;
	}
	if (pcb->flags & F_ECN)
		tcp_ecn_data(w, pcb, seg);
	tcp_rcvq_data(w, pcb, seg, seg->len);
	tcp_data_copy(pcb, seg, 0, seg->len);
	rcv->tail += seg->len;
	pcb->rcv_nxt += seg->len;
	pcb->bytes_received += seg->len;
	pcb->flags |= F_READABLE;
	tcp_ack_data(w, pcb, seg->len, seg->p->gso_size ? seg->p->gso_size : seg->len);
	tcp_seg_done(w, pcb, seg);
	return true;
}
