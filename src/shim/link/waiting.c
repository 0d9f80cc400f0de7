/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that wait hold their socket, so that it stays while another thread closes it. Where a wait
 * is left by longjmp() out of a handler (a time-out by alarm(), as old programs have it) the
 * reference is found later: when this thread waits or closes something next. It runs above the
 * handler's frame then, which it could not if the handler were not over.
 */
#include "shim/interpose/raw.h"
#include "shim/shim.h"

#include <signal.h>
#include <sys/syscall.h>

void waiting_interrupted(uintptr_t frame)
{
	struct thread_state *t = &thread_tls;

	if (t->waiting_count && t->waiting[t->waiting_count - 1].handler == 0)
		t->waiting[t->waiting_count - 1].handler = frame;
}

/* Handlers may have a stack of their own, whose addresses say nothing about the other's. */
static bool left(const struct wait_hold *w, uintptr_t now)
{
	uintptr_t frame = w->handler ? w->handler : w->frame;
	stack_t alt;

	if (now < frame)
		return false;
	if (raw_syscall3(SYS_sigaltstack, 0, (long)&alt, 0) < 0)
		return false;
	return !(alt.ss_flags & SS_ONSTACK) || frame - (uintptr_t)alt.ss_sp < alt.ss_size;
}

void waiting_left(bool all)
{
	struct thread_state *t = &thread_tls;
	uintptr_t now = (uintptr_t)__builtin_frame_address(0);

	while (unlikely(t->waiting_count)) {
		struct wait_hold w = t->waiting[t->waiting_count - 1];

		if (!all && !left(&w, now))
			break;
		t->waiting_count--;
		/* The program may have closed it with all others. */
		if (w.fd >= 0 && fd_obj(w.fd) == w.obj)
			call_close(w.fd);
		obj_put(w.obj);
	}
}

int waiting_begin(struct obj *o, int fd)
{
	struct thread_state *t = &thread_tls;
	int at = -1;

	waiting_left(false);
	signals_hold();
	obj_get(o);
	if (t->waiting_count < WAITING_MAX) {
		at = (int)t->waiting_count++;
		t->waiting[at] = (struct wait_hold){
			.obj = o, .fd = fd, .frame = (uintptr_t)__builtin_frame_address(0)
		};
	}
	signals_release();
	return at;
}

void waiting_end(int at, struct obj *o)
{
	if (at >= 0)
		thread_tls.waiting_count = (unsigned int)at;
	obj_put(o);
}
