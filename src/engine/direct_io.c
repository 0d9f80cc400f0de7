/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Direct placement: sending, receiving, poll.
 */
#include <errno.h>
#include <netinet/in.h>

#include "engine/direct.h"
#include "sock/sock.h"

#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_OOB | MSG_FASTOPEN)
#define RECV_FLAGS (MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC | MSG_OOB)
#define DGRAM_MAX_BYTES 65507u

static uint8_t *rx_ring(struct weir *weir, const struct abi_sock *s)
{
	return (uint8_t *)weir->arena + atomic_load_explicit(&s->rx_offset, memory_order_relaxed);
}

static uint8_t *tx_ring(struct weir *weir, const struct abi_sock *s)
{
	return (uint8_t *)weir->arena + atomic_load_explicit(&s->tx_offset, memory_order_relaxed);
}

/* Tell the engine of new bytes, unless it was told and has not looked yet. */
static void kick(struct weir *weir, const struct direct_fd *d, struct abi_sock *s)
{
	if (atomic_exchange_explicit(&s->tx_kick, 1, memory_order_seq_cst) == 0)
		direct_submit(weir, ABI_OP_TX, d);
}

/* What both directions look at first: 0 or a positive errno. */
static int broken(struct abi_sock *s)
{
	if (atomic_load_explicit(&s->state, memory_order_acquire) & ABI_S_DEAD)
		return ENETDOWN;
	return app_sock_take_error(s);
}

/* The send ring of an idle connection was taken back: it is made again. */
static bool direct_ring(struct weir *weir, const struct direct_fd *d, const struct abi_sock *s)
{
	struct abi_ctl ctl = { .op = ABI_CTL_RING, .sock = d->sock, .gen = d->gen };

	return atomic_load_explicit(&s->tx_size_bytes, memory_order_relaxed) == 0 &&
	       direct_ctl(weir, &ctl) == 0;
}

static ssize_t stream_send(struct weir *weir, struct direct_fd *d, const void *data, size_t len,
			   int flags)
{
	struct abi_sock *s = direct_sock(weir, d);
	uint32_t state = atomic_load_explicit(&s->state, memory_order_acquire);
	uint32_t tail, room;
	int error = broken(s);

	if (error != 0)
		return direct_fail(error);
	if ((state & (ABI_S_CONNECTING | ABI_S_SYN_WAITS)) == ABI_S_CONNECTING)
		return direct_fail(EAGAIN);
	if (!(state & (ABI_S_CONNECTED | ABI_S_SYN_WAITS)) || state & (ABI_S_TX_SHUT | ABI_S_RESET))
		return direct_fail(EPIPE);
	if (len == 0)
		return 0;
	room = app_sock_tx_room(s);
	if (room == 0 && direct_ring(weir, d, s))
		room = app_sock_tx_room(s);
	if (room == 0) {
		atomic_fetch_or(&s->want, ABI_WANT_TX);
		return direct_fail(EAGAIN);
	}
	if (len > room)
		len = room;
	tail = atomic_load_explicit(&s->tx_tail, memory_order_relaxed);
	app_ring_write(tx_ring(weir, s), s->tx_size_bytes, tail, data, (uint32_t)len);
	if (flags & MSG_OOB)
		atomic_store_explicit(&s->tx_urg, tail + (uint32_t)len, memory_order_relaxed);
	atomic_store_explicit(&s->tx_tail, tail + (uint32_t)len, memory_order_release);
	kick(weir, d, s);
	return (ssize_t)len;
}

