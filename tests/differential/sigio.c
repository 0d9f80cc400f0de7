/* SPDX-License-Identifier: BSD-3-Clause */
/* SIGIO: what is signalled, to whom, with which descriptor and band. */
#include "diff.h"

#include <sys/wait.h>

#define SIG (SIGRTMIN + 3)

static const char *code_name(int code)
{
	return code == POLL_IN ? "IN" : code == POLL_OUT ? "OUT" : code == POLL_HUP ? "HUP" : "?";
}

/* What came, within a while, without another call on the socket: each code and band once, in order
 * of the codes; how often depends on when. */
static void signals(int sig, int fd)
{
	long band[8] = { 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigaddset(&set, SIGIO);
	for (;;) {
		struct timespec patience = { 0, 60000000 };
		int got = sigtimedwait(&set, &info, &patience);

		if (got < 0)
			break;
		if (got == SIGIO && sig != SIGIO)
			say("SIGIO");
		else if (got == SIGIO)
			band[7] = 1;
		else if (info.si_code < 0 || info.si_code > 6 || info.si_fd != fd)
			say("code %d, fd %d", info.si_code, info.si_fd == fd);
		else
			band[info.si_code] = (long)info.si_band;
	}
	for (int code = 1; code < 7; code++) {
		if (band[code])
			say("  POLL_%s band %lx", code_name(code), band[code]);
	}
	if (band[7])
		say("  SIGIO");
}

static void block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void arm(int fd, int sig)
{
	block(sig);
	CALL(fcntl(fd, F_SETOWN, getpid()));
	if (sig != SIGIO)
		CALL(fcntl(fd, F_SETSIG, sig));
	CALL(fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK));
	CALL(fcntl(fd, F_GETFL));
}

static void stream_events(int sig)
{
	char buf[100];
	int a, b;

	tcp_pair(&a, &b);
	MUST(send(b, "before", 6, 0));
	until_bytes(a, 6);
	arm(a, sig);
	signals(sig, a);
	MUST(send(b, "x", 1, 0));
	signals(sig, a);
	MUST(send(b, "y", 1, 0)); /* nothing was read meanwhile */
	signals(sig, a);
	GET(recv(a, buf, sizeof(buf), 0), buf);
	MUST(shutdown(b, SHUT_WR));
	signals(sig, a);
	CALL(fcntl(a, F_SETFL, 0));
	CALL(fcntl(a, F_GETFL));
	close(b);
	signals(sig, a);
}

CASE(sigio, stream)
{
	stream_events(SIG);
}

CASE(sigio, stream_plain)
{
	stream_events(SIGIO);
}

CASE(sigio, datagram)
{
	int a, b;

	udp_pair(&a, &b);
	arm(a, SIG);
	MUST(send(b, "x", 1, 0));
	signals(SIG, a);
	MUST(send(b, "y", 1, 0));
	signals(SIG, a);
}

CASE(sigio, listener)
{
	struct sockaddr_in addr;
	int l = new_listener(4, &addr);

	arm(l, SIG);
	MUST(connect(new_tcp(), SA(&addr), SA_SIZE));
	signals(SIG, l);
	MUST(connect(new_tcp(), SA(&addr), SA_SIZE));
	signals(SIG, l);
	CALL(fcntl(MUST(accept(l, NULL, NULL)), F_GETFL));
}

CASE(sigio, connect)
{
	struct sockaddr_in addr;
	int s = new_tcp();

	new_listener(4, &addr);
	arm(s, SIG);
	CALL(connect(s, SA(&addr), SA_SIZE));
	signals(SIG, s);
}

CASE(sigio, both_ends_shut)
{
	int a, b;

	tcp_pair(&a, &b);
	arm(a, SIG);
	MUST(shutdown(a, SHUT_WR));
	signals(SIG, a);
	MUST(shutdown(b, SHUT_WR));
	signals(SIG, a);
}

CASE(sigio, space)
{
	static char block_[65536];
	int a, b;

	tcp_pair(&a, &b);
	set_int(b, SOL_SOCKET, SO_RCVBUF, 4096);
	set_int(a, SOL_SOCKET, SO_SNDBUF, 16384);
	arm(a, SIG);
	for (int quiet = 0; quiet < 4;) {
		struct pollfd p = { .fd = a, .events = POLLOUT };

		if (send(a, block_, sizeof(block_), MSG_DONTWAIT) > 0)
			quiet = 0;
		else if (poll(&p, 1, 10) == 0)
			quiet++;
	}
	signals(SIG, a);
	while (recv(b, block_, sizeof(block_), MSG_DONTWAIT) > 0)
		settle();
	signals(SIG, a);
}

CASE(sigio, fioasync)
{
	int a, b, on = 1;

	tcp_pair(&a, &b);
	block(SIG);
	CALL(fcntl(a, F_SETOWN, getpid()));
	CALL(fcntl(a, F_SETSIG, SIG));
	CALL(ioctl(a, FIOASYNC, &on));
	CALL(fcntl(a, F_GETFL));
	MUST(send(b, "x", 1, 0));
	signals(SIG, a);
	on = 0;
	CALL(ioctl(a, FIOASYNC, &on));
	CALL(fcntl(a, F_GETFL));
	MUST(send(b, "x", 1, 0));
	signals(SIG, a);
}

/* Nobody owns it; it is somebody's behind that. */
CASE(sigio, owner_later)
{
	int a, b;

	tcp_pair(&a, &b);
	block(SIG);
	CALL(fcntl(a, F_SETSIG, SIG));
	CALL(fcntl(a, F_SETFL, O_ASYNC));
	MUST(send(b, "x", 1, 0));
	signals(SIG, a);
	CALL(fcntl(a, F_SETOWN, getpid()));
	CALL(fcntl(a, F_GETOWN) == getpid());
	MUST(send(b, "x", 1, 0));
	signals(SIG, a);
}

/* The owner is another process, which has nothing but the signal. */
CASE(sigio, owner_is_a_child)
{
	int a, b, pair[2];
	pid_t child;

	block(SIG);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	child = MUST(fork());
	if (child == 0) {
		char c;

		MUST(read(pair[1], &c, 1));
		signals(SIGIO, 0);
		_exit(0);
	}
	tcp_pair(&a, &b);
	CALL(fcntl(a, F_SETOWN, child));
	CALL(fcntl(a, F_SETFL, O_ASYNC));
	MUST(send(b, "x", 1, 0));
	settle();
	MUST(write(pair[0], "x", 1));
	waitpid(child, NULL, 0);
}

CASE(sigio, dup)
{
	int a, b, c;

	tcp_pair(&a, &b);
	c = MUST(dup(a));
	arm(a, SIG);
	CALL(fcntl(c, F_GETFL));
	CALL(fcntl(c, F_GETOWN) == getpid());
	MUST(send(b, "x", 1, 0));
	signals(SIG, a);
	close(a);
	MUST(send(b, "x", 1, 0));
	signals(SIG, a);
	char buf[4];
	GET(recv(c, buf, 4, 0), buf);
}
