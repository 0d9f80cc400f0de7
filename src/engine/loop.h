/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of one worker's loop (worker_loop.c), shared with the thread that runs it (thread.c).
 * Threads: the worker's own; others while it is parked.
 */
#ifndef WEIR_ENGINE_LOOP_H
#define WEIR_ENGINE_LOOP_H

#include "engine/engine.h"

/* A port as one worker polls it. */
struct loop_port {
	struct port *port;
	uint16_t queue;
	bool costly;	       /* an empty poll is a system call */
	uint64_t last_rx_ns;   /* when it last had frames */
	uint64_t next_poll_ns; /* a costly port is left alone until then */
};

struct engine_loop {
	struct engine *engine;
	struct worker *w;
	struct loop_port port[PORT_MAX]; /* without the loop port */
	unsigned int port_count;
	struct port *loop_port;
	unsigned int backlog; /* packets that a full send ring refused in the last loop */
	uint64_t last_io_ns;  /* when there was last work that was not only a timer */
	struct engine_loop_stats stats;
};

int loop_new(struct engine *engine, struct worker *w, struct engine_loop **loop);

/* The worker polls this port from its next loop on. */
void loop_port_add(struct engine_loop *loop, struct port *port);

/* Is there a port that cannot wake a sleeper, so that it has to be looked at from time to time? */
bool loop_needs_timer(const struct engine_loop *loop);

#endif
