/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/filter.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* ---- the check ---- */

/* The ancillary loads there are. */
static bool ancillary_known(uint32_t k)
{
	switch (k - (uint32_t)SKF_AD_OFF) {
	case SKF_AD_PROTOCOL:
	case SKF_AD_PKTTYPE:
	case SKF_AD_IFINDEX:
	case SKF_AD_MARK:
	case SKF_AD_QUEUE:
	case SKF_AD_HATYPE:
	case SKF_AD_RXHASH:
	case SKF_AD_CPU:
	case SKF_AD_ALU_XOR_X:
	case SKF_AD_VLAN_TAG:
	case SKF_AD_VLAN_TAG_PRESENT:
	case SKF_AD_VLAN_TPID:
	case SKF_AD_RANDOM:
		return true;
	default:
		return false;
	}
}

static bool load_ok(const struct sock_filter *i)
{
	switch (i->code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
		return i->k < (uint32_t)SKF_AD_OFF || ancillary_known(i->k);
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_B | BPF_MSH:
	case BPF_LDX | BPF_IMM:
		return true;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return i->k < BPF_MEMWORDS;
	default:
		return false;
	}
}

static bool alu_ok(const struct sock_filter *i)
{
	bool constant = BPF_SRC(i->code) == BPF_K;

	if (i->code & ~(uint16_t)0xff)
		return false;
	switch (BPF_OP(i->code)) {
	case BPF_ADD:
	case BPF_SUB:
	case BPF_MUL:
	case BPF_OR:
	case BPF_AND:
	case BPF_XOR:
		return true;
	case BPF_DIV:
	case BPF_MOD:
		return !constant || i->k != 0;
	case BPF_LSH:
	case BPF_RSH:
		return !constant || i->k < 32;
	case BPF_NEG:
		return constant;
	default:
		return false;
	}
}

/* left: instructions behind this one. */
static bool jump_ok(const struct sock_filter *i, uint32_t left)
{
	switch (i->code) {
	case BPF_JMP | BPF_JA:
		return i->k < left;
	case BPF_JMP | BPF_JEQ | BPF_K:
	case BPF_JMP | BPF_JEQ | BPF_X:
	case BPF_JMP | BPF_JGT | BPF_K:
	case BPF_JMP | BPF_JGT | BPF_X:
	case BPF_JMP | BPF_JGE | BPF_K:
	case BPF_JMP | BPF_JGE | BPF_X:
	case BPF_JMP | BPF_JSET | BPF_K:
	case BPF_JMP | BPF_JSET | BPF_X:
		return i->jt < left && i->jf < left;
	default:
		return false;
	}
}

static bool return_ok(uint16_t code)
{
	return code == (BPF_RET | BPF_K) || code == (BPF_RET | BPF_A);
}

static bool insn_ok(const struct sock_filter *i, uint32_t left)
{
	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
	case BPF_LDX:
	case BPF_ST:
	case BPF_STX:
		return load_ok(i);
	case BPF_ALU:
		return alu_ok(i);
	case BPF_JMP:
		return jump_ok(i, left);
	case BPF_RET:
		return return_ok(i->code);
	default:
		return i->code == (BPF_MISC | BPF_TAX) || i->code == (BPF_MISC | BPF_TXA);
	}
}

/* A word of the scratch memory may be read only where every way there has written it. known[pc]:
 * the words that are written on all ways that lead to pc. */
static int memory_check(const struct sock_filter *insn, uint32_t count)
{
	uint16_t known[FILTER_MAX_INSNS], now = 0;

	memset(known, 0xff, count * sizeof(known[0]));
	for (uint32_t pc = 0; pc < count; pc++) {
		const struct sock_filter *i = &insn[pc];

		now &= known[pc];
		switch (BPF_CLASS(i->code)) {
		case BPF_ST:
		case BPF_STX:
			now |= (uint16_t)(1u << i->k);
			break;
		case BPF_LD:
		case BPF_LDX:
			if (BPF_MODE(i->code) == BPF_MEM && !(now & 1u << i->k))
				return -EINVAL;
			break;
		case BPF_JMP:
			if (BPF_OP(i->code) == BPF_JA) {
				known[pc + 1 + i->k] &= now;
			} else {
				known[pc + 1 + i->jt] &= now;
				known[pc + 1 + i->jf] &= now;
			}
			now = 0xffff;
			break;
		default:
			break;
		}
	}
	return 0;
}

int filter_check(const struct sock_filter *insn, uint32_t count)
{
	if (count == 0 || count > FILTER_MAX_INSNS)
		return -EINVAL;
	for (uint32_t pc = 0; pc < count; pc++) {
		if (!insn_ok(&insn[pc], count - 1 - pc))
			return -EINVAL;
	}
	if (BPF_CLASS(insn[count - 1].code) != BPF_RET)
		return -EINVAL;
	return memory_check(insn, count);
}

/* ---- the run ---- */

bool filter_packet_copy(const struct filter_packet *fp, uint32_t at, void *to, uint32_t len)
{
	uint8_t *out = to;
	uint32_t n = 0;

	if (at > fp->len_bytes || len > fp->len_bytes - at)
		return false;
	if (at < fp->prefix_bytes) {
		n = fp->prefix_bytes - at < len ? fp->prefix_bytes - at : len;
		memcpy(out, fp->prefix + at, n);
	}
	if (n < len)
		pkt_copy_out(fp->p, fp->start + (at + n - fp->prefix_bytes), out + n, len - n);
	return true;
}

