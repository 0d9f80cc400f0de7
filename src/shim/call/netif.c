/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIOCGIF* (netdevice(7)) and the questions of SIOCETHTOOL that programs ask on their way: they
 * answer from weir's interfaces. What would change an interface is the daemon's business: EPERM.
 */
#include "shim/shim.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>

#include "wire/app_netif.h"

_Static_assert(IFNAMSIZ == ABI_NETIF_NAME_BYTES, "names are as long as Linux's");

static void put_address(struct sockaddr *sa, uint32_t ip_be)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = ip_be };

	memcpy(sa, &in, sizeof(in));
}

static uint32_t mask_be(uint32_t prefix_len)
{
	return prefix_len ? htonl(~0u << (32 - (prefix_len > 32 ? 32 : prefix_len))) : 0;
}

/* SIOCGIFADDR and its like: the interface's first address. */
static int first_address(unsigned long request, const struct abi_netif *netif, struct ifreq *ifr)
{
	const struct abi_netaddr *a = &netif->addr[0];

	if (netif->addr_count == 0)
		return -EADDRNOTAVAIL;
	switch (request) {
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
		put_address(&ifr->ifr_addr, ipaddr_ip4(&a->addr));
		return 0;
	case SIOCGIFNETMASK:
		put_address(&ifr->ifr_addr, mask_be(a->prefix_len));
		return 0;
	default:
		put_address(&ifr->ifr_addr, ipaddr_ip4(&a->broadcast));
		return 0;
	}
}

static void put_hwaddr(const struct abi_netif *netif, struct ifreq *ifr)
{
	memset(&ifr->ifr_hwaddr, 0, sizeof(ifr->ifr_hwaddr));
	ifr->ifr_hwaddr.sa_family = netif->hatype;
	memcpy(ifr->ifr_hwaddr.sa_data, netif->mac, sizeof(netif->mac));
}

/* ---- SIOCETHTOOL ---- */

static int ethtool_drvinfo(const struct abi_netif *netif, struct ethtool_drvinfo *info)
{
	memset(info, 0, sizeof(*info));
	info->cmd = ETHTOOL_GDRVINFO;
	snprintf(info->driver, sizeof(info->driver), "weir");
	snprintf(info->bus_info, sizeof(info->bus_info), "%s", netif->name);
	return 0;
}

static int ethtool(const struct abi_netif *netif, void *data)
{
	uint32_t cmd;
	struct ethtool_value *value = data;

	if (!data)
		return -EFAULT;
	memcpy(&cmd, data, sizeof(cmd));
	switch (cmd) {
	case ETHTOOL_GLINK:
		value->data = !!(netif->flags & IFF_RUNNING);
		return 0;
	case ETHTOOL_GDRVINFO:
		return ethtool_drvinfo(netif, data);
	case ETHTOOL_GFLAGS:
	case ETHTOOL_GTSO:
	case ETHTOOL_GUFO:
	case ETHTOOL_GGSO:
	case ETHTOOL_GGRO:
	case ETHTOOL_GRXCSUM:
	case ETHTOOL_GTXCSUM:
	case ETHTOOL_GSG:
		value->data = 0;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- by interface ---- */

static int by_interface(unsigned long request, const struct abi_netif *netif, struct ifreq *ifr)
{
	switch (request) {
	case SIOCGIFINDEX:
		ifr->ifr_ifindex = (int)netif->ifindex;
		return 0;
	case SIOCGIFFLAGS:
		ifr->ifr_flags = (short)netif->flags;
		return 0;
	case SIOCGIFMTU:
		ifr->ifr_mtu = (int)netif->mtu_bytes;
		return 0;
	case SIOCGIFHWADDR:
		put_hwaddr(netif, ifr);
		return 0;
	case SIOCGIFMETRIC:
		ifr->ifr_metric = 0;
		return 0;
	case SIOCGIFTXQLEN:
		ifr->ifr_qlen = netif->txqlen;
		return 0;
	case SIOCGIFMAP:
		memset(&ifr->ifr_map, 0, sizeof(ifr->ifr_map));
		return 0;
	case SIOCETHTOOL:
		return ethtool(netif, ifr->ifr_data);
	default:
		return first_address(request, netif, ifr);
	}
}

static int named(unsigned long request, struct ifreq *ifr)
{
	struct abi_netif netif;
	char name[IFNAMSIZ];
	char *alias;
	int err;

	memcpy(name, ifr->ifr_name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	/* "eth0:1" is an alias of eth0. */
	alias = strchr(name, ':');
	if (alias)
		*alias = '\0';
	err = netif_by_name(name, &netif);
	return err ? err : by_interface(request, &netif, ifr);
}

static int name_of(struct ifreq *ifr)
{
	struct abi_netif netif;
	int err = netif_by_index((uint32_t)ifr->ifr_ifindex, &netif);

	if (!err)
		memcpy(ifr->ifr_name, netif.name, sizeof(netif.name));
	return err;
}

/* One record for each address; as many as there is room for. No buffer: how much room it takes. */
static int list(struct ifconf *ifc)
{
	size_t at = 0,
	       room = ifc->ifc_req ? (size_t)(ifc->ifc_len < 0 ? 0 : ifc->ifc_len) : SIZE_MAX;
	struct abi_netif netif;
	uint32_t from = 1, first = 0;
	int err;

	while ((err = netif_next(from, first, &netif)) == 0) {
		if (netif.ifindex != from)
			first = 0;
		for (uint32_t i = 0; i < netif.addr_count; i++) {
			struct ifreq ifr = { .ifr_metric = 0 };

			if (room - at < sizeof(ifr))
				break;
			memcpy(ifr.ifr_name, netif.name, sizeof(netif.name));
			put_address(&ifr.ifr_addr, ipaddr_ip4(&netif.addr[i].addr));
			if (ifc->ifc_req)
				memcpy(ifc->ifc_buf + at, &ifr, sizeof(ifr));
			at += sizeof(ifr);
		}
		first += netif.addr_count;
		from = netif.ifindex;
		if (netif.addr_count == 0 || first >= netif.addr_total) {
			from++;
			first = 0;
		}
	}
	if (err != -ENODEV)
		return err;
	ifc->ifc_len = (int)at;
	return 0;
}

int netif_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case SIOCGIFCONF:
		return arg ? list(arg) : -EFAULT;
	case SIOCGIFNAME:
		return arg ? name_of(arg) : -EFAULT;
	case SIOCGIFINDEX:
	case SIOCGIFFLAGS:
	case SIOCGIFMTU:
	case SIOCGIFHWADDR:
	case SIOCGIFMETRIC:
	case SIOCGIFTXQLEN:
	case SIOCGIFMAP:
	case SIOCETHTOOL:
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
		return arg ? named(request, arg) : -EFAULT;
	case SIOCSIFFLAGS:
	case SIOCSIFADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFBRDADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFMTU:
	case SIOCSIFHWADDR:
	case SIOCSIFNAME:
	case SIOCSIFTXQLEN:
	case SIOCSIFMETRIC:
	case SIOCADDRT:
	case SIOCDELRT:
		return -EPERM;
	default:
		return -ENOTTY;
	}
}
