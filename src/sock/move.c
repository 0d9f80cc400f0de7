/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A socket goes from one family to another, because its descriptor was passed to another program.
 * Arenas are not shared between programs, so it gets a slot and rings of the receiver's: their
 * memory is copied to the same positions, what TCP or UDP knows stays as it is and only has another
 * user. Neither program may be inside of the rings meanwhile: the engine tries their locks once, as
 * in resize.c. What the sender still has of the socket is dead: each call answers ENETDOWN.
 *
 * A datagram socket's siblings on other workers (shard.c) go with it. A listener is not moved but
 * shared (share.c); of the connections that wait at one, those are moved that the other program
 * shall accept.
 */
#include <errno.h>
#include <string.h>

#include "sock/packet.h"
#include "wire/app_ring.h"

static struct byte_ring *rx_of(struct sock *s)
{
	return s->use == SLOT_STREAM && s->tcp != NULL ? &tcp_public(s->tcp)->rcv : &s->rx;
}

static struct byte_ring *tx_of(struct sock *s)
{
	return s->use == SLOT_STREAM && s->tcp != NULL ? &tcp_public(s->tcp)->snd : &s->tx;
}

static int ring_copy(struct part *to, struct byte_ring *new, const struct byte_ring *old)
{
	*new = *old;
	if (old->data == NULL)
		return 0;
	if (ring_make(to, new, old->size_bytes) != 0)
		return -ENOBUFS;
	/* All of it: TCP may hold bytes behind the tail. */
	memcpy(new->data, old->data, old->size_bytes);
	return 0;
}

/* What the program wrote and read so far counts. */
static void sync(struct sock *s)
{
	if (s->use == SLOT_DGRAM) {
		dgram_tx(s);
		dgram_sync_rx(s);
		return;
	}
	stream_sync_rx(s);
	if (s->tcp != NULL && stream_sync_tx(s))
		tcp_push(s->part->w, s->tcp);
}

static void copy_word(_Atomic uint32_t *to, const _Atomic uint32_t *from)
{
	atomic_store_explicit(to, atomic_load_explicit(from, memory_order_relaxed),
			      memory_order_relaxed);
}

/* The shared words that are no positions; the sender could have written anything there, and its
 * receiver bounds what it reads. */
static void abi_copy(struct abi_sock *to, struct abi_sock *from)
{
	copy_word(&to->error, &from->error);
	copy_word(&to->err_seen, &from->err_seen);
	copy_word(&to->rx_lowat_bytes, &from->rx_lowat_bytes);
	copy_word(&to->tx_lowat_bytes, &from->tx_lowat_bytes);
	copy_word(&to->tx_limit_bytes, &from->tx_limit_bytes);
	copy_word(&to->tx_sent, &from->tx_sent);
	copy_word(&to->urg_hole, &from->urg_hole);
	copy_word(&to->urg_hole_end, &from->urg_hole_end);
	copy_word(&to->urg_seen, &from->urg_seen);
	copy_word(&to->tx_urg, &from->tx_urg);
	copy_word(&to->file_flags, &from->file_flags);
	copy_word(&to->recv_opts, &from->recv_opts);
	copy_word(&to->peek_off, &from->peek_off);
	atomic_store_explicit(&to->urg, atomic_load_explicit(&from->urg, memory_order_relaxed),
			      memory_order_relaxed);
	to->local_addr = from->local_addr;
	to->peer_addr = from->peer_addr;
	to->local_port_be = from->local_port_be;
	to->peer_port_be = from->peer_port_be;
	to->family = from->family;
	to->protocol = from->protocol;
}

static void publish_all(struct sock *n)
{
	struct byte_ring *rx = rx_of(n), *tx = tx_of(n);

	atomic_store_explicit(&n->abi->rx_head, rx->head, memory_order_relaxed);
	atomic_store_explicit(&n->abi->rx_tail, rx->tail, memory_order_relaxed);
	atomic_store_explicit(&n->abi->tx_head, tx->head, memory_order_relaxed);
	atomic_store_explicit(&n->abi->tx_tail, tx->tail, memory_order_relaxed);
	n->pub_rx_tail = rx->tail;
	n->pub_tx_head = tx->head;
	n->pub_state = 0;
	if (rx->data != NULL)
		sock_publish_rx_ring(n, rx);
	if (tx->data != NULL)
		sock_publish_tx_ring(n, tx);
	sock_set_addrs(n);
	sock_publish(n);
	sock_mark(n, ABI_EV_IN | ABI_EV_OUT);
}

