/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams: bytes between the program and the two rings. The fast path is a lock word, a copy, an
 * index, and a submission only where the engine has taken the last one already.
 */
#include "shim/shim.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <unistd.h>

/* Copy len bytes between a ring at pos and an iovec, of which the first `skip` bytes are done. */
static void copy_iov(uint8_t *ring, uint32_t size, uint32_t pos, const struct iovec *iov,
		     size_t skip, uint32_t len, bool to_ring)
{
	for (; len; iov++) {
		uint32_t n;

		if (skip >= iov->iov_len) {
			skip -= iov->iov_len;
			continue;
		}
		n = iov->iov_len - skip < len ? (uint32_t)(iov->iov_len - skip) : len;
		if (to_ring)
			app_ring_write(ring, size, pos, (uint8_t *)iov->iov_base + skip, n);
		else
			app_ring_read((uint8_t *)iov->iov_base + skip, ring, size, pos, n);
		pos += n;
		len -= n;
		skip = 0;
	}
}

static size_t iov_total(const struct iovec *iov, int iovcnt)
{
	size_t total = 0;

	for (int i = 0; i < iovcnt; i++)
		total += iov[i].iov_len;
	return total;
}

ssize_t epipe(const struct wsock *ws, int flags)
{
	if (ws->type == SOCK_STREAM && !(flags & MSG_NOSIGNAL))
		raise(SIGPIPE);
	return -EPIPE;
}

/* What a send meets before any byte: 0 to go on, or -errno (SIGPIPE was raised where it is due). */
ssize_t stream_send_ready(struct wsock *ws, int flags)
{
	uint32_t state;
	int err;

	if (session_is_dead())
		return -ECONNRESET;
	if (!ws->shm)
		return epipe(ws, flags);
	state = atomic_load_explicit(&ws->shm->state, memory_order_acquire);
	err = app_sock_take_error(ws->shm);
	if (err == EPIPE)
		return epipe(ws, flags);
	if (err)
		return -err;
	if (state & ABI_S_DEAD)
		return dead_moved();
	if (state & (ABI_S_TX_SHUT | ABI_S_RESET))
		return epipe(ws, flags);
	if (likely(state & (ABI_S_CONNECTED | ABI_S_SYN_WAITS)))
		return 0;
	if (!(state & ABI_S_CONNECTING))
		return epipe(ws, flags);
	if (wsock_nonblock(ws) || (flags & MSG_DONTWAIT))
		return -EAGAIN;
	err = sock_wait_connected(ws, deadline_after(ws->snd_timeout_ns));
	return err ? err : stream_send_ready(ws, flags);
}

/* Bytes up to new_tail are in the ring: tell the engine unless it is told already. */
void stream_published(struct wsock *ws, uint32_t new_tail)
{
	struct abi_sock *shm = ws->shm;

	atomic_store_explicit(&shm->tx_tail, new_tail, memory_order_release);
	if (atomic_exchange(&shm->tx_kick, 1) == 0)
		submit_sock(ws, ABI_OP_TX, 0, 0);
}

/* The reader has taken the bytes before new_head. */
void stream_taken(struct wsock *ws, uint32_t new_head)
{
	struct abi_sock *shm = ws->shm;

	/* An exchange: also the fence before RX_KICK is looked at. */
	atomic_exchange(&shm->rx_head, new_head);
	if (unlikely(atomic_load_explicit(&shm->state, memory_order_relaxed) & ABI_S_RX_KICK))
		submit_sock(ws, ABI_OP_RX, 0, 0);
}

/* As much as there is room for, now. Urgent: its last byte is. */
static ssize_t put(struct wsock *ws, const struct iovec *iov, size_t skip, size_t len, bool urgent)
{
	struct abi_sock *shm = ws->shm;
	uint32_t size = atomic_load_explicit(&shm->tx_size_bytes, memory_order_acquire);
	uint8_t *ring = ring_at(atomic_load_explicit(&shm->tx_offset, memory_order_relaxed), size);
	uint32_t tail = atomic_load_explicit(&shm->tx_tail, memory_order_relaxed);
	uint32_t room;

	if (unlikely(!ring))
		return 0;
	room = app_sock_tx_room(shm);
	if (room > len)
		room = (uint32_t)len;
	if (room == 0)
		return 0;
	copy_iov(ring, size, tail, iov, skip, room, true);
	if (unlikely(urgent))
		atomic_store_explicit(&shm->tx_urg, tail + room, memory_order_relaxed);
	stream_published(ws, tail + room);
	return room;
}

/* The engine takes the ring of an idle connection back; it is there again when this returns 0. */
int stream_ring(struct wsock *ws)
{
	struct ctl_args args = { .op = ABI_CTL_RING };
	uint32_t state = atomic_load_explicit(&ws->shm->state, memory_order_relaxed);

	if (likely(atomic_load_explicit(&ws->shm->tx_size_bytes, memory_order_relaxed) != 0) ||
	    (state & (ABI_S_TX_SHUT | ABI_S_RESET)))
		return 0;
	return ctl_call(ws, &args);
}

