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

/*
 * What a worker's sockets ask the control thread for: a family broke a rule (session_broken()), or
 * sockets have to be made on the other workers (sock_control()). wake_control may be called by the
 * worker at any time: it should only write an eventfd. Without a hook nothing is called; the direct
 * placement has one worker and asks by itself.
 */
struct sock_hooks {
	void (*wake_control)(void *arg);
	void *arg;
};
void sock_layer_hooks(struct worker *w, const struct sock_hooks *hooks);

/* On the control thread while all workers are parked: do what this worker's sockets asked for. */
void sock_control(struct worker *w);

/* 0 or a negative errno. Free: sessions are destroyed before it, and it comes before inet_free().
 */
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
