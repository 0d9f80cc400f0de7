/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Foreign threads and processes. clone() for a thread makes a thread of our C library, whose start
 * routine becomes the foreign thread: its stack pointer, its thread area, its tid words. When it
 * exits, it comes back to the start routine and ends as the library's threads end; the word that
 * the kernel would have cleared (CLONE_CHILD_CLEARTID) is cleared by us, last of all, since the
 * program may then free the stack. clone() for a process, fork and vfork are the C library's
 * fork(): the session goes with it (process/fork.c), and a child of vfork() that borrowed our
 * memory would change our tables.
 */
#include "shim/foreign/foreign.h"
#include "shim/rewrite/xsave.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ARCH_SET_GS 0x1001
#define ARCH_GET_FS 0x1003
#define HWCAP2_FSGSBASE 2ul
#define SET_BYTES 8
#define STACK_BYTES (512ul << 10)
#define STACK_SPARE (64ul << 10) /* of a thread's stack, for what the C library has there */
#define ALT_BYTES (64ul << 10)
#define PAGE 4096ul

/* Shared libraries, and so all code of ours, lie in the upper half of the address space; what is
 * mapped there makes its calls undisturbed. */
#define OURS_FIRST 0x700000000000ul
#define OURS_END 0x7ffffffff000ul

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

bool foreign_active;
uint32_t foreign_save_bytes, foreign_save_mask;
static const uint8_t selector = 1; /* block: every call from outside of our region is told */
static _Atomic bool threads_made;

bool foreign_threads_made(void)
{
	return atomic_load(&threads_made);
}

int foreign_watch(void)
{
	return (int)raw_call(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON,
			     OURS_FIRST, OURS_END - OURS_FIRST, (long)&selector, 0);
}

/* ---- blocks ---- */

static struct foreign_thread *block_new(void)
{
	size_t bytes = 2 * PAGE + ALT_BYTES;
	uint8_t *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct foreign_thread *t = (void *)m;

	if (m == MAP_FAILED)
		return NULL;
	t->self = t;
	t->memory = m;
	t->bytes = bytes;
	mprotect(m + PAGE, PAGE, PROT_NONE);
	t->alt.ss_sp = m + 2 * PAGE;
	t->alt.ss_size = ALT_BYTES;
	return t;
}

/* The calling thread's from now on. A site may raise its signal where there is no stack at all. */
static int block_use(struct foreign_thread *t)
{
	uint64_t fs = 0;
	int err = (int)raw_call(SYS_arch_prctl, ARCH_SET_GS, (long)t, 0, 0, 0, 0);

	if (!err)
		err = (int)raw_call(SYS_arch_prctl, ARCH_GET_FS, (long)&fs, 0, 0, 0, 0);
	t->our_fs = t->its_fs = fs;
	if (!err)
		err = (int)raw_call(SYS_sigaltstack, (long)&t->alt, 0, 0, 0, 0, 0);
	return err ? err : foreign_watch();
}

/* How much the vector registers need, and which there are (x87 is left alone). */
static bool vector_size(void)
{
	struct xsave x = xsave_here();

	foreign_save_mask = x.mask;
	foreign_save_bytes = x.bytes;
	return x.how == XSAVE_COMPACT;
}

static bool stack_new(struct foreign_thread *t)
{
	uint8_t *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (stack == MAP_FAILED)
		return false;
	mprotect(stack, PAGE, PROT_NONE);
	t->stack_low = (uint64_t)(stack + PAGE);
	t->stack_top = (uint64_t)(stack + STACK_BYTES);
	return true;
}

/* Ours are in that region, and the program's code is not? With another layout (ulimit -s unlimited,
 * a loader that was called by its name) nothing of it would be told. */
static bool apart(uintptr_t at)
{
	uintptr_t here = (uintptr_t)foreign_enter;

	return here >= OURS_FIRST && here < OURS_END && (at < OURS_FIRST || at >= OURS_END);
}

int foreign_start(uintptr_t at, const char **why)
{
	struct foreign_thread *t;
	int err;

	*why = "it makes system calls of its own, and lies in memory where libraries do (ulimit -s "
	       "unlimited, or a loader that is called by its name)";
	if (!apart(at))
		return -EOPNOTSUPP;
	*why = "this kernel or processor has no FSGSBASE instructions (Linux 5.9), which such "
	       "programs need here";
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) || !vector_size())
		return -EOPNOTSUPP;
	*why = "there is no memory";
	t = block_new();
	if (!t || !stack_new(t))
		return -ENOMEM;
	t->main = true;
	*why = "this kernel has no Syscall User Dispatch (Linux 5.11), which such programs need "
	       "here";
	err = foreign_handlers_start();
	if (!err)
		err = block_use(t);
	foreign_active = !err;
	return err;
}

