/* SPDX-License-Identifier: BSD-3-Clause */
/* What packet_ring.c (rings are made), packet_frames.c (versions 1 and 2: filled frame by frame)
 * and packet_blocks.c (version 3: block by block) share. */
#ifndef WEIR_SHIM_CALL_PACKET_RING_H
#define WEIR_SHIM_CALL_PACKET_RING_H

#include <linux/if_packet.h>

#include "shim/call/packet.h"

/* Version 3: what a block begins with. */
#define BLOCK_ALIGN(bytes) (((uint64_t)(bytes) + 7u) & ~7ull)
#define BLOCK_HDR_BYTES BLOCK_ALIGN(sizeof(struct tpacket_block_desc))

struct packet_ring {
	uint32_t version, reserve;
	struct tpacket_req3 req; /* what is behind tp_frame_nr has version 3 alone */
	uint8_t *frames;	 /* NULL: no ring */
	size_t bytes;
	uint32_t at;  /* the next frame to fill; version 3: block */
	uint64_t seq; /* version 3: blocks that were closed */
	struct lock lock;
	struct wsock *ws;
	struct packet_ring *next; /* of the process's; packet_ring.c's */
};

/* Bytes of a frame's header with the address behind it; 0: there is no such version. */
uint32_t packet_header_bytes(uint32_t version);

/* Where in a frame its link-layer and its network header are, as Linux places them, from the
 * frame's start; and how much there is to copy. */
struct packet_place {
	uint32_t mac, net, len;
};
struct packet_place packet_place(const struct packet_ring *r, const struct abi_packet *h,
				 bool cooked);

/* Move what waits in the socket's ring into frames that the program has given back. */
void packet_frames_fill(struct wsock *ws, struct packet_ring *r);
void packet_blocks_fill(struct wsock *ws, struct packet_ring *r);
/* Is there one that the program has not given back? */
bool packet_frames_ready(const struct packet_ring *r);
bool packet_blocks_ready(const struct packet_ring *r);

#endif
