/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The network and transport protocols of one worker: configuration (interfaces, addresses, routes),
 * the way in (eth_input) and the way out (ip_output). Configuration is the same on every worker;
 * the engine repeats each call for each worker while all are parked.
 *
 * The way in:  eth_input -> arp_input
 *                        -> ip4_input -> ip4_local (frag_input) -> icmp_input
 *                                     |                         -> udp_input
 *                                     |                         -> tcp_input
 *                                     |                         -> igmp_input
 *                                     -> ip4_forward -> neigh_output
 * The way out: tcp_output, udp_send, icmp_send -> ip_output -> frag_output -> neigh_output
 *                                              -> port_send
 *
 * Threads: everything here belongs to the worker it is given.
 */
#ifndef WEIR_INET_INET_H
#define WEIR_INET_INET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/worker.h"
#include "dev/port.h"
#include "wire/ipaddr.h"

#define INET_MAX_IF PORT_MAX
#define IFINDEX_NONE 0u
#define IFINDEX_LOOP 1u

/*
 * Something that was sent came to nothing, as an ICMP message tells, or as was found here.
 */
struct net_error {
	int error;		     /* positive errno */
	bool hard;		     /* it will not pass by itself */
	uint8_t from;		     /* NET_ERROR_*, Linux's SO_EE_ORIGIN_* */
	uint8_t type, code;	     /* of ICMP */
	uint32_t info;		     /* ICMP's MTU or pointer */
	struct ipaddr local, remote; /* addresses of what was sent */
	const uint8_t *l4;	     /* and its first eight bytes */
	struct ipaddr offender;	     /* who says so: any where it was found here */
	const struct pkt *p;	     /* the ICMP message; NULL: none */
	uint16_t data_at;	     /* in p: what it quotes behind those eight bytes */
};
#define NET_ERROR_LOCAL 1u
#define NET_ERROR_ICMP 2u

struct neigh;
struct tcp_pcb;
struct udp_pcb;
struct raw_pcb;

/* What the protocols tell the sockets above; filled by engine/. None may be NULL. */
struct inet_upcalls {
	/* TCP */
	void (*tcp_connected)(struct worker *w, struct tcp_pcb *pcb);
	/* A connection is established on a listener. 0 takes it (accept queue), else a reset. */
	int (*tcp_incoming)(struct worker *w, struct tcp_pcb *listener, struct tcp_pcb *pcb);
	/* Is there room in the listener's accept queue? Asked on SYN and on the last ACK. */
	bool (*tcp_backlog_room)(struct worker *w, struct tcp_pcb *listener);
	/* The receive (send) ring of pcb is needed: fill pcb->rcv (pcb->snd). 0 or -ENOMEM. least
	 * bytes were offered to the peer and have to find room. */
	int (*tcp_need_rcv)(struct worker *w, struct tcp_pcb *pcb, uint32_t least);
	/* pcb->rcv is smaller than rcv_space_bytes: make it larger, if that can be done now. beyond
	 * bytes behind its tail came out of order and go with it. */
	void (*tcp_grow_rcv)(struct worker *w, struct tcp_pcb *pcb, uint32_t beyond);
	int (*tcp_need_snd)(struct worker *w, struct tcp_pcb *pcb);
	/* pcb->rcv.tail moved, or the peer's FIN was reached (tcp_rx_eof(pcb)). */
	void (*tcp_readable)(struct worker *w, struct tcp_pcb *pcb);
	/* Urgent data: pub.urg has become ANNOUNCED (its place in the stream is known), or HERE. */
	void (*tcp_urgent)(struct worker *w, struct tcp_pcb *pcb);
	/* pcb->snd.head moved: bytes were acknowledged. */
	void (*tcp_acked)(struct worker *w, struct tcp_pcb *pcb);
	/* The program's read position is wanted: refresh pcb->rcv.head from shared memory. */
	void (*tcp_sync_rcv)(struct worker *w, struct tcp_pcb *pcb);
	/* The connection failed or ended: error is a positive errno (ECONNRESET, ETIMEDOUT,
	 * ECONNREFUSED, EHOSTUNREACH...), or 0 for an orderly end of both directions. A soft error
	 * (an ICMP that does not end the connection) has soft = true. */
	void (*tcp_error)(struct worker *w, struct tcp_pcb *pcb, int error, bool soft);
	/* pcb is freed when this returns; its rings are not used any more. */
	void (*tcp_gone)(struct worker *w, struct tcp_pcb *pcb);
	/* UDP: a datagram for pcb; p->l7 is its payload. Takes (delivers or drops) the packet. */
	void (*udp_deliver)(struct worker *w, struct udp_pcb *pcb, struct pkt *p,
			    const struct endpoint *from, const struct endpoint *to);
	/* To be told at once: it is hard and pcb connected, or pcb wants to hear of all
	 * (pcb->recverr). */
	void (*udp_error)(struct worker *w, struct udp_pcb *pcb, const struct net_error *e);
	/* Raw sockets: copy the packet (l3 is its first byte; a ping's: l4). 0, or why not:
	 * DROP_SOCKET_FILTER, DROP_SOCKET_RCVBUFF. The packet is not taken. */
	unsigned int (*raw_deliver)(struct worker *w, struct raw_pcb *pcb, const struct pkt *p);
	/* As udp_error. e->l4 and what is behind it (data_at) is what pcb sent. */
	void (*raw_error)(struct worker *w, struct raw_pcb *pcb, const struct net_error *e);
	/* The process that has the socket `user` (of a pcb), for people; 0: none. May be NULL. */
	uint32_t (*program)(const void *user);
	/* Several workers; these may be NULL, and are where there is one worker. */
	/* An ARP answer for us, or an announcement to all, came to this worker's queue: hand it to
	 * inet_neigh_learn() of each other worker, on its own thread. It may be lost: the question
	 * is repeated. proven: an answer that was sent to us. */
	void (*neigh_learned)(struct worker *w, unsigned int ifindex, const struct ipaddr *addr,
			      const uint8_t mac[6], bool proven);
	/* No socket of this worker is the packet's (l3, l4 set; not changed since ip4_local()):
	 * true where another worker is to look (then it has taken the packet, and the other calls
	 * inet_steered()), false where none knows it. */
	bool (*steer)(struct worker *w, struct pkt *p);
	/* The fragments of a datagram come together at one worker, chosen by hash: true where that
	 * is another one (and it took the packet), false where it is this one. */
	bool (*steer_fragment)(struct worker *w, struct pkt *p, uint32_t hash);
};

