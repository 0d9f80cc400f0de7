/* SPDX-License-Identifier: BSD-3-Clause */
/* socket, bind, listen, accept, connect, shutdown, close, the names: in each state. */
#include "diff.h"

OP(life, readiness, ALL_STATES)
{
	say_state(e->s);
}

OP(life, so_error, ALL_STATES)
{
	int err = -1;
	socklen_t len = sizeof(err);

	CALL(getsockopt(e->s, SOL_SOCKET, SO_ERROR, &err, &len));
	say("  %s", err ? errno_name(err) : "none");
	CALL(getsockopt(e->s, SOL_SOCKET, SO_ERROR, &err, &len));
	say("  %s", err ? errno_name(err) : "none");
	say_state(e->s);
}

OP(life, names, ALL_STATES)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	memset(&a, 0xee, sizeof(a));
	if (CALL(getsockname(e->s, SA(&a), &len)) == 0)
		say("  %d %d %x port %d", (int)len, a.sin_family, ntohl(a.sin_addr.s_addr),
		    a.sin_port != 0);
	len = sizeof(a);
	if (CALL(getpeername(e->s, SA(&a), &len)) == 0)
		say("  %d %d %x port %d", (int)len, a.sin_family, ntohl(a.sin_addr.s_addr),
		    a.sin_port != 0);
}

OP(life, bind, ALL_STATES)
{
	struct sockaddr_in a = local_addr();

	CALL(bind(e->s, SA(&a), SA_SIZE));
	say_ready(e->s);
}

OP(life, listen, ALL_STATES)
{
	int on = -1;
	socklen_t len = sizeof(on);

	CALL(listen(e->s, 4));
	CALL(getsockopt(e->s, SOL_SOCKET, SO_ACCEPTCONN, &on, &len));
	say("  accepts %d", on);
	say_state(e->s);
}

OP(life, accept_nonblock, ALL_STATES)
{
	nonblocking(e->s);
	FD(accept(e->s, NULL, NULL));
	FD(accept4(e->s, NULL, NULL, SOCK_NONBLOCK));
	say_state(e->s);
}

OP(life, accept_interrupted, ALL_STATES)
{
	MUST(fcntl(e->s, F_SETFL, 0));
	alarm_in(40, 0);
	FD(accept(e->s, NULL, NULL));
	say("  alarms %d", (int)alarms);
}

OP(life, connect, ALL_STATES)
{
	CALL(connect(e->s, SA(&e->addr), SA_SIZE));
	CALL(connect(e->s, SA(&e->addr), SA_SIZE));
	say_state(e->s);
}

OP(life, connect_nonblock, ALL_STATES)
{
	nonblocking(e->s);
	CALL(connect(e->s, SA(&e->addr), SA_SIZE));
}

OP(life, connect_nonblock_twice, ALL_STATES)
{
	struct pollfd p = { .fd = e->s, .events = POLLOUT };

	nonblocking(e->s);
	(void)!connect(e->s, SA(&e->addr), SA_SIZE);
	poll(&p, 1, 100);
	CALL(connect(e->s, SA(&e->addr), SA_SIZE));
	CALL(connect(e->s, SA(&e->addr), SA_SIZE));
	say_state(e->s);
}

OP(life, connect_refused, ALL_STATES)
{
	struct sockaddr_in a = nobody();

	CALL(connect(e->s, SA(&a), SA_SIZE));
	say_state(e->s);
}

OP(life, disconnect, ALL_STATES)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC };

	CALL(connect(e->s, SA(&none), SA_SIZE));
	say_state(e->s);
	if (e->peer >= 0 && e->addr.sin_port)
		say_ready(e->peer);
}

OP(life, disconnect_connect, TCP_STATES)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC };

	CALL(connect(e->s, SA(&none), SA_SIZE));
	MUST(fcntl(e->s, F_SETFL, 0));
	CALL(connect(e->s, SA(&e->addr), SA_SIZE));
	say_state(e->s);
}

