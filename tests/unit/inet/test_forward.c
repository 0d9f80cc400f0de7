/* SPDX-License-Identifier: BSD-3-Clause */
/* Forwarding between two wires: 198.18.0.0/24 (peer) and 198.19.9.0/24 (FAR). */
#include <string.h>

#include "fixture.h"

#define OUR_FAR_SIDE FRAME_IP(198, 19, 9, 2)
#define ELSEWHERE FRAME_IP(198, 19, 200, 1)

static const uint8_t far_mac[6] = { 2, 0, 0, 0, 9, 9 };
static const uint8_t our_far_mac[6] = { 2, 0, 0, 0, 9, 2 };

struct router {
	struct host *h;
	struct port *far;
	unsigned int far_ifindex;
};

static void run(struct router *r)
{
	struct pkt *pkts[PORT_BURST];
	uint16_t n;

	for (unsigned int i = 0; i < 3; i++) {
		host_run(r->h);
		while ((n = port_rx(r->h->w, r->far, 0, pkts, PORT_BURST)))
			eth_input(r->h->w, pkts, n);
		port_flush(r->h->w, r->far);
	}
	test_ledger(r->h->w);
}

static void put(struct router *r, const uint8_t *frame, size_t len)
{
	assert_int_equal(wire_put(r->h->wire, frame, len), 0);
	run(r);
}

static void router_open(struct router *r)
{
	struct port_open_params params = { .workers = 1 };
	char error[PORT_ERROR_BYTES];
	struct ipaddr far = ipaddr_from_ip4(host_to_be32(OUR_FAR_SIDE));
	uint8_t frame[64];

	r->h = host_open(NULL);
	assert_int_equal(port_open("wire,mac=02:00:00:00:09:02,mtu=1000", &params, &r->far, error),
			 0);
	r->far_ifindex = (unsigned int)inet_netif_add(r->h->w, r->far);
	assert_int_equal(inet_addr_add(r->h->w, r->far_ifindex, &far, 24), 0);
	inet_forwarding(r->h->w, true);
	host_wait(r->h, 10 * SEC);
	run(r);
	host_meet(r->h, PEER, peer_mac);
	assert_int_equal(wire_put(r->far, frame,
				  frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, far_mac, FAR,
					    NULL, OUR_FAR_SIDE)),
			 0);
	run(r);
	frame_take_all(r->far);
	frame_take_all(r->h->wire);
}

static void router_close(struct router *r)
{
	run(r);
	port_close(r->far);
	host_close(r->h);
}

static size_t to_far(uint8_t *frame, struct frame_spec *s, size_t len)
{
	static uint8_t data[2000];

	s->dst_ip = FAR;
	return frame_udp(frame, s, 1, 7, data, len);
}

static void test_forward(void **state)
{
	struct router r;
	struct frame_spec s = from_peer();
	uint8_t frame[2048];
	size_t len;

	router_open(&r);
	s.ttl = 9;
	len = to_far(frame, &s, 100);
	for (unsigned int i = 0; i < 3; i++) {
		put(&r, frame, len);
		assert_true(frame_take(r.far, ETH_TYPE_IP4, r.h->frame, &r.h->info));
		assert_memory_equal(r.h->info.dst_mac, far_mac, 6);
		assert_memory_equal(r.h->info.src_mac, our_far_mac, 6);
		assert_int_equal(r.h->info.ttl, 8);
		assert_int_equal(r.h->info.src_ip, PEER);
		assert_memory_equal(r.h->info.l4, frame + FRAME_L4_AT, len - FRAME_L4_AT);
		assert_int_equal(r.h->w->ledger.fate[FATE_FORWARDED], i + 1);
	}
	inet_forwarding(r.h->w, false);
	host_drops(r.h, IP_INADDRERRORS, frame, len, 0);
	router_close(&r);
}

static void test_ttl(void **state)
{
	struct router r;
	struct frame_spec s = from_peer();
	uint8_t frame[2048];

	router_open(&r);
	s.ttl = 1;
	host_drops(r.h, IP_TTL, frame, to_far(frame, &s, 10), 1);
	assert_true(host_take(r.h, ETH_TYPE_IP4));
	assert_int_equal(r.h->info.icmp_type, ICMP_TYPE_TIME_EXCEEDED);
	assert_int_equal(r.h->info.icmp_code, ICMP_CODE_TTL);
	assert_int_equal(r.h->info.src_ip, US);
	router_close(&r);
}

