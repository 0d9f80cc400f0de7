/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagrams: whole records between the program and the two rings, with their ancillary data. */
#include "shim/shim.h"

#include <netinet/in.h>
#include <time.h>

#define DGRAM_MAX_BYTES 65507u

static size_t iov_total(const struct iovec *iov, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

/* ---- send ---- */

static int to_address(struct wsock *ws, const struct msghdr *msg, struct abi_dgram *d)
{
	int err;

	if (!msg->msg_name || msg->msg_namelen == 0) {
		if (!ws->shm || !(atomic_load(&ws->shm->state) & ABI_S_CONNECTED))
			return -EDESTADDRREQ;
		return 0;
	}
	err = addr_in(ws, msg->msg_name, msg->msg_namelen, &d->addr, &d->port_be);
	if (err)
		return err;
	if (d->port_be == 0)
		return -EINVAL;
	if (ipaddr_is_any(&d->addr))
		d->addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK));
	return ipaddr_is_ip4(&d->addr) ? 0 : -ENETUNREACH;
}

/* As Linux: the first send of a socket without a port gives it one. */
static int autobind(struct wsock *ws)
{
	struct ctl_args args = { .op = ABI_CTL_BIND };

	if (likely(ws->shm && ws->shm->local_port_be != 0))
		return 0;
	return ctl_call(ws, &args);
}

/* 0: it is in the ring; -EAGAIN: no room; -EMSGSIZE: it never has. */
static int put_locked(struct wsock *ws, const struct abi_dgram *d, const struct iovec *iov,
		      size_t iovcnt)
{
	struct abi_sock *shm = ws->shm;
	uint32_t size = atomic_load_explicit(&shm->tx_size_bytes, memory_order_acquire);
	uint8_t *ring = ring_at(atomic_load_explicit(&shm->tx_offset, memory_order_relaxed), size);
	uint32_t tail = atomic_load_explicit(&shm->tx_tail, memory_order_relaxed) & ~63u;
	uint32_t space = app_dgram_space(d->len_bytes);
	uint32_t pos = tail + (uint32_t)sizeof(*d);

	if (!ring)
		return -ENOBUFS;
	if (space > size)
		return -EMSGSIZE;
	if (app_sock_tx_free(shm) < space)
		return -EAGAIN;
	app_ring_write(ring, size, tail, d, sizeof(*d));
	for (size_t i = 0; i < iovcnt; i++) {
		app_ring_write(ring, size, pos, iov[i].iov_base, (uint32_t)iov[i].iov_len);
		pos += (uint32_t)iov[i].iov_len;
	}
	stream_published(ws, tail + space);
	return 0;
}

static int send_errors(struct wsock *ws)
{
	uint32_t state = atomic_load(&ws->shm->state);
	int err;

	if (session_is_dead() || (state & ABI_S_DEAD))
		return -ENETDOWN;
	err = wsock_take_error(ws);
	if (err)
		return -err;
	return state & ABI_S_TX_SHUT ? -EPIPE : 0;
}

ssize_t dgram_send(struct wsock *ws, const struct msghdr *msg, int flags)
{
	size_t len = iov_total(msg->msg_iov, msg->msg_iovlen);
	struct abi_dgram d = { .len_bytes = (uint32_t)len, .wire_bytes = (uint32_t)len };
	int64_t deadline = 0;
	int err;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (len > DGRAM_MAX_BYTES)
		return -EMSGSIZE;
	err = to_address(ws, msg, &d);
	if (!err && msg->msg_controllen)
		err = dgram_control_in(msg, &d);
	if (!err)
		err = autobind(ws);
	while (!err) {
		err = send_errors(ws);
		if (!err)
			err = shared_lock(&ws->shm->tx_lock);
		if (err)
			break;
		err = put_locked(ws, &d, msg->msg_iov, msg->msg_iovlen);
		shared_unlock(&ws->shm->tx_lock);
		if (err == 0)
			return (ssize_t)len;
		if (err != -EAGAIN)
			break;
		atomic_fetch_or(&ws->shm->want, ABI_WANT_TX);
		if (wsock_nonblock(ws) || (flags & MSG_DONTWAIT))
			break;
		if (deadline == 0)
			deadline = deadline_after(ws->snd_timeout_ns);
		err = sock_wait_space(ws, app_dgram_space(d.len_bytes), deadline);
	}
	return err;
}

