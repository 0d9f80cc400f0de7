/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stack of free buffers as a mempool handler. Where addresses for devices are virtual addresses
 * (always, unless the user said otherwise), objects lie one behind the other, page borders or not:
 * DPDK's own layout would put one buffer into each 4 KiB page when there are no hugepages, all at
 * the same place in the page, and so in the same sets of the cache.
 */
#include "core/pool.h"

#include <errno.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "core/pkt.h"

#ifdef POOL_POISONS
#include <sanitizer/asan_interface.h>

void pool_poison(const struct rte_mempool *pool, void *object)
{
	ASAN_POISON_MEMORY_REGION(object, pool->elt_size);
}

void pool_unpoison(const struct rte_mempool *pool, void *object)
{
	ASAN_UNPOISON_MEMORY_REGION(object, pool->elt_size);
}
#endif

static int pool_alloc_stack(struct rte_mempool *pool)
{
	struct pool_stack *s =
		rte_zmalloc("pool_stack", sizeof(*s) + pool->size * sizeof(s->object[0]), 0);

	if (!s)
		return -ENOMEM;
	s->size = pool->size;
	pool->pool_data = s;
	return 0;
}

static void pool_free_stack(struct rte_mempool *pool)
{
	rte_free(pool->pool_data);
	pool->pool_data = NULL;
}

static int pool_enqueue(struct rte_mempool *pool, void *const *objects, unsigned int n)
{
	struct pool_stack *s = pool_stack(pool);

	if (n > s->size - s->count)
		return -ENOBUFS;
	for (unsigned int i = 0; i < n; i++) {
		pool_poison(pool, objects[i]);
		s->object[s->count++] = objects[i];
	}
	return 0;
}

static int pool_dequeue(struct rte_mempool *pool, void **objects, unsigned int n)
{
	struct pool_stack *s = pool_stack(pool);

	if (n > s->count)
		return -ENOBUFS;
	for (unsigned int i = 0; i < n; i++) {
		objects[i] = s->object[--s->count];
		pool_unpoison(pool, objects[i]);
	}
	return 0;
}

static unsigned int pool_count(const struct rte_mempool *pool)
{
	return pool_stack(pool)->count;
}

static ssize_t pool_calc_mem_size(const struct rte_mempool *pool, uint32_t n, uint32_t page_shift,
				  size_t *min_chunk_bytes, size_t *align_bytes)
{
	size_t object_bytes = pool->header_size + pool->elt_size + pool->trailer_size;

	if (rte_eal_iova_mode() != RTE_IOVA_VA)
		return rte_mempool_op_calc_mem_size_default(pool, n, page_shift, min_chunk_bytes,
							    align_bytes);
	*min_chunk_bytes = object_bytes;
	*align_bytes = RTE_CACHE_LINE_SIZE;
	return (ssize_t)(object_bytes * n);
}

static int pool_populate(struct rte_mempool *pool, unsigned int max, void *vaddr, rte_iova_t iova,
			 size_t len, rte_mempool_populate_obj_cb_t *object_cb, void *cb_arg)
{
	size_t object_bytes = pool->header_size + pool->elt_size + pool->trailer_size;
	unsigned int n;

	if (rte_eal_iova_mode() != RTE_IOVA_VA)
		return rte_mempool_op_populate_default(pool, max, vaddr, iova, len, object_cb,
						       cb_arg);
	for (n = 0; n < max && (n + 1) * object_bytes <= len; n++) {
		size_t at = n * object_bytes + pool->header_size;
		void *object = (uint8_t *)vaddr + at;

		object_cb(pool, cb_arg, object, iova == RTE_BAD_IOVA ? iova : iova + at);
		rte_mempool_ops_enqueue_bulk(pool, &object, 1);
		/* rte_pktmbuf_init() comes next. */
		pool_unpoison(pool, object);
	}
	return (int)n;
}

static const struct rte_mempool_ops pool_ops = {
	.name = "weir_stack",
	.alloc = pool_alloc_stack,
	.free = pool_free_stack,
	.enqueue = pool_enqueue,
	.dequeue = pool_dequeue,
	.get_count = pool_count,
	.calc_mem_size = pool_calc_mem_size,
	.populate = pool_populate,
};

RTE_MEMPOOL_REGISTER_OPS(pool_ops);

static void pool_poison_one(struct rte_mempool *pool, void *arg, void *object, unsigned int index)
{
	pool_poison(pool, object);
}

static void pool_unpoison_one(struct rte_mempool *pool, void *arg, void *object, unsigned int index)
{
	pool_unpoison(pool, object);
}

struct rte_mempool *pool_create(const char *name, unsigned int n)
{
	struct rte_mempool *pool;

	/* No cache in front: the stack is the cache. */
	pool = rte_pktmbuf_pool_create_by_ops(name, n, 0, PKT_PRIV_BYTES,
					      PKT_HEADROOM_BYTES + PKT_ROOM_BYTES, SOCKET_ID_ANY,
					      pool_ops.name);
	if (pool)
		rte_mempool_obj_iter(pool, pool_poison_one, NULL);
	return pool;
}

void pool_free(struct rte_mempool *pool)
{
	if (!pool)
		return;
	rte_mempool_obj_iter(pool, pool_unpoison_one, NULL);
	rte_mempool_free(pool);
}
