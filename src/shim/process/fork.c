/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fork(): the child is a session of its own in the same family. The parent makes its connection and
 * has the engine count the child's references (ABI_MSG_FORK) before it forks, so there is no moment
 * in which a socket of the child's could be closed. pthread_atfork() handlers do it: they also run
 * for the fork() inside daemon() and forkpty(), and not for posix_spawn(), which only execs.
 */
#include "shim/foreign/foreign.h"
#include "shim/process/process.h"
#include "shim/rewrite/dispatch.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct lock fork_lock;
static int child_fd = -1;

/* What was not created yet would be created twice. */
static void create_all(void)
{
	unsigned int top = fdtab_top();

	for (unsigned int fd = 0; fd < top; fd++) {
		struct wsock *ws = fd_sock((int)fd);

		if (ws && !ws->shm && !(atomic_load(&ws->opts) & WS_QUIET))
			ctl_create(ws);
	}
}

int session_for_child(const uint32_t *words, uint32_t word_count)
{
	size_t bytes = sizeof(struct abi_msg) + word_count * sizeof(uint32_t);
	/* fork() must go with the address space at its limit, as it does without us. */
	struct abi_msg small, *msg = &small;
	int pair[2], fd;

	if (word_count)
		msg = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (msg == MAP_FAILED)
		return -ENOMEM;
	if (R(socketpair)(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		fd = -errno;
		if (msg != &small)
			munmap(msg, bytes);
		return fd;
	}
	*msg = (struct abi_msg){ .type = ABI_MSG_FORK, .version = ABI_VERSION };
	msg->arg[1] = words != NULL;
	msg->word_count = word_count;
	if (word_count)
		memcpy(msg->words, words, word_count * sizeof(uint32_t));
	fd = session_request(msg, pair[1]);
	if (fd == 0)
		fd = fdtab_make_private(pair[0]);
	else
		R(close)(pair[0]);
	R(close)(pair[1]);
	if (msg != &small)
		munmap(msg, bytes);
	return fd;
}

static void locks(bool take)
{
	if (take) {
		epset_lock_all(true);
		owners_lock(true);
		lock_take(&session.lock);
		spawn_lock(true);
		channels_lock(true);
		fdtab_lock(true);
		netlink_lock(true);
		signals_lock(true);
	} else {
		signals_lock(false);
		netlink_lock(false);
		fdtab_lock(false);
		channels_lock(false);
		spawn_lock(false);
		lock_drop(&session.lock);
		owners_lock(false);
		epset_lock_all(false);
	}
}

static void prepare(void)
{
	lock_take(&fork_lock);
	exec_lock_take();
	child_fd = -1;
	epset_before_fork();
	/* Whether there is a session is the same till the child is there. */
	session_attach_lock(true);
	if (atomic_load(&session.attached) && !session_is_dead()) {
		create_all();
		child_fd = session_for_child(NULL, 0);
	}
	locks(true);
}

static void parent(void)
{
	locks(false);
	fdtab_close_private(child_fd);
	child_fd = -1;
	session_attach_lock(false);
	exec_lock_drop();
	lock_drop(&fork_lock);
}

static void no_room_for_child(void)
{
	atomic_store(&session.dead, true);
	session_say("weir: weird has no room for another process (its log says why): this one, "
		    "which was just forked, has no network.\n");
}

/* Other threads of the parent's were creating them. */
static void unlock_creation(void)
{
	for (unsigned int fd = 0; fd < fdtab_top(); fd++) {
		struct wsock *ws = fd_sock((int)fd);

		if (ws)
			atomic_store(&ws->create_lock.word, 0);
	}
}

static void child(void)
{
	locks(false);
	unlock_creation();
	session.owed = 0;
	/* The kernel forgets it in a child. */
	if (foreign_active)
		foreign_watch();
	rewrite_forked();
	atomic_fetch_add(&session.epoch, 1);
	thread_tls.tid = 0;
	if (atomic_load(&session.attached)) {
		fdtab_close_private(session.fd);
		session.fd = child_fd;
		if (child_fd < 0 && !session_is_dead())
			no_room_for_child();
		owners_after_fork();
		async_after_fork();
		channels_after_fork();
	}
	epset_forked();
	child_fd = -1;
	session_attach_lock(false);
	exec_lock_drop();
	lock_drop(&fork_lock);
}

long call_clone(long number, const long *a)
{
	/* clone3() has them in a struct of which they are the first member. */
	uint64_t flags = number == SYS_clone ? (uint64_t)a[0]
			 : a[0]		     ? *(const uint64_t *)a[0]
					     : CLONE_VM;
	long r;

	/* A thread, or one that borrows our memory: no process of its own. */
	if (flags & CLONE_VM)
		return R(syscall)(number, a[0], a[1], a[2], a[3], a[4]);
	prepare();
	r = R(syscall)(number, a[0], a[1], a[2], a[3], a[4]);
	if (r == 0) {
		child();
	} else {
		int saved = errno;

		parent();
		errno = saved;
	}
	return r;
}

void process_init(void)
{
	pthread_atfork(prepare, parent, child);
}
