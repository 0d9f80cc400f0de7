/* SPDX-License-Identifier: BSD-3-Clause */
/* epoll_ctl(), and what becomes of a set's items when their socket changes. */
#include "shim/poll/epset.h"

/* What may be asked for together with EPOLLEXCLUSIVE. */
#define EXCLUSIVE_BITS                                                                             \
	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

struct epkey epset_key(const struct wsock *ws, int fd)
{
	struct epkey key = { .sock = ws->index, .gen = ws->gen, .fd = fd, .type = ws->type };

	if (!ws->shm) {
		key.sock = ABI_SOCK_NONE;
		key.gen = (uint32_t)((uintptr_t)ws / 64);
	}
	return key;
}

static uint32_t watch_bits(uint32_t interest)
{
	uint32_t bits = interest & (ABI_EV_IN | ABI_EV_OUT | ABI_EV_PRI | ABI_EV_RDHUP);

	if (interest & EPOLLRDNORM)
		bits |= ABI_EV_IN;
	if (interest & (EPOLLWRNORM | EPOLLWRBAND))
		bits |= ABI_EV_OUT;
	if (interest & EPOLLEXCLUSIVE)
		bits |= ABI_WATCH_EXCLUSIVE;
	return bits | ABI_EV_ERR | ABI_EV_HUP;
}

static void watch(struct epset *ep, struct wsock *ws)
{
	struct abi_channel *channels[ABI_MAX_WORKERS];

	epset_channels(ep, channels);
	wsock_watch(ws, channels, watch_bits(epshare_interest(ep->sh, ws->index, ws->gen)));
}

/* A channel with the worker of each of the socket's slots. */
static int ensure_channels(struct epset *ep, struct wsock *ws)
{
	uint32_t workers = 0;
	struct abi_sock *shm = ws->shm;

	for (unsigned int n = 0; shm; n++) {
		workers |= 1u << (shm->worker % ABI_MAX_WORKERS);
		if (n && shm_index(shm) < EPSHARE_SOCKS)
			ep->sh->shard[shm_index(shm)] = ws->index + 1;
		shm = wsock_next_shard(shm, n);
	}
	return epset_make_channels(ep, workers);
}

/* ---- weir sockets, under the lock ---- */

static int sock_add(struct epset *ep, struct wsock *ws, const struct epkey *key,
		    const struct epoll_event *event)
{
	int err = 0;

	if (epshare_find(ep->sh, key))
		return -EEXIST;
	if (ws->shm)
		err = ensure_channels(ep, ws);
	if (err)
		return err;
	if (!epshare_add(ep->sh, key, event))
		return -ENOSPC;
	atomic_store(&ws->watched, 1);
	/* A thread may sleep in the kernel's set alone; the bell is there now, to be rung. */
	if (!atomic_exchange(&ep->sh->has_socks, 1))
		epset_say_sleeping(ep);
	/* Where there is an event already the engine says so, and wakes who sleeps. */
	if (ws->shm)
		watch(ep, ws);
	return 0;
}

static int sock_modify(struct epset *ep, struct wsock *ws, const struct epkey *key,
		       const struct epoll_event *event)
{
	struct epitem *item = epshare_find(ep->sh, key);
	uint32_t before = watch_bits(epshare_interest(ep->sh, key->sock, key->gen));
	struct epwords words;

	if (!item)
		return -ENOENT;
	if (item->interest & EPOLLEXCLUSIVE)
		return -EINVAL;
	epshare_modify(ep->sh, item, event);
	if (!ws->shm)
		return 0;
	if (watch_bits(epshare_interest(ep->sh, key->sock, key->gen)) != before)
		watch(ep, ws);
	/* Armed again, perhaps for what was there all the time. */
	if (atomic_load(&ep->sh->sleepers) > 0 &&
	    (epitem_events(item, event->events, &words) & (event->events | EPOLLERR | EPOLLHUP)))
		epset_kick(ep);
	return 0;
}

