/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP: echo, errors in, errors out, the limits. */
#include <errno.h>
#include <string.h>

#include "fixture.h"

static void test_echo(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[2048], data[1400];

	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	host_meet(h, PEER, peer_mac);
	s.tos = 0x28;
	host_put(h, frame,
		 frame_icmp(frame, &s, ICMP_TYPE_ECHO, 0, 0x12340001, data, sizeof(data)));
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_memory_equal(h->info.dst_mac, peer_mac, 6);
	assert_memory_equal(h->info.src_mac, us_mac, 6);
	assert_int_equal(h->info.src_ip, US);
	assert_int_equal(h->info.dst_ip, PEER);
	assert_int_equal(h->info.ttl, 64);
	assert_int_equal(h->info.tos, 0x28);
	assert_int_equal(h->info.icmp_type, ICMP_TYPE_ECHO_REPLY);
	assert_int_equal(h->info.icmp_rest, 0x12340001);
	assert_int_equal(h->info.data_len, sizeof(data));
	assert_memory_equal(h->info.data, data, sizeof(data));
	host_close(h);
}

/* Who asks is not a neighbour yet: the answer waits for ARP. */
static void test_echo_resolves(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];

	host_put(h, frame, frame_icmp(frame, &s, ICMP_TYPE_ECHO, 0, 7, "abc", 3));
	assert_int_equal(h->w->ledger.held, 1);
	assert_true(host_take(h, ETH_TYPE_ARP));
	assert_int_equal(arp_op(&h->info.arp), ARP_OP_REQUEST);
	host_put(h, frame, frame_arp(frame, us_mac, ARP_OP_REPLY, peer_mac, PEER, us_mac, US));
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.icmp_type, ICMP_TYPE_ECHO_REPLY);
	host_close(h);
}

static void test_echo_to_all_is_not_answered(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];

	host_meet(h, PEER, peer_mac);
	s.dst_ip = SUBNET_BROADCAST;
	memcpy(s.dst_mac, frame_broadcast, 6);
	host_drops(h, ICMP_UNKNOWN_TYPE, frame, frame_icmp(frame, &s, ICMP_TYPE_ECHO, 0, 1, "x", 1),
		   0);
	s.dst_ip = FRAME_IP(224, 0, 0, 1);
	host_drops(h, ICMP_UNKNOWN_TYPE, frame, frame_icmp(frame, &s, ICMP_TYPE_ECHO, 0, 1, "x", 1),
		   0);
	host_close(h);
}

static void test_bad(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];
	size_t len;

	host_meet(h, PEER, peer_mac);
	len = frame_icmp(frame, &s, ICMP_TYPE_ECHO, 0, 1, "abcd", 4);
	frame[len - 1] ^= 1;
	host_drops(h, ICMP_CSUM, frame, len, 0);
	host_drops(h, ICMP_MALFORMED, frame, frame_ip4(frame, &s, IP_PROTO_ICMP, "\x08\0\0", 3), 0);
	host_drops(h, ICMP_UNKNOWN_TYPE, frame,
		   frame_icmp(frame, &s, ICMP_TYPE_TIMESTAMP, 0, 1, "123456789012", 12), 0);
	host_drops(
		h, ICMP_UNKNOWN_TYPE, frame,
		frame_icmp(frame, &s, ICMP_TYPE_REDIRECT, 1, 1, "1234567890123456789012345678", 28),
		0);
	host_drops(h, ICMP_NO_SOCKET, frame,
		   frame_icmp(frame, &s, ICMP_TYPE_ECHO_REPLY, 0, 1, "x", 1), 0);
	host_drops(h, ICMP_MALFORMED, frame,
		   frame_icmp(frame, &s, ICMP_TYPE_UNREACHABLE, 1, 0, "short", 5), 0);
	host_close(h);
}

