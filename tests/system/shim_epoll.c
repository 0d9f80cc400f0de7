/* SPDX-License-Identifier: BSD-3-Clause */
/* Epoll sets that several processes have, sets in sets, and what epoll_ctl() refuses. The same is
 * run on the kernel: what is checked here is what Linux does. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>

#include "shim_case.h"

static int add(int ep, int fd, unsigned int events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static int modify(int ep, int fd, unsigned int events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
}

static void finish(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static pid_t run(void (*fn)(int ep, int fd), int ep, int fd)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		fn(ep, fd);
		_exit(0);
	}
	return child;
}

/* ---- one set, two processes ---- */

static void child_adds(int ep, int fd)
{
	CHECK(add(ep, fd, EPOLLIN) == 0);
}

static void fork_child_adds(void)
{
	struct epoll_event e;
	int a, b, ep = epoll_create1(0);

	pair(&a, &b);
	finish(run(child_adds, ep, b));
	CHECK(add(ep, b, EPOLLIN) == -1 && errno == EEXIST);
	CHECK(epoll_wait(ep, &e, 1, 0) == 0);
	CHECK(write(a, "1", 1) == 1);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1 && e.data.fd == b && e.events == EPOLLIN);
}

static void child_changes(int ep, int fd)
{
	CHECK(modify(ep, fd, EPOLLOUT) == 0);
}

static void child_deletes(int ep, int fd)
{
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL) == 0);
}

static void fork_child_changes(void)
{
	struct epoll_event e;
	int a, b, ep = epoll_create1(0);

	pair(&a, &b);
	CHECK(add(ep, b, EPOLLIN) == 0);
	CHECK(epoll_wait(ep, &e, 1, 0) == 0);
	finish(run(child_changes, ep, b));
	CHECK(epoll_wait(ep, &e, 1, 0) == 1 && e.events == EPOLLOUT);
	finish(run(child_deletes, ep, b));
	CHECK(epoll_wait(ep, &e, 1, 0) == 0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, b, NULL) == -1 && errno == ENOENT);
}

/* The set was empty, and no socket was there yet, when they parted. */
static void child_waits(int ep, int fd)
{
	struct epoll_event e;

	CHECK(epoll_wait(ep, &e, 1, 10000) == 1 && e.events == EPOLLIN);
}

static void fork_before_sockets(void)
{
	int a, b, ep = epoll_create1(0);
	pid_t child = run(child_waits, ep, -1);

	pair(&a, &b);
	CHECK(add(ep, b, EPOLLIN) == 0);
	CHECK(write(a, "1", 1) == 1);
	finish(child);
}

/* The parent waits, asleep, for what the child adds, when it is already there. */
static void child_adds_late(int ep, int fd)
{
	usleep(200000);
	CHECK(add(ep, fd, EPOLLIN | EPOLLET) == 0);
}

static void fork_add_wakes(void)
{
	struct epoll_event e;
	int a, b, ep = epoll_create1(0);

	pair(&a, &b);
	CHECK(write(a, "1", 1) == 1);
	pid_t child = run(child_adds_late, ep, b);

	CHECK(epoll_wait(ep, &e, 1, 10000) == 1 && e.data.fd == b);
	finish(child);
	/* An edge is one process's or the other's. */
	CHECK(epoll_wait(ep, &e, 1, 50) == 0);
}

/* Closed here, open in the child: the item stays, and is told of. */
static void child_keeps(int ep, int fd)
{
	char byte;

	CHECK(read(ep, &byte, 1) == 1);
}

static void fork_closed_in_one(void)
{
	struct epoll_event e;
	int a, b, p[2], ep = epoll_create1(0);

	pair(&a, &b);
	CHECK(pipe(p) == 0);
	CHECK(add(ep, b, EPOLLIN) == 0);
	pid_t child = run(child_keeps, p[0], b);

	CHECK(close(b) == 0);
	CHECK(write(a, "1", 1) == 1);
	CHECK(epoll_wait(ep, &e, 1, 5000) == 1 && e.data.fd == b);
	CHECK(write(p[1], "1", 1) == 1);
	finish(child);
	/* Now it is closed everywhere. */
	for (int i = 0; i < 500 && epoll_wait(ep, &e, 1, 0) == 1; i++)
		usleep(10000);
	CHECK(epoll_wait(ep, &e, 1, 50) == 0);
}

