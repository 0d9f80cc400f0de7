/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets of sequence ranges: sorted, disjoint, bounded. Used for what came out of order (reass.c).
 */
#include <string.h>

#include "inet/tcp/tcp_impl.h"

static void range_delete(struct tcp_ranges *s, uint32_t at, uint32_t n)
{
	memmove(&s->r[at], &s->r[at + n], (s->n - at - n) * sizeof(s->r[0]));
	s->n -= n;
}

enum tcp_range_result tcp_range_add(struct tcp_ranges *s, uint32_t start, uint32_t end)
{
	uint32_t i = 0, last;

	/* the first that touches or lies behind; most often it is the last one */
	if (s->n && tcp_seq_geq(start, s->r[s->n - 1].start))
		i = tcp_seq_gt(start, s->r[s->n - 1].end) ? s->n : s->n - 1;
	else
		while (i < s->n && tcp_seq_lt(s->r[i].end, start))
			i++;
	if (i < s->n && tcp_seq_leq(s->r[i].start, start) && tcp_seq_geq(s->r[i].end, end))
		return TCP_RANGE_KNOWN;
	for (last = i; last < s->n && tcp_seq_leq(s->r[last].start, end);)
		last++;
	if (last == i) { /* touches none */
		if (s->n == TCP_RANGES_MAX)
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
	for (uint32_t i = 0; i < s->n; i++) {
		if (tcp_seq_leq(s->r[i].start, seq) && tcp_seq_lt(seq, s->r[i].end))
			return &s->r[i];
	}
	return NULL;
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
	uint32_t n = 0;

	while (n < s->n && tcp_seq_leq(s->r[n].end, seq))
		n++;
	range_delete(s, 0, n);
	if (s->n && tcp_seq_lt(s->r[0].start, seq))
		s->r[0].start = seq;
}
