/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Observers: what they want, and the records that they get (obs/observer.h). Their memory is
 * observer_area.c's.
 */
#include "obs/observer_priv.h"

#include <errno.h>
#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>

#include "core/filter.h"
#include "wire/byteorder.h"
#include "wire/eth.h"
#include "wire/ip4.h"

/* ---- what a packet begins with ---- */

/* Ours, with its IP header in front: its length agrees (a stage may be asked before that). */
static bool begins_with_ip(const struct pkt *p)
{
	const struct ip4_hdr *h = pkt_header(p, p->mbuf.data_off, IP4_HDR_BYTES);

	return h && p->l3 == p->mbuf.data_off && (h->version_ihl & 0xf0) == 0x40 &&
	       be16_to_host(h->len_be) == pkt_len(p);
}

static enum watch_link link_of(const struct pkt *p, enum stage stage)
{
	/* eth_input() did not set l3 yet. */
	if (stage == STAGE_PORT_RX || stage == STAGE_ETH_INPUT)
		return p->flags & PKT_F_LOOPBACK ? WATCH_LINK_IP : WATCH_LINK_ETHERNET;
	if (p->l2 == p->mbuf.data_off && p->l3 == p->l2 + ETH_HDR_BYTES)
		return WATCH_LINK_ETHERNET;
	return begins_with_ip(p) ? WATCH_LINK_IP : WATCH_LINK_NONE;
}

/* ---- what is wanted ---- */

static bool filter_says(const struct observer *o, struct worker *w, const struct pkt *p,
			enum watch_link link)
{
	const struct observer_filter *f = link == WATCH_LINK_IP ? &o->ip : &o->ethernet;
	struct filter_packet fp = { .p = p,
				    .start = p->mbuf.data_off,
				    .len_bytes = pkt_len(p),
				    .net_at = link == WATCH_LINK_IP ? 0 : ETH_HDR_BYTES,
				    .ifindex = p->ifindex,
				    .cpu = w->id };

	if (!o->filtered)
		return true;
	if (link == WATCH_LINK_NONE)
		return false;
	return (f->jit.fn ? filter_jit_run(&f->jit, p) : filter_run(f->insn, &fp)) != 0;
}

static bool port_wanted(const struct observer *o, unsigned int ifindex)
{
	return !o->ports || (ifindex < 64 && o->ports >> ifindex & 1);
}

static bool wanted(struct observer_part *part, struct worker *w, const struct pkt *p,
		   enum watch_link link, unsigned int ifindex)
{
	const struct observer *o = part->o;
	bool yes;

	if (!port_wanted(o, ifindex))
		return false;
	part->shared->seen++;
	yes = filter_says(o, w, p, link);
	part->shared->wanted += yes;
	return yes;
}

/* ---- who is followed ---- */

uint8_t observer_epoch;

/* A packet may have a bit of somebody who is gone. */
static bool mine(const struct observer *o, const struct pkt *p)
{
	return p->followed & o->bit && (int8_t)(p->follow_epoch - o->epoch) >= 0;
}

static void mark(const struct observer *o, struct pkt *p)
{
	if (!p->followed)
		p->follow_epoch = observer_epoch;
	p->followed |= o->bit;
}

static void follow(struct worker *w, const struct observer *o, struct pkt *p)
{
	mark(o, p);
	if (!p->follow_id)
		p->follow_id = watch_follow_id(w);
}

/* ---- records ---- */

/* Room for a record in the ring, or NULL (counted). The watcher's `tail` may be anything. */
static struct watch_record *record_room(struct observer_part *part, uint32_t bytes)
{
	uint32_t size = part->o->ring_bytes, at = (uint32_t)part->head & (size - 1);
	uint64_t used =
		part->head - atomic_load_explicit(&part->shared->tail, memory_order_acquire);
	uint32_t to_end = size - at, need = bytes > to_end ? to_end + bytes : bytes;

	if (used > size || size - used < need) {
		atomic_store_explicit(&part->shared->lost, ++part->lost, memory_order_relaxed);
		return NULL;
	}
	if (bytes > to_end) {
		struct watch_record *pad = (struct watch_record *)(part->ring + at);

		/* Only this much is sure to fit: the ring's end is a multiple of 8. */
		pad->record_bytes = to_end;
		pad->kind = WATCH_PAD;
		part->head += to_end;
		at = 0;
	}
	return (struct watch_record *)(part->ring + at);
}

static uint16_t record_flags(const struct pkt *p)
{
	uint16_t flags = 0;

	if (p->flags & PKT_F_CSUM_PARTIAL)
		flags |= WATCH_F_CSUM_PARTIAL;
	if (p->flags & PKT_F_GSO_TCP4)
		flags |= WATCH_F_GSO;
	if (!(p->flags & PKT_F_ENTERED))
		flags |= WATCH_F_ORIGINATED;
	if (p->flags & PKT_F_ROUTED)
		flags |= WATCH_F_ROUTED;
	return flags;
}

