/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding system-call sites in machine code, without a disassembler: the byte sequences looked for
 * are long enough not to occur by chance, and a doubtful one is left alone.
 */
#include "shim/rewrite/insn.h"
#include "shim/rewrite/pairs.h"
#include "shim/rewrite/rewrite.h"

#include <string.h>

#define LOOK_BACK 64	  /* how far before `syscall` its number is looked for */
#define NUMBER_BOUND 1024 /* no call has a higher one */
#define SHORT_REACH 130	  /* of a short jump, from its first byte */
#define SYNC_BYTES 96	  /* walking from anywhere finds the boundaries of instructions within */

static int32_t load32(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* mov $imm32, %eax at p, with a possible number: it, or -1. */
static int32_t mov_eax(const uint8_t *p)
{
	int32_t number = load32(p + 1);

	return p[0] == 0xb8 && number >= 0 && number < NUMBER_BOUND ? number : -1;
}

/* The number that rax has at a `syscall`, loaded a few instructions earlier; -1: not seen. */
static int32_t loaded_number(const uint8_t *text, const uint8_t *at)
{
	const uint8_t *first = at - text > LOOK_BACK ? at - LOOK_BACK : text + 1;

	if (at - text >= 2 && at[-2] == 0x31 && at[-1] == 0xc0) /* xor %eax, %eax */
		return 0;
	for (const uint8_t *p = at - 6; p >= first; p--) {
		/* With a prefix it is another register's. */
		if (mov_eax(p) >= 0 && (p[-1] & 0xf0) != 0x40)
			return mov_eax(p);
	}
	return -1;
}

/* Bytes of a comparison with -4096 (or -4095) at p; 0: there is none. */
static size_t compare_length(const uint8_t *p, const uint8_t *end)
{
	size_t prefix = end - p >= 6 && p[0] == 0x48;
	uint32_t value;

	if (end - p < 6 || p[prefix] != 0x3d)
		return 0;
	value = (uint32_t)load32(p + prefix + 1);
	return value == 0xfffff000u || value == 0xfffff001u ? prefix + 5 : 0;
}

/* The form that replaces the comparison, for the `syscall` at p. */
static bool loaded_form(uint8_t *text, size_t bytes, uint8_t *p, struct rewrite_site *site)
{
	size_t compare = compare_length(p + 2, text + bytes);

	if (!compare)
		return false;
	*site = (struct rewrite_site){ .at = p,
				       .length = (uint8_t)(2 + compare),
				       .number = loaded_number(text, p),
				       .loaded = true };
	return true;
}

/* A site at the `syscall` instruction p? */
static bool site_at(uint8_t *text, size_t bytes, uint8_t *p, struct rewrite_site *site)
{
	int32_t number = p - text >= 5 ? mov_eax(p - 5) : -1;

	if (number < 0 || (p - text >= 6 && (p[-6] & 0xf0) == 0x40 && p[-6] != 0x48))
		return loaded_form(text, bytes, p, site);
	*site = (struct rewrite_site){ .at = p - 5, .length = 7, .number = number };
	return true;
}

static size_t find_all(uint8_t *text, size_t bytes, struct rewrite_site *sites, size_t max,
		       size_t *left)
{
	size_t n = 0;

	for (size_t at = 0; at + BLOCK + 1 <= bytes; at += BLOCK) {
		uint64_t found = pairs(text + at, 0x0f, 0x05, 0xff);

		for (; found; found &= found - 1) {
			uint8_t *p = text + at + __builtin_ctzll(found);
			struct rewrite_site site;

			if (!site_at(text, bytes, p, &site) ||
			    rewrite_class(site.number) == REWRITE_NONE)
				continue;
			if (n < max)
				sites[n++] = site;
			else
				++*left;
		}
	}
	return n;
}

/* ---- jumps into a site ---- */

/* The site that target is inside of, behind its first byte; NULL: none. */
static struct rewrite_site *inside(struct rewrite_site *sites, size_t n, const uint8_t *target)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (target <= sites[mid].at)
			high = mid;
		else if (target >= sites[mid].at + sites[mid].length)
			low = mid + 1;
		else
			return &sites[mid];
	}
	return NULL;
}

/* The sites, with a filter that says at once where none is: a bit for each 64 bytes, modulo. */
struct sieve {
	struct rewrite_site *sites;
	size_t n;
	uint64_t blocks[64];
};

static void sieve_add(struct sieve *sieve, const uint8_t *p)
{
	uintptr_t block = (uintptr_t)p >> 6;

	sieve->blocks[block >> 6 & 63] |= 1ull << (block & 63);
}

