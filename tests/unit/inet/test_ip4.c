/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4 input: each check, padding, options; and the dispatch to transports. */
#include <string.h>

#include "fixture.h"

static size_t tcp_frame(uint8_t *frame, const struct frame_spec *s)
{
	struct frame_tcp t = { .sport = 1, .dport = 2, .flags = TCP_F_SYN };

	return frame_tcp(frame, s, &t, NULL, 0);
}

static void test_header(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];
	size_t len;

	len = tcp_frame(frame, &s);
	frame[14] = 0x65;
	frame_fix_ip_csum(frame);
	host_drops(h, IP_INHDR, frame, len, 0);
	tcp_frame(frame, &s);
	frame[14] = 0x44;
	frame_fix_ip_csum(frame);
	host_drops(h, IP_INHDR, frame, len, 0);
	tcp_frame(frame, &s);
	frame[24] ^= 0xff;
	host_drops(h, IP_CSUM, frame, len, 0);
	/* Total length below the header's, and beyond the frame. */
	tcp_frame(frame, &s);
	frame[16] = 0;
	frame[17] = 19;
	frame_fix_ip_csum(frame);
	host_drops(h, IP_INHDR, frame, len, 0);
	tcp_frame(frame, &s);
	frame[17]++;
	frame_fix_ip_csum(frame);
	host_drops(h, PKT_TOO_SMALL, frame, len, 0);
	tcp_frame(frame, &s);
	for (size_t cut = FRAME_IP_AT; cut < FRAME_L4_AT; cut++)
		host_drops(h, PKT_TOO_SMALL, frame, cut, 0);
	/* A header length beyond the frame. */
	len = frame_ip4(frame, &s, IP_PROTO_UDP, NULL, 0);
	frame[14] = 0x4f;
	host_drops(h, PKT_TOO_SMALL, frame, len, 0);
	assert_int_equal(tcp_stub_in, 0);
	host_close(h);
}

/* Short frames are padded on the wire; the padding is not the packet's. */
static void test_padding(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[64] = { 0 };

	host_udp(h, 0, 7);
	frame_udp(frame, &s, 1, 7, "abc", 3);
	memset(frame + FRAME_L4_AT + 11, 0xee, 60 - FRAME_L4_AT - 11);
	host_put(h, frame, 60);
	assert_int_equal(h->deliveries, 1);
	assert_int_equal(h->last.len, 3);
	assert_memory_equal(h->last.data, "abc", 3);
	host_close(h);
}

static void test_sources(void **state)
{
	static const struct {
		uint32_t src;
		enum drop_reason reason;
	} bad[] = {
		{ LOCALHOST, DROP_IP_LOCALNET },
		{ FRAME_IP(127, 9, 9, 9), DROP_IP_LOCALNET },
		{ US, DROP_IP_OWN_SOURCE },
		{ 0xffffffff, DROP_IP_INVALID_SOURCE },
		{ SUBNET_BROADCAST, DROP_IP_INVALID_SOURCE },
		{ FRAME_IP(224, 0, 0, 1), DROP_IP_INVALID_SOURCE },
		{ FRAME_IP(239, 1, 2, 3), DROP_IP_INVALID_SOURCE },
		{ 0, DROP_IP_INVALID_SOURCE },
		{ FRAME_IP(0, 1, 2, 3), DROP_IP_INVALID_SOURCE },
	};
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t before = ledger_drops_of(&h->w->ledger, bad[i].reason);

		s.src_ip = bad[i].src;
		host_put(h, frame, tcp_frame(frame, &s));
		assert_int_equal(ledger_drops_of(&h->w->ledger, bad[i].reason), before + 1);
	}
	assert_int_equal(tcp_stub_in, 0);
	assert_int_equal(wire_waiting(h->wire), 0);
	host_close(h);
}

static void test_destinations(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];

	s.dst_ip = LOCALHOST;
	host_drops(h, IP_LOCALNET, frame, tcp_frame(frame, &s), 0);
	s.dst_ip = 0;
	host_drops(h, IP_INADDRERRORS, frame, tcp_frame(frame, &s), 0);
	s.dst_ip = THIRD;
	host_drops(h, IP_INADDRERRORS, frame, tcp_frame(frame, &s), 0);
	s.dst_ip = FAR;
	host_drops(h, IP_INADDRERRORS, frame, tcp_frame(frame, &s), 0);
	s.dst_ip = FRAME_IP(239, 1, 2, 3); /* a group that we are not in */
	host_drops(h, MCAST_NOT_MEMBER, frame, tcp_frame(frame, &s), 0);
	assert_int_equal(tcp_stub_in, 0);
	host_close(h);
}

