/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Direct placement: descriptors, and the socket calls that go through the control slot.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "engine/direct.h"
#include "sock/sock.h"

int direct_fd_new(struct weir *weir, int type, uint32_t sock, uint32_t gen)
{
	uint32_t fd = weir->fd_free;

	if (fd == DIRECT_FD_NONE) {
		uint32_t count = weir->fd_count != 0 ? weir->fd_count * 2 : 16;
		struct direct_fd *table = realloc(weir->fd, count * sizeof(*table));

		if (table == NULL)
			return direct_fail(ENOMEM);
		weir->fd = table;
		for (uint32_t i = count; i-- > weir->fd_count;) {
			table[i] = (struct direct_fd){ .next_free = weir->fd_free };
			weir->fd_free = i;
		}
		weir->fd_count = count;
		fd = weir->fd_free;
	}
	weir->fd_free = weir->fd[fd].next_free;
	weir->fd[fd] =
		(struct direct_fd){ .used = true, .type = (uint8_t)type, .sock = sock, .gen = gen };
	return (int)fd;
}

struct direct_fd *direct_fd_get(struct weir *weir, int fd)
{
	if (fd < 0 || (uint32_t)fd >= weir->fd_count || !weir->fd[fd].used) {
		errno = EBADF;
		return NULL;
	}
	return &weir->fd[fd];
}

void direct_fd_free(struct weir *weir, int fd)
{
	weir->fd[fd].used = false;
	weir->fd[fd].next_free = weir->fd_free;
	weir->fd_free = (uint32_t)fd;
}

struct abi_sock *direct_sock(struct weir *weir, const struct direct_fd *d)
{
	return (struct abi_sock *)((uint8_t *)weir->arena + weir->arena->sock_offset) + d->sock;
}

static void submit(struct weir *weir, const struct abi_sqe *sqe)
{
	while (!app_sq_push(weir->arena, weir->channel, sqe))
		sock_poll(weir->w);
}

void direct_submit(struct weir *weir, uint8_t op, const struct direct_fd *d)
{
	struct abi_sqe sqe = { .op = op, .sock = d->sock, .gen = d->gen };

	submit(weir, &sqe);
}

int direct_ctl(struct weir *weir, struct abi_ctl *ctl)
{
	struct abi_channel *ch = weir->channel;
	uint32_t seq = atomic_load_explicit(&ch->ctl_seq, memory_order_relaxed) + 1;
	struct abi_sqe sqe = { .op = ABI_OP_CTL };

	memcpy(&ch->ctl, ctl, sizeof(*ctl));
	atomic_store_explicit(&ch->ctl_seq, seq, memory_order_release);
	submit(weir, &sqe);
	while (atomic_load_explicit(&ch->ctl_done, memory_order_acquire) != seq)
		if (sock_poll(weir->w) == 0)
			return -ENETDOWN; /* the family is broken: by the caller's own wild pointer
					   */
	memcpy(ctl, &ch->ctl, sizeof(*ctl));
	return ctl->result;
}

/* A control call for a descriptor; -1 with errno. */
static int call(struct weir *weir, const struct direct_fd *d, struct abi_ctl *ctl)
{
	int ret;

	ctl->sock = d->sock;
	ctl->gen = d->gen;
	ret = direct_ctl(weir, ctl);
	return ret == 0 ? 0 : direct_fail(-ret);
}

int direct_addr_in(const struct sockaddr *addr, socklen_t len, struct ipaddr *ip, uint16_t *port_be)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (len < sizeof(sa_family_t))
		return -EINVAL;
	if (addr->sa_family == AF_INET6) {
		if (len < sizeof(in6))
			return -EINVAL;
		memcpy(&in6, addr, sizeof(in6));
		memcpy(ip->b, &in6.sin6_addr, 16);
		*port_be = in6.sin6_port;
		return 0;
	}
	if (addr->sa_family != AF_INET)
		return -EAFNOSUPPORT;
	if (len < sizeof(in))
		return -EINVAL;
	memcpy(&in, addr, sizeof(in));
	*ip = in.sin_addr.s_addr != 0 ? ipaddr_from_ip4(in.sin_addr.s_addr) : ipaddr_any();
	*port_be = in.sin_port;
	return 0;
}

