/* SPDX-License-Identifier: BSD-3-Clause */
/* Specifications, the wire port, and the send side that all ports share. */
#include "dev_testing.h"

static uint8_t frame[WIRE_MAX_FRAME_BYTES + 1];

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

static void test_bad_specs(void **state)
{
	static const struct {
		const char *spec;
		int err;
		const char *words;
	} bad[] = {
		{ "", -EINVAL, "no port type" },
		{ "eth0", -EINVAL, "no port type" },
		{ "taper,name=x", -EINVAL, "no port type" },
		{ "wire,colour=red", -EINVAL, "no option \"colour\"; there are: name, mtu" },
		{ "wire,mtu", -EINVAL, "needs a value" },
		{ "wire,mtu=", -EINVAL, "needs a value" },
		{ "wire,mtu=1500,mtu=1500", -EINVAL, "twice" },
		{ "wire,mtu=67", -EINVAL, "from 68" },
		{ "wire,mtu=-1", -EINVAL, "from 68" },
		{ "wire,mtu=1500x", -EINVAL, "from 68" },
		{ "wire,mtu=99999999999999999999999", -EINVAL, "from 68" },
		{ "wire,csum=2", -EINVAL, "from 0 to 1" },
		{ "wire,tso=1", -EINVAL, "needs csum=1" },
		{ "wire,mac=02:00:00:00:00", -EINVAL, "not a MAC" },
		{ "wire,mac=02:00:00:00:00:01:", -EINVAL, "not a MAC" },
		{ "wire,mac=01:00:00:00:00:01", -EINVAL, "group" },
		{ "wire,mac=00:00:00:00:00:00", -EINVAL, "zero" },
		{ "loop,mtu=9", -EINVAL, "takes no options" },
		{ "tap,name=averyverylongname", -ENAMETOOLONG, "too long" },
		{ "tap,name=a/b", -EINVAL, "cannot be an interface name" },
		{ "tap,addr=198.18.0.1", -EINVAL, "ADDRESS/LENGTH" },
		{ "tap,addr=198.18.0.1/33", -EINVAL, "ADDRESS/LENGTH" },
		{ "tap,addr=198.18.0.1.5/24", -EINVAL, "ADDRESS/LENGTH" },
		{ "tap,queues=2", -EINVAL, "from 1 to 1" },
		{ "fault,loss=0.1", -EINVAL, "which port" },
		{ "fault,loss=1.1:wire", -EINVAL, "chance" },
		{ "fault,loss=nan:wire", -EINVAL, "chance" },
		{ "fault,loss=:wire", -EINVAL, "needs a value" },
		{ "fault,dir=up:wire", -EINVAL, "both, in or out" },
		{ "fault,queue=0:wire", -EINVAL, "from 1" },
		{ "fault,loss=0.1:", -EINVAL, "no port type" },
		{ "fault,loss=0.1:wire,mtu=1", -EINVAL, "from 68" },
		{ "dpdk", -EINVAL, "which device" },
	};
	struct worker *workers[1] = { *state };
	struct port_open_params params = { .workers = 1, .worker = workers };
	char error[PORT_ERROR_BYTES];
	struct port *port;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int err = port_open(bad[i].spec, &params, &port, error);

		if (err != bad[i].err || !strstr(error, bad[i].words))
			fail_msg("%s: %d, %s", bad[i].spec, err, error);
		assert_null(port);
	}
	memset(frame, 'x', 1000);
	memcpy(frame, "wire,name=", 10);
	frame[1000] = '\0';
	assert_int_equal(port_open((char *)frame, &params, &port, error), -E2BIG);
}

static void test_wire_options(void **state)
{
	struct port *port = dev_port(*state, "wire,name=cable,mtu=9000,mac=02:00:00:00:00:05");

	assert_string_equal(port->name, "cable");
	assert_int_equal(port->mtu_bytes, 9000);
	assert_memory_equal(port->mac, "\x02\0\0\0\0\x05", 6);
	assert_int_equal(port->caps, 0);
	assert_true(port->up);
	port_close(port);
	port = dev_port(*state, "wire");
	assert_int_equal(port->mac[0] & 3, 2); /* unicast, locally administered */
	port_close(port);
	port_close(NULL);
}

