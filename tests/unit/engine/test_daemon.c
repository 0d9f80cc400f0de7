/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weird as a program, without privileges: the loopback only, a run directory of the test's own. A
 * program attaches, and its sockets talk to each other over weir's 127.0.0.1; others misbehave.
 * Usage: test_daemon PATH-OF-WEIRD
 */
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

#define LOOPBACK 0x7f000001u
#define NONE ((struct app_sock){ ABI_SOCK_NONE, 0 })

static pid_t daemon_pid;

/* ---- tests ---- */

static void test_ping_pong(void **state)
{
	struct app_sock listener = NONE, client = NONE, server;
	struct program p;
	char bytes[16];
	int err;

	attach(&p);
	assert_int_equal(app_bind(&p.app, &listener, SOCK_STREAM, LOOPBACK, 8080), 0);
	assert_int_equal(app_listen(&p.app, listener, 16), 0);
	err = app_connect(&p.app, &client, SOCK_STREAM, LOOPBACK, 8080);
	assert_true(err == 0 || err == -EINPROGRESS);
	assert_true(app_wait(&p.app, client, ABI_EV_OUT));
	assert_true(app_wait(&p.app, listener, ABI_EV_IN));
	assert_true(app_accept(&p.app, listener, &server));
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(app_write(&p.app, client, "ping", 4), 4);
		assert_true(app_wait(&p.app, server, ABI_EV_IN));
		assert_int_equal(app_read(&p.app, server, bytes, sizeof(bytes)), 4);
		assert_int_equal(app_write(&p.app, server, "pong", 4), 4);
		assert_true(app_wait(&p.app, client, ABI_EV_IN));
		assert_int_equal(app_read(&p.app, client, bytes, sizeof(bytes)), 4);
		assert_memory_equal(bytes, "pong", 4);
	}
	app_release(&p.app, server);
	assert_true(app_wait(&p.app, client, ABI_EV_RDHUP));
	app_release(&p.app, client);
	detach(&p);
	assert_non_null(strstr(ask("{\"cmd\":\"ledger\"}\n"), "\"balance\":0"));
}

/* A program that dies leaves its listener's port free. */
static void test_death_frees_ports(void **state)
{
	for (int i = 0; i < 20; i++) {
		struct app_sock listener = NONE;
		struct program p;

		attach(&p);
		assert_int_equal(app_bind(&p.app, &listener, SOCK_STREAM, LOOPBACK, 8081), 0);
		assert_int_equal(app_listen(&p.app, listener, 16), 0);
		detach(&p);
	}
}

/* fork: the child's connection has the sockets of the parent, and outlives it. */
static void test_fork(void **state)
{
	struct abi_msg msg = message(ABI_MSG_FORK);
	struct app_sock listener = NONE, other = NONE;
	struct program p, child;
	unsigned int n;
	int fds[FDS], pair[2];

	attach(&p);
	assert_int_equal(app_bind(&p.app, &listener, SOCK_STREAM, LOOPBACK, 8082), 0);
	assert_int_equal(app_listen(&p.app, listener, 16), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	say(p.fd, &msg, &pair[1], 1);
	assert_int_equal(hear(p.fd, &msg, fds, &n), sizeof(msg));
	assert_int_equal(msg.error, 0);
	close(pair[1]);
	child = p;
	child.fd = pair[0];
	make_channel(&child);
	close(p.fd); /* the parent dies */
	close(p.bell);
	/* the listener lives on: its port is taken, and it takes connections */
	assert_int_equal(app_bind(&child.app, &other, SOCK_STREAM, LOOPBACK, 8082), -EADDRINUSE);
	other = NONE;
	app_connect(&child.app, &other, SOCK_STREAM, LOOPBACK, 8082);
	assert_true(app_wait(&child.app, listener, ABI_EV_IN));
	detach(&child);
	expect_alive();
}

static void test_bad_messages(void **state)
{
	static const uint32_t types[] = { 0, ABI_MSG_CHANNEL, ABI_MSG_FORK, ABI_MSG_MAX,
					  0xffffffff };
	unsigned int seed = 3;
	char junk[600];
	int fd;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct abi_msg msg = message(types[i]);

		fd = dial("t", "app.sock", SOCK_SEQPACKET);
		say(fd, &msg, NULL, 0);
		expect_hangup(fd);
		close(fd);
	}
	for (int i = 0; i < 100; i++) {
		for (size_t j = 0; j < sizeof(junk); j++)
			junk[j] = (char)rand_r(&seed);
		fd = dial("t", "app.sock", SOCK_SEQPACKET);
		send(fd, junk, 1 + (size_t)rand_r(&seed) % sizeof(junk), MSG_NOSIGNAL);
		expect_hangup(fd);
		close(fd);
	}
	expect_alive();
}

