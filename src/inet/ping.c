/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP datagram sockets: identifiers, and whose an answer is [net/ipv4/ping.c]. */
#include <errno.h>

#include "core/watch.h"
#include "inet/ip4.h"
#include "inet/raw.h"
#include "inet/state.h"
#include "wire/icmp.h"

static struct raw_pcb **bucket_of(struct inet *inet, uint16_t ident_be)
{
	return &inet->pings[be16_to_host(ident_be) & (PING_BUCKETS - 1)];
}

static bool ident_taken(struct worker *w, uint16_t ident_be, bool reuse_addr)
{
	const struct raw_pcb *other = *bucket_of(w->inet, ident_be);

	for (; other; other = other->next) {
		if (other->ident_be == ident_be && !(other->reuse_addr && reuse_addr))
			return true;
	}
	return false;
}

/* One that nobody has, from a random start; each worker chooses among its own share. 0: none. */
static uint16_t ident_any(struct worker *w)
{
	const uint32_t step = w->siblings ? w->siblings : 1, count = UINT16_MAX / step;
	uint32_t start = worker_random(w);

	for (uint32_t i = 0; i < count; i++) {
		uint16_t ident_be =
			host_to_be16((uint16_t)(1 + w->id + (start + i) % count * step));

		if (ident_be && !ident_taken(w, ident_be, false))
			return ident_be;
	}
	return 0;
}

int ping_bind(struct worker *w, struct raw_pcb *pcb, uint16_t ident_be)
{
	struct raw_pcb **head;

	if (ident_be == 0)
		ident_be = ident_any(w);
	else if (ident_taken(w, ident_be, pcb->reuse_addr))
		return -EADDRINUSE;
	if (ident_be == 0)
		return -EADDRINUSE;
	pcb->ident_be = ident_be;
	head = bucket_of(w->inet, ident_be);
	pcb->next = *head;
	pcb->pprev = head;
	if (pcb->next)
		pcb->next->pprev = &pcb->next;
	*head = pcb;
	return 0;
}

void ping_unbind(struct raw_pcb *pcb)
{
	if (pcb->pprev)
		raw_del(pcb);
	pcb->pprev = NULL;
	pcb->ident_be = 0;
}

/* Newest first, as Linux. Who is connected hears others, too. */
static struct raw_pcb *ping_find(struct worker *w, uint16_t ident_be, const struct ipaddr *local,
				 const struct pkt *p)
{
	struct raw_pcb *pcb = *bucket_of(w->inet, ident_be);

	while (pcb && (pcb->ident_be != ident_be ||
		       (!ipaddr_is_any(&pcb->local) && !ipaddr_equal(&pcb->local, local)) ||
		       (p && pcb->bound_if && !inet_came_by(w, pcb->bound_if, p, local))))
		pcb = pcb->next;
	return pcb;
}

unsigned int ping_input(struct worker *w, struct pkt *p)
{
	const struct ip4_hdr *ip = pkt_header(p, p->l3, sizeof(*ip));
	const struct icmp_hdr *icmp = pkt_header(p, p->l4, sizeof(*icmp));
	const struct ipaddr to = ipaddr_from_ip4(ip->dst_be);
	struct raw_pcb *pcb = ping_find(w, icmp->echo.id_be, &to, p);

	if (!pcb)
		return DROP_ICMP_NO_SOCKET;
	stage_enter_one(w, STAGE_SOCK_DELIVER, p);
	watch_note(w, p, SOCKET, be16_to_host(pcb->ident_be),
		   w->inet->up.program ? w->inet->up.program(pcb->user) : 0);
	return w->inet->up.raw_deliver(w, pcb, p);
}

struct raw_pcb *ping_of_error(struct worker *w, const struct net_error *e)
{
	struct icmp_hdr icmp;

	memcpy(&icmp, e->l4, sizeof(icmp));
	if (icmp.type != ICMP_TYPE_ECHO)
		return NULL;
	return ping_find(w, icmp.echo.id_be, &e->local, NULL);
}
