/* SPDX-License-Identifier: BSD-3-Clause */
/* Reassembly; see frag.h. */
#include <errno.h>
#include <stdlib.h>

#include "core/watch.h"
#include "inet/frag.h"
#include "inet/ip4.h"
#include "inet/state.h"
#include "inet/tcp/params.h"
#include "inet/tcp/tcp.h"
#include "wire/icmp.h"

static void frag_timer(struct worker *w, struct timer *t);

int frag_init(struct worker *w)
{
	struct frag_table *t = &w->inet->frags;

	t->datagrams = calloc(FRAG_TABLE_DATAGRAMS, sizeof(*t->datagrams));
	if (!t->datagrams)
		return -ENOMEM;
	for (unsigned int i = 0; i < FRAG_TABLE_DATAGRAMS; i++) {
		t->datagrams[i].timer.fn = frag_timer;
		t->datagrams[i].next = t->free;
		t->free = &t->datagrams[i];
	}
	return 0;
}

/* Which buckets collide must not be predictable from outside. */
static struct frag_datagram **bucket_of(struct worker *w, uint32_t src_be, uint32_t dst_be,
					uint16_t id_be, uint8_t proto)
{
	uint32_t key[3] = { src_be, dst_be, (uint32_t)id_be << 8 | proto };

	return &w->inet->frags.buckets[worker_hash(w, key, sizeof(key)) % FRAG_BUCKETS];
}

static uint32_t buffer_bytes(const struct pkt *p)
{
	uint32_t bytes = 0;

	for (const struct rte_mbuf *m = &p->mbuf; m; m = m->next)
		bytes += m->buf_len;
	return bytes;
}

/* Fragments leave the table: they are the caller's again. */
static void unhold(struct worker *w, const struct frag_datagram *d)
{
	struct frag_table *t = &w->inet->frags;

	ledger_release(w, d->count);
	t->packets -= d->count;
	for (const struct pkt *p = d->first; p; p = p->next)
		t->bytes -= buffer_bytes(p);
}

/* Give the entry back; its fragments are taken off before. */
static void datagram_release(struct worker *w, struct frag_datagram *d)
{
	struct frag_table *t = &w->inet->frags;
	struct frag_datagram **link = bucket_of(w, d->src_be, d->dst_be, d->id_be, d->proto);

	while (*link != d)
		link = &(*link)->next;
	*link = d->next;
	timer_cancel(&w->timers, &d->timer);
	t->count--;
	d->first = NULL;
	d->last = NULL;
	d->next = t->free;
	t->free = d;
}

static void datagram_drop(struct worker *w, struct frag_datagram *d, enum drop_reason reason)
{
	struct pkt *p, *next;

	unhold(w, d);
	for (p = d->first; p; p = next) {
		next = p->next;
		p->next = NULL;
		pkt_drop(w, p, reason);
	}
	datagram_release(w, d);
}

void frag_free(struct worker *w)
{
	struct frag_table *t = &w->inet->frags;

	if (!t->datagrams)
		return;
	for (unsigned int i = 0; i < FRAG_BUCKETS; i++) {
		while (t->buckets[i])
			datagram_drop(w, t->buckets[i], DROP_FRAG_REASM_TIMEOUT);
	}
	free(t->datagrams);
	t->datagrams = NULL;
}

/* RFC 792: "if fragment zero is not available then no time exceeded need be sent at all". */
static void frag_timer(struct worker *w, struct timer *t)
{
	struct frag_datagram *d =
		(struct frag_datagram *)((char *)t - offsetof(struct frag_datagram, timer));

	if (d->first->user[0] == 0)
		icmp_send_error(w, d->first, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_REASSEMBLY, 0);
	datagram_drop(w, d, DROP_FRAG_REASM_TIMEOUT);
}

static bool table_full(const struct worker *w)
{
	const struct frag_table *t = &w->inet->frags;
	uint32_t most = (uint32_t)tcp_params(w)->ipfrag_high_thresh;

	return t->packets >= most / FRAG_MIN_BYTES || t->bytes >= most;
}

static struct frag_datagram *datagram_get(struct worker *w, const struct ip4_hdr *h,
					  uint8_t ifindex)
{
	struct frag_table *t = &w->inet->frags;
	struct frag_datagram **bucket = bucket_of(w, h->src_be, h->dst_be, h->id_be, h->proto);
	struct frag_datagram *d;

	for (d = *bucket; d; d = d->next) {
		if (d->src_be == h->src_be && d->dst_be == h->dst_be && d->id_be == h->id_be &&
		    d->proto == h->proto && d->ifindex == ifindex)
			return d;
	}
	d = t->free;
	if (!d || t->count >= (unsigned int)tcp_params(w)->ipfrag_max_datagrams || table_full(w))
		return NULL;
	t->free = d->next;
	t->count++;
	*d = (struct frag_datagram){ .src_be = h->src_be,
				     .dst_be = h->dst_be,
				     .id_be = h->id_be,
				     .proto = h->proto,
				     .ifindex = ifindex,
				     .timer = { .fn = frag_timer },
				     .next = *bucket };
	*bucket = d;
	timer_set(&w->timers, &d->timer,
		  w->now_ns + (uint64_t)tcp_params(w)->ipfrag_time * NS_PER_S);
	return d;
}

/*
 * Is [begin, end) free in d? 0 and in *link the place to insert; else the reason, and in *whole
 * whether the datagram goes too.
 */
static unsigned int place_find(struct frag_datagram *d, uint32_t begin, uint32_t end,
			       struct pkt ***link, bool *whole)
{
	struct pkt **at = &d->first;

