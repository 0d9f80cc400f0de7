/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Epoll sets: the weir sockets of a set, its ready list, and what belongs to a process.
 *
 * A set is an open file description: after fork() parent and child have the same one. What it holds
 * is therefore in memory that forked processes share (struct epshare), made with the set, and
 * refers to items by their number and to sockets by slot and generation. Its channels are held by
 * each process that has the set, and its bell is inherited like any descriptor.
 *
 * As in Linux an item is known by (socket, descriptor). Completions only say "look at this socket":
 * epshare_mark() puts its items on the ready list. epshare_collect() evaluates each once: what has
 * no event leaves the list until the next completion; what is reported stays at the list's end when
 * level-triggered, leaves it when edge-triggered, and is disabled when one-shot. A socket that is
 * closed while its items are here (by another process) has another generation: they go when seen.
 *
 * Threads: everything that takes a struct epshare under the set's lock.
 */
#ifndef WEIR_SHIM_EPSET_H
#define WEIR_SHIM_EPSET_H

#include "shim/shim.h"

#define EPSHARE_ITEMS (1u << 20)
#define EPSHARE_SOCKS (1u << 20)
#define EPITEM_NONE 0u
#define EPSOCK_SET 0xfffffffeu /* epitem.sock: another set, gen is its number */

/* Data of the kernel's set that no program has: our own descriptors in there. */
#define EPSET_TAG_BELL 0x7265692e6c6c6562ull
#define EPSET_TAG_SESSION 0x7265692e73736573ull
#define EPSET_TAG_UP 0x7265692e75707075ull
/* Another set in there; the lower half is its number. */
#define EPSET_TAG_SET 0x7765697200000000ull
#define EPSET_TAG_MASK 0xffffffff00000000ull

/* Why a set may have something new. */
#define EPEDGE_KERNEL 1u /* the kernel says so, of a kernel descriptor in there or of a ring */
#define EPEDGE_NEW 2u	 /* it was added or changed just now */

/* What the engine writes of a socket, where it has events: the same words, nothing new. */
struct epwords {
	uint32_t rx_tail, tx_head, error, state;
};

/* An edge may be seen here before the engine has the watch, which then tells of it once more. */
#define EPTOLD_NOT 1u  /* watched anew, and not reported since */
#define EPTOLD_ONCE 2u /* reported, with `told`, and the engine's word on the watch may come */

struct epitem {
	uint32_t sock, gen; /* ABI_SOCK_NONE: one that the engine does not know, never ready */
	int fd;
	uint32_t interest; /* EPOLL*; 0 while a one-shot item is disabled */
	uint64_t data;
	uint32_t same; /* next item of the same slot */
	uint32_t ready_next, ready_prev;
	uint32_t all_next, all_prev; /* also the free list */
	union {
		struct {
			uint32_t news_told, news_seen; /* of a set: when reported, and looked at */
		};
		struct epwords told; /* of a socket */
	};
	uint8_t used; /* written last when it comes, first when it goes */
	uint8_t queued;
	uint8_t type;	 /* SOCK_* */
	uint8_t edge;	 /* of a set: EPEDGE_* or 0 */
	uint8_t is_told; /* edge-triggered, of a socket: EPTOLD_* or 0 */
};

/* What a socket is for an item. */
struct epkey {
	uint32_t sock, gen;
	int fd;
	uint8_t type;
};

struct epshare {
	_Atomic uint32_t lock;	    /* 0 or the thread that has it */
	_Atomic uint32_t sleepers;  /* threads of all processes */
	_Atomic uint32_t has_socks; /* a weir socket was ever added */
	_Atomic uint32_t forked;    /* other processes have the set, or had it */
	_Atomic uint32_t outers;    /* it is, or was, in another set */
	_Atomic uint32_t news;	    /* raised when something happens to an item */
	uint32_t id;		    /* of the set; another one each time the memory is used */
	uint32_t items, fresh, free;
	uint32_t all, quiet, sets;
	uint32_t ready_first, ready_last, ready_count;
	int32_t kernel_items;
	int64_t kernel_look_ns;
	uint64_t channel_at[ABI_MAX_WORKERS]; /* in the arena; 0: none */
	uint32_t overflow_seen[ABI_MAX_WORKERS];
	/* By slot in the arena's table: the first item, and where it is the shard of a listener (a
	 * datagram socket) its first slot plus one. */
	uint32_t map[EPSHARE_SOCKS];
	uint32_t shard[EPSHARE_SOCKS];
	struct epitem item[EPSHARE_ITEMS];
};

