/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one program can make of a worker's turn, and of the time in which all workers stand still:
 * bounded, however many sockets it has and however much lies in their rings.
 */
#include "prog.h"
#include "sock/sock_priv.h"

#define SOCKS 160u

static struct worker *w;
static struct prog good, greedy;
static struct psock sock[SOCKS];
static unsigned int records; /* in one ring */

static int setup(void **state)
{
	w = test_worker();
	assert_int_equal(sock_layer_init(w), 0);
	fake_init(w);
	prog_open(&good, w, 0, 0);
	prog_open(&greedy, w, 256, 64ull << 20);
	for (unsigned int i = 0; i < SOCKS; i++) {
		assert_int_equal(prog_socket(&greedy, SOCK_DGRAM, &sock[i]), 0);
		assert_int_equal(prog_connect(&greedy, sock[i], 99), 0);
	}
	records = prog_sock(&greedy, sock[0])->tx_size_bytes / sizeof(struct abi_dgram);
	return 0;
}

static int teardown(void **state)
{
	if (greedy.session != NULL)
		prog_close(&greedy);
	prog_close(&good);
	assert_int_equal(fake_udp_count, 0);
	sock_layer_free(w);
	test_worker_done(w);
	return 0;
}

/* The rings are zeros: datagrams without a byte, to whom the socket is connected. */
static void fill_all(void)
{
	for (unsigned int i = 0; i < SOCKS; i++)
		atomic_fetch_add(&prog_sock(&greedy, sock[i])->tx_tail,
				 records * (uint32_t)sizeof(struct abi_dgram));
}

static unsigned int turn(void)
{
	unsigned int before = fake_udp_sent;

	sock_poll(w);
	sock_flush(w);
	return fake_udp_sent - before;
}

static void test_datagrams_of_a_turn(void **state)
{
	/* The last channel that is looked at may be begun just before. */
	unsigned int most = SOCK_TURN_DATAGRAMS + SOCK_CHANNEL_BURST * SOCK_DGRAM_BURST;
	unsigned int turns = 0, sent;
	struct psock s;

	assert_int_equal(prog_socket(&good, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_connect(&good, s, 53), 0);
	fill_all();
	for (unsigned int i = 0; i < SOCKS; i++)
		prog_submit(&greedy, ABI_OP_TX, sock[i], 0, 0);
	while ((sent = turn()) != 0) {
		assert_true(sent <= most);
		if (++turns != 4)
			continue;
		/* Somebody else's comes with the next turn or the one after. */
		assert_true(prog_sendto(&good, s, 53, "q", 1));
		assert_true(turn() <= most);
		assert_true(turn() <= most);
		assert_int_equal(atomic_load(&prog_sock(&good, s)->tx_head),
				 atomic_load(&prog_sock(&good, s)->tx_tail));
	}
	/* All of them went, with time. */
	assert_int_equal(fake_udp_sent, SOCKS * records + 1);
	assert_true(turns > SOCKS * records / most);
}

static void test_closed_in_a_turn(void **state)
{
	unsigned int most = SOCK_CLOSE_DATAGRAMS + SOCK_DGRAM_BURST;

	turn();
	fill_all();
	prog_close(&greedy);
	assert_true(fake_udp_sent >= records);
	assert_true(fake_udp_sent <= most);
	assert_int_equal(fake_udp_count, 0);
}

/* One that is closed has said all, as long as it is not one of thousands. */
static void test_one_that_closes(void **state)
{
	fill_all();
	prog_release(&greedy, sock[0]);
	turn();
	assert_int_equal(fake_udp_sent, records);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_datagrams_of_a_turn),
		T(test_closed_in_a_turn),
		T(test_one_that_closes),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
