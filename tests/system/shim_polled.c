/* SPDX-License-Identifier: BSD-3-Clause */
/* poll(), select() and their like on an epoll set. Run on the kernel as well: what is checked here
 * is what Linux does. */
#include <poll.h>
#include <signal.h>
#include <sys/select.h>

#include "shim_sets.h"

static int poll_in(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };
	int n = poll(&p, 1, ms);

	CHECK(n == (p.revents != 0));
	return p.revents;
}

static int select_in(int fd, int ms)
{
	struct timeval t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	fd_set in, out;
	int n;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	n = select(fd + 1, &in, &out, NULL, &t);
	CHECK(!FD_ISSET(fd, &out));
	CHECK(n == (FD_ISSET(fd, &in) ? 1 : 0));
	return n;
}

static void polled(void)
{
	int a, b, set = new_set();
	struct later l;

	pair(&a, &b);
	CHECK(add(set, b, EPOLLIN) == 0);
	CHECK(poll_in(set, 0) == 0);
	CHECK(poll_in(set, SHORT) == 0);
	CHECK(select_in(set, SHORT) == 0);
	for (int i = 0; i < 3; i++) {
		later(&l, put, a);
		CHECK(poll_in(set, LONG) == POLLIN);
		join(&l);
		CHECK(poll_in(set, 0) == POLLIN);
		CHECK(select_in(set, 0) == 1);
		expect(set, 0, b, EPOLLIN);
		CHECK(poll_in(set, 0) == POLLIN);
		take(b);
		CHECK(poll_in(set, SHORT) == 0);
		later(&l, put, a);
		CHECK(select_in(set, LONG) == 1);
		join(&l);
		take(b);
		CHECK(select_in(set, SHORT) == 0);
	}
}

static void polled_edge(void)
{
	int a, b, set = new_set();

	pair(&a, &b);
	CHECK(add(set, b, EPOLLIN | EPOLLET) == 0);
	put(a);
	CHECK(poll_in(set, LONG) == POLLIN);
	CHECK(poll_in(set, LONG) == POLLIN);
	expect(set, 0, b, EPOLLIN);
	CHECK(poll_in(set, SHORT) == 0);
	put(a);
	CHECK(poll_in(set, LONG) == POLLIN);
}

static void polled_oneshot(void)
{
	int a, b, set = new_set();

	pair(&a, &b);
	CHECK(add(set, b, EPOLLIN | EPOLLONESHOT) == 0);
	put(a);
	CHECK(poll_in(set, LONG) == POLLIN);
	expect(set, 0, b, EPOLLIN);
	CHECK(poll_in(set, SHORT) == 0);
	CHECK(control(set, EPOLL_CTL_MOD, b, EPOLLIN | EPOLLONESHOT) == 0);
	CHECK(poll_in(set, LONG) == POLLIN);
}

static void polled_mixed(void)
{
	int a, b, c, d, p[2], set = new_set(), around = new_set();
	struct later l;

	pair(&a, &b);
	pair(&c, &d);
	CHECK(pipe(p) == 0);
	CHECK(add(set, b, EPOLLIN) == 0);
	CHECK(add(set, p[0], EPOLLIN | EPOLLET) == 0);
	CHECK(add(around, set, EPOLLIN) == 0);
	for (int i = 0; i < 3; i++) {
		struct pollfd fds[3] = { { .fd = d, .events = POLLIN },
					 { .fd = around, .events = POLLIN },
					 { .fd = p[0], .events = POLLIN } };

		later(&l, put, a);
		CHECK(poll(fds, 3, LONG) == 1 && fds[1].revents == POLLIN);
		join(&l);
		take(b);
		CHECK(poll(fds, 3, SHORT) == 0);
		later(&l, put, c);
		CHECK(poll(fds, 3, LONG) == 1 && fds[0].revents == POLLIN);
		join(&l);
		take(d);
		later(&l, put, p[1]);
		fds[2].fd = -1;
		CHECK(poll(fds, 3, LONG) == 1 && fds[1].revents == POLLIN);
		join(&l);
		/* poll() did not take the edge. */
		CHECK(poll_in(set, 0) == POLLIN);
		expect(set, LONG, p[0], EPOLLIN);
		CHECK(poll_in(around, SHORT) == 0);
		take(p[0]);
	}
}

static void *polls(void *arg)
{
	CHECK(poll_in(*(int *)arg, LONG) == POLLIN);
	return NULL;
}

/* Threads that wait for the set and threads that poll it: all hear of what stays there. */
static void polled_by_many(void)
{
	pthread_t thread[6];
	int a, b, set = new_set();

	pair(&a, &b);
	CHECK(add(set, b, EPOLLIN) == 0);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 6; i++)
			CHECK(pthread_create(&thread[i], NULL, i % 2 ? polls : waits, &set) == 0);
		usleep(30000);
		put(a);
		for (int i = 0; i < 6; i++)
			CHECK(pthread_join(thread[i], NULL) == 0);
		take(b);
	}
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

/* A signal ends poll() on a set; the set goes on as it was. */
static void polled_signal(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct pollfd p = { .events = POLLIN };
	struct timespec ten = { .tv_sec = 10 };
	int a, b, set = new_set();
	sigset_t none;

	pair(&a, &b);
	CHECK(add(set, b, EPOLLIN) == 0);
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	ualarm(50000, 0);
	p.fd = set;
	sigemptyset(&none);
	CHECK(ppoll(&p, 1, &ten, &none) == -1 && errno == EINTR && signals == 1);
	put(a);
	CHECK(ppoll(&p, 1, &ten, &none) == 1 && p.revents == POLLIN);
	expect(set, 0, b, EPOLLIN);
}

static const struct shim_case cases[] = {
	{ "polled", polled },
	{ "polled_edge", polled_edge },
	{ "polled_oneshot", polled_oneshot },
	{ "polled_mixed", polled_mixed },
	{ "polled_by_many", polled_by_many },
	{ "polled_signal", polled_signal },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_cases(cases, argc, argv);
}
