/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A flow's way out: route, source address, next hop, path MTU. Found once and kept in the flow
 * until something changes (inet->generation).
 */
#include <errno.h>

#include "inet/ip4.h"
#include "inet/state.h"
#include "wire/csum.h"

/* The interface and next hop for a destination that is not ours. */
struct hop {
	struct netif *netif;
	uint32_t next_be;
};

/* Our own addresses are reached through the loop port. */
static int flow_to_self(struct inet *inet, struct ip_flow *flow)
{
	struct netif *netif = inet_netif(inet, IFINDEX_LOOP);

	if (!netif)
		return -ENETUNREACH;
	/* As Linux's local table has it: 127.0.0.1 for all of 127/8, else the address itself. */
	if (ipaddr_is_any(&flow->src))
		flow->src = ip4_is_loopback(ipaddr_ip4(&flow->dst))
				    ? ipaddr_from_ip4(WIRE_BE32(0x7f000001u))
				    : flow->dst;
	flow->port = netif->port;
	flow->ifindex = netif->ifindex;
	flow->neigh = NULL;
	flow->neigh_generation = 0;
	flow->mtu_bytes = netif->port->mtu_bytes;
	flow->fragment = false;
	flow->generation = inet->generation;
	return 0;
}

/* The interface of the subnet whose broadcast address this is. */
static struct netif *broadcast_netif(struct inet *inet, uint32_t ip_be)
{
	for (unsigned int i = 0; i < inet->addr_count; i++) {
		const struct inet_addr *a = &inet->addr[i];

		if (a->prefix_len < 31 && a->ifindex != IFINDEX_LOOP &&
		    (a->ip_be | ~a->mask_be) == ip_be)
			return inet_netif(inet, a->ifindex);
	}
	return NULL;
}

/* The interface that has this source address. */
static struct netif *source_netif(struct inet *inet, const struct ipaddr *src)
{
	for (unsigned int i = 0; !ipaddr_is_any(src) && i < inet->addr_count; i++) {
		if (inet->addr[i].ip_be == ipaddr_ip4(src) && inet->addr[i].ifindex != IFINDEX_LOOP)
			return inet_netif(inet, inet->addr[i].ifindex);
	}
	return NULL;
}

/* By the interface that was chosen, ours are reached if it is theirs or the loop port. */
static bool flow_is_to_self(const struct inet *inet, const struct ip_flow *flow)
{
	return flow->oif == 0 || flow->oif == IFINDEX_LOOP ||
	       inet_addr_ifindex(inet, ipaddr_ip4(&flow->dst)) == flow->oif;
}

/* Who chose the interface may have no address yet: who asks for one (DHCP) has none. */
static int flow_source(const struct inet *inet, struct ip_flow *flow, const struct hop *hop)
{
	int err = inet_source_for(inet, hop->netif->ifindex, hop->next_be, &flow->src);

	return err && flow->oif ? 0 : err;
}

/* The interface was chosen. A route that leads there says by which gateway; without one everybody
 * is on the link, as in Linux. */
static int hop_by(struct inet *inet, const struct ip_flow *flow, unsigned int kinds,
		  struct hop *hop)
{
	const struct route *r;

	hop->netif = inet_netif(inet, flow->oif);
	if (!hop->netif || flow->oif == IFINDEX_LOOP)
		return hop->netif ? -ENETUNREACH : -ENODEV;
	if (kinds & (ADDR_BROADCAST | ADDR_MULTICAST))
		return 0;
	r = route_lookup(&inet->routes, &flow->dst);
	if (r && r->ifindex == flow->oif && !ipaddr_is_any(&r->gateway))
		hop->next_be = ipaddr_ip4(&r->gateway);
	return 0;
}

static int hop_find(struct inet *inet, const struct ip_flow *flow, unsigned int kinds,
		    struct hop *hop)
{
	const struct route *r;

