/* SPDX-License-Identifier: BSD-3-Clause */
/* ARP: answers, what is believed, announcements, defence. */
#include <string.h>

#include "fixture.h"
#include "inet/neigh.h"
#include "inet/state.h"

static enum neigh_state state_of(struct host *h, uint32_t ip)
{
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(ip));
	struct neigh *n = neigh_find(h->w, (unsigned int)h->ifindex, &addr);

	return n ? n->state : NEIGH_NONE;
}

static const uint8_t *mac_of(struct host *h, uint32_t ip)
{
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(ip));

	return neigh_find(h->w, (unsigned int)h->ifindex, &addr)->eth.dst;
}

static void test_reply(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t frame[64] = { 0 };

	frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, peer_mac, PEER, NULL, US);
	host_put(h, frame, 60); /* padded, as on a real wire */
	assert_int_equal(host_take(h, ETH_TYPE_ARP), 42);
	assert_memory_equal(h->info.dst_mac, peer_mac, 6);
	assert_memory_equal(h->info.src_mac, us_mac, 6);
	assert_int_equal(arp_op(&h->info.arp), ARP_OP_REPLY);
	assert_memory_equal(h->info.arp.sender_mac, us_mac, 6);
	assert_memory_equal(h->info.arp.target_mac, peer_mac, 6);
	assert_int_equal(be32_to_host(h->info.arp.sender_ip_be), US);
	assert_int_equal(be32_to_host(h->info.arp.target_ip_be), PEER);
	assert_int_equal(state_of(h, PEER), NEIGH_STALE);
	host_close(h);
}

/* RFC 5227: somebody asks whether our address is free. It is not, and nobody is learnt. */
static void test_probe(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t frame[64];

	host_put(h, frame,
		 frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, peer_mac, 0, NULL, US));
	assert_true(host_take(h, ETH_TYPE_ARP));
	assert_int_equal(arp_op(&h->info.arp), ARP_OP_REPLY);
	assert_int_equal(state_of(h, 0), NEIGH_NONE);
	host_close(h);
}

static void test_malformed(void **state)
{
	struct host *h = host_open(NULL);
	static const uint8_t group_mac[6] = { 1, 0, 0x5e, 0, 0, 1 }, no_mac[6];
	uint8_t frame[64];
	static const struct {
		uint8_t at, value;
	} bad[] = { { 15, 6 }, { 16, 0x86 }, { 18, 8 }, { 19, 16 }, { 21, 3 }, { 21, 0 } };

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t len = frame_arp(frame, us_mac, ARP_OP_REQUEST, peer_mac, PEER, NULL, US);

		frame[bad[i].at] = bad[i].value;
		host_drops(h, ARP_MALFORMED, frame, len, 0);
	}
	host_drops(h, ARP_MALFORMED, frame,
		   frame_arp(frame, us_mac, ARP_OP_REQUEST, group_mac, PEER, NULL, US), 0);
	host_drops(h, ARP_MALFORMED, frame,
		   frame_arp(frame, us_mac, ARP_OP_REQUEST, no_mac, PEER, NULL, US), 0);
	host_drops(h, ARP_MALFORMED, frame,
		   frame_arp(frame, us_mac, ARP_OP_REQUEST, peer_mac, LOCALHOST, NULL, US), 0);
	host_drops(h, ARP_MALFORMED, frame,
		   frame_arp(frame, us_mac, ARP_OP_REQUEST, peer_mac, FRAME_IP(224, 0, 0, 5), NULL,
			     US),
		   0);
	host_drops(h, ARP_MALFORMED, frame,
		   frame_arp(frame, us_mac, ARP_OP_REQUEST, peer_mac, SUBNET_BROADCAST, NULL, US),
		   0);
	host_drops(h, PKT_TOO_SMALL, frame,
		   frame_arp(frame, us_mac, ARP_OP_REQUEST, peer_mac, PEER, NULL, US) - 1, 0);
	assert_int_equal(state_of(h, PEER), NEIGH_NONE);
	host_close(h);
}

static void test_not_for_us(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t frame[64];

	/* A request for another, a gratuitous one, an answer to no question, one from elsewhere. */
	host_drops(h, ARP_NOT_FOR_US, frame,
		   frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, peer_mac, PEER, NULL, THIRD),
		   0);
	host_drops(h, ARP_NOT_FOR_US, frame,
		   frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, peer_mac, PEER, NULL, PEER),
		   0);
	host_drops(h, ARP_NOT_FOR_US, frame,
		   frame_arp(frame, us_mac, ARP_OP_REPLY, peer_mac, PEER, us_mac, US), 0);
	host_drops(h, ARP_NOT_FOR_US, frame,
		   frame_arp(frame, us_mac, ARP_OP_REPLY, peer_mac, FAR, us_mac, US), 0);
	/* 127.0.0.1 is ours, but not for a wire. */
	host_drops(
		h, ARP_NOT_FOR_US, frame,
		frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, peer_mac, FAR, NULL, LOCALHOST),
		0);
	assert_int_equal(state_of(h, PEER), NEIGH_NONE);
	/* From outside our subnets: answered (it may be on the link by a route), not learnt. */
	host_put(h, frame,
		 frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, peer_mac, FAR, NULL, US));
	assert_true(host_take(h, ETH_TYPE_ARP));
	assert_int_equal(state_of(h, FAR), NEIGH_NONE);
	host_close(h);
}

