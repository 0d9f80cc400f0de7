/* SPDX-License-Identifier: BSD-3-Clause */
/* The states of a neighbour, and its queue; neigh_table.c keeps the entries. See neigh.h. */
#include "inet/neigh.h"

#include <errno.h>

#include "core/watch.h"
#include "inet/arp.h"
#include "inet/neigh_table.h"
#include "inet/state.h"
#include "wire/icmp.h"
#include "wire/ip4.h"

const char *neigh_state_name(enum neigh_state state)
{
	static const char *const names[NEIGH_STATE_MAX] = {
		[NEIGH_NONE] = "NONE",		 [NEIGH_INCOMPLETE] = "INCOMPLETE",
		[NEIGH_FAILED] = "FAILED",	 [NEIGH_STALE] = "STALE",
		[NEIGH_DELAY] = "DELAY",	 [NEIGH_PROBE] = "PROBE",
		[NEIGH_REACHABLE] = "REACHABLE", [NEIGH_PERMANENT] = "PERMANENT",
	};

	return (unsigned int)state < NEIGH_STATE_MAX ? names[state] : "NONE";
}

/* The one place where a state changes. */
static void neigh_set_state(struct worker *w, struct neigh *n, enum neigh_state state)
{
	n->state = state;
	n->since_ns = w->now_ns;
	switch (state) {
	case NEIGH_INCOMPLETE:
	case NEIGH_PROBE:
		n->probes = 0;
		break;
	case NEIGH_DELAY:
		timer_set(&w->timers, &n->timer, w->now_ns + NEIGH_DELAY_NS);
		break;
	case NEIGH_REACHABLE:
		timer_set(&w->timers, &n->timer,
			  w->now_ns + NEIGH_REACHABLE_NS / 2 +
				  worker_random(w) % NEIGH_REACHABLE_NS);
		break;
	default:
		timer_cancel(&w->timers, &n->timer);
		break;
	}
}

/* Ask once more: everybody, or in PROBE the neighbour itself. */
static void neigh_solicit(struct worker *w, struct neigh *n)
{
	n->probes++;
	timer_set(&w->timers, &n->timer, w->now_ns + NEIGH_RETRANS_NS);
	arp_request(w, n, n->state == NEIGH_PROBE);
}

/* Take the queue off; the packets are released, and the caller's. */
static struct pkt *queue_take(struct worker *w, struct neigh *n)
{
	struct pkt *head = n->queue_head;

	ledger_release(w, n->queued);
	w->inet->neighs.held -= n->queued;
	n->queued = 0;
	n->queue_head = NULL;
	n->queue_tail = &n->queue_head;
	return head;
}

/* Tell whoever sent p that its next hop does not answer. Who sent it hears it as from our own host,
 * and as of something that may pass, as in Linux; where raw sockets might want to see the message
 * itself, it is made, and comes back by the loopback. */
static void tell_unreachable(struct worker *w, const struct pkt *p)
{
	const struct ip4_hdr *h = pkt_header(p, p->l3, sizeof(*h));
	struct net_error e = { .error = EHOSTUNREACH,
			       .from = NET_ERROR_ICMP,
			       .type = ICMP_TYPE_UNREACHABLE,
			       .code = ICMP_CODE_HOST,
			       .p = p,
			       .l4 = pkt_header(p, p->l4, 8),
			       .data_at = (uint16_t)(p->l4 + 8) };

	if (p->flags & PKT_F_ROUTED) {
		icmp_send_error(w, p, ICMP_TYPE_UNREACHABLE, ICMP_CODE_HOST, 0);
		return;
	}
	if (!h || !e.l4 || ip4_frag_offset(h) != 0)
		return;
	if (w->inet->raws && icmp_send_self(w, p, ICMP_TYPE_UNREACHABLE, ICMP_CODE_HOST))
		return;
	e.local = e.offender = ipaddr_from_ip4(h->src_be);
	e.remote = ipaddr_from_ip4(h->dst_be);
	if (h->proto == IP_PROTO_TCP)
		tcp_icmp_error(w, &e.local, &e.remote, e.l4, EHOSTUNREACH, true, 0);
	else if (h->proto == IP_PROTO_UDP)
		udp_icmp_error(w, &e);
	else
		raw_icmp_error(w, &e, h->proto);
}

/*
 * The round failed. The state is set and the queue is off before anybody is told, because who is
 * told may send again.
 */
static void neigh_fail(struct worker *w, struct neigh *n)
{
	struct pkt *p, *next;

	neigh_set_state(w, n, NEIGH_FAILED);
	for (p = queue_take(w, n); p; p = next) {
		next = p->next;
		p->next = NULL;
		tell_unreachable(w, p);
		pkt_drop(w, p, DROP_NEIGH_FAILED);
	}
}

/* Inet ends, or the entry is needed for another neighbour. */
void neigh_queue_drop(struct worker *w, struct neigh *n)
{
	struct pkt *p, *next;

	for (p = queue_take(w, n); p; p = next) {
		next = p->next;
		p->next = NULL;
		pkt_drop(w, p, DROP_NEIGH_FAILED);
	}
}

