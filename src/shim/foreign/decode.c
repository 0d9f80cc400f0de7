/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What compilers and Go's assembler put behind a system call: comparing, testing, moving and
 * storing the answer, and returning. Anything else is left where it is. [Intel SDM volume 2]
 */
#include "shim/foreign/decode.h"

#define OPERAND_16 0x66
#define RET 0xc3
#define INT3 0xcc
#define NOP 0x90

/* ModRM, SIB and displacement; 0 where the operand is relative to the instruction's address. */
static size_t operand_bytes(const uint8_t *p, size_t have)
{
	size_t n = 1;
	unsigned int mod, rm;

	if (have < 1)
		return 0;
	mod = p[0] >> 6;
	rm = p[0] & 7;
	if (mod == 3)
		return 1;
	if (have < 2)
		return 0;
	if (rm == 4) {
		n++;
		if (mod == 0 && (p[1] & 7) == 5)
			n += 4;
	} else if (mod == 0 && rm == 5) {
		return 0;
	}
	if (mod == 1)
		n += 1;
	else if (mod == 2)
		n += 4;
	return n;
}

/* Bytes of immediate behind the operand; -1: not one of the instructions known. */
static int immediate_bytes(uint8_t opcode)
{
	switch (opcode) {
	case 0x01: /* add */
	case 0x29: /* sub */
	case 0x31: /* xor */
	case 0x39: /* cmp */
	case 0x3b:
	case 0x63: /* movsxd */
	case 0x85: /* test */
	case 0x89: /* mov */
	case 0x8b:
	case 0x8d: /* lea: the relative form is refused by operand_bytes() */
		return 0;
	case 0x83: /* cmp and the like with a byte */
		return 1;
	case 0x81:
	case 0xc7: /* mov */
		return 4;
	default:
		return -1;
	}
}

/* One instruction's length, 0: not to be moved. */
static size_t instruction(const uint8_t *p, size_t have)
{
	size_t prefix = have && (p[0] & 0xf0) == 0x40; /* REX */
	int immediate;
	size_t operand;

	if (have < prefix + 2)
		return 0;
	if (p[prefix] == 0x3d) /* cmp imm32, rax */
		return prefix + 5;
	if (prefix && p[1] == 0x98) /* cdqe */
		return 2;
	immediate = immediate_bytes(p[prefix]);
	if (immediate < 0)
		return 0;
	operand = operand_bytes(p + prefix + 1, have - prefix - 1);
	return operand ? prefix + 1 + operand + (size_t)immediate : 0;
}

/* Is this what stands between functions: never run, and never jumped to? */
static bool padding(const uint8_t *p, size_t have)
{
	if (have < 4)
		return false;
	if (p[0] == INT3)
		return true;
	if (p[0] == 0x0f)
		return p[1] == 0x1f;
	if (p[0] == OPERAND_16)
		return p[1] == NOP || p[1] == OPERAND_16 || p[1] == 0x2e ||
		       (p[1] == 0x0f && p[2] == 0x1f);
	return p[0] == NOP && (p[1] == INT3 || p[1] == NOP);
}

size_t decode_movable(const uint8_t *at, size_t have, size_t need)
{
	size_t n = 0;

	while (n < need) {
		size_t length;

		if (n == 1 || n == 3)
			return 0;
		if (at[n] == RET && n + 1 < need) {
			/* Behind it nothing may be that somebody needs. */
			return padding(at + n + 1, have - n - 1) ? n + 1 : 0;
		}
		length = at[n] == RET ? 1 : instruction(at + n, have - n);
		if (!length || n + length > have)
			return 0;
		n += length;
	}
	return n;
}
