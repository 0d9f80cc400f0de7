/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filters as machine code say what the interpreter says: libpcap's programs and random ones, on
 * packets whole, cut and in pieces. Programs whose loads could go astray are not taken.
 */
#include <pcap/pcap.h>
#include <string.h>
#include <time.h>

#include "common/frames.h"
#include "common/testing.h"
#include "core/filter_jit.h"

#define N(x) (sizeof(x) / sizeof((x)[0]))
#define PACKETS 500u
#ifndef PROGRAMS
#define PROGRAMS 20000u
#endif

static struct worker *w;
static struct pkt *packet[PACKETS];

static const char *const expressions[] = {
	"ip",
	"arp",
	"tcp",
	"udp",
	"icmp",
	"ip6",
	"tcp port 80",
	"port 53",
	"not port 22",
	"host 198.18.0.1",
	"src host 198.18.0.2",
	"dst net 198.18.0.0/15",
	"net 10.0.0.0/8",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
	"icmp[icmptype] == icmp-echo",
	"ip[6:2] & 0x1fff != 0",
	"len > 100",
	"less 60",
	"greater 1500",
	"portrange 1000-2000",
	"udp src port 1000 and dst port 7",
	"ip proto 17",
	"ip[8] < 64",
	"ip[2:2] > 500 and udp",
	"tcp[13] == 18 or udp[4:2] > 8",
	"host 255.255.255.255",
	"src net 128.0.0.0/1",
	"ip[12:4] > 0xc6120000",
	"udp[8:4] = 0x00000000",
	"tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
	"ip6 and tcp port 80",
	"icmp6",
	"tcp or udp and not host 198.18.0.77",
	"ip[4:2] * 3 % 7 == 2",
	"ip[4:2] / (ip[9] - 16) > 5",
	"ip host 198.18.0.2 and ip broadcast or multicast",
	"sctp port 9 or tcp port 443",
};

/* A packet of ours with these bytes, cut into segments at will. */
static struct pkt *pieces(const uint8_t *bytes, uint32_t len)
{
	struct pkt *p = pkt_alloc(w);
	uint32_t first = worker_random(w) % 3 ? len : worker_random(w) % (len + 1);

	assert_non_null(p);
	assert_int_equal(pkt_append(w, p, bytes, first), 0);
	while (first < len) {
		struct pkt *tail = pkt_alloc(w);
		uint32_t n = 1 + worker_random(w) % (len - first);

		assert_int_equal(pkt_append(w, tail, bytes + first, n), 0);
		assert_int_equal(rte_pktmbuf_chain(&p->mbuf, &tail->mbuf), 0);
		w->ledger.originated--; /* it is a part of the other one now */
		first += n;
	}
	return p;
}

static struct pkt *random_packet(void)
{
	static uint8_t frame[FRAME_ROOM], data[2000];
	uint32_t r = worker_random(w);
	struct frame_spec f = { .src_ip = FRAME_IP(198, 18, 0, r & 3),
				.dst_ip = r & 4 ? worker_random(w) : FRAME_IP(198, 18, 0, 2),
				.ttl = (uint8_t)(r >> 8),
				.id = (uint16_t)(r >> 16),
				.frag = (uint16_t)(r & 0x30 ? 0 : r >> 12),
				.options = data,
				.options_len = r & 0x40 ? (r >> 20) % 40 : 0 };
	struct frame_tcp t = { .sport = (uint16_t)(r & 0x80 ? 80 : r >> 7),
			       .dport = (uint16_t)(r & 0x100 ? 443 : 1000 + (r & 1023)),
			       .flags = (uint8_t)(r >> 3),
			       .options = data,
			       .options_len = (r >> 11) % 40 };
	size_t payload = worker_random(w) % (r & 0x200 ? 1400 : 100), len;

