/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/filter_jit.h"

#include <rte_bpf.h>
#include <rte_log.h>
#include <stddef.h>
#include <stdlib.h>

/* ---- where loads may go ---- */

/* The largest values that A and X can have here. */
struct bounds {
	uint64_t a, x;
};

#define ANY UINT32_MAX
#define OFFSET_MAX 0x7fffff00u /* with the width of a load this is still positive */

static uint64_t cap(uint64_t value)
{
	return value > ANY ? ANY : value; /* beyond that it wraps: it may be anything */
}

static uint64_t after_alu(const struct sock_filter *i, uint64_t a, uint64_t x)
{
	bool constant = BPF_SRC(i->code) == BPF_K;
	uint64_t v = constant ? i->k : x;

	switch (BPF_OP(i->code)) {
	case BPF_ADD:
		return cap(a + v);
	case BPF_MUL:
		return cap(a * v);
	case BPF_AND:
		return a < v ? a : v;
	case BPF_DIV:
		return constant && v ? a / v : a;
	case BPF_MOD:
		return v && a >= v ? v - 1 : a;
	case BPF_RSH:
		return constant ? a >> (v & 31) : a;
	case BPF_LSH:
		return constant ? cap(a << (v & 31)) : ANY;
	default: /* may wrap below zero, or set any bit */
		return ANY;
	}
}

static uint64_t width_max(uint16_t code)
{
	return BPF_SIZE(code) == BPF_B ? UINT8_MAX : BPF_SIZE(code) == BPF_H ? UINT16_MAX : ANY;
}

/* Bounds behind an instruction; false: a load that may go astray. */
static bool step(const struct sock_filter *i, struct bounds *b)
{
	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
		if (BPF_MODE(i->code) == BPF_ABS && i->k > OFFSET_MAX)
			return false;
		if (BPF_MODE(i->code) == BPF_IND && b->x + i->k > OFFSET_MAX)
			return false;
		b->a = BPF_MODE(i->code) == BPF_IMM ? i->k : width_max(i->code);
		return true;
	case BPF_LDX:
		if (BPF_MODE(i->code) == BPF_MSH && i->k > OFFSET_MAX)
			return false;
		b->x = BPF_MODE(i->code) == BPF_MSH   ? 60
		       : BPF_MODE(i->code) == BPF_IMM ? i->k
						      : ANY;
		return true;
	case BPF_ALU:
		b->a = after_alu(i, b->a, b->x);
		return true;
	case BPF_MISC:
		if (BPF_MISCOP(i->code) == BPF_TAX)
			b->x = b->a;
		else
			b->a = b->x;
		return true;
	default:
		return true;
	}
}

static void meet(struct bounds *at, const struct bounds *from)
{
	at->a = at->a > from->a ? at->a : from->a;
	at->x = at->x > from->x ? at->x : from->x;
}

/* Jumps go forward only: by the time an instruction is looked at, all ways to it are known. */
static bool loads_stay(const struct sock_filter *insn, uint32_t count)
{
	struct bounds *at = calloc(count, sizeof(*at)), now = { 0, 0 };
	bool good = at != NULL;

	for (uint32_t pc = 0; good && pc < count; pc++) {
		const struct sock_filter *i = &insn[pc];

		meet(&now, &at[pc]);
		good = step(i, &now);
		if (BPF_CLASS(i->code) == BPF_JMP) {
			bool always = BPF_OP(i->code) == BPF_JA;

			meet(&at[pc + 1 + (always ? i->k : i->jt)], &now);
			meet(&at[pc + 1 + (always ? i->k : i->jf)], &now);
		}
		if (BPF_CLASS(i->code) == BPF_JMP || BPF_CLASS(i->code) == BPF_RET)
			now = (struct bounds){ 0, 0 };
	}
	free(at);
	return good;
}

/* ---- into DPDK's instructions ---- */

/* Where things are: A must be register 0, and the packet 6, for the loads. All of them hold 32
 * bits, the upper ones zero. */
enum { REG_A = EBPF_REG_0, REG_ARG = EBPF_REG_1, REG_PKT = EBPF_REG_6, REG_X, REG_TMP };

