/* SPDX-License-Identifier: BSD-3-Clause */
/* Old spellings of signal(2), which the C library makes of calls inside itself. */
#include "shim/interpose/names.h"

#include <pthread.h>

typedef void (*handler_fn)(int);

handler_fn ssignal(int sig, handler_fn handler);
handler_fn sysv_signal(int sig, handler_fn handler);
handler_fn __sysv_signal(int sig, handler_fn handler);
handler_fn sigset(int sig, handler_fn handler);

#define HOLD ((handler_fn)2) /* SIG_HOLD, which needs X/Open's headers */

EXPORT handler_fn ssignal(int sig, handler_fn handler)
{
	return signal(sig, handler);
}

EXPORT handler_fn sysv_signal(int sig, handler_fn handler)
{
	return __sysv_signal(sig, handler);
}

EXPORT handler_fn sigset(int sig, handler_fn handler)
{
	struct sigaction act = { .sa_handler = handler }, old;
	sigset_t one, before;

	sigemptyset(&one);
	if (sigaddset(&one, sig) < 0 || sigaction(sig, handler == HOLD ? NULL : &act, &old) < 0)
		return SIG_ERR;
	pthread_sigmask(handler == HOLD ? SIG_BLOCK : SIG_UNBLOCK, &one, &before);
	return sigismember(&before, sig) ? HOLD : old.sa_handler;
}
