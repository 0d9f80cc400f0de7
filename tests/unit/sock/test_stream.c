/* SPDX-License-Identifier: BSD-3-Clause */
/* Stream sockets over a channel, on a transport that the test drives by hand. */
#include <errno.h>
#include <linux/tcp.h>

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
	if (p.session != NULL)
		prog_close(&p);
	fake_run(w);
	sock_flush(w);
	assert_int_equal(fake_pcb_count, 0);
	assert_int_equal(fake_udp_count, 0);
	sock_layer_free(w);
	test_worker_done(w);
	return 0;
}

static uint32_t state_of(struct psock s)
{
	return atomic_load(&prog_sock(&p, s)->state);
}

static void test_connection(void **state)
{
	struct psock l, c, s;
	char buf[64];

	prog_pair(&p, 80, &l, &c, &s);
	assert_true(state_of(c) & ABI_S_CONNECTED);
	assert_false(state_of(c) & ABI_S_CONNECTING);
	assert_true(state_of(s) & ABI_S_CONNECTED);
	assert_int_equal(prog_sock(&p, s)->local_port_be, htons(80));
	assert_int_equal(prog_sock(&p, s)->peer_port_be, prog_sock(&p, c)->local_port_be);
	assert_int_equal(app_sock_events(prog_sock(&p, c)), ABI_EV_OUT);

	assert_int_equal(prog_send(&p, c, "hello", 5), 5);
	prog_run(&p);
	assert_int_equal(app_sock_events(prog_sock(&p, s)), ABI_EV_IN | ABI_EV_OUT);
	assert_int_equal(prog_recv(&p, s, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(prog_recv(&p, s, buf, sizeof(buf)), 0);

	/* Half close: the end is seen, the other direction goes on. */
	assert_int_equal(prog_shutdown(&p, c, SHUT_WR), 0);
	prog_run(&p);
	assert_true(state_of(s) & ABI_S_RX_EOF);
	assert_true(app_sock_events(prog_sock(&p, s)) & ABI_EV_RDHUP);
	assert_int_equal(prog_send(&p, s, "bye", 3), 3);
	prog_release(&p, s);
	prog_run(&p);
	assert_int_equal(prog_recv(&p, c, buf, sizeof(buf)), 3);
	assert_true(state_of(c) & ABI_S_RX_EOF);
	assert_true(app_sock_events(prog_sock(&p, c)) & ABI_EV_HUP);
	prog_release(&p, c);
	prog_release(&p, l);
	prog_run(&p);
	assert_int_equal(fake_pcb_count, 0);
	assert_int_equal(state_of(c), 0);
}

static void test_refused_and_again(void **state)
{
	struct psock c, l, s;
	int value;

	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(app_sock_events(prog_sock(&p, c)), ABI_EV_OUT | ABI_EV_HUP);
	assert_int_equal(prog_connect(&p, c, 81), -EINPROGRESS);
	assert_int_equal(prog_connect(&p, c, 81), -EALREADY);
	prog_run(&p);
	assert_true(state_of(c) & ABI_S_RESET);
	assert_int_equal(prog_getopt(&p, c, SOL_SOCKET, SO_ERROR, &value), 0);
	assert_int_equal(value, ECONNREFUSED);
	assert_int_equal(prog_getopt(&p, c, SOL_SOCKET, SO_ERROR, &value), 0);
	assert_int_equal(value, 0);
	/* The same socket may try again. */
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &l), 0);
	assert_int_equal(prog_bind(&p, l, 81), 0);
	assert_int_equal(prog_bind(&p, l, 82), -EINVAL);
	assert_int_equal(prog_listen(&p, l, 1), 0);
	assert_int_equal(prog_connect(&p, c, 81), -EINPROGRESS);
	prog_run(&p);
	assert_true(state_of(c) & ABI_S_CONNECTED);
	assert_int_equal(prog_connect(&p, c, 81), -EISCONN);
	assert_true(prog_accept(&p, l, &s));
}

