/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One end of what happens between programs, to be linked in any way: giving and taking a connection
 * over a UNIX socket, serving what was inherited, and living like a daemon. What is answered to the
 * client names the answering program's first argument.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static const char *kind;

/* A line comes, the answer goes: "KIND got LINE". */
static void answer(int fd)
{
	char line[100] = "", text[200];
	ssize_t n = read(fd, line, sizeof(line) - 1);

	CHECK(n > 0);
	n = snprintf(text, sizeof(text), "%s got %s", kind, line);
	CHECK(write(fd, text, n) == n && close(fd) == 0);
}

static int listening(int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 && listen(fd, 50) == 0);
	return fd;
}

/* ---- over a UNIX socket ---- */

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int unix_socket(const char *path, struct sockaddr_un *sun)
{
	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strncpy(sun->sun_path, path, sizeof(sun->sun_path) - 1);
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static void give(const char *path, int port)
{
	union control control = { .bytes = "" };
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	struct sockaddr_un sun;
	int u = unix_socket(path, &sun), fd;

	CHECK(connect(u, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	fd = accept(listening(port), NULL, NULL);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	CHECK(fd >= 0 && sendmsg(u, &msg, 0) == 1);
}

static void take(const char *path)
{
	union control control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct sockaddr_un sun;
	int listener = unix_socket(path, &sun), u, fd;

	CHECK(bind(listener, (struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	      listen(listener, 1) == 0);
	u = accept(listener, NULL, NULL);
	CHECK(u >= 0 && recvmsg(u, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	answer(fd);
}

/* ---- a life ---- */

static void *serve(void *arg)
{
	answer((int)(long)arg);
	return NULL;
}

/* Each connection by a thread, a child, or a program that a child of vfork() becomes, in turn. */
static void serve_all(int listener, char **self)
{
	char number[16], *argv[] = { self[0], self[1], "inherited", number, NULL };
	pthread_t thread;

	for (unsigned int turn = 0;; turn++) {
		int fd = accept(listener, NULL, NULL), status;
		pid_t pid;

		CHECK(fd >= 0);
		if (turn % 3 == 0) {
			CHECK(pthread_create(&thread, NULL, serve, (void *)(long)fd) == 0);
			CHECK(pthread_join(thread, NULL) == 0);
			continue;
		}
		snprintf(number, sizeof(number), "%d", fd);
		pid = turn % 3 == 1 ? fork() : vfork();
		if (pid == 0 && turn % 3 == 1) {
			answer(fd);
			_exit(0);
		} else if (pid == 0) {
			execv(argv[0], argv);
			_exit(1);
		}
		CHECK(close(fd) == 0 && waitpid(pid, &status, 0) == pid && status == 0);
	}
}

/* Away from who started it, with the number of its process in a file. */
static void become_daemon(const char *pid_file)
{
	FILE *f;

	if (fork())
		_exit(0);
	CHECK(setsid() > 0);
	if (fork())
		_exit(0);
	CHECK(chdir("/") == 0 && (f = fopen(pid_file, "w")));
	fprintf(f, "%d\n", getpid());
	fclose(f);
}

/* ---- names ---- */

static void name(const char *host)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found;
	char text[INET_ADDRSTRLEN];
	int err = getaddrinfo(host, NULL, &hints, &found);

	printf("%s\n", err ? gai_strerror(err)
			   : inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr,
				       text, sizeof(text)));
}

int main(int argc, char **argv)
{
	kind = argv[1];
	if (strcmp(argv[2], "give") == 0)
		give(argv[3], atoi(argv[4]));
	else if (strcmp(argv[2], "take") == 0)
		take(argv[3]);
	else if (strcmp(argv[2], "inherited") == 0)
		answer(atoi(argv[3]));
	else if (strcmp(argv[2], "listener") == 0)
		answer(accept(atoi(argv[3]), NULL, NULL));
	else if (strcmp(argv[2], "name") == 0)
		name(argv[3]);
	else {
		int listener = listening(atoi(argv[3]));

		if (argc > 4)
			become_daemon(argv[4]);
		serve_all(listener, argv);
	}
	return 0;
}
