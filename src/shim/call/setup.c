/* SPDX-License-Identifier: BSD-3-Clause */
/* socket, bind, connect, listen, accept, shutdown. */
#include "shim/call/names.h"
#include "shim/call/packet.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

/*
 * Is socket() ours? *error: 0, or the errno that weir gives for an inet socket it does not have.
 * What is not inet (UNIX, netlink, packet) stays with the kernel.
 */
bool call_socket_ours(int domain, int type, int protocol, int *error)
{
	int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);

	*error = 0;
	if (domain == AF_PACKET)
		return true; /* the engine judges the type, and who may */
	if (domain != AF_INET && domain != AF_INET6)
		return false;
	if (kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP))
		return true;
	if (kind == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP))
		return true;
	if (kind == SOCK_DGRAM && domain == AF_INET && protocol == IPPROTO_ICMP)
		return true; /* the engine judges who may */
	if (kind == SOCK_RAW && domain == AF_INET && protocol >= 0 && protocol <= IPPROTO_RAW)
		return true; /* the engine judges the protocol, and who may */
	if (kind == SOCK_RAW)
		*error = protocol < 0 || protocol > IPPROTO_MPTCP ? -EINVAL : -EPROTONOSUPPORT;
	else if (kind < 0 || kind > SOCK_PACKET || protocol < 0 || protocol > IPPROTO_MPTCP)
		*error = -EINVAL;
	else if (kind != SOCK_STREAM && kind != SOCK_DGRAM)
		*error = -ESOCKTNOSUPPORT;
	else
		*error = -EPROTONOSUPPORT;
	if (session_attach() == 0)
		session_notef("socket(%s, type %d, protocol %d): weir has no such socket",
			      domain == AF_INET ? "AF_INET" : "AF_INET6", kind, protocol);
	return true;
}

int call_socket(int domain, int type, int protocol)
{
	struct wsock *ws;
	int fd;
	int err = session_attach();

	if (err)
		return err;
	if (session_is_dead())
		return -ENETDOWN;
	ws = wsock_new();
	if (!ws)
		return -ENOMEM;
	ws->family = (uint8_t)domain;
	ws->type = (uint8_t)(type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC));
	ws->protocol = ws->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
	if (domain == AF_PACKET || ws->type == SOCK_RAW || protocol == IPPROTO_ICMP)
		ws->protocol = (uint16_t)protocol;
	atomic_store(&ws->file_flags, O_RDWR | (type & SOCK_NONBLOCK ? O_NONBLOCK : 0));
	/* It hears what comes from now on. */
	err = domain == AF_PACKET || wsock_is_raw(ws) ? ctl_create(ws) : 0;
	fd = err ? err : fdtab_placeholder(ws, type);
	if (fd < 0)
		obj_put(&ws->obj);
	return fd;
}

/*
 * An IPv6-only socket on :: is a program that has another one for IPv4 (nginx, redis): it succeeds
 * and never hears anything, as on a host where nobody speaks IPv6.
 */
static bool quiet_bind(struct wsock *ws, const struct ipaddr *addr, uint16_t port_be)
{
	if (!(atomic_load(&ws->opts) & WS_V6ONLY) || ws->family != AF_INET6 ||
	    !ipaddr_is_any(addr) || atomic_load(&ws->watched))
		return false;
	if (ws->shm) {
		/* An option made it already; the engine need not have it any more. */
		atomic_store(&ws->file_flags, wsock_file_flags(ws));
		submit_sock(ws, ABI_OP_RELEASE, 0, 0);
		ws->shm = NULL;
		ws->index = ABI_SOCK_NONE;
	}
	ws->quiet_port_be = port_be;
	atomic_fetch_or(&ws->opts, WS_QUIET);
	return true;
}

int call_bind(struct wsock *ws, const struct sockaddr *sa, socklen_t len)
{
	struct ctl_args args = { .op = ABI_CTL_BIND };
	int err;

	if (ws->family == AF_PACKET)
		return packet_bind(ws, sa, len);
	err = addr_in(ws, sa, len, &args.addr, &args.port_be);
	if (err)
		return err;
	if (quiet_bind(ws, &args.addr, args.port_be))
		return 0;
	if (!ipaddr_is_ip4(&args.addr) && !ipaddr_is_any(&args.addr))
		return -EADDRNOTAVAIL;
	known_forget(ws);
	err = ctl_call(ws, &args);
	if (!err)
		epset_sock_sharded(ws);
	return err;
}

int call_connect_finish(struct wsock *ws);

