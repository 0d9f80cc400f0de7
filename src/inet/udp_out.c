/* SPDX-License-Identifier: BSD-3-Clause */
/* A datagram on its way out. */
#include <errno.h>

#include "core/watch.h"
#include "inet/ip4.h"
#include "inet/state.h"
#include "wire/udp.h"

/* What is sent to everybody is also for our own sockets: a copy goes through the loop port, and
 * comes in as by the interface that it leaves by. */
static void loop_copy(struct worker *w, const struct pkt *p, const struct ip_flow *flow)
{
	struct netif *loop = inet_netif(w->inet, IFINDEX_LOOP);
	struct ip_flow to_self = *flow;
	struct pkt *copy;

	if (!loop)
		return;
	copy = pkt_copy(w, p);
	if (!copy)
		return; /* counted as alloc_failed */
	copy->loop_ifindex = flow->ifindex;
	to_self.hops = flow->ttl ? flow->hops : 0;
	to_self.port = loop->port;
	to_self.ifindex = loop->ifindex;
	to_self.neigh = NULL;
	to_self.neigh_generation = 0;
	to_self.mtu_bytes = loop->port->mtu_bytes;
	(void)ip_output(w, copy, &to_self);
}

/* Is a copy for our own sockets? Only group and broadcast addresses have a permanent neighbour. */
static bool looped(struct worker *w, const struct udp_pcb *pcb, const struct ip_flow *flow)
{
	uint32_t dst_be = ipaddr_ip4(&flow->dst);
	unsigned int kinds = inet_addr_kinds(w->inet, dst_be);

	if (!(kinds & ADDR_MULTICAST))
		return kinds & ADDR_BROADCAST;
	return pcb->mcast_loop && (kinds & ADDR_JOINED || mcast_check(w, flow->ifindex, dst_be,
								      ipaddr_ip4(&flow->src)) == 0);
}

/* A datagram of these two runs, its header first, or NULL: no buffers. */
static struct pkt *datagram(struct worker *w, const struct udp_pcb *pcb, const struct ip_flow *flow,
			    uint16_t dst_port_be, const void *const run[2], const uint32_t len[2])
{
	uint32_t total = UDP_HDR_BYTES + len[0] + len[1];
	struct udp_hdr h = { .src_port_be = pcb->local.port_be,
			     .dst_port_be = dst_port_be,
			     .len_be = host_to_be16((uint16_t)total) };
	struct pkt *p = pkt_alloc(w);

	if (!p)
		return NULL;
	if (likely(!pcb->no_check)) {
		h.csum_be = ip_pseudo_csum(flow, total);
		p->flags |= PKT_F_CSUM_PARTIAL;
		p->csum_at = UDP_CSUM_AT;
	}
	stage_enter_one(w, STAGE_SOCK_SEND, p);
	if (pkt_append(w, p, &h, sizeof(h)) || (len[0] && pkt_append(w, p, run[0], len[0])) ||
	    (len[1] && pkt_append(w, p, run[1], len[1]))) {
		pkt_drop(w, p, DROP_NOMEM);
		return NULL;
	}
	stage_enter_one(w, STAGE_UDP_OUTPUT, p);
	p->l4 = p->mbuf.data_off;
	p->l7 = (uint16_t)(p->l4 + UDP_HDR_BYTES);
	return p;
}

void udp_tell(struct worker *w, const struct udp_pcb *pcb, const struct pkt *p)
{
	watch_note(w, p, SOCKET, be16_to_host(pcb->local.port_be),
		   w->inet->up.program ? w->inet->up.program(pcb->user) : 0);
}

static int output_one(struct worker *w, struct udp_pcb *pcb, struct ip_flow *flow,
		      uint16_t dst_port_be, const void *const run[2], const uint32_t len[2])
{
	struct pkt *p = datagram(w, pcb, flow, dst_port_be, run, len);

	if (unlikely(!p))
		return -ENOBUFS;
	if (unlikely(p->followed))
		p->user[0] = (uintptr_t)pcb; /* see udp_tell() */
	if (unlikely(flow->neigh && flow->neigh->state == NEIGH_PERMANENT)) {
		if (looped(w, pcb, flow))
			loop_copy(w, p, flow);
		if (ip4_is_multicast(ipaddr_ip4(&flow->dst)) && !flow->ttl) {
			pkt_drop(w, p, DROP_IP_TTL); /* for this host alone [ip_mc_output] */
			return 0;
		}
	}
	return ip_output(w, p, flow);
}

/* Piece by piece; one may lie in both runs. */
static int output_segments(struct worker *w, struct udp_pcb *pcb, struct ip_flow *flow,
			   uint16_t dst_port_be, const struct udp_send *send)
{
	const uint8_t *first = send->run[0], *second = send->run[1];
	uint32_t left[2] = { send->len[0], send->len[1] };
	int ret = 0;

	while (left[0] || left[1]) {
		const void *const run[2] = { first, second };
		uint32_t size = send->segment_bytes, len[2];
		int err;

		len[0] = left[0] < size ? left[0] : size;
		size -= len[0];
		len[1] = left[1] < size ? left[1] : size;
		err = output_one(w, pcb, flow, dst_port_be, run, len);
		if (unlikely(err))
			ret = err;
		first += len[0];
		second += len[1];
		left[0] -= len[0];
		left[1] -= len[1];
	}
	return ret;
}

int udp_output(struct worker *w, struct udp_pcb *pcb, struct ip_flow *flow, uint16_t dst_port_be,
	       const struct udp_send *send)
{
	if (unlikely(send->segment_bytes && send->len[0] + send->len[1] > send->segment_bytes))
		return output_segments(w, pcb, flow, dst_port_be, send);
	return output_one(w, pcb, flow, dst_port_be, send->run, send->len);
}
