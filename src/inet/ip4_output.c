/* SPDX-License-Identifier: BSD-3-Clause */
/* IP output: the header, the MTU, the next hop. The route comes from the flow (ip_flow.c). */
#include <errno.h>

#include "core/watch.h"
#include "inet/ip4.h"
#include "inet/state.h"
#include "inet/tcp/tcp.h"
#include "wire/csum.h"

void ip4_csum_fill(struct ip4_hdr *h, unsigned int header_len)
{
	uint16_t csum;

	h->csum_be = 0;
	csum = csum_of(h, header_len);
	h->csum_be = csum;
}

/* Counters by hash of the pair, so that one peer's ids say nothing about another's traffic. */
uint16_t ip4_next_id(struct worker *w, uint32_t src_be, uint32_t dst_be, uint8_t proto)
{
	uint32_t key;

	memcpy(&key, w->secret, sizeof(key));
	key ^= src_be + dst_be * 0x9e3779b9u + proto;
	return w->inet->ip_id[inet_hash32(key) % INET_IP_IDS]++;
}

static void route_tell(struct worker *w, const struct pkt *p, const struct ip_flow *flow)
{
	if (flow->neigh)
		watch_note(w, p, ROUTE, flow->ifindex, ipaddr_ip4(&flow->neigh->addr));
	else
		watch_note(w, p, ROUTE_SELF, 0, 0);
}

int ip4_finish(struct worker *w, struct pkt *p, const struct ip_flow *flow)
{
	if (unlikely(p->followed))
		route_tell(w, p, flow);
	if (flow->neigh)
		return neigh_output(w, p, flow->neigh);
	p->l2 = p->l3;
	port_send(w, flow->port, p);
	return 0;
}

/* Now that it is known whether the packet is followed: who sent it. */
static void sender_tell(struct worker *w, const struct pkt *p, const struct ip_flow *flow)
{
	const void *pcb = (const void *)(uintptr_t)p->user[0];

	if (flow->proto == IP_PROTO_TCP && pcb)
		tcp_tell_sent(w, pcb, p, p->user[1]);
	else if (flow->proto == IP_PROTO_UDP && pcb)
		udp_tell(w, pcb, p);
}

static bool flow_is_fresh(const struct worker *w, const struct ip_flow *flow)
{
	return flow->generation == w->inet->generation &&
	       (!flow->neigh || flow->neigh->generation == flow->neigh_generation);
}

static unsigned int route_error_reason(int err)
{
	return err == -ENOBUFS ? DROP_NEIGH_QUEUEFULL : DROP_IP_OUTNOROUTES;
}

static void header_fill(struct worker *w, struct ip4_hdr *h, const struct ip_flow *flow,
			uint32_t len)
{
	bool df = flow->df && !flow->fragment;

	h->version_ihl = 0x45;
	h->tos = flow->tos;
	h->len_be = host_to_be16((uint16_t)len);
	h->src_be = ipaddr_ip4(&flow->src);
	h->dst_be = ipaddr_ip4(&flow->dst);
	/* RFC 6864: what cannot be fragmented needs no id. */
	h->id_be = df ? 0 : host_to_be16(ip4_next_id(w, h->src_be, h->dst_be, flow->proto));
	h->frag_be = df ? WIRE_BE16(IP4_DF) : 0;
	h->ttl = flow->hops;
	h->proto = flow->proto;
	ip4_csum_fill(h, IP4_HDR_BYTES);
}

int ip_output(struct worker *w, struct pkt *p, struct ip_flow *flow)
{
	struct ip4_hdr *h;
	uint32_t len;
	int err;

	stage_mark(w, STAGE_IP4_OUTPUT, &p, 1);
	if (unlikely(!flow_is_fresh(w, flow))) {
		err = ip_flow_route(w, flow);
		if (err) {
			pkt_drop(w, p, route_error_reason(err));
			return err;
		}
	}
	p->l4 = p->mbuf.data_off;
	len = pkt_len(p) + IP4_HDR_BYTES;
	if (unlikely(len > IP4_MAX_BYTES)) {
		pkt_drop(w, p, DROP_PKT_TOO_BIG);
		return -EMSGSIZE;
	}
	h = pkt_push(p, IP4_HDR_BYTES);
	if (unlikely(!h)) {
		pkt_drop(w, p, DROP_NOMEM);
		return -ENOBUFS;
	}
	p->l3 = p->mbuf.data_off;
	header_fill(w, h, flow, len);
	stage_show(w, STAGE_IP4_OUTPUT, 0, &p, 1); /* with its header */
	if (unlikely(p->followed))
		sender_tell(w, p, flow);
	if (unlikely(len > flow->mtu_bytes) && !(p->flags & PKT_F_GSO_TCP4)) {
		if (!(h->frag_be & WIRE_BE16(IP4_DF)))
			return frag_output(w, p, flow, flow->mtu_bytes);
		pkt_drop(w, p, DROP_PKT_NEEDS_FRAG);
		return -EMSGSIZE;
	}
	return ip4_finish(w, p, flow);
}