struct epset {
	struct obj obj;
	int fd;		    /* the kernel's set: one of the program's own descriptors of it */
	struct epshare *sh; /* never given back: others may look while it is closed */
	int bell;	    /* ABI_BELL_EVENT, of the channels */
	int kick;	    /* an eventfd of our own: threads wake each other */
	int up;		    /* likewise, in the sets that this one is in; -1: in none */
	struct epset *next_set;
};

/* The events of the item's socket (for the interest given), and its words as they were before;
 * EPITEM_GONE: there is no such socket. */
#define EPITEM_GONE SLOT_GONE
typedef uint32_t (*epitem_events_fn)(struct epitem *item, uint32_t interest, struct epwords *words);
uint32_t epitem_events(struct epitem *item, uint32_t interest,
		       struct epwords *words); /* epwait.c */

/* ---- epset.c: pure data, no system call, no clock ---- */

struct epitem *epshare_find(struct epshare *sh, const struct epkey *key);
/* Any item of the socket; NULL: none. */
struct epitem *epshare_first(struct epshare *sh, uint32_t sock, uint32_t gen);
/* A new item, on the ready list to be looked at. NULL: no room. */
struct epitem *epshare_add(struct epshare *sh, const struct epkey *key,
			   const struct epoll_event *event);
void epshare_modify(struct epshare *sh, struct epitem *item, const struct epoll_event *event);
void epshare_remove(struct epshare *sh, struct epitem *item);
/* The socket in this slot has changed, or (sock with ABI_CQE_WATCHED) has its watch now. */
void epshare_mark(struct epshare *sh, uint32_t sock, uint32_t gen);
void epshare_mark_all(struct epshare *sh);
/* The sets in this one: nobody tells of them, so they are looked at each time. */
void epshare_mark_sets(struct epshare *sh);
/* The kernel has something new from the set with this number. */
void epshare_set_edge(struct epshare *sh, uint32_t id);
/* The next set in this one after item (NULL: the first). */
struct epitem *epshare_next_set(struct epshare *sh, const struct epitem *item);
/* The union of what the socket's items want. */
uint32_t epshare_interest(struct epshare *sh, uint32_t sock, uint32_t gen);
int epshare_collect(struct epshare *sh, struct epoll_event *events, int max, epitem_events_fn look);
/* Is there an event? Nothing is taken, but items without one leave the list. */
bool epshare_has_event(struct epshare *sh, epitem_events_fn look);
/* Who held the lock was killed in the middle of something: make the lists anew, look at all. */
void epshare_rebuild(struct epshare *sh);

/* ---- eplife.c ---- */

/* False: this thread has it already (a signal handler that uses the set its thread is using). */
bool epset_lock(struct epset *ep);
static inline void epset_unlock(struct epset *ep)
{
	atomic_store_explicit(&ep->sh->lock, 0, memory_order_release);
	signals_release();
}
/* Every set of this process, one after the other. */
struct epkey epset_key(const struct wsock *ws, int fd);
void epset_each(void (*fn)(struct epset *ep, void *arg), void *arg);

/* ---- epkernel.c: the kernel's set ---- */

/* The set's channels are to ring. */
void epset_say_sleeping(struct epset *ep);
/* Wake one that sleeps. */
void epset_kick(struct epset *ep);
/* What wakes sleepers is in the kernel's set: a channel with each worker that has a bit, the bell,
 * and the session. Under the lock. 0 or -errno. */
int epset_make_channels(struct epset *ep, uint32_t workers);
void epset_channels(const struct epset *ep, struct abi_channel *channels[ABI_MAX_WORKERS]);
void epset_watch_session(struct epset *ep);
/* What the kernel's set has now, without what is ours. Before the channels are looked at. */
int epset_kernel_look(struct epset *ep, struct epoll_event *events, int max);
int epset_kernel_strip(struct epset *ep, struct epoll_event *events, int n);
bool epset_kernel_due(struct epset *ep, bool force);
/* The bell was heard, or another ring taken, by one; who sleeps in a set around it has to know. */
void epset_tell_outers(struct epset *ep);
/* Take what rings in the kernel's set, so that only the program's own is there. */
void epset_take_rings(struct epset *ep);
int epset_make_up(struct epset *ep);
int epset_make_kick(struct epset *ep);

/* ---- epwait.c ---- */

/* Take completions; under the lock. */
void epset_drain(struct epset *ep);

/* ---- epnest.c: sets in sets ---- */

int epset_ctl_set(struct epset *ep, int op, struct epset *inner, int fd,
		  const struct epoll_event *event);
/* What an item that is a set has: EPOLLIN or 0. The outer set's lock is held. */
uint32_t epset_item_events(struct epitem *item);
/* The sets in this one are to ring who sleeps in it. */
void epset_arm_inner(struct epset *ep);
/* The set is closed: it leaves those that it is in. */
void epset_leave_outers(struct epset *ep);

#endif
