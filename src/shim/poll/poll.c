/* SPDX-License-Identifier: BSD-3-Clause */
/* poll and select over weir and kernel descriptors together. */
#include "shim/shim.h"

#include <string.h>

#define KERNEL_LOOK_NS 1000000
#define POLL_STACK 64

struct poll_wait {
	struct pollfd *user;
	nfds_t n;
	struct pollfd *kernel; /* [2..]: the kernel's among them; the first two are wait.c's */
	nfds_t kernel_count;   /* without those two */
	int found;
};

/* An epoll set with weir sockets in it; the kernel knows only half of what it has. */
static struct epset *weir_set(int fd)
{
	struct epset *ep = fd_epset(fd);

	return ep && epset_is_weir(ep) ? ep : NULL;
}

bool poll_has_ours(const struct pollfd *fds, nfds_t n)
{
	if (bad_pointer(fds))
		return false;
	for (nfds_t i = 0; i < n; i++) {
		if (fds[i].fd >= 0 && (fd_sock(fds[i].fd) || weir_set(fds[i].fd)))
			return true;
	}
	return false;
}

static short sock_revents(struct wsock *ws, short events)
{
	uint32_t want = (uint32_t)(uint16_t)events & (POLLIN | POLLOUT | POLLPRI | POLLRDHUP);
	uint32_t got;

	if (events & POLLRDNORM)
		want |= ABI_EV_IN;
	if (events & (POLLWRNORM | POLLWRBAND))
		want |= ABI_EV_OUT;
	got = wsock_events_wanted(ws, want);
	if (got & ABI_EV_IN)
		got |= POLLRDNORM;
	if (got & ABI_EV_OUT)
		got |= POLLWRNORM;
	return (short)(got & ((uint32_t)(uint16_t)events | POLLERR | POLLHUP));
}

static short set_revents(struct epset *ep, short events)
{
	events &= POLLIN | POLLRDNORM;
	return events && epset_has_event(ep) ? events : 0;
}

static void scan_socks(struct poll_wait *p)
{
	p->found = 0;
	for (nfds_t i = 0; i < p->n; i++) {
		struct wsock *ws = fd_sock(p->user[i].fd);
		struct epset *ep = ws ? NULL : weir_set(p->user[i].fd);

		if (ws)
			p->user[i].revents = sock_revents(ws, p->user[i].events);
		else if (ep)
			p->user[i].revents = set_revents(ep, p->user[i].events);
		else if (p->kernel_count == 0)
			p->user[i].revents = 0;
		p->found += (ws || ep) && p->user[i].revents;
	}
}

static void scan_kernel(struct poll_wait *p)
{
	nfds_t k = 2;

	if (p->kernel_count == 0)
		return;
	if (R(poll)(p->kernel + 2, p->kernel_count, 0) < 0)
		return;
	for (nfds_t i = 0; i < p->n; i++) {
		if (fd_sock(p->user[i].fd))
			continue;
		k++;
		if (weir_set(p->user[i].fd))
			continue;
		p->user[i].revents = p->kernel[k - 1].revents;
		p->found += p->user[i].revents != 0;
	}
}

static bool kernel_due(void)
{
	struct thread_state *t = thread_state();
	int64_t now = now_ns();

	if (now - t->kernel_look_ns < KERNEL_LOOK_NS)
		return false;
	t->kernel_look_ns = now;
	return true;
}

static bool poll_ready(void *arg)
{
	struct poll_wait *p = arg;

	scan_socks(p);
	if (p->kernel_count && kernel_due())
		scan_kernel(p);
	return p->found > 0;
}

static void poll_arm(void *arg)
{
	struct poll_wait *p = arg;
	struct thread_state *t = thread_state();

	for (nfds_t i = 0; i < p->n; i++) {
		struct wsock *ws = fd_sock(p->user[i].fd);
		uint32_t bits = (uint32_t)(uint16_t)p->user[i].events &
				(ABI_EV_IN | ABI_EV_PRI | ABI_EV_OUT | ABI_EV_RDHUP);

		if (!ws && weir_set(p->user[i].fd))
			epset_poll_arm(weir_set(p->user[i].fd));
		if (!ws || !ws->shm)
			continue;
		if (p->user[i].events & POLLRDNORM)
			bits |= ABI_EV_IN;
		if (p->user[i].events & (POLLWRNORM | POLLWRBAND))
			bits |= ABI_EV_OUT;
		wsock_watch(ws, t->channel, bits | ABI_EV_ERR | ABI_EV_HUP | ABI_WATCH_ONCE);
	}
}

/* The weir sets among them: they are told that somebody sleeps on their descriptors. */
static unsigned int find_sets(const struct poll_wait *p, struct epset **sets, unsigned int room)
{
	unsigned int n = 0;

	for (nfds_t i = 0; i < p->n && n < room; i++) {
		struct epset *ep = weir_set(p->user[i].fd);

		if (!ep)
			continue;
		if (sets) {
			epset_poll_begin(ep);
			sets[n] = ep;
		}
		n++;
	}
	return n;
}

static int poll_run_sleep(struct poll_wait *p, int64_t timeout_ns, const sigset_t *mask)
{
	struct waiter w;
	int err;

	waiter_init(&w, poll_ready, poll_arm, p);
	w.mask = mask;
	w.fds = p->kernel;
	w.fds_count = p->kernel_count + 2;
	w.deadline_ns = timeout_ns < 0 ? NO_DEADLINE : now_ns() + timeout_ns;
	do {
		err = waiter_run(&w);
		if (err == -EINTR)
			return err;
		scan_socks(p);
		scan_kernel(p);
	} while (!err && p->found == 0);
	return p->found;
}

