/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ethernet II (IEEE 802.3 section 3) and its IEEE 802.1Q tag.
 */
#ifndef WEIR_WIRE_ETH_H
#define WEIR_WIRE_ETH_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "wire/byteorder.h"

#define ETH_ADDR_BYTES 6u
#define ETH_HDR_BYTES 14u
#define ETH_VLAN_BYTES 4u
#define ETH_MIN_FRAME_BYTES 60u /* without the FCS */

#define ETH_TYPE_IP4 0x0800u
#define ETH_TYPE_ARP 0x0806u
#define ETH_TYPE_VLAN 0x8100u
#define ETH_TYPE_QINQ 0x88a8u
#define ETH_TYPE_IP6 0x86ddu
#define ETH_TYPE_MIN 0x0600u /* below: an IEEE 802.3 length */

struct eth_hdr {
	uint8_t dst[ETH_ADDR_BYTES];
	uint8_t src[ETH_ADDR_BYTES];
	uint16_t type_be;
} __attribute__((packed));

struct eth_vlan {
	uint16_t tci_be; /* priority 3, drop eligible 1, VLAN 12 bits */
	uint16_t type_be;
} __attribute__((packed));

_Static_assert(sizeof(struct eth_hdr) == ETH_HDR_BYTES, "Ethernet header");
_Static_assert(sizeof(struct eth_vlan) == ETH_VLAN_BYTES, "VLAN tag");

static inline uint16_t eth_type(const struct eth_hdr *h)
{
	return be16_to_host(h->type_be);
}

/* Group bit: multicast or broadcast. */
static inline bool eth_addr_is_group(const uint8_t addr[ETH_ADDR_BYTES])
{
	return addr[0] & 1;
}

static inline bool eth_addr_is_broadcast(const uint8_t addr[ETH_ADDR_BYTES])
{
	return (addr[0] & addr[1] & addr[2] & addr[3] & addr[4] & addr[5]) == 0xff;
}

static inline bool eth_addr_is_zero(const uint8_t addr[ETH_ADDR_BYTES])
{
	return (addr[0] | addr[1] | addr[2] | addr[3] | addr[4] | addr[5]) == 0;
}

static inline bool eth_addr_equal(const uint8_t a[ETH_ADDR_BYTES], const uint8_t b[ETH_ADDR_BYTES])
{
	return memcmp(a, b, ETH_ADDR_BYTES) == 0;
}

static inline void eth_addr_copy(uint8_t dst[ETH_ADDR_BYTES], const uint8_t src[ETH_ADDR_BYTES])
{
	memcpy(dst, src, ETH_ADDR_BYTES);
}

static inline void eth_hdr_fill(struct eth_hdr *h, const uint8_t dst[ETH_ADDR_BYTES],
				const uint8_t src[ETH_ADDR_BYTES], uint16_t type)
{
	eth_addr_copy(h->dst, dst);
	eth_addr_copy(h->src, src);
	h->type_be = host_to_be16(type);
}

#endif
