/* SPDX-License-Identifier: BSD-3-Clause */
/* A datagram's way out, found and checked; then udp_out.c makes the packet. */
#include <errno.h>

#include "inet/ip4.h"
#include "inet/state.h"
#include "inet/udp.h"
#include "wire/udp.h"

#define UDP_MAX_PAYLOAD_BYTES 65507u

/* What a flow has to be for one datagram of pcb. */
struct way {
	const struct ipaddr *dst;
	struct ipaddr src; /* any: chosen */
	uint8_t ttl, oif;
	bool own_mtu, any_src;
};

static void way_of(const struct udp_pcb *pcb, const struct udp_send *send, struct way *way)
{
	way->dst = send->to ? &send->to->addr : &pcb->remote.addr;
	way->src = ipaddr_is_any(&send->src) ? pcb->local.addr : send->src;
	way->oif = send->ifindex ? send->ifindex : pcb->bound_if;
	way->ttl = pcb->ttl;
	way->own_mtu = pcb->pmtudisc >= UDP_PMTU_PROBE;
	way->any_src = pcb->transparent;
	if (unlikely(ipaddr_is_ip4(way->dst) && ip4_is_multicast(ipaddr_ip4(way->dst)))) {
		way->ttl = pcb->mcast_ttl;
		if (!way->oif)
			way->oif = pcb->mcast_ifindex;
		if (ipaddr_is_any(&way->src))
			way->src = pcb->mcast_addr;
	} else if (unlikely(pcb->unicast_if) && !way->oif) {
		way->oif = pcb->unicast_if;
	}
	if (unlikely(send->set & UDP_SEND_TTL))
		way->ttl = send->ttl;
}

/* Does pcb's own flow lead there already? */
static bool flow_fits(const struct worker *w, const struct udp_pcb *pcb, const struct way *way)
{
	const struct ip_flow *flow = &pcb->flow;

	return flow->generation == w->inet->generation && ipaddr_equal(&flow->dst, way->dst) &&
	       flow->ttl == way->ttl && flow->oif == way->oif && flow->own_mtu == way->own_mtu &&
	       flow->broadcast_ok == pcb->broadcast && flow->any_src == way->any_src &&
	       (ipaddr_is_any(&way->src) || ipaddr_equal(&flow->src, &way->src));
}

int udp_flow_to(struct worker *w, struct udp_pcb *pcb, const struct udp_send *send,
		struct ip_flow **out)
{
	struct ip_flow *flow = &pcb->flow;
	struct way way;
	int err;

	way_of(pcb, send, &way);
	*out = flow;
	if (likely(flow_fits(w, pcb, &way)))
		return 0;
	/* Bound to a group or broadcast address: one receives on it, and sends from another. */
	if (ipaddr_is_ip4(&way.src) && !inet_addr_is_local(w, &way.src) &&
	    inet_addr_kinds(w->inet, ipaddr_ip4(&way.src)))
		way.src = ipaddr_any();
	*flow = (struct ip_flow){ .src = way.src,
				  .dst = *way.dst,
				  .proto = IP_PROTO_UDP,
				  .ttl = way.ttl,
				  .oif = way.oif,
				  .own_mtu = way.own_mtu,
				  .any_src = way.any_src,
				  .broadcast_ok = pcb->broadcast };
	err = ip_flow_route(w, flow);
	/* Who will not have it fragmented is not overruled by a path with a tiny MTU. */
	if (!err && (pcb->pmtudisc == UDP_PMTU_DO || pcb->pmtudisc == UDP_PMTU_PROBE))
		flow->fragment = false;
	return err;
}

/* A datagram that may not be fragmented here, and would have to be. */
static int too_large(struct worker *w, struct udp_pcb *pcb, const struct ip_flow *flow)
{
	struct net_error e = { .error = EMSGSIZE,
			       .from = NET_ERROR_LOCAL,
			       .info = flow->mtu_bytes,
			       .local = flow->src,
			       .remote = flow->dst };
	uint8_t l4[8] = { 0 };

	memcpy(l4, &pcb->local.port_be, 2);
	memcpy(l4 + 2, &pcb->remote.port_be, 2);
	e.l4 = l4;
	if (pcb->recverr)
		w->inet->up.udp_error(w, pcb, &e);
	return -EMSGSIZE;
}

