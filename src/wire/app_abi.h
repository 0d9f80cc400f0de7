/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The boundary between a program and the engine: the layout of the shared memory ("arena"), and
 * the messages of the control connection. It is the same for the two placements: in the daemon
 * placement the arena is a memfd mapped by both processes, in the direct placement it is plain
 * memory of one process.
 *
 * Theory of operation
 *
 *   program ("family")                                     engine worker
 *   thread channel:  SQ (submission) ------------------>   drained every loop
 *                    ctl (one synchronous call)  <----->
 *   epoll channel:   CQ (socket numbers that changed) <--  pushed by readiness
 *   per socket:      abi_sock: positions and state         rings of bytes or datagrams
 *
 * - An arena belongs to a *family*: a program and the processes it forked. A *session* is one
 *   process of the family (one control connection; the kernel closes it when the process dies, so
 *   the engine always learns of it). Sockets are referenced by sessions; a socket whose last
 *   session lets go is closed.
 * - A *channel* is a submission queue, a completion queue, a control slot and a bell (enum
 *   abi_bell). Each thread has one (it submits there, and sleeps on its bell); each epoll set has
 *   one (the engine tells there which sockets changed). Each queue has one producer and one
 *   consumer; threads and processes that share an epoll set take a lock of the program's own.
 * - With several workers a thread (an epoll set) has one channel with each worker it deals with,
 *   all with the same bell: a socket's submissions go to the channel of the socket's worker.
 * - The engine never trusts a word that a program can write: positions are copied once, checked
 *   against the private copy (never more than the ring's size apart), indices are bounded,
 *   generations are compared. A program that breaks a rule is disconnected, it alone.
 * - Nothing in an arena is a pointer: everything is an offset from its start.
 * - Who writes a field is said by the letter in its comment: (d) the daemon's side, (p) the
 *   program's side. Fields of one cache line have one writer, except where said.
 *
 * Readiness is computed by whoever looks, from positions and state (abi_sock_events()); completion
 * entries only say "look at this socket again", so they carry no payload and may be merged.
 *
 * Sleeping: whoever is about to sleep sets its `sleeping` word, makes a full fence, looks once more
 * at its queues, and sleeps on its descriptor. Whoever produces publishes, makes a full fence, and
 * rings only if the other's `sleeping` is set.
 */
#ifndef WEIR_WIRE_APP_ABI_H
#define WEIR_WIRE_APP_ABI_H

#include <stdatomic.h>
#include <stdint.h>

#include "wire/ipaddr.h"

#define ABI_MAGIC 0x72696577u /* "weir" */
#define ABI_VERSION 6u

#define ABI_CACHE_LINE 64
#define ABI_MAX_WORKERS 16u
#define ABI_MAX_CHANNELS 4096u	 /* per arena and worker: threads that wait, and epoll sets */
#define ABI_SQ_ENTRIES 256u	 /* power of two */
#define ABI_CQ_THREAD 64u	 /* completion entries of a thread channel */
#define ABI_CQ_EPOLL 4096u	 /* and of an epoll channel; any power of two may be asked for */
#define ABI_CTL_DATA_BYTES 1024u /* option values and the like, in a control slot */
#define ABI_SOCK_NONE UINT32_MAX
#define ABI_LOCK_ENGINE UINT32_MAX

#define ABI_ALIGNED _Alignas(ABI_CACHE_LINE)

/* ---- submission and completion ---- */

enum abi_op {
	ABI_OP_NOP = 0,
	ABI_OP_CTL, /* the channel's control slot holds a request */
	ABI_OP_TX,  /* bytes or datagrams were added to the socket's send ring */
	ABI_OP_RX,  /* bytes were taken from its receive ring (only when ABI_S_RX_KICK is set) */
	ABI_OP_ACCEPTED, /* this session took the connection `sock` from a listener's accept ring */
	ABI_OP_RELEASE,	 /* this session's last descriptor of the socket was closed */
	ABI_OP_WATCH,	 /* arg16: channel, arg32: interest (ABI_EV_* | ABI_WATCH_*) */
	ABI_OP_UNWATCH,	 /* arg16: channel */
	ABI_OP_SETINT,	 /* arg16: level << 8 | name (both < 256), arg32: value; cannot fail */
	ABI_OP_ZEROCOPY, /* arg32: so many sends with MSG_ZEROCOPY have been copied */
	ABI_OP_MAX
};

/* Interest and readiness: the values of poll(2) and epoll(7). */
#define ABI_EV_IN 0x001u
#define ABI_EV_PRI 0x002u
#define ABI_EV_OUT 0x004u
#define ABI_EV_ERR 0x008u
#define ABI_EV_HUP 0x010u
#define ABI_EV_WRBAND 0x200u /* with OUT, of datagrams */
#define ABI_EV_RDHUP 0x2000u
/* Urgent data was announced: never in a socket's readiness, and a watch for it hears of nothing
 * else, nor of what was before it. */
#define ABI_EV_URG 0x4000u

/* One completion, then the watch is gone; until then another one of the kind adds to it. */
#define ABI_WATCH_ONCE 0x40000000u
#define ABI_WATCH_EXCLUSIVE 0x10000000u /* EPOLLEXCLUSIVE: wake one of those who said so */

struct abi_sqe {
	uint8_t op;
	uint8_t flags;
	uint16_t arg16;
	uint32_t sock; /* index in the arena's socket table */
	uint32_t gen;  /* of that socket: a stale one is ignored */
	uint32_t arg32;
};

struct abi_cqe {
	uint32_t sock; /* and perhaps ABI_CQE_WATCHED */
	uint32_t gen;
};

/* What was there when the watch was set: no news for who has seen it already. */
#define ABI_CQE_WATCHED 0x80000000u

/* ---- the synchronous call, one at a time for each channel ---- */

enum abi_ctl_op {
	ABI_CTL_OPEN = 1, /* only create: level = family, optname = type, len = protocol */
	ABI_CTL_BIND,	  /* a packet socket: optname = ifindex, port_be = protocol */
	/* Result -EINPROGRESS for TCP: watch the state; 0 with ABI_S_SYN_WAITS: write something.
	 * flags: ABI_CONNECT_FASTOPEN. */
	ABI_CTL_CONNECT,
	ABI_CTL_LISTEN,	    /* optname = backlog */
	ABI_CTL_SHUTDOWN,   /* optname = SHUT_RD, SHUT_WR, SHUT_RDWR */
	ABI_CTL_SETSOCKOPT, /* level, optname, data[len] */
	ABI_CTL_GETSOCKOPT, /* level, optname, len in: room, out: length; data */
	ABI_CTL_RING,	    /* a stream's send ring, which was taken back while it was idle */
	/* The last descriptor of a stream with SO_LINGER is about to go: SHUT_WR, or an error where
	 * there is nothing to wait for (others have the socket, or close() will reset it). Or of a
	 * datagram socket with shards: when this is answered none of them hears anything. */
	ABI_CTL_LINGER,
	/* Would a datagram like this be refused (no route, broadcast without leave, too long for
	 * the path)? data: its struct abi_dgram. Binds if need be. */
	ABI_CTL_SEND_CHECK,
	/* Take the oldest entry of the error queue. data: struct abi_error and len_bytes; -EAGAIN:
	 * there is none. */
	ABI_CTL_ERRQUEUE,
	/* SO_ATTACH_FILTER: data = instructions (struct sock_filter), of which the first is number
	 * level of optname in all. The last piece attaches them. */
	ABI_CTL_FILTER,
	/* Raw and packet sockets: send what is in the ring; the result is that of the last. */
	ABI_CTL_SEND,
	ABI_CTL_MAX
};

#define ABI_CONNECT_FASTOPEN 1u /* MSG_FASTOPEN, TCP_FASTOPEN_CONNECT: data may go with the SYN */
/* A stream, to AF_UNSPEC: as new, but bound as the program bound it; a connection is reset. */
#define ABI_CONNECT_DISSOLVE 2u

/*
 * If sock is ABI_SOCK_NONE, the call first creates a socket (create_type SOCK_STREAM or SOCK_DGRAM,
 * create_proto) and answers its index and generation: socket() followed by connect() is one call.
 * Where the creation succeeds and the call itself fails the socket stays, and sock is filled.
 */
struct abi_ctl {
	uint32_t op;	       /* (p) */
	uint32_t sock;	       /* (p) in, (d) out */
	uint32_t gen;	       /* (p) in, (d) out */
	int32_t result;	       /* (d) 0 or a negative errno */
	uint32_t level;	       /* (p) */
	uint32_t optname;      /* (p) */
	uint32_t len;	       /* (p) in, (d) out */
	uint32_t create_type;  /* (p) */
	uint32_t create_proto; /* (p) */
	uint16_t flags;	       /* (p) */
	uint16_t port_be;      /* (p) */
	struct ipaddr addr;    /* (p) */
	uint8_t data[ABI_CTL_DATA_BYTES];
};

struct abi_channel {
	/* (p) */
	ABI_ALIGNED _Atomic uint32_t sq_tail;
	_Atomic uint32_t cq_head;
	_Atomic uint32_t sleeping; /* set by the program; cleared by whoever rings, or on waking */
	_Atomic uint32_t ctl_seq;  /* raised by the program with each ABI_OP_CTL */
	/* (d) */
	ABI_ALIGNED _Atomic uint32_t sq_head;
	_Atomic uint32_t cq_tail;
	_Atomic uint32_t cq_overflow; /* raised when an entry did not fit: look at every socket */
	_Atomic uint32_t ctl_done;    /* equals ctl_seq when the answer is there */
	uint32_t cq_entries;	      /* power of two */
	uint16_t index;		      /* below ABI_MAX_CHANNELS, among this worker's */
	uint16_t worker;
	ABI_ALIGNED struct abi_ctl ctl;
	ABI_ALIGNED struct abi_sqe sq[ABI_SQ_ENTRIES];
	ABI_ALIGNED struct abi_cqe cq[]; /* cq_entries */
};

/* ---- sockets ---- */

/* abi_sock.state */
#define ABI_S_OPEN 0x001u /* the slot is in use */
#define ABI_S_LISTEN 0x002u
#define ABI_S_CONNECTING 0x004u
#define ABI_S_CONNECTED 0x008u
#define ABI_S_RX_EOF 0x010u  /* stream: the peer will send no more (FIN), or SHUT_RD */
#define ABI_S_TX_SHUT 0x020u /* nothing more can be sent: EPIPE */
#define ABI_S_RESET 0x040u   /* the connection is gone (RST, time-out) */
#define ABI_S_RX_KICK 0x080u /* tell the engine (ABI_OP_RX) when receive space is freed */
#define ABI_S_STREAM 0x100u
#define ABI_S_DGRAM 0x200u
#define ABI_S_SYN_WAITS                                                                            \
	0x1000u /* with CONNECTING: the SYN goes with the first bytes (Fast Open)                  \
		 */
/* stream: the peer's FIN came, and the connection is gone: reads end in order [SOCK_DONE] */
#define ABI_S_ENDED 0x8000u
#define ABI_S_DEAD 0x400u      /* the engine took the slot back; every call answers ENETDOWN */
#define ABI_S_ERRQ 0x2000u     /* the error queue holds something: ABI_CTL_ERRQUEUE */
#define ABI_S_ERRQ_PRI 0x4000u /* and that is POLLPRI too (SO_SELECT_ERR_QUEUE) */
#define ABI_S_URGENT 0x800u    /* stream: abi_sock.urg means something, see app_urgent.h */

/* abi_sock.recv_opts: what recvmsg() adds */
#define ABI_R_PKTINFO 0x1u
#define ABI_R_TTL 0x2u
#define ABI_R_TOS 0x4u
#define ABI_R_ORIGDSTADDR 0x8u
#define ABI_R_STAMP 0x10u     /* SO_TIMESTAMP or SO_TIMESTAMPNS... */
#define ABI_R_STAMP_NS 0x20u  /* ...which of them... */
#define ABI_R_STAMP_NEW 0x40u /* ...and which spelling */
#define ABI_R_RXQ_OVFL 0x80u
#define ABI_R_PKTINFO6 0x100u
#define ABI_R_GRO 0x200u
#define ABI_R_STAMPING 0x400u	  /* SO_TIMESTAMPING: software receive stamps */
#define ABI_R_STAMPING_NEW 0x800u /* its spelling */
#define ABI_R_PEEK_OFF 0x1000u
#define ABI_R_INQ 0x2000u      /* TCP_INQ */
#define ABI_R_ZEROCOPY 0x8000u /* no receive option: SO_ZEROCOPY, ABI_OP_ZEROCOPY is wanted */

/* abi_sock.tx_opts of a datagram socket: what its sends are like */
#define ABI_T_SEGMENT 0xffffu /* UDP_SEGMENT: bytes, 0: none */
#define ABI_T_CORK 0x10000u   /* UDP_CORK */
#define ABI_T_NO_CHECK6_TX 0x20000u
#define ABI_T_NO_CHECK6_RX 0x40000u

/* abi_sock.want: what the program waits for, so that the engine need not tell what nobody wants */
#define ABI_WANT_TX 0x1u /* tell when send space is there again (SOCK_NOSPACE in Linux) */

/*
 * A socket's shared part. Positions run freely modulo 2^32; the byte of position p is at
 * ring[p & (size - 1)]; sizes are powers of two; a size of 0 means the ring is not there yet
 * (rings come with the first data; the engine makes the send ring when the socket connects, and
 * takes both back when they were empty and idle for long: ABI_CTL_RING asks for the send ring
 * again). Place and size of a stream's ring change only under its lock; positions go on from one
 * ring to the next.
 *
 * Listener: the receive ring is an array of uint64_t, generation << 32 | index of each connection
 * that waits to be accepted; positions count entries, rx_size_bytes / 8 of them. Consumers
 * (any process of the family) take an entry by compare-and-swap of rx_head.
 *
 * Datagram: both rings hold records, struct abi_dgram and the payload behind it (which may wrap),
 * each starting at a multiple of 64, so that its header never wraps.
 */
struct abi_sock {
	/* (d) receive */
	ABI_ALIGNED _Atomic uint32_t rx_tail;
	_Atomic uint32_t state; /* ABI_S_* */
	_Atomic uint32_t error; /* sequence << 16 | errno: pending while sequence != err_seen */
	_Atomic uint32_t gen;
	_Atomic uint32_t rx_size_bytes;
	_Atomic uint32_t tx_size_bytes;
	_Atomic uint64_t rx_offset;	 /* of the receive ring in the arena */
	_Atomic uint64_t tx_offset;	 /* of the send ring in the arena */
	_Atomic uint32_t rx_lowat_bytes; /* readable with so many; never more than can come */
	uint32_t worker;		 /* whose bell to ring for this socket */
	_Atomic uint64_t urg;		 /* stream: the urgent byte received, see app_urgent.h */
	/* stream: and those before it, where ABI_URG_HOLE is set */
	_Atomic uint32_t urg_hole, urg_hole_end;
	/* (d) send */
	ABI_ALIGNED _Atomic uint32_t tx_head; /* bytes acknowledged, or datagrams sent */
	/* datagram: longer payloads may be refused, so ABI_CTL_SEND_CHECK is asked first */
	/* What a stream may write, where it is not simply what there is room for: */
	_Atomic uint32_t tx_lowat_bytes; /* so much may be unsent (TCP_NOTSENT_LOWAT); 0: no rule */
	_Atomic uint32_t tx_limit_bytes; /* so much may be in the ring, until it has this size */
	_Atomic uint32_t tx_sent;	 /* bytes sent; kept where TCP_NOTSENT_LOWAT is set */
	/* (d) addresses, written before the state that makes them valid */
	struct ipaddr local_addr;
	struct ipaddr peer_addr;
	uint16_t local_port_be;
	uint16_t peer_port_be;
	uint32_t shard_next; /* with several workers, a listener or bound datagram socket has one
			      * slot on each: index of the next, ABI_SOCK_NONE at the end */
	uint8_t family;	     /* AF_INET or AF_INET6, as the program asked for it */
	uint8_t protocol;
	/* (p) */
	ABI_ALIGNED _Atomic uint32_t rx_head;
	_Atomic uint32_t tx_tail;
	_Atomic uint32_t want; /* ABI_WANT_*: set by the program, cleared by the engine */
	_Atomic uint32_t err_seen;
	/* (p, d) Of a ring, among the program's threads and processes: 0 or a tid. The engine takes
	 * it, without waiting, while it gives the ring another place and size: ABI_LOCK_ENGINE. */
	_Atomic uint32_t rx_lock;
	_Atomic uint32_t tx_lock;
	_Atomic uint32_t
		tx_kick; /* set by the program with ABI_OP_TX, cleared by the engine before it
			  * reads tx_tail: while it is set another ABI_OP_TX is not needed */
	_Atomic uint32_t file_flags; /* O_NONBLOCK and the like, for every dup */
	union {
		_Atomic uint32_t tx_urg;  /* stream: position behind the last byte that was sent
					   * with MSG_OOB; written before the tx_tail that covers
					   * it */
		_Atomic uint32_t tx_opts; /* datagram: ABI_T_* */
	};
	_Atomic uint32_t peek_off;  /* SO_PEEK_OFF, with ABI_R_PEEK_OFF */
	_Atomic uint32_t recv_opts; /* ABI_R_*: what recvmsg() adds, of every process */
	union {
		_Atomic uint32_t urg_seen; /* stream: the count in urg of the urgent byte that was
					    * read, and ABI_URG_INLINE */
		/* datagram, under tx_lock: not 0 while a record behind tx_tail still grows
		 * (UDP_CORK, MSG_MORE): its payload's length so far, and 1 */
		_Atomic uint32_t tx_corked;
	};
	_Atomic uint32_t fd; /* for people: a descriptor that a process has it as, and 1; 0: not
			      * told */
};

/* A datagram in a ring; the next record is at the next multiple of 64 behind the payload. */
struct abi_dgram {
	uint32_t len_bytes; /* payload that follows */
	union {
		uint32_t wire_bytes;  /* its length on the wire (larger if it was cut) */
		uint32_t spec_dst_be; /* with ABI_DGRAM_SPEC_DST */
	};
	struct ipaddr addr;  /* receive: from; send: to (port 0: the connected peer) */
	struct ipaddr local; /* receive: the address it came to; send: the source, or any */
	uint16_t port_be;
	uint16_t flags;
	uint32_t ifindex;
	uint64_t stamp_ns;
	uint8_t ttl, tos;	/* send: where ABI_DGRAM_TTL, ABI_DGRAM_TOS */
	uint16_t segment_bytes; /* 0, or the payload consists of datagrams of this size, the last
				 * one perhaps shorter (UDP_SEGMENT, UDP_GRO) */
	uint32_t drops;		/* receive: how many were lost for want of room before it */
};

/* abi_dgram.flags */
#define ABI_DGRAM_TTL 0x1u
#define ABI_DGRAM_TOS 0x2u
/* receive: it came to a group or to everybody, and spec_dst_be is who we are for its sender; so
 * much of it as was sent is there */
#define ABI_DGRAM_SPEC_DST 0x4u
/* send: of this datagram these time stamps are wanted, and not what SO_TIMESTAMPING says */
#define ABI_DGRAM_STAMP 0x8u
#define ABI_DGRAM_STAMP_SND 0x10u
#define ABI_DGRAM_STAMP_SCHED 0x20u

/* The value of MCAST_MSFILTER, with `count` sources behind it; when asked for: room for so many,
 * and how many there are. */
struct abi_mcast_filter {
	uint32_t group_be;
	uint32_t ifindex;
	uint32_t mode; /* MCAST_INCLUDE, MCAST_EXCLUDE */
	uint32_t count;
};
#define ABI_MCAST_SOURCES 10u /* of a socket in a group [igmp_max_msf] */

/*
 * An entry of the error queue (IP_RECVERR): struct sock_extended_err's fields, and what recvmsg()
 * says beside it.
 */
struct abi_error {
	uint32_t error; /* errno */
	uint8_t origin, type, code;
	uint8_t ttl, tos; /* of the ICMP message */
	uint8_t reserved[3];
	uint32_t info, data;
	struct ipaddr offender; /* any: found by weir itself */
	struct ipaddr addr;	/* to whom the datagram was sent */
	struct ipaddr local;	/* the address the ICMP message came to */
	uint16_t port_be;
	uint16_t len_bytes;  /* of its payload that follows */
	uint32_t wire_bytes; /* and how much there was to quote */
	uint32_t ifindex;
	uint32_t stamp_what; /* time stamps: SCM_TSTAMP_*, key in data */
	uint64_t stamp_ns;
};

_Static_assert(sizeof(struct abi_sqe) == 16, "four submissions a cache line");
_Static_assert(sizeof(struct abi_cqe) == 8, "eight completions a cache line");
_Static_assert(sizeof(struct abi_sock) == 192, "three cache lines a socket");
_Static_assert(sizeof(struct abi_dgram) == 64, "a datagram's header is one cache line");

/* ---- arena and daemon page ---- */

/* Why a program's socket is not on weir. */
enum abi_off {
	ABI_OFF_UNIX,
	ABI_OFF_NETLINK,
	ABI_OFF_OTHER,	   /* another family that is the system's */
	ABI_OFF_EXCEPTION, /* an address that is the host's (--kernel) */
	ABI_OFF_REFUSED,   /* weir has no such socket: there is none */
	ABI_OFF_MAX
};

struct abi_arena {
	/* (d) */
	ABI_ALIGNED uint32_t magic;
	uint32_t version;
	uint64_t size_bytes;
	uint64_t sock_offset; /* struct abi_sock[sock_count] */
	uint32_t sock_count;
	_Atomic uint32_t socks_free; /* 0: socket() answers ENFILE without asking */
	/* (p, atomic or) of each worker: a bit for each of its channels whose SQ has entries;
	 * taken by exchange with 0. The lowest numbers are given out first, so that it is one
	 * cache line for a program of up to 512 threads. */
	struct {
		ABI_ALIGNED _Atomic uint64_t bits[ABI_MAX_CHANNELS / 64];
	} sq_pending[ABI_MAX_WORKERS];
	/* (p) for people: sockets that were made and are not on weir, and --kernel's list */
	ABI_ALIGNED _Atomic uint32_t off_weir[ABI_OFF_MAX];
	char kernel_nets[128];
	/* (p) 1: a process of the family has said that the daemon is gone */
	_Atomic uint32_t end_told;
};

/* One page of the daemon's, mapped read-only by every program. */
struct abi_daemon {
	uint32_t magic;
	uint32_t version;
	uint32_t pid;
	uint32_t workers;
	uint32_t spin_us; /* how long a waiting program should spin and yield before it sleeps */
	uint32_t flags;
	struct {
		/* Not 0: ring this worker's bell after submitting. Another number for each sleep,
		 * so that who has rung for this one need not ring again. */
		ABI_ALIGNED _Atomic uint32_t sleeping;
	} worker[ABI_MAX_WORKERS];
};

/* ---- the control connection: SOCK_SEQPACKET at RUNDIR/INSTANCE/app.sock ---- */

enum abi_msg_type {
	/* The first message. Answer: arena and worker-bell descriptors, see struct abi_msg. */
	ABI_MSG_HELLO = 1,
	/* The first message after exec on an inherited connection. words[] = the sockets (index,
	 * generation pairs) it keeps; the rest is released. Answer as HELLO's. */
	ABI_MSG_RESUME,
	/* arg[0] = cq_entries, arg[1] = worker, arg[2] = enum abi_bell, perhaps with
	 * ABI_CHANNEL_SHARED; with ABI_BELL_SAME arg[3] = worker << 32 | index of a channel that
	 * has the bell already. Answer: arg[0] = index, arg[1] = offset of struct abi_channel in
	 * the arena; and, but for ABI_BELL_SAME, one descriptor, to wait on. */
	ABI_MSG_CHANNEL,
	/* arg[0] = index, arg[1] = worker of a shared channel: this process has its epoll set now.
	 */
	ABI_MSG_CHANNEL_HOLD,
	ABI_MSG_CHANNEL_FREE, /* arg[0] = index, arg[1] = worker. No answer. */
	/* With one descriptor, the engine's end of the child's connection. The child's session
	 * begins with a reference to each socket of the parent's; where arg[1] is not 0, only to
	 * those in words[] (as RESUME's). */
	ABI_MSG_FORK,
	ABI_MSG_NOTE, /* text: for the log, once for each text (an unsupported option). No answer */
	/* arg[0] = the lowest ifindex wanted, arg[1] = which of its addresses is the first. Answer:
	 * that interface, or the next one that there is, as struct abi_netif (wire/app_netif.h) in
	 * words[]; -ENODEV where there is none. */
	ABI_MSG_NETIF,
	/*
	 * A descriptor of a socket is passed to another process. Two descriptors, the ends of a
	 * SOCK_SEQPACKET pair: the engine's, and the one that is passed. arg[0], arg[1] = index and
	 * generation of the socket, or ABI_SOCK_NONE. words[]: what the receiver has to know of
	 * it. The engine holds the socket until the passed end hangs up.
	 */
	ABI_MSG_PASS,
	/* With a descriptor that came. Answer: arg[0], arg[1] = the socket, which this session has
	 * now, in its arena; words[]: as in PASS. -ENOENT: it was not passed so; -EAGAIN: again. */
	ABI_MSG_RECEIVE,
	/* With the other end of the pair of UNIX sockets (SOCK_SEQPACKET) that is to be a netlink
	 * socket. arg[0] = its port id, arg[1] = NETLINK_ROUTE or NETLINK_SOCK_DIAG. */
	ABI_MSG_NETLINK,
	/* text = the name of a file of /proc/net. Answer: a descriptor that reads as weir has it;
	 * -ENOENT: weir has none of that name. */
	ABI_MSG_PROCNET,
	ABI_MSG_MAX
};

#define ABI_PASS_WORDS 32u

/*
 * A channel's bell is of the engine's making, and the end that it rings is given to nobody: so
 * nobody else can make it block, fill it, or put something in its place.
 */
enum abi_bell {
	/* An eventfd inside of an epoll set; the program gets the set. It is readable when the bell
	 * was rung, until epoll_wait() was called on it. */
	ABI_BELL_EVENT = 0,
	ABI_BELL_SOCKET, /* a datagram at each ring, for who wants signals (O_ASYNC) */
	ABI_BELL_SAME,	 /* another channel's */
	/* One end of a pair of UNIX streams, which is given events that the kernel makes SIGIO of,
	 * where it has O_ASYNC: each as it would have come to the socket. Rung always. */
	ABI_BELL_ASYNC,
	ABI_BELL_MAX
};
/* An epoll set's: it belongs to every process that was forked since (or asked to hold it), and goes
 * when the last of them has freed it. Nothing may be submitted there. */
#define ABI_CHANNEL_SHARED 0x100u

/* On such a pair, a message of this type with nothing in it: bind() chose nlmsg_pid as port id. */
#define ABI_NETLINK_PORTID 0xfff0u

#define ABI_MSG_WORDS_MAX 4096u

/*
 * Every message, both ways. HELLO's answer carries the descriptors arena, daemon page, then the
 * bell of each worker; arg[0] = arena size in bytes, arg[1] = number of workers. error is 0 or a
 * negative errno in an answer.
 */
struct abi_msg {
	uint32_t type;
	int32_t error;
	uint32_t version;
	uint32_t pid;
	uint64_t arg[4];
	char text[96]; /* HELLO: the program's name; NOTE: the note; answers: words for people */
	uint32_t word_count;
	uint32_t reserved;
	uint32_t words[]; /* RESUME, FORK: (index, generation) pairs; NETIF's answer */
};

#endif
