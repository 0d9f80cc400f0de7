/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Urgent data (RFC 9293 section 3.8.5, RFC 6093) at the program's end, with Linux's meaning: the
 * last byte of what the peer sent with MSG_OOB is taken out of the stream. It is read apart
 * (MSG_OOB), its place is the mark: a read stops in front of it, the next one goes on behind it
 * (SIOCATMARK says when). With SO_OOBINLINE it stays in the stream, and the mark in front of it. A
 * newer mark replaces the older one, whose byte is then one like any other, unless the reader stood
 * in front of it just then: that one is skipped all the same (the "hole", of several where they
 * follow each other).
 *
 * The byte lies in the receive ring like the others; the reader steps over it. The engine writes
 * abi_sock.urg: position << 32 | count << 16 | flags << 8 | byte. It is written, and ABI_S_URGENT
 * published, before an rx_tail that covers the position: so a reader looks at the state after
 * rx_tail, and for streams without a mark that look is all.
 */
#ifndef WEIR_WIRE_APP_URGENT_H
#define WEIR_WIRE_APP_URGENT_H

#include <errno.h>
#include <stdbool.h>

#include "wire/app_abi.h"

#define ABI_URG_HERE 0x1u	/* flags: the byte has come; else it is announced */
#define ABI_URG_HOLE 0x2u	/* urg_hole up to urg_hole_end is to be skipped */
#define ABI_URG_INLINE 0x10000u /* in urg_seen: SO_OOBINLINE */

struct app_mark {
	uint32_t pos;  /* of the urgent byte */
	uint32_t head; /* where the reader stands, the hole skipped */
	uint16_t count;
	uint8_t flags, byte;
};

static inline uint64_t abi_urg_word(uint32_t pos, uint16_t count, uint8_t flags, uint8_t byte)
{
	return (uint64_t)pos << 32 | (uint32_t)count << 16 | (uint32_t)flags << 8 | byte;
}

static inline bool app_oob_inline(const struct abi_sock *s)
{
	return atomic_load_explicit(&s->urg_seen, memory_order_relaxed) & ABI_URG_INLINE;
}

static inline void app_oob_inline_set(struct abi_sock *s, bool on)
{
	if (on)
		atomic_fetch_or(&s->urg_seen, ABI_URG_INLINE);
	else
		atomic_fetch_and(&s->urg_seen, ~ABI_URG_INLINE);
}

/* To be asked after rx_tail was read. */
static inline bool app_sock_urgent(const struct abi_sock *s)
{
	return __builtin_expect(
		atomic_load_explicit(&s->state, memory_order_relaxed) & ABI_S_URGENT, 0);
}

/* Behind the hole, for a reader at head. A newer hole than the mark's may reach behind it. */
static inline uint32_t app_mark_skip(const struct abi_sock *s, uint32_t head, uint32_t pos)
{
	uint32_t hole = atomic_load_explicit(&s->urg_hole, memory_order_relaxed);
	uint32_t end = atomic_load_explicit(&s->urg_hole_end, memory_order_relaxed);

	if (head - hole >= end - hole)
		return head;
	return end - head <= pos - head ? end : pos;
}

/* The mark for a reader at head. False: there is none, or it is behind the reader. */
static inline bool app_mark_get(const struct abi_sock *s, uint32_t head, struct app_mark *m)
{
	uint64_t urg;

	if (!app_sock_urgent(s))
		return false;
	urg = atomic_load_explicit(&s->urg, memory_order_acquire);
	m->pos = (uint32_t)(urg >> 32);
	m->count = (uint16_t)(urg >> 16);
	m->flags = (uint8_t)(urg >> 8);
	m->byte = (uint8_t)urg;
	m->head = head;
	if ((int32_t)(m->pos - head) < 0)
		return false;
	if ((m->flags & ABI_URG_HOLE) && !app_oob_inline(s))
		m->head = app_mark_skip(s, head, m->pos);
	return true;
}

/* The urgent byte has come, and nobody has read it with MSG_OOB. */
static inline bool app_mark_unread(const struct abi_sock *s, const struct app_mark *m)
{
	uint32_t seen = atomic_load_explicit(&s->urg_seen, memory_order_relaxed);

	return (m->flags & ABI_URG_HERE) && (uint16_t)seen != m->count;
}