/* An entry that exists is updated by a gratuitous ARP, but not within a second of the last time. */
static void test_gratuitous_update(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t frame[64];

	host_meet(h, PEER, peer_mac);
	host_drops(h, ARP_NOT_FOR_US, frame,
		   frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, third_mac, PEER, NULL, PEER),
		   0);
	assert_memory_equal(mac_of(h, PEER), peer_mac, 6);
	host_wait(h, 2 * SEC);
	host_put(h, frame,
		 frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, third_mac, PEER, NULL, PEER));
	assert_memory_equal(mac_of(h, PEER), third_mac, 6);
	assert_int_equal(state_of(h, PEER), NEIGH_STALE);
	host_close(h);
}

static void test_conflict(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t frame[64];

	host_wait(h, 20 * SEC);
	host_drops(h, IP_OWN_SOURCE, frame,
		   frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, third_mac, US, NULL, US), 1);
	assert_true(host_take(h, ETH_TYPE_ARP));
	assert_int_equal(be32_to_host(h->info.arp.sender_ip_be), US);
	assert_int_equal(be32_to_host(h->info.arp.target_ip_be), US);
	assert_memory_equal(h->info.dst_mac, frame_broadcast, 6);
	/* Once each ten seconds. */
	host_drops(h, IP_OWN_SOURCE, frame,
		   frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, third_mac, US, NULL, PEER), 0);
	host_wait(h, 10 * SEC);
	host_drops(h, IP_OWN_SOURCE, frame,
		   frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, third_mac, US, NULL, US), 1);
	frame_take_all(h->wire);
	/* A loop: our own frame came back. Not to be answered. */
	host_wait(h, 20 * SEC);
	host_drops(h, IP_OWN_SOURCE, frame,
		   frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, us_mac, US, NULL, US), 0);
	host_close(h);
}

/* A new address is announced twice, two seconds apart. */
static void test_announce(void **state)
{
	struct host *h = host_open(NULL);
	struct ipaddr second = ipaddr_from_ip4(host_to_be32(FRAME_IP(198, 18, 5, 1)));

	assert_int_equal(inet_addr_add(h->w, (unsigned int)h->ifindex, &second, 24), 0);
	host_run(h);
	assert_int_equal(wire_waiting(h->wire), 1);
	assert_true(host_take(h, ETH_TYPE_ARP));
	assert_int_equal(be32_to_host(h->info.arp.sender_ip_be), FRAME_IP(198, 18, 5, 1));
	assert_int_equal(be32_to_host(h->info.arp.target_ip_be), FRAME_IP(198, 18, 5, 1));
	host_wait(h, 100 * SEC);
	assert_int_equal(wire_waiting(h->wire), 1);
	frame_take_all(h->wire);
	host_close(h);
}

static unsigned int learned;

static void on_learned(struct worker *w, unsigned int ifindex, const struct ipaddr *addr,
		       const uint8_t mac[6], bool proven)
{
	struct ipaddr peer = ipaddr_from_ip4(host_to_be32(PEER));

	assert_true(ipaddr_equal(addr, &peer));
	assert_memory_equal(mac, peer_mac, 6);
	assert_int_equal(ifindex, 2);
	assert_true(proven);
	learned++;
}

/* Several workers: an answer that another one waits for is handed on, and taken from it. */
static void test_other_workers(void **state)
{
	struct host *h = host_open(NULL);
	struct ipaddr peer = ipaddr_from_ip4(host_to_be32(PEER));
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	uint8_t frame[64];

	learned = 0;
	h->w->inet->up.neigh_learned = on_learned;
	host_put(h, frame, frame_arp(frame, us_mac, ARP_OP_REPLY, peer_mac, PEER, us_mac, US));
	assert_int_equal(learned, 1);
	assert_int_equal(test_drops(h->w, ARP_NOT_FOR_US), 0);
	inet_neigh_learn(h->w, 2, &peer, peer_mac, true); /* never asked */
	assert_int_equal(state_of(h, PEER), NEIGH_NONE);
	assert_int_equal(host_send(h, pcb, PEER, 9, "x", 1), 0);
	assert_int_equal(state_of(h, PEER), NEIGH_INCOMPLETE);
	inet_neigh_learn(h->w, 2, &peer, peer_mac, true);
	host_run(h);
	assert_int_equal(state_of(h, PEER), NEIGH_REACHABLE);
	assert_true(host_take(h, ETH_TYPE_IP4));
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_not_for_us),
		cmocka_unit_test(test_gratuitous_update),
		cmocka_unit_test(test_conflict),
		cmocka_unit_test(test_announce),
		cmocka_unit_test(test_other_workers),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