/* 0 or a negative errno. The loop port (IFINDEX_LOOP, 127.0.0.1/8) is to be added first. */
int inet_init(struct worker *w, const struct inet_upcalls *upcalls);
void inet_free(struct worker *w); /* drops what is held, frees every pcb (tcp_gone is called) */

/* Add an interface for a port; the first must be the loop port. Returns the ifindex or -errno. */
int inet_netif_add(struct worker *w, struct port *port);
struct port *inet_netif_port(struct worker *w, unsigned int ifindex); /* NULL if none */
unsigned int inet_ifindex(struct worker *w, const char *name);	      /* 0: no port has that name */

/* Addresses and routes; each adds what Linux would (connected route, local, broadcast). -EEXIST. */
int inet_addr_add(struct worker *w, unsigned int ifindex, const struct ipaddr *addr,
		  unsigned int prefix_len);
int inet_addr_del(struct worker *w, unsigned int ifindex, const struct ipaddr *addr,
		  unsigned int prefix_len);
/* The address number i of all that were added, in their order; false: there are not so many. */
struct inet_addr_info {
	struct ipaddr addr;
	struct ipaddr broadcast; /* any: none */
	unsigned int ifindex, prefix_len;
};
bool inet_addr_get(struct worker *w, unsigned int i, struct inet_addr_info *info);
int inet_route_add(struct worker *w, const struct ipaddr *prefix, unsigned int prefix_len,
		   const struct ipaddr *gateway, unsigned int ifindex);
int inet_route_del(struct worker *w, const struct ipaddr *prefix, unsigned int prefix_len);
void inet_forwarding(struct worker *w, bool on);

/* Is addr one of ours (127.0.0.0/8 included)? */
bool inet_addr_is_local(struct worker *w, const struct ipaddr *addr);
/* Who we are on an interface for a host there; 0: it has no address. */
uint32_t inet_specific_dst(const struct worker *w, unsigned int ifindex, uint32_t host_be);
bool inet_addr_is_broadcast(struct worker *w, const struct ipaddr *addr);

