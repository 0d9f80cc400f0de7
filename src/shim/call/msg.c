/* SPDX-License-Identifier: BSD-3-Clause */
/* The many spellings of send and receive, brought to stream.c's and dgram.c's one each. */
#include "shim/call/packet.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <time.h>

static int check_iov(const struct msghdr *msg)
{
	size_t total = 0;

	if (msg->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	if (msg->msg_iovlen && bad_pointer(msg->msg_iov))
		return -EFAULT;
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		if (msg->msg_iov[i].iov_len > (size_t)SSIZE_MAX - total)
			return -EINVAL;
		if (msg->msg_iov[i].iov_len && bad_pointer(msg->msg_iov[i].iov_base))
			return -EFAULT;
		total += msg->msg_iov[i].iov_len;
	}
	return 0;
}

/* MSG_FASTOPEN: connect() and send() in one. Who may block waits for the handshake in it, as in
 * Linux: only then can the socket be shut or closed after it. */
static ssize_t send_fastopen(struct wsock *ws, const struct iovec *iov, int iovcnt, int flags,
			     const struct sockaddr *sa, socklen_t sa_len)
{
	bool nonblock = wsock_nonblock(ws) || (flags & MSG_DONTWAIT);
	ssize_t n;
	int err;

	if ((flags & MSG_FASTOPEN) && (!sock_syn_waits(ws) || sa)) {
		err = call_connect_fastopen(ws, sa, sa_len, nonblock);
		if (err)
			return err;
	}
	flags &= ~MSG_FASTOPEN;
	if (!sock_syn_waits(ws))
		return stream_send(ws, iov, iovcnt, flags);
	n = stream_send(ws, iov, iovcnt, flags);
	if (n < 0 || nonblock)
		return n;
	err = call_connect_finish(ws);
	return err ? err : n;
}

ssize_t msg_send(struct wsock *ws, const struct msghdr *msg, int flags)
{
	int err = bad_pointer(msg) ? -EFAULT : check_iov(msg);

	if (err)
		return err;
	if (ws->type == SOCK_STREAM && ((flags & MSG_FASTOPEN) || unlikely(sock_syn_waits(ws))))
		return send_fastopen(ws, msg->msg_iov, (int)msg->msg_iovlen, flags, msg->msg_name,
				     msg->msg_namelen);
	if (ws->type == SOCK_STREAM)
		return stream_send(ws, msg->msg_iov, (int)msg->msg_iovlen, flags);
	return ws->family == AF_PACKET ? packet_send(ws, msg, flags)
	       : wsock_is_raw(ws)      ? raw_send(ws, msg, flags)
				       : dgram_send(ws, msg, flags);
}

/* TCP_INQ: what is left to read; 1 where that is the end alone. */
static void stream_control(struct wsock *ws, struct msghdr *msg)
{
	struct abi_sock *shm = ws->shm;
	size_t used = 0;
	int left;

	if (msg->msg_controllen &&
	    (atomic_load_explicit(&shm->recv_opts, memory_order_relaxed) & ABI_R_INQ)) {
		left = (int)app_urgent_inq(shm, app_sock_rx_used(shm));
		if (left == 0 && (atomic_load(&shm->state) & (ABI_S_RX_EOF | ABI_S_RESET)))
			left = 1;
		cmsg_put(msg, &used, IPPROTO_TCP, TCP_CM_INQ, &left, sizeof(left));
	}
	msg->msg_controllen = used;
}

ssize_t msg_recv(struct wsock *ws, struct msghdr *msg, int flags)
{
	ssize_t n = bad_pointer(msg) ? -EFAULT : check_iov(msg);

	if (n)
		return n;
	if (flags & MSG_ERRQUEUE)
		return errqueue_recv(ws, msg, flags);
	if (ws->type != SOCK_STREAM)
		return ws->family == AF_PACKET ? packet_recv(ws, msg, flags)
					       : dgram_recv(ws, msg, flags);
	n = stream_recv(ws, msg->msg_iov, (int)msg->msg_iovlen, flags);
	if (n >= 0) {
		msg->msg_namelen = 0;
		msg->msg_flags = n > 0 && (flags & MSG_OOB) ? MSG_OOB : 0;
		stream_control(ws, msg);
	}
	return n;
}

