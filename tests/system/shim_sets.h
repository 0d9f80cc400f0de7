/* SPDX-License-Identifier: BSD-3-Clause */
/* Epoll sets with few words, for the cases of shim_nest.c and shim_polled.c. */
#ifndef WEIR_TESTS_SYSTEM_SHIM_SETS_H
#define WEIR_TESTS_SYSTEM_SHIM_SETS_H

#include <pthread.h>
#include <sys/epoll.h>

#include "shim_case.h"

#define LONG 10000 /* milliseconds, where an event has to come */
#define SHORT 30   /* where none may */

static inline int control(int ep, int op, int fd, unsigned int events)
{
	struct epoll_event e = { .events = events, .data.u64 = 0x100000000ull + (unsigned int)fd };

	return epoll_ctl(ep, op, fd, &e);
}

static inline int add(int ep, int fd, unsigned int events)
{
	return control(ep, EPOLL_CTL_ADD, fd, events);
}

static inline int new_set(void)
{
	int ep = epoll_create1(0);

	CHECK(ep >= 0);
	return ep;
}

/* The set has exactly this event of this descriptor, within the time. */
static inline void expect(int ep, int ms, int fd, unsigned int events)
{
	struct epoll_event e[4];
	int n = epoll_wait(ep, e, 4, ms);

	CHECK(n == 1);
	CHECK(e[0].data.u64 == 0x100000000ull + (unsigned int)fd);
	CHECK(e[0].events == events);
}

static inline void expect_none(int ep, int ms)
{
	struct epoll_event e;

	CHECK(epoll_wait(ep, &e, 1, ms) == 0);
}

static inline void put(int fd)
{
	CHECK(write(fd, "1", 1) == 1);
}

static inline void take(int fd)
{
	char byte;

	CHECK(read(fd, &byte, 1) == 1);
}

struct later {
	pthread_t thread;
	void (*fn)(int);
	int fd;
};

static inline void *do_later(void *arg)
{
	struct later *l = arg;

	usleep(150000);
	l->fn(l->fd);
	return NULL;
}

/* In another thread, when this one sleeps. */
static inline void later(struct later *l, void (*fn)(int), int fd)
{
	l->fn = fn;
	l->fd = fd;
	CHECK(pthread_create(&l->thread, NULL, do_later, l) == 0);
}

static inline void join(struct later *l)
{
	CHECK(pthread_join(l->thread, NULL) == 0);
}

/* A thread: the set *arg has an event. */
static inline void *waits(void *arg)
{
	struct epoll_event e;

	CHECK(epoll_wait(*(int *)arg, &e, 1, LONG) == 1);
	return NULL;
}

#endif
