/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoll_wait(). Weir's events come from the set's channels and the ready list, without a system
 * call; the kernel's from its set, when it is its turn, and before any sleep, for the sleep is an
 * epoll_pwait2() there.
 */
#include "shim/poll/epset.h"

#define OLD_SLEEP_MS 20

struct ep_wait {
	struct epset *ep;
	struct epoll_event *events;
	int max, n;
};

static void words_of(uint32_t sock, struct epwords *words)
{
	const struct abi_sock *shm = &session.socks[sock];

	if (sock >= session.sock_count)
		return;
	words->rx_tail = atomic_load_explicit(&shm->rx_tail, memory_order_acquire);
	words->tx_head = atomic_load_explicit(&shm->tx_head, memory_order_acquire);
	words->error = atomic_load_explicit(&shm->error, memory_order_acquire);
	words->state = atomic_load_explicit(&shm->state, memory_order_acquire);
}

uint32_t epitem_events(struct epitem *item, uint32_t interest, struct epwords *words)
{
	if (unlikely(item->sock == EPSOCK_SET))
		return epset_item_events(item);
	if (item->sock == ABI_SOCK_NONE)
		return 0;
	if (item->is_told)
		words_of(item->sock, words);
	return slot_events(item->sock, item->gen, item->type, interest);
}

static bool drain_channel(struct epshare *sh, struct abi_channel *ch, unsigned int worker)
{
	uint32_t overflow = atomic_load_explicit(&ch->cq_overflow, memory_order_acquire);
	uint32_t head, tail;
	bool any = false;

	if (overflow != sh->overflow_seen[worker]) {
		sh->overflow_seen[worker] = overflow;
		epshare_mark_all(sh);
		any = true;
	}
	head = atomic_load_explicit(&ch->cq_head, memory_order_relaxed);
	tail = atomic_load_explicit(&ch->cq_tail, memory_order_acquire);
	if (head == tail)
		return any;
	if (tail - head > ABI_CQ_EPOLL)
		head = tail - ABI_CQ_EPOLL;
	for (; head != tail; head++) {
		const struct abi_cqe *e = &ch->cq[head % ABI_CQ_EPOLL];

		epshare_mark(sh, e->sock, e->gen);
	}
	atomic_store_explicit(&ch->cq_head, tail, memory_order_release);
	return true;
}

void epset_drain(struct epset *ep)
{
	bool any = false;

	for (unsigned int i = 0; i < session.workers; i++) {
		uint64_t offset = ep->sh->channel_at[i];

		if (offset && drain_channel(ep->sh, (void *)(session.base + offset), i))
			any = true;
	}
	/* The engine does not tell twice while an entry is not taken: taken first, looked at then.
	 */
	if (any)
		atomic_thread_fence(memory_order_seq_cst);
}

static bool gather(struct ep_wait *w, bool force)
{
	struct epset *ep = w->ep;
	struct epshare *sh = ep->sh;
	bool more;

	w->n = 0;
	if (!epset_lock(ep))
		return false;
	/* The kernel's first, when it is its turn, but not all the room. */
	if (epset_kernel_due(ep, force))
		w->n = epset_kernel_look(ep, w->events, w->max > 1 ? (w->max + 1) / 2 : 1);
	if (session_is_dead())
		epshare_mark_all(sh);
	epset_drain(ep);
	if (unlikely(sh->sets))
		epshare_mark_sets(sh);
	if (sh->ready_first)
		w->n += epshare_collect(sh, w->events + w->n, w->max - w->n, epitem_events);
	more = sh->ready_first != EPITEM_NONE;
	epset_unlock(ep);
	/* Like Linux: while something is left, the next who sleeps is woken. */
	if (w->n && more && atomic_load_explicit(&sh->sleepers, memory_order_relaxed) > 0)
		epset_kick(ep);
	return w->n > 0;
}

static bool ready(void *arg)
{
	return gather(arg, false);
}

/* As epoll_pwait2(), also where there is none. */
static int kernel_wait(int fd, struct epoll_event *events, int max, const struct timespec *left,
		       const sigset_t *mask)
{
	int n = -1, ms = OLD_SLEEP_MS;

	errno = ENOSYS;
	if (R(epoll_pwait2))
		n = real_epoll_pwait2(fd, events, max, left, mask);
	if (n >= 0 || errno != ENOSYS)
		return n;
	/* An old C library or kernel: a signal that comes just before waits so long. */
	if (left && left->tv_sec == 0 && left->tv_nsec < OLD_SLEEP_MS * 1000000)
		ms = (int)((left->tv_nsec + 999999) / 1000000);
	return R(epoll_pwait)(fd, events, max, ms, mask);
}

