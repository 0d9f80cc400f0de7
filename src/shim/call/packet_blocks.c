/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PACKET_RX_RING, version 3: frames of their own length one behind the other in large blocks, and a
 * block is given over as a whole. Linux closes a block that is full, or after a while
 * (tp_retire_blk_tov); here it is filled when the program asks, so it is closed then with what
 * there is: nobody who asks waits for more than one frame.
 */
#include "shim/call/packet_ring.h"

struct filling {
	struct packet_ring *r;
	struct tpacket_block_desc *block;
	struct tpacket3_hdr *last;
	uint32_t used, count;
};

static struct tpacket_block_desc *block_at(const struct packet_ring *r, uint32_t i)
{
	return (struct tpacket_block_desc *)(void *)(r->frames + (size_t)i * r->req.tp_block_size);
}

static uint32_t block_status(const struct packet_ring *r, uint32_t i)
{
	return __atomic_load_n(&block_at(r, i)->hdr.bh1.block_status, __ATOMIC_ACQUIRE);
}

static uint32_t first_at(const struct packet_ring *r)
{
	return (uint32_t)(BLOCK_HDR_BYTES + BLOCK_ALIGN(r->req.tp_sizeof_priv));
}

static void block_begin(struct filling *f)
{
	struct tpacket_hdr_v1 *h = &f->block->hdr.bh1;

	f->block->version = TPACKET_V3;
	f->block->offset_to_priv = BLOCK_HDR_BYTES;
	h->offset_to_first_pkt = first_at(f->r);
	f->used = first_at(f->r);
	f->count = 0;
	f->last = NULL;
}

static void block_end(struct filling *f, uint32_t status)
{
	struct tpacket_hdr_v1 *h = &f->block->hdr.bh1;

	f->last->tp_next_offset = 0;
	h->num_pkts = f->count;
	h->blk_len = f->used;
	h->seq_num = ++f->r->seq;
	h->ts_last_pkt.ts_sec = f->last->tp_sec;
	h->ts_last_pkt.ts_nsec = f->last->tp_nsec;
	__atomic_store_n(&h->block_status, status, __ATOMIC_RELEASE);
	f->r->at = (f->r->at + 1) % f->r->req.tp_block_nr;
}

static void header_put(struct filling *f, const struct abi_packet *h,
		       const struct packet_place *place, uint32_t total)
{
	struct tpacket3_hdr *t = f->last;

	memset(t, 0, sizeof(*t));
	t->tp_next_offset = total;
	t->tp_sec = (uint32_t)(h->stamp_ns / 1000000000);
	t->tp_nsec = (uint32_t)(h->stamp_ns % 1000000000);
	t->tp_snaplen = place->len;
	t->tp_len = h->wire_bytes;
	t->tp_status = h->status | TP_STATUS_USER;
	t->tp_mac = (uint16_t)place->mac;
	t->tp_net = (uint16_t)place->net;
	t->hv1.tp_vlan_tci = h->vlan_tci;
	t->hv1.tp_vlan_tpid = h->vlan_tpid;
	packet_ll(h, (uint8_t *)t + TPACKET_ALIGN(sizeof(*t)));
	if (f->count == 1) {
		f->block->hdr.bh1.ts_first_pkt.ts_sec = t->tp_sec;
		f->block->hdr.bh1.ts_first_pkt.ts_nsec = t->tp_nsec;
	}
}

/* -ENOSPC: it stays where it is, for the next block. One that no block would hold is cut. */
static ssize_t fill_one(void *arg, const void *header, const uint8_t *ring, uint32_t size,
			uint32_t pos)
{
	struct filling *f = arg;
	uint32_t room = f->r->req.tp_block_size - f->used;
	struct packet_place place;
	struct abi_packet h;
	uint32_t total;

	memcpy(&h, header, sizeof(h));
	place = packet_place(f->r, &h, f->r->ws->type == SOCK_DGRAM);
	if (place.mac > room || place.len > room - place.mac) {
		if (f->count)
			return -ENOSPC;
		if (place.mac > room)
			place = (struct packet_place){ TPACKET3_HDRLEN, TPACKET3_HDRLEN, 0 };
		else
			place.len = room - place.mac;
	}
	total = (uint32_t)BLOCK_ALIGN(place.mac + place.len);
	f->last = (struct tpacket3_hdr *)(void *)((uint8_t *)f->block + f->used);
	f->count++;
	app_ring_read((uint8_t *)f->last + place.mac, ring, size, pos, place.len);
	header_put(f, &h, &place, total);
	f->used += total < room ? total : room;
	return 0;
}

void packet_blocks_fill(struct wsock *ws, struct packet_ring *r)
{
	struct filling f = { .r = r };
	ssize_t n = -ENOSPC;

	while (n == -ENOSPC && block_status(r, r->at) == TP_STATUS_KERNEL) {
		f.block = block_at(r, r->at);
		block_begin(&f);
		do {
			n = record_take(ws, false, fill_one, &f);
		} while (n >= 0);
		if (f.count)
			block_end(&f, n == -ENOSPC ? TP_STATUS_USER
						   : TP_STATUS_USER | TP_STATUS_BLK_TMO);
	}
}

bool packet_blocks_ready(const struct packet_ring *r)
{
	uint32_t last = (r->at + r->req.tp_block_nr - 1) % r->req.tp_block_nr;

	return block_status(r, last) != TP_STATUS_KERNEL;
}
