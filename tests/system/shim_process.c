/* SPDX-License-Identifier: BSD-3-Clause */
/* dup, fork, exec, close-on-exec, killed peers, closed descriptors, and datagrams. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>

#include "shim_case.h"

extern char **environ;

static void dups(void)
{
	char buf[4];
	int a, b;

	pair(&a, &b);
	int c = dup(a), d = fcntl(a, F_DUPFD_CLOEXEC, 200);

	CHECK(c >= 0 && d >= 200 && (fcntl(d, F_GETFD) & FD_CLOEXEC));
	/* O_NONBLOCK belongs to the open file: every dup sees it. */
	CHECK(fcntl(c, F_SETFL, O_NONBLOCK) == 0 && (fcntl(a, F_GETFL) & O_NONBLOCK));
	CHECK(close(a) == 0 && close(c) == 0);
	CHECK(write(d, "hi", 2) == 2);
	read_all(b, buf, 2);
	CHECK(dup2(d, 300) == 300 && close(d) == 0);
	CHECK(write(300, "ho", 2) == 2);
	read_all(b, buf, 2);
	/* The last one closed ends the connection. */
	int null = open("/dev/null", O_RDWR);

	CHECK(dup2(null, 300) == 300);
	CHECK(read(b, buf, 1) == 0);
	CHECK(write(300, "to null", 7) == 7);
}

static void workers(void)
{
	enum { WORKERS = 2, CALLS = 40 };
	unsigned short port;
	int l = listener(&port);
	pid_t pid[WORKERS];
	char byte;

	CHECK(fcntl(l, F_SETFL, O_NONBLOCK) == 0);
	for (int w = 0; w < WORKERS; w++) {
		pid[w] = fork();
		if (pid[w])
			continue;
		for (;;) {
			struct pollfd p = { .fd = l, .events = POLLIN };

			CHECK(poll(&p, 1, 10000) == 1);
			int fd = accept(l, NULL, NULL);

			if (fd < 0) {
				CHECK(errno == EAGAIN);
				continue;
			}
			CHECK(read(fd, &byte, 1) == 1);
			CHECK(write(fd, &byte, 1) == 1);
			close(fd);
			if (byte == 'q')
				_exit(0);
		}
	}
	for (int i = 0; i < CALLS; i++) {
		int fd = dial(port);

		CHECK(write(fd, "c", 1) == 1 && read(fd, &byte, 1) == 1 && byte == 'c');
		close(fd);
	}
	for (int w = 0; w < WORKERS; w++) {
		int fd = dial(port);

		CHECK(write(fd, "q", 1) == 1 && read(fd, &byte, 1) == 1);
		close(fd);
	}
	for (int w = 0; w < WORKERS; w++)
		reap(pid[w]);
}

static void parent_closes(void)
{
	char byte;
	int a, b;

	pair(&a, &b);
	pid_t pid = fork();

	if (pid == 0) {
		close(b);
		usleep(100000);
		CHECK(write(a, "k", 1) == 1);
		_exit(0);
	}
	/* The child's reference keeps the connection. */
	close(a);
	CHECK(read(b, &byte, 1) == 1 && byte == 'k');
	CHECK(read(b, &byte, 1) == 0);
	reap(pid);
}

/* The image that execs() starts: argv[2] is the descriptor, argv[3] one that must not be there. */
static void exec_child(char **argv)
{
	int fd = atoi(argv[2]), gone = atoi(argv[3]);
	char byte;

	CHECK(getenv("WEIR_SESSION") == NULL);
	CHECK(fcntl(gone, F_GETFD) == -1 && errno == EBADF);
	CHECK(read(fd, &byte, 1) == 1 && byte == 'e');
	CHECK(write(fd, "f", 1) == 1);
	/* And sockets of its own. */
	int a, b;

	pair(&a, &b);
	CHECK(write(a, "x", 1) == 1 && read(b, &byte, 1) == 1);
	_exit(0);
}

