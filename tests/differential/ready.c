/* SPDX-License-Identifier: BSD-3-Clause */
/* epoll: which events come, how often and in which order: level, edge and one-shot in each state,
 * what a change beside the wait does, whose turn it is, and what epoll_ctl() refuses. */
#include "diff.h"

#include <pthread.h>

#define ALL (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP)

static int set_with(int fd, unsigned int events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };
	int ep = MUST(epoll_create1(0));

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
	return ep;
}

static void again(int ep, int fd, unsigned int events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event));
}

static void read_all(int fd)
{
	char buf[64];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

/* ---- in each state ---- */

OP(ready, level, ALL_STATES)
{
	int ep = set_with(e->s, ALL);

	say_wait("first", ep, 0);
	say_wait("second", ep, 0);
	read_all(e->s);
	say_wait("read", ep, 0);
}

OP(ready, edge, ALL_STATES)
{
	int ep = set_with(e->s, ALL | EPOLLET);

	say_wait("first", ep, 0);
	say_wait("second", ep, 0);
	again(ep, e->s, ALL | EPOLLET);
	say_wait("changed", ep, 0);
	read_all(e->s);
	say_wait("read", ep, 0);
}

OP(ready, oneshot, ALL_STATES)
{
	int ep = set_with(e->s, ALL | EPOLLONESHOT);

	say_wait("first", ep, 0);
	say_wait("second", ep, 0);
	again(ep, e->s, EPOLLOUT | EPOLLONESHOT);
	say_wait("armed for writing", ep, 0);
	again(ep, e->s, EPOLLIN);
	say_wait("level", ep, 0);
}

/* HUP and ERR come unasked. */
OP(ready, nothing_wanted, ALL_STATES)
{
	int ep = set_with(e->s, 0);

	say_wait("first", ep, 0);
	again(ep, e->s, EPOLLET);
	say_wait("edge", ep, 0);
	say_wait("edge again", ep, 0);
}

OP(ready, shut, ALL_STATES)
{
	int ep = set_with(e->s, ALL | EPOLLET);

	say_wait("first", ep, 0);
	(void)!shutdown(e->s, SHUT_RD);
	settle();
	say_wait("read side", ep, 0);
	(void)!shutdown(e->s, SHUT_WR);
	settle();
	say_wait("write side", ep, 0);
}

/* Closed with a copy open: the set goes on to tell of it. The last one ends that. */
OP(ready, closed, ALL_STATES)
{
	int ep = set_with(e->s, ALL), copy = dup(e->s);

	close(e->s);
	say_wait("a copy is open", ep, 0);
	close(copy);
	say_wait("none is", ep, 0);
}

/* ---- changes ---- */

CASE(watch, edges_of_a_connection)
{
	int a, b, ep;

	tcp_pair(&a, &b);
	ep = set_with(a, ALL | EPOLLET);
	say_wait("writable", ep, 0);
	MUST(send(b, "1", 1, 0));
	say_wait("a byte", ep, 1000);
	MUST(send(b, "2", 1, 0));
	say_wait("another", ep, 1000);
	say_wait("nothing new", ep, 0);
	read_all(a);
	MUST(send(b, "3", 1, 0));
	say_wait("behind reading", ep, 1000);
	MUST(shutdown(b, SHUT_WR));
	until(a, POLLRDHUP);
	say_wait("its end", ep, 1000);
	MUST(shutdown(a, SHUT_WR));
	until(a, POLLHUP);
	say_wait("both ends", ep, 1000);
	say_wait("nothing new", ep, 0);
}

CASE(watch, edge_of_room)
{
	static char block[65536];
	int a, b, ep;

	tcp_pair(&a, &b);
	nonblocking(a);
	nonblocking(b);
	ep = set_with(a, EPOLLOUT | EPOLLET);
	say_wait("writable", ep, 0);
	for (int quiet = 0; quiet < 4;) {
		struct pollfd p = { .fd = a, .events = POLLOUT };

		if (send(a, block, sizeof(block), 0) > 0)
			quiet = 0;
		else if (poll(&p, 1, 10) == 0)
			quiet++;
	}
	say_wait("full", ep, 0);
	while (poll(&(struct pollfd){ .fd = b, .events = POLLIN }, 1, 50) > 0 &&
	       recv(b, block, sizeof(block), 0) > 0)
		;
	say_wait("room", ep, 1000);
}

CASE(watch, connecting)
{
	struct sockaddr_in addr, none = nobody();
	int listener = new_listener(4, &addr), s = new_tcp(), refused = new_tcp(), ep;

	(void)listener;
	ep = set_with(s, ALL | EPOLLET);
	say_wait("fresh", ep, 0);
	nonblocking(s);
	(void)!connect(s, SA(&addr), SA_SIZE);
	until(s, POLLOUT);
	say_wait("connected", ep, 1000);
	ep = set_with(refused, ALL);
	say_wait("fresh", ep, 0);
	nonblocking(refused);
	(void)!connect(refused, SA(&none), SA_SIZE);
	until(refused, POLLHUP);
	say_wait("refused", ep, 1000);
}

CASE(watch, listener_edges)
{
	struct sockaddr_in addr;
	int listener = new_listener(4, &addr), one = new_tcp(), two = new_tcp(), ep;

	ep = set_with(listener, EPOLLIN | EPOLLET);
	say_wait("nobody", ep, 0);
	MUST(connect(one, SA(&addr), SA_SIZE));
	say_wait("one", ep, 1000);
	MUST(connect(two, SA(&addr), SA_SIZE));
	say_wait("two", ep, 1000);
	say_wait("nothing new", ep, 0);
	MUST(accept(listener, NULL, NULL));
	say_wait("one is left", ep, 0);
	again(ep, listener, EPOLLIN);
	say_wait("level", ep, 0);
	MUST(accept(listener, NULL, NULL));
	say_wait("none is left", ep, 0);
}

CASE(watch, datagram_edges)
{
	char buf[8];
	int a, b, ep;

	udp_pair(&a, &b);
	ep = set_with(a, EPOLLIN | EPOLLET);
	MUST(send(b, "1", 1, 0));
	say_wait("one", ep, 1000);
	MUST(send(b, "2", 1, 0));
	say_wait("two", ep, 1000);
	CALL(recv(a, buf, 1, 0));
	say_wait("nothing new", ep, 0);
}

/* ---- turns ---- */

/* With room for one event each member that is ready has its turn. */
CASE(watch, turns)
{
	struct epoll_event event;
	int a[4], b[4], seen[4] = { 0 }, ep = MUST(epoll_create1(0));

	for (int i = 0; i < 4; i++) {
		tcp_pair(&a[i], &b[i]);
		event = (struct epoll_event){ .events = EPOLLIN, .data.u32 = (uint32_t)i };
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, a[i], &event));
		MUST(send(b[i], "x", 1, 0));
		until(a[i], POLLIN);
	}
	for (int i = 0; i < 12; i++) {
		if (epoll_wait(ep, &event, 1, 1000) == 1)
			seen[event.data.u32]++;
	}
	say("  turns %d %d %d %d", seen[0], seen[1], seen[2], seen[3]);
}

