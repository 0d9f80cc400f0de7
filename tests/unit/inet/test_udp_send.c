/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP, sending: to whom, how large, in how many pieces, with which checksum. */
#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "inet/pmtu.h"

static void test_send(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb;
	struct endpoint peer = endpoint4(PEER, 9);

	host_meet(h, PEER, peer_mac);
	assert_int_equal(udp_open(h->w, &pcb, NULL), 0);
	assert_int_equal(udp_send(h->w, pcb, NULL, "x", 1, NULL, 0), -EDESTADDRREQ);
	pcb->ttl = 3;
	pcb->tos = 0xb8;
	assert_int_equal(udp_send(h->w, pcb, &peer, "abc", 3, "defg", 4), 0);
	assert_in_range(be16_to_host(pcb->local.port_be), 32768, 60999);
	host_run(h);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.ttl, 3);
	assert_int_equal(h->info.tos, 0xb8);
	assert_int_equal(h->info.dport, 9);
	assert_int_equal(h->info.sport, be16_to_host(pcb->local.port_be));
	assert_int_equal(h->info.data_len, 7);
	assert_memory_equal(h->info.data, "abcdefg", 7);
	pcb->ttl = 0; /* options count from the next datagram on */
	assert_int_equal(udp_send(h->w, pcb, &peer, NULL, 0, NULL, 0), 0);
	host_run(h);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.ttl, 64);
	assert_int_equal(h->info.data_len, 0);
	host_close(h);
}

static void test_send_errors(void **state)
{
	struct host *h = host_open(NULL);
	struct ipaddr any = ipaddr_any(), gw = ipaddr_from_ip4(host_to_be32(PEER));
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	struct udp_pcb *local = host_udp(h, LOCALHOST, 5001);
	static uint8_t big[65508];
	struct endpoint to = endpoint4(PEER, 9);

	assert_int_equal(host_send(h, pcb, FAR, 9, "x", 1), -ENETUNREACH);
	assert_int_equal(host_send(h, pcb, PEER, 9, big, 65508), -EMSGSIZE);
	assert_int_equal(udp_send(h->w, pcb, &to, big, 40000, big, 40000), -EMSGSIZE);
	assert_int_equal(udp_send(h->w, pcb, &to, big, UINT32_MAX, big, 1), -EMSGSIZE);
	assert_int_equal(host_send(h, pcb, PEER, 0, "x", 1), -EINVAL);
	assert_int_equal(host_send(h, pcb, SUBNET_BROADCAST, 9, "x", 1), -EACCES);
	assert_int_equal(host_send(h, local, PEER, 9, "x", 1), -EINVAL);
	/* In Linux's order: without a way that is the error, with one these are. */
	assert_int_equal(host_send(h, pcb, 0xffffffff, 9, "x", 1), -ENETUNREACH);
	assert_int_equal(host_send(h, pcb, FRAME_IP(0, 1, 2, 3), 9, "x", 1), -ENETUNREACH);
	assert_int_equal(inet_route_add(h->w, &any, 0, &gw, (unsigned int)h->ifindex), 0);
	assert_int_equal(host_send(h, pcb, 0xffffffff, 9, "x", 1), -EACCES);
	assert_int_equal(host_send(h, pcb, FRAME_IP(0, 1, 2, 3), 9, "x", 1), -EINVAL);
	assert_int_equal(inet_route_del(h->w, &any, 0), 0);
	assert_int_equal(wire_waiting(h->wire), 0);
	host_close(h);
}

/* To everybody: with leave, to the link's broadcast address, and to our own sockets. */
static void test_send_broadcast(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	struct endpoint to = endpoint4(SUBNET_BROADCAST, 5000);

	pcb->broadcast = true;
	assert_int_equal(udp_send(h->w, pcb, &to, "all", 3, NULL, 0), 0);
	host_run(h);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_memory_equal(h->info.dst_mac, frame_broadcast, 6);
	assert_int_equal(h->info.dst_ip, SUBNET_BROADCAST);
	assert_int_equal(h->info.src_ip, US);
	assert_int_equal(h->deliveries, 1);
	assert_int_equal(h->last.len, 3);
	/* Without a route the limited one has nowhere to go; a bound source says where. */
	assert_int_equal(host_send(h, pcb, 0xffffffff, 9, "x", 1), -ENETUNREACH);
	udp_close(h->w, pcb);
	pcb = host_udp(h, US, 5000);
	pcb->broadcast = true;
	assert_int_equal(host_send(h, pcb, 0xffffffff, 9, "x", 1), 0);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_memory_equal(h->info.dst_mac, frame_broadcast, 6);
	/* A group: its address on the link is computed, and its TTL is 1. */
	assert_int_equal(host_send(h, pcb, FRAME_IP(239, 129, 2, 3), 9, "x", 1), 0);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_memory_equal(h->info.dst_mac, ((uint8_t[]){ 1, 0, 0x5e, 1, 2, 3 }), 6);
	assert_int_equal(h->info.ttl, 1);
	host_close(h);
}

