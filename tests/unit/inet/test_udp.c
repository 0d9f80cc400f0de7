/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP: checks, who gets a datagram, bind's rules, connections. */
#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "inet/pmtu.h"

static void assert_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	assert_true(ipaddr_equal(&a->addr, &b->addr));
	assert_int_equal(a->port_be, b->port_be);
}

static int bind_try(struct host *h, uint32_t ip, uint16_t port, bool reuse_addr, bool reuse_port,
		    struct udp_pcb **pcb)
{
	struct endpoint local = endpoint4(ip, port);

	assert_int_equal(udp_open(h->w, pcb, NULL), 0);
	(*pcb)->reuse_addr = reuse_addr;
	(*pcb)->reuse_port = reuse_port;
	return udp_bind(h->w, *pcb, &local);
}

static struct udp_pcb *receiver(struct host *h, const struct frame_spec *s, uint16_t sport,
				uint16_t dport)
{
	unsigned int before = h->deliveries;
	uint8_t frame[128];

	host_put(h, frame, frame_udp(frame, s, sport, dport, "x", 1));
	return h->deliveries == before ? NULL : h->last.pcb;
}

static void test_receive(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	struct udp_pcb *pcb = host_udp(h, 0, 7);
	struct endpoint from = endpoint4(PEER, 1000), to = endpoint4(US, 7);
	uint8_t frame[2048];

	host_put(h, frame, frame_udp(frame, &s, 1000, 7, "hello", 5));
	assert_int_equal(h->deliveries, 1);
	assert_ptr_equal(h->last.pcb, pcb);
	assert_int_equal(h->last.len, 5);
	assert_memory_equal(h->last.data, "hello", 5);
	assert_endpoint(&h->last.from, &from);
	assert_endpoint(&h->last.to, &to);
	host_put(h, frame, frame_udp(frame, &s, 1000, 7, NULL, 0)); /* empty is a datagram too */
	assert_int_equal(h->deliveries, 2);
	assert_int_equal(h->last.len, 0);
	udp_close(h->w, pcb);
	host_meet(h, PEER, peer_mac);
	host_drops(h, NO_SOCKET, frame, frame_udp(frame, &s, 1000, 7, "hello", 5), 1);
	frame_take_all(h->wire);
	host_close(h);
}

static void test_checks(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[128];
	size_t len;

	host_udp(h, 0, 7);
	len = frame_udp(frame, &s, 1, 7, "hello", 5);
	frame[len - 1] ^= 4;
	host_drops(h, UDP_CSUM, frame, len, 0);
	frame_udp(frame, &s, 1, 7, "hello", 5);
	frame[FRAME_L4_AT + 5] = 7; /* shorter than its header */
	host_drops(h, UDP_MALFORMED, frame, len, 0);
	frame[FRAME_L4_AT + 5] = 14; /* longer than the packet */
	host_drops(h, UDP_MALFORMED, frame, len, 0);
	host_drops(h, UDP_MALFORMED, frame, frame_ip4(frame, &s, IP_PROTO_UDP, "1234567", 7), 0);
	assert_int_equal(h->deliveries, 0);
	/* No checksum. */
	len = frame_udp(frame, &s, 1, 7, "hello", 5);
	frame[FRAME_L4_AT + 6] = 0;
	frame[FRAME_L4_AT + 7] = 0;
	host_put(h, frame, len);
	assert_int_equal(h->deliveries, 1);
	/* Shorter than the packet: the rest is not the datagram's. */
	len = frame_udp(frame, &s, 1, 7, "hello", 5);
	frame[FRAME_L4_AT + 5] = 10;
	frame[FRAME_L4_AT + 6] = 0;
	frame[FRAME_L4_AT + 7] = 0;
	host_put(h, frame, len);
	assert_int_equal(h->deliveries, 2);
	assert_int_equal(h->last.len, 2);
	host_close(h);
}

