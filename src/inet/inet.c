/* SPDX-License-Identifier: BSD-3-Clause */
/* Start and end of a worker's protocols, and their interfaces. */
#include "inet/inet.h"

#include <errno.h>
#include <stdlib.h>

#include "inet/arp.h"
#include "inet/ip4.h"
#include "inet/state.h"
#include "inet/tcp/tcp.h"

int inet_init(struct worker *w, const struct inet_upcalls *upcalls)
{
	struct inet *inet = calloc(1, sizeof(*inet));
	int err;

	if (!inet)
		return -ENOMEM;
	inet->up = *upcalls;
	inet->generation = 1;
	for (unsigned int i = 0; i < INET_IP_IDS; i++)
		inet->ip_id[i] = (uint16_t)worker_random(w);
	w->inet = inet;
	err = route_init(&inet->routes);
	if (!err)
		err = neigh_init(w);
	if (!err)
		err = frag_init(w);
	if (!err)
		err = pmtu_init(&inet->pmtus);
	if (!err)
		err = udp_init(w);
	if (!err)
		err = tcp_init(w);
	icmp_limit_init(&inet->icmp_limit, w->now_ns);
	if (err) {
		udp_free(w);
		pmtu_free(w);
		frag_free(w);
		neigh_free(w);
		route_free(&inet->routes);
		free(inet);
		w->inet = NULL;
	}
	return err;
}

void inet_free(struct worker *w)
{
	struct inet *inet = w->inet;

	if (!inet)
		return;
	tcp_free(w);
	udp_free(w);
	mcast_free(w);
	for (unsigned int i = 0; i < INET_MAX_IF; i++) {
		timer_cancel(&w->timers, &inet->netif[i].announce);
		igmp_netif_end(w, &inet->netif[i]);
	}
	frag_free(w);
	neigh_free(w);
	pmtu_free(w);
	route_free(&inet->routes);
	free(inet);
	w->inet = NULL;
}

static int loopback_addr_add(struct worker *w)
{
	struct ipaddr addr = ipaddr_from_ip4(WIRE_BE32(0x7f000001u));

	return inet_addr_add(w, IFINDEX_LOOP, &addr, 8);
}

int inet_netif_add(struct worker *w, struct port *port)
{
	struct inet *inet = w->inet;
	struct netif *netif;
	unsigned int i = 0;
	int err;

	while (i < INET_MAX_IF && inet->netif[i].port)
		i++;
	if (i == INET_MAX_IF)
		return -ENOSPC;
	if ((i + 1 == IFINDEX_LOOP) != !!(port->caps & PORT_CAP_LOOP))
		return -EINVAL;
	netif = &inet->netif[i];
	netif->port = port;
	netif->ifindex = (uint8_t)(i + 1);
	netif->inet = inet;
	netif->announce.fn = arp_announce_timer;
	netif->defended_ns = 0;
	igmp_netif_init(netif);
	neigh_make_broadcast(netif);
	port->ifindex = netif->ifindex;
	if (netif->ifindex == IFINDEX_LOOP) {
		err = loopback_addr_add(w);
		if (err) {
			netif->port = NULL;
			return err;
		}
	}
	inet_changed(inet);
	return netif->ifindex;
}

struct port *inet_netif_port(struct worker *w, unsigned int ifindex)
{
	struct netif *netif = inet_netif(w->inet, ifindex);

	return netif ? netif->port : NULL;
}

unsigned int inet_ifindex(struct worker *w, const char *name)
{
	for (unsigned int i = 1; i <= INET_MAX_IF; i++) {
		const struct port *port = inet_netif_port(w, i);

		if (port && strcmp(port->name, name) == 0)
			return i;
	}
	return 0;
}

void inet_forwarding(struct worker *w, bool on)
{
	w->inet->forwarding = on;
}
