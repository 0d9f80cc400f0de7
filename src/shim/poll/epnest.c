/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets in sets, and sets that poll() and select() wait for.
 *
 * The outer kernel set has the inner one's descriptor, edge-triggered, so a ring of the inner set's
 * bell, and what comes to its kernel descriptors, end a sleep in the outer set: the kernel passes
 * both on through any number of sets, and refuses circles and towers. What the inner set has is
 * looked at by whoever waits, each time (epset_has_event()); before it sleeps it says for the inner
 * sets' channels that somebody does (epset_arm_inner()).
 *
 * One ring may be for several: a thread that waits for the inner set itself, and those around. Who
 * takes it from the inner kernel set, so that others find nothing there any more, says so by `up`,
 * an eventfd that is in the outer sets only and that nobody reads.
 *
 * An edge-triggered item that is a set has an event when the set's `news` is another number than at
 * the last report, or the kernel reports an edge and has something.
 *
 * An outer set's lock is taken before an inner one's. The kernel has refused circles.
 */
#include "shim/poll/epset.h"

/* The set with this number, if this process has it. Most often it is still where it was added. */
static struct epset *inner_set(const struct epitem *item)
{
	struct epset *ep = fd_epset(item->fd);

	if (ep && ep->sh && ep->sh->id == item->gen)
		return ep;
	for (unsigned int fd = 0; fd < fdtab_top(); fd++) {
		ep = fd_epset((int)fd);
		if (ep && ep->sh && ep->sh->id == item->gen)
			return ep;
	}
	return NULL;
}

bool epset_is_weir(const struct epset *ep)
{
	return ep->sh && atomic_load_explicit(&ep->sh->has_socks, memory_order_acquire);
}

/* ---- what a set has ---- */

/* Of the set and those in it: another number when something has happened. */
static uint32_t news(struct epset *ep)
{
	struct epitem *item = NULL;
	uint32_t sum;

	if (!epset_lock(ep))
		return 0;
	epset_drain(ep);
	sum = atomic_load_explicit(&ep->sh->news, memory_order_relaxed);
	while ((item = epshare_next_set(ep->sh, item)) != NULL) {
		struct epset *inner = inner_set(item);

		if (inner)
			sum += news(inner);
	}
	epset_unlock(ep);
	return sum;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return R(poll)(&p, 1, 0) > 0;
}

/* Under the lock: has the ready list something that makes it worth to wake one? */
static void pass_on(struct epset *ep)
{
	if (atomic_load(&ep->sh->sleepers) == 0)
		return;
	epset_say_sleeping(ep);
	epset_drain(ep);
	if (ep->sh->ready_first != EPITEM_NONE)
		epset_kick(ep);
}

/* Is there an event of a kernel descriptor that is in the set? Those in inner sets are theirs. */
static bool kernel_ready(struct epset *ep)
{
	bool locked;

	if (ep->sh->kernel_items <= 0 || !readable(ep->fd))
		return false;
	if (ep->kick < 0)
		return true;
	epset_take_rings(ep);
	if (readable(ep->fd))
		return true;
	/* It was a ring alone, perhaps for one who sleeps in there. */
	locked = epset_lock(ep);
	pass_on(ep);
	if (locked)
		epset_unlock(ep);
	return false;
}

/* The same for the set and those in it. */
static bool kernel_ready_below(struct epset *ep)
{
	struct epitem *item = NULL;
	bool yes = kernel_ready(ep);

	if (!epset_lock(ep))
		return yes;
	while (!yes && (item = epshare_next_set(ep->sh, item)) != NULL) {
		struct epset *inner = inner_set(item);

		yes = inner && kernel_ready_below(inner);
	}
	epset_unlock(ep);
	return yes;
}

bool epset_has_event(struct epset *ep)
{
	bool yes;

	if (!epset_lock(ep))
		return false;
	if (session_is_dead())
		epshare_mark_all(ep->sh);
	epset_drain(ep);
	epshare_mark_sets(ep->sh);
	yes = epshare_has_event(ep->sh, epitem_events);
	epset_unlock(ep);
	return yes || kernel_ready(ep);
}

uint32_t epset_item_events(struct epitem *item)
{
	struct epset *inner = inner_set(item);
	bool yes;

	if (!inner)
		return 0;
	item->news_seen = news(inner);
	if (!(item->interest & EPOLLET) || item->edge == EPEDGE_NEW ||
	    item->news_seen != item->news_told)
		return epset_has_event(inner) ? EPOLLIN : 0;
	yes = item->edge && kernel_ready_below(inner);
	item->edge = 0;
	return yes ? EPOLLIN : 0;
}

/* ---- sleeping around sets ---- */

void epset_arm_inner(struct epset *ep)
{
	struct epitem *item = NULL;

	if (!epset_lock(ep))
		return;
	while ((item = epshare_next_set(ep->sh, item)) != NULL) {
		struct epset *inner = inner_set(item);

		if (!inner)
			continue;
		epset_say_sleeping(inner);
		epset_arm_inner(inner);
	}
	epset_unlock(ep);
}

