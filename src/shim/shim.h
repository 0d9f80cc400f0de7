/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shim: what is preloaded into a program so that its sockets are weir's.
 *
 * Theory of operation. interpose/ defines the names that programs call; each looks the descriptor
 * up (one array load) and either calls the C library's function or the semantics here. A weir
 * socket's descriptor is a real kernel descriptor, a placeholder that is never read, so numbers,
 * dup, close-on-exec and fork behave. Its state is a struct wsock (of this process) that points to
 * the shared struct abi_sock (of all processes of the family). Data calls work on the shared rings
 * alone; calls that need the engine's word go through the control slot of the thread's channel
 * (ctl.c). Whoever waits does it in one place (wait.c): spin and yield, then sleep on the bell.
 *
 * Every function here returns 0 or a count, or a negative errno; only interpose/ touches errno.
 * Memory is from mmap'ed slabs that are never given back and never change their type: a descriptor
 * that one thread closes while another uses it stays memory-safe.
 */
#ifndef WEIR_SHIM_SHIM_H
#define WEIR_SHIM_SHIM_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "shim/interpose/real.h"
#include "wire/app_abi.h"
#include "wire/app_ring.h"

#define FD_MAX (1u << 20)
#define NO_DEADLINE INT64_MAX

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define SHIM_TLS __thread __attribute__((tls_model("initial-exec")))

/* A lock that may be reset in a forked child; held for short times only, and no handler of the
 * program's runs in its thread meanwhile: signals_hold(). */
struct lock {
	_Atomic uint32_t word;
};
void lock_take(struct lock *lock);
void lock_drop(struct lock *lock);

/* ---- fd/fdtab.c: descriptors ---- */

enum obj_kind { OBJ_NONE, OBJ_SOCK, OBJ_EPOLL, OBJ_NETLINK, OBJ_PRIVATE };

/* What a descriptor of ours stands for; the first member of wsock and epset. */
struct obj {
	enum obj_kind kind;
	_Atomic int refs; /* descriptors of this process, and calls that wait */
	struct obj *next_free;
};

/* wsock.opts: what the shim keeps itself */
#define WS_V6ONLY 0x01u
#define WS_QUIET 0x02u		 /* an IPv6-only listener: bound, and nobody will ever call */
#define WS_CONNECT_PENDING 0x04u /* connect() answered EINPROGRESS and its result is not told */
#define WS_CORK 0x8u		 /* the program set TCP_CORK */
#define WS_MORE 0x8000u		 /* corked by MSG_MORE, till the next send without it */
#define WS_SPAWN_DUP 0x10000u	 /* named in a file action of posix_spawn(): see exec.c */

#define WS_AUXDATA 0x4000000u

struct packet_ring;
struct wsock {
	struct obj obj;
	struct abi_sock *shm; /* NULL until a call needs the engine to have it */
	uint32_t index, gen;
	uint8_t family;
	uint8_t type;
	uint16_t protocol; /* AF_PACKET: in network byte order */
	uint8_t quiet_listen;
	uint16_t quiet_port_be;
	_Atomic uint32_t opts;
	_Atomic uint32_t file_flags; /* until shm has them */
	_Atomic uint32_t watched;    /* it is or was in an epoll set */
	_Atomic int32_t linger_s;    /* SO_LINGER: close() waits so long; 0: not */
	int64_t rcv_timeout_ns;	     /* 0: none */
	int64_t snd_timeout_ns;
	_Atomic uint32_t salt; /* another one: destinations have to be asked for again */
	struct lock create_lock;
	struct packet_ring *ring; /* of a packet socket, or NULL (call/packet_ring.c) */
	struct owner *owner;	  /* who gets SIGURG; of this process's making */
	struct async *async;	  /* SIGIO, likewise */
};

extern _Atomic(struct obj *) fdtab[FD_MAX];
extern struct obj fdtab_private; /* what the shim's own descriptors stand for */

static inline struct obj *fd_obj(int fd)
{
	return (unsigned int)fd < FD_MAX ? atomic_load_explicit(&fdtab[fd], memory_order_acquire)
					 : NULL;
}

static inline struct wsock *fd_sock(int fd)
{
	struct obj *o = fd_obj(fd);

	return o && o->kind == OBJ_SOCK ? (struct wsock *)(void *)o : NULL;
}

static inline struct epset *fd_epset(int fd)
{
	struct obj *o = fd_obj(fd);

	return o && o->kind == OBJ_EPOLL ? (struct epset *)(void *)o : NULL;
}