/* The confirmation came from above (TCP) while a timer was running: look at it when it fires. */
static bool confirmed_within(const struct worker *w, const struct neigh *n, uint64_t ns)
{
	return n->confirmed_ns && w->now_ns - n->confirmed_ns < ns;
}

void neigh_timer(struct worker *w, struct timer *t)
{
	struct neigh *n = (struct neigh *)((char *)t - offsetof(struct neigh, timer));

	switch (n->state) {
	case NEIGH_INCOMPLETE:
	case NEIGH_PROBE:
		if (n->state == NEIGH_PROBE && n->confirmed_ns >= n->since_ns)
			neigh_set_state(w, n, NEIGH_REACHABLE);
		else if (n->probes < NEIGH_PROBES)
			neigh_solicit(w, n);
		else
			neigh_fail(w, n);
		break;
	case NEIGH_REACHABLE:
		if (confirmed_within(w, n, NEIGH_REACHABLE_NS / 2))
			neigh_set_state(w, n, NEIGH_REACHABLE);
		else
			neigh_set_state(w, n, NEIGH_STALE);
		break;
	case NEIGH_DELAY:
		if (n->confirmed_ns >= n->since_ns) {
			neigh_set_state(w, n, NEIGH_REACHABLE);
		} else {
			neigh_set_state(w, n, NEIGH_PROBE);
			neigh_solicit(w, n);
		}
		break;
	default:
		break;
	}
}

bool neigh_update(struct worker *w, struct neigh *n, const uint8_t mac[ETH_ADDR_BYTES],
		  bool reachable, bool override)
{
	bool known = n->state >= NEIGH_STALE;
	bool same = known && eth_addr_equal(n->eth.dst, mac);
	struct pkt *p, *next;

	if (n->state == NEIGH_PERMANENT)
		return false;
	if (known && !same) {
		/* The first answer wins for a while, or two claimants would alternate. */
		if (!override || w->now_ns - n->updated_ns < NEIGH_LOCK_NS)
			return false;
	}
	if (!same) {
		eth_addr_copy(n->eth.dst, mac);
		n->updated_ns = w->now_ns;
	}
	if (reachable) {
		n->confirmed_ns = w->now_ns;
		neigh_set_state(w, n, NEIGH_REACHABLE);
	} else if (!same) {
		neigh_set_state(w, n, NEIGH_STALE);
	}
	for (p = queue_take(w, n); p; p = next) {
		next = p->next;
		p->next = NULL;
		if (n->state == NEIGH_STALE)
			neigh_set_state(w, n, NEIGH_DELAY);
		watch_note(w, p, NEIGH_KNOWN, ipaddr_ip4(&n->addr), 0);
		neigh_send(w, p, n);
	}
	return true;
}

void neigh_send(struct worker *w, struct pkt *p, const struct neigh *n)
{
	struct eth_hdr *eth = pkt_push(p, sizeof(*eth));

	if (!eth) { /* a received packet whose driver left no headroom */
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	*eth = n->eth;
	p->l2 = p->mbuf.data_off;
	port_send(w, n->port, p);
}

/* The queue is full: the oldest goes, because the newest is what somebody still waits for. */
static void queue_drop_oldest(struct worker *w, struct neigh *n)
{
	struct pkt *p = n->queue_head;

	n->queue_head = p->next;
	if (!n->queue_head)
		n->queue_tail = &n->queue_head;
	p->next = NULL;
	n->queued--;
	w->inet->neighs.held--;
	ledger_release(w, 1);
	pkt_drop(w, p, DROP_NEIGH_QUEUEFULL);
}

static int neigh_enqueue(struct worker *w, struct pkt *p, struct neigh *n)
{
	struct neigh_table *t = &w->inet->neighs;

	if (n->queued == NEIGH_QUEUE_PACKETS)
		queue_drop_oldest(w, n);
	if (t->held == NEIGH_HELD_PACKETS) {
		pkt_drop(w, p, DROP_NEIGH_QUEUEFULL);
		return -ENOBUFS;
	}
	watch_note(w, p, NEIGH_WAIT, ipaddr_ip4(&n->addr), n->queued);
	p->next = NULL;
	*n->queue_tail = p;
	n->queue_tail = &p->next;
	n->queued++;
	t->held++;
	ledger_hold(w, 1);
	return 0;
}

int neigh_output_slow(struct worker *w, struct pkt *p, struct neigh *n)
{
	int err;

	if (n->state == NEIGH_STALE) {
		neigh_set_state(w, n, NEIGH_DELAY);
		neigh_send(w, p, n);
		return 0;
	}
	err = neigh_enqueue(w, p, n);
	if (n->state != NEIGH_INCOMPLETE) {
		neigh_set_state(w, n, NEIGH_INCOMPLETE);
		neigh_solicit(w, n);
	}
	return err;
}

void neigh_confirm(struct worker *w, const struct ip_flow *flow)
{
	if (flow->neigh && flow->neigh->generation == flow->neigh_generation)
		flow->neigh->confirmed_ns = w->now_ns;
}
