/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir inside your program: a network stack as a library, from Ethernet to sockets.
 *
 * A struct weir is one engine (like a network namespace): its ports, addresses, routes,
 * connections. Nothing happens in the background: the thread that calls weir_engine_poll() (or
 * weir_engine_advance()) does all the work. The socket calls below have the names, arguments and
 * errors of POSIX with the prefix weir_ and the engine in front; they only exchange data with the
 * engine and never block: where a POSIX call would wait they fail with EAGAIN (EINPROGRESS for
 * weir_connect()), and weir_poll() says what is ready.
 *
 *     struct weir_port ports[] = { { .spec = "wire", .addrs = (const char *[]){ "198.18.0.2/24", 0
 * } } }; struct weir_config config = { .ports = ports, .port_count = 1, .virtual_time = true, .seed
 * = 1 }; struct weir *weir = weir_engine_open(&config, error);
 *
 *     int fd = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
 *     weir_connect(weir, fd, addr, len);                   // -1, EINPROGRESS
 *     while ((n = weir_wire_take(weir, 0, frame, sizeof(frame))) > 0)
 *             ...                                          // what weir sends
 *     weir_wire_put(weir, 0, frame, n);                    // and what it gets
 *     weir_engine_advance(weir, 200 * 1000 * 1000);        // 200 ms go by
 *
 * Descriptors are small numbers of this engine's, not the kernel's. Times are nanoseconds, lengths
 * bytes, ports and addresses in network byte order as in sockaddr_in.
 *
 * Threads: an engine and everything of it belongs to one thread at a time. Several engines in one
 * process are independent, but EAL (DPDK) is started once, and weir_engine_open() and _close() of
 * different threads must not overlap. DPDK takes memory at the first open and keeps it.
 *
 * Errors: calls that return int or ssize_t answer -1 and set errno, as POSIX has it.
 */
#ifndef WEIR_H
#define WEIR_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_ERROR_BYTES 512u
#define WEIR_NEVER UINT64_MAX

struct weir;

/* A port and the addresses that its interface gets. */
struct weir_port {
	const char *spec; /* "wire", "tap,name=weir0", "dpdk,DEVARGS", "fault,loss=0.02:wire":
			   * see weird(8) */
	const char *const *addrs; /* "198.18.0.2/24"..., ends with NULL; may be NULL: none */
};

struct weir_route {
	const char *prefix;  /* "0.0.0.0/0" */
	const char *gateway; /* "198.18.0.1", or NULL: directly on the port */
	unsigned int port;   /* index in weir_config.ports */
};

/* Everything 0 or NULL is a useful default: the loopback 127.0.0.1 alone, in real time. */
struct weir_config {
	const struct weir_port *ports;
	unsigned int port_count;
	const struct weir_route *routes;
	unsigned int route_count;
	bool forwarding;       /* route packets between ports */
	bool virtual_time;     /* the caller owns the clock: see weir_engine_advance() */
	uint64_t start_ns;     /* virtual time at the start */
	uint64_t seed;	       /* of all that is random, for repeatable runs; 0: truly random */
	unsigned int packets;  /* buffers, 0: 16,384 */
	unsigned int sockets;  /* the most at a time, 0: 65,536 */
	uint64_t memory_bytes; /* address space for socket buffers, 0: 4 GiB; memory comes with use
				*/
	const char *const
		*eal_args; /* for DPDK at the process's first open, ends with NULL; or NULL */
};

/*
 * Open an engine. Returns it (close it with weir_engine_close()), or NULL with words for people in
 * error, which has WEIR_ERROR_BYTES, and errno set. config is not kept.
 */
struct weir *weir_engine_open(const struct weir_config *config, char *error);

/* Close every socket, and the engine. Connections end without a word to the peer. NULL is allowed.
 */
void weir_engine_close(struct weir *weir);

/*
 * One turn: receive, timers, submissions, send. Returns how much was done, 0 when there was no
 * work. Never blocks. Real time: reads the clock. Virtual time: the clock stands still.
 */
unsigned int weir_engine_poll(struct weir *weir);

/* The engine's time: virtual, or the system's monotonic clock. */
uint64_t weir_engine_now(struct weir *weir);

/*
 * Virtual time only: let `ns` nanoseconds go by. The clock stops at each timer on the way, and the
 * engine is polled there until it has no more work, so what happens does not depend on the size of
 * steps. 0 means: do what can be done now. Returns 0, or -1: EINVAL in real time.
 */
int weir_engine_advance(struct weir *weir, uint64_t ns);

/*
 * Set a parameter of TCP by Linux's name ("tcp_ecn", "net.ipv4.tcp_rmem"), its value in words ("1",
 * "4096 131072 6291456"): see weird(8). It counts from the next time that it is looked at.
 * 0, or -1: ENOENT (no such parameter or controller), EINVAL, ERANGE.
 */
int weir_sysctl(struct weir *weir, const char *name, const char *value);
/* Its value, in words. 0, or -1: ENOENT, ENOSPC. */
int weir_sysctl_get(struct weir *weir, const char *name, char *value, size_t room);