/* A connect() that failed, and has told so: the socket is as new [inet_stream_connect]. */
static int connect_failed(struct wsock *ws)
{
	struct ctl_args args = { .op = ABI_CTL_CONNECT, .flags = ABI_CONNECT_DISSOLVE };
	int err = app_sock_take_error(ws->shm);

	(void)ctl_call(ws, &args);
	return err ? -err : -ECONNABORTED;
}

/* 1: there is nothing yet that forbids another. */
static int connect_again(struct wsock *ws, bool nonblock)
{
	int err;

	uint32_t state = atomic_load(&ws->shm->state);
	uint32_t pending = atomic_fetch_and(&ws->opts, ~WS_CONNECT_PENDING) & WS_CONNECT_PENDING;

	if (state & ABI_S_SYN_WAITS)
		return -EISCONN;
	if (state & ABI_S_CONNECTING) {
		if (pending)
			atomic_fetch_or(&ws->opts, WS_CONNECT_PENDING);
		if (nonblock)
			return -EALREADY;
		err = call_connect_finish(ws);
		return err == -EINPROGRESS ? -EALREADY : err;
	}
	if (pending && (state & (ABI_S_RESET | ABI_S_ENDED)))
		return connect_failed(ws);
	if (state & ABI_S_CONNECTED)
		return pending ? 0 : -EISCONN;
	return pending ? connect_failed(ws) : 1;
}

int call_connect_finish(struct wsock *ws)
{
	int err = sock_wait_connected(ws, deadline_after(ws->snd_timeout_ns));

	if (err) {
		atomic_fetch_or(&ws->opts, WS_CONNECT_PENDING);
		return err == -EAGAIN ? -EINPROGRESS : err;
	}
	if (session_is_dead())
		return -ENETDOWN;
	return (atomic_load(&ws->shm->state) & (ABI_S_CONNECTED | ABI_S_RESET)) == ABI_S_CONNECTED
		       ? 0
		       : connect_failed(ws);
}

static bool is_disconnect(const struct wsock *ws, const struct sockaddr *sa, socklen_t len)
{
	return sa && len >= sizeof(sa->sa_family) && sa->sa_family == AF_UNSPEC;
}

static int connect_to(struct wsock *ws, const struct sockaddr *sa, socklen_t len, uint16_t flags,
		      bool nonblock)
{
	struct ctl_args args = { .op = ABI_CTL_CONNECT, .flags = flags };
	int err;

	if (ws->family == AF_PACKET)
		return -EOPNOTSUPP;
	known_forget(ws);
	if (is_disconnect(ws, sa, len)) {
		/* Takes a datagram socket's peer away: connect to any, port 0. */
		if (ws->type == SOCK_STREAM)
			args.flags = ABI_CONNECT_DISSOLVE;
		atomic_fetch_and(&ws->opts, ~WS_CONNECT_PENDING);
		return ws->shm ? ctl_call(ws, &args) : 0;
	}
	err = addr_in(ws, sa, len, &args.addr, &args.port_be);
	if (err)
		return err;
	if (ws->type == SOCK_DGRAM)
		names_asked(args.port_be);
	if (ipaddr_is_any(&args.addr))
		args.addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK));
	if (!ipaddr_is_ip4(&args.addr) || (atomic_load(&ws->opts) & WS_QUIET))
		return -ENETUNREACH;
	if (ws->type == SOCK_STREAM && ws->shm) {
		err = connect_again(ws, nonblock);
		if (err <= 0)
			return err;
	}
	err = ctl_call(ws, &args);
	if (err != -EINPROGRESS)
		return err;
	if (nonblock) {
		atomic_fetch_or(&ws->opts, WS_CONNECT_PENDING);
		return -EINPROGRESS;
	}
	return call_connect_finish(ws);
}

int call_connect(struct wsock *ws, const struct sockaddr *sa, socklen_t len)
{
	return connect_to(ws, sa, len, 0, wsock_nonblock(ws));
}

int call_connect_fastopen(struct wsock *ws, const struct sockaddr *sa, socklen_t len, bool nonblock)
{
	if (!sa)
		return -EINVAL;
	if (is_disconnect(ws, sa, len))
		return -EOPNOTSUPP;
	return connect_to(ws, sa, len, ABI_CONNECT_FASTOPEN, nonblock);
}

int call_listen(struct wsock *ws, int backlog)
{
	struct ctl_args args = { .op = ABI_CTL_LISTEN };
	int err;

	if (ws->type != SOCK_STREAM)
		return -EOPNOTSUPP;
	if (atomic_load(&ws->opts) & WS_QUIET) {
		ws->quiet_listen = 1;
		return 0;
	}
	args.optname = backlog < 0 || backlog > 65535 ? 65535 : (uint32_t)backlog;
	err = ctl_call(ws, &args);
	if (!err)
		epset_sock_sharded(ws);
	return err;
}

