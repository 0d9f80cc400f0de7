/* SPDX-License-Identifier: BSD-3-Clause */
/* Stream sockets as an unmodified program uses them. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "shim_case.h"

static void echo_blocking(void)
{
	unsigned short port;
	int l = listener(&port);
	pid_t pid = fork();
	char buf[64];

	CHECK(pid >= 0);
	if (pid == 0) {
		int fd = dial(port);

		for (int i = 0; i < 1000; i++) {
			CHECK(write(fd, "ping", 4) == 4);
			read_all(fd, buf, 4);
			CHECK(memcmp(buf, "pong", 4) == 0);
		}
		_exit(0);
	}
	int fd = accept(l, NULL, NULL);

	CHECK(fd >= 0);
	for (int i = 0; i < 1000; i++) {
		read_all(fd, buf, 4);
		CHECK(memcmp(buf, "ping", 4) == 0);
		CHECK(write(fd, "pong", 4) == 4);
	}
	CHECK(read(fd, buf, 1) == 0);
	reap(pid);
}

static void echo_nonblocking(void)
{
	char buf[8];
	int a, b;

	pair(&a, &b);
	CHECK(fcntl(b, F_SETFL, O_NONBLOCK) == 0);
	CHECK(fcntl(b, F_GETFL) & O_NONBLOCK);
	CHECK(read(b, buf, 8) == -1 && errno == EAGAIN);
	CHECK(recv(a, buf, 8, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	CHECK(send(a, "12345678", 8, 0) == 8);
	struct pollfd p = { .fd = b, .events = POLLIN };

	CHECK(poll(&p, 1, 5000) == 1 && p.revents == POLLIN);
	CHECK(recv(b, buf, 4, MSG_PEEK) == 4 && memcmp(buf, "1234", 4) == 0);
	int left = 0;

	CHECK(ioctl(b, FIONREAD, &left) == 0 && left == 8);
	CHECK(recv(b, buf, 4, 0) == 4 && memcmp(buf, "1234", 4) == 0);
	CHECK(recv(b, buf, 8, 0) == 4 && memcmp(buf, "5678", 4) == 0);
}

static void addresses(void)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	struct stat st;
	int a, b;

	pair(&a, &b);
	CHECK(fstat(a, &st) == 0 && S_ISSOCK(st.st_mode));
	CHECK(getpeername(a, (struct sockaddr *)&in, &len) == 0 && len == sizeof(in));
	CHECK(in.sin_family == AF_INET && in.sin_port == port_of(b));
	CHECK(in.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	len = sizeof(in);
	CHECK(getpeername(b, (struct sockaddr *)&in, &len) == 0 && in.sin_port == port_of(a));
}

static void bulk(void)
{
	enum { TOTAL = 64 << 20, CHUNK = 100000 };
	static unsigned char buf[CHUNK];
	size_t done = 0;
	int a, b;

	pair(&a, &b);
	pid_t pid = fork();

	if (pid == 0) {
		close(b);
		while (done < TOTAL) {
			for (size_t i = 0; i < CHUNK; i++)
				buf[i] = (unsigned char)((done + i) * 31 >> 3);
			size_t n = TOTAL - done < CHUNK ? TOTAL - done : CHUNK;

			CHECK(write(a, buf, n) == (ssize_t)n);
			done += n;
		}
		_exit(0);
	}
	close(a);
	for (;;) {
		ssize_t n = read(b, buf, sizeof(buf));

		CHECK(n >= 0);
		if (n == 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			CHECK(buf[i] == (unsigned char)((done + (size_t)i) * 31 >> 3));
		done += (size_t)n;
	}
	CHECK(done == TOTAL);
	reap(pid);
}

static void eof_and_epipe(void)
{
	char byte;
	int a, b;

	pair(&a, &b);
	CHECK(write(a, "x", 1) == 1);
	CHECK(shutdown(a, SHUT_WR) == 0);
	CHECK(read(b, &byte, 1) == 1);
	CHECK(read(b, &byte, 1) == 0);
	CHECK(read(b, &byte, 1) == 0);
	CHECK(send(a, "y", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	/* Half closed: the other way still works. */
	CHECK(write(b, "z", 1) == 1);
	CHECK(read(a, &byte, 1) == 1 && byte == 'z');
}

static volatile sig_atomic_t pipes, alarms;

static void on_pipe(int sig)
{
	pipes++;
}

