/* SPDX-License-Identifier: BSD-3-Clause */
/* dev, route, arp: interfaces, routes, neighbours. Addresses are hexadecimal words of the host's
 * byte order, as Linux prints them. */
#include <inttypes.h>
#include <net/if_arp.h>
#include <net/route.h>

#include "inet/inet.h"
#include "inet/state.h"
#include "procnet/procnet.h"
#include "wire/byteorder.h"

static const char *port_name(const struct procnet *p, unsigned int ifindex)
{
	struct port *port = inet_netif_port(p->worker[0], ifindex);

	return port ? port->name : "*";
}

void procnet_dev(const struct procnet *p, FILE *out)
{
	fputs("Inter-|   Receive                                                |  Transmit\n"
	      " face |bytes    packets errs drop fifo frame compressed multicast|"
	      "bytes    packets errs drop fifo colls carrier compressed\n",
	      out);
	for (unsigned int i = 1; i <= INET_MAX_IF; i++) {
		struct port *port = inet_netif_port(p->worker[0], i);
		struct port_stats s = { 0 };

		if (!port)
			continue;
		port_stats(port, &s);
		fprintf(out,
			"%6s: %7" PRIu64 " %7" PRIu64 " %4" PRIu64 " %4" PRIu64 " %4" PRIu64
			"     0          0         0 %8" PRIu64 " %7" PRIu64 " %4" PRIu64
			"    0    0     0       0          0\n",
			port->name, s.rx_bytes, s.rx_packets, s.rx_errors, s.rx_nombuf, s.rx_missed,
			s.tx_bytes, s.tx_packets, s.tx_errors);
	}
}

static void route_line(const struct procnet *p, const struct route *r, FILE *out)
{
	unsigned int len = r->len - ROUTE_IP4_BITS;
	uint32_t mask_be = len ? host_to_be32(~0u << (32 - len)) : 0;
	bool on_link = ipaddr_is_any(&r->gateway);
	unsigned int flags = RTF_UP | (on_link ? 0u : RTF_GATEWAY) |
			     (len == 32 ? (unsigned int)RTF_HOST : 0u);
	char line[128];

	snprintf(line, sizeof(line), "%s\t%08X\t%08X\t%04X\t0\t0\t0\t%08X\t0\t0\t0",
		 port_name(p, r->ifindex), len ? ipaddr_ip4(&r->prefix) : 0,
		 on_link ? 0 : ipaddr_ip4(&r->gateway), flags, mask_be);
	fprintf(out, "%-127s\n", line);
}

/* The longest prefixes last, the default route first, as Linux walks its table. */
void procnet_route(const struct procnet *p, FILE *out)
{
	const struct route_table *t = &p->worker[0]->inet->routes;

	fprintf(out, "%-127s\n",
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow"
		"\tIRTT");
	for (unsigned int len = ROUTE_IP4_BITS; len <= ROUTE_IP4_BITS + 32; len++) {
		for (uint32_t i = 0; t->lengths[len] && i < t->slot_count; i++) {
			const struct route *r = &t->slots[i];

			if (r->used && r->len == len && r->ifindex != IFINDEX_LOOP)
				route_line(p, r, out);
		}
	}
}

static void arp_line(const struct procnet *p, const struct neigh *n, FILE *out)
{
	const uint8_t *mac = n->eth.dst, *ip = &n->addr.b[12];
	bool known = n->state >= NEIGH_STALE;
	char addr[16], hw[18] = "00:00:00:00:00:00";

	snprintf(addr, sizeof(addr), "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
	if (known)
		snprintf(hw, sizeof(hw), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
			 mac[3], mac[4], mac[5]);
	fprintf(out, "%-16s 0x%-10x0x%-10x%-17s     *        %s\n", addr, ARPHRD_ETHER,
		known ? ATF_COM : 0, hw, port_name(p, n->ifindex));
}

void procnet_arp(const struct procnet *p, FILE *out)
{
	fputs("IP address       HW type     Flags       HW address            Mask     Device\n",
	      out);
	for (unsigned int w = 0; w < p->worker_count; w++) {
		const struct neigh_table *t = &p->worker[w]->inet->neighs;

		for (unsigned int i = 0; i < NEIGH_MAX; i++) {
			const struct neigh *n = &t->entries[i];

			if (neigh_listed(p->worker, w, n))
				arp_line(p, n, out);
		}
	}
}
