/* SPDX-License-Identifier: BSD-3-Clause */
#include "inet/route.h"

#include <errno.h>
#include <stdlib.h>

#include "inet/state.h"

#define ROUTE_SLOTS_FIRST 64u

static struct ipaddr mask_to(const struct ipaddr *a, unsigned int len)
{
	struct ipaddr m = *a;
	unsigned int byte = len / 8;

	if (len < 128)
		m.b[byte] &= (uint8_t)(0xff00u >> len % 8);
	for (unsigned int i = byte + 1; i < 16; i++)
		m.b[i] = 0;
	return m;
}

static uint32_t route_hash(const struct ipaddr *prefix, unsigned int len)
{
	uint64_t x = prefix->q[0] * 0x9e3779b97f4a7c15ull ^ prefix->q[1];

	return inet_hash32((uint32_t)(x ^ x >> 32) + len * 0x9e3779b9u);
}

/* The slot that holds (prefix, len), or the free one where it would go. */
static struct route *slot_of(const struct route_table *t, const struct ipaddr *prefix,
			     unsigned int len)
{
	uint32_t i = route_hash(prefix, len) & (t->slot_count - 1);

	while (t->slots[i].used &&
	       (t->slots[i].len != len || !ipaddr_equal(&t->slots[i].prefix, prefix)))
		i = (i + 1) & (t->slot_count - 1);
	return &t->slots[i];
}

int route_init(struct route_table *t)
{
	t->slots = calloc(ROUTE_SLOTS_FIRST, sizeof(*t->slots));
	t->slot_count = t->slots ? ROUTE_SLOTS_FIRST : 0;
	return t->slots ? 0 : -ENOMEM;
}

void route_free(struct route_table *t)
{
	free(t->slots);
	t->slots = NULL;
	t->slot_count = 0;
}

/* Move every route to a table of `slots` slots. */
static int route_rehash(struct route_table *t, uint32_t slots)
{
	struct route_table fresh = { .slots = calloc(slots, sizeof(*t->slots)),
				     .slot_count = slots };

	if (!fresh.slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->slot_count; i++) {
		if (t->slots[i].used)
			*slot_of(&fresh, &t->slots[i].prefix, t->slots[i].len) = t->slots[i];
	}
	free(t->slots);
	t->slots = fresh.slots;
	t->slot_count = slots;
	return 0;
}

/* The length in bits of 128, or -EINVAL. */
static int full_len(const struct ipaddr *prefix, unsigned int prefix_len)
{
	if (ipaddr_is_ip4(prefix))
		return prefix_len <= 32 ? (int)(prefix_len + ROUTE_IP4_BITS) : -EINVAL;
	return prefix_len <= 128 ? (int)prefix_len : -EINVAL;
}

int route_add(struct route_table *t, const struct ipaddr *prefix, unsigned int prefix_len,
	      const struct ipaddr *gateway, unsigned int ifindex, bool connected)
{
	int len = full_len(prefix, prefix_len);
	struct ipaddr masked;
	struct route *r;

	if (len < 0)
		return len;
	if (t->count == ROUTE_MAX)
		return -ENOSPC;
	masked = mask_to(prefix, (unsigned int)len);
	if (slot_of(t, &masked, (unsigned int)len)->used)
		return -EEXIST;
	if (2 * (t->count + 1) > t->slot_count && route_rehash(t, 2 * t->slot_count))
		return -ENOMEM;
	r = slot_of(t, &masked, (unsigned int)len);
	*r = (struct route){ .prefix = masked,
			     .gateway = *gateway,
			     .len = (uint8_t)len,
			     .ifindex = (uint8_t)ifindex,
			     .used = true,
			     .connected = connected };
	t->count++;
	t->lengths[len]++;
	t->present[len / 64] |= 1ull << len % 64;
	return 0;
}

int route_del(struct route_table *t, const struct ipaddr *prefix, unsigned int prefix_len,
	      bool connected)
{
	int len = full_len(prefix, prefix_len);
	struct ipaddr masked;
	struct route *r;
	uint32_t hole, i;

	if (len < 0)
		return len;
	masked = mask_to(prefix, (unsigned int)len);
	r = slot_of(t, &masked, (unsigned int)len);
	if (!r->used || r->connected != connected)
		return -ESRCH;
	t->count--;
	if (--t->lengths[len] == 0)
		t->present[len / 64] &= ~(1ull << len % 64);
	/* Close the hole: move up each follower that could not be found across it. */
	hole = (uint32_t)(r - t->slots);
	for (i = (hole + 1) & (t->slot_count - 1); t->slots[i].used;
	     i = (i + 1) & (t->slot_count - 1)) {
		uint32_t home = route_hash(&t->slots[i].prefix, t->slots[i].len);

		if (((i - home) & (t->slot_count - 1)) >= ((i - hole) & (t->slot_count - 1))) {
			t->slots[hole] = t->slots[i];
			hole = i;
		}
	}
	t->slots[hole] = (struct route){ .used = false };
	return 0;
}

const struct route *route_lookup(const struct route_table *t, const struct ipaddr *dst)
{
	for (int word = 2; word >= 0; word--) {
		uint64_t bits = t->present[word];

		while (bits) {
			unsigned int bit = 63 - (unsigned int)__builtin_clzll(bits);
			unsigned int len = (unsigned int)word * 64 + bit;
			struct ipaddr masked = mask_to(dst, len);
			const struct route *r = slot_of(t, &masked, len);

			if (r->used)
				return r;
			bits &= ~(1ull << bit);
		}
	}
	return NULL;
}

int inet_route_add(struct worker *w, const struct ipaddr *prefix, unsigned int prefix_len,
		   const struct ipaddr *gateway, unsigned int ifindex)
{
	struct inet *inet = w->inet;
	struct ipaddr via = gateway ? *gateway : ipaddr_any();
	struct ipaddr to = *prefix;
	int err;

	/* "default" may be said as the any address of either form: it is IPv4's. */
	if (ipaddr_is_any(&to))
		to = ipaddr_from_ip4(0);
	if (!ipaddr_is_ip4(&to) || (!ipaddr_is_any(&via) && !ipaddr_is_ip4(&via)))
		return -EAFNOSUPPORT;
	if (ifindex == IFINDEX_NONE && !ipaddr_is_any(&via)) {
		const struct route *r = route_lookup(&inet->routes, &via);

		ifindex = r && ipaddr_is_any(&r->gateway) ? r->ifindex : IFINDEX_NONE;
	}
	if (!inet_netif(inet, ifindex))
		return -ENODEV;
	if (!ipaddr_is_any(&via) && !inet_addr_onlink(inet, ifindex, ipaddr_ip4(&via)))
		return -ENETUNREACH; /* as Linux: "Nexthop has invalid gateway" */
	err = route_add(&inet->routes, &to, prefix_len, &via, ifindex, false);
	if (!err)
		inet_changed(inet);
	return err;
}

int inet_route_del(struct worker *w, const struct ipaddr *prefix, unsigned int prefix_len)
{
	struct ipaddr to = ipaddr_is_any(prefix) ? ipaddr_from_ip4(0) : *prefix;
	int err = route_del(&w->inet->routes, &to, prefix_len, false);

	if (!err)
		inet_changed(w->inet);
	return err;
}
