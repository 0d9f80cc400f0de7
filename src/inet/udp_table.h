/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The UDP pcbs of a worker: by local port in buckets, newest first, and all of them in one list.
 * For src/inet only.
 */
#ifndef WEIR_INET_UDP_TABLE_H
#define WEIR_INET_UDP_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/worker.h"
#include "inet/udp.h"
#include "wire/byteorder.h"

#define UDP_BUCKETS 4096u   /* power of two */
#define UDP_FREE_PCBS 1024u /* closed pcbs that are kept for the next ones */

struct udp_table {
	struct udp_pcb **buckets; /* [UDP_BUCKETS] */
	struct udp_pcb *all;
	struct udp_pcb *free; /* by next */
	unsigned int free_count;
};

int udp_init(struct worker *w); /* 0 or -ENOMEM */
void udp_free(struct worker *w);

/* Put pcb, whose local is set, into its bucket; take it out (if it is in one). */
void udp_table_add(struct udp_table *t, struct udp_pcb *pcb);
void udp_table_del(struct udp_pcb *pcb);

static inline struct udp_pcb **udp_bucket(const struct udp_table *t, uint16_t port_be)
{
	return &t->buckets[(be16_to_host(port_be) * 0x9e37u >> 4 ^ be16_to_host(port_be)) &
			   (UDP_BUCKETS - 1)];
}

/* How well pcb fits a datagram: 0 not at all; connected beats bound beats any, and of such equals
 * one that is bound to the interface beats one that is not. p: the datagram, NULL: not to be asked
 * where it came by. */
unsigned int udp_score(const struct worker *w, const struct udp_pcb *pcb,
		       const struct endpoint *from, const struct endpoint *to, const struct pkt *p);

/* The pcb that gets a unicast datagram, or NULL. */
struct udp_pcb *udp_lookup(struct worker *w, const struct endpoint *from, const struct endpoint *to,
			   const struct pkt *p);

/* Is there a pcb that sent what e is about? */
bool udp_knows(struct worker *w, const struct net_error *e);

/* Could the local endpoint be bound beside what is bound already? (Linux's rules.) */
bool udp_bind_conflicts(const struct udp_table *t, const struct udp_pcb *pcb,
			const struct endpoint *local);

int udp_autobind(struct worker *w, struct udp_pcb *pcb); /* a port, where it has none */

/* The way of a datagram from pcb, routed: pcb's own flow, made anew where it leads elsewhere. */
int udp_flow_to(struct worker *w, struct udp_pcb *pcb, const struct udp_send *send,
		struct ip_flow **flow);

/* Send along flow, whose address it is, to the port; in segments where send wants that. 0 or -errno
 * (of the last segment that had one). */
int udp_output(struct worker *w, struct udp_pcb *pcb, struct ip_flow *flow, uint16_t dst_port_be,
	       const struct udp_send *send);

#endif
