/* SPDX-License-Identifier: BSD-3-Clause */
/* Source lines out of debug information: this program's own stands for the kernel's. */
#include "bin/weir/dropwatch/kernel_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SELF "/proc/self/exe"

static uint32_t line_of_return;

/* Where its caller goes on. */
static __attribute__((noinline)) uint64_t return_address(void)
{
	return (uint64_t)(uintptr_t)__builtin_return_address(0);
}

/* A symbol that the table is placed by, as the kernel's _stext is. */
__attribute__((noinline)) uint64_t kernel_lines_test_place(void);
uint64_t kernel_lines_test_place(void)
{
	volatile uint64_t address;

	line_of_return = __LINE__ + 1;
	address = return_address();
	return address;
}

static void a_return_address_has_the_line_of_its_call(void **state)
{
	uint64_t base = (uint64_t)(uintptr_t)kernel_lines_test_place;
	struct kernel_lines *lines = kernel_lines_open(SELF, "kernel_lines_test_place", base);
	const char *file = NULL;
	uint32_t line = 0;

	if (!lines)
		skip(); /* built without debug information */
	assert_true(kernel_lines_find(lines, kernel_lines_test_place(), &file, &line));
	assert_non_null(strstr(file, "test_kernel_lines.c"));
	assert_int_equal(line, line_of_return);
	assert_false(kernel_lines_find(lines, 1, &file, &line));
	assert_null(file);
	assert_false(kernel_lines_find(lines, UINT64_MAX, &file, &line));
	kernel_lines_close(lines);
}

static void without_debug_information_there_are_none(void **state)
{
	const char *file = NULL;
	uint32_t line = 0;

	assert_null(kernel_lines_open(SELF, "no_such_symbol", 1));
	assert_null(kernel_lines_open("/no/such/file", "main", 1));
	assert_null(kernel_lines_open("/etc/hostname", "main", 1));
	assert_null(kernel_lines_of_kernel(0));
	assert_false(kernel_lines_find(NULL, 1, &file, &line));
	kernel_lines_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_return_address_has_the_line_of_its_call),
		cmocka_unit_test(without_debug_information_there_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
