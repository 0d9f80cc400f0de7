/* SPDX-License-Identifier: BSD-3-Clause */
/* Fragments: put together in any order, refused when wrong, bounded, timed out; and made. */
#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "inet/frag.h"
#include "inet/state.h"

static uint8_t payload[65507];

/* A UDP datagram of len bytes from PEER:1 to US:7, to be cut. Its size with the header. */
static size_t datagram(uint8_t *l4, size_t len)
{
	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(i * 7 + i / 251);
	return frame_udp_datagram(l4, PEER, US, 1, 7, payload, len);
}

/* One fragment of it: bytes [from, to). */
static size_t piece(uint8_t *frame, uint16_t id, const uint8_t *l4, size_t from, size_t to,
		    bool more)
{
	struct frame_spec s = from_peer();

	s.id = id;
	s.frag = (uint16_t)((more ? IP4_MF : 0) | from / 8);
	return frame_ip4(frame, &s, IP_PROTO_UDP, l4 + from, to - from);
}

static void put_piece(struct host *h, uint16_t id, const uint8_t *l4, size_t from, size_t to,
		      bool more)
{
	uint8_t frame[FRAME_ROOM];

	host_put(h, frame, piece(frame, id, l4, from, to, more));
}

static void expect_whole(struct host *h, unsigned int deliveries, size_t len)
{
	assert_int_equal(h->deliveries, deliveries);
	assert_int_equal(h->last.len, len);
	assert_memory_equal(h->last.data, payload, len);
	assert_int_equal(h->w->ledger.held, 0);
	assert_int_equal(h->w->inet->frags.packets, 0);
	assert_int_equal(h->w->inet->frags.bytes, 0);
}

static void test_in_order(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t l4[4096];
	size_t len = datagram(l4, 3992);

	host_udp(h, 0, 7);
	put_piece(h, 1, l4, 0, 1480, true);
	put_piece(h, 1, l4, 1480, 2960, true);
	assert_int_equal(h->w->ledger.held, 2);
	put_piece(h, 1, l4, 2960, len, false);
	expect_whole(h, 1, 3992);
	host_close(h);
}

/* Every order of four fragments. */
static void test_any_order(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t l4[4096];
	size_t len = datagram(l4, 1000);
	static const size_t cut[5] = { 0, 256, 512, 768, 1008 };
	unsigned int done = 0;

	host_udp(h, 0, 7);
	assert_int_equal(len, 1008);
	for (unsigned int order = 0; order < 256; order++) {
		unsigned int i[4] = { order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6 };

		if ((1u << i[0] | 1u << i[1] | 1u << i[2] | 1u << i[3]) != 15)
			continue;
		for (unsigned int k = 0; k < 4; k++)
			put_piece(h, (uint16_t)order, l4, cut[i[k]], cut[i[k] + 1], i[k] < 3);
		expect_whole(h, ++done, 1000);
	}
	assert_int_equal(done, 24);
	host_close(h);
}

/* Tiny fragments: the transport's header itself comes in pieces. */
static void test_tiny(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t l4[128];
	size_t len = datagram(l4, 56);

	host_udp(h, 0, 7);
	for (size_t at = len; at > 0; at -= 8)
		put_piece(h, 9, l4, at - 8, at, at != len);
	expect_whole(h, 1, 56);
	host_close(h);
}

static void test_largest(void **state)
{
	struct host *h = host_open(NULL);
	static uint8_t l4[65536];
	size_t len = datagram(l4, 65507);

	host_udp(h, 0, 7);
	for (size_t at = 0; at < len; at += 1480)
		put_piece(h, 9, l4, at, at + 1480 < len ? at + 1480 : len, at + 1480 < len);
	expect_whole(h, 1, 65507);
	host_close(h);
}

/* Beside each other: other ids, protocols, sources. */
static void test_many_at_once(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t l4[4096];
	size_t len = datagram(l4, 1000);

	host_udp(h, 0, 7);
	for (uint16_t id = 0; id < FRAG_MAX_DATAGRAMS; id++)
		put_piece(h, id, l4, 0, 512, true);
	assert_int_equal(h->w->ledger.held, FRAG_MAX_DATAGRAMS);
	/* One more is refused; those that are there go on. */
	put_piece(h, 999, l4, 0, 512, true);
	assert_int_equal(test_drops(h->w, FRAG_LIMIT), 1);
	for (uint16_t id = 0; id < FRAG_MAX_DATAGRAMS; id++)
		put_piece(h, id, l4, 512, len, false);
	expect_whole(h, FRAG_MAX_DATAGRAMS, 1000);
	host_close(h);
}

