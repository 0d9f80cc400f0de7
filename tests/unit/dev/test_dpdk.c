/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK devices that need no privileges: ring, null and pcap. */
#include "dev_testing.h"

#include <stdio.h>
#include <unistd.h>

static int setup(void **state)
{
	*state = test_worker_sized(4096);
	return 0;
}

static int teardown(void **state)
{
	test_worker_done(*state);
	return 0;
}

/* A ring device gives back what it is given: the same buffers, as new packets. */
static void test_ring(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "ring");
	struct pkt *pkts[PORT_BURST];
	struct port_stats stats;
	uint16_t n;

	assert_string_equal(port->name, "net_ring0");
	assert_string_equal(port->sleep_how, "timer");
	assert_true(port->ops->sleep_fd(port, 0) < 0);
	assert_int_equal(port->queues, 1);
	assert_true(port->up);
	for (uint32_t i = 0; i < 40; i++)
		port_send(w, port, dev_raw(w, 60 + i, i));
	port_send(w, port, dev_tcp(w, 3000, TCP_F_ACK, 1460)); /* cut: no offloads here */
	assert_int_equal(port_flush(w, port), 0);
	test_ledger(w);
	assert_int_equal(w->ledger.fate[FATE_TRANSMITTED], 43);
	n = port_rx(w, port, 0, pkts, PORT_BURST);
	assert_int_equal(n, 43);
	assert_int_equal(w->ledger.entered, 43);
	for (uint16_t i = 0; i < n; i++) {
		uint8_t out[1600];

		assert_int_equal(pkts[i]->flags, PKT_F_ENTERED);
		assert_int_equal(pkts[i]->ifindex, 7);
		assert_int_equal(pkts[i]->l2, pkts[i]->mbuf.data_off);
		pkt_copy_out(pkts[i], pkts[i]->l2, out, pkt_len(pkts[i]));
		if (i < 40)
			assert_int_equal(dev_tag(out, 60u + i), i);
		else
			dev_check_csums(out, pkt_len(pkts[i]));
		pkt_consume(w, pkts[i], FATE_DELIVERED);
	}
	port_stats(port, &stats);
	assert_int_equal(stats.rx_packets, 43);
	assert_int_equal(stats.tx_packets, 43);
	/* What lies in the ring at the end is not lost. */
	for (uint32_t i = 0; i < 100; i++)
		port_send(w, port, dev_raw(w, 60, i));
	port_flush(w, port);
	port_close(port);
	assert_int_equal(test_drops(w, PORT_DOWN), 100);
}

/* A full ring: refused packets wait and are not counted as sent. */
static void test_ring_full(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "ring");
	struct pkt *pkts[PORT_BURST];
	uint32_t next = 0;
	uint16_t n;

	for (uint32_t i = 0; i < 1500; i++)
		port_send(w, port, dev_raw(w, 60, i));
	port_flush(w, port);
	test_ledger(w);
	assert_true(w->ledger.held > 0);
	assert_int_equal(w->ledger.held + w->ledger.fate[FATE_TRANSMITTED], 1500);
	while ((n = port_rx(w, port, 0, pkts, PORT_BURST))) {
		for (uint16_t i = 0; i < n; i++) {
			assert_int_equal(dev_tag(pkt_data(pkts[i]), 60), next++);
			pkt_consume(w, pkts[i], FATE_DELIVERED);
		}
		port_flush(w, port);
	}
	assert_int_equal(next, 1500);
	port_close(port);
}

/* Two of a kind get names of their own; a closed one can be opened again. */
static void test_names(void **state)
{
	struct worker *w = *state;
	struct port *a = dev_port(w, "ring"), *b = dev_port(w, "ring");
	struct port *wrapped;

	assert_string_equal(a->name, "net_ring0");
	assert_string_equal(b->name, "net_ring1");
	port_close(a);
	a = dev_port(w, "dpdk,net_ring0");
	wrapped = dev_port(w, "fault,delay_us=100:null,size=64");
	port_close(wrapped);
	port_close(b);
	port_close(a);
}

