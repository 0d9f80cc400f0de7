/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the calls themselves cost, on the network that this program is started on:
 *
 *   calls cost IDLE   nanoseconds of one send(), recv() and epoll_wait() that find room, data, a
 *                     ready socket; and, with IDLE idle connections in the set, round trips a
 * second of one busy connection calls accept S    connections a second that one process takes and
 * closes, for S seconds; 32 are on their way at a time
 *
 * Both ends are here, over 127.0.0.1. One JSON object on standard output.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BURST 256 /* calls between two looks at the clock */
#define BURSTS 400
#define MESSAGE_BYTES 64
#define ROUND_TRIPS 20000
#define ON_THE_WAY 32
#define PORT 7199

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static const struct sockaddr_in at = { .sin_family = AF_INET,
				       .sin_port = (PORT >> 8 | (PORT & 0xff) << 8),
				       .sin_addr = { 0x0100007f } };

static int listener(void)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1024) < 0)
		die("listen");
	return fd;
}

static void nodelay(int fd)
{
	int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		die("TCP_NODELAY");
}

static void make_pair(int listen_fd, int pair[2])
{
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (pair[0] < 0 || connect(pair[0], (const struct sockaddr *)&at, sizeof(at)) < 0)
		die("connect");
	pair[1] = accept(listen_fd, NULL, NULL);
	if (pair[1] < 0)
		die("accept");
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static void wait_for(int fd, int bytes)
{
	int there = 0;

	while (there < bytes) {
		if (ioctl(fd, FIONREAD, &there) < 0)
			die("FIONREAD");
	}
}

static void take_all(int fd, size_t bytes)
{
	static char sink[BURST * MESSAGE_BYTES];

	while (bytes) {
		ssize_t n = recv(fd, sink, bytes, 0);

		if (n <= 0)
			die("recv");
		bytes -= (size_t)n;
	}
}

static double send_cost(const int pair[2])
{
	static const char message[MESSAGE_BYTES];
	double ns[BURSTS];

	for (int b = 0; b < BURSTS; b++) {
		uint64_t start = now_ns();

		for (int i = 0; i < BURST; i++) {
			if (send(pair[0], message, sizeof(message), 0) != sizeof(message))
				die("send");
		}
		ns[b] = (double)(now_ns() - start) / BURST;
		take_all(pair[1], BURST * MESSAGE_BYTES);
	}
	return median(ns, BURSTS);
}

static double recv_cost(const int pair[2])
{
	static const char all[BURST * MESSAGE_BYTES];
	char message[MESSAGE_BYTES];
	double ns[BURSTS];

	for (int b = 0; b < BURSTS; b++) {
		uint64_t start;

		if (send(pair[0], all, sizeof(all), 0) != sizeof(all))
			die("send");
		wait_for(pair[1], sizeof(all));
		start = now_ns();
		for (int i = 0; i < BURST; i++) {
			if (recv(pair[1], message, sizeof(message), 0) != sizeof(message))
				die("recv");
		}
		ns[b] = (double)(now_ns() - start) / BURST;
	}
	return median(ns, BURSTS);
}

static void watch(int set, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static double wait_cost(int set, const int pair[2])
{
	struct epoll_event events[64];
	double ns[BURSTS];

	if (send(pair[0], "x", 1, 0) != 1)
		die("send");
	wait_for(pair[1], 1);
	for (int b = 0; b < BURSTS; b++) {
		uint64_t start = now_ns();

		for (int i = 0; i < BURST; i++) {
			if (epoll_wait(set, events, 64, -1) != 1)
				die("epoll_wait");
		}
		ns[b] = (double)(now_ns() - start) / BURST;
	}
	take_all(pair[1], 1);
	return median(ns, BURSTS);
}

/* Round trips a second of one connection whose server end is in the set. */
static double busy_rate(int set, const int pair[2])
{
	struct epoll_event event;
	char message[MESSAGE_BYTES] = { 0 };
	uint64_t start = now_ns();

	for (int i = 0; i < ROUND_TRIPS; i++) {
		if (send(pair[0], message, sizeof(message), 0) != sizeof(message) ||
		    epoll_wait(set, &event, 1, -1) != 1 ||
		    recv(event.data.fd, message, sizeof(message), 0) != sizeof(message) ||
		    send(event.data.fd, message, sizeof(message), 0) != sizeof(message) ||
		    recv(pair[0], message, sizeof(message), 0) != sizeof(message))
			die("a round trip");
	}
	return ROUND_TRIPS / ((double)(now_ns() - start) / 1e9);
}

/* The other ends of the idle connections are a child's: each process has its own limit. */
static pid_t add_idle(int set, int listen_fd, int idle)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	for (int i = 0; i < idle; i++) {
		int fd;

		if (child) {
			fd = accept(listen_fd, NULL, NULL);
			if (fd < 0)
				die("accept");
			watch(set, fd);
			continue;
		}
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
			die("connect");
	}
	if (child == 0)
		pause();
	return child;
}

static int cost(int idle)
{
	struct rlimit limit;
	int listen_fd, set, pair[2];
	double send_ns, recv_ns, wait_ns, few, many;
	pid_t child;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("RLIMIT_NOFILE");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("RLIMIT_NOFILE");
	listen_fd = listener();
	make_pair(listen_fd, pair);
	nodelay(pair[0]);
	nodelay(pair[1]);
	set = epoll_create1(0);
	watch(set, pair[1]);
	send_ns = send_cost(pair);
	recv_ns = recv_cost(pair);
	wait_ns = wait_cost(set, pair);
	few = busy_rate(set, pair);
	child = add_idle(set, listen_fd, idle);
	many = busy_rate(set, pair);
	printf("{\"call_send_ns\": %.1f, \"call_recv_ns\": %.1f, \"call_epoll_wait_ns\": %.1f, "
	       "\"call_epoll_wait_idle_ns\": %.1f, \"busy_alone\": %.0f, \"busy_beside_idle\": "
	       "%.0f}\n",
	       send_ns, recv_ns, wait_ns, wait_cost(set, pair), few, many);
	fflush(stdout);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

/* ---- accept ---- */

static void start_one(int set)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		die("socket");
	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 && errno != EINPROGRESS)
		die("connect");
	event.data.fd = fd;
	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static _Noreturn void call_for_ever(void)
{
	struct epoll_event events[ON_THE_WAY];
	int set = epoll_create1(0);

	for (int i = 0; i < ON_THE_WAY; i++)
		start_one(set);
	for (;;) {
		int n = epoll_wait(set, events, ON_THE_WAY, -1);

		for (int i = 0; i < n; i++) {
			close(events[i].data.fd);
			start_one(set);
		}
	}
}

static int accept_rate(double seconds)
{
	int listen_fd = listener();
	uint64_t start, taken = 0, end_ns = (uint64_t)(seconds * 1e9);
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (child == 0) {
		close(listen_fd);
		call_for_ever();
	}
	start = now_ns();
	do {
		int fd = accept(listen_fd, NULL, NULL);

		if (fd < 0)
			die("accept");
		close(fd);
		taken++;
	} while (now_ns() - start < end_ns);
	printf("{\"accept_rate\": %.0f}\n", (double)taken / ((double)(now_ns() - start) / 1e9));
	fflush(stdout);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "cost") == 0)
		return cost(atoi(argv[2]));
	if (argc == 3 && strcmp(argv[1], "accept") == 0)
		return accept_rate(atof(argv[2]));
	fprintf(stderr, "usage: calls cost IDLE | calls accept SECONDS\n");
	return 2;
}
