/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring of bytes as the engine sees it: its own copy of the positions (trusted) over data that a
 * program may also write (not trusted, only bytes). sock/ keeps it in step with the shared
 * positions; TCP reads and writes through it and never sees shared memory. head: position of the
 * oldest byte. tail: behind the newest. Positions run freely modulo 2^32.
 */
#ifndef WEIR_CORE_BYTE_RING_H
#define WEIR_CORE_BYTE_RING_H

#include <stdint.h>

struct byte_ring {
	uint8_t *data;	     /* NULL: not there yet */
	uint32_t size_bytes; /* power of two, 0 where data is NULL */
	uint32_t head;
	uint32_t tail;
};

static inline uint32_t byte_ring_used(const struct byte_ring *r)
{
	return r->tail - r->head;
}

static inline uint32_t byte_ring_free(const struct byte_ring *r)
{
	return r->size_bytes - (r->tail - r->head);
}

/* The longest run of bytes at position pos, at most len: a pointer, and its length in *run. */
static inline uint8_t *byte_ring_run(const struct byte_ring *r, uint32_t pos, uint32_t len,
				     uint32_t *run)
{
	uint32_t at = pos & (r->size_bytes - 1);

	*run = len < r->size_bytes - at ? len : r->size_bytes - at;
	return r->data + at;
}

#endif