/* An ICMP error about a packet from US:sport to FAR:dport. */
static size_t error_frame(uint8_t *frame, uint8_t type, uint8_t code, uint32_t rest, uint8_t proto,
			  uint32_t quoted_src, uint16_t frag)
{
	struct frame_spec s = from_peer(), inner = from_peer();
	uint8_t quoted[128];
	static const uint8_t l4[8] = { 0x13, 0x88, 0x00, 0x50, 1, 2, 3, 4 };

	inner.src_ip = quoted_src;
	inner.dst_ip = FAR;
	inner.frag = frag;
	frame_ip4(quoted, &inner, proto, l4, 8);
	return frame_icmp(frame, &s, type, code, rest, quoted + FRAME_IP_AT, 28);
}

static void test_errors_to_tcp(void **state)
{
	static const struct {
		uint8_t type, code;
		int error;
	} cases[] = {
		{ 3, 0, ENETUNREACH },	 { 3, 1, EHOSTUNREACH },  { 3, 2, ENOPROTOOPT },
		{ 3, 3, ECONNREFUSED },	 { 3, 5, EOPNOTSUPP },	  { 3, 6, ENETUNREACH },
		{ 3, 7, EHOSTDOWN },	 { 3, 8, ENONET },	  { 3, 9, ENETUNREACH },
		{ 3, 10, EHOSTUNREACH }, { 3, 13, EHOSTUNREACH }, { 11, 0, EHOSTUNREACH },
		{ 12, 0, EPROTO },
	};
	struct host *h = host_open(NULL);
	uint8_t frame[256];

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipaddr us = ipaddr_from_ip4(host_to_be32(US));
		struct ipaddr far = ipaddr_from_ip4(host_to_be32(FAR));

		memset(&tcp_told, 0, sizeof(tcp_told));
		host_put(h, frame,
			 error_frame(frame, cases[i].type, cases[i].code, 0, IP_PROTO_TCP, US, 0));
		assert_int_equal(tcp_told.count, 1);
		assert_int_equal(tcp_told.error, cases[i].error);
		assert_true(tcp_told.hard);
		assert_int_equal(tcp_told.mtu_bytes, 0);
		assert_true(ipaddr_equal(&tcp_told.local, &us));
		assert_true(ipaddr_equal(&tcp_told.remote, &far));
		assert_memory_equal(tcp_told.l4, "\x13\x88\x00\x50\1\2\3\4", 8);
	}
	host_close(h);
}

static void test_errors_for_nobody(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t frame[256];

	tcp_stub_knows = false;
	host_drops(h, ICMP_NO_SOCKET, frame, error_frame(frame, 3, 3, 0, IP_PROTO_TCP, US, 0), 0);
	host_drops(h, ICMP_NO_SOCKET, frame, error_frame(frame, 3, 3, 0, IP_PROTO_UDP, US, 0), 0);
	host_drops(h, ICMP_NO_SOCKET, frame, error_frame(frame, 3, 3, 0, 47, US, 0), 0);
	tcp_stub_knows = true;
	tcp_told.count = 0;
	/* Not about a packet of ours; about a later fragment; an unknown code. */
	host_drops(h, ICMP_NO_SOCKET, frame, error_frame(frame, 3, 3, 0, IP_PROTO_TCP, THIRD, 0),
		   0);
	host_drops(h, ICMP_NO_SOCKET, frame, error_frame(frame, 3, 3, 0, IP_PROTO_TCP, US, 5), 0);
	host_drops(h, ICMP_UNKNOWN_TYPE, frame, error_frame(frame, 3, 77, 0, IP_PROTO_TCP, US, 0),
		   0);
	assert_int_equal(tcp_told.count, 0);
	host_close(h);
}

