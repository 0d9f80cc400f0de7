/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding system-call sites in machine code: which are patched, and which are left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/syscall.h>

#include "shim/rewrite/insn.h"
#include "shim/rewrite/rewrite.h"

#define TEXT 512

static uint8_t text[TEXT];
static struct rewrite_site sites[8];
static size_t left;

/* Code at an offset of a text that is full of one-byte nops; the sites in it. */
static size_t scan(size_t at, const void *code, size_t bytes)
{
	memset(text, 0x90, sizeof(text));
	memcpy(text + at, code, bytes);
	return rewrite_scan(text, sizeof(text), sites, 8, &left);
}
#define SCAN(at, code) scan(at, code, sizeof(code) - 1)

static void test_number_right_before(void **state)
{
	/* mov $SYS_sendto, %eax; syscall; ret */
	assert_int_equal(SCAN(200, "\xb8\x2c\x00\x00\x00\x0f\x05\xc3"), 1);
	assert_ptr_equal(sites[0].at, text + 200);
	assert_int_equal(sites[0].length, 7);
	assert_int_equal(sites[0].number, SYS_sendto);
	assert_false(sites[0].loaded);
}

static void test_number_loaded_earlier(void **state)
{
	/* mov $SYS_recvfrom, %eax; mov 8(%rsp), %rsi; syscall; cmp $-4096, %rax */
	assert_int_equal(SCAN(200, "\xb8\x2d\x00\x00\x00\x48\x8b\x74\x24\x08\x0f\x05"
				   "\x48\x3d\x00\xf0\xff\xff"),
			 1);
	assert_ptr_equal(sites[0].at, text + 210);
	assert_int_equal(sites[0].length, 8);
	assert_int_equal(sites[0].number, SYS_recvfrom);
	assert_true(sites[0].loaded);
}

static void test_read_is_zero(void **state)
{
	/* xor %eax, %eax; syscall; cmp $-4096, %eax */
	assert_int_equal(SCAN(200, "\x31\xc0\x0f\x05\x3d\x00\xf0\xff\xff"), 1);
	assert_int_equal(sites[0].length, 7);
	assert_int_equal(sites[0].number, SYS_read);
}

/* Code behind some bytes of compiled code, so that walking finds its boundaries. */
static bool own_calls(const void *code, size_t bytes)
{
	memset(text, 0x90, sizeof(text));
	memcpy(text + 200, code, bytes);
	return rewrite_own_calls(text, sizeof(text));
}
#define OWN(code) own_calls(code, sizeof(code) - 1)

static void test_own_calls(void **state)
{
	/* mov $SYS_socket, %eax; then with other instructions between */
	assert_true(OWN("\xb8\x29\x00\x00\x00\x0f\x05\xc3"));
	assert_true(OWN("\xb8\x29\x00\x00\x00\xbf\x02\x00\x00\x00\x31\xd2\x0f\x05"));
	/* the number is an argument: mov %rdi, %rax; mov %edi, %eax; mov 8(%rsp), %rax; xor; pop */
	assert_true(OWN("\x48\x89\xf8\x48\x89\xf7\x0f\x05"));
	assert_true(OWN("\x89\xf8\x0f\x05"));
	assert_true(OWN("\x48\x8b\x44\x24\x08\x0f\x05"));
	assert_true(OWN("\x31\xc0\x0f\x05"));
	assert_true(OWN("\x58\x0f\x05"));
	/* inside of others: mov $0x50f, %eax; jmp; lea 0x50f(%rdi), %rax; mov $.., %eax; cmp */
	assert_false(OWN("\xb8\x0f\x05\x00\x00\xc3"));
	assert_false(OWN("\xb8\x01\x00\x00\x00\xe9\x0f\x05\x00\x00"));
	assert_false(OWN("\x48\x8d\x87\x0f\x05\x00\x00\xc3"));
	assert_false(OWN("\xb8\x01\x00\x00\x00\x81\xf9\x0f\x05\x00\x00"));
	/* nothing has loaded a number; or another register; or the function before has */
	assert_false(OWN("\x0f\x05\xc3"));
	assert_false(OWN("\x41\xb8\x29\x00\x00\x00\x0f\x05"));
	assert_false(OWN("\xb8\x29\x00\x00\x00\xc3\x0f\x05"));
	assert_false(rewrite_own_calls(text, 10));
}

static void test_other_numbers_stay(void **state)
{
	/* futex; and mov $SYS_sendto, %r8d, which loads another register */
	assert_int_equal(SCAN(200, "\xb8\xca\x00\x00\x00\x0f\x05\xc3"), 0);
	assert_int_equal(SCAN(200, "\x41\xb8\x2c\x00\x00\x00\x0f\x05\x48\x3d\x00\xf0\xff\xff"), 0);
	assert_int_equal(left, 0);
}

