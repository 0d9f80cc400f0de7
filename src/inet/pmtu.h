/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Path MTU cache (RFC 1191): for each destination the largest packet that routers let through, as
 * they told us; forgotten after ten minutes, so that a better path is found again. Bounded: a set
 * of slots by hash, where the oldest makes room.
 */
#ifndef WEIR_INET_PMTU_H
#define WEIR_INET_PMTU_H

#include <stdbool.h>
#include <stdint.h>

#include "core/timer.h"
#include "wire/ipaddr.h"

#define PMTU_SLOTS 1024u
#define PMTU_WAYS 4u
#define PMTU_MIN_BYTES 552u /* as Linux: a smaller one is not believed, DF is given up instead */
#define PMTU_EXPIRY_NS 600000000000ull

struct pmtu {
	struct ipaddr dst;
	uint64_t expires_ns; /* 0: free */
	uint16_t mtu_bytes;
	bool locked; /* the path carries less than PMTU_MIN_BYTES: send without DF */
};

struct pmtu_table {
	struct pmtu *slots; /* [PMTU_SLOTS] */
	struct timer expiry;
};

struct inet;

int pmtu_init(struct pmtu_table *t); /* 0 or -ENOMEM */
void pmtu_free(struct worker *w);

/* What is known about dst, or NULL. */
const struct pmtu *pmtu_find(struct worker *w, const struct ipaddr *dst);

/* A router said so to somebody who sends from src to dst, and is to be believed: learnt, where it
 * is news. */
void pmtu_report(struct worker *w, const struct ipaddr *src, const struct ipaddr *dst,
		 unsigned int mtu_bytes);

/* A router said that dst's path carries mtu_bytes. */
void pmtu_learn(struct worker *w, const struct ipaddr *dst, unsigned int mtu_bytes);

/* The next smaller common MTU, for routers that do not say theirs (RFC 1191 section 7.1). */
unsigned int pmtu_plateau_below(unsigned int len_bytes);

#endif
