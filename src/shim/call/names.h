/* SPDX-License-Identifier: BSD-3-Clause */
/* Names are asked for over weir, not by processes of the host's: see names.c. */
#ifndef WEIR_SHIM_CALL_NAMES_H
#define WEIR_SHIM_CALL_NAMES_H

#include "shim/shim.h"

/* names_list.c: line is nsswitch.conf's behind "hosts:"; list becomes what is left of it, with dns
 * where nothing else would ask a name server any more; left_out the modules that are not in it. */
void names_filter(const char *line, char *list, size_t room, char *left_out, size_t left_room);

/* At the program's start: the C library's list of modules for hosts. */
void names_start(void);
/* A datagram socket is connected to this port: who asks a name server hears, in the daemon's log
 * and once, what was left out. */
void names_asked(uint16_t port_be);
/* A datagram socket's error: who asks a name server on 127.0.0.0/8 (the host's) is told so once. */
void names_refused(const struct abi_sock *shm, int err);

#endif
