/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules that go before a program's seccomp filter, in the kernel: each case in a child of its
 * own, under a filter that forbids everything else. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/seccomp.h>

#include "shim/process/confine.h"

#define FIRST 100 /* the shim's own descriptors begin here */
#define LOW 99

/* All forbidden (EACCES), but for the end. */
static void confine(void)
{
	struct sock_filter code[CONFINE_RULES_MAX + 4];
	size_t n = confine_rules(code, (struct confine_fds){ .first = FIRST });
	struct sock_fprog prog = { .len = (unsigned short)(n + 4), .filter = code };

	if (n > CONFINE_RULES_MAX)
		_exit(90);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(91);
}

/* 0, or the errno of the call made under the filter. */
static int in_child(long (*call)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int fd = eventfd(1, EFD_NONBLOCK);

		dup2(fd, FIRST);
		dup2(fd, LOW);
		dup2(epoll_create1(0), FIRST + 1);
		confine();
		errno = 0;
		/* By number: a sanitizer has calls of its own to make before _exit(). */
		syscall(SYS_exit_group, call() < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static long yield(void)
{
	return syscall(SYS_sched_yield);
}

static long sleep_short(void)
{
	struct timespec ts = { .tv_nsec = 1 };

	return syscall(SYS_ppoll, NULL, 0, &ts, NULL, 0);
}

static long bell(void)
{
	struct epoll_event event;

	return syscall(SYS_epoll_wait, FIRST + 1, &event, 1, 0);
}

static long anonymous(void)
{
	return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
}

static long code(void)
{
	return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
}

static long mapped_file(void)
{
	return syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE, FIRST, 0);
}

static long read_own(void)
{
	uint64_t value;

	return syscall(SYS_read, FIRST, &value, sizeof(value));
}

static long read_other(void)
{
	uint64_t value;

	return syscall(SYS_read, LOW, &value, sizeof(value));
}

static long duplicate(void)
{
	return syscall(SYS_fcntl, LOW, F_DUPFD_CLOEXEC, 200);
}

static long flags(void)
{
	return syscall(SYS_fcntl, LOW, F_GETFL);
}

static long sock(void)
{
	return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static void test_what_the_shim_needs_passes(void **state)
{
	assert_int_equal(in_child(yield), 0);
	assert_int_equal(in_child(sleep_short), 0);
	assert_int_equal(in_child(bell), 0);
	assert_int_equal(in_child(anonymous), 0);
	assert_int_equal(in_child(read_own), 0);
	assert_int_equal(in_child(duplicate), 0);
}

static void test_the_rest_is_the_filters(void **state)
{
	assert_int_equal(in_child(code), EACCES);
	assert_int_equal(in_child(mapped_file), EACCES);
	assert_int_equal(in_child(read_other), EACCES);
	assert_int_equal(in_child(flags), EACCES);
	assert_int_equal(in_child(sock), EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_shim_needs_passes),
		cmocka_unit_test(test_the_rest_is_the_filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
