/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger: counting the ends of packets, and giving their buffers back.
 *
 * The linker gathers the sites of all pkt_drop() calls into one array (section weir_drop_sites), so
 * a site's number is its place in it and the count is drops[site][reason].
 */
#include "core/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/pool.h"
#include "core/watch.h"
#include "core/worker.h"

#define DROP_SEVERITY(severity) DROP_SEVERITY_##severity

static const struct drop_reason_info drop_reasons[] = {
#define DROP(name, severity, linux, text) { #name, DROP_SEVERITY(severity), linux, text },
#include "core/drop.def"
#undef DROP
};

static const char *const stage_labels[] = {
#define STAGE(name, label, linux) label,
#include "core/stage.def"
#undef STAGE
};

_Static_assert(STAGE_MAX <= 30, "one bit a stage: a packet's path, and worker.watched");

const struct drop_reason_info *drop_reason_info(unsigned int reason)
{
	return &drop_reasons[reason < DROP_REASON_MAX ? reason : DROP_NOT_SPECIFIED];
}

const char *stage_label(unsigned int stage)
{
	return stage < STAGE_MAX ? stage_labels[stage] : "?";
}

uint32_t drop_site_count(void)
{
	return (uint32_t)(__stop_weir_drop_sites - __start_weir_drop_sites);
}

const struct drop_site *drop_site(uint32_t index)
{
	return index < drop_site_count() ? &__start_weir_drop_sites[index] : NULL;
}

const char *drop_site_file(const struct drop_site *site)
{
	const char *file = site->file;

	while (strncmp(file, "../", 3) == 0)
		file += 3;
	return file;
}

int ledger_init(struct ledger *l)
{
	memset(l, 0, sizeof(*l));
	l->site_count = drop_site_count();
	/* One more than there are, so that a program without sites gets memory all the same. */
	l->drops = calloc((size_t)l->site_count + 1, DROP_REASON_MAX * sizeof(l->drops[0]));
	l->drop_paths = calloc((size_t)l->site_count + 1, sizeof(l->drop_paths[0]));
	l->recent = calloc(LEDGER_RECENT, sizeof(l->recent[0]));
	if (l->drops && l->drop_paths && l->recent)
		return 0;
	ledger_free(l);
	return -ENOMEM;
}

void ledger_free(struct ledger *l)
{
	free(l->drops);
	free(l->drop_paths);
	free(l->recent);
	memset(l, 0, sizeof(*l));
}

int64_t ledger_balance(const struct ledger *l)
{
	uint64_t out = l->dropped + l->held + l->steered_out;

	for (unsigned int i = 0; i < FATE_MAX; i++)
		out += l->fate[i];
	return (int64_t)(l->entered + l->originated + l->steered_in - out);
}

/* The newest records of both, by time. */
static void ledger_add_recent(struct ledger *sum, const struct ledger *from)
{
	struct drop_record merged[LEDGER_RECENT];
	uint64_t a = sum->recent_total, b = from->recent_total, total = a + b;
	uint64_t a_end = a > LEDGER_RECENT ? a - LEDGER_RECENT : 0;
	uint64_t b_end = b > LEDGER_RECENT ? b - LEDGER_RECENT : 0;
	unsigned int n = 0;

	while (n < LEDGER_RECENT && (a > a_end || b > b_end)) {
		const struct drop_record *ra = &sum->recent[(a - 1) % LEDGER_RECENT];
		const struct drop_record *rb = &from->recent[(b - 1) % LEDGER_RECENT];
		bool take_a = b == b_end || (a > a_end && ra->stamp_ns > rb->stamp_ns);

		merged[n++] = take_a ? *ra : *rb;
		if (take_a)
			a--;
		else
			b--;
	}
	sum->recent_total = total;
	for (unsigned int i = 0; i < n; i++)
		sum->recent[(total - 1 - i) % LEDGER_RECENT] = merged[i];
}

void ledger_add(struct ledger *sum, const struct ledger *from)
{
	size_t cells = (size_t)from->site_count * DROP_REASON_MAX;

	sum->entered += from->entered;
	sum->originated += from->originated;
	sum->dropped += from->dropped;
	sum->held += from->held;
	sum->steered_out += from->steered_out;
	sum->steered_in += from->steered_in;
	sum->alloc_failed += from->alloc_failed;
	for (unsigned int i = 0; i < FATE_MAX; i++)
		sum->fate[i] += from->fate[i];
	for (unsigned int i = 0; i < STAGE_MAX; i++) {
		sum->stage[i].packets += from->stage[i].packets;
		sum->stage[i].bursts += from->stage[i].bursts;
		sum->stage[i].cycles += from->stage[i].cycles;
		sum->stage[i].drops += from->stage[i].drops;
	}
	for (size_t i = 0; i < cells; i++)
		sum->drops[i] += from->drops[i];
	for (uint32_t i = 0; i < from->site_count; i++)
		sum->drop_paths[i] |= from->drop_paths[i];
	ledger_add_recent(sum, from);
}

void ledger_fold_steered(struct ledger *sum)
{
	sum->held += sum->steered_out - sum->steered_in;
	sum->steered_out = 0;
	sum->steered_in = 0;
}

