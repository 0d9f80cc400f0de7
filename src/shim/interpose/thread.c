/* SPDX-License-Identifier: BSD-3-Clause */
/* Names that matter only where foreign code runs: see foreign/foreign.h. */
#include "shim/foreign/foreign.h"
#include "shim/interpose/names.h"

#include <pthread.h>
#include <string.h>

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine)(void *),
			  void *arg)
{
	return foreign_active ? foreign_pthread_create(thread, attr, routine, arg)
			      : R(pthread_create)(thread, attr, routine, arg);
}

/* The signals that foreign code's sites raise may never be blocked. */
static const sigset_t *allowed(const sigset_t *set, sigset_t *copy)
{
	if (!foreign_active || !set)
		return set;
	*copy = *set;
	sigdelset(copy, SIGSYS);
	sigdelset(copy, SIGILL);
	return copy;
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t copy;

	return R(pthread_sigmask)(how, how == SIG_UNBLOCK ? set : allowed(set, &copy), old);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return (int)answer(-pthread_sigmask(how, set, old));
}
