/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGIO: O_ASYNC with fcntl(F_SETFL) and ioctl(FIOASYNC).
 *
 * The socket's descriptors become those of a UNIX stream, whose other end the engine has
 * (ABI_BELL_ASYNC, sock/async.c): from then on the kernel makes the signals, for the owner that it
 * keeps (F_SETOWN), by the number it keeps (F_SETSIG), while this process has the socket. Nothing
 * here is read, nor asked again: the program may take its signals as it likes.
 */
#include "shim/shim.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#ifndef F_GETSIG
#define F_GETSIG 11
#endif

struct async {
	struct async *next_free;
	struct abi_channel *channel[ABI_MAX_WORKERS];
};

static struct async *free_list;
static struct lock lock;

static struct async *async_new(void)
{
	struct async *a;

	lock_take(&lock);
	a = free_list;
	if (a)
		free_list = a->next_free;
	lock_drop(&lock);
	if (!a)
		a = slab_more(sizeof(*a));
	if (a)
		memset(a, 0, sizeof(*a));
	return a;
}

void async_gone(struct wsock *ws)
{
	struct async *a = ws->async;

	if (!a)
		return;
	ws->async = NULL;
	for (unsigned int i = 0; i < ABI_MAX_WORKERS; i++) {
		if (a->channel[i])
			session_channel_free(a->channel[i]);
	}
	lock_take(&lock);
	a->next_free = free_list;
	free_list = a;
	lock_drop(&lock);
}

/* The channels are the parent's; it goes on. */
void async_after_fork(void)
{
	for (unsigned int fd = 0; fd < fdtab_top(); fd++) {
		struct wsock *ws = fd_sock((int)fd);

		if (ws)
			ws->async = NULL;
	}
}

/* A channel for each worker that has a part of the socket, all with one bell. */
static int channels_make(struct wsock *ws, struct async *a, int *bell)
{
	struct abi_channel *ch = NULL;
	struct abi_sock *shm = ws->shm;
	int err = 0;

	for (unsigned int n = 0; shm && !err; n++) {
		unsigned int worker = shm->worker % ABI_MAX_WORKERS;

		if (!a->channel[worker]) {
			err = session_channel(&ch, worker, 1, ABI_BELL_ASYNC, bell);
			a->channel[worker] = ch;
		}
		shm = wsock_next_shard(shm, n);
	}
	return err;
}

static void put_at(int bell, int fd)
{
	int flags = R(fcntl64)(fd, F_GETFD);

	R(dup3)(bell, fd, flags >= 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0);
}

/* The bell is at every descriptor of the socket, with what was set there. */
static void put_everywhere(const struct wsock *ws, int fd, int bell)
{
	struct f_owner_ex who = { 0 };
	int sig = R(fcntl64)(fd, F_GETSIG);

	if (R(fcntl64)(fd, F_GETOWN_EX, &who) == 0 && who.pid)
		R(fcntl64)(bell, F_SETOWN_EX, &who);
	if (sig > 0)
		R(fcntl64)(bell, F_SETSIG, sig);
	for (unsigned int at = 0; at < fdtab_top(); at++) {
		if (fd_sock((int)at) == ws)
			put_at(bell, (int)at);
	}
}

static int begin(struct wsock *ws, int fd)
{
	int err, bell = -1;
	struct async *a;

	err = atomic_load(&ws->opts) & WS_QUIET ? 0 : ctl_create(ws);
	if (err || !ws->shm)
		return err;
	a = async_new();
	if (!a)
		return -ENOMEM;
	ws->async = a;
	err = channels_make(ws, a, &bell);
	if (err) {
		async_gone(ws);
		fdtab_close_private(bell);
		return err == -ENOSPC ? -ENOLCK : err;
	}
	put_everywhere(ws, fd, bell);
	fdtab_close_private(bell);
	wsock_watch(ws, a->channel,
		    ABI_EV_IN | ABI_EV_PRI | ABI_EV_OUT | ABI_EV_ERR | ABI_EV_HUP | ABI_EV_RDHUP);
	return 0;
}

/* 0 or -errno. fd is what si_fd will say. */
int async_set(struct wsock *ws, int fd, bool on)
{
	int err = on && !ws->async ? begin(ws, fd) : 0;

	if (err)
		return err;
	if (R(fcntl64)(fd, F_SETFL, on ? O_ASYNC | O_NONBLOCK : O_NONBLOCK) < 0)
		return -errno;
	if (!on)
		async_gone(ws);
	wsock_change_file_flags(ws, O_ASYNC, on ? O_ASYNC : 0);
	return 0;
}

/* Behind exec: the image before had its channels. */
void async_adopt(struct wsock *ws, int fd)
{
	if (ws->shm && !ws->async && (wsock_file_flags(ws) & O_ASYNC))
		(void)async_set(ws, fd, true);
}