static void shut(struct ends *e, int how)
{
	CALL(shutdown(e->s, how));
	say_state(e->s);
	CALL(shutdown(e->s, how));
	CALL(send(e->s, "x", 1, MSG_DONTWAIT));
	CALL(recv(e->s, (char[8]){ 0 }, 8, MSG_DONTWAIT));
}

OP(life, shutdown_rd, ALL_STATES)
{
	shut(e, SHUT_RD);
}

OP(life, shutdown_wr, ALL_STATES)
{
	shut(e, SHUT_WR);
	if (e->peer >= 0) {
		until(e->peer, POLLIN | POLLOUT);
		say_ready(e->peer);
	}
}

OP(life, shutdown_rdwr, ALL_STATES)
{
	shut(e, SHUT_RDWR);
}

OP(life, shutdown_bad, ALL_STATES)
{
	CALL(shutdown(e->s, 3));
	CALL(shutdown(e->s, -1));
	say_state(e->s);
}

/* What the peer sees of a close, and the number afterwards. */
OP(life, close, ALL_STATES)
{
	char buf[16];

	CALL(close(e->s));
	CALL(close(e->s));
	CALL(send(e->s, "x", 1, 0));
	if (e->peer < 0)
		return;
	until(e->peer, POLLOUT);
	if (e->listener >= 0)
		until(e->peer, POLLIN);
	say_state(e->peer);
	GET(recv(e->peer, buf, sizeof(buf), MSG_DONTWAIT), buf);
	GET(recv(e->peer, buf, sizeof(buf), MSG_DONTWAIT), buf);
}

OP(life, reset, TCP_STATES)
{
	char buf[16];

	reset(e->s);
	if (e->peer < 0)
		return;
	until(e->peer, POLLHUP);
	say_state(e->peer);
	GET(recv(e->peer, buf, sizeof(buf), MSG_DONTWAIT), buf);
	GET(recv(e->peer, buf, sizeof(buf), MSG_DONTWAIT), buf);
}

/* A dup keeps it open. */
OP(life, close_dup, ALL_STATES)
{
	int copy = FD(dup(e->s));

	CALL(close(e->s));
	say_state(copy);
}

/* ---- bad arguments ---- */

CASE(life, socket_bad)
{
	FD(socket(AF_INET, 77, 0));
	FD(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	FD(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
	FD(socket(AF_INET, SOCK_STREAM, 999));
	FD(socket(AF_INET, SOCK_STREAM, -1));
	FD(socket(AF_INET, SOCK_SEQPACKET, 0));
	FD(socket(AF_INET, SOCK_RDM, 0));
	FD(socket(AF_INET, 0, 0));
	FD(socket(AF_INET, -1, 0));
	FD(socket(99, SOCK_STREAM, 0));
	FD(socket(-1, SOCK_STREAM, 0));
	FD(socket(AF_INET, SOCK_STREAM | 0x1000, 0));
	FD(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
	FD(socket(AF_INET6, SOCK_STREAM, 0));
	FD(socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP));
}

CASE(life, socketpair_inet)
{
	int p[2];

	CALL(socketpair(AF_INET, SOCK_STREAM, 0, p));
	CALL(socketpair(AF_INET, SOCK_DGRAM, 0, p));
	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
}

CASE(life, socket_flags)
{
	int s = FD(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	CALL(fcntl(s, F_GETFL));
	CALL(fcntl(s, F_GETFD));
	s = FD(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	CALL(fcntl(s, F_GETFL));
	CALL(fcntl(s, F_GETFD));
}

CASE(life, bad_descriptor)
{
	struct sockaddr_in a = local_addr();
	socklen_t len = sizeof(a);
	char buf[4];

	for (int fd = -1; fd < 1000; fd += 1000) {
		CALL(bind(fd, SA(&a), SA_SIZE));
		CALL(listen(fd, 1));
		CALL(accept(fd, NULL, NULL));
		CALL(accept4(fd, NULL, NULL, 0));
		CALL(connect(fd, SA(&a), SA_SIZE));
		CALL(shutdown(fd, SHUT_RD));
		CALL(getsockname(fd, SA(&a), &len));
		CALL(getpeername(fd, SA(&a), &len));
		CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, buf, &len));
		CALL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, buf, 4));
		CALL(send(fd, buf, 1, 0));
		CALL(recv(fd, buf, 1, 0));
		CALL(sendto(fd, buf, 1, 0, SA(&a), SA_SIZE));
		CALL(dup(fd));
		CALL(fcntl(fd, F_GETFL));
		CALL(close(fd));
	}
}

