/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who is at the other end of a UNIX socket, and may they be there.
 */
#ifndef WEIR_BIN_WEIRD_PEER_H
#define WEIR_BIN_WEIRD_PEER_H

#include <stdbool.h>
#include <sys/types.h>

struct peer {
	pid_t pid;
	uid_t uid;
};

/* 0 or -errno. */
int peer_of(int fd, struct peer *peer);

/* Root, and whoever the daemon runs as; anybody where any_user is set. */
bool peer_allowed(const struct peer *peer, bool any_user);

#endif
