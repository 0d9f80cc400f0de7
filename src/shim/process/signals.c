/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handlers run through a trampoline, which counts them for the thread and, where it is about to
 * sleep, spoils the system call that it will do that with. So a wait knows that a handler ran, also
 * while it spins in user space, and whether it was installed with SA_RESTART: EINTR or going on, as
 * Linux has it. The program sees its own handlers.
 *
 * A signal that comes while its thread is inside a section of the shim (signals_hold()) waits: it
 * is sent again, with all that it said, and blocked, with all others, until the section's end.
 */
#include "shim/interpose/raw.h"
#include "shim/process/confine.h"
#include "shim/rewrite/dispatch.h"
#include "shim/shim.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

struct handler {
	_Atomic uintptr_t func;
	_Atomic int flags;
};
static struct handler handlers[NSIG];
static struct lock handlers_lock;

static void trampoline(int sig, siginfo_t *info, void *context);

void signals_count(int sig, bool restart)
{
	struct thread_state *t = &thread_tls;
	int saved = errno;

	t->signals++;
	if (!restart)
		t->signals_norestart++;
	if (t->sleep_word) {
		*t->sleep_word = INT_MAX;
		t->sleep_word = NULL;
	}
	if (sig == SIGURG)
		owners_signalled();
	errno = saved;
}

/* These tell of the very instruction they came at, and foreign code lives by some of them. */
static bool at_once(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL ||
	       sig == SIGTRAP || sig == SIGSYS;
}

static uint64_t all_that_wait(void)
{
	uint64_t all = ~0ull;

	for (int sig = 1; sig < NSIG; sig++) {
		if (at_once(sig))
			all &= ~(1ull << (sig - 1));
	}
	return all;
}

/* SA_RESETHAND took the handler away, which is still to run. */
static void install_again(int sig)
{
	struct sigaction act;

	if (R(sigaction)(sig, NULL, &act) == 0 && (act.sa_flags & SA_RESETHAND)) {
		act.sa_sigaction = trampoline;
		R(sigaction)(sig, &act, NULL);
	}
}

bool signals_held_back(int sig, const siginfo_t *info, void *context)
{
	struct thread_state *t = &thread_tls;
	/* What the thread has when this handler is over; the kernel's set has 64 bits. */
	sigset_t *mask = &((ucontext_t *)context)->uc_sigmask;
	uint64_t all = all_that_wait();
	long r;

	if (likely(t->holds == 0) || t->holds_not || at_once(sig) || confine_active())
		return false;
	r = raw_syscall6(SYS_rt_tgsigqueueinfo, raw_syscall0(SYS_getpid), raw_syscall0(SYS_gettid),
			 sig, (long)info, 0, 0);
	if (r < 0)
		return false;
	install_again(sig);
	memcpy(&t->held_mask, mask, sizeof(t->held_mask));
	memcpy(mask, &all, sizeof(all));
	t->held_back = true;
	return true;
}

void signals_let_through(void)
{
	struct thread_state *t = &thread_tls;
	uint64_t mask = t->held_mask;

	t->held_back = false;
	atomic_signal_fence(memory_order_seq_cst);
	raw_syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask), 0, 0);
}

static void trampoline(int sig, siginfo_t *info, void *context)
{
	uintptr_t func = atomic_load(&handlers[sig].func);
	int busy = rewrite_busy;

	if (unlikely(signals_held_back(sig, info, context)))
		return;
	waiting_interrupted((uintptr_t)__builtin_frame_address(0));
	signals_count(sig, atomic_load(&handlers[sig].flags) & SA_RESTART);
	rewrite_busy = 0; /* the handler's calls are calls of the program */
	if (func != (uintptr_t)SIG_DFL && func != (uintptr_t)SIG_IGN)
		((void (*)(int, siginfo_t *, void *))func)(sig, info, context);
	rewrite_busy = busy;
}

static uintptr_t func_of(const struct sigaction *act)
{
	return act->sa_flags & SA_SIGINFO ? (uintptr_t)act->sa_sigaction
					  : (uintptr_t)act->sa_handler;
}

static bool is_ours(const struct sigaction *act)
{
	return (act->sa_flags & SA_SIGINFO) && act->sa_sigaction == trampoline;
}

/* What the program believes is installed. */
static void show(struct sigaction *old, uintptr_t func, int flags)
{
	if (!is_ours(old))
		return;
	if (!(flags & SA_SIGINFO))
		old->sa_flags &= ~SA_SIGINFO;
	if (flags & SA_SIGINFO)
		old->sa_sigaction = (void (*)(int, siginfo_t *, void *))func;
	else
		old->sa_handler = (void (*)(int))func;
}

int signals_action(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction ours, before;
	sigset_t all, mask;
	uintptr_t func;
	int flags, r;

	if (sig <= 0 || sig >= NSIG)
		return R(sigaction)(sig, act, old) < 0 ? -errno : 0;
	/* A handler may call sigaction(): none may run while this thread has the lock. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	lock_take(&handlers_lock);
	func = atomic_load(&handlers[sig].func);
	flags = atomic_load(&handlers[sig].flags);
	if (act && func_of(act) != (uintptr_t)SIG_DFL && func_of(act) != (uintptr_t)SIG_IGN) {
		ours = *act;
		ours.sa_flags |= SA_SIGINFO;
		ours.sa_sigaction = trampoline;
		atomic_store(&handlers[sig].func, func_of(act));
		atomic_store(&handlers[sig].flags, act->sa_flags);
		r = R(sigaction)(sig, &ours, &before) < 0 ? -errno : 0;
		if (r) {
			atomic_store(&handlers[sig].func, func);
			atomic_store(&handlers[sig].flags, flags);
		}
	} else {
		r = R(sigaction)(sig, act, &before) < 0 ? -errno : 0;
	}
	lock_drop(&handlers_lock);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	if (!r && old) {
		*old = before;
		show(old, func, flags);
	}
	return r;
}

void signals_lock(bool take)
{
	if (take)
		lock_take(&handlers_lock);
	else
		lock_drop(&handlers_lock);
}
