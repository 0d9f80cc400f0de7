/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket layer of one worker: between the channel (wire/app_abi.h) and the protocols.
 * Threads: the worker's own, except where said.
 */
#ifndef WEIR_SOCK_SOCK_H
#define WEIR_SOCK_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "inet/inet.h"

/* 0 or a negative errno. */
int sock_layer_init(struct worker *w);
void sock_layer_free(struct worker *w);

/* The socket layer's half of the protocols' upcalls. */
void sock_upcalls(struct inet_upcalls *upcalls);

/* Take what programs submitted, on every channel of this worker. Bounded for each call; returns how
 * many submissions were handled (0: nothing to do). */
unsigned int sock_poll(struct worker *w);

/* End of a loop: publish what is not yet published, ring the bells of channels that sleep. */
void sock_flush(struct worker *w);

/* Is there a submission waiting? Looked at after `sleeping` was set. Any thread. */
bool sock_pending(struct worker *w);

#endif
