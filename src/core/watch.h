/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watchers: who looks at packets as they go by, without taking or changing them [ptype_all, the
 * tracepoints skb:kfree_skb and skb:consume_skb]. A watcher names the stages (core/stage.def) at
 * whose beginnings it stands; it may ask for drops too, and may follow packets: one that it marks
 * (pkt.followed) is shown to it at every end and every decision until it is gone.
 *
 * While nobody watches this costs a branch on a word of the worker's first cache line for each
 * burst of a stage and for each drop, and a branch on a byte of the packet's own line at its end.
 *
 * What a watcher does with what it sees (copy, cut, filter) is its own affair, and what it loses
 * is its own loss: copies are not packets of the ledger.
 *
 * Threads: a worker's watchers are changed by that worker, or while it is parked.
 */
#ifndef WEIR_CORE_WATCH_H
#define WEIR_CORE_WATCH_H

#include "core/worker.h"
#include "wire/watch_abi.h"

struct watcher;

struct watcher_ops {
	/* n packets are at the beginning of the stage; ifindex: the interface they go to at
	 * PORT_TX, that they came from at PORT_RX, else 0: each packet has its own. At PORT_RX and
	 * PORT_TX the first byte of each is its frame's. */
	void (*stage)(struct watcher *watcher, struct worker *w, enum stage stage,
		      unsigned int ifindex, struct pkt **pkts, unsigned int n);
	/* pc: where it was dropped. NULL where WATCH_DROPS is not asked for. */
	void (*drop)(struct watcher *watcher, struct worker *w, const struct pkt *p,
		     unsigned int reason, uint32_t site, const void *pc);
	/* A followed packet (anybody's) ended well, or something was decided about it. NULL where
	 * the watcher follows none. */
	void (*end)(struct watcher *watcher, struct worker *w, const struct pkt *p, enum fate fate);
	void (*note)(struct watcher *watcher, struct worker *w, const struct pkt *p,
		     unsigned int note, uint64_t arg0, uint64_t arg1);
};

struct watcher {
	struct watcher *next;
	const struct watcher_ops *ops;
	uint32_t wants;	  /* stages (1 << STAGE_*), WATCH_DROPS */
	uint32_t follows; /* stages at which it wants to see followed packets (anybody's) alone */
};

void watcher_add(struct worker *w, struct watcher *watcher);

/* Nothing happens where it is not there. */
void watcher_del(struct worker *w, struct watcher *watcher);

/*
 * Show a followed packet's decision to its followers. note: enum watch_note (wire/watch_abi.h).
 * A macro, so that the arguments are not worked out for a packet that nobody follows.
 */
#define watch_note(w, p, note, arg0, arg1)                                                         \
	do {                                                                                       \
		if (__builtin_expect((p)->followed, 0))                                            \
			watch_note_followed((w), (p), WATCH_NOTE_##note, (uint64_t)(arg0),         \
					    (uint64_t)(arg1));                                     \
	} while (0)

void watch_note_followed(struct worker *w, const struct pkt *p, unsigned int note, uint64_t arg0,
			 uint64_t arg1);
void watch_derive_followed(struct worker *w, const struct pkt *from, struct pkt *to);

/* A number for a packet that is to be followed. Those of different workers never meet. */
static inline uint32_t watch_follow_id(struct worker *w)
{
	w->follow_last += w->siblings ? w->siblings : 1;
	return w->follow_last + w->id;
}

/* Who follows `from` follows `to` from here on, which is made of it (a copy, a fragment). */
static inline void watch_derive(struct worker *w, const struct pkt *from, struct pkt *to)
{
	if (__builtin_expect(from->followed, 0))
		watch_derive_followed(w, from, to);
}

/* The ledger's: a followed packet ended well; a packet is dropped while somebody wants to know. */
void watch_end_followed(struct worker *w, const struct pkt *p, enum fate fate);
void watch_drop(struct worker *w, const struct pkt *p, unsigned int reason, uint32_t site,
		const void *pc);

#endif
