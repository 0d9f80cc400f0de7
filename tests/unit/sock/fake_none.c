/* SPDX-License-Identifier: BSD-3-Clause */
/* What the transport that a test drives by hand has not: ports, raw sockets, addresses, groups. */
#include "fake_inet.h"

#include <endian.h>
#include <errno.h>

#include "inet/mcast.h"
#include "inet/raw.h"

/* Packet sockets have no port here. */
struct port *inet_netif_port(struct worker *w, unsigned int ifindex)
{
	return NULL;
}

unsigned int inet_ifindex(struct worker *w, const char *name)
{
	return 0;
}

void port_send(struct worker *w, struct port *port, struct pkt *p)
{
	pkt_drop(w, p, DROP_PORT_DOWN);
}

unsigned int port_flush(struct worker *w, struct port *port)
{
	return 0;
}

/* Nor is there anything for raw sockets. */
void raw_add(struct worker *w, struct raw_pcb *pcb)
{
	pcb->pprev = NULL;
}

void raw_del(struct raw_pcb *pcb)
{
}

int raw_output(struct worker *w, struct raw_pcb *pcb, struct ip_flow *flow,
	       const void *const run[2], const uint32_t len[2])
{
	return -ENETUNREACH;
}

int ping_bind(struct worker *w, struct raw_pcb *pcb, uint16_t ident_be)
{
	return -EADDRINUSE;
}

void ping_unbind(struct raw_pcb *pcb)
{
}

int ip_flow_route(struct worker *w, struct ip_flow *flow)
{
	return -ENETUNREACH;
}

bool inet_addr_is_broadcast(struct worker *w, const struct ipaddr *addr)
{
	return false;
}

bool inet_addr_is_local(struct worker *w, const struct ipaddr *addr)
{
	return false;
}

/* ---- groups: asked for, and nothing comes of it ---- */

uint32_t inet_specific_dst(const struct worker *w, unsigned int ifindex, uint32_t host_be)
{
	return htobe32(0xc6120002);
}

int mcast_join(struct worker *w, struct mcast_member **list, const struct mcast_request *r,
	       bool exclude)
{
	return r->group_be == htobe32(0xe0000105) ? 0 : -EINVAL;
}

int mcast_leave(struct worker *w, struct mcast_member **list, const struct mcast_request *r)
{
	return -EADDRNOTAVAIL;
}

int mcast_source(struct worker *w, struct mcast_member **list, const struct mcast_request *r,
		 bool exclude, bool add)
{
	return -EINVAL;
}

int mcast_filter_set(struct worker *w, struct mcast_member **list, const struct mcast_request *r,
		     bool exclude, const uint32_t *source_be, unsigned int count)
{
	return -EINVAL;
}

int mcast_filter_get(struct worker *w, struct mcast_member *list, const struct mcast_request *r,
		     const struct mcast_member **member)
{
	return -EADDRNOTAVAIL;
}

int mcast_copy(struct worker *w, struct mcast_member **to, const struct mcast_member *from)
{
	return 0;
}

struct netif *mcast_netif(struct worker *w, const struct mcast_request *r)
{
	return NULL;
}

unsigned int mcast_ifindex(const struct netif *netif)
{
	return 0;
}
