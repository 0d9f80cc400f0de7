/* SPDX-License-Identifier: BSD-3-Clause */
/* sendfile and splice: the other descriptor is read straight into the send ring, or written
 * straight from the receive ring. */
#include "shim/shim.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHUNK_MAX (256u << 10)

/* The contiguous free part of the send ring; NULL where there is none. Under tx_lock. */
static uint8_t *free_run(struct wsock *ws, uint32_t *tail, uint32_t *len)
{
	struct abi_sock *shm = ws->shm;
	uint32_t size = atomic_load_explicit(&shm->tx_size_bytes, memory_order_acquire);
	uint8_t *ring = ring_at(atomic_load_explicit(&shm->tx_offset, memory_order_relaxed), size);
	uint32_t room, at;

	if (!ring)
		return NULL;
	*tail = atomic_load_explicit(&shm->tx_tail, memory_order_relaxed);
	at = *tail & (size - 1);
	room = app_sock_tx_room(shm);
	*len = room < size - at ? room : size - at;
	return *len ? ring + at : NULL;
}

/* The other descriptor may take its time, and the ring's lock is held: signals are not, and the
 * thread is not cancelled. */
static ssize_t slow(int fd, void *at, size_t len, off64_t *offset, bool out)
{
	ssize_t n;
	int state;

	signals_open(true);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	if (out)
		n = R(write)(fd, at, len);
	else
		n = offset ? R(pread64)(fd, at, len, *offset) : R(read)(fd, at, len);
	if (n < 0)
		n = -errno;
	pthread_setcancelstate(state, NULL);
	signals_open(false);
	return n;
}

/* Read once from fd into the ring: bytes, 0 (end of file), -ENOSPC (ring full), or -errno. */
static ssize_t fill_once(struct wsock *ws, int fd, off64_t *offset, size_t want)
{
	uint32_t tail, len;
	uint8_t *at;
	ssize_t n = shared_lock(&ws->shm->tx_lock);

	if (n)
		return n;
	at = free_run(ws, &tail, &len);
	if (!at) {
		n = -ENOSPC;
		goto out;
	}
	if (len > want)
		len = (uint32_t)want;
	if (len > CHUNK_MAX)
		len = CHUNK_MAX;
	n = slow(fd, at, len, offset, false);
	if (n > 0) {
		if (offset)
			*offset += n;
		stream_published(ws, tail + (uint32_t)n);
	}
out:
	shared_unlock(&ws->shm->tx_lock);
	return n;
}

static int wait_space(struct wsock *ws, bool nonblock, int64_t *deadline)
{
	int err = stream_ring(ws);

	if (err)
		return err;
	atomic_fetch_or(&ws->shm->want, ABI_WANT_TX);
	if (app_sock_tx_room(ws->shm) > 0)
		return 0;
	if (nonblock)
		return -EAGAIN;
	if (*deadline == 0)
		*deadline = deadline_after(ws->snd_timeout_ns);
	return sock_wait_space(ws, atomic_load(&ws->shm->tx_size_bytes) / 3, *deadline);
}

static ssize_t send_all_from(struct wsock *ws, int in_fd, off64_t *offset, size_t count, bool once,
			     bool nonblock)
{
	int64_t deadline = 0;
	size_t done = 0;
	ssize_t n = 0;

	while (done < count) {
		n = stream_send_ready(ws, done ? MSG_NOSIGNAL : 0);
		if (n)
			break;
		n = fill_once(ws, in_fd, offset, count - done);
		if (n == -ENOSPC) {
			n = wait_space(ws, nonblock, &deadline);
			if (n)
				break;
			continue;
		}
		if (n <= 0)
			break;
		done += (size_t)n;
		if (once)
			break;
	}
	return done ? (ssize_t)done : n;
}

/* As send() (msg.c), who may block and sends the SYN with it waits for the handshake. */
static ssize_t send_from(struct wsock *ws, int in_fd, off64_t *offset, size_t count, bool once,
			 bool nonblock)
{
	bool syn = sock_syn_waits(ws);
	ssize_t n = send_all_from(ws, in_fd, offset, count, once, nonblock);
	int err;

	if (likely(!syn) || n <= 0 || nonblock)
		return n;
	err = call_connect_finish(ws);
	return err ? err : n;
}

