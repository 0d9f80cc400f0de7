/* SPDX-License-Identifier: BSD-3-Clause */
/* epoll, poll and select on weir sockets, alone and with kernel descriptors. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "shim_case.h"

static void add(int ep, int fd, unsigned int events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0);
}

static void epoll_level(void)
{
	struct epoll_event e;
	char buf[4];
	int a, b, ep = epoll_create1(0);

	pair(&a, &b);
	add(ep, b, EPOLLIN);
	CHECK(epoll_wait(ep, &e, 1, 0) == 0);
	CHECK(write(a, "1234", 4) == 4);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1 && e.data.fd == b && e.events == EPOLLIN);
	CHECK(read(b, buf, 2) == 2);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1);
	CHECK(read(b, buf, 2) == 2);
	CHECK(epoll_wait(ep, &e, 1, 50) == 0);
	struct epoll_event again = { .events = EPOLLIN };

	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, b, &again) == -1 && errno == EEXIST);
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, b, NULL) == 0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, b, NULL) == -1 && errno == ENOENT);
	CHECK(write(a, "1234", 4) == 4);
	CHECK(epoll_wait(ep, &e, 1, 50) == 0);
}

static void epoll_edge(void)
{
	struct epoll_event e;
	int a, b, ep = epoll_create1(0);

	pair(&a, &b);
	add(ep, b, EPOLLIN | EPOLLET);
	CHECK(write(a, "12", 2) == 2);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1);
	CHECK(epoll_wait(ep, &e, 1, 50) == 0);
	CHECK(write(a, "34", 2) == 2);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1 && e.events == EPOLLIN);
	CHECK(epoll_wait(ep, &e, 1, 50) == 0);
}

static void epoll_oneshot(void)
{
	struct epoll_event e = { 0 };
	int a, b, ep = epoll_create1(0);

	pair(&a, &b);
	add(ep, b, EPOLLIN | EPOLLONESHOT);
	CHECK(write(a, "12", 2) == 2);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1);
	CHECK(write(a, "34", 2) == 2);
	CHECK(epoll_wait(ep, &e, 1, 50) == 0);
	e.events = EPOLLIN | EPOLLONESHOT;
	e.data.fd = b;
	CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, b, &e) == 0);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1);
}

static void epoll_out(void)
{
	static char lot[1 << 20], got[1 << 16];
	struct epoll_event e;
	int a, b, ep = epoll_create1(0);

	pair(&a, &b);
	CHECK(fcntl(a, F_SETFL, O_NONBLOCK) == 0);
	CHECK(fcntl(b, F_SETFL, O_NONBLOCK) == 0);
	add(ep, a, EPOLLOUT | EPOLLET);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1 && e.events == EPOLLOUT);
	/* Fill it until nothing moves any more. */
	for (int quiet = 0; quiet < 20;) {
		if (write(a, lot, sizeof(lot)) > 0) {
			quiet = 0;
			continue;
		}
		CHECK(errno == EAGAIN);
		usleep(5000);
		quiet++;
	}
	while (epoll_wait(ep, &e, 1, 0) > 0)
		;
	ssize_t n;

	do
		n = read(b, got, sizeof(got));
	while (n > 0);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1 && (e.events & EPOLLOUT));
	CHECK(write(a, lot, 1000) > 0);
}

static void epoll_hup(void)
{
	struct epoll_event e;
	int a, b, ep = epoll_create1(0);

	pair(&a, &b);
	add(ep, b, EPOLLIN | EPOLLRDHUP);
	CHECK(shutdown(a, SHUT_WR) == 0);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1 && e.events == (EPOLLIN | EPOLLRDHUP));
	CHECK(shutdown(b, SHUT_WR) == 0);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1 && (e.events & EPOLLHUP));
}

static void epoll_close_removes(void)
{
	struct epoll_event e;
	int a, b, ep = epoll_create1(0);

	pair(&a, &b);
	add(ep, b, EPOLLIN);
	CHECK(write(a, "1", 1) == 1);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1);
	int copy = dup(b);

	CHECK(close(b) == 0);
	/* As Linux: the open socket is watched, not the number. */
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1);
	CHECK(close(copy) == 0);
	CHECK(epoll_wait(ep, &e, 1, 50) == 0);
}