static ssize_t dgram_send(struct weir *weir, struct direct_fd *d, const void *data, size_t len,
			  int flags, const struct sockaddr *addr, socklen_t addr_len)
{
	struct abi_sock *s = direct_sock(weir, d);
	struct abi_dgram h = { .len_bytes = (uint32_t)len };
	uint32_t size = atomic_load_explicit(&s->tx_size_bytes, memory_order_acquire), tail;
	int error = broken(s);

	if (flags & MSG_OOB)
		return direct_fail(EOPNOTSUPP);
	h.segment_bytes = (uint16_t)atomic_load_explicit(&s->tx_opts, memory_order_relaxed);
	if (error == 0 && atomic_load(&s->state) & ABI_S_TX_SHUT)
		error = EPIPE;
	if (error == 0 && addr != NULL)
		error = -direct_addr_in(addr, addr_len, &h.addr, &h.port_be);
	else if (error == 0 && !(atomic_load(&s->state) & ABI_S_CONNECTED))
		error = EDESTADDRREQ;
	if (error == 0 && addr != NULL && h.port_be == 0)
		error = EINVAL;
	if (error == 0 && (len > DGRAM_MAX_BYTES || app_dgram_space((uint32_t)len) > size))
		error = EMSGSIZE;
	if (error != 0)
		return direct_fail(error);
	if (app_sock_tx_free(s) < app_dgram_space((uint32_t)len)) {
		atomic_fetch_or(&s->want, ABI_WANT_TX);
		return direct_fail(EAGAIN);
	}
	tail = atomic_load_explicit(&s->tx_tail, memory_order_relaxed);
	*app_record(tx_ring(weir, s), size, tail) = h;
	app_ring_write(tx_ring(weir, s), size, tail + (uint32_t)sizeof(h), data, (uint32_t)len);
	atomic_store_explicit(&s->tx_tail, tail + app_dgram_space((uint32_t)len),
			      memory_order_release);
	kick(weir, d, s);
	return (ssize_t)len;
}

ssize_t weir_sendto(struct weir *weir, int fd, const void *data, size_t len, int flags,
		    const struct sockaddr *addr, socklen_t addr_len)
{
	struct direct_fd *d = direct_fd_get(weir, fd);

	if (d == NULL)
		return -1;
	if (flags & ~SEND_FLAGS)
		return direct_fail(EOPNOTSUPP);
	if (d->type == SOCK_STREAM) {
		if ((flags & MSG_FASTOPEN) && direct_fastopen(weir, fd, addr, addr_len) != 0)
			return -1;
		return stream_send(weir, d, data, len, flags);
	}
	return dgram_send(weir, d, data, len, flags, addr, addr_len);
}

ssize_t weir_send(struct weir *weir, int fd, const void *data, size_t len, int flags)
{
	return weir_sendto(weir, fd, data, len, flags, NULL, 0);
}

/* The urgent byte; never waits [tcp_recv_urg]. */
static ssize_t stream_recv_urgent(struct abi_sock *s, void *data, size_t room, int flags)
{
	int ret = app_urgent_recv(s, flags & MSG_PEEK);

	if (ret == -ENODATA)
		return 0;
	if (ret < 0)
		return direct_fail(-ret);
	if (room == 0)
		return 0;
	if (!(flags & MSG_TRUNC))
		*(uint8_t *)data = (uint8_t)ret;
	return 1;
}

static void stream_taken(struct weir *weir, struct direct_fd *d, struct abi_sock *s, uint32_t head)
{
	atomic_store_explicit(&s->rx_head, head, memory_order_release);
	if (atomic_load_explicit(&s->state, memory_order_relaxed) & ABI_S_RX_KICK)
		direct_submit(weir, ABI_OP_RX, d);
}

