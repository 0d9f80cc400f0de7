/* SPDX-License-Identifier: BSD-3-Clause */
/* Epoll sets inside epoll sets. Run on the kernel as well: what is checked here is what Linux does.
 */
#include "shim_sets.h"

static void level(void)
{
	int a, b, inner = new_set(), outer = new_set();
	struct later l;

	pair(&a, &b);
	CHECK(add(inner, b, EPOLLIN) == 0);
	CHECK(add(outer, inner, EPOLLIN) == 0);
	expect_none(outer, 0);
	expect_none(outer, SHORT);
	put(a);
	expect(outer, LONG, inner, EPOLLIN);
	expect(outer, 0, inner, EPOLLIN);
	/* What the inner set reports again the outer one does as well. */
	expect(inner, 0, b, EPOLLIN);
	expect(outer, 0, inner, EPOLLIN);
	take(b);
	expect_none(outer, SHORT);
	expect_none(inner, 0);
	for (int i = 0; i < 3; i++) {
		later(&l, put, a);
		expect(outer, LONG, inner, EPOLLIN);
		join(&l);
		expect(inner, 0, b, EPOLLIN);
		take(b);
		expect_none(outer, SHORT);
	}
}

static void edge(void)
{
	int a, b, inner = new_set(), outer = new_set();
	struct later l;

	pair(&a, &b);
	CHECK(add(inner, b, EPOLLIN) == 0);
	CHECK(add(outer, inner, EPOLLIN | EPOLLET) == 0);
	expect_none(outer, SHORT);
	put(a);
	expect(outer, LONG, inner, EPOLLIN);
	expect_none(outer, SHORT);
	later(&l, put, a);
	expect(outer, LONG, inner, EPOLLIN);
	join(&l);
	expect_none(outer, SHORT);
	/* There was something all the time. */
	CHECK(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN | EPOLLET) == 0);
	expect(outer, 0, inner, EPOLLIN);
	expect_none(outer, SHORT);
	take(b);
	take(b);
	CHECK(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN | EPOLLET) == 0);
	expect_none(outer, SHORT);
}

/* Edge-triggered inside: once the inner set has told of it neither has anything. */
static void edge_inside(void)
{
	int a, b, inner = new_set(), outer = new_set();

	pair(&a, &b);
	CHECK(add(inner, b, EPOLLIN | EPOLLET) == 0);
	CHECK(add(outer, inner, EPOLLIN) == 0);
	put(a);
	expect(outer, LONG, inner, EPOLLIN);
	expect(outer, 0, inner, EPOLLIN);
	expect(inner, 0, b, EPOLLIN);
	expect_none(outer, SHORT);
	put(a);
	expect(outer, LONG, inner, EPOLLIN);
	expect(inner, 0, b, EPOLLIN);
	expect_none(outer, SHORT);
}

static void oneshot(void)
{
	int a, b, inner = new_set(), outer = new_set();

	pair(&a, &b);
	CHECK(add(inner, b, EPOLLIN) == 0);
	CHECK(add(outer, inner, EPOLLIN | EPOLLONESHOT) == 0);
	put(a);
	expect(outer, LONG, inner, EPOLLIN);
	expect_none(outer, SHORT);
	put(a);
	expect_none(outer, SHORT);
	CHECK(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN | EPOLLONESHOT) == 0);
	expect(outer, LONG, inner, EPOLLIN);
	expect_none(outer, 0);
}

/* The inner set gets its socket when somebody sleeps in the outer one. */
static int late_inner;

static void add_late(int fd)
{
	CHECK(add(late_inner, fd, EPOLLIN) == 0);
}

static void added_while_asleep(void)
{
	int a, b, inner = new_set(), outer = new_set();
	struct later l;

	pair(&a, &b);
	late_inner = inner;
	CHECK(add(outer, inner, EPOLLIN) == 0);
	put(a);
	later(&l, add_late, b);
	expect(outer, LONG, inner, EPOLLIN);
	join(&l);
	/* And the outer set gets the inner one. */
	int late = new_set();

	late_inner = late;
	later(&l, add_late, inner);
	expect(late, LONG, inner, EPOLLIN);
	join(&l);
}

/* Weir's sockets beside kernel descriptors, in the inner set, the outer one, and both. */
static void mixed(void)
{
	int a, b, p[2], q[2], inner = new_set(), outer = new_set();
	struct epoll_event e[4];
	struct later l;

	pair(&a, &b);
	CHECK(pipe(p) == 0 && pipe(q) == 0);
	CHECK(add(inner, b, EPOLLIN) == 0);
	CHECK(add(inner, p[0], EPOLLIN) == 0);
	CHECK(add(outer, inner, EPOLLIN) == 0);
	CHECK(add(outer, q[0], EPOLLIN) == 0);
	expect_none(outer, SHORT);
	later(&l, put, p[1]);
	expect(outer, LONG, inner, EPOLLIN);
	join(&l);
	expect(inner, 0, p[0], EPOLLIN);
	expect(outer, 0, inner, EPOLLIN);
	take(p[0]);
	expect_none(outer, SHORT);
	later(&l, put, a);
	expect(outer, LONG, inner, EPOLLIN);
	join(&l);
	put(q[1]);
	/* Weir looks at the kernel's once in 0.1 ms while it has events itself. */
	for (int i = 0, n = 0; n < 2; i++) {
		CHECK(i < 100000);
		n = epoll_wait(outer, e, 4, LONG);
		CHECK(n >= 1 && n <= 2);
	}
	CHECK(e[0].data.u64 != e[1].data.u64);
	take(b);
	expect(outer, 0, q[0], EPOLLIN);
	take(q[0]);
	expect_none(outer, SHORT);
	later(&l, put, q[1]);
	expect(outer, LONG, q[0], EPOLLIN);
	join(&l);
}