/* The way in, for a burst that port_rx() gave. Takes the packets. */
void eth_input(struct worker *w, struct pkt **pkts, unsigned int n);

/*
 * A flow's way out. Kept by the sender (in its pcb) so that route and neighbour are looked up once;
 * `generation` says whether they still hold. Zero it to begin.
 */
struct ip_flow {
	struct ipaddr src; /* any: chosen by ip_flow_route() */
	struct ipaddr dst;
	uint8_t proto;
	uint8_t ttl; /* 0: the default, 64 */
	uint8_t tos;
	bool df;	   /* don't fragment */
	bool broadcast_ok; /* SO_BROADCAST */
	uint8_t oif;	   /* the interface to leave by; 0: as the route says */
	bool any_src;	   /* IP_TRANSPARENT: src need not be an address of ours */
	bool own_mtu;	   /* what was learnt of the path does not count, only the port's MTU */
	/* cache, ip_flow_route()'s own */
	uint8_t ifindex;
	uint8_t hops;	    /* the TTL that packets get */
	bool fragment;	    /* df is overruled: the path's MTU is below what discovery may set */
	uint16_t mtu_bytes; /* of the path (route, or as path MTU discovery learnt) */
	uint32_t generation;
	uint32_t neigh_generation;
	struct port *port;
	struct neigh *neigh;
};

/* Find the route and source address. 0, -ENETUNREACH (or src is not ours), -EACCES (broadcast
 * without leave), -EADDRNOTAVAIL (there is no address to send from). */
int ip_flow_route(struct worker *w, struct ip_flow *flow);

/*
 * Send a packet whose transport header is at l4 and is the first byte (data_off == l4); for
 * checksums see PKT_F_CSUM_PARTIAL. Puts IP and Ethernet headers in front. Takes the packet always.
 * 0 or the errno that the sender's program should see (the packet was dropped with a reason).
 */
int ip_output(struct worker *w, struct pkt *p, struct ip_flow *flow);

/* The next hop of flow works: the peer acknowledged something new (RFC 1122 section 2.3.2.1). Cheap
 * enough for each such segment. flow was routed. */
void neigh_confirm(struct worker *w, const struct ip_flow *flow);

/* What upcall neigh_learned() of another worker said. Ignored where this one never asked. */
void inet_neigh_learn(struct worker *w, unsigned int ifindex, const struct ipaddr *addr,
		      const uint8_t mac[6], bool proven);

/* Packets that upcalls steer() and steer_fragment() of another worker took: flags, offsets, ifindex
 * and p->steered as they were there. Takes the packets. */
void inet_steered(struct worker *w, struct pkt **pkts, unsigned int n);

/* Sum of the pseudo-header for len bytes of transport, folded, not inverted (for partial). */
uint16_t ip_pseudo_csum(const struct ip_flow *flow, uint32_t len);

/* Transport input, from ip4_local(): l3, l4 set, lengths checked and trimmed. Take the packets. */
void tcp_input(struct worker *w, struct pkt **pkts, unsigned int n);
void udp_input(struct worker *w, struct pkt **pkts, unsigned int n);
void icmp_input(struct worker *w, struct pkt **pkts, unsigned int n);

/*
 * An ICMP error came for a packet that we sent, or its next hop did not answer. local and remote as
 * in our packet; l4 = its first 8 bytes at least. error: positive errno (ECONNREFUSED,
 * EHOSTUNREACH, EMSGSIZE with mtu_bytes...); hard: whether RFC 1122 lets it end a connection that
 * is being opened. TCP believes what is about a segment that is on the way (RFC 5927); UDP returns
 * whether a pcb was found. mtu_bytes as the router said it: TCP hands it to pmtu_report() where it
 * believes it.
 */
enum icmp_told { ICMP_NOBODY, ICMP_NOT_BELIEVED, ICMP_BELIEVED };
enum icmp_told tcp_icmp_error(struct worker *w, const struct ipaddr *local,
			      const struct ipaddr *remote, const uint8_t l4[8], int error,
			      bool hard, uint16_t mtu_bytes);
bool udp_icmp_error(struct worker *w, const struct net_error *e);

/* Answer a received packet (l3 set) with an ICMP error, rate limited. Does not take p. */
void icmp_send_error(struct worker *w, const struct pkt *p, uint8_t type, uint8_t code,
		     uint32_t info);

#endif
