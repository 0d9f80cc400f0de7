/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every unit test begins and ends with: EAL once a program, a worker, and at the end a ledger
 * that balances, nothing held, and every buffer back in its pool.
 */
#ifndef WEIR_TESTS_UNIT_COMMON_TESTING_H
#define WEIR_TESTS_UNIT_COMMON_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/eal.h"
#include "core/ledger.h"
#include "core/log.h"
#include "core/worker.h"

#define TEST_PACKETS 1024u
#define TEST_SEED 0x77656972u
#define TEST_START_NS 1000000000ull /* virtual time begins at one second */

/* A cmocka group setup: works without privileges, hugepages and devices. */
static inline int test_eal(void **state)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "96", NULL };

	log_set_level(LOG_LEVEL_ERROR);
	return core_eal_init(args);
}

static inline struct worker *test_worker_sized(unsigned int packets)
{
	struct worker *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(test_eal(NULL), 0);
	assert_int_equal(worker_init(w, 0, packets, TEST_START_NS, TEST_SEED), 0);
	return w;
}

static inline struct worker *test_worker(void)
{
	return test_worker_sized(TEST_PACKETS);
}

/* The ledger balances now (something may be held). */
static inline void test_ledger(struct worker *w)
{
	assert_int_equal(ledger_balance(&w->ledger), 0);
}

/* The ledger balances, nothing is held, no buffer is missing. */
static inline void test_quiet(struct worker *w)
{
	test_ledger(w);
	assert_int_equal(w->ledger.held, 0);
	assert_true(worker_pool_is_full(w));
}

static inline void test_worker_done(struct worker *w)
{
	test_quiet(w);
	worker_free(w);
	free(w);
}

/* Packets dropped for a reason so far. */
#define test_drops(w, reason) ledger_drops_of(&(w)->ledger, DROP_##reason)

/* Advance virtual time, firing timers as they come due. */
static inline void test_advance(struct worker *w, uint64_t ns)
{
	uint64_t end = w->now_ns + ns;

	for (uint64_t next; (next = timer_next_ns(&w->timers)) <= end;) {
		if (next > w->now_ns)
			w->now_ns = next;
		timer_run(w, &w->timers, w->now_ns);
	}
	w->now_ns = end;
	timer_run(w, &w->timers, w->now_ns);
}

#endif
