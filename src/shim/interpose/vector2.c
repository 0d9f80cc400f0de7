/* SPDX-License-Identifier: BSD-3-Clause */
/* preadv2(2) and pwritev2(2): on a socket they are readv and writev, with a word about waiting. */
#include "shim/interpose/names.h"

#include <limits.h>

ssize_t preadv2(int fd, const struct iovec *iov, int n, off64_t offset, int flags);
ssize_t pwritev2(int fd, const struct iovec *iov, int n, off64_t offset, int flags);
ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t offset, int flags);
ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t offset, int flags);

#define KNOWN_FLAGS (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND)

/* The flags of recv() and send() that are meant, or -errno. */
static int wait_flags(int n, off64_t offset, int flags)
{
	if (offset != -1)
		return offset < 0 ? -EINVAL : -ESPIPE;
	if (n < 0 || n > IOV_MAX)
		return -EINVAL;
	if (flags & ~KNOWN_FLAGS)
		return -EOPNOTSUPP;
	return flags & RWF_NOWAIT ? MSG_DONTWAIT : 0;
}

EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int n, off64_t offset, int flags)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
	struct wsock *ws = fd_sock(fd);
	int how;

	if (!ws)
		return R(preadv2)(fd, iov, n, offset, flags);
	how = wait_flags(n, offset, flags);
	return answer(how < 0 ? how : vector_recv(ws, &msg, how));
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int n, off64_t offset, int flags)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
	struct wsock *ws = fd_sock(fd);
	int how;

	if (!ws)
		return R(pwritev2)(fd, iov, n, offset, flags);
	how = wait_flags(n, offset, flags);
	return answer(how < 0 ? how : vector_send(ws, &msg, how));
}

EXPORT ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t offset, int flags)
{
	return preadv2(fd, iov, n, offset, flags);
}

EXPORT ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t offset, int flags)
{
	return pwritev2(fd, iov, n, offset, flags);
}
