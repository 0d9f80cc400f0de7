/* SPDX-License-Identifier: BSD-3-Clause */
/* How large the area for the vector registers is. */
#include "shim/rewrite/xsave.h"

#include <cpuid.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What processors with AVX-512 say of their components (CPUID leaf 0xd): AVX, MPX (2), AVX-512 (3).
 */
static const struct xsave_component server[XSAVE_COMPONENTS] = {
	[2] = { 256, 576, 0 }, [3] = { 64, 960, 0 },   [4] = { 64, 1024, 0 },
	[5] = { 64, 1088, 0 }, [6] = { 512, 1152, 0 }, [7] = { 1024, 1664, 0 },
};
#define AVX 0x06u

static void knows_the_forms(void **state)
{
	assert_int_equal(xsave_bytes(server, 0, XSAVE_FX), 512);
	assert_int_equal(xsave_bytes(server, XSAVE_VECTORS, XSAVE_FX), 512);
	assert_int_equal(xsave_bytes(server, 2, XSAVE_COMPACT), 512 + 64);
	assert_int_equal(xsave_bytes(server, AVX, XSAVE_PLAIN), 576 + 256);
	assert_int_equal(xsave_bytes(server, AVX, XSAVE_COMPACT), 576 + 256);
	/* Plain: each at its place; compact: without gaps for what is not saved. */
	assert_int_equal(xsave_bytes(server, XSAVE_VECTORS, XSAVE_PLAIN), 1664 + 1024);
	assert_int_equal(xsave_bytes(server, XSAVE_VECTORS, XSAVE_COMPACT),
			 576 + 256 + 64 + 512 + 1024);
	/* AVX-512 alone, plain: as far as its last part. */
	assert_int_equal(xsave_bytes(server, 0xe0, XSAVE_PLAIN), 1664 + 1024);
}

static void aligns_parts_that_want_it(void **state)
{
	struct xsave_component odd[XSAVE_COMPONENTS] = {
		[2] = { 100, 576, 0 }, [5] = { 64, 1088, 1 }
	};

	assert_int_equal(xsave_bytes(odd, 0x26, XSAVE_COMPACT), 576 + 128 + 64);
	odd[5].aligned = 0;
	assert_int_equal(xsave_bytes(odd, 0x26, XSAVE_COMPACT), 576 + 100 + 64);
}

/* The processor's own word for all that is switched on: never more than that, and all of it where
 * nothing is left out. */
static void fits_this_processor(void **state)
{
	struct xsave here = xsave_here();
	uint32_t a, b = 512, c = 0, d, low = 0, high;

	assert_true(here.bytes <= XSAVE_BYTES_MAX);
	if (here.how == XSAVE_FX) {
		assert_int_equal(here.bytes, 512 + 64);
		return;
	}
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	assert_int_equal(here.mask, low & XSAVE_VECTORS);
	assert_true(__get_cpuid_count(0xd, here.how == XSAVE_COMPACT, &a, &b, &c, &d));
	assert_true(here.bytes - 64 <= b);
	/* x87 lies in the old area, which is always there. */
	if (!(low & ~(XSAVE_VECTORS | 1)) && here.how == XSAVE_PLAIN)
		assert_int_equal(here.bytes - 64, b);
}

/* Does the processor agree? */
static void no_byte_behind_is_written(void **state)
{
	static uint8_t area[XSAVE_BYTES_MAX + 64] __attribute__((aligned(64)));
	struct xsave here = xsave_here();

	for (uint32_t i = here.bytes - 64; i < sizeof(area); i++)
		area[i] = 0xa5;
	if (here.how == XSAVE_COMPACT)
		__asm__ volatile("xsavec %0" : "+m"(area) : "a"(here.mask), "d"(0));
	else if (here.how == XSAVE_PLAIN)
		__asm__ volatile("xsave %0" : "+m"(area) : "a"(here.mask), "d"(0));
	else
		__asm__ volatile("fxsave %0" : "+m"(area));
	for (uint32_t i = here.bytes - 64; i < sizeof(area); i++)
		assert_int_equal(area[i], 0xa5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_the_forms),
		cmocka_unit_test(aligns_parts_that_want_it),
		cmocka_unit_test(fits_this_processor),
		cmocka_unit_test(no_byte_behind_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