static void on_alarm(int sig)
{
	alarms++;
}

static void sigpipe(void)
{
	int a, b;

	signal(SIGPIPE, on_pipe);
	pair(&a, &b);
	CHECK(shutdown(a, SHUT_WR) == 0);
	CHECK(write(a, "y", 1) == -1 && errno == EPIPE && pipes == 1);
}

static void refused(void)
{
	struct sockaddr_in in = loopback(htons(9));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int error = -1;
	socklen_t len = sizeof(error);

	CHECK(connect(fd, (struct sockaddr *)&in, sizeof(in)) == -1 && errno == ECONNREFUSED);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == -1 && errno == ECONNREFUSED)
		return;
	CHECK(errno == EINPROGRESS);
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	CHECK(poll(&p, 1, 5000) == 1 && (p.revents & POLLERR));
	CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == ECONNREFUSED);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0);
}

static void connect_nonblocking(void)
{
	unsigned short port;
	int l = listener(&port);
	struct sockaddr_in in = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int error = -1;
	socklen_t len = sizeof(error);

	CHECK(connect(fd, (struct sockaddr *)&in, sizeof(in)) == -1 && errno == EINPROGRESS);
	CHECK(poll(&p, 1, 5000) == 1 && p.revents == POLLOUT);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0);
	/* As Linux: the result is told once. */
	CHECK(connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	CHECK(connect(fd, (struct sockaddr *)&in, sizeof(in)) == -1 && errno == EISCONN);
	CHECK(accept(l, NULL, NULL) >= 0);
}

static void accept_again(void)
{
	unsigned short port;
	int l = listener(&port);

	CHECK(fcntl(l, F_SETFL, O_NONBLOCK) == 0);
	CHECK(accept(l, NULL, NULL) == -1 && errno == EAGAIN);
	int a = dial(port);
	struct pollfd p = { .fd = l, .events = POLLIN };

	CHECK(poll(&p, 1, 5000) == 1);
	int b = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	CHECK(b >= 0 && (fcntl(b, F_GETFL) & O_NONBLOCK) && (fcntl(b, F_GETFD) & FD_CLOEXEC));
	CHECK(accept(l, NULL, NULL) == -1 && errno == EAGAIN);
	close(a);
}

