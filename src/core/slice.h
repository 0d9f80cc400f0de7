/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What weir asks of the host's scheduler. Programs, their servers and weird spin and yield to each
 * other on few processors. Linux's fair scheduler (EEVDF, 6.6 and later) charges a task that yields
 * the rest of its slice, 2.8 ms by default: whoever waited politely for 50 us is then kept from
 * the processor for milliseconds by whoever did not wait. A short slice makes that charge small,
 * and wakes the task sooner. It changes no share of the processor and needs no privilege.
 */
#ifndef WEIR_CORE_SLICE_H
#define WEIR_CORE_SLICE_H

#include <stdint.h>

#define SLICE_NS 100000u /* the shortest that Linux takes */

/*
 * Ask for a slice of SLICE_NS for the calling thread; threads and processes that it makes, and
 * what it executes, inherit it. Leaves policies other than SCHED_OTHER alone. 0 or a negative
 * errno; older kernels ignore the wish (0). See sched_setattr(2).
 */
int slice_shorten(void);

#endif