static int sock_delete(struct epset *ep, struct wsock *ws, const struct epkey *key)
{
	struct epitem *item = epshare_find(ep->sh, key);
	struct abi_channel *channels[ABI_MAX_WORKERS];

	if (!item)
		return -ENOENT;
	epshare_remove(ep->sh, item);
	if (ws->shm && !epshare_first(ep->sh, key->sock, key->gen)) {
		epset_channels(ep, channels);
		wsock_unwatch(ws, channels);
	}
	return 0;
}

static int sock_op(struct epset *ep, int op, struct wsock *ws, int fd,
		   const struct epoll_event *event)
{
	struct epkey key = epset_key(ws, fd);

	switch (op) {
	case EPOLL_CTL_ADD:
		return sock_add(ep, ws, &key, event);
	case EPOLL_CTL_MOD:
		return sock_modify(ep, ws, &key, event);
	case EPOLL_CTL_DEL:
		return sock_delete(ep, ws, &key);
	default:
		return -EINVAL;
	}
}

static int sock_ctl(struct epset *ep, int op, struct wsock *ws, int fd,
		    const struct epoll_event *event)
{
	int err;

	if (op != EPOLL_CTL_DEL && !event)
		return -EFAULT;
	if (op != EPOLL_CTL_DEL && (event->events & EPOLLEXCLUSIVE) &&
	    (op == EPOLL_CTL_MOD || (event->events & ~EXCLUSIVE_BITS)))
		return -EINVAL;
	if (op == EPOLL_CTL_ADD && !ws->shm && !(atomic_load(&ws->opts) & WS_QUIET)) {
		err = ctl_create(ws);
		if (err)
			return err;
	}
	if (!epset_lock(ep))
		return -EBUSY;
	err = sock_op(ep, op, ws, fd, event);
	epset_unlock(ep);
	return err;
}

int epset_ctl(struct epset *ep, int op, int fd, struct epoll_event *event)
{
	struct wsock *ws = fd_sock(fd);
	struct epset *inner = fd_epset(fd);

	if (ws)
		return sock_ctl(ep, op, ws, fd, event);
	if (inner)
		return epset_ctl_set(ep, op, inner, fd, event);
	if (fd_private(fd))
		return -EBADF;
	if (R(epoll_ctl)(ep->fd, op, fd, event) < 0)
		return -errno;
	if (op == EPOLL_CTL_MOD || !epset_lock(ep))
		return 0;
	if (op == EPOLL_CTL_ADD) {
		ep->sh->kernel_items++;
		ep->sh->kernel_look_ns = 0;
	} else if (ep->sh->kernel_items > 0) {
		ep->sh->kernel_items--;
	}
	epset_unlock(ep);
	return 0;
}

/* ---- sockets that change ---- */

static void remove_closed(struct epset *ep, void *arg)
{
	struct wsock *ws = arg;
	struct epkey key = epset_key(ws, 0);
	struct epitem *item;

	/* Another process has it still: so has the set. */
	if (atomic_load(&ep->sh->forked) && ws->shm && !session_is_dead() &&
	    atomic_load(&ws->shm->gen) == ws->gen)
		return;
	while ((item = epshare_first(ep->sh, key.sock, key.gen)) != NULL)
		epshare_remove(ep->sh, item);
}

void epset_sock_closed(struct wsock *ws)
{
	struct ctl_args args = { .op = ABI_CTL_GETSOCKOPT,
				 .level = SOL_SOCKET,
				 .optname = SO_TYPE };

	if (!epset_any_forked() && !atomic_load(&ws->watched))
		return;
	/* Was it the last one? The engine knows: when it answers it has seen the release. */
	if (epset_any_forked() && ws->shm && !session_is_dead())
		ctl_call(ws, &args);
	epset_each(remove_closed, ws);
	atomic_store(&ws->watched, 0);
}

static void watch_shards(struct epset *ep, void *arg)
{
	struct wsock *ws = arg;

	if (epshare_first(ep->sh, ws->index, ws->gen) && ensure_channels(ep, ws) == 0)
		watch(ep, ws);
}

/* The socket got shards, on other workers: watch those as well. */
void epset_sock_sharded(struct wsock *ws)
{
	if (session.workers >= 2 && (epset_any_forked() || atomic_load(&ws->watched)))
		epset_each(watch_shards, ws);
}