static void test_reset(void **state)
{
	struct psock l, c, s;
	char buf[8];

	prog_pair(&p, 80, &l, &c, &s);
	prog_send(&p, c, "last", 4);
	prog_run(&p);
	fake_reset(w, fake_pcb_of_port(80, false), ECONNRESET);
	prog_run(&p);
	assert_int_equal(app_sock_error(prog_sock(&p, s)), ECONNRESET);
	assert_true(app_sock_events(prog_sock(&p, s)) & ABI_EV_ERR);
	assert_int_equal(app_sock_take_error(prog_sock(&p, s)), ECONNRESET);
	assert_int_equal(app_sock_error(prog_sock(&p, s)), 0);
	/* What had come before is still there. */
	assert_int_equal(prog_recv(&p, s, buf, sizeof(buf)), 4);
	assert_int_equal(prog_shutdown(&p, s, SHUT_WR), -ENOTCONN);
}

static void test_close_with_unread_data_resets(void **state)
{
	struct psock l, c, s;

	prog_pair(&p, 80, &l, &c, &s);
	prog_send(&p, c, "unread", 6);
	prog_run(&p);
	prog_release(&p, s);
	prog_run(&p);
	assert_int_equal(app_sock_error(prog_sock(&p, c)), ECONNRESET);
}

static void test_backlog(void **state)
{
	struct psock l, c[5], s;

	assert_int_equal(prog_socket(&p, SOCK_STREAM, &l), 0);
	assert_int_equal(prog_bind(&p, l, 80), 0);
	assert_int_equal(prog_listen(&p, l, 2), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(prog_socket(&p, SOCK_STREAM, &c[i]), 0);
		assert_int_equal(prog_connect(&p, c[i], 80), -EINPROGRESS);
	}
	prog_run(&p);
	/* As in Linux, backlog + 1 wait. */
	assert_int_equal(app_sock_rx_used(prog_sock(&p, l)), 3);
	assert_true(prog_accept(&p, l, &s));
	prog_run(&p);
	assert_int_equal(app_sock_rx_used(prog_sock(&p, l)), 3);
	while (prog_accept(&p, l, &s))
		prog_run(&p);
	for (int i = 0; i < 5; i++)
		assert_true(state_of(c[i]) & ABI_S_CONNECTED);
}

static void test_listener_close_resets_waiting(void **state)
{
	struct psock l, c, s;

	prog_pair(&p, 80, &l, &c, &s);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	prog_run(&p);
	assert_true(state_of(c) & ABI_S_CONNECTED);
	prog_release(&p, l);
	prog_run(&p);
	assert_int_equal(app_sock_error(prog_sock(&p, c)), ECONNRESET);
	assert_true(state_of(s) & ABI_S_CONNECTED);
}

static void test_listener_shutdown(void **state)
{
	struct psock l, c, s;

	prog_pair(&p, 80, &l, &c, &s);
	assert_int_equal(prog_shutdown(&p, l, SHUT_RD), 0);
	assert_false(state_of(l) & ABI_S_LISTEN);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	prog_run(&p);
	assert_int_equal(app_sock_error(prog_sock(&p, c)), ECONNREFUSED);
}

static void test_bulk_and_window(void **state)
{
	static uint8_t out[400000], in[400000];
	struct psock l, c, s;
	uint32_t sent = 0, got = 0;
	bool kicked = false;

	for (uint32_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + (i >> 8));
	prog_pair(&p, 80, &l, &c, &s);
	while (got < sizeof(out)) {
		sent += prog_send(&p, c, out + sent, (uint32_t)sizeof(out) - sent);
		prog_run(&p);
		kicked = kicked || (state_of(s) & ABI_S_RX_KICK);
		got += prog_recv(&p, s, in + got, 33333);
	}
	assert_int_equal(sent, sizeof(out));
	assert_memory_equal(in, out, sizeof(out));
	assert_true(kicked);
	assert_true(fake_pcb_of_port(80, false)->consumed > 0);
	prog_run(&p);
	assert_false(state_of(s) & ABI_S_RX_KICK);
}

