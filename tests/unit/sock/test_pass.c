/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets whose descriptors are passed: shared within the family, moved to another one, listeners
 * shared by several; and what is left of each. */
#include <errno.h>
#include <linux/filter.h>

#include "prog.h"
#include "sock/sock_priv.h"

static struct worker *w;
static struct prog p, q;

static int setup(void **state)
{
	w = test_worker();
	assert_int_equal(sock_layer_init(w), 0);
	fake_init(w);
	prog_open(&p, w, 0, 0);
	prog_open(&q, w, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	if (p.session != NULL)
		prog_close(&p);
	if (q.session != NULL)
		prog_close(&q);
	fake_run(w);
	sock_flush(w);
	assert_int_equal(fake_pcb_count, 0);
	assert_int_equal(fake_udp_count, 0);
	sock_layer_free(w);
	test_worker_done(w);
	return 0;
}

static void run(void)
{
	for (int i = 0; i < 4; i++) {
		if (p.session != NULL)
			prog_run(&p);
		prog_run(&q);
	}
}

static struct session *pass(struct prog *from, struct psock s)
{
	struct session *transit;

	assert_int_equal(session_pass(from->session, s.index, s.gen, &transit), 0);
	return transit;
}

static struct psock receive(struct prog *to, struct session **transit)
{
	struct psock s;

	assert_int_equal(session_receive(to->session, transit, &s.index, &s.gen), 0);
	return s;
}

static void test_lives_on_the_way(void **state)
{
	struct psock l, c, s;
	struct session *transit;
	char buf[8];

	prog_pair(&p, 80, &l, &c, &s);
	assert_int_equal(session_pass(p.session, s.index, s.gen + 1, &transit), -EBADF);
	assert_int_equal(session_pass(p.session, UINT32_MAX, 1, &transit), -EBADF);
	transit = pass(&p, s);
	prog_release(&p, s);
	prog_send(&p, c, "on the way", 5);
	run();
	assert_true(atomic_load(&prog_sock(&p, c)->state) & ABI_S_CONNECTED);
	assert_false(atomic_load(&prog_sock(&p, c)->state) & ABI_S_RX_EOF);
	/* To a process of the same family: the same socket. */
	struct psock got = receive(&p, &transit);

	assert_int_equal(got.index, s.index);
	session_destroy(transit);
	run();
	assert_int_equal(prog_recv(&p, got, buf, sizeof(buf)), 5);
	prog_release(&p, got);
	run();
	assert_true(atomic_load(&prog_sock(&p, c)->state) & ABI_S_RX_EOF);
	/* Never received: it ends with the transit. */
	prog_pair(&p, 81, &l, &c, &s);
	transit = pass(&p, s);
	prog_release(&p, s);
	run();
	session_destroy(transit);
	run();
	assert_true(atomic_load(&prog_sock(&p, c)->state) & ABI_S_RX_EOF);
}

/* What a process does not have it cannot pass: a connection that waits to be accepted belongs to
 * its listener, which closes it. */
static void test_only_what_it_has(void **state)
{
	struct psock l, c, first, waits;
	struct session *transit;
	const uint64_t *ring;
	uint64_t entry;

	prog_pair(&p, 80, &l, &c, &first);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	run();
	ring = (const uint64_t *)((uint8_t *)p.arena + atomic_load(&prog_sock(&p, l)->rx_offset));
	entry = ring[atomic_load(&prog_sock(&p, l)->rx_head)];
	waits = (struct psock){ (uint32_t)entry, (uint32_t)(entry >> 32) };
	assert_true(atomic_load(&prog_sock(&p, waits)->state) & ABI_S_CONNECTED);
	assert_int_equal(session_pass(p.session, waits.index, waits.gen, &transit), -EBADF);
	prog_release(&p, l);
	run();
	assert_int_equal(atomic_load(&prog_sock(&p, waits)->state), 0);
}

static void test_moves_with_what_waits(void **state)
{
	struct psock l, c, s, got;
	struct session *transit;
	char buf[16];

	prog_pair(&p, 80, &l, &c, &s);
	prog_send(&p, c, "unread", 6);
	run();
	fake_hold_acks = true;
	prog_send(&p, s, "unacked", 7);
	transit = pass(&p, s);
	got = receive(&q, &transit);
	fake_hold_acks = false;
	/* What the sender has left is dead, and does not hold the connection. */
	assert_true(atomic_load(&prog_sock(&p, s)->state) & ABI_S_DEAD);
	prog_release(&p, s);
	session_destroy(transit);
	run();
	assert_int_equal(prog_recv(&q, got, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "unread", 6);
	assert_int_equal(prog_recv(&p, c, buf, sizeof(buf)), 7);
	prog_send(&q, got, "and on", 6);
	run();
	assert_int_equal(prog_recv(&p, c, buf, sizeof(buf)), 6);
	prog_release(&q, got);
	run();
	assert_true(atomic_load(&prog_sock(&p, c)->state) & ABI_S_RX_EOF);
}

static void test_not_while_the_sender_is_inside(void **state)
{
	struct psock l, c, s, got;
	struct session *transit;

	prog_pair(&p, 80, &l, &c, &s);
	transit = pass(&p, s);
	assert_true(app_try_lock(&prog_sock(&p, s)->tx_lock, 77));
	assert_int_equal(session_receive(q.session, &transit, &got.index, &got.gen), -EAGAIN);
	app_unlock(&prog_sock(&p, s)->tx_lock);
	got = receive(&q, &transit);
	/* A second copy of the descriptor, and the sender is gone. */
	session_destroy(p.session);
	p.session = NULL;
	assert_int_equal(receive(&q, &transit).index, got.index);
	session_destroy(transit);
	run();
	assert_true(atomic_load(&prog_sock(&q, got)->state) & ABI_S_RX_EOF);
}

static void test_datagrams_move(void **state)
{
	struct psock s = { ABI_SOCK_NONE, 0 }, got;
	struct session *transit;
	struct abi_dgram d;
	char buf[16];
	const struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	struct abi_ctl attach = { .op = ABI_CTL_FILTER, .optname = 1, .len = sizeof(all) };

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_bind(&p, s, 53), 0);
	fake_udp_deliver(w, 53, "one", 3);
	run();
	prog_sock(&p, s)->recv_opts = ABI_R_PKTINFO;
	prog_sock(&p, s)->tx_opts = 1200;
	memcpy(attach.data, &all, sizeof(all));
	assert_int_equal(prog_ctl(&p, &attach, &s), 0);
	assert_int_equal(part_on(p.session->family, w)->filter_bytes, sizeof(all));
	transit = pass(&p, s);
	got = receive(&q, &transit);
	session_destroy(transit);
	/* What the program asked for goes along; and its memory is the other one's. */
	assert_int_equal(part_on(p.session->family, w)->filter_bytes, 0);
	assert_int_equal(part_on(q.session->family, w)->filter_bytes, sizeof(all));
	assert_int_equal(prog_sock(&q, got)->recv_opts, ABI_R_PKTINFO);
	assert_int_equal(prog_sock(&q, got)->tx_opts, 1200);
	fake_udp_deliver(w, 53, "three", 5);
	run();
	assert_int_equal(prog_recvfrom(&p, s, buf, sizeof(buf), &d), -1);
	assert_int_equal(prog_recvfrom(&q, got, buf, sizeof(buf), &d), 3);
	assert_int_equal(prog_recvfrom(&q, got, buf, sizeof(buf), &d), 5);
	prog_release(&p, s);
	assert_true(prog_sendto(&q, got, 54, "two", 3));
	run();
	assert_int_equal(fake_udp_last_len, 3);
	prog_release(&q, got);
	run();
	assert_int_equal(part_on(q.session->family, w)->filter_bytes, 0);
}

static struct psock dial(uint16_t port)
{
	struct psock c = { ABI_SOCK_NONE, 0 };

	assert_int_equal(prog_socket(&q, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&q, c, port), -EINPROGRESS);
	run();
	return c;
}

static void test_listener_is_shared(void **state)
{
	struct psock l = { ABI_SOCK_NONE, 0 }, mine, c, s;
	struct session *transit;

	assert_int_equal(prog_socket(&p, SOCK_STREAM, &l), 0);
	assert_int_equal(prog_bind(&p, l, 80), 0);
	assert_int_equal(prog_listen(&p, l, 8), 0);
	dial(80); /* waits at p's */
	transit = pass(&p, l);
	mine = receive(&q, &transit);
	session_destroy(transit);
	assert_int_equal(prog_sock(&q, mine)->local_port_be, htons(80));
	assert_int_equal(prog_listen(&q, mine, 4), 0); /* another backlog, no other port */
	/* Who waits gets what waits at one that does not. */
	assert_false(prog_accept(&q, mine, &s));
	prog_watch(&q, mine, q.epoll, ABI_EV_IN);
	run();
	assert_true(prog_accept(&q, mine, &s));
	assert_false(prog_accept(&p, l, &s));
	/* And what is new. */
	dial(80);
	assert_true(prog_accept(&q, mine, &s));
	/* Both wait: both get some. */
	prog_watch(&p, l, p.epoll, ABI_EV_IN);
	run();
	for (int i = 0; i < 4; i++)
		dial(80);
	assert_true(prog_accept(&q, mine, &s) && prog_accept(&q, mine, &s));
	assert_true(prog_accept(&p, l, &s));
	/* The one that listens goes, with a connection that waits: the other has it, and listens.
	 */
	prog_release(&p, l);
	run();
	assert_true(prog_accept(&q, mine, &s));
	c = dial(80);
	assert_true(prog_accept(&q, mine, &s));
	assert_true(atomic_load(&prog_sock(&q, c)->state) & ABI_S_CONNECTED);
	prog_release(&q, mine);
	run();
}

/* A listener that is alone again, and one that is passed back and forth. */
static void test_listener_ring(void **state)
{
	struct psock l = { ABI_SOCK_NONE, 0 }, s;
	struct session *transit;
	struct prog *from = &p, *to = &q;

	assert_int_equal(prog_socket(&p, SOCK_STREAM, &l), 0);
	assert_int_equal(prog_bind(&p, l, 80), 0);
	assert_int_equal(prog_listen(&p, l, 8), 0);
	for (int i = 0; i < 6; i++) {
		struct prog *other = from;

		transit = pass(from, l);
		struct psock next = receive(to, &transit);

		session_destroy(transit);
		prog_release(from, l);
		l = next;
		from = to;
		to = other;
		run();
		dial(80);
		assert_true(prog_accept(from, l, &s));
	}
	/* Three in two families; the middle one goes first, the whole program then. */
	transit = pass(from, l);
	struct psock second = receive(to, &transit), third = receive(from, &transit);

	session_destroy(transit);
	prog_release(to, second);
	run();
	dial(80);
	assert_true(prog_accept(from, l, &s) || prog_accept(from, third, &s));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_lives_on_the_way),      T(test_only_what_it_has),
		T(test_moves_with_what_waits), T(test_not_while_the_sender_is_inside),
		T(test_datagrams_move),	       T(test_listener_is_shared),
		T(test_listener_ring),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
