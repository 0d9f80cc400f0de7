/* SPDX-License-Identifier: BSD-3-Clause */
#include "inet/tcp/sent.h"

#include <string.h>

#include "inet/tcp/tcp_impl.h"

static struct tcp_sent_block *block_new(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_sent_block *b;

	if (pcb->sent_blocks >= TCP_SENT_BLOCKS_MAX)
		return NULL;
	b = tcp_slab_take(&w->tcp->sent);
	if (!b)
		return NULL;
	b->next = NULL;
	b->first = b->n = 0;
	pcb->sent_blocks++;
	return b;
}

struct tcp_sent_at tcp_sent_first(const struct tcp_pcb *pcb)
{
	return (struct tcp_sent_at){ pcb->sent_head, pcb->sent_head ? pcb->sent_head->first : 0 };
}

void tcp_sent_next(struct tcp_sent_at *at)
{
	struct tcp_sent_block *b = at->block;

	if (++at->i < b->first + b->n)
		return;
	at->block = b->next;
	at->i = b->next ? b->next->first : 0;
}

struct tcp_sent *tcp_sent_last(const struct tcp_pcb *pcb)
{
	struct tcp_sent_block *b = pcb->sent_tail;

	return b ? &b->r[b->first + b->n - 1] : NULL;
}

/* The first record of the block whose end is behind seq: by halves. */
static uint32_t block_find(const struct tcp_sent_block *b, uint32_t seq)
{
	uint32_t low = b->first, high = b->first + b->n - 1;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (tcp_seq_gt(b->r[mid].end, seq))
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

struct tcp_sent_at tcp_sent_find(const struct tcp_pcb *pcb, uint32_t seq)
{
	struct tcp_sent_block *b = pcb->sent_head;

	while (b && tcp_seq_leq(b->r[b->first + b->n - 1].end, seq))
		b = b->next;
	return (struct tcp_sent_at){ b, b ? block_find(b, seq) : 0 };
}

static uint32_t *sum_of(struct tcp_pcb *pcb, uint32_t state)
{
	if (state & SENT_SACKED)
		return &pcb->sacked_bytes;
	return state & SENT_LOST ? &pcb->lost_bytes : &pcb->flight_bytes;
}

void tcp_sent_state(struct tcp_pcb *pcb, struct tcp_sent *r, uint32_t state)
{
	uint32_t len = r->end - r->start;

	*sum_of(pcb, r->flags) -= len;
	r->flags = (r->flags & ~(SENT_OUT | SENT_SACKED | SENT_LOST)) | state;
	*sum_of(pcb, r->flags) += len;
}

static struct tcp_sent *slot_at_end(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_sent_block *b = pcb->sent_tail;

	if (!b || b->first + b->n == TCP_SENT_PER_BLOCK) {
		b = block_new(w, pcb);
		if (!b)
			return NULL;
		if (pcb->sent_tail)
			pcb->sent_tail->next = b;
		else
			pcb->sent_head = b;
		pcb->sent_tail = b;
	}
	return &b->r[b->first + b->n++];
}

struct tcp_sent *tcp_sent_add(struct worker *w, struct tcp_pcb *pcb, uint32_t start, uint32_t end)
{
	struct tcp_sent *r = slot_at_end(w, pcb);

	if (!r) {
		r = tcp_sent_last(pcb);
		if (!r || !(r->flags & SENT_OUT))
			return NULL;
		r->end = end;
	} else {
		*r = (struct tcp_sent){ .start = start, .end = end, .flags = SENT_OUT };
	}
	pcb->flight_bytes += end - start;
	return r;
}

/* Room for one more record behind at->i: the block's upper half moves to a new one where it is
 * full.
 */
static bool open_slot(struct worker *w, struct tcp_pcb *pcb, struct tcp_sent_at *at)
{
	struct tcp_sent_block *b = at->block, *fresh;
	uint32_t half = b->n / 2;

	if (b->n < TCP_SENT_PER_BLOCK) {
		if (b->first + b->n == TCP_SENT_PER_BLOCK) {
			memmove(&b->r[0], &b->r[b->first], b->n * sizeof(b->r[0]));
			at->i -= b->first;
			b->first = 0;
		}
		return true;
	}
	fresh = block_new(w, pcb);
	if (!fresh)
		return false;
	fresh->n = b->n - half;
	memcpy(fresh->r, &b->r[b->first + half], fresh->n * sizeof(b->r[0]));
	b->n = half;
	fresh->next = b->next;
	b->next = fresh;
	if (pcb->sent_tail == b)
		pcb->sent_tail = fresh;
	if (at->i >= b->first + half) {
		at->i -= b->first + half;
		at->block = fresh;
	}
	return true;
}

bool tcp_sent_split(struct worker *w, struct tcp_pcb *pcb, struct tcp_sent_at *at, uint32_t seq)
{
	struct tcp_sent_block *b;

	if (!open_slot(w, pcb, at))
		return false;
	b = at->block;
	memmove(&b->r[at->i + 1], &b->r[at->i], (b->first + b->n - at->i) * sizeof(b->r[0]));
	b->n++;
	b->r[at->i].end = seq;
	b->r[at->i + 1].start = seq;
	return true;
}

static void record_delete(struct tcp_sent_block *b, uint32_t i)
{
	memmove(&b->r[i], &b->r[i + 1], (b->first + b->n - i - 1) * sizeof(b->r[0]));
	b->n--;
}

void tcp_sent_merge(struct tcp_sent_at *at)
{
	struct tcp_sent_block *b = at->block;
	uint32_t i = at->i;

	if (i + 1 < b->first + b->n && (b->r[i + 1].flags & SENT_SACKED)) {
		b->r[i].end = b->r[i + 1].end;
		record_delete(b, i + 1);
	}
	if (i > b->first && (b->r[i - 1].flags & SENT_SACKED)) {
		b->r[i - 1].end = b->r[i].end;
		record_delete(b, i);
		at->i--;
	}
}

static void block_free(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_sent_block *b = pcb->sent_head;

	pcb->sent_head = b->next;
	if (!b->next)
		pcb->sent_tail = NULL;
	pcb->sent_blocks--;
	tcp_slab_put(&w->tcp->sent, b);
}

void tcp_sent_shift(struct worker *w, struct tcp_pcb *pcb, uint32_t seq)
{
	struct tcp_sent_block *b = pcb->sent_head;
	struct tcp_sent *r = &b->r[b->first];

	if (tcp_seq_lt(seq, r->end)) {
		*sum_of(pcb, r->flags) -= seq - r->start;
		r->start = seq;
		return;
	}
	*sum_of(pcb, r->flags) -= r->end - r->start;
	b->first++;
	if (--b->n == 0)
		block_free(w, pcb);
}

void tcp_sent_clear(struct worker *w, struct tcp_pcb *pcb)
{
	while (pcb->sent_head)
		block_free(w, pcb);
	pcb->flight_bytes = pcb->sacked_bytes = pcb->lost_bytes = 0;
}
