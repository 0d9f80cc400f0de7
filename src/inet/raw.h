/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Raw IPv4, raw(7): who wants whole packets of a protocol. Each that fits gets its copy before the
 * protocol itself sees the packet. Threads: the worker's own.
 */
#ifndef WEIR_INET_RAW_H
#define WEIR_INET_RAW_H

#include "inet/inet.h"

struct raw_pcb {
	struct raw_pcb *next, **pprev;
	struct ipaddr local, remote; /* any: all */
	uint8_t proto;
	uint32_t icmp_filter; /* bit n: ICMP type n is not wanted */
	void *user;
};

void raw_add(struct worker *w, struct raw_pcb *pcb);
void raw_del(struct raw_pcb *pcb);

/*
 * Send len bytes in two runs behind an IP header along flow (its src any: chosen). 0, or -errno:
 * -EMSGSIZE, -ENOBUFS, -ENETUNREACH, -EACCES...
 */
int raw_output(struct worker *w, struct ip_flow *flow, const void *const run[2],
	       const uint32_t len[2]);

/* A packet for us, whole (l3, l4 set): copies for all that want it; PKT_F_RAW says that one took
 * it. */
void raw_input(struct worker *w, struct pkt *p);

#endif