/* A bell of the program's own, whatever it is: hung up, and the descriptor is closed. */
static void test_bad_descriptors(void **state)
{
	struct abi_msg msg;
	struct program p;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	attach(&p);
	msg = message(ABI_MSG_CHANNEL);
	msg.arg[0] = ABI_CQ_THREAD;
	say(p.fd, &msg, &fds[1], 1);
	expect_hangup(p.fd);
	close(fds[1]);
	assert_int_equal(read(fds[0], &msg, 1), 0); /* nobody else holds the writing end */
	detach(&p);
	close(fds[0]);
	fds[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds[1] = dup(fds[0]);
	for (unsigned int n = 1; n <= 2; n++) {
		attach(&p);
		msg = message(ABI_MSG_CHANNEL);
		msg.arg[0] = ABI_CQ_THREAD;
		say(p.fd, &msg, fds, n);
		expect_hangup(p.fd);
		detach(&p);
	}
	close(fds[0]);
	close(fds[1]);
	/* As the child's connection: anything but such a socket. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	attach(&p);
	msg = message(ABI_MSG_FORK);
	say(p.fd, &msg, &fds[1], 1);
	expect_hangup(p.fd);
	detach(&p);
	close(fds[0]);
	close(fds[1]);
	expect_alive();
}

/* Another channel's bell: only one's own. */
static void test_same_bell(void **state)
{
	struct abi_msg msg = message(ABI_MSG_CHANNEL);
	struct program p;
	int fds[FDS];
	unsigned int n;

	attach(&p);
	msg.arg[0] = ABI_CQ_THREAD;
	msg.arg[2] = ABI_BELL_SAME;
	msg.arg[3] = p.app.channel->index;
	say(p.fd, &msg, NULL, 0);
	assert_int_equal(hear(p.fd, &msg, fds, &n), sizeof(msg));
	assert_int_equal(msg.error, 0);
	assert_int_equal(n, 0);
	for (int i = 0; i < 3; i++) {
		static const uint64_t none[] = { 300, UINT32_MAX, 1ull << 32 };

		msg = message(ABI_MSG_CHANNEL);
		msg.arg[0] = ABI_CQ_THREAD;
		msg.arg[2] = ABI_BELL_SAME;
		msg.arg[3] = none[i];
		say(p.fd, &msg, NULL, 0);
		assert_int_equal(hear(p.fd, &msg, fds, &n), sizeof(msg));
		assert_int_equal(msg.error, -EINVAL);
	}
	detach(&p);
}

/* A connection over weir's loopback, and what goes over it, with each side's worker asleep before.
 */
static void talk(uint16_t port)
{
	struct app_sock listener = NONE, client = NONE, server;
	struct program p;
	char byte;

	attach(&p);
	assert_int_equal(app_bind(&p.app, &listener, SOCK_STREAM, LOOPBACK, port), 0);
	assert_int_equal(app_listen(&p.app, listener, 16), 0);
	app_connect(&p.app, &client, SOCK_STREAM, LOOPBACK, port);
	assert_true(app_wait(&p.app, client, ABI_EV_OUT));
	assert_true(app_wait(&p.app, listener, ABI_EV_IN));
	assert_true(app_accept(&p.app, listener, &server));
	for (int i = 0; i < 20; i++) {
		usleep(1000);
		assert_int_equal(app_write(&p.app, client, "x", 1), 1);
		assert_true(app_wait(&p.app, server, ABI_EV_IN));
		assert_int_equal(app_read(&p.app, server, &byte, 1), 1);
	}
	detach(&p);
}

/*
 * What a program has of the bells, its own and the workers', is made blocking, filled and emptied
 * under the workers' hands, while it has itself rung as often as it can: neither a worker nor the
 * control thread waits in a read() or write(), and no other program's bell is touched.
 */
static void test_hostile_bells(void **state)
{
	uint64_t full = UINT64_MAX - 1, count;
	struct epoll_event event = { .events = EPOLLIN };
	struct app_sock s[2] = { NONE, NONE };
	struct program bad;

	attach(&bad);
	assert_int_equal(fcntl(bad.bell, F_SETFL, 0), 0);
	/* The end that is rung is not to be had: neither written to nor read, nor taken out. */
	assert_int_equal(write(bad.bell, &full, sizeof(full)), -1);
	assert_int_equal(read(bad.bell, &full, sizeof(full)), -1);
	for (int fd = 0; fd < 64; fd++)
		assert_int_equal(epoll_ctl(bad.bell, EPOLL_CTL_DEL, fd, NULL), -1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			app_bind(&bad.app, &s[i], SOCK_DGRAM, LOOPBACK, (uint16_t)(8090 + i)), 0);
		app_submit(&bad.app, ABI_OP_WATCH, s[i], bad.app.channel->index,
			   ABI_EV_OUT | ABI_EV_IN);
	}
	for (int i = 0; i < 3000; i++) {
		atomic_store(&bad.app.channel->sleeping, 1);
		app_submit(&bad.app, ABI_OP_WATCH, s[i % 2], bad.app.channel->index, ABI_EV_OUT);
		ring(&bad);
		if (i % 100 == 0) {
			/* full, and empty again, while the worker goes to sleep and wakes */
			(void)!read(bad.worker_bell, &count, sizeof(count));
			assert_int_equal(write(bad.worker_bell, &full, sizeof(full)), sizeof(full));
			assert_int_equal(fcntl(bad.worker_bell, F_SETFL, 0), 0);
			usleep(1000);
			assert_int_equal(read(bad.worker_bell, &count, sizeof(count)),
					 sizeof(count));
			assert_int_equal(fcntl(bad.worker_bell, F_SETFL, O_NONBLOCK), 0);
		}
	}
	assert_int_equal(epoll_wait(bad.bell, &event, 1, 5000), 1);
	(void)!read(bad.worker_bell, &count, sizeof(count));
	assert_int_equal(write(bad.worker_bell, &full, sizeof(full)), sizeof(full));
	assert_int_equal(fcntl(bad.worker_bell, F_SETFL, 0), 0);
	talk(8092);
	expect_alive();
	detach(&bad);
	talk(8093);
}

/* Too many channels: an errno, no hang-up. */
static void test_channels_run_out(void **state)
{
	struct abi_msg msg;
	struct program p;
	int fds[FDS], made = 1;
	unsigned int n;

	attach(&p);
	do {
		msg = message(ABI_MSG_CHANNEL);
		msg.arg[0] = ABI_CQ_THREAD;
		say(p.fd, &msg, NULL, 0);
		assert_int_equal(hear(p.fd, &msg, fds, &n), sizeof(msg));
		made += msg.error == 0;
		if (n)
			close(fds[0]);
	} while (msg.error == 0);
	assert_int_equal(msg.error, -ENOSPC);
	assert_int_equal(made, ABI_MAX_CHANNELS);
	msg = message(ABI_MSG_CHANNEL_FREE);
	msg.arg[0] = 7;
	say(p.fd, &msg, NULL, 0);
	msg = message(ABI_MSG_CHANNEL);
	msg.arg[0] = ABI_CQ_THREAD;
	say(p.fd, &msg, NULL, 0);
	assert_int_equal(hear(p.fd, &msg, fds, &n), sizeof(msg));
	assert_int_equal(msg.error, 0);
	assert_int_equal(msg.arg[0], 7);
	close(fds[0]);
	detach(&p);
}

/* Shared memory scribbled over: this program is disconnected, it alone. */
static void test_scribbler(void **state)
{
	struct app_sock s = NONE;
	struct program bad, good;

	attach(&good);
	attach(&bad);
	assert_int_equal(app_bind(&bad.app, &s, SOCK_STREAM, LOOPBACK, 8083), 0);
	atomic_store(&bad.app.channel->sq_tail, atomic_load(&bad.app.channel->sq_tail) + 100000);
	atomic_fetch_or(&((struct abi_arena *)bad.app.base)->sq_pending[0].bits[0], ~0ull);
	ring(&bad);
	expect_hangup(bad.fd);
	s = NONE;
	assert_int_equal(app_bind(&good.app, &s, SOCK_STREAM, LOOPBACK, 8083), 0);
	detach(&bad);
	detach(&good);
}

static void test_instance_is_taken(void **state)
{
	char log[512] = "";
	bool ready;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = start("t", fds[1], &ready);
	assert_false(ready);
	assert_int_equal(WEXITSTATUS(end(pid, 0)), 1);
	assert_true(read(fds[0], log, sizeof(log) - 1) > 0);
	assert_non_null(strstr(log, "already running"));
	close(fds[0]);
	close(fds[1]);
	/* another name: another instance beside it */
	pid = start("u", -1, &ready);
	assert_true(ready);
	assert_int_equal(end(pid, SIGINT), 0);
	expect_alive();
}

/* Killed: programs see the connection end; the next start replaces what it left. */
static void test_killed_and_started_again(void **state)
{
	struct program p;
	bool ready;

	attach(&p);
	end(daemon_pid, SIGKILL);
	expect_hangup(p.fd);
	detach(&p);
	daemon_pid = start("t", -1, &ready);
	assert_true(ready);
	expect_alive();
}

static void test_clean_stop(void **state)
{
	char path[128];
	struct program p;
	bool ready;

	attach(&p);
	assert_int_equal(end(daemon_pid, SIGTERM), 0);
	expect_hangup(p.fd);
	detach(&p);
	snprintf(path, sizeof(path), "%s/t", rundir);
	assert_int_equal(access(path, F_OK), -1);
	daemon_pid = start("t", -1, &ready);
	assert_true(ready);
}

static int setup(void **state)
{
	bool ready;

	snprintf(rundir, sizeof(rundir), "/tmp/weir-test-daemon.%d", (int)getpid());
	daemon_pid = start("t", getenv("WEIR_TEST_LOG") ? 2 : -1, &ready);
	return !ready;
}

static int teardown(void **state)
{
	int status = end(daemon_pid, SIGTERM);

	return rmdir(rundir) || status;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_messages),
		cmocka_unit_test(test_bad_descriptors),
		cmocka_unit_test(test_same_bell),
		cmocka_unit_test(test_hostile_bells),
		cmocka_unit_test(test_channels_run_out),
		cmocka_unit_test(test_instance_is_taken),
		cmocka_unit_test(test_scribbler),
		cmocka_unit_test(test_ping_pong),
		cmocka_unit_test(test_death_frees_ports),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_killed_and_started_again),
		cmocka_unit_test(test_clean_stop),
	};

	if (argc < 2)
		return 2;
	weird_path = argv[1];
	alarm(50);
	return cmocka_run_group_tests(tests, setup, teardown);
}