/* Too many fragments in all, by number and by bytes; and too many of one datagram. */
static void test_limits(void **state)
{
	struct host *h = host_open(NULL);
	static uint8_t l4[65536];

	host_meet(h, PEER, peer_mac);
	datagram(l4, 65507);
	for (uint16_t id = 0; id < 40; id++) {
		for (size_t i = 0; i < 100; i++)
			put_piece(h, id, l4, 16 * i, 16 * i + 8, true);
	}
	assert_true(test_drops(h->w, FRAG_LIMIT) > 0);
	assert_true(h->w->inet->frags.packets <= (FRAG_MAX_BYTES / FRAG_MIN_BYTES));
	assert_true(h->w->inet->frags.bytes <= FRAG_MAX_BYTES + 4096);
	host_wait(h, 31 * SEC);
	assert_int_equal(h->w->ledger.held, 0);
	frame_take_all(h->wire);
	{
		uint64_t before = test_drops(h->w, FRAG_LIMIT);

		for (size_t i = 0; i < FRAG_MAX_OF_ONE; i++)
			put_piece(h, 77, l4, 16 * i, 16 * i + 8, true);
		assert_int_equal(h->w->ledger.held, FRAG_MAX_OF_ONE);
		put_piece(h, 77, l4, 16 * FRAG_MAX_OF_ONE, 16 * FRAG_MAX_OF_ONE + 8, true);
		assert_int_equal(test_drops(h->w, FRAG_LIMIT), before + FRAG_MAX_OF_ONE + 1);
		assert_int_equal(h->w->ledger.held, 0);
	}
	host_close(h);
}

static void test_duplicate(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t l4[4096];
	size_t len = datagram(l4, 1000);

	host_udp(h, 0, 7);
	put_piece(h, 1, l4, 0, 512, true);
	put_piece(h, 1, l4, 0, 512, true);
	put_piece(h, 1, l4, 8, 256, true); /* nothing new in it either */
	assert_int_equal(test_drops(h->w, FRAG_OVERLAP), 2);
	put_piece(h, 1, l4, 512, len, false);
	expect_whole(h, 1, 1000);
	host_close(h);
}

static void test_overlap(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t l4[4096];
	size_t len = datagram(l4, 1000);

	host_udp(h, 0, 7);
	put_piece(h, 1, l4, 0, 512, true);
	put_piece(h, 1, l4, 504, len, false);
	assert_int_equal(test_drops(h->w, FRAG_OVERLAP), 2); /* the datagram with it */
	assert_int_equal(h->w->ledger.held, 0);
	put_piece(h, 2, l4, 512, 768, true);
	put_piece(h, 2, l4, 0, 520, true);
	assert_int_equal(test_drops(h->w, FRAG_OVERLAP), 4);
	/* One that covers a hole and both its sides. */
	put_piece(h, 3, l4, 0, 256, true);
	put_piece(h, 3, l4, 512, 768, true);
	put_piece(h, 3, l4, 248, 520, true);
	assert_int_equal(test_drops(h->w, FRAG_OVERLAP), 7);
	assert_int_equal(h->deliveries, 0);
	assert_int_equal(h->w->ledger.held, 0);
	host_close(h);
}

static void test_malformed(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	static uint8_t frame[FRAME_ROOM], l4[4096];
	size_t len = datagram(l4, 1000);

	/* Not a multiple of eight; nothing in it; beyond 65535. */
	host_drops(h, FRAG_MALFORMED, frame, piece(frame, 1, l4, 0, 500, true), 0);
	host_drops(h, FRAG_MALFORMED, frame, piece(frame, 1, l4, 0, 0, true), 0);
	host_drops(h, FRAG_MALFORMED, frame, piece(frame, 1, l4, 8, 8, false), 0);
	s.frag = 8191;
	host_drops(h, FRAG_MALFORMED, frame, frame_ip4(frame, &s, IP_PROTO_UDP, l4, 64), 0);
	/* Two ends; data behind the end; an end before what is there. */
	put_piece(h, 2, l4, 512, len, false);
	put_piece(h, 2, l4, 1008, 1016, false);
	assert_int_equal(test_drops(h->w, FRAG_MALFORMED), 6);
	put_piece(h, 3, l4, 512, len, false);
	put_piece(h, 3, l4, 1008, 1016, true);
	assert_int_equal(test_drops(h->w, FRAG_MALFORMED), 8);
	put_piece(h, 4, l4, 1008, 1016, true);
	put_piece(h, 4, l4, 512, 520, false);
	assert_int_equal(test_drops(h->w, FRAG_MALFORMED), 10);
	assert_int_equal(h->w->ledger.held, 0);
	host_close(h);
}

