/* SPDX-License-Identifier: BSD-3-Clause */
/* No thundering herd: 32 processes wait for one listener in each way there is, and a connection
 * wakes one of them. Counted are what epoll_wait() and accept() gave the processes, and how often
 * the scheduler put them to sleep, which is how often they were woken. The same on the kernel. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "shim_case.h"

#define WAITERS 32
#define ROUNDS 64  /* connections, one after the other */
#define BURST 256  /* connections at once */
#define SPREAD 960 /* connections for WAITERS listeners of one port */

struct shared {
	_Atomic int waiting; /* processes that are about to wait for the first time */
	_Atomic int woken;   /* epoll_wait() gave an event */
	_Atomic int served;
	_Atomic int by[WAITERS];
	_Atomic long sleeps[WAITERS]; /* so far */
};
static struct shared *sh;

enum way { SHARED_SET, OWN_SETS, ACCEPT, GROUP };

static void until(_Atomic int *count, int value)
{
	for (int i = 0; *count < value; i++) {
		CHECK(i < 20000);
		usleep(500);
	}
}

static void note_sleeps(int me)
{
	struct rusage usage;

	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
	sh->sleeps[me] = usage.ru_nvcsw;
}

static void serve(int l, int me)
{
	int fd = accept(l, NULL, NULL);

	if (fd < 0) {
		CHECK(errno == EAGAIN);
		return;
	}
	sh->by[me]++;
	CHECK(write(fd, "1", 1) == 1);
	CHECK(close(fd) == 0);
	sh->served++;
}

static void waiter(enum way way, int ep, int l, int me)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLEXCLUSIVE };

	if (way == OWN_SETS) {
		ep = epoll_create1(0);
		CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e) == 0);
	}
	sh->waiting++;
	for (;;) {
		note_sleeps(me);
		if (way == SHARED_SET || way == OWN_SETS) {
			CHECK(epoll_wait(ep, &e, 1, -1) == 1);
			sh->woken++;
		}
		serve(l, me);
	}
}

/* Another listener of the port, in its SO_REUSEPORT group. */
static int grouped(unsigned short port_be)
{
	struct sockaddr_in in = loopback(port_be);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	CHECK(listen(fd, 1024) == 0);
	return fd;
}

static long sleeps(void)
{
	long sum = 0;

	for (int i = 0; i < WAITERS; i++)
		sum += sh->sleeps[i];
	return sum;
}

static void one_after_another(unsigned short port, int n)
{
	char byte;

	for (int i = 0; i < n; i++) {
		int served = sh->served, fd = dial(port);

		CHECK(read(fd, &byte, 1) == 1);
		until(&sh->served, served + 1);
		CHECK(close(fd) == 0);
	}
}

/* All are asked for before the first answer is read. */
static void at_once(unsigned short port, int n)
{
	static int fd[SPREAD];
	int served = sh->served;
	char byte;

	for (int i = 0; i < n; i++)
		fd[i] = dial(port);
	for (int i = 0; i < n; i++) {
		struct pollfd p = { .fd = fd[i], .events = POLLIN };

		CHECK(poll(&p, 1, 10000) == 1);
		CHECK(read(fd[i], &byte, 1) == 1);
		CHECK(close(fd[i]) == 0);
	}
	until(&sh->served, served + n);
	CHECK(sh->served == served + n);
}

static void herd(enum way way)
{
	int l = grouped(0), group[WAITERS], ep = epoll_create1(0);
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	unsigned short port = port_of(l);
	pid_t child[WAITERS];
	long before;

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(sh != MAP_FAILED);
	if (way == SHARED_SET || way == OWN_SETS)
		CHECK(fcntl(l, F_SETFL, O_NONBLOCK) == 0);
	if (way == SHARED_SET)
		CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e) == 0);
	for (int i = 0; i < WAITERS; i++) {
		group[i] = way == GROUP && i ? grouped(port) : l;
		child[i] = fork();
		CHECK(child[i] >= 0);
		if (child[i] == 0) {
			waiter(way, ep, group[i], i);
			_exit(0);
		}
	}
	until(&sh->waiting, WAITERS);
	/* Each has found nothing and sleeps. */
	usleep(500000);
	before = sleeps();
	one_after_another(port, ROUNDS);
	usleep(100000);
	printf("woken %d, slept %ld, for %d connections\n", sh->woken, sleeps() - before, ROUNDS);
	CHECK(sh->served == ROUNDS);
	/* One for each connection; that some more are woken now and then is allowed. All of them
	 * would be 2048. */
	if (way == SHARED_SET || way == OWN_SETS)
		CHECK(sh->woken >= ROUNDS / 2 && sh->woken <= ROUNDS + ROUNDS / 4);
	CHECK(sleeps() - before <= 4 * ROUNDS);
	/* Edge-triggered, one accept() an edge: a burst is not for that set. */
	if (way != SHARED_SET)
		at_once(port, way == GROUP ? SPREAD : BURST);
	for (int i = 0; i < WAITERS; i++) {
		/* 31 each on average: by a hash of addresses, so never exactly. */
		if (way == GROUP)
			CHECK(sh->by[i] >= 5 && sh->by[i] <= 90);
		kill(child[i], SIGKILL);
		CHECK(waitpid(child[i], NULL, 0) == child[i]);
	}
}

static void shared_set(void)
{
	herd(SHARED_SET);
}

static void own_sets_exclusive(void)
{
	herd(OWN_SETS);
}

static void blocked_in_accept(void)
{
	herd(ACCEPT);
}

static void reuseport_group(void)
{
	herd(GROUP);
}

/* Who is killed at the moment it is woken takes at most the connection it has with it. */
static void killed_in_accept(void)
{
	unsigned short port;
	int l = grouped(0), killed = 0;
	pid_t child[8];
	char byte;

	port = port_of(l);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(sh != MAP_FAILED);
	for (int i = 0; i < 200; i++) {
		int slot = i % 8, fd;

		if (i >= 8 && i % 2 == 0) {
			fd = dial(port);
			kill(child[slot], SIGKILL);
			CHECK(waitpid(child[slot], NULL, 0) == child[slot]);
			killed++;
		} else if (i >= 8) {
			fd = dial(port);
		} else {
			fd = -1;
		}
		if (i < 8 || i % 2 == 0) {
			child[slot] = fork();
			CHECK(child[slot] >= 0);
			if (child[slot] == 0)
				waiter(ACCEPT, -1, l, slot);
		}
		if (fd < 0)
			continue;
		struct pollfd p = { .fd = fd, .events = POLLIN };

		CHECK(poll(&p, 1, 10000) == 1);
		(void)!read(fd, &byte, 1); /* or it was closed, with the one that had it */
		CHECK(close(fd) == 0);
	}
	CHECK(killed == 96 && sh->served >= 200 - 8 - killed);
	for (int i = 0; i < 8; i++) {
		kill(child[i], SIGKILL);
		CHECK(waitpid(child[i], NULL, 0) == child[i]);
	}
}

static const struct shim_case cases[] = {
	{ "shared_set", shared_set },
	{ "own_sets_exclusive", own_sets_exclusive },
	{ "blocked_in_accept", blocked_in_accept },
	{ "reuseport_group", reuseport_group },
	{ "killed_in_accept", killed_in_accept },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_cases(cases, argc, argv);
}
