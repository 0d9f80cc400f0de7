/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of an arena: blocks of a power of two bytes for rings and channels.
 *
 * All book-keeping is private to the engine; a program can spoil what is in a block, never which
 * blocks there are. A heap belongs to one worker of one family. Blocks are cut from chunks of
 * the largest order; a free block goes to the front of its order's list, so the next connection
 * gets memory that is still in the caches. Free memory beyond a warm reserve is given back to the
 * system (the address space stays). Blocks are put together again only when an order runs out.
 * Threads: the worker's own, or parked.
 */
#ifndef WEIR_SOCK_ARENA_ALLOC_H
#define WEIR_SOCK_ARENA_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

#define ARENA_ORDER_MIN 12u /* 4 KiB */
#define ARENA_ORDER_MAX 23u /* 8 MiB: the largest ring */
#define ARENA_ORDERS (ARENA_ORDER_MAX - ARENA_ORDER_MIN + 1)
#define ARENA_BLOCK_BYTES (1u << ARENA_ORDER_MIN)
#define ARENA_WARM_BYTES (64ull << 20) /* free memory that is kept, each heap */

struct arena_block {
	uint32_t next, prev; /* block numbers in a free list */
	uint8_t order;	     /* of the block that begins here */
	uint8_t state;	     /* enum arena_block_state */
	uint16_t reserved;
};

struct arena_heap {
	uint8_t *base;		   /* where the heap begins */
	struct arena_block *block; /* private, one for each 4 KiB */
	uint32_t blocks;
	uint32_t fresh; /* first block that was never used */
	uint32_t top_order;
	bool shared;	     /* a memfd: pages are removed, not only dropped */
	bool fragmented;     /* something was freed since the last attempt to merge */
	uint64_t warm_bytes; /* free, and perhaps in memory */
	uint64_t used_bytes;
	uint32_t free[2][ARENA_ORDERS]; /* [cold][order] */
};

/* 0 or -EINVAL (fewer than 64 KiB), -ENOMEM. base stays the caller's. */
int arena_heap_init(struct arena_heap *heap, uint8_t *base, uint64_t size_bytes, bool shared);
void arena_heap_free(struct arena_heap *heap);

/* A block of at least size_bytes (rounded up to a power of two), or NULL: too large, or no memory.
 */
void *arena_alloc(struct arena_heap *heap, uint32_t size_bytes);
/* Give a block back. NULL is allowed. */
void arena_release(struct arena_heap *heap, void *block);

#endif
