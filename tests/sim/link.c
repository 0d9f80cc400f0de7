/* SPDX-License-Identifier: BSD-3-Clause */
#include "link.h"

#include <stdlib.h>
#include <string.h>

#include "wire/csum.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/tcp.h"

#define LINK_FIFO 65536u /* frames; a power of two */
#define MS_NS 1000000ull
#define BURST_MAX_NS (100 * MS_NS)

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void link_open(struct link_line *l, const struct sim_params *p, unsigned int direction,
	       uint64_t start_ns)
{
	*l = (struct link_line){
		.p = p,
		.loss = direction ? p->loss_back : p->loss,
		.start_ns = start_ns,
		.direction = direction,
		.rng = p->seed * 2 + direction,
		.rate_kbit = p->rate_kbit,
		.delay_ns = p->delay_us * 1000,
	};
	l->fifo = must(malloc(LINK_FIFO * sizeof(*l->fifo)));
}

void link_close(struct link_line *l)
{
	while (l->count)
		free(l->heap[--l->count]);
	free(l->heap);
	free(l->free);
	free(l->fifo);
}

/* ---- the way: a heap ---- */

static bool before(const struct link_frame *a, const struct link_frame *b)
{
	return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->order < b->order);
}

static void heap_put(struct link_line *l, struct link_frame *f)
{
	uint32_t i = l->count++;

	if (l->count > l->room) {
		l->room = l->room ? l->room * 2 : 256;
		l->heap = must(realloc(l->heap, l->room * sizeof(*l->heap)));
	}
	for (; i && before(f, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
		l->heap[i] = l->heap[(i - 1) / 2];
	l->heap[i] = f;
}

static struct link_frame *heap_take(struct link_line *l)
{
	struct link_frame *first = l->heap[0], *last = l->heap[--l->count];
	uint32_t i = 0, child;

	for (; (child = 2 * i + 1) < l->count; i = child) {
		if (child + 1 < l->count && before(l->heap[child + 1], l->heap[child]))
			child++;
		if (!before(l->heap[child], last))
			break;
		l->heap[i] = l->heap[child];
	}
	l->heap[i] = last;
	return first;
}

uint64_t link_next_ns(const struct link_line *l)
{
	return l->count ? l->heap[0]->due_ns : LINK_NEVER;
}

const struct link_frame *link_take(struct link_line *l, uint64_t now_ns)
{
	if (!l->count || l->heap[0]->due_ns > now_ns)
		return NULL;
	free(l->free);
	l->free = heap_take(l);
	if (l->free->order < l->newest_seen)
		l->stats.overtaken++;
	else
		l->newest_seen = l->free->order;
	return l->free;
}

/* ---- what a frame is ---- */

static struct ip4_hdr *ip_of(uint8_t *frame, uint32_t len)
{
	struct eth_hdr *eth = (struct eth_hdr *)frame;

	if (len < sizeof(*eth) + sizeof(struct ip4_hdr) ||
	    eth->type_be != host_to_be16(ETH_TYPE_IP4))
		return NULL;
	return (struct ip4_hdr *)(eth + 1);
}

static struct tcp_hdr *tcp_of(uint8_t *frame, uint32_t len)
{
	struct ip4_hdr *ip = ip_of(frame, len);

	if (!ip || ip->proto != IP_PROTO_TCP)
		return NULL;
	return (struct tcp_hdr *)((uint8_t *)ip + ip4_hdr_bytes(ip));
}

static uint32_t payload_at(uint8_t *frame, uint32_t len)
{
	struct tcp_hdr *tcp = tcp_of(frame, len);

	return tcp ? (uint32_t)((uint8_t *)tcp - frame) + tcp_hdr_bytes(tcp) : len;
}

static bool carries(uint8_t *frame, uint32_t len)
{
	struct tcp_hdr *tcp = tcp_of(frame, len);

	return tcp && (payload_at(frame, len) < len || (tcp->flags & (TCP_F_SYN | TCP_F_FIN)));
}

static void fix_ip_csum(struct ip4_hdr *ip)
{
	ip->csum_be = 0;
	ip->csum_be = csum_finish(csum_add(0, ip, ip4_hdr_bytes(ip)));
}

static void mark_ce(struct link_line *l, uint8_t *frame, uint32_t len)
{
	struct ip4_hdr *ip = ip_of(frame, len);

	if (!ip || (ip->tos & 3) == 0)
		return;
	ip->tos |= 3;
	fix_ip_csum(ip);
	l->stats.marked++;
}

/* ---- the bottleneck ---- */

uint64_t link_queue_bytes(struct link_line *l, uint64_t now_ns)
{
	while (l->fifo_head != l->fifo_tail) {
		const struct link_departure *d = &l->fifo[l->fifo_head % LINK_FIFO];

		if (d->at_ns > now_ns)
			break;
		l->queue_bytes -= d->len;
		l->fifo_head++;
	}
	return l->queue_bytes;
}

/* When the frame is through, 0: there is no room for it. */
static uint64_t through(struct link_line *l, uint64_t now_ns, uint8_t *frame, uint32_t len)
{
	uint64_t queue = link_queue_bytes(l, now_ns);

	if (!l->rate_kbit)
		return now_ns;
	if ((l->p->buffer && queue + len > l->p->buffer) ||
	    l->fifo_tail - l->fifo_head == LINK_FIFO)
		return 0;
	if (l->p->mark && queue + len > l->p->mark)
		mark_ce(l, frame, len);
	if (l->busy_ns < now_ns)
		l->busy_ns = now_ns;
	l->busy_ns += len * 8ull * 1000000 / l->rate_kbit;
	l->fifo[l->fifo_tail++ % LINK_FIFO] = (struct link_departure){ l->busy_ns, len };
	l->queue_bytes += len;
	if (l->queue_bytes > l->stats.queue_max_bytes)
		l->stats.queue_max_bytes = l->queue_bytes;
	return l->busy_ns;
}

/* ---- the faults ---- */

/* A burst ends with a frame, or by itself: else it would last as long as TCP waits for its end. */
static bool in_burst(struct link_line *l, uint64_t at_ns)
{
	if (at_ns < l->burst_end_ns) {
		if (!sim_chance(&l->rng, l->p->burst_end))
			return true;
		l->burst_end_ns = 0;
	} else if (sim_chance(&l->rng, l->p->burst)) {
		l->burst_end_ns = at_ns + BURST_MAX_NS;
		return true;
	}
	return false;
}

static bool lost(struct link_line *l, uint64_t at_ns)
{
	uint64_t ms = (at_ns - l->start_ns) / MS_NS;

	if (l->p->outage_len_ms && ms >= l->p->outage_ms &&
	    ms < l->p->outage_ms + l->p->outage_len_ms)
		return true;
	return in_burst(l, at_ns) || sim_chance(&l->rng, l->loss);
}

static uint64_t due_ns(struct link_line *l, uint64_t at_ns, bool fair)
{
	uint64_t due = at_ns + l->delay_ns;

	if (!fair)
		return due;
	if (sim_chance(&l->rng, l->p->reorder)) {
		l->stats.held_up++;
		return due + sim_below(&l->rng, l->p->reorder_us * 1000 + 1);
	}
	due += sim_below(&l->rng, l->p->jitter_us * 1000 + 1);
	if (due < l->last_due_ns)
		due = l->last_due_ns;
	l->last_due_ns = due;
	return due;
}

static void travel(struct link_line *l, uint64_t due, const uint8_t *frame, uint32_t len)
{
	struct link_frame *f = must(malloc(sizeof(*f)));

	f->due_ns = due;
	f->order = l->next_order++;
	f->len = len;
	memcpy(f->data, frame, len);
	heap_put(l, f);
}

static void change(struct link_line *l, uint64_t now_ns)
{
	if (!l->p->change_ms || now_ns < l->start_ns + l->p->change_ms * MS_NS)
		return;
	if (l->p->rate2_kbit)
		l->rate_kbit = l->p->rate2_kbit;
	if (l->p->delay2_us)
		l->delay_ns = l->p->delay2_us * 1000;
}

static void lose(struct link_line *l, uint64_t *counter, bool data)
{
	(*counter)++;
	l->stats.data_lost += data;
}

/* frame is the caller's scratch. Returns what became of it, for frames_print(). */
static const char *cross(struct link_line *l, uint64_t now_ns, uint8_t *frame, uint32_t len)
{
	bool ip = ip_of(frame, len), data = carries(frame, len);
	uint64_t at_ns = through(l, now_ns, frame, len);
	const char *fate = "";

	if (!at_ns) {
		lose(l, &l->stats.overflow, data);
		return " OVERFLOW";
	}
	if (ip && lost(l, at_ns)) {
		lose(l, &l->stats.lost, data);
		return " LOST";
	}
	if (ip && sim_chance(&l->rng, l->p->corrupt)) {
		frame[sim_below(&l->rng, len)] ^= (uint8_t)(1 << sim_below(&l->rng, 8));
		l->stats.corrupted++;
		lose(l, &l->stats.lost, data);
		fate = " CORRUPTED";
	}
	travel(l, due_ns(l, at_ns, ip), frame, len);
	if (ip && sim_chance(&l->rng, l->p->dup)) {
		l->stats.dup++;
		travel(l, due_ns(l, at_ns, ip), frame, len);
		fate = " TWICE";
	}
	return fate;
}

static void enter_one(struct link_line *l, uint64_t now_ns, uint8_t *frame, uint32_t len)
{
	uint8_t as_sent[LINK_FRAME_BYTES];
	const char *fate;

	l->stats.frames++;
	l->stats.bytes += len;
	l->stats.data_frames += carries(frame, len);
	l->stats.payload_bytes += len - payload_at(frame, len);
	change(l, now_ns);
	if (!l->frames) {
		cross(l, now_ns, frame, len);
		return;
	}
	memcpy(as_sent, frame, len);
	fate = cross(l, now_ns, frame, len);
	frames_print(l->frames, l->direction, now_ns - l->start_ns, as_sent, len, fate);
}

/* One segment of a large one: headers from it, so much of its payload. */
static void cut_one(struct link_line *l, uint64_t now_ns, const uint8_t *frame, uint32_t hdr,
		    uint32_t at, uint32_t len, bool last)
{
	uint8_t piece[LINK_FRAME_BYTES];
	struct ip4_hdr *ip;
	struct tcp_hdr *tcp;

	memcpy(piece, frame, hdr);
	memcpy(piece + hdr, frame + hdr + at, len);
	ip = ip_of(piece, hdr + len);
	tcp = tcp_of(piece, hdr + len);
	ip->len_be = host_to_be16((uint16_t)(hdr + len - sizeof(struct eth_hdr)));
	fix_ip_csum(ip);
	tcp->seq_be = host_to_be32(be32_to_host(tcp->seq_be) + at);
	if (!last)
		tcp->flags &= (uint8_t) ~(TCP_F_FIN | TCP_F_PSH);
	if (at)
		tcp->flags &= (uint8_t)~TCP_F_CWR;
	enter_one(l, now_ns, piece, hdr + len);
}

void link_enter(struct link_line *l, uint64_t now_ns, const uint8_t *frame, uint32_t len, bool cut)
{
	uint8_t copy[LINK_FRAME_BYTES];
	uint32_t hdr, mss;

	if (len <= sizeof(struct eth_hdr) + LINK_MTU) {
		memcpy(copy, frame, len);
		enter_one(l, now_ns, copy, len);
		return;
	}
	if (!cut)
		abort(); /* larger than the MTU */
	hdr = payload_at((uint8_t *)(uintptr_t)frame, len);
	mss = (uint32_t)sizeof(struct eth_hdr) + LINK_MTU - hdr;
	for (uint32_t at = 0; at < len - hdr; at += mss) {
		uint32_t n = len - hdr - at < mss ? len - hdr - at : mss;

		cut_one(l, now_ns, frame, hdr, at, n, at + n == len - hdr);
	}
}
