/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering: a packet that came to a queue whose worker does not know it goes on to the others
 * [RPS, RFS]. See steer.c. Nothing of this exists where there is one worker.
 */
#ifndef WEIR_ENGINE_STEER_H
#define WEIR_ENGINE_STEER_H

#include <stdbool.h>

#include "engine/engine.h"
#include "inet/inet.h"

/* Mailboxes for engine->worker_count workers. 0 or -ENOMEM; one worker needs none: 0. */
int steer_init(struct engine *engine);

/* Drops what is still on its way into its receivers' ledgers. After the threads have ended. */
void steer_free(struct engine *engine);

/* The upcalls of a worker that has siblings. */
void steer_upcalls(struct inet_upcalls *upcalls);

/* The worker's: take what others handed to it, a burst of each; returns how many messages. */
unsigned int steer_receive(struct engine *engine, unsigned int worker);

/* The worker's, at the end of its loop: wake those that it has written to and that sleep. */
void steer_flush(struct engine *engine, unsigned int worker);

/* Does something wait for the worker? Looked at after `sleeping` was set. Any thread. */
bool steer_pending(const struct engine *engine, unsigned int worker);

#endif
