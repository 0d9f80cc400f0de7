/* SPDX-License-Identifier: BSD-3-Clause */
/* Which system calls can concern a socket, an epoll set, or a file that tells of the network. */
#include "shim/rewrite/rewrite.h"

#include <sys/syscall.h>

static const uint8_t classes[] = {
	[SYS_read] = REWRITE_FD,	  [SYS_write] = REWRITE_FD,
	[SYS_close] = REWRITE_FD,	  [SYS_ioctl] = REWRITE_FD,
	[SYS_readv] = REWRITE_FD,	  [SYS_writev] = REWRITE_FD,
	[SYS_preadv2] = REWRITE_FD,	  [SYS_pwritev2] = REWRITE_FD,
	[SYS_dup] = REWRITE_FD,		  [SYS_fcntl] = REWRITE_FD,
	[SYS_connect] = REWRITE_FD,	  [SYS_accept] = REWRITE_FD,
	[SYS_accept4] = REWRITE_FD,	  [SYS_bind] = REWRITE_FD,
	[SYS_listen] = REWRITE_FD,	  [SYS_shutdown] = REWRITE_FD,
	[SYS_sendto] = REWRITE_FD,	  [SYS_recvfrom] = REWRITE_FD,
	[SYS_sendmsg] = REWRITE_FD,	  [SYS_recvmsg] = REWRITE_FD,
	[SYS_sendmmsg] = REWRITE_FD,	  [SYS_recvmmsg] = REWRITE_FD,
	[SYS_getsockname] = REWRITE_FD,	  [SYS_getpeername] = REWRITE_FD,
	[SYS_setsockopt] = REWRITE_FD,	  [SYS_getsockopt] = REWRITE_FD,
	[SYS_epoll_ctl] = REWRITE_FD,	  [SYS_epoll_wait] = REWRITE_FD,
	[SYS_epoll_pwait] = REWRITE_FD,	  [SYS_epoll_pwait2] = REWRITE_FD,
	[SYS_socket] = REWRITE_ANY,	  [SYS_dup2] = REWRITE_ANY,
	[SYS_dup3] = REWRITE_ANY,	  [SYS_close_range] = REWRITE_ANY,
	[SYS_sendfile] = REWRITE_ANY,	  [SYS_splice] = REWRITE_ANY,
	[SYS_poll] = REWRITE_ANY,	  [SYS_ppoll] = REWRITE_ANY,
	[SYS_select] = REWRITE_ANY,	  [SYS_pselect6] = REWRITE_ANY,
	[SYS_epoll_create] = REWRITE_ANY, [SYS_epoll_create1] = REWRITE_ANY,
	[SYS_open] = REWRITE_ANY,	  [SYS_openat] = REWRITE_ANY,
};

enum rewrite_class rewrite_class(long number)
{
	return number < 0 || (unsigned long)number >= sizeof(classes)
		       ? REWRITE_NONE
		       : (enum rewrite_class)classes[number];
}
