/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control server: the command line's requests on ctl.sock (commands: control.h).
 * Threads: the control thread.
 */
#ifndef WEIR_BIN_WEIRD_CONTROL_CONTROL_H
#define WEIR_BIN_WEIRD_CONTROL_CONTROL_H

#include <stdbool.h>

#include "engine/engine.h"

/* Serve a listening SOCK_STREAM descriptor (it stays the caller's). 0 or -errno. */
int control_start(struct engine *engine, int listen_fd);

/* Close connections that say or read nothing. Returns in how many milliseconds again, -1: never. */
int control_tick(void);
void control_stop(void);

/* "stop" was asked for, and its answer is sent. */
bool control_stop_due(void);

/* A request's answer as text, newline-terminated (malloc()ed), or NULL when memory is out. */
char *control_answer(struct engine *engine, const char *request, size_t len);

#endif
