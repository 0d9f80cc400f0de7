/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages: one line each, levels, %m, and nothing in them that a terminal would obey. */
#include "common/testing.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static char out[4096];

/* What one call writes to standard error. */
#define capture(...)                                                                               \
	do {                                                                                       \
		capture_begin();                                                                   \
		__VA_ARGS__;                                                                       \
		capture_end();                                                                     \
	} while (0)

static int saved_fd, pipe_fd[2];

static void capture_begin(void)
{
	assert_int_equal(pipe(pipe_fd), 0);
	saved_fd = dup(STDERR_FILENO);
	assert_true(dup2(pipe_fd[1], STDERR_FILENO) >= 0);
	close(pipe_fd[1]);
}

static void capture_end(void)
{
	ssize_t got;

	assert_true(dup2(saved_fd, STDERR_FILENO) >= 0);
	close(saved_fd);
	got = read(pipe_fd[0], out, sizeof(out) - 1);
	out[got > 0 ? got : 0] = '\0';
	close(pipe_fd[0]);
}

static void test_levels(void **state)
{
	capture(log_info("port %s is up", "weir0"));
	assert_string_equal(out, "test_core_log: port weir0 is up\n");
	capture(log_warn("twice %d", 2));
	assert_string_equal(out, "test_core_log: warning: twice 2\n");
	capture(log_debug("silent"));
	assert_string_equal(out, "");
	log_set_level(LOG_LEVEL_DEBUG);
	capture(log_debug("heard"));
	assert_string_equal(out, "test_core_log: debug: heard\n");
	log_set_level(LOG_LEVEL_ERROR);
	capture(log_warn("silent"));
	assert_string_equal(out, "");
	errno = EADDRINUSE;
	capture(log_error("cannot bind: %m"));
	assert_string_equal(out, "test_core_log: error: cannot bind: Address already in use\n");
	assert_int_equal(errno, EADDRINUSE);
}

static void test_hostile_text(void **state)
{
	char lengthy[3000];

	capture(log_error("name %s", "a\nb\033[2Jc\td"));
	assert_string_equal(out, "test_core_log: error: name a?b?[2Jc d\n");
	memset(lengthy, 'x', sizeof(lengthy) - 1);
	lengthy[sizeof(lengthy) - 1] = '\0';
	capture(log_error("%s", lengthy));
	assert_true(strlen(out) <= 1024);
	assert_int_equal(out[strlen(out) - 1], '\n');
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_hostile_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
