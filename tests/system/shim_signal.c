/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handlers that use sockets while their thread is inside a call on one, or leave it by longjmp();
 * threads that are cancelled; forks and execs meanwhile. What a call was doing must be whole.
 */
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include "shim_case.h"

extern char **environ;

/* Once, so that who is slow gets on between two. 0: none comes any more. */
static void alarm_in(int usec)
{
	struct itimerval t = { { 0, 0 }, { 0, usec } };

	CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
}

static void on_alarm(void (*handler)(int), int flags)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags };

	CHECK(sigaction(SIGALRM, &act, NULL) == 0);
}

static volatile int handled, alarms_end;
static int at_a, at_b, at_ep;

/* One of each kind: the table, the engine's answers, the rings, sets. */
static void use_sockets(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in = loopback(0);
	char byte;

	CHECK(fd >= 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	CHECK(epoll_ctl(at_ep, EPOLL_CTL_ADD, fd, &e) == 0);
	CHECK(epoll_ctl(at_ep, EPOLL_CTL_DEL, fd, &e) == 0);
	CHECK(port_of(fd) != 0);
	CHECK(close(fd) == 0);
	CHECK(send(at_a, "x", 1, 0) == 1);
	CHECK(recv(at_b, &byte, 1, 0) == 1);
}

static void handler_uses(int sig)
{
	int saved = errno;

	(void)sig;
	use_sockets();
	handled++;
	if (!alarms_end)
		alarm_in(50 + handled * 7919 % 400);
	errno = saved;
}

/* The handler does what it interrupted. */
static void handler_interrupts_all(void)
{
	at_ep = epoll_create1(0);
	pair(&at_a, &at_b);
	on_alarm(handler_uses, SA_RESTART);
	alarm_in(300);
	for (double end = seconds() + 10; handled < 300 && seconds() < end;)
		use_sockets();
	alarms_end = 1;
	CHECK(handled >= 100);
}

static sigjmp_buf out;
static volatile unsigned long spoiled;

static void handler_leaves(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

/* Again and again, wherever a call is. */
static void handler_leaves_calls(void)
{
	volatile int rounds = 0;

	at_ep = epoll_create1(0);
	pair(&at_a, &at_b);
	on_alarm(handler_leaves, 0);
	for (volatile double end = seconds() + 15; rounds < 1000 && seconds() < end;) {
		if (sigsetjmp(out, 1) == 0) {
			alarm_in(100 + rounds * 7919 % 900);
			for (;;) {
				int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

				if (fd < 0)
					CHECK(errno == EMFILE);
				setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
				close(fd);
				send(at_a, "x", 1, MSG_DONTWAIT);
			}
		}
		rounds++;
		if (rounds % 100 == 0)
			closefrom(at_b + 1);
	}
	CHECK(rounds >= 100);
	on_alarm(SIG_DFL, 0);
	alarm(20);
	/* Nothing is locked. */
	char buf[4096] = "";

	CHECK(fcntl(at_a, F_SETFL, O_NONBLOCK) == 0);
	while (send(at_a, "y", 1, 0) < 0)
		CHECK(errno == EAGAIN && recv(at_b, buf, sizeof(buf), 0) > 0);
	while (*buf != 'y')
		CHECK(recv(at_b, buf, 1, 0) == 1);
	CHECK(fcntl(at_a, F_SETFL, 0) == 0);
	at_ep = epoll_create1(0);
	use_sockets();
}

/* Bytes where the abandoned call had its variables. */
static int __attribute__((noinline)) spoil(volatile char *to, int n)
{
	volatile char page[16384];

	for (int i = 0; i < (int)sizeof(page); i++)
		page[i] = 0x55;
	raise(SIGUSR1);
	for (int i = 0; i < (int)sizeof(page); i++) {
		if (page[i] != 0x55)
			return i;
	}
	*to = page[n];
	return -1;
}

static void counts(int sig)
{
	(void)sig;
	handled++;
}

/* alarm() and longjmp() as the time-out of recv(), accept(), epoll_wait(), poll(): later signals
 * write nothing where the call's variables were, and what the call held is free. */
static void timeout_by_longjmp(void)
{
	struct sigaction act = { .sa_handler = counts };
	struct epoll_event e = { .events = EPOLLIN };
	struct pollfd p = { .events = POLLIN };
	volatile char sink;
	char byte;
	unsigned short port;
	int l = listener(&port);

	CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
	for (volatile int kind = 0; kind < 4; kind++) {
		volatile int next = dup(l);
		int a, b, ep;

		CHECK(close(next) == 0);
		ep = epoll_create1(0);
		pair(&a, &b);
		p.fd = b;
		CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, b, &e) == 0);
		on_alarm(handler_leaves, 0);
		if (sigsetjmp(out, 1) == 0) {
			alarm_in(100000);
			if (kind == 0)
				recv(b, &byte, 1, 0);
			else if (kind == 1)
				poll(&p, 1, -1);
			else if (kind == 2)
				epoll_wait(ep, &e, 1, -1);
			else
				accept(l, NULL, NULL);
			CHECK(!"it came back");
		}
		CHECK(spoil(&sink, kind) == -1);
		/* Closed: the other end hears of it. */
		CHECK(close(b) == 0);
		CHECK(recv(a, &byte, 1, 0) == 0);
		CHECK(close(ep) == 0 && close(a) == 0);
		/* accept() had reserved a descriptor. */
		int again = dup(l);

		CHECK(again == next);
		CHECK(close(again) == 0);
	}
	CHECK(handled == 4);
}

