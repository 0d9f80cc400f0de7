/* SPDX-License-Identifier: BSD-3-Clause */
/* Raw IPv4 sockets: sending. They receive as datagram sockets do. */
#include "shim/call/packet.h"

ssize_t raw_send(struct wsock *ws, const struct msghdr *msg, int flags)
{
	size_t len = record_iov_bytes(msg->msg_iov, msg->msg_iovlen);
	struct abi_dgram d = { .len_bytes = (uint32_t)len, .wire_bytes = (uint32_t)len };
	uint16_t port_be;
	int err = 0;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (len > UINT16_MAX)
		return -EMSGSIZE;
	if (msg->msg_name && msg->msg_namelen)
		err = addr_in(ws, msg->msg_name, msg->msg_namelen, &d.addr, &port_be);
	else if (!(atomic_load(&ws->shm->state) & ABI_S_CONNECTED))
		err = -EDESTADDRREQ;
	return err ? err : record_send(ws, &d, msg->msg_iov, msg->msg_iovlen);
}
