/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define EVENTS 32

static struct engine *loop_engine;
static int loop_epoll = -1;
static bool parked;
static struct control_watch *garbage; /* freed at the end of the round */

int control_loop_init(struct engine *engine)
{
	loop_engine = engine;
	loop_epoll = epoll_create1(EPOLL_CLOEXEC);
	return loop_epoll < 0 ? -errno : 0;
}

int control_watch_add(struct control_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	return epoll_ctl(loop_epoll, EPOLL_CTL_ADD, watch->fd, &event) ? -errno : 0;
}

void control_watch_set(struct control_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	epoll_ctl(loop_epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

void control_watch_remove(struct control_watch *watch)
{
	epoll_ctl(loop_epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fn = NULL;
}

void control_watch_free(struct control_watch *watch)
{
	watch->next_free = garbage;
	garbage = watch;
}

void control_park(void)
{
	if (!parked)
		engine_park(loop_engine);
	parked = true;
}

/* Let the workers go on, and free what was removed. */
static void round_end(void)
{
	if (parked)
		engine_unpark(loop_engine);
	parked = false;
	while (garbage) {
		struct control_watch *next = garbage->next_free;

		free(garbage);
		garbage = next;
	}
}

int control_loop_round(int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int n;

	round_end(); /* what was done between the rounds */
	n = epoll_wait(loop_epoll, events, EVENTS, timeout_ms);
	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n; i++) {
		struct control_watch *watch = events[i].data.ptr;

		if (watch->fn)
			watch->fn(watch, events[i].events);
	}
	round_end();
	return 0;
}
