/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects of one size from chunks that are never given back before the end; a free list. Chunks
 * come from the heap when a connection is set up, not for a segment: slab_get() takes only what is
 * free. An object begins as zeros.
 */
#ifndef WEIR_INET_TCP_SLAB_H
#define WEIR_INET_TCP_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tcp_slab_chunk;

struct tcp_slab {
	size_t object_bytes;
	uint32_t chunk_objects, limit;
	uint32_t total, used;
	void *free;
	struct tcp_slab_chunk *chunks;
};

void tcp_slab_init(struct tcp_slab *slab, size_t object_bytes, uint32_t chunk_objects,
		   uint32_t limit);
void tcp_slab_free(struct tcp_slab *slab);

/* Have n objects free, from the heap where need be. 0 or -ENOMEM. */
int tcp_slab_reserve(struct tcp_slab *slab, uint32_t n);

void *tcp_slab_get(struct tcp_slab *slab); /* NULL: none is free */
/* The same, with what was in it. */
void *tcp_slab_take(struct tcp_slab *slab);
void tcp_slab_put(struct tcp_slab *slab, void *object);

/* Visit every object, free ones too. */
void tcp_slab_each(struct tcp_slab *slab, void (*fn)(void *object, void *arg), void *arg);

#endif
