/* SPDX-License-Identifier: BSD-3-Clause */
/* The states of a neighbour, the queue of packets that wait, and the table's bound. */
#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "inet/neigh.h"
#include "inet/state.h"

static struct neigh *neigh_of(struct host *h, uint32_t ip)
{
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(ip));

	return neigh_find(h->w, (unsigned int)h->ifindex, &addr);
}

static void answer(struct host *h, uint32_t ip, const uint8_t mac[6])
{
	uint8_t frame[64];

	host_put(h, frame, frame_arp(frame, us_mac, ARP_OP_REPLY, mac, ip, us_mac, US));
}

static unsigned int take_count(struct host *h, uint16_t type)
{
	unsigned int n = 0;
	uint8_t frame[2048];
	size_t len;

	while ((len = wire_take(h->wire, frame, sizeof(frame)))) {
		frame_parse(frame, len, false, &h->info);
		n += h->info.type == type;
	}
	return n;
}

static void test_resolve(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);

	for (char i = 0; i < 3; i++)
		assert_int_equal(host_send(h, pcb, PEER, 9, &i, 1), 0);
	assert_int_equal(h->w->ledger.held, 3);
	assert_int_equal(neigh_of(h, PEER)->state, NEIGH_INCOMPLETE);
	assert_int_equal(wire_waiting(h->wire), 1);
	assert_true(host_take(h, ETH_TYPE_ARP));
	assert_memory_equal(h->info.dst_mac, frame_broadcast, 6);
	assert_int_equal(arp_op(&h->info.arp), ARP_OP_REQUEST);
	assert_int_equal(be32_to_host(h->info.arp.target_ip_be), PEER);
	assert_int_equal(be32_to_host(h->info.arp.sender_ip_be), US);
	answer(h, PEER, peer_mac);
	assert_int_equal(h->w->ledger.held, 0);
	assert_int_equal(neigh_of(h, PEER)->state, NEIGH_REACHABLE);
	for (char i = 0; i < 3; i++) { /* in their order */
		assert_true(host_take(h, ETH_TYPE_IP4));
		assert_memory_equal(h->info.dst_mac, peer_mac, 6);
		assert_int_equal(h->info.data[0], i);
	}
	host_close(h);
}

/* Three questions, a second apart; then what waits is dropped, and its sender told: a UDP socket
 * where it asked for that (IP_RECVERR), as Linux has it. */
static void test_fail(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	struct udp_pcb *other = host_udp(h, 0, 5001);
	struct endpoint peer = endpoint4(PEER, 9);

	assert_int_equal(udp_connect(h->w, other, &peer), 0);
	assert_int_equal(udp_send(h->w, other, NULL, "a", 1, "b", 1), 0);
	host_wait(h, 4 * SEC);
	assert_int_equal(take_count(h, ETH_TYPE_ARP), 3);
	assert_int_equal(test_drops(h->w, NEIGH_FAILED), 1);
	assert_int_equal(h->udp_told.count, 0);
	pcb->recverr = true;
	assert_int_equal(udp_connect(h->w, pcb, &peer), 0);
	assert_int_equal(udp_send(h->w, pcb, NULL, "a", 1, "b", 1), 0);
	host_wait(h, 2900 * MS);
	assert_int_equal(take_count(h, ETH_TYPE_ARP), 3);
	assert_int_equal(h->udp_told.count, 0);
	assert_int_equal(h->w->ledger.held, 1);
	host_wait(h, 200 * MS);
	assert_int_equal(test_drops(h->w, NEIGH_FAILED), 2);
	assert_int_equal(h->w->ledger.held, 0);
	assert_int_equal(h->udp_told.count, 1);
	assert_int_equal(h->udp_told.error, EHOSTUNREACH);
	assert_int_equal(h->udp_told.net.from, NET_ERROR_ICMP);
	assert_int_equal(h->udp_told.net.type, ICMP_TYPE_UNREACHABLE);
	assert_int_equal(h->udp_told.net.code, ICMP_CODE_HOST);
	assert_int_equal(ipaddr_ip4(&h->udp_told.net.offender), host_to_be32(US));
	assert_int_equal(ipaddr_ip4(&h->udp_told.net.remote), host_to_be32(PEER));
	assert_int_equal(h->udp_told.data_len, 2);
	assert_ptr_equal(h->udp_told.udp, pcb);
	assert_int_equal(neigh_of(h, PEER)->state, NEIGH_FAILED);
	host_wait(h, 100 * SEC);
	assert_int_equal(take_count(h, ETH_TYPE_ARP), 0);
	/* The next packet begins anew, and this time there is an answer. */
	assert_int_equal(udp_send(h->w, pcb, NULL, "a", 1, NULL, 0), 0);
	host_run(h);
	assert_int_equal(take_count(h, ETH_TYPE_ARP), 1);
	answer(h, PEER, peer_mac);
	assert_int_equal(take_count(h, ETH_TYPE_IP4), 1);
	host_close(h);
}

