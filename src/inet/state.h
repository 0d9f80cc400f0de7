/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct inet: the state of the protocols of one worker. For src/inet only.
 *
 * Everything has a bound, and everything is allocated in inet_init(), except routes (grown when
 * they are configured), UDP pcbs (a free list) and TCP's own.
 */
#ifndef WEIR_INET_STATE_H
#define WEIR_INET_STATE_H

#include "inet/frag.h"
#include "inet/icmp.h"
#include "inet/igmp.h"
#include "inet/inet.h"
#include "inet/neigh.h"
#include "inet/pmtu.h"
#include "inet/raw.h"
#include "inet/route.h"
#include "inet/udp_table.h"

#define INET_MAX_ADDR 256u
#define INET_ADDR_SLOTS 1024u /* power of two, more than twice as many as can be taken */
#define INET_FORWARD_CACHE 256u
#define INET_IP_IDS 256u
#define INET_DEFAULT_TTL 64u

#define ARP_ANNOUNCE_NUM 2u /* RFC 5227 section 1.1 */
#define ARP_ANNOUNCE_NS 2000000000ull
#define ARP_DEFEND_NS 10000000000ull

struct netif {
	struct port *port; /* NULL: the slot is free */
	uint8_t ifindex;
	struct neigh broadcast; /* its link-layer broadcast address: always reachable */
	struct timer announce;	/* gratuitous ARP for its addresses */
	uint8_t announces_left;
	struct igmp_if igmp;
	uint64_t defended_ns; /* when an address of it was last defended (RFC 5227 section 2.4) */
	struct inet *inet;
};

/* An address that was configured. */
struct inet_addr {
	struct ipaddr addr;
	uint32_t ip_be, mask_be;
	uint8_t ifindex;
	uint8_t prefix_len;
	bool announce; /* wants gratuitous ARP */
};

/* What a destination address is to us; more than one may hold of one address. */
#define ADDR_LOCAL 0x01u
#define ADDR_BROADCAST 0x02u /* of a subnet of ours, or 255.255.255.255 */
#define ADDR_MULTICAST 0x04u
#define ADDR_JOINED 0x08u   /* 224.0.0.1, in which every host is; of others: mcast_check() */
#define ADDR_LOOPBACK 0x10u /* 127.0.0.0/8 */

/* One slot of the table of IPv4 addresses that are ours or broadcast; kinds 0: free. */
struct addr_slot {
	uint32_t ip_be;
	uint8_t kinds;
};

struct inet {
	struct inet_upcalls up;
	struct netif netif[INET_MAX_IF]; /* ifindex i is netif[i - 1] */
	struct inet_addr addr[INET_MAX_ADDR];
	unsigned int addr_count;
	struct addr_slot
		addr_slot[INET_ADDR_SLOTS]; /* open addressing, built anew at each change */
	uint32_t generation;		    /* of routes and addresses; never 0 */
	bool forwarding;
	struct route_table routes;
	struct neigh_table neighs;
	struct frag_table frags;
	struct pmtu_table pmtus;
	struct icmp_limit icmp_limit;
	struct mcast_table mcast;
	struct udp_table udp;
	struct raw_pcb *raws;		     /* raw sockets (raw.h) */
	struct raw_pcb *pings[PING_BUCKETS]; /* ICMP datagram sockets, by identifier */
	uint16_t ip_id[INET_IP_IDS];
	struct ip_flow
		forward[INET_FORWARD_CACHE]; /* ways out of what we forward, by destination */
};

static inline struct netif *inet_netif(struct inet *inet, unsigned int ifindex)
{
	if (ifindex == 0 || ifindex > INET_MAX_IF || !inet->netif[ifindex - 1].port)
		return NULL;
	return &inet->netif[ifindex - 1];
}

/* Could a packet be for both, of two local addresses of one port? */
static inline bool inet_addrs_meet(const struct ipaddr *a, const struct ipaddr *b)
{
	return ipaddr_is_any(a) || ipaddr_is_any(b) || ipaddr_equal(a, b);
}

/* SO_BINDTODEVICE (0: any): ports of different interfaces have nothing to do with each other. */
static inline bool inet_ifs_meet(unsigned int a, unsigned int b)
{
	return a == 0 || b == 0 || a == b;
}

/* IP_MTU_DISCOVER (how: enum udp_pmtu): may a packet of so many bytes, all headers counted, be sent
 * along flow? Sets whether routers may fragment it. */
static inline bool inet_pmtu_allows(struct ip_flow *flow, uint8_t how, uint32_t bytes)
{
	bool fits = bytes <= flow->mtu_bytes;

	flow->df = how == UDP_PMTU_WANT ? fits : how == UDP_PMTU_DO || how == UDP_PMTU_PROBE;
	return fits || how < UDP_PMTU_DO || how > UDP_PMTU_INTERFACE;
}

/* Nobody here knows the packet, whose checksum was found good: may another worker look? True: it
 * took the packet. */
static inline bool inet_steer(struct worker *w, struct pkt *p)
{
	if (likely(!w->inet->up.steer))
		return false;
	if (!(p->flags & PKT_F_CSUM_PARTIAL))
		p->flags |= PKT_F_CSUM_OK;
	return w->inet->up.steer(w, p);
}

/* Every cached way out has to be looked up again. */
static inline void inet_changed(struct inet *inet)
{
	if (++inet->generation == 0)
		inet->generation = 1;
}

static inline uint32_t inet_hash32(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7feb352du;
	x ^= x >> 15;
	x *= 0x846ca68bu;
	return x ^ (x >> 16);
}

/* ADDR_* of an IPv4 address, 0: somebody else's. */
unsigned int inet_addr_kinds(const struct inet *inet, uint32_t ip_be);

/* The address of ours on ifindex in whose subnet ip lies; NULL where there is none. */
const struct inet_addr *inet_addr_onlink(const struct inet *inet, unsigned int ifindex,
					 uint32_t ip_be);

/* The interface that has this address of ours; IFINDEX_NONE: none has. */
unsigned int inet_addr_ifindex(const struct inet *inet, uint32_t ip_be);

/* Did p, which is to `to`, come by the interface? What we sent to ourselves did by the one that has
 * the address, as in Linux, and by the loop port. */
bool inet_came_by(const struct worker *w, unsigned int ifindex, const struct pkt *p,
		  const struct ipaddr *to);

/* The source to use towards next_hop on ifindex: 0, or -EADDRNOTAVAIL. */
int inet_source_for(const struct inet *inet, unsigned int ifindex, uint32_t next_hop_be,
		    struct ipaddr *src);

#endif
