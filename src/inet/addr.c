/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our addresses. The list is what was configured; from it a small hash table is built which answers
 * "is this ours, or broadcast?" for each packet that comes in.
 */
#include <errno.h>
#include <string.h>

#include "inet/arp.h"
#include "inet/state.h"
#include "wire/ip4.h"

static struct addr_slot *slot_of(struct inet *inet, uint32_t ip_be)
{
	uint32_t i = inet_hash32(ip_be) & (INET_ADDR_SLOTS - 1);

	while (inet->addr_slot[i].kinds && inet->addr_slot[i].ip_be != ip_be)
		i = (i + 1) & (INET_ADDR_SLOTS - 1);
	return &inet->addr_slot[i];
}

static void slot_mark(struct inet *inet, uint32_t ip_be, uint8_t kind)
{
	struct addr_slot *slot = slot_of(inet, ip_be);

	slot->ip_be = ip_be;
	slot->kinds |= kind;
}

/* /31 and /32 have no broadcast address (RFC 3021). */
static bool has_broadcast(const struct inet_addr *a)
{
	return a->prefix_len < 31 && a->ifindex != IFINDEX_LOOP;
}

static void slots_build(struct inet *inet)
{
	memset(inet->addr_slot, 0, sizeof(inet->addr_slot));
	for (unsigned int i = 0; i < inet->addr_count; i++) {
		const struct inet_addr *a = &inet->addr[i];

		slot_mark(inet, a->ip_be, ADDR_LOCAL);
		if (has_broadcast(a))
			slot_mark(inet, a->ip_be | ~a->mask_be, ADDR_BROADCAST);
	}
}

unsigned int inet_addr_kinds(const struct inet *inet, uint32_t ip_be)
{
	uint32_t i = inet_hash32(ip_be) & (INET_ADDR_SLOTS - 1);

	for (; inet->addr_slot[i].kinds; i = (i + 1) & (INET_ADDR_SLOTS - 1)) {
		if (inet->addr_slot[i].ip_be == ip_be)
			return inet->addr_slot[i].kinds |
			       (ip4_is_loopback(ip_be) ? ADDR_LOOPBACK : 0);
	}
	if (ip4_is_loopback(ip_be))
		return ADDR_LOCAL | ADDR_LOOPBACK;
	if (ip4_is_limited_broadcast(ip_be))
		return ADDR_BROADCAST;
	if (ip4_is_multicast(ip_be))
		return ADDR_MULTICAST | (ip_be == WIRE_BE32(0xe0000001u) ? ADDR_JOINED : 0);
	return 0;
}

const struct inet_addr *inet_addr_onlink(const struct inet *inet, unsigned int ifindex,
					 uint32_t ip_be)
{
	for (unsigned int i = 0; i < inet->addr_count; i++) {
		const struct inet_addr *a = &inet->addr[i];

		if (a->ifindex == ifindex && ((a->ip_be ^ ip_be) & a->mask_be) == 0)
			return a;
	}
	return NULL;
}

int inet_source_for(const struct inet *inet, unsigned int ifindex, uint32_t next_hop_be,
		    struct ipaddr *src)
{
	const struct inet_addr *a = inet_addr_onlink(inet, ifindex, next_hop_be);

	for (unsigned int i = 0; !a && i < inet->addr_count; i++) {
		if (inet->addr[i].ifindex == ifindex)
			a = &inet->addr[i];
	}
	/* An interface without an address borrows one (RFC 1812 section 2.2.7). */
	for (unsigned int i = 0; !a && i < inet->addr_count; i++) {
		if (inet->addr[i].ifindex != IFINDEX_LOOP)
			a = &inet->addr[i];
	}
	if (!a)
		return -EADDRNOTAVAIL;
	*src = a->addr;
	return 0;
}

static struct inet_addr *addr_find(struct inet *inet, unsigned int ifindex, uint32_t ip_be)
{
	for (unsigned int i = 0; i < inet->addr_count; i++) {
		if (inet->addr[i].ip_be == ip_be && inet->addr[i].ifindex == ifindex)
			return &inet->addr[i];
	}
	return NULL;
}

/* Can ip be the address of an interface? */
static bool addr_usable(uint32_t ip_be, unsigned int prefix_len, unsigned int ifindex)
{
	uint32_t mask_be;

	if (prefix_len == 0 || prefix_len > 32 || ip4_is_zeronet(ip_be) ||
	    ip4_is_multicast(ip_be) || ip4_is_limited_broadcast(ip_be))
		return false;
	if (ip4_is_loopback(ip_be) && ifindex != IFINDEX_LOOP)
		return false;
	mask_be = ip4_mask_be(prefix_len);
	return prefix_len >= 31 || ((ip_be & ~mask_be) != 0 && (ip_be | mask_be) != 0xffffffffu);
}