/* A set that was shared: what only one process has goes from it at once. */
static void fork_own_socket_closed(void)
{
	struct epoll_event e;
	int a, b, p[2], ep = epoll_create1(0);

	CHECK(pipe(p) == 0);
	pid_t child = run(child_keeps, p[0], -1);

	for (int i = 0; i < 50; i++) {
		pair(&a, &b);
		CHECK(add(ep, b, EPOLLIN) == 0);
		CHECK(write(a, "1", 1) == 1);
		CHECK(epoll_wait(ep, &e, 1, 5000) == 1 && e.data.fd == b);
		CHECK(close(b) == 0);
		CHECK(epoll_wait(ep, &e, 1, 0) == 0);
		CHECK(close(a) == 0);
	}
	CHECK(write(p[1], "1", 1) == 1);
	finish(child);
}

/* Who made the set dies, with the socket's other end; the child goes on with it. */
static void fork_maker_dies(void)
{
	struct epoll_event e;
	int a, b, p[2];
	char byte;

	CHECK(pipe(p) == 0);
	pair(&a, &b);
	pid_t maker = fork();

	if (maker == 0) {
		int ep = epoll_create1(0);

		CHECK(add(ep, b, EPOLLIN) == 0);
		if (fork() == 0) {
			close(p[0]);
			CHECK(epoll_wait(ep, &e, 1, 10000) == 1 && e.data.fd == b);
			CHECK(read(b, &byte, 1) == 1);
			CHECK(epoll_wait(ep, &e, 1, 10000) == 1 && e.data.fd == b);
			CHECK(read(b, &byte, 1) == 1);
			CHECK(write(p[1], "k", 1) == 1);
		}
		_exit(0);
	}
	finish(maker);
	close(p[1]);
	CHECK(write(a, "1", 1) == 1);
	usleep(300000);
	CHECK(write(a, "2", 1) == 1);
	CHECK(read(p[0], &byte, 1) == 1 && byte == 'k');
}

/* A set that was closed before the fork: what parent and children make then are three sets. */
static void fork_after_a_closed_set(void)
{
	int a, b, old = epoll_create1(0);
	struct epoll_event e;

	pair(&a, &b);
	CHECK(add(old, b, EPOLLIN) == 0);
	close(old);
	for (int i = 0; i < 2; i++) {
		pid_t child = fork();

		if (child == 0) {
			int ep = epoll_create1(0);

			CHECK(add(ep, b, EPOLLIN) == 0);
			_exit(0); /* without a DEL: another set would go on having it */
		}
		finish(child);
	}
	old = epoll_create1(0);
	CHECK(epoll_ctl(old, EPOLL_CTL_DEL, b, NULL) == -1 && errno == ENOENT);
	CHECK(add(old, b, EPOLLIN) == 0);
	CHECK(write(a, "x", 1) == 1);
	CHECK(epoll_wait(old, &e, 1, 10000) == 1 && e.data.fd == b);
}

/* Each event is one waiter's: 8 processes, edge-triggered, a round for each byte. */
static _Atomic int *shared_ints(void)
{
	void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(m != MAP_FAILED);
	return m;
}

static _Atomic int *counts;

static void takes_edges(int ep, int fd)
{
	struct epoll_event e;

	while (epoll_wait(ep, &e, 1, -1) == 1 && e.events == EPOLLIN)
		counts[0]++;
}

static void fork_edges_are_shared_out(void)
{
	int a, b, ep = epoll_create1(0);
	pid_t child[8];

	counts = shared_ints();
	pair(&a, &b);
	CHECK(add(ep, b, EPOLLIN | EPOLLRDHUP | EPOLLET) == 0);
	for (int i = 0; i < 8; i++)
		child[i] = run(takes_edges, ep, b);
	usleep(100000);
	for (int i = 0; i < 50; i++) {
		CHECK(write(a, "1", 1) == 1);
		for (int wait = 0; counts[0] <= i && wait < 1000; wait++)
			usleep(1000);
		CHECK(counts[0] == i + 1);
	}
	/* The one that is woken last wakes the next: nothing is edge-triggered about the end. */
	for (int i = 0; i < 8; i++)
		kill(child[i], SIGKILL);
	for (int i = 0; i < 8; i++)
		CHECK(waitpid(child[i], NULL, 0) == child[i]);
}

/* Processes that are killed while they wait, or while they change the set, take nothing with them.
 */
static void changes_for_ever(int ep, int fd)
{
	struct epoll_event e;

	for (;;) {
		modify(ep, fd, EPOLLIN | EPOLLET);
		epoll_wait(ep, &e, 1, 0);
		epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);
		add(ep, fd, EPOLLIN | EPOLLET);
	}
}

