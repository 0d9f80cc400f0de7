/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket layer's inside: what its files share. Nobody outside src/sock includes this.
 *
 * Theory of operation
 *
 *   family ---- part[worker] ---- channel[512]        (struct channel: private copy of positions)
 *     |              |   heap     watch lists
 *     |              +-- socks [first, first + count) (struct sock: private side of abi_sock)
 *     +-- sessions (who references which sockets)
 *
 * A family's arena, its socket slots, channels and ring memory are divided between the workers, so
 * a worker touches nothing of another's and there are no locks. Everything that is not a byte in a
 * ring or a position is private; from shared memory the engine reads only: sq_tail, ctl, cq_head,
 * sleeping, rx_head, tx_tail, tx_kick, want, err_seen, pending bits and datagram headers; each
 * once, each checked against the private copy. A broken rule marks the family (sock_broken()); from
 * then on its channels are not looked at any more, and the control thread destroys its sessions.
 *
 * What happens to a socket during a loop (data, state, acknowledgments) only marks it dirty;
 * sock_flush() publishes positions and states, makes one fence, and posts completions (ready.c); so
 * a burst of packets for one socket costs one store, one completion, and one bell at most.
 *
 * Life of a slot: SLOT_FREE -> sock_new() -> in use -> sock_close() -> SLOT_FREE. A stream's pcb
 * may live on as an orphan with its send ring; the ring is found by its address when TCP lets go
 * (stream_up.c), and part.orphans keeps the arena until then.
 */
#ifndef WEIR_SOCK_SOCK_PRIV_H
#define WEIR_SOCK_SOCK_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/byte_ring.h"
#include "core/watch.h"
#include "inet/inet.h"
#include "inet/tcp/tcp.h"
#include "inet/udp.h"
#include "sock/arena_alloc.h"
#include "sock/session.h"
#include "sock/sock.h"
#include "wire/app_abi.h"

#define SOCK_RING_DGRAM_BYTES (256u << 10)
#define SOCK_RING_DGRAM_MIN_BYTES (128u << 10) /* so that the largest datagram fits */
#define SOCK_RING_MAX_BYTES (8u << 20)
#define SOCK_BUFFER_MAX_BYTES (4u << 20) /* that SO_SNDBUF may ask for [wmem_max] */
#define SOCK_RING_MIN_BYTES (4u << 10)
#define SOCK_CHANNEL_BURST 64u		   /* submissions of one channel a turn */
#define SOCK_POLL_BURST 512u		   /* and of all */
#define SOCK_DGRAM_BURST 64u		   /* datagrams of one socket a turn */
#define SOCK_TURN_DATAGRAMS 4096u	   /* of all of them, by submissions, */
#define SOCK_MORE_DATAGRAMS 1024u	   /* of those that were left by turns before, */
#define SOCK_CLOSE_DATAGRAMS 32768u	   /* and by what is closed */
#define SOCK_ACCEPT_GRACE_NS 1000000000ull /* for a connection that was taken and not claimed */
#define SOCK_IDLE_NS 10000000000ull	   /* an empty ring is kept for so long */
#define SOCK_ERRQUEUE_BUCKETS 64u
#define CHANNEL_WORDS (ABI_MAX_CHANNELS / 64)

struct packet_sock;
struct raw_sock;
struct sock;
struct sock_filters;
struct part;
struct channel;

/* One (channel, socket) interest; in the list of both. */
struct watch {
	struct watch *next, **pprev;	   /* of the socket's */
	struct watch *ch_next, **ch_pprev; /* of the channel's */
	struct channel *channel;
	struct sock *sock;
	uint32_t interest;  /* ABI_EV_* | ABI_WATCH_* */
	uint32_t posted_at; /* CQ position of the last entry, where posted */
	bool posted;
};

struct channel {
	struct abi_channel *abi;
	struct part *part;
	struct session *session; /* NULL: an epoll set's, of its holders' */
	uint32_t holders;	 /* sessions */
	uint32_t sq_head, cq_tail, cq_entries, ctl_done;
	struct channel *bell_next; /* of those that got something in this loop */
	bool bell_listed;
	bool ctl_waiting; /* the control thread works on the answer (shard.c) */
	uint32_t ctl_seq; /* of that request */
	uint16_t index;
	int bell_fd; /* -1: none */
	bool bell_is_sock;
	int far_fd;	     /* of ABI_BELL_ASYNC: the program's end, too; else -1 */
	uint32_t far_events; /* to be told there */
	struct watch *watches;
};

