/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What foreign code's system calls mean. Most are the kernel's (entry.S makes them at once), those
 * on sockets and epoll sets are call_by_number()'s; here are those that concern the process itself,
 * where the program must not see, or change, that it shares its process with us.
 */
#include "shim/foreign/foreign.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004
#define SET_BYTES 8

uint8_t foreign_class[FOREIGN_CALLS] = {
	[SYS_read] = FOREIGN_FD,
	[SYS_write] = FOREIGN_FD,
	[SYS_close] = FOREIGN_FD,
	[SYS_ioctl] = FOREIGN_FD,
	[SYS_readv] = FOREIGN_FD,
	[SYS_writev] = FOREIGN_FD,
	[SYS_preadv2] = FOREIGN_FD,
	[SYS_pwritev2] = FOREIGN_FD,
	[SYS_fstat] = FOREIGN_FD,
	[SYS_lseek] = FOREIGN_FD,
	[SYS_dup] = FOREIGN_FD,
	[SYS_fcntl] = FOREIGN_FD,
	[SYS_connect] = FOREIGN_FD,
	[SYS_accept] = FOREIGN_FD,
	[SYS_accept4] = FOREIGN_FD,
	[SYS_bind] = FOREIGN_FD,
	[SYS_listen] = FOREIGN_FD,
	[SYS_shutdown] = FOREIGN_FD,
	[SYS_sendto] = FOREIGN_FD,
	[SYS_recvfrom] = FOREIGN_FD,
	[SYS_sendmsg] = FOREIGN_ASK, /* may carry descriptors, and so may: */
	[SYS_recvmsg] = FOREIGN_ASK,
	[SYS_sendmmsg] = FOREIGN_ASK,
	[SYS_recvmmsg] = FOREIGN_ASK,
	[SYS_getsockname] = FOREIGN_FD,
	[SYS_getpeername] = FOREIGN_FD,
	[SYS_setsockopt] = FOREIGN_FD,
	[SYS_getsockopt] = FOREIGN_FD,
	[SYS_epoll_ctl] = FOREIGN_FD,
	[SYS_epoll_wait] = FOREIGN_FD,
	[SYS_epoll_pwait] = FOREIGN_FD,
	[SYS_epoll_pwait2] = FOREIGN_FD,
	[SYS_socket] = FOREIGN_ASK,
	[SYS_socketpair] = FOREIGN_ASK,
	[SYS_dup2] = FOREIGN_ASK,
	[SYS_dup3] = FOREIGN_ASK,
	[SYS_close_range] = FOREIGN_ASK,
	[SYS_sendfile] = FOREIGN_ASK,
	[SYS_splice] = FOREIGN_ASK,
	[SYS_poll] = FOREIGN_ASK,
	[SYS_ppoll] = FOREIGN_ASK,
	[SYS_select] = FOREIGN_ASK,
	[SYS_pselect6] = FOREIGN_ASK,
	[SYS_epoll_create] = FOREIGN_ASK,
	[SYS_epoll_create1] = FOREIGN_ASK,
	[SYS_io_uring_setup] = FOREIGN_ASK,
	[SYS_brk] = FOREIGN_ASK,
	[SYS_mmap] = FOREIGN_ASK, /* of a file, that is: see memory.c */
	[SYS_arch_prctl] = FOREIGN_ASK,
	[SYS_prctl] = FOREIGN_ASK,
	[SYS_set_tid_address] = FOREIGN_ASK,
	[SYS_rseq] = FOREIGN_ASK,
	[SYS_clone] = FOREIGN_ASK,
	[SYS_clone3] = FOREIGN_ASK,
	[SYS_fork] = FOREIGN_ASK,
	[SYS_vfork] = FOREIGN_ASK,
	[SYS_exit] = FOREIGN_ASK,
	[SYS_execve] = FOREIGN_ASK,
	[SYS_execveat] = FOREIGN_ASK,
	[SYS_rt_sigaction] = FOREIGN_ASK,
	[SYS_rt_sigprocmask] = FOREIGN_ASK,
	[SYS_rt_sigsuspend] = FOREIGN_ASK,
	[SYS_rt_sigreturn] = FOREIGN_ASK,
	[SYS_sigaltstack] = FOREIGN_ASK,
	[SYS_readlink] = FOREIGN_ASK,
	[SYS_readlinkat] = FOREIGN_ASK,
	[SYS_open] = FOREIGN_ASK,
	[SYS_openat] = FOREIGN_ASK,
};

