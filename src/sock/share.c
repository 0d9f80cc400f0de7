/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A listener that programs of several families have: its descriptor was passed to another program.
 * Linux has one queue, and whoever accepts first gets the connection. Arenas are not shared between
 * programs, so each family has a listener of its own, and these are linked to a ring (sock.listener
 * of listeners). One of them has the pcb that listens; the others' pcbs do nothing.
 *
 * A new connection goes to a program that waits for one (it watches its listener), the one with the
 * shortest queue first. Where nobody does it waits at any; who begins to wait then gets it
 * (accept_steal()). When a listener closes, its connections and the pcb go to the next one, so a
 * program that takes over from another (a reload) loses none.
 */
#include <errno.h>

#include "sock/sock_priv.h"

#define STEAL_MAX 64u

/* The next of the ring, also of a listener that is alone. */
static struct sock *next_of(struct sock *l)
{
	return l->listener != NULL ? l->listener : l;
}

static bool room(struct sock *l)
{
	return !part_broken(l->part) && accept_room(l);
}

struct sock *accept_target(struct sock *l)
{
	struct sock *best = NULL;
	uint32_t least = 0;

	if (likely(l->listener == NULL))
		return l;
	/* From another one each time, so that equal ones take turns. */
	for (struct sock *at = next_of(l), *end = at;;) {
		if (room(at)) {
			uint32_t weight = accept_waiting(at) + (at->watches ? 0 : 1u << 20);

			if (best == NULL || weight < least) {
				best = at;
				least = weight;
			}
		}
		at = next_of(at);
		if (at == end)
			break;
	}
	return best != NULL ? best : l;
}

bool accept_any_room(struct sock *l)
{
	struct sock *at = l;

	do {
		if (room(at))
			return true;
		at = next_of(at);
	} while (at != l);
	return false;
}

static int share_one(struct sock *l, struct part *to, struct sock **sibling)
{
	struct sock *n;
	int ret = sock_new(to, l->family, 1 /* SOCK_STREAM */, 0, &n);

	if (ret != 0)
		return ret;
	if (ring_make(to, &n->rx, l->rx.size_bytes) != 0) {
		sock_close(n, true);
		return -ENOBUFS;
	}
	options_share(n, l);
	n->rx_want_bytes = l->rx_want_bytes;
	n->tx_want_bytes = l->tx_want_bytes;
	n->tx_locked = l->tx_locked;
	n->rx.head = n->rx.tail = 0;
	n->backlog = l->backlog;
	n->state |= ABI_S_LISTEN;
	accept_open(n);
	n->abi->local_addr = tcp_public(l->tcp)->local.addr;
	n->abi->local_port_be = tcp_public(l->tcp)->local.port_be;
	if (n->abi->local_port_be == 0) { /* l's own pcb does not listen either */
		n->abi->local_addr = l->abi->local_addr;
		n->abi->local_port_be = l->abi->local_port_be;
	}
	atomic_store(&n->abi->file_flags, atomic_load(&l->abi->file_flags));
	sock_publish_rx_ring(n, &n->rx);
	n->listener = next_of(l);
	l->listener = n;
	sock_publish(n);
	*sibling = n;
	return 0;
}

int listener_share(struct sock *l, struct family *to, struct sock **shared)
{
	struct family *from = l->part->family;
	struct sock *last, *n;
	int ret = share_one(l, part_on(to, l->part->w), shared);

	if (ret != 0)
		return ret;
	last = *shared;
	for (uint32_t i = l->shard_next; i != ABI_SOCK_NONE; i = from->socks[i].shard_next) {
		struct sock *shard = &from->socks[i];

		/* Without it connections of this worker stay with the sender. */
		if (share_one(shard, part_on(to, shard->part->w), &n) != 0)
			break;
		n->shared_ref = true;
		n->shard_first = (*shared)->index;
		last->shard_next = n->index;
		last->abi->shard_next = n->index;
		last = n;
	}
	return 0;
}

/* A connection that waits goes to another listener. */
static void hand_on(struct sock *s, struct sock *to)
{
	struct sock *n;

	accept_unlink(s);
	if (room(to) && sock_move(s, to->part, &n) == 0)
		accept_push(to, n);
	sock_close(s, true); /* the slot, or (no room) the connection */
}

/* Of those that wait at l and nobody has taken, the oldest. */
static struct sock *oldest(struct sock *l)
{
	struct sock *s = l->queue;

	while (s != NULL && s->queue_pos != l->rx.head)
		s = s->queue_next;
	return s;
}

static unsigned int steal_from(struct sock *from, struct sock *to, unsigned int max)
{
	unsigned int n = 0;
	struct sock *s;

	while (n < max && room(to) && accept_waiting(from) != 0 && (s = oldest(from)) != NULL) {
		uint32_t head = from->rx.head;

		/* As any program that accepts. */
		if (!atomic_compare_exchange_strong(&from->abi->rx_head, &head, head + 1))
			break;
		from->rx.head = head + 1;
		hand_on(s, to);
		n++;
	}
	return n;
}

void accept_steal(struct sock *l)
{
	unsigned int n = 0;

	if (l->listener == NULL || part_broken(l->part) || accept_waiting(l) != 0)
		return;
	for (struct sock *at = next_of(l); at != l && n < STEAL_MAX; at = next_of(at)) {
		if (at->watches == NULL && !part_broken(at->part))
			n += steal_from(at, l, STEAL_MAX - n);
	}
}

void listener_leave(struct sock *l)
{
	struct sock *heir = l->listener, *before = l;
	struct tcp_pcb *pcb = l->tcp;

	if (heir == NULL)
		return;
	while (before->listener != l)
		before = before->listener;
	if (pcb != NULL && tcp_public(pcb)->state == TCP_LISTEN) {
		l->tcp = heir->tcp;
		heir->tcp = pcb;
		tcp_public(l->tcp)->user = l;
		tcp_public(pcb)->user = heir;
	}
	if (!part_broken(l->part))
		steal_from(l, heir, UINT32_MAX);
	before->listener = before == heir ? NULL : heir;
	l->listener = NULL;
}
