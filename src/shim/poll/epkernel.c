/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's set. It holds the kernel descriptors of the set (with the program's own data), and
 * what wakes us: the bell of the set's channels, an eventfd to wake each other with, and the
 * connection of each process that has the set, to hear of its end. Whoever waits sleeps in there,
 * so the kernel wakes one for each ring, whatever process it is of.
 *
 * While the program is busy with weir sockets it is looked at every KERNEL_LOOK_NS only, so a busy
 * program makes no system call for each message.
 */
#include "shim/poll/epset.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define KERNEL_LOOK_NS 100000

void epset_kick(struct epset *ep)
{
	uint64_t one = 1;

	if (ep->kick >= 0)
		(void)!R(write)(ep->kick, &one, sizeof(one));
}

static int watch_own(struct epset *ep, int fd, uint32_t events, uint64_t tag)
{
	/* Edge-triggered: nobody reads them. */
	struct epoll_event event = { .events = events | EPOLLET, .data.u64 = tag };

	return R(epoll_ctl)(ep->fd, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST ? -errno : 0;
}

void epset_watch_session(struct epset *ep)
{
	if (ep->kick >= 0 && session.fd >= 0)
		watch_own(ep, session.fd, EPOLLRDHUP, EPSET_TAG_SESSION);
}

int epset_make_up(struct epset *ep)
{
	if (ep->up < 0)
		ep->up = fdtab_make_private(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	return ep->up < 0 ? -errno : 0;
}

void epset_tell_outers(struct epset *ep)
{
	uint64_t one = 1;

	if (!atomic_load_explicit(&ep->sh->outers, memory_order_relaxed))
		return;
	if (ep->up >= 0)
		(void)!R(write)(ep->up, &one, sizeof(one));
	else /* made by another process, after the fork */
		epset_kick(ep);
}

void epset_take_rings(struct epset *ep)
{
	struct epoll_event events[8];
	uint64_t rings;

	if (ep->kick < 0)
		return;
	if (ep->sh->kernel_items <= 0) {
		for (int n = 8; n == 8;) {
			n = R(epoll_wait)(ep->fd, events, 8, 0);
			epset_kernel_strip(ep, events, n);
		}
		return;
	}
	/* The program's own events are not ours to take. */
	if (ep->bell >= 0)
		bell_clear(ep->bell);
	(void)!R(read)(ep->kick, &rings, sizeof(rings));
	epset_tell_outers(ep);
}

int epset_make_kick(struct epset *ep)
{
	int fd, err;

	if (ep->kick >= 0)
		return 0;
	fd = fdtab_make_private(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (fd < 0)
		return -errno;
	err = watch_own(ep, fd, EPOLLIN, EPSET_TAG_BELL);
	if (err) {
		fdtab_close_private(fd);
		return err;
	}
	ep->kick = fd;
	epset_watch_session(ep);
	return 0;
}

void epset_channels(const struct epset *ep, struct abi_channel *channels[ABI_MAX_WORKERS])
{
	for (unsigned int i = 0; i < ABI_MAX_WORKERS; i++) {
		uint64_t offset = ep->sh->channel_at[i];

		channels[i] = offset ? (struct abi_channel *)(void *)(session.base + offset) : NULL;
	}
}

static int make_channel(struct epset *ep, unsigned int worker)
{
	struct abi_channel *channels[ABI_MAX_WORKERS], *ch = NULL;
	int err;

	epset_channels(ep, channels);
	for (unsigned int i = 0; i < session.workers && !ch; i++)
		ch = channels[i];
	err = session_channel(&ch, worker, ABI_CQ_EPOLL, ABI_BELL_EVENT | ABI_CHANNEL_SHARED,
			      &ep->bell);
	if (err)
		return err;
	ep->sh->overflow_seen[worker] = atomic_load(&ch->cq_overflow);
	ep->sh->channel_at[worker] = (uint64_t)((uint8_t *)ch - session.base);
	return watch_own(ep, ep->bell, EPOLLIN, EPSET_TAG_BELL);
}

int epset_make_channels(struct epset *ep, uint32_t workers)
{
	int err = epset_make_kick(ep);

	for (unsigned int i = 0; i < session.workers && !err; i++) {
		if ((workers >> i & 1) && !ep->sh->channel_at[i])
			err = make_channel(ep, i);
	}
	return err;
}

static void set_edge(struct epset *ep, uint32_t id)
{
	bool locked = epset_lock(ep); /* or this thread has it already */

	epshare_set_edge(ep->sh, id);
	if (locked)
		epset_unlock(ep);
}

/* Leave out what is ours among the kernel's events. Returns how many are left. */
int epset_kernel_strip(struct epset *ep, struct epoll_event *events, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++) {
		uint64_t tag = events[i].data.u64;

		if (tag == EPSET_TAG_SESSION)
			session_check();
		else if ((tag & EPSET_TAG_MASK) == EPSET_TAG_SET)
			set_edge(ep, (uint32_t)tag);
		else if (tag != EPSET_TAG_BELL && tag != EPSET_TAG_UP)
			events[kept++] = events[i];
	}
	if (kept < n)
		epset_tell_outers(ep);
	return kept;
}

void epset_say_sleeping(struct epset *ep)
{
	struct abi_channel *channels[ABI_MAX_WORKERS];

	epset_channels(ep, channels);
	for (unsigned int i = 0; i < session.workers; i++) {
		if (channels[i])
			atomic_store_explicit(&channels[i]->sleeping, 1, memory_order_relaxed);
	}
	atomic_thread_fence(memory_order_seq_cst);
}

int epset_kernel_look(struct epset *ep, struct epoll_event *events, int max)
{
	int n = R(epoll_wait)(ep->fd, events, max, 0);
	int kept = epset_kernel_strip(ep, events, n);

	/* Whoever sleeps was rung for, and has not heard it: the bell was taken here. */
	if (kept < n && atomic_load(&ep->sh->sleepers) > 0)
		epset_say_sleeping(ep);
	return kept;
}

bool epset_kernel_due(struct epset *ep, bool force)
{
	int64_t now;

	if (ep->sh->kernel_items <= 0)
		return false;
	if (force)
		return true;
	now = now_ns();
	if (now - ep->sh->kernel_look_ns < KERNEL_LOOK_NS)
		return false;
	ep->sh->kernel_look_ns = now;
	return true;
}