/* ---- receive ---- */

static void copy_out(uint8_t *ring, uint32_t size, uint32_t pos, uint32_t len, struct msghdr *msg)
{
	for (size_t i = 0; i < msg->msg_iovlen && len; i++) {
		uint32_t n = msg->msg_iov[i].iov_len < len ? (uint32_t)msg->msg_iov[i].iov_len
							   : len;

		app_ring_read(msg->msg_iov[i].iov_base, ring, size, pos, n);
		pos += n;
		len -= n;
	}
}

static ssize_t take_shard(struct wsock *ws, struct abi_sock *shm, struct msghdr *msg, int flags)
{
	uint32_t tail = atomic_load_explicit(&shm->rx_tail, memory_order_acquire);
	uint32_t size = atomic_load_explicit(&shm->rx_size_bytes, memory_order_acquire);
	uint8_t *ring = ring_at(atomic_load_explicit(&shm->rx_offset, memory_order_relaxed), size);
	uint32_t head = atomic_load_explicit(&shm->rx_head, memory_order_relaxed) & ~63u;
	uint32_t used = app_ring_used(head, tail, size);
	size_t room = iov_total(msg->msg_iov, msg->msg_iovlen);
	struct abi_dgram d;
	uint32_t n;

	if (!ring || used < sizeof(d))
		return -EAGAIN;
	app_ring_read(&d, ring, size, head, sizeof(d));
	if (d.len_bytes > used - sizeof(d))
		d.len_bytes = used - (uint32_t)sizeof(d);
	n = d.len_bytes < room ? d.len_bytes : (uint32_t)room;
	copy_out(ring, size, head + (uint32_t)sizeof(d), n, msg);
	msg->msg_flags = d.len_bytes > room ? MSG_TRUNC : 0;
	addr_out(ws, &d.addr, d.port_be, msg->msg_name, &msg->msg_namelen);
	dgram_control_out(ws, msg, &d);
	if (!(flags & MSG_PEEK)) {
		atomic_exchange(&shm->rx_head, head + app_dgram_space(d.len_bytes));
		if (atomic_load(&shm->state) & ABI_S_RX_KICK)
			submit(shm->worker, ABI_OP_RX, shm_index(shm), atomic_load(&shm->gen), 0,
			       0);
	}
	return flags & MSG_TRUNC ? (ssize_t)d.len_bytes : (ssize_t)n;
}

static ssize_t take(struct wsock *ws, struct msghdr *msg, int flags)
{
	struct abi_sock *shm = ws->shm;
	ssize_t n = -EAGAIN;
	int err;

	if (session_is_dead())
		return -ENETDOWN;
	for (unsigned int i = 0; shm && n == -EAGAIN; i++) {
		err = shared_lock(&shm->rx_lock);
		if (err)
			return err;
		n = take_shard(ws, shm, msg, flags);
		shared_unlock(&shm->rx_lock);
		shm = wsock_next_shard(shm, i);
	}
	if (n != -EAGAIN)
		return n;
	err = wsock_take_error(ws);
	if (err)
		return -err;
	if (atomic_load(&ws->shm->state) & ABI_S_DEAD)
		return -ENETDOWN;
	return atomic_load(&ws->shm->state) & ABI_S_RX_EOF ? 0 : -EAGAIN;
}

ssize_t dgram_recv(struct wsock *ws, struct msghdr *msg, int flags)
{
	bool nonblock = (flags & MSG_DONTWAIT) || wsock_nonblock(ws);
	int64_t deadline = 0;
	ssize_t n = 0;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	/* A receiver that was never bound waits as in Linux, and may be bound by its sends. */
	if (!ws->shm)
		n = ctl_create(ws);
	while (n == 0) {
		n = take(ws, msg, flags);
		if (n != -EAGAIN || nonblock)
			break;
		if (deadline == 0)
			deadline = deadline_after(ws->rcv_timeout_ns);
		n = sock_wait(ws, ABI_EV_IN, deadline);
	}
	if (n == -EAGAIN && nonblock)
		asked_in_vain();
	else if (n >= 0)
		asked_with_success();
	return n;
}