/* A port that has verified the checksum is believed. */
static void test_csum_offload(void **state)
{
	struct host *h = host_open("wire,mac=02:00:00:00:00:02,csum=1");
	struct frame_spec s = from_peer();
	struct udp_pcb *pcb = host_udp(h, 0, 7);
	uint8_t frame[128];
	size_t len;

	len = frame_udp(frame, &s, 1, 7, "hello", 5);
	frame[FRAME_L4_AT + 6] ^= 0x55;
	host_put(h, frame, len);
	assert_int_equal(h->deliveries, 1);
	host_meet(h, PEER, peer_mac);
	assert_int_equal(host_send(h, pcb, PEER, 9, "abc", 3), 0);
	assert_true(host_take(h, ETH_TYPE_IP4)); /* parsed as partial */
	/* Fragments cannot be left to the port: the first of them has the whole sum. */
	assert_int_equal(host_send(h, pcb, PEER, 9, s.dst_mac, 6), 0);
	assert_true(host_take(h, ETH_TYPE_IP4));
	host_close(h);
}

/* Connected beats bound beats any. */
static void test_demux(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	struct udp_pcb *any, *bound, *connected;
	struct endpoint peer = endpoint4(PEER, 1000);

	assert_int_equal(bind_try(h, 0, 7, true, false, &any), 0);
	assert_ptr_equal(receiver(h, &s, 1000, 7), any);
	assert_int_equal(bind_try(h, US, 7, true, false, &bound), 0);
	assert_ptr_equal(receiver(h, &s, 1000, 7), bound);
	assert_int_equal(bind_try(h, 0, 7, true, false, &connected), 0);
	assert_int_equal(udp_connect(h->w, connected, &peer), 0);
	assert_ptr_equal(receiver(h, &s, 1000, 7), connected);
	assert_ptr_equal(receiver(h, &s, 1001, 7), bound);
	/* Dissolved: it is like the other any, and newer in its bucket. */
	peer = (struct endpoint){ .port_be = 0 };
	assert_int_equal(udp_connect(h->w, connected, &peer), 0);
	assert_ptr_equal(receiver(h, &s, 1000, 7), bound);
	udp_close(h->w, bound);
	assert_ptr_equal(receiver(h, &s, 1000, 7), connected);
	udp_close(h->w, connected);
	assert_ptr_equal(receiver(h, &s, 1000, 7), any);
	/* Connected elsewhere: not for it, though nobody else is there. */
	peer = endpoint4(THIRD, 1000);
	assert_int_equal(udp_connect(h->w, any, &peer), 0);
	assert_null(receiver(h, &s, 1000, 7));
	frame_take_all(h->wire);
	host_wait(h, 4 * SEC);
	frame_take_all(h->wire);
	host_close(h);
}

static void test_bind_rules(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *a, *b, *c;
	struct endpoint again = endpoint4(0, 8);

	assert_int_equal(bind_try(h, US, 7, false, false, &a), 0);
	assert_int_equal(udp_bind(h->w, a, &again), -EINVAL);
	assert_int_equal(bind_try(h, US, 7, false, false, &b), -EADDRINUSE);
	assert_int_equal(bind_try(h, 0, 7, false, false, &b), -EADDRINUSE);
	assert_int_equal(bind_try(h, US, 7, true, false, &b), -EADDRINUSE); /* both must want it */
	assert_int_equal(bind_try(h, LOCALHOST, 7, false, false, &b), 0);
	assert_int_equal(bind_try(h, THIRD, 9, false, false, &c), -EADDRNOTAVAIL);
	assert_int_equal(bind_try(h, SUBNET_BROADCAST, 9, false, false, &c), 0);
	assert_int_equal(bind_try(h, 0, 10, true, false, &c), 0);
	assert_int_equal(bind_try(h, US, 10, true, false, &c), 0);
	assert_int_equal(bind_try(h, US, 10, false, true, &c), -EADDRINUSE);
	assert_int_equal(bind_try(h, 0, 11, false, true, &c), 0);
	assert_int_equal(bind_try(h, 0, 11, false, true, &c), 0);
	assert_int_equal(bind_try(h, 0, 11, true, false, &c), -EADDRINUSE);
	udp_close(h->w, a);
	assert_int_equal(bind_try(h, US, 7, false, false, &a), 0);
	host_close(h);
}

