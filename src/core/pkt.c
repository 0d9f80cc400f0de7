/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets: making, lengthening, cutting, copying. Their ends are in ledger.c.
 */
#include "core/pkt.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/pool.h"
#include "core/watch.h"
#include "core/worker.h"
#include "wire/csum.h"

static inline struct rte_mbuf *pkt_mbuf_get(struct worker *w)
{
	struct rte_mbuf *m = pool_get(w->pool);

	if (likely(m))
		rte_pktmbuf_reset(m);
	return m;
}

/* A segment that comes first in no packet: no headers, so no headroom. */
static inline struct rte_mbuf *pkt_segment_get(struct worker *w)
{
	struct rte_mbuf *m = pkt_mbuf_get(w);

	if (likely(m))
		m->data_off = 0;
	return m;
}

static inline void pkt_begin(struct worker *w, struct pkt *p, uint16_t flags, uint8_t ifindex)
{
	uint16_t at = p->mbuf.data_off;

	memset(&p->path, 0, PKT_PRIV_BYTES);
	p->flags = flags;
	p->ifindex = ifindex;
	p->l2 = at;
	p->l3 = at;
	p->l4 = at;
	p->l7 = at;
	p->stamp_ns = w->now_ns;
}

struct pkt *pkt_alloc(struct worker *w)
{
	struct pkt *p = (struct pkt *)pkt_mbuf_get(w);

	if (unlikely(!p)) {
		w->ledger.alloc_failed++;
		return NULL;
	}
	pkt_begin(w, p, 0, 0);
	w->ledger.originated += LEDGER_ON;
	return p;
}

int pkt_alloc_raw(struct worker *w, struct pkt **pkts, unsigned int n)
{
	if (unlikely(pool_stack(w->pool)->count < n)) {
		w->ledger.alloc_failed += n;
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < n; i++)
		pkts[i] = (struct pkt *)pkt_mbuf_get(w);
	return 0;
}

void pkt_free_raw(struct pkt **pkts, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		rte_pktmbuf_free(&pkts[i]->mbuf);
}

void pkt_entered(struct worker *w, struct pkt **pkts, unsigned int n, uint8_t ifindex)
{
	for (unsigned int i = 0; i < n; i++)
		pkt_begin(w, pkts[i], PKT_F_ENTERED, ifindex);
	w->ledger.entered += LEDGER_ON ? n : 0;
}

/* n segments in a chain, or NULL with none taken. */
static struct rte_mbuf *pkt_segments(struct worker *w, unsigned int n)
{
	struct rte_mbuf *first = NULL;

	if (pool_stack(w->pool)->count < n)
		return NULL;
	while (n--) {
		struct rte_mbuf *m = pkt_segment_get(w);

		m->next = first;
		first = m;
	}
	return first;
}

/* Put len bytes (src, or whatever is there) behind the data of segment m. */
static const uint8_t *pkt_fill(struct rte_mbuf *m, const uint8_t *src, uint32_t len)
{
	uint8_t *dst = (uint8_t *)m->buf_addr + m->data_off + m->data_len;

	m->data_len = (uint16_t)(m->data_len + len);
	if (!src)
		return NULL;
	memcpy(dst, src, len);
	return src + len;
}

/* The tail has no room for all of it: chain as many segments as it takes. */
static int pkt_append_segments(struct worker *w, struct pkt *p, struct rte_mbuf *last,
			       const uint8_t *src, uint32_t len)
{
	const uint32_t segment_bytes = PKT_HEADROOM_BYTES + PKT_ROOM_BYTES;
	uint32_t room = rte_pktmbuf_tailroom(last);
	uint32_t n = (len - room + segment_bytes - 1) / segment_bytes;
	struct rte_mbuf *more;

	if (n > (uint32_t)RTE_MBUF_MAX_NB_SEGS - p->mbuf.nb_segs)
		return -ENOMEM;
	more = pkt_segments(w, n);
	if (!more)
		return -ENOMEM;
	p->mbuf.pkt_len += len;
	p->mbuf.nb_segs = (uint16_t)(p->mbuf.nb_segs + n);
	src = pkt_fill(last, src, room);
	len -= room;
	last->next = more;
	for (; more; more = more->next) {
		uint32_t run = len < segment_bytes ? len : segment_bytes;

		src = pkt_fill(more, src, run);
		len -= run;
	}
	return 0;
}