static inline struct nlsock *fd_netlink(int fd)
{
	struct obj *o = fd_obj(fd);

	return o && o->kind == OBJ_NETLINK ? (struct nlsock *)(void *)o : NULL;
}

static inline bool fd_private(int fd)
{
	return fd_obj(fd) == &fdtab_private;
}

/* Bytes for a slab object of the size given, zeroed; never freed. NULL when memory is out. */
void *slab_more(size_t bytes);

struct wsock *wsock_new(void); /* with one reference */
void obj_get(struct obj *o);
void obj_put(struct obj *o); /* the last one releases the socket (the set) */

/* A placeholder descriptor for ws (takes over the caller's reference); or -errno. */
int fdtab_placeholder(struct wsock *ws, int flags);
void fdtab_set(int fd, struct obj *o); /* takes over the caller's reference */
struct obj *fdtab_take(int fd);	       /* gives the reference to the caller */
/* Move a descriptor of the shim's own to a high number, close-on-exec, and protect it. */
int fdtab_make_private(int fd);
void fdtab_close_private(int fd);
/* Highest descriptor number ever entered, plus one. */
unsigned int fdtab_top(void);

/* init.c: what the program was started with is taken over; once. */
void shim_begin(void);

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
/* How long a wait for events has to last, where all it will tell is that the daemon is gone: 0
 * for the first times. most_ns: the caller's own limit, or -1. */
int64_t dead_toll_ns(int64_t most_ns);
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
static inline int submit_sock(struct wsock *ws, uint8_t op, uint16_t arg16, uint32_t arg32)
{
	return submit(ws->shm->worker, op, ws->index, ws->gen, arg16, arg32);
}

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
/* As sock_wait with IN on a listener: of those who wait in here a connection wakes one. Whether it
 * took one or not, it leaves then; the engine wakes another where one is left. */
int sock_wait_accept(struct wsock *ws, int64_t deadline_ns);
void sock_accept_leave(struct wsock *ws);
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

/* ---- sockets ---- */

/* Readiness of a socket, also of one that the engine does not know yet, or with shards. */
uint32_t wsock_events(struct wsock *ws);
/* The pending error (a positive errno) or 0, of any shard; it is not pending any more. */
int wsock_take_error(struct wsock *ws);
/* As wsock_events; where the caller waits for OUT and there is none, have the engine tell. */
uint32_t wsock_events_wanted(struct wsock *ws, uint32_t interest);
/* As wsock_events_wanted() for a slot of the arena, whichever process has it. SLOT_GONE: the socket
 * of that generation is closed. */
#define SLOT_GONE UINT32_MAX
uint32_t slot_events(uint32_t index, uint32_t gen, uint8_t type, uint32_t interest);
/* Ask for completions on a channel index that is known by the worker of each shard. */
void wsock_watch(struct wsock *ws, struct abi_channel **channels, uint32_t interest);
void wsock_unwatch(struct wsock *ws, struct abi_channel **channels);
/* The next shard of a socket, NULL at the end. n counts the steps. */
struct abi_sock *wsock_next_shard(const struct abi_sock *shm, unsigned int n);
static inline uint32_t shm_index(const struct abi_sock *shm)
{
	return (uint32_t)(shm - session.socks);
}
bool wsock_nonblock(const struct wsock *ws);
void wsock_set_nonblock(struct wsock *ws, bool on);
/* Of the file flags, those of mask become as they are in `to`. */
void wsock_change_file_flags(struct wsock *ws, uint32_t mask, uint32_t to);
uint32_t wsock_file_flags(const struct wsock *ws);
void wsock_adopt(struct wsock *ws, uint32_t index, uint32_t gen);

/* A ring's memory, checked against the mapping; NULL where there is none. */
static inline uint8_t *ring_at(uint64_t offset, uint32_t size)
{
	if (unlikely(size == 0 || (size & (size - 1)) != 0 || offset > session.size ||
		     size > session.size - offset))
		return NULL;
	return session.base + offset;
}

/* No thread has this number: it was killed. */
bool thread_gone(uint32_t tid);
/* In the page that is never there: what the kernel answers EFAULT. */
static inline bool bad_pointer(const void *p)
{
	return unlikely((uintptr_t)p < 4096);
}

/* Locks in shared memory, among threads and processes. 0 or -EAGAIN where this thread has it. */
int shared_lock(_Atomic uint32_t *word);
static inline void shared_unlock(_Atomic uint32_t *word)
{
	atomic_store_explicit(word, 0, memory_order_release);
	signals_release();
}

/* ---- link/ctl.c ---- */

