/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bin/weird/config.h"

static struct weird_config config;
static char error[CONFIG_ERROR_BYTES];

#define PARSE(...)                                                                                 \
	({                                                                                         \
		char *args[] = { "weird", __VA_ARGS__, NULL };                                     \
		error[0] = '\0';                                                                   \
		config_parse((int)(sizeof(args) / sizeof(args[0])) - 1, args, &config, error);     \
	})

static void test_defaults(void **state)
{
	unsetenv("WEIR_RUNDIR");
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	assert_int_equal(PARSE("--log-level", "warn"), 0);
	assert_string_equal(config.instance, "default");
	assert_string_equal(config.rundir, geteuid() ? "/run/user/7/weir" : "/run/weir");
	assert_int_equal(config.workers, 1);
	assert_int_equal(config.ready_fd, -1);
	assert_int_equal(config.log_level, LOG_LEVEL_WARN);
	setenv("WEIR_RUNDIR", "/elsewhere", 1);
	assert_int_equal(PARSE("--forward"), 0);
	assert_string_equal(config.rundir, "/elsewhere");
	assert_true(config.forward);
	assert_int_equal(PARSE("--help"), 0);
	assert_true(config.help);
}

static void test_items_keep_their_order(void **state)
{
	assert_int_equal(PARSE("--port", "tap,name=a", "--addr", "198.18.0.2/24", "--port=loop",
			       "--addr=198.19.0.2/24@1", "--route", "198.18.1.0/24", "via",
			       "198.18.0.1", "--route", "default via 198.18.0.9", "--workers", "2"),
			 0);
	assert_int_equal(config.item_count, 6);
	assert_int_equal(config.item[0].kind, CONFIG_PORT);
	assert_int_equal(config.item[1].kind, CONFIG_ADDR);
	assert_string_equal(config.item[2].text, "loop");
	assert_string_equal(config.item[3].text, "198.19.0.2/24@1");
	assert_string_equal(config.item[4].text, "198.18.1.0/24 via 198.18.0.1");
	assert_string_equal(config.item[5].text, "default via 198.18.0.9");
	assert_int_equal(config.workers, 2);
}

static void test_sysctls_are_items(void **state)
{
	assert_int_equal(PARSE("--sysctl", "tcp_ecn=1", "--port", "loop", "--sysctl",
			       "tcp_rmem=4096 131072 6291456"),
			 0);
	assert_int_equal(config.item_count, 3);
	assert_int_equal(config.item[0].kind, CONFIG_SYSCTL);
	assert_string_equal(config.item[0].text, "tcp_ecn=1");
	assert_string_equal(config.item[2].text, "tcp_rmem=4096 131072 6291456");
	assert_non_null(strstr(config_help, "--sysctl"));
}

static void refused(int err, const char *words)
{
	assert_true(err < 0);
	assert_non_null(strstr(error, words));
}

static void test_bad_options(void **state)
{
	char long_text[400];

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	refused(PARSE("--nonsense"), "no option");
	refused(PARSE("--port"), "missing");
	refused(PARSE("--workers", "0"), "from 1 to 16");
	refused(PARSE("--workers", "17"), "from 1 to 16");
	refused(PARSE("--workers", "-1"), "not a number");
	refused(PARSE("--workers", "2x"), "not a number");
	refused(PARSE("--packets", "99999999999999999999"), "not a number");
	refused(PARSE("--instance", "../evil"), "not a name");
	refused(PARSE("--instance", "a/b"), "not a name");
	refused(PARSE("--instance", ""), "missing");
	refused(PARSE("--instance", long_text), "too long");
	refused(PARSE("--log-level", "loud"), "none of");
	refused(PARSE("--port", long_text), "too long");
	refused(PARSE("stray"), "not an option");
	refused(PARSE("--config", "/does/not/exist"), "cannot read");
}

static void test_too_many_items(void **state)
{
	static char *args[2 * (CONFIG_ITEMS_MAX + 1) + 2];
	unsigned int n = 0;

	args[n++] = "weird";
	for (unsigned int i = 0; i <= CONFIG_ITEMS_MAX; i++) {
		args[n++] = "--port";
		args[n++] = "loop";
	}
	refused(config_parse((int)n, args, &config, error), "more than");
}

static void write_file(char path[32], const char *text)
{
	FILE *file;
	int fd;

	strcpy(path, "/tmp/weird_config.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	file = fdopen(fd, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_file(void **state)
{
	char path[32];

	write_file(path,
		   "# a comment\ninstance = blue\nport = tap,name=b0\naddr = 198.18.0.3/24\n"
		   "route = default via 198.18.0.1\nforward = yes\nallow-users = no\nworkers = 3\n"
		   "sysctl = tcp_ecn=1\n");
	assert_int_equal(PARSE("--workers", "2", "--config", path, "--addr", "198.18.0.4/24"), 0);
	assert_string_equal(config.instance, "blue");
	assert_int_equal(config.workers, 2);
	assert_true(config.forward);
	assert_false(config.allow_users);
	assert_int_equal(config.item_count, 5);
	assert_string_equal(config.item[2].text, "default via 198.18.0.1");
	assert_int_equal(config.item[3].kind, CONFIG_SYSCTL);
	assert_string_equal(config.item[3].text, "tcp_ecn=1");
	assert_string_equal(config.item[4].text, "198.18.0.4/24");
	unlink(path);
}

static void test_bad_file(void **state)
{
	char path[32];

	write_file(path, "instance = blue\nworkers = many\n");
	refused(PARSE("--config", path), "line 2: workers: 'many' is not a number");
	unlink(path);
	write_file(path, "\n\ncolour = blue\n");
	refused(PARSE("--config", path), "line 3: there is no option 'colour'");
	unlink(path);
	write_file(path, "instance = blue\nnonsense\n");
	refused(PARSE("--config", path), "line 2: this line is not");
	unlink(path);
	write_file(path, "[other]\ninstance = blue\n");
	refused(PARSE("--config", path), "no section [other]");
	unlink(path);
	write_file(path, "forward = perhaps\n");
	refused(PARSE("--config", path), "neither yes nor no");
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_items_keep_their_order),
		cmocka_unit_test(test_sysctls_are_items),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_too_many_items),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_bad_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