/* No socket at all, or one in the outer set only. */
static void kernel_only_inside(void)
{
	int a, b, p[2], inner = new_set(), outer = new_set();
	struct later l;

	CHECK(pipe(p) == 0);
	CHECK(add(inner, p[0], EPOLLIN) == 0);
	CHECK(add(outer, inner, EPOLLIN) == 0);
	expect_none(outer, SHORT);
	for (int i = 0; i < 3; i++) {
		later(&l, put, p[1]);
		expect(outer, LONG, inner, EPOLLIN);
		join(&l);
		expect(outer, 0, inner, EPOLLIN);
		take(p[0]);
		expect_none(outer, SHORT);
		if (i == 0) {
			pair(&a, &b);
			CHECK(add(outer, b, EPOLLIN) == 0);
			put(a);
			expect(outer, LONG, b, EPOLLIN);
			take(b);
		}
	}
	CHECK(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN | EPOLLET) == 0);
	later(&l, put, p[1]);
	expect(outer, LONG, inner, EPOLLIN);
	join(&l);
	expect_none(outer, SHORT);
	later(&l, put, p[1]);
	expect(outer, LONG, inner, EPOLLIN);
	join(&l);
	expect_none(outer, SHORT);
	/* An edge-triggered pipe is the inner set's to tell of, not lost by looking. */
	take(p[0]);
	take(p[0]);
	CHECK(control(inner, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET) == 0);
	CHECK(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN) == 0);
	put(p[1]);
	expect(outer, LONG, inner, EPOLLIN);
	expect(outer, LONG, inner, EPOLLIN);
	expect(inner, LONG, p[0], EPOLLIN);
	expect_none(outer, SHORT);
}

/* Four sets, each in the next: the top hears the socket and the pipe at the bottom. */
static void deep(unsigned int top_events)
{
	int a, b, p[2], set[4];
	struct later l;

	for (int i = 0; i < 4; i++)
		set[i] = new_set();
	for (int i = 1; i < 4; i++)
		CHECK(add(set[i], set[i - 1], EPOLLIN | (i == 3 ? top_events : 0)) == 0);
	pair(&a, &b);
	CHECK(pipe(p) == 0);
	CHECK(add(set[0], b, EPOLLIN) == 0);
	CHECK(add(set[0], p[0], EPOLLIN) == 0);
	expect_none(set[3], SHORT);
	for (int i = 0; i < 3; i++) {
		later(&l, put, a);
		expect(set[3], LONG, set[2], EPOLLIN);
		join(&l);
		if (top_events & EPOLLET)
			expect_none(set[3], SHORT);
		expect(set[2], 0, set[1], EPOLLIN);
		expect(set[1], 0, set[0], EPOLLIN);
		expect(set[0], 0, b, EPOLLIN);
		take(b);
		expect_none(set[3], SHORT);
		later(&l, put, p[1]);
		expect(set[3], LONG, set[2], EPOLLIN);
		join(&l);
		expect(set[1], 0, set[0], EPOLLIN);
		take(p[0]);
		expect_none(set[3], SHORT);
	}
}

static void deep_level(void)
{
	deep(0);
}

static void deep_edge(void)
{
	deep(EPOLLET);
}

static void refused(void)
{
	int set[6], a = new_set(), b = new_set();

	CHECK(add(a, a, EPOLLIN) == -1 && errno == EINVAL);
	CHECK(add(a, b, EPOLLIN | EPOLLEXCLUSIVE) == -1 && errno == EINVAL);
	CHECK(add(a, b, EPOLLIN) == 0);
	CHECK(add(a, b, EPOLLIN) == -1 && errno == EEXIST);
	CHECK(add(b, a, EPOLLIN) == -1 && errno == ELOOP);
	CHECK(control(a, EPOLL_CTL_MOD, b, EPOLLIN | EPOLLEXCLUSIVE) == -1 && errno == EINVAL);
	CHECK(control(a, 77, b, EPOLLIN) == -1 && errno == EINVAL);
	CHECK(epoll_ctl(a, EPOLL_CTL_DEL, b, NULL) == 0);
	CHECK(epoll_ctl(a, EPOLL_CTL_DEL, b, NULL) == -1 && errno == ENOENT);
	CHECK(control(a, EPOLL_CTL_MOD, b, EPOLLIN) == -1 && errno == ENOENT);
	CHECK(add(b, a, EPOLLIN) == 0);
	for (int i = 0; i < 6; i++)
		set[i] = new_set();
	for (int i = 1; i < 5; i++)
		CHECK(add(set[i], set[i - 1], EPOLLIN) == 0);
	CHECK(add(set[5], set[4], EPOLLIN) == -1 && errno == ELOOP);
	CHECK(add(set[0], set[4], EPOLLIN) == -1 && errno == ELOOP);
	CHECK(add(set[2], set[2], EPOLLIN) == -1 && errno == EINVAL);
}

