/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who is at the other end of a UNIX socket, and may they be there.
 */
#ifndef WEIR_BIN_WEIRD_PEER_H
#define WEIR_BIN_WEIRD_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/* 0 or -errno. */
int peer_of(int fd, struct peer *peer);

/* All groups of the peer's process, its effective one first: their number, or -errno. groups: to be
 * freed. */
int peer_groups(int fd, const struct peer *peer, uint32_t **groups);

/* Root, and whoever the daemon runs as; anybody where any_user is set. */
bool peer_allowed(const struct peer *peer, bool any_user);

#endif