void direct_addr_out(uint8_t family, const struct ipaddr *ip, uint16_t port_be,
		     struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = port_be };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = port_be };
	bool v6 = family == AF_INET6;
	socklen_t bytes = v6 ? sizeof(in6) : sizeof(in);

	if (addr == NULL || len == NULL)
		return;
	in.sin_addr.s_addr = ipaddr_ip4(ip);
	memcpy(&in6.sin6_addr, ip->b, 16);
	memcpy(addr, v6 ? (void *)&in6 : (void *)&in, *len < bytes ? *len : bytes);
	*len = bytes;
}

int weir_socket(struct weir *weir, int family, int type, int protocol)
{
	struct abi_ctl ctl = { .op = ABI_CTL_OPEN,
			       .sock = ABI_SOCK_NONE,
			       .level = (uint32_t)family,
			       .optname = (uint32_t)type,
			       .len = (uint32_t)protocol };
	int ret = direct_ctl(weir, &ctl);

	if (ret != 0)
		return direct_fail(-ret);
	ret = direct_fd_new(weir, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), ctl.sock, ctl.gen);
	if (ret < 0) {
		struct direct_fd d = { .sock = ctl.sock, .gen = ctl.gen };

		direct_submit(weir, ABI_OP_RELEASE, &d);
	}
	return ret;
}

int weir_bind(struct weir *weir, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct direct_fd *d = direct_fd_get(weir, fd);
	struct abi_ctl ctl = { .op = ABI_CTL_BIND };
	int ret;

	if (d == NULL)
		return -1;
	ret = direct_addr_in(addr, len, &ctl.addr, &ctl.port_be);
	return ret == 0 ? call(weir, d, &ctl) : direct_fail(-ret);
}

int weir_listen(struct weir *weir, int fd, int backlog)
{
	struct direct_fd *d = direct_fd_get(weir, fd);
	struct abi_ctl ctl = { .op = ABI_CTL_LISTEN, .optname = (uint32_t)backlog };

	return d != NULL ? call(weir, d, &ctl) : -1;
}

static int connect_to(struct weir *weir, int fd, const struct sockaddr *addr, socklen_t len,
		      uint16_t flags)
{
	struct direct_fd *d = direct_fd_get(weir, fd);
	struct abi_ctl ctl = { .op = ABI_CTL_CONNECT, .flags = flags };
	int ret;

	if (d == NULL)
		return -1;
	if (len >= sizeof(sa_family_t) && addr->sa_family == AF_UNSPEC) {
		if (d->type != SOCK_DGRAM)
			return direct_fail(EOPNOTSUPP);
		return call(weir, d, &ctl);
	}
	ret = direct_addr_in(addr, len, &ctl.addr, &ctl.port_be);
	return ret == 0 ? call(weir, d, &ctl) : direct_fail(-ret);
}

int weir_connect(struct weir *weir, int fd, const struct sockaddr *addr, socklen_t len)
{
	return connect_to(weir, fd, addr, len, 0);
}

int direct_fastopen(struct weir *weir, int fd, const struct sockaddr *addr, socklen_t len)
{
	if (addr == NULL)
		return direct_fail(EINVAL);
	return connect_to(weir, fd, addr, len, ABI_CONNECT_FASTOPEN);
}

int weir_accept(struct weir *weir, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct direct_fd *d = direct_fd_get(weir, fd), taken;
	struct abi_sock *s;
	uint32_t head, entries;
	uint64_t entry;
	int ret;

	if (d == NULL)
		return -1;
	if (d->type != SOCK_STREAM)
		return direct_fail(EOPNOTSUPP);
	s = direct_sock(weir, d);
	if (!(atomic_load_explicit(&s->state, memory_order_acquire) & ABI_S_LISTEN))
		return direct_fail(EINVAL);
	if (app_sock_rx_used(s) == 0)
		return direct_fail(EAGAIN);
	head = atomic_load_explicit(&s->rx_head, memory_order_relaxed);
	entries = atomic_load_explicit(&s->rx_size_bytes, memory_order_relaxed) / 8;
	memcpy(&entry, (uint8_t *)weir->arena + s->rx_offset + (head & (entries - 1)) * 8, 8);
	ret = direct_fd_new(weir, SOCK_STREAM, (uint32_t)entry, (uint32_t)(entry >> 32));
	if (ret < 0)
		return -1;
	taken = *direct_fd_get(weir, ret);
	atomic_store_explicit(&s->rx_head, head + 1, memory_order_release);
	direct_submit(weir, ABI_OP_ACCEPTED, &taken);
	s = direct_sock(weir, &taken);
	direct_addr_out(s->family, &s->peer_addr, s->peer_port_be, addr, len);
	return ret;
}