static char exe_path[PATH_MAX];

void foreign_name(const char *path)
{
	snprintf(exe_path, sizeof(exe_path), "%s", path);
}

/* ---- names of the program's own file ---- */

static bool names_itself(const char *path)
{
	char own[32];

	if (!path || strncmp(path, "/proc/", 6) != 0 || !exe_path[0])
		return false;
	snprintf(own, sizeof(own), "/proc/%d/exe", getpid());
	return strcmp(path, "/proc/self/exe") == 0 || strcmp(path, own) == 0;
}

static const char *real_name(const char *path)
{
	return names_itself(path) ? exe_path : path;
}

static bool file_call(struct foreign_regs *r, long *result)
{
	bool at = r->rax == SYS_readlinkat || r->rax == SYS_openat;
	const char *path = (const char *)(at ? r->rsi : r->rdi);
	char *to = (char *)(at ? r->rdx : r->rsi);
	size_t room = (size_t)(at ? r->r10 : r->rdx), n = strlen(exe_path);

	if (!names_itself(path))
		return false;
	if (r->rax == SYS_open || r->rax == SYS_openat) {
		*result = raw_call(SYS_openat, AT_FDCWD, (long)exe_path, at ? r->rdx : r->rsi,
				   at ? r->r10 : r->rdx, 0, 0);
		return true;
	}
	n = n < room ? n : room;
	memcpy(to, exe_path, n);
	*result = (long)n;
	return true;
}

/* ---- signals ---- */

static long change_mask(const struct foreign_regs *r)
{
	uint64_t mask;

	if (r->r10 != SET_BYTES)
		return -EINVAL;
	if (r->rsi)
		mask = foreign_mask(*(const uint64_t *)r->rsi);
	return raw_call(SYS_rt_sigprocmask, r->rdi, r->rsi ? (long)&mask : 0, r->rdx, SET_BYTES, 0,
			0);
}

static long suspend(const struct foreign_regs *r)
{
	uint64_t mask;

	if (r->rsi != SET_BYTES)
		return -EINVAL;
	mask = foreign_mask(*(const uint64_t *)r->rdi);
	return raw_call(SYS_rt_sigsuspend, (long)&mask, SET_BYTES, 0, 0, 0, 0);
}

static bool signal_call(struct foreign_regs *r, long *result)
{
	switch (r->rax) {
	case SYS_rt_sigaction:
		*result = foreign_sigaction((int)r->rdi, (const void *)r->rsi, (void *)r->rdx,
					    (size_t)r->r10);
		return true;
	case SYS_rt_sigprocmask:
		*result = change_mask(r);
		return true;
	case SYS_rt_sigsuspend:
		*result = suspend(r);
		return true;
	case SYS_sigaltstack:
		*result = foreign_sigaltstack((const void *)r->rdi, (void *)r->rsi);
		return true;
	case SYS_rt_sigreturn:
		foreign_sigreturn(r->rsp, r->fs);
	default:
		return false;
	}
}

/* ---- the thread, the process ---- */

static long thread_area(struct foreign_regs *r)
{
	switch (r->rdi) {
	case ARCH_SET_FS:
		r->fs = r->rsi; /* entry.S loads it on the way back */
		return 0;
	case ARCH_GET_FS:
		*(long *)r->rsi = r->fs;
		return 0;
	case ARCH_SET_GS: /* ours */
		return -EPERM;
	case ARCH_GET_GS:
		*(long *)r->rsi = 0;
		return 0;
	default:
		return raw_call(SYS_arch_prctl, r->rdi, r->rsi, r->rdx, 0, 0, 0);
	}
}