static void test_null(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "null,size=100");
	struct pkt *pkts[PORT_BURST];
	uint16_t n = port_rx(w, port, 0, pkts, PORT_BURST);

	assert_int_equal(n, PORT_BURST);
	for (uint16_t i = 0; i < n; i++) {
		assert_int_equal(pkt_len(pkts[i]), 100);
		pkt_consume(w, pkts[i], FATE_ABSORBED);
	}
	port_send(w, port, dev_tcp(w, 1000, TCP_F_ACK, 0));
	assert_int_equal(port_flush(w, port), 0);
	assert_int_equal(w->ledger.fate[FATE_TRANSMITTED], 1);
	port_close(port);
}

static void put32(FILE *f, uint32_t value)
{
	assert_int_equal(fwrite(&value, sizeof(value), 1, f), 1);
}

static void test_pcap(void **state)
{
	static const uint32_t lengths[] = { 60, 1514, 14, 9000, 1 };
	struct worker *w = *state;
	char dir[] = "/tmp/weir-dev-XXXXXX", in[64], out[64], spec[256];
	uint8_t bytes[9000] = { 0 };
	struct pkt *pkts[PORT_BURST];
	struct port *port;
	uint16_t n;
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(in, sizeof(in), "%s/in.pcap", dir);
	snprintf(out, sizeof(out), "%s/out.pcap", dir);
	snprintf(spec, sizeof(spec), "pcap,rx_pcap=%s,tx_pcap=%s", in, out);
	f = fopen(in, "w");
	assert_non_null(f);
	put32(f, 0xa1b2c3d4);
	put32(f, 0x00040002);
	put32(f, 0);
	put32(f, 0);
	put32(f, 65535);
	put32(f, 1);
	for (unsigned int i = 0; i < 5; i++) {
		put32(f, i);
		put32(f, 0);
		put32(f, lengths[i]);
		put32(f, lengths[i]);
		assert_int_equal(fwrite(bytes, lengths[i], 1, f), 1);
	}
	fclose(f);
	port = dev_port(w, spec);
	n = port_rx(w, port, 0, pkts, PORT_BURST);
	assert_int_equal(n, 5);
	for (uint16_t i = 0; i < n; i++) {
		assert_int_equal(pkt_len(pkts[i]), lengths[i]);
		pkt_consume(w, pkts[i], FATE_ABSORBED);
	}
	port_send(w, port, dev_tcp(w, 500, TCP_F_ACK, 0));
	assert_int_equal(port_flush(w, port), 0);
	port_close(port);
	f = fopen(out, "r");
	assert_non_null(f);
	assert_int_equal(fread(bytes, 1, sizeof(bytes), f), 24 + 16 + FRAME_HEADERS + 500);
	dev_check_csums(bytes + 40, FRAME_HEADERS + 500);
	fclose(f);
	unlink(in);
	unlink(out);
	rmdir(dir);
}

static void test_errors(void **state)
{
	struct worker *w = *state;
	struct worker *workers[1] = { w };
	struct port_open_params params = { .workers = 1, .worker = workers };
	struct port *port, *first = dev_port(w, "dpdk,net_ring5");
	char error[PORT_ERROR_BYTES];

	assert_true(port_open("dpdk,net_ring5", &params, &port, error) < 0);
	assert_non_null(strstr(error, "in use"));
	port_close(first);
	assert_true(port_open("dpdk,net_nonsense0", &params, &port, error) < 0);
	assert_non_null(strstr(error, "no device from"));
	assert_true(port_open("pcap,rx_pcap=/nonexistent/file", &params, &port, error) < 0);
	assert_true(error[0] != '\0');
	params.worker = NULL;
	assert_int_equal(port_open("ring", &params, &port, error), -EINVAL);
	assert_non_null(strstr(error, "pools"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ring_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_null, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pcap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
	};

	return cmocka_run_group_tests_name("dpdk", tests, test_eal, NULL);
}