static void test_port_unreachable_to_udp(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	struct endpoint far = endpoint4(FAR, 80);
	struct ipaddr any = ipaddr_any(), gw = ipaddr_from_ip4(host_to_be32(PEER));
	uint8_t frame[256];

	assert_int_equal(inet_route_add(h->w, &any, 0, &gw, (unsigned int)h->ifindex), 0);
	/* Not connected: it is known, but not told, as in Linux. */
	host_put(h, frame, error_frame(frame, 3, 3, 0, IP_PROTO_UDP, US, 0));
	assert_int_equal(h->udp_told.count, 0);
	assert_int_equal(test_drops(h->w, ICMP_NO_SOCKET), 0);
	assert_int_equal(udp_connect(h->w, pcb, &far), 0);
	host_put(h, frame, error_frame(frame, 3, 3, 0, IP_PROTO_UDP, US, 0));
	assert_int_equal(h->udp_told.count, 1);
	assert_int_equal(h->udp_told.error, ECONNREFUSED);
	assert_ptr_equal(h->udp_told.udp, pcb);
	/* What may pass by itself is not told. */
	host_put(h, frame, error_frame(frame, 3, 1, 0, IP_PROTO_UDP, US, 0));
	host_put(h, frame, error_frame(frame, 11, 0, 0, IP_PROTO_UDP, US, 0));
	assert_int_equal(h->udp_told.count, 1);
	host_close(h);
}

/* IP_RECVERR: of everything, connected or not, with what the message says. */
static void test_all_errors_to_udp(void **state)
{
	static const struct {
		uint8_t type, code;
		uint32_t rest;
		int error;
		uint32_t info;
	} cases[] = {
		{ 3, 0, 0, ENETUNREACH, 0 },	{ 3, 1, 0, EHOSTUNREACH, 0 },
		{ 3, 2, 0, ENOPROTOOPT, 0 },	{ 3, 3, 0, ECONNREFUSED, 0 },
		{ 3, 4, 1400, EMSGSIZE, 1400 }, { 3, 5, 0, EOPNOTSUPP, 0 },
		{ 3, 6, 0, ENETUNREACH, 0 },	{ 3, 7, 0, EHOSTDOWN, 0 },
		{ 3, 8, 0, ENONET, 0 },		{ 3, 9, 0, ENETUNREACH, 0 },
		{ 3, 10, 0, EHOSTUNREACH, 0 },	{ 3, 11, 0, ENETUNREACH, 0 },
		{ 3, 12, 0, EHOSTUNREACH, 0 },	{ 3, 13, 0, EHOSTUNREACH, 0 },
		{ 3, 15, 0, EHOSTUNREACH, 0 },	{ 11, 0, 0, EHOSTUNREACH, 0 },
		{ 11, 1, 0, EHOSTUNREACH, 0 },	{ 12, 0, 20u << 24, EPROTO, 20 },
	};
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	struct ipaddr any = ipaddr_any(), gw = ipaddr_from_ip4(host_to_be32(PEER));
	uint8_t frame[256];

	assert_int_equal(inet_route_add(h->w, &any, 0, &gw, (unsigned int)h->ifindex), 0);
	pcb->recverr = true;
	pcb->pmtudisc = UDP_PMTU_WANT;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct net_error *e = &h->udp_told.net;

		host_put(h, frame,
			 error_frame(frame, cases[i].type, cases[i].code, cases[i].rest,
				     IP_PROTO_UDP, US, 0));
		assert_int_equal(h->udp_told.count, i + 1);
		assert_int_equal(h->udp_told.error, cases[i].error);
		assert_int_equal(e->from, NET_ERROR_ICMP);
		assert_int_equal(e->type, cases[i].type);
		assert_int_equal(e->code, cases[i].code);
		assert_int_equal(e->info, cases[i].info);
		assert_int_equal(ipaddr_ip4(&e->offender), host_to_be32(PEER));
		assert_int_equal(ipaddr_ip4(&e->remote), host_to_be32(FAR));
		assert_int_equal(ipaddr_ip4(&e->local), host_to_be32(US));
		assert_memory_equal(h->udp_told.l4, "\x13\x88\x00\x50", 4);
	}
	/* Who leaves it to us is not told of it. */
	pcb->pmtudisc = UDP_PMTU_DONT;
	h->udp_told.count = 0;
	host_put(h, frame, error_frame(frame, 3, 4, 1300, IP_PROTO_UDP, US, 0));
	assert_int_equal(h->udp_told.count, 0);
	/* Without IP_RECVERR only who is connected hears that it was too large. */
	pcb->pmtudisc = UDP_PMTU_WANT;
	pcb->recverr = false;
	host_put(h, frame, error_frame(frame, 3, 4, 1200, IP_PROTO_UDP, US, 0));
	assert_int_equal(h->udp_told.count, 0);
	assert_int_equal(udp_connect(h->w, pcb,
				     &(struct endpoint){ ipaddr_from_ip4(host_to_be32(FAR)),
							 host_to_be16(80) }),
			 0);
	assert_int_equal(udp_mtu(h->w, pcb), 1200);
	host_put(h, frame, error_frame(frame, 3, 4, 1100, IP_PROTO_UDP, US, 0));
	assert_int_equal(h->udp_told.count, 1);
	assert_int_equal(h->udp_told.error, EMSGSIZE);
	assert_int_equal(udp_mtu(h->w, pcb), 1100);
	host_close(h);
}

