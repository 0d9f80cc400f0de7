/* SPDX-License-Identifier: BSD-3-Clause */
/* The loopback port. */
#include "dev_testing.h"

static int setup(void **state)
{
	*state = test_worker_sized(8192);
	return 0;
}

static int teardown(void **state)
{
	test_worker_done(*state);
	return 0;
}

/* A packet comes back as the same buffer, sent and entered, its checksum and size untouched. */
static void test_same_buffer(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "loop");
	struct pkt *sent = dev_tcp(w, 60000, TCP_F_ACK, 1460), *p;
	uint16_t segments = sent->mbuf.nb_segs;

	assert_true(port->caps & PORT_CAP_LOOP);
	assert_int_equal(port->mtu_bytes, 65535);
	port_send(w, port, sent);
	test_ledger(w);
	assert_int_equal(port_rx(w, port, 0, &p, 1), 0); /* not flushed yet */
	assert_int_equal(port_flush(w, port), 0);
	test_ledger(w);
	assert_true(port->ops->arm(port, 0, true)); /* no time to sleep */
	assert_int_equal(port->ops->next_ns(port, 0), 0);
	assert_int_equal(port_rx(w, port, 0, &p, 1), 1);
	assert_ptr_equal(p, sent);
	assert_int_equal(p->mbuf.nb_segs, segments);
	assert_int_equal(pkt_len(p), FRAME_HEADERS + 60000);
	assert_int_equal(p->flags, PKT_F_ENTERED | PKT_F_CSUM_OK | PKT_F_LOOPBACK |
					   PKT_F_CSUM_PARTIAL | PKT_F_GSO_TCP4);
	assert_int_equal(p->gso_size, 1460);
	assert_int_equal(p->ifindex, 7);
	assert_int_equal(p->path, 1u << STAGE_PORT_RX);
	assert_int_equal(w->ledger.entered, 1);
	assert_int_equal(w->ledger.fate[FATE_TRANSMITTED], 1);
	pkt_consume(w, p, FATE_DELIVERED);
	assert_false(port->ops->arm(port, 0, true));
	assert_int_equal(port->ops->next_ns(port, 0), TIMER_NEVER);
	port_close(port);
}

static void test_order_and_bound(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "loop");
	struct pkt *pkts[PORT_BURST];
	struct port_stats stats;
	uint32_t next = 0;
	uint16_t n;

	for (uint32_t i = 0; i < 4096 + PORT_BACKLOG_PACKETS + 5; i++)
		port_send(w, port, dev_raw(w, 60, i));
	assert_int_equal(port_flush(w, port), PORT_BACKLOG_PACKETS);
	assert_int_equal(test_drops(w, TX_RING_FULL), 5);
	test_ledger(w);
	while ((n = port_rx(w, port, 0, pkts, 50))) {
		for (uint16_t i = 0; i < n; i++) {
			assert_int_equal(dev_tag(pkt_data(pkts[i]), 60), next++);
			pkt_consume(w, pkts[i], FATE_DELIVERED);
		}
		port_flush(w, port);
	}
	assert_int_equal(next, 4096 + PORT_BACKLOG_PACKETS);
	port_stats(port, &stats);
	assert_int_equal(stats.rx_packets, next);
	assert_int_equal(stats.tx_packets, next);
	assert_int_equal(stats.tx_bytes, 60ull * next);
	port_close(port);
}

static void test_odd_sizes(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "loop");
	struct pkt *p;

	port_send(w, port, dev_raw(w, 0, 0));
	port_flush(w, port);
	assert_int_equal(port_rx(w, port, 0, &p, 1), 1);
	assert_int_equal(pkt_len(p), 0);
	pkt_consume(w, p, FATE_ABSORBED);
	p = dev_raw(w, 60, 0);
	assert_int_equal(pkt_append(w, p, NULL, 65535 + 14 - 60 + 1), 0);
	port_send(w, port, p);
	assert_int_equal(test_drops(w, PKT_TOO_BIG), 1);
	port_close(port);
}

/* What still goes round when the port closes was sent; it comes in and is dropped. */
static void test_close(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "loop");

	for (uint32_t i = 0; i < 10; i++)
		port_send(w, port, dev_raw(w, 60, i));
	port_flush(w, port);
	for (uint32_t i = 0; i < 3; i++)
		port_send(w, port, dev_raw(w, 60, i));
	port_close(port);
	assert_int_equal(test_drops(w, PORT_DOWN), 13);
	assert_int_equal(w->ledger.entered, 10);
}

/* Round a fault link frames are as on a wire: cut, checksums finished, and not believed. */
static void test_below_fault(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,seed=3:loop");
	struct pkt *pkts[PORT_BURST];
	uint8_t out[1600];
	uint16_t n;

	assert_int_equal(port->caps, PORT_CAP_LOOP);
	port_send(w, port, dev_tcp(w, 3000, TCP_F_ACK, 1460));
	port_flush(w, port);
	n = port_rx(w, port, 0, pkts, PORT_BURST);
	assert_int_equal(n, 3);
	for (uint16_t i = 0; i < n; i++) {
		assert_int_equal(pkts[i]->flags, PKT_F_ENTERED | PKT_F_LOOPBACK);
		pkt_copy_out(pkts[i], pkts[i]->l2, out, pkt_len(pkts[i]));
		dev_check_csums(out, pkt_len(pkts[i]));
		pkt_consume(w, pkts[i], FATE_DELIVERED);
	}
	port_close(port);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order_and_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close, setup, teardown),
		cmocka_unit_test_setup_teardown(test_below_fault, setup, teardown),
	};

	return cmocka_run_group_tests_name("loop", tests, test_eal, NULL);
}
