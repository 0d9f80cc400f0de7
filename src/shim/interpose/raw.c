/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that the shim makes on descriptors which are in its table: placeholders, epoll sets. They
 * go to the kernel directly: the C library's functions would come back to us by its rewritten
 * sites. Those of them that wait are cancellation points, as the C library's are.
 */
#include "shim/interpose/raw.h"
#include "shim/shim.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/syscall.h>

static int back(long r)
{
	if (r < 0) {
		errno = (int)-r;
		return -1;
	}
	return (int)r;
}

/* A call during which the thread may be cancelled at any moment; it holds nothing. */
static long cancellable(long number, long a, long b, long c, long d, long e, long f)
{
	int type;
	long r;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	r = raw_syscall6(number, a, b, c, d, e, f);
	pthread_setcanceltype(type, NULL);
	return r;
}

static int raw_socket(int domain, int type, int protocol)
{
	return back(raw_syscall3(SYS_socket, domain, type, protocol));
}

static int raw_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return back(raw_syscall6(SYS_getsockopt, fd, level, name, (long)value, (long)len, 0));
}

static int raw_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return back(raw_syscall6(SYS_setsockopt, fd, level, name, (long)value, (long)len, 0));
}

static int raw_dup(int fd)
{
	return back(raw_syscall3(SYS_dup, fd, 0, 0));
}

static int raw_dup2(int old, int new)
{
	return back(raw_syscall3(SYS_dup2, old, new, 0));
}

static int raw_dup3(int old, int new, int flags)
{
	return back(raw_syscall3(SYS_dup3, old, new, flags));
}

static int raw_close_range(unsigned int first, unsigned int last, int flags)
{
	return back(raw_syscall3(SYS_close_range, first, last, flags));
}

static int raw_fcntl64(int fd, int cmd, ...)
{
	va_list args;
	long arg;

	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	if (cmd == F_SETLKW || cmd == F_OFD_SETLKW)
		return back(cancellable(SYS_fcntl, fd, cmd, arg, 0, 0, 0));
	return back(raw_syscall3(SYS_fcntl, fd, cmd, arg));
}

static int raw_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	long arg;

	va_start(args, request);
	arg = va_arg(args, long);
	va_end(args);
	return back(raw_syscall3(SYS_ioctl, fd, (long)request, arg));
}

static int raw_epoll_create1(int flags)
{
	return back(raw_syscall3(SYS_epoll_create1, flags, 0, 0));
}

static int raw_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	return back(raw_syscall6(SYS_epoll_ctl, epfd, op, fd, (long)event, 0, 0));
}

static int raw_epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout,
			   const sigset_t *mask)
{
	if (timeout == 0)
		return back(raw_syscall6(SYS_epoll_pwait, epfd, (long)events, max, 0, (long)mask,
					 _NSIG / 8));
	return back(cancellable(SYS_epoll_pwait, epfd, (long)events, max, timeout, (long)mask,
				_NSIG / 8));
}

static int raw_epoll_pwait2(int epfd, struct epoll_event *events, int max,
			    const struct timespec *timeout, const sigset_t *mask)
{
	return back(cancellable(SYS_epoll_pwait2, epfd, (long)events, max, (long)timeout,
				(long)mask, _NSIG / 8));
}

static int raw_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	return raw_epoll_pwait(epfd, events, max, timeout, NULL);
}

void real_make_raw(void)
{
	real_socket = raw_socket;
	real_getsockopt = raw_getsockopt;
	real_setsockopt = raw_setsockopt;
	real_dup = raw_dup;
	real_dup2 = raw_dup2;
	real_dup3 = raw_dup3;
	real_close_range = raw_close_range;
	real_fcntl64 = raw_fcntl64;
	real_ioctl = raw_ioctl;
	real_epoll_create1 = raw_epoll_create1;
	real_epoll_ctl = raw_epoll_ctl;
	real_epoll_wait = raw_epoll_wait;
	real_epoll_pwait = raw_epoll_pwait;
	real_epoll_pwait2 = raw_epoll_pwait2;
}