/* Path MTU: learnt, used, forgotten. */
static void test_path_mtu(void **state)
{
	struct host *h = host_open(NULL);
	struct ipaddr any = ipaddr_any(), gw = ipaddr_from_ip4(host_to_be32(PEER));
	struct ip_flow flow = { .dst = ipaddr_from_ip4(host_to_be32(FAR)),
				.proto = IP_PROTO_TCP,
				.df = true };
	uint32_t generation;
	uint8_t frame[256];

	assert_int_equal(inet_route_add(h->w, &any, 0, &gw, (unsigned int)h->ifindex), 0);
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	assert_int_equal(flow.mtu_bytes, 1500);
	generation = flow.generation;
	/* Nobody's connection: not believed. */
	tcp_stub_knows = false;
	host_put(h, frame, error_frame(frame, 3, 4, 1400, IP_PROTO_TCP, US, 0));
	tcp_stub_knows = true;
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	assert_int_equal(flow.generation, generation);
	assert_int_equal(flow.mtu_bytes, 1500);
	host_put(h, frame, error_frame(frame, 3, 4, 1400, IP_PROTO_TCP, US, 0));
	assert_int_equal(tcp_told.error, EMSGSIZE);
	assert_int_equal(tcp_told.mtu_bytes, 1400);
	assert_false(tcp_told.hard);
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	assert_int_not_equal(flow.generation, generation);
	assert_int_equal(flow.mtu_bytes, 1400);
	/* Larger than what is known: no news. */
	host_put(h, frame, error_frame(frame, 3, 4, 1450, IP_PROTO_TCP, US, 0));
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	assert_int_equal(flow.mtu_bytes, 1400);
	assert_false(flow.fragment);
	/* Below 552 it is not believed, but DF is given up. */
	host_put(h, frame, error_frame(frame, 3, 4, 100, IP_PROTO_TCP, US, 0));
	assert_int_equal(tcp_told.mtu_bytes, 100);
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	assert_int_equal(flow.mtu_bytes, 552);
	assert_true(flow.fragment);
	host_wait(h, 599 * SEC);
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	assert_int_equal(flow.mtu_bytes, 552);
	host_wait(h, 2 * SEC);
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	assert_int_equal(flow.mtu_bytes, 1500);
	/* An old router does not say: the next plateau below the packet's length (28 here). */
	host_put(h, frame, error_frame(frame, 3, 4, 0, IP_PROTO_TCP, US, 0));
	assert_int_equal(tcp_told.mtu_bytes, 68);
	host_close(h);
}