int pkt_append(struct worker *w, struct pkt *p, const void *src, uint32_t len)
{
	struct rte_mbuf *last = rte_pktmbuf_lastseg(&p->mbuf);

	if (unlikely(len > rte_pktmbuf_tailroom(last)))
		return pkt_append_segments(w, p, last, src, len);
	p->mbuf.pkt_len += len;
	pkt_fill(last, src, len);
	return 0;
}

/* The segment in which the byte at `offset` (from the first one's buf_addr) lies; *at: its place
 * behind the segment's first byte. NULL behind the end. */
static const struct rte_mbuf *pkt_find(const struct pkt *p, uint32_t offset, uint32_t *at)
{
	const struct rte_mbuf *m = &p->mbuf;
	uint32_t skip = offset - m->data_off;

	while (m && skip >= m->data_len) {
		skip -= m->data_len;
		m = m->next;
	}
	*at = skip;
	return m;
}

void pkt_copy_out(const struct pkt *p, uint32_t offset, void *dst, uint32_t len)
{
	uint8_t *to = dst;
	uint32_t at;

	for (const struct rte_mbuf *m = pkt_find(p, offset, &at); m && len; m = m->next, at = 0) {
		uint32_t run = m->data_len - at;

		if (run > len)
			run = len;
		memcpy(to, rte_pktmbuf_mtod_offset(m, const uint8_t *, at), run);
		to += run;
		len -= run;
	}
}

int pkt_pull(struct pkt *p, uint32_t len)
{
	struct rte_mbuf *m = &p->mbuf;

	if (likely(len <= m->data_len))
		return 0;
	if (len > m->pkt_len || len - m->data_len > rte_pktmbuf_tailroom(m))
		return -EINVAL;
	while (m->data_len < len) {
		struct rte_mbuf *from = m->next;
		uint32_t run = len - m->data_len;

		if (run > from->data_len)
			run = from->data_len;
		pkt_fill(m, rte_pktmbuf_mtod(from, const uint8_t *), run);
		from->data_off = (uint16_t)(from->data_off + run);
		from->data_len = (uint16_t)(from->data_len - run);
		if (from->data_len == 0) {
			m->next = from->next;
			m->nb_segs--;
			rte_pktmbuf_free_seg(from);
		}
	}
	return 0;
}

void pkt_trim(struct pkt *p, uint32_t len)
{
	struct rte_mbuf *m = &p->mbuf;
	uint32_t left = len;
	uint16_t segments = 1;

	if (len >= m->pkt_len)
		return;
	m->pkt_len = len;
	while (left > m->data_len) {
		left -= m->data_len;
		m = m->next;
		segments++;
	}
	m->data_len = (uint16_t)left;
	rte_pktmbuf_free(m->next);
	m->next = NULL;
	p->mbuf.nb_segs = segments;
}

struct pkt *pkt_copy(struct worker *w, const struct pkt *p)
{
	struct pkt *copy = pkt_alloc(w);
	const struct rte_mbuf *m = &p->mbuf;

	if (!copy)
		return NULL;
	memcpy(&copy->path, &p->path, PKT_PRIV_BYTES);
	copy->flags &= (uint16_t) ~(PKT_F_ENTERED | PKT_F_ROUTED);
	copy->next = NULL;
	copy->followed = 0;
	copy->follow_id = 0;
	copy->stamp_ns = w->now_ns;
	/* A driver's buffer may be larger than ours; the headroom is the same for offsets to hold.
	 */
	copy->mbuf.data_off = m->data_off;
	if (m->data_off > copy->mbuf.buf_len)
		goto fail;
	for (; m; m = m->next) {
		if (pkt_append(w, copy, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len) != 0)
			goto fail;
	}
	watch_derive(w, p, copy);
	return copy;
fail:
	w->ledger.originated--; /* it never was a packet */
	w->ledger.alloc_failed++;
	pkt_free_raw(&copy, 1);
	return NULL;
}

uint16_t pkt_csum(const struct pkt *p, uint16_t offset, uint32_t len, uint32_t start)
{
	uint64_t sum = start;
	bool odd = false;
	uint32_t at;

	for (const struct rte_mbuf *m = pkt_find(p, offset, &at); m && len; m = m->next, at = 0) {
		const uint8_t *data = rte_pktmbuf_mtod_offset(m, const uint8_t *, at);
		uint32_t run = m->data_len - at;

		if (run > len)
			run = len;
		if (odd)
			sum += csum_swap(csum_fold(csum_add(0, data, run)));
		else
			sum = csum_add(sum, data, run);
		odd ^= run & 1;
		len -= run;
	}
	return csum_fold(sum);
}
