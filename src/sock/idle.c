/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rings of connections that are silent: a ring that is empty and was not used for SOCK_IDLE_NS
 * goes back to the arena, for most connections of a busy server are silent, and what they once
 * touched would stay in memory. The receive ring comes again with the first data, the send ring
 * with it, or when the program asks for it (ABI_CTL_RING) because it has something to write.
 *
 * Each socket that has a ring looks after itself by its own timer, which is free for that once the
 * socket was accepted. As for another size (resize.c) the engine tries the program's lock.
 */
#include <errno.h>

#include "sock/sock_priv.h"
#include "wire/app_ring.h"

/* Changes with anything that was written, read, sent or acknowledged. */
static uint32_t mark_of(struct sock *s)
{
	const struct tcp_public *pub = tcp_public(s->tcp);

	return pub->rcv.head + pub->rcv.tail + pub->snd.head + pub->snd.tail;
}

static bool has_rings(const struct sock *s)
{
	return s->use == SLOT_STREAM && s->tcp != NULL && !(s->state & ABI_S_LISTEN) &&
	       (tcp_public(s->tcp)->rcv.data != NULL || tcp_public(s->tcp)->snd.data != NULL);
}

static void release_rx(struct sock *s)
{
	struct byte_ring *rcv = &tcp_public(s->tcp)->rcv;

	if (rcv->data == NULL || !app_try_lock(&s->abi->rx_lock, ABI_LOCK_ENGINE))
		return;
	stream_sync_rx(s);
	if (byte_ring_used(rcv) == 0 && !part_broken(s->part) &&
	    tcp_rcv_release(s->part->w, s->tcp)) {
		atomic_store_explicit(&s->abi->rx_size_bytes, 0, memory_order_relaxed);
		ring_drop(s->part, rcv);
		stream_rx_lowat(s);
	}
	app_unlock(&s->abi->rx_lock);
}

static void release_tx(struct sock *s)
{
	struct byte_ring *snd = &tcp_public(s->tcp)->snd;
	bool more;

	if (snd->data == NULL || s->state & ABI_S_TX_SHUT || !(s->state & ABI_S_CONNECTED) ||
	    !app_try_lock(&s->abi->tx_lock, ABI_LOCK_ENGINE))
		return;
	more = stream_sync_tx(s);
	if (byte_ring_used(snd) == 0 && !part_broken(s->part)) {
		atomic_store_explicit(&s->abi->tx_size_bytes, 0, memory_order_relaxed);
		ring_drop(s->part, snd);
	}
	app_unlock(&s->abi->tx_lock);
	if (more)
		tcp_push(s->part->w, s->tcp);
}

static void idle_fired(struct worker *w, struct timer *t)
{
	struct sock *s = (struct sock *)((char *)t - offsetof(struct sock, timer));

	if (has_rings(s) && !part_broken(s->part) && mark_of(s) == s->idle_mark) {
		release_rx(s);
		release_tx(s);
	}
	stream_idle_watch(s);
}

void stream_idle_watch(struct sock *s)
{
	struct worker *w = s->part->w;

	/* One that waits to be accepted has other use for its timer (accept.c). */
	if (timer_armed(&s->timer) || s->queue_pprev != NULL || !has_rings(s))
		return;
	s->idle_mark = mark_of(s);
	s->timer.fn = idle_fired;
	timer_set(&w->timers, &s->timer, w->now_ns + SOCK_IDLE_NS);
}

int stream_need_tx(struct sock *s)
{
	struct byte_ring *snd;

	if (s->use != SLOT_STREAM || s->tcp == NULL || !(s->state & ABI_S_CONNECTED) ||
	    s->state & (ABI_S_TX_SHUT | ABI_S_RESET))
		return -ENOTCONN;
	snd = &tcp_public(s->tcp)->snd;
	if (snd->data != NULL)
		return 0;
	if (ring_make(s->part, snd, stream_tx_size(s)) != 0)
		return -ENOBUFS;
	sock_publish_tx_ring(s, snd);
	stream_idle_watch(s);
	return 0;
}
