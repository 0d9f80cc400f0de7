/* SPDX-License-Identifier: BSD-3-Clause */
/* One epoll set with very many sockets: waiting costs what it costs with ten. PROCESSES make
 * SOCKETS each and add them to a set that they share. */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "shim_case.h"

#define FEW 10
#define BATCHES 40
#define WAITS 250

static _Atomic int *made;

static void add(int ep, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0);
}

static void fill(int ep, int sockets)
{
	for (int i = 0; i < sockets; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		CHECK(fd >= 0);
		add(ep, fd);
	}
	++*made;
	for (;;)
		pause();
}

/* Nanoseconds of a datagram that is waited for and read, in the best of batches. */
static double batch(int ep, int rx, int tx, const struct sockaddr_in *to)
{
	double start = seconds();
	struct epoll_event e[4];
	char byte;

	for (int i = 0; i < WAITS; i++) {
		CHECK(sendto(tx, "x", 1, 0, (const struct sockaddr *)to, sizeof(*to)) == 1);
		CHECK(epoll_wait(ep, e, 4, 10000) == 1);
		CHECK(e[0].data.fd == rx && e[0].events == EPOLLIN);
		CHECK(recv(rx, &byte, 1, 0) == 1);
	}
	return (seconds() - start) / WAITS * 1e9;
}

int main(int argc, char **argv)
{
	int processes = argc > 1 ? atoi(argv[1]) : 1, sockets = argc > 2 ? atoi(argv[2]) : 1000;
	int set[2] = { epoll_create1(0), epoll_create1(0) }, rx[2], tx;
	double best[2] = { 1e12, 1e12 }, start = seconds();
	struct sockaddr_in to[2];
	pid_t child[128];

	CHECK(processes <= 128);
	made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(made != MAP_FAILED);
	for (int i = 0; i < processes; i++) {
		child[i] = fork();
		CHECK(child[i] >= 0);
		if (child[i] == 0)
			fill(set[1], sockets);
	}
	for (int i = 0; *made < processes; i++) {
		CHECK(i < 60000);
		usleep(5000);
	}
	tx = socket(AF_INET, SOCK_DGRAM, 0);
	for (int i = 0; i < FEW; i++)
		add(set[0], socket(AF_INET, SOCK_DGRAM, 0));
	for (int i = 0; i < 2; i++) {
		struct epoll_event e;

		to[i] = loopback(0);
		rx[i] = socket(AF_INET, SOCK_DGRAM, 0);
		CHECK(bind(rx[i], (struct sockaddr *)&to[i], sizeof(to[i])) == 0);
		to[i].sin_port = port_of(rx[i]);
		add(set[i], rx[i]);
		CHECK(epoll_wait(set[i], &e, 1, 0) == 0);
	}
	printf("%d sockets in %.1f s\n", processes * sockets, seconds() - start);
	/* In turn, so that what else the machine does is with both. */
	for (int n = 0; n < 2 * BATCHES; n++) {
		double ns = batch(set[n % 2], rx[n % 2], tx, &to[n % 2]);

		if (ns < best[n % 2])
			best[n % 2] = ns;
	}
	printf("few %.0f ns, many %.0f ns\n", best[0], best[1]);
	CHECK(best[1] < 2 * best[0]);
	for (int i = 0; i < processes; i++) {
		kill(child[i], SIGKILL);
		CHECK(waitpid(child[i], NULL, 0) == child[i]);
	}
	return 0;
}