	for (size_t i = 0; i < payload; i++)
		data[i] = (uint8_t)worker_random(w);
	if (r % 7 == 0)
		memcpy(data, "GET ", 4);
	switch ((r >> 24) % 5) {
	case 0:
		len = frame_udp(frame, &f, t.sport, r & 1 ? 53 : 7, data, payload);
		break;
	case 1:
		len = frame_icmp(frame, &f, (uint8_t)(r & 15), 0, r, data, payload);
		break;
	case 2:
		len = frame_arp(frame, frame_broadcast, 1, data, r, data, r);
		break;
	default:
		len = frame_tcp(frame, &f, &t, data, payload);
	}
	if (r % 11 == 0)
		frame[12 + worker_random(w) % 30] = (uint8_t)r; /* spoilt */
	if (r % 5 == 0)
		len = worker_random(w) % (len + 1); /* cut */
	return pieces(frame, (uint32_t)len);
}

static int packets_make(void **state)
{
	test_eal(NULL);
	w = test_worker_sized(16384);
	for (unsigned int i = 0; i < PACKETS; i++)
		packet[i] = random_packet();
	return 0;
}

static int packets_end(void **state)
{
	for (unsigned int i = 0; i < PACKETS; i++)
		pkt_consume(w, packet[i], FATE_ABSORBED);
	test_worker_done(w);
	return 0;
}

static uint32_t interpreted(const struct sock_filter *f, const struct pkt *p)
{
	struct filter_packet fp = {
		.p = p, .start = p->mbuf.data_off, .len_bytes = pkt_len(p), .net_at = 14
	};

	return filter_run(f, &fp);
}

/* How many packets the program wants; by both the same. */
static unsigned int agree(const struct filter_jit *jit, const struct sock_filter *f,
			  const char *name)
{
	unsigned int wanted = 0;

	for (unsigned int i = 0; i < PACKETS; i++) {
		uint32_t a = interpreted(f, packet[i]), b = filter_jit_run(jit, packet[i]);

		if (a != b)
			fail_msg("%s, packet %u (%u bytes, %u segments): %u, but %u", name, i,
				 pkt_len(packet[i]), packet[i]->mbuf.nb_segs, a, b);
		wanted += a != 0;
	}
	return wanted;
}

static struct bpf_program compile(const char *text, int link)
{
	pcap_t *pcap = pcap_open_dead(link, 65535);
	struct bpf_program program;

	assert_non_null(pcap);
	if (pcap_compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN))
		program.bf_len = 0; /* nothing of it is on such a link */
	pcap_close(pcap);
	return program;
}

/* libpcap's, for frames and for IP (on frames that is noise, and as good as any). */
static void test_expressions(void **state)
{
	unsigned int taken = 0, some = 0, all = 0;

	for (unsigned int i = 0; i < 2 * N(expressions); i++) {
		const char *text = expressions[i / 2];
		struct bpf_program program;
		const struct sock_filter *f;
		struct filter_jit jit;

		program = compile(text, i % 2 ? DLT_RAW : DLT_EN10MB);
		if (!program.bf_len)
			continue;
		all++;
		f = (const struct sock_filter *)program.bf_insns;
		assert_int_equal(filter_check(f, program.bf_len), 0);
		if (filter_jit_make(&jit, f, program.bf_len)) {
			unsigned int wanted = agree(&jit, f, text);

			taken++;
			some += i % 2 == 0 && wanted && wanted < PACKETS;
		}
		filter_jit_free(&jit);
		pcap_freecode(&program);
	}
	assert_true(all > 2 * N(expressions) - 4 && taken > all - 8);
	assert_true(some > 20);
}

