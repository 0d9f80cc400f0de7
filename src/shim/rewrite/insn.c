/* SPDX-License-Identifier: BSD-3-Clause */
/* How long a machine instruction is (64-bit mode): enough to walk over compiled code. */
#include "shim/rewrite/insn.h"

#define REX_W 0x08

struct insn {
	const uint8_t *p, *end;
	bool operand16; /* prefix 66 */
	bool wide;	/* REX.W */
};

/* The bytes of modrm, SIB and displacement at p. */
static size_t modrm_length(const uint8_t *p, const uint8_t *end)
{
	unsigned int mod, rm;
	size_t n = 1;

	if (p >= end)
		return 16;
	mod = *p >> 6;
	rm = *p & 7;
	if (mod == 3)
		return 1;
	if (rm == 4) {
		n++;
		if (p + 1 < end && mod == 0 && (p[1] & 7) == 5)
			n += 4;
	} else if (rm == 5 && mod == 0) {
		n += 4;
	}
	return n + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

enum {
	NOTHING = 0,
	BYTE = 1,
	WORD = 2,
	FULL = 4, /* 32 bits, or 16 with prefix 66 */
	MODRM = 8,
	GROUP3 = 16, /* an immediate with the first two of the group only */
	MOV = 32,
	MOFFS = 64,
	BAD = 128,
};

static unsigned int operands_of(char letter)
{
	switch (letter) {
	case '.':
		return NOTHING;
	case 'b':
		return BYTE;
	case 'w':
		return WORD;
	case 'e': /* enter */
		return WORD | BYTE;
	case 'v':
		return FULL;
	case 'm':
		return MODRM;
	case 'B':
		return MODRM | BYTE;
	case 'V':
		return MODRM | FULL;
	case 'g':
		return MODRM | GROUP3 | BYTE;
	case 'G':
		return MODRM | GROUP3 | FULL;
	case 'o':
		return MOV;
	case 'a':
		return MOFFS;
	default:
		return BAD;
	}
}

/* What follows a one-byte opcode; a letter for each, of operands_of(), a row for sixteen. */
static unsigned int operands(uint8_t op)
{
	static const char first_rows[] = "mmmmbvxx";
	static const char rows[] = "xxxxxxxxxxxxxxxx"  /* 40 */
				   "................"  /* 50 */
				   "xxxmxxxxvVbB...."  /* 60 */
				   "bbbbbbbbbbbbbbbb"  /* 70 */
				   "BVxBmmmmmmmmmmmm"  /* 80 */
				   "..........x....."  /* 90 */
				   "aaaa....bv......"  /* a0 */
				   "bbbbbbbboooooooo"  /* b0 */
				   "BBw.xxBVe.w..bx."  /* c0 */
				   "mmmmxxx.mmmmmmmm"  /* d0 */
				   "bbbbbbbbvvxb...."  /* e0 */
				   "x.xx..gG......mm"; /* f0 */

	return operands_of(op < 0x40 ? first_rows[op & 7] : rows[op - 0x40]);
}

/* The length behind an opcode with these operands; p is behind the opcode. */
static size_t rest_length(const struct insn *in, unsigned int what)
{
	size_t n = 0;

	if (what & MODRM)
		n += modrm_length(in->p, in->end);
	if ((what & GROUP3) && in->p < in->end && ((*in->p >> 3) & 7) > 1)
		return n; /* only `test` has an immediate */
	if (what & BYTE)
		n++;
	if (what & WORD)
		n += 2;
	if (what & FULL)
		n += in->operand16 ? 2 : 4;
	if (what & MOV)
		n += in->wide ? 8 : in->operand16 ? 2 : 4;
	if (what & MOFFS)
		n += 8;
	return n;
}

/* The second map, behind 0f. */
static unsigned int operands_0f(uint8_t op)
{
	if (op >= 0x80 && op <= 0x8f)
		return FULL;
	if ((op >= 0x30 && op <= 0x37) || (op >= 0xc8 && op <= 0xcf) ||
	    (op >= 0xa0 && op <= 0xa2) || (op >= 0xa8 && op <= 0xaa) || op == 0x05 || op == 0x06 ||
	    op == 0x08 || op == 0x09 || op == 0x0b || op == 0x77)
		return NOTHING;
	if ((op >= 0x70 && op <= 0x73) || op == 0xa4 || op == 0xac || op == 0xba || op == 0xc2 ||
	    (op >= 0xc4 && op <= 0xc6))
		return MODRM | BYTE;
	return MODRM;
}

static bool is_prefix(uint8_t c)
{
	return c == 0x66 || c == 0xf2 || c == 0xf3 || c == 0xf0 || c == 0x64 || c == 0x65 ||
	       c == 0x67 || c == 0x2e || c == 0x36 || c == 0x3e || c == 0x26;
}

/* VEX (c4, c5) and EVEX (62): the prefix and opcode, then modrm, and a byte in the third map. */
static size_t vector_length(const struct insn *in)
{
	size_t prefix = *in->p == 0xc5 ? 2 : *in->p == 0xc4 ? 3 : 4;
	const uint8_t *op = in->p + prefix;
	unsigned int map = prefix == 2 ? 1 : in->p[1] & (prefix == 3 ? 0x1f : 0x07);
	struct insn rest = *in;
	unsigned int what;

	if (op >= in->end)
		return 0;
	rest.p = op + 1;
	rest.operand16 = false;
	what = map == 1 ? operands_0f(*op) : map == 3 ? MODRM | BYTE : MODRM;
	return prefix + 1 + rest_length(&rest, what);
}

static size_t opcode_length(struct insn *in)
{
	uint8_t op = *in->p++;
	unsigned int what;

	if (op != 0x0f) {
		what = operands(op);
		return what == BAD ? 0 : 1 + rest_length(in, what);
	}
	if (in->p >= in->end)
		return 0;
	op = *in->p++;
	if (op == 0x38 || op == 0x3a) {
		in->p++;
		return 3 + rest_length(in, op == 0x3a ? MODRM | BYTE : MODRM);
	}
	if (op >= 0x80 && op <= 0x8f)
		in->operand16 = false; /* jumps are always 32 bits wide */
	return 2 + rest_length(in, operands_0f(op));
}

size_t insn_length(const uint8_t *p, const uint8_t *end)
{
	struct insn in = { .p = p, .end = end };
	size_t n;

	while (in.p < end && is_prefix(*in.p)) {
		in.operand16 |= *in.p == 0x66;
		in.p++;
	}
	if (in.p < end && (*in.p & 0xf0) == 0x40)
		in.wide = *in.p++ & REX_W;
	if (in.p >= end)
		return 0;
	n = (size_t)(in.p - p);
	if (*in.p == 0xc4 || *in.p == 0xc5 || *in.p == 0x62) {
		size_t v = vector_length(&in);

		n = v ? n + v : 0;
	} else {
		size_t v = opcode_length(&in);

		n = v ? n + v : 0;
	}
	return n <= 15 && n <= (size_t)(end - p) ? n : 0;
}