static ssize_t stream_recv(struct weir *weir, struct direct_fd *d, void *data, size_t room,
			   int flags)
{
	struct abi_sock *s = direct_sock(weir, d);
	uint32_t state = atomic_load_explicit(&s->state, memory_order_acquire);
	uint32_t used = state & ABI_S_LISTEN ? 0 : app_sock_rx_used(s), head, skipped;
	int error;

	head = skipped = atomic_load_explicit(&s->rx_head, memory_order_relaxed);
	if (app_sock_urgent(s))
		used = app_mark_limit(s, &skipped, used);
	if (skipped != head && used == 0 && !(flags & MSG_PEEK))
		stream_taken(weir, d, s, skipped);
	head = skipped;
	if (used == 0) {
		error = broken(s);
		if (error != 0)
			return direct_fail(error);
		if (state & (ABI_S_RX_EOF | ABI_S_RESET))
			return 0;
		return direct_fail(state & (ABI_S_CONNECTED | ABI_S_CONNECTING) ? EAGAIN
										: ENOTCONN);
	}
	if (used > room)
		used = (uint32_t)room;
	app_ring_read(data, rx_ring(weir, s), s->rx_size_bytes, head, used);
	if (!(flags & MSG_PEEK))
		stream_taken(weir, d, s, head + used);
	return (ssize_t)used;
}

static ssize_t dgram_recv(struct weir *weir, struct direct_fd *d, void *data, size_t room,
			  int flags, struct sockaddr *addr, socklen_t *addr_len)
{
	struct abi_sock *s = direct_sock(weir, d);
	struct abi_dgram h;
	uint32_t head, len;
	int error = broken(s);

	if (error != 0)
		return direct_fail(error);
	if (app_sock_rx_used(s) == 0)
		return atomic_load(&s->state) & ABI_S_RX_EOF ? 0 : direct_fail(EAGAIN);
	head = atomic_load_explicit(&s->rx_head, memory_order_relaxed);
	app_record_read(&h, rx_ring(weir, s), s->rx_size_bytes, head);
	len = h.len_bytes < room ? h.len_bytes : (uint32_t)room;
	app_ring_read(data, rx_ring(weir, s), s->rx_size_bytes, head + (uint32_t)sizeof(h), len);
	direct_addr_out(s->family, &h.addr, h.port_be, addr, addr_len);
	if (!(flags & MSG_PEEK))
		atomic_store_explicit(&s->rx_head, head + app_dgram_space(h.len_bytes),
				      memory_order_release);
	return flags & MSG_TRUNC ? (ssize_t)h.wire_bytes : (ssize_t)len;
}

ssize_t weir_recvfrom(struct weir *weir, int fd, void *data, size_t room, int flags,
		      struct sockaddr *addr, socklen_t *addr_len)
{
	struct direct_fd *d = direct_fd_get(weir, fd);

	if (d == NULL)
		return -1;
	if (flags & ~RECV_FLAGS)
		return direct_fail(EOPNOTSUPP);
	if (d->type == SOCK_STREAM && flags & MSG_OOB)
		return stream_recv_urgent(direct_sock(weir, d), data, room, flags);
	if (d->type == SOCK_STREAM)
		return stream_recv(weir, d, data, room, flags);
	if (flags & MSG_OOB)
		return direct_fail(EOPNOTSUPP);
	return dgram_recv(weir, d, data, room, flags, addr, addr_len);
}

ssize_t weir_recv(struct weir *weir, int fd, void *data, size_t room, int flags)
{
	return weir_recvfrom(weir, fd, data, room, flags, NULL, NULL);
}

int weir_sockatmark(struct weir *weir, int fd)
{
	struct direct_fd *d = direct_fd_get(weir, fd);

	if (d == NULL)
		return -1;
	if (d->type != SOCK_STREAM)
		return direct_fail(EINVAL);
	return app_sock_at_mark(direct_sock(weir, d));
}

int weir_poll(struct weir *weir, struct pollfd *fds, nfds_t count)
{
	int ready = 0;

	for (nfds_t i = 0; i < count; i++) {
		int saved = errno;
		struct direct_fd *d;

		fds[i].revents = 0;
		if (fds[i].fd < 0)
			continue;
		d = direct_fd_get(weir, fds[i].fd);
		errno = saved;
		if (d == NULL)
			fds[i].revents = POLLNVAL;
		else
			fds[i].revents = (short)(app_sock_events(direct_sock(weir, d)) &
						 ((uint16_t)fds[i].events | POLLERR | POLLHUP));
		ready += fds[i].revents != 0;
	}
	return ready;
}
