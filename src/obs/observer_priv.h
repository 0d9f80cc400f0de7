/* SPDX-License-Identifier: BSD-3-Clause */
/* An observer from within: observer.c (what it sees) and observer_area.c (its memory, its life). */
#ifndef WEIR_OBS_OBSERVER_PRIV_H
#define WEIR_OBS_OBSERVER_PRIV_H

#include "core/watch.h"
#include "obs/observer.h"
#include "wire/watch_abi.h"

struct observer_filter {
	struct sock_filter *insn;
	uint32_t count;
};

/* One worker's. Everything that the worker goes by is here, not in what is shared. */
struct observer_part {
	struct watcher watcher; /* first: it is what the worker knows */
	struct observer *o;
	struct watch_part *shared;
	uint8_t *sites, *ring;
	uint64_t head, lost;
	uint32_t record_bytes; /* of the record that is being written */
};

struct observer {
	int fd;
	uint8_t bit; /* of pkt.followed */
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

#endif
