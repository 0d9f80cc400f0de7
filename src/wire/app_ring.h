/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program's end of the channel (wire/app_abi.h), as small pure functions: what the shim and the
 * direct placement share. No allocation, no system call, no clock: whoever waits does that outside.
 *
 * Threads: a channel's SQ belongs to one thread; a socket's receive side is used under rx_lock, its
 * send side under tx_lock, except where everything is one thread's.
 */
#ifndef WEIR_WIRE_APP_RING_H
#define WEIR_WIRE_APP_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "wire/app_abi.h"
#include "wire/app_urgent.h"

#define APP_NOTSENT_STEP_BYTES 16384u

/* Put one entry into the SQ. False when it is full: the engine has to run first. */
static inline bool app_sq_push(struct abi_arena *arena, struct abi_channel *ch,
			       const struct abi_sqe *sqe)
{
	uint32_t tail = atomic_load_explicit(&ch->sq_tail, memory_order_relaxed);
	uint32_t index = ch->index % ABI_MAX_CHANNELS;
	uint32_t worker = ch->worker % ABI_MAX_WORKERS;

	if (tail - atomic_load_explicit(&ch->sq_head, memory_order_acquire) >= ABI_SQ_ENTRIES)
		return false;
	ch->sq[tail % ABI_SQ_ENTRIES] = *sqe;
	atomic_store_explicit(&ch->sq_tail, tail + 1, memory_order_release);
	/* Sequentially consistent: it is also the fence before the caller reads `sleeping`. */
	atomic_fetch_or(&arena->sq_pending[worker].bits[index / 64], 1ull << (index % 64));
	return true;
}

/* Take a socket's rx_lock or tx_lock, if that can be done now; who: a tid, or ABI_LOCK_ENGINE. */
static inline bool app_try_lock(_Atomic uint32_t *lock, uint32_t who)
{
	uint32_t nobody = 0;

	return atomic_compare_exchange_strong_explicit(lock, &nobody, who, memory_order_acquire,
						       memory_order_relaxed);
}

static inline void app_unlock(_Atomic uint32_t *lock)
{
	atomic_store_explicit(lock, 0, memory_order_release);
}

/* Bytes (stream) or record space taken between two positions; never more than the ring's size. */
static inline uint32_t app_ring_used(uint32_t head, uint32_t tail, uint32_t size)
{
	uint32_t used = tail - head;

	return used <= size ? used : size;
}

/* Copy len bytes from position pos of a ring (size a power of two, len <= size). */
static inline void app_ring_read(void *dst, const uint8_t *ring, uint32_t size, uint32_t pos,
				 uint32_t len)
{
	uint32_t at = pos & (size - 1);
	uint32_t first = len < size - at ? len : size - at;

	memcpy(dst, ring + at, first);
	memcpy((uint8_t *)dst + first, ring, len - first);
}

/* Copy len bytes to position pos of a ring. */
static inline void app_ring_write(uint8_t *ring, uint32_t size, uint32_t pos, const void *src,
				  uint32_t len)
{
	uint32_t at = pos & (size - 1);
	uint32_t first = len < size - at ? len : size - at;

	memcpy(ring + at, src, first);
	memcpy(ring, (const uint8_t *)src + first, len - first);
}

/* Space that a datagram of len_bytes takes in a ring. */
static inline uint32_t app_dgram_space(uint32_t len_bytes)
{
	return (uint32_t)((sizeof(struct abi_dgram) + len_bytes + 63) & ~63u);
}

/* The header of the record at pos, a multiple of 64: it lies in one piece. */
static inline struct abi_dgram *app_record(uint8_t *ring, uint32_t size, uint32_t pos)
{
	return (struct abi_dgram *)(void *)(ring + (pos & (size - 1)));
}

/* Copied once: whatever the other side writes there from now on, it is this that is judged. */
static inline void app_record_read(struct abi_dgram *d, uint8_t *ring, uint32_t size, uint32_t pos)
{
	*d = *app_record(ring, size, pos);
	atomic_signal_fence(memory_order_seq_cst);
}

/* The pending error (a positive errno) or 0; it stays pending until app_sock_take_error(). */
static inline int app_sock_error(const struct abi_sock *s)
{
	uint32_t error = atomic_load_explicit(&s->error, memory_order_acquire);

	if (error >> 16 == (atomic_load_explicit(&s->err_seen, memory_order_relaxed) & 0xffff))
		return 0;
	return (int)(error & 0xffff);
}

/* The pending error, which is then no longer pending (SO_ERROR, or a failed call). */
static inline int app_sock_take_error(struct abi_sock *s)
{
	uint32_t error = atomic_load_explicit(&s->error, memory_order_acquire);
	uint32_t seen = atomic_load_explicit(&s->err_seen, memory_order_relaxed) & 0xffff;

	if (error >> 16 == seen)
		return 0;
	/* Of two threads that look at once, one gets it. */
	if (!atomic_compare_exchange_strong(&s->err_seen, &seen, error >> 16))
		return 0;
	return (int)(error & 0xffff);
}

/* Bytes that can be read now (stream), or bytes of records (datagram), or entries (listener). */
static inline uint32_t app_sock_rx_used(const struct abi_sock *s)
{
	uint32_t tail = atomic_load_explicit(&s->rx_tail, memory_order_acquire);

	return app_ring_used(atomic_load_explicit(&s->rx_head, memory_order_relaxed), tail,
			     atomic_load_explicit(&s->rx_size_bytes, memory_order_relaxed));
}

/* As app_sock_rx_used(), less what a stream's reader steps over. */
static inline uint32_t app_sock_rx_readable(const struct abi_sock *s)
{
	uint32_t used = app_sock_rx_used(s);

	return app_sock_urgent(s) ? app_urgent_readable(s, used) : used;
}