/* IP_MTU_DISCOVER: who may fragment, and which MTU counts. */
static void test_pmtu_discovery(void **state)
{
	static const struct {
		uint8_t pmtudisc;
		uint32_t len; /* of the payload; the interface has 1500, the path 1400 */
		int err;
		bool df;
		unsigned int frames;
		uint32_t mtu; /* that is told */
	} cases[] = {
		{ UDP_PMTU_DONT, 1000, 0, false, 1, 0 },
		{ UDP_PMTU_DONT, 1420, 0, false, 2, 0 },
		{ UDP_PMTU_WANT, 1372, 0, true, 1, 0 },
		{ UDP_PMTU_WANT, 1373, 0, false, 2, 0 },
		{ UDP_PMTU_DO, 1372, 0, true, 1, 0 },
		{ UDP_PMTU_DO, 1373, -EMSGSIZE, true, 0, 1400 },
		{ UDP_PMTU_PROBE, 1472, 0, true, 1, 0 },
		{ UDP_PMTU_PROBE, 1473, -EMSGSIZE, true, 0, 1500 },
		{ UDP_PMTU_INTERFACE, 1472, 0, false, 1, 0 },
		{ UDP_PMTU_INTERFACE, 1473, -EMSGSIZE, false, 0, 1500 },
		{ UDP_PMTU_OMIT, 1472, 0, false, 1, 0 },
		{ UDP_PMTU_OMIT, 1473, 0, false, 2, 0 },
	};
	struct host *h = host_open(NULL);
	struct ipaddr any = ipaddr_any(), gw = ipaddr_from_ip4(host_to_be32(PEER));
	struct ipaddr far = ipaddr_from_ip4(host_to_be32(FAR));
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	static uint8_t data[2000];

	host_meet(h, PEER, peer_mac);
	assert_int_equal(inet_route_add(h->w, &any, 0, &gw, (unsigned int)h->ifindex), 0);
	pmtu_learn(h->w, &far, 1400);
	pcb->recverr = true;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned int frames = 0;

		pcb->pmtudisc = cases[i].pmtudisc;
		h->udp_told.count = 0;
		assert_int_equal(host_send(h, pcb, FAR, 9, data, cases[i].len), cases[i].err);
		while (host_take(h, ETH_TYPE_IP4)) {
			frames++;
			assert_int_equal(!!(h->info.frag & IP4_DF), cases[i].df);
		}
		assert_int_equal(frames, cases[i].frames);
		assert_int_equal(h->udp_told.count, cases[i].mtu != 0);
		if (cases[i].mtu == 0)
			continue;
		assert_int_equal(h->udp_told.error, EMSGSIZE);
		assert_int_equal(h->udp_told.net.from, NET_ERROR_LOCAL);
		assert_int_equal(h->udp_told.net.info, cases[i].mtu);
		assert_int_equal(ipaddr_ip4(&h->udp_told.net.remote), host_to_be32(FAR));
	}
	/* Without it the call alone says so. */
	pcb->recverr = false;
	pcb->pmtudisc = UDP_PMTU_DO;
	h->udp_told.count = 0;
	assert_int_equal(host_send(h, pcb, FAR, 9, data, 1473), -EMSGSIZE);
	assert_int_equal(h->udp_told.count, 0);
	assert_int_equal(udp_mtu(h->w, pcb), -ENOTCONN);
	host_close(h);
}

/* One datagram's own source, interface, TTL and TOS; and the question whether it may be sent. */
static void test_send_as(void **state)
{
	struct host *h = host_open(NULL);
	struct ipaddr second = ipaddr_from_ip4(host_to_be32(FRAME_IP(198, 18, 0, 77)));
	struct udp_pcb *pcb = host_udp(h, 0, 5000), *fresh;
	struct endpoint peer = endpoint4(PEER, 9), all = endpoint4(SUBNET_BROADCAST, 9);
	struct endpoint far = endpoint4(FAR, 9);
	struct udp_send send = { .to = &peer,
				 .src = second,
				 .set = UDP_SEND_TTL | UDP_SEND_TOS,
				 .ttl = 3,
				 .tos = 0x10,
				 .run = { "abc", "d" },
				 .len = { 3, 1 } };

	host_meet(h, PEER, peer_mac);
	assert_int_equal(udp_send_as(h->w, pcb, &send), -ENETUNREACH);
	assert_int_equal(inet_addr_add(h->w, (unsigned int)h->ifindex, &second, 24), 0);
	host_wait(h, 10 * SEC);
	assert_int_equal(udp_send_as(h->w, pcb, &send), 0);
	host_run(h);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.src_ip, FRAME_IP(198, 18, 0, 77));
	assert_int_equal(h->info.ttl, 3);
	assert_int_equal(h->info.tos, 0x10);
	assert_memory_equal(h->info.data, "abcd", 4);
	/* The next one is as the socket has it. */
	assert_int_equal(host_send(h, pcb, PEER, 9, "x", 1), 0);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.src_ip, US);
	assert_int_equal(h->info.ttl, 64);
	assert_int_equal(h->info.tos, 0);
	send = (struct udp_send){ .to = &far, .run = { "x" }, .len = { 1 } };
	assert_int_equal(udp_open(h->w, &fresh, NULL), 0);
	assert_int_equal(udp_send_check(h->w, fresh, &send), -ENETUNREACH);
	assert_int_not_equal(fresh->local.port_be, 0);
	/* By an interface: whoever is there is on the link. */
	send.ifindex = (uint8_t)h->ifindex;
	assert_int_equal(udp_send_check(h->w, fresh, &send), 0);
	send.ifindex = 17;
	assert_int_equal(udp_send_check(h->w, fresh, &send), -ENODEV);
	send.ifindex = 0;
	send.to = &all;
	assert_int_equal(udp_send_check(h->w, fresh, &send), -EACCES);
	send.to = &(struct endpoint){ .addr = peer.addr };
	assert_int_equal(udp_send_check(h->w, fresh, &send), -EINVAL);
	send.to = NULL;
	assert_int_equal(udp_send_check(h->w, fresh, &send), -EDESTADDRREQ);
	assert_int_equal(host_take(h, ETH_TYPE_IP4), 0);
	host_close(h);
}

