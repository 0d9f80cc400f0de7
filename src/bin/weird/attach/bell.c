/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker rings with write() or send(), and must never wait in there. A descriptor of the
 * program's could make it: who shares an eventfd shares its O_NONBLOCK, can take that away and fill
 * the counter; a socket could be connected to somebody else's. So both ends are made here, and the
 * one that is rung stays here:
 *
 * - an eventfd that nobody reads is as cheap to ring as there is (0.2 us, a datagram 0.8). The
 *   program gets an epoll set with it inside, through which it can be waited for, and no more:
 *   epoll_ctl() names what is in a set by descriptors, and the program has none of the eventfd's.
 * - a pair of datagram sockets where signals are wanted. It holds a few rings and is sent to with
 *   MSG_DONTWAIT; the program cannot have a filter run in the worker's send().
 * - a pair of streams for SIGIO (sock/async.c). The end that the program gets is kept, too: what
 * the engine makes happen there is of its own doing, from both sides.
 */
#include "bin/weird/attach/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static int make_event(struct attach_bell *bell)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int err = 0;

	bell->ring_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bell->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	if (bell->ring_fd < 0 || bell->wait_fd < 0 ||
	    epoll_ctl(bell->wait_fd, EPOLL_CTL_ADD, bell->ring_fd, &event))
		err = -errno;
	return err;
}

static int make_socket(struct attach_bell *bell)
{
	int pair[2], least = 1, on = 1;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return -errno;
	bell->ring_fd = pair[0];
	bell->wait_fd = pair[1];
	if (setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)) ||
	    setsockopt(pair[1], SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)))
		return -errno;
	return 0;
}

static int make_async(struct attach_bell *bell)
{
	int pair[2], least = 1, on = 1;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return -errno;
	bell->ring_fd = pair[0];
	bell->wait_fd = pair[1];
	bell->far_fd = fcntl(pair[1], F_DUPFD_CLOEXEC, 0);
	if (bell->far_fd < 0 || setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)) ||
	    setsockopt(pair[0], SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)) ||
	    setsockopt(pair[1], SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)))
		return -errno;
	return 0;
}

static int make_same(struct attach_bell *bell, struct session *session, const struct abi_msg *msg)
{
	unsigned int worker = (unsigned int)(msg->arg[3] >> 32);
	int fd = session_channel_bell(session, worker, (uint32_t)msg->arg[3]);
	int far = session_channel_far(session, worker, (uint32_t)msg->arg[3]);

	if (fd < 0)
		return -EINVAL;
	bell->ring_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (far >= 0)
		bell->far_fd = fcntl(far, F_DUPFD_CLOEXEC, 0);
	return bell->ring_fd < 0 || (far >= 0 && bell->far_fd < 0) ? -errno : 0;
}

void attach_bell_close(struct attach_bell *bell)
{
	if (bell->ring_fd >= 0)
		close(bell->ring_fd);
	if (bell->far_fd >= 0)
		close(bell->far_fd);
	bell->ring_fd = bell->far_fd = -1;
}

int attach_bell_make(struct attach_bell *bell, struct session *session, const struct abi_msg *msg)
{
	int err;

	*bell = (struct attach_bell){ -1, -1, -1 };
	switch (msg->arg[2] & ~(uint64_t)ABI_CHANNEL_SHARED) {
	case ABI_BELL_EVENT:
		err = make_event(bell);
		break;
	case ABI_BELL_SOCKET:
		err = make_socket(bell);
		break;
	case ABI_BELL_ASYNC:
		err = make_async(bell);
		break;
	default:
		err = make_same(bell, session, msg);
		break;
	}
	if (!err)
		return 0;
	attach_bell_close(bell);
	if (bell->wait_fd >= 0)
		close(bell->wait_fd);
	bell->wait_fd = -1;
	return err;
}
