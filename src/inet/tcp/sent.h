/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was sent and is not acknowledged: one record for each packet that went out (64 KB of them
 * where the port cuts), in the order of sequence numbers, without gaps from snd_una to snd_nxt.
 *
 * A record is in one of three states, and each byte counts in one of three sums of the pcb:
 *   SENT_OUT     on the way, for the first time or again       flight_bytes
 *   SENT_SACKED  the peer has it                               sacked_bytes
 *   SENT_LOST    held for lost, not resent yet                 lost_bytes
 * SENT_RXT stays on a record that was ever resent.
 *
 * Records live in blocks from a slab (an unrolled list): most connections have one block while
 * something is on the way, none while idle. A SACK, or a retransmission that is smaller, splits a
 * record; neighbours that are both SACKed become one, so that there are never many more records
 * than holes. Where blocks run out a new packet is added to the last record: its time is then that
 * of the newest, and a loss is seen later; nothing breaks.
 *
 * Blocks are taken from the heap at connection set-up and in a timer, not for a segment.
 */
#ifndef WEIR_INET_TCP_SENT_H
#define WEIR_INET_TCP_SENT_H

#include <stdbool.h>
#include <stdint.h>

struct worker;
struct tcp_pcb;

#define SENT_OUT 0x01u
#define SENT_SACKED 0x02u
#define SENT_LOST 0x04u
#define SENT_RXT 0x08u
#define SENT_APP_LIMITED 0x10u

struct tcp_sent {
	uint32_t start, end; /* end is behind the last; a FIN counts */
	uint64_t sent_ns;    /* the last time */
	/* the pcb's figures at that time (rate.c) */
	uint64_t delivered_ns, first_sent_ns, delivered_bytes;
	uint32_t flags;
	uint32_t rxt_ts; /* our time stamp when it was last resent */
};

#define TCP_SENT_PER_BLOCK 41u
#define TCP_SENT_BLOCKS_MAX 1024u /* of a connection */

struct tcp_sent_block {
	struct tcp_sent_block *next;
	uint32_t first, n; /* in use: r[first] ... r[first + n - 1] */
	struct tcp_sent r[TCP_SENT_PER_BLOCK];
};

/* A place in the list. block NULL: behind the end. */
struct tcp_sent_at {
	struct tcp_sent_block *block;
	uint32_t i;
};

static inline struct tcp_sent *tcp_sent_of(const struct tcp_sent_at *at)
{
	return &at->block->r[at->i];
}

struct tcp_sent_at tcp_sent_first(const struct tcp_pcb *pcb);
void tcp_sent_next(struct tcp_sent_at *at);
/* The record that seq is in. */
struct tcp_sent_at tcp_sent_find(const struct tcp_pcb *pcb, uint32_t seq);
struct tcp_sent *tcp_sent_last(const struct tcp_pcb *pcb); /* NULL: none */

/* [start, end) goes out now, for the first time; start is the end of the last record. NULL: there
 * is no memory at all; nothing tracks it then but the time-out. */
struct tcp_sent *tcp_sent_add(struct worker *w, struct tcp_pcb *pcb, uint32_t start, uint32_t end);

/* Cut the record in two at seq, which lies inside; `at` stays on the first part. False: no memory,
 * it stays whole. */
bool tcp_sent_split(struct worker *w, struct tcp_pcb *pcb, struct tcp_sent_at *at, uint32_t seq);

/* The record's state becomes `state` (SENT_OUT, SENT_SACKED or SENT_LOST); sums follow. */
void tcp_sent_state(struct tcp_pcb *pcb, struct tcp_sent *r, uint32_t state);

/* The record at `at` was SACKed: make one of it and of SACKed neighbours in its block. */
void tcp_sent_merge(struct tcp_sent_at *at);

/* Forget the first record, or its bytes below seq. */
void tcp_sent_shift(struct worker *w, struct tcp_pcb *pcb, uint32_t seq);
void tcp_sent_clear(struct worker *w, struct tcp_pcb *pcb);

#endif
