/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP (RFC 9293 section 3.1) and its options.
 */
#ifndef WEIR_WIRE_TCP_H
#define WEIR_WIRE_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/byteorder.h"

#define TCP_HDR_BYTES 20u
#define TCP_HDR_MAX_BYTES 60u
#define TCP_OPTIONS_MAX_BYTES 40u
#define TCP_CSUM_AT 16u /* offset of the checksum field */

#define TCP_F_FIN 0x01u
#define TCP_F_SYN 0x02u
#define TCP_F_RST 0x04u
#define TCP_F_PSH 0x08u
#define TCP_F_ACK 0x10u
#define TCP_F_URG 0x20u
#define TCP_F_ECE 0x40u
#define TCP_F_CWR 0x80u

#define TCP_OPT_END 0u
#define TCP_OPT_NOP 1u
#define TCP_OPT_MSS 2u
#define TCP_OPT_WSCALE 3u
#define TCP_OPT_SACK_OK 4u
#define TCP_OPT_SACK 5u
#define TCP_OPT_TIMESTAMP 8u
#define TCP_OPT_MD5 19u
#define TCP_OPT_FASTOPEN 34u

#define TCP_OPT_MSS_BYTES 4u
#define TCP_OPT_WSCALE_BYTES 3u
#define TCP_OPT_SACK_OK_BYTES 2u
#define TCP_OPT_SACK_BASE_BYTES 2u /* and 8 for each block */
#define TCP_OPT_SACK_BLOCK_BYTES 8u
#define TCP_OPT_TIMESTAMP_BYTES 10u
#define TCP_WSCALE_MAX 14u   /* RFC 7323 section 2.3 */
#define TCP_DEFAULT_MSS 536u /* RFC 9293 section 3.7.1 */

struct tcp_hdr {
	uint16_t src_port_be;
	uint16_t dst_port_be;
	uint32_t seq_be;
	uint32_t ack_be;
	uint8_t offset_reserved; /* header length in words in the upper 4 bits */
	uint8_t flags;		 /* TCP_F_* */
	uint16_t window_be;
	uint16_t csum_be;
	uint16_t urgent_be;
} __attribute__((packed));

_Static_assert(sizeof(struct tcp_hdr) == TCP_HDR_BYTES, "TCP header");

/* As the header says: 0 to 60, to be checked against 20 and what is there. */
static inline unsigned int tcp_hdr_bytes(const struct tcp_hdr *h)
{
	return (unsigned int)(h->offset_reserved >> 4) * 4;
}

static inline uint8_t tcp_offset_of(unsigned int hdr_bytes)
{
	return (uint8_t)(hdr_bytes / 4 << 4);
}

/* Sequence numbers, modulo 2^32 (RFC 9293 section 3.4). */
static inline bool tcp_seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool tcp_seq_leq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool tcp_seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool tcp_seq_geq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

#endif
