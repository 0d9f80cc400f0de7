/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/netif.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>

#include "inet/inet.h"

#define LOWER_UP 0x10000u /* IFF_LOWER_UP, which <net/if.h> does not have */
#define TXQLEN 1000u

static uint32_t flags_of(const struct port *port)
{
	uint32_t flags = IFF_UP | (port->up ? IFF_RUNNING | LOWER_UP : 0);

	return flags | (port->caps & PORT_CAP_LOOP ? IFF_LOOPBACK : IFF_BROADCAST | IFF_MULTICAST);
}

static void stats_fill(struct port *port, struct abi_netif *netif)
{
	struct port_stats s;

	port_stats(port, &s);
	netif->rx_packets = s.rx_packets;
	netif->rx_bytes = s.rx_bytes;
	netif->tx_packets = s.tx_packets;
	netif->tx_bytes = s.tx_bytes;
	netif->rx_errors = s.rx_errors;
	netif->tx_errors = s.tx_errors;
	netif->rx_dropped = s.rx_missed + s.rx_nombuf;
}

static void addresses_fill(struct worker *w, uint64_t first, struct abi_netif *netif)
{
	struct inet_addr_info info;

	for (unsigned int i = 0; inet_addr_get(w, i, &info); i++) {
		struct abi_netaddr *a;

		if (info.ifindex != netif->ifindex)
			continue;
		if (netif->addr_total++ < first || netif->addr_count == ABI_NETIF_ADDRS)
			continue;
		a = &netif->addr[netif->addr_count++];
		a->addr = info.addr;
		a->broadcast = info.broadcast;
		a->prefix_len = info.prefix_len;
	}
}

int netif_fill(struct engine *engine, uint64_t from, uint64_t first_addr, struct abi_netif *netif)
{
	struct port *port;
	uint64_t ifindex = from ? from : 1;

	if (ifindex > engine->port_count)
		return -ENODEV;
	port = engine->port[ifindex - 1];
	memset(netif, 0, sizeof(*netif));
	netif->ifindex = (uint32_t)ifindex;
	netif->flags = flags_of(port);
	netif->mtu_bytes = port->mtu_bytes;
	netif->hatype = port->caps & PORT_CAP_LOOP ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
	netif->txqlen = TXQLEN;
	snprintf(netif->name, sizeof(netif->name), "%.*s", (int)sizeof(netif->name) - 1,
		 port->name);
	if (!(port->caps & PORT_CAP_LOOP)) {
		memcpy(netif->mac, port->mac, sizeof(netif->mac));
		memset(netif->broadcast, 0xff, sizeof(netif->broadcast));
	}
	stats_fill(port, netif);
	addresses_fill(engine->worker[0], first_addr, netif);
	return 0;
}