static long tid_address(const struct foreign_regs *r)
{
	foreign_self()->clear_tid = (uint32_t *)r->rdi;
	return raw_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

static bool process_call(struct foreign_regs *r, long *result)
{
	switch (r->rax) {
	case SYS_brk:
		*result = foreign_break((uintptr_t)r->rdi);
		return true;
	case SYS_mmap:
		*result = foreign_mmap(r);
		return true;
	case SYS_arch_prctl:
		*result = thread_area(r);
		return true;
	case SYS_set_tid_address:
		*result = tid_address(r);
		return true;
	case SYS_clone3: /* who asks for it has clone() as well */
	case SYS_rseq:	 /* the C library underneath has it */
	case SYS_io_uring_setup:
		*result = -ENOSYS;
		return true;
	case SYS_clone:
		*result = foreign_clone(r);
		return true;
	case SYS_fork:
	case SYS_vfork:
		r->rsi = 0;
		*result = foreign_fork(r, SIGCHLD);
		return true;
	case SYS_exit:
		foreign_exit((int)r->rdi);
	default:
		return false;
	}
}

static bool exec_call(struct foreign_regs *r, long *result)
{
	if (r->rax == SYS_execve)
		*result = execve(real_name((const char *)r->rdi), (char **)r->rsi, (char **)r->rdx);
	else if (r->rax == SYS_execveat)
		*result = execveat((int)r->rdi, real_name((const char *)r->rsi), (char **)r->rdx,
				   (char **)r->r10, (int)r->r8);
	else
		return false;
	if (*result < 0)
		*result = -errno;
	return true;
}

/* ---- waiting with a signal mask ---- */

struct masked {
	sigset_t set; /* as large as the C library's */
	struct {
		const void *set;
		size_t bytes;
	} pair;
};

/* The call's arguments with a mask that leaves our signals alone. */
static void take_mask(long number, long *a, struct masked *m)
{
	const uint64_t *mask;
	uint64_t bits;
	int at = number == SYS_ppoll					   ? 3
		 : number == SYS_pselect6				   ? 5
		 : number == SYS_epoll_pwait || number == SYS_epoll_pwait2 ? 4
									   : -1;

	if (at < 0 || !a[at])
		return;
	mask = number == SYS_pselect6 ? *(const uint64_t **)a[at] : (const uint64_t *)a[at];
	if (!mask)
		return;
	memset(&m->set, 0, sizeof(m->set));
	bits = foreign_mask(*mask);
	memcpy(&m->set, &bits, sizeof(bits));
	m->pair.set = &m->set;
	m->pair.bytes = SET_BYTES;
	a[at] = number == SYS_pselect6 ? (long)&m->pair : (long)&m->set;
}

long foreign_call(struct foreign_regs *r)
{
	long a[6] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };
	struct masked masked;
	long result;

	if (foreign_class[r->rax] == FOREIGN_FD && r->rax != SYS_epoll_pwait &&
	    r->rax != SYS_epoll_pwait2)
		return call_by_number(r->rax, a, &result)
			       ? result
			       : raw_call(r->rax, a[0], a[1], a[2], a[3], a[4], a[5]);
	take_mask(r->rax, a, &masked);
	/* Ours first: what the number means for a process that has foreign code in it. */
	if (signal_call(r, &result) || process_call(r, &result) || exec_call(r, &result) ||
	    call_by_number(r->rax, a, &result))
		return result;
	if ((r->rax == SYS_readlink || r->rax == SYS_readlinkat || r->rax == SYS_open ||
	     r->rax == SYS_openat) &&
	    file_call(r, &result))
		return result;
	return raw_call(r->rax, a[0], a[1], a[2], a[3], a[4], a[5]);
}