ssize_t call_sendfile(struct wsock *ws, int in_fd, off64_t *offset, size_t count)
{
	if (fd_sock(in_fd))
		return -EINVAL;
	if (ws->type != SOCK_STREAM)
		return -EINVAL;
	return send_from(ws, in_fd, offset, count, false, wsock_nonblock(ws));
}

/* ---- the pipe of splice() ---- */

/* Wait here, where no lock is held that others need. */
static int pipe_wait(int fd, short events, bool nonblock)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (R(poll)(&p, 1, 0) != 0)
		return 0; /* ready, or in a state that the call itself tells of */
	if (nonblock || R(fcntl64)(fd, F_GETFL) & O_NONBLOCK)
		return -EAGAIN;
	return R(poll)(&p, 1, -1) < 0 ? -errno : 0;
}

/* As much as a pipe that has room takes without waiting: an empty one all it can hold, another one
 * surely this (pipe(7)). */
static size_t pipe_room(int fd)
{
	int size = R(fcntl64)(fd, F_GETPIPE_SZ), used = 0;

	if (size > 0 && R(ioctl)(fd, FIONREAD, &used) == 0 && used == 0)
		return (size_t)size;
	return PIPE_BUF;
}

/* Receive ring -> pipe. */
static ssize_t drain_once(struct wsock *ws, int out_fd, size_t want)
{
	struct abi_sock *shm = ws->shm;
	uint32_t tail, size, head, len;
	uint8_t *ring;
	ssize_t n = shared_lock(&shm->rx_lock);

	if (n)
		return n;
	tail = atomic_load_explicit(&shm->rx_tail, memory_order_acquire);
	size = atomic_load_explicit(&shm->rx_size_bytes, memory_order_acquire);
	head = atomic_load_explicit(&shm->rx_head, memory_order_relaxed);
	ring = ring_at(atomic_load(&shm->rx_offset), size);
	len = app_ring_used(head, tail, size);
	if (unlikely(app_sock_urgent(shm)))
		len = urgent_limit(ws, &head, len, 0);
	if (!ring || len == 0) {
		n = -ENODATA;
		goto out;
	}
	if (len > size - (head & (size - 1)))
		len = size - (head & (size - 1));
	if (len > want)
		len = (uint32_t)want;
	n = slow(out_fd, ring + (head & (size - 1)), len, NULL, true);
	if (n >= 0)
		stream_taken(ws, head + (uint32_t)n);
out:
	shared_unlock(&shm->rx_lock);
	return n;
}

static ssize_t receive_to(struct wsock *ws, int out_fd, size_t len, bool nonblock)
{
	int64_t deadline = deadline_after(ws->rcv_timeout_ns);
	uint8_t byte;
	struct iovec iov = { &byte, 1 };
	size_t room;
	ssize_t n;

	for (;;) {
		/* A peek gives the errors and the end of the stream, and waits. */
		n = stream_recv(ws, &iov, 1, MSG_PEEK | (nonblock ? MSG_DONTWAIT : 0));
		if (n <= 0)
			return n;
		n = pipe_wait(out_fd, POLLOUT, nonblock);
		if (n)
			return n;
		room = pipe_room(out_fd);
		n = drain_once(ws, out_fd, len < room ? len : room);
		if (n != -ENODATA)
			return n;
		if (deadline != NO_DEADLINE && now_ns() > deadline)
			return -EAGAIN;
	}
}

ssize_t call_splice(int in_fd, off64_t *in_off, int out_fd, off64_t *out_off, size_t len,
		    unsigned int flags)
{
	struct wsock *in = fd_sock(in_fd), *out = fd_sock(out_fd);
	bool nonblock = flags & SPLICE_F_NONBLOCK;
	int err;

	if ((in && out) || (in && in->type != SOCK_STREAM) || (out && out->type != SOCK_STREAM))
		return -EINVAL;
	if (in_off || out_off)
		return -ESPIPE;
	if (len == 0)
		return 0;
	if (in)
		return in->shm ? receive_to(in, out_fd, len, nonblock || wsock_nonblock(in))
			       : -ENOTCONN;
	err = pipe_wait(in_fd, POLLIN, nonblock);
	if (err)
		return err;
	return send_from(out, in_fd, NULL, len, true, nonblock || wsock_nonblock(out));
}
