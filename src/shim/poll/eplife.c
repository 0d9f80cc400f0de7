/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An epoll set's life. The number that the program sees is a real kernel epoll descriptor, so dup,
 * fork and passing it are the kernel's; with it comes the memory that processes share (epset.h).
 */
#include "shim/poll/epset.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOCK_SPINS_BEFORE_CHECK 1024

static struct lock sets_lock;
static struct epset *sets, *free_sets;
static _Atomic uint32_t *last_id; /* shared with those that are forked */
static _Atomic bool any_forked;

/* ---- the lock ---- */

static bool lock_held(struct epset *ep)
{
	_Atomic uint32_t *word = &ep->sh->lock;
	uint32_t self = thread_tls.tid, seen = 0;

	if (unlikely(self == 0))
		self = thread_state()->tid;
	if (likely(app_try_lock(word, self)))
		return true;
	for (unsigned int spins = 1;; spins++) {
		seen = atomic_load_explicit(word, memory_order_relaxed);
		if (seen == self)
			return false;
		if (seen != 0 && spins % LOCK_SPINS_BEFORE_CHECK == 0 && thread_gone(seen) &&
		    atomic_compare_exchange_strong(word, &seen, self)) {
			epshare_rebuild(ep->sh);
			return true;
		}
		if (app_try_lock(word, self))
			return true;
		sched_yield();
	}
}

bool epset_lock(struct epset *ep)
{
	signals_hold();
	if (likely(lock_held(ep)))
		return true;
	signals_release();
	return false;
}

/* ---- coming and going ---- */

static struct epset *take_free(void)
{
	struct epset *ep;

	lock_take(&sets_lock);
	ep = free_sets;
	if (ep)
		free_sets = ep->next_set;
	lock_drop(&sets_lock);
	return ep ? ep : slab_more(sizeof(*ep));
}

static void put_free(struct epset *ep)
{
	lock_take(&sets_lock);
	ep->next_set = free_sets;
	free_sets = ep;
	lock_drop(&sets_lock);
}

/* Memory for this process and its children; in the place of what was there, if there was. */
static void *share_map(void *where, size_t bytes)
{
	void *m = mmap(where, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | (where ? MAP_FIXED : 0), -1, 0);

	return m == MAP_FAILED ? NULL : m;
}

static uint32_t next_id(void)
{
	lock_take(&sets_lock);
	if (!last_id)
		last_id = share_map(NULL, sizeof(*last_id));
	lock_drop(&sets_lock);
	return last_id ? atomic_fetch_add(last_id, 1) + 1 : 0;
}

static int share_make(struct epset *ep)
{
	if (!ep->sh)
		ep->sh = share_map(NULL, sizeof(*ep->sh));
	if (!ep->sh)
		return -ENOMEM;
	ep->sh->id = next_id();
	return ep->sh->id ? 0 : -ENOMEM;
}

int epset_create(int flags)
{
	struct epset *ep;
	int fd = R(epoll_create1)(flags);

	if (fd < 0)
		return -errno;
	if ((unsigned int)fd >= FD_MAX)
		return fd;
	ep = take_free();
	if (!ep || share_make(ep)) {
		if (ep)
			put_free(ep);
		R(close)(fd);
		return -ENOMEM;
	}
	ep->obj.kind = OBJ_EPOLL;
	ep->fd = fd;
	ep->bell = ep->kick = ep->up = -1;
	atomic_store(&ep->obj.refs, 1);
	lock_take(&sets_lock);
	ep->next_set = sets;
	sets = ep;
	lock_drop(&sets_lock);
	fdtab_set(fd, &ep->obj);
	return fd;
}

/* Items and numbers are as they were made, so the memory serves another set. */
static void share_reset(struct epshare *sh)
{
	while (sh->all)
		epshare_remove(sh, &sh->item[sh->all]);
	atomic_store(&sh->sleepers, 0);
	atomic_store(&sh->has_socks, 0);
	atomic_store(&sh->outers, 0);
	sh->id = 0;
	sh->kernel_items = 0;
	memset(sh->channel_at, 0, sizeof(sh->channel_at));
}

void epset_free(struct epset *ep)
{
	struct abi_channel *channels[ABI_MAX_WORKERS];
	struct epshare *sh = ep->sh;

	lock_take(&sets_lock);
	for (struct epset **p = &sets; *p; p = &(*p)->next_set) {
		if (*p == ep) {
			*p = ep->next_set;
			break;
		}
	}
	lock_drop(&sets_lock);
	epset_leave_outers(ep);
	epset_channels(ep, channels);
	for (unsigned int i = 0; i < ABI_MAX_WORKERS; i++) {
		if (channels[i])
			session_channel_free(channels[i]);
	}
	fdtab_close_private(ep->bell);
	fdtab_close_private(ep->kick);
	fdtab_close_private(ep->up);
	ep->bell = ep->kick = ep->up = -1;
	if (atomic_load(&sh->forked)) {
		ep->sh = share_map(sh, sizeof(*sh));
	} else if (epset_lock(ep)) {
		share_reset(sh);
		epset_unlock(ep);
	}
	put_free(ep);
}

void epset_fd_gone(struct epset *ep, int fd)
{
	if (ep->fd != fd)
		return;
	for (unsigned int other = 0; other < fdtab_top(); other++) {
		if ((int)other != fd && fd_epset((int)other) == ep) {
			ep->fd = (int)other;
			return;
		}
	}
}

void epset_each(void (*fn)(struct epset *ep, void *arg), void *arg)
{
	lock_take(&sets_lock);
	for (struct epset *ep = sets; ep; ep = ep->next_set) {
		if (epset_lock(ep)) {
			fn(ep, arg);
			epset_unlock(ep);
		}
	}
	lock_drop(&sets_lock);
}

bool epset_any_forked(void)
{
	return atomic_load_explicit(&any_forked, memory_order_relaxed);
}

/* ---- fork ---- */

static void make_all(struct epset *ep, void *arg)
{
	uint32_t *workers = arg;

	epset_make_channels(ep, *workers);
	epset_make_up(ep);
	atomic_store(&ep->sh->forked, 1);
}

void epset_before_fork(void)
{
	uint32_t workers;

	/* What is made later is not the other process's. */
	if (!sets || session_attach())
		return;
	workers = (1u << session.workers) - 1;
	epset_each(make_all, &workers);
	atomic_store(&any_forked, true);
}

/* What waits to be used again is memory that parent and child share: two sets in one. */
static void free_unshare(void)
{
	for (struct epset *ep = free_sets; ep; ep = ep->next_set) {
		if (ep->sh)
			ep->sh = share_map(ep->sh, sizeof(*ep->sh));
	}
}

void epset_forked(void)
{
	free_unshare();
	if (!atomic_load(&session.attached))
		return;
	for (struct epset *ep = sets; ep; ep = ep->next_set)
		epset_watch_session(ep);
}

void epset_lock_all(bool take)
{
	if (take)
		lock_take(&sets_lock);
	else
		lock_drop(&sets_lock);
}
