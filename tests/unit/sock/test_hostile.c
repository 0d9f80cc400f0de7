/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that breaks the rules of its shared memory: it alone is disconnected, another program's
 * connection goes on, and nothing leaks.
 */
#include <errno.h>

#include "prog.h"

static struct worker *w;
static struct prog good, bad;
static struct psock good_l, good_c, good_s;

static int setup(void **state)
{
	w = test_worker();
	assert_int_equal(sock_layer_init(w), 0);
	fake_init(w);
	prog_open(&good, w, 0, 0);
	prog_open(&bad, w, 256, 64ull << 20);
	prog_pair(&good, 80, &good_l, &good_c, &good_s);
	return 0;
}

static void good_goes_on(void)
{
	char buf[8];

	assert_null(session_broken(good.session));
	assert_int_equal(prog_send(&good, good_c, "alive", 5), 5);
	prog_run(&good);
	assert_int_equal(prog_recv(&good, good_s, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "alive", 5);
}

static int teardown(void **state)
{
	good_goes_on();
	if (bad.session != NULL)
		prog_close(&bad);
	good_goes_on();
	prog_close(&good);
	assert_int_equal(fake_pcb_count, 0);
	assert_int_equal(fake_udp_count, 0);
	sock_layer_free(w);
	test_worker_done(w);
	return 0;
}

static void expect_broken(void)
{
	while (sock_poll(w) != 0)
		;
	fake_run(w);
	sock_flush(w);
	assert_non_null(session_broken(bad.session));
}

static void test_send_position(void **state)
{
	struct psock l, c, s;

	prog_pair(&bad, 81, &l, &c, &s);
	atomic_store(&prog_sock(&bad, c)->tx_tail, 1u << 30);
	prog_submit(&bad, ABI_OP_TX, c, 0, 0);
	expect_broken();
}

static void test_send_position_backwards(void **state)
{
	struct psock l, c, s;

	prog_pair(&bad, 81, &l, &c, &s);
	prog_send(&bad, c, "abc", 3);
	prog_run(&bad);
	atomic_store(&prog_sock(&bad, c)->tx_tail, 2);
	prog_submit(&bad, ABI_OP_TX, c, 0, 0);
	expect_broken();
}

static void test_receive_position(void **state)
{
	struct psock l, c, s;

	prog_pair(&bad, 81, &l, &c, &s);
	prog_send(&bad, c, "abc", 3);
	prog_run(&bad);
	atomic_store(&prog_sock(&bad, s)->rx_head, 4);
	prog_submit(&bad, ABI_OP_RX, s, 0, 0);
	expect_broken();
}

static void test_accept_position(void **state)
{
	struct psock l, c, s;

	prog_pair(&bad, 81, &l, &c, &s);
	atomic_store(&prog_sock(&bad, l)->rx_head, 1000);
	assert_int_equal(prog_socket(&bad, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&bad, c, 81), -EINPROGRESS);
	expect_broken();
}

static void test_submission_queue(void **state)
{
	atomic_store(&bad.thread->sq_tail, 100000);
	atomic_fetch_or(&bad.arena->sq_pending[0].bits[0], 1ull << bad.thread->index);
	expect_broken();
}

static void test_unknown_operation(void **state)
{
	prog_submit(&bad, 200, (struct psock){ 0, 1 }, 0, 0);
	expect_broken();
}

static void test_impossible_socket(void **state)
{
	prog_submit(&bad, ABI_OP_TX, (struct psock){ 256, 1 }, 0, 0);
	expect_broken();
}

static void test_impossible_channel(void **state)
{
	struct psock s;

	assert_int_equal(prog_socket(&bad, SOCK_STREAM, &s), 0);
	prog_submit(&bad, ABI_OP_WATCH, s, 9999, ABI_EV_IN);
	expect_broken();
}

static void test_completion_queue(void **state)
{
	struct psock l, c, s;

	prog_pair(&bad, 81, &l, &c, &s);
	prog_watch(&bad, s, bad.epoll, ABI_EV_IN);
	atomic_store(&bad.epoll->cq_head, 77777);
	prog_send(&bad, c, "abc", 3);
	expect_broken();
}

static void test_datagram_length(void **state)
{
	struct psock s;
	struct abi_dgram *d;

	assert_int_equal(prog_socket(&bad, SOCK_DGRAM, &s), 0);
	assert_true(prog_sendto(&bad, s, 99, "abc", 3));
	d = (struct abi_dgram *)((uint8_t *)bad.arena + prog_sock(&bad, s)->tx_offset);
	d->len_bytes = UINT32_MAX - 10;
	expect_broken();
}

static void test_unaligned_datagram_positions(void **state)
{
	struct psock s;

	assert_int_equal(prog_socket(&bad, SOCK_DGRAM, &s), 0);
	atomic_store(&prog_sock(&bad, s)->tx_tail, 65);
	prog_submit(&bad, ABI_OP_TX, s, 0, 0);
	expect_broken();
}

/* What the engine published is its own business: rubbish there changes nothing for it. */
static void test_engine_words_are_not_read_back(void **state)
{
	struct psock l, c, s, more;
	struct abi_sock *abi;

	prog_pair(&bad, 81, &l, &c, &s);
	abi = prog_sock(&bad, c);
	atomic_store(&abi->tx_size_bytes, 0xfffffff0u);
	atomic_store(&abi->rx_offset, UINT64_MAX);
	atomic_store(&abi->tx_offset, UINT64_MAX / 2);
	atomic_store(&abi->state, 0xffffffffu);
	atomic_store(&abi->gen, 12345);
	bad.thread->index = 0xffff;
	bad.thread->cq_entries = 0xffffffffu;
	bad.arena->sock_count = 1;
	bad.arena->size_bytes = 0;
	bad.arena->sock_offset = 0;
	memset(&bad.arena->sq_pending, 0xff, sizeof(bad.arena->sq_pending));
	while (sock_poll(w) != 0)
		;
	sock_flush(w);
	bad.thread->index = 0;
	bad.arena->sock_offset = sizeof(struct abi_arena);
	assert_int_equal(prog_socket(&bad, SOCK_STREAM, &more), 0);
	assert_null(session_broken(bad.session));
}

static void scribble(uint32_t rounds)
{
	size_t sock_bytes = 256 * sizeof(struct abi_sock);
	uint32_t *socks = (uint32_t *)((uint8_t *)bad.arena + sizeof(struct abi_arena));
	uint32_t *thread = (uint32_t *)bad.thread, *epoll = (uint32_t *)bad.epoll;

	for (uint32_t i = 0; i < rounds; i++) {
		uint32_t value = worker_random(w), where = worker_random(w);

		switch (worker_random(w) % 6) {
		case 0:
			socks[where % (sock_bytes / 4 / 16)] = value;
			break;
		case 1: /* small steps are the dangerous ones */
			socks[where % (sock_bytes / 4 / 16)] += value % 130;
			break;
		case 2:
			thread[where % (sizeof(*bad.thread) / 4)] = value;
			break;
		case 3:
			thread[where % (sizeof(*bad.thread) / 4)] += value % 3;
			break;
		case 4:
			epoll[where % (sizeof(*bad.epoll) / 4)] = value % 600;
			break;
		default:
			bad.thread->sq[where % ABI_SQ_ENTRIES] = (struct abi_sqe){
				.op = (uint8_t)(value % (ABI_OP_MAX + (value % 97 == 0))),
				.arg16 = (uint16_t)(value >> 24),
				.sock = (value >> 8) % 12,
				.gen = 1 + (value >> 16) % 2,
				.arg32 = worker_random(w),
			};
		}
		if (value % 3 == 0) {
			atomic_fetch_add(&bad.thread->sq_tail, 1 + value % 5 / 4);
			atomic_fetch_or(&bad.arena->sq_pending[0].bits[0], value % 8);
		}
		if (value % 5 == 0)
			sock_poll(w);
		if (value % 7 == 0) {
			fake_run(w);
			sock_flush(w);
		}
	}
}

static void test_random_scribbling(void **state)
{
	for (unsigned int life = 0; life < 400; life++) {
		struct psock l, c, s, d;

		prog_pair(&bad, (uint16_t)(100 + life), &l, &c, &s);
		assert_int_equal(prog_socket(&bad, SOCK_DGRAM, &d), 0);
		assert_int_equal(prog_bind(&bad, d, (uint16_t)(1000 + life)), 0);
		prog_send(&bad, c, "abc", 3);
		fake_udp_deliver(w, (uint16_t)(1000 + life), "abc", 3);
		prog_run(&bad);
		scribble(life % 2 ? 30 : 300);
		good_goes_on();
		session_destroy(bad.session);
		fake_run(w);
		sock_flush(w);
		prog_open(&bad, w, 256, 64ull << 20);
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_send_position),
		T(test_send_position_backwards),
		T(test_receive_position),
		T(test_accept_position),
		T(test_submission_queue),
		T(test_unknown_operation),
		T(test_impossible_socket),
		T(test_impossible_channel),
		T(test_completion_queue),
		T(test_datagram_length),
		T(test_unaligned_datagram_positions),
		T(test_engine_words_are_not_read_back),
		T(test_random_scribbling),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
