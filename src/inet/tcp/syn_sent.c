/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SYN_SENT (RFC 9293 section 3.10.7.3), and what both sides do with the other's SYN and at the
 * moment when the connection is established.
 */
#include <errno.h>

#include "inet/tcp/cc.h"
#include "inet/tcp/tcp_impl.h"

/* The peer's SYN: its numbers, and what of the options both have. */
void tcp_take_syn(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	uint32_t window = pcb->rcv_adv - pcb->rcv_nxt;

	pcb->irs = seg->seq;
	pcb->rcv_nxt = seg->seq + 1;
	pcb->rcv_acked = pcb->rcv_nxt;
	pcb->rcv_adv = pcb->rcv_nxt + window;
	pcb->peer_mss = seg->mss ? seg->mss : TCP_DEFAULT_MSS;
	if (pcb->pub.max_seg) /* what it is later changes nothing, as in Linux */
		pcb->peer_mss = (uint16_t)tcp_min(pcb->peer_mss, pcb->pub.max_seg);
	pcb->snd_wl1 = seg->seq;
	pcb->snd_wnd = seg->wnd; /* never scaled in a SYN */
	pcb->snd_max_wnd = seg->wnd;
	if (seg->has_wscale && w->tcp->params.tcp_window_scaling) {
		pcb->flags |= F_WSCALE_OK;
		pcb->snd_wscale = seg->wscale;
	} else {
		pcb->snd_wscale = pcb->rcv_wscale = 0;
	}
	if (seg->sack_ok && w->tcp->params.tcp_sack)
		pcb->flags |= F_SACK_OK;
	if (seg->has_ts && w->tcp->params.tcp_timestamps) {
		pcb->flags |= F_TS_OK;
		pcb->ts_recent = seg->ts_val;
		pcb->ts_recent_s = tcp_now_s(w);
	}
	tcp_mss_update(pcb);
}

/* RFC 5681 section 3.1: our SYN was lost, and the window begins at one segment; as Linux from the
 * second time on, and not where the first is the one that is answered [tcp_init_transfer]. */
static bool syn_was_lost(const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	uint32_t first_ts = (uint32_t)(pcb->unacked_since_ns / TCP_MS_NS) + pcb->ts_offset;

	if (pcb->total_retrans < 2)
		return false;
	return !(pcb->flags & F_TS_OK) || !seg->has_ts || seg->ts_ecr != first_ts;
}

/* Our SYN is acknowledged and theirs is here. The socket layer is told. */
void tcp_established(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	const struct inet_upcalls *up = w->tcp->up;
	struct tcp_pcb *parent = pcb->parent;

	tcp_fo_end(w, pcb);
	pcb->snd_una = seg->ack;
	pcb->rtx_ns = 0;
	pcb->retries = 0;
	pcb->delivered_segs = 1; /* the SYN */
	pcb->last_ack_rcv_ms = tcp_now_ms(w);
	if (pcb->rto_since_ms)
		tcp_rto_answered(w, pcb);
	pcb->soft_error = 0;
	tcp_rtt_syn(w, pcb);
	pcb->backoff = 0;
	tcp_set_state(w, pcb, TCP_ESTABLISHED);
	pcb->recover = pcb->out_seq = pcb->snd_una;
	pcb->snd_small = pcb->snd_una;
	tcp_mtu_probe_established(w, pcb);
	tcp_cc_start(w, pcb);
	if (syn_was_lost(pcb, seg))
		pcb->cwnd = pcb->snd_mss;
	pcb->unacked_since_ns = 0; /* till here: when the SYN was sent */
	neigh_confirm(w, &pcb->flow);
	if (parent) {
		tcp_half_open_remove(pcb);
		tcp_mib(w, PassiveOpens);
		pcb->flags |= F_KNOWN;
		if (up->tcp_incoming(w, parent, pcb) != 0) {
			pcb->flags &= ~F_KNOWN;
			tcp_reset_send(w, pcb);
			tcp_pcb_free(w, pcb);
			return;
		}
	}
	if (!pcb->pub.snd.data && pcb->pub.state == TCP_ESTABLISHED && !(pcb->flags & F_DETACHED) &&
	    up->tcp_need_snd(w, pcb) != 0) {
		tcp_reset_send(w, pcb);
		tcp_fail(w, pcb, ENOBUFS);
		return;
	}
	if (!parent)
		up->tcp_connected(w, pcb);
	if (!tcp_synchronised(pcb))
		return;
	tcp_snd_map(pcb);
	tcp_keepalive_update(w, pcb);
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
}

/* Both sides sent a SYN at once (RFC 9293 figure 8). */
static void simultaneous(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	tcp_take_syn(w, pcb, seg);
	tcp_ecn_syn_sent(pcb, seg);
	tcp_set_state(w, pcb, TCP_SYN_RECEIVED);
	pkt_consume(w, seg->p, FATE_ABSORBED);
	tcp_xmit(w, pcb, pcb->iss, 0, TCP_F_SYN | TCP_F_ACK);
	tcp_rtx_start(w, pcb);
}

static void syn_ack(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	tcp_take_syn(w, pcb, seg);
	tcp_ecn_syn_sent(pcb, seg);
	tcp_fo_syn_ack(w, pcb, seg);
	tcp_established(w, pcb, seg);
	if (!tcp_synchronised(pcb)) {
		pkt_consume(w, seg->p, FATE_ABSORBED);
		return;
	}
	/* The third segment of the handshake; data of ours takes its place where there is some. */
	tcp_ack_now(w, pcb);
	seg->seq++;
	seg->flags &= (uint8_t)~TCP_F_SYN;
	tcp_data(w, pcb, seg);
}

void tcp_syn_sent(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	uint32_t data = pcb->fo ? pcb->fo->data : 0;
	bool good_ack = (seg->flags & TCP_F_ACK) && tcp_seq_gt(seg->ack, pcb->iss) &&
			tcp_seq_leq(seg->ack, pcb->snd_nxt + data) && !pcb->pub.syn_waits;

	if ((seg->flags & TCP_F_ACK) && !good_ack) {
		if (seg->flags & TCP_F_RST) {
			pkt_drop(w, seg->p, DROP_TCP_RESET);
			return;
		}
		tcp_reset_stranger(w, seg);
		pkt_drop(w, seg->p, DROP_TCP_INVALID_ACK_SEQUENCE);
		return;
	}
	if (seg->flags & TCP_F_RST) {
		if (!good_ack) {
			pkt_drop(w, seg->p, DROP_TCP_RESET);
			return;
		}
		pkt_consume(w, seg->p, FATE_ABSORBED);
		tcp_fail(w, pcb, ECONNREFUSED);
		return;
	}
	/* Where our SYN waits (Fast Open) theirs comes again, and crosses it when it goes. */
	if (!(seg->flags & TCP_F_SYN) || (seg->flags & TCP_F_FIN) || pcb->pub.syn_waits) {
		pkt_drop(w, seg->p, DROP_TCP_FLAGS);
		return;
	}
	if (good_ack)
		syn_ack(w, pcb, seg);
	else
		simultaneous(w, pcb, seg);
}