/* Something may go to target: a site that has its inside there is none. */
static inline void forbid(struct sieve *sieve, const uint8_t *target)
{
	uintptr_t block = (uintptr_t)target >> 6;
	struct rewrite_site *site;

	if (!(sieve->blocks[block >> 6 & 63] >> (block & 63) & 1))
		return;
	site = inside(sieve->sites, sieve->n, target);
	if (site)
		site->number = -1;
}

static bool is_short_jump(const uint8_t *p)
{
	return (p[0] & 0xf0) == 0x70 || p[0] == 0xeb || (p[0] & 0xfc) == 0xe0;
}

static bool jumps_into(const struct rewrite_site *site, const uint8_t *p)
{
	const uint8_t *target = p + 2 + (int8_t)p[1];

	return target > site->at && target < site->at + site->length && is_short_jump(p);
}

/* Does an instruction of [p, to) jump into the site? Where walking fails, any byte counts as one.
 */
static bool jumps_short(const struct rewrite_site *site, const uint8_t *p, const uint8_t *to,
			const uint8_t *end, bool walk)
{
	while (p < to) {
		size_t n = walk ? insn_length(p, end) : 1;

		if (n == 0) {
			walk = false;
			n = 1;
		}
		if (jumps_into(site, p))
			return true;
		p += n;
	}
	return false;
}

/* Walk from some way before the site: do the instructions end where it begins? Then *from is the
 * first boundary that a short jump could reach it from. */
static bool walks_to(const uint8_t *text, const uint8_t *end, const struct rewrite_site *site,
		     const uint8_t **from)
{
	const uint8_t *p = site->at - text > SHORT_REACH + SYNC_BYTES
				   ? site->at - SHORT_REACH - SYNC_BYTES
				   : text;
	const uint8_t *reach = *from;

	*from = NULL;
	while (p < site->at) {
		size_t n = insn_length(p, end);

		if (!*from && p >= reach)
			*from = p;
		if (n == 0)
			p++;
		else
			p += n;
	}
	return p == site->at && *from;
}

static bool reached_short(const uint8_t *text, const uint8_t *end, const struct rewrite_site *site)
{
	const uint8_t *reach = site->at - text > SHORT_REACH ? site->at - SHORT_REACH : text;
	const uint8_t *behind = site->at + site->length, *from = reach;
	const uint8_t *to = end - behind > SHORT_REACH ? behind + SHORT_REACH : end;
	bool walk;

	/* Mostly no byte looks like such a jump, be it one or not. */
	if (!jumps_short(site, reach, site->at, end, false) &&
	    !jumps_short(site, behind, to, end, false))
		return false;
	walk = walks_to(text, end, site, &from);
	return jumps_short(site, walk ? from : reach, site->at, end, walk) ||
	       jumps_short(site, behind, to, end, true);
}

/* Short jumps: 70-7f, eb, e0-e3; only those near a site can reach it. */
static void forbid_short(const uint8_t *text, size_t bytes, struct rewrite_site *sites, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (reached_short(text, text + bytes - 2, &sites[i]))
			sites[i].number = -1;
	}
}

/* Long ones: 0f 80-8f and e9, from anywhere. */
static void forbid_long(const uint8_t *text, size_t bytes, struct rewrite_site *sites, size_t n)
{
	struct sieve sieve = { .sites = sites, .n = n };

	for (size_t i = 0; i < n; i++) {
		sieve_add(&sieve, sites[i].at);
		sieve_add(&sieve, sites[i].at + sites[i].length);
	}
	for (size_t at = 0; at + BLOCK + 8 <= bytes; at += BLOCK) {
		uint64_t wide = pairs(text + at, 0x0f, 0x80, 0xf0);
		uint64_t found = wide | pairs(text + at, 0xe9, 0, 0);

		for (; found; found &= found - 1) {
			unsigned int i = (unsigned int)__builtin_ctzll(found);
			const uint8_t *behind = text + at + i + 1 + (wide >> i & 1);

			forbid(&sieve, behind + 4 + load32(behind));
		}
	}
}

size_t rewrite_scan(uint8_t *text, size_t bytes, struct rewrite_site *sites, size_t max,
		    size_t *left)
{
	size_t n, kept = 0;

	*left = 0;
	if (bytes < 2 * BLOCK)
		return 0;
	n = find_all(text, bytes, sites, max, left);
	if (n == 0)
		return 0;
	forbid_short(text, bytes, sites, n);
	forbid_long(text, bytes, sites, n);
	for (size_t i = 0; i < n; i++) {
		if (sites[i].number < 0)
			++*left;
		else
			sites[kept++] = sites[i];
	}
	return kept;
}
