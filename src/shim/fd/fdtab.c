/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptor -> socket or epoll set: an array, read without a lock. Objects are counted
 * (descriptors of this process, and calls that wait); their memory keeps its type for ever, so a
 * reader that loses a race with close() sees an object of the right kind, if perhaps another one:
 * what a program that closes a descriptor under another thread's feet gets from the kernel as well.
 */
#include "shim/interpose/raw.h"
#include "shim/shim.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLAB_BYTES (64u << 10)
#define PRIVATE_BASE_MAX 30000

_Atomic(struct obj *) fdtab[FD_MAX];
struct obj fdtab_private = { .kind = OBJ_PRIVATE };

static _Atomic unsigned int top;
static struct lock slab_lock;
static uint8_t *slab_at, *slab_end;
static struct lock free_lock;
/* Oldest first: a freed socket's memory rests as long as possible. */
static struct obj *free_first, *free_last;

void lock_take(struct lock *lock)
{
	uint32_t free_word = 0;

	signals_hold();
	while (!atomic_compare_exchange_weak_explicit(&lock->word, &free_word, 1,
						      memory_order_acquire, memory_order_relaxed)) {
		free_word = 0;
		sched_yield();
	}
}

void lock_drop(struct lock *lock)
{
	atomic_store_explicit(&lock->word, 0, memory_order_release);
	signals_release();
}

void *slab_more(size_t bytes)
{
	void *p = NULL;

	bytes = (bytes + 63) & ~(size_t)63;
	lock_take(&slab_lock);
	if ((size_t)(slab_end - slab_at) < bytes) {
		size_t want = bytes > SLAB_BYTES ? bytes : SLAB_BYTES;
		uint8_t *m = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0);

		if (m == MAP_FAILED)
			goto out;
		slab_at = m;
		slab_end = m + want;
	}
	p = slab_at;
	slab_at += bytes;
out:
	lock_drop(&slab_lock);
	return p;
}

struct wsock *wsock_new(void)
{
	struct wsock *ws;
	struct obj *o;

	lock_take(&free_lock);
	o = free_first;
	if (o) {
		free_first = o->next_free;
		if (!free_first)
			free_last = NULL;
	}
	lock_drop(&free_lock);
	ws = o ? (struct wsock *)(void *)o : slab_more(sizeof(*ws));
	if (!ws)
		return NULL;
	memset(ws, 0, sizeof(*ws));
	ws->obj.kind = OBJ_SOCK;
	ws->index = ABI_SOCK_NONE;
	ws->fd = -1;
	atomic_store(&ws->obj.refs, 1);
	return ws;
}

void obj_get(struct obj *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
}

static void wsock_free(struct wsock *ws)
{
	if (ws->owner)
		owner_gone(ws);
	if (ws->async)
		async_gone(ws);
	if (ws->ring)
		packet_ring_free(ws);
	if (ws->shm && !session_is_dead())
		submit_sock(ws, ABI_OP_RELEASE, 0, 0);
	if (atomic_load(&ws->watched) || epset_any_forked())
		epset_sock_closed(ws);
	lock_take(&free_lock);
	ws->obj.next_free = NULL;
	if (free_last)
		free_last->next_free = &ws->obj;
	else
		free_first = &ws->obj;
	free_last = &ws->obj;
	lock_drop(&free_lock);
}

void obj_put(struct obj *o)
{
	if (o == &fdtab_private || atomic_fetch_sub(&o->refs, 1) != 1)
		return;
	if (o->kind == OBJ_SOCK)
		wsock_free((struct wsock *)(void *)o);
	else if (o->kind == OBJ_EPOLL)
		epset_free((struct epset *)(void *)o);
	else if (o->kind == OBJ_NETLINK)
		netlink_free((struct nlsock *)(void *)o);
}

void wsock_tell_fd(struct wsock *ws)
{
	if (ws->shm && ws->fd >= 0)
		atomic_store_explicit(&ws->shm->fd, (uint32_t)ws->fd + 1, memory_order_relaxed);
}

/* The descriptor goes that was told: another one is, if this process has one. */
static void tell_another(struct wsock *ws, int gone)
{
	unsigned int n = atomic_load_explicit(&top, memory_order_relaxed);

	if (ws->fd != gone)
		return;
	ws->fd = -1;
	if (atomic_load_explicit(&ws->obj.refs, memory_order_relaxed) == 1)
		return;
	for (unsigned int fd = 0; fd < n && ws->fd < 0; fd++) {
		if (fd_obj((int)fd) == &ws->obj)
			ws->fd = (int)fd;
	}
	wsock_tell_fd(ws);
}

void fdtab_set(int fd, struct obj *o)
{
	struct wsock *ws = o->kind == OBJ_SOCK ? (struct wsock *)(void *)o : NULL;
	unsigned int seen = atomic_load_explicit(&top, memory_order_relaxed);
	struct obj *old;

	while (seen <= (unsigned int)fd &&
	       !atomic_compare_exchange_weak(&top, &seen, (unsigned int)fd + 1))
		;
	old = atomic_exchange(&fdtab[fd], o);
	if (ws && ws->fd < 0) {
		ws->fd = fd;
		wsock_tell_fd(ws);
	}
	if (old)
		obj_put(old);
}

struct obj *fdtab_take(int fd)
{
	struct obj *o;

	/* Nearly every close() is of a kernel descriptor: look before writing. */
	if (!fd_obj(fd))
		return NULL;
	o = atomic_exchange(&fdtab[fd], NULL);
	if (o && o->kind == OBJ_EPOLL)
		epset_fd_gone((struct epset *)(void *)o, fd);
	else if (o && o->kind == OBJ_SOCK)
		tell_another((struct wsock *)(void *)o, fd);
	return o;
}

unsigned int fdtab_top(void)
{
	return atomic_load_explicit(&top, memory_order_relaxed);
}

int fdtab_placeholder(struct wsock *ws, int flags)
{
	int type = (ws->type == SOCK_PACKET ? SOCK_DGRAM : ws->type) | (flags & SOCK_CLOEXEC);
	int fd = R(socket)(AF_UNIX, type, 0);

	if (fd < 0)
		return -errno;
	if ((unsigned int)fd >= FD_MAX) {
		R(close)(fd);
		return -EMFILE;
	}
	fdtab_set(fd, &ws->obj);
	return fd;
}

int fdtab_make_private(int fd)
{
	struct rlimit limit;
	int base = 512;
	int high;

	if (fd < 0)
		return fd;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 64) {
		base = limit.rlim_cur > 2 * PRIVATE_BASE_MAX ? PRIVATE_BASE_MAX
							     : (int)(limit.rlim_cur * 3 / 4);
	}
	high = R(fcntl64)(fd, F_DUPFD_CLOEXEC, base);
	if (high >= 0) {
		raw_syscall3(SYS_close, fd, 0, 0);
		fd = high;
	} else {
		R(fcntl64)(fd, F_SETFD, FD_CLOEXEC);
	}
	if ((unsigned int)fd < FD_MAX)
		fdtab_set(fd, &fdtab_private);
	return fd;
}

void fdtab_close_private(int fd)
{
	if (fd < 0)
		return;
	if ((unsigned int)fd < FD_MAX)
		atomic_store(&fdtab[fd], NULL);
	raw_syscall3(SYS_close, fd, 0, 0);
}

void fdtab_lock(bool take)
{
	if (take) {
		lock_take(&slab_lock);
		lock_take(&free_lock);
	} else {
		lock_drop(&free_lock);
		lock_drop(&slab_lock);
	}
}
