/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What came out of order (reass.c): a set of sequence ranges, sorted, disjoint, bounded. A few fit
 * into a small block; a window that lost its beginning in many places takes a large one, of which
 * there are not many: who gets none has to do with the few.
 */
#include <string.h>

#include "inet/tcp/tcp_impl.h"

size_t tcp_ranges_bytes(uint32_t max)
{
	return sizeof(struct tcp_ranges) + max * sizeof(struct tcp_range);
}

struct tcp_ranges *tcp_ranges_new(struct worker *w)
{
	struct tcp_ranges *s = tcp_slab_take(&w->tcp->ranges);

	if (s)
		*s = (struct tcp_ranges){ .max = TCP_RANGES_FEW };
	return s;
}

bool tcp_ranges_grow(struct worker *w, struct tcp_ranges **ranges)
{
	struct tcp_ranges *few = *ranges, *many;

	if (few->max == TCP_RANGES_MAX || !(many = tcp_slab_take(&w->tcp->ranges_many)))
		return false;
	memcpy(many, few, tcp_ranges_bytes(few->n));
	many->max = TCP_RANGES_MAX;
	tcp_slab_put(&w->tcp->ranges, few);
	*ranges = many;
	return true;
}

void tcp_ranges_free(struct worker *w, struct tcp_ranges **ranges)
{
	struct tcp_ranges *s = *ranges;

	if (s)
		tcp_slab_put(s->max == TCP_RANGES_MAX ? &w->tcp->ranges_many : &w->tcp->ranges, s);
	*ranges = NULL;
}

/* The first whose end is not below seq; n: there is none. */
static uint32_t range_from(const struct tcp_ranges *s, uint32_t seq)
{
	uint32_t low = 0, high = s->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (tcp_seq_lt(s->r[mid].end, seq))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void range_delete(struct tcp_ranges *s, uint32_t at, uint32_t n)
{
	memmove(&s->r[at], &s->r[at + n], (s->n - at - n) * sizeof(s->r[0]));
	s->n -= n;
}

enum tcp_range_result tcp_range_add(struct tcp_ranges *s, uint32_t start, uint32_t end)
{
	uint32_t i, last;

	/* the first that touches or lies behind; most often it is the last one */
	if (s->n && tcp_seq_geq(start, s->r[s->n - 1].start))
		i = tcp_seq_gt(start, s->r[s->n - 1].end) ? s->n : s->n - 1;
	else
		i = range_from(s, start);
	if (i < s->n && tcp_seq_leq(s->r[i].start, start) && tcp_seq_geq(s->r[i].end, end))
		return TCP_RANGE_KNOWN;
	for (last = i; last < s->n && tcp_seq_leq(s->r[last].start, end);)
		last++;
	if (last == i) { /* touches none */
		if (s->n == s->max)
			return TCP_RANGE_FULL;
		memmove(&s->r[i + 1], &s->r[i], (s->n - i) * sizeof(s->r[0]));
		s->r[i] = (struct tcp_range){ start, end };
		s->n++;
		return TCP_RANGE_NEW;
	}
	if (tcp_seq_lt(start, s->r[i].start))
		s->r[i].start = start;
	if (tcp_seq_lt(s->r[last - 1].end, end))
		s->r[i].end = end;
	else
		s->r[i].end = s->r[last - 1].end;
	range_delete(s, i + 1, last - i - 1);
	return TCP_RANGE_NEW;
}

const struct tcp_range *tcp_range_with(const struct tcp_ranges *s, uint32_t seq)
{
	uint32_t i = range_from(s, seq + 1);

	return i < s->n && tcp_seq_leq(s->r[i].start, seq) ? &s->r[i] : NULL;
}

void tcp_range_recent(struct tcp_ranges *s, uint32_t seq)
{
	const uint32_t max = sizeof(s->recent) / sizeof(s->recent[0]);
	const struct tcp_range *r = tcp_range_with(s, seq);
	uint32_t at = 0;

	while (at < s->recent_n && tcp_range_with(s, s->recent[at]) != r)
		at++;
	if (at == s->recent_n && s->recent_n < max)
		s->recent_n++;
	if (at == max)
		at--;
	memmove(&s->recent[1], &s->recent[0], at * sizeof(s->recent[0]));
	s->recent[0] = seq;
	if (at >= s->untold)
		s->untold++;
}

bool tcp_range_prune(struct tcp_ranges *s, uint32_t seq)
{
	if (!s->n || tcp_seq_leq(s->r[s->n - 1].start, seq))
		return false;
	s->n--;
	return true;
}

void tcp_range_below(struct tcp_ranges *s, uint32_t seq)
{
	range_delete(s, 0, range_from(s, seq + 1));
	if (s->n && tcp_seq_lt(s->r[0].start, seq))
		s->r[0].start = seq;
}
