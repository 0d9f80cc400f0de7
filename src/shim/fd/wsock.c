/* SPDX-License-Identifier: BSD-3-Clause */
/* One socket as this process sees it: readiness, watching, file flags, locks, shards. */
#include "shim/call/packet.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOCK_SPINS_BEFORE_CHECK 1024

struct abi_sock *wsock_next_shard(const struct abi_sock *shm, unsigned int n)
{
	uint32_t next = shm->shard_next;

	if (n >= ABI_MAX_WORKERS || next == ABI_SOCK_NONE || next >= session.sock_count)
		return NULL;
	if (!(atomic_load_explicit(&shm->state, memory_order_relaxed) &
	      (ABI_S_LISTEN | ABI_S_DGRAM)))
		return NULL;
	return &session.socks[next];
}

static uint32_t dead_events(uint8_t type)
{
	return ABI_EV_IN | ABI_EV_OUT | ABI_EV_ERR |
	       (type == SOCK_STREAM ? ABI_EV_HUP | ABI_EV_RDHUP : 0);
}

static uint32_t shm_events(const struct abi_sock *shm, uint8_t type)
{
	uint32_t events = 0;

	for (unsigned int n = 0; shm; n++) {
		/* Only the first one is written to. */
		events |= app_sock_events(shm) & (n ? ABI_EV_IN | ABI_EV_ERR | ABI_EV_PRI : ~0u);
		shm = wsock_next_shard(shm, n);
	}
	/* As datagram_poll() has it. */
	return type == SOCK_STREAM || !(events & ABI_EV_OUT) ? events : events | POLLWRBAND;
}

uint32_t wsock_events(struct wsock *ws)
{
	struct abi_sock *shm = ws->shm;
	uint32_t events;

	if (unlikely(session_is_dead()))
		return dead_events(ws->type);
	if (unlikely(!shm)) {
		if (atomic_load(&ws->opts) & WS_QUIET)
			return 0;
		return ws->type == SOCK_STREAM ? ABI_EV_OUT | ABI_EV_HUP : ABI_EV_OUT | POLLWRBAND;
	}
	events = shm_events(shm, ws->type);
	return unlikely(ws->ring != NULL) ? packet_ring_events(ws, events) : events;
}

/* As tcp_poll() does with SOCK_NOSPACE: say that OUT is waited for, then look again. */
static uint32_t shm_events_wanted(struct abi_sock *shm, uint8_t type, uint32_t events,
				  uint32_t interest)
{
	if (!(interest & ABI_EV_OUT) || (events & ABI_EV_OUT) || !shm || session_is_dead())
		return events;
	atomic_fetch_or(&shm->want, ABI_WANT_TX);
	return shm_events(shm, type);
}

uint32_t slot_events(uint32_t index, uint32_t gen, uint8_t type, uint32_t interest)
{
	struct abi_sock *shm;
	uint32_t events;

	if (unlikely(session_is_dead()))
		return dead_events(type);
	if (index >= session.sock_count)
		return SLOT_GONE;
	shm = &session.socks[index];
	if (unlikely(atomic_load_explicit(&shm->gen, memory_order_acquire) != gen))
		return SLOT_GONE;
	events = shm_events(shm, type);
	if (type != SOCK_STREAM && unlikely(atomic_load(&packet_rings)))
		events = packet_ring_slot_events(index, gen, events);
	return shm_events_wanted(shm, type, events, interest);
}

int wsock_take_error(struct wsock *ws)
{
	struct abi_sock *shm = ws->shm;
	int err = 0;

	for (unsigned int n = 0; shm && !err; n++) {
		err = app_sock_take_error(shm);
		shm = wsock_next_shard(shm, n);
	}
	return err;
}

uint32_t wsock_events_wanted(struct wsock *ws, uint32_t interest)
{
	uint32_t events = wsock_events(ws);

	return shm_events_wanted(ws->shm, ws->type, events, interest);
}

