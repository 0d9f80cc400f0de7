/* SPDX-License-Identifier: BSD-3-Clause */
/* Looking for two bytes in much machine code. */
#ifndef WEIR_SHIM_PAIRS_H
#define WEIR_SHIM_PAIRS_H

#include <emmintrin.h>
#include <stdint.h>

#define BLOCK 64 /* bytes looked at together, and one more */

/* Of the 64 bytes at p, which are one and followed by next (of the bits in next_mask). */
static inline uint64_t pairs(const uint8_t *p, uint8_t one, uint8_t next, uint8_t next_mask)
{
	uint64_t found = 0;

	for (unsigned int i = 0; i < BLOCK; i += 16) {
		__m128i here = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		__m128i there = _mm_loadu_si128((const __m128i *)(const void *)(p + i + 1));

		there = _mm_and_si128(there, _mm_set1_epi8((char)next_mask));
		here = _mm_and_si128(_mm_cmpeq_epi8(here, _mm_set1_epi8((char)one)),
				     _mm_cmpeq_epi8(there, _mm_set1_epi8((char)next)));
		found |= (uint64_t)(unsigned int)_mm_movemask_epi8(here) << i;
	}
	return found;
}

#endif
