/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PACKET_RX_RING: frames in memory that a program maps, packet(7); libpcap captures in no other
 * way. The ring is the program's own memory, and the shim fills it from the socket's ring in the
 * arena whenever the program asks whether there is something (poll, select, epoll, ppoll). Version
 * 2 only: who asks for 3 is told that there is none, and takes 2.
 *
 * The shim keeps a mapping of its own: the program may unmap its one at any time.
 */
#include "shim/call/packet.h"

#include <linux/if_packet.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING_MAX_BYTES (256u << 20)

struct packet_ring {
	uint32_t version, reserve;
	struct tpacket_req req;
	uint8_t *frames; /* NULL: no ring */
	size_t bytes;
	uint32_t at; /* the next frame to fill */
	struct lock lock;
};

static struct packet_ring *ring_of(struct wsock *ws)
{
	if (!ws->ring)
		ws->ring = slab_more(sizeof(struct packet_ring));
	return ws->ring;
}

static struct tpacket2_hdr *frame(const struct packet_ring *r, uint32_t i)
{
	uint32_t each = r->req.tp_block_size / r->req.tp_frame_size;
	size_t at = (size_t)(i / each) * r->req.tp_block_size +
		    (size_t)(i % each) * r->req.tp_frame_size;

	return (struct tpacket2_hdr *)(void *)(r->frames + at);
}

static uint32_t frame_status(const struct packet_ring *r, uint32_t i)
{
	return __atomic_load_n(&frame(r, i)->tp_status, __ATOMIC_ACQUIRE);
}

/* ---- filling ---- */

struct filling {
	struct packet_ring *r;
	bool cooked;
};

/* Where in a frame the network header is, as Linux places it. */
static uint32_t net_offset(const struct filling *f, const struct abi_packet *h)
{
	uint32_t mac = f->cooked || h->net < 16 ? 16 : h->net;

	return TPACKET_ALIGN(TPACKET2_HDRLEN + mac) + f->r->reserve;
}

static ssize_t fill_one(void *arg, const void *header, const uint8_t *ring, uint32_t size,
			uint32_t pos)
{
	struct filling *f = arg;
	struct packet_ring *r = f->r;
	struct tpacket2_hdr *t = frame(r, r->at);
	struct abi_packet h;
	uint32_t net, mac, len;

	memcpy(&h, header, sizeof(h));
	net = net_offset(f, &h);
	mac = f->cooked ? net : net - h.net;
	len = h.len_bytes;
	if (mac > r->req.tp_frame_size)
		len = mac = net = 0;
	else if (len > r->req.tp_frame_size - mac)
		len = r->req.tp_frame_size - mac;
	app_ring_read((uint8_t *)t + mac, ring, size, pos, len);
	t->tp_len = h.wire_bytes;
	t->tp_snaplen = len;
	t->tp_mac = (uint16_t)mac;
	t->tp_net = (uint16_t)net;
	t->tp_sec = (uint32_t)(h.stamp_ns / 1000000000);
	t->tp_nsec = (uint32_t)(h.stamp_ns % 1000000000);
	t->tp_vlan_tci = h.vlan_tci;
	t->tp_vlan_tpid = h.vlan_tpid;
	packet_ll(&h, (uint8_t *)t + TPACKET_ALIGN(sizeof(*t)));
	__atomic_store_n(&t->tp_status, h.status | TP_STATUS_USER, __ATOMIC_RELEASE);
	r->at = (r->at + 1) % r->req.tp_frame_nr;
	return 0;
}

static void fill(struct wsock *ws, struct packet_ring *r)
{
	struct filling f = { r, ws->type == SOCK_DGRAM };

	while (frame_status(r, r->at) == TP_STATUS_KERNEL) {
		if (record_take(ws, false, fill_one, &f) < 0)
			return;
	}
}

uint32_t packet_ring_events(struct wsock *ws, uint32_t events)
{
	struct packet_ring *r = ws->ring;

	if (!r->frames)
		return events;
	lock_take(&r->lock);
	fill(ws, r);
	events &= ~ABI_EV_IN;
	if (frame_status(r, (r->at + r->req.tp_frame_nr - 1) % r->req.tp_frame_nr) !=
	    TP_STATUS_KERNEL)
		events |= ABI_EV_IN;
	lock_drop(&r->lock);
	return events;
}

/* ---- making ---- */

