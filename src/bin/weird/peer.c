/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/peer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int peer_of(int fd, struct peer *peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	peer->pid = cred.pid;
	peer->uid = cred.uid;
	return 0;
}

bool peer_allowed(const struct peer *peer, bool any_user)
{
	return any_user || peer->uid == 0 || peer->uid == geteuid();
}
