/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fault link: wraps a port and does to its frames, each way, what bad networks do. Everything
 * is decided by a generator seeded with seed=, so a run with the same frames at the same times has
 * the same faults; time is w->now_ns only.
 *
 * - loss=P: chance that a frame is lost (dropped LINK_LOSS)
 * - dup=P: chance that a frame comes twice (the second: originated)
 * - reorder=P: chance that a frame is held back by reorder_us more than the others (1000), so that
 *   later ones overtake it
 * - delay_us=N: each frame is late by so much
 * - jitter_us=N: give or take up to so much, evenly; order is kept
 * - corrupt=P: chance that one to three bits of one byte of a frame are flipped
 * - rate_mbit=N: frames leave one after the other at this rate (0: no limit)
 * - queue=N: frames that may wait for the rate, 1000; more are dropped LINK_QUEUE
 * - dir=both|in|out: from which side; in: received frames
 * - seed=N: 1
 *
 * Order: loss, corruption, rate, delay, jitter, reordering, duplication. Frames are hit as they
 * would be on the wire: the port below runs without offloads. At most 16,384 frames are on the way
 * in each direction (more: LINK_QUEUE); they are held in the ledger.
 */
#ifndef WEIR_DEV_FAULT_H
#define WEIR_DEV_FAULT_H

#include "dev/port.h"

struct fault_stats {
	uint64_t frames; /* that came to this direction */
	uint64_t lost, queue_full, duplicated, reordered, corrupted;
	uint64_t waiting; /* now */
};

/* The counters of one direction over all queues; -EINVAL if port is not a fault link. */
int fault_stats(const struct port *port, bool in, struct fault_stats *stats);

#endif
