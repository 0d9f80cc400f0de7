/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that locks itself in (a seccomp filter, a limit of descriptors that lets it open none)
 * once its sockets are open: sshd's child before the login, vsftpd's. What the shim needs later is
 * made before, and the filter lets the shim's own calls pass.
 */
#ifndef WEIR_SHIM_CONFINE_H
#define WEIR_SHIM_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/filter.h>

#define CONFINE_RULES_MAX 96

/* The shim's own descriptors have these numbers, or higher ones. */
struct confine_fds {
	uint32_t first;
};

/*
 * The instructions that go before a program's filter: they allow what the shim's waiting and its
 * control connection need (sched_yield, ppoll, memory; read, write, epoll_wait, sendmsg and recvmsg
 * on the shim's own descriptors alone) and else fall through to the filter. Returns how many
 * instructions were written, at most CONFINE_RULES_MAX.
 */
size_t confine_rules(struct sock_filter *out, struct confine_fds fds);

/* Before the program can open no more: the calling thread's channels to all workers. */
void confine_prepare(void);
/* prctl(PR_SET_SECCOMP) and seccomp(SECCOMP_SET_MODE_FILTER): the filter with our rules in front.
 * The kernel's answer as the C library gives it, with errno. */
long confine_filter(const struct sock_fprog *theirs, long (*install)(struct sock_fprog *, void *),
		    void *arg);
/* There is such a filter: calls that it may not know are to be avoided. */
bool confine_active(void);
/* syscall() with one of their numbers (interpose/confine.c): *r as the C library gives it. */
bool confine_by_number(long number, const long *args, long *r);

#endif