/* An instruction of any kind, with numbers that matter. */
static struct sock_filter random_insn(uint32_t left)
{
	static const uint16_t codes[] = {
		BPF_LD | BPF_W | BPF_ABS,
		BPF_LD | BPF_H | BPF_ABS,
		BPF_LD | BPF_B | BPF_ABS,
		BPF_LD | BPF_W | BPF_IND,
		BPF_LD | BPF_H | BPF_IND,
		BPF_LD | BPF_B | BPF_IND,
		BPF_LD | BPF_W | BPF_LEN,
		BPF_LD | BPF_IMM,
		BPF_LDX | BPF_W | BPF_LEN,
		BPF_LDX | BPF_B | BPF_MSH,
		BPF_LDX | BPF_IMM,
		BPF_LD | BPF_MEM,
		BPF_LDX | BPF_MEM,
		BPF_ST,
		BPF_STX,
		BPF_ALU | BPF_ADD | BPF_K,
		BPF_ALU | BPF_SUB | BPF_X,
		BPF_ALU | BPF_MUL | BPF_K,
		BPF_ALU | BPF_DIV | BPF_X,
		BPF_ALU | BPF_MOD | BPF_X,
		BPF_ALU | BPF_AND | BPF_K,
		BPF_ALU | BPF_OR | BPF_X,
		BPF_ALU | BPF_XOR | BPF_K,
		BPF_ALU | BPF_LSH | BPF_X,
		BPF_ALU | BPF_RSH | BPF_K,
		BPF_ALU | BPF_RSH | BPF_X,
		BPF_ALU | BPF_NEG,
		BPF_ALU | BPF_DIV | BPF_K,
		BPF_ALU | BPF_MOD | BPF_K,
		BPF_ALU | BPF_ADD | BPF_X,
		BPF_JMP | BPF_JA,
		BPF_JMP | BPF_JEQ | BPF_K,
		BPF_JMP | BPF_JGT | BPF_X,
		BPF_JMP | BPF_JGE | BPF_K,
		BPF_JMP | BPF_JSET | BPF_K,
		BPF_JMP | BPF_JEQ | BPF_X,
		BPF_JMP | BPF_JGT | BPF_K,
		BPF_MISC | BPF_TAX,
		BPF_MISC | BPF_TXA,
		BPF_RET | BPF_A,
		BPF_RET | BPF_K,
	};
	static const uint32_t numbers[] = { 0,	   1,	       2,	   4,	       14,
					    60,	   0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe,
					    0x800, 0xc6120001, 12,	   255,	       31 };
	uint32_t r = worker_random(w);
	struct sock_filter i = { .code = codes[r % N(codes)] };

	i.k = r & 0x100000 ? worker_random(w) % 70 : numbers[(r >> 8) % N(numbers)];
	if (BPF_CLASS(i.code) == BPF_ST || BPF_CLASS(i.code) == BPF_STX ||
	    (BPF_CLASS(i.code) <= BPF_LDX && BPF_MODE(i.code) == BPF_MEM))
		i.k %= BPF_MEMWORDS;
	if (i.code == (BPF_JMP | BPF_JA))
		i.k %= left;
	if (BPF_CLASS(i.code) == BPF_JMP) {
		i.jt = (uint8_t)(worker_random(w) % (left < 8 ? left : 8));
		i.jf = (uint8_t)(worker_random(w) % left);
	}
	return i;
}