/* No bytes at all. A wrong vector is another call's to judge. */
static bool no_bytes(const struct msghdr *msg)
{
	if (msg->msg_iovlen && bad_pointer(msg->msg_iov))
		return false;
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		if (msg->msg_iov[i].iov_len)
			return false;
	}
	return true;
}

ssize_t vector_send(struct wsock *ws, const struct msghdr *msg, int flags)
{
	return no_bytes(msg) ? 0 : msg_send(ws, msg, flags);
}

ssize_t vector_recv(struct wsock *ws, struct msghdr *msg, int flags)
{
	return no_bytes(msg) ? 0 : msg_recv(ws, msg, flags);
}

ssize_t buf_send(struct wsock *ws, const void *buf, size_t len, int flags,
		 const struct sockaddr *sa, socklen_t sa_len)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	if (bad_pointer(buf) && len)
		return -EFAULT;

	if (likely(ws->type == SOCK_STREAM)) {
		if (unlikely((flags & MSG_FASTOPEN) || sock_syn_waits(ws)))
			return send_fastopen(ws, &iov, 1, flags, sa, sa_len);
		return stream_send(ws, &iov, 1, flags);
	}
	struct msghdr msg = { .msg_name = (void *)(uintptr_t)sa,
			      .msg_namelen = sa_len,
			      .msg_iov = &iov,
			      .msg_iovlen = 1 };

	return ws->family == AF_PACKET ? packet_send(ws, &msg, flags)
	       : wsock_is_raw(ws)      ? raw_send(ws, &msg, flags)
				       : dgram_send(ws, &msg, flags);
}

ssize_t buf_recv(struct wsock *ws, void *buf, size_t len, int flags, struct sockaddr *sa,
		 socklen_t *sa_len)
{
	struct iovec iov = { buf, len };
	ssize_t n;

	if (bad_pointer(buf) && len)
		return -EFAULT;

	if (likely(ws->type == SOCK_STREAM && !(flags & MSG_ERRQUEUE))) {
		n = stream_recv(ws, &iov, 1, flags);
		if (n >= 0 && sa && sa_len)
			*sa_len = 0;
		return n;
	}
	struct msghdr msg = { .msg_name = sa,
			      .msg_namelen = sa && sa_len ? *sa_len : 0,
			      .msg_iov = &iov,
			      .msg_iovlen = 1 };

	if (ws->family == AF_PACKET)
		n = packet_recv(ws, &msg, flags);
	else
		n = flags & MSG_ERRQUEUE ? errqueue_recv(ws, &msg, flags)
					 : dgram_recv(ws, &msg, flags);
	if (n >= 0 && sa && sa_len)
		*sa_len = msg.msg_namelen;
	return n;
}

int mmsg_send(struct wsock *ws, struct mmsghdr *v, unsigned int n, int flags)
{
	unsigned int i;

	if (n && bad_pointer(v))
		return -EFAULT;
	if (n > IOV_MAX)
		n = IOV_MAX;
	for (i = 0; i < n; i++) {
		ssize_t r = msg_send(ws, &v[i].msg_hdr, flags);

		if (r < 0)
			return i ? (int)i : (int)r;
		v[i].msg_len = (unsigned int)r;
	}
	return (int)i;
}

int mmsg_recv(struct wsock *ws, struct mmsghdr *v, unsigned int n, int flags,
	      const struct timespec *timeout)
{
	int64_t deadline = NO_DEADLINE;
	unsigned int i;
	int err;

	if (timeout) {
		if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000)
			return -EINVAL;
		/* No time at all: one message, as Linux, which looks at the clock behind each. */
		deadline = deadline_after(timeout->tv_sec * 1000000000ll + timeout->tv_nsec + 1);
	}
	if (!(flags & MSG_ERRQUEUE) && ws->shm) {
		err = wsock_take_error(ws);
		if (err)
			return -err;
	}
	if (n && bad_pointer(v))
		return -EFAULT;
	if (n > IOV_MAX)
		n = IOV_MAX;
	for (i = 0; i < n; i++) {
		ssize_t r = msg_recv(ws, &v[i].msg_hdr, flags & ~MSG_WAITFORONE);

		if (r < 0)
			return i ? (int)i : (int)r;
		v[i].msg_len = (unsigned int)r;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (deadline != NO_DEADLINE && now_ns() >= deadline)
			return (int)i + 1;
	}
	return (int)i;
}