/* May so much be sent along flow? Sets whether routers may fragment it. */
static int size_check(struct worker *w, struct udp_pcb *pcb, struct ip_flow *flow, uint32_t len)
{
	uint32_t bytes = len + UDP_HDR_BYTES + IP4_HDR_BYTES;

	return likely(inet_pmtu_allows(flow, pcb->pmtudisc, bytes)) ? 0 : too_large(w, pcb, flow);
}

/* Segments are never fragmented, whatever IP_MTU_DISCOVER says [udp_send_skb]. */
static int segments_check(const struct udp_pcb *pcb, struct ip_flow *flow, uint32_t segment,
			  uint32_t len)
{
	uint32_t longest = segment < len ? segment : len;

	if (longest + UDP_HDR_BYTES + IP4_HDR_BYTES > flow->mtu_bytes)
		return -EMSGSIZE;
	if (len > segment * UDP_MAX_SEGMENTS || pcb->no_check)
		return -EINVAL;
	flow->df = pcb->pmtudisc >= UDP_PMTU_WANT && pcb->pmtudisc <= UDP_PMTU_PROBE;
	return 0;
}

/* The way of one datagram, ready to be sent along. */
static int send_flow(struct worker *w, struct udp_pcb *pcb, const struct udp_send *send,
		     struct ip_flow **flow)
{
	const struct endpoint *dst = send->to ? send->to : &pcb->remote;
	int err;

	if (dst->port_be == 0)
		return send->to ? -EINVAL : -EDESTADDRREQ;
	if (send->len[0] > UDP_MAX_PAYLOAD_BYTES ||
	    send->len[1] > UDP_MAX_PAYLOAD_BYTES - send->len[0])
		return -EMSGSIZE;
	err = udp_autobind(w, pcb);
	if (!err)
		err = udp_flow_to(w, pcb, send, flow);
	if (err)
		return err;
	if (unlikely(send->segment_bytes))
		return segments_check(pcb, *flow, send->segment_bytes, send->len[0] + send->len[1]);
	return size_check(w, pcb, *flow, send->len[0] + send->len[1]);
}

int udp_send_check(struct worker *w, struct udp_pcb *pcb, const struct udp_send *send)
{
	struct ip_flow *flow;

	return send_flow(w, pcb, send, &flow);
}

int udp_send_as(struct worker *w, struct udp_pcb *pcb, const struct udp_send *send)
{
	const struct endpoint *dst = send->to ? send->to : &pcb->remote;
	struct ip_flow *flow;
	int err = send_flow(w, pcb, send, &flow);

	if (unlikely(err))
		return err;
	flow->tos = send->set & UDP_SEND_TOS ? send->tos : pcb->tos;
	return udp_output(w, pcb, flow, dst->port_be, send);
}

int udp_send(struct worker *w, struct udp_pcb *pcb, const struct endpoint *to, const void *run1,
	     uint32_t len1, const void *run2, uint32_t len2)
{
	struct udp_send send = { .to = to, .run = { run1, run2 }, .len = { len1, len2 } };

	return udp_send_as(w, pcb, &send);
}

int udp_mtu(struct worker *w, struct udp_pcb *pcb)
{
	struct udp_send send = { .to = NULL };
	struct ip_flow *flow;
	const struct pmtu *pmtu;
	int err;

	if (pcb->remote.port_be == 0)
		return -ENOTCONN;
	err = udp_flow_to(w, pcb, &send, &flow);
	if (err)
		return err;
	pmtu = flow->neigh ? pmtu_find(w, &flow->dst) : NULL;
	return pmtu && pmtu->mtu_bytes < flow->mtu_bytes ? pmtu->mtu_bytes : flow->mtu_bytes;
}