static void test_timeout(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t l4[4096];
	size_t len = datagram(l4, 1000);

	host_meet(h, PEER, peer_mac);
	put_piece(h, 1, l4, 0, 512, true);
	put_piece(h, 2, l4, 512, len, false);
	host_wait(h, 29900 * MS);
	assert_int_equal(h->w->ledger.held, 2);
	frame_take_all(h->wire);
	host_wait(h, 200 * MS);
	assert_int_equal(h->w->ledger.held, 0);
	assert_int_equal(test_drops(h->w, FRAG_REASM_TIMEOUT), 2);
	/* Told for the one whose first fragment was there, and only for it. */
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.icmp_type, ICMP_TYPE_TIME_EXCEEDED);
	assert_int_equal(h->info.icmp_code, ICMP_CODE_REASSEMBLY);
	assert_int_equal(h->info.data[4] << 8 | h->info.data[5], 1); /* its id */
	assert_int_equal(host_take(h, ETH_TYPE_IP4), 0);
	host_close(h);
}

/* A TCP segment in fragments keeps its headers in one piece. */
static void test_tcp(void **state)
{
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	struct frame_tcp t = { .sport = 1, .dport = 2, .flags = TCP_F_SYN };
	uint8_t whole[256], frame[256];

	frame_tcp(whole, &s, &t, "0123456789ab", 12);
	s.id = 5;
	s.frag = IP4_MF;
	host_put(h, frame, frame_ip4(frame, &s, IP_PROTO_TCP, whole + FRAME_L4_AT, 8));
	s.frag = 1;
	host_put(h, frame, frame_ip4(frame, &s, IP_PROTO_TCP, whole + FRAME_L4_AT + 8, 24));
	assert_int_equal(tcp_stub_in, 1);
	host_close(h);
}

/* RFC 3168 section 5.3: CE of one fragment is CE of the whole; where some cannot ECN and some can,
 * none of the answers would be true. */
static void test_ecn(void **state)
{
	static const struct {
		uint8_t tos[3], whole;
		bool dropped;
	} cases[] = {
		{ { 0xb8, 0xb8, 0xb8 }, 0xb8, false },
		{ { 2, 2, 2 }, 2, false },
		{ { 1, 1, 1 }, 1, false },
		{ { 3, 2, 2 }, 3, false },
		{ { 2, 2, 3 }, 3, false },
		{ { 0xba, 0xbb, 0xb9 }, 0xbb, false },
		{ { 1, 3, 1 }, 3, false },
		{ { 0, 3, 0 }, 0, true },
		{ { 3, 3, 0 }, 0, true },
		{ { 0, 2, 2 }, 0, true },
	};
	struct host *h = host_open(NULL);
	struct frame_spec s = from_peer();
	struct frame_tcp t = { .sport = 1, .dport = 2, .flags = TCP_F_ACK };
	uint8_t whole[256], frame[256];
	unsigned int in = tcp_stub_in, dropped = 0;

	frame_tcp(whole, &s, &t, "0123456789ab", 12);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s.id = (uint16_t)(100 + i);
		for (unsigned int j = 0; j < 3; j++) {
			s.tos = cases[i].tos[j];
			s.frag = (uint16_t)(j | (j < 2 ? IP4_MF : 0));
			host_put(h, frame,
				 frame_ip4(frame, &s, IP_PROTO_TCP, whole + FRAME_L4_AT + 8 * j,
					   j < 2 ? 8 : 16));
		}
		dropped += cases[i].dropped ? 3 : 0;
		in += !cases[i].dropped;
		assert_int_equal(test_drops(h->w, FRAG_ECN), dropped);
		assert_int_equal(tcp_stub_in, in);
		if (!cases[i].dropped)
			assert_int_equal(tcp_stub_tos, cases[i].whole);
	}
	assert_int_equal(h->w->ledger.held, 0);
	host_close(h);
}

