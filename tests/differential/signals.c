/* SPDX-License-Identifier: BSD-3-Clause */
/* Signals in calls that wait: EINTR, SA_RESTART (signal(7)), time-outs; SIGPIPE; cancellation. */
#include "diff.h"

#include <pthread.h>

/* Each waiting call with a handler of either kind. What restarts is ended by a second signal. */
static void again(int number)
{
	struct sigaction how = { .sa_handler = SIG_DFL };

	(void)number;
	how.sa_handler = again;
	if (++alarms == 1)
		alarm_in(30, SA_RESTART);
	else
		_exit(9);
	sigaction(SIGALRM, &how, NULL); /* the second one interrupts */
}

static void interrupt(int flags)
{
	struct sigaction how = { .sa_handler = again, .sa_flags = flags };

	alarm_in(30, flags);
	sigaction(SIGALRM, &how, NULL);
}

static const struct timeval timeout = { 0, 70000 };

#define WAITS(name, prepare, call)                                                                 \
	CASE(signals, name##_interrupted)                                                          \
	{                                                                                          \
		int a, b;                                                                          \
		tcp_pair(&a, &b);                                                                  \
		prepare;                                                                           \
		interrupt(0);                                                                      \
		CALL(call);                                                                        \
		say("alarms %d", (int)alarms);                                                     \
	}                                                                                          \
	/* Ended with status 9: it was restarted. */                                               \
	CASE(signals, name##_restarted)                                                            \
	{                                                                                          \
		int a, b;                                                                          \
		tcp_pair(&a, &b);                                                                  \
		prepare;                                                                           \
		interrupt(SA_RESTART);                                                             \
		CALL(call);                                                                        \
		say("alarms %d", (int)alarms);                                                     \
	}                                                                                          \
	CASE(signals, name##_timeout)                                                              \
	{                                                                                          \
		int a, b;                                                                          \
		tcp_pair(&a, &b);                                                                  \
		prepare;                                                                           \
		setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));                 \
		setsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));                 \
		interrupt(SA_RESTART);                                                             \
		CALL(call);                                                                        \
		say("alarms %d", (int)alarms);                                                     \
	}

static char buf[65536];

/* Buffers of a fixed size: those that grow make room again. */
static void fill(int fd, int peer)
{
	set_int(peer, SOL_SOCKET, SO_RCVBUF, 4096);
	set_int(fd, SOL_SOCKET, SO_SNDBUF, 16384);
	for (int quiet = 0; quiet < 4;) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (send(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			quiet = 0;
		else if (poll(&p, 1, 10) == 0)
			quiet++;
	}
}

static void listen_on(int *fd)
{
	struct sockaddr_in addr;

	*fd = new_listener(1, &addr);
}

static struct sockaddr_in full_addr;

static void connect_full(int *fd)
{
	new_listener(0, &full_addr);
	MUST(connect(new_tcp(), SA(&full_addr), SA_SIZE));
	*fd = new_tcp();
}

static struct iovec one = { buf, 4 };

WAITS(recv, (void)0, recv(a, buf, 4, 0))
WAITS(read, (void)0, read(a, buf, 4))
WAITS(readv, (void)0, readv(a, &one, 1))
WAITS(recvmsg, (void)0, recvmsg(a, &(struct msghdr){ .msg_iov = &one, .msg_iovlen = 1 }, 0))
WAITS(recv_peek, (void)0, recv(a, buf, 4, MSG_PEEK))
WAITS(waitall, send(b, "ab", 2, 0), recv(a, buf, 4, MSG_WAITALL))
WAITS(send, fill(a, b), send(a, buf, sizeof(buf), 0))
WAITS(write, fill(a, b), write(a, buf, sizeof(buf)))
WAITS(accept, listen_on(&a), accept(a, NULL, NULL))
WAITS(connect, connect_full(&a), connect(a, SA(&full_addr), SA_SIZE))
WAITS(poll, (void)0, poll(&(struct pollfd){ .fd = a, .events = POLLIN }, 1, 300))
WAITS(udp_recv, a = new_udp(), recv(a, buf, 4, 0))
WAITS(udp_recvfrom, a = new_udp(), recvfrom(a, buf, 4, 0, NULL, NULL))

CASE(signals, select_restarted)
{
	struct timeval tv = { 0, 300000 };
	fd_set in;
	int a, b;

	tcp_pair(&a, &b);
	FD_ZERO(&in);
	FD_SET(a, &in);
	interrupt(SA_RESTART);
	CALL(select(a + 1, &in, NULL, NULL, &tv));
}

CASE(signals, epoll_restarted)
{
	struct epoll_event event = { .events = EPOLLIN };
	int a, b, ep = MUST(epoll_create1(0));

	tcp_pair(&a, &b);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, a, &event));
	interrupt(SA_RESTART);
	CALL(epoll_wait(ep, &event, 1, 300));
}

