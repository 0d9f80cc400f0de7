/* SPDX-License-Identifier: BSD-3-Clause */
/* Every way out of the ledger: what is counted, where, and that the buffer comes back. */
#include "common/testing.h"

#include <string.h>

static int setup(void **state)
{
	*state = test_worker();
	return 0;
}

static int teardown(void **state)
{
	test_worker_done(*state);
	return 0;
}

static struct pkt *enter(struct worker *w)
{
	struct pkt *p;

	assert_int_equal(pkt_alloc_raw(w, &p, 1), 0);
	assert_int_equal(pkt_append(w, p, "frame", 5), 0);
	pkt_entered(w, &p, 1, 3);
	return p;
}

static void test_fates(void **state)
{
	struct worker *w = *state;
	struct pkt *burst[4];

	for (unsigned int fate = 0; fate < FATE_MAX; fate++) {
		struct pkt *p = fate & 1 ? enter(w) : pkt_alloc(w);

		assert_int_equal(ledger_balance(&w->ledger), 1); /* it is with us, in no queue */
		pkt_consume(w, p, (enum fate)fate);
		assert_int_equal(w->ledger.fate[fate], 1);
	}
	for (unsigned int i = 0; i < 4; i++)
		burst[i] = pkt_alloc(w);
	burst[1]->flags |= PKT_F_ROUTED;
	pkt_consume_burst(w, burst, 4, FATE_TRANSMITTED);
	assert_int_equal(w->ledger.fate[FATE_TRANSMITTED], 4);
	assert_int_equal(w->ledger.fate[FATE_FORWARDED], 2);
	assert_int_equal(w->ledger.entered, 2);
	assert_int_equal(w->ledger.originated, 6);
}

static void test_sent(void **state)
{
	struct worker *w = *state;
	struct pkt *p = pkt_alloc(w), *routed;

	/* A driver takes it: counted before, freed by the driver in its own time. */
	pkt_sent(w, p);
	test_ledger(w);
	rte_pktmbuf_free(&p->mbuf);
	/* A driver refuses it: as if nothing had been. */
	routed = enter(w);
	routed->flags |= PKT_F_ROUTED;
	assert_int_equal(ledger_balance(&w->ledger), 1);
	pkt_sent(w, routed);
	assert_int_equal(w->ledger.fate[FATE_FORWARDED], 1);
	pkt_sent_undo(w, routed);
	assert_int_equal(w->ledger.fate[FATE_FORWARDED], 0);
	assert_int_equal(ledger_balance(&w->ledger), 1);
	pkt_consume(w, routed, FATE_TRANSMITTED);
	assert_int_equal(w->ledger.fate[FATE_FORWARDED], 1);
	assert_int_equal(w->ledger.fate[FATE_TRANSMITTED], 1);
}

static void test_held(void **state)
{
	struct worker *w = *state;
	struct pkt *p = enter(w);

	ledger_hold(w, 1);
	test_ledger(w);
	assert_int_equal(w->ledger.held, 1);
	ledger_release(w, 1);
	pkt_consume(w, p, FATE_DELIVERED);
}

static void test_reborn(void **state)
{
	struct worker *w = *state;
	struct pkt *p = enter(w);

	stage_enter_one(w, STAGE_ICMP_INPUT, p);
	w->now_ns += 5;
	pkt_reborn(w, p);
	assert_int_equal(w->ledger.fate[FATE_ABSORBED], 1);
	assert_int_equal(w->ledger.originated, 1);
	assert_int_equal(p->flags, 0);
	assert_int_equal(p->path, 0);
	assert_int_equal(p->ifindex, 0);
	assert_int_equal(p->stamp_ns, w->now_ns);
	assert_int_equal(pkt_len(p), 5);
	pkt_consume(w, p, FATE_TRANSMITTED);
}

static void drop_here(struct worker *w, struct pkt *p, unsigned int reason)
{
	pkt_drop(w, p, reason);
}

static void drop_there(struct worker *w, struct pkt *p)
{
	pkt_drop(w, p, DROP_IP_CSUM);
}

static uint32_t site_of(const char *function)
{
	for (uint32_t i = 0; drop_site(i); i++)
		if (strcmp(drop_site(i)->function, function) == 0)
			return i;
	fail_msg("no site in %s", function);
	return 0;
}

static void test_sites(void **state)
{
	struct worker *w = *state;
	uint32_t here = site_of("drop_here"), there = site_of("drop_there");
	const struct drop_site *site = drop_site(here);
	struct pkt *p = enter(w);

	assert_int_equal(drop_site_count(), 2);
	assert_int_not_equal(here, there);
	assert_non_null(strstr(drop_site_file(site), "test_ledger.c"));
	assert_true(site->line > 100 && site->line < 130);
	assert_int_not_equal(strncmp(drop_site_file(site), "../", 3), 0);

	stage_enter_one(w, STAGE_PORT_RX, p);
	stage_enter_one(w, STAGE_IP4_INPUT, p);
	drop_there(w, p);
	drop_here(w, enter(w), DROP_NOMEM);
	drop_here(w, enter(w), DROP_NOMEM);
	drop_here(w, enter(w), DROP_IP_CSUM);
	drop_here(w, enter(w), 60000); /* no such reason */
	assert_int_equal(w->ledger.drops[here * DROP_REASON_MAX + DROP_NOMEM], 2);
	assert_int_equal(w->ledger.drops[here * DROP_REASON_MAX + DROP_IP_CSUM], 1);
	assert_int_equal(w->ledger.drops[there * DROP_REASON_MAX + DROP_IP_CSUM], 1);
	assert_int_equal(w->ledger.drops[here * DROP_REASON_MAX + DROP_NOT_SPECIFIED], 1);
	assert_int_equal(test_drops(w, IP_CSUM), 2);
	assert_int_equal(w->ledger.dropped, 5);
	assert_int_equal(w->ledger.drop_paths[there], 1u << STAGE_PORT_RX | 1u << STAGE_IP4_INPUT);
	assert_int_equal(w->ledger.stage[STAGE_IP4_INPUT].drops, 1);
	assert_int_equal(w->ledger.stage[STAGE_IP4_INPUT].packets, 1);
	assert_int_equal(w->ledger.stage[STAGE_IP4_INPUT].bursts, 1);
}