/*
 * No weir socket was ever in the set: the kernel's own. *weir: there is one now, go on with it.
 */
static int kernel_only(struct ep_wait *w, int64_t deadline_ns, const sigset_t *mask, bool *weir)
{
	struct timespec ts = { 0 };
	int64_t left = 0;
	int n;

	do {
		if (deadline_ns != NO_DEADLINE && deadline_ns != 0)
			left = deadline_ns - now_ns();
		if (left < 0)
			left = 0;
		ts.tv_sec = left / 1000000000;
		ts.tv_nsec = left % 1000000000;
		n = kernel_wait(w->ep->fd, w->events, w->max,
				deadline_ns == NO_DEADLINE ? NULL : &ts, mask);
		if (n < 0)
			return -errno;
		w->n = epset_kernel_strip(w->ep, w->events, n);
		*weir = atomic_load(&w->ep->sh->has_socks);
	} while (w->n == 0 && !*weir && (n > 0 || deadline_ns == NO_DEADLINE || left > 0));
	return w->n;
}

static void arm_inner(void *arg)
{
	struct ep_wait *w = arg;

	if (unlikely(w->ep->sh->sets))
		epset_arm_inner(w->ep);
}

static int set_sleep(void *arg, struct timespec *left)
{
	struct ep_wait *w = arg;
	int n = kernel_wait(w->ep->fd, w->events, w->max, left, NULL);

	if (n < 0)
		return n;
	w->n = epset_kernel_strip(w->ep, w->events, n);
	/* The bell was taken with the rest, and what it rang for is not looked at now. */
	if (w->n && w->n < n && atomic_load(&w->ep->sh->sleepers) > 1)
		epset_kick(w->ep);
	return w->n;
}

static int wait_weir(struct ep_wait *ew, int64_t deadline_ns, const sigset_t *mask)
{
	struct abi_channel *channels[ABI_MAX_WORKERS];
	struct waiter w;
	int err;

	epset_channels(ew->ep, channels);
	waiter_init(&w, ready, arm_inner, ew);
	w.channels = channels;
	w.discard_cq = false;
	w.sleepers = &ew->ep->sh->sleepers;
	w.sleep = set_sleep;
	w.mask = mask;
	w.deadline_ns = deadline_ns;
	err = waiter_run(&w);
	if (err == -ETIMEDOUT) {
		gather(ew, true);
		return ew->n;
	}
	return ew->n ? ew->n : err;
}

static int wait_long(struct ep_wait *ew, int64_t deadline_ns, const sigset_t *mask)
{
	bool weir = atomic_load(&ew->ep->sh->has_socks);
	int n;

	if (!weir) {
		n = kernel_only(ew, deadline_ns, mask, &weir);
		if (n || !weir)
			return n;
	}
	do
		n = wait_weir(ew, deadline_ns, mask);
	while (n == 0 && (deadline_ns == NO_DEADLINE || now_ns() < deadline_ns));
	return n;
}

/* Sockets of a dead session are always ready: before they are told again and again it waits for
 * what is the kernel's. */
static int dead_wait(struct ep_wait *ew, int64_t timeout_ns, const sigset_t *mask)
{
	struct timespec wait;
	int n;

	if (!dead_toll(timeout_ns, &wait))
		return 0;
	n = kernel_wait(ew->ep->fd, ew->events, ew->max, &wait, mask);
	return n < 0 ? -errno : epset_kernel_strip(ew->ep, ew->events, n);
}

int epset_wait(struct epset *ep, struct epoll_event *events, int max, int64_t timeout_ns,
	       const sigset_t *mask)
{
	struct ep_wait ew = { .ep = ep, .events = events, .max = max };
	int n, at;

	if (max <= 0 || (size_t)max > INT32_MAX / sizeof(*events))
		return -EINVAL;
	if (likely(atomic_load_explicit(&ep->sh->has_socks, memory_order_acquire))) {
		n = session_is_dead() ? dead_wait(&ew, timeout_ns, mask) : 0;
		if (n)
			return n;
		if (gather(&ew, false) || (timeout_ns == 0 && gather(&ew, true)))
			return ew.n;
		if (timeout_ns == 0) {
			asked_in_vain();
			return 0;
		}
	}
	at = waiting_begin(&ep->obj, -1);
	n = wait_long(&ew,
		      timeout_ns < 0	? NO_DEADLINE
		      : timeout_ns == 0 ? 0
					: now_ns() + timeout_ns,
		      mask);
	waiting_end(at, &ep->obj);
	return n;
}
