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

#include "shim/base.h"
#include "shim/link/link.h"

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
	int fd;			  /* one of its descriptors, for people; -1: not known */
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
void wsock_tell_fd(struct wsock *ws);  /* ws->fd, to who asks weir what programs have */
void fdtab_set(int fd, struct obj *o); /* takes over the caller's reference */
struct obj *fdtab_take(int fd);	       /* gives the reference to the caller */
/* Move a descriptor of the shim's own to a high number, close-on-exec, and protect it. */
int fdtab_make_private(int fd);
void fdtab_close_private(int fd);
/* Highest descriptor number ever entered, plus one. */
unsigned int fdtab_top(void);

/* init.c: what the program was started with is taken over; once. */
void shim_begin(void);

/* ---- sockets ---- */

static inline int submit_sock(struct wsock *ws, uint8_t op, uint16_t arg16, uint32_t arg32)
{
	return submit(ws->shm->worker, op, ws->index, ws->gen, arg16, arg32);
}

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
