/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting, the one place. First spin over memory, yielding the processor each time; then sleep:
 * arm (ask the engine to tell), say `sleeping`, fence, look once more, ppoll on the bell, the
 * session and what else the caller brings. How long the spin lasts adapts between nothing gained
 * and the daemon's spin_us.
 *
 * Signals: handlers run through signals.c, which counts them for the thread. One that arrives
 * during the spin is seen there. One that arrives just before the sleep makes it fail: it writes a
 * number of no descriptor (of no time) into what the system call is about to be given.
 */
#include "shim/shim.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#define SPIN_SHARE_MIN 16 /* the spin never gets shorter than spin_us / 16 */
#define SPIN_TURNS_MIN 64
#define VAIN_CALLS 8 /* without an answer, between two yields */
#define SLEEP_MAX_NS 1000000000ll
#define SLEEP_DEAF_NS 5000000ll
#define SLEEP_FOREVER_NS 1000000000000000ll

int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t deadline_after(int64_t timeout_ns)
{
	int64_t now;

	if (timeout_ns <= 0)
		return NO_DEADLINE;
	now = now_ns();
	return timeout_ns > NO_DEADLINE - now ? NO_DEADLINE : now + timeout_ns;
}

void waiter_init(struct waiter *w, bool (*ready)(void *), void (*arm)(void *), void *arg)
{
	struct thread_state *t = thread_state();

	memset(w, 0, sizeof(*w));
	w->ready = ready;
	w->arm = arm;
	w->arg = arg;
	w->channels = t->channel;
	w->discard_cq = true;
	w->bell = t->bell;
	w->deadline_ns = NO_DEADLINE;
	w->signals = t->signals;
	w->signals_norestart = t->signals_norestart;
}

void asked_in_vain(void)
{
	if (++thread_tls.vain % VAIN_CALLS == 0)
		sched_yield();
}

static bool interrupted(struct waiter *w, const struct thread_state *t)
{
	if (likely(t->signals == w->signals))
		return false;
	if (!w->restartable || t->signals_norestart != w->signals_norestart)
		return true;
	w->signals = t->signals;
	return false;
}

/*
 * Of several threads that sleep on one epoll set's channels the first that wakes takes the word,
 * and says it again for the others before it looks. Who wakes as the last leaves it as it is: the
 * next one may be saying it at this moment. A ring too many is what that costs.
 */
static void set_sleeping(struct waiter *w, uint32_t value)
{
	if (w->sleepers && value) {
		atomic_fetch_add(w->sleepers, 1);
	} else if (w->sleepers) {
		if (atomic_fetch_sub(w->sleepers, 1) <= 1)
			return;
		value = 1;
	}
	for (unsigned int i = 0; i < session.workers; i++) {
		if (w->channels[i])
			atomic_store_explicit(&w->channels[i]->sleeping, value,
					      memory_order_relaxed);
	}
	if (value)
		atomic_thread_fence(memory_order_seq_cst);
}

static void discard(struct waiter *w)
{
	for (unsigned int i = 0; w->discard_cq && i < session.workers; i++) {
		struct abi_channel *ch = w->channels[i];

		if (ch)
			atomic_store_explicit(
				&ch->cq_head,
				atomic_load_explicit(&ch->cq_tail, memory_order_acquire),
				memory_order_release);
	}
}

/*
 * A wait that was no longer than the longest spin (whether it was spun through or slept) doubles
 * the spin, a longer one halves it. Where other programs compete for the processors a yield gives
 * them whole time slices, and the clock runs on without us: some turns are taken in any case.
 */
static void spin_learn(struct thread_state *t, int64_t waited_ns, uint32_t most)
{
	if (waited_ns <= most)
		t->spin_ns = t->spin_ns * 2 < most ? t->spin_ns * 2 : most;
	else
		t->spin_ns = t->spin_ns / 2 > most / SPIN_SHARE_MIN ? t->spin_ns / 2
								    : most / SPIN_SHARE_MIN;
}

static uint32_t spin_most(void)
{
	return session.daemon ? session.daemon->spin_us % 100000 * 1000 : 0;
}

