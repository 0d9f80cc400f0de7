/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calling thread's channels: one with each worker it deals with, all with the same bell. They
 * are made when first needed and given back by the thread's exit (a pthread key's destructor).
 */
#include "shim/interpose/raw.h"
#include "shim/shim.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

SHIM_TLS struct thread_state thread_tls = { .bell = -1 };

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static struct lock list_lock;
static struct thread_state *threads;

static void unlist(struct thread_state *t)
{
	lock_take(&list_lock);
	for (struct thread_state **p = &threads; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	lock_drop(&list_lock);
	t->listed = false;
}

static void thread_exit(void *arg)
{
	struct thread_state *t = arg;

	waiting_left(true);
	for (unsigned int i = 0; i < ABI_MAX_WORKERS; i++) {
		if (t->channel[i] && t->epoch == atomic_load(&session.epoch)) {
			/* What it submitted last has to be taken before the queue goes. */
			while (atomic_load(&t->channel[i]->sq_head) !=
				       atomic_load(&t->channel[i]->sq_tail) &&
			       !session_is_dead()) {
				sched_yield();
				session_check();
			}
			session_channel_free(t->channel[i]);
		}
		t->channel[i] = NULL;
	}
	if (t->listed)
		unlist(t);
	fdtab_close_private(t->bell);
	t->bell = -1;
}

static void make_exit_key(void)
{
	pthread_key_create(&exit_key, thread_exit);
}

void channels_init(void)
{
	pthread_once(&exit_once, make_exit_key);
}

struct thread_state *thread_state(void)
{
	struct thread_state *t = &thread_tls;

	if (unlikely(t->tid == 0 ||
		     t->epoch != atomic_load_explicit(&session.epoch, memory_order_relaxed))) {
		t->tid = (uint32_t)R(syscall)(SYS_gettid);
		t->epoch = atomic_load(&session.epoch);
		t->spin_ns = 0;
	}
	return t;
}

static void enlist(struct thread_state *t)
{
	lock_take(&list_lock);
	t->next = threads;
	threads = t;
	lock_drop(&list_lock);
	t->listed = true;
	pthread_setspecific(exit_key, t);
}

/* A channel whose bell another one may have too; NULL: there is none. */
static struct abi_channel *any_channel(void)
{
	struct abi_channel *channel = NULL;

	lock_take(&list_lock);
	for (struct thread_state *t = threads; t && !channel; t = t->next) {
		for (unsigned int i = 0; i < session.workers && !channel; i++)
			channel = t->channel[i];
	}
	lock_drop(&list_lock);
	return channel;
}

/* Where no descriptor is free for a bell the thread can submit all the same, and is deaf. */
static struct abi_channel *open_channel(struct thread_state *t, unsigned int worker)
{
	struct abi_channel *channel = NULL;
	int err;

	if (session_is_dead() || worker >= session.workers)
		return NULL;
	for (unsigned int i = 0; i < session.workers && !channel; i++)
		channel = t->channel[i];
	err = session_channel(&channel, worker, ABI_CQ_THREAD, ABI_BELL_EVENT, &t->bell);
	if (err == -EMFILE) {
		channel = any_channel();
		if (channel)
			err = session_channel(&channel, worker, ABI_CQ_THREAD, ABI_BELL_EVENT,
					      &t->bell);
	}
	if (err) {
		session_notef("a thread cannot have a channel: %s", strerror(-err));
		return NULL;
	}
	t->channel[worker] = channel;
	if (!t->listed)
		enlist(t);
	return channel;
}

struct abi_channel *thread_channel(unsigned int worker)
{
	struct thread_state *t = thread_state();

	worker %= ABI_MAX_WORKERS;
	if (likely(t->channel[worker] != NULL))
		return t->channel[worker];
	return open_channel(t, worker);
}

/* Once for each sleep: until the worker runs again, which may take a while on a busy machine, what
 * is submitted needs no other bell. The word is another one each time the worker sleeps. */
static void ring_worker(unsigned int worker)
{
	static _Atomic uint32_t rung[ABI_MAX_WORKERS];
	uint32_t nap = atomic_load_explicit(&session.daemon->worker[worker].sleeping,
					    memory_order_relaxed);
	uint64_t one = 1;

	if (likely(nap == 0) || nap == atomic_load_explicit(&rung[worker], memory_order_relaxed))
		return;
	/* No cancellation point: the caller may have a lock. */
	raw_syscall3(SYS_write, session.bell[worker], (long)&one, sizeof(one));
	atomic_store_explicit(&rung[worker], nap, memory_order_relaxed);
}

int submit(unsigned int worker, uint8_t op, uint32_t sock, uint32_t gen, uint16_t arg16,
	   uint32_t arg32)
{
	struct abi_sqe sqe = { .op = op, .arg16 = arg16, .sock = sock, .gen = gen, .arg32 = arg32 };
	struct abi_channel *ch;
	unsigned int tries = 0;
	int err = 0;

	signals_hold();
	ch = thread_channel(worker);
	worker %= ABI_MAX_WORKERS;
	if (unlikely(!ch))
		err = session_is_dead() ? -ENETDOWN : -ENOBUFS;
	while (!err && unlikely(!app_sq_push(session.arena, ch, &sqe))) {
		/* The engine has to run first. */
		ring_worker(worker);
		sched_yield();
		if (++tries % 64 == 0)
			session_check();
		if (session_is_dead())
			err = -ENETDOWN;
	}
	if (!err)
		ring_worker(worker);
	signals_release();
	return err;
}

/* In the child of fork(): the parent's channels are the parent's. */
void channels_after_fork(void)
{
	struct thread_state *self = &thread_tls;

	for (struct thread_state *t = threads; t; t = t->next) {
		fdtab_close_private(t->bell);
		t->bell = -1;
		memset(t->channel, 0, sizeof(t->channel));
	}
	threads = NULL;
	self->listed = false;
	self->next = NULL;
	self->tid = 0;
}

void channels_lock(bool take)
{
	if (take)
		lock_take(&list_lock);
	else
		lock_drop(&list_lock);
}
