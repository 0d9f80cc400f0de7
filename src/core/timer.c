/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Time is cut into ticks, and a tick's number into digits of 6 bits, one for each level. A timer is
 * filed by the highest digit in which its tick differs from the wheel's (now_tick): the level is
 * the digit's place, the slot its value. So
 * - level 0 holds the ticks of the present round of 64, level 1 the rounds of the present 64, ...;
 * - every timer of a level is due before every timer of the next, and lower slots before higher;
 * - no slot behind the wheel's own digit is ever in use, so nothing wraps round.
 * Eight levels cover all 64 bits of a time in nanoseconds.
 *
 * When time moves to a slot of a higher level, its timers are filed again, now lower. A slot of
 * level 0 is one tick long; within a tick the exact times decide.
 *
 * Putting a timer off, which TCP does with each segment, only writes the new time: the timer stays
 * in its slot, which is too early for it, and is filed again when that slot's time comes. Hence a
 * slot tells the earliest time of its timers, never the latest; whoever looks into a slot compares.
 *
 * timer_run() first takes what is due out of the wheel, in order of time, then calls it. What a
 * callback arms is in the wheel by then, so it waits for the next run, even if it is due already.
 */
#include "core/timer.h"

#include <string.h>

#define TIMER_DIGIT_BITS 6
#define TIMER_DIGIT_MASK (TIMER_SLOTS - 1)

_Static_assert(1 << TIMER_DIGIT_BITS == TIMER_SLOTS, "a slot for each value of a digit");
_Static_assert(TIMER_LEVELS *TIMER_DIGIT_BITS + TIMER_TICK_SHIFT >= 64, "all of time is covered");

/* Timers that are due, in order of time. */
struct timer_list {
	struct timer *first, **last;
};

static unsigned int timer_digit(uint64_t tick, unsigned int level)
{
	return (unsigned int)(tick >> (level * TIMER_DIGIT_BITS)) & TIMER_DIGIT_MASK;
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns)
{
	memset(wheel, 0, sizeof(*wheel));
	wheel->now_tick = now_ns >> TIMER_TICK_SHIFT;
	wheel->next_ns = TIMER_NEVER;
}

static void timer_file(struct timer_wheel *wheel, struct timer *t)
{
	uint64_t tick = t->expires_ns >> TIMER_TICK_SHIFT;
	unsigned int level = 0, slot;
	struct timer **head;

	if (tick <= wheel->now_tick)
		tick = wheel->now_tick;
	else
		level = (63u - (unsigned int)__builtin_clzll(tick ^ wheel->now_tick)) /
			TIMER_DIGIT_BITS;
	slot = timer_digit(tick, level);
	head = &wheel->slot[level][slot];
	t->next = *head;
	if (t->next)
		t->next->pprev = &t->next;
	t->pprev = head;
	*head = t;
	wheel->occupied[level] |= 1ull << slot;
}

static void timer_unlink(struct timer_wheel *wheel, struct timer *t)
{
	struct timer **pprev = t->pprev;
	uintptr_t at;

	*pprev = t->next;
	if (t->next) {
		t->next->pprev = pprev;
	} else {
		/* Perhaps the last of its slot: pprev tells whether, and of which. */
		at = (uintptr_t)pprev - (uintptr_t)&wheel->slot[0][0];
		if (at < sizeof(wheel->slot)) {
			at /= sizeof(wheel->slot[0][0]);
			wheel->occupied[at / TIMER_SLOTS] &= ~(1ull << (at % TIMER_SLOTS));
		}
	}
	t->next = NULL;
	t->pprev = NULL;
}

void timer_set(struct timer_wheel *wheel, struct timer *t, uint64_t expires_ns)
{
	if (t->pprev) {
		/* While callbacks run it might be among those that were taken out. */
		if (expires_ns >= t->expires_ns && !wheel->running) {
			t->expires_ns = expires_ns;
			return;
		}
		timer_unlink(wheel, t);
	} else {
		wheel->pending++;
	}
	t->expires_ns = expires_ns;
	timer_file(wheel, t);
	if (expires_ns < wheel->next_ns)
		wheel->next_ns = expires_ns;
}

void timer_cancel(struct timer_wheel *wheel, struct timer *t)
{
	if (!t->pprev)
		return;
	timer_unlink(wheel, t);
	wheel->pending--;
}

/* Take a slot's list out of the wheel. */
static struct timer *timer_take_slot(struct timer_wheel *wheel, unsigned int level,
				     unsigned int slot)
{
	struct timer *list = wheel->slot[level][slot];

	wheel->slot[level][slot] = NULL;
	wheel->occupied[level] &= ~(1ull << slot);
	return list;
}

/* File all of a slot again: those that are in their place return to it. */
static void timer_refile_slot(struct timer_wheel *wheel, unsigned int level, unsigned int slot)
{
	struct timer *t = timer_take_slot(wheel, level, slot), *next;

	for (; t; t = next) {
		next = t->next;
		timer_file(wheel, t);
	}
}

/* The first slot in use, in order of time. False when the wheel is empty. */
static bool timer_first_slot(const struct timer_wheel *wheel, unsigned int *level,
			     unsigned int *slot)
{
	for (unsigned int i = 0; i < TIMER_LEVELS; i++) {
		if (!wheel->occupied[i])
			continue;
		*level = i;
		*slot = (unsigned int)__builtin_ctzll(wheel->occupied[i]);
		return true;
	}
	return false;
}

