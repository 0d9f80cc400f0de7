/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Showing packets to who watches. Nothing here runs while nobody does.
 */
#include "core/watch.h"

static void wants_gather(struct worker *w)
{
	w->watched = 0;
	for (const struct watcher *watcher = w->watchers; watcher; watcher = watcher->next)
		w->watched |= watcher->wants | (watcher->follows ? WATCH_FOLLOWS : 0);
}

void watcher_add(struct worker *w, struct watcher *watcher)
{
	watcher->next = w->watchers;
	w->watchers = watcher;
	wants_gather(w);
}

void watcher_del(struct worker *w, struct watcher *watcher)
{
	struct watcher **link = &w->watchers;

	while (*link && *link != watcher)
		link = &(*link)->next;
	if (*link)
		*link = watcher->next;
	wants_gather(w);
}

static bool any_followed(struct pkt **pkts, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (pkts[i]->followed)
			return true;
	return false;
}

static void show_followed(struct worker *w, struct watcher *watcher, enum stage stage,
			  unsigned int ifindex, struct pkt **pkts, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (pkts[i]->followed)
			watcher->ops->stage(watcher, w, stage, ifindex, &pkts[i], 1);
}

void watch_stage(struct worker *w, enum stage stage, unsigned int ifindex, struct pkt **pkts,
		 unsigned int n)
{
	if (!(w->watched & 1u << stage) && !any_followed(pkts, n))
		return;
	for (struct watcher *watcher = w->watchers; watcher; watcher = watcher->next) {
		if (watcher->wants & 1u << stage)
			watcher->ops->stage(watcher, w, stage, ifindex, pkts, n);
		else if (watcher->follows & 1u << stage)
			show_followed(w, watcher, stage, ifindex, pkts, n);
	}
}

void watch_drop(struct worker *w, const struct pkt *p, unsigned int reason, uint32_t site,
		const void *pc)
{
	for (struct watcher *watcher = w->watchers; watcher; watcher = watcher->next) {
		if (watcher->wants & WATCH_DROPS)
			watcher->ops->drop(watcher, w, p, reason, site, pc);
	}
}

void watch_end_followed(struct worker *w, const struct pkt *p, enum fate fate)
{
	for (struct watcher *watcher = w->watchers; watcher; watcher = watcher->next) {
		if (watcher->ops->end)
			watcher->ops->end(watcher, w, p, fate);
	}
}

void watch_note_followed(struct worker *w, const struct pkt *p, unsigned int note, uint64_t arg0,
			 uint64_t arg1)
{
	for (struct watcher *watcher = w->watchers; watcher; watcher = watcher->next) {
		if (watcher->ops->note)
			watcher->ops->note(watcher, w, p, note, arg0, arg1);
	}
}

void watch_derive_followed(struct worker *w, const struct pkt *from, struct pkt *to)
{
	if (!from->follow_id)
		return; /* nobody knows yet whether it is wanted: each is asked about by itself */
	if (!to->followed)
		to->follow_epoch = from->follow_epoch;
	if (!to->follow_id)
		to->follow_id = watch_follow_id(w);
	to->followed |= from->followed;
	watch_note(w, to, MADE_FROM, from->follow_id, 0);
}