/*
 * Socket options, all as int: options.c's table sets them by offset. A block is shared by every
 * socket that has the same (the defaults; a listener and what it accepted) and copied by the first
 * one that sets another value: read through sock.opt, write through options_own() only.
 */
struct sock_options {
	uint32_t refs;
	int32_t reuse_addr, reuse_port, keepalive, broadcast, oobinline, priority, rcvlowat,
		dontroute;
	int32_t linger, linger_s, rcvbuf, sndbuf, mark, busy_poll, timestamp, passcred,
		incoming_cpu;
	int32_t nodelay, cork, keep_idle, keep_interval, keep_count, user_timeout, max_seg;
	int32_t defer_accept, fastopen, fastopen_connect, fastopen_no_cookie, syncnt, linger2,
		notsent_lowat, window_clamp, thin_linear, thin_dupack, save_syn;
	int32_t tos, ttl, pktinfo, recverr, mtu_discover, bind_no_port, recv_tos, recv_ttl,
		freebind, transparent, recv_ipopts, ret_ipopts, select_errq, timestamping, no_check,
		gro;
	int32_t hdrincl, zerocopy;
	int32_t bound_if, unicast_if; /* SO_BINDTODEVICE, IP_UNICAST_IF; 0: none */
	int32_t mcast_ttl, mcast_loop, mcast_all;
	int32_t v6only, v6_tclass, v6_hops, v6_recverr, v6_pktinfo, v6_recv_hoplimit,
		v6_recv_tclass, v6_mtu_discover, v6_mcast_hops, v6_mcast_loop;
	int64_t rcvtimeo[2], sndtimeo[2];
	uint64_t max_pacing_rate; /* SO_MAX_PACING_RATE, bytes a second; ~0: no limit */
	char congestion[TCP_CONGESTION_NAME_BYTES]; /* TCP_CONGESTION; "": the default */
	uint32_t fastopen_keys_bytes;		    /* TCP_FASTOPEN_KEY; 0: none */
	uint8_t fastopen_keys[2 * TCP_FASTOPEN_KEY_BYTES];
};

enum slot_use { SLOT_FREE = 0, SLOT_STREAM, SLOT_DGRAM, SLOT_RAW, SLOT_PACKET };

struct sock {
	/* hot: one or two cache lines */
	struct abi_sock *abi;
	struct part *part;
	union {
		struct tcp_pcb *tcp; /* NULL: gone, or not there yet */
		struct udp_pcb *udp;
		struct packet_sock *packet;
		struct raw_sock *raw;
	};
	struct watch *watches;
	struct sock *dirty_next;
	uint32_t index, gen;
	uint32_t state;	    /* ABI_S_*, without RX_KICK */
	uint32_t pub_state; /* as published */
	uint32_t pub_rx_tail, pub_tx_head;
	uint32_t events;	 /* to be posted by the next flush */
	uint8_t use;		 /* enum slot_use */
	bool dirty;		 /* in the layer's list */
	bool acked;		 /* send space came back in this loop */
	bool tx_more;		 /* in the list of datagram sockets whose ring was not drained */
	struct byte_ring rx, tx; /* datagram; listener (rx); stream whose pcb is gone */
	uint32_t excl_budget;	 /* how many exclusive watches the next flush may wake */
	uint32_t refs;		 /* sessions */
	/* cold */
	struct sock *tx_next;
	uint16_t err_seq;
	uint8_t family;	   /* AF_INET, AF_INET6 */
	bool shared_ref;   /* was ever referenced by a session (else it waits to be accepted) */
	bool tx_locked;	   /* SO_SNDBUF was set */
	bool tx_smaller;   /* and is less than the ring's size still */
	bool tx_lowat;	   /* TCP_NOTSENT_LOWAT holds: tx_sent is published */
	bool accepted : 1; /* its opt is the listener's, but TCP_DEFER_ACCEPT and SO_PRIORITY */
	bool rx_asked : 1; /* SO_RCVBUF was set: not of streams */
	bool filter_locked : 1; /* stream: SO_LOCK_FILTER; others': filters */
	/* stream: what bind() asked for, and a connection that ends leaves [SOCK_BIND*_LOCK] */
	bool bound_addr : 1, bound_port : 1;
	union {
		uint32_t backlog;   /* listener */
		uint32_t next_free; /* free slot: the number of the next */
		uint32_t idle_mark; /* stream: where its positions were at the last look */
	};
	/* Ring sizes to be made. A stream's: what SO_RCVBUF and SO_SNDBUF asked for; rx 0, and tx
	 * without tx_locked: they grow by themselves. */
	uint32_t rx_want_bytes, tx_want_bytes;
	uint32_t queue_pos; /* of one that waits to be accepted: its position in the ring */
	struct sock *listen_next, **listen_pprev; /* listener: of the part's */
	union {
		struct sock *queue;	      /* listener: connections not claimed yet */
		struct sock_filters *filters; /* not a stream; NULL: there never was one */
	};
	struct sock *listener;			/* of such a connection; see also share.c */
	struct sock *queue_next, **queue_pprev; /* such a connection; pprev NULL: not one */
	uint32_t shard_next, shard_first;	/* slots of the other workers, see shard.c */
	struct timer timer;	  /* reaps what was taken and never claimed; then idle.c's */
	struct sock_options *opt; /* shared, see above */
};

