/* SPDX-License-Identifier: BSD-3-Clause */
/* No thundering herd: 32 processes wait for one listener in each way there is, or in recv() on one
 * datagram socket, and a connection or a datagram wakes one of them. Counted are what epoll_wait()
 * and accept() gave the processes, and how often the scheduler put them to sleep, which is how
 * often they were woken. The same on the kernel. */
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

/* ---- datagrams ---- */

static void receiver(int fd, int me)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char byte;

	sh->waiting++;
	for (;;) {
		note_sleeps(me);
		CHECK(recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&from, &len) == 1);
		sh->by[me]++;
		CHECK(sendto(fd, &byte, 1, 0, (struct sockaddr *)&from, len) == 1);
		sh->served++;
	}
}

static void receivers(pid_t *child, int fd, int n)
{
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(sh != MAP_FAILED);
	for (int i = 0; i < n; i++) {
		child[i] = fork();
		CHECK(child[i] >= 0);
		if (child[i] == 0)
			receiver(fd, i);
	}
	until(&sh->waiting, n);
	usleep(500000);
}

static void end_all(const pid_t *child, int n)
{
	for (int i = 0; i < n; i++) {
		kill(child[i], SIGKILL);
		CHECK(waitpid(child[i], NULL, 0) == child[i]);
	}
}

/* A socket for many, and one that asks it. */
static void udp_pair(int *fd, int *client)
{
	struct sockaddr_in in = loopback(0);

	*fd = socket(AF_INET, SOCK_DGRAM, 0);
	*client = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(*fd >= 0 && bind(*fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	in.sin_port = port_of(*fd);
	CHECK(*client >= 0 && connect(*client, (struct sockaddr *)&in, sizeof(in)) == 0);
}

static void blocked_in_recv(void)
{
	pid_t child[WAITERS];
	int fd, client;
	long before;
	char byte;

	udp_pair(&fd, &client);
	receivers(child, fd, WAITERS);
	before = sleeps();
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(send(client, "1", 1, 0) == 1);
		CHECK(recv(client, &byte, 1, 0) == 1);
		until(&sh->served, i + 1);
	}
	usleep(100000);
	printf("slept %ld, for %d datagrams\n", sleeps() - before, ROUNDS);
	CHECK(sh->served == ROUNDS && sleeps() - before <= 4 * ROUNDS);
	for (int i = 0; i < BURST; i++)
		CHECK(send(client, "1", 1, 0) == 1);
	for (int i = 0; i < BURST; i++)
		CHECK(recv(client, &byte, 1, 0) == 1);
	until(&sh->served, ROUNDS + BURST);
	end_all(child, WAITERS);
}

/* Who is killed at the moment it is woken takes at most the datagram it has with it. */
static void killed_in_recv(void)
{
	int fd, client, killed = 0;
	pid_t child[8];
	char byte;

	udp_pair(&fd, &client);
	receivers(child, fd, 8);
	for (int i = 0; i < 96; i++) {
		struct pollfd p = { .fd = client, .events = POLLIN };
		int slot = i % 8, served = sh->served;

		CHECK(send(client, "1", 1, 0) == 1);
		kill(child[slot], SIGKILL);
		CHECK(waitpid(child[slot], NULL, 0) == child[slot]);
		killed++;
		child[slot] = fork();
		CHECK(child[slot] >= 0);
		if (child[slot] == 0)
			receiver(fd, slot);
		/* Answered, or gone with the one that had it; the next is answered in any case. */
		CHECK(send(client, "1", 1, 0) == 1);
		CHECK(poll(&p, 1, 10000) == 1);
		while (recv(client, &byte, 1, MSG_DONTWAIT) == 1)
			;
		CHECK(sh->served >= served);
	}
	CHECK(killed == 96);
	end_all(child, 8);
}

/* All hear of the end. */
static void shut_in_recv(void)
{
	pid_t child[8];
	int fd, client;

	udp_pair(&fd, &client);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(sh != MAP_FAILED);
	for (int i = 0; i < 8; i++) {
		char byte;

		child[i] = fork();
		CHECK(child[i] >= 0);
		if (child[i] == 0) {
			sh->waiting++;
			CHECK(recv(fd, &byte, 1, 0) == 0);
			_exit(0);
		}
	}
	until(&sh->waiting, 8);
	usleep(300000);
	(void)shutdown(fd, SHUT_RD); /* ENOTCONN, and it is shut nevertheless */
	for (int i = 0; i < 8; i++)
		reap(child[i]);
	CHECK(close(client) == 0);
}

static void set_timeout(int fd, int us)
{
	struct timeval t = { .tv_usec = us };

	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
}

/* Those who gave up waiting and live on are not woken in another's stead. */
static void left_recv(void)
{
	pid_t child[4];
	int fd, client;
	char byte;

	udp_pair(&fd, &client);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(sh != MAP_FAILED);
	set_timeout(fd, 100000);
	for (int i = 0; i < 4; i++) {
		if (i == 3) {
			until(&sh->waiting, 3);
			set_timeout(fd, 0); /* the socket's, so all processes' */
		}
		child[i] = fork();
		CHECK(child[i] >= 0);
		if (child[i] == 0) {
			CHECK(recv(fd, &byte, 1, 0) == (i < 3 ? -1 : 1));
			sh->waiting++;
			while (i < 3)
				pause();
			_exit(0);
		}
	}
	usleep(200000);
	for (int i = 0; i < 3; i++)
		CHECK(send(client, "1", 1, 0) == 1);
	reap(child[3]);
	end_all(child, 3);
}

static const struct shim_case cases[] = {
	{ "shared_set", shared_set },
	{ "own_sets_exclusive", own_sets_exclusive },
	{ "blocked_in_accept", blocked_in_accept },
	{ "reuseport_group", reuseport_group },
	{ "killed_in_accept", killed_in_accept },
	{ "blocked_in_recv", blocked_in_recv },
	{ "killed_in_recv", killed_in_recv },
	{ "shut_in_recv", shut_in_recv },
	{ "left_recv", left_recv },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_cases(cases, argc, argv);
}
