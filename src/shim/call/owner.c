/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGURG for a socket's owner (F_SETOWN).
 *
 * The owner itself is the placeholder's: the kernel judges and keeps it, over dup, fork and exec.
 * To make the signal, a pair of UNIX sockets (ABI_BELL_SOCKET): the engine's end is the bell of
 * channels on which sockets are watched for ABI_EV_URG; our end has O_ASYNC, the same owner, and
 * SIGURG as its signal. So it is the kernel that signals, with its own checks, and nobody else
 * trusts a pid. There is one such pair for each owner that sockets of this process have at one
 * time.
 *
 * Nobody waits on these channels: their completions say nothing that the ring did not and are
 * never taken, so setting `sleeping` again is all there is to hear of the next mark, and may be
 * done anywhere. It is done when the signal arrives in this process, before its handler runs, and
 * before urgent data is looked at; what came before that is what the handler or the reader sees.
 */
#include "shim/shim.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG_MAX 64

struct owner {
	_Atomic(struct owner *) next;
	struct f_owner_ex who;
	unsigned int socks; /* none: free for the next owner */
	int heard;	    /* our end; -1 */
	_Atomic(struct abi_channel *) channel[ABI_MAX_WORKERS];
};

static _Atomic(struct owner *) owners;
static struct lock list_lock;

void owner_hears(struct owner *owner)
{
	uint8_t bytes[16];

	for (int i = 0; i < BACKLOG_MAX; i++) {
		if (R(recv)(owner->heard, bytes, sizeof(bytes), MSG_DONTWAIT) < 0)
			break;
	}
	for (unsigned int i = 0; i < session.workers; i++) {
		struct abi_channel *ch = atomic_load(&owner->channel[i]);

		if (ch)
			atomic_store(&ch->sleeping, 1);
	}
}

void owners_signalled(void)
{
	for (struct owner *owner = atomic_load(&owners); owner; owner = atomic_load(&owner->next))
		owner_hears(owner);
}

/* ---- under the lock ---- */

static struct abi_channel *channel_to(struct owner *owner, unsigned int worker)
{
	struct abi_channel *ch = atomic_load(&owner->channel[worker]);

	if (ch)
		return ch;
	for (unsigned int i = 0; i < session.workers && !ch; i++)
		ch = atomic_load(&owner->channel[i]);
	if (session_channel(&ch, worker, 1, ABI_BELL_SOCKET, &owner->heard) == 0)
		atomic_store(&owner->channel[worker], ch);
	return ch;
}

static int set_who(struct owner *owner, const struct f_owner_ex *who)
{
	if (R(fcntl64)(owner->heard, F_SETOWN_EX, who) < 0 ||
	    R(fcntl64)(owner->heard, F_SETSIG, SIGURG) < 0 ||
	    R(fcntl64)(owner->heard, F_SETFL, O_ASYNC | O_NONBLOCK) < 0)
		return -errno;
	owner->who = *who;
	return 0;
}

static struct owner *owner_new(unsigned int worker)
{
	struct owner *owner = slab_more(sizeof(*owner));

	if (!owner)
		return NULL;
	memset(owner, 0, sizeof(*owner));
	owner->heard = -1;
	if (!channel_to(owner, worker))
		return NULL;
	atomic_store(&owner->next, atomic_load(&owners));
	atomic_store(&owners, owner);
	return owner;
}

static struct owner *owner_for(const struct f_owner_ex *who, unsigned int worker)
{
	struct owner *unused = NULL;

	for (struct owner *owner = atomic_load(&owners); owner; owner = atomic_load(&owner->next)) {
		if (owner->socks == 0)
			unused = owner;
		else if (owner->who.type == who->type && owner->who.pid == who->pid)
			return owner;
	}
	if (!unused)
		unused = owner_new(worker);
	return unused && set_who(unused, who) == 0 ? unused : NULL;
}

static void leave(struct wsock *ws)
{
	struct abi_channel *ch;

	if (!ws->owner)
		return;
	ch = atomic_load(&ws->owner->channel[ws->shm->worker % ABI_MAX_WORKERS]);
	if (ch && !session_is_dead())
		submit_sock(ws, ABI_OP_UNWATCH, ch->index, 0);
	ws->owner->socks--;
	ws->owner = NULL;
}

static void join(struct wsock *ws, const struct f_owner_ex *who)
{
	unsigned int worker = ws->shm->worker % ABI_MAX_WORKERS;
	struct owner *owner = owner_for(who, worker);
	struct abi_channel *ch;

	ch = owner ? channel_to(owner, worker) : NULL;
	if (!ch)
		return;
	owner->socks++;
	ws->owner = owner;
	owner_hears(owner);
	submit_sock(ws, ABI_OP_WATCH, ch->index, ABI_EV_URG);
}

/* ---- for the others ---- */

/* A handler may call fcntl(), and close(): none may run while this thread has the lock. */
static void enter(sigset_t *mask)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, mask);
	lock_take(&list_lock);
}

static void done(const sigset_t *mask)
{
	lock_drop(&list_lock);
	pthread_sigmask(SIG_SETMASK, mask, NULL);
}

void owner_changed(struct wsock *ws, int fd)
{
	struct f_owner_ex who = { 0 };
	sigset_t mask;

	if (ws->type != SOCK_STREAM || R(fcntl64)(fd, F_GETOWN_EX, &who) < 0 ||
	    (who.pid == 0 && !ws->owner))
		return;
	if (!ws->shm && ((atomic_load(&ws->opts) & WS_QUIET) || ctl_create(ws)))
		return;
	enter(&mask);
	leave(ws);
	if (who.pid != 0)
		join(ws, &who);
	done(&mask);
}

/* The image before had its channels; what a parent set is the parent's to serve. */
void owner_adopt(struct wsock *ws, int fd)
{
	struct f_owner_ex who;

	if (ws->shm && !ws->owner && R(fcntl64)(fd, F_GETOWN_EX, &who) == 0 &&
	    who.type == F_OWNER_PID && who.pid == getpid())
		owner_changed(ws, fd);
}

void owner_gone(struct wsock *ws)
{
	sigset_t mask;

	enter(&mask);
	leave(ws);
	done(&mask);
}

void owners_lock(bool take)
{
	if (take)
		lock_take(&list_lock);
	else
		lock_drop(&list_lock);
}

/* The parent's channels go on signalling; this process has none yet. */
void owners_after_fork(void)
{
	struct owner *owner = atomic_load(&owners);

	atomic_store(&owners, NULL);
	for (; owner; owner = atomic_load(&owner->next)) {
		fdtab_close_private(owner->heard);
	}
	for (unsigned int fd = 0; fd < fdtab_top(); fd++) {
		struct wsock *ws = fd_sock((int)fd);

		if (ws)
			ws->owner = NULL;
	}
}
