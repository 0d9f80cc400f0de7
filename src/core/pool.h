/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's packet buffers: a DPDK mempool whose free list is a stack. The buffer that was used
 * last is used next, so a busy worker goes round a few warm buffers instead of through the whole
 * pool (as DPDK's ring does, which is a queue). DPDK's drivers use the pool like any other.
 *
 * Threads: one worker's; it has no lock. In a build with AddressSanitizer a free buffer is
 * poisoned, so that using a packet after its end is reported.
 */
#ifndef WEIR_CORE_POOL_H
#define WEIR_CORE_POOL_H

#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_POISONS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define POOL_POISONS 1
#endif

struct pool_stack {
	uint32_t count;
	uint32_t size;
	void *object[];
};

/* NULL and rte_errno when there is no memory. n buffers with a struct pkt in front of each. */
struct rte_mempool *pool_create(const char *name, unsigned int n);
void pool_free(struct rte_mempool *pool);

#ifdef POOL_POISONS
void pool_poison(const struct rte_mempool *pool, void *object);
void pool_unpoison(const struct rte_mempool *pool, void *object);
#else
static inline void pool_poison(const struct rte_mempool *pool, void *object)
{
}

static inline void pool_unpoison(const struct rte_mempool *pool, void *object)
{
}
#endif

static inline struct pool_stack *pool_stack(const struct rte_mempool *pool)
{
	return pool->pool_data;
}

/* A free buffer or NULL. */
static inline struct rte_mbuf *pool_get(struct rte_mempool *pool)
{
	struct pool_stack *s = pool_stack(pool);
	void *object;

	if (s->count == 0)
		return NULL;
	object = s->object[--s->count];
	pool_unpoison(pool, object);
	return object;
}

/* Give back a buffer of this pool, with refcnt 1 and no next, as mbufs are in their pool. */
static inline void pool_put(struct rte_mempool *pool, struct rte_mbuf *m)
{
	struct pool_stack *s = pool_stack(pool);

	pool_poison(pool, m);
	s->object[s->count++] = m;
}

#endif
