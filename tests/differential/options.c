/* SPDX-License-Identifier: BSD-3-Clause */
/* setsockopt and getsockopt: what is there at first, what is taken, what is given back. */
#include "diff.h"

/* Not in the C library's netinet/tcp.h yet. */
#ifndef TCP_TX_DELAY
#define TCP_TX_DELAY 37
#endif

struct known {
	const char *name;
	int level, option;
};

#define KNOWN(level, option)                                                                       \
	{                                                                                          \
#option, level, option                                                             \
	}

static const struct known options[] = {
	KNOWN(SOL_SOCKET, SO_TYPE),
	KNOWN(SOL_SOCKET, SO_PROTOCOL),
	KNOWN(SOL_SOCKET, SO_DOMAIN),
	KNOWN(SOL_SOCKET, SO_ACCEPTCONN),
	KNOWN(SOL_SOCKET, SO_REUSEADDR),
	KNOWN(SOL_SOCKET, SO_REUSEPORT),
	KNOWN(SOL_SOCKET, SO_KEEPALIVE),
	KNOWN(SOL_SOCKET, SO_BROADCAST),
	KNOWN(SOL_SOCKET, SO_OOBINLINE),
	KNOWN(SOL_SOCKET, SO_DONTROUTE),
	KNOWN(SOL_SOCKET, SO_PRIORITY),
	KNOWN(SOL_SOCKET, SO_MARK),
	KNOWN(SOL_SOCKET, SO_RCVLOWAT),
	KNOWN(SOL_SOCKET, SO_SNDLOWAT),
	KNOWN(SOL_SOCKET, SO_TIMESTAMP),
	KNOWN(SOL_SOCKET, SO_TIMESTAMPNS),

	KNOWN(SOL_SOCKET, SO_BUSY_POLL),
	KNOWN(SOL_SOCKET, SO_ZEROCOPY),
	KNOWN(SOL_SOCKET, SO_PEEK_OFF),
	KNOWN(SOL_SOCKET, SO_NO_CHECK),

	KNOWN(SOL_SOCKET, SO_RXQ_OVFL),
	KNOWN(SOL_SOCKET, SO_LOCK_FILTER),
	KNOWN(SOL_SOCKET, SO_SELECT_ERR_QUEUE),
	KNOWN(IPPROTO_TCP, TCP_NODELAY),
	KNOWN(IPPROTO_TCP, TCP_CORK),
	KNOWN(IPPROTO_TCP, TCP_MAXSEG),
	KNOWN(IPPROTO_TCP, TCP_KEEPIDLE),
	KNOWN(IPPROTO_TCP, TCP_KEEPINTVL),
	KNOWN(IPPROTO_TCP, TCP_KEEPCNT),
	KNOWN(IPPROTO_TCP, TCP_SYNCNT),
	KNOWN(IPPROTO_TCP, TCP_LINGER2),
	KNOWN(IPPROTO_TCP, TCP_DEFER_ACCEPT),
	KNOWN(IPPROTO_TCP, TCP_WINDOW_CLAMP),
	KNOWN(IPPROTO_TCP, TCP_QUICKACK),
	KNOWN(IPPROTO_TCP, TCP_USER_TIMEOUT),
	KNOWN(IPPROTO_TCP, TCP_FASTOPEN),
	KNOWN(IPPROTO_TCP, TCP_FASTOPEN_CONNECT),
	KNOWN(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
	KNOWN(IPPROTO_TCP, TCP_SAVE_SYN),
	KNOWN(IPPROTO_TCP, TCP_SAVED_SYN),
	KNOWN(IPPROTO_TCP, TCP_INQ),
	KNOWN(IPPROTO_TCP, TCP_TX_DELAY),
	KNOWN(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS),
	KNOWN(IPPROTO_TCP, TCP_THIN_DUPACK),
	KNOWN(IPPROTO_TCP, TCP_REPAIR),
	KNOWN(IPPROTO_TCP, TCP_ULP),
	KNOWN(IPPROTO_IP, IP_TOS),
	KNOWN(IPPROTO_IP, IP_TTL),
	KNOWN(IPPROTO_IP, IP_PKTINFO),
	KNOWN(IPPROTO_IP, IP_RECVTTL),
	KNOWN(IPPROTO_IP, IP_RECVTOS),
	KNOWN(IPPROTO_IP, IP_RECVERR),
	KNOWN(IPPROTO_IP, IP_MTU_DISCOVER),
	KNOWN(IPPROTO_IP, IP_FREEBIND),
	KNOWN(IPPROTO_IP, IP_TRANSPARENT),
	KNOWN(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
	KNOWN(IPPROTO_IP, IP_MULTICAST_TTL),
	KNOWN(IPPROTO_IP, IP_MULTICAST_LOOP),
	KNOWN(IPPROTO_IP, IP_HDRINCL),
	{ "unknown_of_the_socket", SOL_SOCKET, 9999 },
	{ "unknown_of_TCP", IPPROTO_TCP, 9999 },
	{ "unknown_of_IP", IPPROTO_IP, 9999 },
	{ "of_UDP", IPPROTO_UDP, 100 },
	{ "of_no_level", 4711, 1 },
};

#define COUNT (sizeof(options) / sizeof(options[0]))

static void say_option(int s, const struct known *k)
{
	int v = -77;
	socklen_t len = sizeof(v);
	int r = getsockopt(s, k->level, k->option, &v, &len);

	if (r < 0)
		say("%s: %s", k->name, errno_name(errno));
	else
		say("%s: %d (%d bytes)", k->name, len ? v : 0, (int)len);
}

/* ---- a case for each option: at first, in each kind of socket, and with each value ---- */

static void set_and_say(int s, const struct known *k, int value)
{
	int r = setsockopt(s, k->level, k->option, &value, sizeof(value));

	say("set %d: %s", value, r < 0 ? errno_name(errno) : "ok");
	if (r == 0)
		say_option(s, k);
}

static void one_option(const void *arg)
{
	static const int values[] = { 0, 1, 2, 77, 70000, -1 };
	const struct known *k = arg;
	struct sockaddr_in addr;
	int a, b;

	say_option(new_tcp(), k);
	say_option(new_udp(), k);
	say_option(new_listener(4, &addr), k);
	tcp_pair(&a, &b);
	/* What differs with the loopback's size. */
	if (k->option != TCP_MAXSEG && k->option != TCP_WINDOW_CLAMP)
		say_option(b, k);
	a = new_tcp();
	b = new_udp();
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		set_and_say(a, k, values[i]);
		set_and_say(b, k, values[i]);
	}
}

__attribute__((constructor)) static void add_each(void)
{
	static struct definition d[COUNT];

	for (size_t i = 0; i < COUNT; i++) {
		d[i] = (struct definition){ .group = "option",
					    .name = options[i].name,
					    .run_with = one_option,
					    .with = &options[i] };
		define_case(&d[i]);
	}
}

CASE(options, lengths)
{
	char value[8] = { 1, 0, 0, 0, 2, 0, 0, 0 };
	int s = new_tcp(), u = new_udp();

	for (socklen_t n = 0; n <= 8; n += n ? n : 1) {
		CALL(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, value, n));
		CALL(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, value, n));
		CALL(setsockopt(s, IPPROTO_IP, IP_TOS, value, n));
		CALL(setsockopt(u, IPPROTO_IP, IP_PKTINFO, value, n));
		CALL(setsockopt(s, SOL_SOCKET, SO_LINGER, value, n));
		CALL(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, value, n));
		CALL(setsockopt(s, SOL_SOCKET, SO_RCVBUF, value, n));
	}
	CALL(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, value, (socklen_t)-1));
	CALL(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, NULL, 4));
	CALL(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, NULL, 4));
	CALL(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, NULL, sizeof(struct timeval)));
}