	*whole = true;
	if (d->last && begin >= d->last->user[1]) { /* in order, as almost always */
		*link = &d->last->next;
		return 0;
	}
	while (*at && (*at)->user[1] <= begin)
		at = &(*at)->next;
	*link = at;
	if (!*at || end <= (*at)->user[0])
		return 0;
	*whole = !((*at)->user[0] <= begin && end <= (*at)->user[1]);
	return DROP_FRAG_OVERLAP;
}

/* Does the fragment agree with what is known about the datagram's length? */
static bool length_agrees(struct frag_datagram *d, uint32_t end, bool more)
{
	if (more)
		return !d->last_seen || end <= d->total;
	if (d->last_seen ? end != d->total : d->last && end < d->last->user[1])
		return false;
	d->last_seen = true;
	d->total = end;
	return true;
}

/* Who follows the fragment p follows the whole. */
static void joined_tell(struct worker *w, const struct pkt *p, struct pkt *whole)
{
	if (likely(!p->followed))
		return;
	if (p->followed & ~whole->followed)
		watch_derive(w, p, whole);
	watch_note(w, p, JOINED, whole->follow_id, 0);
	watch_end_followed(w, p, FATE_ABSORBED);
}

/* Chain the fragments behind the first one, whose header becomes the datagram's. */
static struct pkt *datagram_join(struct worker *w, struct frag_datagram *d)
{
	struct pkt *whole = d->first, *p, *next;
	struct ip4_hdr *h = pkt_header(whole, whole->l3, sizeof(*h));
	unsigned int header_len = (unsigned int)(whole->l4 - whole->l3);

	unhold(w, d);
	for (p = whole->next; p; p = next) {
		next = p->next;
		p->next = NULL;
		rte_pktmbuf_adj(&p->mbuf, (uint16_t)(p->l4 - p->mbuf.data_off));
		whole->path |= p->path;
		joined_tell(w, p, whole);
		/* The packet ends here, its buffer lives on in the chain. */
		w->ledger.fate[FATE_ABSORBED]++;
		rte_pktmbuf_chain(&whole->mbuf, &p->mbuf);
	}
	whole->next = NULL;
	whole->steered = 0;		      /* all workers may have to look for its socket */
	if (!(whole->flags & PKT_F_LOOPBACK)) /* no port can know the sum of the whole */
		whole->flags &= (uint16_t)~PKT_F_CSUM_OK;
	h->len_be = host_to_be16((uint16_t)(header_len + d->total));
	h->frag_be = 0;
	ip4_csum_fill(h, header_len);
	watch_note(w, whole, REASSEMBLED, d->count, d->total);
	datagram_release(w, d);
	return whole;
}

/* What the whole's ECN field is; -1: none is right. */
static int ecn_of(uint8_t seen)
{
	const uint8_t not_ect = 1u << IP_ECN_NOT_ECT, ce = 1u << IP_ECN_CE;

	if ((seen & not_ect) && seen != not_ect)
		return -1;
	if (seen & ce)
		return IP_ECN_CE;
	return seen & 1u << IP_ECN_ECT0 ? IP_ECN_ECT0 : seen & 1u << IP_ECN_ECT1 ? IP_ECN_ECT1 : 0;
}

static struct pkt *datagram_done(struct worker *w, struct frag_datagram *d)
{
	struct ip4_hdr *h = pkt_header(d->first, d->first->l3, sizeof(*h));
	int ecn = ecn_of(d->ecn);

	if (ecn < 0) {
		datagram_drop(w, d, DROP_FRAG_ECN);
		return NULL;
	}
	h->tos = (uint8_t)((h->tos & ~IP_ECN_MASK) | (unsigned int)ecn);
	return datagram_join(w, d);
}

static void fragment_insert(struct worker *w, struct frag_datagram *d, struct pkt *p,
			    struct pkt **link)
{
	struct frag_table *t = &w->inet->frags;

	p->next = *link;
	*link = p;
	if (!p->next)
		d->last = p;
	d->count++;
	d->have += (uint32_t)(p->user[1] - p->user[0]);
	t->packets++;
	t->bytes += buffer_bytes(p);
	ledger_hold(w, 1);
	watch_note(w, p, REASM_WAIT, be16_to_host(d->id_be), d->have);
}

struct pkt *frag_input(struct worker *w, struct pkt *p)
{
	const struct ip4_hdr *h = pkt_header(p, p->l3, sizeof(*h));
	uint32_t len = pkt_len_from(p, p->l4);
	uint32_t begin = ip4_frag_offset(h), end = begin + len;
	bool more = ip4_more_fragments(h), whole = false;
	struct frag_datagram *d;
	struct pkt **link;
	unsigned int reason;

	stage_enter_one(w, STAGE_IP4_REASM, p);
	if (len == 0 || (more && len % 8) || end + (uint32_t)(p->l4 - p->l3) > IP4_MAX_BYTES) {
		pkt_drop(w, p, DROP_FRAG_MALFORMED);
		return NULL;
	}
	d = datagram_get(w, h, p->ifindex);
	if (!d || table_full(w)) {
		pkt_drop(w, p, DROP_FRAG_LIMIT);
		return NULL;
	}
	reason = place_find(d, begin, end, &link, &whole);
	if (!reason && d->count == FRAG_MAX_OF_ONE) {
		reason = DROP_FRAG_LIMIT;
		whole = true;
	}
	if (!reason && !length_agrees(d, end, more)) {
		reason = DROP_FRAG_MALFORMED;
		whole = true;
	}
	if (reason) {
		if (whole)
			datagram_drop(w, d, reason);
		pkt_drop(w, p, reason);
		return NULL;
	}
	p->user[0] = begin;
	p->user[1] = end;
	d->ecn |= (uint8_t)(1u << (h->tos & IP_ECN_MASK));
	fragment_insert(w, d, p, link);
	return d->last_seen && d->have == d->total ? datagram_done(w, d) : NULL;
}