static void test_fail_tells_tcp(void **state)
{
	struct host *h = host_open(NULL);
	struct ip_flow flow = { .dst = ipaddr_from_ip4(host_to_be32(PEER)), .proto = IP_PROTO_TCP };
	struct pkt *p = pkt_alloc(h->w);

	assert_int_equal(
		pkt_append(h->w, p, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24", 20),
		0);
	assert_int_equal(ip_output(h->w, p, &flow), 0);
	host_wait(h, 4 * SEC);
	assert_int_equal(tcp_told.count, 1);
	assert_int_equal(tcp_told.error, EHOSTUNREACH);
	assert_true(tcp_told.hard);
	assert_memory_equal(tcp_told.l4, "\1\2\3\4\5\6\7\10", 8);
	assert_true(ipaddr_equal(&tcp_told.remote, &flow.dst));
	assert_true(ipaddr_equal(&tcp_told.local, &flow.src));
	frame_take_all(h->wire);
	host_close(h);
}

/* The queue is bounded: the oldest goes. */
static void test_queue_full(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);

	for (uint32_t i = 0; i < NEIGH_QUEUE_PACKETS + 10; i++)
		assert_int_equal(host_send(h, pcb, PEER, 9, &i, 4), 0);
	assert_int_equal(test_drops(h->w, NEIGH_QUEUEFULL), 10);
	assert_int_equal(h->w->ledger.held, NEIGH_QUEUE_PACKETS);
	answer(h, PEER, peer_mac);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.data[0], 10);
	assert_int_equal(take_count(h, ETH_TYPE_IP4), NEIGH_QUEUE_PACKETS - 1);
	host_close(h);
}

/* And so is what waits in all. */
static void test_held_bound(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	unsigned int refused = 0;

	for (uint32_t i = 0; i < NEIGH_HELD_PACKETS + 100; i++)
		refused += host_send(h, pcb, FRAME_IP(198, 18, 0, 10) + i % 200, 9, &i, 4) ==
			   -ENOBUFS;
	assert_int_equal(refused, 100);
	assert_int_equal(test_drops(h->w, NEIGH_QUEUEFULL), 100);
	assert_int_equal(h->w->ledger.held, NEIGH_HELD_PACKETS);
	host_wait(h, 4 * SEC);
	assert_int_equal(test_drops(h->w, NEIGH_FAILED), NEIGH_HELD_PACKETS);
	frame_take_all(h->wire);
	host_close(h);
}

/* REACHABLE -> STALE -> DELAY -> PROBE -> REACHABLE, and -> FAILED without an answer. */
static void test_states(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);

	host_send(h, pcb, PEER, 9, "x", 1);
	answer(h, PEER, peer_mac);
	assert_int_equal(neigh_of(h, PEER)->state, NEIGH_REACHABLE);
	host_wait(h, 46 * SEC);
	assert_int_equal(neigh_of(h, PEER)->state, NEIGH_STALE);
	take_count(h, ETH_TYPE_ARP);
	host_send(h, pcb, PEER, 9, "x", 1);
	assert_int_equal(take_count(h, ETH_TYPE_IP4), 1); /* at once */
	assert_int_equal(neigh_of(h, PEER)->state, NEIGH_DELAY);
	host_wait(h, 5001 * MS);
	assert_int_equal(neigh_of(h, PEER)->state, NEIGH_PROBE);
	assert_true(host_take(h, ETH_TYPE_ARP));
	assert_memory_equal(h->info.dst_mac, peer_mac, 6); /* asked in person */
	host_send(h, pcb, PEER, 9, "x", 1);
	assert_int_equal(take_count(h, ETH_TYPE_IP4), 1); /* still at once */
	answer(h, PEER, peer_mac);
	assert_int_equal(neigh_of(h, PEER)->state, NEIGH_REACHABLE);
	host_wait(h, 46 * SEC);
	host_send(h, pcb, PEER, 9, "x", 1);
	host_wait(h, 5001 * MS);
	take_count(h, ETH_TYPE_ARP);
	host_wait(h, 3 * SEC);
	assert_int_equal(take_count(h, ETH_TYPE_ARP), 2);
	assert_int_equal(neigh_of(h, PEER)->state, NEIGH_FAILED);
	assert_string_equal(neigh_state_name(NEIGH_FAILED), "FAILED");
	host_close(h);
}

/* TCP's progress is a confirmation: nobody is asked. */
static void test_confirm(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	struct endpoint peer = endpoint4(PEER, 9);

	host_meet(h, PEER, peer_mac);
	assert_int_equal(udp_connect(h->w, pcb, &peer), 0);
	assert_int_equal(udp_send(h->w, pcb, NULL, "x", 1, NULL, 0), 0);
	assert_int_equal(neigh_of(h, PEER)->state, NEIGH_DELAY);
	host_wait(h, 1 * SEC);
	neigh_confirm(h->w, &pcb->flow);
	host_wait(h, 5 * SEC);
	assert_int_equal(neigh_of(h, PEER)->state, NEIGH_REACHABLE);
	for (unsigned int i = 0; i < 200; i++) {
		neigh_confirm(h->w, &pcb->flow);
		host_wait(h, 1 * SEC);
		assert_int_equal(neigh_of(h, PEER)->state, NEIGH_REACHABLE);
	}
	assert_int_equal(take_count(h, ETH_TYPE_ARP), 0);
	host_close(h);
}