static void test_record(void **state)
{
	struct worker *w = *state;
	uint8_t bytes[80];
	struct pkt *p;
	const struct drop_record *r;

	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i + 1);
	p = enter(w);
	pkt_trim(p, 0);
	assert_int_equal(pkt_append(w, p, bytes, sizeof(bytes)), 0);
	stage_enter_one(w, STAGE_TCP_INPUT, p);
	drop_here(w, p, DROP_TCP_CSUM);
	r = &w->ledger.recent[0];
	assert_int_equal(w->ledger.recent_total, 1);
	assert_int_equal(r->reason, DROP_TCP_CSUM);
	assert_int_equal(r->site, site_of("drop_here"));
	assert_int_equal(r->ifindex, 3);
	assert_int_equal(r->stage, STAGE_TCP_INPUT);
	assert_int_equal(r->path, 1u << STAGE_TCP_INPUT);
	assert_int_equal(r->len_bytes, sizeof(bytes));
	assert_int_equal(r->stamp_ns, w->now_ns);
	assert_memory_equal(r->head, bytes, sizeof(r->head));
	/* The ring goes round; a short packet leaves nothing of its predecessor behind. */
	for (unsigned int i = 0; i < LEDGER_RECENT; i++)
		drop_here(w, enter(w), DROP_NO_SOCKET);
	assert_int_equal(w->ledger.recent_total, LEDGER_RECENT + 1);
	assert_int_equal(r->reason, DROP_NO_SOCKET);
	assert_memory_equal(r->head, "frame\0\0\0\0", 9);
	assert_int_equal(r->head[63], 0);
}

static void test_every_reason(void **state)
{
	struct worker *w = *state;

	for (unsigned int reason = 0; reason < DROP_REASON_MAX; reason++) {
		const struct drop_reason_info *info = drop_reason_info(reason);

		assert_true(strlen(info->name) > 0 && strlen(info->text) > 0);
		assert_non_null(info->linux_name);
		drop_here(w, pkt_alloc(w), reason);
		assert_int_equal(ledger_drops_of(&w->ledger, (enum drop_reason)reason), 1);
	}
	assert_string_equal(drop_reason_info(DROP_TCP_RESET)->name, "TCP_RESET");
	assert_int_equal(drop_reason_info(DROP_NOT_SPECIFIED)->severity, DROP_SEVERITY_BUG);
	assert_ptr_equal(drop_reason_info(12345), drop_reason_info(DROP_NOT_SPECIFIED));
	assert_int_equal(ledger_drops_of(&w->ledger, DROP_REASON_MAX), 0);
	for (unsigned int stage = 0; stage < STAGE_MAX; stage++)
		assert_true(strlen(stage_label(stage)) > 1);
	assert_string_equal(stage_label(STAGE_MAX), "?");
}

/* Two workers summed: every counter, and the newest records of both in order of time. */
static void test_sum(void **state)
{
	struct worker *w = *state, *other = test_worker();
	struct ledger sum;

	for (unsigned int i = 0; i < 300; i++) {
		struct worker *from = i % 3 ? w : other;

		from->now_ns = TEST_START_NS + i;
		drop_here(from, enter(from), i % 2 ? DROP_NOMEM : DROP_IP_TTL);
	}
	pkt_consume(other, pkt_alloc(other), FATE_DELIVERED);
	assert_int_equal(ledger_init(&sum), 0);
	ledger_add(&sum, &w->ledger);
	ledger_add(&sum, &other->ledger);
	assert_int_equal(ledger_balance(&sum), 0);
	assert_int_equal(sum.entered, 300);
	assert_int_equal(sum.dropped, 300);
	assert_int_equal(sum.originated, 1);
	assert_int_equal(sum.fate[FATE_DELIVERED], 1);
	assert_int_equal(ledger_drops_of(&sum, DROP_NOMEM), 150);
	assert_int_equal(sum.recent_total, 300);
	for (unsigned int i = 0; i < LEDGER_RECENT; i++)
		assert_int_equal(sum.recent[(299 - i) % LEDGER_RECENT].stamp_ns,
				 TEST_START_NS + 299 - i);
	ledger_free(&sum);
	test_worker_done(other);
}

/* Chains, and buffers that another holds too, find their way home as well. */
static void test_odd_buffers(void **state)
{
	struct worker *w = *state;
	struct pkt *p = enter(w), *shared = enter(w);

	assert_int_equal(pkt_append(w, p, NULL, 9000), 0);
	assert_true(p->mbuf.nb_segs > 3);
	drop_here(w, p, DROP_PKT_TOO_BIG);
	rte_mbuf_refcnt_update(&shared->mbuf, 1);
	pkt_consume(w, shared, FATE_DELIVERED);
	test_ledger(w);
	assert_false(worker_pool_is_full(w));
	rte_pktmbuf_free(&shared->mbuf);
	test_quiet(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fates, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reborn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sites, setup, teardown),
		cmocka_unit_test_setup_teardown(test_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_reason, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sum, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_buffers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