/*
 * A counter of TCP by Linux's name, as nstat(8) prints it, with its group in front or not
 * ("TcpRetransSegs", "TcpExtTCPTimeouts", "TCPTimeouts"). -1: there is none such.
 */
int64_t weir_tcp_counter(struct weir *weir, const char *name);

/* When the engine next has something to do by itself (a timer, a frame on a delay line), or
 * WEIR_NEVER. */
uint64_t weir_engine_next_timer(struct weir *weir);

/*
 * The in-memory wire. port: index in weir_config.ports; the port must be a wire, or a fault link
 * around one. Frames are whole Ethernet frames without FCS.
 * put: the bytes are copied; received by the next poll. 0, or -1: ENOBUFS (4,096 frames wait),
 * EMSGSIZE (longer than any frame can be), EINVAL (not a wire).
 * take: the oldest frame that weir sent: copies up to room bytes, returns the frame's length (which
 * may be larger than room), 0 when there is none, -1: EINVAL.
 */
int weir_wire_put(struct weir *weir, unsigned int port, const void *frame, size_t len);
ssize_t weir_wire_take(struct weir *weir, unsigned int port, void *frame, size_t room);

/* The Ethernet address of a port. 0, or -1: EINVAL. */
int weir_port_mac(struct weir *weir, unsigned int port, uint8_t mac[6]);

/* ---- sockets: see the POSIX calls of the same names ---- */

/* AF_INET, or AF_INET6 for IPv4-mapped addresses. SOCK_STREAM or SOCK_DGRAM; SOCK_NONBLOCK and
 * SOCK_CLOEXEC are accepted and mean nothing. ENFILE: no sockets left; ENOMEM. */
int weir_socket(struct weir *weir, int family, int type, int protocol);
int weir_bind(struct weir *weir, int fd, const struct sockaddr *addr, socklen_t len);
int weir_listen(struct weir *weir, int fd, int backlog);
/* EINPROGRESS for a stream; POLLOUT says that it is decided, SO_ERROR how. */
int weir_connect(struct weir *weir, int fd, const struct sockaddr *addr, socklen_t len);
int weir_accept(struct weir *weir, int fd, struct sockaddr *addr, socklen_t *len);
/* Take what fits into the send buffer. flags: MSG_DONTWAIT, MSG_NOSIGNAL and MSG_MORE are accepted
 * (SIGPIPE is never raised); MSG_PEEK, MSG_TRUNC when receiving; MSG_OOB for a stream's urgent
 * byte, both ways, as Linux has it; others fail with EOPNOTSUPP. */
ssize_t weir_send(struct weir *weir, int fd, const void *data, size_t len, int flags);
ssize_t weir_recv(struct weir *weir, int fd, void *data, size_t room, int flags);
ssize_t weir_sendto(struct weir *weir, int fd, const void *data, size_t len, int flags,
		    const struct sockaddr *addr, socklen_t addr_len);
ssize_t weir_recvfrom(struct weir *weir, int fd, void *data, size_t room, int flags,
		      struct sockaddr *addr, socklen_t *addr_len);
int weir_shutdown(struct weir *weir, int fd, int how);
/* What was sent before is still delivered; the descriptor is free at once. */
int weir_close(struct weir *weir, int fd);
int weir_getsockopt(struct weir *weir, int fd, int level, int name, void *value, socklen_t *len);
int weir_setsockopt(struct weir *weir, int fd, int level, int name, const void *value,
		    socklen_t len);
int weir_getsockname(struct weir *weir, int fd, struct sockaddr *addr, socklen_t *len);
int weir_getpeername(struct weir *weir, int fd, struct sockaddr *addr, socklen_t *len);
/* 1: a stream's next byte is behind the mark that urgent data leaves; 0: not. Or -1. */
int weir_sockatmark(struct weir *weir, int fd);
/* Looks once and returns at once: how many entries have revents. Closed descriptors: POLLNVAL. */
int weir_poll(struct weir *weir, struct pollfd *fds, nfds_t count);

/* ---- the ledger: entered + originated = all the others, always ---- */

struct weir_ledger {
	uint64_t entered, originated;
	uint64_t delivered, transmitted, forwarded, absorbed, dropped, held;
	uint64_t alloc_failed; /* packets that could not be made for want of buffers */
	int64_t balance;       /* 0 when it balances */
};

struct weir_drop {
	const char *reason; /* as in Linux's SKB_DROP_REASON_*: "NO_SOCKET" */
	const char *text;   /* for people */
	const char *function, *file;
	unsigned int line;
	uint64_t count;
};

void weir_ledger(struct weir *weir, struct weir_ledger *ledger);
/* Calls fn for each place and reason at which packets were dropped; drop is valid during the call
 * (its strings for ever). */
void weir_drops(struct weir *weir, void (*fn)(const struct weir_drop *drop, void *arg), void *arg);
/* Packets dropped for this reason, everywhere. */
uint64_t weir_drops_of(struct weir *weir, const char *reason);
/* Are all packet buffers back in the pool? (For tests: at the end, when nothing is held.) */
bool weir_pool_is_full(struct weir *weir);

#ifdef __cplusplus
}
#endif

#endif