/* inet_free() with incomplete datagrams. */
static void test_free_incomplete(void **state)
{
	struct host *h = host_open(NULL);
	uint8_t l4[4096];

	datagram(l4, 1000);
	put_piece(h, 1, l4, 0, 512, true);
	put_piece(h, 2, l4, 512, 600, true);
	host_close(h);
}

/* A datagram larger than the MTU leaves in fragments, whose sum is the datagram. */
static void test_output(void **state)
{
	static const uint32_t sizes[] = { 1473, 1480, 2952, 2953, 9000, 65507 };
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	static uint8_t whole[70000];

	host_meet(h, PEER, peer_mac);
	datagram(whole, 65507);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t got = 0;
		uint16_t id = 0, frag;
		struct frame_spec s = from_peer();

		assert_int_equal(host_send(h, pcb, PEER, 9, payload, sizes[i]), 0);
		do {
			assert_true(host_take(h, ETH_TYPE_IP4));
			assert_true(h->info.ip_len <= 1500);
			frag = h->info.frag;
			if (got == 0)
				id = h->info.id;
			assert_int_equal(h->info.id, id);
			assert_int_equal((frag & IP4_OFFSET_MASK) * 8u, got);
			memcpy(whole + got, h->info.l4, h->info.l4_len);
			got += h->info.l4_len;
		} while (frag & IP4_MF);
		assert_int_equal(got, sizes[i] + 8);
		assert_memory_equal(whole + 8, payload, sizes[i]);
		assert_int_equal(host_take(h, ETH_TYPE_IP4), 0);
		/* Its checksum is that of the whole. */
		s.src_ip = US;
		s.dst_ip = PEER;
		if (got < 65535 - 20) {
			static uint8_t frame[FRAME_ROOM];
			size_t len = frame_ip4(frame, &s, IP_PROTO_UDP, whole, got);

			frame_parse(frame, len, false, &h->info);
		}
	}
	host_close(h);
}

/* May not be fragmented: refused, and said so. */
static void test_df(void **state)
{
	struct host *h = host_open(NULL);
	struct ip_flow flow = { .dst = ipaddr_from_ip4(host_to_be32(PEER)),
				.proto = IP_PROTO_TCP,
				.df = true };
	struct pkt *p = pkt_alloc(h->w);

	assert_int_equal(pkt_append(h->w, p, NULL, 1481), 0);
	assert_int_equal(ip_output(h->w, p, &flow), -EMSGSIZE);
	assert_int_equal(test_drops(h->w, PKT_NEEDS_FRAG), 1);
	p = pkt_alloc(h->w);
	assert_int_equal(pkt_append(h->w, p, NULL, 65516), 0);
	assert_int_equal(ip_output(h->w, p, &flow), -EMSGSIZE);
	assert_int_equal(test_drops(h->w, PKT_TOO_BIG), 1);
	host_close(h);
}

/* Out of buffers in the middle: all or nothing. */
static void test_output_no_buffers(void **state)
{
	struct host *h = host_open(NULL);
	struct ip_flow flow = { .dst = ipaddr_from_ip4(host_to_be32(PEER)), .proto = IP_PROTO_UDP };
	struct pkt *p = pkt_alloc(h->w), *hoard[8192];
	unsigned int n = 0;

	assert_int_equal(pkt_append(h->w, p, NULL, 9000), 0);
	ledger_hold(h->w, 1);
	host_meet(h, PEER, peer_mac);
	while ((hoard[n] = pkt_alloc(h->w)))
		n++;
	for (unsigned int i = 0; i < 3; i++)
		pkt_consume(h->w, hoard[--n], FATE_ABSORBED);
	ledger_release(h->w, 1);
	assert_int_equal(ip_output(h->w, p, &flow), -ENOBUFS);
	assert_int_equal(test_drops(h->w, NOMEM), 4);
	while (n)
		pkt_consume(h->w, hoard[--n], FATE_ABSORBED);
	host_run(h);
	assert_int_equal(wire_waiting(h->wire), 0);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_tiny),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_duplicate),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_ecn),
		cmocka_unit_test(test_free_incomplete),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_df),
		cmocka_unit_test(test_output_no_buffers),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