static void execs(void)
{
	char fd[16], gone[16], byte;
	int a, b, c, d;

	pair(&a, &b);
	pair(&c, &d);
	CHECK(fcntl(c, F_SETFD, FD_CLOEXEC) == 0);
	snprintf(fd, sizeof(fd), "%d", a);
	snprintf(gone, sizeof(gone), "%d", c);
	pid_t pid = fork();

	if (pid == 0) {
		char *argv[] = { "shim_process", "exec-child", fd, gone, NULL };
		char *nothing[] = { NULL };

		execve("/nonexistent", argv, nothing);
		CHECK(errno == ENOENT);
		execve("/proc/self/exe", argv, nothing);
		_exit(9);
	}
	close(a);
	close(c);
	/* Close-on-exec: the new image has let go of it. */
	CHECK(read(d, &byte, 1) == 0);
	CHECK(write(b, "e", 1) == 1);
	CHECK(read(b, &byte, 1) == 1 && byte == 'f');
	CHECK(read(b, &byte, 1) == 0);
	reap(pid);
}

static void spawns(void)
{
	char *argv[] = { "true", NULL };
	char byte;
	pid_t pid;
	int a, b;

	pair(&a, &b);
	CHECK(posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0);
	reap(pid);
	CHECK(system("exit 0") == 0);
	pid = vfork();
	if (pid == 0) {
		execlp("true", "true", NULL);
		_exit(9);
	}
	reap(pid);
	CHECK(write(a, "x", 1) == 1 && read(b, &byte, 1) == 1);
}

static void killed_peer(void)
{
	unsigned short port;
	int l = listener(&port);
	char buf[1024];
	ssize_t n;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = dial(port);

		for (;;)
			CHECK(write(fd, buf, sizeof(buf)) > 0);
	}
	int fd = accept(l, NULL, NULL);

	CHECK(read(fd, buf, sizeof(buf)) > 0);
	CHECK(kill(pid, SIGKILL) == 0);
	do
		n = read(fd, buf, sizeof(buf));
	while (n > 0);
	CHECK(n == 0 || errno == ECONNRESET);
	CHECK(waitpid(pid, NULL, 0) == pid);
	/* The others go on. */
	int a, b;

	pair(&a, &b);
	CHECK(write(a, "x", 1) == 1 && read(b, buf, 1) == 1);
}

static void close_everything(void)
{
	char byte;
	int a, b;

	pair(&a, &b);
	for (int fd = 3; fd < 70000; fd++)
		close(fd);
	CHECK(write(a, "x", 1) == -1 && errno == EBADF);
	pair(&a, &b);
	CHECK(write(a, "x", 1) == 1 && read(b, &byte, 1) == 1);
	closefrom(3);
	CHECK(write(a, "x", 1) == -1 && errno == EBADF);
	pair(&a, &b);
	CHECK(write(a, "x", 1) == 1 && read(b, &byte, 1) == 1);
}

static void goes_to_background(void)
{
	unsigned short port;
	int l = listener(&port);
	char byte;
	int p[2];

	CHECK(pipe(p) == 0);
	pid_t pid = fork();

	if (pid == 0) {
		CHECK(daemon(1, 1) == 0);
		int fd = accept(l, NULL, NULL);

		CHECK(fd >= 0 && read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1);
		_exit(0);
	}
	reap(pid);
	close(l);
	int fd = dial(port);

	CHECK(write(fd, "d", 1) == 1 && read(fd, &byte, 1) == 1 && byte == 'd');
}

