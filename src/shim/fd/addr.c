/* SPDX-License-Identifier: BSD-3-Clause */
/* struct sockaddr <-> struct ipaddr, with the errors Linux gives; IPv6 sockets are dual-stack. */
#include "shim/call/packet.h"

#include <netinet/in.h>

int addr_in(const struct wsock *ws, const struct sockaddr *sa, socklen_t len, struct ipaddr *addr,
	    uint16_t *port_be)
{
	if (len > sizeof(struct sockaddr_storage) || len < sizeof(sa->sa_family))
		return -EINVAL;
	if (!sa)
		return -EFAULT;
	if (ws->family == AF_INET || sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		if (len < sizeof(in))
			return -EINVAL;
		memcpy(&in, sa, sizeof(in));
		if (in.sin_family != AF_INET &&
		    !(in.sin_family == AF_UNSPEC && in.sin_addr.s_addr == INADDR_ANY))
			return -EAFNOSUPPORT;
		if (ws->family == AF_INET6 && ws->type == SOCK_STREAM)
			return -EAFNOSUPPORT;
		*addr = ipaddr_from_ip4(in.sin_addr.s_addr);
		*port_be = in.sin_port;
		return 0;
	}
	struct sockaddr_in6 in6;

	if (sa->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	if (len < offsetof(struct sockaddr_in6, sin6_scope_id))
		return -EINVAL;
	memcpy(&in6, sa, len < sizeof(in6) ? len : sizeof(in6));
	memcpy(addr->b, &in6.sin6_addr, sizeof(addr->b));
	*port_be = in6.sin6_port;
	return 0;
}

void addr_out(const struct wsock *ws, const struct ipaddr *addr, uint16_t port_be,
	      struct sockaddr *sa, socklen_t *len)
{
	union {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u;
	socklen_t full;

	if (!sa || !len)
		return;
	memset(&u, 0, sizeof(u));
	if (ws->family == AF_INET) {
		full = sizeof(u.in);
		u.in.sin_family = AF_INET;
		u.in.sin_port = port_be;
		u.in.sin_addr.s_addr = ipaddr_ip4(addr);
	} else {
		full = sizeof(u.in6);
		u.in6.sin6_family = AF_INET6;
		u.in6.sin6_port = port_be;
		if (!ipaddr_is_any(addr))
			memcpy(&u.in6.sin6_addr, addr->b, sizeof(addr->b));
	}
	memcpy(sa, &u, *len < full ? *len : full);
	*len = full;
}

int wsock_getname(struct wsock *ws, bool peer, struct sockaddr *sa, socklen_t *len)
{
	const struct abi_sock *shm = ws->shm;
	struct ipaddr any = ipaddr_any();
	uint32_t state;

	if (ws->family == AF_PACKET)
		return packet_getname(ws, peer, sa, len);
	if (!sa || !len)
		return -EFAULT;
	if (*len > INT32_MAX)
		return -EINVAL;
	if (!shm) {
		if (peer)
			return -ENOTCONN;
		addr_out(ws, &any, ws->quiet_port_be, sa, len);
		return 0;
	}
	state = atomic_load(&shm->state);
	if (peer) {
		if (!(state & ABI_S_CONNECTED) || shm->peer_port_be == 0 ||
		    (ws->type == SOCK_STREAM && (state & (ABI_S_RESET | ABI_S_ENDED))))
			return -ENOTCONN;
		addr_out(ws, &shm->peer_addr, shm->peer_port_be, sa, len);
		return 0;
	}
	addr_out(ws, &shm->local_addr, shm->local_port_be, sa, len);
	return 0;
}