CASE(options, get_lengths)
{
	char value[64];
	int s = new_tcp();

	for (socklen_t n = 0; n <= 32; n += n ? n : 1) {
		socklen_t len = n;

		memset(value, 0x55, sizeof(value));
		CALL(getsockopt(s, SOL_SOCKET, SO_TYPE, value, &len));
		say("  %d %x %x", (int)len, value[0], value[3]);
		len = n;
		CALL(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, value, &len));
		say("  %d", (int)len);
		len = n;
		CALL(getsockopt(s, IPPROTO_IP, IP_TTL, value, &len));
		say("  %d", (int)len);
		len = n;
		CALL(getsockopt(s, SOL_SOCKET, SO_LINGER, value, &len));
		say("  %d", (int)len);
		len = n;
		CALL(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, value, &len));
		say("  %d", (int)len);
		len = n;
		CALL(getsockopt(s, IPPROTO_TCP, TCP_INFO, value, &len));
		say("  %d", (int)len);
	}
	socklen_t len = (socklen_t)-1;
	CALL(getsockopt(s, SOL_SOCKET, SO_TYPE, value, &len));
	CALL(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, value, &len));
	CALL(getsockopt(s, SOL_SOCKET, SO_TYPE, value, NULL));
	len = 4;
	CALL(getsockopt(s, SOL_SOCKET, SO_TYPE, NULL, &len));
}