/* With struct abi_sock (192) and the pcb: at most 1.5 KB for a connection that is idle. */
_Static_assert(sizeof(struct sock) <= 256, "a million of them");

struct part {
	struct family *family;
	struct worker *w;
	struct part *next, **pprev; /* of the worker's; pprev NULL: not listed */
	struct abi_arena *arena;
	uint64_t again[CHANNEL_WORDS]; /* channels whose SQ was not emptied */
	unsigned int channel_words;    /* words of the pending bits that are in use */
	uint32_t first, count, fresh, free_head, used; /* slots */
	struct sock *listeners;
	uint32_t orphans;  /* pcbs without socket that use our rings */
	uint64_t sweep_ns; /* not before: stream_sweep() */
	uint32_t watches;
	uint32_t errqueue_count;
	uint64_t filter_bytes; /* of its sockets' filters, attach.c */
	bool dead;	       /* goes with its last orphan */
	struct arena_heap heap;
	struct errqueue *errqueues[SOCK_ERRQUEUE_BUCKETS]; /* by socket number */
	struct channel *channel[ABI_MAX_CHANNELS];
};

struct family {
	char name[64];
	uint8_t *base;
	uint64_t arena_bytes;
	int arena_fd; /* -1: anonymous */
	uint32_t id;  /* not another family's, till it has wrapped around */
	uint32_t sock_count;
	struct sock *socks; /* [sock_count], touched as used */
	struct session *sessions;
	_Atomic(const char *) broken;
	_Atomic uint32_t live_parts;
	bool net_raw; /* may have raw and packet sockets [CAP_NET_RAW] */
	bool unprivileged;
	uint32_t uid;
	uint8_t owner; /* number of that user, 255: one of too many */
	unsigned int group_count;
	uint32_t *groups; /* of whoever began it, the effective one first */
	unsigned int parts;
	struct part *part[ABI_MAX_WORKERS];
	int worker_bell[ABI_MAX_WORKERS]; /* -1 */
};

struct session {
	struct family *family;
	struct session *next;
	pid_t pid;
	uint64_t *refs;				       /* a bit for each socket */
	uint64_t held[ABI_MAX_WORKERS][CHANNEL_WORDS]; /* and for each shared channel */
};

struct shard_request;

