/* SPDX-License-Identifier: BSD-3-Clause */
/* A program that is linked statically: sockets, threads, processes, signals, memory. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#define THREADS 8
#define TURNS 200

static volatile sig_atomic_t caught;
static __thread int own;

static void handler(int sig)
{
	caught++;
}

static int listening(struct sockaddr_in *sin)
{
	socklen_t len = sizeof(*sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*sin = (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)sin, sizeof(*sin)) == 0);
	CHECK(listen(fd, 100) == 0 && getsockname(fd, (struct sockaddr *)sin, &len) == 0);
	return fd;
}

static int connected(const struct sockaddr_in *sin)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)sin, sizeof(*sin)) == 0);
	return fd;
}

static void echo(int fd)
{
	char buf[1000];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		CHECK(write(fd, buf, n) == n);
	close(fd);
}

static void talk(int fd, int value)
{
	char buf[100];

	for (int i = 0; i < TURNS; i++) {
		memset(buf, value + i, sizeof(buf));
		CHECK(send(fd, buf, sizeof(buf), 0) == sizeof(buf));
		CHECK(recv(fd, buf, sizeof(buf), MSG_WAITALL) == sizeof(buf));
		CHECK(buf[99] == (char)(value + i));
	}
	close(fd);
}

/* ---- threads ---- */

static void *serve(void *arg)
{
	own = 1;
	echo((int)(long)arg);
	CHECK(own == 1);
	return arg;
}

static struct sockaddr_in address;

static void *ask(void *arg)
{
	own = (int)(long)arg;
	talk(connected(&address), own);
	CHECK(own == (int)(long)arg);
	return NULL;
}

static void threads(void)
{
	int listener = listening(&address);
	pthread_t clients[THREADS], servers[THREADS];
	void *result;

	for (int round = 0; round < 3; round++) {
		for (long i = 0; i < THREADS; i++)
			CHECK(pthread_create(&clients[i], NULL, ask, (void *)i) == 0);
		for (int i = 0; i < THREADS; i++) {
			long fd = accept(listener, NULL, NULL);

			CHECK(fd >= 0);
			CHECK(pthread_create(&servers[i], NULL, serve, (void *)fd) == 0);
		}
		for (int i = 0; i < THREADS; i++) {
			CHECK(pthread_join(clients[i], NULL) == 0);
			CHECK(pthread_join(servers[i], &result) == 0 && result != NULL);
		}
	}
	close(listener);
}

static void *nothing(void *arg)
{
	return NULL;
}

/* Detached ones give their own stacks back. */
static void many_threads(void)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 300; i++) {
		while (pthread_create(&t, &attr, nothing, NULL) != 0)
			usleep(1000);
	}
}

/* ---- processes ---- */

static void forks(void)
{
	struct sockaddr_in sin;
	int listener = listening(&sin), status;

	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			talk(connected(&sin), i);
			_exit(40 + i);
		}
		echo(accept(listener, NULL, NULL));
		CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 40 + i);
	}
	close(listener);
}

/* ---- a socket of weir's over a UNIX socket ---- */

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static void carry(struct msghdr *msg, struct iovec *iov, union control *control, char *byte)
{
	*iov = (struct iovec){ byte, 1 };
	*msg = (struct msghdr){ .msg_iov = iov,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(*control) };
}

static void put_fd(struct msghdr *msg, int fd)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
}

