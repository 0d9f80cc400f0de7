/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP input (RFC 768, RFC 1122 section 4.1.3): checks, demultiplexing, delivery. */
#include <errno.h>

#include "inet/icmp.h"
#include "inet/ip4.h"
#include "inet/state.h"
#include "wire/csum.h"
#include "wire/icmp.h"
#include "wire/udp.h"

/* 0, or the DROP_* reason. Sets l7 and trims what is behind the datagram. */
static unsigned int udp_check(struct pkt *p, const struct ip4_hdr *ip)
{
	const struct udp_hdr *h = pkt_header(p, p->l4, sizeof(*h));
	uint32_t room = pkt_len_from(p, p->l4), len;

	if (!h)
		return DROP_UDP_MALFORMED;
	len = udp_len(h);
	if (len < UDP_HDR_BYTES || len > room)
		return DROP_UDP_MALFORMED;
	if (len < room)
		pkt_trim(p, (uint32_t)(p->l4 - p->mbuf.data_off) + len);
	/* A checksum of zero says that there is none. */
	if (!(p->flags & (PKT_F_CSUM_OK | PKT_F_CSUM_PARTIAL)) && h->csum_be != 0 &&
	    csum_finish((uint64_t)pkt_csum(p, p->l4, len, 0) +
			csum_pseudo_ip4(ip->src_be, ip->dst_be, IP_PROTO_UDP, len)) != 0)
		return DROP_UDP_CSUM;
	p->l7 = (uint16_t)(p->l4 + UDP_HDR_BYTES);
	return 0;
}

/* Does the socket want a datagram for a group, from the source? */
static bool wants(const struct udp_pcb *pcb, const struct pkt *p, const struct endpoint *from,
		  const struct endpoint *to)
{
	if (!(p->flags & PKT_F_MULTICAST))
		return true;
	return mcast_wanted(pcb->mcast, pcb->mcast_all, p->ifindex, ipaddr_ip4(&to->addr),
			    ipaddr_ip4(&from->addr));
}

/* To every socket that fits: the first ones get copies, the last one the packet. */
static void deliver_to_all(struct worker *w, struct pkt *p, const struct endpoint *from,
			   const struct endpoint *to)
{
	struct inet *inet = w->inet;
	struct udp_pcb *pcb, *next, *last = NULL;
	unsigned int reason = DROP_NO_SOCKET;

	for (pcb = *udp_bucket(&inet->udp, to->port_be); pcb; pcb = next) {
		next = pcb->next;
		if (!udp_score(w, pcb, from, to, p))
			continue;
		if (!wants(pcb, p, from, to)) {
			reason = DROP_MCAST_SOURCE_FILTER;
			continue;
		}
		if (last) {
			struct pkt *copy = pkt_copy(w, p);

			if (copy) /* else it is counted as alloc_failed */
				inet->up.udp_deliver(w, last, copy, from, to);
		}
		last = pcb;
	}
	if (last)
		inet->up.udp_deliver(w, last, p, from, to);
	else if (!inet_steer(w, p))
		pkt_drop(w, p, reason);
}

static void udp_input_one(struct worker *w, struct pkt *p)
{
	const struct ip4_hdr *ip = pkt_header(p, p->l3, sizeof(*ip));
	unsigned int reason = udp_check(p, ip);
	const struct udp_hdr *h;
	struct endpoint from, to;
	struct udp_pcb *pcb;

	if (reason) {
		pkt_drop(w, p, reason);
		return;
	}
	h = pkt_header(p, p->l4, sizeof(*h));
	from = (struct endpoint){ ipaddr_from_ip4(ip->src_be), h->src_port_be };
	to = (struct endpoint){ ipaddr_from_ip4(ip->dst_be), h->dst_port_be };
	if (unlikely(p->flags & (PKT_F_BROADCAST | PKT_F_MULTICAST)) &&
	    inet_addr_kinds(w->inet, ip->dst_be) & (ADDR_BROADCAST | ADDR_MULTICAST)) {
		deliver_to_all(w, p, &from, &to);
		return;
	}
	pcb = udp_lookup(w, &from, &to, p);
	if (pcb) {
		w->inet->up.udp_deliver(w, pcb, p, &from, &to);
		return;
	}
	if (inet_steer(w, p))
		return;
	icmp_send_error(w, p, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT, 0);
	pkt_drop(w, p, DROP_NO_SOCKET);
}

void udp_input(struct worker *w, struct pkt **pkts, unsigned int n)
{
	stage_enter(w, STAGE_UDP_INPUT, pkts, n);
	for (unsigned int i = 0; i < n; i++)
		udp_input_one(w, pkts[i]);
}

/* Who sent what the error is about: the one that an answer from there would reach. */
static struct udp_pcb *error_pcb(struct worker *w, const struct net_error *e)
{
	struct endpoint from = { .addr = e->remote }, to = { .addr = e->local };

	memcpy(&to.port_be, e->l4, sizeof(to.port_be));
	memcpy(&from.port_be, e->l4 + 2, sizeof(from.port_be));
	return udp_lookup(w, &from, &to, NULL);
}

bool udp_knows(struct worker *w, const struct net_error *e)
{
	return error_pcb(w, e) != NULL;
}

/*
 * As in Linux, a socket that is not connected is not told (it could not know which datagram it
 * was), nor a connected one of what may pass by itself; but who set IP_RECVERR hears of all. That a
 * datagram was too large for the path is hard, unless the socket leaves that to us.
 */
bool udp_icmp_error(struct worker *w, const struct net_error *e)
{
	struct udp_pcb *pcb = error_pcb(w, e);
	bool too_large = e->error == EMSGSIZE;

	if (!pcb)
		return false;
	if (too_large && pcb->pmtudisc == UDP_PMTU_DONT)
		return true;
	if (pcb->recverr || ((e->hard || too_large) && pcb->remote.port_be))
		w->inet->up.udp_error(w, pcb, e);
	return true;
}