/* The frames of one send in segments: so many, each right by itself. */
static void assert_segments(struct host *h, uint32_t segment, uint32_t total, bool df)
{
	uint32_t at = 0;

	while (host_take(h, ETH_TYPE_IP4)) {
		uint32_t len = total - at < segment ? total - at : segment;

		assert_int_equal(h->info.data_len, len);
		assert_int_equal(!!(h->info.frag & IP4_DF), df);
		for (uint32_t i = 0; i < len; i++)
			assert_int_equal(h->info.data[i], (uint8_t)((at + i) * 7 % 251));
		at += len;
	}
	assert_int_equal(at, total);
}

/* UDP_SEGMENT: from two runs that part anywhere, and what is refused. */
static void test_segments(void **state)
{
	static const struct {
		uint32_t segment, len;
		int err;
	} cases[] = {
		{ 100, 1, 0 },
		{ 100, 100, 0 },
		{ 100, 101, 0 },
		{ 100, 250, 0 },
		{ 1, 128, 0 },
		{ 1, 129, -EINVAL },
		{ 1472, 30000, 0 },
		{ 1473, 1472, 0 },
		{ 1473, 1473, -EMSGSIZE },
		{ 1473, 3000, -EMSGSIZE },
		{ 65535, 20, 0 },
		{ 511, 65408, 0 },
		{ 511, 65409, -EINVAL },
	};
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	struct endpoint peer = endpoint4(PEER, 9);
	static uint8_t data[65535];

	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 % 251);
	host_meet(h, PEER, peer_mac);
	for (unsigned int i = 0; i < 6 * sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned int c = i / 6;
		uint32_t first = cases[c].len * (i % 6) / 5;
		struct udp_send send = { .to = &peer,
					 .segment_bytes = (uint16_t)cases[c].segment,
					 .run = { data, data + first },
					 .len = { first, cases[c].len - first } };

		pcb->pmtudisc = (uint8_t)(i % 6);
		assert_int_equal(udp_send_check(h->w, pcb, &send), cases[c].err);
		assert_int_equal(udp_send_as(h->w, pcb, &send), cases[c].err);
		host_run(h);
		assert_segments(h, cases[c].segment, cases[c].err ? 0 : cases[c].len,
				i % 6 >= UDP_PMTU_WANT && i % 6 <= UDP_PMTU_PROBE);
		test_ledger(h->w);
	}
	host_close(h);
}

/* SO_NO_CHECK: a checksum of zero, and nobody's segments. */
static void test_no_check(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	struct endpoint peer = endpoint4(PEER, 9);
	struct udp_send send = { .to = &peer, .segment_bytes = 10, .run = { "x" }, .len = { 1 } };

	host_meet(h, PEER, peer_mac);
	pcb->no_check = true;
	assert_int_equal(host_send(h, pcb, PEER, 9, "abc", 3), 0);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->frame[FRAME_L4_AT + 6] | h->frame[FRAME_L4_AT + 7], 0);
	assert_memory_equal(h->info.data, "abc", 3);
	assert_int_equal(udp_send_as(h->w, pcb, &send), -EINVAL);
	pcb->no_check = false;
	assert_int_equal(host_send(h, pcb, PEER, 9, "abc", 3), 0);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_not_equal(h->frame[FRAME_L4_AT + 6] | h->frame[FRAME_L4_AT + 7], 0);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_send),	       cmocka_unit_test(test_send_errors),
		cmocka_unit_test(test_send_broadcast), cmocka_unit_test(test_pmtu_discovery),
		cmocka_unit_test(test_send_as),	       cmocka_unit_test(test_segments),
		cmocka_unit_test(test_no_check),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