static int wait_room(struct wsock *ws, size_t left, int64_t *deadline, bool partial)
{
	uint32_t third = atomic_load(&ws->shm->tx_size_bytes) / 3;

	if (*deadline == 0)
		*deadline = deadline_after(ws->snd_timeout_ns);
	if (third == 0)
		third = 1;
	if (left < third)
		third = (uint32_t)left;
	return partial ? sock_wait_more_space(ws, third, *deadline)
		       : sock_wait_space(ws, third, *deadline);
}

static ssize_t send_bytes(struct wsock *ws, const struct iovec *iov, int iovcnt, int flags)
{
	size_t total = iovcnt == 1 ? iov->iov_len : iov_total(iov, iovcnt);
	size_t done = 0;
	int64_t deadline = 0;
	ssize_t err = 0;

	for (;;) {
		err = stream_send_ready(ws, done ? flags | MSG_NOSIGNAL : flags);
		if (err || total == 0)
			break;
		err = shared_lock(&ws->shm->tx_lock);
		if (err)
			break;
		done += (size_t)put(ws, iov, done, total - done, flags & MSG_OOB);
		shared_unlock(&ws->shm->tx_lock);
		if (likely(done == total))
			break;
		/* As SOCK_NOSPACE: also a partial write wants to hear of the space. */
		atomic_fetch_or(&ws->shm->want, ABI_WANT_TX);
		err = stream_ring(ws);
		if (err)
			break;
		if (app_sock_tx_room(ws->shm) > 0)
			continue;
		err = -EAGAIN;
		if (wsock_nonblock(ws) || (flags & MSG_DONTWAIT))
			break;
		err = wait_room(ws, total - done, &deadline, done != 0);
		if (err)
			break;
	}
	return done ? (ssize_t)done : err;
}

static void cork(struct wsock *ws, bool on)
{
	if (on)
		atomic_fetch_or(&ws->opts, WS_MORE);
	else
		atomic_fetch_and(&ws->opts, ~WS_MORE);
	submit_sock(ws, ABI_OP_SETINT, (uint16_t)(IPPROTO_TCP << 8 | TCP_CORK), on);
}

/* MSG_MORE is TCP_CORK from this send to the next one without it. */
static ssize_t send_more(struct wsock *ws, const struct iovec *iov, int iovcnt, int flags)
{
	uint32_t opts = atomic_load_explicit(&ws->opts, memory_order_relaxed);
	ssize_t n;

	if (!(opts & (WS_MORE | WS_CORK)) && ws->shm)
		cork(ws, true);
	n = send_bytes(ws, iov, iovcnt, flags);
	if (!(flags & MSG_MORE) && (opts & WS_MORE))
		cork(ws, false);
	return n;
}

ssize_t stream_send(struct wsock *ws, const struct iovec *iov, int iovcnt, int flags)
{
	uint32_t opts = atomic_load_explicit(&ws->opts, memory_order_relaxed);
	ssize_t n;

	if (likely(!(flags & (MSG_MORE | MSG_ZEROCOPY)) && !(opts & WS_MORE)))
		return send_bytes(ws, iov, iovcnt, flags);
	n = send_more(ws, iov, iovcnt, flags);
	if ((flags & MSG_ZEROCOPY) && n > 0)
		zerocopy_sent(ws);
	return n;
}

/* Nothing to read: 0 for the end, -EAGAIN to wait, or -errno. */
static ssize_t empty(struct wsock *ws, uint32_t state)
{
	int err = state & ABI_S_ENDED ? 0 : app_sock_take_error(ws->shm);

	if (err)
		return -err;
	if (state & ABI_S_DEAD)
		return dead_moved();
	if (state & (ABI_S_RX_EOF | ABI_S_RESET))
		return 0;
	if (!(state & (ABI_S_CONNECTED | ABI_S_CONNECTING)))
		return -ENOTCONN;
	return -EAGAIN;
}

/* From so many bytes behind the reader on (a peek). */
static ssize_t take_locked(struct wsock *ws, const struct iovec *iov, size_t skip, size_t len,
			   uint32_t from, int flags, bool *again)
{
	struct abi_sock *shm = ws->shm;
	/* The state first: bytes that came before an EOF are then seen. */
	uint32_t state = atomic_load_explicit(&shm->state, memory_order_acquire);
	uint32_t tail = atomic_load_explicit(&shm->rx_tail, memory_order_acquire);
	uint32_t size = atomic_load_explicit(&shm->rx_size_bytes, memory_order_acquire);
	uint8_t *ring = ring_at(atomic_load_explicit(&shm->rx_offset, memory_order_relaxed), size);
	uint32_t head = atomic_load_explicit(&shm->rx_head, memory_order_relaxed);
	uint32_t used = app_ring_used(head, tail, size);

	*again = false;
	if (unlikely(app_sock_urgent(shm))) {
		if (skip && app_sock_at_mark(shm))
			return 0; /* what was read in this call ends here */
		used = urgent_limit(ws, &head, used, flags);
	}
	head += from;
	used = used > from ? used - from : 0;
	if (used == 0 || !ring || (state & ABI_S_LISTEN)) {
		ssize_t r = state & ABI_S_LISTEN ? -ENOTCONN : empty(ws, state);

		*again = r == -EAGAIN;
		return r;
	}
	if (used > len)
		used = (uint32_t)len;
	if (!(flags & MSG_TRUNC))
		copy_iov(ring, size, head, iov, skip, used, false);
	if (!(flags & MSG_PEEK) && used)
		stream_taken(ws, head + used);
	return used;
}

