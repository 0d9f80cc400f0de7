/* SPDX-License-Identifier: BSD-3-Clause */
#include "sock/arena_alloc.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define NONE UINT32_MAX

enum arena_block_state { BLOCK_INSIDE = 0, BLOCK_USED, BLOCK_WARM, BLOCK_COLD };

/*
 * The book-keeping of a block. Blocks of the same place in each chunk lie side by side, and the
 * places are in the order of their reversed bits: those where large blocks begin come first. So
 * what is cut into rings of 256 KiB touches 12 bytes for each, and not a cache line in each 768.
 */
static struct arena_block *block_at(const struct arena_heap *heap, uint32_t b)
{
	uint32_t bits = heap->top_order - ARENA_ORDER_MIN;
	uint32_t place = b & ((1u << bits) - 1);

	place = (place & 0x5555) << 1 | (place >> 1 & 0x5555);
	place = (place & 0x3333) << 2 | (place >> 2 & 0x3333);
	place = (place & 0x0f0f) << 4 | (place >> 4 & 0x0f0f);
	place = ((place & 0x00ff) << 8 | place >> 8) >> (16 - bits);
	return &heap->block[place * (heap->blocks >> bits) + (b >> bits)];
}

static size_t meta_bytes(const struct arena_heap *heap)
{
	return (size_t)heap->blocks * sizeof(struct arena_block);
}

int arena_heap_init(struct arena_heap *heap, uint8_t *base, uint64_t size_bytes, bool shared)
{
	uint32_t top = ARENA_ORDER_MAX;

	while (top > ARENA_ORDER_MIN && (1ull << top) > size_bytes)
		top--;
	if (size_bytes < 65536)
		return -EINVAL;
	*heap = (struct arena_heap){ .base = base, .shared = shared, .top_order = top };
	heap->blocks = (uint32_t)((size_bytes >> top) << (top - ARENA_ORDER_MIN));
	memset(heap->free, 0xff, sizeof(heap->free));
	heap->block = mmap(NULL, meta_bytes(heap), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (heap->block == MAP_FAILED) {
		heap->block = NULL;
		return -ENOMEM;
	}
	return 0;
}

void arena_heap_free(struct arena_heap *heap)
{
	if (heap->block != NULL)
		munmap(heap->block, meta_bytes(heap));
	heap->block = NULL;
}

static void list_add(struct arena_heap *heap, uint32_t b, uint32_t order, bool cold)
{
	uint32_t *list = &heap->free[cold][order - ARENA_ORDER_MIN];
	struct arena_block *block = block_at(heap, b);

	block->order = (uint8_t)order;
	block->state = cold ? BLOCK_COLD : BLOCK_WARM;
	block->prev = NONE;
	block->next = *list;
	if (*list != NONE)
		block_at(heap, *list)->prev = b;
	*list = b;
	if (!cold)
		heap->warm_bytes += 1ull << order;
}

static void list_del(struct arena_heap *heap, uint32_t b)
{
	struct arena_block *block = block_at(heap, b);
	bool cold = block->state == BLOCK_COLD;

	if (block->prev != NONE)
		block_at(heap, block->prev)->next = block->next;
	else
		heap->free[cold][block->order - ARENA_ORDER_MIN] = block->next;
	if (block->next != NONE)
		block_at(heap, block->next)->prev = block->prev;
	if (!cold)
		heap->warm_bytes -= 1ull << block->order;
	block->state = BLOCK_INSIDE;
}

/* A free block of exactly this order or NONE; a larger one is split. */
static uint32_t take(struct arena_heap *heap, uint32_t order)
{
	for (uint32_t o = order; o <= heap->top_order; o++) {
		for (unsigned int cold = 0; cold < 2; cold++) {
			uint32_t b = heap->free[cold][o - ARENA_ORDER_MIN];

			if (b == NONE)
				continue;
			list_del(heap, b);
			while (o-- > order)
				list_add(heap, b + (1u << (o - ARENA_ORDER_MIN)), o, cold);
			return b;
		}
	}
	return NONE;
}

static uint32_t take_fresh(struct arena_heap *heap, uint32_t order)
{
	uint32_t chunk = 1u << (heap->top_order - ARENA_ORDER_MIN);

	if (heap->blocks - heap->fresh < chunk)
		return NONE;
	heap->fresh += chunk;
	list_add(heap, heap->fresh - chunk, heap->top_order, true);
	return take(heap, order);
}

/* Put free neighbours together again, smallest order first. Only when an order ran out. */
static void merge(struct arena_heap *heap)
{
	heap->fragmented = false;
	for (uint32_t b = 0; b < heap->fresh;) {
		struct arena_block *block = block_at(heap, b);
		uint32_t size = 1u << (block->order - ARENA_ORDER_MIN);
		uint32_t buddy = b ^ size;

		if (block->state < BLOCK_WARM || block->order == heap->top_order ||
		    block_at(heap, buddy)->state < BLOCK_WARM ||
		    block_at(heap, buddy)->order != block->order) {
			b += size;
			continue;
		}
		bool cold = block->state == BLOCK_COLD &&
			    block_at(heap, buddy)->state == BLOCK_COLD;
		uint32_t order = block->order;

		list_del(heap, b);
		list_del(heap, buddy);
		b &= ~size;
		list_add(heap, b, order + 1, cold);
		/* The larger block may now go with its own buddy in front. */
		uint32_t front = b ^ (size << 1);

		if (front < b && order + 1 < heap->top_order &&
		    block_at(heap, front)->state >= BLOCK_WARM &&
		    block_at(heap, front)->order == order + 1)
			b = front;
	}
}

void *arena_alloc(struct arena_heap *heap, uint32_t size_bytes)
{
	uint32_t order = ARENA_ORDER_MIN;
	uint32_t b;

	while (order < 32 && (1ull << order) < size_bytes)
		order++;
	if (order > heap->top_order)
		return NULL;
	b = take(heap, order);
	if (b == NONE)
		b = take_fresh(heap, order);
	if (b == NONE && heap->fragmented) {
		merge(heap);
		b = take(heap, order);
	}
	if (b == NONE)
		return NULL;
	block_at(heap, b)->order = (uint8_t)order;
	block_at(heap, b)->state = BLOCK_USED;
	heap->used_bytes += 1ull << order;
	return heap->base + (uint64_t)b * ARENA_BLOCK_BYTES;
}

void arena_release(struct arena_heap *heap, void *ptr)
{
	uint32_t b, order;
	bool cold = false;

	if (ptr == NULL)
		return;
	b = (uint32_t)((uint64_t)((uint8_t *)ptr - heap->base) >> ARENA_ORDER_MIN);
	if (b >= heap->fresh || block_at(heap, b)->state != BLOCK_USED)
		return;
	order = block_at(heap, b)->order;
	heap->used_bytes -= 1ull << order;
	heap->fragmented = true;
	if (heap->warm_bytes + (1ull << order) > ARENA_WARM_BYTES)
		cold = madvise(ptr, 1ull << order, heap->shared ? MADV_REMOVE : MADV_DONTNEED) == 0;
	list_add(heap, b, order, cold);
}
