/* SPDX-License-Identifier: BSD-3-Clause */
/* What weir says about itself: the JSON of the ledger, the stages, a port, a worker, the last
 * drops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/eal.h"
#include "dev/wire.h"
#include "obs/report.h"

static struct worker worker;

static int setup(void **state)
{
	(void)state;
	if (core_eal_init(NULL))
		return -1;
	memset(&worker, 0, sizeof(worker));
	return worker_init(&worker, 0, 512, 1000000, 7);
}

static int teardown(void **state)
{
	(void)state;
	worker_free(&worker);
	return 0;
}

static json_int_t number(const json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	assert_non_null(value);
	return value;
}

static struct pkt *enter_one(struct worker *w, const void *bytes, uint32_t len)
{
	struct pkt *p;

	assert_int_equal(pkt_alloc_raw(w, &p, 1), 0);
	assert_int_equal(pkt_append(w, p, bytes, len), 0);
	pkt_entered(w, &p, 1, 2);
	return p;
}

static unsigned int drop_line;

static void drop_one(struct worker *w, enum drop_reason reason)
{
	static const uint8_t frame[] = { 0x02, 0, 0, 0, 0, 0xab };
	struct pkt *p = enter_one(w, frame, sizeof(frame));

	stage_enter_one(w, STAGE_PORT_RX, p);
	stage_enter_one(w, STAGE_ETH_INPUT, p);
	drop_line = __LINE__ + 1;
	pkt_drop(w, p, reason);
}

static void ledger_has_the_promised_members(void **state)
{
	static const char *const names[] = { "entered",	    "originated", "delivered",
					     "transmitted", "forwarded",  "absorbed",
					     "dropped",	    "held",	  "balance" };
	json_t *report = report_ledger(&worker.ledger);

	(void)state;
	assert_non_null(report);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(number(report, names[i]), 0);
	assert_int_equal(json_array_size(json_object_get(report, "drops")), 0);
	json_decref(report);
}

static void drops_are_named_and_sorted(void **state)
{
	json_t *report, *drop;

	(void)state;
	drop_one(&worker, DROP_IP_CSUM);
	drop_one(&worker, DROP_OTHERHOST);
	drop_one(&worker, DROP_OTHERHOST);
	report = report_ledger(&worker.ledger);
	assert_int_equal(number(report, "entered"), 3);
	assert_int_equal(number(report, "dropped"), 3);
	assert_int_equal(number(report, "balance"), 0);
	assert_int_equal(json_array_size(json_object_get(report, "drops")), 2);
	drop = json_array_get(json_object_get(report, "drops"), 0);
	assert_string_equal(text(drop, "reason"), "OTHERHOST");
	assert_int_equal(number(drop, "count"), 2);
	assert_string_equal(text(drop, "function"), "drop_one");
	assert_int_equal(number(drop, "line"), drop_line);
	assert_non_null(strstr(text(drop, "file"), "tests/unit/obs/test_report.c"));
	assert_string_equal(text(drop, "severity"), "info");
	assert_string_equal(text(drop, "linux"), "OTHERHOST");
	assert_int_equal(json_array_size(json_object_get(drop, "path")), 2);
	drop = json_array_get(json_object_get(report, "drops"), 1);
	assert_string_equal(text(drop, "reason"), "IP_CSUM");
	assert_string_equal(text(drop, "severity"), "error");
	json_decref(report);
}

static void a_packet_nobody_ended_shows_in_the_balance(void **state)
{
	struct pkt *p = enter_one(&worker, "x", 1);
	json_t *report = report_ledger(&worker.ledger);

	(void)state;
	assert_int_equal(number(report, "balance"), 1);
	json_decref(report);
	ledger_hold(&worker, 1);
	report = report_ledger(&worker.ledger);
	assert_int_equal(number(report, "held"), 1);
	assert_int_equal(number(report, "balance"), 0);
	json_decref(report);
	ledger_release(&worker, 1);
	pkt_consume(&worker, p, FATE_ABSORBED);
	report = report_ledger(&worker.ledger);
	assert_int_equal(number(report, "absorbed"), 1);
	assert_int_equal(number(report, "balance"), 0);
	json_decref(report);
}

static void recent_drops_newest_first(void **state)
{
	json_t *list, *record;

	(void)state;
	for (unsigned int i = 0; i < LEDGER_RECENT + 10; i++)
		drop_one(&worker, DROP_OTHERHOST);
	worker.now_ns += 5000;
	drop_one(&worker, DROP_IP_TTL);
	list = report_recent(&worker.ledger, worker.now_ns + 3000, 1000);
	assert_int_equal(json_array_size(list), LEDGER_RECENT);
	record = json_array_get(list, 0);
	assert_string_equal(text(record, "reason"), "IP_TTL");
	assert_int_equal(number(record, "age_us"), 3);
	assert_string_equal(text(record, "stage"), "eth-input");
	assert_int_equal(number(record, "ifindex"), 2);
	assert_int_equal(number(record, "length"), 6);
	assert_string_equal(text(record, "head"), "0200000000ab");
	assert_int_equal(json_array_size(json_object_get(record, "path")), 2);
	json_decref(list);
	list = report_recent(&worker.ledger, worker.now_ns, 3);
	assert_int_equal(json_array_size(list), 3);
	json_decref(list);
}

static void stages_in_order_with_linux_names(void **state)
{
	json_t *list, *stage;
	struct pkt *burst[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		burst[i] = enter_one(&worker, "ab", 2);
	stage_enter(&worker, STAGE_PORT_RX, burst, 2);
	worker.ledger.stage[STAGE_PORT_RX].cycles += 300;
	pkt_consume_burst(&worker, burst, 2, FATE_ABSORBED);
	list = report_stages(&worker.ledger);
	assert_int_equal(json_array_size(list), STAGE_MAX);
	stage = json_array_get(list, 0);
	assert_string_equal(text(stage, "stage"), "port-rx");
	assert_string_equal(text(stage, "linux"), "napi_poll");
	assert_string_equal(text(stage, "direction"), "receive");
	assert_int_equal(number(stage, "packets"), 2);
	assert_int_equal(number(stage, "bursts"), 1);
	assert_int_equal((int)json_real_value(json_object_get(stage, "cycles_per_packet")), 150);
	assert_int_equal((int)json_real_value(json_object_get(stage, "packets_per_burst")), 2);
	stage = json_array_get(list, STAGE_MAX - 1);
	assert_string_equal(text(stage, "stage"), "port-tx");
	assert_string_equal(text(stage, "direction"), "send");
	json_decref(list);
	assert_string_equal(report_stage_linux(STAGE_MAX), "");
}

static void port_names_its_losses(void **state)
{
	struct port_open_params params = { .workers = 1 };
	char error[PORT_ERROR_BYTES];
	struct port *port;
	json_t *report;

	(void)state;
	assert_int_equal(
		port_open("wire,name=w0,mtu=1400,mac=02:00:00:00:00:09", &params, &port, error), 0);
	report = report_port(port, 2);
	assert_string_equal(text(report, "name"), "w0");
	assert_string_equal(text(report, "type"), "wire");
	assert_string_equal(text(report, "mac"), "02:00:00:00:00:09");
	assert_int_equal(number(report, "mtu"), 1400);
	assert_int_equal(number(report, "ifindex"), 2);
	assert_int_equal(json_array_size(json_object_get(report, "losses")), 6);
	json_decref(report);
	port_close(port);
}

static void a_port_has_its_line_of_the_ledger(void **state)
{
	struct port_open_params params = { .workers = 1 };
	char error[PORT_ERROR_BYTES];
	struct pkt *pkts[8];
	struct port *port;
	json_t *line, *loss;
	uint16_t n;

	(void)state;
	assert_int_equal(port_open("wire,name=w0", &params, &port, error), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(wire_put(port, "0123456789abcdef", 16), 0);
	n = port_rx(&worker, port, 0, pkts, 8);
	assert_int_equal(n, 3);
	line = report_port_ledger(port, 1);
	assert_int_equal(number(line, "seen"), 3);
	assert_int_equal(number(line, "entered"), 3);
	assert_int_equal(number(line, "lost_before"), 0);
	assert_int_equal(number(line, "balance"), 0);
	loss = json_array_get(json_object_get(line, "losses"), 0);
	assert_string_equal(text(loss, "name"), "rx_missed");
	assert_string_equal(text(loss, "lost"), "before weir");
	json_decref(line);
	line = report_port_counters(port);
	assert_string_equal(text(json_array_get(line, 0), "name"), "rx_packets");
	assert_int_equal(number(json_array_get(line, 0), "value"), 3);
	json_decref(line);
	pkt_consume_burst(&worker, pkts, n, FATE_ABSORBED);
	port_close(port);
}

static void worker_counts_its_pool(void **state)
{
	struct pkt *p = enter_one(&worker, "ab", 2);
	json_t *report = report_worker(&worker), *pool;

	(void)state;
	pool = json_object_get(report, "pool");
	assert_true(number(pool, "free") < number(pool, "size"));
	json_decref(report);
	pkt_consume(&worker, p, FATE_ABSORBED);
	report = report_worker(&worker);
	pool = json_object_get(report, "pool");
	assert_int_equal(number(pool, "free"), number(pool, "size"));
	json_decref(report);
}

static void files_are_told_from_the_source_tree(void **state)
{
	(void)state;
	assert_string_equal(report_file("../../work/main/src/inet/eth.c"), "src/inet/eth.c");
	assert_string_equal(report_file("/usr/src/weir/src/dev/tap.c"), "src/dev/tap.c");
	assert_string_equal(report_file("eth.c"), "eth.c");
	assert_string_equal(report_severity((enum drop_severity)99), "bug");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ledger_has_the_promised_members, setup, teardown),
		cmocka_unit_test_setup_teardown(drops_are_named_and_sorted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_packet_nobody_ended_shows_in_the_balance, setup,
						teardown),
		cmocka_unit_test_setup_teardown(recent_drops_newest_first, setup, teardown),
		cmocka_unit_test_setup_teardown(stages_in_order_with_linux_names, setup, teardown),
		cmocka_unit_test_setup_teardown(port_names_its_losses, setup, teardown),
		cmocka_unit_test_setup_teardown(a_port_has_its_line_of_the_ledger, setup, teardown),
		cmocka_unit_test_setup_teardown(worker_counts_its_pool, setup, teardown),
		cmocka_unit_test(files_are_told_from_the_source_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