static int req_check(const struct packet_ring *r, const struct tpacket_req *req)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);

	if (req->tp_block_nr == 0)
		return req->tp_frame_nr ? -EINVAL : 0;
	if (req->tp_block_size == 0 || req->tp_block_size > INT32_MAX ||
	    req->tp_block_size % page || req->tp_frame_size < TPACKET2_HDRLEN + r->reserve ||
	    req->tp_frame_size % TPACKET_ALIGNMENT || req->tp_frame_size > req->tp_block_size)
		return -EINVAL;
	if ((uint64_t)req->tp_block_size * req->tp_block_nr > RING_MAX_BYTES)
		return -ENOMEM;
	return req->tp_block_size / req->tp_frame_size * req->tp_block_nr == req->tp_frame_nr
		       ? 0
		       : -EINVAL;
}

static void ring_end(struct packet_ring *r)
{
	if (r->frames)
		munmap(r->frames, r->bytes);
	r->frames = NULL;
	r->at = 0;
}

static int ring_make(struct packet_ring *r, const void *value, socklen_t len)
{
	struct tpacket_req req;
	void *m;
	int err;

	if (len < sizeof(req))
		return -EINVAL;
	memcpy(&req, value, sizeof(req));
	if (req.tp_block_nr && r->version != TPACKET_V2) {
		session_notef("PACKET_RX_RING: weir has version 2 of the ring only");
		return -EINVAL;
	}
	if (req.tp_block_nr && r->frames)
		return -EBUSY;
	err = req_check(r, &req);
	if (err)
		return err;
	if (req.tp_block_nr == 0) {
		ring_end(r);
		return 0;
	}
	r->bytes = (size_t)req.tp_block_size * req.tp_block_nr;
	m = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return -ENOMEM;
	r->req = req;
	r->at = 0;
	r->frames = m;
	return 0;
}

int packet_ring_set(struct wsock *ws, int name, const void *value, socklen_t len)
{
	struct packet_ring *r = ring_of(ws);
	uint32_t v;
	int err;

	if (!r)
		return -ENOMEM;
	if (name == PACKET_TX_RING) {
		session_notef("PACKET_TX_RING: weir has no ring for sending: use send()");
		return -EINVAL;
	}
	if (name == PACKET_RX_RING) {
		lock_take(&r->lock);
		err = ring_make(r, value, len);
		lock_drop(&r->lock);
		return err;
	}
	if (len != sizeof(v))
		return -EINVAL;
	memcpy(&v, value, sizeof(v));
	if (r->frames)
		return -EBUSY;
	if (name == PACKET_RESERVE) {
		if (v > INT16_MAX)
			return -EINVAL;
		r->reserve = v;
		return 0;
	}
	if (v != TPACKET_V1 && v != TPACKET_V2)
		return -EINVAL;
	r->version = v;
	return 0;
}

int packet_ring_get(struct wsock *ws, int name, void *value, socklen_t *len)
{
	const struct packet_ring *r = ws->ring;
	int v = 0;

	if (name == PACKET_HDRLEN) {
		if (*len < sizeof(v))
			return -EINVAL;
		memcpy(&v, value, sizeof(v));
		if (v != TPACKET_V1 && v != TPACKET_V2)
			return -EINVAL;
		v = v == TPACKET_V1 ? (int)sizeof(struct tpacket_hdr)
				    : (int)sizeof(struct tpacket2_hdr);
	} else if (name == PACKET_VERSION) {
		v = r ? (int)r->version : TPACKET_V1;
	} else if (name == PACKET_RESERVE) {
		v = r ? (int)r->reserve : 0;
	} else {
		return 1;
	}
	*len = *len < sizeof(v) ? *len : (socklen_t)sizeof(v);
	memcpy(value, &v, *len);
	return 0;
}

void packet_ring_free(struct wsock *ws)
{
	if (ws->ring)
		ring_end(ws->ring);
}

void *packet_ring_map(struct wsock *ws, size_t len, int prot, int flags, off64_t offset)
{
	struct packet_ring *r = ws->ring;
	void *m = MAP_FAILED;

	if (!r || !r->frames || offset != 0 || len != r->bytes || !(flags & MAP_SHARED)) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	/* Of an old size of 0, mremap() makes a second mapping of the same memory. */
	m = mremap(r->frames, 0, r->bytes, MREMAP_MAYMOVE);
	if (m != MAP_FAILED)
		mprotect(m, r->bytes, prot);
	return m;
}
