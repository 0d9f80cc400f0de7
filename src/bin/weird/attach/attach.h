/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The attach server: programs' control connections on app.sock (messages: wire/app_abi.h).
 * A session lives as long as its connection. Threads: the control thread.
 */
#ifndef WEIR_BIN_WEIRD_ATTACH_ATTACH_H
#define WEIR_BIN_WEIRD_ATTACH_ATTACH_H

#include <stdbool.h>

#include "engine/engine.h"

/* Serve a listening SOCK_SEQPACKET descriptor (it stays the caller's). socks: how many sockets a
 * family of programs may have, 0: the default. 0 or -errno. */
int attach_start(struct engine *engine, int listen_fd, bool allow_users, unsigned int socks);

/* Look after sessions: those that broke a rule are ended, paused ones go on, silent ones are
 * closed. Call after each round of the control loop. Returns in how many milliseconds at most
 * again. */
int attach_tick(void);

/* No new programs; end every session (with the workers running or parked). */
void attach_stop(void);

#endif
