/* SPDX-License-Identifier: BSD-3-Clause */
/* What is left of nsswitch.conf's line for hosts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "shim/call/names.h"

static const struct {
	const char *line, *list, *left_out;
} cases[] = {
	{ "files dns", "files dns", "" },
	{ "files mdns4_minimal [NOTFOUND=return] dns myhostname", "files dns myhostname",
	  "mdns4_minimal" },
	{ "files myhostname resolve [!UNAVAIL=return] dns", "files myhostname dns", "resolve" },
	{ "mymachines resolve [!UNAVAIL=return] files myhostname dns", "files myhostname dns",
	  "mymachines resolve" },
	{ "files resolve", "files dns", "resolve" },
	{ "files [NOTFOUND=return] dns", "files [NOTFOUND=return] dns", "" },
	{ "resolve[!UNAVAIL=return]files\tdns ", "files dns", "resolve" },
	{ "files mdns [NOTFOUND=return] [SUCCESS=merge] wins", "files dns", "mdns wins" },
	{ "resolver dnsmasq", "resolver dnsmasq", "" },
	{ "files libvirt libvirt_guest [", "files dns", "libvirt libvirt_guest" },
	{ "", "", "" },
};

static void test_lines(void **state)
{
	char list[128], left_out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		names_filter(cases[i].line, list, sizeof(list), left_out, sizeof(left_out));
		assert_string_equal(list, cases[i].list);
		assert_string_equal(left_out, cases[i].left_out);
	}
}

/* A line that is longer than the room is cut, and nothing is written behind it. */
static void test_room(void **state)
{
	char list[8 + 1], left_out[4 + 1];

	(void)state;
	list[8] = left_out[4] = 'x';
	names_filter("files resolve mymachines something dns", list, 8, left_out, 4);
	assert_int_equal(list[8], 'x');
	assert_int_equal(left_out[4], 'x');
	assert_true(strlen(list) < 8 && strlen(left_out) < 4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
