/* SPDX-License-Identifier: BSD-3-Clause */
/* Watches and completions: who is told, when, and how often. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "prog.h"

static struct worker *w;
static struct prog p;

static int setup(void **state)
{
	w = test_worker();
	assert_int_equal(sock_layer_init(w), 0);
	fake_init(w);
	prog_open(&p, w, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	prog_close(&p);
	assert_int_equal(fake_pcb_count, 0);
	sock_layer_free(w);
	test_worker_done(w);
	return 0;
}

static unsigned int cqes(struct abi_channel *ch)
{
	struct psock s;
	unsigned int n = 0;

	while (prog_cqe(ch, &s))
		n++;
	return n;
}

static unsigned int all_cqes(struct abi_channel *const *ch, unsigned int count)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < count; i++)
		n += cqes(ch[i]);
	return n;
}

static void test_merged_until_consumed(void **state)
{
	struct psock l, c, s, got;

	prog_pair(&p, 80, &l, &c, &s);
	prog_watch(&p, s, p.epoll, ABI_EV_IN);
	assert_int_equal(cqes(p.epoll), 0);
	for (int i = 0; i < 5; i++) {
		prog_send(&p, c, "x", 1);
		prog_run(&p);
	}
	/* Five bursts, one completion: it was not looked at meanwhile. */
	assert_true(prog_cqe(p.epoll, &got));
	assert_int_equal(got.index, s.index);
	assert_int_equal(got.gen, s.gen);
	assert_false(prog_cqe(p.epoll, &got));
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(cqes(p.epoll), 1);
	/* Nothing new: nothing told. */
	prog_run(&p);
	assert_int_equal(cqes(p.epoll), 0);
}

static void test_posted_at_once_when_ready(void **state)
{
	struct psock l, c, s;

	prog_pair(&p, 80, &l, &c, &s);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	prog_watch(&p, s, p.epoll, ABI_EV_IN);
	assert_int_equal(cqes(p.epoll), 1);
	/* And again on a change of interest (epoll_ctl MOD). */
	prog_watch(&p, s, p.epoll, ABI_EV_IN | ABI_EV_OUT);
	assert_int_equal(cqes(p.epoll), 1);
	prog_submit(&p, ABI_OP_UNWATCH, s, p.epoll->index, 0);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(cqes(p.epoll), 0);
}

static void test_once(void **state)
{
	struct psock l, c, s;

	prog_pair(&p, 80, &l, &c, &s);
	prog_watch(&p, s, p.thread, ABI_EV_IN | ABI_WATCH_ONCE);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(cqes(p.thread), 1);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(cqes(p.thread), 0);
}

/* As poll() with one socket twice in its list (sshd, nc): {fd, POLLIN}, {fd, 0}. */
static void test_once_adds(void **state)
{
	struct psock l, c, s;

	prog_pair(&p, 80, &l, &c, &s);
	prog_watch(&p, s, p.thread, ABI_EV_IN | ABI_WATCH_ONCE);
	prog_watch(&p, s, p.thread, ABI_WATCH_ONCE);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(cqes(p.thread), 1);
	/* It is gone: the next says by itself what it wants. */
	prog_watch(&p, s, p.thread, ABI_WATCH_ONCE);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(cqes(p.thread), 0);
}

static void test_uninteresting(void **state)
{
	struct psock l, c, s;

	prog_pair(&p, 80, &l, &c, &s);
	prog_watch(&p, s, p.epoll, 0);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(cqes(p.epoll), 0);
	/* Errors are always told. */
	fake_reset(w, fake_pcb_of_port(80, false), ECONNRESET);
	prog_run(&p);
	assert_int_equal(cqes(p.epoll), 1);
}

static void test_want_tx(void **state)
{
	static uint8_t block[1 << 16];
	struct psock l, c, s;
	uint32_t n;

	prog_pair(&p, 80, &l, &c, &s);
	prog_watch(&p, c, p.epoll, ABI_EV_OUT);
	assert_int_equal(cqes(p.epoll), 1);
	/* Space comes back: nobody waits for it, nothing is told. */
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(cqes(p.epoll), 0);
	fake_hold_acks = true;
	while (prog_send(&p, c, block, sizeof(block)) != 0)
		prog_run(&p);
	assert_int_equal(atomic_load(&prog_sock(&p, c)->want), ABI_WANT_TX);
	assert_false(app_sock_events(prog_sock(&p, c)) & ABI_EV_OUT);
	prog_run(&p);
	assert_int_equal(cqes(p.epoll), 0);
	fake_hold_acks = false;
	do {
		prog_run(&p);
		n = prog_recv(&p, s, block, sizeof(block));
	} while (n != 0);
	assert_int_equal(cqes(p.epoll), 1);
	assert_int_equal(atomic_load(&prog_sock(&p, c)->want), 0);
}