static void timeout_of(int s, int option, long sec, long usec)
{
	struct timeval tv = { sec, usec };
	socklen_t len = sizeof(tv);

	say("%ld s %ld us", sec, usec);
	CALL(setsockopt(s, SOL_SOCKET, option, &tv, sizeof(tv)));
	CALL(getsockopt(s, SOL_SOCKET, option, &tv, &len));
	say("  %ld.%06ld", (long)tv.tv_sec, (long)tv.tv_usec);
}

CASE(options, timeouts)
{
	int s = new_tcp();

	for (int option = SO_RCVTIMEO; option <= SO_SNDTIMEO; option++) {
		timeout_of(s, option, 1, 500000);
		timeout_of(s, option, 0, 4000);
		timeout_of(s, option, 0, 0);
		timeout_of(s, option, -1, 0);
		timeout_of(s, option, 0, -1);
		timeout_of(s, option, 0, 1000000);
		timeout_of(s, option, 3, 8000);
	}
}

CASE(options, linger)
{
	struct linger v[] = { { 0, 0 }, { 1, 0 }, { 1, 5 }, { 0, 7 }, { 5, 5 }, { 1, -1 } };
	int s = new_tcp();

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]) - 1; i++) {
		struct linger got;
		socklen_t len = sizeof(got);

		CALL(setsockopt(s, SOL_SOCKET, SO_LINGER, &v[i], sizeof(v[i])));
		CALL(getsockopt(s, SOL_SOCKET, SO_LINGER, &got, &len));
		say("  %d %d", got.l_onoff, got.l_linger);
	}
}

CASE(options, buffers)
{
	int s = new_tcp(), v;
	socklen_t len = sizeof(v);

	for (int size = 0; size <= 65536; size = size ? size * 16 : 16) {
		set_int(s, SOL_SOCKET, SO_RCVBUF, size);
		getsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, &len);
		say("rcvbuf %d: %d", size, v);
		set_int(s, SOL_SOCKET, SO_SNDBUF, size);
		getsockopt(s, SOL_SOCKET, SO_SNDBUF, &v, &len);
		say("sndbuf %d: %d", size, v);
	}
	CALL(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &(int){ -1 }, sizeof(int)));
	CALL(setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &(int){ 1000 }, sizeof(int)));
}

CASE(options, ulp)
{
	int a, b;

	tcp_pair(&a, &b);
	CALL(setsockopt(a, IPPROTO_TCP, TCP_ULP, "nothing", 7));
	CALL(setsockopt(new_tcp(), IPPROTO_TCP, TCP_ULP, "nothing", 7));
	CALL(setsockopt(a, IPPROTO_TCP, TCP_ULP, "", 0));
}

