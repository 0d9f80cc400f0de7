/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Byte order. Fields named *_be hold network order; loads and stores take any alignment.
 */
#ifndef WEIR_WIRE_BYTEORDER_H
#define WEIR_WIRE_BYTEORDER_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WIRE_BE16(x) ((uint16_t)((uint16_t)(x) << 8 | (uint16_t)(x) >> 8)) /* for constants */
#define WIRE_BE32(x) ((uint32_t)__builtin_bswap32((uint32_t)(x)))
#else
#define WIRE_BE16(x) ((uint16_t)(x))
#define WIRE_BE32(x) ((uint32_t)(x))
#endif

static inline uint16_t be16_to_host(uint16_t x_be)
{
	return WIRE_BE16(x_be);
}

static inline uint16_t host_to_be16(uint16_t x)
{
	return WIRE_BE16(x);
}

static inline uint32_t be32_to_host(uint32_t x_be)
{
	return WIRE_BE32(x_be);
}

static inline uint32_t host_to_be32(uint32_t x)
{
	return WIRE_BE32(x);
}

static inline uint16_t be16_load(const void *at)
{
	uint16_t x_be;

	memcpy(&x_be, at, sizeof(x_be));
	return be16_to_host(x_be);
}

static inline uint32_t be32_load(const void *at)
{
	uint32_t x_be;

	memcpy(&x_be, at, sizeof(x_be));
	return be32_to_host(x_be);
}

static inline void be16_store(void *at, uint16_t x)
{
	uint16_t x_be = host_to_be16(x);

	memcpy(at, &x_be, sizeof(x_be));
}

static inline void be32_store(void *at, uint32_t x)
{
	uint32_t x_be = host_to_be32(x);

	memcpy(at, &x_be, sizeof(x_be));
}

#endif
