/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Classic BPF to eBPF, one instruction after the other.
 *
 *   r6  the CPU's scratch (struct kdrop_scratch)       r8  A, its upper half 0
 *   r7  caplen_bytes of the packet in it               r9  X, its upper half 0
 *   r10-8 the context, r10-72.. the sixteen words M[], r10-80 the key of a look-up
 *
 * A jump's target is kept as an instruction of the classic program, or as one of the ends below,
 * until everything is written. What cannot be reached is not written: the kernel refuses it.
 */
#include "bin/weir/dropwatch/kernel_filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/kdrop.h"

#define MEM_WORDS 16u
#define AT_CONTEXT (-8)
#define AT_MEM (-72)
#define AT_KEY (-80)
#define PACKET(member)                                                                             \
	((int)(offsetof(struct kdrop_scratch, packet) + offsetof(struct kdrop_packet, member)))
/* X is at most this where only MSH sets it: the largest header of IPv4 */
#define MSH_MOST 60u

enum { R0, R1, R2, R3, R4, R5, SCRATCH, CAPLEN, A, X, FP };
enum { HELPER_LOOKUP = BPF_FUNC_map_lookup_elem, HELPER_TAIL_CALL = BPF_FUNC_tail_call };

/* Where a jump goes other than to an instruction. */
enum { END_REJECT = -1, END_SHORT = -2, END_ACCEPT = -3, END_NONE = -4, ENDS = 3 };

struct jump {
	size_t at; /* in insns */
	int to;	   /* of the classic program, or an END */
};

struct emit {
	struct bpf_insn *insns;
	size_t count, room;
	struct jump *jumps;
	size_t jump_count, jump_room;
	size_t *starts; /* by classic instruction: where it begins */
	size_t ends[ENDS];
	bool end_used[ENDS];
	int rc;
};

static void emit(struct emit *e, uint8_t code, int dst, int src, int off, int32_t imm)
{
	if (e->count == e->room) {
		size_t room = e->room ? e->room * 2 : 256;
		struct bpf_insn *more = realloc(e->insns, room * sizeof(*more));

		if (!more) {
			e->rc = -ENOMEM;
			return;
		}
		e->insns = more;
		e->room = room;
	}
	e->insns[e->count++] = (struct bpf_insn){ .code = code,
						  .dst_reg = (uint8_t)dst & 15,
						  .src_reg = (uint8_t)src & 15,
						  .off = (int16_t)off,
						  .imm = imm };
}

/* A jump whose offset comes later. */
static void emit_jump(struct emit *e, uint8_t code, int dst, int src, int32_t imm, int to)
{
	if (e->jump_count == e->jump_room) {
		size_t room = e->jump_room ? e->jump_room * 2 : 64;
		struct jump *more = realloc(e->jumps, room * sizeof(*more));

		if (!more) {
			e->rc = -ENOMEM;
			return;
		}
		e->jumps = more;
		e->jump_room = room;
	}
	if (to < 0)
		e->end_used[-to - 1] = true;
	e->jumps[e->jump_count++] = (struct jump){ e->count, to };
	emit(e, code, dst, src, 0, imm);
}

static void emit_goto(struct emit *e, int to)
{
	emit_jump(e, BPF_JMP | BPF_JA, 0, 0, 0, to);
}

static void emit_map(struct emit *e, int dst, int fd)
{
	emit(e, BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, fd);
	emit(e, 0, 0, 0, 0, 0);
}

