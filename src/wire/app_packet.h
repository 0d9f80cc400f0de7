/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frame in a ring of a packet socket (AF_PACKET): this header and the frame's bytes behind it, as
 * struct abi_dgram and its payload in a datagram socket's ring (wire/app_abi.h): the same size, and
 * lengths at the same place. Values are those of packet(7).
 */
#ifndef WEIR_WIRE_APP_PACKET_H
#define WEIR_WIRE_APP_PACKET_H

#include <stdint.h>

#include "wire/app_abi.h"

struct abi_packet {
	uint32_t len_bytes;   /* that follow */
	uint32_t wire_bytes;  /* of the frame: larger where a filter cut it */
	uint32_t ifindex;     /* send: 0 is the one the socket is bound to */
	uint16_t protocol_be; /* sll_protocol; send: 0 is the one the socket is bound to */
	uint16_t hatype;
	uint8_t pkttype; /* PACKET_HOST... */
	uint8_t halen;
	uint8_t addr[8]; /* receive: the sender's; send, SOCK_DGRAM: the receiver's */
	uint16_t net;	 /* offset of the network header */
	uint16_t vlan_tci, vlan_tpid;
	uint32_t status; /* TP_STATUS_* */
	uint64_t stamp_ns;
	uint8_t reserved[16];
};

_Static_assert(sizeof(struct abi_packet) == sizeof(struct abi_dgram), "records of one form");

#endif