/* Every length that may be put comes in as it was; longer ones and more than 4096 do not. */
static void test_wire_rx(void **state)
{
	static const uint32_t lengths[] = {
		0, 1, 13, 14, 60, 1514, 2048, 2049, 2176, 65549, WIRE_MAX_FRAME_BYTES
	};
	struct worker *w = *state;
	struct port *port = dev_port(w, "wire");
	struct port_stats stats;
	static uint8_t out[WIRE_MAX_FRAME_BYTES];
	struct pkt *p;

	for (uint32_t i = 0; i < sizeof(frame); i++)
		frame[i] = dev_byte(i);
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(wire_put(port, frame, lengths[i]), 0);
		assert_int_equal(port_rx(w, port, 0, &p, 1), 1);
		assert_int_equal(pkt_len(p), lengths[i]);
		assert_int_equal(p->l2, p->mbuf.data_off);
		assert_int_equal(p->ifindex, 7);
		assert_int_equal(p->flags, PKT_F_ENTERED);
		assert_int_equal(p->path, 1u << STAGE_PORT_RX);
		pkt_copy_out(p, p->l2, out, lengths[i]);
		assert_memory_equal(out, frame, lengths[i]);
		pkt_consume(w, p, FATE_ABSORBED);
	}
	assert_int_equal(port_rx(w, port, 0, &p, 1), 0);
	assert_int_equal(port_rx(w, port, 1, &p, 1), 0); /* no such queue */
	assert_int_equal(wire_put(port, frame, sizeof(frame)), -EMSGSIZE);
	for (unsigned int i = 0; i < 4096; i++)
		assert_int_equal(wire_put(port, frame, 60), 0);
	assert_int_equal(wire_put(port, frame, 60), -ENOBUFS);
	port_stats(port, &stats);
	assert_int_equal(stats.rx_packets, sizeof(lengths) / sizeof(lengths[0]));
	port_close(port);
}

/* No buffers: the frame stays on the wire and comes when there are some. */
static void test_wire_nombuf(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "wire");
	struct pkt *head = NULL, *p;
	struct port_stats stats;

	assert_int_equal(wire_put(port, frame, 60), 0);
	while ((p = pkt_alloc(w))) {
		p->next = head;
		head = p;
	}
	assert_int_equal(port_rx(w, port, 0, &p, 1), 0);
	port_stats(port, &stats);
	assert_int_equal(stats.rx_nombuf, 1);
	while ((p = head)) {
		head = p->next;
		pkt_consume(w, p, FATE_ABSORBED);
	}
	assert_int_equal(port_rx(w, port, 0, &p, 1), 1);
	pkt_consume(w, p, FATE_ABSORBED);
	port_close(port);
}

static void test_wire_caps(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "wire,csum=1,tso=1");
	size_t len;
	struct pkt *p;

	/* A super-segment goes over whole, and comes in as one. */
	port_send(w, port, dev_tcp(w, 20000, TCP_F_ACK | TCP_F_PSH, 1460));
	assert_int_equal(port_flush(w, port), 0);
	len = wire_take(port, frame, sizeof(frame));
	assert_int_equal(len, FRAME_HEADERS + 20000);
	assert_int_equal(wire_put(port, frame, len), 0);
	assert_int_equal(port_rx(w, port, 0, &p, 1), 1);
	assert_int_equal(p->flags, PKT_F_ENTERED | PKT_F_CSUM_OK | PKT_F_GSO_TCP4);
	assert_int_equal(p->gso_size, 1460);
	pkt_consume(w, p, FATE_ABSORBED);
	port_close(port);
}

/* Frames leave in order; what the wire cannot take waits, is held, and is bounded. */
static void test_backlog(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "wire");
	const unsigned int total = 4096 + PORT_BACKLOG_PACKETS + 10;
	struct port_stats stats;
	unsigned int waiting;

	for (uint32_t i = 0; i < total; i++) {
		port_send(w, port, dev_raw(w, 60, i));
		test_ledger(w); /* what lies in the burst is held */
	}
	waiting = port_flush(w, port);
	test_ledger(w);
	assert_int_equal(wire_waiting(port), 4096);
	assert_int_equal(waiting, PORT_BACKLOG_PACKETS);
	assert_int_equal(w->ledger.held, PORT_BACKLOG_PACKETS);
	assert_int_equal(test_drops(w, TX_RING_FULL), 10);
	port_stats(port, &stats);
	assert_int_equal(stats.tx_backlog, PORT_BACKLOG_PACKETS);
	for (uint32_t i = 0; i < 4096 + PORT_BACKLOG_PACKETS; i++) {
		assert_int_equal(wire_take(port, frame, sizeof(frame)), 60);
		assert_int_equal(dev_tag(frame, 60), i);
		if (i % 7 == 0)
			port_flush(w, port);
	}
	assert_int_equal(wire_take(port, frame, sizeof(frame)), 0);
	assert_int_equal(w->ledger.fate[FATE_TRANSMITTED], 4096 + PORT_BACKLOG_PACKETS);
	assert_int_equal(w->ledger.stage[STAGE_PORT_TX].packets, total);
	/* Closed with packets in the burst and in the backlog: dropped, not lost. */
	for (uint32_t i = 0; i < 4096 + 100; i++)
		port_send(w, port, dev_raw(w, 60, i));
	port_close(port);
	assert_int_equal(test_drops(w, PORT_DOWN), 100);
}

