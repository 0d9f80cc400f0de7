/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An observer: who watches packets from outside of the daemon. It stands on every worker as a
 * watcher (core/watch.h), asks its filter about each packet, and writes what is wanted into memory
 * that it shares with the one who asked (wire/watch_abi.h). The packet path makes no system call
 * for it, and never waits: what finds no room in a ring is counted as lost.
 *
 * A packet that a following observer wants is followed to its end, whatever becomes of its headers.
 * It is asked about once: as it comes in, as it gets its IP header, or, being neither, as it goes
 * out. (With other stages than these only: at the first of them.)
 *
 * Threads: the control thread; start and stop while all workers are parked.
 */
#ifndef WEIR_OBS_OBSERVER_H
#define WEIR_OBS_OBSERVER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/ledger.h"
#include "core/worker.h"

#define OBSERVERS_MAX 8u /* bits of pkt.followed */
#define OBSERVER_REASON_WORDS ((DROP_REASON_MAX + 63u) / 64u)

struct observer_spec {
	uint32_t stages;     /* 1 << STAGE_*: a record for each wanted packet at these */
	bool drops;	     /* count wanted drops, by site and reason */
	bool records;	     /* and write a record for each of them */
	bool follow;	     /* wanted packets are followed: notes and ends too */
	uint32_t snap_bytes; /* of each packet, at most WATCH_SNAP_MAX_BYTES */
	uint32_t ring_bytes; /* a worker's; a power of two, WATCH_RING_MIN_BYTES to _MAX_BYTES */
	uint64_t reasons[OBSERVER_REASON_WORDS]; /* one bit a reason; all zero: all of them */
	uint64_t ports; /* one bit an ifindex; 0: all of them. A packet of none has bit 0 */
	/* Filters, checked by observer_new(); copied. No instructions: everything is wanted. A
	 * packet whose headers are not there yet is not wanted by a filter. */
	const struct sock_filter *ethernet, *ip; /* for frames; for packets that begin with IP */
	uint32_t ethernet_count, ip_count;
};

struct observer;

/* 0 and the observer, not started; -EINVAL (a filter, or a size out of bounds), -EUSERS (there are
 * OBSERVERS_MAX), -ENOMEM, or what memfd_create(2) and mmap(2) say. */
int observer_new(const struct observer_spec *spec, struct worker *const *workers, unsigned int n,
		 struct observer **out);

/* It is stopped. NULL is none. */
void observer_free(struct observer *o);

/* The memory's descriptor: the observer's, until observer_free(). */
int observer_fd(const struct observer *o);

/* "machine code", "interpreter" (core/filter_jit.h says for which), or "none". */
const char *observer_filter_how(const struct observer *o);

void observer_start(struct observer *o);
void observer_stop(struct observer *o);

#endif