struct ctl_args {
	uint32_t op, level, optname;
	uint16_t port_be, flags;
	struct ipaddr addr;
	const void *in;
	uint32_t in_len;
	void *out;
	uint32_t out_len; /* room, then length */
};
/* Ask the engine and wait for its answer; creates the socket if need be. */
int ctl_call(struct wsock *ws, struct ctl_args *args);
int ctl_create(struct wsock *ws); /* only create; 0 if it is there already */

/* ---- addr.c ---- */
int addr_in(const struct wsock *ws, const struct sockaddr *sa, socklen_t len, struct ipaddr *addr,
	    uint16_t *port_be);
void addr_out(const struct wsock *ws, const struct ipaddr *addr, uint16_t port_be,
	      struct sockaddr *sa, socklen_t *len);
int wsock_getname(struct wsock *ws, bool peer, struct sockaddr *sa, socklen_t *len);

/* ---- call/left.c: sockets that are not on weir, counted ---- */
void left_count(enum abi_off why);
void left_family(int domain);
void left_attached(void); /* there is a session now */

/* ---- call/policy.c: addresses that are the host's (--kernel) ---- */
extern unsigned int policy_nets; /* how many there are; 0: never ask */
void policy_init(void);
const char *policy_text(void); /* WEIR_KERNEL, or NULL */
bool policy_is_inet(int fd);
/* Before fd (ws, or NULL: a socket of the kernel's) deals with an address: 0, and it may have
 * become the kernel's; or -errno. */
int policy_apply(int fd, struct wsock *ws, const struct sockaddr *sa, socklen_t len);
/* The socket that fd stands for when it deals with sa; NULL: the kernel's. *err: 0 or -errno. */
static inline struct wsock *policy_sock(int fd, const struct sockaddr *sa, socklen_t len, int *err)
{
	struct wsock *ws = fd_sock(fd);

	*err = 0;
	if (likely(policy_nets == 0 || !sa))
		return ws;
	*err = policy_apply(fd, ws, sa, len);
	return *err ? ws : fd_sock(fd);
}

/* ---- call/setup.c: socket, bind, connect, listen, accept, shutdown ---- */
bool call_socket_ours(int domain, int type, int protocol, int *error);
int call_socket(int domain, int type, int protocol);
int call_bind(struct wsock *ws, const struct sockaddr *sa, socklen_t len);
int call_connect(struct wsock *ws, const struct sockaddr *sa, socklen_t len);
int call_connect_fastopen(struct wsock *ws, const struct sockaddr *sa, socklen_t len,
			  bool nonblock);
/* The SYN waits for the first write (TCP_FASTOPEN_CONNECT). */
static inline bool sock_syn_waits(const struct wsock *ws)
{
	return ws->shm &&
	       (atomic_load_explicit(&ws->shm->state, memory_order_relaxed) & ABI_S_SYN_WAITS);
}
int call_connect_finish(struct wsock *ws); /* wait for the handshake: 0 or -errno */
int call_listen(struct wsock *ws, int backlog);
int call_accept(struct wsock *ws, struct sockaddr *sa, socklen_t *len, int flags);
int call_shutdown(struct wsock *ws, int how);

/* ---- call/sockopt.c, recvopt.c ---- */
bool recvopt_is(int level, int name); /* does it only say what recvmsg() adds? */
int recvopt_set(struct wsock *ws, int level, int name, int value);
int recvopt_get(const struct wsock *ws, int level, int name);
void recvopt_timestamping(struct wsock *ws, int name, int flags);
int recvopt_peek_off(struct wsock *ws, int value);
/* udpopt.c: the level IPPROTO_UDP. get: the value, or -errno */
int udpopt_set(struct wsock *ws, int name, const void *data, socklen_t len);
int udpopt_get(const struct wsock *ws, int name);
/* mcastopt.c: MCAST_MSFILTER; IP_MSFILTER and it */
int mcastopt_set_filter(struct wsock *ws, const void *value, socklen_t len);
int mcastopt_get_filter(struct wsock *ws, int name, void *value, socklen_t *len);
int call_setsockopt(struct wsock *ws, int level, int name, const void *value, socklen_t len);
int call_getsockopt(struct wsock *ws, int level, int name, void *value, socklen_t *len);
int call_ioctl(struct wsock *ws, int fd, unsigned long request, void *arg);

