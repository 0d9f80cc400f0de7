/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A dynamic program with `syscall` instructions of its own, each used once: in main(), threads of
 * both kinds, a child, a signal handler, and one for io_uring. Each line says on which network a
 * socket of that instruction is.
 */
#include "where.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>

static inline __attribute__((always_inline)) long own(long number, long a, long b, long c)
{
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return r;
}

static void say(const char *who, int fd)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(9) };
	socklen_t len = sizeof(sin);
	char line[100], text[INET_ADDRSTRLEN] = "nowhere";

	inet_pton(AF_INET, "198.18.0.1", &sin.sin_addr);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&sin, &len) == 0)
		inet_ntop(AF_INET, &sin.sin_addr, text, sizeof(text));
	close(fd);
	(void)!write(1, line, snprintf(line, sizeof(line), "%s on %s\n", who, text));
}

static void *thread(void *arg)
{
	say("pthread", own(SYS_socket, AF_INET, SOCK_DGRAM, 0));
	return NULL;
}

static int c11(void *arg)
{
	say("thrd", own(SYS_socket, AF_INET, SOCK_DGRAM, 0));
	return 7;
}

static void handler(int sig)
{
	say("handler", own(SYS_socket, AF_INET, SOCK_DGRAM, 0));
}

int main(int argc, char **argv)
{
	pthread_t t;
	thrd_t t11;
	int result = 0, status;
	pid_t pid;

	say("main", own(SYS_socket, AF_INET, SOCK_DGRAM, 0));
	say("library", socket(AF_INET, SOCK_DGRAM, 0));
	printf("io_uring %ld %ld\n", own(SYS_io_uring_setup, 8, 0, 0),
	       syscall(SYS_io_uring_setup, 8, NULL) < 0 ? -(long)errno : 0);
	fflush(stdout);
	if (pthread_create(&t, NULL, thread, NULL) || pthread_join(t, NULL))
		return 1;
	if (thrd_create(&t11, c11, NULL) != thrd_success ||
	    thrd_join(t11, &result) != thrd_success || result != 7)
		return 2;
	pid = fork();
	if (pid == 0) {
		say("child", own(SYS_socket, AF_INET, SOCK_DGRAM, 0));
		pid = own(SYS_fork, 0, 0, 0);
		if (pid == 0) {
			say("grandchild", own(SYS_socket, AF_INET, SOCK_DGRAM, 0));
			_exit(0);
		}
		_exit(waitpid(pid, &status, 0) == pid ? status : 3);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return 4;
	signal(SIGUSR1, handler);
	raise(SIGUSR1);
	/* What it starts: by its own instruction, of a static program. */
	if (argc > 1) {
		char *args[] = { argv[1], "started", NULL };

		own(SYS_execve, (long)argv[1], (long)args, (long)(argv + argc));
	}
	return argc > 1;
}