static ssize_t take(struct wsock *ws, const struct iovec *iov, size_t skip, size_t len,
		    uint32_t from, int flags, bool *again)
{
	ssize_t n;

	*again = false;
	if (unlikely(session_is_dead()))
		return -ECONNRESET;
	if (unlikely(!ws->shm))
		return -ENOTCONN;
	n = shared_lock(&ws->shm->rx_lock);
	if (n)
		return n;
	n = take_locked(ws, iov, skip, len, from, flags, again);
	shared_unlock(&ws->shm->rx_lock);
	return n;
}

/* With so many bytes a call that may wait returns [sock_rcvlowat]. */
static size_t recv_target(const struct wsock *ws, size_t total, int flags)
{
	uint32_t lowat =
		ws->shm ? atomic_load_explicit(&ws->shm->rx_lowat_bytes, memory_order_relaxed) : 1;

	return (flags & MSG_WAITALL) || total < lowat ? total : lowat;
}

/* Nothing will be added to what can be read at once: the end, or a mark. */
static bool ended(const struct wsock *ws)
{
	return session_is_dead() || app_sock_urgent(ws->shm) ||
	       (atomic_load_explicit(&ws->shm->state, memory_order_acquire) &
		(ABI_S_RX_EOF | ABI_S_RESET | ABI_S_DEAD));
}

/* SO_PEEK_OFF: where a peek begins, behind the reader. */
static uint32_t peek_from(const struct wsock *ws)
{
	if (likely(!ws->shm || !(atomic_load_explicit(&ws->shm->recv_opts, memory_order_relaxed) &
				 ABI_R_PEEK_OFF)))
		return 0;
	return atomic_load_explicit(&ws->shm->peek_off, memory_order_relaxed);
}

/* A peek of n bytes moves that on, a read moves it back. */
static void peek_moved(struct wsock *ws, bool peek, uint32_t n)
{
	uint32_t off = peek_from(ws);

	if (unlikely(peek && n && (atomic_load(&ws->shm->recv_opts) & ABI_R_PEEK_OFF)))
		atomic_store(&ws->shm->peek_off, off + n);
	else if (unlikely(!peek && off))
		atomic_store(&ws->shm->peek_off, off > n ? off - n : 0);
}

ssize_t stream_recv(struct wsock *ws, const struct iovec *iov, int iovcnt, int flags)
{
	size_t total = iovcnt == 1 ? iov->iov_len : iov_total(iov, iovcnt);
	bool nonblock = (flags & MSG_DONTWAIT) || wsock_nonblock(ws);
	bool peek = flags & MSG_PEEK;
	size_t done = 0, target = nonblock ? 1 : recv_target(ws, total, flags);
	uint32_t from = peek ? peek_from(ws) : 0;
	int64_t deadline = 0;
	size_t more;
	int at = -1;
	ssize_t n;
	bool again;

	if (unlikely(flags & MSG_OOB))
		return urgent_recv(ws, iov, iovcnt, flags);
	for (;;) {
		/* A peek begins anew each time; it has all that there will be when the end is
		 * there. */
		if (peek)
			done = 0;
		n = take(ws, iov, done, total - done, from, flags, &again);
		if (n > 0)
			done += (size_t)n;
		if (n > 0 ? done >= target || (peek && ended(ws)) : !again || nonblock)
			break;
		if (n > 0 && !peek)
			continue;
		/* It may be closed while this waits, and is read from once more behind that. */
		if (deadline == 0) {
			at = waiting_begin(&ws->obj, -1);
			deadline = deadline_after(ws->rcv_timeout_ns);
		}
		/* What is there is taken at once, but for a peek, which waits for all of it. */
		more = peek ? from + target : 1;
		n = done ? sock_wait_more_data(ws, more, deadline)
			 : sock_wait_data(ws, more, deadline);
		if (n)
			break;
	}
	if (deadline)
		waiting_end(at, &ws->obj);
	if (done) {
		peek_moved(ws, peek, (uint32_t)done);
		asked_with_success();
		return (ssize_t)done;
	}
	if (n == -EAGAIN && nonblock)
		asked_in_vain();
	return n;
}
