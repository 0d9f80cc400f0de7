/* SPDX-License-Identifier: BSD-3-Clause */
/* weir capture's line about a packet, and the checksums that it fills in: of good packets, of cut
 * ones, and of any bytes. */
#include <stdlib.h>
#include <string.h>

#include "bin/weir/capture/capture.h"
#include "common/frames.h"
#include "common/testing.h"
#include "wire/csum.h"

#define US FRAME_IP(198, 18, 0, 2)
#define PEER FRAME_IP(198, 18, 0, 1)

static uint8_t frame[FRAME_ROOM];

/* The line, from bytes of exactly that size, so that the sanitizer sees each read beyond. */
static const char *line(const uint8_t *bytes, uint32_t caplen, uint32_t len, bool ethernet)
{
	static char text[CAPTURE_LINE_BYTES];
	uint8_t *copy = malloc(caplen ? caplen : 1);

	memcpy(copy, bytes, caplen);
	capture_decode(copy, caplen, len, ethernet, false, text);
	free(copy);
	return text;
}

static void test_lines(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	static const uint8_t options[] = { 2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 1, 1 };
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US };
	struct frame_tcp syn = { .sport = 1000,
				 .dport = 80,
				 .seq = 5,
				 .flags = TCP_F_SYN,
				 .window = 100,
				 .options = options,
				 .options_len = sizeof(options) };
	uint32_t len = (uint32_t)frame_tcp(frame, &spec, &syn, NULL, 0);

	assert_string_equal(
		line(frame, len, len, true),
		"IP 198.18.0.1.1000 > 198.18.0.2.80: Flags [S], seq 5, win 100, options "
		"[mss 1460,sackOK,nop,wscale 7,nop,nop], length 0");
	assert_string_equal(line(frame + 14, len - 14, len - 14, false),
			    line(frame, len, len, true));
	assert_string_equal(line(frame, 50, len, true),
			    "IP 198.18.0.1.1000 > 198.18.0.2.80: [|tcp]");
	assert_string_equal(line(frame, 20, len, true), "IP [|ip]");
	assert_string_equal(line(frame, 5, len, true), "[|ether]");
	len = (uint32_t)frame_udp(frame, &spec, 53, 99, "hello", 5);
	assert_string_equal(line(frame, len, len, true),
			    "IP 198.18.0.1.53 > 198.18.0.2.99: UDP, length 5");
	len = (uint32_t)frame_icmp(frame, &spec, 8, 0, 0x10002, "ping", 4);
	assert_string_equal(
		line(frame, len, len, true),
		"IP 198.18.0.1 > 198.18.0.2: ICMP echo request, id 1, seq 2, length 12");
	len = (uint32_t)frame_arp(frame, frame_broadcast, 1, mac, PEER, mac, US);
	assert_string_equal(line(frame, len, len, true),
			    "ARP, Request who-has 198.18.0.2 tell 198.18.0.1, length 28");
	frame[12] = 0x88;
	frame[13] = 0xcc;
	assert_string_equal(line(frame, len, len, true), "ethertype 0x88cc, length 42");
}

/* Any bytes make a line, and nothing is read behind them. */
static void test_any_bytes(void **state)
{
	static const uint8_t types[][2] = {
		{ 8, 0 }, { 8, 6 }, { 0x86, 0xdd }, { 0x81, 0 }, { 0, 9 }
	};
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US };
	struct frame_tcp tcp = { .sport = 1, .dport = 2, .flags = TCP_F_ACK };
	unsigned int seed = 7;

	for (unsigned int i = 0; i < 200000; i++) {
		uint32_t len = (uint32_t)rand_r(&seed) % 120, room = len;

		if (i % 3 == 0)
			room = (uint32_t)frame_tcp(frame, &spec, &tcp, "0123456789", 10);
		for (uint32_t k = i % 3 ? 0 : 14 + (uint32_t)rand_r(&seed) % 40; k < room; k++)
			frame[k] = (uint8_t)rand_r(&seed);
		if (i % 3 == 1 && len >= 24) {
			memcpy(frame + 12, types[(unsigned int)rand_r(&seed) % 5], 2);
			frame[14] = 0x45;
			frame[23] = (uint8_t)((const char[]){ 1, 6, 17, 2 }[rand_r(&seed) % 4]);
		}
		len = len < room ? len : room;
		assert_non_null(line(frame, len, len + (uint32_t)rand_r(&seed) % 3, i % 2));
	}
}

static void fixed(uint32_t len, uint32_t caplen, bool ethernet)
{
	uint8_t *copy = malloc(caplen);

	memcpy(copy, frame + (ethernet ? 0 : 14), caplen);
	capture_fix_checksum(copy, caplen, len, ethernet);
	memcpy(frame + (ethernet ? 0 : 14), copy, caplen);
	free(copy);
}

static void test_checksums(void **state)
{
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US };
	struct frame_tcp tcp = { .sport = 1, .dport = 2, .flags = TCP_F_ACK };
	uint32_t len = (uint32_t)frame_tcp(frame, &spec, &tcp, "odd", 3);
	uint16_t right = be16_load(frame + 34 + TCP_CSUM_AT);

	for (int ethernet = 0; ethernet < 2; ethernet++) {
		be16_store(frame + 34 + TCP_CSUM_AT, 0x1234);
		fixed(len - (ethernet ? 0 : 14), len - (ethernet ? 0 : 14), ethernet);
		assert_int_equal(be16_load(frame + 34 + TCP_CSUM_AT), right);
	}
	be16_store(frame + 34 + TCP_CSUM_AT, 0x1234);
	fixed(len, len - 1, true); /* it is not there whole: it stays */
	assert_int_equal(be16_load(frame + 34 + TCP_CSUM_AT), 0x1234);
	len = (uint32_t)frame_udp(frame, &spec, 53, 99, "hello", 5);
	right = be16_load(frame + 34 + UDP_CSUM_AT);
	be16_store(frame + 34 + UDP_CSUM_AT, 0);
	fixed(len, len, true);
	assert_int_equal(be16_load(frame + 34 + UDP_CSUM_AT), right);
	/* Lengths that lie. */
	for (unsigned int i = 0; i < 65536; i += 3) {
		be16_store(frame + 16, (uint16_t)i);
		frame[14] = (uint8_t)(0x40 | i % 16);
		fixed(len, len, true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_checksums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