/* 1: ready; 0: not in time; or -ETIMEDOUT, -EINTR. */
static int spin(struct waiter *w, struct thread_state *t)
{
	uint32_t most = spin_most();
	int64_t now = now_ns();
	unsigned int turns = 0;

	w->start_ns = now;
	if (t->spin_ns == 0 || t->spin_ns > most)
		t->spin_ns = most;
	do {
		if (w->ready(w->arg)) {
			spin_learn(t, now - w->start_ns, most);
			return 1;
		}
		if (interrupted(w, t))
			return -EINTR;
		if (now >= w->deadline_ns)
			return -ETIMEDOUT;
		sched_yield();
		now = now_ns();
	} while (most && (now - w->start_ns < t->spin_ns || ++turns < SPIN_TURNS_MIN));
	return 0;
}

void bell_clear(int bell)
{
	struct epoll_event event;

	(void)R(epoll_wait)(bell, &event, 1, 0);
}

/* Nobody can ring for it: there was no descriptor for a bell, or no channel. */
static bool is_deaf(const struct waiter *w, const struct thread_state *t)
{
	return !w->sleep && w->bell < 0 && (t->deaf || t->listed);
}

/*
 * On the bell, the session, and what else there is. As waiter.sleep(). A process may be so narrow
 * (RLIMIT_NOFILE of one: sshd before the login) that poll() refuses a list with the session in it;
 * then that is looked at when time is out.
 */
static int sleep_on_fds(struct waiter *w, struct thread_state *t, struct pollfd *fds, nfds_t n,
			struct timespec *left)
{
	static _Atomic bool narrow;
	bool alone = atomic_load_explicit(&narrow, memory_order_relaxed);
	bool forever = w->deadline_ns == NO_DEADLINE && n == 2 && !alone && !is_deaf(w, t);
	struct pollfd *bell = alone ? &fds[1] : &fds[0];
	int r;

	fds[1] = (struct pollfd){ .fd = session.fd, .events = POLLRDHUP };
	*bell = (struct pollfd){ .fd = w->bell, .events = POLLIN };
	t->sleep_word = &bell->fd;
	atomic_signal_fence(memory_order_seq_cst);
	if (interrupted(w, t)) {
		errno = EINTR;
		return -1;
	}
	/* A long sleep ends once a second and begins again: a lost bell would cost that at most. */
	r = R(ppoll)(bell, n - alone, forever ? NULL : left, NULL);
	if (unlikely(r < 0 && errno == EINVAL && !alone)) {
		atomic_store(&narrow, true);
		return 0;
	}
	if (r == 0 && alone)
		session_check();
	if (r <= 0)
		return r;
	if (bell->revents & POLLIN)
		bell_clear(w->bell);
	if (!alone && fds[1].revents)
		session_died();
	for (nfds_t i = 2; i < n; i++) {
		if (fds[i].revents)
			return 1;
	}
	return 0;
}

static int sleep_on_set(struct waiter *w, struct thread_state *t, struct timespec *left)
{
	/* A time with so many nanoseconds is none: EINVAL. */
	t->sleep_word = (int *)(void *)&left->tv_nsec;
	atomic_signal_fence(memory_order_seq_cst);
	if (!interrupted(w, t))
		return w->sleep(w->arg, left);
	errno = EINTR;
	return -1;
}

/* One sleep. 1: look again; 0: a descriptor of the caller's is ready; -ETIMEDOUT, -EINTR. */
static int sleep_once(struct waiter *w, struct thread_state *t, struct pollfd *fds, nfds_t n)
{
	int64_t left = w->sleep ? SLEEP_FOREVER_NS : is_deaf(w, t) ? SLEEP_DEAF_NS : SLEEP_MAX_NS;
	struct timespec ts;
	int r;

	if (w->deadline_ns != NO_DEADLINE) {
		int64_t rest = w->deadline_ns - now_ns();

		if (rest <= 0)
			return -ETIMEDOUT;
		if (rest < left)
			left = rest;
	}
	ts.tv_sec = left / 1000000000;
	ts.tv_nsec = left % 1000000000;
	r = w->sleep ? sleep_on_set(w, t, &ts) : sleep_on_fds(w, t, fds, n, &ts);
	t->sleep_word = NULL;
	if (r >= 0)
		return r == 0;
	/* A handler that is not counted was installed behind our back. */
	if (t->signals == w->signals)
		return -EINTR;
	return interrupted(w, t) ? -EINTR : 1;
}