/* What all records have; data_bytes of the packet follow. The record is not there for the watcher
 * before record_done(). */
static struct watch_record *record_begin(struct observer_part *part, struct worker *w,
					 const struct pkt *p, enum watch_kind kind,
					 enum watch_link link, uint32_t data_bytes)
{
	uint32_t bytes = (uint32_t)sizeof(struct watch_record) + ((data_bytes + 7) & ~7u);
	struct watch_record *r = record_room(part, bytes);

	if (!r)
		return NULL;
	*r = (struct watch_record){
		.record_bytes = bytes,
		.kind = (uint8_t)kind,
		.stage = p->stage,
		.ifindex = p->ifindex,
		.link = (uint8_t)link,
		.stamp_ns = w->now_ns + w->wall_offset_ns,
		.age_ns = w->now_ns - p->stamp_ns,
		.cycles = rte_rdtsc(),
		.id = mine(part->o, p) ? p->follow_id : 0,
		.path = p->path,
		.flags = record_flags(p),
		.len_bytes = pkt_len(p),
		.data_bytes = data_bytes,
	};
	if (data_bytes)
		pkt_copy_out(p, p->mbuf.data_off, r->data, data_bytes);
	part->record_bytes = bytes; /* what stands in the record may be somebody else's by then */
	return r;
}

static void record_done(struct observer_part *part)
{
	part->head += part->record_bytes;
	atomic_store_explicit(&part->shared->head, part->head, memory_order_release);
}

static uint32_t snap(const struct observer *o, const struct pkt *p, enum watch_link link)
{
	if (link == WATCH_LINK_NONE)
		return 0;
	return pkt_len(p) < o->snap_bytes ? pkt_len(p) : o->snap_bytes;
}

/* ---- as a watcher ---- */

static void see_packet(struct observer_part *part, struct worker *w, const struct pkt *p,
		       enum watch_link link, unsigned int at)
{
	/* Of one that is followed the bytes come once or twice, not at every stage. */
	bool bare = part->o->follow && !(part->o->asks & 1u << p->stage);
	struct watch_record *r =
		record_begin(part, w, p, WATCH_PACKET, link, bare ? 0 : snap(part->o, p, link));

	if (!r)
		return;
	r->ifindex = (uint8_t)at;
	record_done(part);
}

static void early_add(struct observer_part *part, struct pkt *p, enum stage stage)
{
	struct observer_early *e = &part->early;

	if (e->p != p) {
		if (e->p)
			e->p->followed &= (uint8_t)~part->o->bit;
		e->p = p;
		e->n = 0;
		mark(part->o, p);
	}
	if (e->n == OBSERVER_EARLY)
		return;
	e->was[e->n].stage = (uint8_t)stage;
	e->was[e->n++].cycles = rte_rdtsc();
}

static void early_tell(struct observer_part *part, struct worker *w, const struct pkt *p)
{
	for (unsigned int i = 0; i < part->early.n; i++) {
		struct watch_record *r = record_begin(part, w, p, WATCH_PACKET, WATCH_LINK_NONE, 0);

		if (!r)
			continue;
		r->stage = part->early.was[i].stage;
		r->cycles = part->early.was[i].cycles;
		record_done(part);
	}
}

/* It has a header now, or ends without one. False: it is not wanted. */
static bool early_decide(struct observer_part *part, struct worker *w, struct pkt *p,
			 enum watch_link link, unsigned int at)
{
	bool yes = wanted(part, w, p, link, at);

	if (yes) {
		follow(w, part->o, p);
		early_tell(part, w, p);
	} else {
		p->followed &= (uint8_t)~part->o->bit;
	}
	part->early.p = NULL;
	return yes;
}

/* Is the packet asked about at this stage, for the first time? */
static bool asked(const struct observer *o, const struct pkt *p, enum stage stage)
{
	return o->asks & 1u << stage && !(p->path & o->asks & ~(1u << stage));
}

static void see_to_follow(struct observer_part *part, struct worker *w, struct pkt *p,
			  enum stage stage, unsigned int at)
{
	const struct observer *o = part->o;
	enum watch_link link;

	if (mine(o, p)) {
		link = link_of(p, stage);
		if (p == part->early.p) {
			if (!asked(o, p, stage)) {
				early_add(part, p, stage);
				return;
			}
			if (!early_decide(part, w, p, link, at))
				return;
		}
	} else if (asked(o, p, stage)) {
		link = link_of(p, stage);
		if (!wanted(part, w, p, link, at))
			return;
		follow(w, o, p);
	} else {
		if (1u << stage & STAGES_OF_MAKING && !(p->path & o->asks))
			early_add(part, p, stage);
		return;
	}
	see_packet(part, w, p, link, at);
}

