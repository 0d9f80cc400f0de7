/* SPDX-License-Identifier: BSD-3-Clause */
/* A program without a single pkt_drop() links, and its ledger has no sites. */
#include "common/testing.h"

static void test_no_sites(void **state)
{
	struct worker *w = test_worker();
	struct ledger sum;

	assert_int_equal(drop_site_count(), 0);
	assert_null(drop_site(0));
	assert_int_equal(w->ledger.site_count, 0);
	pkt_consume(w, pkt_alloc(w), FATE_ABSORBED);
	assert_int_equal(ledger_init(&sum), 0);
	ledger_add(&sum, &w->ledger);
	assert_int_equal(sum.originated, 1);
	assert_int_equal(ledger_drops_of(&sum, DROP_NOMEM), 0);
	ledger_free(&sum);
	test_worker_done(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_sites) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