/* Take one waiting connection. 0: *index and *gen are filled; -EAGAIN. */
static int accept_take(struct abi_sock *shm, uint32_t *index, uint32_t *gen)
{
	for (unsigned int n = 0; shm; n++) {
		uint32_t size = atomic_load_explicit(&shm->rx_size_bytes, memory_order_acquire);
		uint8_t *ring = ring_at(atomic_load(&shm->rx_offset), size);
		uint32_t head = atomic_load(&shm->rx_head);

		while (ring && size >= 8 && head != atomic_load(&shm->rx_tail)) {
			uint32_t at = head & (size / 8 - 1);
			uint64_t entry = ((_Atomic uint64_t *)(void *)ring)[at];

			if (!atomic_compare_exchange_strong(&shm->rx_head, &head, head + 1))
				continue;
			*index = (uint32_t)entry;
			*gen = (uint32_t)(entry >> 32);
			if (*index < session.sock_count &&
			    atomic_load(&session.socks[*index].gen) == *gen)
				return 0;
			head++;
		}
		shm = wsock_next_shard(shm, n);
	}
	return -EAGAIN;
}

static int accept_or_wait(struct wsock *ws, uint32_t *index, uint32_t *gen, bool *waited)
{
	int64_t deadline = 0;
	int err;

	for (;;) {
		if (session_is_dead())
			return dead_answer(wsock_nonblock(ws));
		if (!(atomic_load(&ws->shm->state) & ABI_S_LISTEN))
			return -EINVAL;
		err = accept_take(ws->shm, index, gen);
		if (err != -EAGAIN || wsock_nonblock(ws))
			return err;
		if (deadline == 0)
			deadline = deadline_after(ws->rcv_timeout_ns);
		*waited = true;
		err = sock_wait_turn(ws, deadline);
		if (err)
			return err;
	}
}

static int accept_wait(struct wsock *ws, uint32_t *index, uint32_t *gen)
{
	bool waited = false;
	int err = accept_or_wait(ws, index, gen, &waited);

	if (waited && !session_is_dead())
		sock_leave_turn(ws);
	return err;
}

static int quiet_accept(struct wsock *ws)
{
	if (!ws->quiet_listen)
		return -EINVAL;
	while (!wsock_nonblock(ws)) {
		/* Nobody calls; only a signal ends this. */
		if (R(ppoll)(NULL, 0, NULL, NULL) < 0)
			return -errno;
	}
	return -EAGAIN;
}

int call_accept(struct wsock *ws, struct sockaddr *sa, socklen_t *len, int flags)
{
	struct wsock *got;
	uint32_t index, gen;
	int fd, at, err;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	if (ws->type != SOCK_STREAM)
		return -EOPNOTSUPP;
	if (!ws->shm)
		return quiet_accept(ws);
	/* Nothing there is the usual end of an accept loop: no descriptor is made for it. */
	if (wsock_nonblock(ws) && !session_is_dead() && !(wsock_events(ws) & ABI_EV_IN))
		return atomic_load(&ws->shm->state) & ABI_S_LISTEN ? -EAGAIN : -EINVAL;
	got = wsock_new();
	if (!got)
		return -ENOMEM;
	got->family = ws->family;
	got->type = ws->type;
	got->protocol = ws->protocol;
	atomic_store(&got->linger_s, atomic_load(&ws->linger_s));
	got->rcv_timeout_ns = ws->rcv_timeout_ns;
	got->snd_timeout_ns = ws->snd_timeout_ns;
	fd = fdtab_placeholder(got, flags);
	if (fd < 0) {
		obj_put(&got->obj);
		return fd;
	}
	at = waiting_begin(&got->obj, fd);
	err = accept_wait(ws, &index, &gen);
	waiting_end(at, &got->obj);
	if (err) {
		struct obj *o = fdtab_take(fd);

		R(close)(fd);
		if (o)
			obj_put(o);
		return err;
	}
	atomic_store(&session.socks[index].file_flags,
		     O_RDWR | (flags & SOCK_NONBLOCK ? O_NONBLOCK : 0));
	wsock_adopt(got, index, gen);
	submit_sock(got, ABI_OP_ACCEPTED, 0, 0);
	if (sa && len && *len > INT32_MAX) {
		call_close(fd); /* as Linux, which looks last */
		return -EINVAL;
	}
	addr_out(got, &got->shm->peer_addr, got->shm->peer_port_be, sa, len);
	return fd;
}

int call_shutdown(struct wsock *ws, int how)
{
	struct ctl_args args = { .op = ABI_CTL_SHUTDOWN, .optname = (uint32_t)how };

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (session_is_dead())
		return -ENOTCONN;
	return ctl_call(ws, &args);
}