CASE(options, congestion)
{
	char name[16] = "";
	socklen_t len = sizeof(name);
	int s = new_tcp();

	CALL(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	CALL(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	say("  %d %s", (int)len, name);
	CALL(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nothing", 7));
	CALL(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "", 0));
	len = 3;
	CALL(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	say("  %d", (int)len);
}

CASE(options, fastopen_key)
{
	char key[16] = "0123456789abcde", got[32];
	socklen_t len = sizeof(got);
	int s = new_tcp();

	CALL(setsockopt(s, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 15));
	CALL(setsockopt(s, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 16));
	CALL(getsockopt(s, IPPROTO_TCP, TCP_FASTOPEN_KEY, got, &len));
	say("  %d", (int)len);
}

CASE(options, cookie_meminfo)
{
	unsigned char value[64];
	socklen_t len = 8;
	int s = new_tcp();

	CALL(getsockopt(s, SOL_SOCKET, SO_COOKIE, value, &len));
	say("  %d", (int)len);
	len = 4;
	CALL(getsockopt(s, SOL_SOCKET, SO_COOKIE, value, &len));
	len = sizeof(value);
	CALL(getsockopt(s, SOL_SOCKET, SO_MEMINFO, value, &len));
	say("  %d", (int)len);
	len = sizeof(value);
	CALL(getsockopt(s, SOL_SOCKET, SO_PEERNAME, value, &len));
	len = sizeof(value);
	CALL(getsockopt(s, SOL_SOCKET, SO_PEERCRED, value, &len));
	say("  %d", (int)len);
}

/* TCP_INQ: how much is left, with each recvmsg(). */
CASE(options, inq)
{
	char buf[4], control[64];
	struct iovec iov = { buf, 4 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };
	int a, b;

	tcp_pair(&a, &b);
	set_int(b, IPPROTO_TCP, TCP_INQ, 1);
	MUST(send(a, "0123456789", 10, 0));
	until_bytes(b, 10);
	for (int i = 0; i < 3; i++) {
		struct cmsghdr *c;

		m.msg_controllen = sizeof(control);
		GET(recvmsg(b, &m, 0), buf);
		c = CMSG_FIRSTHDR(&m);
		say("  control %d", (int)m.msg_controllen);
		if (c)
			say("  level %d type %d value %d", c->cmsg_level, c->cmsg_type,
			    *(int *)(void *)CMSG_DATA(c));
	}
}

CASE(options, saved_syn)
{
	struct sockaddr_in addr;
	unsigned char syn[128];
	socklen_t len = sizeof(syn);
	int l = new_listener(1, &addr), a = new_tcp(), b;

	set_int(l, IPPROTO_TCP, TCP_SAVE_SYN, 1);
	MUST(connect(a, SA(&addr), SA_SIZE));
	b = MUST(accept(l, NULL, NULL));
	CALL(getsockopt(b, IPPROTO_TCP, TCP_SAVED_SYN, syn, &len));
	say("  %d version %x", len >= 40, len ? syn[0] : 0);
	len = sizeof(syn);
	CALL(getsockopt(b, IPPROTO_TCP, TCP_SAVED_SYN, syn, &len));
	say("  %d", (int)len);
}

static void peek(int s, int off)
{
	char buf[16];

	say("at %d", off);
	if (off != -2)
		set_int(s, SOL_SOCKET, SO_PEEK_OFF, off);
	for (int i = 0; i < 3; i++) {
		int now = -7;
		socklen_t len = sizeof(now);

		GET(recv(s, buf, 4, MSG_PEEK | MSG_DONTWAIT), buf);
		CALL(getsockopt(s, SOL_SOCKET, SO_PEEK_OFF, &now, &len));
		say("  %d", now);
	}
}

CASE(options, peek_off_stream)
{
	char buf[16];
	int a, b, now;
	socklen_t len = sizeof(now);

	tcp_pair(&a, &b);
	MUST(send(a, "0123456789", 10, 0));
	until_bytes(b, 10);
	peek(b, 0);
	peek(b, 7);
	peek(b, 10);
	peek(b, 100);
	peek(b, -1);
	peek(b, 3);
	GET(recv(b, buf, 2, 0), buf);
	peek(b, -2);
	GET(recv(b, buf, 5, 0), buf);
	CALL(getsockopt(b, SOL_SOCKET, SO_PEEK_OFF, &now, &len));
	say("  %d", now);
	MUST(shutdown(a, SHUT_WR));
	until(b, POLLRDHUP);
	peek(b, -2);
}

/* What a listener passes on to what it accepts. */
CASE(options, inherited)
{
	static const struct known of[] = {
		KNOWN(SOL_SOCKET, SO_PEEK_OFF),	    KNOWN(SOL_SOCKET, SO_TIMESTAMP),
		KNOWN(SOL_SOCKET, SO_RXQ_OVFL),	    KNOWN(IPPROTO_TCP, TCP_INQ),
		KNOWN(IPPROTO_IP, IP_RECVTTL),	    KNOWN(IPPROTO_IP, IP_RECVTOS),
		KNOWN(IPPROTO_IP, IP_PKTINFO),	    KNOWN(SOL_SOCKET, SO_LOCK_FILTER),
		KNOWN(SOL_SOCKET, SO_KEEPALIVE),    KNOWN(SOL_SOCKET, SO_REUSEADDR),
		KNOWN(SOL_SOCKET, SO_OOBINLINE),    KNOWN(SOL_SOCKET, SO_PRIORITY),
		KNOWN(SOL_SOCKET, SO_MARK),	    KNOWN(SOL_SOCKET, SO_RCVLOWAT),
		KNOWN(IPPROTO_TCP, TCP_NODELAY),    KNOWN(IPPROTO_TCP, TCP_CORK),
		KNOWN(IPPROTO_TCP, TCP_SAVE_SYN),   KNOWN(IPPROTO_TCP, TCP_LINGER2),
		KNOWN(IPPROTO_TCP, TCP_KEEPIDLE),   KNOWN(IPPROTO_TCP, TCP_DEFER_ACCEPT),
		KNOWN(IPPROTO_IP, IP_TOS),	    KNOWN(IPPROTO_IP, IP_TTL),
		KNOWN(IPPROTO_IP, IP_FREEBIND),	    KNOWN(IPPROTO_IP, IP_RECVERR),
		KNOWN(SOL_SOCKET, SO_ZEROCOPY),	    KNOWN(IPPROTO_TCP, TCP_QUICKACK),
		KNOWN(IPPROTO_IP, IP_MTU_DISCOVER),
	};
	struct sockaddr_in addr;
	int l = new_listener(1, &addr), a = new_tcp(), b;

	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		if (of[i].option != TCP_DEFER_ACCEPT)
			set_and_say(l, &of[i], 1);
	}
	MUST(connect(a, SA(&addr), SA_SIZE));
	b = MUST(accept(l, NULL, NULL));
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		say_option(b, &of[i]);
}

/* Addresses that are nobody's here. */
static void bind_nowhere(int s, int option)
{
	struct sockaddr_in a = local_addr();
	int v;

	a.sin_addr.s_addr = htonl(0xcb007109); /* 203.0.113.9 */
	CALL(bind(s, SA(&a), SA_SIZE));
	set_int(s, IPPROTO_IP, option, 1);
	CALL(bind(s, SA(&a), SA_SIZE));
	v = getsockname(s, SA(&a), &(socklen_t){ SA_SIZE });
	say("  %d %s", v, inet_ntoa(a.sin_addr));
}

static void nowhere(int option)
{
	struct sockaddr_in to, from = { 0 };
	socklen_t len = SA_SIZE;
	char buf[8];
	int s = new_tcp(), l = new_listener(1, &to), u = new_udp(), heard = new_udp();
	struct sockaddr_in at = local_addr();

	bind_nowhere(s, option);
	CALL(listen(s, 1));
	s = new_tcp();
	bind_nowhere(s, option);
	nonblocking(s);
	if (option == IP_FREEBIND)
		CALL(connect(s, SA(&to), SA_SIZE));
	MUST(bind(heard, SA(&at), SA_SIZE));
	name_of(heard, &at);
	bind_nowhere(u, option);
	CALL(sendto(u, "hello", 5, 0, SA(&at), SA_SIZE));
	CALL(connect(u, SA(&at), SA_SIZE));
	settle();
	GET(recvfrom(heard, buf, 8, MSG_DONTWAIT, SA(&from), &len), buf);
	say("  from %s", inet_ntoa(from.sin_addr));
	close(l);
}

CASE(options, freebind)
{
	nowhere(IP_FREEBIND);
}

CASE(options, transparent)
{
	nowhere(IP_TRANSPARENT);
}

CASE(options, pktinfo_nowhere)
{
	struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(0xcb007109) };
	char control[CMSG_SPACE(sizeof(info))] = "";
	struct iovec iov = { "x", 1 };
	struct sockaddr_in to = nobody();
	struct msghdr m = { .msg_name = &to,
			    .msg_namelen = SA_SIZE,
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	CALL(sendmsg(new_udp(), &m, 0));
}
