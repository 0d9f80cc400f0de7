/* SPDX-License-Identifier: BSD-3-Clause */
/* The neighbour table: a bounded set of entries, found by (address, interface). See neigh.h. */
#include "inet/neigh_table.h"

#include <errno.h>
#include <stdlib.h>

#include "inet/state.h"
#include "wire/ip4.h"

static struct neigh **bucket_of(struct neigh_table *t, unsigned int ifindex,
				const struct ipaddr *addr)
{
	uint32_t x = addr->w[0] ^ addr->w[1] ^ addr->w[2] ^ addr->w[3];

	return &t->buckets[inet_hash32(x + ifindex * 0x9e3779b9u) % NEIGH_BUCKETS];
}

static void neigh_gc_timer(struct worker *w, struct timer *t);

int neigh_init(struct worker *w)
{
	struct neigh_table *t = &w->inet->neighs;

	t->entries = calloc(NEIGH_MAX, sizeof(*t->entries));
	if (!t->entries)
		return -ENOMEM;
	t->gc.fn = neigh_gc_timer;
	for (unsigned int i = 0; i < NEIGH_MAX; i++) {
		struct neigh *n = &t->entries[NEIGH_MAX - 1 - i];

		n->generation = 1;
		n->timer.fn = neigh_timer;
		n->queue_tail = &n->queue_head;
		n->next = t->free;
		t->free = n;
	}
	return 0;
}

static void neigh_release(struct worker *w, struct neigh *n)
{
	struct neigh_table *t = &w->inet->neighs;
	struct neigh **link = bucket_of(t, n->ifindex, &n->addr);

	while (*link != n)
		link = &(*link)->next;
	*link = n->next;
	neigh_queue_drop(w, n);
	timer_cancel(&w->timers, &n->timer);
	n->used = false;
	n->state = NEIGH_NONE;
	if (++n->generation == 0)
		n->generation = 1;
	n->next = t->free;
	t->free = n;
	t->count--;
}

void neigh_free(struct worker *w)
{
	struct neigh_table *t = &w->inet->neighs;

	if (!t->entries)
		return;
	timer_cancel(&w->timers, &t->gc);
	for (unsigned int i = 0; i < NEIGH_MAX; i++) {
		if (t->entries[i].used)
			neigh_release(w, &t->entries[i]);
	}
	free(t->entries);
	t->entries = NULL;
}

static bool in_use(const struct neigh *n)
{
	return n->state == NEIGH_INCOMPLETE || n->state == NEIGH_DELAY || n->state == NEIGH_PROBE ||
	       n->state == NEIGH_REACHABLE;
}

/* What nobody used for a minute goes, where there are many. */
static void neigh_gc_timer(struct worker *w, struct timer *timer)
{
	struct neigh_table *t = &w->inet->neighs;

	for (unsigned int i = 0; i < NEIGH_MAX; i++) {
		struct neigh *n = &t->entries[i];

		if (n->used && !in_use(n) && w->now_ns - n->since_ns >= NEIGH_GC_NS)
			neigh_release(w, n);
	}
	if (t->count > NEIGH_GC_FROM)
		timer_set(&w->timers, timer, w->now_ns + NEIGH_GC_NS);
}

/* The table is full: take an entry that is not in use. */
static void neigh_evict(struct worker *w)
{
	struct neigh_table *t = &w->inet->neighs;

	for (unsigned int i = 0; i < NEIGH_MAX; i++) {
		struct neigh *n = &t->entries[t->rotor++ % NEIGH_MAX];

		if (n->used && !in_use(n)) {
			neigh_release(w, n);
			return;
		}
	}
}

struct neigh *neigh_find(struct worker *w, unsigned int ifindex, const struct ipaddr *addr)
{
	struct neigh *n = *bucket_of(&w->inet->neighs, ifindex, addr);

	while (n && (n->ifindex != ifindex || !ipaddr_equal(&n->addr, addr)))
		n = n->next;
	return n;
}

bool neigh_listed(struct worker *const *workers, unsigned int at, const struct neigh *n)
{
	if (!n->used || n->state == NEIGH_NONE || n->state == NEIGH_PERMANENT ||
	    !ipaddr_is_ip4(&n->addr))
		return false;
	for (unsigned int i = 0; i < at; i++) {
		if (neigh_find(workers[i], n->ifindex, &n->addr))
			return false;
	}
	return true;
}

/* Group addresses need no question (RFC 1112 section 6.4). */
static void neigh_fill_group(struct neigh *n)
{
	uint32_t group = be32_to_host(ipaddr_ip4(&n->addr)) & 0x7fffffu;
	const uint8_t mac[ETH_ADDR_BYTES] = {
		0x01, 0x00, 0x5e, (uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group
	};

	eth_addr_copy(n->eth.dst, mac);
	n->state = NEIGH_PERMANENT;
}

struct neigh *neigh_get(struct worker *w, struct netif *netif, const struct ipaddr *addr)
{
	struct neigh_table *t = &w->inet->neighs;
	struct neigh *n = neigh_find(w, netif->ifindex, addr);
	struct neigh **bucket;

	if (n)
		return n;
	if (!t->free)
		neigh_evict(w);
	n = t->free;
	if (!n)
		return NULL;
	t->free = n->next;
	n->addr = *addr;
	n->ifindex = netif->ifindex;
	n->port = netif->port;
	n->used = true;
	n->state = NEIGH_NONE;
	n->confirmed_ns = 0;
	n->updated_ns = 0;
	n->since_ns = w->now_ns;
	eth_hdr_fill(&n->eth, (const uint8_t[ETH_ADDR_BYTES]){ 0 }, netif->port->mac, ETH_TYPE_IP4);
	if (ipaddr_is_ip4(addr) && ip4_is_multicast(ipaddr_ip4(addr)))
		neigh_fill_group(n);
	bucket = bucket_of(t, netif->ifindex, addr);
	n->next = *bucket;
	*bucket = n;
	if (++t->count > NEIGH_GC_FROM && !timer_armed(&t->gc))
		timer_set(&w->timers, &t->gc, w->now_ns + NEIGH_GC_NS);
	return n;
}

void neigh_make_broadcast(struct netif *netif)
{
	static const uint8_t all[ETH_ADDR_BYTES] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct neigh *n = &netif->broadcast;

	n->state = NEIGH_PERMANENT;
	n->generation = 1;
	n->ifindex = netif->ifindex;
	n->port = netif->port;
	n->queue_tail = &n->queue_head;
	eth_hdr_fill(&n->eth, all, netif->port->mac, ETH_TYPE_IP4);
}
