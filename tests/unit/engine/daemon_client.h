/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weird as a child, and a program that attaches to it by hand: what the tests of the daemon share.
 * What goes wrong here fails the test.
 */
#ifndef WEIR_TESTS_UNIT_ENGINE_DAEMON_CLIENT_H
#define WEIR_TESTS_UNIT_ENGINE_DAEMON_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "app_client.h"

#define FDS 8

extern const char *weird_path;
extern char rundir[64]; /* where instances have their folders */

/* Start an instance; its standard error goes to log_fd (-1: nowhere). Returns when it is ready, or
 * has ended. */
pid_t start(const char *instance, int log_fd, bool *ready);
/* Send sig, if not 0, and wait. The status of waitpid(). */
int end(pid_t pid, int sig);
/* Connect to a socket of the instance; type: SOCK_*. */
int dial(const char *instance, const char *name, int type);
/* Ask instance t by ctl.sock. The answer is there until the next question. */
const char *ask(const char *request);

struct program {
	int fd;
	int bell; /* ours */
	int worker_bell;
	const struct abi_daemon *page;
	size_t bytes;
	struct app app;
};

/* Messages of a control connection. hear() answers 0 where the daemon hung up. */
void say(int fd, const struct abi_msg *msg, const int *fds, unsigned int n);
ssize_t hear(int fd, struct abi_msg *msg, int fds[FDS], unsigned int *n);
struct abi_msg message(uint32_t type);

/* A program with a session of instance t, and a channel. */
void attach(struct program *p);
void make_channel(struct program *p);
void detach(struct program *p);
/* struct app's run, for a program: ring if the worker sleeps, and give it the processor. */
void ring(void *program);

void expect_hangup(int fd);
void expect_alive(void);

#endif