static void emit_call(struct emit *e, int helper)
{
	emit(e, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

/* r0 = the value of key in an array */
static void emit_lookup(struct emit *e, int fd, int32_t key)
{
	emit(e, BPF_ST | BPF_MEM | BPF_W, FP, 0, AT_KEY, key);
	emit(e, BPF_ALU64 | BPF_MOV | BPF_X, R2, FP, 0, 0);
	emit(e, BPF_ALU64 | BPF_ADD | BPF_K, R2, 0, 0, AT_KEY);
	emit_map(e, R1, fd);
	emit_call(e, HELPER_LOOKUP);
}

static void emit_exit(struct emit *e)
{
	emit(e, BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, 0);
	emit(e, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void emit_count(struct emit *e, const struct kernel_filter_maps *maps, enum kdrop_stat which)
{
	emit_lookup(e, maps->stats, (int32_t)which);
	emit(e, BPF_JMP | BPF_JEQ | BPF_K, R0, 0, 3, 0);
	emit(e, BPF_LDX | BPF_MEM | BPF_DW, R1, R0, 0, 0);
	emit(e, BPF_ALU64 | BPF_ADD | BPF_K, R1, 0, 0, 1);
	emit(e, BPF_STX | BPF_MEM | BPF_DW, R0, R1, 0, 0);
}

/* ---- the beginning and the ends ---- */

static void emit_begin(struct emit *e, const struct kernel_filter_maps *maps)
{
	emit(e, BPF_STX | BPF_MEM | BPF_DW, FP, R1, AT_CONTEXT, 0);
	emit_lookup(e, maps->scratch, 0);
	emit_jump(e, BPF_JMP | BPF_JEQ | BPF_K, R0, 0, 0, END_REJECT);
	emit(e, BPF_ALU64 | BPF_MOV | BPF_X, SCRATCH, R0, 0, 0);
	emit(e, BPF_LDX | BPF_MEM | BPF_W, CAPLEN, SCRATCH, PACKET(caplen_bytes), 0);
	emit(e, BPF_ALU | BPF_MOV | BPF_K, A, 0, 0, 0);
	emit(e, BPF_ALU | BPF_MOV | BPF_K, X, 0, 0, 0);
	for (unsigned int i = 0; i < MEM_WORDS / 2; i++)
		emit(e, BPF_ST | BPF_MEM | BPF_DW, FP, 0, AT_MEM + 8 * (int)i, 0);
}

static void emit_end(struct emit *e, int end, const struct kernel_filter_maps *maps)
{
	if (!e->end_used[-end - 1])
		return;
	e->ends[-end - 1] = e->count;
	if (end == END_ACCEPT) {
		emit(e, BPF_LDX | BPF_MEM | BPF_DW, R1, FP, AT_CONTEXT, 0);
		emit_map(e, R2, maps->programs);
		emit(e, BPF_ALU64 | BPF_MOV | BPF_K, R3, 0, 0, KDROP_SLOT_MATCHED);
		emit_call(e, HELPER_TAIL_CALL);
		emit_count(e, maps, KDROP_FAILED); /* a call that succeeds does not return */
	} else if (end == END_SHORT) {
		emit(e, BPF_LDX | BPF_MEM | BPF_W, R1, SCRATCH, PACKET(len_bytes), 0);
		emit_jump(e, BPF_JMP | BPF_JGE | BPF_X, CAPLEN, R1, 0, END_REJECT);
		emit_count(e, maps, KDROP_UNDECIDED);
	}
	emit_exit(e);
}

/* ---- loads ---- */

static uint32_t size_of(uint16_t code)
{
	return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
}

/* dst = the bytes at from + offset, which were found to be there, in host order */
static void emit_load(struct emit *e, uint16_t code, int dst, int from, uint32_t offset)
{
	emit(e, (uint8_t)(BPF_LDX | BPF_MEM | BPF_SIZE(code)), dst, from,
	     PACKET(bytes) + (int)offset, 0);
	if (BPF_SIZE(code) != BPF_B)
		emit(e, BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0,
		     BPF_SIZE(code) == BPF_W ? 32 : 16);
}

/* False where no packet is long enough: then the program has jumped away. */
static bool emit_absolute(struct emit *e, uint16_t code, int dst, uint32_t k)
{
	uint32_t size = size_of(code);

	if (k > KDROP_SNAP - size) {
		emit_goto(e, END_SHORT);
		return false;
	}
	emit_jump(e, BPF_JMP | BPF_JLT | BPF_K, CAPLEN, 0, (int32_t)(k + size), END_SHORT);
	emit_load(e, code, dst, SCRATCH, k);
	return true;
}

static void emit_indirect(struct emit *e, uint16_t code, uint32_t k)
{
	uint32_t size = size_of(code);

	emit(e, BPF_ALU | BPF_MOV | BPF_K, R1, 0, 0, (int32_t)k);
	emit(e, BPF_ALU64 | BPF_ADD | BPF_X, R1, X, 0, 0);
	emit(e, BPF_ALU64 | BPF_MOV | BPF_X, R2, R1, 0, 0);
	emit(e, BPF_ALU64 | BPF_ADD | BPF_K, R2, 0, 0, (int32_t)size);
	emit_jump(e, BPF_JMP | BPF_JGT | BPF_X, R2, CAPLEN, 0, END_SHORT);
	emit_jump(e, BPF_JMP | BPF_JGT | BPF_K, R1, 0, (int32_t)(KDROP_SNAP - size), END_SHORT);
	emit(e, BPF_ALU64 | BPF_ADD | BPF_X, R1, SCRATCH, 0, 0);
	emit_load(e, code, A, R1, 0);
}

/* X = four times the low half of a byte: the length of an IPv4 header */
static void emit_msh(struct emit *e, uint32_t k)
{
	if (!emit_absolute(e, BPF_B, X, k))
		return;
	emit(e, BPF_ALU | BPF_AND | BPF_K, X, 0, 0, 15);
	emit(e, BPF_ALU | BPF_LSH | BPF_K, X, 0, 0, 2);
}

static int mem_at(uint32_t k)
{
	return AT_MEM + 4 * (int)(k % MEM_WORDS);
}

static void emit_ld(struct emit *e, const struct sock_filter *f)
{
	int dst = BPF_CLASS(f->code) == BPF_LD ? A : X;

	switch (BPF_MODE(f->code)) {
	case BPF_ABS:
		emit_absolute(e, f->code, dst, f->k);
		break;
	case BPF_IND:
		emit_indirect(e, f->code, f->k);
		break;
	case BPF_MSH:
		emit_msh(e, f->k);
		break;
	case BPF_LEN:
		emit(e, BPF_LDX | BPF_MEM | BPF_W, dst, SCRATCH, PACKET(len_bytes), 0);
		break;
	case BPF_MEM:
		emit(e, BPF_LDX | BPF_MEM | BPF_W, dst, FP, mem_at(f->k), 0);
		break;
	default: /* BPF_IMM */
		emit(e, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (int32_t)f->k);
	}
}

/* ---- the rest ---- */

static void emit_alu(struct emit *e, const struct sock_filter *f)
{
	uint8_t op = BPF_OP(f->code);

	if (op == BPF_NEG) {
		emit(e, BPF_ALU | BPF_NEG, A, 0, 0, 0);
		return;
	}
	if (BPF_SRC(f->code) == BPF_K) {
		emit(e, BPF_ALU | BPF_K | op, A, 0, 0, (int32_t)f->k);
		return;
	}
	if (op == BPF_DIV || op == BPF_MOD)
		emit_jump(e, BPF_JMP | BPF_JEQ | BPF_K, X, 0, 0, END_REJECT);
	if (op == BPF_LSH || op == BPF_RSH) { /* by 32 and more: nothing is left */
		emit(e, BPF_JMP | BPF_JLT | BPF_K, X, 0, 2, 32);
		emit(e, BPF_ALU | BPF_MOV | BPF_K, A, 0, 0, 0);
		emit(e, BPF_JMP | BPF_JA, 0, 0, 1, 0);
	}
	emit(e, BPF_ALU | BPF_X | op, A, X, 0, 0);
}

static void emit_branch(struct emit *e, const struct sock_filter *f, int at)
{
	int next = at + 1, yes = next + f->jt, no = next + f->jf;

	if (BPF_OP(f->code) == BPF_JA) {
		emit_goto(e, next + (int)f->k);
		return;
	}
	emit_jump(e, (uint8_t)(BPF_JMP32 | BPF_OP(f->code) | BPF_SRC(f->code)), A,
		  BPF_SRC(f->code) == BPF_X ? X : 0, BPF_SRC(f->code) == BPF_X ? 0 : (int32_t)f->k,
		  yes);
	if (no != next)
		emit_goto(e, no);
}

static void emit_return(struct emit *e, const struct sock_filter *f)
{
	if (BPF_RVAL(f->code) == BPF_A) {
		emit_jump(e, BPF_JMP | BPF_JEQ | BPF_K, A, 0, 0, END_REJECT);
		emit_goto(e, END_ACCEPT);
		return;
	}
	emit_goto(e, f->k ? END_ACCEPT : END_REJECT);
}

static void emit_insn(struct emit *e, const struct sock_filter *f, int at)
{
	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
	case BPF_LDX:
		emit_ld(e, f);
		break;
	case BPF_ST:
	case BPF_STX:
		emit(e, BPF_STX | BPF_MEM | BPF_W, FP, BPF_CLASS(f->code) == BPF_ST ? A : X,
		     mem_at(f->k), 0);
		break;
	case BPF_ALU:
		emit_alu(e, f);
		break;
	case BPF_JMP:
		emit_branch(e, f, at);
		break;
	case BPF_RET:
		emit_return(e, f);
		break;
	default: /* BPF_MISC */
		emit(e, BPF_ALU | BPF_MOV | BPF_X, BPF_MISCOP(f->code) == BPF_TAX ? X : A,
		     BPF_MISCOP(f->code) == BPF_TAX ? A : X, 0, 0);
	}
}

/* ---- what is accepted at all ---- */

static bool load_ok(const struct sock_filter *f)
{
	bool x = BPF_CLASS(f->code) == BPF_LDX;

	switch (BPF_MODE(f->code)) {
	case BPF_ABS:
	case BPF_IND:
		return !x && BPF_SIZE(f->code) != 0x18;
	case BPF_MSH:
		return x && BPF_SIZE(f->code) == BPF_B;
	case BPF_MEM:
		return f->k < MEM_WORDS;
	default:
		return BPF_MODE(f->code) == BPF_LEN || BPF_MODE(f->code) == BPF_IMM;
	}
}

static bool alu_ok(const struct sock_filter *f)
{
	uint8_t op = BPF_OP(f->code);
	bool k = BPF_SRC(f->code) == BPF_K;

	if (op > BPF_XOR)
		return false;
	if ((op == BPF_DIV || op == BPF_MOD) && k)
		return f->k != 0;
	return (op != BPF_LSH && op != BPF_RSH) || !k || f->k < 32;
}

static bool jump_ok(const struct sock_filter *f, size_t left)
{
	uint8_t op = BPF_OP(f->code);

	if (op == BPF_JA)
		return f->k < left;
	return (op == BPF_JEQ || op == BPF_JGT || op == BPF_JGE || op == BPF_JSET) &&
	       f->jt < left && f->jf < left;
}

/* left: how many instructions follow */
static bool insn_ok(const struct sock_filter *f, size_t left)
{
	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
	case BPF_LDX:
		return left && load_ok(f);
	case BPF_ST:
	case BPF_STX:
		return left && f->k < MEM_WORDS;
	case BPF_ALU:
		return left && alu_ok(f);
	case BPF_JMP:
		return jump_ok(f, left);
	case BPF_RET:
		return BPF_RVAL(f->code) == BPF_A || BPF_RVAL(f->code) == BPF_K;
	default:
		return left && (BPF_MISCOP(f->code) == BPF_TAX || BPF_MISCOP(f->code) == BPF_TXA);
	}
}

/* A load that can never succeed: nothing behind it is reached. */
static bool always_short(const struct sock_filter *f)
{
	bool absolute = (BPF_CLASS(f->code) == BPF_LD && BPF_MODE(f->code) == BPF_ABS) ||
			(BPF_CLASS(f->code) == BPF_LDX && BPF_MODE(f->code) == BPF_MSH);

	return absolute && f->k > KDROP_SNAP - size_of(f->code);
}

/* Jumps go forward only, so one pass finds what is reached. */
static int find_reached(const struct sock_filter *code, size_t count, bool *reached)
{
	reached[0] = true;
	for (size_t i = 0; i < count; i++) {
		const struct sock_filter *f = &code[i];

		if (!insn_ok(f, count - i - 1))
			return -EINVAL;
		if (!reached[i] || BPF_CLASS(f->code) == BPF_RET || always_short(f))
			continue;
		if (BPF_CLASS(f->code) != BPF_JMP) {
			reached[i + 1] = true;
		} else if (BPF_OP(f->code) == BPF_JA) {
			reached[i + 1 + f->k] = true;
		} else {
			reached[i + 1 + f->jt] = true;
			reached[i + 1 + f->jf] = true;
		}
	}
	return 0;
}

static int patch_jumps(struct emit *e)
{
	for (size_t i = 0; i < e->jump_count; i++) {
		const struct jump *j = &e->jumps[i];
		size_t to = j->to < 0 ? e->ends[-j->to - 1] : e->starts[j->to];
		long off = (long)to - (long)j->at - 1;

		if (off > INT16_MAX || off < INT16_MIN)
			return -E2BIG;
		e->insns[j->at].off = (int16_t)off;
	}
	return 0;
}

static void emit_all(struct emit *e, const struct sock_filter *code, size_t count,
		     const bool *reached, const struct kernel_filter_maps *maps)
{
	emit_begin(e, maps);
	for (size_t i = 0; i < count && !e->rc; i++) {
		e->starts[i] = e->count;
		if (reached[i])
			emit_insn(e, &code[i], (int)i);
	}
	/* In this order: an end may jump to one behind it. */
	emit_end(e, END_ACCEPT, maps);
	emit_end(e, END_SHORT, maps);
	emit_end(e, END_REJECT, maps);
}

uint32_t kernel_filter_reach(const struct sock_filter *code, size_t count)
{
	uint32_t reach = 0;

	for (size_t i = 0; i < count; i++) {
		uint16_t class = BPF_CLASS(code[i].code), mode = BPF_MODE(code[i].code);
		uint64_t end = 0;

		if ((class == BPF_LDX && mode != BPF_MSH) ||
		    (class == BPF_MISC && BPF_MISCOP(code[i].code) == BPF_TAX))
			return KDROP_SNAP; /* X may be anything */
		if (class == BPF_LD && (mode == BPF_ABS || mode == BPF_IND))
			end = (uint64_t)code[i].k + size_of(code[i].code) +
			      (mode == BPF_IND ? MSH_MOST : 0);
		else if (class == BPF_LDX)
			end = (uint64_t)code[i].k + 1;
		if (end > KDROP_SNAP)
			return KDROP_SNAP;
		if (end > reach)
			reach = (uint32_t)end;
	}
	return reach;
}

int kernel_filter_translate(const struct sock_filter *code, size_t count,
			    const struct kernel_filter_maps *maps, struct bpf_insn **insns,
			    size_t *insn_count)
{
	struct emit e = { .starts = calloc(count + 1, sizeof(size_t)) };
	bool *reached = calloc(count + 1, sizeof(bool));
	int rc = count == 0 || count > BPF_MAXINSNS ? -EINVAL : 0;

	if (!e.starts || !reached)
		rc = -ENOMEM;
	if (!rc)
		rc = find_reached(code, count, reached);
	if (!rc) {
		emit_all(&e, code, count, reached, maps);
		rc = e.rc ? e.rc : patch_jumps(&e);
	}
	free(reached);
	free(e.starts);
	free(e.jumps);
	if (rc) {
		free(e.insns);
		return rc;
	}
	*insns = e.insns;
	*insn_count = e.count;
	return 0;
}
