/* SPDX-License-Identifier: BSD-3-Clause */
/* Ethernet input: what is for us, and what is dropped. */
#include <string.h>

#include "fixture.h"

static void test_too_small(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t frame[64] = { 0 };

	host_drops(h, PKT_TOO_SMALL, frame, 13, 0);
	host_drops(h, PKT_TOO_SMALL, frame, 1, 0);
	host_close(h);
}

static void test_otherhost(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];

	memcpy(s.dst_mac, third_mac, 6);
	host_drops(h, OTHERHOST, frame, frame_udp(frame, &s, 1, 2, "x", 1), 0);
	host_close(h);
}

static void test_unhandled_proto(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t frame[256];
	static const uint16_t types[] = { ETH_TYPE_IP6, ETH_TYPE_VLAN, 0x88cc, 0x0026, 0x0000 };

	for (unsigned int i = 0; i < 5; i++)
		host_drops(h, UNHANDLED_PROTO, frame,
			   frame_eth(frame, us_mac, peer_mac, types[i], "hello", 5), 0);
	host_close(h);
}

/* An interface that is not there (any more). */
static void test_no_interface(void **state)
{
	struct host *h = host_open(NULL);
	struct pkt *p = pkt_alloc(h->w);

	assert_int_equal(pkt_append(h->w, p, NULL, 60), 0);
	p->ifindex = 7;
	eth_input(h->w, &p, 1);
	assert_int_equal(test_drops(h->w, PORT_DOWN), 1);
	host_close(h);
}

/* More than one burst at once, of every kind, each counted once. */
static void test_mixed_burst(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];

	for (unsigned int i = 0; i < 300; i++) {
		size_t len;

		if (i % 3 == 0)
			len = frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, peer_mac, PEER,
					NULL, US);
		else if (i % 3 == 1)
			len = frame_icmp(frame, &s, ICMP_TYPE_ECHO, 0, i, "data", 4);
		else
			len = frame_eth(frame, us_mac, peer_mac, 0x88cc, "x", 1);
		assert_int_equal(wire_put(h->wire, frame, len), 0);
	}
	host_run(h);
	assert_int_equal(wire_waiting(h->wire), 200);
	assert_int_equal(test_drops(h->w, UNHANDLED_PROTO), 100);
	host_close(h);
}

static void test_big_burst_call(void **state)
{
	struct host *h = host_open(NULL);
	struct pkt *pkts[200];

	for (unsigned int i = 0; i < 200; i++) {
		pkts[i] = pkt_alloc(h->w);
		pkts[i]->ifindex = (uint8_t)h->ifindex;
	}
	eth_input(h->w, pkts, 200);
	assert_int_equal(test_drops(h->w, PKT_TOO_SMALL), 200);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_small),	cmocka_unit_test(test_otherhost),
		cmocka_unit_test(test_unhandled_proto), cmocka_unit_test(test_no_interface),
		cmocka_unit_test(test_mixed_burst),	cmocka_unit_test(test_big_burst_call),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
