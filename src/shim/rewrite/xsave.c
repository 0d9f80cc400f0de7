/* SPDX-License-Identifier: BSD-3-Clause */
#include "shim/rewrite/xsave.h"

#include <cpuid.h>

#define LEGACY_BYTES 512u
#define HEADER_BYTES 64u
#define ALIGN 64u
#define FIRST_EXTENDED 2

uint32_t xsave_bytes(const struct xsave_component parts[XSAVE_COMPONENTS], uint32_t mask,
		     enum xsave_how how)
{
	uint32_t end = LEGACY_BYTES + (how == XSAVE_FX ? 0 : HEADER_BYTES);

	for (unsigned int i = FIRST_EXTENDED; how != XSAVE_FX && i < XSAVE_COMPONENTS; i++) {
		uint32_t at = how == XSAVE_PLAIN ? parts[i].offset : end;

		if (!(mask >> i & 1))
			continue;
		if (how == XSAVE_COMPACT && parts[i].aligned)
			at = (at + ALIGN - 1) & ~(ALIGN - 1);
		if (at + parts[i].bytes > end)
			end = at + parts[i].bytes;
	}
	return end;
}

struct xsave xsave_here(void)
{
	struct xsave_component parts[XSAVE_COMPONENTS] = { 0 };
	struct xsave x = { .how = XSAVE_FX };
	uint32_t a, b, c, d, high;

	if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE)) {
		__asm__ volatile("xgetbv" : "=a"(x.mask), "=d"(high) : "c"(0));
		x.mask &= XSAVE_VECTORS;
		x.how = XSAVE_PLAIN;
		if (__get_cpuid_count(0xd, 1, &a, &b, &c, &d) && (a & bit_XSAVEC))
			x.how = XSAVE_COMPACT;
	}
	for (unsigned int i = FIRST_EXTENDED; i < XSAVE_COMPONENTS; i++) {
		if ((x.mask >> i & 1) && __get_cpuid_count(0xd, i, &a, &b, &c, &d))
			parts[i] = (struct xsave_component){ a, b, c & 2 };
	}
	x.bytes = xsave_bytes(parts, x.mask, x.how) + ALIGN;
	/* No processor has larger ones: then the oldest form, which keeps what SSE code uses. */
	if (x.bytes > XSAVE_BYTES_MAX)
		x = (struct xsave){ .how = XSAVE_FX, .bytes = LEGACY_BYTES + ALIGN };
	return x;
}
