/* SPDX-License-Identifier: BSD-3-Clause */
/* Raw sockets whose packets bring their IP header along (IP_HDRINCL, IPPROTO_RAW). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "below.h"
#include "common/testing.h"
#include "dev/wire.h"
#include "inet/inet.h"

#define NOBODY FRAME_IP(198, 18, 0, 77)

static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };

struct packet {
	struct ip4_hdr ip;
	uint8_t data[1600];
};

static struct packet packet_from(uint32_t src)
{
	struct packet k = { .ip = { .version_ihl = 0x45,
				    .tos = 4,
				    .ttl = 9,
				    .proto = 253,
				    .src_be = htonl(src),
				    .dst_be = htonl(FRAME_IP(203, 0, 113, 9)) } };

	memset(k.data, 0x5a, sizeof(k.data));
	return k;
}

static void begin(struct program *p)
{
	uint8_t frame[FRAME_ROOM];

	below_begin(p, true);
	wire_put(p->port, frame,
		 frame_arp(frame, p->port->mac, 1, peer_mac, PEER, (uint8_t[6]){ 0 }, US));
	below_settle(p);
	frame_take_all(p->port);
}

static struct app_sock open_sock(struct program *p, uint32_t proto)
{
	struct app_sock s;

	assert_int_equal(below_ip_socket(p, SOCK_RAW, proto, &s), 0);
	return s;
}

static int hdrincl(struct program *p, struct app_sock s)
{
	struct abi_ctl ctl = {
		.op = ABI_CTL_GETSOCKOPT, .level = IPPROTO_IP, .optname = IP_HDRINCL, .len = 4
	};

	assert_int_equal(app_call(&p->app, &s, &ctl), 0);
	return p->app.channel->ctl.data[0];
}

static void test_option(void **state)
{
	struct app_sock s, ping, udp = { ABI_SOCK_NONE, 0 };
	struct program p;

	begin(&p);
	assert_int_equal(hdrincl(&p, open_sock(&p, IPPROTO_RAW)), 1);
	s = open_sock(&p, 1);
	assert_int_equal(hdrincl(&p, s), 0);
	assert_int_equal(below_option(&p, s, ABI_CTL_SETSOCKOPT, IPPROTO_IP, IP_HDRINCL, 7), 0);
	assert_int_equal(hdrincl(&p, s), 1);
	assert_int_equal(below_ip_socket(&p, SOCK_DGRAM, 1, &ping), 0);
	assert_int_equal(app_bind(&p.app, &udp, SOCK_DGRAM, 0, 7), 0);
	assert_int_equal(below_option(&p, ping, ABI_CTL_SETSOCKOPT, IPPROTO_IP, IP_HDRINCL, 1),
			 -ENOPROTOOPT);
	assert_int_equal(below_option(&p, udp, ABI_CTL_SETSOCKOPT, IPPROTO_IP, IP_HDRINCL, 1),
			 -ENOPROTOOPT);
	assert_int_equal(hdrincl(&p, ping), 0);
	assert_int_equal(hdrincl(&p, udp), 0);
	below_end(&p);
}

/* Length, checksum, and what is 0 of source and identification are filled in; the rest is the
 * program's, and where it goes says sendto() alone. */
static void test_sends(void **state)
{
	struct packet k = packet_from(0);
	uint8_t frame[FRAME_ROOM];
	struct frame_info info;
	struct app_sock s;
	struct program p;

	begin(&p);
	s = open_sock(&p, IPPROTO_RAW);
	assert_int_equal(below_send_to(&p, s, PEER, &k, 30), 0);
	assert_int_not_equal(frame_take(p.port, ETH_TYPE_IP4, frame, &info), 0);
	assert_memory_equal(info.dst_mac, peer_mac, 6);
	assert_int_equal(info.src_ip, US);
	assert_int_equal(info.dst_ip, FRAME_IP(203, 0, 113, 9));
	assert_int_equal(info.proto, 253);
	assert_int_equal(info.ttl, 9);
	assert_int_equal(info.tos, 4);
	assert_int_equal(info.ip_len, 30);
	assert_int_equal(info.frag, 0);
	k = packet_from(FRAME_IP(192, 0, 2, 1));
	k.ip.id_be = htons(77);
	k.ip.frag_be = htons(IP4_DF);
	k.ip.len_be = htons(9999);
	assert_int_equal(below_send_to(&p, s, PEER, &k, 20), 0);
	assert_int_not_equal(frame_take(p.port, ETH_TYPE_IP4, frame, &info), 0);
	assert_int_equal(info.src_ip, FRAME_IP(192, 0, 2, 1));
	assert_int_equal(info.id, 77);
	assert_int_equal(info.frag, IP4_DF);
	assert_int_equal(info.ip_len, 20);
	assert_int_equal(below_send_to(&p, s, PEER, &k, 1500), 0);
	assert_int_not_equal(frame_take(p.port, ETH_TYPE_IP4, frame, &info), 0);
	below_end(&p);
}

