/* SPDX-License-Identifier: BSD-3-Clause */
#include "inet/tcp/slab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct tcp_slab_chunk {
	struct tcp_slab_chunk *next;
	_Alignas(64) uint8_t objects[];
};

void tcp_slab_init(struct tcp_slab *slab, size_t object_bytes, uint32_t chunk_objects,
		   uint32_t limit)
{
	*slab = (struct tcp_slab){
		.object_bytes = (object_bytes + 63) & ~(size_t)63,
		.chunk_objects = chunk_objects,
		.limit = limit,
	};
}

void tcp_slab_free(struct tcp_slab *slab)
{
	struct tcp_slab_chunk *chunk, *next;

	for (chunk = slab->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	slab->chunks = NULL;
	slab->free = NULL;
	slab->total = slab->used = 0;
}

static int tcp_slab_grow(struct tcp_slab *slab)
{
	size_t bytes = sizeof(struct tcp_slab_chunk) + slab->object_bytes * slab->chunk_objects;
	struct tcp_slab_chunk *chunk;

	if (slab->total >= slab->limit)
		return -ENOMEM;
	chunk = aligned_alloc(64, bytes);
	if (!chunk)
		return -ENOMEM;
	memset(chunk, 0, bytes);
	chunk->next = slab->chunks;
	slab->chunks = chunk;
	for (uint32_t i = slab->chunk_objects; i-- > 0;) {
		void *object = chunk->objects + i * slab->object_bytes;

		memcpy(object, &slab->free, sizeof(void *));
		slab->free = object;
	}
	slab->total += slab->chunk_objects;
	return 0;
}

int tcp_slab_reserve(struct tcp_slab *slab, uint32_t n)
{
	while (slab->total - slab->used < n) {
		if (tcp_slab_grow(slab) != 0)
			return -ENOMEM;
	}
	return 0;
}

void *tcp_slab_take(struct tcp_slab *slab)
{
	void *object = slab->free;

	if (!object)
		return NULL;
	memcpy(&slab->free, object, sizeof(void *));
	slab->used++;
	return object;
}

void *tcp_slab_get(struct tcp_slab *slab)
{
	void *object = tcp_slab_take(slab);

	if (object)
		memset(object, 0, slab->object_bytes);
	return object;
}

void tcp_slab_put(struct tcp_slab *slab, void *object)
{
	memcpy(object, &slab->free, sizeof(void *));
	slab->free = object;
	slab->used--;
}

void tcp_slab_each(struct tcp_slab *slab, void (*fn)(void *object, void *arg), void *arg)
{
	struct tcp_slab_chunk *chunk;

	for (chunk = slab->chunks; chunk; chunk = chunk->next) {
		for (uint32_t i = 0; i < slab->chunk_objects; i++)
			fn(chunk->objects + i * slab->object_bytes, arg);
	}
}