static void epoll_mixed(void)
{
	struct epoll_event e[4];
	unsigned long long one = 1;
	int a, b, p[2], ep = epoll_create1(0);
	int ev = eventfd(0, EFD_NONBLOCK);

	pair(&a, &b);
	CHECK(pipe(p) == 0);
	add(ep, b, EPOLLIN);
	add(ep, p[0], EPOLLIN);
	add(ep, ev, EPOLLIN);
	CHECK(epoll_wait(ep, e, 4, 10) == 0);
	CHECK(write(p[1], "x", 1) == 1);
	CHECK(epoll_wait(ep, e, 4, 5000) == 1 && e[0].data.fd == p[0]);
	CHECK(write(a, "x", 1) == 1);
	/* Each is told in the end, also while the other stays ready. */
	int seen = 0;

	for (double start = seconds(); seen != 3 && seconds() - start < 5;) {
		int n = epoll_wait(ep, e, 4, 100);

		for (int i = 0; i < n; i++)
			seen |= e[i].data.fd == b ? 1 : e[i].data.fd == p[0] ? 2 : 8;
	}
	CHECK(seen == 3);
	char byte;

	CHECK(read(p[0], &byte, 1) == 1 && read(b, &byte, 1) == 1);
	pid_t pid = fork();

	if (pid == 0) {
		usleep(100000);
		CHECK(write(ev, &one, 8) == 8);
		_exit(0);
	}
	CHECK(epoll_wait(ep, e, 4, 5000) == 1 && e[0].data.fd == ev);
	reap(pid);
}

static int shared_ep, shared_l;

static void *add_later(void *arg)
{
	usleep(100000);
	add(shared_ep, shared_l, EPOLLIN);
	return NULL;
}

static void epoll_add_while_waiting(void)
{
	struct epoll_event e;
	unsigned short port;
	pthread_t t;

	shared_ep = epoll_create1(0);
	shared_l = listener(&port);
	int a = dial(port);

	CHECK(pthread_create(&t, NULL, add_later, NULL) == 0);
	CHECK(epoll_wait(shared_ep, &e, 1, 5000) == 1 && e.data.fd == shared_l);
	pthread_join(t, NULL);
	close(a);
}

static void *echo_thread(void *arg)
{
	struct epoll_event e[1];
	char buf[64];

	for (;;) {
		int n = epoll_wait(shared_ep, e, 1, 5000);

		CHECK(n > 0);
		for (int i = 0; i < n; i++) {
			int fd = e[i].data.fd;
			ssize_t r = read(fd, buf, sizeof(buf));

			if (r <= 0 || buf[0] == 'q')
				return NULL;
			CHECK(write(fd, buf, (size_t)r) == r);
			struct epoll_event again = { .events = EPOLLIN | EPOLLONESHOT,
						     .data.fd = fd };

			CHECK(epoll_ctl(shared_ep, EPOLL_CTL_MOD, fd, &again) == 0);
		}
	}
}

