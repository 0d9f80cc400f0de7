/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IGMP, the host's side: version 3 (RFC 3376), and versions 2 and 1 where a router speaks those
 * (RFC 2236; section 7 of RFC 3376). For src/inet only.
 *
 * Joining, leaving and changes of a filter are reported at once and again robustness - 1 times;
 * queries are answered after a random delay. With several workers each speaks for its own groups: a
 * query goes from one to the next, and what two of them say alike does no harm.
 */
#ifndef WEIR_INET_IGMP_H
#define WEIR_INET_IGMP_H

#include "inet/mcast.h"

#define IGMP_ROBUSTNESS 2u		       /* until a querier says another */
#define IGMP_REPEAT_NS 1000000000ull	       /* at most, between reports of one change */
#define IGMP_V2_REPEAT_NS 10000000000ull       /* and in version 2 */
#define IGMP_QUERY_INTERVAL_NS 125000000000ull /* until a querier says another */

struct netif;

/* Of an interface. */
struct igmp_if {
	struct timer general;		   /* to a query about everything */
	uint64_t v1_until_ns, v2_until_ns; /* a router of that version was heard */
	uint64_t interval_ns;
	uint8_t robustness;
};

void igmp_netif_init(struct netif *netif);
void igmp_netif_end(struct worker *w, struct netif *netif);
unsigned int igmp_version(const struct worker *w, const struct netif *netif); /* spoken there */

void igmp_group_init(struct mcast_group *g);
void igmp_group_end(struct worker *w, struct mcast_group *g);

/* g's filter was old before. */
void igmp_group_changed(struct worker *w, struct mcast_group *g, const struct mcast_filter *old);

/* From ip4_local(). Takes the packets. */
void igmp_input(struct worker *w, struct pkt **pkts, unsigned int n);

/* igmp_out.c: what is said. */
void igmp_send_change(struct worker *w, struct mcast_group *g);
void igmp_send_state(struct worker *w, struct mcast_group *g); /* as g was asked */
void igmp_send_all(struct worker *w, struct netif *netif);
void igmp_send_old(struct worker *w, struct mcast_group *g, uint8_t type); /* version 1, 2 */

#endif
