/* SPDX-License-Identifier: BSD-3-Clause */
/* What the shim's test programs share: a failed check says where and ends the process with 1. */
#ifndef WEIR_TESTS_SYSTEM_SHIM_CASE_H
#define WEIR_TESTS_SYSTEM_SHIM_CASE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s (errno %d %s)\n", __FILE__, __LINE__,           \
				#condition, errno, strerror(errno));                               \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

struct shim_case {
	const char *name;
	void (*run)(void);
};

static inline struct sockaddr_in loopback(unsigned short port_be)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = port_be,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static inline unsigned short port_of(int fd)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);

	CHECK(getsockname(fd, (struct sockaddr *)&in, &len) == 0);
	return in.sin_port;
}

/* A listener on 127.0.0.1, port chosen by the stack. */
static inline int listener(unsigned short *port_be)
{
	struct sockaddr_in in = loopback(0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	CHECK(listen(fd, 64) == 0);
	*port_be = port_of(fd);
	CHECK(*port_be != 0);
	return fd;
}

static inline int dial(unsigned short port_be)
{
	struct sockaddr_in in = loopback(port_be);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK(connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	return fd;
}

/* Both ends of a connection. */
static inline void pair(int *a, int *b)
{
	unsigned short port;
	int l = listener(&port);

	*a = dial(port);
	*b = accept(l, NULL, NULL);
	CHECK(*b >= 0);
	CHECK(close(l) == 0);
}

static inline void read_all(int fd, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = read(fd, (char *)buf + done, n - done);

		CHECK(r > 0);
		done += (size_t)r;
	}
}

static inline double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static inline void reap(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline int run_cases(const struct shim_case *cases, int argc, char **argv)
{
	/* Without a name: list them. */
	for (; cases->name; cases++) {
		if (argc < 2) {
			puts(cases->name);
		} else if (strcmp(cases->name, argv[1]) == 0) {
			alarm(20);
			cases->run();
			return 0;
		}
	}
	return argc < 2 ? 0 : 2;
}

#endif