/* More neighbours than the table holds: idle ones make room, flows notice that theirs was taken. */
static void test_table_bound(void **state)
{
	struct host *h = host_open(NULL);
	struct ipaddr net = ipaddr_from_ip4(host_to_be32(FRAME_IP(198, 19, 0, 1)));
	struct ip_flow flow = { .dst = ipaddr_from_ip4(host_to_be32(PEER)), .proto = IP_PROTO_UDP };
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	struct pkt *p;

	assert_int_equal(inet_addr_add(h->w, (unsigned int)h->ifindex, &net, 16), 0);
	host_wait(h, 10 * SEC);
	frame_take_all(h->wire);
	host_meet(h, PEER, peer_mac);
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	for (unsigned int i = 0; i < NEIGH_MAX; i++) {
		struct ip_flow other = { .dst = ipaddr_from_ip4(
						 host_to_be32(FRAME_IP(198, 19, 1, 0) + i)) };

		assert_int_equal(ip_flow_route(h->w, &other), 0);
	}
	assert_int_equal(h->w->inet->neighs.count, NEIGH_MAX);
	/* However it went, a packet along the old flow goes to the right place: asked for again. */
	frame_take_all(h->wire);
	p = pkt_alloc(h->w);
	assert_int_equal(pkt_append(h->w, p, "12345678", 8), 0);
	assert_int_equal(ip_output(h->w, p, &flow), 0);
	host_run(h);
	assert_true(host_take(h, ETH_TYPE_ARP));
	assert_int_equal(be32_to_host(h->info.arp.target_ip_be), PEER);
	host_wait(h, 4 * SEC);
	/* Every entry in use: no room, until they fail. */
	for (unsigned int i = 0; i < NEIGH_MAX; i++)
		host_send(h, pcb, FRAME_IP(198, 19, 1, 0) + i, 9, "x", 1);
	assert_int_equal(host_send(h, pcb, FRAME_IP(198, 19, 99, 99), 9, "x", 1), -ENOBUFS);
	p = pkt_alloc(h->w);
	assert_int_equal(pkt_append(h->w, p, "12345678", 8), 0);
	flow = (struct ip_flow){ .dst = ipaddr_from_ip4(host_to_be32(FRAME_IP(198, 19, 99, 98))) };
	assert_int_equal(ip_output(h->w, p, &flow), -ENOBUFS);
	assert_int_equal(test_drops(h->w, NEIGH_QUEUEFULL), 1);
	host_wait(h, 4 * SEC);
	assert_int_equal(host_send(h, pcb, FRAME_IP(198, 19, 99, 99), 9, "x", 1), 0);
	/* Idle ones go by themselves. */
	host_wait(h, 200 * SEC);
	assert_true(h->w->inet->neighs.count <= NEIGH_GC_FROM);
	frame_take_all(h->wire);
	host_close(h);
}

/* inet_free() with packets that wait. */
static void test_free_with_queue(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);

	host_send(h, pcb, PEER, 9, "x", 1);
	assert_int_equal(h->w->ledger.held, 1);
	host_close(h);
}

/* No buffers for the question: it is asked when there are some again. */
static void test_no_buffers(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	struct pkt *hoard = NULL, *p, *own;
	struct ip_flow flow = { .dst = ipaddr_from_ip4(host_to_be32(PEER)), .proto = IP_PROTO_UDP };

	own = pkt_alloc(h->w);
	assert_int_equal(pkt_append(h->w, own, "12345678", 8), 0);
	while ((p = pkt_alloc(h->w))) {
		p->next = hoard;
		hoard = p;
		ledger_hold(h->w, 1);
	}
	ledger_hold(h->w, 1); /* own */
	assert_int_equal(host_send(h, pcb, PEER, 9, "x", 1), -ENOBUFS);
	ledger_release(h->w, 1);
	assert_int_equal(ip_output(h->w, own, &flow), 0);
	host_run(h);
	assert_int_equal(wire_waiting(h->wire), 0);
	while ((p = hoard)) {
		hoard = p->next;
		ledger_release(h->w, 1);
		pkt_consume(h->w, p, FATE_ABSORBED);
	}
	host_wait(h, 1001 * MS);
	assert_int_equal(take_count(h, ETH_TYPE_ARP), 1);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolve),		cmocka_unit_test(test_fail),
		cmocka_unit_test(test_fail_tells_tcp),	cmocka_unit_test(test_queue_full),
		cmocka_unit_test(test_held_bound),	cmocka_unit_test(test_states),
		cmocka_unit_test(test_confirm),		cmocka_unit_test(test_table_bound),
		cmocka_unit_test(test_free_with_queue), cmocka_unit_test(test_no_buffers),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