static int poll_run(struct poll_wait *p, int64_t timeout_ns, const sigset_t *mask)
{
	unsigned int n = find_sets(p, NULL, UINT32_MAX);
	struct epset **sets;
	int r;

	if (likely(n == 0))
		return poll_run_sleep(p, timeout_ns, mask);
	sets = __builtin_alloca(n * sizeof(struct epset *));
	n = find_sets(p, sets, n);
	r = poll_run_sleep(p, timeout_ns, mask);
	while (n-- > 0)
		epset_poll_end(sets[n]);
	return r;
}

/* Sockets of a dead session are always ready: before they are told again and again it waits for
 * what is the kernel's. 0 or -EINTR. */
static int dead_wait(struct poll_wait *p, int64_t timeout_ns, const sigset_t *mask)
{
	struct timespec wait;

	if (!dead_toll(timeout_ns, &wait))
		return 0;
	if (R(ppoll)(p->kernel + 2, p->kernel_count, &wait, mask) < 0 && errno == EINTR)
		return -EINTR;
	scan_socks(p);
	scan_kernel(p);
	return 0;
}

static int poll_with(struct poll_wait *p, int64_t timeout_ns, const sigset_t *mask)
{
	nfds_t k = 2;

	for (nfds_t i = 0; i < p->n; i++) {
		if (!fd_sock(p->user[i].fd)) {
			p->kernel[k] = p->user[i];
			/* Nobody may look at the shim's own. */
			if (fd_private(p->user[i].fd))
				p->kernel[k].fd = -1;
			k++;
		}
		p->user[i].revents = 0;
	}
	p->kernel_count = k - 2;
	scan_socks(p);
	if (p->kernel_count && (p->found == 0 || kernel_due()))
		scan_kernel(p);
	if (p->found == 0 && timeout_ns == 0)
		asked_in_vain();
	if (p->found && session_is_dead() && dead_wait(p, timeout_ns, mask))
		return -EINTR;
	if (p->found || timeout_ns == 0)
		return p->found;
	return poll_run(p, timeout_ns, mask);
}

int call_poll(struct pollfd *fds, nfds_t n, int64_t timeout_ns, const sigset_t *mask)
{
	struct pollfd small[POLL_STACK + 2];
	struct poll_wait p = { .user = fds, .n = n, .kernel = small };

	if (n <= POLL_STACK)
		return poll_with(&p, timeout_ns, mask);
	if (n > FD_MAX)
		return -EINVAL;
	struct pollfd *large = __builtin_alloca((n + 2) * sizeof(*large));

	p.kernel = large;
	return poll_with(&p, timeout_ns, mask);
}

/* ---- select, by poll ---- */

static bool in_set(int fd, const fd_set *set)
{
	/* By hand: programs use sets larger than FD_SETSIZE, and FD_ISSET may check. */
	return set && (((const unsigned long *)(const void *)set)[fd / (8 * (int)sizeof(long))] >>
		       (fd % (8 * (int)sizeof(long)))) &
			      1;
}

static void put_in_set(int fd, fd_set *set)
{
	((unsigned long *)(void *)set)[fd / (8 * (int)sizeof(long))] |=
		1ul << (fd % (8 * (int)sizeof(long)));
}

static void clear_set(int n, fd_set *set)
{
	if (set)
		memset(set, 0, ((size_t)n + 63) / 64 * 8);
}

static int give_sets(const struct pollfd *fds, nfds_t count, int n, fd_set *in, fd_set *out,
		     fd_set *ex)
{
	fd_set *asked_in = in, *asked_out = out;
	int found = 0;

	for (nfds_t i = 0; i < count; i++) {
		if (fds[i].revents & POLLNVAL)
			return -EBADF;
	}
	clear_set(n, in);
	clear_set(n, out);
	clear_set(n, ex);
	for (nfds_t i = 0; i < count; i++) {
		if (asked_in && (fds[i].events & POLLIN) &&
		    (fds[i].revents & (POLLIN | POLLHUP | POLLERR))) {
			put_in_set(fds[i].fd, in);
			found++;
		}
		if (asked_out && (fds[i].events & POLLOUT) &&
		    (fds[i].revents & (POLLOUT | POLLERR))) {
			put_in_set(fds[i].fd, out);
			found++;
		}
		if (ex && (fds[i].events & POLLPRI) && (fds[i].revents & POLLPRI)) {
			put_in_set(fds[i].fd, ex);
			found++;
		}
	}
	return found;
}

/* POLLHUP alone wakes poll() but is no answer for who asked for writing only: wait on without it.
 */
int call_select(int n, fd_set *in, fd_set *out, fd_set *ex, int64_t timeout_ns,
		const sigset_t *mask, bool *ours)
{
	struct pollfd *fds;
	nfds_t count = 0;
	int r;

	*ours = false;
	if (n < 0 || (unsigned int)n > FD_MAX)
		return -EINVAL;
	for (int fd = 0; fd < n && !*ours; fd++)
		*ours = (in_set(fd, in) || in_set(fd, out) || in_set(fd, ex)) &&
			(fd_sock(fd) || weir_set(fd));
	if (!*ours)
		return 0;
	fds = __builtin_alloca(((size_t)n + 1) * sizeof(*fds));
	for (int fd = 0; fd < n; fd++) {
		short events =
			(short)((in_set(fd, in) ? POLLIN : 0) | (in_set(fd, out) ? POLLOUT : 0) |
				(in_set(fd, ex) ? POLLPRI : 0));

		if (events)
			fds[count++] = (struct pollfd){ .fd = fd, .events = events };
	}
	r = call_poll(fds, count, timeout_ns, mask);
	if (r < 0)
		return r;
	return give_sets(fds, count, n, in, out, ex);
}
