/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TIME_WAIT: 60 s in which the connection's numbers are remembered, in a small struct tcp_tw that
 * takes the pcb's place in the tables (RFC 9293 section 3.10.7.4). It is ended before by a SYN that
 * is newer, by time stamp or sequence number (RFC 6191, RFC 1122 section 4.2.2.13), and by a RST
 * with exactly the next number, unless tcp_rfc1337 says that it shall not (RFC 1337).
 */
#include "core/watch.h"
#include "inet/tcp/tcp_impl.h"

void tcp_tw_free(struct worker *w, struct tcp_tw *tw)
{
	timer_cancel(&w->timers, &tw->timer);
	tcp_hash_remove(w, &tw->node);
	tcp_port_unlink_node(&tw->node);
	if (tw->pcb)
		tcp_set_state(w, tw->pcb, TCP_CLOSED);
	tw->node.in_use = false;
	tcp_slab_put(&w->tcp->tws, tw);
}

static void tw_fired(struct worker *w, struct timer *t)
{
	tcp_mib(w, TW);
	tcp_tw_free(w, (struct tcp_tw *)((char *)t - offsetof(struct tcp_tw, timer)));
}

static void tw_fill(struct worker *w, struct tcp_tw *tw, struct tcp_pcb *pcb)
{
	tw->local = pcb->pub.local;
	tw->remote = pcb->pub.remote;
	tw->snd_nxt = pcb->snd_nxt;
	tw->rcv_nxt = pcb->rcv_nxt;
	tw->rcv_wnd = tcp_seq_gt(pcb->rcv_adv, pcb->rcv_nxt) ? pcb->rcv_adv - pcb->rcv_nxt : 0;
	tw->rcv_wscale = pcb->rcv_wscale;
	tw->ts_ok = pcb->flags & F_TS_OK;
	tw->ts_recent = pcb->ts_recent;
	tw->ts_recent_s = pcb->ts_recent_s;
	tw->ts_offset = pcb->ts_offset;
	tw->reuse_addr = pcb->pub.reuse_addr;
	tw->reuse_port = pcb->pub.reuse_port;
	tw->bound_if = pcb->pub.bound_if;
	tw->since_ns = w->now_ns;
	tw->node.kind = TCP_NODE_TW;
	tw->node.in_use = true;
	tw->timer.fn = tw_fired;
}

/* One more, or NULL: there are so many that it has to do without, as in Linux. */
static struct tcp_tw *tw_new(struct worker *w)
{
	struct tcp_slab *tws = &w->tcp->tws;
	struct tcp_tw *tw = NULL;

	if (tws->used < (uint32_t)w->tcp->params.tcp_max_tw_buckets &&
	    tcp_slab_reserve(tws, 1) == 0)
		tw = tcp_slab_get(tws);
	if (!tw)
		tcp_mib(w, TCPTimeWaitOverflow);
	return tw;
}

/* The pcb is not needed any more; only a socket that has not let go keeps it, as a view. */
void tcp_time_wait(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t hash = pcb->node.hash, told = pcb->flags & F_READABLE;
	struct tcp_tw *tw;

	tw = tw_new(w);
	if (tw)
		tw_fill(w, tw, pcb);
	tcp_pcb_end(w, pcb);
	if (tw) {
		tcp_hash_insert(w, &tw->node, hash);
		tcp_port_link(w, &tw->node, tw->local.port_be);
		timer_set(&w->timers, &tw->timer, w->now_ns + TCP_TIME_WAIT_NS);
	}
	if (pcb->flags & F_DETACHED) {
		tcp_pcb_free(w, pcb);
		return;
	}
	if (tw) {
		tw->pcb = pcb;
		tcp_set_state(w, pcb, TCP_TIME_WAIT);
	}
	pcb->flags |= F_ENDED;
	pcb->flags &= ~F_READABLE;
	if (told)
		w->tcp->up->tcp_readable(w, pcb);
	if (!(pcb->flags & (F_DEAD | F_DETACHED)))
		w->tcp->up->tcp_error(w, pcb, 0, false);
}

static bool is_loopback(const struct endpoint *at)
{
	return ipaddr_is_ip4(&at->addr) && (be32_to_host(ipaddr_ip4(&at->addr)) >> 24) == 127;
}