static void inner_closed(void)
{
	int a, b, inner = new_set(), outer = new_set(), copy;

	pair(&a, &b);
	CHECK(add(inner, b, EPOLLIN) == 0);
	CHECK(add(outer, inner, EPOLLIN) == 0);
	put(a);
	expect(outer, LONG, inner, EPOLLIN);
	/* A copy keeps it open, and in the outer set under its old number. */
	copy = dup(inner);
	CHECK(close(inner) == 0);
	expect(outer, 0, inner, EPOLLIN);
	CHECK(close(copy) == 0);
	expect_none(outer, SHORT);
	/* Another set with the same number. */
	CHECK(new_set() == inner);
	CHECK(add(inner, b, EPOLLIN) == 0);
	expect_none(outer, SHORT);
	CHECK(add(outer, inner, EPOLLIN) == 0);
	expect(outer, LONG, inner, EPOLLIN);
	CHECK(epoll_ctl(outer, EPOLL_CTL_DEL, inner, NULL) == 0);
	expect_none(outer, SHORT);
	CHECK(add(outer, inner, EPOLLIN) == 0);
	CHECK(close(outer) == 0);
	expect(inner, 0, b, EPOLLIN);
}

static void two_descriptors(void)
{
	int a, b, inner = new_set(), outer = new_set(), copy = dup(inner);
	struct epoll_event e[4];

	pair(&a, &b);
	CHECK(add(inner, b, EPOLLIN) == 0);
	CHECK(add(outer, inner, EPOLLIN) == 0);
	CHECK(add(outer, copy, EPOLLIN) == 0);
	put(a);
	CHECK(epoll_wait(outer, e, 4, LONG) >= 1);
	CHECK(epoll_wait(outer, e, 4, LONG) == 2);
	CHECK(e[0].data.u64 != e[1].data.u64);
	CHECK(epoll_ctl(outer, EPOLL_CTL_DEL, inner, NULL) == 0);
	expect(outer, 0, copy, EPOLLIN);
}

/* One socket, three who wait: for the inner set, and for two sets around it. */
static void all_hear(void)
{
	int a, b, set[3];
	pthread_t thread[3];

	for (int i = 0; i < 3; i++)
		set[i] = new_set();
	pair(&a, &b);
	CHECK(add(set[0], b, EPOLLIN) == 0);
	CHECK(add(set[1], set[0], EPOLLIN) == 0);
	CHECK(add(set[2], set[0], EPOLLIN | EPOLLET) == 0);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 3; i++)
			CHECK(pthread_create(&thread[i], NULL, waits, &set[i]) == 0);
		usleep(30000);
		put(a);
		for (int i = 0; i < 3; i++)
			CHECK(pthread_join(thread[i], NULL) == 0);
		take(b);
	}
}

/* Over fork: the child waits for what the parent's socket gets, and adds to the inner set. */
static void forked(void)
{
	int a, b, c, d, p[2], inner = new_set(), outer = new_set();
	pid_t child;

	pair(&a, &b);
	pair(&c, &d);
	CHECK(pipe(p) == 0);
	CHECK(add(outer, inner, EPOLLIN) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		expect(outer, LONG, inner, EPOLLIN);
		expect(inner, 0, b, EPOLLIN);
		take(b);
		CHECK(add(inner, d, EPOLLIN) == 0);
		put(p[1]);
		expect(outer, LONG, inner, EPOLLIN);
		expect(inner, 0, d, EPOLLIN);
		take(d);
		_exit(0);
	}
	CHECK(add(inner, b, EPOLLIN) == 0);
	usleep(100000);
	put(a);
	take(p[0]);
	put(c);
	reap(child);
	expect_none(outer, SHORT);
	put(c);
	expect(outer, LONG, inner, EPOLLIN);
	expect(inner, 0, d, EPOLLIN);
}

static const struct shim_case cases[] = {
	{ "level", level },
	{ "edge", edge },
	{ "edge_inside", edge_inside },
	{ "oneshot", oneshot },
	{ "added_while_asleep", added_while_asleep },
	{ "mixed", mixed },
	{ "kernel_only_inside", kernel_only_inside },
	{ "deep_level", deep_level },
	{ "deep_edge", deep_edge },
	{ "refused", refused },
	{ "inner_closed", inner_closed },
	{ "two_descriptors", two_descriptors },
	{ "all_hear", all_hear },
	{ "forked", forked },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_cases(cases, argc, argv);
}