static void test_options(void **state)
{
	static const struct {
		uint8_t options[12];
		size_t len;
		enum drop_reason reason; /* DROP_REASON_MAX: taken */
		uint8_t pointer;
	} cases[] = {
		{ { 1, 1, 1, 1 }, 4, DROP_REASON_MAX, 0 },
		{ { 148, 4, 0, 0 }, 4, DROP_REASON_MAX, 0 },
		{ { 7, 7, 4, 0, 0, 0, 0, 0 }, 8, DROP_REASON_MAX, 0 },
		{ { 68, 8, 5, 0, 0, 0, 0, 0 }, 8, DROP_REASON_MAX, 0 },
		{ { 0, 0xff, 0xff, 0xff }, 4, DROP_REASON_MAX, 0 }, /* behind the end all is well */
		{ { 131, 7, 4, 198, 18, 0, 9, 0 }, 8, DROP_IP_SOURCE_ROUTE, 0 },
		{ { 137, 7, 4, 198, 18, 0, 9, 0 }, 8, DROP_IP_SOURCE_ROUTE, 0 },
		{ { 148, 0, 0, 0 }, 4, DROP_IP_INHDR, 20 },
		{ { 148, 1, 0, 0 }, 4, DROP_IP_INHDR, 20 },
		{ { 1, 148, 9, 0 }, 4, DROP_IP_INHDR, 21 },
		{ { 1, 1, 1, 148 }, 4, DROP_IP_INHDR, 23 },
		{ { 7, 2, 1, 1 }, 4, DROP_IP_INHDR, 20 },
		{ { 7, 7, 3, 0, 0, 0, 0, 0 }, 8, DROP_IP_INHDR, 20 },
		{ { 68, 3, 5, 0 }, 4, DROP_IP_INHDR, 20 },
		{ { 68, 8, 4, 0, 0, 0, 0, 0 }, 8, DROP_IP_INHDR, 20 },
	};
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	unsigned int taken = 0;
	uint8_t frame[256];

	host_meet(h, PEER, peer_mac);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = h->w->ledger.dropped;

		s.options = cases[i].options;
		s.options_len = cases[i].len;
		host_put(h, frame, tcp_frame(frame, &s));
		if (cases[i].reason == DROP_REASON_MAX) {
			assert_int_equal(tcp_stub_in, ++taken);
			assert_int_equal(h->w->ledger.dropped, before);
		} else {
			assert_true(ledger_drops_of(&h->w->ledger, cases[i].reason));
		}
		/* What is malformed is answered with the place (within the limit). */
		if (cases[i].reason == DROP_IP_INHDR && host_take(h, ETH_TYPE_IP4)) {
			assert_int_equal(h->info.icmp_type, ICMP_TYPE_PARAMETER);
			assert_int_equal(h->info.icmp_rest >> 24, cases[i].pointer);
		}
	}
	assert_int_equal(taken, 5);
	assert_int_equal(test_drops(h->w, IP_SOURCE_ROUTE), 2);
	assert_int_equal(test_drops(h->w, IP_INHDR), 8);
	frame_take_all(h->wire);
	host_close(h);
}

static void test_noproto(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];

	host_meet(h, PEER, peer_mac);
	host_drops(h, IP_NOPROTO, frame, frame_ip4(frame, &s, 47, "12345678", 8), 1);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.icmp_type, ICMP_TYPE_UNREACHABLE);
	assert_int_equal(h->info.icmp_code, ICMP_CODE_PROTOCOL);
	host_close(h);
}

/* TCP learns which packets were for everybody. */
static void test_to_tcp(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];

	host_put(h, frame, tcp_frame(frame, &s));
	assert_int_equal(tcp_stub_in, 1);
	host_close(h);
}

/* Any bytes at all: nothing crashes, everything is counted. */
static void test_noise(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	uint8_t frame[256];

	host_meet(h, PEER, peer_mac);
	host_udp(h, 0, 7);
	for (unsigned int round = 0; round < 20000; round++) {
		uint32_t r = worker_random(h->w);
		size_t len;

		if (r & 1)
			len = frame_udp(frame, &s, 1, 7, "hello, world", 12);
		else
			len = frame_icmp(frame, &s, (uint8_t)(r >> 8 & 15), 0, r,
					 "hello, world 12345678", 21);
		for (unsigned int i = 0; i < 1 + (r >> 4) % 4; i++)
			frame[12 + worker_random(h->w) % (len - 12)] = (uint8_t)worker_random(h->w);
		if (r & 2)
			frame_fix_ip_csum(frame);
		assert_int_equal(wire_put(h->wire, frame, r & 4 ? len : 1 + r % len), 0);
		host_run(h);
		frame_take_all(h->wire);
	}
	host_wait(h, 100 * SEC);
	frame_take_all(h->wire);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),	cmocka_unit_test(test_padding),
		cmocka_unit_test(test_sources), cmocka_unit_test(test_destinations),
		cmocka_unit_test(test_options), cmocka_unit_test(test_noproto),
		cmocka_unit_test(test_to_tcp),	cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
