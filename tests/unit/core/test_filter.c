/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "common/testing.h"
#include "core/filter.h"

#define N(x) (sizeof(x) / sizeof((x)[0]))
#define L(code, k) BPF_STMT(code, k)
#define RET(k) BPF_STMT(BPF_RET | BPF_K, k)

static int check_one(uint16_t code, uint32_t k)
{
	struct sock_filter f[] = { { code, 0, 0, k }, RET(1) };

	return filter_check(f, 2);
}

/* What Linux's own check takes and refuses. */
static void test_check(void **state)
{
	static struct sock_filter many[FILTER_MAX_INSNS + 1];
	struct sock_filter jump[] = { BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), RET(1),
				      RET(0) };
	struct sock_filter ja[] = { L(BPF_JMP | BPF_JA, 1), RET(1), RET(0) };
	struct sock_filter no_end[] = { RET(1), L(BPF_LD | BPF_IMM, 1) };

	assert_int_equal(filter_check(jump, 0), -EINVAL);
	for (unsigned int i = 0; i < N(many); i++)
		many[i] = (struct sock_filter)RET(1);
	assert_int_equal(filter_check(many, FILTER_MAX_INSNS), 0);
	assert_int_equal(filter_check(many, FILTER_MAX_INSNS + 1), -EINVAL);
	assert_int_equal(filter_check(jump, 3), 0);
	assert_int_equal(filter_check(jump, 2), -EINVAL); /* jf leads out */
	jump[0].jt = 2;
	assert_int_equal(filter_check(jump, 3), -EINVAL);
	assert_int_equal(filter_check(ja, 3), 0);
	ja[0].k = 2;
	assert_int_equal(filter_check(ja, 3), -EINVAL);
	ja[0].k = UINT32_MAX; /* backwards */
	assert_int_equal(filter_check(ja, 3), -EINVAL);
	assert_int_equal(filter_check(no_end, 2), -EINVAL);
	assert_int_equal(check_one(BPF_ALU | BPF_DIV | BPF_K, 0), -EINVAL);
	assert_int_equal(check_one(BPF_ALU | BPF_MOD | BPF_K, 0), -EINVAL);
	assert_int_equal(check_one(BPF_ALU | BPF_DIV | BPF_X, 0), 0);
	assert_int_equal(check_one(BPF_ALU | BPF_LSH | BPF_K, 31), 0);
	assert_int_equal(check_one(BPF_ALU | BPF_LSH | BPF_K, 32), -EINVAL);
	assert_int_equal(check_one(BPF_ALU | BPF_NEG, 0), 0);
	assert_int_equal(check_one(BPF_ALU | 0xb0, 0), -EINVAL);
	assert_int_equal(check_one(BPF_ST, 15), 0);
	assert_int_equal(check_one(BPF_ST, 16), -EINVAL);
	assert_int_equal(check_one(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_IFINDEX),
			 0);
	assert_int_equal(check_one(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + 2), -EINVAL);
	assert_int_equal(check_one(BPF_LD | BPF_W | BPF_ABS, UINT32_MAX), -EINVAL);
	assert_int_equal(check_one(BPF_LD | BPF_W | BPF_MSH, 0), -EINVAL);
	for (unsigned int code = 0x100; code < 0x10000; code += 0x100)
		assert_int_equal(check_one((uint16_t)code, 0), -EINVAL);
}

static void test_check_memory(void **state)
{
	struct sock_filter unset[] = { L(BPF_LD | BPF_MEM, 3), RET(1) };
	struct sock_filter set[] = { L(BPF_ST, 3), L(BPF_LD | BPF_MEM, 3), RET(1) };
	/* One of the two ways there does not write it. */
	struct sock_filter half[] = { BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), L(BPF_ST, 3),
				      L(BPF_LD | BPF_MEM, 3), RET(1) };

	assert_int_equal(filter_check(unset, 2), -EINVAL);
	assert_int_equal(filter_check(set, 3), 0);
	assert_int_equal(filter_check(half, 4), -EINVAL);
}

static uint32_t run_on(const struct sock_filter *f, uint32_t n, const struct filter_packet *fp)
{
	assert_int_equal(filter_check(f, n), 0);
	return filter_run(f, fp);
}

/* A packet of `len` bytes 0, 1, 2... in several segments. */
static struct pkt *counting(struct worker *w, uint32_t len)
{
	struct pkt *p = pkt_alloc(w);

	for (uint32_t i = 0; i < len; i++) {
		uint8_t b = (uint8_t)i;

		assert_int_equal(pkt_append(w, p, &b, 1), 0);
	}
	return p;
}

