/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/peer.h"

#include <errno.h>
#include <stdlib.h>
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
	peer->gid = cred.gid;
	return 0;
}

int peer_groups(int fd, const struct peer *peer, uint32_t **groups)
{
	socklen_t bytes = 0;
	uint32_t *list;

	/* How much room it takes; the kernel tells it as an error. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) && errno != ERANGE)
		return -errno;
	list = malloc(sizeof(*list) + bytes);
	if (!list)
		return -ENOMEM;
	list[0] = peer->gid;
	if (bytes && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list + 1, &bytes)) {
		int err = -errno;

		free(list);
		return err;
	}
	*groups = list;
	return 1 + (int)(bytes / sizeof(*list));
}

bool peer_allowed(const struct peer *peer, bool any_user)
{
	return any_user || peer->uid == 0 || peer->uid == geteuid();
}