struct sock_layer {
	struct part *parts; /* all families' parts on this worker */
	struct part *turn;  /* where the next poll begins */
	struct sock *dirty, **dirty_end;
	struct channel *bells;
	struct tcp_pcb *closing; /* the pcb in tcp_close() now; NULL again: it is gone */
	struct sock *tx_more, **tx_more_end; /* datagram sockets with more to send */
	unsigned int datagrams;		     /* sent since the turn began */
	struct watch *free_watches, *watch_batches;
	struct shard_request *requests;		 /* for the control thread */
	struct packet_sock *packets;		 /* packet sockets that hear something */
	const struct packet_sock *packet_sender; /* the one whose frame is being sent, or NULL */
	struct watcher watcher;			 /* for them */
	struct sock_hooks hooks;
	struct sock_options opt_default[2]; /* stream, datagram */
	bool late_work;			    /* something was sent while flushing: come again */
	uint64_t bells_rung, cq_overflows, ctl_calls, submissions;
	struct {
		uint16_t level, name;
	} noted[64]; /* unknown options that were logged */
	unsigned int noted_count;
};

/* family.c */
int family_create(const struct family_params *params, struct family **family);
void family_free(struct family *f);
/* Its part on a worker. */
static inline struct part *part_on(struct family *f, const struct worker *w)
{
	unsigned int i = 0;

	while (f->part[i]->w != w)
		i++;
	return f->part[i];
}
/* Handle what its programs have submitted so far (session.c). Parked. */
void family_drain(struct family *f);
/* The part that holds this address, or NULL. */
struct part *part_of_address(struct worker *w, const void *ptr);
void part_unlist(struct part *part);
/* A dead part that has no orphan left goes, and the family with its last part. */
void part_settle(struct part *part);

/* slot.c: sockets come and go */
/* -ENFILE, -ENOMEM, -EPROTONOSUPPORT, ... The new socket has no session yet. */
int sock_new(struct part *part, int family, int type, int protocol, struct sock **sock);
void sock_tx(struct sock *s); /* ABI_OP_TX of what is not a stream */
int sock_slot_take(struct part *part, struct sock **sock);
void sock_slot_give(struct sock *s);
void sock_ref(struct session *session, struct sock *s);
void sock_unref(struct session *session, struct sock *s);
void sock_close(struct sock *s, bool abort);
/* The socket of a submission, or NULL (stale: ignored; impossible: the family is broken). */
struct sock *sock_find(struct part *part, uint32_t index, uint32_t gen);
void sock_broken(struct part *part, const char *why);
static inline bool part_broken(const struct part *part)
{
	return atomic_load_explicit(&part->family->broken, memory_order_relaxed) != NULL;
}
void sock_set_error(struct sock *s, int error);
void sock_clear_error(struct sock *s);
void sock_set_addrs(struct sock *s);
/* 0, or -EACCES: the port is not for the program's user. */
int sock_port_check(const struct sock *s, uint16_t port_be);
uint32_t sock_ring_size(uint32_t bytes, bool dgram);
uint32_t sock_rmem_default(const struct sock *s); /* a new one's receive ring */
int ring_make(struct part *part, struct byte_ring *ring, uint32_t size_bytes);
void ring_drop(struct part *part, struct byte_ring *ring);
void sock_publish_rx_ring(struct sock *s, const struct byte_ring *ring);
void sock_publish_tx_ring(struct sock *s, const struct byte_ring *ring);

/* channel.c */
int channel_open(struct session *session, struct part *part, int bell_fd, uint32_t cq_entries,
		 struct channel **channel);
void channel_close(struct channel *ch);
/* Handle up to max submissions; returns how many. */
unsigned int channel_drain(struct channel *ch, unsigned int max);
void channel_bell(struct channel *ch);
/* Ring it, though nothing happened, and though it may have been rung already. */
void channel_wake(struct channel *ch);

/* async.c: ABI_BELL_ASYNC. What is to be told when it is rung; and the ring. */
void async_note(struct channel *ch, uint32_t events);
void async_ring(struct channel *ch);

/* session_channel.c */
void session_channels_inherit(struct session *child, const struct session *parent);
void session_channels_close(struct session *session);

/* ctl.c */
void ctl_run(struct channel *ch);
void ctl_finish(struct channel *ch, int32_t result);