static void test_ephemeral(void **state)
{
	struct host *h = host_open(NULL);
	static uint8_t seen[65536];
	struct udp_pcb *pcb;
	unsigned int n = 0;

	memset(seen, 0, sizeof(seen));
	while (bind_try(h, 0, 0, true, true, &pcb) == 0) {
		uint16_t port = be16_to_host(pcb->local.port_be);

		assert_in_range(port, 32768, 60999);
		assert_int_equal(seen[port], 0);
		seen[port] = 1;
		if (++n == 4000)
			break;
	}
	assert_int_equal(n, 4000);
	host_close(h);
}

static void test_ephemeral_exhausted(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb, *one = NULL;

	for (unsigned int port = 32768; port <= 60999; port++) {
		one = host_udp(h, 0, (uint16_t)port);
	}
	assert_int_equal(bind_try(h, 0, 0, true, true, &pcb), -EADDRINUSE);
	udp_close(h->w, one);
	assert_int_equal(bind_try(h, 0, 0, true, true, &pcb), 0);
	assert_int_equal(be16_to_host(pcb->local.port_be), 60999);
	host_close(h);
}

/* A group of SO_REUSEPORT sockets: flows are spread, and each stays where it is. */
static void test_reuseport_spreads(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	struct udp_pcb *pcb[4];
	unsigned int count[4] = { 0 };

	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(bind_try(h, 0, 7, false, true, &pcb[i]), 0);
	for (uint16_t port = 1; port <= 400; port++) {
		struct udp_pcb *first = receiver(h, &s, port, 7);

		assert_ptr_equal(receiver(h, &s, port, 7), first);
		for (unsigned int i = 0; i < 4; i++)
			count[i] += pcb[i] == first;
	}
	for (unsigned int i = 0; i < 4; i++)
		assert_in_range(count[i], 60, 140);
	host_close(h);
}

/* Broadcast and multicast go to every socket that fits. */
static void test_to_all(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	struct udp_pcb *a, *b, *unicast, *other;
	struct endpoint third = endpoint4(THIRD, 9);
	uint8_t frame[128];

	assert_int_equal(bind_try(h, 0, 7, true, false, &a), 0);
	assert_int_equal(bind_try(h, SUBNET_BROADCAST, 7, true, false, &b), 0);
	assert_int_equal(bind_try(h, US, 7, true, false, &unicast), 0);
	assert_int_equal(bind_try(h, 0, 7, true, false, &other), 0);
	assert_int_equal(udp_connect(h->w, other, &third), 0);
	memcpy(s.dst_mac, frame_broadcast, 6);
	s.dst_ip = SUBNET_BROADCAST;
	host_put(h, frame, frame_udp(frame, &s, 1, 7, "all", 3));
	assert_int_equal(h->deliveries, 2);
	assert_true((h->delivered_to[0] == a && h->delivered_to[1] == b) ||
		    (h->delivered_to[0] == b && h->delivered_to[1] == a));
	s.dst_ip = 0xffffffff;
	host_put(h, frame, frame_udp(frame, &s, 1, 7, "all", 3));
	assert_int_equal(h->deliveries, 3);
	assert_ptr_equal(h->last.pcb, a);
	s.dst_ip = FRAME_IP(224, 0, 0, 1);
	memcpy(s.dst_mac, (uint8_t[]){ 1, 0, 0x5e, 0, 0, 1 }, 6);
	host_put(h, frame, frame_udp(frame, &s, 1, 7, "all", 3));
	assert_int_equal(h->deliveries, 4);
	/* From a host without an address (DHCP). */
	s.src_ip = 0;
	s.dst_ip = 0xffffffff;
	memcpy(s.dst_mac, frame_broadcast, 6);
	host_put(h, frame, frame_udp(frame, &s, 1, 7, "all", 3));
	assert_int_equal(h->deliveries, 5);
	host_close(h);
}