/* So much is there to read as makes a reader of most bytes return (SO_RCVLOWAT). */
static inline bool app_sock_readable(const struct abi_sock *s, uint32_t most)
{
	uint32_t lowat = atomic_load_explicit(&s->rx_lowat_bytes, memory_order_relaxed);
	uint32_t used = app_sock_rx_readable(s);

	return used != 0 && used >= (lowat < most ? lowat : most);
}

/* Free bytes of the send ring. */
static inline uint32_t app_sock_tx_free(const struct abi_sock *s)
{
	uint32_t size = atomic_load_explicit(&s->tx_size_bytes, memory_order_acquire);
	uint32_t head = atomic_load_explicit(&s->tx_head, memory_order_acquire);

	return size -
	       app_ring_used(head, atomic_load_explicit(&s->tx_tail, memory_order_relaxed), size);
}

/* Bytes of a stream that are not sent yet. Only with tx_lowat_bytes. */
static inline uint32_t app_sock_unsent(const struct abi_sock *s)
{
	uint32_t sent = atomic_load_explicit(&s->tx_sent, memory_order_relaxed);
	uint32_t unsent = atomic_load_explicit(&s->tx_tail, memory_order_relaxed) - sent;

	/* What was acknowledged was sent, also where that has not been told yet. */
	return unsent <= INT32_MAX ? unsent : 0;
}

/* Free bytes of the send ring as far as the program may use them. */
static inline uint32_t app_sock_tx_allowed(const struct abi_sock *s, uint32_t *size)
{
	uint32_t limit = atomic_load_explicit(&s->tx_limit_bytes, memory_order_relaxed);
	uint32_t room = app_sock_tx_free(s), beyond = *size > limit ? *size - limit : 0;

	*size -= beyond;
	return room > beyond ? room - beyond : 0;
}

/* How much a stream's program may write now. */
static inline uint32_t app_sock_tx_room(const struct abi_sock *s)
{
	uint32_t lowat = atomic_load_explicit(&s->tx_lowat_bytes, memory_order_relaxed);
	uint32_t size = atomic_load_explicit(&s->tx_size_bytes, memory_order_acquire);
	uint32_t room, unsent, more;

	if (lowat == 0)
		return app_sock_tx_free(s);
	room = app_sock_tx_allowed(s, &size);
	unsent = app_sock_unsent(s);
	if (unsent >= lowat)
		return 0;
	/* As Linux, which looks at it only before it begins another packet. */
	more = lowat - unsent > APP_NOTSENT_STEP_BYTES ? lowat - unsent : APP_NOTSENT_STEP_BYTES;
	return room < more ? room : more;
}

/* Writable: a third of the ring is free, and half of what may be unsent [sk_stream_is_writeable] */
static inline bool app_sock_writable(const struct abi_sock *s)
{
	uint32_t lowat = atomic_load_explicit(&s->tx_lowat_bytes, memory_order_relaxed);
	uint32_t size = atomic_load_explicit(&s->tx_size_bytes, memory_order_acquire);

	if (lowat == 0)
		return app_sock_tx_free(s) >= size / 3;
	return app_sock_unsent(s) < lowat - lowat / 2 && app_sock_tx_allowed(s, &size) >= size / 3;
}

/*
 * Readiness as poll(2) and epoll(7) report it, ABI_EV_*. Like Linux, a stream is writable when a
 * third of its send buffer is free; a socket that was never connected is POLLOUT | POLLHUP.
 */
static inline uint32_t app_sock_events(const struct abi_sock *s)
{
	uint32_t state = atomic_load_explicit(&s->state, memory_order_acquire);
	uint32_t events = 0;

	if (state & ABI_S_DEAD)
		return ABI_EV_IN | ABI_EV_OUT | ABI_EV_ERR | ABI_EV_HUP | ABI_EV_RDHUP;
	if (state & ABI_S_LISTEN)
		return app_sock_rx_used(s) ? ABI_EV_IN : 0;
	if (app_sock_error(s))
		events |= ABI_EV_ERR;
	if (state & ABI_S_ERRQ)
		events |= state & ABI_S_ERRQ_PRI ? ABI_EV_ERR | ABI_EV_PRI : ABI_EV_ERR;
	if (app_sock_readable(s, UINT32_MAX))
		events |= ABI_EV_IN;
	if (app_sock_urgent(s))
		events |= app_urgent_events(s);
	if (state & ABI_S_RX_EOF)
		events |= ABI_EV_IN | ABI_EV_RDHUP;
	if (state & ABI_S_DGRAM) {
		if ((state & ABI_S_RX_EOF) && (state & ABI_S_TX_SHUT))
			events |= ABI_EV_HUP;
		if (app_sock_writable(s))
			events |= ABI_EV_OUT | ABI_EV_WRBAND;
		return events;
	}
	if (state & ABI_S_RESET)
		return events | ABI_EV_IN | ABI_EV_OUT | ABI_EV_HUP | ABI_EV_RDHUP;
	if (state & ABI_S_CONNECTING)
		return events | (state & ABI_S_SYN_WAITS ? ABI_EV_OUT : 0);
	if (!(state & ABI_S_CONNECTED))
		return events | ABI_EV_OUT | ABI_EV_HUP;
	if ((state & (ABI_S_RX_EOF | ABI_S_TX_SHUT)) == (ABI_S_RX_EOF | ABI_S_TX_SHUT))
		events |= ABI_EV_HUP;
	if ((state & ABI_S_TX_SHUT) || app_sock_writable(s))
		events |= ABI_EV_OUT;
	return events;
}

#endif
