/* SPDX-License-Identifier: BSD-3-Clause */
/* The instructions of classic BPF that let the shim's own system calls pass a program's filter. */
#include "shim/process/confine.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define DATA(member) ((uint32_t)offsetof(struct seccomp_data, member))
/* The lower half of an argument, on a little-endian machine. */
#define ARG(i) ((uint32_t)(offsetof(struct seccomp_data, args) + (i) * sizeof(uint64_t)))

static struct sock_filter *put(struct sock_filter *at, uint16_t code, uint8_t yes, uint8_t no,
			       uint32_t k)
{
	*at = (struct sock_filter){ .code = code, .jt = yes, .jf = no, .k = k };
	return at + 1;
}

static struct sock_filter *load(struct sock_filter *at, uint32_t offset)
{
	return put(at, BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
}

static struct sock_filter *allow(struct sock_filter *at)
{
	return put(at, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
}

/* Every rule begins with the call's number in the accumulator, and ends so where it does not
 * apply. */
static struct sock_filter *always(struct sock_filter *at, uint32_t number)
{
	return allow(put(at, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number));
}

static struct sock_filter *where(struct sock_filter *at, uint32_t number, unsigned int arg,
				 uint16_t test, uint32_t value)
{
	at = put(at, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, number);
	at = load(at, ARG(arg));
	at = allow(put(at, (uint16_t)(BPF_JMP | test | BPF_K), 0, 1, value));
	return load(at, DATA(nr));
}

/* Memory that is nobody else's, and no code. */
static struct sock_filter *memory(struct sock_filter *at)
{
	at = put(at, BPF_JMP | BPF_JEQ | BPF_K, 0, 6, SYS_mmap);
	at = load(at, ARG(2));
	at = put(at, BPF_JMP | BPF_JSET | BPF_K, 3, 0, PROT_EXEC);
	at = load(at, ARG(3));
	at = allow(put(at, BPF_JMP | BPF_JSET | BPF_K, 0, 1, MAP_ANONYMOUS));
	return load(at, DATA(nr));
}

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

size_t confine_rules(struct sock_filter *out, struct confine_fds fds)
{
	static const uint32_t any[] = { SYS_sched_yield,    SYS_ppoll,	       SYS_gettid,
					SYS_getpid,	    SYS_clock_gettime, SYS_munmap,
					SYS_rt_sigprocmask, SYS_epoll_pwait2 };
	static const uint32_t own[] = { SYS_read,    SYS_write, SYS_sendmsg,
					SYS_recvmsg, SYS_close, SYS_epoll_pwait };
	struct sock_filter *at = out, *arch;

	at = load(at, DATA(arch));
	arch = at++;
	at = load(at, DATA(nr));
	for (size_t i = 0; i < sizeof(any) / sizeof(any[0]); i++)
		at = always(at, any[i]);
#ifdef SYS_poll
	at = always(at, SYS_poll);
#endif
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		at = where(at, own[i], 0, BPF_JGE, fds.first);
#ifdef SYS_epoll_wait
	at = where(at, SYS_epoll_wait, 0, BPF_JGE, fds.first);
#endif
	at = where(at, SYS_fcntl, 1, BPF_JEQ, F_DUPFD_CLOEXEC);
	/* What came over a UNIX socket (pass.c): is it one of ours? */
	at = where(at, SYS_getsockopt, 1, BPF_JEQ, SOL_SOCKET);
	at = memory(at);
	/* Another architecture's numbers mean other calls. */
	put(arch, BPF_JMP | BPF_JEQ | BPF_K, 0, (uint8_t)(at - arch - 1), OUR_ARCH);
	return (size_t)(at - out);
}
