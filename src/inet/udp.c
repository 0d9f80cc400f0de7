/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP as the socket layer calls it: open, bind, connect, close. Sending: udp_send.c. */
#include "inet/udp.h"

#include <errno.h>
#include <stdlib.h>

#include "inet/ip4.h"
#include "inet/state.h"
#include "inet/tcp/params.h"
#include "inet/tcp/tcp.h"

int udp_open(struct worker *w, struct udp_pcb **out, void *user)
{
	struct udp_table *t = &w->inet->udp;
	struct udp_pcb *pcb = t->free;

	if (pcb) {
		t->free = pcb->next;
		t->free_count--;
	} else {
		pcb = malloc(sizeof(*pcb));
		if (!pcb)
			return -ENOMEM;
	}
	*pcb = (struct udp_pcb){ .user = user,
				 .mcast_ttl = 1,
				 .mcast_loop = true,
				 .mcast_all = true,
				 .all_next = t->all,
				 .all_pprev = &t->all };
	if (t->all)
		t->all->all_pprev = &pcb->all_next;
	t->all = pcb;
	*out = pcb;
	return 0;
}

void udp_close(struct worker *w, struct udp_pcb *pcb)
{
	struct udp_table *t = &w->inet->udp;

	mcast_leave_all(w, &pcb->mcast);
	udp_table_del(pcb);
	*pcb->all_pprev = pcb->all_next;
	if (pcb->all_next)
		pcb->all_next->all_pprev = pcb->all_pprev;
	if (t->free_count == UDP_FREE_PCBS) {
		free(pcb);
		return;
	}
	pcb->next = t->free;
	t->free = pcb;
	t->free_count++;
}

/* A free port at random: the simple algorithm of RFC 6056 section 3.3.1, from a random start. */
static int ephemeral_port(struct worker *w, const struct udp_pcb *pcb, struct endpoint *local)
{
	/* Workers do not know each other's ports: each has those of its own remainder. */
	const uint32_t step = w->siblings ? w->siblings : 1;
	const int32_t *range = tcp_params(w)->ip_local_port_range;
	const uint32_t first = (uint32_t)range[0] + w->id;
	const uint32_t count = (uint32_t)(range[1] - range[0] + 1) / step;
	struct udp_pcb strict = *pcb;
	uint32_t start = worker_random(w);

	/* A port that was not asked for by number is never shared. */
	strict.reuse_addr = false;
	strict.reuse_port = false;
	for (uint32_t i = 0; i < count; i++) {
		local->port_be = host_to_be16((uint16_t)(first + (start + i) % count * step));
		if (!udp_bind_conflicts(&w->inet->udp, &strict, local))
			return 0;
	}
	return -EADDRINUSE;
}

/* May a socket be bound to addr? Ours, any, or a group or broadcast address to receive from. */
static bool addr_bindable(struct worker *w, const struct udp_pcb *pcb, const struct ipaddr *addr)
{
	if (ipaddr_is_any(addr) || pcb->freebind || pcb->transparent)
		return true;
	return ipaddr_is_ip4(addr) && inet_addr_kinds(w->inet, ipaddr_ip4(addr)) &
					      (ADDR_LOCAL | ADDR_BROADCAST | ADDR_MULTICAST);
}

int udp_bind(struct worker *w, struct udp_pcb *pcb, const struct endpoint *local)
{
	struct endpoint to = *local;
	int err;

	if (pcb->local.port_be)
		return -EINVAL;
	if (!addr_bindable(w, pcb, &to.addr))
		return -EADDRNOTAVAIL;
	if (ipaddr_is_any(&to.addr))
		to.addr = ipaddr_any(); /* one form */
	if (to.port_be == 0) {
		err = ephemeral_port(w, pcb, &to);
		if (err)
			return err;
	} else if (udp_bind_conflicts(&w->inet->udp, pcb, &to)) {
		return -EADDRINUSE;
	}
	pcb->local = to;
	pcb->addr_locked = !ipaddr_is_any(&to.addr);
	pcb->port_locked = local->port_be != 0;
	udp_table_add(&w->inet->udp, pcb);
	return 0;
}

void udp_unbind(struct worker *w, struct udp_pcb *pcb)
{
	udp_table_del(pcb);
	pcb->local = (struct endpoint){ .port_be = 0 };
	pcb->addr_locked = pcb->port_locked = false;
}

int udp_autobind(struct worker *w, struct udp_pcb *pcb)
{
	struct endpoint any = { .addr = ipaddr_any() };

	return pcb->local.port_be ? 0 : udp_bind(w, pcb, &any);
}

/* connect(AF_UNSPEC): what bind() did not choose is given back. */
static void dissolve(struct udp_pcb *pcb)
{
	pcb->remote = (struct endpoint){ .port_be = 0 };
	pcb->flow = (struct ip_flow){ .generation = 0 };
	if (!pcb->addr_locked)
		pcb->local.addr = ipaddr_any();
	if (!pcb->port_locked) {
		udp_table_del(pcb);
		pcb->local.port_be = 0;
	}
}

int udp_connect(struct worker *w, struct udp_pcb *pcb, const struct endpoint *remote)
{
	bool bound = pcb->local.port_be != 0;
	struct ip_flow *flow;
	int err;

	if (remote->port_be == 0 && ipaddr_is_any(&remote->addr)) {
		dissolve(pcb);
		return 0;
	}
	err = udp_autobind(w, pcb);
	if (err)
		return err;
	if (!pcb->addr_locked) /* connected anew: the source may be another one */
		pcb->local.addr = ipaddr_any();
	pcb->flow.generation = 0;
	err = udp_flow_to(w, pcb, &(struct udp_send){ .to = remote }, &flow);
	if (err) {
		if (!bound)
			dissolve(pcb);
		return err;
	}
	pcb->remote.addr = flow->dst; /* 0.0.0.0 has become 127.0.0.1 */
	pcb->remote.port_be = remote->port_be;
	pcb->local.addr = flow->src;
	return 0;
}
