/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet filters as eBPF: whatever libpcap makes of words answers the same as libpcap's own
 * interpreter, on packets of every length; and no program of any kind leaves its memory.
 */
#include "bin/weir/dropwatch/kernel_filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/ebpf.h"
#include "cli/kernel_filter_pcap.h"

static const struct kernel_filter_maps maps = { EBPF_SCRATCH, EBPF_STATS, EBPF_PROGRAMS };

static const char *const words[] = {
	"tcp port 80",
	"udp",
	"icmp or arp",
	"host 198.18.0.1 and tcp port 80",
	"src net 198.18.0.0/15 and not udp",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
	"tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
	"ip[2:2] > 100",
	"ip[8] < 5 or ip[9] = 47",
	"ether host 02:00:00:00:00:01",
	"ether broadcast",
	"ip multicast",
	"len > 60",
	"less 100",
	"vlan 5 and udp port 53",
	"vlan",
	"ip6",
	"ip6 and tcp port 443",
	"port 53",
	"portrange 1000-2000",
	"ip[6:2] & 0x1fff != 0",
	"icmp[icmptype] = icmp-echo",
	"udp[4:2] * 2 + 7 > ip[2:2] / 3",
	"(ip[0] & 0xf) << 2 > 20",
	"ether[12:2] % 7 = 1 or ether[0] ^ ether[1] = 2",
	"ip[ip[2:2]:1] = 0x41",
	"ether[9000:4] = 0",
	"ether[20000] = 0",
	"mpls",
	"pppoes",
	"ether proto 0x88cc",
};