static void test_refused(void **state)
{
	struct packet k = packet_from(0);
	struct abi_ctl queue = { .op = ABI_CTL_ERRQUEUE, .len = ABI_CTL_DATA_BYTES };
	struct app_sock s;
	struct program p;

	begin(&p);
	s = open_sock(&p, IPPROTO_RAW);
	assert_int_equal(below_send_to(&p, s, PEER, &k, 19), -EINVAL);
	assert_int_equal(below_send_to(&p, s, PEER, &k, 0), -EINVAL);
	for (unsigned int ihl = 0; ihl < 16; ihl++) {
		k.ip.version_ihl = (uint8_t)(0x40 | ihl);
		assert_int_equal(below_send_to(&p, s, PEER, &k, 40),
				 ihl < 5 || ihl > 10 ? -EINVAL : 0);
	}
	frame_take_all(p.port);
	k.ip.version_ihl = 0x45;
	assert_int_equal(below_option(&p, s, ABI_CTL_SETSOCKOPT, IPPROTO_IP, IP_RECVERR, 1), 0);
	assert_int_equal(below_send_to(&p, s, PEER, &k, 1501), -EMSGSIZE);
	assert_int_equal(app_call(&p.app, &s, &queue), 0);
	assert_int_equal(below_send_to(&p, s, FRAME_IP(9, 9, 9, 9), &k, 30), -ENETUNREACH);
	assert_int_equal(below_send_to(&p, s, FRAME_IP(198, 18, 0, 255), &k, 30), -EACCES);
	assert_int_equal(wire_waiting(p.port), 0);
	below_end(&p);
}

/* To ourselves, by the loopback; and what it quotes where nobody is there: all that was sent. */
static void test_comes_back(void **state)
{
	struct packet k = packet_from(0);
	struct app_sock s, listens;
	struct abi_error e;
	struct abi_ctl queue = { .op = ABI_CTL_ERRQUEUE, .len = ABI_CTL_DATA_BYTES };
	struct abi_dgram d;
	uint8_t bytes[2048];
	struct program p;

	begin(&p);
	s = open_sock(&p, IPPROTO_RAW);
	listens = open_sock(&p, 253);
	k.ip.dst_be = htonl(US);
	assert_int_equal(below_send_to(&p, s, US, &k, 33), 0);
	assert_true(below_take(&p, listens, &d, bytes));
	assert_int_equal(d.len_bytes, 33);
	assert_true(ipaddr_ip4(&d.addr) == htonl(US));
	s = open_sock(&p, 253);
	assert_int_equal(below_option(&p, s, ABI_CTL_SETSOCKOPT, IPPROTO_IP, IP_HDRINCL, 1), 0);
	assert_int_equal(below_option(&p, s, ABI_CTL_SETSOCKOPT, IPPROTO_IP, IP_RECVERR, 1), 0);
	k = packet_from(0);
	k.ip.dst_be = htonl(NOBODY);
	assert_int_equal(below_send_to(&p, s, NOBODY, &k, 44), 0);
	below_wait(&p, 4000000000ull);
	frame_take_all(p.port);
	assert_int_equal(app_call(&p.app, &s, &queue), 0);
	memcpy(&e, p.app.channel->ctl.data, sizeof(e));
	assert_int_equal(e.error, EHOSTUNREACH);
	assert_int_equal(e.len_bytes, 44);
	assert_memory_equal(p.app.channel->ctl.data + sizeof(e) + 20, k.data, 24);
	below_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_option),
		cmocka_unit_test(test_sends),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
