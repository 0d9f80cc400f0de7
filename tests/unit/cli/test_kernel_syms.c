/* SPDX-License-Identifier: BSD-3-Clause */
/* /proc/kallsyms as `weir dropwatch --kernel` reads it. */
#include "bin/weir/dropwatch/kernel_syms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct kernel_syms *read_text(const char *text, bool *hidden)
{
	FILE *from = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	struct kernel_syms *s;

	assert_non_null(from);
	s = kernel_syms_read(from, hidden);
	fclose(from);
	assert_non_null(s);
	return s;
}

static const char table[] = "ffffffff81000000 T _stext\n"
			    "ffffffff81000300 t ip_rcv_core\n"
			    "ffffffff81000200 T __pfx_ip_rcv\n"
			    "ffffffff81000210 T ip_rcv\n"
			    "ffffffff82000000 D init_net\n"
			    "ffffffffc0000000 t nft_do_chain\t[nf_tables]\n"
			    "ffffffffc0001000 t bpf_prog_6deef7357e7b4530_kdrop\t[bpf]\n";

static void assert_at(struct kernel_syms *s, uint64_t address, const char *name, uint64_t offset)
{
	uint64_t at = 0;

	assert_string_equal(kernel_syms_find(s, address, &at), name);
	assert_int_equal(at, offset);
}

static void functions_are_found(void **state)
{
	bool hidden = true;
	uint64_t at;
	struct kernel_syms *s = read_text(table, &hidden);

	assert_false(hidden);
	assert_at(s, 0xffffffff81000000, "_stext", 0);
	assert_at(s, 0xffffffff8100020f, "_stext", 0x20f); /* the padding has no name of ours */
	assert_at(s, 0xffffffff81000210, "ip_rcv", 0);
	assert_at(s, 0xffffffff810002ff, "ip_rcv", 0xef);
	assert_at(s, 0xffffffff81000391, "ip_rcv_core", 0x91);
	assert_at(s, 0xffffffffc0000010, "nft_do_chain", 0x10); /* without its module */
	assert_at(s, 0xffffffffffffffff, "bpf_prog_6deef7357e7b4530_kdrop", 0x3fffefff);
	assert_null(kernel_syms_find(s, 0xffffffff80ffffff, &at));
	assert_null(kernel_syms_find(s, 0, &at));
	assert_int_equal(kernel_syms_address(s, "ip_rcv"), 0xffffffff81000210);
	assert_int_equal(kernel_syms_address(s, "init_net"), 0); /* data */
	kernel_syms_free(s);
}

static void one_address_has_the_first_of_its_names(void **state)
{
	bool hidden;
	struct kernel_syms *s = read_text("ffffffff81000010 t zebra\n"
					  "ffffffff81000010 T alias\n"
					  "ffffffff81000020 t next\n",
					  &hidden);

	assert_at(s, 0xffffffff81000011, "zebra", 1);
	assert_at(s, 0xffffffff81000020, "next", 0);
	kernel_syms_free(s);
}

static void hidden_addresses_are_known_as_such(void **state)
{
	bool hidden = false;
	uint64_t at;
	struct kernel_syms *s = read_text("0000000000000000 T _stext\n"
					  "0000000000000000 t ip_rcv_core\n",
					  &hidden);

	assert_true(hidden);
	assert_null(kernel_syms_find(s, 0xffffffff81000391, &at));
	kernel_syms_free(s);
}

static void what_is_no_line_is_passed_over(void **state)
{
	bool hidden = true;
	uint64_t at;
	struct kernel_syms *s = read_text("\n \nffffffff81000000\nffffffff81000000 \n"
					  "ffffffff81000000 T\nffffffff81000000 T \n"
					  "zzz T name\nffffffff81000000T name\n"
					  "ffffffff81000000 Tname\n"
					  "ffffffff81000000 ? name\n",
					  &hidden);

	assert_false(hidden);
	assert_null(kernel_syms_find(s, UINT64_MAX, &at));
	kernel_syms_free(s);
	s = read_text("ffffffff81000010 t last_line_without_its_end", &hidden);
	assert_at(s, 0xffffffff81000010, "last_line_without_its_end", 0);
	kernel_syms_free(s);
}

/* As many as a kernel has, backwards. */
static void many_are_sorted(void **state)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);
	bool hidden;
	struct kernel_syms *s;

	for (unsigned int i = 150000; i > 0; i--)
		fprintf(to, "%016llx t f%u\n", 0xffffffff81000000ull + i * 16, i);
	fclose(to);
	s = read_text(text, &hidden);
	for (unsigned int i = 1; i < 150000; i += 997) {
		char name[32];

		snprintf(name, sizeof(name), "f%u", i);
		assert_at(s, 0xffffffff81000000ull + i * 16 + 15, name, 15);
	}
	kernel_syms_free(s);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_are_found),
		cmocka_unit_test(one_address_has_the_first_of_its_names),
		cmocka_unit_test(hidden_addresses_are_known_as_such),
		cmocka_unit_test(what_is_no_line_is_passed_over),
		cmocka_unit_test(many_are_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
