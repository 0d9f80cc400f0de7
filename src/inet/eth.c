/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ethernet input: is the frame for us, and which protocol takes it? Frames of the loop port have no
 * Ethernet header: they are IP packets, and go straight on.
 */
#include "inet/arp.h"
#include "inet/ip4.h"
#include "inet/state.h"
#include "wire/eth.h"

/* What a burst is sorted into. */
struct eth_sorted {
	struct pkt *ip4[PORT_BURST];
	struct pkt *arp[PORT_BURST];
	unsigned int ip4_count, arp_count;
};

/* Mark what is for everybody. False: it is for another host. */
static bool eth_for_us(struct pkt *p, const struct eth_hdr *eth, const struct netif *netif)
{
	if (eth_addr_equal(eth->dst, netif->port->mac))
		return true;
	if (!eth_addr_is_group(eth->dst))
		return false;
	p->flags |= eth_addr_is_broadcast(eth->dst) ? PKT_F_BROADCAST : PKT_F_MULTICAST;
	return true;
}

static void eth_sort_one(struct worker *w, struct pkt *p, struct eth_sorted *sorted)
{
	const struct netif *netif = inet_netif(w->inet, p->ifindex);
	const struct eth_hdr *eth;

	p->l2 = p->mbuf.data_off;
	if (!netif) {
		pkt_drop(w, p, DROP_PORT_DOWN);
		return;
	}
	if (netif->port->caps & PORT_CAP_LOOP || p->flags & PKT_F_LOOPBACK) {
		p->l3 = p->l2;
		sorted->ip4[sorted->ip4_count++] = p;
		return;
	}
	eth = pkt_header(p, p->l2, sizeof(*eth));
	if (!eth) {
		pkt_drop(w, p, DROP_PKT_TOO_SMALL);
		return;
	}
	if (!eth_for_us(p, eth, netif)) {
		pkt_drop(w, p, DROP_OTHERHOST);
		return;
	}
	p->l3 = (uint16_t)(p->l2 + ETH_HDR_BYTES);
	if (eth->type_be == WIRE_BE16(ETH_TYPE_IP4))
		sorted->ip4[sorted->ip4_count++] = p;
	else if (eth->type_be == WIRE_BE16(ETH_TYPE_ARP))
		sorted->arp[sorted->arp_count++] = p;
	else
		pkt_drop(w, p, DROP_UNHANDLED_PROTO);
}

void eth_input(struct worker *w, struct pkt **pkts, unsigned int n)
{
	struct eth_sorted sorted;

	while (n) {
		unsigned int burst = n < PORT_BURST ? n : PORT_BURST;

		sorted.ip4_count = 0;
		sorted.arp_count = 0;
		stage_enter(w, STAGE_ETH_INPUT, pkts, burst);
		for (unsigned int i = 0; i < burst; i++) {
			if (i + 4 < burst)
				rte_prefetch0(pkt_data(pkts[i + 4]));
			eth_sort_one(w, pkts[i], &sorted);
		}
		if (sorted.arp_count)
			arp_input(w, sorted.arp, sorted.arp_count);
		if (sorted.ip4_count)
			ip4_input(w, sorted.ip4, sorted.ip4_count);
		pkts += burst;
		n -= burst;
	}
}
