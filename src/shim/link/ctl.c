/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Synchronous calls: the request goes into the control slot of the thread's channel with the
 * socket's worker, the answer comes back there. A socket is created together with the first call
 * that needs the engine, so socket() and connect() cost one round trip.
 */
#include "shim/shim.h"

#include <pthread.h>

#define SAY_AGAIN_NS 1000000000
#define STANDS_STILL_NS 500000000

struct ctl_wait {
	struct abi_channel *ch;
	uint32_t seq;
};

static bool answered(void *arg)
{
	struct ctl_wait *c = arg;

	uint32_t done = atomic_load_explicit(&c->ch->ctl_done, memory_order_acquire);

	return (int32_t)(done - c->seq) >= 0 || session_is_dead();
}

static void fill(struct abi_ctl *ctl, const struct wsock *ws, const struct ctl_args *args)
{
	ctl->op = args->op;
	ctl->sock = ws->shm ? ws->index : ABI_SOCK_NONE;
	ctl->gen = ws->gen;
	ctl->level = args->level;
	ctl->optname = args->optname;
	ctl->port_be = args->port_be;
	ctl->addr = args->addr;
	ctl->flags = args->flags;
	ctl->create_type = ws->type;
	ctl->create_proto = ws->protocol;
	ctl->len = 0;
	if (args->op == ABI_CTL_OPEN || (!ws->shm && args->op <= ABI_CTL_SHUTDOWN)) {
		/* The family the program asked for; the calls that may create do not use level. */
		ctl->level = ws->family;
	}
	if (args->op == ABI_CTL_OPEN) {
		ctl->optname = ws->type;
		ctl->len = ws->protocol;
	}
	if (args->in) {
		memcpy(ctl->data, args->in, args->in_len);
		ctl->len = args->in_len;
	} else if (args->out) {
		ctl->len = args->out_len;
	}
}

/* The slot holds one request: no handler may make one before its answer is taken, and the thread is
 * not cancelled. Handlers need not wait for a daemon that stands still. */
static int exchange(struct abi_channel *ch)
{
	struct ctl_wait c = { .ch = ch };
	struct waiter w;
	int err, state;

	c.seq = atomic_load_explicit(&ch->ctl_seq, memory_order_relaxed) + 1;
	atomic_store_explicit(&ch->ctl_seq, c.seq, memory_order_release);
	err = submit(ch->worker, ABI_OP_CTL, ch->ctl.sock, ch->ctl.gen, 0, 0);
	if (err)
		return err;
	waiter_init(&w, answered, NULL, &c);
	w.restartable = true;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	do {
		w.signals_norestart = thread_state()->signals_norestart;
		w.deadline_ns = now_ns() + STANDS_STILL_NS;
		err = waiter_run(&w);
		if (err == -ETIMEDOUT)
			signals_open(true);
	} while (err == -EINTR || err == -ETIMEDOUT);
	signals_open(false);
	pthread_setcancelstate(state, NULL);
	return session_is_dead() ? -ENETDOWN : err;
}

static int take_created(struct abi_channel *ch, struct wsock *ws)
{
	uint32_t index = ch->ctl.sock;
	uint32_t flags;

	if (index == ABI_SOCK_NONE)
		return 0;
	if (index >= session.sock_count)
		return -ENETDOWN;
	flags = wsock_file_flags(ws);
	atomic_store(&session.socks[index].file_flags, flags);
	wsock_adopt(ws, index, ch->ctl.gen);
	return 0;
}

static unsigned int choose_worker(const struct wsock *ws)
{
	struct thread_state *t = thread_state();

	if (ws->shm)
		return ws->shm->worker % ABI_MAX_WORKERS;
	return session.workers > 1 ? (t->tid + t->next_worker++) % session.workers : 0;
}

/* The daemon's log names what was used up; not each time. */
static int exhausted(int err, const char *what)
{
	static int64_t said_ns;

	if (said_ns == 0 || now_ns() - said_ns > SAY_AGAIN_NS) {
		said_ns = now_ns();
		session_note(what);
	}
	return err;
}

static int call_held(struct wsock *ws, struct ctl_args *args)
{
	bool create = ws->shm == NULL;
	struct abi_channel *ch;
	int err;

	if (create && atomic_load(&session.arena->socks_free) == 0)
		return exhausted(-ENFILE, "it has all the sockets that it can have: ENFILE");
	ch = thread_channel(choose_worker(ws));
	if (!ch)
		return session_is_dead()
			       ? -ENETDOWN
			       : exhausted(-ENOBUFS, "it has as many threads that use sockets as "
						     "it can have, or no descriptors: ENOBUFS");
	if (args->in_len > ABI_CTL_DATA_BYTES)
		return -EINVAL;
	if (args->out_len > ABI_CTL_DATA_BYTES)
		args->out_len = ABI_CTL_DATA_BYTES;
	fill(&ch->ctl, ws, args);
	err = exchange(ch);
	if (err)
		return err;
	if (create) {
		err = take_created(ch, ws);
		if (err)
			return err;
	}
	if (args->out && ch->ctl.result == 0) {
		uint32_t len = ch->ctl.len;

		if (len > args->out_len)
			len = args->out_len;
		memcpy(args->out, ch->ctl.data, len);
		args->out_len = len;
	}
	if (unlikely(ch->ctl.result == -ENOBUFS))
		exhausted(-ENOBUFS, "its memory for the buffers of sockets is used up: ENOBUFS");
	/* How much room there should have been. */
	if (args->out && ch->ctl.result == -EINVAL)
		args->out_len = ch->ctl.len;
	return ch->ctl.result <= 0 ? ch->ctl.result : -EPROTO;
}

static int call_locked(struct wsock *ws, struct ctl_args *args)
{
	int err;

	signals_hold();
	err = call_held(ws, args);
	signals_release();
	return err;
}

int ctl_call(struct wsock *ws, struct ctl_args *args)
{
	int err;

	if (session_is_dead())
		return ws->shm && ws->type == SOCK_STREAM ? -ECONNRESET : -ENETDOWN;
	if (likely(ws->shm != NULL))
		return call_locked(ws, args);
	lock_take(&ws->create_lock);
	err = call_locked(ws, args);
	lock_drop(&ws->create_lock);
	return err;
}

int ctl_create(struct wsock *ws)
{
	struct ctl_args args = { .op = ABI_CTL_OPEN };
	int err = 0;

	if (ws->shm)
		return 0;
	if (session_is_dead())
		return -ENETDOWN;
	lock_take(&ws->create_lock);
	if (!ws->shm)
		err = call_locked(ws, &args);
	lock_drop(&ws->create_lock);
	return err;
}