static void test_loads(void **state)
{
	struct worker *w = test_worker();
	struct pkt *p = counting(w, 5000);
	struct filter_packet fp = { .p = p, .start = p->mbuf.data_off, .len_bytes = 5000 };
	uint32_t last = 5000 - 4, boundary = PKT_ROOM_BYTES - 2;

	struct sock_filter word[] = { L(BPF_LD | BPF_W | BPF_ABS, 0), L(BPF_RET | BPF_A, 0) };
	struct sock_filter ind[] = { L(BPF_LDX | BPF_IMM, 10), L(BPF_LD | BPF_H | BPF_IND, 2),
				     L(BPF_RET | BPF_A, 0) };
	struct sock_filter msh[] = { L(BPF_LDX | BPF_B | BPF_MSH, 0x25), L(BPF_MISC | BPF_TXA, 0),
				     L(BPF_RET | BPF_A, 0) };
	struct sock_filter len[] = { L(BPF_LD | BPF_W | BPF_LEN, 0), L(BPF_RET | BPF_A, 0) };

	assert_true(p->mbuf.nb_segs > 1);
	assert_int_equal(run_on(word, 2, &fp), 0x00010203);
	word[0].k = boundary; /* over two segments */
	assert_int_equal(run_on(word, 2, &fp),
			 (boundary & 0xff) << 24 | ((boundary + 1) & 0xff) << 16 |
				 ((boundary + 2) & 0xff) << 8 | ((boundary + 3) & 0xff));
	word[0].k = last;
	assert_int_not_equal(run_on(word, 2, &fp), 0);
	for (uint32_t k = last + 1; k < last + 10; k++) {
		word[0].k = k;
		assert_int_equal(run_on(word, 2, &fp), 0);
	}
	word[0].k = INT32_MAX;
	assert_int_equal(run_on(word, 2, &fp), 0);
	assert_int_equal(run_on(ind, 3, &fp), 0x0c0d);
	ind[0].k = UINT32_MAX; /* wraps: UINT32_MAX + 2 is 1 */
	assert_int_equal(run_on(ind, 3, &fp), 0x0102);
	assert_int_equal(run_on(msh, 3, &fp), 20);
	assert_int_equal(run_on(len, 2, &fp), 5000);
	pkt_drop(w, p, DROP_NOT_SPECIFIED);
	test_quiet(w);
	worker_free(w);
	free(w);
}

/* Data begin behind the link header; Linux's offsets reach the headers, and prefixes count. */
static void test_places(void **state)
{
	struct worker *w = test_worker();
	struct pkt *p = counting(w, 60);
	uint8_t prefix[14] = { 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6,
			       0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0x08, 0x00 };
	struct filter_packet fp = { .p = p,
				    .prefix = prefix,
				    .prefix_bytes = 14,
				    .start = p->mbuf.data_off,
				    .len_bytes = 74,
				    .data_at = 14,
				    .net_at = 14,
				    .ifindex = 7,
				    .protocol = 0x806,
				    .pkttype = 4,
				    .vlan_tci = 5,
				    .vlan_present = true };
	struct sock_filter f[] = { L(BPF_LD | BPF_H | BPF_ABS, 0), L(BPF_RET | BPF_A, 0) };
	static const struct {
		uint32_t k, value;
	} places[] = {
		{ 0, 0x0001 },
		{ (uint32_t)SKF_NET_OFF + 2, 0x0203 },
		{ (uint32_t)SKF_LL_OFF + 12, 0x0800 },
		{ (uint32_t)SKF_LL_OFF + 13, 0x0000 }, /* over the prefix's end */
		{ (uint32_t)SKF_AD_OFF + SKF_AD_IFINDEX, 7 },
		{ (uint32_t)SKF_AD_OFF + SKF_AD_PROTOCOL, 0x806 },
		{ (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE, 4 },
		{ (uint32_t)SKF_AD_OFF + SKF_AD_VLAN_TAG, 5 },
		{ (uint32_t)SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT, 1 },
		{ (uint32_t)SKF_LL_OFF + 73, 0 },
		{ 0x80000000u, 0 },
	};

	for (unsigned int i = 0; i < N(places); i++) {
		f[0].k = places[i].k;
		assert_int_equal(run_on(f, 2, &fp), places[i].value);
	}
	pkt_drop(w, p, DROP_NOT_SPECIFIED);
	worker_free(w);
	free(w);
}

static uint32_t computed(uint16_t op, uint32_t a, uint32_t x)
{
	struct filter_packet fp = { .len_bytes = 0 };
	struct sock_filter f[] = { L(BPF_LDX | BPF_IMM, x), L(BPF_LD | BPF_IMM, a),
				   L((uint16_t)(BPF_ALU | op | BPF_X), 0), L(BPF_RET | BPF_A, 0) };

	return run_on(f, 4, &fp);
}

static void test_arithmetic(void **state)
{
	assert_int_equal(computed(BPF_ADD, UINT32_MAX, 2), 1);
	assert_int_equal(computed(BPF_SUB, 1, 2), UINT32_MAX);
	assert_int_equal(computed(BPF_MUL, 1u << 31, 3), 1u << 31);
	assert_int_equal(computed(BPF_DIV, 7, 2), 3);
	assert_int_equal(computed(BPF_DIV, 7, 0), 0);
	assert_int_equal(computed(BPF_MOD, 7, 4), 3);
	assert_int_equal(computed(BPF_MOD, 7, 0), 0);
	assert_int_equal(computed(BPF_XOR, 6, 3), 5);
	assert_int_equal(computed(BPF_RSH, 0x80, 4), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),	   cmocka_unit_test(test_check_memory),
		cmocka_unit_test(test_loads),	   cmocka_unit_test(test_places),
		cmocka_unit_test(test_arithmetic),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
