/* SPDX-License-Identifier: BSD-3-Clause */
/* ioctl() on a socket. */
#include "shim/shim.h"

#include <sys/ioctl.h>
#include <linux/sockios.h>

/* Of the datagram that is read next from a shard. */
static int next_bytes(const struct abi_sock *shm, uint32_t used)
{
	uint32_t size = atomic_load(&shm->rx_size_bytes);
	uint8_t *ring = ring_at(atomic_load(&shm->rx_offset), size);
	struct abi_dgram d;

	if (!ring || used < sizeof(d))
		return 0;
	app_ring_read(&d, ring, size, atomic_load(&shm->rx_head) & ~63u, sizeof(d));
	return (int)(d.len_bytes <= used - sizeof(d) ? d.len_bytes : used - sizeof(d));
}

static int readable_bytes(struct wsock *ws)
{
	const struct abi_sock *shm = ws->shm;
	uint32_t used = 0;

	if (shm && ws->type == SOCK_STREAM)
		return (int)app_urgent_inq(shm, app_sock_rx_used(shm));
	for (unsigned int n = 0; shm; n++) {
		used = app_sock_rx_used(shm);
		if (used)
			return next_bytes(shm, used);
		shm = wsock_next_shard(shm, n);
	}
	return 0;
}

static int unsent_bytes(const struct wsock *ws)
{
	const struct abi_sock *shm = ws->shm;

	return shm ? (int)(atomic_load(&shm->tx_size_bytes) - app_sock_tx_free(shm)) : 0;
}

int call_ioctl(struct wsock *ws, int fd, unsigned long request, void *arg)
{
	int err;

	if (bad_pointer(arg) &&
	    (request == FIONBIO || request == FIONREAD || request == SIOCOUTQ ||
	     request == SIOCOUTQNSD || request == SIOCATMARK || request == FIOASYNC))
		return -EFAULT;
	switch (request) {
	case FIONBIO:
		wsock_set_nonblock(ws, *(int *)arg != 0);
		return 0;
	case FIONREAD:
		if (ws->shm && (atomic_load(&ws->shm->state) & ABI_S_LISTEN))
			return -EINVAL;
		*(int *)arg = readable_bytes(ws);
		return 0;
	case SIOCOUTQ:
	case SIOCOUTQNSD:
		*(int *)arg = unsent_bytes(ws);
		return 0;
	case SIOCATMARK:
		if (ws->type != SOCK_STREAM)
			return -ENOTTY;
		*(int *)arg = ws->shm && app_sock_at_mark(ws->shm);
		return 0;
	case FIOSETOWN:
	case SIOCSPGRP:
		if (R(ioctl)(fd, request, arg) < 0)
			return -errno;
		owner_changed(ws, fd);
		return 0;
	case FIOCLEX:
	case FIONCLEX:
	case FIOGETOWN:
	case SIOCGPGRP:
		return R(ioctl)(fd, request, arg) < 0 ? -errno : 0;
	case FIOASYNC:
		return async_set(ws, fd, *(int *)arg != 0);
	default:
		err = netif_ioctl(request, arg);
		/* Those of terminals are how stdio and shells ask what it is. */
		if (err == -ENOTTY && (request & ~0xfful) != (TCGETS & ~0xfful))
			session_notef("ioctl 0x%lx on a socket: weir has no such request", request);
		return err;
	}
}
