/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Epoll sets. The number the program sees is a real kernel epoll descriptor, which holds the kernel
 * descriptors of the set (with the program's own data) and our bell. Weir sockets are watched
 * through the set's own channels. While the program is busy with weir sockets the kernel's set is
 * looked at every KERNEL_LOOK_NS only, so a busy program makes no system call for each message;
 * before any sleep it always is, since the sleep is a ppoll() on it.
 */
#include "shim/poll/epset.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define KERNEL_LOOK_NS 1000000
#define OLD_SLEEP_MS 20

static struct lock sets_lock;
static struct epset *sets, *free_sets;

int epset_create(int flags)
{
	struct epset *ep;
	int fd = R(epoll_create1)(flags);

	if (fd < 0)
		return -errno;
	if ((unsigned int)fd >= FD_MAX)
		return fd;
	lock_take(&sets_lock);
	ep = free_sets;
	if (ep)
		free_sets = ep->next_set;
	lock_drop(&sets_lock);
	if (!ep)
		ep = slab_more(sizeof(*ep));
	if (!ep) {
		R(close)(fd);
		return -ENOMEM;
	}
	memset(ep, 0, sizeof(*ep));
	ep->obj.kind = OBJ_EPOLL;
	ep->fd = fd;
	ep->bell = ep->kick = -1;
	ep->epoch = atomic_load(&session.epoch);
	atomic_store(&ep->obj.refs, 1);
	lock_take(&sets_lock);
	ep->next_set = sets;
	sets = ep;
	lock_drop(&sets_lock);
	fdtab_set(fd, &ep->obj);
	return fd;
}

void epset_free(struct epset *ep)
{
	lock_take(&sets_lock);
	for (struct epset **p = &sets; *p; p = &(*p)->next_set) {
		if (*p == ep) {
			*p = ep->next_set;
			break;
		}
	}
	lock_drop(&sets_lock);
	lock_take(&ep->lock);
	while (ep->all) {
		atomic_fetch_sub(&ep->all->ws->watched, 1);
		epset_remove(ep, ep->all);
	}
	for (unsigned int i = 0; i < ABI_MAX_WORKERS; i++) {
		if (ep->channel[i] && ep->epoch == atomic_load(&session.epoch))
			session_channel_free(ep->channel[i]);
		ep->channel[i] = NULL;
	}
	fdtab_close_private(ep->bell);
	fdtab_close_private(ep->kick);
	ep->bell = ep->kick = -1;
	if (ep->map)
		munmap(ep->map, ep->map_size * sizeof(ep->map[0]));
	if (ep->shards)
		munmap(ep->shards, ep->map_size * sizeof(ep->shards[0]));
	ep->map = NULL;
	ep->shards = NULL;
	ep->map_size = 0;
	lock_drop(&ep->lock);
	lock_take(&sets_lock);
	ep->next_set = free_sets;
	free_sets = ep;
	lock_drop(&sets_lock);
}

/* Wake one that sleeps. */
static void ring(struct epset *ep)
{
	uint64_t one = 1;

	if (ep->kick >= 0)
		(void)!R(write)(ep->kick, &one, sizeof(one));
}

/* ---- the set's channels and map ---- */

/* What wakes a sleeper is in the kernel's set, where all sleep: one is woken at each ring. */
static int watch_own(struct epset *ep, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event event = { .events = events | EPOLLET, .data.u64 = tag };

	return R(epoll_ctl)(ep->fd, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_kick(struct epset *ep)
{
	int fd = fdtab_make_private(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	int err;

	if (fd < 0)
		return -errno;
	err = watch_own(ep, fd, EPOLLIN, EPSET_TAG_BELL);
	if (!err)
		err = watch_own(ep, session.fd, EPOLLRDHUP, EPSET_TAG_SESSION);
	if (err) {
		fdtab_close_private(fd);
		return err;
	}
	ep->kick = fd;
	return 0;
}

static int make_channel(struct epset *ep, unsigned int worker)
{
	struct abi_channel *ch = NULL;
	bool first = ep->bell < 0;
	int err;

	for (unsigned int i = 0; i < session.workers && !ch; i++)
		ch = ep->channel[i];
	err = session_channel(&ch, worker, ABI_CQ_EPOLL, ABI_BELL_EVENT, &ep->bell);
	if (!err && first)
		err = watch_own(ep, ep->bell, EPOLLIN, EPSET_TAG_BELL);
	if (err)
		return err;
	ep->channel[worker] = ch;
	ep->overflow_seen[worker] = atomic_load(&ch->cq_overflow);
	return 0;
}

static void *zeroed(size_t bytes)
{
	void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return m == MAP_FAILED ? NULL : m;
}

static int make_map(struct epset *ep)
{
	ep->map = zeroed(session.sock_count * sizeof(ep->map[0]));
	if (!ep->map)
		return -ENOMEM;
	ep->map_size = session.sock_count;
	return 0;
}

static int note_shard(struct epset *ep, const struct wsock *ws, const struct abi_sock *shm)
{
	if (!ep->shards)
		ep->shards = zeroed(ep->map_size * sizeof(ep->shards[0]));
	if (!ep->shards)
		return -ENOMEM;
	ep->shards[shm_index(shm)] = ws->index + 1;
	return 0;
}

static int ensure_channels(struct epset *ep, struct wsock *ws)
{
	struct abi_sock *shm = ws->shm;
	int err = 0;

	if (ep->kick < 0)
		err = make_kick(ep);
	if (!err && !ep->map)
		err = make_map(ep);
	for (unsigned int n = 0; shm && !err; n++) {
		uint32_t worker = shm->worker % ABI_MAX_WORKERS;

		if (n)
			err = note_shard(ep, ws, shm);
		if (!err && !ep->channel[worker])
			err = make_channel(ep, worker);
		shm = wsock_next_shard(shm, n);
	}
	return err;
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

/* In a forked child the set's channels were the parent's: make new ones, watch everything again. */
static void renew(struct epset *ep)
{
	ep->epoch = atomic_load(&session.epoch);
	ep->bell = ep->kick = -1;
	memset(ep->channel, 0, sizeof(ep->channel));
	atomic_store(&ep->sleepers, 0);
	for (struct epitem *item = ep->all; item; item = item->all_next) {
		if (item->ws->shm && ensure_channels(ep, item->ws) == 0)
			wsock_watch(item->ws, ep->channel,
				    watch_bits(epset_interest(ep, item->ws)));
	}
	epset_mark_all(ep);
}

static void lock_set(struct epset *ep)
{
	lock_take(&ep->lock);
	if (unlikely(ep->epoch != atomic_load_explicit(&session.epoch, memory_order_relaxed)))
		renew(ep);
}

/* ---- control ---- */

static int sock_add(struct epset *ep, struct wsock *ws, int fd, const struct epoll_event *event)
{
	int err = 0;

	if (epset_find(ep, ws, fd))
		return -EEXIST;
	if (ws->shm)
		err = ensure_channels(ep, ws);
	if (err)
		return err;
	if (!epset_add(ep, ws, fd, event))
		return -ENOMEM;
	atomic_fetch_add(&ws->watched, 1);
	/* A thread may sleep in the kernel's set alone: it is told once, by the bell in there. */
	if (!atomic_exchange(&ep->has_socks, true))
		ring(ep);
	if (ws->shm)
		wsock_watch(ws, ep->channel, watch_bits(epset_interest(ep, ws)));
	return 0;
}

static int sock_modify(struct epset *ep, struct wsock *ws, int fd, const struct epoll_event *event)
{
	struct epitem *item = epset_find(ep, ws, fd);
	uint32_t before = watch_bits(epset_interest(ep, ws)), after;

	if (!item)
		return -ENOENT;
	if (event->events & EPOLLEXCLUSIVE)
		return -EINVAL;
	epset_modify(ep, item, event);
	after = watch_bits(epset_interest(ep, ws));
	if (ws->shm && after != before)
		wsock_watch(ws, ep->channel, after);
	return 0;
}

static int sock_delete(struct epset *ep, struct wsock *ws, int fd)
{
	struct epitem *item = epset_find(ep, ws, fd);

	if (!item)
		return -ENOENT;
	epset_remove(ep, item);
	atomic_fetch_sub(&ws->watched, 1);
	if (ws->shm && !epset_first(ep, ws))
		wsock_unwatch(ws, ep->channel);
	return 0;
}

static int sock_ctl(struct epset *ep, int op, struct wsock *ws, int fd,
		    const struct epoll_event *event)
{
	int err;

	if (op != EPOLL_CTL_DEL && !event)
		return -EFAULT;
	if (op == EPOLL_CTL_ADD && !ws->shm && !(atomic_load(&ws->opts) & WS_QUIET)) {
		err = ctl_create(ws);
		if (err)
			return err;
	}
	lock_set(ep);
	switch (op) {
	case EPOLL_CTL_ADD:
		err = sock_add(ep, ws, fd, event);
		break;
	case EPOLL_CTL_MOD:
		err = sock_modify(ep, ws, fd, event);
		break;
	case EPOLL_CTL_DEL:
		err = sock_delete(ep, ws, fd);
		break;
	default:
		err = -EINVAL;
	}
	lock_drop(&ep->lock);
	/* Somebody may sleep on the set, in the kernel even, who has to look at what was added. */
	if (!err && op != EPOLL_CTL_DEL && atomic_load(&ep->sleepers) > 0)
		ring(ep);
	return err;
}

int epset_ctl(struct epset *ep, int op, int fd, struct epoll_event *event)
{
	struct wsock *ws = fd_sock(fd);

	if (ws)
		return sock_ctl(ep, op, ws, fd, event);
	if (fd_private(fd))
		return -EBADF;
	if (R(epoll_ctl)(ep->fd, op, fd, event) < 0)
		return -errno;
	lock_take(&ep->lock);
	if (op == EPOLL_CTL_ADD) {
		ep->kernel_items++;
		ep->kernel_look_ns = 0;
	} else if (op == EPOLL_CTL_DEL && ep->kernel_items > 0) {
		ep->kernel_items--;
	}
	lock_drop(&ep->lock);
	if (op == EPOLL_CTL_ADD && atomic_load(&ep->sleepers) > 0)
		ring(ep);
	return 0;
}

void epset_sock_closed(struct wsock *ws)
{
	struct epitem *item;

	lock_take(&sets_lock);
	for (struct epset *ep = sets; ep; ep = ep->next_set) {
		lock_take(&ep->lock);
		while ((item = epset_first(ep, ws)) != NULL)
			epset_remove(ep, item);
		lock_drop(&ep->lock);
	}
	atomic_store(&ws->watched, 0);
	lock_drop(&sets_lock);
}

/* The socket got shards, on other workers: watch those as well. */
void epset_sock_sharded(struct wsock *ws)
{
	if (session.workers < 2 || !atomic_load(&ws->watched))
		return;
	lock_take(&sets_lock);
	for (struct epset *ep = sets; ep; ep = ep->next_set) {
		lock_set(ep);
		if (epset_first(ep, ws) && ensure_channels(ep, ws) == 0)
			wsock_watch(ws, ep->channel, watch_bits(epset_interest(ep, ws)));
		lock_drop(&ep->lock);
	}
	lock_drop(&sets_lock);
}

void epset_lock_all(bool take)
{
	if (take)
		lock_take(&sets_lock);
	else
		lock_drop(&sets_lock);
	for (struct epset *ep = sets; ep; ep = ep->next_set) {
		if (take)
			lock_take(&ep->lock);
		else
			lock_drop(&ep->lock);
	}
}

void epset_forked(void)
{
	for (struct epset *ep = sets; ep; ep = ep->next_set) {
		fdtab_close_private(ep->bell);
		fdtab_close_private(ep->kick);
		ep->bell = ep->kick = -1;
	}
}

/* ---- waiting ---- */

struct ep_wait {
	struct epset *ep;
	struct epoll_event *events;
	int max, n;
};

/* Take completions; under the lock. */
static void drain(struct epset *ep)
{
	bool any = false;

	for (unsigned int i = 0; i < session.workers; i++) {
		struct abi_channel *ch = ep->channel[i];
		uint32_t head, tail, overflow;

		if (!ch)
			continue;
		overflow = atomic_load_explicit(&ch->cq_overflow, memory_order_acquire);
		if (overflow != ep->overflow_seen[i]) {
			ep->overflow_seen[i] = overflow;
			epset_mark_all(ep);
			any = true;
		}
		head = atomic_load_explicit(&ch->cq_head, memory_order_relaxed);
		tail = atomic_load_explicit(&ch->cq_tail, memory_order_acquire);
		if (head == tail)
			continue;
		if (tail - head > ABI_CQ_EPOLL)
			head = tail - ABI_CQ_EPOLL;
		for (; head != tail; head++) {
			const struct abi_cqe *e = &ch->cq[head % ABI_CQ_EPOLL];

			epset_mark(ep, e->sock, e->gen);
		}
		atomic_store_explicit(&ch->cq_head, tail, memory_order_release);
		any = true;
	}
	/* The engine does not tell twice while an entry is not taken: taken first, looked at then.
	 */
	if (any)
		atomic_thread_fence(memory_order_seq_cst);
}

/* Leave out what is ours among the kernel's events. Returns how many are left. */
static int strip(struct epoll_event *events, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++) {
		if (events[i].data.u64 == EPSET_TAG_SESSION)
			session_check();
		else if (events[i].data.u64 != EPSET_TAG_BELL)
			events[kept++] = events[i];
	}
	return kept;
}

/* What the kernel's set has now. */
static int kernel_look(struct epset *ep, struct epoll_event *events, int max)
{
	return strip(events, R(epoll_wait)(ep->fd, events, max, 0));
}

static bool kernel_due(struct epset *ep, bool force)
{
	int64_t now;

	if (ep->kernel_items == 0)
		return false;
	if (force)
		return true;
	now = now_ns();
	if (now - ep->kernel_look_ns < KERNEL_LOOK_NS)
		return false;
	ep->kernel_look_ns = now;
	return true;
}

static bool gather(struct ep_wait *w, bool force)
{
	struct epset *ep = w->ep;
	bool more;

	lock_set(ep);
	w->n = 0;
	/* The kernel's first, when it is its turn, but not all the room. */
	if (kernel_due(ep, force))
		w->n = kernel_look(ep, w->events, w->max > 1 ? (w->max + 1) / 2 : 1);
	if (session_is_dead())
		epset_mark_all(ep);
	drain(ep);
	if (ep->ready_first)
		w->n += epset_collect(ep, w->events + w->n, w->max - w->n, wsock_events_wanted);
	more = ep->ready_first != NULL;
	lock_drop(&ep->lock);
	/* Like Linux: while something is left, the next who sleeps is woken. */
	if (w->n && more && atomic_load_explicit(&ep->sleepers, memory_order_relaxed) > 0)
		ring(ep);
	return w->n > 0;
}

static bool ready(void *arg)
{
	return gather(arg, false);
}

/*
 * No weir socket was ever in the set: the kernel's own. *weir: there is one now, go on with it.
 */
static int kernel_only(struct epset *ep, struct epoll_event *events, int max, int64_t timeout_ns,
		       const sigset_t *mask, bool *weir)
{
	int64_t ms = timeout_ns < 0 ? -1 : (timeout_ns + 999999) / 1000000;
	int kept, n;

	n = R(epoll_pwait)(ep->fd, events, max, ms > INT32_MAX ? INT32_MAX : (int)ms, mask);
	if (n < 0)
		return -errno;
	kept = strip(events, n);
	*weir = n > 0 && kept == 0;
	return kept;
}

static int set_sleep(void *arg, struct timespec *left)
{
	struct ep_wait *w = arg;
	int n = -1;

	errno = ENOSYS;
	if (R(epoll_pwait2))
		n = real_epoll_pwait2(w->ep->fd, w->events, w->max, left, NULL);
	/* An old C library or kernel: a signal that comes just now waits so long. */
	if (n < 0 && errno == ENOSYS)
		n = R(epoll_wait)(w->ep->fd, w->events, w->max,
				  left->tv_sec || left->tv_nsec > OLD_SLEEP_MS * 1000000
					  ? OLD_SLEEP_MS
					  : (int)(left->tv_nsec + 999999) / 1000000);
	if (n < 0)
		return n;
	w->n = strip(w->events, n);
	return w->n;
}

static int wait_weir(struct ep_wait *ew, int64_t timeout_ns, const sigset_t *mask)
{
	struct epset *ep = ew->ep;
	struct waiter w;
	int err;

	waiter_init(&w, ready, NULL, ew);
	w.channels = ep->channel;
	w.discard_cq = false;
	w.sleepers = &ep->sleepers;
	w.sleep = set_sleep;
	w.mask = mask;
	w.deadline_ns = timeout_ns < 0 ? NO_DEADLINE : now_ns() + timeout_ns;
	err = waiter_run(&w);
	if (err == -ETIMEDOUT) {
		gather(ew, true);
		return ew->n;
	}
	return ew->n ? ew->n : err;
}

int epset_wait(struct epset *ep, struct epoll_event *events, int max, int64_t timeout_ns,
	       const sigset_t *mask)
{
	struct ep_wait ew = { .ep = ep, .events = events, .max = max };
	bool weir = false;
	int n;

	if (max <= 0)
		return -EINVAL;
	if (!atomic_load_explicit(&ep->has_socks, memory_order_acquire)) {
		n = kernel_only(ep, events, max, timeout_ns, mask, &weir);
		if (!weir)
			return n;
	}
	if (gather(&ew, false) || (timeout_ns == 0 && gather(&ew, true)))
		return ew.n;
	if (timeout_ns == 0) {
		asked_in_vain();
		return 0;
	}
	obj_get(&ep->obj);
	n = wait_weir(&ew, timeout_ns, mask);
	obj_put(&ep->obj);
	return n;
}