CASE(life, not_a_socket)
{
	struct sockaddr_in a = local_addr();
	socklen_t len = sizeof(a);
	char buf[4];
	int p[2];

	MUST(pipe(p));
	CALL(bind(p[0], SA(&a), SA_SIZE));
	CALL(listen(p[0], 1));
	CALL(accept(p[0], NULL, NULL));
	CALL(connect(p[0], SA(&a), SA_SIZE));
	CALL(shutdown(p[0], SHUT_RD));
	CALL(getsockname(p[0], SA(&a), &len));
	CALL(getpeername(p[0], SA(&a), &len));
	CALL(getsockopt(p[0], SOL_SOCKET, SO_TYPE, buf, &len));
	CALL(send(p[1], buf, 1, 0));
	CALL(recv(p[0], buf, 1, 0));
}

static void bad_addresses(int s, int (*call)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_storage big = { .ss_family = AF_INET };
	struct sockaddr_in a = local_addr();
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	CALL(call(s, NULL, 0));
	CALL(call(s, NULL, sizeof(a)));
	CALL(call(s, SA(&a), 0));
	CALL(call(s, SA(&a), 1));
	CALL(call(s, SA(&a), 2));
	CALL(call(s, SA(&a), 8));
	CALL(call(s, SA(&a), SA_SIZE - 1));
	CALL(call(s, SA(&a), (socklen_t)-1));
	CALL(call(s, SA(&big), sizeof(big) + 1));
	CALL(call(s, SA(&six), sizeof(six)));
	a.sin_family = AF_UNIX;
	CALL(call(s, SA(&a), SA_SIZE));
	a.sin_family = 77;
	CALL(call(s, SA(&a), SA_SIZE));
}

CASE(life, bind_bad)
{
	bad_addresses(new_tcp(), bind);
	bad_addresses(new_udp(), bind);
}

CASE(life, connect_bad)
{
	bad_addresses(new_tcp(), connect);
	bad_addresses(new_udp(), connect);
}

CASE(life, bind_foreign)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xcb007107) };
	int s = new_tcp();

	CALL(bind(s, SA(&a), SA_SIZE));
	CALL(bind(new_udp(), SA(&a), SA_SIZE));
	a.sin_family = AF_UNSPEC;
	CALL(bind(s, SA(&a), SA_SIZE));
	a.sin_addr.s_addr = 0;
	CALL(bind(s, SA(&a), SA_SIZE));
}

CASE(life, bind_in_use)
{
	struct sockaddr_in a = local_addr(), any = { .sin_family = AF_INET };
	int s = new_listener(1, &a);

	any.sin_port = a.sin_port;
	CALL(bind(new_tcp(), SA(&a), SA_SIZE));
	CALL(bind(new_tcp(), SA(&any), SA_SIZE));
	int t = new_tcp();
	set_int(t, SOL_SOCKET, SO_REUSEADDR, 1);
	CALL(bind(t, SA(&a), SA_SIZE));
	set_int(s, SOL_SOCKET, SO_REUSEADDR, 1);
	CALL(bind(t, SA(&a), SA_SIZE));
	close(s);
	CALL(bind(t, SA(&a), SA_SIZE));
}

