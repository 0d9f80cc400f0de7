/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Families and sessions (see wire/app_abi.h): who may use which sockets, and their shared memory.
 * Threads: every call on the control thread while all workers are parked (engine_park()), or in the
 * direct placement on the caller's thread.
 */
#ifndef WEIR_SOCK_SESSION_H
#define WEIR_SOCK_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/worker.h"
#include "inet/tcp/tcp.h"
#include "wire/app_abi.h"

struct family;
struct session;

struct family_params {
	const char *name;	/* the program's, for messages */
	uint64_t arena_bytes;	/* address space; memory comes with use. 0: the default (4 GiB) */
	uint32_t socks;		/* table size, 0: the default (65,536) */
	bool memfd;		/* daemon placement; else anonymous memory */
	bool net_raw;		/* may have raw and packet sockets [CAP_NET_RAW] */
	bool unprivileged;	/* may not bind low ports [no CAP_NET_BIND_SERVICE] */
	uint32_t uid;		/* the program's user, */
	const uint32_t *groups; /* and its groups; copied */
	unsigned int group_count;
	struct worker **workers;
	unsigned int worker_count;
};

/* A new family with its first session. 0 or -ENOMEM, -EMFILE... */
int session_create(const struct family_params *params, pid_t pid, struct session **session);

/* A second process of the same family, with a reference to each socket that the parent has (the
 * parent's channels are drained first). */
int session_fork(struct session *parent, pid_t pid, struct session **child);

/* Release all sockets but these ((index, generation) pairs). 0 or -ENOMEM: all are kept. */
int session_keep(struct session *session, const uint32_t *pairs, unsigned int n);

/* exec: keep only these sockets ((index, generation) pairs), close this session's channels. */
void session_resume(struct session *session, const uint32_t *pairs, unsigned int n);

/*
 * A descriptor is passed over a UNIX socket. session_pass() makes a session without a process that
 * holds the socket while it is under way, to be destroyed when no descriptor is left that was
 * passed: 0, -EBADF, -ENOMEM. session_receive() gives the socket to whom it came to: within the
 * family it is shared, else it moves (a listener is shared), and the transit with it. 0; -EAGAIN:
 * its program is using it at this moment; -ENFILE, -ENOBUFS, -ENETDOWN.
 */
int session_pass(struct session *from, uint32_t index, uint32_t gen, struct session **transit);
int session_receive(struct session *to, struct session **transit, uint32_t *index, uint32_t *gen);

/* The process is gone: its channels are freed, its sockets released; the family goes with its last
 * session (its memory with its last lingering connection). */
void session_destroy(struct session *session);

/* The descriptor of the family's arena, -1 where it is anonymous; and its address here. */
int session_arena_fd(const struct session *session);
struct abi_arena *session_arena(const struct session *session);

/* What the family's processes ring a worker with: the family closes it when it goes; -1: none. */
void session_set_worker_bell(struct session *session, unsigned int worker, int fd);
int session_worker_bell(const struct session *session, unsigned int worker);

/* Make a channel. bell_fd: an eventfd or a datagram socket that the channel owns from now on, or -1
 * (direct placement). 0, -EINVAL (cq_entries), -ENOSPC (512 channels). */
int session_channel(struct session *session, unsigned int worker, int bell_fd, uint32_t cq_entries,
		    uint32_t *index, uint64_t *offset);
/* It is an epoll set's: ABI_CHANNEL_SHARED. */
void session_channel_share(struct session *session, unsigned int worker, uint32_t index);
/* Another process has the set now. 0, -ENOENT (no such channel). */
int session_channel_hold(struct session *session, unsigned int worker, uint32_t index);
/* The descriptor that rings it, for another channel; -1: it is none of this session's. */
int session_channel_bell(const struct session *session, unsigned int worker, uint32_t index);
/* The far end of that, likewise; -1: not of ABI_BELL_ASYNC. */
int session_channel_far(const struct session *session, unsigned int worker, uint32_t index);
/* It is of ABI_BELL_ASYNC, with this copy of the program's end, which it owns from now on. */
void session_channel_async(struct session *session, unsigned int worker, uint32_t index,
			   int far_fd);
void session_channel_free(struct session *session, unsigned int worker, uint32_t index);
/* How many channels the family has, on all workers. */
unsigned int session_channel_count(const struct session *session);

/* The family broke a rule (a worker saw it): words for the log, or NULL. To be asked for after each
 * wake-up of the control thread; the answer is to destroy its sessions. */
const char *session_broken(const struct session *session);

const char *session_name(const struct session *session);
pid_t session_pid(const struct session *session);
uint32_t session_program(const struct session *session);  /* the id of its struct program_info */
void session_pid_set(struct session *session, pid_t pid); /* for people only */

/* For weir stat: visit the sockets of all workers. */
struct sock_info {
	unsigned int worker;
	uint32_t id; /* of the program: struct program_info */
	pid_t pid;   /* of one of its sessions, 0 when none is left */
	int fd;	     /* of one of its processes, as the program says; -1: it does not */
	const char *program;
	const char *proto;    /* "tcp", "udp" */
	enum tcp_state state; /* of other sockets: TCP_ESTABLISHED (connected) or TCP_CLOSED */
	struct endpoint local, remote;
	uint32_t rx_queue_bytes, tx_queue_bytes; /* for a listener: waiting connections, backlog */
	uint64_t drops;		/* datagrams, copies, SYNs and last ACKs for which it had no room */
	uint32_t rx_room_bytes; /* its receive buffer; a listener and a stream: 0 */
	bool rx_room_set;	/* the program asked for it (SO_RCVBUF) */
	const struct tcp_pcb *tcp; /* NULL: none, or TCP has done with it */
};

/* For weir sockets: visit the programs. w: any worker. */
#define PROGRAM_PIDS_MAX 64u
struct program_info {
	uint32_t id;
	const char *name;
	pid_t pids[PROGRAM_PIDS_MAX];
	unsigned int pid_count, processes; /* those in pids, and all */
	unsigned int in_flight;		   /* descriptors that are passed, session_pass() */
	uint32_t off_weir[ABI_OFF_MAX];	   /* as the program says */
	char kernel_nets[128];		   /* any bytes, and an end */
};
void program_for_each(struct worker *w, void (*fn)(const struct program_info *info, void *arg),
		      void *arg);
void sock_for_each(struct worker *w, void (*fn)(const struct sock_info *info, void *arg),
		   void *arg);

#endif