static void test_no_route(void **state)
{
	struct router r;
	struct frame_spec s = from_peer();
	uint8_t frame[2048];

	router_open(&r);
	s.dst_ip = ELSEWHERE;
	host_drops(r.h, IP_INNOROUTES, frame, frame_udp(frame, &s, 1, 2, "x", 1), 1);
	assert_true(host_take(r.h, ETH_TYPE_IP4));
	assert_int_equal(r.h->info.icmp_type, ICMP_TYPE_UNREACHABLE);
	assert_int_equal(r.h->info.icmp_code, ICMP_CODE_NET);
	router_close(&r);
}

static void test_mtu(void **state)
{
	struct router r;
	struct frame_spec s = from_peer();
	static const uint8_t options[12] = { 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 1 };
	uint8_t frame[2048];
	size_t len, got = 0;

	router_open(&r);
	s.frag = IP4_DF;
	host_drops(r.h, PKT_NEEDS_FRAG, frame, to_far(frame, &s, 1200), 1);
	assert_true(host_take(r.h, ETH_TYPE_IP4));
	assert_int_equal(r.h->info.icmp_type, ICMP_TYPE_UNREACHABLE);
	assert_int_equal(r.h->info.icmp_code, ICMP_CODE_FRAG_NEEDED);
	assert_int_equal(r.h->info.icmp_rest, 1000);
	/* Without DF it is cut; options that are not for every fragment stay with the first. */
	s.frag = 0;
	s.id = 77;
	s.options = options;
	s.options_len = sizeof(options);
	len = to_far(frame, &s, 1200);
	put(&r, frame, len);
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(frame_take(r.far, ETH_TYPE_IP4, r.h->frame, &r.h->info));
		assert_true(r.h->info.ip_len <= 1000);
		assert_int_equal(r.h->info.id, 77);
		assert_int_equal((r.h->info.frag & IP4_OFFSET_MASK) * 8u, got);
		assert_int_equal(r.h->info.frag & IP4_MF, i == 0 ? IP4_MF : 0);
		assert_memory_equal(r.h->info.l4, frame + FRAME_L4_AT + 12 + got, r.h->info.l4_len);
		assert_int_equal(r.h->frame[FRAME_L4_AT], i == 0 ? 7 : 1);
		assert_int_equal(r.h->frame[FRAME_L4_AT + 7], 148);
		got += r.h->info.l4_len;
	}
	assert_int_equal(got, 1208);
	assert_int_equal(r.h->w->ledger.fate[FATE_FORWARDED], 2);
	router_close(&r);
}

/* The next hop does not answer: who sent is told. */
static void test_next_hop_dead(void **state)
{
	struct router r;
	struct frame_spec s = from_peer();
	uint8_t frame[2048];

	router_open(&r);
	s.dst_ip = FAR + 1;
	put(&r, frame, frame_udp(frame, &s, 1, 2, "x", 1));
	assert_int_equal(r.h->w->ledger.held, 1);
	for (unsigned int i = 0; i < 4; i++) {
		host_wait(r.h, SEC);
		run(&r);
	}
	assert_int_equal(test_drops(r.h->w, NEIGH_FAILED), 1);
	assert_true(host_take(r.h, ETH_TYPE_IP4));
	assert_int_equal(r.h->info.icmp_type, ICMP_TYPE_UNREACHABLE);
	assert_int_equal(r.h->info.icmp_code, ICMP_CODE_HOST);
	router_close(&r);
}

/* What came to everybody on the link is not passed on. */
static void test_link_broadcast(void **state)
{
	struct router r;
	struct frame_spec s = from_peer();
	uint8_t frame[2048];

	router_open(&r);
	memcpy(s.dst_mac, frame_broadcast, 6);
	host_drops(r.h, IP_INADDRERRORS, frame, to_far(frame, &s, 10), 0);
	s.dst_ip = FRAME_IP(239, 1, 1, 1);
	host_drops(r.h, MCAST_NOT_MEMBER, frame, frame_udp(frame, &s, 1, 2, "x", 1), 0);
	router_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forward),	      cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_no_route),      cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_next_hop_dead), cmocka_unit_test(test_link_broadcast),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
