/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The weir sockets of an epoll set and its ready list, as pure data: no system call, no clock.
 *
 * As in Linux an item is known by (socket, descriptor). Completions only say "look at this socket":
 * epset_mark() puts its items on the ready list. epset_collect() evaluates each once: what has no
 * event leaves the list until the next completion; what is reported stays at the list's end when
 * level-triggered, leaves it when edge-triggered, and is disabled when one-shot.
 *
 * Threads: everything under the set's lock.
 */
#ifndef WEIR_SHIM_EPSET_H
#define WEIR_SHIM_EPSET_H

#include "shim/shim.h"

struct epitem {
	struct wsock *ws;
	int fd;
	uint32_t interest; /* EPOLL*; 0 while a one-shot item is disabled */
	uint64_t data;
	bool queued;
	struct epitem *same; /* next item of the same socket */
	struct epitem *ready_next, *ready_prev;
	struct epitem *all_next, *all_prev; /* also the free list */
};

/* Data of the kernel's set that no program has: our own descriptors in there. */
#define EPSET_TAG_BELL 0x7265692e6c6c6562ull
#define EPSET_TAG_SESSION 0x7265692e73736573ull

struct epset {
	struct obj obj;
	int fd; /* the kernel's set */
	struct lock lock;
	struct epitem **map; /* by index in the arena's socket table */
	uint32_t map_size;
	uint32_t *shards; /* slot of a listener's (datagram socket's) shard -> index of its first
			   * slot plus one; NULL while there is only one worker */
	struct epitem *quiet; /* items of sockets that the engine does not know: never ready */
	struct epitem *all;
	unsigned int items;
	struct epitem *ready_first, *ready_last;
	unsigned int ready_count;
	/* epoll.c */
	int bell; /* ABI_BELL_EVENT, of the channels */
	int kick; /* an eventfd of our own: threads wake each other */
	uint32_t epoch;
	int kernel_items;
	int64_t kernel_look_ns;
	_Atomic uint32_t sleepers;
	_Atomic bool has_socks; /* a weir socket was ever added */
	struct abi_channel *channel[ABI_MAX_WORKERS];
	uint32_t overflow_seen[ABI_MAX_WORKERS];
	struct epset *next_set;
};

typedef uint32_t (*epset_events_fn)(struct wsock *ws, uint32_t interest);

struct epitem *epset_find(struct epset *ep, const struct wsock *ws, int fd);
/* Any item of the socket; NULL: none. */
struct epitem *epset_first(struct epset *ep, const struct wsock *ws);
/* A new item, on the ready list to be looked at. NULL: no memory. */
struct epitem *epset_add(struct epset *ep, struct wsock *ws, int fd,
			 const struct epoll_event *event);
void epset_modify(struct epset *ep, struct epitem *item, const struct epoll_event *event);
void epset_remove(struct epset *ep, struct epitem *item);
/* The socket in this slot has changed. */
void epset_mark(struct epset *ep, uint32_t index, uint32_t gen);
void epset_mark_all(struct epset *ep);
/* The union of what the socket's items want. */
uint32_t epset_interest(struct epset *ep, const struct wsock *ws);
int epset_collect(struct epset *ep, struct epoll_event *events, int max, epset_events_fn look);

#endif
