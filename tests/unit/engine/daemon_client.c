/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon_client.h"

const char *weird_path;
char rundir[64];

/* ---- the daemon ---- */

pid_t start(const char *instance, int log_fd, bool *ready)
{
	char number[16], word[8] = "";
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	snprintf(number, sizeof(number), "%d", fds[1]);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		dup2(log_fd >= 0 ? log_fd : null, 2);
		close(fds[0]);
		execl(weird_path, "weird", "--instance", instance, "--rundir", rundir, "--ready-fd",
		      number, "--packets", "4096", NULL);
		_exit(127);
	}
	close(fds[1]);
	*ready = read(fds[0], word, 6) == 6 && strcmp(word, "ready\n") == 0;
	close(fds[0]);
	return pid;
}

int end(pid_t pid, int sig)
{
	int status = 0;

	if (sig)
		kill(pid, sig);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

int dial(const char *instance, const char *name, int type)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s/%s", rundir, instance, name);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

const char *ask(const char *request)
{
	static char answer[65536];
	int fd = dial("t", "ctl.sock", SOCK_STREAM);
	size_t len = 0;
	ssize_t n;

	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	while ((n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	close(fd);
	return answer;
}

/* ---- a program ---- */

void say(int fd, const struct abi_msg *msg, const int *fds, unsigned int n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * FDS)] = "";
	struct iovec iov = { .iov_base = (void *)msg, .iov_len = sizeof(*msg) };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * n);
	}
	assert_int_equal(sendmsg(fd, &header, MSG_NOSIGNAL), sizeof(*msg));
}

ssize_t hear(int fd, struct abi_msg *msg, int fds[FDS], unsigned int *n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * FDS)];
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };
	ssize_t len = recvmsg(fd, &header, 0);
	struct cmsghdr *c = len > 0 ? CMSG_FIRSTHDR(&header) : NULL;

	*n = 0;
	if (c) {
		*n = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), *n * sizeof(int));
	}
	return len < 0 ? 0 : len;
}

struct abi_msg message(uint32_t type)
{
	struct abi_msg msg = { .type = type, .version = ABI_VERSION };

	strcpy(msg.text, "test");
	return msg;
}

void ring(void *arg)
{
	struct program *p = arg;

	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&p->page->worker[0].sleeping))
		eventfd_write(p->worker_bell, 1);
	sched_yield();
}

void make_channel(struct program *p)
{
	struct abi_msg msg = message(ABI_MSG_CHANNEL);
	unsigned int n;
	int fds[FDS];

	msg.arg[0] = ABI_CQ_THREAD;
	say(p->fd, &msg, NULL, 0);
	assert_int_equal(hear(p->fd, &msg, fds, &n), sizeof(msg));
	assert_int_equal(msg.error, 0);
	assert_int_equal(n, 1);
	p->bell = fds[0];
	p->app.channel = (struct abi_channel *)(p->app.base + msg.arg[1]);
	p->app.run = ring;
	p->app.arg = p;
}

void attach(struct program *p)
{
	struct abi_msg msg = message(ABI_MSG_HELLO);
	unsigned int n;
	int fds[FDS];

	memset(p, 0, sizeof(*p));
	p->fd = dial("t", "app.sock", SOCK_SEQPACKET);
	say(p->fd, &msg, NULL, 0);
	assert_int_equal(hear(p->fd, &msg, fds, &n), sizeof(msg));
	assert_int_equal(msg.error, 0);
	assert_int_equal(n, 3);
	p->bytes = msg.arg[0];
	p->app.base = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	assert_ptr_not_equal(p->app.base, MAP_FAILED);
	p->page = mmap(NULL, sizeof(*p->page), PROT_READ, MAP_SHARED, fds[1], 0);
	assert_ptr_not_equal(p->page, MAP_FAILED);
	p->worker_bell = fds[2];
	close(fds[0]);
	close(fds[1]);
	make_channel(p);
}

void detach(struct program *p)
{
	close(p->fd);
	close(p->bell);
	close(p->worker_bell);
	munmap(p->app.base, p->bytes);
	munmap((void *)p->page, sizeof(*p->page));
}

void expect_hangup(int fd)
{
	struct abi_msg msg;
	unsigned int n;
	int fds[FDS];

	while (hear(fd, &msg, fds, &n) > 0)
		;
}

void expect_alive(void)
{
	struct program p;

	attach(&p);
	detach(&p);
	assert_non_null(strstr(ask("{\"cmd\":\"ping\"}\n"), "{"));
}
