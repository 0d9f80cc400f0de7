/* SPDX-License-Identifier: BSD-3-Clause */
/* An observer from within: observer.c (what it sees) and observer_area.c (its memory, its life). */
#ifndef WEIR_OBS_OBSERVER_PRIV_H
#define WEIR_OBS_OBSERVER_PRIV_H

#include "core/filter_jit.h"
#include "core/watch.h"
#include "obs/observer.h"
#include "wire/watch_abi.h"

struct observer_filter {
	struct sock_filter *insn;
	uint32_t count;
	struct filter_jit jit; /* without fn: it is interpreted */
};

/* At these a packet of ours is made, which has no header yet. */
#define STAGES_OF_MAKING                                                                           \
	(1u << STAGE_SOCK_SEND | 1u << STAGE_TCP_OUTPUT | 1u << STAGE_UDP_OUTPUT |                 \
	 1u << STAGE_ICMP_OUTPUT | 1u << STAGE_IGMP_OUTPUT)

#define OBSERVER_EARLY 4u /* more stages there are not before an IP header */

/*
 * A packet of ours that has no header yet, so that it cannot be said whether it is wanted: its bit
 * is set, and where it was is kept until ip4-output says. One at a time: a packet comes there
 * without another in between, or has to do without.
 */
struct observer_early {
	struct pkt *p; /* NULL: none */
	unsigned int n;
	struct {
		uint8_t stage;
		uint64_t cycles;
	} was[OBSERVER_EARLY];
};

/* One worker's. Everything that the worker goes by is here, not in what is shared. */
struct observer_part {
	struct watcher watcher; /* first: it is what the worker knows */
	struct observer *o;
	struct watch_part *shared;
	uint8_t *sites, *ring;
	uint64_t head, lost;
	uint32_t record_bytes; /* of the record that is being written */
	struct observer_early early;
};

struct observer {
	int fd;
	uint8_t bit, epoch; /* of pkt.followed, pkt.follow_epoch */
	uint32_t asks;	    /* follow: stages at which a packet is asked about, once */
	bool started, filtered, picky, records, follow;
	uint32_t snap_bytes, ring_bytes, site_count, site_bytes;
	uint64_t ports, reasons[OBSERVER_REASON_WORDS];
	struct observer_filter ethernet, ip;
	struct watch_area *area;
	uint64_t area_bytes;
	struct worker *const *workers; /* the engine's: they outlive it */
	unsigned int worker_count;
	struct observer_part part[];
};

extern const struct watcher_ops observer_ops;
extern uint8_t observer_epoch; /* of the newest; changes while workers are parked */

#endif