/* Those that are of no concern go by as fast as can be. */
static void see_all_to_follow(struct observer_part *part, struct worker *w, enum stage stage,
			      unsigned int ifindex, struct pkt **pkts, unsigned int n)
{
	const struct observer *o = part->o;
	bool makes = STAGES_OF_MAKING & 1u << stage;

	for (unsigned int i = 0; i < n; i++) {
		struct pkt *p = pkts[i];

		if (p->followed & o->bit || makes || asked(o, p, stage))
			see_to_follow(part, w, p, stage, ifindex ? ifindex : p->ifindex);
	}
}

static void see_stage(struct watcher *watcher, struct worker *w, enum stage stage,
		      unsigned int ifindex, struct pkt **pkts, unsigned int n)
{
	struct observer_part *part = (struct observer_part *)watcher;

	if (part->o->follow) {
		see_all_to_follow(part, w, stage, ifindex, pkts, n);
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		struct pkt *p = pkts[i];
		unsigned int at = ifindex ? ifindex : p->ifindex;
		enum watch_link link = link_of(p, stage);

		if (wanted(part, w, p, link, at))
			see_packet(part, w, p, link, at);
	}
}

static bool reason_wanted(const struct observer *o, unsigned int reason)
{
	return !o->picky || (o->reasons[reason / 64] >> (reason & 63) & 1);
}

/* The executable's first byte: the linker's. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

static uint64_t pc_of(const void *pc)
{
	return (uint64_t)((const char *)pc - __ehdr_start);
}

static void count(struct observer_part *part, const struct pkt *p, unsigned int reason,
		  uint32_t site, const void *pc)
{
	struct watch_site *s =
		(struct watch_site *)(part->sites + (size_t)site * part->o->site_bytes);

	s->pc = pc_of(pc);
	s->path |= p->path;
	__atomic_store_n(&s->count[reason], s->count[reason] + 1, __ATOMIC_RELEASE);
}

static bool drop_wanted(struct observer_part *part, struct worker *w, const struct pkt *p,
			enum watch_link link)
{
	const struct observer *o = part->o;

	if (p == part->early.p)
		return early_decide(part, w, part->early.p, link, p->ifindex);
	if (mine(o, p))
		return true;
	if (o->follow && p->path & o->asks)
		return false; /* it was asked about */
	return wanted(part, w, p, link, p->ifindex);
}

static void see_drop(struct watcher *watcher, struct worker *w, const struct pkt *p,
		     unsigned int reason, uint32_t site, const void *pc)
{
	struct observer_part *part = (struct observer_part *)watcher;
	const struct observer *o = part->o;
	enum watch_link link = link_of(p, p->stage);
	struct watch_record *r;

	if (site >= o->site_count || reason >= DROP_REASON_MAX || !reason_wanted(o, reason))
		return;
	if (!drop_wanted(part, w, p, link))
		return;
	count(part, p, reason, site, pc);
	if (!o->records)
		return;
	r = record_begin(part, w, p, WATCH_DROP, link, snap(o, p, link));
	if (!r)
		return;
	r->site = site;
	r->code = (uint16_t)reason;
	r->pc = pc_of(pc);
	record_done(part);
}

static void see_end(struct watcher *watcher, struct worker *w, const struct pkt *p, enum fate fate)
{
	struct observer_part *part = (struct observer_part *)watcher;
	struct watch_record *r;

	if (p == part->early.p) {
		part->early.p = NULL;
		return;
	}
	if (!mine(part->o, p))
		return;
	r = record_begin(part, w, p, WATCH_END, WATCH_LINK_NONE, 0);
	if (!r)
		return;
	r->code = (uint16_t)fate;
	record_done(part);
}

static void see_note(struct watcher *watcher, struct worker *w, const struct pkt *p,
		     unsigned int note, uint64_t arg0, uint64_t arg1)
{
	struct observer_part *part = (struct observer_part *)watcher;
	struct watch_record *r;

	if (!mine(part->o, p) || p == part->early.p)
		return;
	r = record_begin(part, w, p, WATCH_NOTE, WATCH_LINK_NONE, 0);
	if (!r)
		return;
	r->code = (uint16_t)note;
	r->arg[0] = arg0;
	r->arg[1] = arg1;
	record_done(part);
}

const struct watcher_ops observer_ops = {
	.stage = see_stage,
	.drop = see_drop,
	.end = see_end,
	.note = see_note,
};
