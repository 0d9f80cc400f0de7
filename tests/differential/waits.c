/* SPDX-License-Identifier: BSD-3-Clause */
/* Who waits, while another thread does something to the socket. */
#include "diff.h"

#include <pthread.h>
#include <sys/resource.h>

static char buf[64];

/* What the other thread does, a while after the first one has begun to wait. */
struct deed {
	void (*what)(int fd);
	int fd;
	pthread_t thread;
};

static void *do_later(void *arg)
{
	struct deed *d = arg;

	settle();
	d->what(d->fd);
	return NULL;
}

static void later(struct deed *d, void (*what)(int), int fd)
{
	d->what = what;
	d->fd = fd;
	MUST(-pthread_create(&d->thread, NULL, do_later, d));
}

/* ---- a peek that waits for more than there is ---- */

static void byte_by_byte(int fd)
{
	for (int i = 0; i < 8; i++) {
		settle();
		send(fd, &"01234567"[i], 1, MSG_NOSIGNAL);
	}
}

static void dribble(int fd)
{
	for (int i = 0; i < 40; i++)
		settle();
	send(fd, "bcdefgh", 7, MSG_NOSIGNAL);
}

static void end_of_it(int fd)
{
	send(fd, "xy", 2, MSG_NOSIGNAL);
	settle();
	shutdown(fd, SHUT_WR);
}

CASE(waits, peek_all_byte_by_byte)
{
	struct deed d;
	int a, b;

	tcp_pair(&a, &b);
	later(&d, byte_by_byte, b);
	GET(recv(a, buf, 8, MSG_PEEK | MSG_WAITALL), buf);
	GET(recv(a, buf, 8, 0), buf);
	pthread_join(d.thread, NULL);
}

CASE(waits, peek_all_till_the_end)
{
	struct deed d;
	int a, b;

	tcp_pair(&a, &b);
	later(&d, end_of_it, b);
	GET(recv(a, buf, 8, MSG_PEEK | MSG_WAITALL), buf);
	pthread_join(d.thread, NULL);
}

CASE(waits, peek_lowat)
{
	struct deed d;
	int a, b;

	tcp_pair(&a, &b);
	set_int(a, SOL_SOCKET, SO_RCVLOWAT, 5);
	later(&d, byte_by_byte, b);
	CALL(recv(a, buf, 8, MSG_PEEK) >= 5);
	pthread_join(d.thread, NULL);
}

CASE(waits, peek_behind_all)
{
	struct deed d;
	int a, b;

	tcp_pair(&a, &b);
	MUST(send(b, "ab", 2, 0));
	until_bytes(a, 2);
	set_int(a, SOL_SOCKET, SO_PEEK_OFF, 4);
	later(&d, byte_by_byte, b);
	GET(recv(a, buf, 1, MSG_PEEK), buf);
	pthread_join(d.thread, NULL);
}

/* It sleeps: 320 ms, with a byte there from the start. */
CASE(waits, peek_sleeps)
{
	struct rusage before, after;
	struct deed d;
	int a, b;

	tcp_pair(&a, &b);
	MUST(send(b, "a", 1, 0));
	until_bytes(a, 1);
	later(&d, dribble, b);
	getrusage(RUSAGE_THREAD, &before);
	GET(recv(a, buf, 8, MSG_PEEK | MSG_WAITALL), buf);
	getrusage(RUSAGE_THREAD, &after);
	say("slept more than 40 times: %d", after.ru_nvcsw - before.ru_nvcsw > 40);
	pthread_join(d.thread, NULL);
}