bool tcp_tw_may_reuse(const struct worker *w, const struct tcp_tw *tw)
{
	int32_t reuse = w->tcp->params.tcp_tw_reuse;

	if (reuse == 0 || (reuse == 2 && !is_loopback(&tw->local) && !is_loopback(&tw->remote)))
		return false;
	return tw->ts_ok && !tw->pcb && w->now_ns - tw->since_ns > TCP_S_NS;
}

static void tw_ack(struct worker *w, struct tcp_tw *tw, bool limited)
{
	struct tcp_hdr h = { .flags = TCP_F_ACK };
	uint8_t opt[12];

	if (limited && !tcp_oow_allowed(w, tw->oow_ack_ns))
		return;
	if (limited)
		tw->oow_ack_ns = w->now_ns;
	h.seq_be = host_to_be32(tw->snd_nxt);
	h.ack_be = host_to_be32(tw->rcv_nxt);
	h.window_be = host_to_be16((uint16_t)(tw->rcv_wnd >> tw->rcv_wscale));
	be32_store(opt, 0x0101080a);
	be32_store(opt + 4, tcp_ts_now(w, tw->ts_offset));
	be32_store(opt + 8, tw->ts_recent);
	tcp_reply(w, &tw->local, &tw->remote, tw->bound_if, &h, opt, tw->ts_ok ? sizeof(opt) : 0);
}

static bool tw_paws_old(const struct worker *w, const struct tcp_tw *tw, const struct tcp_seg *seg)
{
	return tw->ts_ok && seg->has_ts && (int32_t)(seg->ts_val - tw->ts_recent) < 0 &&
	       tcp_now_s(w) - tw->ts_recent_s < TCP_PAWS_IDLE_S;
}

static void tw_syn(struct worker *w, struct tcp_tw *tw, struct tcp_seg *seg)
{
	bool newer = tcp_seq_gt(seg->seq, tw->rcv_nxt) ||
		     (tw->ts_ok && seg->has_ts && (int32_t)(seg->ts_val - tw->ts_recent) > 0);
	struct tcp_pcb *listener = tcp_lookup_listener(w, seg);
	uint32_t iss = tw->snd_nxt + 65535 + 2;

	if (!newer || !listener || tw_paws_old(w, tw, seg)) {
		tw_ack(w, tw, true);
		pkt_drop(w, seg->p, DROP_TCP_INVALID_SYN);
		return;
	}
	tcp_tw_free(w, tw);
	tcp_listen_input(w, listener, seg, iss ? iss : 1);
}

static void tw_rst(struct worker *w, struct tcp_tw *tw, struct tcp_seg *seg)
{
	if (seg->seq != tw->rcv_nxt || tw_paws_old(w, tw, seg) || w->tcp->params.tcp_rfc1337) {
		pkt_drop(w, seg->p, DROP_TCP_RESET);
		return;
	}
	tcp_tw_free(w, tw);
	pkt_consume(w, seg->p, FATE_ABSORBED);
}

void tcp_tw_input(struct worker *w, struct tcp_tw *tw, struct tcp_seg *seg)
{
	uint32_t end = seg->seq + seg->len + !!(seg->flags & TCP_F_FIN);

	watch_note(w, seg->p, TCP_STATE, TCP_TIME_WAIT, tw->rcv_nxt);
	if (seg->flags & TCP_F_RST) {
		tw_rst(w, tw, seg);
		return;
	}
	if ((seg->flags & (TCP_F_SYN | TCP_F_ACK)) == TCP_F_SYN) {
		tw_syn(w, tw, seg);
		return;
	}
	if (tw_paws_old(w, tw, seg)) {
		tw_ack(w, tw, true);
		pkt_drop(w, seg->p, DROP_TCP_RFC7323_PAWS);
		return;
	}
	if ((seg->flags & TCP_F_FIN) && end == tw->rcv_nxt) {
		/* Our ACK of it was lost. */
		tw_ack(w, tw, false);
		tw->since_ns = w->now_ns;
		timer_set(&w->timers, &tw->timer, w->now_ns + TCP_TIME_WAIT_NS);
		pkt_consume(w, seg->p, FATE_ABSORBED);
		return;
	}
	if (end == seg->seq && seg->seq == tw->rcv_nxt && !(seg->flags & TCP_F_SYN)) {
		pkt_consume(w, seg->p, FATE_ABSORBED);
		return;
	}
	tw_ack(w, tw, true);
	if (end != seg->seq)
		pkt_drop(w, seg->p, DROP_TCP_CLOSE);
	else
		pkt_drop(w, seg->p, DROP_TCP_INVALID_SEQUENCE);
}
