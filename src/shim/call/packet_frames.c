/* SPDX-License-Identifier: BSD-3-Clause */
/* PACKET_RX_RING, versions 1 and 2: a frame a slot of one size, each given over by its status. */
#include "shim/call/packet_ring.h"

static uint8_t *frame(const struct packet_ring *r, uint32_t i)
{
	uint32_t each = r->req.tp_block_size / r->req.tp_frame_size;

	return r->frames + (size_t)(i / each) * r->req.tp_block_size +
	       (size_t)(i % each) * r->req.tp_frame_size;
}

/* Version 1 has it in a long: of which the lower half comes first, and no more is used. */
static uint32_t *status_of(const struct packet_ring *r, uint32_t i)
{
	return (uint32_t *)(void *)frame(r, i);
}

static uint32_t frame_status(const struct packet_ring *r, uint32_t i)
{
	return __atomic_load_n(status_of(r, i), __ATOMIC_ACQUIRE);
}

static void header_1(uint8_t *at, const struct abi_packet *h, const struct packet_place *place)
{
	struct tpacket_hdr *t = (struct tpacket_hdr *)(void *)at;

	t->tp_len = h->wire_bytes;
	t->tp_snaplen = place->len;
	t->tp_mac = (uint16_t)place->mac;
	t->tp_net = (uint16_t)place->net;
	t->tp_sec = (uint32_t)(h->stamp_ns / 1000000000);
	t->tp_usec = (uint32_t)(h->stamp_ns % 1000000000 / 1000);
	packet_ll(h, at + TPACKET_ALIGN(sizeof(*t)));
}

static void header_2(uint8_t *at, const struct abi_packet *h, const struct packet_place *place)
{
	struct tpacket2_hdr *t = (struct tpacket2_hdr *)(void *)at;

	t->tp_len = h->wire_bytes;
	t->tp_snaplen = place->len;
	t->tp_mac = (uint16_t)place->mac;
	t->tp_net = (uint16_t)place->net;
	t->tp_sec = (uint32_t)(h->stamp_ns / 1000000000);
	t->tp_nsec = (uint32_t)(h->stamp_ns % 1000000000);
	t->tp_vlan_tci = h->vlan_tci;
	t->tp_vlan_tpid = h->vlan_tpid;
	packet_ll(h, at + TPACKET_ALIGN(sizeof(*t)));
}

static ssize_t fill_one(void *arg, const void *header, const uint8_t *ring, uint32_t size,
			uint32_t pos)
{
	struct packet_ring *r = arg;
	struct packet_place place;
	struct abi_packet h;
	uint8_t *at = frame(r, r->at);

	memcpy(&h, header, sizeof(h));
	place = packet_place(r, &h, r->ws->type == SOCK_DGRAM);
	if (place.mac > r->req.tp_frame_size)
		place = (struct packet_place){ 0, 0, 0 };
	else if (place.len > r->req.tp_frame_size - place.mac)
		place.len = r->req.tp_frame_size - place.mac;
	app_ring_read(at + place.mac, ring, size, pos, place.len);
	if (r->version == TPACKET_V1)
		header_1(at, &h, &place);
	else
		header_2(at, &h, &place);
	__atomic_store_n(status_of(r, r->at), h.status | TP_STATUS_USER, __ATOMIC_RELEASE);
	r->at = (r->at + 1) % r->req.tp_frame_nr;
	return 0;
}

void packet_frames_fill(struct wsock *ws, struct packet_ring *r)
{
	while (frame_status(r, r->at) == TP_STATUS_KERNEL) {
		if (record_take(ws, false, fill_one, r) < 0)
			return;
	}
}

bool packet_frames_ready(const struct packet_ring *r)
{
	uint32_t last = (r->at + r->req.tp_frame_nr - 1) % r->req.tp_frame_nr;

	return frame_status(r, last) != TP_STATUS_KERNEL;
}
