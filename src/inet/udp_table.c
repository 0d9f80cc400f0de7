/* SPDX-License-Identifier: BSD-3-Clause */
/* Where UDP pcbs are found: demultiplexing and bind conflicts. See udp_table.h. */
#include "inet/udp_table.h"

#include <errno.h>
#include <stdlib.h>

#include "inet/state.h"

int udp_init(struct worker *w)
{
	w->inet->udp.buckets = calloc(UDP_BUCKETS, sizeof(struct udp_pcb *));
	return w->inet->udp.buckets ? 0 : -ENOMEM;
}

void udp_free(struct worker *w)
{
	struct udp_table *t = &w->inet->udp;

	while (t->all)
		udp_close(w, t->all);
	while (t->free) {
		struct udp_pcb *pcb = t->free;

		t->free = pcb->next;
		free(pcb);
	}
	free(t->buckets);
	t->buckets = NULL;
}

void udp_table_add(struct udp_table *t, struct udp_pcb *pcb)
{
	struct udp_pcb **bucket = udp_bucket(t, pcb->local.port_be);

	pcb->next = *bucket;
	if (pcb->next)
		pcb->next->pprev = &pcb->next;
	pcb->pprev = bucket;
	*bucket = pcb;
}

void udp_table_del(struct udp_pcb *pcb)
{
	if (!pcb->pprev)
		return;
	*pcb->pprev = pcb->next;
	if (pcb->next)
		pcb->next->pprev = pcb->pprev;
	pcb->pprev = NULL;
	pcb->next = NULL;
}

unsigned int udp_score(const struct worker *w, const struct udp_pcb *pcb,
		       const struct endpoint *from, const struct endpoint *to, const struct pkt *p)
{
	unsigned int score = 1;

	if (pcb->local.port_be != to->port_be)
		return 0;
	if (!ipaddr_is_any(&pcb->local.addr)) {
		if (!ipaddr_equal(&pcb->local.addr, &to->addr))
			return 0;
		score += 2;
	}
	if (pcb->remote.port_be) {
		if (pcb->remote.port_be != from->port_be ||
		    !ipaddr_equal(&pcb->remote.addr, &from->addr))
			return 0;
		score += 4;
	}
	if (unlikely(pcb->bound_if)) {
		if (p && !inet_came_by(w, pcb->bound_if, p, &to->addr))
			return 0;
		score++;
	}
	return score;
}

/* Is pcb of the SO_REUSEPORT group of the best one? */
static bool same_group(const struct udp_pcb *best, const struct udp_pcb *pcb)
{
	return pcb->reuse_port && !pcb->remote.port_be && pcb->bound_if == best->bound_if &&
	       pcb->local.port_be == best->local.port_be &&
	       (ipaddr_equal(&pcb->local.addr, &best->local.addr) ||
		(ipaddr_is_any(&pcb->local.addr) && ipaddr_is_any(&best->local.addr)));
}

/* Spread flows over the group: the same flow goes to the same member while the group stays. */
static struct udp_pcb *group_select(struct worker *w, struct udp_pcb *best,
				    const struct endpoint *from, const struct endpoint *to)
{
	struct {
		struct ipaddr from, to;
		uint16_t from_port_be, to_port_be;
	} __attribute__((packed)) key = { from->addr, to->addr, from->port_be, to->port_be };
	unsigned int members = 0, chosen;
	struct udp_pcb *pcb;

	for (pcb = best; pcb; pcb = pcb->next)
		members += same_group(best, pcb);
	if (members < 2)
		return best;
	chosen = (unsigned int)(worker_hash(w, &key, sizeof(key)) % members);
	for (pcb = best; pcb; pcb = pcb->next) {
		if (same_group(best, pcb) && chosen-- == 0)
			return pcb;
	}
	return best;
}

struct udp_pcb *udp_lookup(struct worker *w, const struct endpoint *from, const struct endpoint *to,
			   const struct pkt *p)
{
	struct udp_pcb *pcb, *best = NULL;
	unsigned int best_score = 0;

	/* Newest first, and only a better one replaces: the last bound wins, as in Linux. */
	for (pcb = *udp_bucket(&w->inet->udp, to->port_be); pcb; pcb = pcb->next) {
		unsigned int score = udp_score(w, pcb, from, to, p);

		if (score > best_score) {
			best = pcb;
			best_score = score;
		}
	}
	if (best && best->reuse_port && !best->remote.port_be)
		return group_select(w, best, from, to);
	return best;
}

bool udp_bind_conflicts(const struct udp_table *t, const struct udp_pcb *pcb,
			const struct endpoint *local)
{
	const struct udp_pcb *other;

	for (other = *udp_bucket(t, local->port_be); other; other = other->next) {
		if (other == pcb || other->local.port_be != local->port_be ||
		    !inet_ifs_meet(other->bound_if, pcb->bound_if) ||
		    !inet_addrs_meet(&other->local.addr, &local->addr))
			continue;
		if ((other->reuse_addr && pcb->reuse_addr) ||
		    (other->reuse_port && pcb->reuse_port && other->uid == pcb->uid))
			continue;
		return true;
	}
	return false;
}
