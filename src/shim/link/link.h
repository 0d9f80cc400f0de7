/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The link with weird: the session of this process, its threads' channels, and waiting. Who is told
 * that weird is gone is dead.c's to say.
 *
 * Threads: any, at any time; forked children have what fork.c leaves them.
 */
#ifndef WEIR_SHIM_LINK_H
#define WEIR_SHIM_LINK_H

#include "shim/base.h"

struct obj;
struct wsock;

/* ---- link/session.c ---- */

struct session {
	int fd; /* control connection, -1 */
	_Atomic bool attached;
	_Atomic bool dead;
	_Atomic uint32_t epoch; /* raised in a forked child: channels of older epochs are void */
	uint8_t *base;
	struct abi_arena *arena;
	uint64_t size;
	struct abi_sock *socks;
	uint32_t sock_count;
	unsigned int workers;
	const struct abi_daemon *daemon;
	int bell[ABI_MAX_WORKERS];
	struct lock lock;  /* one request at a time */
	unsigned int owed; /* answers that did not come in time */
};
extern struct session session;

int session_attach(void);
void session_attach_lock(bool take); /* for fork() */
/* Where the daemon answers; what fails is tried again, and told, at the first socket. */
void session_attach_early(void);
/* Where programs attach: RUNDIR/INSTANCE/app.sock. The length, as snprintf(). */
#define SESSION_PATH_BYTES 384
int session_path(char *path, size_t room);
/* A request and its answer. send_fd: a descriptor to pass, or -1. 0 or -errno (also the answer's).
 */