static void epoll_threads(void)
{
	enum { PAIRS = 6, THREADS = 3, ROUNDS = 200 };
	int a[PAIRS], b[PAIRS];
	pthread_t t[THREADS];
	char byte;

	shared_ep = epoll_create1(0);
	for (int i = 0; i < PAIRS; i++) {
		pair(&a[i], &b[i]);
		add(shared_ep, b[i], EPOLLIN | EPOLLONESHOT);
	}
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, echo_thread, NULL) == 0);
	for (int n = 0; n < ROUNDS; n++) {
		for (int i = 0; i < PAIRS; i++)
			CHECK(write(a[i], "e", 1) == 1);
		for (int i = 0; i < PAIRS; i++)
			CHECK(read(a[i], &byte, 1) == 1 && byte == 'e');
	}
	for (int i = 0; i < THREADS; i++)
		CHECK(write(a[i], "q", 1) == 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void epoll_timeout(void)
{
	struct timespec ts = { 0, 150000000 };
	struct epoll_event e;
	int a, b, ep = epoll_create1(0);
	double start;

	pair(&a, &b);
	add(ep, b, EPOLLIN);
	start = seconds();
	CHECK(epoll_wait(ep, &e, 1, 150) == 0);
	CHECK(seconds() - start > 0.145);
	start = seconds();
	CHECK(syscall(SYS_epoll_pwait2, ep, &e, 1, &ts, NULL, 8) == 0);
	CHECK(seconds() - start > 0.145);
	CHECK(epoll_wait(ep, &e, 0, 0) == -1 && errno == EINVAL);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
}

static void epoll_mask(void)
{
	struct epoll_event e;
	sigset_t block, none;
	int a, b, ep = epoll_create1(0);

	pair(&a, &b);
	add(ep, b, EPOLLIN);
	signal(SIGALRM, on_alarm);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	CHECK(sigprocmask(SIG_BLOCK, &block, NULL) == 0);
	raise(SIGALRM);
	CHECK(alarms == 0);
	CHECK(epoll_pwait(ep, &e, 1, 5000, &none) == -1 && errno == EINTR && alarms == 1);
}

static void poll_mixed(void)
{
	int a, b, p[2];
	char byte;

	pair(&a, &b);
	CHECK(pipe(p) == 0);
	struct pollfd fds[4] = { { .fd = b, .events = POLLIN },
				 { .fd = p[0], .events = POLLIN },
				 { .fd = -1, .events = POLLIN },
				 { .fd = a, .events = POLLOUT } };

	CHECK(poll(fds, 4, 0) == 1 && fds[3].revents == POLLOUT && fds[2].revents == 0);
	CHECK(poll(fds, 3, 50) == 0);
	CHECK(write(p[1], "x", 1) == 1);
	CHECK(poll(fds, 3, 5000) == 1 && fds[1].revents == POLLIN && fds[0].revents == 0);
	CHECK(read(p[0], &byte, 1) == 1);
	pid_t pid = fork();

	if (pid == 0) {
		usleep(100000);
		CHECK(write(a, "x", 1) == 1);
		usleep(100000);
		CHECK(write(p[1], "x", 1) == 1);
		_exit(0);
	}
	CHECK(poll(fds, 3, 5000) == 1 && fds[0].revents == POLLIN);
	CHECK(read(b, &byte, 1) == 1);
	CHECK(poll(fds, 3, 5000) == 1 && fds[1].revents == POLLIN);
	reap(pid);
}

static void selects(void)
{
	struct timeval tv = { 5, 0 };
	fd_set in, out;
	int a, b, p[2];

	pair(&a, &b);
	CHECK(pipe(p) == 0);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(b, &in);
	FD_SET(p[0], &in);
	FD_SET(a, &out);
	CHECK(select(b + 100, &in, &out, NULL, &tv) == 1);
	CHECK(!FD_ISSET(b, &in) && FD_ISSET(a, &out));
	CHECK(write(a, "x", 1) == 1);
	FD_ZERO(&in);
	FD_SET(b, &in);
	FD_SET(p[0], &in);
	CHECK(select(p[1] + 1, &in, NULL, NULL, &tv) == 1 && FD_ISSET(b, &in) &&
	      !FD_ISSET(p[0], &in));
	CHECK(tv.tv_sec < 5 || tv.tv_usec == 0);
	tv = (struct timeval){ 0, 100000 };
	FD_ZERO(&in);
	FD_SET(a, &in);
	CHECK(select(a + 1, &in, NULL, NULL, &tv) == 0 && tv.tv_sec == 0 && tv.tv_usec == 0);
	CHECK(!FD_ISSET(a, &in));
}

/* Watched before it listens; every connection is told, whichever worker it is on. */
static void epoll_listener(void)
{
	enum { CALLS = 64 };
	struct sockaddr_in in = loopback(0);
	struct epoll_event e;
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0);
	int got = 0, fd[CALLS];

	CHECK(bind(l, (struct sockaddr *)&in, sizeof(in)) == 0);
	add(ep, l, EPOLLIN | EPOLLET);
	CHECK(listen(l, CALLS) == 0);
	for (int i = 0; i < CALLS; i++)
		fd[i] = dial(port_of(l));
	while (got < CALLS) {
		CHECK(epoll_wait(ep, &e, 1, 5000) == 1 && e.data.fd == l);
		while (accept(l, NULL, NULL) >= 0)
			got++;
		CHECK(errno == EAGAIN);
	}
	CHECK(fd[0] >= 0);
}

