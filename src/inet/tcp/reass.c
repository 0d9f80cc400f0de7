/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of a segment, and its FIN (RFC 9293 section 3.10.7.4, "seventh" and "eighth"). In order:
 * to the tail of the receive ring. Out of order: to the place where it will belong once what is
 * before it has come; the packet is then done with, and the range remembered in pcb->ooo.
 */
#include "inet/tcp/tcp_impl.h"

/* len bytes of the payload, from its byte `skip` on, to their place in the receive ring. */
void tcp_data_copy(struct tcp_pcb *pcb, const struct tcp_seg *seg, uint32_t skip, uint32_t len)
{
	struct byte_ring *rcv = &pcb->pub.rcv;
	uint32_t pos = rcv->tail + (seg->seq + skip - pcb->rcv_nxt);
	uint32_t at = seg->payload + skip, run;

	while (len) {
		uint8_t *dst = byte_ring_run(rcv, pos, len, &run);

		pkt_copy_out(seg->p, at, dst, run);
		pos += run;
		at += run;
		len -= run;
	}
}

static uint32_t segment_bytes(const struct tcp_seg *seg)
{
	return seg->p->gso_size ? seg->p->gso_size : seg->len;
}

static bool ring_ready(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t offered = tcp_seq_gt(pcb->rcv_adv, pcb->rcv_nxt) ? pcb->rcv_adv - pcb->rcv_nxt : 0;

	return pcb->pub.rcv.data || w->tcp->up->tcp_need_rcv(w, pcb, offered) == 0;
}

/* How much of what comes at rcv_nxt may be taken. */
static uint32_t room(const struct tcp_pcb *pcb)
{
	uint32_t window = (int32_t)(pcb->rcv_adv - pcb->rcv_nxt) > 0 ? pcb->rcv_adv - pcb->rcv_nxt
								     : 0;

	return tcp_min(window, byte_ring_free(&pcb->pub.rcv));
}

/* rcv_nxt reached the first ranges: they are in order now. */
static void merge(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_ranges *o = pcb->ooo;

	/* What came may have covered some of them, and reached into the next. */
	tcp_range_below(o, pcb->rcv_nxt);
	if (o->n && o->r[0].start == pcb->rcv_nxt) {
		pcb->pub.rcv.tail += o->r[0].end - pcb->rcv_nxt;
		pcb->bytes_received += o->r[0].end - pcb->rcv_nxt;
		pcb->rcv_nxt = o->r[0].end;
		tcp_range_below(o, pcb->rcv_nxt);
	}
	if (o->n == 0)
		tcp_ranges_free(w, &pcb->ooo);
	tcp_ack_now(w, pcb); /* RFC 5681 section 4.2: a hole was filled */
}

static void fin_check(struct worker *w, struct tcp_pcb *pcb)
{
	if ((pcb->flags & F_FIN_SEEN) && pcb->rcv_nxt == pcb->peer_fin)
		tcp_fin_received(w, pcb);
}

/* What came from behind the end is no peer's honest word: without it the end is reached. */
static void fin_seen(struct worker *w, struct tcp_pcb *pcb, uint32_t seq)
{
	pcb->peer_fin = seq;
	pcb->flags |= F_FIN_SEEN;
	if (pcb->ooo && tcp_seq_gt(pcb->ooo->r[pcb->ooo->n - 1].end, seq))
		tcp_ranges_free(w, &pcb->ooo);
}

/* RFC 2883 section 4.2: what of [start, end) waits out of order already. */
static void overlap_tell(struct worker *w, struct tcp_pcb *pcb, uint32_t start, uint32_t end)
{
	const struct tcp_ranges *o = pcb->ooo;

	for (uint32_t i = 0; o && i < o->n; i++) {
		const struct tcp_range *r = &o->r[i];

		if (tcp_seq_leq(r->end, start))
			continue;
		if (tcp_seq_lt(r->start, end)) {
			tcp_mib(w, TCPDSACKOfoSent);
			tcp_dsack_tell(w, pcb, tcp_seq_gt(r->start, start) ? r->start : start,
				       tcp_seq_lt(r->end, end) ? r->end : end);
		}
		return;
	}
}

/* What begins at or before rcv_nxt and reaches beyond it. */
static void in_order(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	uint32_t skip = pcb->rcv_nxt - seg->seq, len = seg->len > skip ? seg->len - skip : 0;
	uint32_t take = tcp_min(len, room(pcb));

	if (len && skip) /* RFC 2883 section 4.2: the part that came before */
		tcp_dsack_tell(w, pcb, seg->seq, pcb->rcv_nxt);
	else if (pcb->ooo)
		overlap_tell(w, pcb, seg->seq, seg->seq + take);
	if (len && take == 0) {
		tcp_ack_now(w, pcb);
		tcp_mib(w, TCPZeroWindowDrop);
		pkt_drop(w, seg->p, DROP_TCP_ZEROWINDOW);
		return;
	}
	if ((seg->flags & TCP_F_FIN) && take == len) {
		fin_seen(w, pcb, seg->seq + seg->len);
	}
	if (take) {
		tcp_rcvq_data(w, pcb, seg, take);
		tcp_data_copy(pcb, seg, skip, take);
		pcb->pub.rcv.tail += take;
		pcb->rcv_nxt += take;
		pcb->bytes_received += take;
		pcb->flags |= F_READABLE;
		tcp_ack_data(w, pcb, take, segment_bytes(seg));
		if (take < len)
			tcp_ack_now(w, pcb);
		if (pcb->ooo)
			merge(w, pcb);
	}
	tcp_seg_done(w, pcb, seg);
	fin_check(w, pcb);
}

