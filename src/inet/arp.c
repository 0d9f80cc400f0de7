/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is believed, and what not:
 * - a request for one of our addresses from a host of our subnet: it will want our answer and speak
 *   with us, so it becomes a neighbour (STALE: not proven), and is answered;
 * - a reply sent to us: REACHABLE, if we have an entry for its sender (we wanted to know);
 * - anything else (gratuitous, requests for others) only updates entries that exist;
 * - nothing from outside our subnets, nothing from group or null addresses, nothing that claims an
 *   address of ours: that is a conflict or a loop, and we defend the address.
 * An address that was learnt less than a second ago is not replaced (neigh_update()).
 */
#include "inet/arp.h"

#include "inet/state.h"
#include "wire/arp.h"
#include "wire/ip4.h"

static void arp_send(struct worker *w, struct netif *netif, const uint8_t *eth_dst,
		     const struct arp_msg *m)
{
	struct pkt *p = pkt_alloc(w);
	uint8_t frame[ETH_HDR_BYTES + ARP_MSG_BYTES];

	if (!p)
		return; /* counted as alloc_failed; asked again by the timer */
	eth_hdr_fill((struct eth_hdr *)frame, eth_dst, netif->port->mac, ETH_TYPE_ARP);
	memcpy(frame + ETH_HDR_BYTES, m, sizeof(*m));
	if (pkt_append(w, p, frame, sizeof(frame))) {
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	p->l2 = p->mbuf.data_off;
	p->l3 = (uint16_t)(p->l2 + ETH_HDR_BYTES);
	port_send(w, netif->port, p);
}

static const uint8_t eth_all[ETH_ADDR_BYTES] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

void arp_request(struct worker *w, const struct neigh *n, bool unicast)
{
	struct netif *netif = inet_netif(w->inet, n->ifindex);
	uint32_t target_be = ipaddr_ip4(&n->addr);
	struct ipaddr src;
	struct arp_msg m;

	if (!netif || inet_source_for(w->inet, n->ifindex, target_be, &src))
		return; /* without an address nobody would answer: the round runs out */
	arp_fill(&m, ARP_OP_REQUEST);
	eth_addr_copy(m.sender_mac, netif->port->mac);
	m.sender_ip_be = ipaddr_ip4(&src);
	memset(m.target_mac, 0, ETH_ADDR_BYTES);
	m.target_ip_be = target_be;
	arp_send(w, netif, unicast ? n->eth.dst : eth_all, &m);
}

static void arp_announce_one(struct worker *w, struct netif *netif, uint32_t ip_be)
{
	struct arp_msg m;

	arp_fill(&m, ARP_OP_REQUEST);
	eth_addr_copy(m.sender_mac, netif->port->mac);
	m.sender_ip_be = ip_be;
	memset(m.target_mac, 0, ETH_ADDR_BYTES);
	m.target_ip_be = ip_be;
	arp_send(w, netif, eth_all, &m);
}

void arp_announce_timer(struct worker *w, struct timer *t)
{
	struct netif *netif = (struct netif *)((char *)t - offsetof(struct netif, announce));
	struct inet *inet = netif->inet;

	for (unsigned int i = 0; i < inet->addr_count; i++) {
		if (inet->addr[i].ifindex == netif->ifindex && inet->addr[i].announce)
			arp_announce_one(w, netif, inet->addr[i].ip_be);
	}
	if (--netif->announces_left) {
		timer_set(&w->timers, t, w->now_ns + ARP_ANNOUNCE_NS);
		return;
	}
	for (unsigned int i = 0; i < inet->addr_count; i++) {
		if (inet->addr[i].ifindex == netif->ifindex)
			inet->addr[i].announce = false;
	}
}

void arp_announce(struct worker *w, struct netif *netif)
{
	if (w->id != 0) /* once for all workers */
		return;
	netif->announces_left = ARP_ANNOUNCE_NUM;
	timer_set(&w->timers, &netif->announce, w->now_ns);
}

/* Somebody else uses an address of ours: say that it is ours, but do not fight (RFC 5227 2.4 b). */
static void arp_defend(struct worker *w, struct netif *netif, uint32_t ip_be)
{
	if (netif->defended_ns && w->now_ns - netif->defended_ns < ARP_DEFEND_NS)
		return;
	netif->defended_ns = w->now_ns;
	arp_announce_one(w, netif, ip_be);
}

/* Turn the request into its answer, in its own buffer. */
static void arp_reply(struct worker *w, struct netif *netif, struct pkt *p)
{
	struct eth_hdr *eth = pkt_header(p, p->l2, sizeof(*eth));
	struct arp_msg m;

	memcpy(&m, pkt_at(p, p->l3), sizeof(m));
	pkt_trim(p, ETH_HDR_BYTES + ARP_MSG_BYTES);
	pkt_reborn(w, p);
	eth_hdr_fill(eth, m.sender_mac, netif->port->mac, ETH_TYPE_ARP);
	m.op_be = WIRE_BE16(ARP_OP_REPLY);
	eth_addr_copy(m.target_mac, m.sender_mac);
	eth_addr_copy(m.sender_mac, netif->port->mac);
	{
		uint32_t ours_be = m.target_ip_be;

		m.target_ip_be = m.sender_ip_be;
		m.sender_ip_be = ours_be;
	}
	memcpy(pkt_at(p, p->l3), &m, sizeof(m));
	port_send(w, netif->port, p);
}

/* Could m have been sent by a sane host? A sender address of 0 asks whether an address is free. */
static bool arp_is_sane(const struct arp_msg *m)
{
	uint16_t op = arp_op(m);

	return arp_is_eth_ip4(m) && (op == ARP_OP_REQUEST || op == ARP_OP_REPLY) &&
	       !eth_addr_is_group(m->sender_mac) && !eth_addr_is_zero(m->sender_mac) &&
	       !ip4_is_loopback(m->sender_ip_be) && !ip4_is_multicast(m->sender_ip_be) &&
	       !ip4_is_limited_broadcast(m->sender_ip_be);
}

/* Learn from a sane message. Returns whether it told us something. */
static bool arp_learn(struct worker *w, struct netif *netif, const struct arp_msg *m, bool to_us,
		      bool unicast)
{
	struct ipaddr sender = ipaddr_from_ip4(m->sender_ip_be);
	bool request = arp_op(m) == ARP_OP_REQUEST, told = false, proven;
	struct neigh *n;

	/* Of who is in no subnet of ours only what was asked for: a socket that chose its interface
	 * takes everybody to be on the link. */
	if (m->sender_ip_be == 0 ||
	    (!inet_addr_onlink(w->inet, netif->ifindex, m->sender_ip_be) && (request || !to_us)))
		return false;
	n = request && to_us ? neigh_get(w, netif, &sender)
			     : neigh_find(w, netif->ifindex, &sender);
	/* Only an answer that was sent to us proves that the way works in both directions. */
	proven = !request && to_us && unicast;
	if ((proven || m->sender_ip_be == m->target_ip_be) && w->inet->up.neigh_learned) {
		w->inet->up.neigh_learned(w, netif->ifindex, &sender, m->sender_mac, proven);
		told = true;
	}
	if (!n)
		return told;
	return neigh_update(w, n, m->sender_mac, proven, true) || told;
}

void inet_neigh_learn(struct worker *w, unsigned int ifindex, const struct ipaddr *addr,
		      const uint8_t mac[6], bool proven)
{
	struct neigh *n = neigh_find(w, ifindex, addr);

	if (n)
		(void)neigh_update(w, n, mac, proven, true);
}

static void arp_input_one(struct worker *w, struct netif *netif, struct pkt *p)
{
	const struct arp_msg *at = pkt_header(p, p->l3, sizeof(*at));
	unsigned int kinds;
	struct arp_msg m;
	bool to_us, learnt;

	if (!at) {
		pkt_drop(w, p, DROP_PKT_TOO_SMALL);
		return;
	}
	memcpy(&m, at, sizeof(m));
	kinds = inet_addr_kinds(w->inet, m.sender_ip_be);
	if (!arp_is_sane(&m) || kinds & ADDR_BROADCAST) {
		pkt_drop(w, p, DROP_ARP_MALFORMED);
		return;
	}
	if (kinds & ADDR_LOCAL) {
		/* Our own frame that came back is a loop, anybody else's a conflict. */
		if (!eth_addr_equal(m.sender_mac, netif->port->mac))
			arp_defend(w, netif, m.sender_ip_be);
		pkt_drop(w, p, DROP_IP_OWN_SOURCE);
		return;
	}
	kinds = inet_addr_kinds(w->inet, m.target_ip_be);
	to_us = (kinds & (ADDR_LOCAL | ADDR_LOOPBACK)) == ADDR_LOCAL;
	learnt = arp_learn(w, netif, &m, to_us, !(p->flags & (PKT_F_BROADCAST | PKT_F_MULTICAST)));
	if (to_us && arp_op(&m) == ARP_OP_REQUEST)
		arp_reply(w, netif, p);
	else if (learnt)
		pkt_consume(w, p, FATE_ABSORBED);
	else
		pkt_drop(w, p, DROP_ARP_NOT_FOR_US);
}

void arp_input(struct worker *w, struct pkt **pkts, unsigned int n)
{
	stage_enter(w, STAGE_ARP_INPUT, pkts, n);
	for (unsigned int i = 0; i < n; i++)
		arp_input_one(w, inet_netif(w->inet, pkts[i]->ifindex), pkts[i]);
}
