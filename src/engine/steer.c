/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering between workers.
 *
 * Theory of operation. A port's hash decides to which queue, so to which worker, a packet comes. A
 * worker knows its own flows only, and some packets come to another one: of a connection that a
 * program opened (its worker was chosen before there was a packet), an ICMP error about it, a TAP
 * flow that the kernel has forgotten, later fragments, which have no ports. Listeners and bound
 * datagram sockets are on every worker (sock/shard.c), so what begins at us needs no steering.
 *
 *   - Who finds no socket for a packet hands it to the next worker; the one that all others had it
 *     before answers for everybody (RST, port unreachable).
 *   - Fragments go to the worker that the hash of (source, destination, id, protocol) names.
 *   - An ARP answer is told to all.
 *
 * Between each ordered pair of workers there is a mailbox: a ring of bytes with one writer and one
 * reader, so without locks. It carries copies, because a buffer can only be given back to the pool
 * of its own worker, which has no lock. A full mailbox drops (CPU_BACKLOG); a reader without
 * buffers leaves what it cannot take where it is. The ledger counts a packet out at the writer and
 * in at the reader; between the two it is held (engine_ledger()).
 *
 * Threads: box[from][to] is written by worker `from` and read by worker `to`.
 */
#include "engine/steer.h"

#include <errno.h>
#include <rte_cycles.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "core/watch.h"
#include "engine/thread.h"
#include "inet/tcp/params.h"
#include "inet/tcp/tcp.h"
#include "wire/app_ring.h"

#define STEER_BOX_BYTES (16u << 20) /* steer_max_bytes at most; memory comes with use */

struct steer_box {
	ABI_ALIGNED _Atomic uint32_t tail; /* the writer's; both run freely */
	uint32_t head_seen;		   /* the writer's copy of head */
	uint32_t rung;			   /* the reader's sleep that the writer ended last */
	bool fresh;			   /* written to in this loop */
	ABI_ALIGNED _Atomic uint32_t head; /* the reader's */
	ABI_ALIGNED uint8_t data[STEER_BOX_BYTES];
};

struct engine_steer {
	struct steer_box *box[ABI_MAX_WORKERS][ABI_MAX_WORKERS]; /* [from][to] */
};

enum steer_kind { STEER_PACKET, STEER_NEIGH };

/* What is in front of a packet's bytes. Offsets are counted from its first byte. */
struct steer_msg {
	uint32_t kind;
	uint32_t len; /* of what follows; the next message begins at a multiple of eight */
	uint32_t path;
	uint16_t l2, l3, l4;
	uint16_t flags, gso_size, csum_at;
	uint8_t ifindex, steered;
	uint8_t followed, follow_epoch;
	uint32_t follow_id;
	uint32_t reserved2;
	uint64_t stamp_ns;
};

struct steer_neigh {
	struct ipaddr addr;
	uint32_t ifindex;
	uint8_t mac[6];
	uint8_t proven, reserved;
};

_Static_assert(sizeof(struct steer_msg) % 8 == 0 && sizeof(struct steer_neigh) % 8 == 0, "aligned");

static uint32_t msg_space(uint32_t len)
{
	return (uint32_t)sizeof(struct steer_msg) + ((len + 7) & ~7u);
}

/* ---- the writer ---- */

/* A place for len bytes behind a message's head, or NULL where the box is full. */
static struct steer_box *box_for(struct worker *w, unsigned int to, uint32_t len)
{
	struct steer_box *box = w->engine->steer->box[w->id][to];
	uint32_t tail = atomic_load_explicit(&box->tail, memory_order_relaxed);
	uint32_t most = (uint32_t)tcp_params(w)->steer_max_bytes;

	if (tail - box->head_seen + msg_space(len) <= most)
		return box;
	box->head_seen = atomic_load_explicit(&box->head, memory_order_acquire);
	return tail - box->head_seen + msg_space(len) <= most ? box : NULL;
}

static void box_publish(struct steer_box *box, uint32_t len)
{
	uint32_t tail = atomic_load_explicit(&box->tail, memory_order_relaxed);

	atomic_store_explicit(&box->tail, tail + msg_space(len), memory_order_release);
	box->fresh = true;
}

static void packet_copy(struct steer_box *box, const struct pkt *p, const struct steer_msg *msg)
{
	uint32_t at = atomic_load_explicit(&box->tail, memory_order_relaxed);

	app_ring_write(box->data, STEER_BOX_BYTES, at, msg, sizeof(*msg));
	at += (uint32_t)sizeof(*msg);
	for (const struct rte_mbuf *m = &p->mbuf; m; m = m->next) {
		app_ring_write(box->data, STEER_BOX_BYTES, at, rte_pktmbuf_mtod(m, const uint8_t *),
			       m->data_len);
		at += m->data_len;
	}
}

