/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours: the link-layer addresses of next hops, and the packets that wait for them.
 *
 * Theory of operation (RFC 4861 section 7.3 for the states, as Linux has them for ARP too)
 *
 *   NONE --first packet--> INCOMPLETE --answer--> REACHABLE --30 s unconfirmed--> STALE
 *                              |                     ^                             |
 *                       3 requests unanswered        | answer or TCP progress      | packet
 *                              v                     |                             v
 *                           FAILED <--3 unanswered-- PROBE <--5 s unconfirmed-- DELAY
 *
 * Packets are sent at once in STALE, DELAY, PROBE and REACHABLE; in NONE, INCOMPLETE and FAILED
 * they wait (bounded for each neighbour and in all), and FAILED begins a new round. When a round
 * fails, what waits is dropped NEIGH_FAILED and the senders are told EHOSTUNREACH.
 *
 * An entry is created when a flow is routed, or when a host of the subnet asks for us. Flows keep a
 * pointer to it: entries are never given back to the heap while inet lives, and each has a
 * generation that changes when it is taken for another neighbour. The table is bounded: when it is
 * full an entry that is not in use (NONE, FAILED, STALE, group addresses) is taken.
 */
#ifndef WEIR_INET_NEIGH_H
#define WEIR_INET_NEIGH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/pkt.h"
#include "core/timer.h"
#include "core/worker.h"
#include "wire/eth.h"
#include "wire/ipaddr.h"

struct netif;

#define NEIGH_MAX 1024u
#define NEIGH_BUCKETS 2048u
#define NEIGH_QUEUE_PACKETS 64u	 /* that wait for one neighbour */
#define NEIGH_HELD_PACKETS 1024u /* that wait in all */
#define NEIGH_PROBES 3u		 /* requests in a round */
#define NEIGH_RETRANS_NS 1000000000ull
#define NEIGH_REACHABLE_NS 30000000000ull /* mean; each time between 50 and 150 % of it */
#define NEIGH_DELAY_NS 5000000000ull
#define NEIGH_LOCK_NS 1000000000ull /* an address that was just learnt is not replaced */
#define NEIGH_GC_FROM 128u	    /* fewer entries are left in peace */
#define NEIGH_GC_NS 60000000000ull  /* unused for so long: goes */

/* The order is used: from STALE on there is an address, behind STALE nothing is to be done. */
enum neigh_state {
	NEIGH_NONE,
	NEIGH_INCOMPLETE,
	NEIGH_FAILED,
	NEIGH_STALE,
	NEIGH_DELAY,
	NEIGH_PROBE,
	NEIGH_REACHABLE,
	NEIGH_PERMANENT, /* broadcast and group addresses: computed, not asked for */
	NEIGH_STATE_MAX
};

struct neigh {
	enum neigh_state state;
	uint32_t generation; /* never 0; another one: it is another neighbour */
	struct eth_hdr eth;  /* what goes in front of a packet to it */
	uint8_t ifindex;
	uint8_t probes; /* requests sent in this round */
	uint16_t queued;
	struct pkt *queue_head, **queue_tail;
	struct port *port;
	uint64_t confirmed_ns; /* last sign that it is there */
	uint64_t updated_ns;   /* when its address was learnt */
	uint64_t since_ns;     /* when it came into this state */
	struct timer timer;
	struct ipaddr addr;
	struct neigh *next; /* in its bucket, or the free list */
	bool used;
};

struct neigh_table {
	struct neigh *entries; /* [NEIGH_MAX] */
	struct neigh *buckets[NEIGH_BUCKETS];
	struct neigh *free;
	unsigned int count;
	unsigned int held;  /* packets that wait, in all */
	unsigned int rotor; /* where the search for an entry to take goes on */
	struct timer gc;
};

int neigh_init(struct worker *w); /* 0 or -ENOMEM */
void neigh_free(struct worker *w);

/* Fill netif->broadcast. */
void neigh_make_broadcast(struct netif *netif);

/* The entry of addr on ifindex; NULL if there is none. */
struct neigh *neigh_find(struct worker *w, unsigned int ifindex, const struct ipaddr *addr);

/* Is n, of workers[at], a neighbour that people are to see? Asked for, IPv4, and not known to one
 * of the workers before, for each has its own table. */
bool neigh_listed(struct worker *const *workers, unsigned int at, const struct neigh *n);

/* As neigh_find(), made where there is none; NULL when the table is full of entries in use. */
struct neigh *neigh_get(struct worker *w, struct netif *netif, const struct ipaddr *addr);

/*
 * An address was learnt. reachable: it answered our question (REACHABLE), else we only heard of it
 * (STALE). override: replace one that differs. Sends what waited. False where it was not believed.
 */
bool neigh_update(struct worker *w, struct neigh *n, const uint8_t mac[ETH_ADDR_BYTES],
		  bool reachable, bool override);

/* The rest of neigh_output(): what is not simply sent. 0 or -EHOSTUNREACH, -ENOBUFS. */
int neigh_output_slow(struct worker *w, struct pkt *p, struct neigh *n);
void neigh_send(struct worker *w, struct pkt *p, const struct neigh *n);

/* Send p (first byte: IP header) to n, now or when its address is known. Takes the packet. */
static inline int neigh_output(struct worker *w, struct pkt *p, struct neigh *n)
{
	stage_enter_one(w, STAGE_NEIGH_OUTPUT, p);
	if (n->state <= NEIGH_STALE)
		return neigh_output_slow(w, p, n);
	neigh_send(w, p, n);
	return 0;
}

const char *neigh_state_name(enum neigh_state state); /* as ip neigh prints it */

#endif
