/* SPDX-License-Identifier: BSD-3-Clause */
/* The Internet checksum against a plain model, word by word. */
#include "common/testing.h"

#include "wire/arp.h"
#include "wire/csum.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

static uint64_t rng = 1;

static uint32_t random32(void)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(rng >> 32);
}

/* RFC 1071 to the letter: 16-bit words in network order, carries added back. Not inverted. */
static uint16_t model_sum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		sum += i & 1 ? data[i] : (uint32_t)data[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static void test_against_model(void **state)
{
	uint8_t data[300];

	for (unsigned int round = 0; round < 20000; round++) {
		uint32_t at = random32() % 16, len = random32() % (sizeof(data) - 16);
		uint8_t fill = random32() % 3 == 0 ? 0xff : 0;

		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = fill | (uint8_t)random32();
		assert_int_equal(be16_to_host(csum_fold(csum_add(0, data + at, len))),
				 model_sum(data + at, len));
	}
}

/* All ones everywhere: the largest sums there are, and a start value on top. */
static void test_carries(void **state)
{
	static uint8_t ones[65536];

	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(csum_fold(csum_add(UINT64_MAX, ones, sizeof(ones))), 0xffff);
	assert_int_equal(csum_of(ones, sizeof(ones)), 0);
	assert_int_equal(csum_fold(0), 0);
	assert_int_equal(csum_fold(UINT64_MAX), 0xffff);
}

static void test_pieces(void **state)
{
	uint8_t data[200];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)random32();
	for (size_t cut = 0; cut <= sizeof(data); cut++) {
		uint16_t second = csum_fold(csum_add(0, data + cut, sizeof(data) - cut));
		uint64_t sum = csum_add(0, data, cut);

		sum += cut & 1 ? csum_swap(second) : second;
		assert_int_equal(csum_fold(sum), csum_fold(csum_add(0, data, sizeof(data))));
	}
}

/* Updating is the same as computing anew, whatever the bytes. */
static void test_update(void **state)
{
	for (unsigned int round = 0; round < 20000; round++) {
		struct ip4_hdr h;
		uint16_t csum, old16;
		uint32_t old32;

		for (size_t i = 0; i < sizeof(h); i++)
			((uint8_t *)&h)[i] = (uint8_t)random32();
		h.version_ihl = 0x45; /* a header is never all zero */
		h.csum_be = 0;
		csum = csum_of(&h, sizeof(h));
		old16 = h.len_be;
		h.len_be = round % 7 ? (uint16_t)random32() : 0;
		csum = csum_update16(csum, old16, h.len_be);
		assert_int_equal(csum, csum_of(&h, sizeof(h)));
		old32 = h.dst_be;
		h.dst_be = round % 5 ? random32() : UINT32_MAX;
		csum = csum_update32(csum, old32, h.dst_be);
		assert_int_equal(csum, csum_of(&h, sizeof(h)));
		h.csum_be = csum;
		assert_int_equal(csum_of(&h, sizeof(h)), 0);
	}
}

/* The pseudo-header, laid out by hand. */
static void test_pseudo(void **state)
{
	const uint8_t pseudo[12] = { 198, 18, 0, 1, 198, 18, 0, 2, 0, 6, 0x12, 0x34 };
	uint32_t src_be, dst_be;

	memcpy(&src_be, pseudo, 4);
	memcpy(&dst_be, pseudo + 4, 4);
	assert_int_equal(csum_fold(csum_pseudo_ip4(src_be, dst_be, IP_PROTO_TCP, 0x1234)),
			 csum_fold(csum_add(0, pseudo, sizeof(pseudo))));
	assert_int_equal(csum_finish_udp(0xffff), 0xffff);
	assert_int_equal(csum_finish(0xffff), 0);
}

static void test_fields(void **state)
{
	const uint8_t ip[20] = { 0x46, 0, 0x05, 0xdc, 0, 1, 0x60, 0xb9, 64, 17 };
	struct ip4_hdr h;
	struct tcp_hdr t = { .offset_reserved = tcp_offset_of(32) };
	struct arp_msg m;

	memcpy(&h, ip, sizeof(h));
	assert_int_equal(ip4_version(&h), 4);
	assert_int_equal(ip4_hdr_bytes(&h), 24);
	assert_int_equal(ip4_len(&h), 1500);
	assert_true(ip4_is_fragment(&h));
	assert_true(ip4_more_fragments(&h));
	assert_true(ip4_dont_fragment(&h));
	assert_int_equal(ip4_frag_offset(&h), 0xb9 * 8);
	assert_int_equal(tcp_hdr_bytes(&t), 32);
	assert_true(tcp_seq_lt(0xfffffff0u, 16));
	assert_true(tcp_seq_gt(16, 0xfffffff0u));
	assert_true(tcp_seq_leq(5, 5));
	assert_true(tcp_seq_geq(5, 5));
	arp_fill(&m, ARP_OP_REPLY);
	assert_true(arp_is_eth_ip4(&m));
	assert_int_equal(arp_op(&m), ARP_OP_REPLY);
	m.hlen = 8;
	assert_false(arp_is_eth_ip4(&m));
	assert_int_equal(ip4_mask_be(0), 0);
	assert_int_equal(ip4_mask_be(24), host_to_be32(0xffffff00u));
	assert_int_equal(ip4_mask_be(32), UINT32_MAX);
	assert_true(ip4_is_loopback(host_to_be32(0x7f010203)));
	assert_true(ip4_is_multicast(host_to_be32(0xefffffff)));
	assert_false(ip4_is_multicast(host_to_be32(0xf0000000)));
	assert_true(ip4_is_zeronet(host_to_be32(0x00000001)));
	assert_true(eth_addr_is_broadcast((const uint8_t *)"\xff\xff\xff\xff\xff\xff"));
	assert_false(eth_addr_is_broadcast((const uint8_t *)"\xff\xff\xff\xff\xff\xfe"));
	assert_true(icmp_type_is_error(ICMP_TYPE_UNREACHABLE));
	assert_false(icmp_type_is_error(ICMP_TYPE_ECHO));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model), cmocka_unit_test(test_carries),
		cmocka_unit_test(test_pieces),	      cmocka_unit_test(test_update),
		cmocka_unit_test(test_pseudo),	      cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