void wsock_watch(struct wsock *ws, struct abi_channel **channels, uint32_t interest)
{
	struct abi_sock *shm = ws->shm;
	struct thread_state *t = thread_state();

	for (unsigned int n = 0; shm; n++) {
		uint32_t worker = shm->worker % ABI_MAX_WORKERS;

		/* The thread's own channel may not be there yet; an epoll set's is. */
		if (!channels[worker])
			thread_channel(worker);
		if (channels[worker])
			submit(worker, ABI_OP_WATCH, shm_index(shm),
			       n ? atomic_load(&shm->gen) : ws->gen, channels[worker]->index,
			       interest);
		shm = wsock_next_shard(shm, n);
	}
	t->deaf |= ws->shm && channels == t->channel && t->bell < 0;
}

void wsock_unwatch(struct wsock *ws, struct abi_channel **channels)
{
	struct abi_sock *shm = ws->shm;

	for (unsigned int n = 0; shm; n++) {
		uint32_t worker = shm->worker % ABI_MAX_WORKERS;

		if (channels[worker])
			submit(worker, ABI_OP_UNWATCH, shm_index(shm),
			       n ? atomic_load(&shm->gen) : ws->gen, channels[worker]->index, 0);
		shm = wsock_next_shard(shm, n);
	}
}

uint32_t wsock_file_flags(const struct wsock *ws)
{
	return ws->shm ? atomic_load_explicit(&ws->shm->file_flags, memory_order_relaxed)
		       : atomic_load_explicit(&ws->file_flags, memory_order_relaxed);
}

bool wsock_nonblock(const struct wsock *ws)
{
	return wsock_file_flags(ws) & O_NONBLOCK;
}

void wsock_change_file_flags(struct wsock *ws, uint32_t mask, uint32_t to)
{
	_Atomic uint32_t *flags = ws->shm ? &ws->shm->file_flags : &ws->file_flags;
	uint32_t old = atomic_load(flags);

	while (!atomic_compare_exchange_weak(flags, &old, (old & ~mask) | (to & mask)))
		;
}

void wsock_set_nonblock(struct wsock *ws, bool on)
{
	wsock_change_file_flags(ws, O_NONBLOCK, on ? O_NONBLOCK : 0);
}

void wsock_adopt(struct wsock *ws, uint32_t index, uint32_t gen)
{
	struct abi_sock *shm = &session.socks[index];

	ws->index = index;
	ws->gen = gen;
	ws->shm = shm;
	wsock_tell_fd(ws);
}

/* The thread that took the lock is gone (a process of the family was killed with it held). */
bool thread_gone(uint32_t tid)
{
	return R(syscall)(SYS_kill, (long)tid, 0L) < 0 && errno == ESRCH;
}

/* Nobody may be sleeping on the session, to see that it ended. */
static void engine_check(void)
{
	struct pollfd fd = { .fd = session.fd, .events = POLLRDHUP };

	if (R(poll)(&fd, 1, 0) > 0 && fd.revents)
		session_died();
}

static int shared_lock_held(_Atomic uint32_t *word)
{
	uint32_t self = thread_tls.tid;
	uint32_t seen = 0;

	if (unlikely(self == 0))
		self = thread_state()->tid;
	if (likely(atomic_compare_exchange_strong_explicit(word, &seen, self, memory_order_acquire,
							   memory_order_relaxed)))
		return 0;
	for (unsigned int spins = 1;; spins++) {
		/* The engine gives it back at once, while there is an engine. */
		if (unlikely(seen == ABI_LOCK_ENGINE)) {
			if (spins % LOCK_SPINS_BEFORE_CHECK == 0)
				engine_check();
			if (session_is_dead())
				return -ENETDOWN;
			seen = 0;
		}
		/* A signal handler that uses the socket its thread is using. */
		if (seen == self)
			return -EAGAIN;
		if (seen != 0 && spins % LOCK_SPINS_BEFORE_CHECK == 0 && !thread_gone(seen))
			seen = 0;
		else if (spins % LOCK_SPINS_BEFORE_CHECK != 0)
			seen = 0;
		if (atomic_compare_exchange_strong_explicit(word, &seen, self, memory_order_acquire,
							    memory_order_relaxed))
			return 0;
		sched_yield();
	}
}

int shared_lock(_Atomic uint32_t *word)
{
	int err;

	signals_hold();
	err = shared_lock_held(word);
	if (unlikely(err))
		signals_release();
	return err;
}
