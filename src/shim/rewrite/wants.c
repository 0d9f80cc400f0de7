/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The quick question for what arrives at a rewritten site. Compiled with general registers only:
 * the program's vector registers are live here.
 */
#include "shim/rewrite/dispatch.h"
#include "shim/rewrite/rewrite.h"
#include "shim/shim.h"

#include <sys/select.h>
#include <sys/syscall.h>

SHIM_TLS int rewrite_busy;

static bool poll_wants(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n && !bad_pointer(fds); i++) {
		const struct obj *o = fd_obj(fds[i].fd);

		if (o && o != &fdtab_private)
			return true;
	}
	return false;
}

static bool set_wants(const fd_set *set, unsigned int n)
{
	const unsigned long *words = (const unsigned long *)(const void *)set;

	for (unsigned int at = 0; set && at < n; at += 64) {
		unsigned long word = words[at / 64];

		while (word) {
			const struct obj *o = fd_obj((int)at + __builtin_ctzl(word));

			if (o && o != &fdtab_private)
				return true;
			word &= word - 1;
		}
	}
	return false;
}

static bool select_wants(const long *a)
{
	unsigned int n = a[0] < 0 ? 0 : a[0] > FD_MAX ? FD_MAX : (unsigned int)a[0];

	for (int i = 1; i <= 3; i++) {
		if (set_wants((const fd_set *)a[i], n))
			return true;
	}
	return false;
}

static bool fd_wants(long number, int fd)
{
	switch (number) {
	case SYS_close:
	case SYS_dup:
	case SYS_fcntl:
		return fd_obj(fd) != NULL;
	case SYS_epoll_ctl:
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		return fd_epset(fd) != NULL;
	case SYS_read:
	case SYS_write:
	case SYS_readv:
	case SYS_writev:
		return fd_sock(fd) != NULL;
	default:
		return fd_sock(fd) || fd_netlink(fd);
	}
}

/* The rest is call/procnet.c's to know. */
static bool path_wants(const char *path)
{
	static const char prefix[] = "/proc/";

	if (bad_pointer(path))
		return false;
	for (unsigned int i = 0; prefix[i]; i++) {
		if (path[i] != prefix[i])
			return false;
	}
	return true;
}

static bool any_wants(long number, const long *a)
{
	switch (number) {
	case SYS_socket:
		return a[0] != AF_UNIX;
	case SYS_open:
		return path_wants((const char *)a[0]);
	case SYS_openat:
		return path_wants((const char *)a[1]);
	case SYS_dup2:
	case SYS_dup3:
		return fd_obj((int)a[0]) || fd_obj((int)a[1]);
	case SYS_close_range:
		return (unsigned int)a[0] < fdtab_top();
	case SYS_sendfile:
		return fd_sock((int)a[0]) || fd_sock((int)a[1]);
	case SYS_splice:
		return fd_sock((int)a[0]) || fd_sock((int)a[2]);
	case SYS_poll:
	case SYS_ppoll:
		return poll_wants((const struct pollfd *)a[0], (nfds_t)a[1]);
	case SYS_select:
	case SYS_pselect6:
		return select_wants(a);
	default:
		return true;
	}
}

bool rewrite_wants(long number, const long *args)
{
	/* What the shim itself hands to the kernel while it makes this very call. */
	if (rewrite_busy == (int)number + 1)
		return false;
	return rewrite_class(number) == REWRITE_FD ? fd_wants(number, (int)args[0])
						   : any_wants(number, args);
}
