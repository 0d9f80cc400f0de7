/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs' netlink sockets. Such a socket is one end of a pair of UNIX sockets (SOCK_SEQPACKET);
 * the other end comes here with ABI_MSG_NETLINK, and what arrives on it is answered as rtnetlink(7)
 * is (netlink/rtnetlink.h). So waiting, forking and passing are the kernel's affair.
 * Threads: the control thread.
 */
#ifndef WEIR_BIN_WEIRD_NETLINK_H
#define WEIR_BIN_WEIRD_NETLINK_H

#include <stdint.h>

#include "engine/engine.h"

/* Owns fd, also where it fails. portid: the socket's address; protocol: NETLINK_ROUTE or
 * NETLINK_SOCK_DIAG; family: session_program() of who wants it. 0, -EMFILE (too many, or too many
 * of the family), -ENOMEM. */
int weird_netlink_open(struct engine *engine, int fd, uint32_t portid, int protocol,
		       uint32_t family);
void weird_netlink_stop(void);

#endif