static void test_close_sends_what_was_written(void **state)
{
	struct psock l, c, s;
	char buf[16];

	prog_pair(&p, 80, &l, &c, &s);
	fake_hold_acks = true;
	prog_send(&p, c, "orphan", 6);
	prog_release(&p, c);
	prog_run(&p);
	/* The slot is free, the ring is still the orphan's. */
	assert_int_equal(state_of(c), 0);
	fake_hold_acks = false;
	prog_run(&p);
	assert_int_equal(prog_recv(&p, s, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "orphan", 6);
	assert_true(state_of(s) & ABI_S_RX_EOF);
}

static void test_family_outlived_by_orphan(void **state)
{
	struct psock l, c, s, x;
	struct prog other;
	char buf[16];

	prog_open(&other, w, 0, 0);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &l), 0);
	assert_int_equal(prog_bind(&p, l, 80), 0);
	assert_int_equal(prog_listen(&p, l, 8), 0);
	assert_int_equal(prog_socket(&other, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&other, c, 80), -EINPROGRESS);
	prog_run(&p);
	assert_true(prog_accept(&p, l, &s));
	prog_run(&p);
	fake_hold_acks = true;
	prog_send(&other, c, "testament", 9);
	/* Killed before the engine looked: what was submitted counts. */
	session_destroy(other.session);
	prog_run(&p);
	fake_hold_acks = false;
	prog_run(&p);
	assert_int_equal(prog_recv(&p, s, buf, sizeof(buf)), 9);
	assert_true(state_of(s) & ABI_S_RX_EOF);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &x), 0);
}

static void test_options(void **state)
{
	struct psock l, c, s;
	int value;

	prog_pair(&p, 80, &l, &c, &s);
	assert_int_equal(prog_setopt(&p, c, IPPROTO_TCP, TCP_NODELAY, 7), 0);
	assert_int_equal(prog_getopt(&p, c, IPPROTO_TCP, TCP_NODELAY, &value), 0);
	assert_int_equal(value, 1);
	assert_true(fake_pcb_of_port(80, true)->pub.nodelay);
	assert_int_equal(prog_setopt(&p, c, SOL_SOCKET, SO_RCVBUF, 100000), 0);
	assert_int_equal(prog_getopt(&p, c, SOL_SOCKET, SO_RCVBUF, &value), 0);
	assert_int_equal(value, 200000);
	assert_int_equal(prog_setopt(&p, c, IPPROTO_TCP, TCP_KEEPIDLE, 0), -EINVAL);
	assert_int_equal(prog_setopt(&p, c, SOL_SOCKET, SO_TYPE, 1), -ENOPROTOOPT);
	assert_int_equal(prog_setopt(&p, c, 12345, 1, 1), -ENOPROTOOPT);
	assert_int_equal(prog_getopt(&p, c, SOL_SOCKET, SO_TYPE, &value), 0);
	assert_int_equal(value, SOCK_STREAM);
	assert_int_equal(prog_getopt(&p, c, SOL_SOCKET, SO_DOMAIN, &value), 0);
	assert_int_equal(value, AF_INET);
	assert_int_equal(prog_getopt(&p, c, SOL_SOCKET, SO_PROTOCOL, &value), 0);
	assert_int_equal(value, IPPROTO_TCP);
	assert_int_equal(prog_getopt(&p, l, SOL_SOCKET, SO_ACCEPTCONN, &value), 0);
	assert_int_equal(value, 1);
	prog_submit(&p, ABI_OP_SETINT, c, IPPROTO_TCP << 8 | TCP_CORK, 1);
	prog_run(&p);
	assert_int_equal(prog_getopt(&p, c, IPPROTO_TCP, TCP_CORK, &value), 0);
	assert_int_equal(value, 1);
}

static void test_buffer_sizes_are_inherited(void **state)
{
	struct psock l, c, s;

	assert_int_equal(prog_socket(&p, SOCK_STREAM, &l), 0);
	assert_int_equal(prog_setopt(&p, l, SOL_SOCKET, SO_RCVBUF, 300000), 0);
	assert_int_equal(prog_setopt(&p, l, SOL_SOCKET, SO_SNDBUF, 5000), 0);
	assert_int_equal(prog_bind(&p, l, 80), 0);
	assert_int_equal(prog_listen(&p, l, 8), 0);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	prog_run(&p);
	assert_true(prog_accept(&p, l, &s));
	prog_send(&p, c, "x", 1);
	prog_run(&p);
	assert_int_equal(prog_sock(&p, s)->rx_size_bytes, 512 * 1024);
	assert_int_equal(prog_sock(&p, s)->tx_size_bytes, 8192);
}

