/* SPDX-License-Identifier: BSD-3-Clause */
/* Names that matter only where foreign code runs: see foreign/foreign.h. */
#include "shim/foreign/foreign.h"
#include "shim/interpose/names.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine)(void *),
			  void *arg)
{
	return foreign_active ? foreign_pthread_create(thread, attr, routine, arg)
			      : R(pthread_create)(thread, attr, routine, arg);
}

struct c11_start {
	thrd_start_t routine;
	void *arg;
};

static void *c11_thread(void *arg)
{
	struct c11_start start = *(struct c11_start *)arg;

	free(arg);
	return (void *)(intptr_t)start.routine(start.arg);
}

/* The C library's own would make a thread that nobody watches. */
EXPORT int thrd_create(thrd_t *thread, thrd_start_t routine, void *arg)
{
	struct c11_start *start;
	int err;

	if (!foreign_active)
		return R(thrd_create)(thread, routine, arg);
	start = malloc(sizeof(*start));
	if (!start)
		return thrd_nomem;
	*start = (struct c11_start){ routine, arg };
	err = foreign_pthread_create(thread, NULL, c11_thread, start);
	if (err)
		free(start);
	return err == 0 ? thrd_success : err == EAGAIN ? thrd_nomem : thrd_error;
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
