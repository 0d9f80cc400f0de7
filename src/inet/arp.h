/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ARP (RFC 826), with the duty to defend our addresses and to announce them (RFC 5227 sections 2.3
 * and 2.4). Which neighbour entries are believed: see arp.c.
 */
#ifndef WEIR_INET_ARP_H
#define WEIR_INET_ARP_H

#include "core/pkt.h"
#include "inet/neigh.h"

/* From eth_input(): l2 and l3 set. Takes the packets. */
void arp_input(struct worker *w, struct pkt **pkts, unsigned int n);

/* Ask for n's address: everybody, or (unicast) the neighbour itself. */
void arp_request(struct worker *w, const struct neigh *n, bool unicast);

/* Begin to announce netif's addresses (gratuitous ARP); the timer does it. */
void arp_announce(struct worker *w, struct netif *netif);
void arp_announce_timer(struct worker *w, struct timer *t);

#endif