/* size bytes (1, 2, 4) at an offset that may be one of Linux's negative ones. */
static bool load(const struct filter_packet *fp, uint32_t k, uint32_t size, uint32_t *value)
{
	uint64_t at;
	uint8_t b[4];

	if ((int32_t)k >= 0)
		at = (uint64_t)fp->data_at + k;
	else if (k >= (uint32_t)SKF_NET_OFF)
		at = (uint64_t)fp->net_at + (k - (uint32_t)SKF_NET_OFF);
	else if (k >= (uint32_t)SKF_LL_OFF)
		at = k - (uint32_t)SKF_LL_OFF;
	else
		return false;
	if (at > fp->len_bytes || !filter_packet_copy(fp, (uint32_t)at, b, size))
		return false;
	*value = 0;
	for (uint32_t i = 0; i < size; i++)
		*value = *value << 8 | b[i];
	return true;
}

static uint32_t ancillary(const struct filter_packet *fp, uint32_t k, uint32_t a, uint32_t x)
{
	switch (k - (uint32_t)SKF_AD_OFF) {
	case SKF_AD_PROTOCOL:
		return fp->protocol;
	case SKF_AD_PKTTYPE:
		return fp->pkttype;
	case SKF_AD_IFINDEX:
		return fp->ifindex;
	case SKF_AD_HATYPE:
		return fp->hatype;
	case SKF_AD_CPU:
		return fp->cpu;
	case SKF_AD_ALU_XOR_X:
		return a ^ x;
	case SKF_AD_VLAN_TAG:
		return fp->vlan_tci;
	case SKF_AD_VLAN_TAG_PRESENT:
		return fp->vlan_present;
	case SKF_AD_VLAN_TPID:
		return fp->vlan_tpid;
	case SKF_AD_RANDOM:
		return fp->random;
	default: /* mark, queue, hash: there are none */
		return 0;
	}
}

static uint32_t size_of(uint16_t code)
{
	return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
}

/* False: division by zero, which ends the program. */
static bool alu(uint16_t code, uint32_t *a, uint32_t v)
{
	switch (BPF_OP(code)) {
	case BPF_ADD:
		*a += v;
		return true;
	case BPF_SUB:
		*a -= v;
		return true;
	case BPF_MUL:
		*a *= v;
		return true;
	case BPF_OR:
		*a |= v;
		return true;
	case BPF_AND:
		*a &= v;
		return true;
	case BPF_XOR:
		*a ^= v;
		return true;
	case BPF_LSH:
		*a <<= v & 31;
		return true;
	case BPF_RSH:
		*a >>= v & 31;
		return true;
	case BPF_NEG:
		*a = -*a;
		return true;
	case BPF_DIV:
		if (v)
			*a /= v;
		return v != 0;
	default: /* BPF_MOD */
		if (v)
			*a %= v;
		return v != 0;
	}
}

static bool jumps(uint16_t code, uint32_t a, uint32_t v)
{
	switch (BPF_OP(code)) {
	case BPF_JEQ:
		return a == v;
	case BPF_JGT:
		return a > v;
	case BPF_JGE:
		return a >= v;
	default: /* BPF_JSET */
		return a & v;
	}
}

struct machine {
	uint32_t a, x, mem[BPF_MEMWORDS];
};

/* BPF_LD. False: beyond the packet. */
static bool run_ld(struct machine *m, const struct sock_filter *i, const struct filter_packet *fp)
{
	switch (BPF_MODE(i->code)) {
	case BPF_ABS:
		if (i->k >= (uint32_t)SKF_AD_OFF) {
			m->a = ancillary(fp, i->k, m->a, m->x);
			return true;
		}
		return load(fp, i->k, size_of(i->code), &m->a);
	case BPF_IND:
		return load(fp, m->x + i->k, size_of(i->code), &m->a);
	case BPF_LEN:
		m->a = fp->len_bytes - fp->data_at;
		return true;
	case BPF_IMM:
		m->a = i->k;
		return true;
	default: /* BPF_MEM */
		m->a = m->mem[i->k];
		return true;
	}
}

static bool run_ldx(struct machine *m, const struct sock_filter *i, const struct filter_packet *fp)
{
	uint32_t v;

	switch (BPF_MODE(i->code)) {
	case BPF_MSH:
		if (!load(fp, i->k, 1, &v))
			return false;
		m->x = (v & 15) * 4;
		return true;
	case BPF_LEN:
		m->x = fp->len_bytes - fp->data_at;
		return true;
	case BPF_IMM:
		m->x = i->k;
		return true;
	default: /* BPF_MEM */
		m->x = m->mem[i->k];
		return true;
	}
}

uint32_t filter_run(const struct sock_filter *i, const struct filter_packet *fp)
{
	struct machine m = { 0, 0, { 0 } };

	for (;; i++) {
		uint32_t v = BPF_SRC(i->code) == BPF_X ? m.x : i->k;

		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
			if (!run_ld(&m, i, fp))
				return 0;
			break;
		case BPF_LDX:
			if (!run_ldx(&m, i, fp))
				return 0;
			break;
		case BPF_ST:
			m.mem[i->k] = m.a;
			break;
		case BPF_STX:
			m.mem[i->k] = m.x;
			break;
		case BPF_ALU:
			if (!alu(i->code, &m.a, v))
				return 0;
			break;
		case BPF_JMP:
			if (BPF_OP(i->code) == BPF_JA)
				i += i->k;
			else
				i += jumps(i->code, m.a, v) ? i->jt : i->jf;
			break;
		case BPF_RET:
			return BPF_RVAL(i->code) == BPF_A ? m.a : i->k;
		default: /* BPF_MISC */
			if (BPF_MISCOP(i->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
			break;
		}
	}
}
