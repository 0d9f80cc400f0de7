/* SPDX-License-Identifier: BSD-3-Clause */
/* Every spelling of send and receive, on streams and datagrams, in each state. */
#include "diff.h"

#include <sys/sendfile.h>

/* ---- sending ---- */

#define SENDS(name, call)                                                                          \
	OP(send, name, ALL_STATES)                                                                 \
	{                                                                                          \
		char buf[16];                                                                      \
		nonblocking(e->s);                                                                 \
		long n_ = CALL(call);                                                              \
		settle();                                                                          \
		CALL(call);                                                                        \
		settle();                                                                          \
		say_ready(e->s);                                                                   \
		if (n_ > 0 && n_ < 16 && e->peer >= 0 &&                                           \
		    CALL(getpeername(e->s, SA(&e->addr), &(socklen_t){ SA_SIZE })) == 0 &&         \
		    strstr(#name, "oob") == NULL) {                                                \
			until(e->peer, POLLIN);                                                    \
			GET(recv(e->peer, buf, (size_t)n_, MSG_DONTWAIT), buf);                    \
		}                                                                                  \
	}

static struct iovec three[3] = { { "ab", 2 }, { "", 0 }, { "cde", 3 } };

SENDS(send, send(e->s, "hello", 5, 0))
SENDS(send_nothing, send(e->s, "", 0, 0))
SENDS(send_null_nothing, send(e->s, NULL, 0, 0))
SENDS(send_dontwait, send(e->s, "hello", 5, MSG_DONTWAIT))
SENDS(send_nosignal, send(e->s, "hello", 5, MSG_NOSIGNAL))
SENDS(send_oob, send(e->s, "hello", 5, MSG_OOB))
SENDS(send_eor, send(e->s, "hello", 5, MSG_EOR))
SENDS(send_dontroute, send(e->s, "hello", 5, MSG_DONTROUTE))
SENDS(send_confirm, send(e->s, "hello", 5, MSG_CONFIRM))
SENDS(send_unknown, send(e->s, "hello", 5, 0x10000))
SENDS(write, write(e->s, "hello", 5))
SENDS(write_nothing, write(e->s, "", 0))
SENDS(writev, writev(e->s, three, 3))
SENDS(writev_none, writev(e->s, three, 0))
SENDS(sendto_null, sendto(e->s, "hello", 5, 0, NULL, 0))
SENDS(sendto_addr, sendto(e->s, "hello", 5, 0, SA(&e->addr), SA_SIZE))
SENDS(sendto_short, sendto(e->s, "hello", 5, 0, SA(&e->addr), 3))
SENDS(sendmsg, sendmsg(e->s, (&(struct msghdr){ .msg_iov = three, .msg_iovlen = 3 }), 0))
SENDS(sendmsg_none, sendmsg(e->s, (&(struct msghdr){ .msg_iovlen = 0 }), 0))
/* One: of two the second may or may not see what the first one set off. */
SENDS(sendmmsg,
      sendmmsg(e->s, ((struct mmsghdr[1]){ { { .msg_iov = three, .msg_iovlen = 3 }, 0 } }), 1, 0))
SENDS(sendmmsg_none, sendmmsg(e->s, NULL, 0, 0))
SENDS(pwrite, pwrite(e->s, "hello", 5, 0))
SENDS(pwritev, pwritev(e->s, three, 3, 0))
SENDS(pwritev2, pwritev2(e->s, three, 3, -1, 0))
SENDS(pwritev2_at, pwritev2(e->s, three, 3, 0, 0))
SENDS(pwritev2_nowait, pwritev2(e->s, three, 3, -1, RWF_NOWAIT))
SENDS(pwritev2_bad, pwritev2(e->s, three, 3, -1, 0x4000))

static int some_file(void)
{
	char name[] = "/tmp/weir-differential-XXXXXX";
	int fd = MUST(mkstemp(name));

	unlink(name);
	MUST(write(fd, "0123456789", 10));
	MUST(lseek(fd, 0, SEEK_SET));
	return fd;
}

OP(send, sendfile, ALL_STATES)
{
	off_t at = 3;
	int file = some_file();

	nonblocking(e->s);
	CALL(sendfile(e->s, file, NULL, 4));
	settle();
	CALL(lseek(file, 0, SEEK_CUR));
	CALL(sendfile(e->s, file, &at, 100));
	say("  at %ld", (long)at);
	CALL(sendfile(e->s, file, &at, 100));
	CALL(sendfile(e->s, file, &at, 0));
	say_ready(e->s);
}

OP(send, splice, ALL_STATES)
{
	int p[2];

	MUST(pipe(p));
	nonblocking(e->s);
	MUST(write(p[1], "0123456789", 10));
	CALL(splice(p[0], NULL, e->s, NULL, 4, 0));
	settle();
	CALL(splice(p[0], NULL, e->s, NULL, 100, SPLICE_F_MORE));
	CALL(splice(p[0], NULL, e->s, NULL, 100, SPLICE_F_NONBLOCK));
	say_ready(e->s);
}

OP(send, blocking_interrupted, ALL_STATES)
{
	MUST(fcntl(e->s, F_SETFL, 0));
	alarm_in(40, 0);
	CALL(send(e->s, "hello", 5, 0));
}

OP(send, blocking_timeout, ALL_STATES)
{
	struct timeval tv = { 0, 40000 };

	MUST(fcntl(e->s, F_SETFL, 0));
	MUST(setsockopt(e->s, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	CALL(send(e->s, "hello", 5, 0));
}

/* ---- receiving ---- */

#define RECEIVES(name, call)                                                                       \
	OP(recv, name, ALL_STATES)                                                                 \
	{                                                                                          \
		char buf[16];                                                                      \
		struct iovec iov[3] = { { buf, 3 }, { buf + 3, 0 }, { buf + 3, 4 } };              \
		struct sockaddr_in from = { 0 };                                                   \
		socklen_t from_len = sizeof(from);                                                 \
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3, .msg_flags = 0x77 };        \
		(void)iov;                                                                         \
		(void)msg;                                                                         \
		nonblocking(e->s);                                                                 \
		GET(call, buf);                                                                    \
		say("  from %d family %d flags %x", (int)from_len, from.sin_family,                \
		    (unsigned int)msg.msg_flags);                                                  \
		GET(call, buf);                                                                    \
		say_ready(e->s);                                                                   \
	}

RECEIVES(recv, recv(e->s, buf, 4, 0))
RECEIVES(recv_all, recv(e->s, buf, sizeof(buf), 0))
RECEIVES(recv_nothing, recv(e->s, buf, 0, 0))
RECEIVES(recv_null_nothing, recv(e->s, NULL, 0, 0))
RECEIVES(recv_peek, recv(e->s, buf, 4, MSG_PEEK))
RECEIVES(recv_peek_nothing, recv(e->s, buf, 0, MSG_PEEK))
RECEIVES(recv_trunc, recv(e->s, buf, 4, MSG_TRUNC))
RECEIVES(recv_peek_trunc, recv(e->s, buf, 4, MSG_PEEK | MSG_TRUNC))
RECEIVES(recv_waitall, recv(e->s, buf, sizeof(buf), MSG_WAITALL))
RECEIVES(recv_oob, recv(e->s, buf, 4, MSG_OOB))
RECEIVES(recv_oob_peek, recv(e->s, buf, 4, MSG_OOB | MSG_PEEK))
RECEIVES(recv_errqueue, recv(e->s, buf, 4, MSG_ERRQUEUE))
RECEIVES(recv_dontwait, recv(e->s, buf, 4, MSG_DONTWAIT))
RECEIVES(recv_nosignal, recv(e->s, buf, 4, MSG_NOSIGNAL))
RECEIVES(recv_unknown, recv(e->s, buf, 4, 0x80))
RECEIVES(read, read(e->s, buf, 4))
RECEIVES(read_nothing, read(e->s, buf, 0))
RECEIVES(readv, readv(e->s, iov, 3))
RECEIVES(readv_none, readv(e->s, iov, 0))
RECEIVES(recvfrom, recvfrom(e->s, buf, 4, 0, SA(&from), &from_len))
RECEIVES(recvfrom_peek, recvfrom(e->s, buf, 4, MSG_PEEK, SA(&from), &from_len))
RECEIVES(recvmsg, recvmsg(e->s, &msg, 0))
RECEIVES(recvmsg_peek, recvmsg(e->s, &msg, MSG_PEEK))
RECEIVES(recvmsg_trunc, recvmsg(e->s, &msg, MSG_TRUNC))
RECEIVES(recvmsg_waitall, recvmsg(e->s, &msg, MSG_WAITALL))
RECEIVES(recvmsg_oob, recvmsg(e->s, &msg, MSG_OOB))
RECEIVES(recvmsg_errqueue, recvmsg(e->s, &msg, MSG_ERRQUEUE))
RECEIVES(pread, pread(e->s, buf, 4, 0))
RECEIVES(preadv, preadv(e->s, iov, 3, 0))
RECEIVES(preadv2, preadv2(e->s, iov, 3, -1, 0))
RECEIVES(preadv2_at, preadv2(e->s, iov, 3, 0, 0))
RECEIVES(preadv2_nowait, preadv2(e->s, iov, 3, -1, RWF_NOWAIT))
RECEIVES(preadv2_bad, preadv2(e->s, iov, 3, -1, 0x4000))

OP(recv, recvmsg_name_control, ALL_STATES)
{
	char buf[16], control[64];
	struct sockaddr_in from = { 0 };
	struct iovec iov = { buf, 4 };
	struct msghdr msg = { .msg_name = &from,
			      .msg_namelen = sizeof(from),
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };

	nonblocking(e->s);
	GET(recvmsg(e->s, &msg, 0), buf);
	say("  name %d control %d flags %x", (int)msg.msg_namelen, (int)msg.msg_controllen,
	    (unsigned int)msg.msg_flags);
}

OP(recv, recvmmsg, ALL_STATES)
{
	char buf[16];
	struct iovec iov[2] = { { buf, 4 }, { buf + 4, 4 } };
	struct mmsghdr v[2] = { { { .msg_iov = iov, .msg_iovlen = 1 }, 77 },
				{ { .msg_iov = iov + 1, .msg_iovlen = 1 }, 77 } };
	struct timespec none = { 0, 0 }, bad = { 0, 2000000000 };

	nonblocking(e->s);
	CALL(recvmmsg(e->s, v, 0, 0, NULL));
	CALL(recvmmsg(e->s, v, 2, 0, &bad));
	CALL(recvmmsg(e->s, v, 2, MSG_PEEK, NULL));
	say("  %u %u", v[0].msg_len, v[1].msg_len);
	CALL(recvmmsg(e->s, v, 2, MSG_WAITFORONE, &none));
	say("  %u %u", v[0].msg_len, v[1].msg_len);
	CALL(recvmmsg(e->s, v, 2, 0, NULL));
	say("  %u %u", v[0].msg_len, v[1].msg_len);
	say_ready(e->s);
}

OP(recv, splice, ALL_STATES)
{
	int p[2];
	char buf[16];

	MUST(pipe2(p, O_NONBLOCK));
	nonblocking(e->s);
	CALL(splice(e->s, NULL, p[1], NULL, 4, 0));
	CALL(splice(e->s, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
	CALL(splice(e->s, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
	CALL(splice(e->s, NULL, p[1], NULL, 0, 0));
	GET(read(p[0], buf, sizeof(buf)), buf);
}

OP(recv, blocking_interrupted, ALL_STATES)
{
	char buf[16];

	MUST(fcntl(e->s, F_SETFL, 0));
	alarm_in(40, 0);
	GET(recv(e->s, buf, 4, 0), buf);
}

OP(recv, waitall_interrupted, ALL_STATES)
{
	char buf[16];

	MUST(fcntl(e->s, F_SETFL, 0));
	alarm_in(40, 0);
	GET(recv(e->s, buf, sizeof(buf), MSG_WAITALL), buf);
}

OP(recv, peek_waitall_interrupted, ALL_STATES)
{
	char buf[16];

	MUST(fcntl(e->s, F_SETFL, 0));
	alarm_in(40, 0);
	GET(recv(e->s, buf, sizeof(buf), MSG_WAITALL | MSG_PEEK), buf);
	say_ready(e->s);
}

OP(recv, blocking_timeout, ALL_STATES)
{
	struct timeval tv = { 0, 40000 };
	char buf[16];

	MUST(fcntl(e->s, F_SETFL, 0));
	MUST(setsockopt(e->s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	GET(recv(e->s, buf, 4, 0), buf);
	GET(recv(e->s, buf, sizeof(buf), MSG_WAITALL), buf);
}

/* ---- MSG_MORE, MSG_ZEROCOPY ---- */

CASE(flags, more)
{
	char buf[16];
	int a, b;

	tcp_pair(&a, &b);
	CALL(send(a, "ab", 2, MSG_MORE));
	CALL(poll(&(struct pollfd){ .fd = b, .events = POLLIN }, 1, 30));
	CALL(send(a, "cd", 2, MSG_MORE));
	CALL(poll(&(struct pollfd){ .fd = b, .events = POLLIN }, 1, 30));
	CALL(send(a, "ef", 2, 0));
	until(b, POLLIN);
	GET(recv(b, buf, sizeof(buf), 0), buf);
}

CASE(flags, more_then_shutdown)
{
	char buf[16];
	int a, b;

	tcp_pair(&a, &b);
	CALL(send(a, "ab", 2, MSG_MORE));
	CALL(shutdown(a, SHUT_WR));
	until(b, POLLRDHUP);
	GET(recv(b, buf, sizeof(buf), 0), buf);
}

CASE(flags, more_then_close)
{
	char buf[16];
	int a, b;

	tcp_pair(&a, &b);
	CALL(send(a, "ab", 2, MSG_MORE));
	close(a);
	until(b, POLLRDHUP);
	GET(recv(b, buf, sizeof(buf), 0), buf);
}

/* It goes without the rest in the end. */
CASE(flags, more_alone)
{
	char buf[16];
	int a, b;

	tcp_pair(&a, &b);
	CALL(send(a, "ab", 2, MSG_MORE));
	until(b, POLLIN);
	GET(recv(b, buf, sizeof(buf), 0), buf);
}

CASE(flags, more_in_cork)
{
	char buf[16];
	int a, b;

	tcp_pair(&a, &b);
	set_int(a, IPPROTO_TCP, TCP_CORK, 1);
	CALL(send(a, "ab", 2, MSG_MORE));
	CALL(send(a, "cd", 2, 0));
	CALL(poll(&(struct pollfd){ .fd = b, .events = POLLIN }, 1, 30));
	set_int(a, IPPROTO_TCP, TCP_CORK, 0);
	until(b, POLLIN);
	GET(recv(b, buf, sizeof(buf), 0), buf);
}

CASE(flags, peek_waits_for_all)
{
	char buf[8];
	int a, b;

	tcp_pair(&a, &b);
	MUST(send(a, "ab", 2, 0));
	until_bytes(b, 2);
	if (fork() == 0) {
		settle();
		MUST(send(a, "cdef", 4, 0));
		_exit(0);
	}
	GET(recv(b, buf, 6, MSG_PEEK | MSG_WAITALL), buf);
	GET(recv(b, buf, 6, MSG_WAITALL), buf);
}

CASE(flags, cork)
{
	struct pollfd p;
	char buf[16];
	int a, b;

	tcp_pair(&a, &b);
	p = (struct pollfd){ .fd = b, .events = POLLIN };
	set_int(a, IPPROTO_TCP, TCP_CORK, 1);
	CALL(send(a, "ab", 2, 0));
	CALL(poll(&p, 1, 30));
	CALL(send(a, "cd", 2, 0));
	CALL(poll(&p, 1, 30));
	set_int(a, IPPROTO_TCP, TCP_CORK, 0);
	until(b, POLLIN);
	GET(recv(b, buf, sizeof(buf), 0), buf);
}

CASE(flags, sendmmsg_two)
{
	struct mmsghdr v[2] = { { { .msg_iov = three, .msg_iovlen = 3 }, 0 },
				{ { .msg_iov = three, .msg_iovlen = 1 }, 0 } };
	char buf[16];
	int a, b;

	tcp_pair(&a, &b);
	CALL(sendmmsg(a, v, 2, 0));
	say("  %u %u", v[0].msg_len, v[1].msg_len);
	until_bytes(b, 7);
	GET(recv(b, buf, sizeof(buf), 0), buf);
	udp_pair(&a, &b);
	CALL(sendmmsg(a, v, 2, 0));
	GET(recv(b, buf, sizeof(buf), 0), buf);
	GET(recv(b, buf, sizeof(buf), 0), buf);
}