/* One ACK for a burst, but not where several ranges change in it: each is to be the first of an ACK
 * of its own, and is repeated by the next two, so that it takes the loss of three ACKs for it to
 * be sent again in vain (RFC 2018 section 4). So before another one changes, tell. */
static void ranges_tell(struct worker *w, struct tcp_pcb *pcb, uint32_t seq)
{
	const struct tcp_ranges *o = pcb->ooo;
	const struct tcp_range *last;

	if (!o || !o->untold || !(pcb->flags & F_SACK_OK))
		return;
	last = tcp_range_with(o, o->recent[0]);
	if (!last || last->end != seq)
		tcp_ack_send(w, pcb);
}

static enum tcp_range_result range_add(struct worker *w, struct tcp_pcb *pcb, uint32_t start,
				       uint32_t end)
{
	enum tcp_range_result result;

	if (!pcb->ooo)
		pcb->ooo = tcp_ranges_new(w);
	if (!pcb->ooo)
		return TCP_RANGE_FULL;
	result = tcp_range_add(pcb->ooo, start, end);
	if (result != TCP_RANGE_FULL)
		return result;
	if (tcp_ranges_grow(w, &pcb->ooo))
		return tcp_range_add(pcb->ooo, start, end);
	/* What is nearer to the hole is worth more: the highest goes, though the peer was told that
	 * we have it (RFC 2018 section 8) [tcp_prune_ofo_queue]. */
	if (!tcp_range_prune(pcb->ooo, start))
		return TCP_RANGE_FULL;
	tcp_mib(w, OfoPruned);
	return tcp_range_add(pcb->ooo, start, end);
}

/* Text behind a hole, within the window. */
static void out_of_order(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	uint32_t ahead = seg->seq - pcb->rcv_nxt, space = room(pcb), len;
	enum tcp_range_result result;

	pcb->ooo_packets++;
	ranges_tell(w, pcb, seg->seq);
	tcp_ack_now(w, pcb);
	len = ahead < space ? tcp_min(seg->len, space - ahead) : 0;
	if ((seg->flags & TCP_F_FIN) && len == seg->len) {
		fin_seen(w, pcb, seg->seq + seg->len);
	}
	if (seg->len == 0) {
		pkt_consume(w, seg->p, FATE_ABSORBED);
		return;
	}
	if (len == 0) {
		pkt_drop(w, seg->p, DROP_TCP_OVERWINDOW);
		return;
	}
	overlap_tell(w, pcb, seg->seq, seg->seq + len);
	result = range_add(w, pcb, seg->seq, seg->seq + len);
	if (result == TCP_RANGE_FULL) {
		tcp_mib(w, TCPOFODrop);
		pkt_drop(w, seg->p, DROP_TCP_OFO_QUEUE_PRUNE);
		return;
	}
	tcp_range_recent(pcb->ooo, seg->seq);
	if (result == TCP_RANGE_KNOWN) {
		tcp_mib(w, TCPOFOMerge);
		pkt_drop(w, seg->p, DROP_TCP_OFOMERGE);
		return;
	}
	tcp_mib(w, TCPOFOQueue);
	tcp_data_copy(pcb, seg, 0, len);
	tcp_seg_done(w, pcb, seg);
}

/* The program let go, and the peer still talks (RFC 9293 section 3.10.4, RFC 2525 section 2.17).
 * The RST is one for its segment, without ACK [tcp_rcv_state_process]. */
static void nobody_reads(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	tcp_reset_for(w, seg);
	tcp_mib(w, TCPAbortOnData);
	pkt_drop(w, seg->p, DROP_TCP_ABORT_ON_DATA);
	tcp_fail(w, pcb, 0);
}

void tcp_data(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	uint32_t end = seg->seq + seg->len;

	if ((seg->flags & TCP_F_URG) || (pcb->flags & F_URG_WAIT))
		tcp_urgent(w, pcb, seg);
	if (seg->len == 0 && !(seg->flags & TCP_F_FIN)) {
		pkt_consume(w, seg->p, FATE_ABSORBED);
		return;
	}
	if (!tcp_may_receive(pcb) ||
	    ((pcb->flags & F_FIN_SEEN) && tcp_seq_gt(end, pcb->peer_fin))) {
		tcp_ack_now(w, pcb);
		pkt_drop(w, seg->p, DROP_TCP_CLOSE); /* behind the peer's own FIN */
		return;
	}
	if (seg->len) {
		if (pcb->flags & F_DETACHED) {
			nobody_reads(w, pcb, seg);
			return;
		}
		if (!ring_ready(w, pcb)) {
			tcp_ack_now(w, pcb);
			pkt_drop(w, seg->p, DROP_SOCKET_RCVBUFF);
			return;
		}
		if (pcb->flags & F_ECN)
			tcp_ecn_data(w, pcb, seg);
	}
	if (tcp_seq_leq(seg->seq, pcb->rcv_nxt))
		in_order(w, pcb, seg);
	else
		out_of_order(w, pcb, seg);
}