/* ---- call/: stream.c, urgent.c, dgram.c, errqueue.c, cmsg.c, known.c, msg.c, sendfile.c ---- */
ssize_t stream_send(struct wsock *ws, const struct iovec *iov, int iovcnt, int flags);
ssize_t stream_recv(struct wsock *ws, const struct iovec *iov, int iovcnt, int flags);
ssize_t stream_send_ready(struct wsock *ws, int flags); /* errors a send meets before any data */
void stream_published(struct wsock *ws, uint32_t new_tail);
int stream_ring(struct wsock *ws);
void stream_taken(struct wsock *ws, uint32_t new_head);
ssize_t epipe(const struct wsock *ws, int flags);
/* urgent.c: recv(MSG_OOB); and, under rx_lock, what a read of `used` bytes at *head may take */
ssize_t urgent_recv(struct wsock *ws, const struct iovec *iov, int iovcnt, int flags);
uint32_t urgent_limit(struct wsock *ws, uint32_t *head, uint32_t used, int flags);
/* owner.c: SIGURG for the owner that the placeholder fd has now */
void owner_changed(struct wsock *ws, int fd);
void owner_adopt(struct wsock *ws, int fd); /* behind exec */
void owner_gone(struct wsock *ws);
/* async.c: SIGIO */
int async_set(struct wsock *ws, int fd, bool on);
void async_adopt(struct wsock *ws, int fd);
void async_gone(struct wsock *ws);
void async_after_fork(void);
void packet_ring_free(struct wsock *ws); /* packet_ring.c */
void owner_hears(struct owner *owner);	 /* what comes from now on is news */
void owners_signalled(void);		 /* in a handler of SIGURG */
void owners_lock(bool take);
void owners_after_fork(void);
ssize_t dgram_send(struct wsock *ws, const struct msghdr *msg, int flags);
void dgram_uncork(struct wsock *ws); /* UDP_CORK is off: ws->shm is there */
ssize_t dgram_recv(struct wsock *ws, struct msghdr *msg, int flags);
/* zerocopy.c */
void zerocopy_note(struct wsock *ws, bool on);
void zerocopy_sent(struct wsock *ws);
/* errqueue.c: recvmsg(MSG_ERRQUEUE) */
ssize_t errqueue_recv(struct wsock *ws, struct msghdr *msg, int flags);
/* cmsg.c: used: of msg's control room. All mark in msg what did not fit. */
void cmsg_put(struct msghdr *msg, size_t *used, int level, int type, const void *data, size_t len);
void cmsg_stamp(uint32_t opts, struct msghdr *msg, size_t *used, uint64_t stamp_ns);
void cmsg_ip(const struct wsock *ws, uint32_t opts, struct msghdr *msg, size_t *used,
	     const struct abi_dgram *d);
void cmsg_out(const struct wsock *ws, struct msghdr *msg, const struct abi_dgram *d);
int cmsg_in(const struct wsock *ws, const struct msghdr *msg, struct abi_dgram *d);
/* known.c: destinations to which a datagram of ws may go without asking; d: as it is sent */
bool known_to(const struct wsock *ws, const struct abi_dgram *d);
void known_add(const struct wsock *ws, const struct abi_dgram *d);
void known_from(const struct wsock *ws, const struct abi_dgram *received);
static inline void known_forget(struct wsock *ws)
{
	atomic_fetch_add_explicit(&ws->salt, 1, memory_order_relaxed);
}
ssize_t msg_send(struct wsock *ws, const struct msghdr *msg, int flags);
ssize_t msg_recv(struct wsock *ws, struct msghdr *msg, int flags);
/* readv(), writev() and their like: nothing of nothing is 0, whatever the socket is. */
ssize_t vector_send(struct wsock *ws, const struct msghdr *msg, int flags);
ssize_t vector_recv(struct wsock *ws, struct msghdr *msg, int flags);
ssize_t buf_send(struct wsock *ws, const void *buf, size_t len, int flags,
		 const struct sockaddr *sa, socklen_t sa_len);
ssize_t buf_recv(struct wsock *ws, void *buf, size_t len, int flags, struct sockaddr *sa,
		 socklen_t *sa_len);
int mmsg_send(struct wsock *ws, struct mmsghdr *v, unsigned int n, int flags);
int mmsg_recv(struct wsock *ws, struct mmsghdr *v, unsigned int n, int flags,
	      const struct timespec *timeout);
ssize_t call_sendfile(struct wsock *ws, int in_fd, off64_t *offset, size_t count);
ssize_t call_splice(int in_fd, off64_t *in_off, int out_fd, off64_t *out_off, size_t len,
		    unsigned int flags);

/* ---- link/netif.c: weir's interfaces, as the daemon says they are now ---- */
struct abi_netif;
/* The first interface with an ifindex of at least from, and its addresses from the one of that
 * number on. 0, -ENODEV: no more, or -errno. */
