/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LISTEN (RFC 9293 section 3.10.7.2): a SYN makes a child in SYN_RECEIVED. Children that are not
 * established yet are bounded (TCP_REQQ_FULL); a SYN that could not be accepted in the end, because
 * the accept queue is full, is dropped at once (TCP_LISTEN_OVERFLOW). The peer tries again.
 */
#include "inet/tcp/tcp_impl.h"

static void half_open_add(struct tcp_pcb *listener, struct tcp_pcb *child)
{
	child->parent = listener;
	child->ho_next = listener->half_open;
	child->ho_pprev = &listener->half_open;
	if (child->ho_next)
		child->ho_next->ho_pprev = &child->ho_next;
	listener->half_open = child;
	listener->half_open_n++;
}

void tcp_half_open_remove(struct tcp_pcb *child)
{
	*child->ho_pprev = child->ho_next;
	if (child->ho_next)
		child->ho_next->ho_pprev = child->ho_pprev;
	child->parent->half_open_n--;
	child->parent = NULL;
}

/* The listener goes: those that are not established yet go with it, without a word, as in Linux. */
void tcp_listen_stop(struct worker *w, struct tcp_pcb *listener)
{
	while (listener->half_open)
		tcp_pcb_free(w, listener->half_open);
}

static struct tcp_pcb *child_new(struct worker *w, struct tcp_pcb *listener,
				 const struct tcp_seg *seg)
{
	struct tcp_pcb *child = tcp_pcb_new(w);

	if (!child)
		return NULL;
	child->pub = listener->pub;
	child->pub.state = TCP_SYN_RECEIVED;
	child->pub.local = seg->local;
	child->pub.remote = seg->remote;
	child->pub.snd = child->pub.rcv = (struct byte_ring){ .data = NULL };
	child->pub.user = NULL;
	child->pub.rx_eof = false;
	tcp_congestion_inherit(child, listener);
	tcp_hash_insert(w, &child->node, tcp_tuple_hash(w, &seg->local, &seg->remote));
	child->flags |= F_HASHED | F_BOUND;
	tcp_port_link(w, &child->node, seg->local.port_be);
	half_open_add(listener, child);
	return child;
}

static void answer_syn(struct worker *w, struct tcp_pcb *child, const struct tcp_seg *seg,
		       uint32_t iss)
{
	child->iss = iss ? iss : tcp_isn(w, &seg->local, &seg->remote);
	child->ts_offset = tcp_ts_offset(w, &seg->local, &seg->remote);
	child->snd_una = child->iss;
	child->snd_nxt = child->iss + 1;
	child->last_rcv_ns = child->unacked_since_ns = w->now_ns;
	child->segs_in = 1;
	child->adv_mss = tcp_adv_mss(child);
	child->rcv_wscale = tcp_rcv_wscale_of(child->pub.rcv_space_bytes);
	tcp_take_syn(w, child, seg);
	child->rtt_seq = child->iss;
	child->rtt_start_ns = w->now_ns;
	child->flags |= F_RTT_TIMED;
	tcp_xmit(w, child, child->iss, 0, TCP_F_SYN | TCP_F_ACK);
	tcp_rtx_start(w, child);
}

static void listen_syn(struct worker *w, struct tcp_pcb *listener, struct tcp_seg *seg,
		       uint32_t iss)
{
	struct tcp_pcb *child;

	if (!w->tcp->up->tcp_backlog_room(w, listener)) {
		tcp_mib(w, ListenOverflows);
		tcp_mib(w, ListenDrops);
		pkt_drop(w, seg->p, DROP_TCP_LISTEN_OVERFLOW);
		return;
	}
	if (listener->half_open_n >= TCP_MAX_HALF_OPEN) {
		tcp_mib(w, ListenDrops);
		pkt_drop(w, seg->p, DROP_TCP_REQQ_FULL);
		return;
	}
	child = child_new(w, listener, seg);
	if (!child) {
		tcp_mib(w, ListenDrops);
		pkt_drop(w, seg->p, DROP_NOMEM);
		return;
	}
	if (tcp_route(w, child) != 0) {
		tcp_pcb_free(w, child);
		tcp_mib(w, ListenDrops);
		pkt_drop(w, seg->p, DROP_IP_OUTNOROUTES);
		return;
	}
	answer_syn(w, child, seg, iss);
	pkt_consume(w, seg->p, FATE_ABSORBED);
}

/* iss: a number that the new connection has to begin at or above (after TIME_WAIT), 0: any. */
void tcp_listen_input(struct worker *w, struct tcp_pcb *listener, struct tcp_seg *seg, uint32_t iss)
{
	listener->segs_in++;
	if (seg->flags & TCP_F_RST) {
		pkt_drop(w, seg->p, DROP_TCP_RESET);
	} else if (seg->flags & TCP_F_ACK) {
		tcp_reset_for(w, seg);
		pkt_drop(w, seg->p, DROP_TCP_FLAGS);
	} else if (!(seg->flags & TCP_F_SYN) || (seg->flags & TCP_F_FIN)) {
		pkt_drop(w, seg->p, DROP_TCP_FLAGS);
	} else {
		listen_syn(w, listener, seg, iss);
	}
}