static void test_unfit_frames(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "wire");
	struct pkt *p = dev_raw(w, 1518, 0);

	port_send(w, port, dev_raw(w, 0, 0));
	port_send(w, port, dev_raw(w, 13, 0));
	assert_int_equal(test_drops(w, PKT_TOO_SMALL), 2);
	port_send(w, port, dev_raw(w, 1515, 0));
	assert_int_equal(test_drops(w, PKT_TOO_BIG), 1);
	pkt_data(p)[12] = 0x81; /* a VLAN tag takes nothing from the MTU */
	pkt_data(p)[13] = 0x00;
	port_send(w, port, p);
	port_send(w, port, dev_raw(w, 1514, 0));
	port_send(w, port, dev_raw(w, 14, 0));
	port_flush(w, port);
	assert_int_equal(wire_waiting(port), 3);
	/* A checksum to be finished outside of the packet. */
	p = dev_raw(w, 60, 0);
	p->flags |= PKT_F_CSUM_PARTIAL;
	p->l4 = (uint16_t)(p->l2 + 58);
	p->csum_at = 16;
	port_send(w, port, p);
	assert_int_equal(test_drops(w, PKT_TOO_SMALL), 3);
	/* Said to be a super-segment, but it is not TCP. */
	p = dev_raw(w, 60, 0);
	p->flags |= PKT_F_GSO_TCP4;
	p->gso_size = 10;
	port_send(w, port, p);
	assert_int_equal(test_drops(w, TCP_MALFORMED), 1);
	port_close(port);
}

/* Packets whose offsets and flags are nonsense, through every kind of port that needs no
 * privileges. */
static void test_nonsense(void **state)
{
	static const char *const specs[] = { "wire", "wire,csum=1,tso=1", "fault,corrupt=0.5:wire",
					     "loop", "fault,dup=0.5:loop" };
	struct worker *w = *state;

	for (unsigned int s = 0; s < sizeof(specs) / sizeof(specs[0]); s++) {
		struct port *port = dev_port(w, specs[s]);
		struct pkt *pkts[PORT_BURST];

		for (unsigned int i = 0; i < 3000; i++) {
			struct pkt *p = i & 1 ? dev_tcp(w, worker_random(w) % 300, TCP_F_ACK, 0)
					      : dev_raw(w, worker_random(w) % 1600, i);
			uint32_t r = worker_random(w);
			uint16_t n;

			p->flags = (uint16_t)(r & (PKT_F_CSUM_PARTIAL | PKT_F_GSO_TCP4));
			p->gso_size = (uint16_t)(r >> 16 & 0xff);
			if (r & 0x100)
				p->l4 = (uint16_t)(worker_random(w) % 2400);
			if (r & 0x200)
				p->l3 = (uint16_t)(worker_random(w) % 2400);
			if (r & 0x400)
				p->csum_at = (uint16_t)worker_random(w);
			if (r & 0x800 && pkt_len(p))
				pkt_data(p)[worker_random(w) % pkt_len(p)] ^= 0xff;
			port_send(w, port, p);
			if (r & 0x1000)
				port_flush(w, port);
			test_ledger(w);
			n = port_rx(w, port, 0, pkts, PORT_BURST);
			pkt_consume_burst(w, pkts, n, FATE_ABSORBED);
			if (!(port->caps & PORT_CAP_LOOP))
				while (wire_take(port, frame, sizeof(frame)))
					;
		}
		port_close(port);
		test_quiet(w);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bad_specs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wire_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wire_rx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wire_nombuf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wire_caps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backlog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfit_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
	};

	return cmocka_run_group_tests_name("port", tests, test_eal, NULL);
}