uint64_t ledger_drops_of(const struct ledger *l, enum drop_reason reason)
{
	uint64_t total = 0;

	if ((unsigned int)reason >= DROP_REASON_MAX)
		return 0;
	for (uint32_t site = 0; site < l->site_count; site++)
		total += l->drops[(size_t)site * DROP_REASON_MAX + reason];
	return total;
}

/* A packet of several segments, or with a buffer from elsewhere or shared. */
static __rte_noinline void pkt_free_slow(struct pkt *p)
{
	rte_pktmbuf_free(&p->mbuf);
}

static inline void pkt_free(struct worker *w, struct pkt *p)
{
	struct rte_mbuf *m = &p->mbuf;

	if (likely(m->pool == w->pool && m->nb_segs == 1 && RTE_MBUF_DIRECT(m) &&
		   rte_mbuf_refcnt_read(m) == 1))
		pool_put(w->pool, m);
	else
		pkt_free_slow(p);
}

static inline enum fate fate_of(const struct pkt *p, enum fate fate)
{
	return fate == FATE_TRANSMITTED && (p->flags & PKT_F_ROUTED) ? FATE_FORWARDED : fate;
}

static inline void ledger_fate(struct ledger *l, const struct pkt *p, enum fate fate, uint64_t n)
{
	if (LEDGER_ON)
		l->fate[fate_of(p, fate)] += n;
}

static inline void ledger_end(struct worker *w, const struct pkt *p, enum fate fate)
{
	ledger_fate(&w->ledger, p, fate, 1);
	if (unlikely(p->followed))
		watch_end_followed(w, p, fate_of(p, fate));
}

void pkt_consume(struct worker *w, struct pkt *p, enum fate fate)
{
	ledger_end(w, p, fate);
	pkt_free(w, p);
}

void pkt_consume_burst(struct worker *w, struct pkt **pkts, unsigned int n, enum fate fate)
{
	for (unsigned int i = 0; i < n; i++) {
		ledger_end(w, pkts[i], fate);
		pkt_free(w, pkts[i]);
	}
}

void pkt_sent(struct worker *w, const struct pkt *p)
{
	ledger_end(w, p, FATE_TRANSMITTED);
}

void pkt_sent_undo(struct worker *w, const struct pkt *p)
{
	ledger_fate(&w->ledger, p, FATE_TRANSMITTED, (uint64_t)-1);
}

void pkt_steered_out(struct worker *w, struct pkt *p)
{
	w->ledger.steered_out += LEDGER_ON;
	pkt_free(w, p);
}

void pkt_steered_in(struct worker *w, struct pkt *p)
{
	memset(&p->path, 0, PKT_PRIV_BYTES);
	p->l2 = p->l3 = p->l4 = p->l7 = p->mbuf.data_off;
	w->ledger.steered_in += LEDGER_ON;
}

void pkt_reborn(struct worker *w, struct pkt *p)
{
	w->ledger.fate[FATE_ABSORBED] += LEDGER_ON;
	w->ledger.originated += LEDGER_ON;
	if (unlikely(p->followed))
		watch_end_followed(w, p, FATE_ABSORBED);
	p->followed = 0;
	p->follow_id = 0;
	p->path = 0;
	p->flags = 0;
	p->ifindex = 0;
	p->gso_size = 0;
	p->csum_at = 0;
	p->stamp_ns = w->now_ns;
}

static inline void ledger_record(struct worker *w, const struct pkt *p, uint16_t reason,
				 uint32_t site)
{
	struct ledger *l = &w->ledger;
	struct drop_record *r = &l->recent[l->recent_total++ % LEDGER_RECENT];
	uint32_t len = p->mbuf.data_len;

	r->stamp_ns = w->now_ns;
	r->site = site;
	r->reason = reason;
	r->ifindex = p->ifindex;
	r->stage = p->stage;
	r->path = p->path;
	r->len_bytes = p->mbuf.pkt_len;
	if (likely(len >= sizeof(r->head))) {
		memcpy(r->head, pkt_data(p), sizeof(r->head));
	} else {
		memset(r->head, 0, sizeof(r->head));
		memcpy(r->head, pkt_data(p), len);
	}
}

static inline void ledger_drop(struct worker *w, struct pkt *p, uint16_t reason, uint32_t index)
{
	struct ledger *l = &w->ledger;

	l->dropped++;
	l->stage[p->stage < STAGE_MAX ? p->stage : 0].drops++;
	if (likely(index < l->site_count)) {
		l->drops[(size_t)index * DROP_REASON_MAX + reason]++;
		l->drop_paths[index] |= p->path;
	}
	ledger_record(w, p, reason, index);
}

void pkt_drop_at(struct worker *w, struct pkt *p, uint16_t reason, const struct drop_site *site)
{
	uint32_t index = (uint32_t)(site - __start_weir_drop_sites);

	if (unlikely(reason >= DROP_REASON_MAX))
		reason = DROP_NOT_SPECIFIED;
	if (LEDGER_ON)
		ledger_drop(w, p, reason, index);
	if (unlikely(w->watched & WATCH_DROPS))
		watch_drop(w, p, reason, index, __builtin_return_address(0));
	pkt_free(w, p);
}