/* Everything but what belongs to the slot, its place in lists, and its programs. */
static void take_over(struct sock *n, const struct sock *s)
{
	struct sock slot = *n;

	*n = *s;
	n->abi = slot.abi;
	n->part = slot.part;
	n->index = slot.index;
	n->gen = slot.gen;
	n->dirty = slot.dirty;
	n->dirty_next = slot.dirty_next;
	n->tx_more = slot.tx_more;
	n->tx_next = slot.tx_next;
	n->timer = slot.timer;
	n->watches = NULL;
	n->refs = 0;
	n->shared_ref = false;
	n->queue_pprev = NULL;
	n->queue_next = n->listener = NULL;
	n->shard_next = n->shard_first = ABI_SOCK_NONE;
	n->abi->shard_next = ABI_SOCK_NONE;
	if (n->use == SLOT_DGRAM)
		n->udp->user = n;
	else if (n->tcp != NULL)
		tcp_public(n->tcp)->user = n;
}

/* What the sender has left. */
static void leave(struct sock *s, struct byte_ring *rx, struct byte_ring *tx)
{
	ring_drop(s->part, rx);
	ring_drop(s->part, tx);
	timer_cancel(&s->part->w->timers, &s->timer);
	s->use = SLOT_STREAM;
	s->tcp = NULL;
	s->queue = NULL; /* a datagram socket's filters went along */
	s->rx = s->tx = (struct byte_ring){ 0 };
	s->state = ABI_S_OPEN | ABI_S_STREAM | ABI_S_DEAD;
	s->shard_next = s->shard_first = ABI_SOCK_NONE;
	s->abi->shard_next = ABI_SOCK_NONE;
	atomic_store_explicit(&s->abi->rx_size_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&s->abi->tx_size_bytes, 0, memory_order_relaxed);
	sock_publish(s);
	sock_mark(s, ABI_EV_IN | ABI_EV_OUT | ABI_EV_ERR | ABI_EV_HUP | ABI_EV_RDHUP);
}

static int move_locked(struct sock *s, struct part *to, struct sock **moved)
{
	struct byte_ring rx, tx, rx_new, tx_new = { 0 };
	struct sock *n;
	int ret;

	sync(s);
	if (part_broken(s->part))
		return -ENETDOWN;
	if (!filter_may_move(s, to))
		return -ENOBUFS;
	ret = sock_slot_take(to, &n);
	if (ret != 0)
		return ret;
	rx = *rx_of(s);
	tx = *tx_of(s);
	ret = ring_copy(to, &rx_new, &rx);
	if (ret == 0)
		ret = ring_copy(to, &tx_new, &tx);
	if (ret != 0) {
		if (rx_new.data != rx.data)
			ring_drop(to, &rx_new);
		sock_slot_give(n);
		return ret;
	}
	take_over(n, s);
	*rx_of(n) = rx_new;
	*tx_of(n) = tx_new;
	abi_copy(n->abi, s->abi);
	n->opt = NULL;
	options_share(n, s);
	leave(s, &rx, &tx);
	filter_moved(n, s->part);
	publish_all(n);
	*moved = n;
	return 0;
}

int sock_move(struct sock *s, struct part *to, struct sock **moved)
{
	struct abi_sock *abi = s->abi;
	int ret = -EAGAIN;

	if (s->use != SLOT_STREAM && s->use != SLOT_DGRAM)
		return -EOPNOTSUPP;
	if (part_broken(s->part) || (s->state & (ABI_S_DEAD | ABI_S_LISTEN)))
		return -ENETDOWN;
	if (!app_try_lock(&abi->rx_lock, ABI_LOCK_ENGINE))
		return ret;
	if (app_try_lock(&abi->tx_lock, ABI_LOCK_ENGINE)) {
		ret = move_locked(s, to, moved);
		app_unlock(&abi->tx_lock);
	}
	app_unlock(&abi->rx_lock);
	if (ret == 0 && (*moved)->use == SLOT_STREAM)
		stream_idle_watch(*moved);
	return ret;
}

int sock_move_all(struct sock *s, struct family *to, struct sock **moved)
{
	struct family *from = s->part->family;
	uint32_t next = s->shard_next;
	struct sock *last;
	int ret = sock_move(s, part_on(to, s->part->w), moved);

	last = ret == 0 ? *moved : NULL;
	while (ret == 0 && next != ABI_SOCK_NONE) {
		struct sock *sibling = &from->socks[next], *n;

		next = sibling->shard_next;
		ret = sock_move(sibling, part_on(to, sibling->part->w), &n);
		if (ret != 0) {
			/* The first one works; flows of this worker are not heard. */
			sock_close(sibling, true);
			return 0;
		}
		sock_close(sibling, true); /* what is left of it is nobody's */
		n->shared_ref = true;
		n->shard_first = (*moved)->index;
		last->shard_next = n->index;
		last->abi->shard_next = n->index;
		last = n;
	}
	return ret;
}
