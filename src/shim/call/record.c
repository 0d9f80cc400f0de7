/* SPDX-License-Identifier: BSD-3-Clause */
/* What raw and packet sockets share: records out and in, filters. */
#include "shim/call/packet.h"

#include <linux/filter.h>

size_t record_iov_bytes(const struct iovec *iov, size_t iovcnt)
{
	size_t total = 0;

	for (size_t i = 0; i < iovcnt; i++)
		total += iov[i].iov_len;
	return total;
}

/* 0: it is in the ring. */
static int put_locked(struct wsock *ws, const void *header, uint32_t len, const struct iovec *iov,
		      size_t iovcnt)
{
	struct abi_sock *shm = ws->shm;
	uint32_t size = atomic_load_explicit(&shm->tx_size_bytes, memory_order_acquire);
	uint8_t *ring = ring_at(atomic_load_explicit(&shm->tx_offset, memory_order_relaxed), size);
	uint32_t tail = atomic_load_explicit(&shm->tx_tail, memory_order_relaxed) & ~63u;
	uint32_t space = app_dgram_space(len), pos = tail + (uint32_t)sizeof(struct abi_packet);

	if (!ring)
		return -ENOBUFS;
	if (app_sock_tx_free(shm) < space)
		return space > size ? -EMSGSIZE : -ENOBUFS;
	app_ring_write(ring, size, tail, header, sizeof(struct abi_packet));
	for (size_t i = 0; i < iovcnt; i++) {
		app_ring_write(ring, size, pos, iov[i].iov_base, (uint32_t)iov[i].iov_len);
		pos += (uint32_t)iov[i].iov_len;
	}
	atomic_store_explicit(&shm->tx_tail, tail + space, memory_order_release);
	return 0;
}

/* As Linux: of what is behind weir's own header a pending error is told by what receives alone. */
static bool tells_at_send(const struct wsock *ws)
{
	return ws->family != AF_INET || ws->type != SOCK_RAW || ws->protocol == IPPROTO_RAW;
}

ssize_t record_send(struct wsock *ws, const void *header, const struct iovec *iov, size_t iovcnt)
{
	struct ctl_args args = { .op = ABI_CTL_SEND };
	uint32_t len = *(const uint32_t *)header;
	int err;

	if (session_is_dead())
		return -ENETDOWN;
	if (atomic_load(&ws->shm->state) & ABI_S_DEAD)
		return dead_moved();
	err = tells_at_send(ws) ? wsock_take_error(ws) : 0;
	if (err)
		return -err;
	err = shared_lock(&ws->shm->tx_lock);
	if (err)
		return err;
	err = put_locked(ws, header, len, iov, iovcnt);
	if (!err)
		err = ctl_call(ws, &args);
	shared_unlock(&ws->shm->tx_lock);
	return err ? err : (ssize_t)len;
}

static ssize_t take_shard(struct abi_sock *shm, bool peek, record_take_fn take, void *arg)
{
	uint32_t tail = atomic_load_explicit(&shm->rx_tail, memory_order_acquire);
	uint32_t size = atomic_load_explicit(&shm->rx_size_bytes, memory_order_acquire);
	uint8_t *ring = ring_at(atomic_load_explicit(&shm->rx_offset, memory_order_relaxed), size);
	uint32_t head = atomic_load_explicit(&shm->rx_head, memory_order_relaxed) & ~63u;
	uint32_t used = app_ring_used(head, tail, size);
	struct abi_packet h;
	ssize_t n;

	if (!ring || used < sizeof(h))
		return -EAGAIN;
	app_ring_read(&h, ring, size, head, sizeof(h));
	if (h.len_bytes > used - sizeof(h))
		h.len_bytes = used - (uint32_t)sizeof(h);
	n = take(arg, &h, ring, size, head + (uint32_t)sizeof(h));
	if (!peek && n >= 0)
		atomic_exchange(&shm->rx_head, head + app_dgram_space(h.len_bytes));
	return n;
}

ssize_t record_take(struct wsock *ws, bool peek, record_take_fn take, void *arg)
{
	struct abi_sock *shm = ws->shm;
	ssize_t n = -EAGAIN;

	for (unsigned int i = 0; shm && n == -EAGAIN; i++) {
		int err = shared_lock(&shm->rx_lock);

		if (err)
			return err;
		n = take_shard(shm, peek, take, arg);
		shared_unlock(&shm->rx_lock);
		shm = wsock_next_shard(shm, i);
	}
	return n;
}

int filter_attach(struct wsock *ws, const void *value, socklen_t len)
{
	const uint32_t most = ABI_CTL_DATA_BYTES / sizeof(struct sock_filter);
	struct sock_fprog prog;
	int err = ctl_create(ws);

	if (err)
		return err;
	if (len != sizeof(prog))
		return -EINVAL;
	memcpy(&prog, value, sizeof(prog));
	if (!prog.filter || prog.len == 0 || prog.len > BPF_MAXINSNS)
		return -EINVAL;
	for (uint32_t first = 0; !err && first < prog.len; first += most) {
		uint32_t n = prog.len - first < most ? prog.len - first : most;
		struct ctl_args args = { .op = ABI_CTL_FILTER,
					 .level = first,
					 .optname = prog.len,
					 .in = prog.filter + first,
					 .in_len = n * (uint32_t)sizeof(struct sock_filter) };

		err = ctl_call(ws, &args);
	}
	if (err == -EOPNOTSUPP)
		session_notef(
			"SO_ATTACH_FILTER on a TCP socket: weir filters datagrams and packets");
	return err;
}