/* ---- while another thread waits ---- */

struct later {
	int ep, fd, other;
	void (*fn)(const struct later *l);
};

static void *run_later(void *arg)
{
	struct later *l = arg;

	settle();
	l->fn(l);
	return NULL;
}

static void wait_while(struct later *l, int ms)
{
	pthread_t thread;

	MUST(-pthread_create(&thread, NULL, run_later, l));
	say_wait("waited", l->ep, ms);
	pthread_join(thread, NULL);
}

static void wants_reading(const struct later *l)
{
	struct epoll_event event = { .events = EPOLLIN };

	MUST(epoll_ctl(l->ep, EPOLL_CTL_MOD, l->fd, &event));
}

CASE(watch, changed_meanwhile)
{
	int a, b;

	tcp_pair(&a, &b);
	MUST(send(b, "x", 1, 0));
	until(a, POLLIN);
	wait_while(&(struct later){ set_with(a, EPOLLPRI), a, b, wants_reading }, 2000);
}

static void is_added(const struct later *l)
{
	struct epoll_event event = { .events = EPOLLIN };

	MUST(epoll_ctl(l->ep, EPOLL_CTL_ADD, l->fd, &event));
}

CASE(watch, added_meanwhile)
{
	int a, b, ep = MUST(epoll_create1(0));

	tcp_pair(&a, &b);
	MUST(send(b, "x", 1, 0));
	until(a, POLLIN);
	wait_while(&(struct later){ ep, a, b, is_added }, 2000);
}

