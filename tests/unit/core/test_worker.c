/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker: repeatable randomness, the keyed hash, pools that run dry and recover. */
#include "common/testing.h"

#include <errno.h>
#include <string.h>

/* The reference vectors of the SipHash paper: key 00..0f, message 00 01 02 ... */
static void test_siphash(void **state)
{
	static const uint64_t expected[] = { 0x726fdb47dd0e0e31ull, 0x74f839c593dc67fdull,
					     0x0d6c8009d9a94f5aull, 0x85676696d7fb7e2dull };
	struct worker w;
	uint8_t message[16];

	memset(&w, 0, sizeof(w));
	for (uint8_t i = 0; i < 16; i++) {
		w.secret[i] = i;
		message[i] = i;
	}
	for (uint32_t len = 0; len < 4; len++)
		assert_true(worker_hash(&w, message, len) == expected[len]);
	assert_true(worker_hash(&w, message, 8) == 0x93f5f5799a932462ull);
	assert_true(worker_hash(&w, message, 15) == 0xa129ca6149be45e5ull);
}

static void test_repeatable(void **state)
{
	struct worker *a = test_worker(), *b = test_worker(), other;
	unsigned int same = 0;

	assert_int_equal(worker_init(&other, 1, 64, 0, TEST_SEED), 0);
	assert_memory_equal(a->secret, b->secret, sizeof(a->secret));
	assert_memory_not_equal(a->secret, other.secret, sizeof(a->secret));
	for (unsigned int i = 0; i < 1000; i++) {
		uint32_t x = worker_random(a);

		assert_int_equal(x, worker_random(b));
		same += x == worker_random(&other);
	}
	assert_true(same < 3);
	assert_int_equal(a->wall_offset_ns, 0);
	worker_free(&other);
	test_worker_done(a);
	test_worker_done(b);
}

static void test_system_randomness(void **state)
{
	struct worker a, b;

	assert_int_equal(worker_init(&a, 0, 64, 1000, 0), 0);
	assert_int_equal(worker_init(&b, 0, 64, 1000, 0), 0);
	assert_memory_not_equal(a.secret, b.secret, sizeof(a.secret));
	assert_true(a.wall_offset_ns > 1700000000ull * 1000000000ull);
	worker_free(&a);
	worker_free(&b);
}

/* A bit of every 32 is as often set as not. */
static void test_random_bits(void **state)
{
	struct worker *w = test_worker();
	unsigned int ones[32] = { 0 };

	for (unsigned int i = 0; i < 10000; i++) {
		uint32_t x = worker_random(w);

		for (unsigned int bit = 0; bit < 32; bit++)
			ones[bit] += x >> bit & 1;
	}
	for (unsigned int bit = 0; bit < 32; bit++)
		assert_in_range(ones[bit], 4700, 5300);
	test_worker_done(w);
}

/* More than the memory there is: an errno, and nothing is left behind. */
static void test_no_memory(void **state)
{
	struct worker w;

	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(worker_init(&w, 0, 1000000, 0, 1), -ENOMEM);
	for (unsigned int i = 0; i < 20; i++) {
		assert_int_equal(worker_init(&w, 0, 8192, 0, 1), 0);
		worker_free(&w);
	}
}

static void test_pool_is_a_stack(void **state)
{
	struct worker *w = test_worker();
	struct pkt *a = pkt_alloc(w), *b;

	pkt_consume(w, a, FATE_ABSORBED);
	b = pkt_alloc(w);
	assert_ptr_equal(a, b); /* the warm one again */
	assert_false(worker_pool_is_full(w));
	pkt_consume(w, b, FATE_ABSORBED);
	test_worker_done(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash),	    cmocka_unit_test(test_repeatable),
		cmocka_unit_test(test_random_bits), cmocka_unit_test(test_system_randomness),
		cmocka_unit_test(test_no_memory),   cmocka_unit_test(test_pool_is_a_stack),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
