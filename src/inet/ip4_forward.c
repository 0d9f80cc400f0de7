/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forwarding (RFC 1812 section 5.2.1). Off until inet_forwarding(). Ways out are cached by
 * destination, so a flow's packets do not search the routes again.
 */
#include <errno.h>

#include "inet/icmp.h"
#include "inet/ip4.h"
#include "inet/state.h"
#include "wire/csum.h"
#include "wire/icmp.h"

/* The way to dst, from the cache where it holds. 0, or ip_flow_route()'s error. */
static int forward_flow(struct worker *w, uint32_t dst_be, struct ip_flow **out)
{
	struct inet *inet = w->inet;
	struct ip_flow *flow = &inet->forward[inet_hash32(dst_be) % INET_FORWARD_CACHE];

	*out = flow;
	if (flow->generation == inet->generation && ipaddr_ip4(&flow->dst) == dst_be &&
	    (!flow->neigh || flow->neigh->generation == flow->neigh_generation))
		return 0;
	*flow = (struct ip_flow){ .dst = ipaddr_from_ip4(dst_be) };
	return ip_flow_route(w, flow);
}

static void ttl_decrement(struct ip4_hdr *h)
{
	uint16_t old_be, new_be;

	memcpy(&old_be, &h->ttl, sizeof(old_be)); /* with the protocol: one word of the sum */
	h->ttl--;
	memcpy(&new_be, &h->ttl, sizeof(new_be));
	h->csum_be = csum_update16(h->csum_be, old_be, new_be);
}

/* Bytes of the largest packet that p becomes on the wire. */
static uint32_t wire_len(const struct pkt *p)
{
	const uint8_t *offset;

	if (!(p->flags & PKT_F_GSO_TCP4))
		return pkt_len_from(p, p->l3);
	offset = pkt_header(p, (uint16_t)(p->l4 + 12), 1); /* TCP's header length */
	return (uint32_t)(p->l4 - p->l3) + (offset ? (uint32_t)(*offset >> 4) * 4 : 60) +
	       p->gso_size;
}

static void forward_one(struct worker *w, struct pkt *p)
{
	struct ip4_hdr *h = pkt_header(p, p->l3, sizeof(*h));
	struct ip_flow *flow;
	int err;

	if (h->ttl <= 1) {
		icmp_send_error(w, p, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_TTL, 0);
		pkt_drop(w, p, DROP_IP_TTL);
		return;
	}
	err = forward_flow(w, h->dst_be, &flow);
	if (err == -ENOBUFS) {
		pkt_drop(w, p, DROP_NEIGH_QUEUEFULL);
		return;
	}
	if (err) {
		icmp_send_error(w, p, ICMP_TYPE_UNREACHABLE, ICMP_CODE_NET, 0);
		pkt_drop(w, p, DROP_IP_INNOROUTES);
		return;
	}
	if (wire_len(p) > flow->port->mtu_bytes && h->frag_be & WIRE_BE16(IP4_DF)) {
		icmp_send_error(w, p, ICMP_TYPE_UNREACHABLE, ICMP_CODE_FRAG_NEEDED,
				flow->port->mtu_bytes);
		pkt_drop(w, p, DROP_PKT_NEEDS_FRAG);
		return;
	}
	ttl_decrement(h);
	p->flags |= PKT_F_ROUTED;
	rte_pktmbuf_adj(&p->mbuf, (uint16_t)(p->l3 - p->mbuf.data_off));
	if (wire_len(p) > flow->port->mtu_bytes && !(p->flags & PKT_F_GSO_TCP4))
		(void)frag_output(w, p, flow, flow->port->mtu_bytes);
	else
		(void)ip4_finish(w, p, flow);
}

void ip4_forward(struct worker *w, struct pkt **pkts, unsigned int n)
{
	stage_enter(w, STAGE_IP4_FORWARD, pkts, n);
	for (unsigned int i = 0; i < n; i++)
		forward_one(w, pkts[i]);
}
