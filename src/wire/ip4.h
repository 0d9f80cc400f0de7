/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv4 (RFC 791) and its addresses.
 */
#ifndef WEIR_WIRE_IP4_H
#define WEIR_WIRE_IP4_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/byteorder.h"

#define IP4_HDR_BYTES 20u
#define IP4_HDR_MAX_BYTES 60u
#define IP4_MAX_BYTES 65535u
#define IP4_MIN_MTU_BYTES 68u /* RFC 791: every link carries this much */

#define IP4_DF 0x4000u
#define IP4_MF 0x2000u
#define IP4_OFFSET_MASK 0x1fffu /* in units of 8 bytes */

/* ECN (RFC 3168 section 5): the lower bits of tos. */
#define IP_ECN_MASK 3u
#define IP_ECN_NOT_ECT 0u
#define IP_ECN_ECT1 1u
#define IP_ECN_ECT0 2u
#define IP_ECN_CE 3u

#define IP_PROTO_ICMP 1u
#define IP_PROTO_TCP 6u
#define IP_PROTO_UDP 17u
#define IP_PROTO_ICMP6 58u

/* Options (RFC 791 section 3.1): the byte with copied flag, class and number. */
#define IP4_OPT_END 0u
#define IP4_OPT_NOP 1u
#define IP4_OPT_RR 7u
#define IP4_OPT_TIMESTAMP 68u
#define IP4_OPT_LSRR 131u
#define IP4_OPT_SSRR 137u
#define IP4_OPT_ROUTER_ALERT 148u
#define IP4_OPT_COPIED 0x80u /* goes into every fragment */

struct ip4_hdr {
	uint8_t version_ihl;
	uint8_t tos;
	uint16_t len_be; /* whole packet */
	uint16_t id_be;
	uint16_t frag_be; /* IP4_DF | IP4_MF | offset */
	uint8_t ttl;
	uint8_t proto;
	uint16_t csum_be;
	uint32_t src_be;
	uint32_t dst_be;
} __attribute__((packed));

_Static_assert(sizeof(struct ip4_hdr) == IP4_HDR_BYTES, "IPv4 header");

static inline unsigned int ip4_version(const struct ip4_hdr *h)
{
	return h->version_ihl >> 4;
}

/* As the header says: 0 to 60, to be checked against 20 and what is there. */
static inline unsigned int ip4_hdr_bytes(const struct ip4_hdr *h)
{
	return (h->version_ihl & 0xfu) * 4;
}

static inline unsigned int ip4_len(const struct ip4_hdr *h)
{
	return be16_to_host(h->len_be);
}

static inline bool ip4_is_fragment(const struct ip4_hdr *h)
{
	return h->frag_be & WIRE_BE16(IP4_MF | IP4_OFFSET_MASK);
}

static inline bool ip4_more_fragments(const struct ip4_hdr *h)
{
	return h->frag_be & WIRE_BE16(IP4_MF);
}

static inline bool ip4_dont_fragment(const struct ip4_hdr *h)
{
	return h->frag_be & WIRE_BE16(IP4_DF);
}

/* Bytes, 0 to 65528. */
static inline unsigned int ip4_frag_offset(const struct ip4_hdr *h)
{
	return (be16_to_host(h->frag_be) & IP4_OFFSET_MASK) * 8;
}

/* Addresses, in network byte order. */
static inline bool ip4_is_loopback(uint32_t ip_be)
{
	return (be32_to_host(ip_be) >> 24) == 127;
}

/* 224.0.0.0/4 */
static inline bool ip4_is_multicast(uint32_t ip_be)
{
	return (be32_to_host(ip_be) >> 28) == 0xe;
}

static inline bool ip4_is_limited_broadcast(uint32_t ip_be)
{
	return ip_be == 0xffffffffu;
}

/* 0.0.0.0/8: "this network" */
static inline bool ip4_is_zeronet(uint32_t ip_be)
{
	return (be32_to_host(ip_be) >> 24) == 0;
}

/* The netmask of a prefix length 0..32. */
static inline uint32_t ip4_mask_be(unsigned int prefix_len)
{
	return prefix_len ? host_to_be32(0xffffffffu << (32 - prefix_len)) : 0;
}

#endif