/* The first tick of a slot. */
static uint64_t timer_slot_tick(const struct timer_wheel *wheel, unsigned int level,
				unsigned int slot)
{
	unsigned int shift = level * TIMER_DIGIT_BITS;
	uint64_t below = ((uint64_t)TIMER_SLOTS << shift) - 1; /* this digit and the lower ones */

	return (wheel->now_tick & ~below) | (uint64_t)slot << shift;
}

static uint64_t timer_list_min(const struct timer *t)
{
	uint64_t min = TIMER_NEVER;

	for (; t; t = t->next)
		if (t->expires_ns < min)
			min = t->expires_ns;
	return min;
}

/* Merge two lists that are in order of time; of equals, a's come first. */
static struct timer *timer_merge(struct timer *a, struct timer *b)
{
	struct timer *first = NULL, **end = &first;

	while (a && b) {
		struct timer **from = b->expires_ns < a->expires_ns ? &b : &a;

		*end = *from;
		end = &(*from)->next;
		*from = *end;
	}
	*end = a ? a : b;
	return first;
}

/* Sort by time: list `bin[i]` has 2^i timers, as a binary counter. */
static struct timer *timer_sort(struct timer *list)
{
	struct timer *bin[64] = { NULL };
	struct timer *sorted = NULL;
	unsigned int i, used = 0;

	while (list) {
		struct timer *one = list;

		list = list->next;
		one->next = NULL;
		for (i = 0; bin[i]; i++) {
			one = timer_merge(bin[i], one);
			bin[i] = NULL;
		}
		bin[i] = one;
		if (i >= used)
			used = i + 1;
	}
	for (i = 0; i < used; i++)
		sorted = timer_merge(bin[i], sorted);
	return sorted;
}

/* Move what is due from the present tick's slot to the end of `due`, in order of time. */
static void timer_take_due(struct timer_wheel *wheel, uint64_t now_ns, struct timer_list *due)
{
	struct timer *t = timer_take_slot(wheel, 0, timer_digit(wheel->now_tick, 0)), *next;
	struct timer *batch = NULL;

	for (; t; t = next) {
		next = t->next;
		/* Of a later tick, due or not: it was put off, and others are before it. */
		if (t->expires_ns > now_ns || t->expires_ns >> TIMER_TICK_SHIFT > wheel->now_tick) {
			timer_file(wheel, t);
			continue;
		}
		t->next = batch;
		batch = t;
	}
	if (batch && batch->next)
		batch = timer_sort(batch);
	*due->last = batch;
	for (t = batch; t; t = t->next) {
		t->pprev = due->last;
		due->last = &t->next;
	}
}

/* Move the wheel to now_ns and collect what is due; sets next_ns. */
static void timer_advance(struct timer_wheel *wheel, uint64_t now_ns, struct timer_list *due)
{
	uint64_t target = now_ns >> TIMER_TICK_SHIFT;
	unsigned int level, slot;

	for (;;) {
		uint64_t tick;

		timer_take_due(wheel, now_ns, due);
		if (!timer_first_slot(wheel, &level, &slot)) {
			wheel->next_ns = TIMER_NEVER;
			break;
		}
		tick = timer_slot_tick(wheel, level, slot);
		if (tick == wheel->now_tick) {
			/* Later in this tick, or time went back: what is left is not due. */
			wheel->next_ns = timer_list_min(wheel->slot[level][slot]);
			return;
		}
		if (tick > target) {
			wheel->next_ns = tick << TIMER_TICK_SHIFT;
			break;
		}
		wheel->now_tick = tick;
		if (level > 0)
			timer_refile_slot(wheel, level, slot);
	}
	if (target > wheel->now_tick)
		wheel->now_tick = target;
}

unsigned int timer_run(struct worker *w, struct timer_wheel *wheel, uint64_t now_ns)
{
	struct timer_list due = { .first = NULL, .last = &due.first };
	unsigned int count = 0;

	if (__builtin_expect(now_ns < wheel->next_ns, 1))
		return 0;
	timer_advance(wheel, now_ns, &due);
	wheel->running = true;
	while (due.first) {
		struct timer *t = due.first;

		due.first = t->next;
		if (t->next)
			t->next->pprev = &due.first;
		t->next = NULL;
		t->pprev = NULL;
		wheel->pending--;
		count++;
		t->fn(w, t);
	}
	wheel->running = false;
	return count;
}

/* More than are worth a look? */
static bool timer_list_is_long(const struct timer *t)
{
	unsigned int n = 0;

	while (t && n <= TIMER_LOOK) {
		t = t->next;
		n++;
	}
	return n > TIMER_LOOK;
}

uint64_t timer_next_ns(struct timer_wheel *wheel)
{
	unsigned int level, slot;

	wheel->next_ns = TIMER_NEVER;
	while (timer_first_slot(wheel, &level, &slot)) {
		uint64_t tick = timer_slot_tick(wheel, level, slot);

		if (tick > wheel->now_tick && timer_list_is_long(wheel->slot[level][slot])) {
			wheel->next_ns = tick << TIMER_TICK_SHIFT;
			break;
		}
		/* Those that were put off leave this slot now, and may leave it empty. */
		timer_refile_slot(wheel, level, slot);
		if (wheel->slot[level][slot]) {
			wheel->next_ns = timer_list_min(wheel->slot[level][slot]);
			break;
		}
	}
	return wheel->next_ns;
}