static void test_without_comparison_stays(void **state)
{
	assert_int_equal(SCAN(200, "\xb8\x03\x00\x00\x00\x8b\x7d\xa0\x0f\x05\xc3"), 0);
}

static void test_jumped_into(void **state)
{
	/* jmp to the syscall instruction, from 7 bytes before the site; short, then long */
	assert_int_equal(SCAN(200, "\xeb\x05\xb8\x2c\x00\x00\x00\x0f\x05\xc3"), 0);
	assert_int_equal(left, 1);
	assert_int_equal(SCAN(100, "\xe9\x05\x00\x00\x00\xb8\x2c\x00\x00\x00\x0f\x05\xc3"), 0);
	assert_int_equal(SCAN(100, "\x0f\x84\x05\x00\x00\x00\xb8\x2c\x00\x00\x00\x0f\x05\xc3"), 0);
	/* from behind: je to the ud2 */
	assert_int_equal(SCAN(200, "\xb8\x2c\x00\x00\x00\x0f\x05\x74\xfc\xc3"), 0);
	assert_int_equal(left, 1);
}

static void test_jump_to_the_start_is_fine(void **state)
{
	assert_int_equal(SCAN(200, "\xeb\x00\xb8\x2c\x00\x00\x00\x0f\x05\x74\xf7\xc3"), 1);
}

static void test_bytes_inside_an_instruction_do_not_jump(void **state)
{
	/* mov %edi, 5(%rsp) has 7c 24 05: no `jl` to 36 bytes further */
	assert_int_equal(SCAN(160, "\x89\x7c\x24\x05"), 0);
	memset(text, 0x90, sizeof(text));
	memcpy(text + 160, "\x89\x7c\x24\x05", 4);
	memcpy(text + 194, "\xb8\x2c\x00\x00\x00\x0f\x05\xc3", 8);
	assert_int_equal(rewrite_scan(text, sizeof(text), sites, 8, &left), 1);
	/* and as a jump of its own it does: 161 + 2 + 0x24 = 199 */
	memcpy(text + 160, "\x90\x7c\x24\x90", 4);
	assert_int_equal(rewrite_scan(text, sizeof(text), sites, 8, &left), 0);
}

static void test_full_list(void **state)
{
	memset(text, 0x90, sizeof(text));
	for (size_t i = 0; i < 10; i++)
		memcpy(text + 100 + 16 * i, "\xb8\x2c\x00\x00\x00\x0f\x05\xc3", 8);
	assert_int_equal(rewrite_scan(text, sizeof(text), sites, 8, &left), 8);
	assert_int_equal(left, 2);
	assert_int_equal(rewrite_scan(text, 16, sites, 8, &left), 0);
}

static void test_instruction_lengths(void **state)
{
	static const struct {
		const char *code;
		size_t bytes;
	} known[] = {
		{ "\x0f\x05", 2 },				    /* syscall */
		{ "\x48\x3d\x00\xf0\xff\xff", 6 },		    /* cmp $imm, %rax */
		{ "\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x08", 10 }, /* movabs */
		{ "\x66\xb8\x01\x02", 4 },			    /* mov $imm, %ax */
		{ "\x64\x48\x8b\x04\x25\x28\x00\x00\x00", 9 },	    /* mov %fs:0x28, %rax */
		{ "\x8b\x05\x01\x02\x03\x04", 6 },		    /* mov (%rip), %eax */
		{ "\xf6\xc1\x01", 3 },				    /* test $1, %cl */
		{ "\xf7\xd8", 2 },				    /* neg %eax */
		{ "\xc5\xf8\x77", 3 },				    /* vzeroupper */
		{ "\xc4\xe3\x7d\x39\xc1\x01", 6 },		    /* vextracti128 */
		{ "\x62\xf1\xfe\x28\x6f\x46\x01", 7 },		    /* vmovdqu64 */
		{ "\x66\x0f\x3a\x0f\xc1\x08", 6 },		    /* palignr */
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const uint8_t *p = (const uint8_t *)known[i].code;

		assert_int_equal(insn_length(p, p + known[i].bytes), known[i].bytes);
		assert_int_equal(insn_length(p, p + known[i].bytes - 1), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number_right_before),
		cmocka_unit_test(test_number_loaded_earlier),
		cmocka_unit_test(test_read_is_zero),
		cmocka_unit_test(test_own_calls),
		cmocka_unit_test(test_other_numbers_stay),
		cmocka_unit_test(test_without_comparison_stays),
		cmocka_unit_test(test_jumped_into),
		cmocka_unit_test(test_jump_to_the_start_is_fine),
		cmocka_unit_test(test_bytes_inside_an_instruction_do_not_jump),
		cmocka_unit_test(test_full_list),
		cmocka_unit_test(test_instruction_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