static void test_overflow(void **state)
{
	struct psock l, c[70], s[70];

	assert_int_equal(prog_socket(&p, SOCK_STREAM, &l), 0);
	assert_int_equal(prog_bind(&p, l, 80), 0);
	assert_int_equal(prog_listen(&p, l, 100), 0);
	for (int i = 0; i < 70; i++) {
		assert_int_equal(prog_socket(&p, SOCK_STREAM, &c[i]), 0);
		assert_int_equal(prog_connect(&p, c[i], 80), -EINPROGRESS);
	}
	prog_run(&p);
	for (int i = 0; i < 70; i++) {
		assert_true(prog_accept(&p, l, &s[i]));
		prog_watch(&p, s[i], p.epoll, ABI_EV_IN);
	}
	assert_int_equal(atomic_load(&p.epoll->cq_overflow), 0);
	for (int i = 0; i < 70; i++)
		prog_send(&p, c[i], "x", 1);
	prog_run(&p);
	/* 64 fit; that more happened is said. */
	assert_int_equal(cqes(p.epoll), 64);
	assert_true(atomic_load(&p.epoll->cq_overflow) != 0);
}

static void test_exclusive(void **state)
{
	struct abi_channel *ch[3];
	struct psock l, c;
	unsigned int total = 0;
	uint64_t offset;
	uint32_t index;

	assert_int_equal(prog_socket(&p, SOCK_STREAM, &l), 0);
	assert_int_equal(prog_bind(&p, l, 80), 0);
	assert_int_equal(prog_listen(&p, l, 100), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(session_channel(p.session, 0, -1, 64, &index, &offset), 0);
		ch[i] = (struct abi_channel *)((uint8_t *)p.arena + offset);
		prog_watch(&p, l, ch[i], ABI_EV_IN | ABI_WATCH_EXCLUSIVE);
	}
	/* The first two sleep: the third is told. */
	atomic_store(&ch[0]->sleeping, 1);
	atomic_store(&ch[1]->sleeping, 1);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	prog_run(&p);
	assert_int_equal(atomic_load(&ch[0]->sleeping), 1);
	assert_int_equal(atomic_load(&ch[1]->sleeping), 1);
	/* It has not looked: the next connection wakes a sleeper. */
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	prog_run(&p);
	assert_int_equal(atomic_load(&ch[0]->sleeping) + atomic_load(&ch[1]->sleeping), 1);
	assert_int_equal(cqes(ch[2]), 1);
	for (int i = 0; i < 3; i++)
		total += cqes(ch[i]);
	assert_int_equal(total, 1);
}

/* Who was woken goes without having accepted: the next one is told, and nobody when the queue is
 * empty. */
static void test_exclusive_leaves(void **state)
{
	struct abi_channel *ch[3];
	struct psock l, c;
	uint64_t offset;
	uint32_t index[3];

	assert_int_equal(prog_socket(&p, SOCK_STREAM, &l), 0);
	assert_int_equal(prog_bind(&p, l, 80), 0);
	assert_int_equal(prog_listen(&p, l, 100), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(session_channel(p.session, 0, -1, 64, &index[i], &offset), 0);
		ch[i] = (struct abi_channel *)((uint8_t *)p.arena + offset);
		prog_watch(&p, l, ch[i], ABI_EV_IN | ABI_WATCH_EXCLUSIVE);
	}
	prog_run(&p);
	atomic_store(&ch[0]->sleeping, 1);
	atomic_store(&ch[1]->sleeping, 1);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	prog_run(&p);
	assert_int_equal(cqes(ch[2]), 1);
	/* It dies; of the others one is told, and that one leaves the set's listener alone. */
	session_channel_free(p.session, 0, index[2]);
	prog_run(&p);
	assert_int_equal(cqes(ch[0]) + cqes(ch[1]), 1);
	assert_int_equal(atomic_load(&ch[0]->sleeping) + atomic_load(&ch[1]->sleeping), 1);
}