CASE(life, bind_reuseaddr)
{
	struct sockaddr_in a = local_addr();
	int s = new_tcp(), t = new_tcp();

	set_int(s, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(t, SOL_SOCKET, SO_REUSEADDR, 1);
	MUST(bind(s, SA(&a), SA_SIZE));
	name_of(s, &a);
	CALL(bind(t, SA(&a), SA_SIZE));
	CALL(listen(s, 1));
	CALL(listen(t, 1));
}

CASE(life, bind_reuseport)
{
	struct sockaddr_in a = local_addr();
	int s = new_tcp(), t = new_tcp(), u = new_tcp();

	set_int(s, SOL_SOCKET, SO_REUSEPORT, 1);
	set_int(t, SOL_SOCKET, SO_REUSEPORT, 1);
	MUST(bind(s, SA(&a), SA_SIZE));
	name_of(s, &a);
	CALL(bind(t, SA(&a), SA_SIZE));
	CALL(bind(u, SA(&a), SA_SIZE));
	CALL(listen(s, 1));
	CALL(listen(t, 1));
}

CASE(life, bind_udp_in_use)
{
	struct sockaddr_in a = local_addr();
	int s = new_udp(), t = new_udp();

	MUST(bind(s, SA(&a), SA_SIZE));
	name_of(s, &a);
	CALL(bind(t, SA(&a), SA_SIZE));
	set_int(t, SOL_SOCKET, SO_REUSEADDR, 1);
	CALL(bind(t, SA(&a), SA_SIZE));
	set_int(s, SOL_SOCKET, SO_REUSEADDR, 1);
	CALL(bind(t, SA(&a), SA_SIZE));
}

CASE(life, listen_backlogs)
{
	CALL(listen(new_tcp(), -1));
	CALL(listen(new_tcp(), 0));
	CALL(listen(new_tcp(), INT_MAX));
	CALL(listen(new_tcp(), INT_MIN));
}

CASE(life, listen_unbound)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int s = new_tcp();

	CALL(listen(s, 3));
	CALL(getsockname(s, SA(&a), &len));
	say("  %x port %d", a.sin_addr.s_addr, a.sin_port != 0);
}

