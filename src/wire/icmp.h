/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP (RFC 792, RFC 1191 for the MTU in "fragmentation needed", RFC 1812 for the later codes).
 */
#ifndef WEIR_WIRE_ICMP_H
#define WEIR_WIRE_ICMP_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/byteorder.h"

#define ICMP_HDR_BYTES 8u

#define ICMP_TYPE_ECHO_REPLY 0u
#define ICMP_TYPE_UNREACHABLE 3u
#define ICMP_TYPE_SOURCE_QUENCH 4u
#define ICMP_TYPE_REDIRECT 5u
#define ICMP_TYPE_ECHO 8u
#define ICMP_TYPE_TIME_EXCEEDED 11u
#define ICMP_TYPE_PARAMETER 12u
#define ICMP_TYPE_TIMESTAMP 13u
#define ICMP_TYPE_TIMESTAMP_REPLY 14u

/* Codes of ICMP_TYPE_UNREACHABLE */
#define ICMP_CODE_NET 0u
#define ICMP_CODE_HOST 1u
#define ICMP_CODE_PROTOCOL 2u
#define ICMP_CODE_PORT 3u
#define ICMP_CODE_FRAG_NEEDED 4u
#define ICMP_CODE_SOURCE_ROUTE 5u
#define ICMP_CODE_NET_UNKNOWN 6u
#define ICMP_CODE_HOST_UNKNOWN 7u
#define ICMP_CODE_HOST_ISOLATED 8u
#define ICMP_CODE_NET_PROHIBITED 9u
#define ICMP_CODE_HOST_PROHIBITED 10u
#define ICMP_CODE_NET_TOS 11u
#define ICMP_CODE_HOST_TOS 12u
#define ICMP_CODE_ADMIN_PROHIBITED 13u

/* Codes of ICMP_TYPE_TIME_EXCEEDED */
#define ICMP_CODE_TTL 0u
#define ICMP_CODE_REASSEMBLY 1u

struct icmp_hdr {
	uint8_t type;
	uint8_t code;
	uint16_t csum_be;
	union {
		struct {
			uint16_t id_be;
			uint16_t seq_be;
		} __attribute__((packed)) echo;
		struct {
			uint16_t unused_be;
			uint16_t mtu_be;
		} __attribute__((packed)) frag;
		uint8_t pointer; /* ICMP_TYPE_PARAMETER */
		uint32_t rest_be;
	};
} __attribute__((packed));

_Static_assert(sizeof(struct icmp_hdr) == ICMP_HDR_BYTES, "ICMP header");

/* An error message, about which none may be sent (RFC 1122 section 3.2.2). */
static inline bool icmp_type_is_error(uint8_t type)
{
	return type == ICMP_TYPE_UNREACHABLE || type == ICMP_TYPE_SOURCE_QUENCH ||
	       type == ICMP_TYPE_REDIRECT || type == ICMP_TYPE_TIME_EXCEEDED ||
	       type == ICMP_TYPE_PARAMETER;
}

#endif
