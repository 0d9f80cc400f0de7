/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that make, name and set sockets. */
#include "shim/interpose/names.h"

#include <linux/netlink.h>

/* The C library declares these with a transparent union in place of struct sockaddr. */
int __connect(int fd, const struct sockaddr *sa, socklen_t len);

EXPORT int socket(int domain, int type, int protocol)
{
	int error;

	if (domain == AF_NETLINK && netlink_is_ours(protocol))
		return (int)answer(netlink_socket(type, protocol));
	if (!call_socket_ours(domain, type, protocol, &error)) {
		left_family(domain);
		return R(socket)(domain, type, protocol);
	}
	if (error)
		left_count(ABI_OFF_REFUSED);
	return (int)answer(error ? error : call_socket(domain, type, protocol));
}

EXPORT int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	int err;
	struct wsock *ws = policy_sock(fd, sa, len, &err);

	if (unlikely(err))
		return (int)answer(err);
	if (!ws && fd_netlink(fd))
		return (int)answer(netlink_bind(fd_netlink(fd), fd, sa, len));
	return ws ? (int)answer(call_bind(ws, sa, len)) : R(bind)(fd, sa, len);
}

EXPORT int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	int err;
	struct wsock *ws = policy_sock(fd, sa, len, &err);

	if (unlikely(err))
		return (int)answer(err);
	if (!ws && fd_netlink(fd))
		return (int)answer(netlink_connect(fd_netlink(fd), sa, len));
	return ws ? (int)answer(call_connect(ws, sa, len)) : R(connect)(fd, sa, len);
}

EXPORT int __connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	return connect(fd, sa, len);
}

EXPORT int listen(int fd, int backlog)
{
	struct wsock *ws = fd_sock(fd);

	return ws ? (int)answer(call_listen(ws, backlog)) : R(listen)(fd, backlog);
}

EXPORT int accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	struct wsock *ws = fd_sock(fd);

	return ws ? (int)answer(call_accept(ws, sa, len, flags)) : R(accept4)(fd, sa, len, flags);
}

EXPORT int accept(int fd, struct sockaddr *sa, socklen_t *len)
{
	return accept4(fd, sa, len, 0);
}

EXPORT int shutdown(int fd, int how)
{
	struct wsock *ws = fd_sock(fd);

	return ws ? (int)answer(call_shutdown(ws, how)) : R(shutdown)(fd, how);
}

EXPORT int getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	struct wsock *ws = fd_sock(fd);

	if (!ws && fd_netlink(fd))
		return (int)answer(netlink_getname(fd_netlink(fd), false, sa, len));
	return ws ? (int)answer(wsock_getname(ws, false, sa, len)) : R(getsockname)(fd, sa, len);
}

EXPORT int getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	struct wsock *ws = fd_sock(fd);

	if (!ws && fd_netlink(fd))
		return (int)answer(netlink_getname(fd_netlink(fd), true, sa, len));
	return ws ? (int)answer(wsock_getname(ws, true, sa, len)) : R(getpeername)(fd, sa, len);
}

EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	struct wsock *ws = fd_sock(fd);

	if (!ws && fd_netlink(fd))
		return (int)answer(netlink_getsockopt(fd_netlink(fd), fd, level, name, value, len));
	return ws ? (int)answer(call_getsockopt(ws, level, name, value, len))
		  : R(getsockopt)(fd, level, name, value, len);
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	struct wsock *ws = fd_sock(fd);

	if (!ws && fd_netlink(fd))
		return (int)answer(netlink_setsockopt(fd, level, name, value, len));
	return ws ? (int)answer(call_setsockopt(ws, level, name, value, len))
		  : R(setsockopt)(fd, level, name, value, len);
}

EXPORT int sockatmark(int fd)
{
	return fd_sock(fd) ? 0 : R(sockatmark)(fd);
}