static void test_random_programs(void **state)
{
	unsigned int taken = 0, sound = 0;

	for (unsigned int n = 0; n < PROGRAMS; n++) {
		uint32_t count = 2 + worker_random(w) % (n % 8 ? 14 : 62);
		struct sock_filter f[64];
		struct filter_jit jit;
		char name[32];

		for (uint32_t i = 0; i + 1 < count; i++)
			f[i] = random_insn(count - 1 - i);
		f[count - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
		if (filter_check(f, count))
			continue;
		sound++;
		snprintf(name, sizeof(name), "random program %u", n);
		if (filter_jit_make(&jit, f, count)) {
			agree(&jit, f, name);
			taken++;
		}
		filter_jit_free(&jit);
	}
	assert_true(sound > PROGRAMS / 4 && taken > sound / 4);
}

/* Offsets that a packet, or the program, could make large. */
static void test_what_is_not_taken(void **state)
{
	struct sock_filter far[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0x7fffff01),
				     BPF_STMT(BPF_RET | BPF_A, 0) };
	struct sock_filter by_packet[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
					   BPF_STMT(BPF_MISC | BPF_TAX, 0),
					   BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0),
					   BPF_STMT(BPF_RET | BPF_A, 0) };
	struct sock_filter back[] = { BPF_STMT(BPF_LDX | BPF_IMM, 2),
				      BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0xfffffff0),
				      BPF_STMT(BPF_RET | BPF_A, 0) };
	struct sock_filter one_way[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
					 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1),
					 BPF_STMT(BPF_MISC | BPF_TAX, 0),
					 BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
					 BPF_STMT(BPF_RET | BPF_A, 0) };
	struct sock_filter linux_load[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						     SKF_AD_OFF + SKF_AD_IFINDEX),
					    BPF_STMT(BPF_RET | BPF_A, 0) };
	struct bpf_program deep = compile("ether[ether[0:4]] = 1", DLT_EN10MB);
	struct filter_jit jit;

	assert_false(filter_jit_make(&jit, far, N(far)));
	far[0].k = 0x7fffff00;
	assert_true(filter_jit_make(&jit, far, N(far)));
	assert_int_equal(agree(&jit, far, "far"), 0);
	filter_jit_free(&jit);
	assert_false(filter_jit_make(&jit, by_packet, N(by_packet)));
	by_packet[0].code = BPF_LD | BPF_H | BPF_ABS; /* not over 65535 */
	assert_true(filter_jit_make(&jit, by_packet, N(by_packet)));
	agree(&jit, by_packet, "by packet");
	filter_jit_free(&jit);
	assert_false(filter_jit_make(&jit, back, N(back)));
	assert_false(filter_jit_make(&jit, one_way, N(one_way)));
	assert_false(filter_jit_make(&jit, linux_load, N(linux_load)));
	assert_false(filter_jit_make(&jit, (struct sock_filter *)deep.bf_insns, deep.bf_len));
	filter_jit_free(&jit);
	pcap_freecode(&deep);
}

/* Not a test: what both cost, for who asks (an argument). */
static void measure(void)
{
	static const char *const some[] = { "ip", "tcp port 80",
					    "host 198.18.0.77 and udp port 53" };

	packets_make(NULL);
	for (unsigned int i = 0; i < N(some); i++) {
		struct bpf_program program = compile(some[i], DLT_EN10MB);
		const struct sock_filter *f = (const struct sock_filter *)program.bf_insns;
		struct filter_jit jit;
		uint64_t ns[2], sums[2];

		assert_true(filter_jit_make(&jit, f, program.bf_len));
		for (int how = 0; how < 2; how++) {
			struct timespec a, b;
			uint64_t sum = 0;

			clock_gettime(CLOCK_MONOTONIC, &a);
			for (unsigned int n = 0; n < 2000000; n++)
				sum += how ? filter_jit_run(&jit, packet[n % 64])
					   : interpreted(f, packet[n % 64]);
			clock_gettime(CLOCK_MONOTONIC, &b);
			sums[how] = sum;
			ns[how] = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000u +
				  (uint64_t)b.tv_nsec - (uint64_t)a.tv_nsec;
		}
		assert_int_equal(sums[0], sums[1]);
		printf("%s: interpreter %.1f ns, machine code %.1f ns\n", some[i],
		       (double)ns[0] / 2e6, (double)ns[1] / 2e6);
		filter_jit_free(&jit);
		pcap_freecode(&program);
	}
	packets_end(NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_random_programs),
		cmocka_unit_test(test_what_is_not_taken),
	};

	if (argc > 1) {
		measure();
		return 0;
	}
	return cmocka_run_group_tests(tests, packets_make, packets_end);
}
