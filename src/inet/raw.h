/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Raw IPv4, raw(7): who wants whole packets of a protocol. Each that fits gets its copy before the
 * protocol itself sees the packet. And ICMP datagram sockets, icmp(7), "ping sockets": they send
 * echo requests, and the answers that bear their identifier are theirs. Threads: the worker's own.
 */
#ifndef WEIR_INET_RAW_H
#define WEIR_INET_RAW_H

#include "inet/inet.h"

#define PING_BUCKETS 64u /* of identifiers, a power of two */

struct raw_pcb {
	/* Of the worker's raw sockets; a ping's: of its identifier's bucket, pprev NULL: it has
	 * none yet. */
	struct raw_pcb *next, **pprev;
	struct ipaddr local, remote; /* any: all */
	uint8_t proto;
	bool ping;	      /* an ICMP datagram socket */
	bool ident_locked;    /* bind() chose the identifier: it survives a dissolved connection */
	bool reuse_addr;      /* SO_REUSEADDR: an identifier may be shared where all have it */
	bool hdrincl;	      /* IP_HDRINCL: what is sent begins with its IP header */
	bool recverr;	      /* IP_RECVERR: upcall raw_error tells of everything */
	uint8_t bound_if;     /* SO_BINDTODEVICE, 0: any */
	uint8_t pmtudisc;     /* IP_MTU_DISCOVER, enum udp_pmtu */
	uint16_t ident_be;    /* a ping's; 0: none */
	uint32_t icmp_filter; /* bit n: ICMP type n is not wanted */
	void *user;
};

void raw_add(struct worker *w, struct raw_pcb *pcb);
void raw_del(struct raw_pcb *pcb);

/*
 * Send len bytes in two runs behind an IP header along flow (its src any: chosen). A ping's are an
 * echo request, which gets its identifier and checksum. Where they bring their IP header along, the
 * flow says only where they go; length, checksum, and a source or identification of 0 are filled
 * in, and they are never fragmented. 0, or -errno: -EMSGSIZE, -ENOBUFS,
 * -ENETUNREACH, -EACCES, -EINVAL (a ping's that is no echo request)...
 */
int raw_output(struct worker *w, struct raw_pcb *pcb, struct ip_flow *flow,
	       const void *const run[2], const uint32_t len[2]);

/* A packet for us, whole (l3, l4 set): copies for all that want it; PKT_F_RAW says that one took
 * it. */
void raw_input(struct worker *w, struct pkt *p);

/* Something that was sent with this protocol came to nothing: whoever may have sent it is told.
 * raw_knows(): would anybody be? */
bool raw_icmp_error(struct worker *w, const struct net_error *e, uint8_t proto);
bool raw_knows(struct worker *w, const struct net_error *e, uint8_t proto);

/* ---- ping.c ---- */

/* Take an identifier (0: one at random). 0, -EADDRINUSE. It was without one. */
int ping_bind(struct worker *w, struct raw_pcb *pcb, uint16_t ident_be);
void ping_unbind(struct raw_pcb *pcb);

/* An echo reply, checked (l3, l4 set): the ping it is for gets a copy. 0: it did; else the DROP_*
 * why not. */
unsigned int ping_input(struct worker *w, struct pkt *p);

/* The ping that sent what the error is about, or NULL. */
struct raw_pcb *ping_of_error(struct worker *w, const struct net_error *e);

#endif
