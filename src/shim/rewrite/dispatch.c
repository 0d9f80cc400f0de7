/* SPDX-License-Identifier: BSD-3-Clause */
/* From a rewritten site to the calls: what the C library would have done around the kernel's. */
#include "shim/rewrite/dispatch.h"
#include "shim/interpose/raw.h"
#include "shim/rewrite/rewrite.h"

#include <pthread.h>
#include <sys/syscall.h>

static long own_pid;

void rewrite_forked(void)
{
	own_pid = raw_syscall0(SYS_getpid);
}

/*
 * A child of posix_spawn() (and so of system() and popen()) lives in its parent's memory until it
 * execs, with descriptors of its own: what it does to those must not be entered in our tables.
 */
static bool borrowed(long number)
{
	switch (number) {
	case SYS_close:
	case SYS_close_range:
	case SYS_dup:
	case SYS_dup2:
	case SYS_dup3:
	case SYS_fcntl:
	case SYS_open:
	case SYS_openat:
	case SYS_socket:
		return own_pid != raw_syscall0(SYS_getpid);
	default:
		return false;
	}
}

bool rewrite_dispatch(long number, const long *args, long *result)
{
	int saved = errno, busy = rewrite_busy, type;
	bool ours;

	if (borrowed(number))
		return false;
	/*
	 * The C library lets a thread be cancelled at any instruction of its own call; here it may
	 * be only where it waits, which is a cancellation point of its own.
	 */
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	rewrite_busy = (int)number + 1;
	ours = call_by_number(number, args, result);
	rewrite_busy = busy;
	errno = saved;
	if (type != PTHREAD_CANCEL_DEFERRED)
		pthread_setcanceltype(type, NULL);
	return ours;
}
