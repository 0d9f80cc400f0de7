/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that work on descriptors: close, dup, fcntl, ioctl. */
#include "shim/interpose/names.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

int __close(int fd);
int __dup2(int old, int new);
int __fcntl(int fd, int cmd, ...);
int fcntl64(int fd, int cmd, ...);

EXPORT int close(int fd)
{
	/* Most are the kernel's: one load. */
	return fd_obj(fd) ? (int)answer(call_close(fd)) : R(close)(fd);
}

EXPORT int __close(int fd)
{
	return close(fd);
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	return (int)answer(call_close_range(first, last, flags));
}

EXPORT void closefrom(int first)
{
	call_close_range(first < 0 ? 0 : (unsigned int)first, ~0u, 0);
}

EXPORT int dup(int fd)
{
	return fd_obj(fd) ? (int)answer(call_dup(fd)) : R(dup)(fd);
}

EXPORT int dup2(int old, int new)
{
	return (int)answer(call_dup_onto(old, new, 0, false));
}

EXPORT int __dup2(int old, int new)
{
	return dup2(old, new);
}

EXPORT int dup3(int old, int new, int flags)
{
	return (int)answer(call_dup_onto(old, new, flags, true));
}

EXPORT int fcntl64(int fd, int cmd, ...)
{
	struct obj *o = fd_obj(fd);
	unsigned long arg;
	va_list args;

	va_start(args, cmd);
	arg = va_arg(args, unsigned long);
	va_end(args);
	return o ? (int)answer(call_fcntl(o, fd, cmd, arg)) : R(fcntl64)(fd, cmd, arg);
}

EXPORT int fcntl(int fd, int cmd, ...)
{
	unsigned long arg;
	va_list args;

	va_start(args, cmd);
	arg = va_arg(args, unsigned long);
	va_end(args);
	return fcntl64(fd, cmd, arg);
}

EXPORT int __fcntl(int fd, int cmd, ...)
{
	unsigned long arg;
	va_list args;

	va_start(args, cmd);
	arg = va_arg(args, unsigned long);
	va_end(args);
	return fcntl64(fd, cmd, arg);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct wsock *ws = fd_sock(fd);
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return ws ? (int)answer(call_ioctl(ws, fd, request, arg)) : R(ioctl)(fd, request, arg);
}