/* A busy pair of epoll echo loops: run under strace by the test, which counts the calls. One side
 * marks windows of so many messages, by a call that nobody else makes. */
static void busy(void)
{
	enum { MESSAGES = 20000, WINDOW = 250 };
	struct epoll_event e;
	char buf[64];
	int a, b, ep;

	pair(&a, &b);
	CHECK(fcntl(a, F_SETFL, O_NONBLOCK) == 0 && fcntl(b, F_SETFL, O_NONBLOCK) == 0);
	pid_t pid = fork();

	CHECK(pid >= 0);
	int fd = pid ? b : a;

	ep = epoll_create1(0);
	add(ep, fd, EPOLLIN);
	if (pid == 0)
		CHECK(write(fd, "ping", 4) == 4);
	for (int i = 0; i < MESSAGES; i++) {
		if (pid && i % WINDOW == 0)
			CHECK(syscall(SYS_getpgid, 0) > 0);
		CHECK(epoll_wait(ep, &e, 1, 5000) == 1);
		CHECK(read(fd, buf, sizeof(buf)) == 4);
		if (pid || i < MESSAGES - 1)
			CHECK(write(fd, buf, 4) == 4);
	}
	if (pid)
		reap(pid);
	else
		_exit(0);
}

static void *takes_a_byte(void *arg)
{
	char byte = 0;

	CHECK(recv(*(int *)arg, &byte, 1, 0) == 1 && byte == 'x');
	CHECK(send(*(int *)arg, "y", 1, 0) == 1);
	return NULL;
}

/* A thread that waits and sends where no descriptor is free any more. */
static void no_descriptor_free(void)
{
	struct rlimit limit;
	pthread_t thread;
	int a, b, last;
	char byte;

	pair(&a, &b);
	CHECK(send(a, "1", 1, 0) == 1 && recv(b, &byte, 1, 0) == 1);
	last = dup(0);
	CHECK(last >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = (rlim_t)last + 1;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK(dup(0) == -1 && errno == EMFILE);
	CHECK(pthread_create(&thread, NULL, takes_a_byte, &b) == 0);
	usleep(50000); /* it may wait by now; either way it has to get what comes */
	CHECK(send(a, "x", 1, 0) == 1);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(recv(a, &byte, 1, 0) == 1 && byte == 'y');
}

static void *takes_and_answers(void *arg)
{
	char byte;
	int fd = (int)(long)arg;

	CHECK(recv(fd, &byte, 1, 0) == 1);
	CHECK(send(fd, &byte, 1, 0) == 1);
	return NULL;
}

/* A thread for each connection, each asleep in recv(). */
static void thousand_threads(void)
{
	enum { N = 1000 };
	static pthread_t thread[N];
	static int a[N], b[N];
	pthread_attr_t attr;
	char byte;

	CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 128 << 10) == 0);
	for (int i = 0; i < N; i++) {
		pair(&a[i], &b[i]);
		CHECK(pthread_create(&thread[i], &attr, takes_and_answers, (void *)(long)b[i]) ==
		      0);
	}
	for (int i = N - 1; i >= 0; i--)
		CHECK(send(a[i], "x", 1, 0) == 1);
	for (int i = 0; i < N; i++) {
		CHECK(recv(a[i], &byte, 1, 0) == 1 && byte == 'x');
		CHECK(pthread_join(thread[i], NULL) == 0);
	}
}

static const struct shim_case cases[] = {
	{ "epoll_level", epoll_level },
	{ "epoll_edge", epoll_edge },
	{ "epoll_oneshot", epoll_oneshot },
	{ "epoll_out", epoll_out },
	{ "epoll_hup", epoll_hup },
	{ "epoll_close_removes", epoll_close_removes },
	{ "epoll_mixed", epoll_mixed },
	{ "epoll_add_while_waiting", epoll_add_while_waiting },
	{ "epoll_threads", epoll_threads },
	{ "epoll_timeout", epoll_timeout },
	{ "epoll_mask", epoll_mask },
	{ "poll_mixed", poll_mixed },
	{ "selects", selects },
	{ "epoll_listener", epoll_listener },
	{ "busy", busy },
	{ "no_descriptor_free", no_descriptor_free },
	{ "thousand_threads", thousand_threads },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_cases(cases, argc, argv);
}
