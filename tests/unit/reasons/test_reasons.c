/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every reason of core/drop.def, provoked: one case after the other (cases_*.c), each in an engine
 * of its own (lab.h). And complete: a reason without a case fails here, and so does a place of the
 * source at which packets are dropped that no case reaches, but for those that are explained below.
 */
#include <stdio.h>
#include <string.h>

#include "lab.h"

static const struct case_table *const tables[] = {
	&cases_link,	&cases_ip,    &cases_icmp, &cases_udp,	&cases_handshake,
	&cases_segment, &cases_nomem, &cases_bare, &cases_dpdk,
};

#define TABLES (sizeof(tables) / sizeof(tables[0]))

static bool sites[1024];
static bool reasons[DROP_REASON_MAX];

/* Places that nothing leads to as long as the rest is right; they are there all the same. */
static const struct {
	const char *function, *why;
	unsigned int places;
} explained[] = {
	{ "arp_send", "42 bytes always fit into a fresh buffer", 1 },
	{ "out_of_order", "no more is offered than there is room for (tcp_check.c)", 1 },
	{ "tap_tx", "a TAP needs privileges: tests/unit/dev/test_tap.c, and test_reasons.py", 1 },
	{ "error_make", "576 bytes always fit into a fresh buffer", 1 },
	{ "send", "a report of 1,400 bytes and its header always fit into a fresh buffer", 2 },
	{ "tcp_reply", "40 bytes always fit in front of a fresh buffer", 1 },
};

static unsigned int explained_places(const char *function)
{
	for (size_t i = 0; i < sizeof(explained) / sizeof(explained[0]); i++)
		if (strcmp(explained[i].function, function) == 0)
			return explained[i].places;
	return 0;
}

static void run_case(void **state)
{
	const struct reason_case *rc = *state;
	struct lab *lab = calloc(1, sizeof(*lab));

	assert_non_null(lab);
	lab_open(lab, rc);
	rc->run(lab);
	lab_judge(lab, sites);
	lab_close(lab);
	free(lab);
	for (unsigned int i = 0; i < CASE_DROPS && rc->drops[i].count; i++)
		reasons[rc->drops[i].reason] = true;
}

static void test_every_reason(void **state)
{
	unsigned int missing = 0;

	for (unsigned int r = 0; r < DROP_REASON_MAX; r++) {
		if (reasons[r])
			continue;
		print_error("no case provokes %s\n", drop_reason_info(r)->name);
		missing++;
	}
	assert_int_equal(missing, 0);
}

static void test_every_place(void **state)
{
	unsigned int missing = 0, reached = 0;

	assert_true(drop_site_count() <= sizeof(sites));
	for (uint32_t s = 0; s < drop_site_count(); s++) {
		const struct drop_site *site = drop_site(s);
		unsigned int quiet = 0;

		reached += sites[s];
		for (uint32_t other = 0; other < drop_site_count(); other++)
			quiet += !sites[other] &&
				 strcmp(drop_site(other)->function, site->function) == 0 &&
				 strcmp(drop_site(other)->file, site->file) == 0;
		if (sites[s] || quiet == explained_places(site->function))
			continue;
		print_error("no case reaches %s() %s:%u\n", site->function, drop_site_file(site),
			    site->line);
		missing++;
	}
	print_message("%u of %u places reached\n", reached, drop_site_count());
	assert_int_equal(missing, 0);
}

static unsigned int fill(struct CMUnitTest *tests)
{
	unsigned int n = 0;

	for (size_t t = 0; t < TABLES; t++) {
		for (unsigned int i = 0; i < tables[t]->count; i++) {
			const struct reason_case *rc = &tables[t]->cases[i];

			tests[n++] = (struct CMUnitTest){ .name = rc->name,
							  .test_func = run_case,
							  .initial_state = (void *)rc };
		}
	}
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_every_reason);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_every_place);
	return n;
}

int main(int argc, char **argv)
{
	static struct CMUnitTest tests[512];
	unsigned int n = fill(tests);

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests("reasons", tests, n, NULL, NULL);
}
