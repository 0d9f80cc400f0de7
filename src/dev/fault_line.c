/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The faults in the order of fault.h, and the delay line: a heap ordered by the time at which
 * packets are due, then by the order in which they came. All that is random comes from the line's
 * own generator, one draw for each fault that is on, so a seed tells what happens.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/watch.h"
#include "dev/driver.h"
#include "dev/fault_line.h"

/* ---- the heap ---- */

static bool entry_before(const struct line_entry *a, const struct line_entry *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

/* The control thread looks at it. */
static void set_count(struct fault_line *l, uint32_t count)
{
	__atomic_store_n(&l->count, count, __ATOMIC_RELAXED);
}

static void line_push(struct fault_line *l, struct line_entry entry)
{
	uint32_t at = l->count;

	set_count(l, at + 1);
	while (at && entry_before(&entry, &l->heap[(at - 1) / 2])) {
		l->heap[at] = l->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	l->heap[at] = entry;
}

static void line_pop(struct fault_line *l)
{
	struct line_entry last = l->heap[l->count - 1];
	uint32_t at = 0;

	set_count(l, l->count - 1);
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= l->count)
			break;
		if (child + 1 < l->count && entry_before(&l->heap[child + 1], &l->heap[child]))
			child++;
		if (!entry_before(&l->heap[child], &last))
			break;
		l->heap[at] = l->heap[child];
		at = child;
	}
	l->heap[at] = last;
}

/* ---- faults ---- */

/* splitmix64 */
static uint64_t line_random(struct fault_line *l)
{
	uint64_t z = l->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static bool line_chance(struct fault_line *l, uint64_t chance)
{
	return chance && line_random(l) >> 32 < chance;
}

/* Flip one to three bits of one byte: every checksum of the Internet sees that. (Of what is spread
 * over the frame the 16-bit sum misses about one in a hundred, and programs would get it.) */
static void line_corrupt(struct fault_line *l, struct pkt *p)
{
	uint64_t flips = 1 + line_random(l) % 3;
	struct rte_mbuf *m = &p->mbuf;
	uint8_t mask = 0;
	uint32_t at;

	if (!pkt_len(p))
		return;
	port_count(&l->stats.corrupted, 1);
	p->flags &= (uint16_t)~PKT_F_CSUM_OK;
	at = (uint32_t)(line_random(l) % pkt_len(p));
	while (flips--)
		mask |= (uint8_t)(1u << line_random(l) % 8);
	for (; at >= m->data_len; m = m->next)
		at -= m->data_len;
	*rte_pktmbuf_mtod_offset(m, uint8_t *, at) ^= mask;
}

/* The time at which the rate's server is through with len bytes; false: its queue is full. */
static bool line_serve(const struct fault_config *c, struct fault_line *l, uint64_t now_ns,
		       uint32_t len, uint64_t *done_ns)
{
	*done_ns = now_ns;
	if (!l->done_ns)
		return true;
	while (l->server_head != l->server_tail && l->done_ns[l->server_head % c->queue] <= now_ns)
		l->server_head++;
	if (l->server_tail - l->server_head == c->queue)
		return false;
	if (l->busy_ns < now_ns)
		l->busy_ns = now_ns;
	l->busy_ns += (uint64_t)len * 8 * 1000 / c->rate_mbit;
	l->done_ns[l->server_tail++ % c->queue] = l->busy_ns;
	*done_ns = l->busy_ns;
	return true;
}

static uint64_t line_due(const struct fault_config *c, struct fault_line *l, uint64_t start_ns)
{
	uint64_t due_ns = start_ns + c->delay_ns;

	if (c->jitter_ns) {
		uint64_t swing = line_random(l) % (2 * c->jitter_ns + 1);

		due_ns = due_ns + swing > start_ns + c->jitter_ns ? due_ns + swing - c->jitter_ns
								  : start_ns;
	}
	if (line_chance(l, c->reorder)) {
		port_count(&l->stats.reordered, 1);
		return due_ns + c->reorder_ns;
	}
	if (due_ns < l->last_due_ns)
		due_ns = l->last_due_ns;
	l->last_due_ns = due_ns;
	return due_ns;
}

void line_enter(struct worker *w, const struct fault_config *c, struct fault_line *l, struct pkt *p)
{
	struct line_entry entry = { .pkt = p };
	uint64_t start_ns;

	port_count(&l->stats.frames, 1);
	if (line_chance(l, c->loss)) {
		port_count(&l->stats.lost, 1);
		pkt_drop(w, p, DROP_LINK_LOSS);
		return;
	}
	if (line_chance(l, c->corrupt))
		line_corrupt(l, p);
	if (l->count == LINE_PACKETS || !line_serve(c, l, w->now_ns, pkt_len(p), &start_ns)) {
		port_count(&l->stats.queue_full, 1);
		pkt_drop(w, p, DROP_LINK_QUEUE);
		return;
	}
	entry.due_ns = line_due(c, l, start_ns);
	entry.order = l->next_order++;
	ledger_hold(w, 1);
	watch_note(w, p, LINK_DELAY, entry.due_ns > w->now_ns ? entry.due_ns - w->now_ns : 0, 0);
	line_push(l, entry);
	if (l->count < LINE_PACKETS && line_chance(l, c->dup)) {
		entry.pkt = pkt_copy(w, p);
		if (!entry.pkt)
			return;
		port_count(&l->stats.duplicated, 1);
		entry.order = l->next_order++;
		ledger_hold(w, 1);
		line_push(l, entry);
	}
}

struct pkt *line_due_packet(const struct worker *w, const struct fault_line *l)
{
	return l->count && l->heap[0].due_ns <= w->now_ns ? l->heap[0].pkt : NULL;
}

void line_leave(struct worker *w, struct fault_line *l)
{
	line_pop(l);
	ledger_release(w, 1);
}

uint64_t line_next_ns(const struct fault_line *l)
{
	return l->count ? l->heap[0].due_ns : TIMER_NEVER;
}

int line_open(struct fault_line *l, const struct fault_config *c, bool active, uint64_t seed)
{
	l->active = active;
	l->rng = seed;
	if (!active)
		return 0;
	l->heap = calloc(LINE_PACKETS, sizeof(l->heap[0]));
	if (c->rate_mbit)
		l->done_ns = calloc(c->queue, sizeof(l->done_ns[0]));
	return l->heap && (l->done_ns || !c->rate_mbit) ? 0 : -ENOMEM;
}

void line_close(struct worker *w, struct fault_line *l)
{
	if (l->count)
		ledger_release(w, l->count);
	for (uint32_t i = 0; i < l->count; i++)
		pkt_drop(w, l->heap[i].pkt, DROP_PORT_DOWN);
	free(l->heap);
	free(l->done_ns);
	memset(l, 0, sizeof(*l));
}
