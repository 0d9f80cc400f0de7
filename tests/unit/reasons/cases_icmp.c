/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP and IGMP. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "inet/icmp.h"
#include "inet/inet.h"
#include "lab.h"
#include "wire/csum.h"
#include "wire/igmp.h"

static void icmp(struct lab *lab, uint8_t type, uint8_t code, uint32_t rest, const void *data,
		 size_t len)
{
	struct frame_spec s = from_peer();

	lab_send(lab, frame_icmp(lab->frame, &s, type, code, rest, data, len), 1);
}

/* What an error quotes: a packet of ours. Returns its length. */
static size_t quote(uint8_t *at, uint32_t src, uint8_t proto)
{
	struct ip4_hdr h = { .version_ihl = 0x45,
			     .len_be = host_to_be16(28),
			     .ttl = 64,
			     .proto = proto,
			     .src_be = host_to_be32(src),
			     .dst_be = host_to_be32(PEER) };

	memcpy(at, &h, sizeof(h));
	memset(at + sizeof(h), 0, 8);
	be16_store(at + sizeof(h), 1234);
	be16_store(at + sizeof(h) + 2, 9);
	return sizeof(h) + 8;
}

static void icmp_csum(struct lab *lab)
{
	struct frame_spec s = from_peer();
	size_t len = frame_icmp(lab->frame, &s, ICMP_TYPE_ECHO, 0, 1, "ping", 4);

	lab->frame[len - 1] ^= 1;
	lab_send(lab, len, 2);
}

static void icmp_short(struct lab *lab)
{
	struct frame_spec s = from_peer();

	lab_send(lab, frame_ip4(lab->frame, &s, IP_PROTO_ICMP, "1234", 4), 1);
}

static void icmp_error_short(struct lab *lab)
{
	icmp(lab, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT, 0, "1234", 4);
}

static void icmp_unknown(struct lab *lab)
{
	struct frame_spec s = from_peer();

	icmp(lab, 13, 0, 0, "1234", 4);
	memcpy(s.dst_mac, frame_broadcast, 6);
	s.dst_ip = FRAME_IP(198, 18, 0, 255);
	lab_send(lab, frame_icmp(lab->frame, &s, ICMP_TYPE_ECHO, 0, 1, "ping", 4), 1);
}

static void icmp_error_unknown(struct lab *lab)
{
	uint8_t bytes[64];

	icmp(lab, ICMP_TYPE_UNREACHABLE, 99, 0, bytes, quote(bytes, US, IP_PROTO_UDP));
}

static void icmp_error_foreign(struct lab *lab)
{
	uint8_t bytes[64];

	icmp(lab, ICMP_TYPE_UNREACHABLE, 1, 0, bytes, quote(bytes, OFF, IP_PROTO_UDP));
}

static void icmp_error_nobody(struct lab *lab)
{
	uint8_t bytes[64];

	icmp(lab, ICMP_TYPE_UNREACHABLE, 1, 0, bytes, quote(bytes, US, IP_PROTO_UDP));
	icmp(lab, ICMP_TYPE_TIME_EXCEEDED, 0, 0, bytes, quote(bytes, US, IP_PROTO_TCP));
}

static void echo_nobody(struct lab *lab)
{
	icmp(lab, ICMP_TYPE_ECHO_REPLY, 0, 0x12340001, "pong", 4);
}