int netif_next(uint32_t from, uint32_t first_addr, struct abi_netif *netif);
int netif_by_name(const char *name, struct abi_netif *netif); /* 0, -ENODEV, -errno */
int netif_by_index(uint32_t ifindex, struct abi_netif *netif);
/* call/netif.c: SIOCGIF* on a socket. -ENOTTY: not one of these requests. */
int netif_ioctl(unsigned long request, void *arg);
/* call/procnet.c: open() of a file of /proc/net. False: it is none, and the kernel's to open.
 * *result as open()'s, with errno. */
bool procnet_open(const char *path, int flags, long *result);

/* ---- interpose/syscall.c ---- */

/*
 * A system call by number, args the six of the kernel's convention. True: it concerns weir, and
 * *result is a count or -errno. False: it is the kernel's.
 */
bool call_by_number(long number, const long *args, long *result);

/* ---- call/netlink.c ---- */
/* Is a netlink socket of this protocol weir's to answer? */
bool netlink_is_ours(int protocol);
int netlink_socket(int type, int protocol);
void netlink_free(struct nlsock *nl);
void netlink_lock(bool take);
int netlink_bind(struct nlsock *nl, int fd, const struct sockaddr *sa, socklen_t len);
int netlink_connect(struct nlsock *nl, const struct sockaddr *sa, socklen_t len);
int netlink_getname(const struct nlsock *nl, bool peer, struct sockaddr *sa, socklen_t *len);
ssize_t netlink_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t netlink_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *sa,
		       socklen_t sa_len);
ssize_t netlink_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t netlink_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *sa,
			 socklen_t *sa_len);
int netlink_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int netlink_getsockopt(const struct nlsock *nl, int fd, int level, int name, void *value,
		       socklen_t *len);

/* ---- epoll ---- */
int epset_create(int flags);
int epset_ctl(struct epset *ep, int op, int fd, struct epoll_event *event);
int epset_wait(struct epset *ep, struct epoll_event *events, int max, int64_t timeout_ns,
	       const sigset_t *mask);
/* Is there something for epoll_wait()? poll() on the set; a set in a set. */
bool epset_has_event(struct epset *ep);
/* Did it ever have anything that the kernel does not know? */
bool epset_is_weir(const struct epset *ep);
/* poll() sleeps on the set's descriptor: from now on rings come to it / no more. */
void epset_poll_begin(struct epset *ep);
void epset_poll_arm(struct epset *ep);
void epset_poll_end(struct epset *ep);
void epset_free(struct epset *ep);
void epset_sock_closed(struct wsock *ws);
void epset_sock_sharded(struct wsock *ws);
void epset_forked(void);
/* Another process will have what there is now. */
void epset_before_fork(void);
bool epset_any_forked(void);
/* The program closes this descriptor of the set; it may have others. */
void epset_fd_gone(struct epset *ep, int fd);
void epset_lock_all(bool take);

/* ---- poll/poll.c ---- */
int call_poll(struct pollfd *fds, nfds_t n, int64_t timeout_ns, const sigset_t *mask);
bool poll_has_ours(const struct pollfd *fds, nfds_t n);
int call_select(int n, fd_set *in, fd_set *out, fd_set *ex, int64_t timeout_ns,
		const sigset_t *mask, bool *ours);

/* ---- process/: see process/process.h for what only its files need ---- */

/* Each part's locks, for fork(): a child begins with all of them free and the data whole. */
void fdtab_lock(bool take);
void channels_lock(bool take);
void signals_lock(bool take);

void process_init(void);
/* The sockets that exec handed over (WEIR_SESSION in the environment), process/adopt.c. */
void exec_adopt(void);
void exec_keep_names(void);
/* process/pass.c: does the message name a descriptor of ours? Then send it so. And look at what
 * came with one. */
bool pass_needed(const struct msghdr *msg);
ssize_t pass_send(int fd, const struct msghdr *msg, int flags);
void pass_received(const struct msghdr *msg);
int signals_action(int sig, const struct sigaction *act, struct sigaction *old);
/* A handler begins in this thread: calls that wait are told. */
void signals_count(int sig, bool restart);

/* fd/fdops.c */
int call_close(int fd);
int call_close_range(unsigned int first, unsigned int last, int flags);
int call_dup_onto(int old, int new, int flags, bool dup3);
int call_dup(int fd);
int call_fcntl(struct obj *o, int fd, int cmd, unsigned long arg);

#endif
