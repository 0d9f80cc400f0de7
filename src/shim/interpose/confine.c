/* SPDX-License-Identifier: BSD-3-Clause */
/* The names by which a program forbids itself system calls and descriptors; see
 * process/confine.h. */
#include "shim/interpose/names.h"
#include "shim/process/confine.h"

#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static long by_prctl(struct sock_fprog *both, void *arg)
{
	(void)arg;
	return R(prctl)(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, both, 0, 0);
}

EXPORT int prctl(int option, ...)
{
	unsigned long a[4];
	va_list args;

	va_start(args, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(args, unsigned long);
	va_end(args);
	if (unlikely(option == PR_SET_SECCOMP && a[0] == SECCOMP_MODE_FILTER && a[1]))
		return (int)confine_filter((const struct sock_fprog *)a[1], by_prctl, NULL);
	return R(prctl)(option, a[0], a[1], a[2], a[3]);
}

static long by_seccomp(struct sock_fprog *both, void *arg)
{
	return R(syscall)(SYS_seccomp, (long)SECCOMP_SET_MODE_FILTER, *(const long *)arg,
			  (long)both);
}

#define SHIM_ADDRESSES (256ull << 20) /* epoll sets, stacks and the like */

/* seccomp() has no name in the C library: syscall() comes here. */
static long call_seccomp(long op, long flags, void *args)
{
	if (op == SECCOMP_SET_MODE_FILTER && args)
		return confine_filter(args, by_seccomp, &flags);
	return R(syscall)(SYS_seccomp, op, flags, (long)args);
}

/* Who lowers the limit below what it has open can open nothing more. */
static void before_limit(int resource, rlim_t soft)
{
	if (resource == RLIMIT_NOFILE && soft < 64 && fdtab_top() > 0)
		confine_prepare();
}

/*
 * The address space that a program allows itself (RLIMIT_AS: vsftpd) is meant without the arena,
 * which takes 4 GiB of addresses, and without what the shim maps later.
 */
static const struct rlimit64 *with_arena(int resource, const struct rlimit64 *limit,
					 struct rlimit64 *roomy)
{
	if (!limit || resource != RLIMIT_AS)
		return limit;
	session_attach_early();
	*roomy = *limit;
	if (roomy->rlim_cur < RLIM64_INFINITY - session.size - SHIM_ADDRESSES)
		roomy->rlim_cur += session.size + SHIM_ADDRESSES;
	if (roomy->rlim_max < RLIM64_INFINITY - session.size - SHIM_ADDRESSES)
		roomy->rlim_max += session.size + SHIM_ADDRESSES;
	return roomy;
}

static int limit_self(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
	struct rlimit64 roomy;

	if (limit)
		before_limit((int)resource, limit->rlim_cur);
	return R(setrlimit64)(resource, with_arena((int)resource, limit, &roomy));
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	return limit_self(resource, (const struct rlimit64 *)(const void *)limit);
}

EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
	return limit_self(resource, limit);
}

EXPORT int prlimit(pid_t pid, __rlimit_resource_t resource, const struct rlimit *limit,
		   struct rlimit *old)
{
	return prlimit64(pid, resource, (const struct rlimit64 *)(const void *)limit,
			 (struct rlimit64 *)(void *)old);
}

EXPORT int prlimit64(pid_t pid, __rlimit_resource_t resource, const struct rlimit64 *limit,
		     struct rlimit64 *old)
{
	struct rlimit64 roomy;

	if (limit)
		before_limit((int)resource, limit->rlim_cur);
	if (pid == 0 || pid == getpid())
		limit = with_arena((int)resource, limit, &roomy);
	return R(prlimit64)(pid, resource, limit, old);
}

bool confine_by_number(long number, const long *a, long *r)
{
	switch (number) {
	case SYS_seccomp:
		*r = call_seccomp(a[0], a[1], (void *)a[2]);
		return true;
	case SYS_prctl:
		*r = prctl((int)a[0], a[1], a[2], a[3], a[4]);
		return true;
	case SYS_setrlimit:
		*r = setrlimit((__rlimit_resource_t)a[0], (const struct rlimit *)a[1]);
		return true;
	case SYS_prlimit64:
		*r = prlimit64((pid_t)a[0], (__rlimit_resource_t)a[1],
			       (const struct rlimit64 *)a[2], (struct rlimit64 *)a[3]);
		return true;
	default:
		return false;
	}
}
