/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP's way in: a burst of packets, each parsed into a struct tcp_seg, checked, and given to the
 * connection, TIME_WAIT or listener it is for. See tcp_pcb.h for what happens at the burst's end.
 */
#include "inet/state.h"
#include "inet/tcp/tcp_check.h"
#include "inet/tcp/tcp_impl.h"
#include "wire/csum.h"
#include "wire/ip4.h"

/* Addresses from the IP header in front. False: not IPv4 (the layer below lets nothing else by). */
static bool addresses(struct tcp_seg *seg)
{
	const struct ip4_hdr *ip = pkt_header(seg->p, seg->p->l3, IP4_HDR_BYTES);

	if (!ip || ip4_version(ip) != 4)
		return false;
	seg->ecn = ip->tos & IP_ECN_MASK;
	seg->local.addr = ipaddr_from_ip4(ip->dst_be);
	seg->remote.addr = ipaddr_from_ip4(ip->src_be);
	return true;
}

static bool csum_good(const struct tcp_seg *seg)
{
	const struct pkt *p = seg->p;
	uint32_t len = pkt_len_from(p, p->l4);
	uint64_t pseudo;

	if (p->flags & (PKT_F_CSUM_OK | PKT_F_CSUM_PARTIAL))
		return true;
	pseudo = csum_pseudo_ip4(ipaddr_ip4(&seg->remote.addr), ipaddr_ip4(&seg->local.addr),
				 IP_PROTO_TCP, len);
	return pkt_csum(p, p->l4, len, csum_fold(pseudo)) == 0xffff;
}

/* No state has a use for SYN with FIN or RST. */
static bool flags_make_sense(uint8_t flags)
{
	return !(flags & TCP_F_SYN) || !(flags & (TCP_F_RST | TCP_F_FIN));
}

/* Fill seg from the packet. False: it was dropped. */
static bool parse(struct worker *w, struct pkt *p, struct tcp_seg *seg)
{
	const struct tcp_hdr *h = pkt_header(p, p->l4, TCP_HDR_BYTES);
	unsigned int hdr_bytes;

	seg->p = p;
	if (!h || tcp_hdr_bytes(h) < TCP_HDR_BYTES || !pkt_header(p, p->l4, tcp_hdr_bytes(h)) ||
	    !addresses(seg))
		goto malformed;
	if (!csum_good(seg)) {
		tcp_mib(w, InErrs);
		tcp_mib(w, InCsumErrors);
		pkt_drop(w, p, DROP_TCP_CSUM);
		return false;
	}
	hdr_bytes = tcp_hdr_bytes(h);
	seg->local.port_be = h->dst_port_be;
	seg->remote.port_be = h->src_port_be;
	seg->seq = be32_to_host(h->seq_be);
	seg->ack = be32_to_host(h->ack_be);
	seg->wnd = be16_to_host(h->window_be);
	seg->flags = h->flags;
	seg->urgent = be16_to_host(h->urgent_be);
	seg->payload = (uint16_t)(p->l4 + hdr_bytes);
	seg->len = pkt_len_from(p, seg->payload);
	p->l7 = seg->payload;
	seg->has_ts = seg->has_wscale = seg->sack_ok = false;
	seg->sack_n = 0;
	seg->signature = seg->has_fo = false;
	seg->mss = 0;
	if (hdr_bytes > TCP_HDR_BYTES &&
	    !tcp_options_parse(seg, (const uint8_t *)(h + 1), hdr_bytes - TCP_HDR_BYTES))
		goto malformed;
	if (unlikely(seg->signature)) {
		/* We have no keys (RFC 2385 section 2.0). Who signs is not answered, not even with
		 * a RST, which would have to be signed. */
		tcp_mib(w, TCPMD5Unexpected);
		pkt_drop(w, p, DROP_TCP_MD5UNEXPECTED);
		return false;
	}
	if (!flags_make_sense(seg->flags)) {
		pkt_drop(w, p, DROP_TCP_FLAGS);
		return false;
	}
	return true;
malformed:
	tcp_mib(w, InErrs);
	pkt_drop(w, p, DROP_TCP_MALFORMED);
	return false;
}

static void pcb_input(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	uint32_t segs = tcp_seg_segs(seg);

	pcb->segs_in += segs;
	if (seg->len)
		pcb->data_segs_in += segs;
	pcb->last_rcv_ns = w->now_ns;
	pcb->keep_probes = 0;
	if (unlikely(seg->p->followed))
		tcp_tell_received(w, pcb, seg);
	if (tcp_segment_fast(w, pcb, seg))
		return;
	switch (pcb->pub.state) {
	case TCP_SYN_SENT:
		tcp_syn_sent(w, pcb, seg);
		break;
	case TCP_SYN_RECEIVED:
		tcp_syn_received(w, pcb, seg);
		break;
	default:
		tcp_segment(w, pcb, seg);
		break;
	}
}

/* To nobody: RFC 9293 section 3.10.7.1. */
static void no_pcb(struct worker *w, struct tcp_seg *seg)
{
	tcp_reset_stranger(w, seg);
	pkt_drop(w, seg->p, DROP_NO_SOCKET);
}

/* SO_BINDTODEVICE: of another interface it hears nothing. */
static inline unsigned int node_bound_if(struct tcp_node *node)
{
	return node->kind == TCP_NODE_PCB ? tcp_node_pcb(node)->pub.bound_if
					  : tcp_node_tw(node)->bound_if;
}

static void segment_input(struct worker *w, struct tcp_seg *seg)
{
	struct tcp_node *node = tcp_lookup(w, &seg->local, &seg->remote);
	struct tcp_pcb *listener;

	if (node && unlikely(node_bound_if(node)) &&
	    !inet_came_by(w, node_bound_if(node), seg->p, &seg->local.addr))
		node = NULL;
	if (node && node->kind == TCP_NODE_PCB) {
		pcb_input(w, tcp_node_pcb(node), seg);
		tcp_check_step(w, tcp_node_pcb(node));
		return;
	}
	if (node) {
		tcp_tw_input(w, tcp_node_tw(node), seg);
		return;
	}
	listener = tcp_lookup_listener(w, seg);
	if (listener && tcp_cookie_ack(w, listener, seg))
		return;
	/* Only a SYN begins here what no worker knows: each has its sibling of the listener. */
	if ((!listener || (seg->flags & (TCP_F_SYN | TCP_F_ACK | TCP_F_RST)) != TCP_F_SYN) &&
	    inet_steer(w, seg->p))
		return;
	if (listener)
		tcp_listen_input(w, listener, seg, 0);
	else
		no_pcb(w, seg);
}

void tcp_input(struct worker *w, struct pkt **pkts, unsigned int n)
{
	stage_enter(w, STAGE_TCP_INPUT, pkts, n);
	tcp_mib_add(w, InSegs, n);
	tcp_enter(w);
	for (unsigned int i = 0; i < n; i++) {
		struct tcp_seg seg;

		if (i + 1 < n)
			rte_prefetch0(pkt_at(pkts[i + 1], pkts[i + 1]->l3));
		if (pkts[i]->flags & (PKT_F_BROADCAST | PKT_F_MULTICAST)) {
			/* TCP is between two (RFC 1122 section 4.2.3.10) */
			pkt_drop(w, pkts[i], DROP_OTHERHOST);
			continue;
		}
		if (parse(w, pkts[i], &seg))
			segment_input(w, &seg);
	}
	tcp_leave(w);
}
