/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handlers run through a trampoline, which counts them for the thread and, where it is about to
 * sleep, spoils the system call that it will do that with. So a wait knows that a handler ran, also
 * while it spins in user space, and whether it was installed with SA_RESTART: EINTR or going on, as
 * Linux has it. The program sees its own handlers.
 */
#include "shim/rewrite/dispatch.h"
#include "shim/shim.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

struct handler {
	_Atomic uintptr_t func;
	_Atomic int flags;
};
static struct handler handlers[NSIG];
static struct lock handlers_lock;

void signals_count(int sig, bool restart)
{
	struct thread_state *t = &thread_tls;
	int saved = errno;

	t->signals++;
	if (!restart)
		t->signals_norestart++;
	if (t->sleep_word)
		*t->sleep_word = INT_MAX;
	if (sig == SIGURG)
		owners_signalled();
	errno = saved;
}

static void trampoline(int sig, siginfo_t *info, void *context)
{
	uintptr_t func = atomic_load(&handlers[sig].func);
	int busy = rewrite_busy;

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