static void dual_stack(void)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };
	struct sockaddr_in6 from;
	socklen_t len = sizeof(in6);
	int one = 1, l = socket(AF_INET6, SOCK_STREAM, 0);

	CHECK(bind(l, (struct sockaddr *)&in6, sizeof(in6)) == 0 && listen(l, 5) == 0);
	CHECK(getsockname(l, (struct sockaddr *)&in6, &len) == 0 && in6.sin6_family == AF_INET6);
	CHECK(IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr));
	int a = dial(in6.sin6_port);

	len = sizeof(from);
	int b = accept(l, (struct sockaddr *)&from, &len);

	CHECK(b >= 0 && len == sizeof(from) && IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));
	close(a);
	int c = socket(AF_INET6, SOCK_STREAM, 0);

	CHECK(connect(c, (struct sockaddr *)&from, sizeof(from)) == -1);
	inet_pton(AF_INET6, "2001:db8::1", &from.sin6_addr);
	int d = socket(AF_INET6, SOCK_STREAM, 0);

	CHECK(connect(d, (struct sockaddr *)&from, sizeof(from)) == -1 && errno == ENETUNREACH);
	from.sin6_addr = in6addr_loopback;
	CHECK(bind(d, (struct sockaddr *)&from, sizeof(from)) == -1 && errno == EADDRNOTAVAIL);
	/* nginx: the same port twice, once for each family. */
	int four = listener(&in6.sin6_port), six = socket(AF_INET6, SOCK_STREAM, 0);

	CHECK(setsockopt(six, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	CHECK(setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0);
	in6.sin6_addr = in6addr_any;
	CHECK(bind(six, (struct sockaddr *)&in6, sizeof(in6)) == 0 && listen(six, 5) == 0);
	CHECK(dial(port_of(four)) >= 0);
}

static void other_sockets(void)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	CHECK(fd >= 0 && close(fd) == 0); /* root's */
	CHECK(socket(AF_INET, SOCK_SEQPACKET, 0) == -1);
	CHECK(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP) == -1 && errno == EPROTONOSUPPORT);
	CHECK(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	CHECK(socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
	fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	CHECK(fd >= 0);
	CHECK(syscall(SYS_close, fd) == 0);
}

/* ---- datagrams ---- */

static int udp(unsigned short *port_be)
{
	struct sockaddr_in in = loopback(0);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	*port_be = port_of(fd);
	return fd;
}

static void datagrams(void)
{
	unsigned short pa, pb;
	int a = udp(&pa), b = udp(&pb);
	struct sockaddr_in to = loopback(pb), from;
	socklen_t len = sizeof(from);
	char buf[2048];

	CHECK(sendto(a, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)) == 5);
	CHECK(recvfrom(b, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len) == 5);
	CHECK(memcmp(buf, "hello", 5) == 0 && from.sin_port == pa && len == sizeof(from));
	CHECK(sendto(b, "", 0, 0, (struct sockaddr *)&from, sizeof(from)) == 0);
	CHECK(recv(a, buf, sizeof(buf), 0) == 0);
	/* Cut, and its length. */
	memset(buf, 'x', 1000);
	CHECK(sendto(a, buf, 1000, 0, (struct sockaddr *)&to, sizeof(to)) == 1000);
	CHECK(recv(b, buf, 10, MSG_PEEK | MSG_TRUNC) == 1000);
	struct iovec iov = { buf, 10 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	CHECK(recvmsg(b, &msg, 0) == 10 && (msg.msg_flags & MSG_TRUNC));
	CHECK(recv(b, buf, 10, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	CHECK(send(a, "x", 1, 0) == -1 && errno == EDESTADDRREQ);
}

static void datagrams_connected(void)
{
	unsigned short pa, pb;
	int a = udp(&pa), b = udp(&pb), c = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = loopback(pb), peer;
	socklen_t len = sizeof(peer);
	char buf[16];

	CHECK(connect(c, (struct sockaddr *)&to, sizeof(to)) == 0);
	CHECK(getpeername(c, (struct sockaddr *)&peer, &len) == 0 && peer.sin_port == pb);
	CHECK(send(c, "one", 3, 0) == 3 && read(b, buf, sizeof(buf)) == 3);
	/* Only the peer is heard. */
	to = loopback(port_of(c));
	CHECK(sendto(a, "no", 2, 0, (struct sockaddr *)&to, sizeof(to)) == 2);
	CHECK(sendto(b, "yes", 3, 0, (struct sockaddr *)&to, sizeof(to)) == 3);
	CHECK(recv(c, buf, sizeof(buf), 0) == 3 && memcmp(buf, "yes", 3) == 0);
	close(b);
	usleep(20000);
	/* Nobody there: told by the next call. */
	CHECK(send(c, "x", 1, 0) == 1);
	CHECK(recv(c, buf, sizeof(buf), 0) == -1 && errno == ECONNREFUSED);
}

static void datagrams_many(void)
{
	unsigned short pa, pb;
	int a = udp(&pa), b = udp(&pb);
	struct sockaddr_in to = loopback(pb);
	char out[8][4], in[8][4];
	struct iovec ov[8], iv[8];
	struct mmsghdr om[8], im[8];
	int got = 0;

	memset(om, 0, sizeof(om));
	memset(im, 0, sizeof(im));
	for (int i = 0; i < 8; i++) {
		snprintf(out[i], 4, "m%d", i);
		ov[i] = (struct iovec){ out[i], 3 };
		iv[i] = (struct iovec){ in[i], 4 };
		om[i].msg_hdr = (struct msghdr){ .msg_name = &to,
						 .msg_namelen = sizeof(to),
						 .msg_iov = &ov[i],
						 .msg_iovlen = 1 };
		im[i].msg_hdr = (struct msghdr){ .msg_iov = &iv[i], .msg_iovlen = 1 };
	}
	CHECK(sendmmsg(a, om, 8, 0) == 8);
	while (got < 8) {
		int n = recvmmsg(b, im + got, (unsigned int)(8 - got), MSG_WAITFORONE, NULL);

		CHECK(n > 0);
		got += n;
	}
	for (int i = 0; i < 8; i++)
		CHECK(im[i].msg_len == 3 && memcmp(in[i], out[i], 3) == 0);
}

static void datagrams_pktinfo(void)
{
	unsigned short pa, pb;
	int a = udp(&pa), b = udp(&pb), one = 1;
	struct sockaddr_in to = loopback(pb);
	char buf[16];
	union {
		char bytes[256];
		struct cmsghdr align;
	} control;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct in_pktinfo info;

	CHECK(setsockopt(b, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) == 0);
	CHECK(sendto(a, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1);
	CHECK(recvmsg(b, &msg, 0) == 1);
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	CHECK(c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO);
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	CHECK(info.ipi_addr.s_addr == htonl(INADDR_LOOPBACK));
}

static void *opens(void *arg)
{
	CHECK(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	return arg;
}

/* In a process that has no session yet: one thread makes it while another forks. */
static void attach_and_fork(int usec)
{
	struct timespec ts = { 0, usec * 1000 };
	unsigned short port;
	pthread_t t;
	pid_t pid;

	CHECK(pthread_create(&t, NULL, opens, NULL) == 0);
	nanosleep(&ts, NULL);
	pid = fork();
	if (pid == 0) {
		alarm(10);
		CHECK(close(listener(&port)) == 0);
		_exit(0);
	}
	reap(pid);
	CHECK(pthread_join(t, NULL) == 0);
}

static void forks_while_attaching(void)
{
	for (int i = 0; i < 60; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			attach_and_fork(i * 37 % 600);
			_exit(0);
		}
		reap(pid);
	}
}

static const struct shim_case cases[] = {
	{ "dups", dups },
	{ "workers", workers },
	{ "parent_closes", parent_closes },
	{ "execs", execs },
	{ "spawns", spawns },
	{ "killed_peer", killed_peer },
	{ "close_everything", close_everything },
	{ "forks_while_attaching", forks_while_attaching },
	{ "goes_to_background", goes_to_background },
	{ "dual_stack", dual_stack },
	{ "other_sockets", other_sockets },
	{ "datagrams", datagrams },
	{ "datagrams_connected", datagrams_connected },
	{ "datagrams_many", datagrams_many },
	{ "datagrams_pktinfo", datagrams_pktinfo },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "exec-child") == 0)
		exec_child(argv);
	return run_cases(cases, argc, argv);
}
