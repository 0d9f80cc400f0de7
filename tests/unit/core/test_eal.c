/* SPDX-License-Identifier: BSD-3-Clause */
/* EAL starts once, leaves the caller's CPU affinity alone, and works beside other instances. */
#include "common/testing.h"

#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Before EAL runs here: three processes at once, each with a pool of its own. */
static void test_side_by_side(void **state)
{
	pid_t pid[3];
	int status;

	for (unsigned int i = 0; i < 3; i++) {
		pid[i] = fork();
		assert_true(pid[i] >= 0);
		if (pid[i] == 0) {
			struct worker w;

			if (test_eal(NULL) != 0 || worker_init(&w, i, 512, 0, 1) != 0)
				_exit(1);
			worker_free(&w);
			_exit(0);
		}
	}
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
}

static void test_affinity_and_repetition(void **state)
{
	static const char *const other[] = { "--nonsense", NULL };
	cpu_set_t before, after;

	assert_false(core_eal_has_hugepages());
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(test_eal(NULL), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
	assert_int_equal(core_eal_init(other), 0);
	assert_int_equal(core_eal_init(NULL), 0);
	assert_false(core_eal_has_hugepages());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_side_by_side),
		cmocka_unit_test(test_affinity_and_repetition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
