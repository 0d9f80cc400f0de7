/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/ebpf.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <string.h>

#define STACK_BYTES 512
#define STEPS_MOST 1000000

struct machine {
	uint64_t r[11];
	uint8_t stack[STACK_BYTES];
	struct kdrop_scratch *scratch;
	struct ebpf_run *run;
	uint64_t context;
};

static bool inside(uint64_t at, size_t bytes, const void *start, size_t room)
{
	uint64_t first = (uint64_t)(uintptr_t)start;

	return at >= first && at - first <= room && room - (at - first) >= bytes;
}

/* The memory that an access may touch, else NULL and the run is wrong. */
static void *memory(struct machine *m, uint64_t at, size_t bytes)
{
	if (inside(at, bytes, m->stack, sizeof(m->stack)) ||
	    inside(at, bytes, m->scratch, sizeof(*m->scratch)) ||
	    inside(at, bytes, m->run->stats, sizeof(m->run->stats)))
		return (void *)(uintptr_t)at;
	m->run->wrong = true;
	return NULL;
}

static size_t width(uint8_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_B:
		return 1;
	case BPF_H:
		return 2;
	case BPF_W:
		return 4;
	default:
		return 8;
	}
}

static void load(struct machine *m, const struct bpf_insn *i)
{
	uint64_t value = 0;
	void *from = memory(m, m->r[i->src_reg] + (uint64_t)(int64_t)i->off, width(i->code));

	if (from)
		memcpy(&value, from, width(i->code)); /* little-endian */
	m->r[i->dst_reg] = value;
}

static void store(struct machine *m, const struct bpf_insn *i, uint64_t value)
{
	void *to = memory(m, m->r[i->dst_reg] + (uint64_t)(int64_t)i->off, width(i->code));

	if (to)
		memcpy(to, &value, width(i->code));
}

static uint64_t alu(struct machine *m, uint8_t op, uint64_t a, uint64_t b, bool wide)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return b ? a / b : 0;
	case BPF_MOD:
		return b ? a % b : a;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return a << (b & (wide ? 63 : 31));
	case BPF_RSH:
		return a >> (b & (wide ? 63 : 31));
	case BPF_NEG:
		return -a;
	case BPF_MOV:
		return b;
	default:
		m->run->wrong = true;
		return 0;
	}
}

static void compute(struct machine *m, const struct bpf_insn *i)
{
	bool wide = BPF_CLASS(i->code) == BPF_ALU64;
	uint64_t a = m->r[i->dst_reg], b;

	if (BPF_OP(i->code) == BPF_END) {
		m->r[i->dst_reg] = i->imm == 16 ? ntohs((uint16_t)a) : ntohl((uint32_t)a);
		return;
	}
	b = BPF_SRC(i->code) == BPF_X ? m->r[i->src_reg] : (uint64_t)(int64_t)i->imm;
	if (!wide) {
		a = (uint32_t)a;
		b = (uint32_t)b;
	}
	a = alu(m, BPF_OP(i->code), a, b, wide);
	m->r[i->dst_reg] = wide ? a : (uint32_t)a;
}

static bool taken(struct machine *m, const struct bpf_insn *i)
{
	uint64_t a = m->r[i->dst_reg];
	uint64_t b = BPF_SRC(i->code) == BPF_X ? m->r[i->src_reg] : (uint64_t)(int64_t)i->imm;

	if (BPF_CLASS(i->code) == BPF_JMP32) {
		a = (uint32_t)a;
		b = (uint32_t)b;
	}
	switch (BPF_OP(i->code)) {
	case BPF_JA:
		return true;
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JLT:
		return a < b;
	case BPF_JSET:
		return a & b;
	default:
		m->run->wrong = true;
		return false;
	}
}

/* Which helper, of which map; false: the program is over (a tail call does not return). */
static bool call(struct machine *m, int helper)
{
	uint32_t *key;

	if (helper == BPF_FUNC_tail_call) {
		m->run->accepted = m->r[1] == m->context && m->r[2] == EBPF_PROGRAMS &&
				   m->r[3] == KDROP_SLOT_MATCHED;
		m->run->wrong |= !m->run->accepted;
		return false;
	}
	key = helper == BPF_FUNC_map_lookup_elem ? memory(m, m->r[2], sizeof(*key)) : NULL;
	m->r[0] = 0;
	if (key && m->r[1] == EBPF_SCRATCH && *key == 0)
		m->r[0] = (uint64_t)(uintptr_t)m->scratch;
	else if (key && m->r[1] == EBPF_STATS && *key < KDROP_STATS)
		m->r[0] = (uint64_t)(uintptr_t)&m->run->stats[*key];
	else
		m->run->wrong = true;
	for (int r = 1; r <= 5; r++)
		m->r[r] = 0xdeadbeefdeadbeef; /* a call leaves nothing there */
	return true;
}

/* One instruction; the next one's index, or -1 at the end. */
static long step(struct machine *m, const struct bpf_insn *insns, long at)
{
	const struct bpf_insn *i = &insns[at];

	switch (BPF_CLASS(i->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		compute(m, i);
		return at + 1;
	case BPF_LD:
		m->run->wrong |= i->src_reg != BPF_PSEUDO_MAP_FD;
		m->r[i->dst_reg] = (uint32_t)i->imm;
		return at + 2;
	case BPF_LDX:
		load(m, i);
		return at + 1;
	case BPF_ST:
		store(m, i, (uint64_t)(int64_t)i->imm);
		return at + 1;
	case BPF_STX:
		store(m, i, m->r[i->src_reg]);
		return at + 1;
	default:
		if (BPF_OP(i->code) == BPF_EXIT)
			return -1;
		if (BPF_OP(i->code) == BPF_CALL)
			return call(m, i->imm) ? at + 1 : -1;
		return at + 1 + (taken(m, i) ? i->off : 0);
	}
}

void ebpf_run(const struct bpf_insn *insns, size_t count, struct kdrop_scratch *scratch,
	      struct ebpf_run *run)
{
	struct machine m = { .scratch = scratch, .run = run, .context = 0xc0ffee };
	long at = 0;

	memset(run, 0, sizeof(*run));
	m.r[1] = m.context;
	m.r[10] = (uint64_t)(uintptr_t)(m.stack + sizeof(m.stack));
	while (at >= 0 && !run->wrong && run->steps++ < STEPS_MOST) {
		if ((size_t)at >= count) {
			run->wrong = true;
			return;
		}
		at = step(&m, insns, at);
	}
	run->wrong |= run->steps >= STEPS_MOST;
}
