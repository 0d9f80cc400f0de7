/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that move data. */
#include "shim/interpose/names.h"
#include "shim/rewrite/rewrite.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* The names of fortified and internal spellings have no prototypes outside the C library. */
ssize_t __read(int fd, void *buf, size_t n);
ssize_t __write(int fd, const void *buf, size_t n);
ssize_t __send(int fd, const void *buf, size_t n, int flags);
ssize_t __recv(int fd, void *buf, size_t n, int flags);
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *sa,
		       socklen_t *len);
int __sendmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags);
int __vdprintf_chk(int fd, int flag, const char *format, va_list args);
int __dprintf_chk(int fd, int flag, const char *format, ...);
ssize_t sendfile64(int out, int in, off64_t *offset, size_t n);
ssize_t sendfile(int out, int in, off_t *offset, size_t n);
void __chk_fail(void) __attribute__((noreturn));

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	struct wsock *ws = fd_sock(fd);

	if (!ws)
		return R(read)(fd, buf, n);
	/* Only recv() of nothing looks at the socket. */
	return n ? answer(buf_recv(ws, buf, n, 0, NULL, NULL)) : 0;
}

EXPORT ssize_t __read(int fd, void *buf, size_t n)
{
	return read(fd, buf, n);
}

EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
	if (n > room)
		__chk_fail();
	return read(fd, buf, n);
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	struct wsock *ws = fd_sock(fd);
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };

	if (!ws)
		return R(readv)(fd, iov, n);
	return n < 0 || n > IOV_MAX ? answer(-EINVAL) : answer(vector_recv(ws, &msg, 0));
}

EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	struct wsock *ws = fd_sock(fd);

	return ws ? answer(buf_send(ws, buf, n, 0, NULL, 0)) : R(write)(fd, buf, n);
}

EXPORT ssize_t __write(int fd, const void *buf, size_t n)
{
	return write(fd, buf, n);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	struct wsock *ws = fd_sock(fd);
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };

	if (!ws)
		return R(writev)(fd, iov, n);
	return n < 0 || n > IOV_MAX ? answer(-EINVAL) : answer(vector_send(ws, &msg, 0));
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	struct wsock *ws = fd_sock(fd);

	return ws ? answer(buf_send(ws, buf, n, flags, NULL, 0)) : R(send)(fd, buf, n, flags);
}

EXPORT ssize_t __send(int fd, const void *buf, size_t n, int flags)
{
	return send(fd, buf, n, flags);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa,
		      socklen_t len)
{
	int err;
	struct wsock *ws = policy_sock(fd, sa, len, &err);

	if (unlikely(err))
		return answer(err);
	if (!ws && fd_netlink(fd))
		return answer(netlink_sendto(fd, buf, n, flags, sa, len));
	return ws ? answer(buf_send(ws, buf, n, flags, sa, len))
		  : R(sendto)(fd, buf, n, flags, sa, len);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	int err;
	struct wsock *ws =
		policy_sock(fd, msg ? msg->msg_name : NULL, msg ? msg->msg_namelen : 0, &err);

	if (unlikely(err))
		return answer(err);
	if (!ws && fd_netlink(fd))
		return answer(netlink_sendmsg(fd, msg, flags));
	if (ws)
		return answer(msg_send(ws, msg, flags));
	return pass_needed(msg) ? answer(pass_send(fd, msg, flags)) : R(sendmsg)(fd, msg, flags);
}

/* A UNIX socket's message may bring sockets of ours. */
static ssize_t kernel_recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t n = R(recvmsg)(fd, msg, flags);
	int saved = errno;

	if (n >= 0)
		pass_received(msg);
	errno = saved;
	return n;
}

static int kernel_recvmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags,
			   struct timespec *timeout)
{
	int got = R(recvmmsg)(fd, v, n, flags, timeout);
	int saved = errno;

	for (int i = 0; i < got; i++)
		pass_received(&v[i].msg_hdr);
	errno = saved;
	return got;
}

/* One by one where descriptors of ours are among them: the first error ends it. */
static int kernel_sendmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags)
{
	bool needed = policy_nets != 0 && n != 0 && v[0].msg_hdr.msg_name != NULL;
	unsigned int i;

	for (i = 0; i < n && !needed; i++)
		needed = pass_needed(&v[i].msg_hdr);
	if (!needed)
		return R(sendmmsg)(fd, v, n, flags);
	for (i = 0; i < n; i++) {
		ssize_t r = sendmsg(fd, &v[i].msg_hdr, flags);

		if (r < 0)
			return i ? (int)i : -1;
		v[i].msg_len = (unsigned int)r;
	}
	return (int)n;
}

EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags)
{
	int err;
	struct wsock *ws = policy_sock(fd, v && n ? v[0].msg_hdr.msg_name : NULL,
				       v && n ? v[0].msg_hdr.msg_namelen : 0, &err);

	if (unlikely(err))
		return (int)answer(err);
	return ws ? (int)answer(mmsg_send(ws, v, n, flags)) : kernel_sendmmsg(fd, v, n, flags);
}

EXPORT int __sendmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags)
{
	return sendmmsg(fd, v, n, flags);
}

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	struct wsock *ws = fd_sock(fd);

	return ws ? answer(buf_recv(ws, buf, n, flags, NULL, NULL)) : R(recv)(fd, buf, n, flags);
}

EXPORT ssize_t __recv(int fd, void *buf, size_t n, int flags)
{
	return recv(fd, buf, n, flags);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
	if (n > room)
		__chk_fail();
	return recv(fd, buf, n, flags);
}

EXPORT ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len)
{
	struct wsock *ws = fd_sock(fd);

	if (!ws && fd_netlink(fd))
		return answer(netlink_recvfrom(fd, buf, n, flags, sa, len));
	return ws ? answer(buf_recv(ws, buf, n, flags, sa, len))
		  : R(recvfrom)(fd, buf, n, flags, sa, len);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
			      struct sockaddr *sa, socklen_t *len)
{
	if (n > room)
		__chk_fail();
	return recvfrom(fd, buf, n, flags, sa, len);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct wsock *ws = fd_sock(fd);

	if (!ws && fd_netlink(fd))
		return answer(netlink_recvmsg(fd, msg, flags));
	return ws ? answer(msg_recv(ws, msg, flags)) : kernel_recvmsg(fd, msg, flags);
}

EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags, struct timespec *timeout)
{
	struct wsock *ws = fd_sock(fd);

	return ws ? (int)answer(mmsg_recv(ws, v, n, flags, timeout))
		  : kernel_recvmmsg(fd, v, n, flags, timeout);
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *offset, size_t n)
{
	struct wsock *ws = fd_sock(out);

	if (!ws && fd_sock(in))
		return answer(-EINVAL);
	return ws ? answer(call_sendfile(ws, in, offset, n)) : R(sendfile64)(out, in, offset, n);
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t n)
{
	return sendfile64(out, in, offset, n);
}

EXPORT ssize_t splice(int in, off64_t *in_off, int out, off64_t *out_off, size_t n,
		      unsigned int flags)
{
	if (fd_sock(in) || fd_sock(out))
		return answer(call_splice(in, in_off, out, out_off, n, flags));
	return R(splice)(in, in_off, out, out_off, n, flags);
}

/* ---- stdio on a socket, where the C library's own calls could not be taken over ---- */

EXPORT int vdprintf(int fd, const char *format, va_list args)
{
	struct wsock *ws = fd_sock(fd);
	char *text = NULL;
	ssize_t r;
	int n;

	if (!ws || rewrite_active())
		return R(vdprintf)(fd, format, args);
	n = vasprintf(&text, format, args);
	if (n < 0)
		return -1;
	r = buf_send(ws, text, (size_t)n, 0, NULL, 0);
	free(text);
	return (int)answer(r);
}

EXPORT int dprintf(int fd, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vdprintf(fd, format, args);
	va_end(args);
	return n;
}

EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list args)
{
	return vdprintf(fd, format, args);
}

EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vdprintf(fd, format, args);
	va_end(args);
	return n;
}

static ssize_t cookie_read(void *cookie, char *buf, size_t n)
{
	return read((int)(intptr_t)cookie, buf, n);
}

static ssize_t cookie_write(void *cookie, const char *buf, size_t n)
{
	ssize_t r = write((int)(intptr_t)cookie, buf, n);

	return r < 0 ? 0 : r; /* fopencookie(3): 0 is the error */
}

static int cookie_close(void *cookie)
{
	return (int)answer(call_close((int)(intptr_t)cookie));
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
	cookie_io_functions_t io = { .read = cookie_read,
				     .write = cookie_write,
				     .close = cookie_close };
	FILE *f;

	if (!fd_sock(fd) || rewrite_active())
		return R(fdopen)(fd, mode);
	f = fopencookie((void *)(intptr_t)fd, mode, io);
	if (f)
		f->_fileno = fd;
	return f;
}
