/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * getifaddrs(3), if_nameindex(3) and their like. The C library asks the kernel by netlink from
 * inside, where no preload is: the functions themselves are replaced. A list is one block, as the
 * C library makes it, so that free() of its first entry is all there is to it.
 */
#include "shim/interpose/names.h"

#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "wire/app_netif.h"

/* One entry and what its pointers lead to. */
struct entry {
	struct ifaddrs ifa;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_ll ll;
	} addr, mask, broad;
	struct rtnl_link_stats stats;
	char name[IFNAMSIZ];
};

struct list {
	struct entry *entry;
	size_t count, room;
};

static struct entry *entry_add(struct list *list, const struct abi_netif *netif)
{
	struct entry *e;

	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 16;

		e = realloc(list->entry, room * sizeof(*e));
		if (!e)
			return NULL;
		list->entry = e;
		list->room = room;
	}
	e = &list->entry[list->count++];
	memset(e, 0, sizeof(*e));
	memcpy(e->name, netif->name, sizeof(netif->name));
	e->ifa.ifa_flags = netif->flags;
	return e;
}

static void put_ll(struct sockaddr_ll *ll, const struct abi_netif *netif, const uint8_t *mac)
{
	*ll = (struct sockaddr_ll){ .sll_family = AF_PACKET,
				    .sll_ifindex = (int)netif->ifindex,
				    .sll_hatype = netif->hatype,
				    .sll_halen = 6 };
	memcpy(ll->sll_addr, mac, 6);
}

static int link_add(struct list *list, const struct abi_netif *netif)
{
	struct entry *e = entry_add(list, netif);

	if (!e)
		return -ENOMEM;
	put_ll(&e->addr.ll, netif, netif->mac);
	put_ll(&e->broad.ll, netif, netif->broadcast);
	e->stats = (struct rtnl_link_stats){
		.rx_packets = (uint32_t)netif->rx_packets,
		.tx_packets = (uint32_t)netif->tx_packets,
		.rx_bytes = (uint32_t)netif->rx_bytes,
		.tx_bytes = (uint32_t)netif->tx_bytes,
		.rx_errors = (uint32_t)netif->rx_errors,
		.tx_errors = (uint32_t)netif->tx_errors,
		.rx_dropped = (uint32_t)netif->rx_dropped,
		.tx_dropped = (uint32_t)netif->tx_dropped,
		.multicast = (uint32_t)netif->multicast,
	};
	return 0;
}

static int address_add(struct list *list, const struct abi_netif *netif,
		       const struct abi_netaddr *a)
{
	struct entry *e = entry_add(list, netif);
	uint32_t ip_be = ipaddr_ip4(&a->addr), len = a->prefix_len > 32 ? 32 : a->prefix_len;

	if (!e)
		return -ENOMEM;
	e->addr.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = ip_be };
	e->mask.in = (struct sockaddr_in){ .sin_family = AF_INET,
					   .sin_addr.s_addr = len ? htonl(~0u << (32 - len)) : 0 };
	e->broad.in = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = ipaddr_is_any(&a->broadcast) ? ip_be : ipaddr_ip4(&a->broadcast)
	};
	return 0;
}

/* All addresses of an interface, which may take several questions. */
static int addresses_add(struct list *list, struct abi_netif *netif)
{
	uint32_t ifindex = netif->ifindex, first = 0;
	int err = 0;

	for (;;) {
		for (uint32_t i = 0; !err && i < netif->addr_count; i++)
			err = address_add(list, netif, &netif->addr[i]);
		first += netif->addr_count;
		if (err || netif->addr_count == 0 || first >= netif->addr_total)
			return err;
		err = netif_next(ifindex, first, netif);
		if (err || netif->ifindex != ifindex)
			return err == -ENODEV ? 0 : err;
	}
}

/* Links first, then addresses, as the C library has them. */
static int list_fill(struct list *list)
{
	struct abi_netif netif;
	uint32_t from;
	int err;

	for (from = 1; (err = netif_next(from, 0, &netif)) == 0; from = netif.ifindex + 1) {
		if (link_add(list, &netif))
			return -ENOMEM;
	}
	for (from = 1; err == -ENODEV || err == 0; from = netif.ifindex + 1) {
		uint32_t ifindex;

		err = netif_next(from, 0, &netif);
		if (err)
			return err == -ENODEV ? 0 : err;
		ifindex = netif.ifindex;
		err = addresses_add(list, &netif);
		netif.ifindex = ifindex;
	}
	return err;
}

/* Only now: the block has found its place. */
static void list_link(struct list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct entry *e = &list->entry[i];
		bool is_link = e->addr.sa.sa_family == AF_PACKET;

		e->ifa.ifa_next = i + 1 < list->count ? &list->entry[i + 1].ifa : NULL;
		e->ifa.ifa_name = e->name;
		e->ifa.ifa_addr = &e->addr.sa;
		e->ifa.ifa_netmask = is_link ? NULL : &e->mask.sa;
		e->ifa.ifa_broadaddr = &e->broad.sa;
		e->ifa.ifa_data = is_link ? &e->stats : NULL;
	}
}

EXPORT int getifaddrs(struct ifaddrs **ifap)
{
	struct list list = { NULL, 0, 0 };
	int err = list_fill(&list);

	if (err) {
		free(list.entry);
		return (int)answer(err);
	}
	list_link(&list);
	*ifap = list.count ? &list.entry[0].ifa : NULL;
	return 0;
}

EXPORT void freeifaddrs(struct ifaddrs *ifa)
{
	free(ifa);
}

EXPORT unsigned int if_nametoindex(const char *name)
{
	struct abi_netif netif;
	int err = strlen(name) < IFNAMSIZ ? netif_by_name(name, &netif) : -ENODEV;

	if (err) {
		answer(err);
		return 0;
	}
	return netif.ifindex;
}

EXPORT char *if_indextoname(unsigned int ifindex, char name[IFNAMSIZ])
{
	struct abi_netif netif;
	int err = netif_by_index(ifindex, &netif);

	if (err) {
		answer(err == -ENODEV ? -ENXIO : err);
		return NULL;
	}
	memcpy(name, netif.name, IFNAMSIZ);
	return name;
}

EXPORT struct if_nameindex *if_nameindex(void)
{
	struct abi_netif netif;
	struct if_nameindex *list = calloc(1, sizeof(*list)), *more;
	size_t n = 0;
	int err = list ? 0 : -ENOMEM;

	for (uint32_t from = 1; !err && (err = netif_next(from, 0, &netif)) == 0;
	     from = netif.ifindex + 1) {
		more = realloc(list, (n + 2) * sizeof(*list));
		err = more ? 0 : -ENOMEM;
		if (err)
			break;
		list = more;
		list[n] = (struct if_nameindex){ netif.ifindex, strdup(netif.name) };
		list[n + 1] = (struct if_nameindex){ 0, NULL };
		err = list[n++].if_name ? 0 : -ENOMEM;
	}
	if (err == -ENODEV)
		return list;
	for (size_t i = 0; i < n; i++)
		free(list[i].if_name);
	free(list);
	answer(err);
	return NULL;
}

EXPORT void if_freenameindex(struct if_nameindex *list)
{
	for (struct if_nameindex *i = list; i && i->if_name; i++)
		free(i->if_name);
	free(list);
}
