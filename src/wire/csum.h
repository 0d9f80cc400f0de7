/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071), and its incremental update (RFC 1624).
 *
 * Sums are of 16-bit words as they lie in memory, so a result goes into a *_be field without
 * swapping. A running sum is 64 bits wide, with end-around carry: any number of pieces may be
 * added, each of even length except the last (or swap the sum of a piece that begins at an odd
 * place).
 */
#ifndef WEIR_WIRE_CSUM_H
#define WEIR_WIRE_CSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/byteorder.h"

static inline uint64_t csum_add64(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

static inline uint64_t csum_load64(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* Add len bytes to a running sum. */
static inline uint64_t csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *at = data;
	uint64_t a = 0, b = 0, c = 0;

	/* Four chains of carries, so that they do not wait for each other. */
	for (; len >= 32; len -= 32, at += 32) {
		sum = csum_add64(sum, csum_load64(at));
		a = csum_add64(a, csum_load64(at + 8));
		b = csum_add64(b, csum_load64(at + 16));
		c = csum_add64(c, csum_load64(at + 24));
	}
	sum = csum_add64(csum_add64(sum, a), csum_add64(b, c));
	for (; len >= 8; len -= 8, at += 8)
		sum = csum_add64(sum, csum_load64(at));
	if (len & 4) {
		uint32_t word;

		memcpy(&word, at, sizeof(word));
		sum = csum_add64(sum, word);
		at += 4;
	}
	if (len & 3) {
		uint8_t last[4] = { 0, 0, 0, 0 };
		uint32_t word;

		last[0] = at[0];
		if (len & 2) {
			last[1] = at[1];
			last[2] = len & 1 ? at[2] : 0;
		}
		memcpy(&word, last, sizeof(word));
		sum = csum_add64(sum, word);
	}
	return sum;
}

/* A running sum in 16 bits, not inverted. */
static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffffu) + (sum >> 16);
	sum = (sum & 0xffffu) + (sum >> 16);
	return (uint16_t)((sum & 0xffffu) + (sum >> 16));
}

/* The folded sum of a piece that begins at an odd offset, as if it began at an even one. */
static inline uint16_t csum_swap(uint16_t sum)
{
	return (uint16_t)(sum << 8 | sum >> 8);
}

/* What goes into a header's checksum field: folded and inverted. */
static inline uint16_t csum_finish(uint64_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

/* The checksum of len bytes. Over bytes with a right checksum in them: 0. */
static inline uint16_t csum_of(const void *data, size_t len)
{
	return csum_finish(csum_add(0, data, len));
}

/* Running sum of the IPv4 pseudo-header (RFC 9293 section 3.1, RFC 768); len in host order. */
static inline uint64_t csum_pseudo_ip4(uint32_t src_be, uint32_t dst_be, uint8_t proto,
				       uint32_t len)
{
	return (uint64_t)src_be + dst_be + host_to_be16(proto) + host_to_be32(len);
}

/* UDP's: a sum of zero is sent as all ones (RFC 768). */
static inline uint16_t csum_finish_udp(uint64_t sum)
{
	uint16_t csum = csum_finish(sum);

	return csum ? csum : 0xffff;
}

/* The checksum after one 16-bit word changed; all as they lie in the packet (RFC 1624, eqn. 3). */
static inline uint16_t csum_update16(uint16_t csum_be, uint16_t old_be, uint16_t new_be)
{
	return csum_finish((uint64_t)(uint16_t)~csum_be + (uint16_t)~old_be + new_be);
}

static inline uint16_t csum_update32(uint16_t csum_be, uint32_t old_be, uint32_t new_be)
{
	return csum_finish((uint64_t)(uint16_t)~csum_be + (uint32_t)~old_be + new_be);
}

#endif