int weir_shutdown(struct weir *weir, int fd, int how)
{
	struct direct_fd *d = direct_fd_get(weir, fd);
	struct abi_ctl ctl = { .op = ABI_CTL_SHUTDOWN, .optname = (uint32_t)how };

	return d != NULL ? call(weir, d, &ctl) : -1;
}

int weir_close(struct weir *weir, int fd)
{
	struct direct_fd *d = direct_fd_get(weir, fd);

	if (d == NULL)
		return -1;
	direct_submit(weir, ABI_OP_RELEASE, d);
	direct_fd_free(weir, fd);
	return 0;
}

int weir_getsockopt(struct weir *weir, int fd, int level, int name, void *value, socklen_t *len)
{
	struct direct_fd *d = direct_fd_get(weir, fd);
	struct abi_ctl ctl = { .op = ABI_CTL_GETSOCKOPT,
			       .level = (uint32_t)level,
			       .optname = (uint32_t)name,
			       .len = *len };

	if (d == NULL)
		return -1;
	if (*len > INT_MAX)
		return direct_fail(EINVAL);
	if (ctl.len > ABI_CTL_DATA_BYTES)
		ctl.len = ABI_CTL_DATA_BYTES;
	if (call(weir, d, &ctl) != 0) {
		if (level == IPPROTO_TCP && name == TCP_SAVED_SYN && errno == EINVAL)
			*len = ctl.len; /* how much room it needs */
		return -1;
	}
	*len = ctl.len;
	memcpy(value, ctl.data, ctl.len);
	return 0;
}

/* UDP_SEGMENT is the program's side's own affair, as in the shim (call/udpopt.c). */
static int set_segment(struct abi_sock *s, const void *value, socklen_t len)
{
	int segment;

	if (len < sizeof(segment))
		return direct_fail(EINVAL);
	memcpy(&segment, value, sizeof(segment));
	if (segment < 0 || segment > UINT16_MAX)
		return direct_fail(EINVAL);
	atomic_store_explicit(&s->tx_opts, (uint32_t)segment, memory_order_relaxed);
	return 0;
}

int weir_setsockopt(struct weir *weir, int fd, int level, int name, const void *value,
		    socklen_t len)
{
	struct direct_fd *d = direct_fd_get(weir, fd);
	struct abi_ctl ctl = { .op = ABI_CTL_SETSOCKOPT,
			       .level = (uint32_t)level,
			       .optname = (uint32_t)name,
			       .len = len };

	if (d == NULL)
		return -1;
	if (level == IPPROTO_UDP && name == UDP_SEGMENT && d->type == SOCK_DGRAM)
		return set_segment(direct_sock(weir, d), value, len);
	if (len > ABI_CTL_DATA_BYTES)
		return direct_fail(EINVAL);
	memcpy(ctl.data, value, len);
	return call(weir, d, &ctl);
}

int weir_getsockname(struct weir *weir, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct direct_fd *d = direct_fd_get(weir, fd);

	if (d == NULL)
		return -1;
	struct abi_sock *s = direct_sock(weir, d);

	direct_addr_out(s->family, &s->local_addr, s->local_port_be, addr, len);
	return 0;
}

int weir_getpeername(struct weir *weir, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct direct_fd *d = direct_fd_get(weir, fd);

	if (d == NULL)
		return -1;
	struct abi_sock *s = direct_sock(weir, d);

	if (s->peer_port_be == 0 ||
	    !(atomic_load_explicit(&s->state, memory_order_acquire) & ABI_S_CONNECTED))
		return direct_fail(ENOTCONN);
	direct_addr_out(s->family, &s->peer_addr, s->peer_port_be, addr, len);
	return 0;
}
