/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is below the transports: records of raw and packet sockets (record.c), their filters
 * (attach.c), packet sockets (packet.c). For src/sock only.
 */
#ifndef WEIR_SOCK_PACKET_H
#define WEIR_SOCK_PACKET_H

#include "core/watch.h"
#include "core/filter.h"
#include "inet/raw.h"
#include "sock/sock_priv.h"
#include "wire/app_packet.h"

/* A filter of a socket's, and one that comes in pieces. */
struct sock_filters {
	struct sock_filter *insn; /* NULL: none is attached */
	uint32_t count;
	bool locked;
	struct sock_filter *coming;
	uint32_t coming_count, coming_have;
};

/* A packet socket's own part. */
struct packet_sock {
	struct sock *s;
	struct packet_sock *next, **pprev; /* of the worker's; pprev NULL: it hears nothing */
	uint32_t ifindex;		   /* bound to; 0: all */
	uint16_t protocol_be;		   /* 0: nothing is heard */
	uint8_t type;			   /* SOCK_RAW, SOCK_DGRAM, SOCK_PACKET */
	bool ignore_outgoing;
	bool origdev, loss, qdisc_bypass; /* kept and given back: they change nothing here */
	int32_t timestamp;
	uint32_t memberships;	  /* PACKET_ADD_MEMBERSHIP: each is taken back once */
	uint32_t accepted, drops; /* since PACKET_STATISTICS was asked last */
	uint64_t drops_total;
};

/* A raw socket's own part. */
struct raw_sock {
	struct raw_pcb pcb;
	uint16_t peer_port_be; /* what connect() was given: it means nothing */
	bool addr_locked;      /* bind() chose the address: it survives a dissolved connection */
	uint64_t drops;
};

/* raw.c */
int raw_open(struct sock *s, int protocol, bool ping);
void raw_close(struct sock *s);
void raw_apply(struct sock *s); /* its options to the pcb */
/* at->port_be: a ping's identifier, 0: any */
int raw_bind(struct sock *s, const struct endpoint *at);
void raw_unbind(struct sock *s);			    /* a ping, of its identifier */
int raw_connect(struct sock *s, const struct endpoint *to); /* any: undone */
int raw_mtu(struct sock *s); /* of the path of a connected one, or -errno */
int raw_shutdown(struct sock *s, int how);
int raw_flush(struct sock *s); /* as packet_flush() */
int raw_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len);
int raw_option_get(struct sock *s, uint32_t name, void *data, uint32_t *len);
int raw_copy(struct sock *s, const struct sock *from);
unsigned int raw_deliver(struct worker *w, struct raw_pcb *pcb, const struct pkt *p);
void raw_error(struct worker *w, struct raw_pcb *pcb, const struct net_error *e);

/* record.c */
int record_open(struct sock *s);
void record_close(struct sock *s);
/* Room for a record of len bytes behind its header in the receive ring; false: there is none. */
bool record_room(struct sock *s, uint32_t len);
/* Write header (64 bytes), then len bytes of the packet from offset at on. There was room. */
void record_put(struct sock *s, const void *header, const struct filter_packet *fp, uint32_t at,
		uint32_t len);
/* The next record of the send ring: 0 and its header; -EAGAIN: none. record_sent() ends it. */
int record_next(struct sock *s, void *header, uint32_t *len);
void record_sent(struct sock *s, uint32_t len);
void record_runs(const struct sock *s, uint32_t len, const void *run[2], uint32_t run_len[2]);

/* attach.c */
/* ABI_CTL_FILTER: n instructions, the first of them number first of count. */
int filter_piece(struct sock *s, uint32_t first, uint32_t count, const void *data, uint32_t len);
int filter_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len);
bool filter_is_locked(const struct sock *s); /* SO_LOCK_FILTER */
int filter_copy(struct sock *s, const struct sock *from);
void filter_free(struct sock *s);
/* s goes to another program: has that one room for its filters; and they count as its own. */
bool filter_may_move(const struct sock *s, const struct part *to);
void filter_moved(const struct sock *s, struct part *from);
/* How many bytes of the packet's data the socket wants, at most what there are; 0: none. */
static inline uint32_t filter_wants(const struct sock *s, const struct filter_packet *fp)
{
	uint32_t len = fp->len_bytes - fp->data_at, wanted;

	if (s->filters == NULL || s->filters->insn == NULL)
		return len;
	wanted = filter_run(s->filters->insn, fp);
	return wanted < len ? wanted : len;
}

/* packet.c */
int packet_open(struct sock *s, int type, int protocol);
void packet_close(struct sock *s);
int packet_bind(struct sock *s, uint32_t ifindex, uint16_t protocol_be);
/* Send what is in the ring: 0 or the errno of the last. */
int packet_flush(struct sock *s);
int packet_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len);
int packet_option_get(struct sock *s, uint32_t name, void *data, uint32_t *len);
void packet_copy(struct sock *s, const struct sock *from); /* a sibling: as from is */

#endif