static void test_connect(void **state)
{
	struct host *h = host_open(NULL);
	struct endpoint peer = endpoint4(PEER, 9), none = { .port_be = 0 }, far = endpoint4(FAR, 9);
	struct endpoint nowhere = endpoint4(PEER, 0);
	struct ipaddr us = ipaddr_from_ip4(host_to_be32(US));
	struct udp_pcb *pcb;

	host_meet(h, PEER, peer_mac);
	assert_int_equal(udp_open(h->w, &pcb, NULL), 0);
	assert_int_equal(udp_connect(h->w, pcb, &far), -ENETUNREACH);
	assert_int_equal(pcb->local.port_be, 0);
	assert_int_equal(udp_connect(h->w, pcb, &peer), 0);
	assert_true(ipaddr_equal(&pcb->local.addr, &us));
	assert_int_not_equal(pcb->local.port_be, 0);
	assert_int_equal(udp_send(h->w, pcb, NULL, "x", 1, NULL, 0), 0);
	/* A destination of its own, for once. */
	assert_int_equal(host_send(h, pcb, THIRD, 9, "y", 1), 0);
	assert_int_equal(udp_send(h->w, pcb, NULL, "z", 1, NULL, 0), 0);
	host_run(h);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.data[0], 'x');
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.data[0], 'z');
	assert_int_equal(udp_connect(h->w, pcb, &none), 0);
	assert_int_equal(pcb->local.port_be, 0);
	/* Port 0 of an address: a way there, and so a source, as getaddrinfo() asks for it. */
	assert_int_equal(udp_connect(h->w, pcb, &nowhere), 0);
	assert_true(ipaddr_equal(&pcb->local.addr, &us));
	assert_int_not_equal(pcb->local.port_be, 0);
	assert_int_equal(udp_connect(h->w, pcb, &none), 0);
	assert_int_equal(pcb->local.port_be, 0);
	assert_true(ipaddr_is_any(&pcb->local.addr));
	assert_int_equal(udp_send(h->w, pcb, NULL, "x", 1, NULL, 0), -EDESTADDRREQ);
	udp_close(h->w, pcb);
	pcb = host_udp(h, US, 77);
	assert_int_equal(udp_connect(h->w, pcb, &peer), 0);
	assert_int_equal(udp_connect(h->w, pcb, &none), 0);
	assert_int_equal(be16_to_host(pcb->local.port_be), 77);
	assert_true(ipaddr_equal(&pcb->local.addr, &us));
	host_wait(h, 4 * SEC);
	frame_take_all(h->wire);
	host_close(h);
}

/* Our own addresses are reached without the wire. */
static void test_loopback(void **state)
{
	static const uint32_t to[] = { LOCALHOST, FRAME_IP(127, 4, 5, 6), US, 0 };
	struct host *h = host_open(NULL);
	struct udp_pcb *server = host_udp(h, 0, 7), *client = host_udp(h, 0, 5000);
	static uint8_t big[65507];

	for (unsigned int i = 0; i < 4; i++) {
		uint32_t from = i == 2 ? US : LOCALHOST;
		struct endpoint source = endpoint4(from, 5000), dst = endpoint4(to[i], 7);

		big[65506] = (uint8_t)i;
		assert_int_equal(udp_send(h->w, client, &dst, big, sizeof(big), NULL, 0), 0);
		host_run(h);
		assert_int_equal(h->deliveries, i + 1);
		assert_ptr_equal(h->last.pcb, server);
		assert_int_equal(h->last.len, sizeof(big));
		assert_int_equal(h->last.data[65506], i);
		assert_endpoint(&h->last.from, &source);
	}
	/* Nobody there: the error comes back, without limit, to the connected sender. */
	{
		struct endpoint nobody = endpoint4(LOCALHOST, 99);

		assert_int_equal(udp_connect(h->w, client, &nobody), 0);
		for (unsigned int i = 0; i < 100; i++) {
			assert_int_equal(udp_send(h->w, client, NULL, "x", 1, NULL, 0), 0);
			host_run(h);
		}
		assert_int_equal(h->udp_told.count, 100);
		assert_int_equal(h->udp_told.error, ECONNREFUSED);
		assert_int_equal(test_drops(h->w, NO_SOCKET), 100);
		assert_int_equal(test_drops(h->w, ICMP_RATELIMIT), 0);
	}
	assert_int_equal(wire_waiting(h->wire), 0);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_receive),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_csum_offload),
		cmocka_unit_test(test_demux),
		cmocka_unit_test(test_bind_rules),
		cmocka_unit_test(test_ephemeral),
		cmocka_unit_test(test_ephemeral_exhausted),
		cmocka_unit_test(test_reuseport_spreads),
		cmocka_unit_test(test_to_all),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_loopback),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
