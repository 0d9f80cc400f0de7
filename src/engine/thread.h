/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon placement's threads (thread.c) and how they are made to stand still (park.c).
 *
 * A worker thread's `state` says who may touch the worker:
 *
 *            +--(worker: wants sleep)--> SLEEPING --(control: parks it)--> HELD
 *            |                            |   ^                             |
 *   RUNNING <+--(worker: woke)------------+   +----(control: unparks)-------+
 *      |  ^
 *      |  +--(control: unparks)---- PARKED
 *      +--(worker: saw the request)--^
 *
 * RUNNING: the worker's thread. PARKED, HELD: the control thread. SLEEPING: nobody, until one of
 * both wins the compare-and-swap. So a sleeping worker need not be woken to be parked.
 */
#ifndef WEIR_ENGINE_THREAD_H
#define WEIR_ENGINE_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"

enum thread_state { THREAD_RUNNING, THREAD_SLEEPING, THREAD_HELD, THREAD_PARKED, THREAD_GONE };

/* engine_threads.request */
#define REQUEST_PARK 0x1u
#define REQUEST_STOP 0x2u

struct worker_thread {
	ABI_ALIGNED _Atomic uint32_t state; /* enum thread_state; a futex */
	struct engine *engine;
	unsigned int id;
	pthread_t thread;
	int bell_fd;  /* eventfd: the engine itself rings it */
	int epoll_fd; /* that, each family's bell, and each port that can wake a sleeper */
	bool needs_timer;
	uint64_t spin_ns; /* how long it spins now, at most engine_threads.spin_max_ns */
	uint32_t nap; /* number of the last sleep, odd: what `sleeping` in the daemon page says */
};

struct engine_threads {
	ABI_ALIGNED _Atomic uint32_t request; /* REQUEST_*; looked at once a loop */
	ABI_ALIGNED struct abi_daemon *page;
	int page_fd;
	int control_fd; /* eventfd: a worker wants the control thread */
	uint64_t spin_max_ns;
	struct worker_thread *thread; /* [worker_count] */
};

/* A port was added: worker's thread may sleep on it. No-op in the direct placement. */
void threads_port_added(struct engine *engine, unsigned int worker, struct port *port);

/* park.c, for the worker's own thread: */

/* Stand still until engine_unpark(). */
void thread_park(struct worker_thread *t);

/* Around a sleep: from thread_sleep_begin() to thread_sleep_end() the worker may be held. */
void thread_sleep_begin(struct worker_thread *t);
void thread_sleep_end(struct worker_thread *t);

#endif
