/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stream's rings get another size while the program uses them.
 *
 * Both sides know a ring by its place and size; neither may be inside of it while they change. The
 * program is inside only while it holds rx_lock (tx_lock), which it takes for each copy. So the
 * engine tries to take the lock, once and without waiting: where that fails a thread of the program
 * is in the ring (or was killed there, or does as it pleases), and the ring stays as it is until
 * the next occasion. With the lock, the engine takes the program's position once more, moves what
 * the ring holds to the same positions of the new one, tells where that is, and lets the lock go.
 * What a hostile program does to the words meanwhile spoils bytes of its own and nothing else:
 * places, sizes and positions are the engine's own copies.
 *
 * Readiness is computed without the lock (app_sock_events()): it may see the new size and an old
 * position, and is looked at again, as after any change.
 */
#include <errno.h>
#include <string.h>

#include "inet/tcp/params.h"
#include "sock/sock_priv.h"
#include "wire/app_ring.h"

/* The bytes of len positions from pos on, from one ring to the same positions of another. */
static void copy_positions(const struct byte_ring *to, const struct byte_ring *from, uint32_t pos,
			   uint32_t len)
{
	while (len != 0) {
		uint32_t run_from, run_to;
		const uint8_t *src = byte_ring_run(from, pos, len, &run_from);
		uint8_t *dst = byte_ring_run(to, pos, run_from, &run_to);

		memcpy(dst, src, run_to);
		pos += run_to;
		len -= run_to;
	}
}

/* Into a ring of size_bytes, with beyond bytes behind the tail. 0, -ENOMEM, -EINVAL (too small). */
static int ring_move(struct part *part, struct byte_ring *ring, uint32_t size_bytes,
		     uint32_t beyond)
{
	struct byte_ring new = *ring;
	uint32_t len = byte_ring_used(ring) + beyond;
	int ret;

	if (len > size_bytes || len > ring->size_bytes)
		return -EINVAL;
	ret = ring_make(part, &new, size_bytes);
	if (ret != 0)
		return ret;
	copy_positions(&new, ring, ring->head, len);
	arena_release(&part->heap, ring->data);
	*ring = new;
	return 0;
}

/* Memory for more than connections need to go on: while the arena is not nearly full [tcp_mem]. */
static bool may_grow(const struct part *part, uint32_t size_bytes)
{
	uint64_t most = (uint64_t)part->heap.blocks * ARENA_BLOCK_BYTES;

	return part->heap.used_bytes + size_bytes <= most / 4 * 3;
}

int stream_resize_tx(struct sock *s, uint32_t size_bytes)
{
	struct byte_ring *snd = &tcp_public(s->tcp)->snd;
	bool more;
	int ret;

	if (s->state & ABI_S_TX_SHUT || snd->data == NULL)
		return -EINVAL;
	if (size_bytes > snd->size_bytes && !may_grow(s->part, size_bytes))
		return -ENOMEM;
	if (!app_try_lock(&s->abi->tx_lock, ABI_LOCK_ENGINE))
		return -EAGAIN;
	more = stream_sync_tx(s);
	ret = part_broken(s->part) ? -EINVAL : ring_move(s->part, snd, size_bytes, 0);
	if (ret == 0)
		sock_publish_tx_ring(s, snd);
	app_unlock(&s->abi->tx_lock);
	if (more) {
		tcp_push(s->part->w, s->tcp);
		sock_layer_of(s)->late_work = true;
	}
	return ret;
}

/* What the program may write: by TCP_NOTSENT_LOWAT, and while the ring is larger than it should be
 */
static void tx_rules(struct sock *s, uint32_t limit)
{
	uint32_t lowat = tcp_public(s->tcp)->notsent_lowat;

	if (lowat == 0)
		lowat = (uint32_t)tcp_params(s->part->w)->tcp_notsent_lowat;
	s->tx_lowat = lowat != UINT32_MAX;
	tcp_public(s->tcp)->tell_sent = s->tx_lowat;
	stream_publish(s);
	atomic_store_explicit(&s->abi->tx_limit_bytes, limit, memory_order_relaxed);
	atomic_store_explicit(&s->abi->tx_lowat_bytes,
			      s->tx_lowat || limit != UINT32_MAX ? lowat : 0, memory_order_release);
}

void stream_tx_apply(struct sock *s)
{
	tx_rules(s, s->tx_smaller ? s->tx_want_bytes : UINT32_MAX);
}

/* The send ring's size is what SO_SNDBUF asked for, or follows the congestion window. */
void stream_fit_tx(struct sock *s)
{
	uint32_t size, now;
	int ret;

	if (s->tcp == NULL || s->state & ABI_S_LISTEN)
		return;
	now = tcp_public(s->tcp)->snd.size_bytes;
	size = s->tx_locked ? s->tx_want_bytes
			    : sock_ring_size(tcp_snd_space(s->part->w, s->tcp), false);
	if (size == now || (size < now && !s->tx_locked))
		return;
	ret = stream_resize_tx(s, size);
	/* What there is no memory for is not asked for again. */
	if (ret == -ENOMEM && s->tx_locked)
		s->tx_want_bytes = now;
	if (s->tx_smaller != (ret != 0 && size < now)) {
		s->tx_smaller = !s->tx_smaller;
		stream_tx_apply(s);
	}
}

uint32_t stream_tx_size(const struct sock *s)
{
	const struct byte_ring *snd = s->tcp != NULL ? &tcp_public(s->tcp)->snd : &s->tx;

	return snd->data != NULL ? snd->size_bytes : s->tx_want_bytes;
}

/* The half of the buffer at most: so much can come before its window closes. A buffer that grows by
 * itself grows for it [tcp_set_rcvlowat]. */
void stream_rx_lowat(struct sock *s)
{
	struct tcp_public *pub = tcp_public(s->tcp);
	uint32_t most = (uint32_t)tcp_params(s->part->w)->tcp_rmem[2];
	uint32_t lowat = (uint32_t)s->opt->rcvlowat, space = pub->rcv_space_bytes;

	if (!pub->rcv_locked && space < 2 * lowat && space < most)
		space = pub->rcv_space_bytes = 2 * lowat < most ? 2 * lowat : most;
	if (pub->window_clamp != 0 && space > pub->window_clamp)
		space = pub->window_clamp;
	if (lowat > space / 2)
		lowat = space / 2;
	atomic_store_explicit(&s->abi->rx_lowat_bytes, lowat, memory_order_relaxed);
	sock_mark(s, ABI_EV_IN);
}

int stream_resize_rx(struct sock *s, uint32_t size_bytes, uint32_t beyond)
{
	struct byte_ring *rcv = &tcp_public(s->tcp)->rcv;
	int ret;

	if (size_bytes > rcv->size_bytes && !may_grow(s->part, size_bytes))
		return -ENOMEM;
	if (!app_try_lock(&s->abi->rx_lock, ABI_LOCK_ENGINE))
		return -EAGAIN;
	stream_sync_rx(s);
	ret = part_broken(s->part) ? -EINVAL : ring_move(s->part, rcv, size_bytes, beyond);
	if (ret == 0)
		sock_publish_rx_ring(s, rcv);
	app_unlock(&s->abi->rx_lock);
	return ret;
}