static void fork_killed(void)
{
	struct epoll_event e[8];
	int a, b, c, d, ep = epoll_create1(0);
	char byte;

	pair(&a, &b);
	pair(&c, &d);
	CHECK(add(ep, d, EPOLLIN) == 0);
	for (int i = 0; i < 30; i++) {
		pid_t changer = run(changes_for_ever, ep, b), waiter = fork();

		if (waiter == 0) {
			while (epoll_wait(ep, e, 8, -1) > 0)
				;
			_exit(1);
		}
		usleep(10000 + (i % 10) * 777);
		kill(changer, SIGKILL);
		kill(waiter, SIGKILL);
		CHECK(waitpid(changer, NULL, 0) == changer);
		CHECK(waitpid(waiter, NULL, 0) == waiter);
		CHECK(write(c, "1", 1) == 1);
		/* The other socket's item is there or not, and ready or not. */
		CHECK(epoll_wait(ep, e, 8, 5000) >= 1);
		CHECK(read(d, &byte, 1) == 1);
		epoll_ctl(ep, EPOLL_CTL_DEL, b, NULL);
		CHECK(epoll_wait(ep, e, 8, 0) == 0);
	}
}

/* One set, 4 threads in each of 2 processes, one-shot, each byte taken once. */
static int oneshot_ep;

static void *takes_oneshots(void *arg)
{
	struct epoll_event e;
	char byte;

	while (epoll_wait(oneshot_ep, &e, 1, -1) == 1) {
		ssize_t n = read(e.data.fd, &byte, 1);

		CHECK(n >= 0);
		if (n == 0)
			_exit(0);
		counts[0]++;
		CHECK(modify(oneshot_ep, e.data.fd, EPOLLIN | EPOLLONESHOT) == 0);
	}
	return NULL;
}

static void takes_with_threads(int ep, int fd)
{
	pthread_t thread[4];

	oneshot_ep = ep;
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&thread[i], NULL, takes_oneshots, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

static void fork_oneshot_threads(void)
{
	int a[4], b[4], ep = epoll_create1(0);
	pid_t child[2];

	counts = shared_ints();
	for (int i = 0; i < 4; i++) {
		pair(&a[i], &b[i]);
		CHECK(add(ep, b[i], EPOLLIN | EPOLLONESHOT) == 0);
	}
	for (int i = 0; i < 2; i++)
		child[i] = run(takes_with_threads, ep, -1);
	for (int i = 0; i < 2000; i++)
		CHECK(write(a[i % 4], "1", 1) == 1);
	for (int wait = 0; counts[0] < 2000 && wait < 10000; wait++)
		usleep(1000);
	CHECK(counts[0] == 2000);
	for (int i = 0; i < 2; i++) {
		kill(child[i], SIGKILL);
		CHECK(waitpid(child[i], NULL, 0) == child[i]);
	}
}

/* ---- descriptors of sets ---- */

static void dup_of_a_set(void)
{
	struct epoll_event e;
	int a, b, p[2], ep = epoll_create1(0), copy = dup(ep);

	pair(&a, &b);
	CHECK(pipe(p) == 0);
	CHECK(add(ep, b, EPOLLIN) == 0);
	CHECK(close(ep) == 0);
	CHECK(dup2(p[1], ep) == ep);
	CHECK(add(copy, b, EPOLLIN) == -1 && errno == EEXIST);
	CHECK(add(copy, p[0], EPOLLIN) == 0);
	CHECK(epoll_wait(copy, &e, 1, 50) == 0);
	CHECK(write(a, "1", 1) == 1);
	CHECK(epoll_wait(copy, &e, 1, 5000) == 1 && e.data.fd == b);
	CHECK(epoll_ctl(copy, EPOLL_CTL_DEL, b, NULL) == 0);
	CHECK(write(ep, "1", 1) == 1);
	CHECK(epoll_wait(copy, &e, 1, 5000) == 1 && e.data.fd == p[0]);
	CHECK(close(copy) == 0);
	CHECK(epoll_wait(copy, &e, 1, 0) == -1 && errno == EBADF);
}

static void many_sets(void)
{
	struct epoll_event e;
	int a, b;

	pair(&a, &b);
	CHECK(write(a, "1", 1) == 1);
	for (int i = 0; i < 1500; i++) {
		int ep = epoll_create1(EPOLL_CLOEXEC);

		CHECK(ep >= 0);
		CHECK(add(ep, b, EPOLLIN) == 0);
		CHECK(epoll_wait(ep, &e, 1, 5000) == 1 && e.data.fd == b);
		CHECK(close(ep) == 0);
	}
}

/* ---- what is refused ---- */

static void ctl_errors(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int a, b, ep = epoll_create1(0), file = open("/proc/self/exe", O_RDONLY);

	pair(&a, &b);
	CHECK(epoll_create1(1) == -1 && errno == EINVAL);
	CHECK(epoll_create(0) == -1 && errno == EINVAL);
	CHECK(epoll_create(-1) == -1 && errno == EINVAL);
	CHECK(add(ep, file, EPOLLIN) == -1 && errno == EPERM);
	CHECK(add(ep, 9999, EPOLLIN) == -1 && errno == EBADF);
	CHECK(add(9999, b, EPOLLIN) == -1 && errno == EBADF);
	CHECK(add(a, b, EPOLLIN) == -1 && errno == EINVAL);
	CHECK(add(ep, ep, EPOLLIN) == -1 && errno == EINVAL);
	CHECK(modify(ep, b, EPOLLIN) == -1 && errno == ENOENT);
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, b, NULL) == -1 && errno == ENOENT);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, b, NULL) == -1 && errno == EFAULT);
	CHECK(epoll_ctl(ep, 77, b, &e) == -1 && errno == EINVAL);
	CHECK(add(ep, b, EPOLLIN) == 0);
	CHECK(add(ep, b, EPOLLIN) == -1 && errno == EEXIST);
	int copy = dup(b);

	CHECK(add(ep, copy, EPOLLIN) == 0);
	CHECK(epoll_wait(ep, &e, 0, 0) == -1 && errno == EINVAL);
	volatile int none = -1, lots = 0x7fffffff; /* the compiler knows better */

	CHECK(epoll_wait(ep, &e, none, 0) == -1 && errno == EINVAL);
	CHECK(epoll_wait(ep, &e, lots, 0) == -1 && errno == EINVAL);
	CHECK(epoll_wait(a, &e, 1, 0) == -1 && errno == EINVAL);
	CHECK(epoll_wait(9999, &e, 1, 0) == -1 && errno == EBADF);
}