/* Takes the packet. steered: how many workers have looked for its socket. */
static void packet_hand(struct worker *w, struct pkt *p, unsigned int to, uint8_t steered)
{
	uint16_t begin = p->mbuf.data_off;
	struct steer_msg msg = { .kind = STEER_PACKET, .len = pkt_len(p) };
	struct steer_box *box = box_for(w, to, msg.len);

	stage_enter_one(w, STAGE_STEER, p);
	if (unlikely(!box)) {
		pkt_drop(w, p, DROP_CPU_BACKLOG);
		return;
	}
	msg.path = p->path;
	msg.l2 = (uint16_t)(p->l2 - begin);
	msg.l3 = (uint16_t)(p->l3 - begin);
	msg.l4 = (uint16_t)(p->l4 - begin);
	msg.flags = p->flags;
	msg.gso_size = p->gso_size;
	msg.csum_at = p->csum_at;
	msg.ifindex = p->ifindex;
	msg.steered = steered;
	watch_note(w, p, STEER, to, 0);
	msg.followed = p->followed;
	msg.follow_epoch = p->follow_epoch;
	msg.follow_id = p->follow_id;
	msg.stamp_ns = p->stamp_ns;
	packet_copy(box, p, &msg);
	pkt_steered_out(w, p);
	box_publish(box, msg.len);
}

static bool steer(struct worker *w, struct pkt *p)
{
	if (p->steered + 1u >= w->siblings)
		return false;
	packet_hand(w, p, (w->id + 1) % w->siblings, (uint8_t)(p->steered + 1));
	return true;
}

static bool steer_fragment(struct worker *w, struct pkt *p, uint32_t hash)
{
	unsigned int to = (unsigned int)((uint64_t)hash * w->siblings >> 32);

	if (to == w->id)
		return false;
	packet_hand(w, p, to, 0);
	return true;
}

static void neigh_learned(struct worker *w, unsigned int ifindex, const struct ipaddr *addr,
			  const uint8_t mac[6], bool proven)
{
	struct steer_neigh neigh = { .addr = *addr, .ifindex = ifindex, .proven = proven };
	struct steer_msg msg = { .kind = STEER_NEIGH, .len = sizeof(neigh) };

	memcpy(neigh.mac, mac, sizeof(neigh.mac));
	for (unsigned int to = 0; to < w->siblings; to++) {
		struct steer_box *box = to == w->id ? NULL : box_for(w, to, msg.len);
		uint32_t at;

		if (!box)
			continue; /* full: the neighbour is asked again */
		at = atomic_load_explicit(&box->tail, memory_order_relaxed);
		app_ring_write(box->data, STEER_BOX_BYTES, at, &msg, sizeof(msg));
		app_ring_write(box->data, STEER_BOX_BYTES, at + (uint32_t)sizeof(msg), &neigh,
			       sizeof(neigh));
		box_publish(box, msg.len);
	}
}

void steer_upcalls(struct inet_upcalls *upcalls)
{
	upcalls->neigh_learned = neigh_learned;
	upcalls->steer = steer;
	upcalls->steer_fragment = steer_fragment;
}

void steer_flush(struct engine *engine, unsigned int worker)
{
	if (!engine->steer || !engine->threads)
		return;
	for (unsigned int to = 0; to < engine->worker_count; to++) {
		struct steer_box *box = engine->steer->box[worker][to];
		uint32_t nap;

		if (!box || !box->fresh)
			continue;
		box->fresh = false;
		atomic_thread_fence(memory_order_seq_cst);
		nap = atomic_load_explicit(&engine->threads->page->worker[to].sleeping,
					   memory_order_relaxed);
		if (nap == 0 || nap == box->rung)
			continue;
		box->rung = nap;
		eventfd_write(engine->threads->thread[to].bell_fd, 1);
	}
}

/* ---- the reader ---- */

/* len bytes of the box at `at` as a packet; NULL when there are no buffers. */
static struct pkt *packet_make(struct worker *w, const struct steer_box *box, uint32_t at,
			       const struct steer_msg *msg)
{
	uint32_t offset = at & (STEER_BOX_BYTES - 1);
	uint32_t run = RTE_MIN(msg->len, STEER_BOX_BYTES - offset);
	struct pkt *p;
	uint16_t begin;

	if (pkt_alloc_raw(w, &p, 1))
		return NULL;
	if (pkt_append(w, p, box->data + offset, run) ||
	    (run < msg->len && pkt_append(w, p, box->data, msg->len - run))) {
		pkt_free_raw(&p, 1);
		w->ledger.alloc_failed++;
		return NULL;
	}
	pkt_steered_in(w, p);
	begin = p->mbuf.data_off;
	p->path = msg->path;
	p->stage = STAGE_STEER;
	p->flags = msg->flags;
	p->ifindex = msg->ifindex;
	p->l2 = (uint16_t)(begin + msg->l2);
	p->l3 = (uint16_t)(begin + msg->l3);
	p->l4 = p->l7 = (uint16_t)(begin + msg->l4);
	p->gso_size = msg->gso_size;
	p->csum_at = msg->csum_at;
	p->stamp_ns = msg->stamp_ns;
	p->steered = msg->steered;
	p->followed = msg->followed;
	p->follow_epoch = msg->follow_epoch;
	p->follow_id = msg->follow_id;
	watch_note(w, p, STEERED, w->id, 0);
	return p;
}