int inet_addr_add(struct worker *w, unsigned int ifindex, const struct ipaddr *addr,
		  unsigned int prefix_len)
{
	struct inet *inet = w->inet;
	struct netif *netif = inet_netif(inet, ifindex);
	struct inet_addr *a;
	struct ipaddr none = ipaddr_any();
	int err;

	if (!netif)
		return -ENODEV;
	if (!ipaddr_is_ip4(addr))
		return -EAFNOSUPPORT;
	if (!addr_usable(ipaddr_ip4(addr), prefix_len, ifindex))
		return -EINVAL;
	if (addr_find(inet, ifindex, ipaddr_ip4(addr)))
		return -EEXIST;
	if (inet->addr_count == INET_MAX_ADDR)
		return -ENOSPC;
	err = prefix_len < 32 ? route_add(&inet->routes, addr, prefix_len, &none, ifindex, true)
			      : 0;
	if (err && err != -EEXIST) /* a second address of the same subnet shares its route */
		return err;
	a = &inet->addr[inet->addr_count++];
	*a = (struct inet_addr){ .addr = *addr,
				 .ip_be = ipaddr_ip4(addr),
				 .mask_be = ip4_mask_be(prefix_len),
				 .ifindex = (uint8_t)ifindex,
				 .prefix_len = (uint8_t)prefix_len,
				 .announce = true };
	slots_build(inet);
	inet_changed(inet);
	if (ifindex != IFINDEX_LOOP)
		arp_announce(w, netif);
	return 0;
}

/* The connected route goes with the last address of its subnet. */
static void connected_route_del(struct inet *inet, const struct inet_addr *gone)
{
	for (unsigned int i = 0; i < inet->addr_count; i++) {
		const struct inet_addr *a = &inet->addr[i];

		if (a->ifindex == gone->ifindex && a->prefix_len == gone->prefix_len &&
		    ((a->ip_be ^ gone->ip_be) & a->mask_be) == 0)
			return;
	}
	route_del(&inet->routes, &gone->addr, gone->prefix_len, true);
}

int inet_addr_del(struct worker *w, unsigned int ifindex, const struct ipaddr *addr,
		  unsigned int prefix_len)
{
	struct inet *inet = w->inet;
	struct inet_addr *a, gone;

	if (!ipaddr_is_ip4(addr))
		return -EAFNOSUPPORT;
	a = addr_find(inet, ifindex, ipaddr_ip4(addr));
	if (!a || a->prefix_len != prefix_len)
		return -EADDRNOTAVAIL;
	gone = *a;
	memmove(a, a + 1, (size_t)(&inet->addr[inet->addr_count] - (a + 1)) * sizeof(*a));
	inet->addr_count--;
	if (gone.prefix_len < 32)
		connected_route_del(inet, &gone);
	slots_build(inet);
	inet_changed(inet);
	return 0;
}

bool inet_addr_get(struct worker *w, unsigned int i, struct inet_addr_info *info)
{
	const struct inet_addr *a = &w->inet->addr[i];

	if (i >= w->inet->addr_count)
		return false;
	*info = (struct inet_addr_info){ .addr = a->addr,
					 .broadcast = ipaddr_any(),
					 .ifindex = a->ifindex,
					 .prefix_len = a->prefix_len };
	if (has_broadcast(a))
		info->broadcast = ipaddr_from_ip4(a->ip_be | ~a->mask_be);
	return true;
}

bool inet_addr_is_local(struct worker *w, const struct ipaddr *addr)
{
	return ipaddr_is_ip4(addr) && inet_addr_kinds(w->inet, ipaddr_ip4(addr)) & ADDR_LOCAL;
}

uint32_t inet_specific_dst(const struct worker *w, unsigned int ifindex, uint32_t host_be)
{
	struct ipaddr src = ipaddr_any();

	return inet_source_for(w->inet, ifindex, host_be, &src) == 0 ? ipaddr_ip4(&src) : 0;
}

unsigned int inet_addr_ifindex(const struct inet *inet, uint32_t ip_be)
{
	for (unsigned int i = 0; i < inet->addr_count; i++) {
		if (inet->addr[i].ip_be == ip_be)
			return inet->addr[i].ifindex;
	}
	return ip4_is_loopback(ip_be) ? IFINDEX_LOOP : IFINDEX_NONE;
}

bool inet_came_by(const struct worker *w, unsigned int ifindex, const struct pkt *p,
		  const struct ipaddr *to)
{
	if (p->ifindex != IFINDEX_LOOP || ifindex == IFINDEX_LOOP)
		return p->ifindex == ifindex;
	return inet_addr_ifindex(w->inet, ipaddr_ip4(to)) == ifindex;
}

bool inet_addr_is_broadcast(struct worker *w, const struct ipaddr *addr)
{
	return ipaddr_is_ip4(addr) && inet_addr_kinds(w->inet, ipaddr_ip4(addr)) & ADDR_BROADCAST;
}
