/* SPDX-License-Identifier: BSD-3-Clause */
/* Urgent data (wire/app_urgent.h): the byte by itself, and reads that stop at the mark. */
#include "shim/shim.h"

ssize_t urgent_recv(struct wsock *ws, const struct iovec *iov, int iovcnt, int flags)
{
	int byte;

	if (session_is_dead())
		return -ECONNRESET;
	if (!ws->shm)
		return -EINVAL;
	if (ws->owner)
		owner_hears(ws->owner);
	byte = app_urgent_recv(ws->shm, flags & MSG_PEEK);
	if (byte == -ENODATA)
		return 0;
	if (byte < 0)
		return byte;
	while (iovcnt && iov->iov_len == 0) {
		iov++;
		iovcnt--;
	}
	if (!iovcnt)
		return 0;
	if (!(flags & MSG_TRUNC))
		*(uint8_t *)iov->iov_base = (uint8_t)byte;
	return 1;
}

uint32_t urgent_limit(struct wsock *ws, uint32_t *head, uint32_t used, int flags)
{
	uint32_t from = *head, n;

	if (ws->owner)
		owner_hears(ws->owner);
	n = app_mark_limit(ws->shm, head, used);
	/* What is stepped over is gone, though there is nothing to give behind it. */
	if (n == 0 && *head != from && !(flags & MSG_PEEK))
		stream_taken(ws, *head);
	return n;
}
