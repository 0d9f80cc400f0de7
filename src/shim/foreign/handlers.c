/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signal handlers of foreign code. What the kernel calls is foreign_signal_entry, which changes to
 * our C library's thread area, counts the signal for calls that wait (process/signals.c), and calls
 * the program's handler with the program's thread area. SIGSYS and SIGILL are ours first: a new
 * site, or a jump into a patched one.
 */
#include "shim/foreign/foreign.h"
#include "shim/rewrite/dispatch.h"

#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define SA_RESTORER 0x04000000ul
#define SIGNALS 65
#define SET_BYTES 8

#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2 /* si_code of a SIGSYS that Syscall User Dispatch raised */
#endif

struct handler {
	_Atomic uintptr_t func;
	_Atomic unsigned long flags;
	uintptr_t restorer;
	uint64_t mask;
};
static struct handler handlers[SIGNALS];
static struct lock handlers_lock;

static uint64_t bit(int sig)
{
	return 1ull << (sig - 1);
}

uint64_t foreign_mask(uint64_t mask)
{
	return mask & ~(bit(SIGSYS) | bit(SIGILL));
}

static long kernel_action(int sig, const struct kernel_sigaction *act, struct kernel_sigaction *old)
{
	return raw_call(SYS_rt_sigaction, sig, (long)act, (long)old, SET_BYTES, 0, 0);
}

static bool is_ours(int sig)
{
	return sig == SIGSYS || sig == SIGILL;
}

/* ---- a signal comes ---- */

/* True: it was about a site. */
static bool site_signal(int sig, const siginfo_t *info, ucontext_t *uc)
{
	greg_t *rip = &uc->uc_mcontext.gregs[REG_RIP];
	uintptr_t to;

	if (sig == SIGSYS && info->si_code == SYS_USER_DISPATCH)
		to = foreign_site((uintptr_t)*rip);
	else if (sig == SIGILL && info->si_code > 0)
		to = foreign_site_inside((uintptr_t)*rip);
	else
		return false;
	if (to)
		*rip = (greg_t)to;
	return to != 0;
}

/* As if our handler were not there: with the default action the thread meets it again. */
static void by_default(int sig, const siginfo_t *info)
{
	struct kernel_sigaction act = { .func = (uintptr_t)SIG_DFL };

	kernel_action(sig, &act, NULL);
	if (info->si_code <= 0)
		raw_call(SYS_tgkill, raw_call(SYS_getpid, 0, 0, 0, 0, 0, 0),
			 raw_call(SYS_gettid, 0, 0, 0, 0, 0, 0), sig, 0, 0, 0);
}

/* Calls in the handler must not use what the interrupted call has on our stack. */
static uint64_t lower_stack(struct foreign_thread *t, const ucontext_t *uc)
{
	uint64_t top = t->stack_top, sp = (uint64_t)uc->uc_mcontext.gregs[REG_RSP];

	if (sp >= t->stack_low && sp <= top)
		t->stack_top = (sp - 256) & ~63ull;
	return top;
}

void foreign_signal(int sig, siginfo_t *info, void *context, uint64_t fs)
{
	struct foreign_thread *t = foreign_self();
	struct handler *h = &handlers[sig];
	uintptr_t func;
	unsigned long flags;
	uint64_t top;
	int busy = rewrite_busy;

	if (is_ours(sig) && site_signal(sig, info, context))
		return;
	func = atomic_load(&h->func);
	flags = atomic_load(&h->flags);
	if (func == (uintptr_t)SIG_IGN && info->si_code <= 0)
		return;
	if (func == (uintptr_t)SIG_DFL || func == (uintptr_t)SIG_IGN) {
		by_default(sig, info);
		return;
	}
	if (unlikely(signals_held_back(sig, info, context)))
		return;
	signals_count(sig, flags & SA_RESTART);
	top = lower_stack(t, context);
	rewrite_busy = 0;
	foreign_handler(sig, info, context, func, fs == t->our_fs ? t->its_fs : fs);
	rewrite_busy = busy;
	t->stack_top = top;
}