static void exclusive_rules(void)
{
	int a, b, ep = epoll_create1(0), inner = epoll_create1(0);

	pair(&a, &b);
	CHECK(add(ep, b, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT) == -1 && errno == EINVAL);
	CHECK(add(ep, b, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP) == -1 && errno == EINVAL);
	CHECK(add(ep, b, EPOLLIN | EPOLLEXCLUSIVE | EPOLLPRI) == -1 && errno == EINVAL);
	CHECK(add(ep, inner, EPOLLIN | EPOLLEXCLUSIVE) == -1 && errno == EINVAL);
	CHECK(add(ep, b, EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE | EPOLLET | EPOLLWAKEUP) == 0);
	CHECK(modify(ep, b, EPOLLIN) == -1 && errno == EINVAL);
	CHECK(modify(ep, b, EPOLLIN | EPOLLEXCLUSIVE) == -1 && errno == EINVAL);
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, b, NULL) == 0);
	CHECK(add(ep, b, EPOLLIN) == 0);
	CHECK(modify(ep, b, EPOLLIN | EPOLLEXCLUSIVE) == -1 && errno == EINVAL);
	CHECK(modify(ep, b, EPOLLIN | EPOLLWAKEUP) == 0);
}

static const struct shim_case cases[] = {
	{ "fork_child_adds", fork_child_adds },
	{ "fork_child_changes", fork_child_changes },
	{ "fork_before_sockets", fork_before_sockets },
	{ "fork_add_wakes", fork_add_wakes },
	{ "fork_closed_in_one", fork_closed_in_one },
	{ "fork_own_socket_closed", fork_own_socket_closed },
	{ "fork_maker_dies", fork_maker_dies },
	{ "fork_after_a_closed_set", fork_after_a_closed_set },
	{ "fork_edges_are_shared_out", fork_edges_are_shared_out },
	{ "fork_killed", fork_killed },
	{ "fork_oneshot_threads", fork_oneshot_threads },
	{ "dup_of_a_set", dup_of_a_set },
	{ "many_sets", many_sets },
	{ "ctl_errors", ctl_errors },
	{ "exclusive_rules", exclusive_rules },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_cases(cases, argc, argv);
}
