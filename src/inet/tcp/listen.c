/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LISTEN (RFC 9293 section 3.10.7.2): a SYN makes a child in SYN_RECEIVED.
 *
 * Two queues, both as long as listen() said. Half-open: once it is full, SYNs are answered by
 * cookies (syncookie.c), or dropped where tcp_syncookies is 0 (TCP_REQQ_FULL). A child is a whole
 * pcb, about 1 KB; a compact form would be a fourth of that, but the bound is what matters: 4 MB a
 * listener with the largest backlog that somaxconn allows by default. Accept: while it is full, a
 * SYN that could not be accepted in the end is dropped at once (TCP_LISTEN_OVERFLOW), and so is the
 * last ACK of a handshake, for the SYN,ACK is sent again (syn_received.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "core/log.h"
#include "inet/tcp/tcp_impl.h"
#include "wire/ip4.h"

static void flood_notice(struct worker *w, struct timer *t)
{
	struct tcp_listener *l =
		(struct tcp_listener *)((char *)t - offsetof(struct tcp_listener, notice));

	log_warn("possible SYN flooding on port %u. %s. Check its counters in weir stat",
		 be16_to_host(l->port_be),
		 w->tcp->params.tcp_syncookies ? "Sending cookies" : "Dropping requests");
}

int tcp_listener_new(struct tcp_pcb *listener, uint32_t backlog)
{
	struct tcp_listener *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->backlog = backlog;
	l->port_be = listener->pub.local.port_be;
	l->notice.fn = flood_notice;
	listener->listen = l;
	return 0;
}

uint64_t tcp_listener_drops(const struct tcp_pcb *pcb)
{
	return pcb->pub.state == TCP_LISTEN && pcb->listen ? pcb->listen->drops : 0;
}

void tcp_listener_free(struct worker *w, struct tcp_pcb *listener)
{
	timer_cancel(&w->timers, &listener->listen->notice);
	free(listener->listen);
	listener->listen = NULL;
}

void tcp_half_open_add(struct tcp_pcb *listener, struct tcp_pcb *child)
{
	struct tcp_listener *l = listener->listen;
	struct tcp_pcb **list = child->syn_unacked ? &l->fo_open : &l->half_open;

	child->parent = listener;
	child->ho_next = *list;
	child->ho_pprev = list;
	if (child->ho_next)
		child->ho_next->ho_pprev = &child->ho_next;
	*list = child;
	if (child->syn_unacked)
		l->fo_n++;
	else
		l->half_open_n++;
}

void tcp_half_open_remove(struct tcp_pcb *child)
{
	struct tcp_listener *l = child->parent->listen;

	*child->ho_pprev = child->ho_next;
	if (child->ho_next)
		child->ho_next->ho_pprev = child->ho_pprev;
	if (child->syn_unacked)
		l->fo_n--;
	else
		l->half_open_n--;
	child->parent = NULL;
	child->ho_next = NULL;
}

/* The listener goes: those that are not established yet go with it, without a word, as in Linux;
 * but not those that a program has. */
void tcp_listen_stop(struct worker *w, struct tcp_pcb *listener)
{
	while (listener->listen->half_open)
		tcp_pcb_free(w, listener->listen->half_open);
	while (listener->listen->fo_open)
		tcp_half_open_remove(listener->listen->fo_open);
}

void tcp_child_fill(struct tcp_pcb *child, const struct tcp_pcb *listener,
		    const struct tcp_seg *seg)
{
	const struct ip4_hdr *ip;

	child->pub = listener->pub;
	child->pub.state = TCP_SYN_RECEIVED;
	child->pub.local = seg->local;
	child->pub.remote = seg->remote;
	child->pub.snd = child->pub.rcv = (struct byte_ring){ .data = NULL };
	child->pub.user = NULL;
	child->pub.rx_eof = false;
	ip = seg->p ? pkt_header(seg->p, seg->p->l3, sizeof(*ip)) : NULL;
	child->pub.syn_ttl = ip ? ip->ttl : 0;
	tcp_congestion_inherit(child, listener);
}

struct tcp_pcb *tcp_child_new(struct worker *w, struct tcp_pcb *listener, const struct tcp_seg *seg)
{
	struct tcp_pcb *child = tcp_pcb_new(w);

	if (!child)
		return NULL;
	tcp_child_fill(child, listener, seg);
	tcp_hash_insert(w, &child->node, tcp_tuple_hash(w, &seg->local, &seg->remote));
	child->flags |= F_HASHED | F_BOUND;
	tcp_port_link(w, &child->node, seg->local.port_be);
	tcp_half_open_add(listener, child);
	return child;
}

void tcp_child_syn(struct worker *w, struct tcp_pcb *child, const struct tcp_seg *seg, uint32_t iss)
{
	child->iss = iss;
	child->ts_offset = tcp_ts_offset(w, &seg->local, &seg->remote);
	child->snd_una = child->iss;
	child->snd_nxt = child->iss + 1;
	child->last_rcv_ns = child->unacked_since_ns = w->now_ns;
	child->segs_in = 1;
	child->adv_mss = tcp_adv_mss(child);
	child->rcv_wscale = tcp_rcv_wscale_of(w, &child->pub);
	tcp_take_syn(w, child, seg);
	tcp_ecn_listen(w, child, seg);
}

static void answer_syn(struct worker *w, struct tcp_pcb *child)
{
	child->flags |= F_RTT_TIMED;
	tcp_xmit(w, child, child->iss, 0, TCP_F_SYN | TCP_F_ACK);
	tcp_rtx_start(w, child);
}

/* The half-open queue is full: is a cookie the answer [tcp_syn_flood_action]? */
static bool want_cookie(struct worker *w, struct tcp_listener *l)
{
	int32_t cookies = w->tcp->params.tcp_syncookies;

	if (cookies)
		tcp_mib(w, TCPReqQFullDoCookies);
	else
		tcp_mib(w, TCPReqQFullDrop);
	if (!l->flood_told && cookies != 2) {
		l->flood_told = true;
		timer_set(&w->timers, &l->notice, w->now_ns);
	}
	return cookies;
}

/* What came out of TIME_WAIT (iss) had its place there, and a real peer: no bound, as in Linux. */
static bool is_full(const struct worker *w, const struct tcp_listener *l, uint32_t iss)
{
	const struct tcp_params *p = &w->tcp->params;
	uint32_t most = tcp_min(l->backlog, (uint32_t)p->tcp_max_syn_backlog);

	return !iss && (p->tcp_syncookies == 2 || l->half_open_n >= most);
}

static void listen_syn(struct worker *w, struct tcp_pcb *listener, struct tcp_seg *seg,
		       uint32_t iss)
{
	bool full = is_full(w, listener->listen, iss);
	struct tcp_pcb *child;

	if (full && !want_cookie(w, listener->listen)) {
		tcp_listen_drop(w, listener->listen, seg, DROP_TCP_REQQ_FULL);
		return;
	}
	if (!w->tcp->up->tcp_backlog_room(w, listener)) {
		tcp_mib(w, ListenOverflows);
		tcp_listen_drop(w, listener->listen, seg, DROP_TCP_LISTEN_OVERFLOW);
		return;
	}
	if (full) {
		tcp_cookie_syn(w, listener, seg);
		return;
	}
	child = tcp_child_new(w, listener, seg);
	if (!child) {
		tcp_listen_drop(w, listener->listen, seg, DROP_NOMEM);
		return;
	}
	if (tcp_route(w, child) != 0) {
		tcp_pcb_free(w, child);
		tcp_listen_drop(w, listener->listen, seg, DROP_IP_OUTNOROUTES);
		return;
	}
	tcp_syn_save(w, child, seg);
	tcp_child_syn(w, child, seg, iss ? iss : tcp_isn(w, &seg->local, &seg->remote));
	if (tcp_fo_syn(w, listener, child, seg))
		return;
	answer_syn(w, child);
	pkt_consume(w, seg->p, FATE_ABSORBED);
}

/* iss: a number that the new connection has to begin at or above (after TIME_WAIT), 0: any. */
void tcp_listen_input(struct worker *w, struct tcp_pcb *listener, struct tcp_seg *seg, uint32_t iss)
{
	listener->segs_in++;
	if (unlikely(seg->p->followed))
		tcp_tell_listener(w, listener, seg->p);
	if (seg->flags & TCP_F_RST) {
		pkt_drop(w, seg->p, DROP_TCP_RESET);
	} else if (seg->flags & TCP_F_ACK) {
		tcp_reset_stranger(w, seg);
		if (tcp_cookie_expected(w, listener, seg)) {
			tcp_mib(w, SyncookiesFailed);
			pkt_drop(w, seg->p, DROP_TCP_SYNCOOKIE);
		} else {
			pkt_drop(w, seg->p, DROP_TCP_FLAGS);
		}
	} else if (!(seg->flags & TCP_F_SYN) || (seg->flags & TCP_F_FIN)) {
		pkt_drop(w, seg->p, DROP_TCP_FLAGS);
	} else {
		listen_syn(w, listener, seg, iss);
	}
}
