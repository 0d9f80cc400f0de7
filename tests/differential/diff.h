/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that says what sockets do. Each case runs in a process of its own and writes what each
 * call answered: the value or the errno's name, the events, the bytes; no number that differs from
 * run to run (ports, process ids, descriptors, times). Run on the kernel and on weir, the two
 * transcripts are to be the same (differential.py).
 *
 * CASE(group, name) { ... } is one case. OP(group, name, kinds) { ... e->s ... } is one for each
 * state of those kinds that a socket can be in (states.c): "group.name.state".
 */
#ifndef WEIR_TESTS_DIFFERENTIAL_DIFF_H
#define WEIR_TESTS_DIFFERENTIAL_DIFF_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Kinds of states. */
#define TCP_STATES 1u /* a stream that is no listener */
#define LISTENERS 2u
#define UDP_STATES 4u
#define ALL_STATES 7u

/* A socket in a state, and what stands around it; -1 where there is none. */
struct ends {
	int s;
	int peer;
	int listener;
	struct sockaddr_in addr; /* the listener's (or the UDP peer's) */
};

struct definition {
	const char *group, *name;
	void (*run)(void);
	void (*op)(struct ends *e);
	void (*run_with)(const void *with);
	const void *with;
	unsigned int kinds;
	struct definition *next;
};

void define_case(struct definition *d);
void define_op(struct definition *d);
void define_state(struct definition *d);

#define DEFINE(how, group_, name_, ...)                                                            \
	static struct definition def_##group_##_##name_ = { .group = #group_,                      \
							    .name = #name_,                        \
							    __VA_ARGS__ };                         \
	__attribute__((constructor)) static void add_##group_##_##name_(void)                      \
	{                                                                                          \
		how(&def_##group_##_##name_);                                                      \
	}

#define CASE(group_, name_)                                                                        \
	static void case_##group_##_##name_(void);                                                 \
	DEFINE(define_case, group_, name_, .run = case_##group_##_##name_)                         \
	static void case_##group_##_##name_(void)

#define OP(group_, name_, kinds_)                                                                  \
	static void op_##group_##_##name_(struct ends *e);                                         \
	DEFINE(define_op, group_, name_, .op = op_##group_##_##name_, .kinds = (kinds_))           \
	static void op_##group_##_##name_(struct ends *e)

#define STATE(name_, kind_)                                                                        \
	static void state_##name_(struct ends *e);                                                 \
	DEFINE(define_state, state, name_, .op = state_##name_, .kinds = (kind_))                  \
	static void state_##name_(struct ends *e)

/* ---- what a case says ---- */

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
long said(const char *what, long value, int err);    /* the value, or the errno's name */
long said_fd(const char *what, long value, int err); /* "fd" for any descriptor */
void say_bytes(const char *what, const void *bytes, long count);
const char *errno_name(int err);

#define CALL(expr)                                                                                 \
	({                                                                                         \
		errno = 0;                                                                         \
		long value_ = (long)(expr);                                                        \
		said(#expr, value_, errno);                                                        \
	})
#define FD(expr)                                                                                   \
	({                                                                                         \
		errno = 0;                                                                         \
		long value_ = (long)(expr);                                                        \
		(int)said_fd(#expr, value_, errno);                                                \
	})
/* A receive: the value and the bytes. */
#define GET(expr, buf)                                                                             \
	({                                                                                         \
		memset(buf, '.', sizeof(buf));                                                     \
		errno = 0;                                                                         \
		long value_ = (long)(expr);                                                        \
		said(#expr, value_, errno);                                                        \
		say_bytes(#buf, buf, value_ < (long)sizeof(buf) ? value_ : (long)sizeof(buf));     \
		value_;                                                                            \
	})
/* For what prepares a case: it ends the case if it fails. */
#define MUST(expr)                                                                                 \
	({                                                                                         \
		errno = 0;                                                                         \
		long must_ = (long)(expr);                                                         \
		if (must_ < 0)                                                                     \
			give_up(__FILE__, __LINE__, #expr, errno);                                 \
		(int)must_;                                                                        \
	})
void give_up(const char *file, int line, const char *what, int err) __attribute__((noreturn));

/* The events there are now, by poll, epoll and select: "poll IN RDHUP, epoll IN RDHUP, select r".
 */
void say_ready(int fd);
/* epoll_wait() for at most ms: "WHAT N EVENTS..." of the one event there is room for. */
void say_wait(const char *what, int ep, int ms);
/* Wait until poll() tells all of these (any one of the others does not end it); says nothing if
 * so, and that it never came if not. */
void until(int fd, short events);
/* Until so many bytes can be read. */
void until_bytes(int fd, int bytes);
/* Until everything that fd wrote is acknowledged, so that the other side has it. */
void until_sent(int fd);
/* What a call sets off has happened: where nothing tells that it has, a little time. */
void settle(void);
/* How the socket stands, and what its peer sees: used behind a call. */
void say_state(int fd);

/* ---- sockets ---- */

struct sockaddr_in local_addr(void); /* 127.0.0.1 and port 0 */
#define SA(a) ((struct sockaddr *)(a))
#define SA_SIZE ((socklen_t)sizeof(struct sockaddr_in))
int new_tcp(void);
int new_udp(void);
int new_listener(int backlog, struct sockaddr_in *addr);
void name_of(int fd, struct sockaddr_in *addr);
void tcp_pair(int *a, int *b); /* a connected to b */
void udp_pair(int *a, int *b); /* each connected to the other */
void set_int(int fd, int level, int name, int value);
void nonblocking(int fd);
/* A port of 127.0.0.1 where nobody listens. */
struct sockaddr_in nobody(void);
void reset(int fd); /* close with a RST */

/* ---- signals ---- */

/* In so many ms SIGALRM comes, its handler installed with these flags (SA_RESTART, 0). */
void alarm_in(int ms, int flags);
extern volatile sig_atomic_t alarms, pipes;

#endif
