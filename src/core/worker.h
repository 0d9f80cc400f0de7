/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: one thread's share of the engine. It owns its packets, pool, ledger, timers and,
 * through pointers that this folder never follows, its protocols and sockets. Nothing in it is
 * shared; the engine reads it from outside only while the worker is parked.
 */
#ifndef WEIR_CORE_WORKER_H
#define WEIR_CORE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ledger.h"
#include "core/timer.h"

struct rte_mempool;
struct inet;	   /* inet/inet.h: the protocols' state of this worker */
struct tcp_stack;  /* inet/tcp: TCP's state of this worker */
struct sock_layer; /* sock/sock.h: the sockets of this worker */
struct engine;	   /* engine/engine.h */
struct watcher;	   /* core/watch.h: who looks at packets that go by */

/* worker.watched, watcher.wants; below: 1 << STAGE_* */
#define WATCH_DROPS (1u << 31)
#define WATCH_FOLLOWS (1u << 30) /* watched alone: somebody has watcher.follows */

struct worker {
	uint64_t now_ns; /* the time of this loop, set by the engine; the only clock there is */
	uint64_t wall_offset_ns; /* add to now_ns for the time of day */
	uint32_t watched;	 /* what any watcher wants to see */
	struct rte_mempool *pool;
	struct timer_wheel timers;
	struct ledger ledger;
	uint64_t rng[2];
	uint8_t secret[16]; /* for hashes and initial sequence numbers; random in the daemon */
	unsigned int id;
	unsigned int siblings; /* workers of the engine, this one included; 0: not in an engine */
	struct inet *inet;
	struct tcp_stack *tcp;
	struct sock_layer *socks;
	struct engine *engine;
	struct watcher *watchers; /* NULL: nobody looks */
	uint32_t follow_last;	  /* the last packet's number that was followed */
};

/*
 * Prepare a worker: a pool of its own with n_packets segments, its ledger and timers.
 * EAL must be up. seed makes random numbers repeatable in tests (and the time of day now_ns
 * itself); 0 takes the system's randomness. Fields that are others' (inet, tcp, socks, engine)
 * begin as NULL. Returns 0 or a negative errno, then nothing is left to free.
 */
int worker_init(struct worker *w, unsigned int id, unsigned int n_packets, uint64_t now_ns,
		uint64_t seed);
void worker_free(struct worker *w);

/* Are all buffers back in the pool? (Tests ask this at their end.) */
bool worker_pool_is_full(const struct worker *w);

uint32_t worker_random(struct worker *w);

/* SipHash-2-4, keyed with a secret, or with the worker's. */
uint64_t secret_hash(const uint8_t secret[16], const void *data, uint32_t len);
uint64_t worker_hash(const struct worker *w, const void *data, uint32_t len);

/* core/watch.c's: packets at a stage that somebody watches. */
void watch_stage(struct worker *w, enum stage stage, unsigned int ifindex, struct pkt **pkts,
		 unsigned int n);

/* Who watches the stage sees n packets at it. ifindex: see struct watcher_ops. */
static inline void stage_show(struct worker *w, enum stage stage, unsigned int ifindex,
			      struct pkt **pkts, unsigned int n)
{
	if (__builtin_expect(w->watched & (1u << stage | WATCH_FOLLOWS), 0))
		watch_stage(w, stage, ifindex, pkts, n);
}

/* Count n packets and the burst at a stage, and mark each packet's path. */
static inline void stage_mark(struct worker *w, enum stage stage, struct pkt **pkts, unsigned int n)
{
	if (!LEDGER_ON)
		return;
	w->ledger.stage[stage].packets += n;
	w->ledger.stage[stage].bursts++;
	/* Every stage does this: the counting costs more than what is done. */
#pragma GCC unroll 4
	for (unsigned int i = 0; i < n; i++) {
		pkts[i]->path |= 1u << stage;
		pkts[i]->stage = (uint8_t)stage;
	}
}

/* A stage begins with n packets. */
static inline void stage_enter(struct worker *w, enum stage stage, struct pkt **pkts,
			       unsigned int n)
{
	stage_mark(w, stage, pkts, n);
	stage_show(w, stage, 0, pkts, n);
}

static inline void stage_enter_one(struct worker *w, enum stage stage, struct pkt *p)
{
	stage_enter(w, stage, &p, 1);
}

/* A queue takes n packets, or gives them up. */
static inline void ledger_hold(struct worker *w, unsigned int n)
{
	w->ledger.held += LEDGER_ON ? n : 0;
}

static inline void ledger_release(struct worker *w, unsigned int n)
{
	w->ledger.held -= LEDGER_ON ? n : 0;
}

#endif