int session_request(struct abi_msg *msg, int send_fd);
/* Likewise, with n descriptors, and room bytes for an answer that has words. */
int session_request_words(struct abi_msg *msg, size_t room, const int *fds, unsigned int n);
/* Likewise; *fd: the descriptor that came with the answer (close-on-exec, the caller's), or -1. */
int session_request_fd(struct abi_msg *msg, int *fd);
void session_note(const char *text);
void session_notef(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A channel with a worker. *channel comes as NULL, and *bell becomes the descriptor to wait on, of
 * bell_kind (enum abi_bell, ABI_CHANNEL_SHARED); or as another channel, whose bell this one has as
 * well. It is NULL where the answer is a -errno. */
int session_channel(struct abi_channel **channel, unsigned int worker, uint32_t cq_entries,
		    uint32_t bell_kind, int *bell);
void bell_clear(int bell); /* ABI_BELL_EVENT: as if it had not been rung */
void session_channel_free(const struct abi_channel *channel);
int session_resume(int fd, const uint32_t *words, uint32_t word_count);
const char *session_rundir(void);
const char *session_instance(void);
void session_keep_names(void); /* copy the environment's choice before the program changes it */

static inline bool session_is_dead(void)
{
	return unlikely(atomic_load_explicit(&session.dead, memory_order_relaxed));
}

/* ---- link/dead.c ---- */

/* Words for people, where standard error is what the program began with, or a log. */
void session_say(const char *text);
void session_keep_stderr(void); /* at the start */
/* The daemon is gone; says so, once for the family. */
void session_died(void);
/* Look whether the daemon is still there; a system call. */
void session_check(void);
/* Has a wait for events to last for a while, where all it will tell is that the daemon is gone, and
 * how long? Not for the first times. most_ns: the caller's own limit, or -1. */
bool dead_toll(int64_t most_ns, struct timespec *wait);
/* What a call on a socket of a dead session answers: -ENETDOWN, or -EINTR. One that blocks does so
 * for a while, if the thread comes again and again. */
int dead_answer(bool nonblock);
/* What one on a socket answers that was passed to another program: -ENETDOWN, and the daemon's log
 * says so, once a process. */
int dead_moved(void);

/* ---- link/channel.c: the calling thread's channels ---- */

/*
 * link/waiting.c: what a call that waits holds. It may never return: a handler leaves it by
 * longjmp(), or its thread is cancelled. So it is written down, and put by whoever finds that.
 */
#define WAITING_MAX 4 /* calls in handlers that interrupted calls in handlers... */
struct wait_hold {
	struct obj *obj;
	int fd;		   /* to close as well, or -1 */
	uintptr_t frame;   /* of the call */
	uintptr_t handler; /* of the handler that interrupted it, or 0 */
};
/* A reference to o, until waiting_end() with the answer. */
int waiting_begin(struct obj *o, int fd);
void waiting_end(int at, struct obj *o);
/* A handler whose frame this is has interrupted the thread. */
void waiting_interrupted(uintptr_t frame);
void waiting_left(bool all); /* put what calls hold that will never return; all: the thread ends */

struct thread_state {
	uint32_t tid;
	uint32_t epoch;
	int bell; /* ABI_BELL_EVENT, -1 */
	bool listed;
	bool deaf;	  /* it waits for sockets and has no bell: it looks now and then */
	uint32_t spin_ns; /* how long it spins before it sleeps, adapted */
	uint32_t next_worker;
	uint32_t vain;		/* non-blocking calls in a row that found nothing */
	int64_t dead_paid_ns;	/* dead.c: till then it was told, at the rate of a toll */
	int64_t kernel_look_ns; /* when kernel descriptors were last looked at, in poll and select
				 */
	struct abi_channel *channel[ABI_MAX_WORKERS];
	struct thread_state *next;
	/* signals.c: written by handlers of this thread */
	volatile uint32_t signals, signals_norestart;
	/* While the thread sleeps, or is about to: a number that its system call fails with at once
	 * if it is INT_MAX. NULL again when that is done: a handler may leave by longjmp(). */
	int *volatile sleep_word;
	/* signals_hold() */
	volatile uint32_t holds;
	volatile bool holds_not; /* a section that waits: handlers run in it */
	volatile bool held_back; /* a signal waits for the end of the section, as all others do */
	uint64_t held_mask;	 /* the thread's signal mask before that */
	/* link/waiting.c */
	struct wait_hold waiting[WAITING_MAX];
	unsigned int waiting_count;
};
extern SHIM_TLS struct thread_state thread_tls;

/*
 * process/signals.c. A handler may use sockets itself, and leave by longjmp(): between these two no
 * handler of the program's runs in this thread. They nest; they cost no system call where no signal
 * comes.
 */
void signals_let_through(void);
static inline void signals_hold(void)
{
	thread_tls.holds++;
	atomic_signal_fence(memory_order_seq_cst);
}
static inline void signals_release(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (--thread_tls.holds == 0 && unlikely(thread_tls.held_back))
		signals_let_through();
}
/* A part of a section that waits for somebody, who may be slow: handlers run in it. */
static inline void signals_open(bool open)
{
	thread_tls.holds_not = open;
	if (open && unlikely(thread_tls.held_back))
		signals_let_through();
}
/* A handler begins: true where it has to wait for the end of the section, to which it is sent
 * again. */
bool signals_held_back(int sig, const siginfo_t *info, void *context);

/* The calling thread's state with a valid tid, epoch. */
struct thread_state *thread_state(void);
/* Its channel to a worker, made if need be. NULL: no memory, no descriptors, the daemon is gone. */
struct abi_channel *thread_channel(unsigned int worker);
/* Put one submission and ring the worker if it sleeps. 0 or -errno. */
int submit(unsigned int worker, uint8_t op, uint32_t sock, uint32_t gen, uint16_t arg16,
	   uint32_t arg32);
void channels_after_fork(void);
void channels_init(void);

/* ---- link/wait.c ---- */

struct waiter {
	bool (*ready)(void *arg);
	void (*arm)(void *arg); /* before each sleep: ask the engine to tell; may be NULL */
	void *arg;
	struct abi_channel *
		*channels;	    /* whose `sleeping` to set; [ABI_MAX_WORKERS], may hold NULL */
	bool discard_cq;	    /* completions only wake: throw them away */
	bool restartable;	    /* SA_RESTART handlers do not end the wait */
	_Atomic uint32_t *sleepers; /* how many threads sleep on the channels, NULL: one at most */
	int bell;
	int64_t deadline_ns; /* CLOCK_MONOTONIC, or NO_DEADLINE */
	struct pollfd *fds;  /* more descriptors that end the wait... */
	nfds_t fds_count;    /* ...[0] and [1] are wait.c's own: bell and session */
	/* Instead of all those descriptors: sleep like ppoll() does; *left may be spoiled by a
	 * signal. More than 0: the caller's events are there; 0: look again; -1 and errno. */
	int (*sleep)(void *arg, struct timespec *left);
	const sigset_t *mask;		     /* while it waits, or NULL */
	int64_t start_ns;		     /* wait.c's own */
	uint32_t signals, signals_norestart; /* counted so far: waiter_init() */
};
void waiter_init(struct waiter *w, bool (*ready)(void *), void (*arm)(void *), void *arg);
/* 0: ready (or one of the descriptors is), -ETIMEDOUT, -EINTR. */
int waiter_run(struct waiter *w);
int64_t now_ns(void);
int64_t deadline_after(int64_t timeout_ns); /* 0 or less: NO_DEADLINE */
/*
 * A call that does not wait found something (or not). Who asks again and again in a loop of its own
 * would keep the engine or the peer, which have the answer, from the processor for whole time
 * slices: every few vain calls in a row the thread yields.
 */
void asked_in_vain(void);
static inline void asked_with_success(void)
{
	thread_tls.vain = 0;
}
/* Wait until the socket has one of the events, ABI_EV_*. 0, -EAGAIN (time is out), -EINTR. */
int sock_wait(struct wsock *ws, uint32_t events, int64_t deadline_ns);
/* As sock_wait with IN on a listener, a datagram, raw or packet socket: of those who wait in here a
 * connection or a record wakes one. Whether it took one or not, it leaves then; the engine wakes
 * another where one is left. */
int sock_wait_turn(struct wsock *ws, int64_t deadline_ns);
void sock_leave_turn(struct wsock *ws);
/* As sock_wait, but until the send ring has room for bytes. */
int sock_wait_space(struct wsock *ws, uint32_t bytes, int64_t deadline_ns);
/* Till so many bytes can be read, or no more will come. */
int sock_wait_data(struct wsock *ws, size_t bytes, int64_t deadline_ns);
/* As these two, in a call that has moved some already: any signal ends it, also one
 * whose handler has SA_RESTART. */
int sock_wait_more_data(struct wsock *ws, size_t bytes, int64_t deadline_ns);
int sock_wait_more_space(struct wsock *ws, uint32_t bytes, int64_t deadline_ns);
/* Until everything that was written is acknowledged, or can never be. */
int sock_wait_sent(struct wsock *ws, int64_t deadline_ns);
int sock_wait_connected(struct wsock *ws, int64_t deadline_ns);

#endif
