/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A listener's accept queue. The entries are in shared memory, and whoever of the family is first
 * takes one (rx_head). The engine keeps a list of the connections that nobody claimed yet
 * (ABI_OP_ACCEPTED); one that was taken by a process which died before it claimed it is closed
 * after a grace time, in which a process that is only slow may still do so.
 */
#include <string.h>

#include "sock/sock_priv.h"

static uint32_t entries(const struct sock *l)
{
	return l->rx.size_bytes / (uint32_t)sizeof(uint64_t);
}

static void accept_sync(struct sock *l)
{
	uint32_t head = atomic_load_explicit(&l->abi->rx_head, memory_order_acquire);

	if (head - l->rx.head > l->pub_rx_tail - l->rx.head) {
		sock_broken(l->part, "an accept position is outside of its ring");
		return;
	}
	l->rx.head = head;
}

void accept_open(struct sock *l)
{
	struct part *part = l->part;

	l->listen_next = part->listeners;
	l->listen_pprev = &part->listeners;
	if (part->listeners != NULL)
		part->listeners->listen_pprev = &l->listen_next;
	part->listeners = l;
}

/* Like Linux, a backlog of n lets n + 1 connections wait. */
bool accept_room(struct sock *l)
{
	uint32_t used;

	if (!(l->state & ABI_S_LISTEN) || part_broken(l->part))
		return false;
	accept_sync(l);
	used = l->rx.tail - l->rx.head;
	return used <= l->backlog && used < entries(l);
}

uint32_t accept_waiting(struct sock *l)
{
	accept_sync(l);
	return l->rx.tail - l->rx.head;
}

void accept_push(struct sock *l, struct sock *s)
{
	uint64_t entry = (uint64_t)s->gen << 32 | s->index;

	memcpy(l->rx.data + (l->rx.tail & (entries(l) - 1)) * sizeof(entry), &entry, sizeof(entry));
	s->queue_pos = l->rx.tail++;
	s->listener = l;
	s->queue_next = l->queue;
	s->queue_pprev = &l->queue;
	if (l->queue != NULL)
		l->queue->queue_pprev = &s->queue_next;
	l->queue = s;
	l->excl_budget++;
	sock_mark(l, ABI_EV_IN);
}

void accept_unlink(struct sock *s)
{
	if (s->queue_pprev == NULL)
		return;
	*s->queue_pprev = s->queue_next;
	if (s->queue_next != NULL)
		s->queue_next->queue_pprev = s->queue_pprev;
	s->queue_pprev = NULL;
	s->listener = NULL;
}

void accept_claim(struct session *session, struct sock *s)
{
	/* Nobody accepted what a program opened, nor a sibling that is another socket's (shard.c).
	 */
	if (s->shared_ref)
		return;
	accept_unlink(s);
	timer_cancel(&s->part->w->timers, &s->timer);
	sock_ref(session, s);
	stream_idle_watch(s);
}

static void grace_over(struct worker *w, struct timer *t)
{
	struct sock *s = (struct sock *)((char *)t - offsetof(struct sock, timer));

	if (!s->shared_ref)
		sock_close(s, true);
}

static void grace_begin(struct sock *s)
{
	struct worker *w = s->part->w;

	if (timer_armed(&s->timer))
		return;
	s->timer.fn = grace_over;
	timer_set(&w->timers, &s->timer, w->now_ns + SOCK_ACCEPT_GRACE_NS);
}

static bool taken(const struct sock *l, const struct sock *s)
{
	return s->queue_pos - l->rx.head >= l->rx.tail - l->rx.head;
}

void accept_close(struct sock *l)
{
	accept_sync(l);
	listener_leave(l);
	while (l->queue != NULL) {
		struct sock *s = l->queue;
		bool was_taken = taken(l, s);

		accept_unlink(s);
		if (was_taken)
			grace_begin(s);
		else
			sock_close(s, true);
	}
	*l->listen_pprev = l->listen_next;
	if (l->listen_next != NULL)
		l->listen_next->listen_pprev = l->listen_pprev;
	atomic_store_explicit(&l->abi->rx_size_bytes, 0, memory_order_release);
	ring_drop(l->part, &l->rx);
}

void accept_reap(struct part *part)
{
	for (struct sock *l = part->listeners; l != NULL; l = l->listen_next) {
		accept_sync(l);
		for (struct sock *s = l->queue; s != NULL; s = s->queue_next)
			if (taken(l, s))
				grace_begin(s);
	}
}