static int got_fd(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd;

	CHECK(c != NULL && c->cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* The child: one answer on each connection that it is given, in one message or several at once. */
static void takes(int u, int many)
{
	struct mmsghdr v[2];
	union control control[2];
	struct iovec iov[2];
	char bytes[2];

	for (int i = 0; i < 2; i++)
		carry(&v[i].msg_hdr, &iov[i], &control[i], &bytes[i]);
	if (many)
		CHECK(recvmmsg(u, v, 2, 0, NULL) == 2);
	for (int i = 0; i < 2; i++) {
		if (!many)
			CHECK(recvmsg(u, &v[i].msg_hdr, 0) == 1);
		CHECK(write(got_fd(&v[i].msg_hdr), "y", 1) == 1);
	}
	_exit(0);
}

static void gives(int u, const int *fds, int many)
{
	struct mmsghdr v[2];
	union control control[2] = { { .bytes = "" } };
	struct iovec iov[2];
	char bytes[2] = "pq";

	for (int i = 0; i < 2; i++) {
		carry(&v[i].msg_hdr, &iov[i], &control[i], &bytes[i]);
		put_fd(&v[i].msg_hdr, fds[i]);
		if (!many)
			CHECK(sendmsg(u, &v[i].msg_hdr, 0) == 1);
	}
	if (many)
		CHECK(sendmmsg(u, v, 2, 0) == 2);
}

static void passes(int many)
{
	struct sockaddr_in sin;
	int listener = listening(&sin), clients[2], fds[2], pair[2], status;
	char got[2] = "";
	pid_t pid;

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	for (int i = 0; i < 2; i++)
		clients[i] = connected(&sin);
	pid = fork();
	if (pid == 0) {
		close(clients[0]);
		close(clients[1]);
		takes(pair[1], many);
	}
	for (int i = 0; i < 2; i++)
		fds[i] = accept(listener, NULL, NULL);
	gives(pair[0], fds, many);
	for (int i = 0; i < 2; i++) {
		CHECK(recv(clients[i], got, 1, 0) == 1 && got[0] == 'y');
		close(fds[i]);
		close(clients[i]);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	close(listener);
	close(pair[0]);
	close(pair[1]);
}

static void programs(void)
{
	char line[100] = "";
	FILE *f = popen("echo from a shell", "r");

	CHECK(f && fgets(line, sizeof(line), f) && pclose(f) == 0);
	CHECK(strcmp(line, "from a shell\n") == 0);
	CHECK(system("exit 7") == 7 << 8);
}

/* ---- waiting, signals ---- */

static void waits(void)
{
	struct sockaddr_in sin;
	int listener = listening(&sin), ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 77 };
	struct timespec ts = { 0, 10000000 };
	struct timeval tv = { 0, 10000 };
	int client = connected(&sin), server = accept(listener, NULL, NULL);
	struct pollfd pfd = { .fd = server, .events = POLLIN };
	sigset_t mask;
	fd_set set;

	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, server, &ev) == 0);
	CHECK(epoll_wait(ep, &ev, 1, 10) == 0);
	sigemptyset(&mask);
	CHECK(ppoll(&pfd, 1, &ts, &mask) == 0);
	FD_ZERO(&set);
	FD_SET(server, &set);
	CHECK(select(server + 1, &set, NULL, NULL, &tv) == 0);
	CHECK(write(client, "x", 1) == 1);
	CHECK(epoll_wait(ep, &ev, 1, 5000) == 1 && ev.data.u32 == 77);
	FD_SET(server, &set);
	ts.tv_sec = 5;
	CHECK(pselect(server + 1, &set, NULL, NULL, &ts, &mask) == 1);
	CHECK(poll(&pfd, 1, 5000) == 1);
	close(client);
	close(server);
	close(ep);
	close(listener);
}

static void interrupts(int flags)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags }, old;
	struct sockaddr_in sin;
	int listener = listening(&sin);
	timer_t timer;
	struct itimerspec when = { .it_value.tv_nsec = 30000000, .it_interval.tv_nsec = 30000000 };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };

	caught = 0;
	CHECK(sigaction(SIGUSR1, &act, NULL) == 0 && sigaction(SIGUSR1, NULL, &old) == 0);
	CHECK(old.sa_handler == handler);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(timer_settime(timer, 0, &when, NULL) == 0);
	if (flags & SA_RESTART) {
		int fd = connected(&sin);
		struct timeval tv = { .tv_sec = 10 };

		CHECK(poll(NULL, 0, 1000) == -1 && errno == EINTR);
		CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
		CHECK(accept(listener, NULL, NULL) >= 0);
		close(fd);
	} else {
		CHECK(accept(listener, NULL, NULL) == -1 && errno == EINTR);
	}
	CHECK(caught >= 1);
	timer_delete(timer);
	signal(SIGUSR1, SIG_DFL);
	close(listener);
}

/* ---- memory ---- */

static void memory(void)
{
	char *blocks[200];

	for (int i = 0; i < 200; i++) {
		blocks[i] = malloc(1000 + i * 700);
		CHECK(blocks[i]);
		memset(blocks[i], i, 1000 + i * 700);
	}
	for (int i = 0; i < 200; i++) {
		CHECK(blocks[i][999] == (char)i);
		free(blocks[i]);
	}
}

int main(int argc, char **argv)
{
	char path[4096] = "";

	alarm(50);
	CHECK(argc == 3 && strcmp(argv[2], "two three") == 0);
	CHECK(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	CHECK(strcmp(strrchr(path, '/'), strrchr(argv[0], '/')) == 0);
	CHECK(getenv("PATH") != NULL && getenv("WEIR_LAUNCH") == NULL);
	memory();
	waits();
	interrupts(0);
	interrupts(SA_RESTART);
	forks();
	passes(0);
	passes(1);
	programs();
	threads();
	many_threads();
	printf("all is well\n");
	return 0;
}