static void is_taken_out(const struct later *l)
{
	MUST(epoll_ctl(l->ep, EPOLL_CTL_DEL, l->fd, NULL));
	MUST(send(l->other, "x", 1, 0));
}

CASE(watch, taken_out_meanwhile)
{
	int a, b;

	tcp_pair(&a, &b);
	wait_while(&(struct later){ set_with(a, EPOLLIN), a, b, is_taken_out }, 60);
}

static void is_closed(const struct later *l)
{
	close(l->fd);
}

CASE(watch, closed_meanwhile)
{
	int a, b;

	tcp_pair(&a, &b);
	wait_while(&(struct later){ set_with(a, EPOLLIN), a, b, is_closed }, 60);
}

static void is_armed(const struct later *l)
{
	again(l->ep, l->fd, EPOLLIN | EPOLLONESHOT);
}

CASE(watch, armed_meanwhile)
{
	int a, b, ep;

	tcp_pair(&a, &b);
	ep = set_with(a, EPOLLIN | EPOLLONESHOT);
	MUST(send(b, "x", 1, 0));
	say_wait("first", ep, 1000);
	wait_while(&(struct later){ ep, a, b, is_armed }, 2000);
}

/* ---- what is refused ---- */

CASE(watch, errors)
{
	struct epoll_event event = { .events = EPOLLIN };
	int s = new_tcp(), other = new_tcp(), ep = MUST(epoll_create1(0));
	int file = MUST(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));

	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, s, &event));
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, s, &event));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, &event));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, &event));
	CALL(epoll_ctl(ep, 7, s, &event));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, 999, &event));
	CALL(epoll_ctl(999, EPOLL_CTL_ADD, s, &event));
	CALL(epoll_ctl(s, EPOLL_CTL_ADD, other, &event));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, file, &event));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &event));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, s, NULL));
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, s, NULL));
	CALL(epoll_wait(ep, &event, 0, 0));
	CALL(epoll_wait(ep, &event, -1, 0));
	CALL(epoll_wait(ep, &event, INT_MAX, 0));
	CALL(epoll_wait(s, &event, 1, 0));
	CALL(epoll_wait(999, &event, 1, 0));
	CALL(epoll_create(0));
	CALL(epoll_create1(1));
}

CASE(watch, exclusive_errors)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT };
	struct sockaddr_in addr;
	int s = new_listener(4, &addr), ep = MUST(epoll_create1(0));

	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, &event));
	event.events = EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE;
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, &event));
	event.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLET | EPOLLWAKEUP;
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, &event));
	event.events = EPOLLIN;
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, s, &event));
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, s, &event));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, &event));
	event.events = EPOLLIN | EPOLLEXCLUSIVE;
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, s, &event));
}

CASE(watch, times)
{
	struct timespec none = { 0, 0 }, bad = { 0, 1000000000 }, short_time = { 0, 1500000 };
	struct epoll_event event;
	int s = new_udp(), ep = set_with(s, EPOLLIN);

	CALL(epoll_pwait2(ep, &event, 1, &none, NULL));
	CALL(epoll_pwait2(ep, &event, 1, &bad, NULL));
	CALL(epoll_pwait2(ep, &event, 1, &short_time, NULL));
	CALL(epoll_wait(ep, &event, 1, 2));
	alarm_in(20, 0);
	CALL(epoll_wait(ep, &event, 1, 2000));
	alarm_in(20, SA_RESTART);
	CALL(epoll_pwait(ep, &event, 1, 2000, NULL));
	alarm_in(20, SA_RESTART);
	CALL(epoll_pwait2(ep, &event, 1, &(struct timespec){ 2, 0 }, NULL));
	say("  alarms %d", (int)alarms);
}