/* Sockets share a block of options until one of them sets another value. */
static void test_options_are_copied_on_write(void **state)
{
	struct psock l, c, s, other;
	int value;

	assert_int_equal(prog_socket(&p, SOCK_STREAM, &l), 0);
	assert_int_equal(prog_setopt(&p, l, IPPROTO_TCP, TCP_KEEPCNT, 3), 0);
	assert_int_equal(prog_setopt(&p, l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1), 0);
	assert_int_equal(prog_bind(&p, l, 80), 0);
	assert_int_equal(prog_listen(&p, l, 8), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
		assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
		prog_run(&p);
		assert_true(prog_accept(&p, l, i == 0 ? &s : &other));
	}
	assert_int_equal(prog_getopt(&p, s, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(prog_setopt(&p, s, IPPROTO_TCP, TCP_KEEPCNT, 5), 0);
	assert_int_equal(prog_getopt(&p, s, IPPROTO_TCP, TCP_KEEPCNT, &value), 0);
	assert_int_equal(value, 5);
	assert_int_equal(prog_getopt(&p, s, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(prog_getopt(&p, other, IPPROTO_TCP, TCP_KEEPCNT, &value), 0);
	assert_int_equal(value, 3);
	assert_int_equal(prog_getopt(&p, l, IPPROTO_TCP, TCP_KEEPCNT, &value), 0);
	assert_int_equal(value, 3);
	assert_int_equal(prog_getopt(&p, l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(prog_getopt(&p, c, IPPROTO_TCP, TCP_KEEPCNT, &value), 0);
	assert_int_equal(value, 9);
	/* The block outlives the listener that it came from. */
	prog_release(&p, l);
	prog_run(&p);
	assert_int_equal(prog_getopt(&p, other, IPPROTO_TCP, TCP_KEEPCNT, &value), 0);
	assert_int_equal(value, 3);
	assert_int_equal(prog_setopt(&p, other, IPPROTO_TCP, TCP_KEEPCNT, 4), 0);
	assert_int_equal(prog_getopt(&p, other, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value), 0);
	assert_int_equal(value, 0);
}

static void test_creation_errors(void **state)
{
	struct psock s;
	struct abi_ctl ctl = { .op = ABI_CTL_OPEN, .level = AF_UNIX, .optname = SOCK_STREAM };

	s = (struct psock){ ABI_SOCK_NONE, 0 };
	assert_int_equal(prog_ctl(&p, &ctl, &s), -EAFNOSUPPORT);
	assert_int_equal(prog_socket(&p, SOCK_RAW, &s), -EPROTONOSUPPORT);
	assert_int_equal(prog_socket(&p, SOCK_SEQPACKET, &s), -ESOCKTNOSUPPORT);
	/* A stale handle is not an offence. */
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &s), 0);
	s.gen++;
	assert_int_equal(prog_bind(&p, s, 1), -EBADF);
	assert_null(session_broken(p.session));
	/* socket() and connect() in one call; the failed call leaves the socket. */
	memset(&ctl, 0, sizeof(ctl));
	ctl.op = ABI_CTL_SHUTDOWN;
	ctl.optname = SHUT_WR;
	ctl.create_type = SOCK_STREAM;
	s = (struct psock){ ABI_SOCK_NONE, 0 };
	assert_int_equal(prog_ctl(&p, &ctl, &s), -ENOTCONN);
	assert_int_not_equal(s.index, ABI_SOCK_NONE);
	assert_true(state_of(s) & ABI_S_OPEN);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_connection),
		T(test_refused_and_again),
		T(test_reset),
		T(test_close_with_unread_data_resets),
		T(test_backlog),
		T(test_listener_close_resets_waiting),
		T(test_listener_shutdown),
		T(test_bulk_and_window),
		T(test_close_sends_what_was_written),
		T(test_family_outlived_by_orphan),
		T(test_options),
		T(test_buffer_sizes_are_inherited),
		T(test_options_are_copied_on_write),
		T(test_creation_errors),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