/* A number that is the same each time. */
static uint32_t next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Frames that filters take an interest in: of `kind`, with random rests. Returns the length. */
static uint32_t make_frame(uint8_t *frame, uint32_t *seed)
{
	static const uint16_t types[] = { 0x0800, 0x0800, 0x0800, 0x0806, 0x8100,
					  0x86dd, 0x88cc, 0x8847, 0x8864 };
	static const uint8_t protocols[] = { 6, 17, 1, 47 };
	static const uint16_t ports[] = { 80, 53, 443, 1500 };
	uint32_t len = 14 + next(seed) % 200, at = 14;
	uint16_t type = types[next(seed) % 9], port = ports[next(seed) % 4];

	for (uint32_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(next(seed) >> 11);
	if (next(seed) % 2)
		memcpy(frame, "\x02\0\0\0\0\x01", 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	if (type == 0x8100) {
		memcpy(frame + 14, "\x00\x05\x08\x00", 4);
		at = 18;
	}
	frame[at] = (uint8_t)(0x40 | (5 + next(seed) % 3));
	if (next(seed) % 2)
		memcpy(frame + at + 6, "\0\0", 2); /* no fragment */
	frame[at + 9] = protocols[next(seed) % 4];
	if (next(seed) % 2)
		memcpy(frame + at + 12, "\xc6\x12\x00\x01", 4);
	at += (frame[at] & 15) * 4u;
	frame[at + 2] = (uint8_t)(port >> 8);
	frame[at + 3] = (uint8_t)port;
	frame[at + 12] = (uint8_t)((5 + next(seed) % 2) << 4);
	return len;
}

static void put(struct kdrop_scratch *s, const uint8_t *frame, uint32_t caplen, uint32_t len)
{
	memcpy(s->packet.bytes, frame, caplen);
	s->packet.caplen_bytes = caplen;
	s->packet.len_bytes = len;
}

static struct bpf_insn *translate(const struct sock_filter *code, size_t count, size_t *insns)
{
	struct bpf_insn *to = NULL;

	assert_int_equal(kernel_filter_translate(code, count, &maps, &to, insns), 0);
	return to;
}

/* One program on many packets, beside libpcap's interpreter. Returns how many it accepted. */
static unsigned int compare(const struct sock_filter *code, size_t count, const char *what)
{
	struct kdrop_scratch *s = calloc(1, sizeof(*s));
	uint8_t frame[512] = { 0 };
	uint32_t seed = 4711;
	size_t insn_count;
	struct bpf_insn *insns = translate(code, count, &insn_count);
	unsigned int accepted = 0;

	for (unsigned int i = 0; i < 2000; i++) {
		uint32_t len = make_frame(frame, &seed);
		uint32_t caplen = i % 4 ? len : next(&seed) % (len + 1);
		bool expected = filter_of_pcap(code, count, frame, len, caplen);
		struct ebpf_run run;

		put(s, frame, caplen, len);
		ebpf_run(insns, insn_count, s, &run);
		if (run.wrong || run.accepted != expected)
			fail_msg("'%s', packet %u (%u of %u bytes): %s, libpcap %s", what, i,
				 caplen, len,
				 run.wrong	? "forbidden"
				 : run.accepted ? "yes"
						: "no",
				 expected ? "yes" : "no");
		/* Beyond the bytes, but not beyond the packet: told, unless it matched. */
		assert_true(!run.stats[KDROP_UNDECIDED] || caplen < len);
		assert_true(!run.stats[KDROP_UNDECIDED] || !run.accepted);
		accepted += run.accepted;
	}
	free(insns);
	free(s);
	return accepted;
}

static void words_answer_as_with_libpcap(void **state)
{
	unsigned int some = 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct sock_filter *code = NULL;
		char error[256] = "";
		size_t count = 0;

		if (kernel_filter_compile(words[i], &code, &count, error, sizeof(error)))
			fail_msg("%s", error);
		some += compare(code, count, words[i]) > 0;
		free(code);
	}
	/* Most of them match some of the packets, or this would show little. */
	assert_true(some > sizeof(words) / sizeof(words[0]) * 2 / 3);
}

/* Programs that libpcap would not make, but that are allowed. */
static struct sock_filter random_insn(uint32_t *seed, size_t left)
{
	static const uint16_t codes[] = {
		BPF_LD | BPF_B | BPF_ABS,
		BPF_LD | BPF_H | BPF_ABS,
		BPF_LD | BPF_W | BPF_ABS,
		BPF_LD | BPF_B | BPF_IND,
		BPF_LD | BPF_H | BPF_IND,
		BPF_LD | BPF_W | BPF_IND,
		BPF_LD | BPF_W | BPF_LEN,
		BPF_LD | BPF_IMM,
		BPF_LD | BPF_MEM,
		BPF_LDX | BPF_W | BPF_LEN,
		BPF_LDX | BPF_IMM,
		BPF_LDX | BPF_MEM,
		BPF_LDX | BPF_B | BPF_MSH,
		BPF_ST,
		BPF_STX,
		BPF_ALU | BPF_ADD | BPF_K,
		BPF_ALU | BPF_ADD | BPF_X,
		BPF_ALU | BPF_SUB | BPF_K,
		BPF_ALU | BPF_SUB | BPF_X,
		BPF_ALU | BPF_MUL | BPF_K,
		BPF_ALU | BPF_MUL | BPF_X,
		BPF_ALU | BPF_DIV | BPF_K,
		BPF_ALU | BPF_DIV | BPF_X,
		BPF_ALU | BPF_MOD | BPF_K,
		BPF_ALU | BPF_MOD | BPF_X,
		BPF_ALU | BPF_AND | BPF_K,
		BPF_ALU | BPF_OR | BPF_X,
		BPF_ALU | BPF_XOR | BPF_X,
		BPF_ALU | BPF_LSH | BPF_K,
		BPF_ALU | BPF_LSH | BPF_X,
		BPF_ALU | BPF_RSH | BPF_K,
		BPF_ALU | BPF_RSH | BPF_X,
		BPF_ALU | BPF_NEG,
		BPF_JMP | BPF_JA,
		BPF_JMP | BPF_JEQ | BPF_K,
		BPF_JMP | BPF_JEQ | BPF_X,
		BPF_JMP | BPF_JGT | BPF_K,
		BPF_JMP | BPF_JGE | BPF_X,
		BPF_JMP | BPF_JSET | BPF_K,
		BPF_JMP | BPF_JSET | BPF_X,
		BPF_MISC | BPF_TAX,
		BPF_MISC | BPF_TXA,
		BPF_RET | BPF_A,
		BPF_RET | BPF_K,
	};
	static const uint32_t constants[] = { 0, 1, 2, 12, 14, 20, 31, 100, 511, 10239, 10240 };
	struct sock_filter f = { .code = codes[next(seed) % (sizeof(codes) / sizeof(codes[0]))] };
	bool mem = BPF_CLASS(f.code) == BPF_ST || BPF_CLASS(f.code) == BPF_STX ||
		   (BPF_CLASS(f.code) <= BPF_LDX && BPF_MODE(f.code) == BPF_MEM);

	f.k = next(seed) % 8 ? constants[next(seed) % 11] : next(seed);
	if (mem)
		f.k %= 16;
	else if (BPF_CLASS(f.code) == BPF_ALU &&
		 (BPF_OP(f.code) == BPF_LSH || BPF_OP(f.code) == BPF_RSH))
		f.k %= 32;
	else if (BPF_CLASS(f.code) == BPF_ALU)
		f.k |= 1; /* no division by 0 */
	if (BPF_CLASS(f.code) == BPF_JMP) {
		f.k = BPF_OP(f.code) == BPF_JA ? next(seed) % (uint32_t)left : f.k;
		f.jt = (uint8_t)(next(seed) % left);
		f.jf = (uint8_t)(next(seed) % left);
	}
	return f;
}

static void programs_of_any_kind_answer_as_with_libpcap(void **state)
{
	uint32_t seed = 20260701;

	for (unsigned int i = 0; i < 300; i++) {
		struct sock_filter code[48];
		size_t count = 18 + next(&seed) % 30;
		char what[32];

		/* libpcap's interpreter leaves its memory as it finds it. */
		for (uint32_t j = 0; j < 16; j++)
			code[j] = (struct sock_filter){ BPF_ST, 0, 0, j };
		for (size_t j = 16; j + 1 < count; j++)
			code[j] = random_insn(&seed, count - 1 - j);
		code[count - 1] = (struct sock_filter){ BPF_RET | BPF_A, 0, 0, 0 };
		snprintf(what, sizeof(what), "program %u", i);
		compare(code, count, what);
	}
}

static int refused(struct sock_filter first)
{
	struct sock_filter code[2] = { first, { BPF_RET | BPF_K, 0, 0, 1 } };
	struct bpf_insn *insns = NULL;
	size_t count;

	return kernel_filter_translate(code, 2, &maps, &insns, &count);
}

static void what_libpcap_never_makes_is_refused(void **state)
{
	struct bpf_insn *insns;
	size_t count;

	assert_int_equal(kernel_filter_translate(NULL, 0, &maps, &insns, &count), -EINVAL);
	assert_int_equal(refused((struct sock_filter){ BPF_JMP | BPF_JA, 0, 0, 1 }), -EINVAL);
	assert_int_equal(refused((struct sock_filter){ BPF_JMP | BPF_JA, 0, 0, ~0u }), -EINVAL);
	assert_int_equal(refused((struct sock_filter){ BPF_JMP | BPF_JEQ, 1, 0, 0 }), -EINVAL);
	assert_int_equal(refused((struct sock_filter){ BPF_ST, 0, 0, 16 }), -EINVAL);
	assert_int_equal(refused((struct sock_filter){ BPF_LD | BPF_MEM, 0, 0, 16 }), -EINVAL);
	assert_int_equal(refused((struct sock_filter){ BPF_ALU | BPF_DIV, 0, 0, 0 }), -EINVAL);
	assert_int_equal(refused((struct sock_filter){ BPF_ALU | BPF_LSH, 0, 0, 32 }), -EINVAL);
	assert_int_equal(refused((struct sock_filter){ BPF_ALU | 0xf0, 0, 0, 1 }), -EINVAL);
	assert_int_equal(refused((struct sock_filter){ BPF_MISC | 0x40, 0, 0, 1 }), -EINVAL);
	assert_int_equal(refused((struct sock_filter){ 0xffff, 0, 0, 1 }), -EINVAL);
	/* A program that does not end. */
	struct sock_filter open_end = { BPF_LD | BPF_IMM, 0, 0, 1 };
	assert_int_equal(kernel_filter_translate(&open_end, 1, &maps, &insns, &count), -EINVAL);
}

static void words_that_are_none_are_explained(void **state)
{
	struct sock_filter *code = NULL;
	char error[256] = "";
	size_t count;

	assert_int_equal(kernel_filter_compile("tcp prot 80", &code, &count, error, sizeof(error)),
			 -EINVAL);
	assert_non_null(strstr(error, "tcp prot 80"));
	assert_non_null(strstr(error, "syntax error"));
	assert_null(code);
}

static uint32_t reach_of(const char *text)
{
	struct sock_filter *code = NULL;
	char error[256];
	size_t count;
	uint32_t reach;

	assert_int_equal(kernel_filter_compile(text, &code, &count, error, sizeof(error)), 0);
	reach = kernel_filter_reach(code, count);
	free(code);
	return reach;
}

static void as_much_of_a_packet_is_copied_as_the_filter_looks_at(void **state)
{
	assert_int_equal(reach_of("arp"), 14);
	assert_int_equal(reach_of("len > 60"), 0);
	assert_int_equal(reach_of("ip host 198.18.0.1"), 34);
	/* an IPv4 header of up to 60 bytes, and the ports */
	assert_in_range(reach_of("tcp port 80"), 14 + 60 + 4, 14 + 60 + 8);
	assert_int_equal(reach_of("ether[20000] = 0"), KDROP_SNAP);
	/* where the offset comes out of the packet, all of it */
	assert_int_equal(reach_of("ip[ip[2:2]] = 1"), KDROP_SNAP);
}

/* Told apart: not in the packet (no match), and not in what there is of it (not known). */
static void a_packet_that_is_cut_is_undecided(void **state)
{
	struct kdrop_scratch *s = calloc(1, sizeof(*s));
	struct sock_filter *code = NULL;
	char error[256];
	size_t count, insn_count;
	struct bpf_insn *insns;
	struct ebpf_run run;

	assert_int_equal(
		kernel_filter_compile("ether[100] = 0", &code, &count, error, sizeof(error)), 0);
	insns = translate(code, count, &insn_count);
	s->packet.caplen_bytes = s->packet.len_bytes = 100;
	ebpf_run(insns, insn_count, s, &run);
	assert_false(run.wrong || run.accepted);
	assert_int_equal(run.stats[KDROP_UNDECIDED], 0);
	s->packet.len_bytes = 101;
	ebpf_run(insns, insn_count, s, &run);
	assert_false(run.wrong || run.accepted);
	assert_int_equal(run.stats[KDROP_UNDECIDED], 1);
	s->packet.caplen_bytes = 101;
	ebpf_run(insns, insn_count, s, &run);
	assert_true(run.accepted);
	assert_int_equal(run.stats[KDROP_UNDECIDED], 0);
	free(insns);
	free(code);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_answer_as_with_libpcap),
		cmocka_unit_test(programs_of_any_kind_answer_as_with_libpcap),
		cmocka_unit_test(what_libpcap_never_makes_is_refused),
		cmocka_unit_test(words_that_are_none_are_explained),
		cmocka_unit_test(as_much_of_a_packet_is_copied_as_the_filter_looks_at),
		cmocka_unit_test(a_packet_that_is_cut_is_undecided),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