	hop->next_be = ipaddr_ip4(&flow->dst);
	hop->netif = NULL;
	if (unlikely(flow->oif))
		return hop_by(inet, flow, kinds, hop);
	if (kinds & ADDR_BROADCAST)
		hop->netif = broadcast_netif(inet, hop->next_be);
	if (!hop->netif && kinds & (ADDR_BROADCAST | ADDR_MULTICAST))
		hop->netif = source_netif(inet, &flow->src);
	if (hop->netif)
		return 0;
	r = route_lookup(&inet->routes, &flow->dst);
	if (!r || r->ifindex == IFINDEX_LOOP)
		return -ENETUNREACH;
	hop->netif = inet_netif(inet, r->ifindex);
	if (!ipaddr_is_any(&r->gateway) && !(kinds & (ADDR_BROADCAST | ADDR_MULTICAST)))
		hop->next_be = ipaddr_ip4(&r->gateway);
	return hop->netif ? 0 : -ENETUNREACH;
}

static int flow_set_hop(struct worker *w, struct ip_flow *flow, unsigned int kinds,
			const struct hop *hop)
{
	struct ipaddr next = ipaddr_from_ip4(hop->next_be);
	const struct pmtu *pmtu;

	flow->neigh = kinds & ADDR_BROADCAST ? &hop->netif->broadcast
					     : neigh_get(w, hop->netif, &next);
	if (!flow->neigh)
		return -ENOBUFS;
	flow->neigh_generation = flow->neigh->generation;
	flow->port = hop->netif->port;
	flow->ifindex = hop->netif->ifindex;
	flow->mtu_bytes = flow->port->mtu_bytes;
	flow->fragment = false;
	pmtu = flow->own_mtu ? NULL : pmtu_find(w, &flow->dst);
	if (pmtu && pmtu->mtu_bytes < flow->mtu_bytes) {
		flow->mtu_bytes = pmtu->mtu_bytes;
		flow->fragment = pmtu->locked;
	}
	flow->generation = w->inet->generation;
	return 0;
}

int ip_flow_route(struct worker *w, struct ip_flow *flow)
{
	struct inet *inet = w->inet;
	unsigned int kinds;
	struct hop hop;
	int err;

	flow->generation = 0;
	if (ipaddr_is_any(&flow->dst)) /* as Linux: 0.0.0.0 is this host */
		flow->dst = ipaddr_is_any(&flow->src) ? ipaddr_from_ip4(WIRE_BE32(0x7f000001u))
						      : flow->src;
	if (!ipaddr_is_ip4(&flow->dst))
		return -ENETUNREACH;
	kinds = inet_addr_kinds(inet, ipaddr_ip4(&flow->dst));
	flow->hops = flow->ttl ? flow->ttl : (kinds & ADDR_MULTICAST ? 1 : INET_DEFAULT_TTL);
	if (!ipaddr_is_any(&flow->src) && !flow->any_src && !inet_addr_is_local(w, &flow->src))
		return -ENETUNREACH;
	if (kinds & ADDR_LOCAL && likely(flow_is_to_self(inet, flow)))
		return flow_to_self(inet, flow);
	/* In Linux's order: a broadcast that has no way is that first. */
	err = hop_find(inet, flow, kinds, &hop);
	if (!err && ip4_is_zeronet(ipaddr_ip4(&flow->dst)))
		err = -EINVAL;
	if (!err && !ipaddr_is_any(&flow->src) && ip4_is_loopback(ipaddr_ip4(&flow->src)))
		err = -EINVAL;
	if (!err && kinds & ADDR_BROADCAST && !flow->broadcast_ok)
		err = -EACCES;
	if (!err && ipaddr_is_any(&flow->src))
		err = flow_source(inet, flow, &hop);
	return err ? err : flow_set_hop(w, flow, kinds, &hop);
}

uint16_t ip_pseudo_csum(const struct ip_flow *flow, uint32_t len)
{
	return csum_fold(
		csum_pseudo_ip4(ipaddr_ip4(&flow->src), ipaddr_ip4(&flow->dst), flow->proto, len));
}
