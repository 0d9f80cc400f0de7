/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine: ordered start and stop, the worker's loop, parking. Two placements use it: the daemon
 * (threads, real time; engine_start) and direct (the caller polls and says what time it is).
 */
#ifndef WEIR_ENGINE_ENGINE_H
#define WEIR_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/worker.h"
#include "dev/port.h"
#include "wire/app_abi.h"

#define ENGINE_ERROR_BYTES 512u

struct engine_config {
	unsigned int workers;	     /* 0: 1 */
	unsigned int packets;	     /* buffers for each worker, 0: the default (16,384) */
	const char *const *eal_args; /* extra arguments for EAL, NULL-terminated, or NULL */
	bool virtual_time;	     /* direct placement: time is engine_poll()'s argument */
	uint64_t seed;		     /* 0: the system's randomness */
	uint64_t now_ns;	     /* the time at the start */
};

struct engine {
	unsigned int worker_count;
	struct worker *worker[ABI_MAX_WORKERS];
	struct port *port[PORT_MAX]; /* index 0 is the loop port */
	unsigned int port_count;
	struct engine_threads *threads; /* engine/thread.c's: NULL in the direct placement */
	struct engine_loop *loop[ABI_MAX_WORKERS]; /* engine/worker_loop.c's */
	struct engine_steer *steer;		   /* engine/steer.c's: NULL with one worker */
	bool virtual_time;
	bool forwarding;
};

/* Starts EAL if this process has not (without hugepages where there are none), makes workers and
 * the loopback. error: words for people. */
int engine_open(const struct engine_config *config, struct engine **engine,
		char error[ENGINE_ERROR_BYTES]);
void engine_close(struct engine *engine);

/* Add a port by its specification (dev/port.h); returns its ifindex or -errno. Parked or not
 * started. */
int engine_port_add(struct engine *engine, const char *spec, char error[ENGINE_ERROR_BYTES]);
int engine_addr_add(struct engine *engine, unsigned int ifindex, const struct ipaddr *addr,
		    unsigned int prefix_len);
int engine_route_add(struct engine *engine, const struct ipaddr *prefix, unsigned int prefix_len,
		     const struct ipaddr *gateway, unsigned int ifindex);
void engine_forwarding(struct engine *engine, bool on);

/* Set a parameter of TCP (inet/tcp/params.h) on every worker. Parked or not started. 0, -ENOENT,
 * -EINVAL, -ERANGE: nothing changed. */
int engine_param_set(struct engine *engine, const char *name, const char *value);

/* The i-th counter of TCP (inet/tcp/mib.h), all workers' together. Parked or not started. */
uint64_t engine_tcp_counter(const struct engine *engine, unsigned int i);

/* One loop of one worker: receive, timers, submissions, send, publish. Returns how much was done:
 * 0 means there was no work. now_ns never goes back. */
unsigned int engine_poll(struct engine *engine, unsigned int worker, uint64_t now_ns);

/* When the worker next has something to do by itself (timer, delay line), or TIMER_NEVER. */
uint64_t engine_next_ns(struct engine *engine, unsigned int worker);

/* Daemon placement: one thread for each worker, which polls, spins a while and sleeps. */
int engine_start(struct engine *engine, unsigned int spin_us);
void engine_stop(struct engine *engine);
/* A new eventfd for programs to wake the worker with: the caller's to close. It is never read, nor
 * written to here. Or -errno. */
int engine_bell_make(struct engine *engine, unsigned int worker);
struct abi_daemon *engine_daemon_page(struct engine *engine); /* and the memfd it lives in */
int engine_daemon_page_fd(struct engine *engine);

/* Park every worker at the end of its loop and, once all stand still, return: the caller may then
 * read and change anything until engine_unpark(). Not nested. One thread at a time. No-op where
 * there are no threads. */
void engine_park(struct engine *engine);
void engine_unpark(struct engine *engine);

/*
 * What workers ask the control thread for (sock/sock.h: struct sock_hooks). engine_control_fd() is
 * an eventfd, readable when there is something; then, parked, engine_control() does it for each
 * worker. Without threads engine_poll() does it where there are several workers, and one worker's
 * sockets ask for it themselves.
 */
int engine_control_fd(struct engine *engine);
void engine_control(struct engine *engine);

/* What a worker's loop did, for weir stat. Times are of the worker's clock; read while parked. */
struct engine_loop_stats {
	uint64_t loops;	     /* times that engine_poll() ran */
	uint64_t busy_loops; /* of those, with work */
	uint64_t work;	     /* packets, submissions and timers handled */
	uint64_t sleeps;     /* times that the thread slept in the kernel */
	uint64_t parks;
	uint64_t spin_ns; /* how long it spins now before it sleeps */
};

void engine_loop_stats(const struct engine *engine, unsigned int worker,
		       struct engine_loop_stats *stats);

/* Sum of all workers' ledgers; call while parked for an exact balance. `sum` was ledger_init()ed.
 */
void engine_ledger(struct engine *engine, struct ledger *sum);

#endif