CASE(life, accept_address)
{
	struct sockaddr_storage room;
	struct sockaddr_in a, *in = (struct sockaddr_in *)&room;
	int s = new_listener(8, &a);
	socklen_t len;

	for (int size = 0; size <= 24; size += 8) {
		int c = new_tcp();

		MUST(connect(c, SA(&a), SA_SIZE));
		memset(&room, 0xee, sizeof(room));
		len = (socklen_t)size;
		FD(accept(s, SA(&room), &len));
		say("  len %d family %x addr %x", (int)len, in->sin_family,
		    ntohl(in->sin_addr.s_addr));
	}
	MUST(connect(new_tcp(), SA(&a), SA_SIZE));
	len = (socklen_t)-1;
	FD(accept(s, SA(&room), &len));
	nonblocking(s);
	len = sizeof(room);
	FD(accept(s, SA(&room), &len));
	FD(accept4(s, NULL, NULL, 0x1000));
	FD(accept4(s, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

CASE(life, accept_flags)
{
	struct sockaddr_in a;
	int s = new_listener(8, &a), c;

	MUST(connect(new_tcp(), SA(&a), SA_SIZE));
	MUST(connect(new_tcp(), SA(&a), SA_SIZE));
	c = FD(accept4(s, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	CALL(fcntl(c, F_GETFL));
	CALL(fcntl(c, F_GETFD));
	nonblocking(s);
	c = FD(accept(s, NULL, NULL));
	CALL(fcntl(c, F_GETFL));
	CALL(fcntl(c, F_GETFD));
}

/* A connection that was reset before it was accepted. */
CASE(life, accept_reset)
{
	struct sockaddr_in a;
	int s = new_listener(8, &a), c = new_tcp(), got;
	char buf[8];

	MUST(connect(c, SA(&a), SA_SIZE));
	until(s, POLLIN);
	reset(c);
	got = FD(accept(s, NULL, NULL));
	until(got, POLLHUP);
	say_state(got);
	GET(recv(got, buf, sizeof(buf), 0), buf);
	GET(recv(got, buf, sizeof(buf), 0), buf);
}

CASE(life, accept_data_closed)
{
	struct sockaddr_in a;
	int s = new_listener(8, &a), c = new_tcp(), got;
	char buf[16];

	MUST(connect(c, SA(&a), SA_SIZE));
	MUST(send(c, "before", 6, 0));
	close(c);
	until(s, POLLIN);
	got = FD(accept(s, NULL, NULL));
	until(got, POLLRDHUP);
	say_state(got);
	GET(recv(got, buf, sizeof(buf), 0), buf);
	GET(recv(got, buf, sizeof(buf), 0), buf);
}

/* What is inherited from the listener. */
CASE(life, accept_inherits)
{
	struct sockaddr_in a;
	int s = new_listener(8, &a), c = new_tcp(), got, v;
	socklen_t len = sizeof(v);
	struct timeval tv = { 1, 0 };

	set_int(s, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(s, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(s, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set_int(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
	set_int(s, SOL_SOCKET, SO_RCVLOWAT, 3);
	set_int(s, IPPROTO_IP, IP_TOS, 16);
	set_int(s, SOL_SOCKET, SO_OOBINLINE, 1);
	MUST(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	MUST(connect(c, SA(&a), SA_SIZE));
	got = FD(accept(s, NULL, NULL));
	CALL(getsockopt(got, IPPROTO_TCP, TCP_NODELAY, &v, &len));
	say("  nodelay %d", v);
	CALL(getsockopt(got, SOL_SOCKET, SO_KEEPALIVE, &v, &len));
	say("  keepalive %d", v);
	CALL(getsockopt(got, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len));
	say("  keepidle %d", v);
	CALL(getsockopt(got, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, &len));
	say("  user timeout %d", v);
	CALL(getsockopt(got, SOL_SOCKET, SO_RCVLOWAT, &v, &len));
	say("  lowat %d", v);
	CALL(getsockopt(got, IPPROTO_IP, IP_TOS, &v, &len));
	say("  tos %d", v);
	CALL(getsockopt(got, SOL_SOCKET, SO_OOBINLINE, &v, &len));
	say("  oobinline %d", v);
	len = sizeof(tv);
	CALL(getsockopt(got, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	say("  rcvtimeo %ld", (long)tv.tv_sec);
}

CASE(life, name_lengths)
{
	struct sockaddr_in a;
	int p, q;

	tcp_pair(&p, &q);
	for (int size = 0; size <= 20; size += 5) {
		socklen_t len = (socklen_t)size;

		memset(&a, 0xee, sizeof(a));
		CALL(getsockname(p, SA(&a), &len));
		say("  len %d family %x", (int)len, a.sin_family);
		len = (socklen_t)size;
		CALL(getpeername(p, SA(&a), &len));
		say("  len %d family %x", (int)len, a.sin_family);
	}
	socklen_t minus = (socklen_t)-1;
	CALL(getsockname(p, SA(&a), &minus));
	CALL(getpeername(p, SA(&a), &minus));
	CALL(getsockname(p, SA(&a), NULL));
	minus = sizeof(a);
	CALL(getsockname(p, NULL, &minus));
	CALL(getpeername(p, NULL, &minus));
}

CASE(life, connect_itself)
{
	struct sockaddr_in a = local_addr();
	int s = new_tcp();
	char buf[8];

	MUST(bind(s, SA(&a), SA_SIZE));
	name_of(s, &a);
	CALL(connect(s, SA(&a), SA_SIZE));
	CALL(send(s, "me", 2, 0));
	GET(recv(s, buf, sizeof(buf), 0), buf);
}

CASE(life, connect_port_0)
{
	struct sockaddr_in a = local_addr();

	CALL(connect(new_tcp(), SA(&a), SA_SIZE));
	CALL(connect(new_udp(), SA(&a), SA_SIZE));
}

CASE(life, connect_any)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l = new_listener(1, &a), s = new_tcp();

	a.sin_addr.s_addr = 0;
	CALL(connect(s, SA(&a), SA_SIZE));
	CALL(getpeername(s, SA(&a), &len));
	say("  %x", ntohl(a.sin_addr.s_addr));
	close(l);
}

CASE(life, connect_broadcast)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(9),
				 .sin_addr.s_addr = 0xffffffff };

	CALL(connect(new_tcp(), SA(&a), SA_SIZE));
	a.sin_addr.s_addr = htonl(0xe0000001);
	CALL(connect(new_tcp(), SA(&a), SA_SIZE));
}