long foreign_sigaltstack(const stack_t *ss, stack_t *old)
{
	struct foreign_thread *t = foreign_self();
	stack_t before, wanted;
	long r;

	if (ss)
		wanted = *ss;
	/* Without one of its own the thread has ours, which it does not see. */
	r = raw_call(SYS_sigaltstack,
		     ss ? (long)(wanted.ss_flags & SS_DISABLE ? &t->alt : &wanted) : 0,
		     (long)&before, 0, 0, 0, 0);
	if (!r && old) {
		*old = before;
		if (before.ss_sp == t->alt.ss_sp)
			*old = (stack_t){ .ss_flags = SS_DISABLE };
	}
	return r;
}

/* ---- threads ---- */

struct birth {
	struct foreign_regs regs;
	uint64_t mask;
	long flags;
	uint32_t *parent_tid, *child_tid;
	struct foreign_thread *block;
	_Atomic uint32_t tid; /* 0: not begun; with the top bit: -errno */
};

static void set_mask(uint64_t mask, uint64_t *old)
{
	raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, (long)old, SET_BYTES, 0, 0);
}

static void tell(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store(word, value);
	raw_call(SYS_futex, (long)word, FUTEX_WAKE, 1, 0, 0, 0);
}

/* The tid words as clone() sets them. In the child. */
static void set_tids(struct foreign_thread *t, long flags, uint32_t *parent_tid,
		     uint32_t *child_tid, uint32_t tid)
{
	if (flags & CLONE_PARENT_SETTID)
		*parent_tid = tid;
	if (flags & CLONE_CHILD_SETTID)
		*child_tid = tid;
	t->clear_tid = flags & CLONE_CHILD_CLEARTID ? child_tid : NULL;
}

static void become(struct birth *b)
{
	struct foreign_thread *t = b->block;
	struct foreign_regs regs = b->regs;
	uint64_t mask = b->mask;
	uint32_t tid = (uint32_t)raw_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
	int err = block_use(t);

	if (err) {
		tell(&b->tid, (uint32_t)err);
		return;
	}
	t->stack_low = (uint64_t)__builtin_frame_address(0) - (STACK_BYTES - STACK_SPARE);
	set_tids(t, b->flags, b->parent_tid, b->child_tid, tid);
	/* From here on b is the creator's again. */
	tell(&b->tid, tid);
	set_mask(mask, NULL);
	foreign_run(&regs);
}

static void clear_tid(const struct foreign_thread *t)
{
	uint32_t *word = t->clear_tid;

	if (!word)
		return;
	__atomic_store_n(word, 0, __ATOMIC_SEQ_CST);
	raw_call(SYS_futex, (long)word, FUTEX_WAKE, 1, 0, 0, 0);
}

static void *thread_main(void *arg)
{
	struct birth *b = arg;
	struct foreign_thread *t = b->block;
	stack_t none = { .ss_flags = SS_DISABLE };

	become(b);
	set_mask(~0ull, NULL);
	raw_call(SYS_sigaltstack, (long)&none, 0, 0, 0, 0, 0);
	clear_tid(t);
	raw_call(SYS_arch_prctl, ARCH_SET_GS, 0, 0, 0, 0, 0);
	munmap(t->memory, t->bytes);
	return NULL;
}

static int spawn(struct birth *b)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = R(pthread_create)(&thread, &attr, thread_main, b);
	pthread_attr_destroy(&attr);
	return -err;
}

static long clone_thread(struct foreign_regs *regs)
{
	struct birth b = {
		.regs = *regs,
		.flags = regs->rdi,
		.parent_tid = (uint32_t *)regs->rdx,
		.child_tid = (uint32_t *)regs->r10,
		.block = block_new(),
	};
	uint32_t tid;
	int err;

	if (!b.block)
		return -EAGAIN;
	b.regs.rax = 0;
	if (regs->rsi)
		b.regs.rsp = regs->rsi;
	if (b.flags & CLONE_SETTLS)
		b.regs.fs = regs->r8;
	atomic_store(&threads_made, true);
	set_mask(~0ull, &b.mask);
	b.mask = foreign_mask(b.mask);
	err = spawn(&b);
	while (!err && !(tid = atomic_load(&b.tid)))
		raw_call(SYS_futex, (long)&b.tid, FUTEX_WAIT, 0, 0, 0, 0);
	set_mask(b.mask, NULL);
	if (err)
		munmap(b.block->memory, b.block->bytes);
	return err ? err : (int32_t)tid;
}

