/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP (RFC 768, RFC 1122 section 4.1) as the socket layer uses it. All calls: the pcb's worker.
 */
#ifndef WEIR_INET_UDP_H
#define WEIR_INET_UDP_H

#include "inet/inet.h"

/* IP_MTU_DISCOVER: may a datagram be fragmented, and which MTU counts? Linux's values. */
enum udp_pmtu {
	UDP_PMTU_DONT,	    /* fragmented here and by routers */
	UDP_PMTU_WANT,	    /* here alone; the path's MTU is learnt */
	UDP_PMTU_DO,	    /* never: -EMSGSIZE beyond the path's MTU */
	UDP_PMTU_PROBE,	    /* never: -EMSGSIZE beyond the interface's, the path is asked anew */
	UDP_PMTU_INTERFACE, /* not here, beyond the interface's MTU -EMSGSIZE; by routers */
	UDP_PMTU_OMIT,	    /* as INTERFACE, and here too */
};

struct udp_pcb {
	struct endpoint local;
	struct endpoint remote; /* port 0: not connected */
	struct ip_flow flow;	/* cached way to remote */
	void *user;		/* the socket */
	bool reuse_addr;
	bool reuse_port;
	uint32_t uid; /* SO_REUSEPORT shares with those of the same user only */
	bool broadcast;
	bool freebind;	  /* IP_FREEBIND: bound to any address, also one that is not ours (yet) */
	bool transparent; /* IP_TRANSPARENT: that, and sends from there */
	uint32_t drops;	  /* datagrams for which it had no room */
	bool recverr;	  /* IP_RECVERR: upcall udp_error tells of everything */
	bool no_check;	  /* SO_NO_CHECK: sent without checksum */
	uint8_t ttl, tos;
	uint8_t pmtudisc; /* IP_MTU_DISCOVER, enum udp_pmtu */
	uint8_t bound_if; /* SO_BINDTODEVICE: it hears and sends by this interface alone; 0: any */
	uint8_t unicast_if; /* IP_UNICAST_IF: it sends by this one; 0: as the route says */
	uint32_t stamp_key; /* of the socket layer: SOF_TIMESTAMPING_OPT_ID, the next one's */
	/* UDP_GRO: of the socket layer, which joins datagrams */
	bool gro;
	bool gro_open; /* the next one may join the record... */
	uint8_t gro_count;
	uint16_t gro_segment;
	uint32_t gro_pos, gro_len; /* ...at this position, which holds so much */
	/* multicast */
	uint8_t mcast_ttl;	    /* 0: not beyond this host */
	uint8_t mcast_ifindex;	    /* IP_MULTICAST_IF; 0: as the route says */
	bool mcast_loop;	    /* to our own sockets too */
	struct mcast_member *mcast; /* its groups; inet/mcast.h */
	bool mcast_all;		    /* also from groups that others joined */
	struct ipaddr mcast_addr;   /* the source that goes with mcast_ifindex, or any */
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

/* No address and port 0 dissolves (AF_UNSPEC); port 0 of an address only chooses the source, as
 * getaddrinfo() asks for it. Binds if need be. -ENETUNREACH, -EACCES... */
int udp_connect(struct worker *w, struct udp_pcb *pcb, const struct endpoint *remote);

/* How one datagram is sent; zero it to begin. */
struct udp_send {
	const struct endpoint *to; /* NULL: the connected remote */
	struct ipaddr src;	   /* any: the socket's */
	uint8_t ifindex;	   /* the interface it leaves by, 0: as the route says */
	uint8_t set;		   /* UDP_SEND_*: which of these are given */
	uint8_t ttl, tos;
	uint16_t segment_bytes; /* not 0: datagrams of so many bytes, the last perhaps of fewer */
	const void *run[2];	/* what is sent */
	uint32_t len[2];
};
#define UDP_SEND_TTL 0x1u
#define UDP_SEND_TOS 0x2u
#define UDP_MAX_SEGMENTS 128u /* Linux's UDP_MAX_SEGMENTS */

/* As udp_send() below, with what only this datagram has. In segments none is ever fragmented:
 * -EMSGSIZE where one does not fit the path; -EINVAL where there are more than UDP_MAX_SEGMENTS, or
 * no checksums. */
int udp_send_as(struct worker *w, struct udp_pcb *pcb, const struct udp_send *send);

/* Would udp_send_as() be refused? Its -errno (0: no); binds if need be. An error that is told by
 * IP_RECVERR is told. */
int udp_send_check(struct worker *w, struct udp_pcb *pcb, const struct udp_send *send);

/* The path's MTU of a connected pcb, or -errno. */
int udp_mtu(struct worker *w, struct udp_pcb *pcb);

/*
 * Send one datagram of len bytes, given as two runs (a ring's): to NULL means the connected remote.
 * 0 or -errno: -EDESTADDRREQ, -EMSGSIZE, -ENETUNREACH, -ENOBUFS...
 */
int udp_send(struct worker *w, struct udp_pcb *pcb, const struct endpoint *to, const void *run1,
	     uint32_t len1, const void *run2, uint32_t len2);

/* IP found a packet that pcb sends and somebody follows: tell whose it is. */
void udp_tell(struct worker *w, const struct udp_pcb *pcb, const struct pkt *p);

#endif
