/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timers: a hierarchical wheel; set, cancel and fire are O(1). Time is nanoseconds of whatever
 * clock the caller keeps. A timer never fires before its time; it fires in the first timer_run() at
 * or after it. The timer is embedded in its owner; a zeroed struct timer is idle. Threads: a wheel
 * belongs to one worker.
 */
#ifndef WEIR_CORE_TIMER_H
#define WEIR_CORE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;
struct timer;

typedef void (*timer_fn)(struct worker *w, struct timer *t);

struct timer {
	struct timer *next, **pprev; /* pprev NULL: idle */
	uint64_t expires_ns;
	timer_fn fn;
};

#define TIMER_TICK_SHIFT 16 /* one tick of the lowest level: 65.5 us */
#define TIMER_LEVELS 8
#define TIMER_SLOTS 64
#define TIMER_NEVER UINT64_MAX
#define TIMER_LOOK 64 /* how many timers of a slot timer_next_ns() looks at, at most */

struct timer_wheel {
	uint64_t now_tick;
	uint64_t pending; /* number of armed timers */
	uint64_t next_ns; /* lower bound of the earliest expiry, TIMER_NEVER if none: checked first
			   */
	bool running;	  /* callbacks of timer_run() are being called */
	uint64_t occupied[TIMER_LEVELS];
	struct timer *slot[TIMER_LEVELS][TIMER_SLOTS];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns);

/* Arm or re-arm. A time in the past fires at the next run. t->fn must be set. Putting an armed
 * timer off costs one store. A timer set to TIMER_NEVER is armed and never due in practice. */
void timer_set(struct timer_wheel *wheel, struct timer *t, uint64_t expires_ns);
void timer_cancel(struct timer_wheel *wheel, struct timer *t);

static inline bool timer_armed(const struct timer *t)
{
	return t->pprev != NULL;
}

/* The time of the earliest timer, or TIMER_NEVER. Exact, but where more than TIMER_LOOK share the
 * first slot in use: then the time at which that slot begins, which is at most seven times in a
 * timer's life too early. Not from callbacks. */
uint64_t timer_next_ns(struct timer_wheel *wheel);

/* Fire what is due at now_ns, in order of time; returns how many. Callbacks may set and cancel any
 * timer, their own included. Costs one comparison when nothing is due. */
unsigned int timer_run(struct worker *w, struct timer_wheel *wheel, uint64_t now_ns);

#endif