/* An error is made, and quotes what it is about. */
static void test_port_unreachable_out(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[2048], data[1000];
	size_t len;

	memset(data, 'x', sizeof(data));
	host_meet(h, PEER, peer_mac);
	len = frame_udp(frame, &s, 1111, 2222, data, sizeof(data));
	host_drops(h, NO_SOCKET, frame, len, 1);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.icmp_type, ICMP_TYPE_UNREACHABLE);
	assert_int_equal(h->info.icmp_code, ICMP_CODE_PORT);
	assert_int_equal(h->info.ip_len, 576);
	assert_int_equal(h->info.src_ip, US);
	assert_memory_equal(h->info.data, frame + FRAME_IP_AT, h->info.data_len);
	host_close(h);
}

static void test_rate_limit(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];
	unsigned int got = 0;

	host_meet(h, PEER, peer_mac);
	for (unsigned int i = 0; i < 20; i++)
		host_put(h, frame, frame_udp(frame, &s, 1111, 2222, "x", 1));
	while (host_take(h, ETH_TYPE_IP4))
		got++;
	assert_int_equal(got, 6);
	assert_int_equal(test_drops(h->w, ICMP_RATELIMIT), 14);
	host_wait(h, 2 * SEC);
	frame_take_all(h->wire);
	for (unsigned int i = 0; i < 20; i++)
		host_put(h, frame, frame_udp(frame, &s, 1111, 2222, "x", 1));
	for (got = 0; host_take(h, ETH_TYPE_IP4);)
		got++;
	assert_int_equal(got, 2);
	host_close(h);
}

/* Many destinations: 50 at once, then a thousand a second. */
static void test_rate_limit_of_all(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	struct ipaddr any = ipaddr_any(), gw = ipaddr_from_ip4(host_to_be32(PEER));
	uint8_t frame[256];
	unsigned int got = 0;

	host_meet(h, PEER, peer_mac);
	assert_int_equal(inet_route_add(h->w, &any, 0, &gw, (unsigned int)h->ifindex), 0);
	for (unsigned int i = 0; i < 200; i++) {
		s.src_ip = FAR + i;
		host_put(h, frame, frame_udp(frame, &s, 1111, 2222, "x", 1));
	}
	while (host_take(h, ETH_TYPE_IP4))
		got++;
	assert_int_equal(got, 50);
	host_close(h);
}

/* RFC 1122 section 3.2.2: about these no error is sent. */
static void test_never_answered(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256], l4[64];
	size_t len;

	host_meet(h, PEER, peer_mac);
	memcpy(s.dst_mac, frame_broadcast, 6);
	host_drops(h, NO_SOCKET, frame, frame_udp(frame, &s, 1, 2, "x", 1), 0); /* link broadcast */
	s.dst_ip = SUBNET_BROADCAST;
	host_drops(h, NO_SOCKET, frame, frame_udp(frame, &s, 1, 2, "x", 1), 0);
	s.dst_ip = FRAME_IP(224, 0, 0, 1);
	host_drops(h, NO_SOCKET, frame, frame_udp(frame, &s, 1, 2, "x", 1), 0);
	s = from_peer();
	s.src_ip = 0;
	s.dst_ip = 0xffffffff;
	memcpy(s.dst_mac, frame_broadcast, 6);
	host_drops(h, NO_SOCKET, frame, frame_udp(frame, &s, 68, 67, "x", 1), 0);
	s = from_peer();
	len = frame_udp_datagram(l4, PEER, US, 1, 2, "x", 1);
	host_drops(h, IP_NOPROTO, frame, frame_ip4(frame, &s, 99, l4, len), 1);
	frame_take_all(h->wire);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_echo_resolves),
		cmocka_unit_test(test_echo_to_all_is_not_answered),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_errors_to_tcp),
		cmocka_unit_test(test_errors_for_nobody),
		cmocka_unit_test(test_port_unreachable_to_udp),
		cmocka_unit_test(test_all_errors_to_udp),
		cmocka_unit_test(test_path_mtu),
		cmocka_unit_test(test_port_unreachable_out),
		cmocka_unit_test(test_rate_limit),
		cmocka_unit_test(test_rate_limit_of_all),
		cmocka_unit_test(test_never_answered),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