/* options.c */
int option_set(struct sock *s, uint32_t level, uint32_t name, const void *data, uint32_t len);
int option_get(struct sock *s, uint32_t level, uint32_t name, void *data, uint32_t *len);
void options_init(struct sock_layer *l);
void options_default(struct sock *s);
/* The same as another socket's of this worker. */
void options_share(struct sock *s, const struct sock *from);
/* A copy of another socket's, perhaps of another worker (parked). 0 or -ENOBUFS. */
int options_copy(struct sock *s, const struct sock *from);
void options_drop(struct sock *s);
void options_apply(struct sock *s);

/* stream.c */
int stream_open(struct sock *s);
int stream_bind(struct sock *s, const struct endpoint *local);
int stream_bind_twin(struct sock *s, const struct endpoint *local); /* tcp_bind_twin() */
int stream_connect(struct sock *s, const struct endpoint *remote, bool fastopen);
int stream_listen(struct sock *s, uint32_t backlog);
int stream_shutdown(struct sock *s, int how);
/* connect(AF_UNSPEC): as new, but bound as before; a connection is reset [tcp_disconnect]. */
int stream_dissolve(struct sock *s);
int stream_linger(struct sock *s); /* ABI_CTL_LINGER */
void stream_close(struct sock *s, bool abort);
void stream_tx(struct sock *s);
void stream_rx(struct sock *s);
bool stream_sync_tx(struct sock *s);
bool stream_sync_rx(struct sock *s);
void stream_publish(struct sock *s);
bool stream_sweep(struct part *part);
void stream_settle(struct sock *s);
void stream_upcalls(struct inet_upcalls *upcalls); /* stream_up.c */

/* resize.c: a stream's ring, size_bytes a power of two. 0; -EAGAIN: the program is inside, later;
 * -ENOMEM: no memory, or no more of it for growing; -EINVAL: it does not hold what there is. */
int stream_resize_rx(struct sock *s, uint32_t size_bytes, uint32_t beyond);
int stream_resize_tx(struct sock *s, uint32_t size_bytes);
void stream_fit_tx(struct sock *s);
uint32_t stream_tx_size(const struct sock *s);
void stream_tx_apply(struct sock *s); /* TCP_NOTSENT_LOWAT */
void stream_rx_lowat(struct sock *s); /* SO_RCVLOWAT */

/* idle.c */
void stream_idle_watch(struct sock *s); /* it has a ring now */
int stream_need_tx(struct sock *s);	/* 0, -ENOBUFS, -ENOTCONN */

/* accept.c */
void accept_open(struct sock *listener);
bool accept_room(struct sock *listener);
uint32_t accept_waiting(struct sock *listener);
void accept_push(struct sock *listener, struct sock *s);
void accept_claim(struct session *session, struct sock *s);
void accept_close(struct sock *listener);
void accept_unlink(struct sock *s);
void accept_reap(struct part *part);

/* errqueue.c */
int errqueue_open(struct sock *s);   /* where there is none: 0 or -ENOBUFS */
void errqueue_close(struct sock *s); /* and what it holds is gone */
/* Put an entry with e->len_bytes of payload; nothing where there is no queue, or no room. */
void errqueue_put(struct sock *s, const struct abi_error *e, const void *payload);
void errqueue_net_error(struct sock *s, const struct net_error *net);
/* What it holds goes, but for completions of MSG_ZEROCOPY [skb_errqueue_purge]. */
void errqueue_purge(struct sock *s);
/* It holds something, or counts sends. */
bool errqueue_in_use(const struct sock *s);
/* MSG_ZEROCOPY: n more sends are complete. Nothing where there is no queue. */
void errqueue_zerocopy(struct sock *s, uint32_t n);
/* ABI_CTL_ERRQUEUE; data has ABI_CTL_DATA_BYTES. 0 or -EAGAIN. */
int errqueue_take(struct sock *s, void *data, uint32_t *len);

/* txstamp.c: d was sent so; its time stamps, where some are wanted */
void txstamp_sent(struct sock *s, const struct abi_dgram *d, const struct udp_send *send);