/* Each datagram wakes one; those that came while nobody waited wake nobody later; the end is for
 * all. */
static void test_exclusive_datagrams(void **state)
{
	struct abi_channel *ch[4];
	struct abi_dgram d;
	struct psock s;
	uint64_t offset;
	uint32_t index;
	char byte;

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_bind(&p, s, 53), 0);
	for (int i = 0; i < 9; i++)
		fake_udp_deliver(w, 53, "1", 1);
	prog_run(&p);
	for (int i = 0; i < 9; i++)
		assert_int_equal(prog_recvfrom(&p, s, &byte, 1, &d), 1);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(session_channel(p.session, 0, -1, 64, &index, &offset), 0);
		ch[i] = (struct abi_channel *)((uint8_t *)p.arena + offset);
		prog_watch(&p, s, ch[i], ABI_EV_IN | ABI_WATCH_EXCLUSIVE);
	}
	fake_udp_deliver(w, 53, "1", 1);
	prog_run(&p);
	assert_int_equal(all_cqes(ch, 4), 1);
	/* It is left by who was woken, and by the next one; then it is taken. */
	prog_submit(&p, ABI_OP_UNWATCH, s, ch[0]->index, 0);
	prog_run(&p);
	assert_int_equal(all_cqes(ch, 4), 1);
	assert_int_equal(prog_recvfrom(&p, s, &byte, 1, &d), 1);
	prog_submit(&p, ABI_OP_UNWATCH, s, ch[1]->index, 0);
	prog_run(&p);
	assert_int_equal(all_cqes(ch, 4), 0);
	for (int i = 0; i < 2; i++)
		fake_udp_deliver(w, 53, "1", 1);
	prog_run(&p);
	assert_int_equal(cqes(ch[2]), 1);
	assert_int_equal(cqes(ch[3]), 1);
	assert_int_equal(prog_shutdown(&p, s, SHUT_RD), -ENOTCONN);
	assert_int_equal(all_cqes(ch, 4), 2);
}