void epset_poll_begin(struct epset *ep)
{
	obj_get(&ep->obj);
	atomic_fetch_add(&ep->sh->sleepers, 1);
}

/* The descriptor would be readable for the ring that ended the last sleep. */
void epset_poll_arm(struct epset *ep)
{
	bool locked = epset_lock(ep);

	if (ep->kick >= 0 && readable(ep->fd)) {
		epset_take_rings(ep);
		/* One who sleeps in there may have missed it. Not itself: it looks now. */
		if (atomic_load(&ep->sh->sleepers) > 1)
			pass_on(ep);
	}
	epset_say_sleeping(ep);
	if (locked)
		epset_unlock(ep);
	epset_arm_inner(ep);
}

void epset_poll_end(struct epset *ep)
{
	if (atomic_fetch_sub(&ep->sh->sleepers, 1) > 1)
		epset_say_sleeping(ep);
	obj_put(&ep->obj);
}

/* ---- epoll_ctl() ---- */

static int ctl_kernel(struct epset *ep, int op, int fd, uint64_t tag)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = tag };

	return R(epoll_ctl)(ep->fd, op, fd, &event) < 0 ? -errno : 0;
}

/* The inner set has what its outer ones need. */
static int prepare_inner(struct epset *inner)
{
	int err = 0;

	if (epset_lock(inner)) {
		err = epset_make_up(inner);
		atomic_store(&inner->sh->outers, 1);
		epset_unlock(inner);
	}
	return err;
}

static int set_add(struct epset *ep, struct epset *inner, const struct epkey *key,
		   const struct epoll_event *event)
{
	int err = ctl_kernel(ep, EPOLL_CTL_ADD, key->fd, EPSET_TAG_SET | key->gen);

	if (err)
		return err;
	err = prepare_inner(inner);
	if (!err)
		err = ctl_kernel(ep, EPOLL_CTL_ADD, inner->up, EPSET_TAG_UP);
	if (err == -EEXIST) /* by another descriptor of the inner set */
		err = 0;
	if (!err)
		err = epset_lock(ep) ? 0 : -EBUSY;
	if (err) {
		ctl_kernel(ep, EPOLL_CTL_DEL, key->fd, 0);
		return err;
	}
	err = epset_make_kick(ep);
	if (!err && !epshare_add(ep->sh, key, event))
		err = -ENOSPC;
	epset_unlock(ep);
	if (err) {
		ctl_kernel(ep, EPOLL_CTL_DEL, key->fd, 0);
		return err;
	}
	if (!atomic_exchange(&ep->sh->has_socks, 1))
		epset_say_sleeping(ep);
	return 0;
}

static int set_modify(struct epset *ep, const struct epkey *key, const struct epoll_event *event)
{
	struct epitem *item;

	if (!epset_lock(ep))
		return -EBUSY;
	item = epshare_find(ep->sh, key);
	if (item)
		epshare_modify(ep->sh, item, event);
	epset_unlock(ep);
	return item ? 0 : -ENOENT;
}

static int set_delete(struct epset *ep, struct epset *inner, const struct epkey *key)
{
	int err = ctl_kernel(ep, EPOLL_CTL_DEL, key->fd, 0);
	struct epitem *item;

	if (err || !epset_lock(ep))
		return err;
	item = epshare_find(ep->sh, key);
	if (item)
		epshare_remove(ep->sh, item);
	if (inner->up >= 0 && !epshare_first(ep->sh, EPSOCK_SET, key->gen))
		ctl_kernel(ep, EPOLL_CTL_DEL, inner->up, 0);
	epset_unlock(ep);
	return 0;
}

int epset_ctl_set(struct epset *ep, int op, struct epset *inner, int fd,
		  const struct epoll_event *event)
{
	struct epkey key = { .sock = EPSOCK_SET, .gen = inner->sh->id, .fd = fd };
	int err;

	if (ep == inner)
		return -EINVAL;
	if (op == EPOLL_CTL_DEL)
		return set_delete(ep, inner, &key);
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD)
		return -EINVAL;
	if (event->events & EPOLLEXCLUSIVE)
		return -EINVAL;
	err = op == EPOLL_CTL_ADD ? set_add(ep, inner, &key, event) : set_modify(ep, &key, event);
	/* Who sleeps may have to look at it at once. */
	if (!err && atomic_load(&ep->sh->sleepers) > 0)
		epset_kick(ep);
	if (!err)
		epset_tell_outers(ep);
	return err;
}

/* ---- a set that is closed ---- */

static void leave(struct epset *outer, void *arg)
{
	struct epset *inner = arg;
	struct epitem *item;

	while ((item = epshare_first(outer->sh, EPSOCK_SET, inner->sh->id)) != NULL)
		epshare_remove(outer->sh, item);
}

void epset_leave_outers(struct epset *ep)
{
	/* Another process may have it still, and then it stays where it is. */
	if (atomic_load(&ep->sh->outers) && !atomic_load(&ep->sh->forked))
		epset_each(leave, ep);
}
