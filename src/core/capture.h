/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capture points: places of the path where somebody may look at packets as they go by, without
 * taking or changing them [ptype_all]. A point costs one branch a burst while nobody listens.
 * Further points are named like the stages (core/stage.def) at whose beginning they stand.
 *
 * What a listener does with what it sees (copy, cut, filter) is its own affair, and what it loses
 * is its own loss: copies are not packets of the ledger.
 *
 * Threads: a worker's listeners are changed by that worker, or while it is parked.
 */
#ifndef WEIR_CORE_CAPTURE_H
#define WEIR_CORE_CAPTURE_H

#include "core/worker.h"

struct capture {
	struct capture *next; /* of those at the same point */
	/* n packets are at the point; ifindex: the interface they came from or go to. At PORT_RX
	 * and PORT_TX the first byte of each is its frame's. */
	void (*fn)(struct capture *c, struct worker *w, unsigned int ifindex, struct pkt **pkts,
		   unsigned int n);
};

static inline void capture_add(struct worker *w, enum capture_point at, struct capture *c)
{
	c->next = w->captures[at];
	w->captures[at] = c;
}

static inline void capture_del(struct worker *w, enum capture_point at, struct capture *c)
{
	struct capture **link = &w->captures[at];

	while (*link && *link != c)
		link = &(*link)->next;
	if (*link)
		*link = c->next;
}

static inline void capture_burst(struct worker *w, enum capture_point at, unsigned int ifindex,
				 struct pkt **pkts, unsigned int n)
{
	if (__builtin_expect(!w->captures[at], 1))
		return;
	for (struct capture *c = w->captures[at]; c; c = c->next)
		c->fn(c, w, ifindex, pkts, n);
}

#endif
