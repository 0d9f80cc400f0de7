/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System calls by number: what syscall() is given (libuv and some language runtimes use it for
 * calls on sockets), and what arrives at rewritten sites. The names are called, so a call means the
 * same however it is made.
 */
#include "shim/interpose/names.h"
#include "shim/interpose/raw.h"
#include "shim/process/confine.h"
#include "shim/process/process.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t sendfile64(int out, int in, off64_t *offset, size_t n);
int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
		 const sigset_t *mask);

#define PTR(i) ((void *)a[i])

/* ppoll and pselect6: the kernel leaves in *ts what is left of the time; the C library hides it. */
static void time_left(struct timespec *ts, int64_t since_ns)
{
	int64_t left;

	if (!ts || ts->tv_sec < 0 || ts->tv_sec > 1000000000)
		return;
	left = ts->tv_sec * 1000000000 + ts->tv_nsec - (now_ns() - since_ns);
	if (left < 0)
		left = 0;
	ts->tv_sec = left / 1000000000;
	ts->tv_nsec = left % 1000000000;
}

/* Calls that make or wait for descriptors. True: *r is the answer, as the C library gives it. */
static bool by_number_wait(long number, const long *a, long *r)
{
	int64_t since_ns = number == SYS_ppoll || number == SYS_pselect6 ? now_ns() : 0;

	switch (number) {
	case SYS_poll:
		*r = poll(PTR(0), (nfds_t)a[1], (int)a[2]);
		return true;
	case SYS_ppoll:
		*r = ppoll(PTR(0), (nfds_t)a[1], PTR(2), PTR(3));
		time_left(PTR(2), since_ns);
		return true;
	case SYS_select:
		*r = select((int)a[0], PTR(1), PTR(2), PTR(3), PTR(4));
		return true;
	case SYS_pselect6:
		/* The sixth argument is a pair: mask and its size. */
		*r = pselect((int)a[0], PTR(1), PTR(2), PTR(3), PTR(4),
			     a[5] ? *(const sigset_t **)a[5] : NULL);
		time_left(PTR(4), since_ns);
		return true;
	case SYS_epoll_create:
		*r = epoll_create((int)a[0]);
		return true;
	case SYS_epoll_create1:
		*r = epoll_create1((int)a[0]);
		return true;
	case SYS_epoll_ctl:
		*r = epoll_ctl((int)a[0], (int)a[1], (int)a[2], PTR(3));
		return true;
	case SYS_epoll_wait:
		*r = epoll_wait((int)a[0], PTR(1), (int)a[2], (int)a[3]);
		return true;
	case SYS_epoll_pwait:
		*r = epoll_pwait((int)a[0], PTR(1), (int)a[2], (int)a[3], PTR(4));
		return true;
	case SYS_epoll_pwait2:
		*r = epoll_pwait2((int)a[0], PTR(1), (int)a[2], PTR(3), PTR(4));
		return true;
	default:
		return false;
	}
}

static bool by_number_fd(long number, const long *a, long *r)
{
	switch (number) {
	case SYS_socket:
		*r = socket((int)a[0], (int)a[1], (int)a[2]);
		return true;
	case SYS_close:
		*r = close((int)a[0]);
		return true;
	case SYS_close_range:
		*r = close_range((unsigned int)a[0], (unsigned int)a[1], (int)a[2]);
		return true;
	case SYS_dup:
		*r = dup((int)a[0]);
		return true;
	case SYS_dup2:
		*r = dup2((int)a[0], (int)a[1]);
		return true;
	case SYS_dup3:
		*r = dup3((int)a[0], (int)a[1], (int)a[2]);
		return true;
	case SYS_fcntl:
		*r = fcntl((int)a[0], (int)a[1], a[2]);
		return true;
	case SYS_ioctl:
		*r = ioctl((int)a[0], (unsigned long)a[1], a[2]);
		return true;
	case SYS_open:
		return procnet_open(PTR(0), (int)a[1], r);
	case SYS_openat:
		return procnet_open(PTR(1), (int)a[2], r);
	case SYS_execve:
		*r = execve(PTR(0), PTR(1), PTR(2));
		return true;
	case SYS_execveat:
		*r = execveat((int)a[0], PTR(1), PTR(2), PTR(3), (int)a[4]);
		return true;
	case SYS_clone:
	case SYS_clone3:
		*r = call_clone(number, a);
		return true;
	case SYS_fork:
	case SYS_vfork:
		*r = fork();
		return true;
	case SYS_io_uring_setup: /* its sockets would be the kernel's; programs know that it may be
				    missing */
		*r = answer(-ENOSYS);
		return true;
	default:
		return false;
	}
}