#define INSNS_MAX 8u /* that one instruction becomes */
#define WORD_AT(k) ((int16_t)(-8 * ((int)(k) + 1)))

struct out {
	struct ebpf_insn *insn; /* NULL: they are only counted */
	uint32_t count;
	uint32_t filter_count;
	const uint32_t *start; /* where each instruction of the filter begins, and the end */
};

static void put(struct out *o, unsigned int code, unsigned int dst, unsigned int src, int off,
		uint32_t imm)
{
	if (o->insn)
		o->insn[o->count] = (struct ebpf_insn){ .code = (uint8_t)code,
							.dst_reg = dst & 15,
							.src_reg = src & 15,
							.off = (int16_t)off,
							.imm = (int32_t)imm };
	o->count++;
}

static void put_mov(struct out *o, unsigned int dst, unsigned int src)
{
	put(o, BPF_ALU | EBPF_MOV | BPF_X, dst, src, 0, 0);
}

static void put_const(struct out *o, unsigned int dst, uint32_t value)
{
	put(o, BPF_ALU | EBPF_MOV | BPF_K, dst, 0, 0, value);
}

/* To the filter's instruction; behind the last one is the end. */
static void put_jump(struct out *o, unsigned int code, unsigned int dst, unsigned int src,
		     uint32_t to)
{
	int off = o->insn ? (int)o->start[to] - (int)o->count - 1 : 0;

	put(o, code, dst, src, off, 0);
}

/* LEN, IMM and MEM, into A or X. */
static void put_plain_load(struct out *o, const struct sock_filter *i, unsigned int reg)
{
	switch (BPF_MODE(i->code)) {
	case BPF_LEN:
		put(o, BPF_LDX | BPF_MEM | BPF_W, reg, REG_PKT, offsetof(struct rte_mbuf, pkt_len),
		    0);
		break;
	case BPF_IMM:
		put_const(o, reg, i->k);
		break;
	default:
		put(o, BPF_LDX | BPF_MEM | EBPF_DW, reg, EBPF_REG_10, WORD_AT(i->k), 0);
		break;
	}
}

static void put_load(struct out *o, const struct sock_filter *i)
{
	if (BPF_MODE(i->code) == BPF_ABS)
		put(o, i->code, 0, 0, 0, i->k);
	else if (BPF_MODE(i->code) == BPF_IND)
		put(o, i->code, 0, REG_X, 0, i->k);
	else
		put_plain_load(o, i, REG_A);
}

static void put_msh(struct out *o, uint32_t k)
{
	put_mov(o, REG_TMP, REG_A);
	put(o, BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, k);
	put(o, BPF_ALU | BPF_AND | BPF_K, REG_A, 0, 0, 15);
	put(o, BPF_ALU | BPF_LSH | BPF_K, REG_A, 0, 0, 2);
	put_mov(o, REG_X, REG_A);
	put_mov(o, REG_A, REG_TMP);
}

static void put_alu(struct out *o, const struct sock_filter *i)
{
	bool by_x = BPF_SRC(i->code) == BPF_X;

	if (by_x && (BPF_OP(i->code) == BPF_DIV || BPF_OP(i->code) == BPF_MOD)) {
		put(o, BPF_JMP | EBPF_JNE | BPF_K, REG_X, 0, 2, 0); /* by zero: not wanted */
		put_const(o, REG_A, 0);
		put_jump(o, BPF_JMP | BPF_JA, 0, 0, o->filter_count);
	}
	put(o, i->code, REG_A, by_x ? REG_X : 0, 0, by_x ? 0 : i->k);
}

/* Constants come out of a register: they are compared without a sign, and DPDK's code for JSET with
 * a small one is wrong. */
static void put_branch(struct out *o, const struct sock_filter *i, uint32_t pc)
{
	unsigned int by = REG_X;

	if (BPF_OP(i->code) == BPF_JA) {
		put_jump(o, BPF_JMP | BPF_JA, 0, 0, pc + 1 + i->k);
		return;
	}
	if (BPF_SRC(i->code) == BPF_K) {
		put_const(o, REG_TMP, i->k);
		by = REG_TMP;
	}
	put_jump(o, BPF_JMP | BPF_OP(i->code) | BPF_X, REG_A, by, pc + 1 + i->jt);
	if (i->jf)
		put_jump(o, BPF_JMP | BPF_JA, 0, 0, pc + 1 + i->jf);
}

