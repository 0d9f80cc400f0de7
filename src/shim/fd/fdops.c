/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * close, dup and fcntl. The shim's own descriptors are not there for the program: closing one is
 * EBADF, ranges go round them.
 */
#include "shim/call/names.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <unistd.h>

/* The last descriptor of a stream with SO_LINGER: wait till what was written has arrived, also
 * where the socket does not block otherwise, as Linux has it. */
static void linger(struct wsock *ws)
{
	struct ctl_args args = { .op = ABI_CTL_LINGER };
	int64_t linger_s = atomic_load(&ws->linger_s);

	if (atomic_load(&ws->obj.refs) != 1 || !ws->shm || session_is_dead() ||
	    ctl_call(ws, &args) != 0)
		return;
	sock_wait_sent(ws, deadline_after(linger_s * 1000000000));
}

/* The last descriptor of a datagram socket that each worker hears for: when close() returns, its
 * port is free. */
static void leave(struct wsock *ws)
{
	struct ctl_args args = { .op = ABI_CTL_LINGER };

	if (atomic_load(&ws->obj.refs) == 1 && ws->shm && ws->shm->shard_next != ABI_SOCK_NONE &&
	    !session_is_dead())
		(void)ctl_call(ws, &args);
}

/* A descriptor's reference goes, after the descriptor. */
static void put_descriptor(struct obj *o)
{
	struct wsock *ws = o->kind == OBJ_SOCK ? (struct wsock *)(void *)o : NULL;

	waiting_left(false);
	if (ws && atomic_load(&ws->linger_s) > 0)
		linger(ws);
	/* The C library's resolver sees a refusal in poll(), and closes without fetching it. */
	if (ws && ws->shm && ws->type == SOCK_DGRAM)
		names_refused(ws->shm, app_sock_error(ws->shm));
	if (ws && ws->type == SOCK_DGRAM && session.workers > 1)
		leave(ws);
	obj_put(o);
}

int call_close(int fd)
{
	struct obj *o;
	int r;

	if (fd_private(fd))
		return -EBADF;
	/* The table first: the number may be another thread's the moment the kernel has closed it.
	 */
	o = fdtab_take(fd);
	r = R(close)(fd) < 0 ? -errno : 0;
	if (o)
		put_descriptor(o);
	return r;
}

static int range_part(unsigned int first, unsigned int last, int flags)
{
	if (first > last)
		return 0;
	return R(close_range)(first, last, flags) < 0 ? -errno : 0;
}

int call_close_range(unsigned int first, unsigned int last, int flags)
{
	unsigned int top = fdtab_top();
	unsigned int from = first;
	int err = 0;

	if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
		return -EINVAL;
	for (unsigned int fd = first; fd <= last && fd < top && !err; fd++) {
		struct obj *o = fd_obj((int)fd);

		if (o == &fdtab_private) {
			if (fd > from)
				err = range_part(from, fd - 1, flags);
			from = fd + 1;
		} else if (o && !(flags & CLOSE_RANGE_CLOEXEC)) {
			o = fdtab_take((int)fd);
			if (o)
				put_descriptor(o);
		}
	}
	return err ? err : range_part(from, last, flags);
}

int call_dup(int fd)
{
	struct obj *o = fd_obj(fd);
	int new;

	if (o == &fdtab_private)
		return -EBADF;
	new = R(dup)(fd);
	if (new < 0)
		return -errno;
	if (o && (unsigned int)new < FD_MAX) {
		obj_get(o);
		fdtab_set(new, o);
	}
	return new;
}

int call_dup_onto(int old, int new, int flags, bool dup3)
{
	struct obj *o = fd_obj(old);
	struct obj *was;
	int r;

	if (fd_private(old) || fd_private(new))
		return -EBADF;
	r = dup3 ? R(dup3)(old, new, flags) : R(dup2)(old, new);
	if (r < 0)
		return -errno;
	if (old == new)
		return r;
	was = fdtab_take(new);
	if (o && (unsigned int)new < FD_MAX) {
		obj_get(o);
		fdtab_set(new, o);
	}
	if (was)
		put_descriptor(was);
	return r;
}

static int dup_above(struct obj *o, int fd, int cmd, unsigned long arg)
{
	int new = R(fcntl64)(fd, cmd, arg);

	if (new < 0)
		return -errno;
	if ((unsigned int)new < FD_MAX) {
		obj_get(o);
		fdtab_set(new, o);
	}
	return new;
}

int call_fcntl(struct obj *o, int fd, int cmd, unsigned long arg)
{
	struct wsock *ws = o->kind == OBJ_SOCK ? (struct wsock *)(void *)o : NULL;
	int r;

	if (o == &fdtab_private)
		return -EBADF;
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return dup_above(o, fd, cmd, arg);
	case F_GETFL:
		if (ws)
			return (int)(wsock_file_flags(ws) | O_RDWR);
		break;
	case F_SETFL:
		if (ws) {
			if (arg & O_DIRECT)
				return -EINVAL;
			/* O_APPEND and O_NOATIME mean nothing here, as in Linux. */
			wsock_change_file_flags(ws, O_NONBLOCK | O_APPEND | O_NOATIME,
						(uint32_t)arg);
			if ((wsock_file_flags(ws) ^ arg) & O_ASYNC)
				return async_set(ws, fd, arg & O_ASYNC);
			return 0;
		}
		break;
	default:
		break;
	}
	/* Descriptor flags, owners and the like are the placeholder's. */
	r = R(fcntl64)(fd, cmd, arg);
	if (ws && r >= 0 && (cmd == F_SETOWN || cmd == F_SETOWN_EX))
		owner_changed(ws, fd);
	return r < 0 ? -errno : r;
}
