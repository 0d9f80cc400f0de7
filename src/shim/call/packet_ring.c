/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PACKET_RX_RING: frames in memory that a program maps, packet(7); libpcap captures in no other
 * way. The ring is the program's own memory, and the shim fills it from the socket's ring in the
 * arena whenever the program asks whether there is something (poll, select, epoll, ppoll).
 *
 * The shim keeps a mapping of its own: the program may unmap its one at any time. An epoll set
 * knows a socket by its slot, so the rings of a process are in a list, too.
 */
#include "shim/call/packet_ring.h"

#include <sys/mman.h>
#include <unistd.h>

#define RING_MAX_BYTES (256u << 20)

_Atomic uint32_t packet_rings;
static struct packet_ring *rings;
static struct lock rings_lock;

static struct packet_ring *ring_of(struct wsock *ws)
{
	if (!ws->ring)
		ws->ring = slab_more(sizeof(struct packet_ring));
	return ws->ring;
}

uint32_t packet_header_bytes(uint32_t version)
{
	static const uint32_t bytes[] = { TPACKET_HDRLEN, TPACKET2_HDRLEN, TPACKET3_HDRLEN };

	return version <= TPACKET_V3 ? bytes[version] : 0;
}

struct packet_place packet_place(const struct packet_ring *r, const struct abi_packet *h,
				 bool cooked)
{
	uint32_t mac = cooked || h->net < 16 ? 16 : h->net;
	uint32_t net = TPACKET_ALIGN(packet_header_bytes(r->version) + mac) + r->reserve;

	return (struct packet_place){ cooked ? net : net - h->net, net, h->len_bytes };
}

/* ---- readiness ---- */

uint32_t packet_ring_events(struct wsock *ws, uint32_t events)
{
	struct packet_ring *r = ws->ring;
	bool blocks = r->version == TPACKET_V3;

	lock_take(&r->lock);
	if (r->frames) {
		if (blocks)
			packet_blocks_fill(ws, r);
		else
			packet_frames_fill(ws, r);
		events &= ~ABI_EV_IN;
		if (blocks ? packet_blocks_ready(r) : packet_frames_ready(r))
			events |= ABI_EV_IN;
	}
	lock_drop(&r->lock);
	return events;
}

uint32_t packet_ring_slot_events(uint32_t index, uint32_t gen, uint32_t events)
{
	struct packet_ring *r;

	lock_take(&rings_lock);
	for (r = rings; r && (r->ws->index != index || r->ws->gen != gen);)
		r = r->next;
	if (r)
		events = packet_ring_events(r->ws, events);
	lock_drop(&rings_lock);
	return events;
}

/* ---- making ---- */

static int req_check(const struct packet_ring *r)
{
	const struct tpacket_req3 *req = &r->req;
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
	uint32_t least = packet_header_bytes(r->version) + r->reserve;

	if (req->tp_block_size == 0 || req->tp_block_size > INT32_MAX ||
	    req->tp_block_size % page || req->tp_frame_size < least ||
	    req->tp_frame_size % TPACKET_ALIGNMENT || req->tp_frame_size > req->tp_block_size)
		return -EINVAL;
	if (r->version == TPACKET_V3 &&
	    BLOCK_HDR_BYTES + BLOCK_ALIGN(req->tp_sizeof_priv) + least > req->tp_block_size)
		return -EINVAL;
	if ((uint64_t)req->tp_block_size * req->tp_block_nr > RING_MAX_BYTES)
		return -ENOMEM;
	return req->tp_block_size / req->tp_frame_size * req->tp_block_nr == req->tp_frame_nr
		       ? 0
		       : -EINVAL;
}

static void list_add(struct packet_ring *r)
{
	lock_take(&rings_lock);
	r->next = rings;
	rings = r;
	atomic_fetch_add(&packet_rings, 1);
	lock_drop(&rings_lock);
}

static void list_del(struct packet_ring *r)
{
	struct packet_ring **link = &rings;

	lock_take(&rings_lock);
	while (*link && *link != r)
		link = &(*link)->next;
	if (*link) {
		*link = r->next;
		atomic_fetch_sub(&packet_rings, 1);
	}
	lock_drop(&rings_lock);
}

static int ring_map(struct packet_ring *r)
{
	void *m;

	r->bytes = (size_t)r->req.tp_block_size * r->req.tp_block_nr;
	m = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return -ENOMEM;
	r->at = 0;
	r->seq = 0;
	r->frames = m;
	return 0;
}

static void ring_unmap(struct packet_ring *r)
{
	if (r->frames)
		munmap(r->frames, r->bytes);
	r->frames = NULL;
}

/* r->lock is held: r is out of the list while it has no frames, and nobody waits for both locks in
 * the other order. */
static int ring_make(struct packet_ring *r, const void *value, socklen_t len)
{
	size_t bytes = r->version == TPACKET_V3 ? sizeof(r->req) : sizeof(struct tpacket_req);
	struct tpacket_req3 req = { .tp_block_size = 0 };
	int err;

	if (len < bytes)
		return -EINVAL;
	memcpy(&req, value, bytes);
	if (req.tp_block_nr == 0) {
		if (!req.tp_frame_nr)
			ring_unmap(r);
		return req.tp_frame_nr ? -EINVAL : 0;
	}
	if (r->frames)
		return -EBUSY;
	r->req = req;
	err = req_check(r);
	return err ? err : ring_map(r);
}

static int ring_set(struct wsock *ws, struct packet_ring *r, const void *value, socklen_t len)
{
	int err;

	list_del(r);
	lock_take(&r->lock);
	r->ws = ws;
	err = ring_make(r, value, len);
	lock_drop(&r->lock);
	if (r->frames)
		list_add(r);
	return err;
}

int packet_ring_set(struct wsock *ws, int name, const void *value, socklen_t len)
{
	struct packet_ring *r = ring_of(ws);
	uint32_t v;

	if (!r)
		return -ENOMEM;
	if (name == PACKET_TX_RING) {
		session_notef("PACKET_TX_RING: weir has no ring for sending: use send()");
		return -EINVAL;
	}
	if (name == PACKET_RX_RING)
		return ring_set(ws, r, value, len);
	if (len != sizeof(v))
		return -EINVAL;
	memcpy(&v, value, sizeof(v));
	if (name == PACKET_VERSION && !packet_header_bytes(v))
		return -EINVAL;
	if (name == PACKET_RESERVE && v > INT32_MAX)
		return -EINVAL;
	if (r->frames)
		return -EBUSY;
	if (name == PACKET_RESERVE)
		r->reserve = v;
	else
		r->version = v;
	return 0;
}

bool packet_ring_has_blocks(const struct wsock *ws)
{
	return ws->ring && ws->ring->version == TPACKET_V3;
}

static uint32_t header_size(uint32_t version)
{
	static const uint32_t bytes[] = { sizeof(struct tpacket_hdr), sizeof(struct tpacket2_hdr),
					  sizeof(struct tpacket3_hdr) };

	return bytes[version];
}

int packet_ring_get(struct wsock *ws, int name, void *value, socklen_t *len)
{
	const struct packet_ring *r = ws->ring;
	int v = 0;

	if (name == PACKET_HDRLEN) {
		if (*len < sizeof(v))
			return -EINVAL;
		memcpy(&v, value, sizeof(v));
		if (!packet_header_bytes((uint32_t)v))
			return -EINVAL;
		v = (int)header_size((uint32_t)v);
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
	if (!ws->ring)
		return;
	list_del(ws->ring);
	ring_unmap(ws->ring);
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