static void neigh_take(struct worker *w, const struct steer_box *box, uint32_t at)
{
	struct steer_neigh neigh;

	app_ring_read(&neigh, box->data, STEER_BOX_BYTES, at, sizeof(neigh));
	inet_neigh_learn(w, neigh.ifindex, &neigh.addr, neigh.mac, neigh.proven);
}

/* Take up to `max` messages; *n: how many of them are packets, in pkts. */
static unsigned int box_take(struct worker *w, struct steer_box *box, struct pkt **pkts,
			     unsigned int max, unsigned int *n)
{
	uint32_t head = atomic_load_explicit(&box->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&box->tail, memory_order_acquire);
	unsigned int taken = 0;

	*n = 0;
	for (; head != tail && taken < max; taken++) {
		struct steer_msg msg;

		app_ring_read(&msg, box->data, STEER_BOX_BYTES, head, sizeof(msg));
		if (msg.kind == STEER_NEIGH) {
			neigh_take(w, box, head + (uint32_t)sizeof(msg));
		} else {
			pkts[*n] = packet_make(w, box, head + (uint32_t)sizeof(msg), &msg);
			if (!pkts[*n])
				break;
			(*n)++;
		}
		head += msg_space(msg.len);
	}
	atomic_store_explicit(&box->head, head, memory_order_release);
	return taken;
}

unsigned int steer_receive(struct engine *engine, unsigned int worker)
{
	struct worker *w = engine->worker[worker];
	unsigned int work = 0;

	for (unsigned int from = 0; from < engine->worker_count; from++) {
		struct steer_box *box = engine->steer->box[from][worker];
		struct pkt *pkts[PORT_BURST];
		uint64_t begin;
		unsigned int n;

		if (!box || atomic_load_explicit(&box->tail, memory_order_relaxed) ==
				    atomic_load_explicit(&box->head, memory_order_relaxed))
			continue;
		begin = rte_rdtsc();
		work += box_take(w, box, pkts, PORT_BURST, &n);
		inet_steered(w, pkts, n);
		w->ledger.stage[STAGE_STEER].cycles += rte_rdtsc() - begin;
	}
	return work;
}

bool steer_pending(const struct engine *engine, unsigned int worker)
{
	if (!engine->steer)
		return false;
	for (unsigned int from = 0; from < engine->worker_count; from++) {
		struct steer_box *box = engine->steer->box[from][worker];

		if (box && atomic_load_explicit(&box->tail, memory_order_relaxed) !=
				   atomic_load_explicit(&box->head, memory_order_relaxed))
			return true;
	}
	return false;
}

/* ---- start and end ---- */

int steer_init(struct engine *engine)
{
	unsigned int workers = engine->worker_count;

	if (workers < 2)
		return 0;
	engine->steer = calloc(1, sizeof(*engine->steer));
	if (!engine->steer)
		return -ENOMEM;
	for (unsigned int i = 0; i < workers * workers; i++) {
		struct steer_box *box;

		if (i / workers == i % workers)
			continue;
		box = aligned_alloc(ABI_CACHE_LINE, sizeof(*box));
		if (!box)
			return -ENOMEM;
		memset(box, 0, offsetof(struct steer_box, data));
		engine->steer->box[i / workers][i % workers] = box;
	}
	return 0;
}

static void box_drop(struct worker *w, struct steer_box *box)
{
	struct pkt *pkts[PORT_BURST];
	unsigned int taken, n;

	do {
		taken = box_take(w, box, pkts, PORT_BURST, &n);
		for (unsigned int i = 0; i < n; i++)
			pkt_drop(w, pkts[i], DROP_PORT_DOWN);
	} while (taken);
}

void steer_free(struct engine *engine)
{
	unsigned int workers = engine->worker_count;

	if (!engine->steer)
		return;
	for (unsigned int i = 0; i < workers * workers; i++) {
		struct steer_box *box = engine->steer->box[i / workers][i % workers];

		if (box)
			box_drop(engine->worker[i % workers], box);
		free(box);
	}
	free(engine->steer);
	engine->steer = NULL;
}
