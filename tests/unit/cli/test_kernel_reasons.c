/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of the host kernel's drop reasons, from BTF that the tests make. */
#include "bin/weir/dropwatch/kernel_reasons.h"

#include <bpf/btf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct btf *btf_with_reasons(void)
{
	struct btf *btf = btf__new_empty();

	assert_non_null(btf);
	assert_true(btf__add_enum(btf, "skb_drop_reason", 4) > 0);
	assert_int_equal(btf__add_enum_value(btf, "SKB_NOT_DROPPED_YET", 0), 0);
	assert_int_equal(btf__add_enum_value(btf, "SKB_DROP_REASON_NOT_SPECIFIED", 2), 0);
	assert_int_equal(btf__add_enum_value(btf, "SKB_DROP_REASON_NO_SOCKET", 3), 0);
	assert_int_equal(btf__add_enum_value(btf, "SKB_DROP_REASON_OF_TOMORROW", 77), 0);
	assert_int_equal(btf__add_enum_value(btf, "SKB_DROP_REASON_MAX", 78), 0);
	assert_int_equal(btf__add_enum_value(btf, "SKB_DROP_REASON_SUBSYS_MASK", 0xffff0000), 0);
	return btf;
}

static struct kernel_reason of(struct kernel_reasons *r, uint32_t number)
{
	struct kernel_reason reason;

	kernel_reason_of(r, number, &reason);
	return reason;
}

static void names_are_the_kernels(void **state)
{
	struct btf *btf = btf_with_reasons();
	struct kernel_reasons *r = kernel_reasons_new(btf);

	btf__free(btf);
	assert_non_null(r);
	assert_string_equal(of(r, 2).name, "NOT_SPECIFIED");
	assert_string_equal(of(r, 3).name, "NO_SOCKET");
	assert_string_equal(of(r, 3).severity, "info");
	assert_non_null(of(r, 3).meaning);
	assert_non_null(of(r, 3).advice);
	/* One that this weir has no words for has its name all the same. */
	assert_string_equal(of(r, 77).name, "OF_TOMORROW");
	assert_null(of(r, 77).meaning);
	assert_string_equal(of(r, 77).severity, "warn");
	kernel_reasons_free(r);
}

static void numbers_without_a_name_are_told_apart(void **state)
{
	struct btf *btf = btf_with_reasons();
	struct kernel_reasons *r = kernel_reasons_new(btf);
	const char *first = of(r, 78).name;

	assert_string_equal(first, "REASON_78"); /* MAX is no reason */
	assert_string_equal(of(r, 5000).name, "REASON_5000");
	assert_string_equal(of(r, 3 << 16 | 4).name, "SUBSYS_3_REASON_4");
	assert_string_equal(of(r, UINT32_MAX).name, "SUBSYS_65535_REASON_65535");
	assert_ptr_equal(of(r, 78).name, first); /* good as long as the table */
	kernel_reasons_free(r);
	btf__free(btf);
}

static void a_name_has_its_number(void **state)
{
	struct btf *btf = btf_with_reasons();
	struct kernel_reasons *r = kernel_reasons_new(btf);

	assert_int_equal(kernel_reason_number(r, "NO_SOCKET"), 3);
	assert_int_equal(kernel_reason_number(r, "no_socket"), 3);
	assert_int_equal(kernel_reason_number(r, "SKB_DROP_REASON_NO_SOCKET"), 3);
	assert_int_equal(kernel_reason_number(r, "NOT_SPECIFIED"), 2);
	assert_int_equal(kernel_reason_number(r, "MAX"), -ENOENT);
	assert_int_equal(kernel_reason_number(r, "NO_SUCH"), -ENOENT);
	assert_int_equal(kernel_reason_number(r, ""), -ENOENT);
	kernel_reasons_free(r);
	btf__free(btf);
}

/* Kernels before 5.17, and none at all. */
static void without_the_enum_there_are_no_reasons(void **state)
{
	struct btf *btf = btf__new_empty();
	struct kernel_reasons *r = kernel_reasons_new(btf);

	assert_string_equal(of(r, 0).name, "NOT_SPECIFIED");
	assert_string_equal(of(r, 3).name, "REASON_3");
	assert_int_equal(kernel_reason_number(r, "NOT_SPECIFIED"), 0);
	assert_int_equal(kernel_reason_number(r, "NO_SOCKET"), -ENOENT);
	kernel_reasons_free(r);
	btf__free(btf);
	r = kernel_reasons_new(NULL);
	assert_string_equal(of(r, 0).name, "NOT_SPECIFIED");
	kernel_reasons_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_the_kernels),
		cmocka_unit_test(numbers_without_a_name_are_told_apart),
		cmocka_unit_test(a_name_has_its_number),
		cmocka_unit_test(without_the_enum_there_are_no_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