/* ---- ancillary data ---- */

static void control_put(struct msghdr *msg, size_t *used, int level, int type, const void *data,
			size_t len)
{
	struct cmsghdr c = { .cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type };
	uint8_t *at = (uint8_t *)msg->msg_control + *used;

	if (msg->msg_controllen - *used < CMSG_LEN(len)) {
		msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	memcpy(at, &c, sizeof(c));
	memcpy(at + CMSG_LEN(0), data, len);
	*used += CMSG_SPACE(len) < msg->msg_controllen - *used ? CMSG_SPACE(len)
							       : msg->msg_controllen - *used;
}

static void pktinfo_put(const struct wsock *ws, struct msghdr *msg, size_t *used,
			const struct abi_dgram *d)
{
	if (ws->family == AF_INET) {
		struct in_pktinfo info = { .ipi_ifindex = (int)d->ifindex,
					   .ipi_spec_dst.s_addr = ipaddr_ip4(&d->local),
					   .ipi_addr.s_addr = ipaddr_ip4(&d->local) };

		control_put(msg, used, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		struct in6_pktinfo info = { .ipi6_ifindex = d->ifindex };

		memcpy(&info.ipi6_addr, d->local.b, sizeof(info.ipi6_addr));
		control_put(msg, used, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

static void stamp_put(uint32_t opts, struct msghdr *msg, size_t *used, const struct abi_dgram *d)
{
	struct timespec ts = { (time_t)(d->stamp_ns / 1000000000),
			       (long)(d->stamp_ns % 1000000000) };

	if (d->stamp_ns == 0)
		clock_gettime(CLOCK_REALTIME, &ts);
	if (opts & WS_STAMPNS) {
		control_put(msg, used, SOL_SOCKET, SCM_TIMESTAMPNS, &ts, sizeof(ts));
	} else {
		struct timeval tv = { ts.tv_sec, ts.tv_nsec / 1000 };

		control_put(msg, used, SOL_SOCKET, SCM_TIMESTAMP, &tv, sizeof(tv));
	}
}

void dgram_control_out(const struct wsock *ws, struct msghdr *msg, const struct abi_dgram *d)
{
	uint32_t opts = atomic_load_explicit(&ws->opts, memory_order_relaxed);
	int ttl = (int)(d->ttl_tos & 0xff);
	uint8_t tos = (uint8_t)(d->ttl_tos >> 8);
	size_t used = 0;

	if (!msg->msg_control || msg->msg_controllen == 0) {
		msg->msg_controllen = 0;
		return;
	}
	if (opts & (WS_STAMP | WS_STAMPNS))
		stamp_put(opts, msg, &used, d);
	if (opts & WS_PKTINFO)
		pktinfo_put(ws, msg, &used, d);
	if (opts & WS_RECVTTL)
		control_put(msg, &used, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	if (opts & WS_RECVTOS)
		control_put(msg, &used, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	msg->msg_controllen = used;
}

/* The ancillary data of a send: the source address and TTL, TOS. What is not known is ignored as
 * Linux ignores other levels; a broken header is -EINVAL. */
int dgram_control_in(const struct msghdr *msg, struct abi_dgram *d)
{
	struct msghdr m = *msg;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct in_pktinfo info;

		if (c->cmsg_len < CMSG_LEN(0))
			return -EINVAL;
		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
			continue;
		if (c->cmsg_len < CMSG_LEN(sizeof(info)))
			return -EINVAL;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		if (info.ipi_spec_dst.s_addr)
			d->local = ipaddr_from_ip4(info.ipi_spec_dst.s_addr);
		d->ifindex = (uint32_t)info.ipi_ifindex;
	}
	return 0;
}
