/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP (RFC 768).
 */
#ifndef WEIR_WIRE_UDP_H
#define WEIR_WIRE_UDP_H

#include <stdint.h>

#include "wire/byteorder.h"

#define UDP_HDR_BYTES 8u
#define UDP_CSUM_AT 6u /* offset of the checksum field */

struct udp_hdr {
	uint16_t src_port_be;
	uint16_t dst_port_be;
	uint16_t len_be;  /* header and payload */
	uint16_t csum_be; /* 0: none */
} __attribute__((packed));

_Static_assert(sizeof(struct udp_hdr) == UDP_HDR_BYTES, "UDP header");

static inline unsigned int udp_len(const struct udp_hdr *h)
{
	return be16_to_host(h->len_be);
}

#endif
