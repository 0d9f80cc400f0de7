/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exec: sockets without close-on-exec stay usable in the new image. The control connection and a
 * file without a name, the list of sockets (struct handed), are made inheritable and named in the
 * new environment, each by number and inode, so that a number that means another file by then is
 * seen:
 *
 *   WEIR_SESSION=CONNECTION:INODE,LIST:INODE (hexadecimal)
 *
 * The new image (adopt.c) looks at the descriptors it has and finds those of the list by their
 * inodes. So whatever was done with them on the way (dup2() to 0, 1, 2, file actions of
 * posix_spawn(), redirections of a shell) is right by construction. What is not found is released.
 * Without such sockets nothing is handed over, and the new image attaches when it needs to.
 */
#include "shim/process/process.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not a struct lock: handlers must run beside it, since the new image and children inherit the
 * signal mask. A handler that starts a program itself goes on as the holder. */
static _Atomic(const struct thread_state *) exec_holder;
static unsigned int exec_depth;

void exec_lock_take(void)
{
	const struct thread_state *nobody = NULL;

	if (atomic_load(&exec_holder) != &thread_tls) {
		while (!atomic_compare_exchange_weak(&exec_holder, &nobody, &thread_tls)) {
			nobody = NULL;
			sched_yield();
		}
	}
	exec_depth++;
}

void exec_lock_drop(void)
{
	if (--exec_depth == 0)
		atomic_store(&exec_holder, NULL);
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	return R(syscall)(SYS_fstat, (long)fd, &st) < 0 ? 0 : st.st_ino;
}

static bool wanted(int fd, bool spawn)
{
	struct wsock *ws = fd_sock(fd);

	if (!ws)
		return false;
	if (spawn && (atomic_load(&ws->opts) & WS_SPAWN_DUP))
		return true;
	return !(R(fcntl64)(fd, F_GETFD) & FD_CLOEXEC);
}

static unsigned int count_wanted(bool spawn)
{
	unsigned int n = 0;

	for (unsigned int fd = 0; fd < fdtab_top(); fd++)
		n += wanted((int)fd, spawn);
	return n;
}

static bool listed(const struct handover *h, uint64_t inode)
{
	for (unsigned int i = h->count; i-- > 0;) {
		if (h->list[i].inode == inode)
			return true;
	}
	return false;
}

int handover_list(struct handover *h, bool spawn)
{
	bool live = atomic_load(&session.attached) && !session_is_dead();

	*h = (struct handover){ .list_fd = -1, .connection_fd = -1 };
	h->room = live ? count_wanted(spawn) : 0;
	if (h->room == 0)
		return 0;
	h->list = mmap(NULL, h->room * sizeof(*h->list), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (h->list == MAP_FAILED) {
		h->list = NULL;
		return -ENOMEM;
	}
	for (unsigned int fd = 0; fd < fdtab_top() && h->count < h->room; fd++) {
		struct wsock *ws = wanted((int)fd, spawn) ? fd_sock((int)fd) : NULL;
		struct handed *at = &h->list[h->count];

		/* Dups have the same inode. Many sockets with dups are rare: a short look back. */
		if (ws && handed_from(at, (int)fd, ws) &&
		    (atomic_load(&ws->obj.refs) < 2 || !listed(h, at->inode)))
			h->count++;
	}
	return 0;
}

static int write_list(const struct handover *h, int fd)
{
	const char *at = (const char *)h->list;
	size_t left = h->count * sizeof(*h->list);

	while (left) {
		ssize_t n = R(write)(fd, at, left);

		if (n <= 0)
			return -EIO;
		at += n;
		left -= (size_t)n;
	}
	return 0;
}

int handover_write(struct handover *h, int connection_fd)
{
	int fd = (int)R(syscall)(SYS_memfd_create, "weir-handed", (long)MFD_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	h->list_fd = fdtab_make_private(fd);
	h->connection_fd = connection_fd;
	err = write_list(h, h->list_fd);
	snprintf(h->text, sizeof(h->text), "%x:%llx,%x:%llx", (unsigned int)connection_fd,
		 (unsigned long long)inode_of(connection_fd), (unsigned int)h->list_fd,
		 (unsigned long long)inode_of(h->list_fd));
	return err;
}

void handover_inheritable(const struct handover *h, bool on)
{
	int flags = on ? 0 : FD_CLOEXEC;

	if (h->list_fd < 0)
		return;
	R(fcntl64)(h->connection_fd, F_SETFD, flags);
	R(fcntl64)(h->list_fd, F_SETFD, flags);
}

void handover_free(struct handover *h)
{
	fdtab_close_private(h->list_fd);
	h->list_fd = -1;
	if (h->list)
		munmap(h->list, h->room * sizeof(*h->list));
	h->list = NULL;
}

/* A set that is kept over exec is the kernel's there: nobody may find that out by waiting. */
static void say_deaf_sets(void)
{
	for (unsigned int fd = 0; fd < fdtab_top(); fd++) {
		struct epset *ep = fd_epset((int)fd);

		if (!ep || !epset_is_weir(ep) || (R(fcntl64)((int)fd, F_GETFD) & FD_CLOEXEC))
			continue;
		session_note("an epoll set without EPOLL_CLOEXEC was kept over exec: its sockets "
			     "on weir do not go along");
		return;
	}
}

int exec_env_make(char *const *envp, struct exec_env *env)
{
	int err;

	say_deaf_sets();
	exec_lock_take();
	err = handover_list(&env->handed, false);
	if (!err && env->handed.count)
		err = handover_write(&env->handed, session.fd);
	if (!err)
		err = env_make(envp, env->handed.count ? env->handed.text : NULL, env);
	if (err) {
		handover_free(&env->handed);
		exec_lock_drop();
		return err;
	}
	handover_inheritable(&env->handed, true);
	return 0;
}

void exec_env_undo(struct exec_env *env)
{
	int saved = errno;

	handover_inheritable(&env->handed, false);
	handover_free(&env->handed);
	env_free(env);
	exec_lock_drop();
	errno = saved;
}
