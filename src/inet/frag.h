/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reassembly of IPv4 fragments (RFC 791, RFC 815; overlaps refused as RFC 5722 demands for IPv6).
 *
 * A datagram under reassembly keeps its fragments in a list sorted by offset, not overlapping; when
 * they reach from 0 to the end they are chained to one packet without copying. Bounds: datagrams,
 * fragments in all, bytes of buffers in all, fragments of one datagram; a new datagram is refused
 * when one is reached, and what is incomplete after ipfrag_time (30 s) goes (RFC 1122 section
 * 3.3.2). A fragment that repeats one exactly is dropped alone; one that overlaps takes its
 * datagram along.
 *
 * Congestion that one fragment met, the whole did (RFC 3168 section 5.3): one with CE makes it CE,
 * which is an answer only where all are ECN-capable; else it is dropped.
 */
#ifndef WEIR_INET_FRAG_H
#define WEIR_INET_FRAG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/pkt.h"
#include "core/timer.h"
#include "core/worker.h"

#define FRAG_TABLE_DATAGRAMS 4096u /* the most that ipfrag_max_datagrams may be */
#define FRAG_MIN_BYTES 2048u	   /* of ipfrag_high_thresh, that each fragment takes at least */
#define FRAG_MAX_OF_ONE 128u
#define FRAG_BUCKETS 512u

struct frag_datagram {
	uint32_t src_be, dst_be;
	uint16_t id_be;
	uint8_t proto;
	uint8_t ifindex;
	uint16_t count;
	bool last_seen;
	uint8_t ecn;		  /* a bit for each value of the fragments' ECN fields */
	uint32_t total;		  /* payload bytes of the datagram, where last_seen */
	uint32_t have;		  /* payload bytes that are here */
	struct pkt *first, *last; /* by offset; user[0] = begin, user[1] = end */
	struct timer timer;
	struct frag_datagram *next; /* in its bucket, or the free list */
};

struct frag_table {
	struct frag_datagram *datagrams; /* [FRAG_TABLE_DATAGRAMS] */
	struct frag_datagram *buckets[FRAG_BUCKETS];
	struct frag_datagram *free;
	unsigned int count, packets;
	uint32_t bytes;
};

int frag_init(struct worker *w); /* 0 or -ENOMEM */
void frag_free(struct worker *w);

/* A fragment (l3, l4 set, trimmed). Takes it; returns the datagram that it completes, or NULL. */
struct pkt *frag_input(struct worker *w, struct pkt *p);

#endif