static bool by_number_data(long number, const long *a, long *r)
{
	int fd = (int)a[0];

	switch (number) {
	case SYS_read:
		*r = read(fd, PTR(1), (size_t)a[2]);
		return true;
	case SYS_write:
		*r = write(fd, PTR(1), (size_t)a[2]);
		return true;
	case SYS_readv:
		*r = readv(fd, PTR(1), (int)a[2]);
		return true;
	case SYS_writev:
		*r = writev(fd, PTR(1), (int)a[2]);
		return true;
	case SYS_preadv2: /* the offset is one word, and one that is not used */
		*r = preadv2(fd, PTR(1), (int)a[2], a[3], (int)a[5]);
		return true;
	case SYS_pwritev2:
		*r = pwritev2(fd, PTR(1), (int)a[2], a[3], (int)a[5]);
		return true;
	case SYS_sendto:
		*r = sendto(fd, PTR(1), (size_t)a[2], (int)a[3], PTR(4), (socklen_t)a[5]);
		return true;
	case SYS_recvfrom:
		*r = recvfrom(fd, PTR(1), (size_t)a[2], (int)a[3], PTR(4), PTR(5));
		return true;
	case SYS_sendfile:
		*r = sendfile64(fd, (int)a[1], PTR(2), (size_t)a[3]);
		return true;
	case SYS_sendmsg:
		*r = sendmsg(fd, PTR(1), (int)a[2]);
		return true;
	case SYS_recvmsg:
		*r = recvmsg(fd, PTR(1), (int)a[2]);
		return true;
	case SYS_sendmmsg:
		*r = sendmmsg(fd, PTR(1), (unsigned int)a[2], (int)a[3]);
		return true;
	case SYS_recvmmsg:
		*r = recvmmsg(fd, PTR(1), (unsigned int)a[2], (int)a[3], PTR(4));
		return true;
	default:
		return false;
	}
}

static bool by_number_sock(long number, const long *a, long *r)
{
	int fd = (int)a[0];

	switch (number) {
	case SYS_bind:
		*r = bind(fd, PTR(1), (socklen_t)a[2]);
		return true;
	case SYS_connect:
		*r = connect(fd, PTR(1), (socklen_t)a[2]);
		return true;
	case SYS_listen:
		*r = listen(fd, (int)a[1]);
		return true;
	case SYS_accept:
		*r = accept(fd, PTR(1), PTR(2));
		return true;
	case SYS_accept4:
		*r = accept4(fd, PTR(1), PTR(2), (int)a[3]);
		return true;
	case SYS_shutdown:
		*r = shutdown(fd, (int)a[1]);
		return true;
	case SYS_getsockname:
		*r = getsockname(fd, PTR(1), PTR(2));
		return true;
	case SYS_getpeername:
		*r = getpeername(fd, PTR(1), PTR(2));
		return true;
	case SYS_getsockopt:
		*r = getsockopt(fd, (int)a[1], (int)a[2], PTR(3), PTR(4));
		return true;
	case SYS_setsockopt:
		*r = setsockopt(fd, (int)a[1], (int)a[2], PTR(3), (socklen_t)a[4]);
		return true;
	default:
		return false;
	}
}

static bool by_number(long number, const long *a, long *r)
{
	if (by_number_wait(number, a, r) || by_number_fd(number, a, r) ||
	    confine_by_number(number, a, r))
		return true;
	/* The names know each kind of object in the table; the shim's own are not the program's. */
	if (fd_obj((int)a[0]) && !fd_private((int)a[0]) &&
	    (by_number_data(number, a, r) || by_number_sock(number, a, r)))
		return true;
	/* UNIX sockets may carry descriptors of ours. */
	if (number == SYS_sendmsg || number == SYS_recvmsg || number == SYS_sendmmsg ||
	    number == SYS_recvmmsg)
		return !fd_private((int)a[0]) && by_number_data(number, a, r);
	if (number != SYS_splice || !(fd_sock((int)a[0]) || fd_sock((int)a[2])))
		return false;
	*r = splice((int)a[0], PTR(1), (int)a[2], PTR(3), (size_t)a[4], (unsigned int)a[5]);
	return true;
}

bool call_by_number(long number, const long *args, long *result)
{
	if (!by_number(number, args, result))
		return false;
	if (*result == -1)
		*result = -errno;
	return true;
}

EXPORT long syscall(long number, ...)
{
	long a[6], r;
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (by_number(number, a, &r))
		return r;
	return answer(raw_syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}