/* A ping that got its identifier by sending one. Returns the identifier. */
static uint16_t ping(struct lab *lab, struct app_sock *s)
{
	static const uint8_t echo[8] = { ICMP_TYPE_ECHO };
	struct abi_dgram d = { .len_bytes = sizeof(echo),
			       .addr = ipaddr_from_ip4(host_to_be32(PEER)) };

	lab_meet(lab);
	*s = lab_below(lab, AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	assert_int_equal(lab_below_send(lab, *s, &d, echo, sizeof(echo)), 0);
	lab_settle(lab);
	assert_true(lab_take(lab, 0));
	return (uint16_t)(lab->info.icmp_rest >> 16);
}

static void echo_filtered(struct lab *lab)
{
	struct app_sock s;
	uint16_t id = ping(lab, &s);

	lab_filter_all(lab, s);
	icmp(lab, ICMP_TYPE_ECHO_REPLY, 0, (uint32_t)id << 16, "pong", 4);
}

/* Answers of 1,400 bytes: what does not fit into the buffer is lost. */
static void echo_full(struct lab *lab)
{
	static const uint8_t data[1400];
	struct app_sock s;
	uint16_t id = ping(lab, &s);
	uint64_t lost;

	for (lost = 0; lost == 0; lost = test_drops(lab->w, SOCKET_RCVBUFF)) {
		lab_mark(lab);
		icmp(lab, ICMP_TYPE_ECHO_REPLY, 0, (uint32_t)id << 16, data, sizeof(data));
	}
}

static void ratelimit(struct lab *lab)
{
	lab_meet(lab);
	for (unsigned int i = 0; i < ICMP_LIMIT_PEER_BURST; i++)
		lab_udp(lab, 9, "x", 1, 1);
	lab_mark(lab);
	lab_udp(lab, 9, "x", 1, 2);
}

/* No way back to where a ping came from. */
static void echo_no_route(struct lab *lab)
{
	struct frame_spec s = from_peer();

	s.src_ip = OFF;
	lab_send(lab, frame_icmp(lab->frame, &s, ICMP_TYPE_ECHO, 0, 1, "ping", 4), 1);
}

/* ---- IGMP ---- */

static size_t igmp(struct lab *lab, uint8_t type, size_t len)
{
	static const uint8_t all_mac[6] = { 1, 0, 0x5e, 0, 0, 1 };
	struct frame_spec s = from_peer();
	uint8_t bytes[64] = { type };
	uint16_t csum = csum_of(bytes, len);

	memcpy(s.dst_mac, all_mac, 6);
	s.dst_ip = FRAME_IP(224, 0, 0, 1);
	s.ttl = 1;
	memcpy(bytes + 2, &csum, sizeof(csum));
	return frame_ip4(lab->frame, &s, IP_PROTO_IGMP, bytes, len);
}

static void igmp_malformed(struct lab *lab)
{
	lab_send(lab, igmp(lab, IGMP_QUERY, 6), 1);
	lab_send(lab, igmp(lab, IGMP_QUERY, 10), 1); /* neither of version 2 nor 3 */
}

static void igmp_csum(struct lab *lab)
{
	size_t len = igmp(lab, IGMP_QUERY, 8);

	lab->frame[len - 1] ^= 1;
	lab_send(lab, len, 1);
}

static void igmp_unknown(struct lab *lab)
{
	lab_send(lab, igmp(lab, 0x77, 8), 1);
}

#define IN_ERROR "icmp_error_input"

static const struct reason_case cases[] = {
	{ .name = "icmp: checksum",
	  .run = icmp_csum,
	  .drops = { { DROP_ICMP_CSUM, "icmp_input_one", IN_ICMP, 2 } } },
	{ .name = "icmp: short",
	  .run = icmp_short,
	  .drops = { { DROP_ICMP_MALFORMED, "icmp_input_one", IN_ICMP, 1 } } },
	{ .name = "icmp: short error",
	  .run = icmp_error_short,
	  .drops = { { DROP_ICMP_MALFORMED, IN_ERROR, IN_ICMP, 1 } } },
	{ .name = "icmp: unknown types",
	  .run = icmp_unknown,
	  .drops = { { DROP_ICMP_UNKNOWN_TYPE, "icmp_input_one", IN_ICMP, 2 } } },
	{ .name = "icmp: unknown error",
	  .run = icmp_error_unknown,
	  .drops = { { DROP_ICMP_UNKNOWN_TYPE, IN_ERROR, IN_ICMP, 1 } } },
	{ .name = "icmp: error about a stranger's packet",
	  .run = icmp_error_foreign,
	  .drops = { { DROP_ICMP_NO_SOCKET, IN_ERROR, IN_ICMP, 1 } } },
	{ .name = "icmp: errors for nobody",
	  .run = icmp_error_nobody,
	  .drops = { { DROP_ICMP_NO_SOCKET, IN_ERROR, IN_ICMP, 2 } } },
	{ .name = "icmp: echo reply for nobody",
	  .run = echo_nobody,
	  .drops = { { DROP_ICMP_NO_SOCKET, "echo_answered", IN_ICMP, 1 } } },
	{ .name = "icmp: the ping's filter",
	  .run = echo_filtered,
	  .drops = { { DROP_SOCKET_FILTER, "echo_answered", IN_ICMP | AT(SOCK_DELIVER), 1 } } },
	{ .name = "icmp: the ping's buffer is full",
	  .run = echo_full,
	  .drops = { { DROP_SOCKET_RCVBUFF, "echo_answered", IN_ICMP | AT(SOCK_DELIVER), 1 } } },
	{ .name = "icmp: rate limit",
	  .run = ratelimit,
	  .drops = { { DROP_ICMP_RATELIMIT, "icmp_send_error", AT(ICMP_OUTPUT), 2 },
		     { DROP_NO_SOCKET, "udp_input_one", IN_UDP, 2 } } },
	{ .name = "icmp: no way back",
	  .run = echo_no_route,
	  .drops = { { DROP_IP_OUTNOROUTES, "ip_output", AT(ICMP_OUTPUT) | AT(IP4_OUTPUT), 1 } } },
	{ .name = "igmp: malformed",
	  .run = igmp_malformed,
	  .drops = { { DROP_IGMP_MALFORMED, "igmp_input", IN_IGMP, 2 } } },
	{ .name = "igmp: checksum",
	  .run = igmp_csum,
	  .drops = { { DROP_IGMP_CSUM, "igmp_input", IN_IGMP, 1 } } },
	{ .name = "igmp: unknown type",
	  .run = igmp_unknown,
	  .drops = { { DROP_IGMP_UNKNOWN_TYPE, "igmp_input", IN_IGMP, 1 } } },
};

const struct case_table cases_icmp = { cases, sizeof(cases) / sizeof(cases[0]) };
