/* SPDX-License-Identifier: BSD-3-Clause */
/* What may be moved from behind a `syscall` instruction. */
#include "shim/foreign/decode.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BYTES(...) ((const uint8_t[]){ __VA_ARGS__ })
#define MOVABLE(...) decode_movable(BYTES(__VA_ARGS__), sizeof(BYTES(__VA_ARGS__)), 3)

static void moves_what_stands_by_itself(void **state)
{
	/* cmp $-4095, %rax; the same of eax */
	assert_int_equal(MOVABLE(0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x76, 0x10), 6);
	assert_int_equal(MOVABLE(0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77), 5);
	/* mov %eax, 0x28(%rsp); ret */
	assert_int_equal(MOVABLE(0x89, 0x44, 0x24, 0x28, 0xc3), 4);
	/* mov %rax, %rdi */
	assert_int_equal(MOVABLE(0x48, 0x89, 0xc7, 0xe8, 0, 0, 0, 0), 3);
	/* test %eax, %eax; mov %eax, %edi */
	assert_int_equal(MOVABLE(0x85, 0xc0, 0x89, 0xc7), 4);
	/* mov %eax, %ebx; ret */
	assert_int_equal(MOVABLE(0x89, 0xc3, 0xc3, 0x90), 3);
	/* cmp $-1, %eax; mov %rax, 0x1000(%rbp); movl $7, (%rbx) */
	assert_int_equal(MOVABLE(0x83, 0xf8, 0xff, 0x74), 3);
	assert_int_equal(MOVABLE(0x48, 0x89, 0x85, 0, 0x10, 0, 0), 7);
	assert_int_equal(MOVABLE(0xc7, 0x03, 7, 0, 0, 0), 6);
}

static void moves_a_return_before_padding_only(void **state)
{
	assert_int_equal(MOVABLE(0xc3, 0xcc, 0xcc, 0xcc, 0xcc), 1);
	assert_int_equal(MOVABLE(0xc3, 0x66, 0x2e, 0x0f, 0x1f, 0x84), 1);
	assert_int_equal(MOVABLE(0xc3, 0x0f, 0x1f, 0x40, 0x00), 1);
	assert_int_equal(MOVABLE(0xc3, 0x48, 0x89, 0xc7, 0xc3), 0);
	assert_int_equal(MOVABLE(0xc3, 0x55, 0x48, 0x89, 0xe5), 0);
}

static void leaves_what_depends_on_its_place(void **state)
{
	/* jbe; call; mov %eax, 0x10(%rip); lea 0x10(%rip), %rax */
	assert_int_equal(MOVABLE(0x76, 0x10, 0x90, 0x90), 0);
	assert_int_equal(MOVABLE(0xe8, 0, 0, 0, 0), 0);
	assert_int_equal(MOVABLE(0x89, 0x05, 0x10, 0, 0, 0), 0);
	assert_int_equal(MOVABLE(0x48, 0x8d, 0x05, 0x10, 0, 0, 0), 0);
	/* test %eax, %eax; je */
	assert_int_equal(MOVABLE(0x85, 0xc0, 0x74, 0x10), 0);
	/* pop %rbx: what is behind it could be jumped to, and would not trap there */
	assert_int_equal(MOVABLE(0x5b, 0xc3, 0x90, 0x90), 0);
}

static void stops_where_its_bytes_end(void **state)
{
	assert_int_equal(MOVABLE(0x48, 0x3d, 0x01, 0xf0), 0);
	assert_int_equal(MOVABLE(0x48), 0);
	assert_int_equal(MOVABLE(0x89), 0);
	assert_int_equal(MOVABLE(0xc3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_what_stands_by_itself),
		cmocka_unit_test(moves_a_return_before_padding_only),
		cmocka_unit_test(leaves_what_depends_on_its_place),
		cmocka_unit_test(stops_where_its_bytes_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
