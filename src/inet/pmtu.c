/* SPDX-License-Identifier: BSD-3-Clause */
#include "inet/pmtu.h"

#include <errno.h>
#include <stdlib.h>

#include "inet/state.h"

static struct pmtu *set_of(const struct pmtu_table *t, const struct ipaddr *dst)
{
	uint32_t x = dst->w[0] ^ dst->w[1] ^ dst->w[2] ^ dst->w[3];

	return &t->slots[inet_hash32(x) % (PMTU_SLOTS / PMTU_WAYS) * PMTU_WAYS];
}

/* Something expires: forget it, and have every flow look up its path again. */
static void pmtu_expire(struct worker *w, struct timer *timer)
{
	struct pmtu_table *t = &w->inet->pmtus;
	uint64_t next_ns = TIMER_NEVER;

	for (unsigned int i = 0; i < PMTU_SLOTS; i++) {
		if (t->slots[i].expires_ns && t->slots[i].expires_ns <= w->now_ns)
			t->slots[i].expires_ns = 0;
		if (t->slots[i].expires_ns && t->slots[i].expires_ns < next_ns)
			next_ns = t->slots[i].expires_ns;
	}
	inet_changed(w->inet);
	if (next_ns != TIMER_NEVER)
		timer_set(&w->timers, timer, next_ns);
}

int pmtu_init(struct pmtu_table *t)
{
	t->expiry.fn = pmtu_expire;
	t->slots = calloc(PMTU_SLOTS, sizeof(*t->slots));
	return t->slots ? 0 : -ENOMEM;
}

void pmtu_free(struct worker *w)
{
	timer_cancel(&w->timers, &w->inet->pmtus.expiry);
	free(w->inet->pmtus.slots);
	w->inet->pmtus.slots = NULL;
}

const struct pmtu *pmtu_find(struct worker *w, const struct ipaddr *dst)
{
	const struct pmtu *set = set_of(&w->inet->pmtus, dst);

	for (unsigned int i = 0; i < PMTU_WAYS; i++) {
		if (set[i].expires_ns > w->now_ns && ipaddr_equal(&set[i].dst, dst))
			return &set[i];
	}
	return NULL;
}

void pmtu_learn(struct worker *w, const struct ipaddr *dst, unsigned int mtu_bytes)
{
	struct pmtu_table *t = &w->inet->pmtus;
	struct pmtu *set = set_of(t, dst), *slot = &set[0];

	for (unsigned int i = 0; i < PMTU_WAYS; i++) {
		if (set[i].expires_ns && ipaddr_equal(&set[i].dst, dst)) {
			slot = &set[i];
			break;
		}
		if (set[i].expires_ns < slot->expires_ns)
			slot = &set[i];
	}
	slot->dst = *dst;
	slot->locked = mtu_bytes < PMTU_MIN_BYTES;
	slot->mtu_bytes = (uint16_t)(slot->locked ? PMTU_MIN_BYTES : mtu_bytes);
	slot->expires_ns = w->now_ns + PMTU_EXPIRY_NS;
	if (!timer_armed(&t->expiry))
		timer_set(&w->timers, &t->expiry, slot->expires_ns);
	inet_changed(w->inet);
}

void pmtu_report(struct worker *w, const struct ipaddr *src, const struct ipaddr *dst,
		 unsigned int mtu_bytes)
{
	struct ip_flow flow = { .src = *src, .dst = *dst };

	if (ip_flow_route(w, &flow) == 0 && mtu_bytes < flow.mtu_bytes)
		pmtu_learn(w, dst, mtu_bytes);
}

unsigned int pmtu_plateau_below(unsigned int len_bytes)
{
	static const uint16_t plateaus[] = { 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296 };

	for (unsigned int i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++) {
		if (plateaus[i] < len_bytes)
			return plateaus[i];
	}
	return 68;
}