/* ---- sigaction ---- */

static int install_ours(int sig)
{
	struct kernel_sigaction act = {
		.func = (uintptr_t)foreign_signal_entry,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER,
		.restorer = (uintptr_t)foreign_restorer,
		.mask = foreign_mask(~0ull),
	};

	return (int)kernel_action(sig, &act, NULL);
}

int foreign_handlers_start(void)
{
	int err = install_ours(SIGSYS);

	return err ? err : install_ours(SIGILL);
}

/* What the program believes is installed. */
static void show(const struct handler *h, struct kernel_sigaction *old)
{
	old->func = atomic_load(&h->func);
	old->flags = atomic_load(&h->flags);
	old->restorer = h->restorer;
	old->mask = h->mask;
}

static void remember(struct handler *h, const struct kernel_sigaction *act)
{
	/* The handler first: between the two stores the old flags do no harm. */
	atomic_store(&h->func, act->func);
	atomic_store(&h->flags, act->flags);
	h->restorer = act->restorer;
	h->mask = act->mask;
}

static long change(int sig, const struct kernel_sigaction *act, struct kernel_sigaction *old)
{
	struct handler before = handlers[sig];
	struct kernel_sigaction ours = *act;
	bool catches = act->func != (uintptr_t)SIG_DFL && act->func != (uintptr_t)SIG_IGN;
	long r = 0;

	if (catches) {
		ours.func = (uintptr_t)foreign_signal_entry;
		ours.flags |= SA_SIGINFO | SA_RESTORER;
		ours.restorer = (uintptr_t)foreign_restorer;
		ours.mask = foreign_mask(act->mask);
	}
	if (catches || is_ours(sig))
		remember(&handlers[sig], act);
	if (is_ours(sig))
		show(&before, old);
	else
		r = kernel_action(sig, &ours, old);
	if (r)
		handlers[sig] = before;
	else if (old->func == (uintptr_t)foreign_signal_entry)
		show(&before, old);
	return r;
}

static long look(int sig, struct kernel_sigaction *old)
{
	long r = kernel_action(sig, NULL, old);

	if (!r && old->func == (uintptr_t)foreign_signal_entry)
		show(&handlers[sig], old);
	return r;
}

long foreign_sigaction(int sig, const struct kernel_sigaction *act, struct kernel_sigaction *old,
		       size_t set_bytes)
{
	struct kernel_sigaction before, wanted;
	uint64_t all = foreign_mask(~0ull), mask;
	long r;

	if (set_bytes != SET_BYTES || sig <= 0 || sig >= SIGNALS)
		return -EINVAL;
	if (act)
		wanted = *act;
	/* A handler may ask as well: none may run while this thread has the lock. */
	raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask, SET_BYTES, 0, 0);
	lock_take(&handlers_lock);
	r = act ? change(sig, &wanted, &before) : look(sig, &before);
	lock_drop(&handlers_lock);
	raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, SET_BYTES, 0, 0);
	if (!r && old)
		*old = before;
	return r;
}

int foreign_library_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct kernel_sigaction wanted, before;
	long r;

	if (act) {
		wanted = (struct kernel_sigaction){ .func = (uintptr_t)act->sa_handler,
						    .flags = (unsigned int)act->sa_flags };
		memcpy(&wanted.mask, &act->sa_mask, sizeof(wanted.mask));
	}
	r = foreign_sigaction(sig, act ? &wanted : NULL, &before, SET_BYTES);
	if (!r && old) {
		memset(old, 0, sizeof(*old));
		old->sa_handler = (void (*)(int))before.func;
		old->sa_flags = (int)(before.flags & ~SA_RESTORER);
		memcpy(&old->sa_mask, &before.mask, sizeof(before.mask));
	}
	return (int)r;
}
