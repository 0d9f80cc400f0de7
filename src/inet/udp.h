/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP (RFC 768, RFC 1122 section 4.1) as the socket layer uses it. All calls: the pcb's worker.
 */
#ifndef WEIR_INET_UDP_H
#define WEIR_INET_UDP_H

#include "inet/inet.h"

struct udp_pcb {
	struct endpoint local;
	struct endpoint remote; /* port 0: not connected */
	struct ip_flow flow;	/* cached way to remote */
	void *user;		/* the socket */
	bool reuse_addr;
	bool reuse_port;
	bool broadcast;
	uint8_t ttl, tos;
	/* inet/udp.c's own */
	bool addr_locked; /* local.addr was chosen by bind, so it survives a dissolved connection */
	bool port_locked; /* likewise local.port_be */
	struct udp_pcb *next, **pprev; /* of its port's bucket */
	struct udp_pcb *all_next, **all_pprev;
};

/* 0 or -ENOMEM. user is handed back in upcalls (pcb->user). */
int udp_open(struct worker *w, struct udp_pcb **pcb, void *user);
void udp_close(struct worker *w, struct udp_pcb *pcb);

/* port 0 takes an ephemeral port at random (RFC 6056). -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL. */
int udp_bind(struct worker *w, struct udp_pcb *pcb, const struct endpoint *local);

/* Undo udp_bind() of a pcb that is not connected. */
void udp_unbind(struct worker *w, struct udp_pcb *pcb);

/* remote port 0 dissolves (AF_UNSPEC). Binds if need be. -ENETUNREACH, -EACCES... */
int udp_connect(struct worker *w, struct udp_pcb *pcb, const struct endpoint *remote);

/*
 * Send one datagram of len bytes, given as two runs (a ring's): to NULL means the connected remote.
 * 0 or -errno: -EDESTADDRREQ, -EMSGSIZE, -ENETUNREACH, -ENOBUFS...
 */
int udp_send(struct worker *w, struct udp_pcb *pcb, const struct endpoint *to, const void *run1,
	     uint32_t len1, const void *run2, uint32_t len2);

#endif
