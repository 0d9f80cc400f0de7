/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Local ports: who has which, who may share one, and the choice of one at random (RFC 6056).
 *
 * Every pcb with a local port, and every TIME_WAIT, is linked in the bind table by its port.
 * Linux's rules: two may share a port when their addresses differ (and neither is "any"), when they
 * are bound to different interfaces, when both set SO_REUSEADDR and neither listens, or when both
 * set SO_REUSEPORT and are of one user.
 */
#include <errno.h>

#include "inet/state.h"
#include "inet/tcp/tcp_impl.h"

static uint32_t port_step(const struct worker *w)
{
	return w->siblings ? w->siblings : 1;
}

/* How many ports are the worker's own to choose from: each of the workers has its share. */
static uint32_t port_count(const struct worker *w)
{
	const int32_t *range = w->tcp->params.ip_local_port_range;

	return (uint32_t)(range[1] - range[0] + 1) / port_step(w);
}

/* The n-th of them, begun anew behind the last. */
static uint16_t port_at(const struct worker *w, uint32_t n)
{
	uint32_t first = (uint32_t)w->tcp->params.ip_local_port_range[0] + w->id;

	return (uint16_t)(first + n % port_count(w) * port_step(w));
}

static struct tcp_node **bind_bucket(struct worker *w, uint16_t port_be)
{
	return &w->tcp->bind[be16_to_host(port_be) % TCP_BIND_BUCKETS];
}

void tcp_port_link(struct worker *w, struct tcp_node *node, uint16_t port_be)
{
	struct tcp_node **head = bind_bucket(w, port_be);

	node->bind_next = *head;
	if (*head)
		(*head)->bind_pprev = &node->bind_next;
	*head = node;
	node->bind_pprev = head;
}

void tcp_port_unlink_node(struct tcp_node *node)
{
	*node->bind_pprev = node->bind_next;
	if (node->bind_next)
		node->bind_next->bind_pprev = node->bind_pprev;
	node->bind_pprev = NULL;
}

void tcp_port_unlink(struct worker *w, struct tcp_pcb *pcb)
{
	tcp_port_unlink_node(&pcb->node);
	if (pcb->flags & F_EXPLICIT)
		w->tcp->explicit_n[be16_to_host(pcb->pub.local.port_be)]--;
	pcb->flags &= ~(F_BOUND | F_EXPLICIT);
}

static bool shares_port(const struct tcp_pcb *a, const struct tcp_pcb *b)
{
	return a->pub.reuse_port && b->pub.reuse_port && a->pub.owner == b->pub.owner &&
	       a->pub.owner != UINT8_MAX;
}

static bool node_conflicts(struct tcp_node *node, const struct tcp_pcb *pcb,
			   const struct endpoint *local)
{
	const struct tcp_pcb *other;

	if (node->kind == TCP_NODE_TW) {
		const struct tcp_tw *tw = tcp_node_tw(node);

		return tw->local.port_be == local->port_be &&
		       inet_addrs_meet(&tw->local.addr, &local->addr) &&
		       inet_ifs_meet(tw->bound_if, pcb->pub.bound_if) &&
		       !(tw->reuse_addr && pcb->pub.reuse_addr) &&
		       !(tw->reuse_port && pcb->pub.reuse_port);
	}
	other = tcp_node_pcb(node);
	if (other == pcb || other->pub.local.port_be != local->port_be ||
	    !inet_addrs_meet(&other->pub.local.addr, &local->addr) ||
	    !inet_ifs_meet(other->pub.bound_if, pcb->pub.bound_if))
		return false;
	if (shares_port(other, pcb))
		return false;
	return !(other->pub.reuse_addr && pcb->pub.reuse_addr && other->pub.state != TCP_LISTEN);
}

static bool port_conflicts(struct worker *w, const struct tcp_pcb *pcb,
			   const struct endpoint *local)
{
	struct tcp_node *node = *bind_bucket(w, local->port_be);

	for (; node; node = node->bind_next) {
		if (node_conflicts(node, pcb, local))
			return true;
	}
	return false;
}

/* Somebody else listens where pcb wants to: SO_REUSEADDR alone let both bind. */
bool tcp_port_listens(struct worker *w, const struct tcp_pcb *pcb)
{
	struct tcp_node *node = *bind_bucket(w, pcb->pub.local.port_be);

	for (; node; node = node->bind_next) {
		const struct tcp_pcb *other = tcp_node_pcb(node);

		if (node->kind == TCP_NODE_PCB && other != pcb && other->pub.state == TCP_LISTEN &&
		    other->pub.local.port_be == pcb->pub.local.port_be &&
		    inet_addrs_meet(&other->pub.local.addr, &pcb->pub.local.addr) &&
		    inet_ifs_meet(other->pub.bound_if, pcb->pub.bound_if) &&
		    !shares_port(other, pcb))
			return true;
	}
	return false;
}