static int run_unmasked(struct waiter *w)
{
	struct thread_state *t = thread_state();
	struct pollfd own[2];
	struct pollfd *fds = w->fds ? w->fds : own;
	nfds_t n = w->fds ? w->fds_count : 2;
	int r = spin(w, t);

	if (r)
		return r < 0 ? r : 0;
	t->deaf = false;
	for (;;) {
		discard(w);
		if (w->arm)
			w->arm(w->arg);
		/* The thread's bell may have been made just now, by arming. */
		if (w->bell < 0)
			w->bell = t->bell;
		set_sleeping(w, 1);
		r = w->ready(w->arg) ? 0 : sleep_once(w, t, fds, n);
		set_sleeping(w, 0);
		if (r <= 0)
			break;
		if (w->ready(w->arg)) {
			r = 0;
			break;
		}
		if (interrupted(w, t)) {
			r = -EINTR;
			break;
		}
	}
	spin_learn(t, now_ns() - w->start_ns, spin_most());
	return r;
}

int waiter_run(struct waiter *w)
{
	sigset_t old;
	int r;

	if (likely(!w->mask))
		return run_unmasked(w);
	/* What is delivered the moment the mask changes was counted after waiter_init(). */
	pthread_sigmask(SIG_SETMASK, w->mask, &old);
	r = run_unmasked(w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

/* ---- waiting for one socket ---- */

struct sock_waiter {
	struct wsock *ws;
	uint32_t events;
	uint32_t bytes;
	bool partial; /* some are moved already: nothing is restarted */
	bool watched; /* by sock_arm_lasting() */
};

static bool events_ready(void *arg)
{
	struct sock_waiter *s = arg;

	return wsock_events_wanted(s->ws, s->events) & (s->events | ABI_EV_ERR | ABI_EV_HUP);
}

static void sock_arm(void *arg)
{
	struct sock_waiter *s = arg;

	wsock_watch(s->ws, thread_state()->channel, s->events | ABI_WATCH_ONCE);
}

/* A watch tells at once of what is there when it comes, so one for each sleep would end each sleep
 * of who waits for more than that. */
static void sock_arm_lasting(void *arg)
{
	struct sock_waiter *s = arg;

	if (s->watched)
		return;
	s->watched = true;
	wsock_watch(s->ws, thread_state()->channel, s->events);
}

static int run(struct sock_waiter *s, bool (*ready)(void *), void (*arm)(void *),
	       int64_t deadline_ns)
{
	struct waiter w;
	int at = waiting_begin(&s->ws->obj, -1), err;

	waiter_init(&w, ready, arm, s);
	w.deadline_ns = deadline_ns;
	w.restartable = deadline_ns == NO_DEADLINE && !s->partial;
	err = waiter_run(&w);
	if (s->watched)
		wsock_unwatch(s->ws, thread_state()->channel);
	waiting_end(at, &s->ws->obj);
	return err == -ETIMEDOUT ? -EAGAIN : err;
}

int sock_wait(struct wsock *ws, uint32_t events, int64_t deadline_ns)
{
	struct sock_waiter s = { .ws = ws, .events = events };

	return run(&s, events_ready, sock_arm, deadline_ns);
}

/* Not ABI_WATCH_ONCE: the engine has to know who was woken until it has taken something. */
static void turn_arm(void *arg)
{
	struct sock_waiter *s = arg;

	wsock_watch(s->ws, thread_state()->channel, s->events | ABI_WATCH_EXCLUSIVE);
}

int sock_wait_turn(struct wsock *ws, int64_t deadline_ns)
{
	struct sock_waiter s = { .ws = ws, .events = ABI_EV_IN };

	return run(&s, events_ready, turn_arm, deadline_ns);
}

void sock_leave_turn(struct wsock *ws)
{
	wsock_unwatch(ws, thread_state()->channel);
}

/* Writable is enough, too: the ring may have become smaller since bytes was thought of. */
static bool space(const struct abi_sock *shm, uint32_t bytes)
{
	uint32_t room = app_sock_tx_room(shm);

	return room >= bytes || (room != 0 && app_sock_writable(shm));
}

static bool space_ready(void *arg)
{
	struct sock_waiter *s = arg;
	struct abi_sock *shm = s->ws->shm;

	if (space(shm, s->bytes) || session_is_dead() || app_sock_error(shm) ||
	    (atomic_load(&shm->state) & (ABI_S_TX_SHUT | ABI_S_RESET | ABI_S_DEAD)))
		return true;
	atomic_fetch_or(&shm->want, ABI_WANT_TX);
	return space(shm, s->bytes);
}

int sock_wait_space(struct wsock *ws, uint32_t bytes, int64_t deadline_ns)
{
	struct sock_waiter s = { .ws = ws, .events = ABI_EV_OUT, .bytes = bytes };

	return run(&s, space_ready, sock_arm, deadline_ns);
}

int sock_wait_more_space(struct wsock *ws, uint32_t bytes, int64_t deadline_ns)
{
	struct sock_waiter s = { .ws = ws, .events = ABI_EV_OUT, .bytes = bytes, .partial = true };

	return run(&s, space_ready, sock_arm, deadline_ns);
}

static bool data_ready(void *arg)
{
	struct sock_waiter *s = arg;

	const struct abi_sock *shm = s->ws->shm;

	uint32_t there = app_sock_rx_readable(shm);

	/* Up to a mark there may be less, and no more will be. */
	return there >= s->bytes || (there && app_sock_urgent(shm)) || session_is_dead() ||
	       app_sock_error(shm) ||
	       (atomic_load_explicit(&shm->state, memory_order_acquire) &
		(ABI_S_RX_EOF | ABI_S_RESET | ABI_S_DEAD));
}

static int wait_data(struct wsock *ws, size_t bytes, bool partial, int64_t deadline_ns)
{
	struct sock_waiter s = { .ws = ws,
				 .events = ABI_EV_IN | ABI_EV_RDHUP,
				 .bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX,
				 .partial = partial };

	return run(&s, data_ready, bytes > 1 ? sock_arm_lasting : sock_arm, deadline_ns);
}

int sock_wait_data(struct wsock *ws, size_t bytes, int64_t deadline_ns)
{
	return wait_data(ws, bytes, false, deadline_ns);
}

int sock_wait_more_data(struct wsock *ws, size_t bytes, int64_t deadline_ns)
{
	return wait_data(ws, bytes, true, deadline_ns);
}

static bool all_sent(const struct abi_sock *shm)
{
	return atomic_load_explicit(&shm->tx_head, memory_order_acquire) ==
	       atomic_load_explicit(&shm->tx_tail, memory_order_relaxed);
}

static bool sent_ready(void *arg)
{
	struct sock_waiter *s = arg;
	struct abi_sock *shm = s->ws->shm;

	if (all_sent(shm) || session_is_dead() ||
	    (atomic_load(&shm->state) & (ABI_S_RESET | ABI_S_DEAD)))
		return true;
	atomic_fetch_or(&shm->want, ABI_WANT_TX);
	return all_sent(shm);
}

int sock_wait_sent(struct wsock *ws, int64_t deadline_ns)
{
	struct sock_waiter s = { .ws = ws, .events = ABI_EV_OUT };

	return run(&s, sent_ready, sock_arm, deadline_ns);
}

static bool connected_ready(void *arg)
{
	struct sock_waiter *s = arg;

	return session_is_dead() || !(atomic_load(&s->ws->shm->state) & ABI_S_CONNECTING);
}

int sock_wait_connected(struct wsock *ws, int64_t deadline_ns)
{
	struct sock_waiter s = { .ws = ws, .events = ABI_EV_OUT };

	return run(&s, connected_ready, sock_arm, deadline_ns);
}
