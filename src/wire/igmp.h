/* SPDX-License-Identifier: BSD-3-Clause */
/* IGMP messages, versions 1 to 3 (RFC 1112, RFC 2236, RFC 3376 section 4). */
#ifndef WEIR_WIRE_IGMP_H
#define WEIR_WIRE_IGMP_H

#include <stdint.h>

#define IP_PROTO_IGMP 2u

#define IGMP_QUERY 0x11u
#define IGMP_V1_REPORT 0x12u
#define IGMP_V2_REPORT 0x16u
#define IGMP_V2_LEAVE 0x17u
#define IGMP_V3_REPORT 0x22u

#define IGMP_HDR_BYTES 8u
#define IGMP_V3_QUERY_BYTES 12u

/* Of versions 1 and 2, and what version 3's query begins with. */
struct igmp_hdr {
	uint8_t type;
	uint8_t code; /* query: how long an answer may wait, in tenths of a second */
	uint16_t csum_be;
	uint32_t group_be;
} __attribute__((packed));

struct igmp_v3_query {
	struct igmp_hdr hdr;
	uint8_t flags; /* the low three bits: the querier's robustness */
	uint8_t interval_code;
	uint16_t source_count_be;
	uint32_t source_be[];
} __attribute__((packed));

struct igmp_v3_report {
	uint8_t type, reserved;
	uint16_t csum_be;
	uint16_t reserved2;
	uint16_t record_count_be;
} __attribute__((packed));

enum igmp_record_type {
	IGMP_IS_INCLUDE = 1,
	IGMP_IS_EXCLUDE,
	IGMP_TO_INCLUDE,
	IGMP_TO_EXCLUDE,
	IGMP_ALLOW_NEW,
	IGMP_BLOCK_OLD,
};

struct igmp_record {
	uint8_t type, aux_words;
	uint16_t source_count_be;
	uint32_t group_be;
	/* uint32_t source_be[] */
} __attribute__((packed));

/* Max Resp Code and QQIC: a number, or from 128 on a float (RFC 3376 section 4.1.1). */
static inline uint32_t igmp_code_value(uint8_t code)
{
	return code < 128 ? code : (uint32_t)((code & 0xf) | 0x10) << ((code >> 4 & 7) + 3);
}

#endif