static void *in_recv(void *arg)
{
	char byte;

	recv(*(int *)arg, &byte, 1, 0);
	return arg;
}

static void *in_accept(void *arg)
{
	accept(*(int *)arg, NULL, NULL);
	return arg;
}

static void cancel(void *(*fn)(void *), int *fd)
{
	struct timespec ts = { 0, 50000000 };
	pthread_t t;
	void *result;

	CHECK(pthread_create(&t, NULL, fn, fd) == 0);
	nanosleep(&ts, NULL);
	CHECK(pthread_cancel(t) == 0);
	CHECK(pthread_join(t, &result) == 0 && result == PTHREAD_CANCELED);
}

static void cancelled_call_holds_nothing(void)
{
	unsigned short port;
	int a, b, l = listener(&port);
	int before;
	char byte;

	pair(&a, &b);
	cancel(in_recv, &b);
	CHECK(close(b) == 0);
	CHECK(recv(a, &byte, 1, 0) == 0);
	before = dup(l);
	CHECK(close(before) == 0);
	cancel(in_accept, &l);
	CHECK(dup(l) == before);
}

static void *busy(void *arg)
{
	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
		send(at_a, "x", 1, MSG_DONTWAIT);
		close(fd);
	}
	return arg;
}

/* Threads that are cancelled at any moment: those that stay have no lock to wait for. */
static void cancelled_anywhere(void)
{
	pair(&at_a, &at_b);
	at_ep = epoll_create1(0);
	for (int i = 0; i < 100; i++) {
		struct timespec ts = { 0, (i * 7919) % 400000 };
		pthread_t t;
		char buf[4096];

		CHECK(pthread_create(&t, NULL, busy, NULL) == 0);
		nanosleep(&ts, NULL);
		CHECK(pthread_cancel(t) == 0 && pthread_join(t, NULL) == 0);
		while (recv(at_b, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
		use_sockets();
	}
}

static void blocked_mask_is_bad(const sigset_t *mask)
{
	for (int sig = 1; sig < 32; sig++) {
		if (sig != SIGKILL && sig != SIGSTOP && sigismember(mask, sig))
			_exit(10 + sig);
	}
}

/* For the new image: it has the mask that the program had. */
static void says_mask(void)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	blocked_mask_is_bad(&mask);
	_exit(0);
}

/* Children begin with the program's signal mask, and their sockets work, whenever signals come. */
static void children_under_signals(void)
{
	char *argv[] = { "/proc/self/exe", "says-mask", NULL };
	sigset_t mask;

	at_ep = epoll_create1(0);
	pair(&at_a, &at_b);
	on_alarm(handler_uses, SA_RESTART);
	alarm_in(500);
	for (int i = 0; i < 60; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			int fd = socket(AF_INET, SOCK_STREAM, 0);

			CHECK(fd >= 0 && listen(fd, 1) == 0);
			sigprocmask(SIG_SETMASK, NULL, &mask);
			blocked_mask_is_bad(&mask);
			if (i % 2)
				execve("/proc/self/exe", argv, environ);
			_exit(i % 2);
		}
		reap(pid);
		CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) == 0);
		reap(pid);
	}
	alarms_end = 1;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	blocked_mask_is_bad(&mask);
	CHECK(handled > 0);
}

static volatile int told;
static void *tells(void *arg)
{
	struct timespec ts = { 0, 100000 };

	while (!told) {
		pthread_kill(*(pthread_t *)arg, SIGUSR2);
		nanosleep(&ts, NULL);
	}
	return NULL;
}

static volatile int wrong;
static void looks(int sig, siginfo_t *info, void *context)
{
	(void)context;
	wrong |= sig != SIGUSR2 || info->si_pid != getpid() || info->si_code != SI_TKILL;
	handled++;
}

/* What a handler is told, and its SA_RESETHAND. */
static void handlers_are_told_all(void)
{
	struct sigaction act = { .sa_sigaction = looks, .sa_flags = SA_SIGINFO };
	pthread_t self = pthread_self(), t;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(sigaction(SIGUSR2, &act, NULL) == 0);
	CHECK(pthread_create(&t, NULL, tells, &self) == 0);
	while (handled < 500)
		CHECK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) == 0);
	told = 1;
	CHECK(pthread_join(t, NULL) == 0 && !wrong);
	for (int i = 0; i < 100; i++) {
		struct itimerval once = { { 0, 0 }, { 0, 300 } };
		int before = handled;

		on_alarm(counts, SA_RESETHAND);
		CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
		while (handled == before)
			CHECK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) == 0);
		CHECK(sigaction(SIGALRM, NULL, &act) == 0 && act.sa_handler == SIG_DFL);
	}
}

static const struct shim_case cases[] = {
	{ "handler_interrupts_all", handler_interrupts_all },
	{ "handler_leaves_calls", handler_leaves_calls },
	{ "timeout_by_longjmp", timeout_by_longjmp },
	{ "cancelled_call_holds_nothing", cancelled_call_holds_nothing },
	{ "cancelled_anywhere", cancelled_anywhere },
	{ "children_under_signals", children_under_signals },
	{ "handlers_are_told_all", handlers_are_told_all },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "says-mask") == 0)
		says_mask();
	return run_cases(cases, argc, argv);
}
