/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parking: the control thread makes every worker stand still, looks and changes, and lets them go.
 * The states and who may do what in each are in thread.h.
 *
 * A running worker sees the request at the end of its loop, within microseconds, so the control
 * thread yields for a while before it sleeps on the worker's state. A sleeping worker is held where
 * it is. Letting go of a held worker rings its bell: what was changed may have given it work.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/clock.h"
#include "engine/loop.h"
#include "engine/thread.h"

#define PARK_YIELDS 200u

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void thread_park(struct worker_thread *t)
{
	t->engine->loop[t->id]->stats.parks++;
	atomic_store(&t->state, THREAD_PARKED);
	futex_wake(&t->state);
	for (unsigned int i = 0; atomic_load(&t->state) == THREAD_PARKED; i++) {
		if (i < PARK_YIELDS)
			sched_yield();
		else
			futex_wait(&t->state, THREAD_PARKED);
	}
}

void thread_sleep_begin(struct worker_thread *t)
{
	atomic_store(&t->state, THREAD_SLEEPING);
	/* The control thread may already wait for this worker to leave RUNNING. */
	if (atomic_load(&t->engine->threads->request) & REQUEST_PARK)
		futex_wake(&t->state);
}

void thread_sleep_end(struct worker_thread *t)
{
	uint32_t expected = THREAD_SLEEPING;

	while (!atomic_compare_exchange_strong(&t->state, &expected, THREAD_RUNNING)) {
		futex_wait(&t->state, THREAD_HELD);
		expected = THREAD_SLEEPING;
	}
}

static void park_one(struct worker_thread *t)
{
	for (unsigned int i = 0;; i++) {
		uint32_t state = atomic_load(&t->state);

		if (state == THREAD_PARKED || state == THREAD_GONE)
			return;
		if (state == THREAD_SLEEPING) {
			if (atomic_compare_exchange_strong(&t->state, &state, THREAD_HELD))
				return;
			continue;
		}
		if (i < PARK_YIELDS)
			sched_yield();
		else
			futex_wait(&t->state, state);
	}
}

void engine_park(struct engine *engine)
{
	struct engine_threads *threads = engine->threads;
	uint64_t now_ns;

	if (!threads)
		return;
	atomic_fetch_or(&threads->request, REQUEST_PARK);
	for (unsigned int i = 0; i < engine->worker_count; i++)
		park_one(&threads->thread[i]);
	now_ns = clock_now_ns(); /* a sleeping worker's time has stood still */
	for (unsigned int i = 0; i < engine->worker_count; i++)
		if (engine->worker[i]->now_ns < now_ns)
			engine->worker[i]->now_ns = now_ns;
}

void engine_unpark(struct engine *engine)
{
	struct engine_threads *threads = engine->threads;

	if (!threads)
		return;
	atomic_fetch_and(&threads->request, ~REQUEST_PARK);
	for (unsigned int i = 0; i < engine->worker_count; i++) {
		struct worker_thread *t = &threads->thread[i];
		uint32_t state = atomic_load(&t->state);

		if (state == THREAD_PARKED) {
			atomic_store(&t->state, THREAD_RUNNING);
		} else if (state == THREAD_HELD) {
			atomic_store(&t->state, THREAD_SLEEPING);
			eventfd_write(t->bell_fd, 1);
		} else {
			continue;
		}
		futex_wake(&t->state);
	}
}