static void test_bell(void **state)
{
	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), mine = dup(bell);
	struct psock l, c, s;
	struct abi_channel *ch;
	uint64_t offset, count;
	uint32_t index;

	prog_pair(&p, 80, &l, &c, &s);
	assert_int_equal(session_channel(p.session, 0, bell, 64, &index, &offset), 0);
	ch = (struct abi_channel *)((uint8_t *)p.arena + offset);
	prog_watch(&p, s, ch, ABI_EV_IN);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	/* Awake: a completion, and no system call. */
	assert_int_equal(cqes(ch), 1);
	assert_int_equal(read(mine, &count, sizeof(count)), -1);
	atomic_store(&ch->sleeping, 1);
	prog_send(&p, c, "x", 1);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(read(mine, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	assert_int_equal(atomic_load(&ch->sleeping), 0);
	/* The channel goes, with its watches and its bell. */
	session_channel_free(p.session, 0, index);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	close(mine);
}

/* A bell that is a socket, and a watch for urgent data, which hears of nothing else. */
static void test_bell_socket(void **state)
{
	struct psock l, c, s;
	struct abi_channel *ch;
	uint64_t offset, one;
	uint32_t index;
	int pair[2];

	/* A blocking one: the engine's calls do not wait all the same. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	prog_pair(&p, 80, &l, &c, &s);
	assert_int_equal(session_channel(p.session, 0, pair[0], 1, &index, &offset), 0);
	ch = (struct abi_channel *)((uint8_t *)p.arena + offset);
	prog_watch(&p, s, ch, ABI_EV_IN);
	/* Completions that nobody takes: each time that it sleeps it is rung. */
	for (int i = 0; i < 1000; i++) {
		atomic_store(&ch->sleeping, 1);
		prog_send(&p, c, "x", 1);
		prog_run(&p);
		assert_int_equal(atomic_load(&ch->sleeping), 0);
		if (i < 2)
			assert_int_equal(recv(pair[1], &one, sizeof(one), MSG_DONTWAIT), 8);
	}
	assert_int_equal(cqes(ch), 1);
	prog_watch(&p, s, ch, ABI_EV_URG);
	prog_run(&p);
	atomic_store(&ch->sleeping, 1);
	prog_send(&p, c, "x", 1);
	prog_submit(&p, ABI_OP_RELEASE, c, 0, 0);
	prog_run(&p);
	assert_int_equal(atomic_load(&ch->sleeping), 1);
	/* Nobody listens any more: no SIGPIPE. */
	close(pair[1]);
	prog_watch(&p, s, ch, ABI_EV_IN);
	prog_run(&p);
	assert_int_equal(atomic_load(&ch->sleeping), 0);
	session_channel_free(p.session, 0, index);
}

static void test_channels_run_out(void **state)
{
	uint64_t offset;
	uint32_t index;
	unsigned int n = 2;

	assert_int_equal(session_channel(p.session, 0, -1, 3, &index, &offset), -EINVAL);
	assert_int_equal(session_channel(p.session, 1, -1, 64, &index, &offset), -EINVAL);
	while (session_channel(p.session, 0, -1, 64, &index, &offset) == 0)
		n++;
	assert_int_equal(n, ABI_MAX_CHANNELS);
	assert_int_equal(session_channel(p.session, 0, -1, 64, &index, &offset), -ENOSPC);
	session_channel_free(p.session, 0, 77);
	assert_int_equal(session_channel(p.session, 0, -1, 64, &index, &offset), 0);
	assert_int_equal(index, 77);
}

/* An epoll set's channel: of each process that has the set, and it goes with the last of them. */
static void test_shared_channel(void **state)
{
	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), mine = dup(bell);
	struct session *child, *late;
	struct psock l, c, s;
	struct abi_channel *ch;
	uint64_t offset, count;
	uint32_t index;

	prog_pair(&p, 80, &l, &c, &s);
	assert_int_equal(session_channel(p.session, 0, bell, 64, &index, &offset), 0);
	assert_int_equal(session_channel_hold(p.session, 0, index), -ENOENT);
	session_channel_share(p.session, 0, index);
	ch = (struct abi_channel *)((uint8_t *)p.arena + offset);
	assert_int_equal(session_fork(p.session, 2, &child), 0);
	assert_int_equal(session_fork(child, 3, &late), 0);
	session_channel_free(late, 0, index);
	assert_int_equal(session_channel_bell(late, 0, index), -1);
	assert_int_equal(session_channel_hold(late, 0, index), 0);
	assert_int_equal(session_channel_hold(late, 0, index), 0);
	assert_int_equal(session_channel_bell(late, 0, index), bell);
	prog_watch(&p, s, ch, ABI_EV_IN);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(cqes(ch), 1);
	/* One dies, who may have been woken just now: the others are. */
	(void)!read(mine, &count, sizeof(count));
	session_destroy(child);
	prog_run(&p);
	assert_int_equal(read(mine, &count, sizeof(count)), sizeof(count));
	session_channel_free(p.session, 0, index);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(cqes(ch), 1);
	session_destroy(late);
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(session_channel_hold(p.session, 0, index), -ENOENT);
	close(mine);
}

/* It has no session, so nothing may be submitted there. */
static void test_shared_channel_takes_no_submissions(void **state)
{
	struct abi_channel *ch;
	uint64_t offset;
	uint32_t index;

	assert_int_equal(session_channel(p.session, 0, -1, 64, &index, &offset), 0);
	session_channel_share(p.session, 0, index);
	ch = (struct abi_channel *)((uint8_t *)p.arena + offset);
	assert_true(app_sq_push(p.arena, ch, &(struct abi_sqe){ .op = ABI_OP_RELEASE, .gen = 1 }));
	prog_run(&p);
	assert_non_null(session_broken(p.session));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_merged_until_consumed),
		T(test_posted_at_once_when_ready),
		T(test_once),
		T(test_once_adds),
		T(test_uninteresting),
		T(test_want_tx),
		T(test_overflow),
		T(test_exclusive),
		T(test_exclusive_leaves),
		T(test_exclusive_datagrams),
		T(test_bell),
		T(test_bell_socket),
		T(test_channels_run_out),
		T(test_shared_channel),
		T(test_shared_channel_takes_no_submissions),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