/* dgram.c */
int dgram_send_check(struct sock *s, const struct abi_dgram *d); /* ABI_CTL_SEND_CHECK */
void dgram_limit(struct sock *s); /* publishes what need not be checked */
int dgram_open(struct sock *s);
int dgram_bind(struct sock *s, const struct endpoint *local);
int dgram_connect(struct sock *s, const struct endpoint *remote);
int dgram_shutdown(struct sock *s, int how);
void dgram_close(struct sock *s);
void dgram_tx(struct sock *s);
void dgram_publish(struct sock *s);
bool dgram_sync_rx(struct sock *s); /* take the program's read position; false: broken */
void dgram_deliver(struct worker *w, struct udp_pcb *pcb, struct pkt *p,
		   const struct endpoint *from, const struct endpoint *to);
void dgram_error(struct worker *w, struct udp_pcb *pcb, const struct net_error *e);
/* Go on with those whose ring was not drained; returns datagrams sent. */
unsigned int dgram_tx_more(struct worker *w);

/* shard.c: listeners and datagram sockets on several workers */
enum shard_what {
	SHARD_LISTEN,	/* siblings of a listener */
	SHARD_BIND,	/* is the port free on all workers? Siblings of a datagram socket */
	SHARD_OPTION,	/* an option that its siblings are to have too */
	SHARD_CONNECT,	/* a datagram socket was connected: its siblings follow */
	SHARD_BELOW,	/* a raw or packet socket: it has siblings from the start, all alike */
	SHARD_UNLISTEN, /* it listens no more: its siblings go, and it is as new */
	SHARD_CLOSE,
	SHARD_LEAVE, /* before a datagram socket is closed: its siblings are, its port is free */
};
bool shard_wanted(const struct sock *s);
bool shard_bind_wanted(const struct sock *s); /* are other workers to be asked for a port? */
bool shard_below_wanted(const struct sock *s);
/* The answer of ch's request waits until the other workers have followed. 0 or -ENOMEM. */
int shard_request(struct sock *s, struct channel *ch, enum shard_what what,
		  const struct endpoint *at);
/* The same for SHARD_OPTION: the option is set on s and its siblings. */
int shard_request_option(struct sock *s, struct channel *ch, const struct abi_ctl *ctl);
void shard_request_close(struct sock *s);
void shard_forget_channel(struct channel *ch);
void shard_forget_part(struct part *part);
void shard_free(struct sock_layer *l);

/* shard_chain.c. Parked; 0 or -errno. */
/* Siblings for first, as it is; without a port where it has none. */
int shard_chain_make(struct sock *first);
/* Those from this one on are closed. */
void shard_chain_close(struct family *f, uint32_t index);
/* Close the siblings of first, which has none from now on. */
void shard_chain_end(struct sock *first);
/* first is bound or listens: so are its siblings, or it is not (a datagram socket is unbound). */
int shard_make(struct sock *first);
/* It was connected, or not any more. */
int shard_chain_connect(struct sock *first);
/* A raw or packet socket, or a datagram socket's filter. */
int shard_below_all(struct sock *first);

/* move.c: to another family. The old slot stays, dead. 0; -EAGAIN: its program is inside, later;
 * -ENFILE, -ENOBUFS, -ENETDOWN. sock_move_all: with its siblings, parked. */
int sock_move(struct sock *s, struct part *to, struct sock **moved);
int sock_move_all(struct sock *s, struct family *to, struct sock **moved);

/* share.c: a listener of several families */
int listener_share(struct sock *l, struct family *to, struct sock **shared);
/* Its queue is about to be closed: another has what waits, and listens. */
void listener_leave(struct sock *l);
struct sock *accept_target(struct sock *l);
bool accept_any_room(struct sock *l);
void accept_steal(struct sock *l); /* a program waits for connections now */

/* ready.c */
int watch_set(struct sock *s, struct channel *ch, uint32_t interest);
void watch_clear(struct sock *s, struct channel *ch);
void watch_free(struct worker *w, struct watch *watch);
/* The same where the socket stays: who waited exclusively leaves its turn to another. */
void watch_leave(struct watch *watch);
void sock_mark(struct sock *s, uint32_t events);
void sock_publish(struct sock *s);
void ready_forget(struct part *part);

static inline struct sock_layer *sock_layer_of(const struct sock *s)
{
	return s->part->w->socks;
}

/* layer.c: upcall program() */
uint32_t sock_program(const void *user);

#endif