void foreign_exit(int status)
{
	struct foreign_thread *t = foreign_self();

	if (!t->main)
		foreign_leave();
	set_mask(~0ull, NULL);
	clear_tid(t);
	for (;;)
		raw_call(SYS_exit, status, 0, 0, 0, 0, 0);
}

/* ---- threads that the C library's pthread_create() makes (Go with cgo) ---- */

struct start {
	void *(*routine)(void *);
	void *arg;
};

static void library_thread_ends(void *arg)
{
	struct foreign_thread *t = arg;
	stack_t none = { .ss_flags = SS_DISABLE };

	set_mask(~0ull, NULL);
	raw_call(SYS_sigaltstack, (long)&none, 0, 0, 0, 0, 0);
	raw_call(SYS_arch_prctl, ARCH_SET_GS, 0, 0, 0, 0, 0);
	munmap((void *)(t->stack_low - PAGE), STACK_BYTES);
	munmap(t->memory, t->bytes);
}

static void *library_thread(void *arg)
{
	struct start start = *(struct start *)arg;
	struct foreign_thread *t = block_new();
	uint64_t mask;
	void *result;

	free(arg);
	/* A thread that foreign code may run in, and that nothing tells us of, there must not be.
	 */
	if (!t || !stack_new(t) || block_use(t))
		abort();
	raw_call(SYS_rt_sigprocmask, SIG_SETMASK, 0, (long)&mask, SET_BYTES, 0, 0);
	set_mask(foreign_mask(mask), NULL);
	pthread_cleanup_push(library_thread_ends, t);
	result = start.routine(start.arg);
	pthread_cleanup_pop(1);
	return result;
}

int foreign_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine)(void *),
			   void *arg)
{
	struct start *start = malloc(sizeof(*start));
	int err;

	if (!start)
		return EAGAIN;
	*start = (struct start){ routine, arg };
	atomic_store(&threads_made, true);
	err = R(pthread_create)(thread, attr, library_thread, start);
	if (err)
		free(start);
	return err;
}

/* ---- processes ---- */

/* What a child can have that fork() does not give it. */
#define FORK_FLAGS                                                                                 \
	(CSIGNAL | CLONE_VM | CLONE_VFORK | CLONE_SETTLS | CLONE_PARENT_SETTID |                   \
	 CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PIDFD | CLONE_DETACHED)

static void child_begins(struct foreign_regs *regs, long flags)
{
	struct foreign_thread *t = foreign_self();
	uint32_t tid = (uint32_t)raw_call(SYS_gettid, 0, 0, 0, 0, 0, 0);

	t->main = true; /* a process's only thread ends with the process */
	set_tids(t, flags & ~CLONE_PARENT_SETTID, NULL, (uint32_t *)regs->r10, tid);
	if (flags & CLONE_SETTLS)
		regs->fs = regs->r8;
	if (regs->rsi)
		regs->rsp = regs->rsi;
	foreign_watch();
}

static long parent_goes_on(struct foreign_regs *regs, long flags, pid_t pid)
{
	int *word = (int *)regs->rdx;

	if (flags & CLONE_PIDFD)
		*word = (int)raw_call(SYS_pidfd_open, pid, 0, 0, 0, 0, 0);
	else if (flags & CLONE_PARENT_SETTID)
		*word = pid;
	return pid;
}

long foreign_fork(struct foreign_regs *regs, long flags)
{
	uint64_t mask;
	pid_t pid;
	int err;

	if (flags & ~(long)FORK_FLAGS || (flags & CSIGNAL) != SIGCHLD)
		return -EINVAL;
	set_mask(~0ull, &mask);
	foreign_sites_lock(true);
	pid = R(fork)();
	err = errno;
	foreign_sites_lock(false);
	if (pid == 0)
		child_begins(regs, flags);
	set_mask(foreign_mask(mask), NULL);
	if (pid < 0)
		return -err;
	return pid == 0 ? 0 : parent_goes_on(regs, flags, pid);
}

long foreign_clone(struct foreign_regs *regs)
{
	if (regs->rdi & CLONE_THREAD)
		return clone_thread(regs);
	return foreign_fork(regs, regs->rdi);
}