static void port_take(struct worker *w, struct tcp_pcb *pcb, uint16_t port_be, bool is_explicit)
{
	pcb->pub.local.port_be = port_be;
	tcp_port_link(w, &pcb->node, port_be);
	pcb->flags |= F_BOUND;
	if (is_explicit) {
		pcb->flags |= F_EXPLICIT;
		w->tcp->explicit_n[be16_to_host(port_be)]++;
	}
}

int tcp_port_any(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t start = worker_random(w), count = port_count(w);

	for (uint32_t i = 0; i < count; i++) {
		struct endpoint local = pcb->pub.local;

		local.port_be = host_to_be16(port_at(w, start + i));
		if (port_conflicts(w, pcb, &local))
			continue;
		port_take(w, pcb, local.port_be, true);
		return 0;
	}
	return -EADDRINUSE;
}

/* Is the 4-tuple free? A TIME_WAIT that may be used again is ended. */
static bool tuple_free(struct worker *w, const struct endpoint *local,
		       const struct endpoint *remote, struct tcp_pcb *pcb)
{
	struct tcp_node *node = tcp_lookup(w, local, remote);
	struct tcp_tw *tw;

	if (!node)
		return true;
	if (node->kind != TCP_NODE_TW)
		return false;
	tw = tcp_node_tw(node);
	if (!tcp_tw_may_reuse(w, tw))
		return false;
	/* Above everything the old connection sent (RFC 6191); tcp_connect() takes these. */
	pcb->iss = tw->snd_nxt + 65535 + 2;
	pcb->ts_recent = tw->ts_recent;
	pcb->ts_recent_s = tw->ts_recent_s;
	tcp_mib(w, TWRecycled);
	tcp_tw_free(w, tw);
	return true;
}

/* A connection needs a free 4-tuple only; ports that somebody chose by tcp_bind() are left alone.
 * The search begins at random (RFC 6056 section 3.3.1). A port that was bound has to do as it is.
 */
int tcp_port_ephemeral(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t start = worker_random(w), count = port_count(w);

	if (pcb->flags & F_BOUND)
		return tuple_free(w, &pcb->pub.local, &pcb->pub.remote, pcb) ? 0 : -EADDRNOTAVAIL;
	for (uint32_t i = 0; i < count; i++) {
		uint16_t port = port_at(w, start + i);
		struct endpoint local = pcb->pub.local;

		local.port_be = host_to_be16(port);
		if (w->tcp->explicit_n[port] || !tuple_free(w, &local, &pcb->pub.remote, pcb))
			continue;
		port_take(w, pcb, local.port_be, false);
		return 0;
	}
	return -EADDRNOTAVAIL;
}

int tcp_bind(struct worker *w, struct tcp_pcb *pcb, const struct endpoint *local)
{
	bool any = ipaddr_is_any(&local->addr);

	if (pcb->pub.state != TCP_CLOSED || (pcb->flags & F_BOUND))
		return -EINVAL;
	if (!any && !pcb->pub.freebind && !pcb->pub.transparent &&
	    !inet_addr_is_local(w, &local->addr))
		return -EADDRNOTAVAIL;
	pcb->pub.local = *local;
	if (local->port_be == 0) {
		int err = tcp_port_any(w, pcb);

		if (err)
			pcb->pub.local = (struct endpoint){ .port_be = 0 };
		return err;
	}
	if (port_conflicts(w, pcb, local)) {
		pcb->pub.local = (struct endpoint){ .port_be = 0 };
		return -EADDRINUSE;
	}
	port_take(w, pcb, local->port_be, true);
	return 0;
}

int tcp_bind_twin(struct worker *w, struct tcp_pcb *pcb, const struct endpoint *local)
{
	if (pcb->pub.state != TCP_CLOSED || (pcb->flags & F_BOUND) || local->port_be == 0)
		return -EINVAL;
	pcb->pub.local = *local;
	if (tcp_port_listens(w, pcb)) {
		pcb->pub.local = (struct endpoint){ .port_be = 0 };
		return -EADDRINUSE;
	}
	port_take(w, pcb, local->port_be, true);
	return 0;
}

void tcp_unbind(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->pub.state != TCP_CLOSED || !(pcb->flags & F_BOUND))
		return;
	tcp_port_unlink(w, pcb);
	pcb->pub.local = (struct endpoint){ .port_be = 0 };
}

bool tcp_bind_conflicts(struct worker *w, const struct tcp_pcb *pcb)
{
	return port_conflicts(w, pcb, &pcb->pub.local);
}
