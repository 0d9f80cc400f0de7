/* SPDX-License-Identifier: BSD-3-Clause */
#include "inet/raw.h"

#include <errno.h>

#include "inet/ip4.h"
#include "inet/state.h"

#define RAW_MAX_BYTES 65515u /* behind a header without options */

void raw_add(struct worker *w, struct raw_pcb *pcb)
{
	struct inet *inet = w->inet;

	pcb->next = inet->raws;
	pcb->pprev = &inet->raws;
	if (pcb->next)
		pcb->next->pprev = &pcb->next;
	inet->raws = pcb;
}

void raw_del(struct raw_pcb *pcb)
{
	*pcb->pprev = pcb->next;
	if (pcb->next)
		pcb->next->pprev = pcb->pprev;
}

static bool raw_wants(const struct raw_pcb *pcb, const struct pkt *p, const struct ip4_hdr *h)
{
	const uint8_t *type;

	if (pcb->proto != h->proto ||
	    (!ipaddr_is_any(&pcb->local) && ipaddr_ip4(&pcb->local) != h->dst_be) ||
	    (!ipaddr_is_any(&pcb->remote) && ipaddr_ip4(&pcb->remote) != h->src_be))
		return false;
	if (h->proto != IP_PROTO_ICMP || pcb->icmp_filter == 0)
		return true;
	type = pkt_header(p, p->l4, 1);
	return type && (*type >= 32 || !(pcb->icmp_filter & 1u << *type));
}

void raw_input(struct worker *w, struct pkt *p)
{
	const struct ip4_hdr *h = pkt_header(p, p->l3, sizeof(*h));

	/* Another worker had it before, and the socket's sibling there has its copy. */
	if (p->steered && p->flags & PKT_F_RAW)
		return;
	p->flags &= (uint16_t)~PKT_F_RAW;
	for (struct raw_pcb *pcb = w->inet->raws; pcb; pcb = pcb->next) {
		if (raw_wants(pcb, p, h) && w->inet->up.raw_deliver(w, pcb, p))
			p->flags |= PKT_F_RAW;
	}
}

int raw_output(struct worker *w, struct ip_flow *flow, const void *const run[2],
	       const uint32_t len[2])
{
	int err = len[0] + len[1] > RAW_MAX_BYTES ? -EMSGSIZE : ip_flow_route(w, flow);
	struct pkt *p;

	if (err)
		return err;
	p = pkt_alloc(w);
	if (!p)
		return -ENOBUFS;
	if ((len[0] && pkt_append(w, p, run[0], len[0])) ||
	    (len[1] && pkt_append(w, p, run[1], len[1]))) {
		pkt_drop(w, p, DROP_NOMEM);
		return -ENOBUFS;
	}
	p->l4 = p->mbuf.data_off;
	p->l7 = p->l4;
	return ip_output(w, p, flow);
}
