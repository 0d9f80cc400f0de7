/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that wait for descriptors. */
#include "shim/interpose/names.h"

#include <sys/time.h>

int __poll(struct pollfd *fds, nfds_t n, int timeout);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
		size_t room);
int __select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *timeout);
int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
		 const sigset_t *mask);
void __chk_fail(void) __attribute__((noreturn));

static int64_t from_ms(int timeout)
{
	return timeout < 0 ? -1 : timeout * 1000000ll;
}

/* -1: for ever; -2: not a time. */
static int64_t from_timespec(const struct timespec *ts)
{
	if (!ts)
		return -1;
	if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= 1000000000)
		return -2;
	return ts->tv_sec > 1000000000 ? 1000000000000000000ll
				       : ts->tv_sec * 1000000000ll + ts->tv_nsec;
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (!poll_has_ours(fds, n))
		return R(poll)(fds, n, timeout);
	return (int)answer(call_poll(fds, n, from_ms(timeout), NULL));
}

EXPORT int __poll(struct pollfd *fds, nfds_t n, int timeout)
{
	return poll(fds, n, timeout);
}

EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
	if (room / sizeof(*fds) < n)
		__chk_fail();
	return poll(fds, n, timeout);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	int64_t ns;

	if (!poll_has_ours(fds, n))
		return R(ppoll)(fds, n, timeout, mask);
	ns = from_timespec(timeout);
	return (int)answer(ns == -2 ? -EINVAL : call_poll(fds, n, ns, mask));
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		       const sigset_t *mask, size_t room)
{
	if (room / sizeof(*fds) < n)
		__chk_fail();
	return ppoll(fds, n, timeout, mask);
}

EXPORT int select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *timeout)
{
	struct timespec ts;
	int64_t start = 0, ns = -1;
	bool ours;
	int r;

	if (timeout) {
		ts.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000;
		ts.tv_nsec = timeout->tv_usec % 1000000 * 1000;
		ns = from_timespec(&ts);
		start = now_ns();
	}
	r = call_select(n, in, out, ex, ns == -2 ? 0 : ns, NULL, &ours);
	if (!ours)
		return R(select)(n, in, out, ex, timeout);
	if (ns == -2)
		r = -EINVAL;
	if (timeout && r >= 0) {
		int64_t left = ns - (now_ns() - start);

		if (left < 0)
			left = 0;
		timeout->tv_sec = left / 1000000000;
		timeout->tv_usec = left % 1000000000 / 1000;
	}
	return (int)answer(r);
}

EXPORT int __select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *timeout)
{
	return select(n, in, out, ex, timeout);
}

EXPORT int pselect(int n, fd_set *in, fd_set *out, fd_set *ex, const struct timespec *timeout,
		   const sigset_t *mask)
{
	int64_t ns = from_timespec(timeout);
	bool ours;
	int r = call_select(n, in, out, ex, ns == -2 ? 0 : ns, mask, &ours);

	if (!ours)
		return R(pselect)(n, in, out, ex, timeout, mask);
	return (int)answer(ns == -2 ? -EINVAL : r);
}

EXPORT int epoll_create1(int flags)
{
	return (int)answer(epset_create(flags));
}

EXPORT int epoll_create(int size)
{
	return (int)answer(size <= 0 ? -EINVAL : epset_create(0));
}

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	struct epset *ep = fd_epset(epfd);

	if (ep && op != EPOLL_CTL_DEL && bad_pointer(event))
		return (int)answer(-EFAULT);
	return ep ? (int)answer(epset_ctl(ep, op, fd, event)) : R(epoll_ctl)(epfd, op, fd, event);
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int max,
			const struct timespec *timeout, const sigset_t *mask)
{
	struct epset *ep = fd_epset(epfd);
	int64_t ns = from_timespec(timeout);

	if (ns == -2)
		return (int)answer(-EINVAL);
	if (ep)
		return (int)answer(epset_wait(ep, events, max, ns, mask));
	if (R(epoll_pwait2))
		return real_epoll_pwait2(epfd, events, max, timeout, mask);
	return R(epoll_pwait)(epfd, events, max, ns < 0 ? -1 : (int)((ns + 999999) / 1000000),
			      mask);
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout,
		       const sigset_t *mask)
{
	struct epset *ep = fd_epset(epfd);

	return ep ? (int)answer(epset_wait(ep, events, max, from_ms(timeout), mask))
		  : R(epoll_pwait)(epfd, events, max, timeout, mask);
}

EXPORT int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	struct epset *ep = fd_epset(epfd);

	return ep ? (int)answer(epset_wait(ep, events, max, from_ms(timeout), NULL))
		  : R(epoll_wait)(epfd, events, max, timeout);
}