/* Take it. False: another thread was first. */
static inline bool app_mark_take(struct abi_sock *s, const struct app_mark *m)
{
	uint32_t seen = atomic_load_explicit(&s->urg_seen, memory_order_relaxed);

	while ((uint16_t)seen != m->count) {
		if (atomic_compare_exchange_weak(&s->urg_seen, &seen,
						 (seen & ABI_URG_INLINE) | m->count))
			return true;
	}
	return false;
}

/* recv(MSG_OOB): the byte; or -EINVAL: there is none, it is inline or was read (Linux's answer);
 * -ENOTCONN; -EAGAIN: it has not come yet (this never waits); -ENODATA: nor will it (the answer is
 * 0 bytes). */
static inline int app_urgent_recv(struct abi_sock *s, bool peek)
{
	uint32_t state = atomic_load_explicit(&s->state, memory_order_acquire);
	uint32_t head = atomic_load_explicit(&s->rx_head, memory_order_relaxed);
	struct app_mark m;

	if (state & ABI_S_LISTEN)
		return -ENOTCONN;
	if (app_oob_inline(s) || !app_mark_get(s, head, &m) ||
	    ((m.flags & ABI_URG_HERE) && !app_mark_unread(s, &m)))
		return -EINVAL;
	if (state & ABI_S_RESET)
		return -ENOTCONN;
	if (!(m.flags & ABI_URG_HERE))
		return state & ABI_S_RX_EOF ? -ENODATA : -EAGAIN;
	if (!peek && !app_mark_take(s, &m))
		return -EINVAL;
	return m.byte;
}

/* Of `used` bytes at *head one read may take so many; *head steps over what is not in the stream.
 */
static inline uint32_t app_mark_limit(const struct abi_sock *s, uint32_t *head, uint32_t used)
{
	struct app_mark m;

	if (used == 0 || !app_mark_get(s, *head, &m))
		return used;
	if (m.head - *head >= used) {
		*head += used;
		return 0;
	}
	used -= m.head - *head;
	*head = m.head;
	if (m.pos - m.head >= used)
		return used;
	if (m.pos != m.head)
		return m.pos - m.head;
	if (app_oob_inline(s))
		return used;
	++*head;
	return used - 1;
}

/* The reader stands at the mark (sockatmark(3)). */
static inline bool app_sock_at_mark(const struct abi_sock *s)
{
	struct app_mark m;

	return app_mark_get(s, atomic_load_explicit(&s->rx_head, memory_order_relaxed), &m) &&
	       m.pos == m.head;
}

/* Of used bytes in the ring, those that a reader would get sooner or later [tcp_poll]. */
static inline uint32_t app_urgent_readable(const struct abi_sock *s, uint32_t used)
{
	uint32_t head = atomic_load_explicit(&s->rx_head, memory_order_relaxed);
	struct app_mark m;

	if (used == 0 || !app_mark_get(s, head, &m))
		return used;
	if (m.head - head >= used)
		return 0;
	used -= m.head - head;
	return used && m.pos == m.head && !app_oob_inline(s) ? used - 1 : used;
}

/* Of used bytes in the ring, those in front of the mark: FIONREAD [tcp_inq]. */
static inline uint32_t app_urgent_inq(const struct abi_sock *s, uint32_t used)
{
	uint32_t head = atomic_load_explicit(&s->rx_head, memory_order_relaxed);
	struct app_mark m;

	if (used == 0 || !app_mark_get(s, head, &m))
		return used;
	if (m.head - head >= used)
		return 0;
	used -= m.head - head;
	return !app_oob_inline(s) && m.pos - m.head < used ? m.pos - m.head : used;
}

/* ABI_EV_PRI, as long as the urgent byte is here and unread. */
static inline uint32_t app_urgent_events(const struct abi_sock *s)
{
	uint32_t head = atomic_load_explicit(&s->rx_head, memory_order_relaxed);
	struct app_mark m;

	return app_mark_get(s, head, &m) && app_mark_unread(s, &m) ? ABI_EV_PRI : 0;
}

#endif