static void timeouts(void)
{
	struct timeval tv = { .tv_usec = 200000 }, got;
	socklen_t len = sizeof(got);
	double start;
	char byte;
	int a, b;

	pair(&a, &b);
	CHECK(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	CHECK(getsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &got, &len) == 0 && got.tv_usec == 200000);
	start = seconds();
	CHECK(read(a, &byte, 1) == -1 && errno == EAGAIN);
	CHECK(seconds() - start > 0.19 && seconds() - start < 3);
	CHECK(setsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
	static char lot[1 << 20];
	ssize_t n;

	do
		n = write(a, lot, sizeof(lot));
	while (n > 0);
	CHECK(n == -1 && errno == EAGAIN);
}

static void interrupted(void)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct itimerval soon = { .it_value.tv_usec = 100000 };
	char byte;
	int a, b;

	pair(&a, &b);
	CHECK(sigaction(SIGALRM, &act, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	CHECK(read(a, &byte, 1) == -1 && errno == EINTR && alarms == 1);
	struct pollfd p = { .fd = a, .events = POLLIN };

	act.sa_flags = SA_RESTART;
	CHECK(sigaction(SIGALRM, &act, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	CHECK(poll(&p, 1, 5000) == -1 && errno == EINTR && alarms == 2);
	/* SA_RESTART: the read goes on, and gets what the child sends later. */
	CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	pid_t pid = fork();

	if (pid == 0) {
		usleep(400000);
		CHECK(write(b, "q", 1) == 1);
		_exit(0);
	}
	CHECK(read(a, &byte, 1) == 1 && byte == 'q' && alarms == 3);
	reap(pid);
}

static void waitall_and_vectors(void)
{
	char one[3], two[5], all[12];
	struct iovec out[2] = { { "abc", 3 }, { "defgh", 5 } };
	struct iovec in[2] = { { one, 3 }, { two, 5 } };
	int a, b;

	pair(&a, &b);
	CHECK(writev(a, out, 2) == 8);
	pid_t pid = fork();

	if (pid == 0) {
		usleep(50000);
		CHECK(send(a, "1234", 4, MSG_MORE) == 4);
		usleep(50000);
		CHECK(send(a, "5678", 4, 0) == 4);
		_exit(0);
	}
	CHECK(readv(b, in, 2) == 8 && memcmp(one, "abc", 3) == 0 && memcmp(two, "defgh", 5) == 0);
	CHECK(recv(b, all, 8, MSG_WAITALL) == 8 && memcmp(all, "12345678", 8) == 0);
	reap(pid);
}

/* The bytes in two halves, a moment apart. */
static pid_t halves_later(int fd, const char *bytes, size_t half)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	usleep(50000);
	CHECK(send(fd, bytes, half, 0) == (ssize_t)half);
	usleep(50000);
	CHECK(send(fd, bytes + half, half, 0) == (ssize_t)half);
	_exit(0);
}

/* A call that waits returns with SO_RCVLOWAT bytes, or all it asked for where that is less. */
static void rcvlowat(void)
{
	int a, b, lowat = 8, got;
	char buf[64];
	socklen_t len = sizeof(got);
	pid_t pid;

	pair(&a, &b);
	CHECK(setsockopt(b, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat)) == 0);
	CHECK(getsockopt(b, SOL_SOCKET, SO_RCVLOWAT, &got, &len) == 0 && got == 8);
	pid = halves_later(a, "abcdefgh", 4);
	CHECK(recv(b, buf, sizeof(buf), 0) == 8 && memcmp(buf, "abcdefgh", 8) == 0);
	reap(pid);
	pid = halves_later(a, "123456", 3);
	CHECK(recv(b, buf, 5, 0) == 5 && memcmp(buf, "12345", 5) == 0);
	CHECK(recv(b, buf, sizeof(buf), MSG_DONTWAIT) == 1 && buf[0] == '6');
	reap(pid);
	/* The end comes before there are so many. */
	pid = halves_later(a, "xy", 1);
	reap(pid);
	CHECK(shutdown(a, SHUT_WR) == 0);
	CHECK(recv(b, buf, sizeof(buf), 0) == 2);
	CHECK(recv(b, buf, sizeof(buf), 0) == 0);
}

static void peek_waitall(void)
{
	char buf[8];
	int a, b;
	pid_t pid;

	pair(&a, &b);
	pid = halves_later(a, "abcdefgh", 4);
	CHECK(recv(b, buf, 8, MSG_PEEK | MSG_WAITALL) == 8 && memcmp(buf, "abcdefgh", 8) == 0);
	CHECK(recv(b, buf, 6, MSG_WAITALL) == 6);
	CHECK(shutdown(a, SHUT_WR) == 0);
	CHECK(recv(b, buf, 8, MSG_PEEK | MSG_WAITALL) == 2 && memcmp(buf, "gh", 2) == 0);
	reap(pid);
}

static void send_file(void)
{
	enum { BYTES = 3 << 20 };
	char path[] = "/tmp/weir-shim-XXXXXX";
	static char buf[BYTES], got[BYTES];
	int file = mkstemp(path);
	off_t offset = 5;
	int a, b;

	CHECK(file >= 0);
	unlink(path);
	for (size_t i = 0; i < BYTES; i++)
		buf[i] = (char)(i * 7 >> 2);
	CHECK(write(file, buf, BYTES) == BYTES);
	pair(&a, &b);
	pid_t pid = fork();

	if (pid == 0) {
		while (offset < BYTES)
			CHECK(sendfile(a, file, &offset, BYTES) > 0);
		_exit(0);
	}
	read_all(b, got, BYTES - 5);
	CHECK(memcmp(got, buf + 5, BYTES - 5) == 0);
	reap(pid);
}

static void splices(void)
{
	char buf[5];
	int p[2], a, b;

	pair(&a, &b);
	CHECK(pipe(p) == 0);
	CHECK(write(p[1], "hello", 5) == 5);
	CHECK(splice(p[0], NULL, a, NULL, 100, 0) == 5);
	CHECK(splice(b, NULL, p[1], NULL, 100, 0) == 5);
	CHECK(read(p[0], buf, 5) == 5 && memcmp(buf, "hello", 5) == 0);
}

/* Until the process sleeps in the kernel. */
static void wait_asleep(pid_t pid)
{
	char path[64], line[256], state = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	while (state != 'S') {
		FILE *f = fopen(path, "r");

		CHECK(f && fgets(line, sizeof(line), f) && strrchr(line, ')'));
		state = strrchr(line, ')')[2];
		CHECK(state != 'Z');
		fclose(f);
	}
}

/* Who waits for the pipe keeps nobody from the socket: of an empty one, and of a full one. */
static void splice_waits_alone(void)
{
	int in[2], out[2], a, b;
	char page[4096] = "later";
	pid_t sends, takes;

	pair(&a, &b);
	CHECK(pipe(in) == 0 && pipe(out) == 0);
	CHECK(fcntl(out[1], F_SETPIPE_SZ, sizeof(page)) == (int)sizeof(page));
	CHECK(write(out[1], page, sizeof(page)) == (ssize_t)sizeof(page));
	sends = fork();
	if (sends == 0)
		_exit(splice(in[0], NULL, a, NULL, 100, 0) != 5);
	CHECK(sends > 0);
	wait_asleep(sends);
	CHECK(send(a, "now", 3, 0) == 3);
	read_all(b, page, 3);
	CHECK(send(b, "1234567", 7, 0) == 7);
	takes = fork();
	if (takes == 0)
		_exit(splice(a, NULL, out[1], NULL, 100, 0) != 4);
	CHECK(takes > 0);
	wait_asleep(takes);
	read_all(a, page, 3);
	CHECK(read(out[0], page, sizeof(page)) == (ssize_t)sizeof(page));
	reap(takes);
	CHECK(read(out[0], page, sizeof(page)) == 4 && memcmp(page, "4567", 4) == 0);
	CHECK(write(in[1], "later", 5) == 5);
	reap(sends);
	read_all(b, page, 5);
	CHECK(memcmp(page, "later", 5) == 0);
	CHECK(splice(in[0], NULL, a, NULL, 100, SPLICE_F_NONBLOCK) == -1 && errno == EAGAIN);
	CHECK(fcntl(in[0], F_SETFL, O_NONBLOCK) == 0);
	CHECK(splice(in[0], NULL, a, NULL, 100, 0) == -1 && errno == EAGAIN);
}

static void stdio(void)
{
	char line[64];
	int a, b;

	pair(&a, &b);
	FILE *f = fdopen(a, "r+");

	CHECK(f && fileno(f) == a);
	fprintf(f, "hello %d\n", 42);
	CHECK(fflush(f) == 0);
	CHECK(dprintf(a, "more\n") == 5);
	read_all(b, line, 14);
	CHECK(memcmp(line, "hello 42\nmore\n", 14) == 0);
	CHECK(write(b, "answer\n", 7) == 7);
	CHECK(fgets(line, sizeof(line), f) && strcmp(line, "answer\n") == 0);
	CHECK(fclose(f) == 0);
	CHECK(read(b, line, 1) == 0);
	CHECK(fcntl(a, F_GETFD) == -1 && errno == EBADF);
}

static void options(void)
{
	int one = 1, got = 0;
	socklen_t len = sizeof(got);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &got, &len) == 0 && got == 1);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &got, &len) == 0 && got == SOCK_STREAM);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &got, &len) == 0 && got == 1);
	CHECK(setsockopt(fd, 12345, 1, &one, sizeof(one)) == -1 && errno == ENOPROTOOPT);
}

static void linger_reset(void)
{
	struct linger hard = { 1, 0 };
	char byte;
	int a, b;

	pair(&a, &b);
	CHECK(setsockopt(a, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
	CHECK(close(a) == 0);
	CHECK(read(b, &byte, 1) == -1 && errno == ECONNRESET);
}

static const struct shim_case cases[] = {
	{ "echo_blocking", echo_blocking },
	{ "echo_nonblocking", echo_nonblocking },
	{ "addresses", addresses },
	{ "bulk", bulk },
	{ "eof_and_epipe", eof_and_epipe },
	{ "sigpipe", sigpipe },
	{ "refused", refused },
	{ "connect_nonblocking", connect_nonblocking },
	{ "accept_again", accept_again },
	{ "timeouts", timeouts },
	{ "interrupted", interrupted },
	{ "waitall_and_vectors", waitall_and_vectors },
	{ "rcvlowat", rcvlowat },
	{ "peek_waitall", peek_waitall },
	{ "send_file", send_file },
	{ "splices", splices },
	{ "splice_waits_alone", splice_waits_alone },
	{ "stdio", stdio },
	{ "options", options },
	{ "linger_reset", linger_reset },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_cases(cases, argc, argv);
}