static void put_insn(struct out *o, const struct sock_filter *i, uint32_t pc)
{
	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
		put_load(o, i);
		break;
	case BPF_LDX:
		if (BPF_MODE(i->code) == BPF_MSH)
			put_msh(o, i->k);
		else
			put_plain_load(o, i, REG_X);
		break;
	case BPF_ST:
	case BPF_STX:
		put(o, BPF_STX | BPF_MEM | EBPF_DW, EBPF_REG_10,
		    BPF_CLASS(i->code) == BPF_ST ? REG_A : REG_X, WORD_AT(i->k), 0);
		break;
	case BPF_ALU:
		put_alu(o, i);
		break;
	case BPF_JMP:
		put_branch(o, i, pc);
		break;
	case BPF_RET:
		if (BPF_RVAL(i->code) != BPF_A)
			put_const(o, REG_A, i->k);
		put_jump(o, BPF_JMP | BPF_JA, 0, 0, o->filter_count);
		break;
	default:
		put_mov(o, BPF_MISCOP(i->code) == BPF_TAX ? REG_X : REG_A,
			BPF_MISCOP(i->code) == BPF_TAX ? REG_A : REG_X);
		break;
	}
}

/*
 * All of it; start is filled where it is not NULL. There is one exit only, at the end: all jumps go
 * forward. (DPDK makes others jump back to the first, and by a wrong distance where that is just
 * under 128 bytes.)
 */
static void put_all(struct out *o, const struct sock_filter *insn, uint32_t *start)
{
	o->count = 0;
	put(o, EBPF_ALU64 | EBPF_MOV | BPF_X, REG_PKT, REG_ARG, 0, 0);
	put_const(o, REG_A, 0);
	put_const(o, REG_X, 0);
	for (uint32_t pc = 0; pc < o->filter_count; pc++) {
		if (start)
			start[pc] = o->count;
		put_insn(o, &insn[pc], pc);
	}
	if (start)
		start[o->filter_count] = o->count;
	put(o, BPF_JMP | EBPF_EXIT, 0, 0, 0, 0);
}

static void *load(const struct sock_filter *insn, uint32_t count)
{
	uint32_t *start = calloc(count + 1, sizeof(*start));
	struct ebpf_insn *to = calloc((size_t)count * INSNS_MAX + 4, sizeof(*to));
	struct out o = { .start = start, .filter_count = count };
	struct rte_bpf *bpf = NULL;

	if (start && to) {
		struct rte_bpf_prm prm = { .ins = to,
					   .prog_arg = { .type = RTE_BPF_ARG_PTR_MBUF,
							 .size = sizeof(struct rte_mbuf),
							 .buf_size = RTE_MBUF_DEFAULT_BUF_SIZE } };

		put_all(&o, insn, start);
		o.insn = to;
		put_all(&o, insn, NULL);
		prm.nb_ins = o.count;
		bpf = o.count <= INT16_MAX ? rte_bpf_load(&prm) : NULL;
	}
	free(start);
	free(to);
	return bpf;
}

bool filter_jit_make(struct filter_jit *jit, const struct sock_filter *insn, uint32_t count)
{
	struct rte_bpf_jit code = { 0 };

	*jit = (struct filter_jit){ 0 };
	/* Which of them DPDK does not take is no news for the log. */
	rte_log_set_level_pattern("lib.bpf", RTE_LOG_EMERG);
	if (!loads_stay(insn, count))
		return false;
	jit->bpf = load(insn, count);
	if (!jit->bpf)
		return false;
	if (rte_bpf_get_jit(jit->bpf, &code) == 0 && code.func) {
		jit->fn = code.func;
		return true;
	}
	filter_jit_free(jit);
	return false;
}

void filter_jit_free(struct filter_jit *jit)
{
	if (jit->bpf)
		rte_bpf_destroy(jit->bpf);
	*jit = (struct filter_jit){ 0 };
}
