/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ARP for IPv4 over Ethernet (RFC 826).
 */
#ifndef WEIR_WIRE_ARP_H
#define WEIR_WIRE_ARP_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/byteorder.h"
#include "wire/eth.h"

#define ARP_HTYPE_ETH 1u
#define ARP_OP_REQUEST 1u
#define ARP_OP_REPLY 2u
#define ARP_MSG_BYTES 28u

struct arp_msg {
	uint16_t htype_be;
	uint16_t ptype_be;
	uint8_t hlen;
	uint8_t plen;
	uint16_t op_be;
	uint8_t sender_mac[ETH_ADDR_BYTES];
	uint32_t sender_ip_be;
	uint8_t target_mac[ETH_ADDR_BYTES];
	uint32_t target_ip_be;
} __attribute__((packed));

_Static_assert(sizeof(struct arp_msg) == ARP_MSG_BYTES, "ARP message");

static inline uint16_t arp_op(const struct arp_msg *m)
{
	return be16_to_host(m->op_be);
}

/* Are the fixed fields those of IPv4 over Ethernet? */
static inline bool arp_is_eth_ip4(const struct arp_msg *m)
{
	return m->htype_be == WIRE_BE16(ARP_HTYPE_ETH) && m->ptype_be == WIRE_BE16(ETH_TYPE_IP4) &&
	       m->hlen == ETH_ADDR_BYTES && m->plen == 4;
}

/* The fixed fields and the operation; addresses are the caller's to fill. */
static inline void arp_fill(struct arp_msg *m, uint16_t op)
{
	m->htype_be = WIRE_BE16(ARP_HTYPE_ETH);
	m->ptype_be = WIRE_BE16(ETH_TYPE_IP4);
	m->hlen = ETH_ADDR_BYTES;
	m->plen = 4;
	m->op_be = host_to_be16(op);
}

#endif