/* A connect() that was interrupted goes on. */
CASE(signals, connect_goes_on)
{
	int a;

	connect_full(&a);
	alarm_in(30, 0);
	CALL(connect(a, SA(&full_addr), SA_SIZE));
	CALL(connect(a, SA(&full_addr), SA_SIZE));
	say_ready(a);
}

CASE(signals, sigpipe_kills)
{
	int a, b;

	tcp_pair(&a, &b);
	signal(SIGPIPE, SIG_DFL);
	MUST(shutdown(a, SHUT_WR));
	CALL(send(a, "x", 1, MSG_NOSIGNAL));
	CALL(send(a, "x", 1, 0));
}

CASE(signals, sigpipe_blocked)
{
	sigset_t set;
	int a, b;

	tcp_pair(&a, &b);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	MUST(shutdown(a, SHUT_WR));
	CALL(write(a, "x", 1));
	CALL(sigtimedwait(&set, NULL, &(struct timespec){ 0, 0 }) == SIGPIPE);
}

/* ---- cancellation ---- */

static int cancel_fd;

static void cleaned(void *what)
{
	say("cancelled in %s", (const char *)what);
}

#define CANCELS(name, prepare, call)                                                               \
	static void *thread_##name(void *arg)                                                      \
	{                                                                                          \
		int a = *(int *)arg;                                                               \
		pthread_cleanup_push(cleaned, #name);                                              \
		CALL(call);                                                                        \
		pthread_cleanup_pop(0);                                                            \
		return NULL;                                                                       \
	}                                                                                          \
	CASE(signals, cancel_##name)                                                               \
	{                                                                                          \
		pthread_t thread;                                                                  \
		void *result;                                                                      \
		int a, b;                                                                          \
		tcp_pair(&a, &b);                                                                  \
		prepare;                                                                           \
		cancel_fd = a;                                                                     \
		pthread_create(&thread, NULL, thread_##name, &cancel_fd);                          \
		settle();                                                                          \
		pthread_cancel(thread);                                                            \
		pthread_join(thread, &result);                                                     \
		say("result %d", result == PTHREAD_CANCELED);                                      \
		say_ready(a);                                                                      \
	}

CANCELS(recv, (void)0, recv(a, buf, 4, 0))
CANCELS(read, (void)0, read(a, buf, 4))
CANCELS(recvmsg, (void)0, recvmsg(a, &(struct msghdr){ .msg_iov = &one, .msg_iovlen = 1 }, 0))
CANCELS(recvfrom, (void)0, recvfrom(a, buf, 4, 0, NULL, NULL))
CANCELS(readv, (void)0, readv(a, &one, 1))
CANCELS(send, fill(a, b), send(a, buf, sizeof(buf), 0))
CANCELS(write, fill(a, b), write(a, buf, sizeof(buf)))
CANCELS(accept, listen_on(&a), accept(a, NULL, NULL))
CANCELS(connect, connect_full(&a), connect(a, SA(&full_addr), SA_SIZE))
CANCELS(poll, (void)0, poll(&(struct pollfd){ .fd = a, .events = POLLIN }, 1, -1))
CANCELS(select, (void)0, select(a - a, NULL, NULL, NULL, NULL))
CANCELS(udp_recv, a = new_udp(), recv(a, buf, 4, 0))
