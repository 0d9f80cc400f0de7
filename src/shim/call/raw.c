/* SPDX-License-Identifier: BSD-3-Clause */
/* Raw IPv4 sockets and ICMP datagram sockets: sending. They receive as datagram sockets do. */
#include "shim/call/packet.h"

#include <linux/icmp.h>

static bool is_ping(const struct wsock *ws)
{
	return ws->type == SOCK_DGRAM;
}

static bool is_echo_request(const struct msghdr *msg)
{
	struct icmphdr icmp;
	size_t have = 0;

	for (size_t i = 0; i < msg->msg_iovlen && have < sizeof(icmp); i++) {
		size_t n = msg->msg_iov[i].iov_len, left = sizeof(icmp) - have;

		n = n < left ? n : left;
		memcpy((uint8_t *)&icmp + have, msg->msg_iov[i].iov_base, n);
		have += n;
	}
	return have == sizeof(icmp) && icmp.type == ICMP_ECHO && icmp.code == 0;
}

/* As Linux: the first send of one without an identifier gives it one. */
static int autobind(struct wsock *ws)
{
	struct ctl_args args = { .op = ABI_CTL_BIND };
	int err = ws->shm->local_port_be ? 0 : ctl_call(ws, &args);

	return err == -EINVAL && ws->shm->local_port_be ? 0 : err;
}

static int to_address(struct wsock *ws, const struct msghdr *msg, struct abi_dgram *d)
{
	uint16_t port_be;
	int err;

	if (!msg->msg_name || !msg->msg_namelen)
		return atomic_load(&ws->shm->state) & ABI_S_CONNECTED ? 0 : -EDESTADDRREQ;
	err = addr_in(ws, msg->msg_name, msg->msg_namelen, &d->addr, &port_be);
	if (!err && ipaddr_is_any(&d->addr))
		d->addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK));
	return err;
}

/* In Linux's order: a ping's identifier, what is sent, to whom, and how. */
ssize_t raw_send(struct wsock *ws, const struct msghdr *msg, int flags)
{
	size_t len = record_iov_bytes(msg->msg_iov, msg->msg_iovlen);
	struct abi_dgram d = { .len_bytes = (uint32_t)len, .wire_bytes = (uint32_t)len };
	int err = is_ping(ws) ? autobind(ws) : 0;

	if (err)
		return err;
	if (len > UINT16_MAX)
		return -EMSGSIZE;
	if (is_ping(ws) && len < sizeof(struct icmphdr))
		return -EINVAL;
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (is_ping(ws) && !is_echo_request(msg))
		return -EINVAL;
	err = to_address(ws, msg, &d);
	if (!err && msg->msg_controllen)
		err = cmsg_in(ws, msg, &d);
	return err ? err : record_send(ws, &d, msg->msg_iov, msg->msg_iovlen);
}
