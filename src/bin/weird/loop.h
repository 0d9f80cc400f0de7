/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control thread's event loop: descriptors, a tick, and lazy parking. Whoever handles an event
 * and needs the workers to stand still calls control_park(); they go on at the end of the round, so
 * that a burst of requests parks them once.
 * Threads: the control thread only.
 */
#ifndef WEIR_BIN_WEIRD_LOOP_H
#define WEIR_BIN_WEIRD_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

/* Embedded in whoever owns the descriptor. */
struct control_watch {
	int fd;
	struct control_watch *next_free;
	void (*fn)(struct control_watch *watch,
		   uint32_t events); /* NULL: removed, stale events are ignored */
};

/* 0 or -errno. The loop's epoll set is made by control_loop_init(). */
int control_loop_init(struct engine *engine);
int control_watch_add(struct control_watch *watch, uint32_t events);
void control_watch_set(struct control_watch *watch, uint32_t events);

/* No more events. */
void control_watch_remove(struct control_watch *watch);

/* For a removed watch that is the first member of an allocation: free() it at the end of the round,
 * when no event can mention it any more. */
void control_watch_free(struct control_watch *watch);

/* Park the workers, if they are not parked in this round yet. */
void control_park(void);

/* Wait for events at most timeout_ms and handle them. 0 or -errno. */
int control_loop_round(int timeout_ms);

#endif
