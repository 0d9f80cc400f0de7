/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SYN_RECEIVED (RFC 9293 section 3.10.7.4): a listener's child that waits for the last ACK of the
 * handshake, or one of two sides that opened at once.
 *
 * TCP_DEFER_ACCEPT: the program does not want to hear of a connection before there is data. A bare
 * last ACK is dropped, but remembered; for so many time-outs of the SYN,ACK as the program said
 * nothing is sent. The last of them sends the SYN,ACK once more: the ACK that it brings is taken.
 */
#include <errno.h>

#include "inet/tcp/tcp_impl.h"

static void rst_input(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	if (seg->seq == pcb->rcv_nxt) {
		tcp_mib(w, EmbryonicRsts);
		pkt_consume(w, seg->p, FATE_ABSORBED);
		tcp_fail(w, pcb, ECONNREFUSED);
		return;
	}
	pkt_drop(w, seg->p, DROP_TCP_RESET);
}

/* Our SYN,ACK was lost, or theirs came twice: say it again. */
void tcp_syn_repeated(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	pcb->flags &= ~F_RTT_TIMED;
	pkt_consume(w, seg->p, FATE_ABSORBED);
	if (tcp_route(w, pcb) != 0)
		return;
	pcb->total_retrans++;
	tcp_mib(w, TCPSynRetrans);
	tcp_xmit(w, pcb, pcb->iss, 0, TCP_F_SYN | TCP_F_ACK);
}

static bool in_window(const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	return tcp_seq_geq(seg->seq, pcb->rcv_nxt) && tcp_seq_leq(seg->seq, pcb->rcv_adv);
}

/* A plain ACK of ours: the handshake's state is not lost by it. */
static void answer(struct worker *w, struct tcp_pcb *pcb)
{
	if (!tcp_oow_allowed(w, pcb->oow_ack_ns))
		return;
	pcb->oow_ack_ns = w->now_ns;
	tcp_xmit(w, pcb, pcb->snd_nxt, 0, TCP_F_ACK);
}

static bool deferred(const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	return pcb->parent && pcb->retries < pcb->pub.defer_accept && seg->len == 0 &&
	       !(seg->flags & TCP_F_FIN);
}

void tcp_syn_ack_timer(struct worker *w, struct tcp_pcb *pcb)
{
	unsigned int defer = pcb->parent ? pcb->pub.defer_accept : 0;
	unsigned int max = (unsigned int)w->tcp->params.tcp_synack_retries;

	if (pcb->acked && max < defer)
		max = defer; /* the peer is there, it only has nothing to say yet */
	tcp_syn_timer(w, pcb, TCP_F_SYN | TCP_F_ACK, max,
		      !pcb->acked || pcb->retries + 1u >= defer);
}

/* As Linux: the SYN,ACK is sent again later, and this ACK with it; or the peer is told at once. */
static void accept_full(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	struct tcp_listener *l = pcb->parent->listen;

	tcp_mib(w, ListenOverflows);
	if (w->tcp->params.tcp_abort_on_overflow) {
		tcp_reset_for(w, seg);
		tcp_pcb_free(w, pcb);
	}
	tcp_listen_drop(w, l, seg, DROP_TCP_LISTEN_OVERFLOW);
}

void tcp_last_ack(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	if (pcb->parent && !w->tcp->up->tcp_backlog_room(w, pcb->parent)) {
		accept_full(w, pcb, seg);
		return;
	}
	tcp_ts_update(w, pcb, seg);
	pcb->snd_wnd = seg->wnd << pcb->snd_wscale;
	pcb->snd_max_wnd = tcp_max(pcb->snd_max_wnd, pcb->snd_wnd);
	pcb->snd_wl1 = seg->seq;
	tcp_established(w, pcb, seg);
	if (!tcp_synchronised(pcb)) {
		pkt_consume(w, seg->p, FATE_ABSORBED);
		return;
	}
	tcp_segment_rest(w, pcb, seg);
}

void tcp_syn_received(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	if (seg->flags & TCP_F_RST) {
		rst_input(w, pcb, seg);
		return;
	}
	if (tcp_paws_old(w, pcb, seg)) {
		answer(w, pcb);
		pkt_drop(w, seg->p, DROP_TCP_RFC7323_PAWS);
		return;
	}
	if ((seg->flags & TCP_F_SYN) && seg->seq == pcb->irs) {
		if (!(seg->flags & TCP_F_ACK)) {
			tcp_syn_repeated(w, pcb, seg);
			return;
		}
		/* Both opened: the other's SYN,ACK is its ACK of ours. */
		seg->flags &= (uint8_t) ~(TCP_F_SYN | TCP_F_ECE | TCP_F_CWR);
		seg->seq++;
	}
	if (seg->flags & TCP_F_SYN) {
		answer(w, pcb);
		pkt_drop(w, seg->p, DROP_TCP_INVALID_SYN);
		return;
	}
	if (!in_window(pcb, seg)) {
		answer(w, pcb);
		pkt_drop(w, seg->p, DROP_TCP_INVALID_SEQUENCE);
		return;
	}
	if (!(seg->flags & TCP_F_ACK)) {
		pkt_drop(w, seg->p, DROP_TCP_NO_ACK);
		return;
	}
	if (seg->ack != pcb->snd_nxt) {
		tcp_reset_stranger(w, seg);
		pkt_drop(w, seg->p, DROP_TCP_INVALID_ACK_SEQUENCE);
		return;
	}
	if (deferred(pcb, seg)) {
		pcb->acked = true;
		tcp_mib(w, TCPDeferAcceptDrop);
		pkt_drop(w, seg->p, DROP_TCP_DEFER_ACCEPT);
		return;
	}
	tcp_last_ack(w, pcb, seg);
}
