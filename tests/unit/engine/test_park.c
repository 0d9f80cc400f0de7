/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Worker threads: start, park and unpark while they run, spin and sleep, stop. Run under TSan too
 * (suite threads). Real time, but nothing waits for it to pass.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/testing.h"
#include "engine/engine.h"

static struct engine *open_threads(unsigned int workers, unsigned int spin_us)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "128", NULL };
	struct engine_config config = {
		.workers = workers, .packets = 2048, .eal_args = args, .seed = TEST_SEED
	};
	char error[ENGINE_ERROR_BYTES] = "";
	struct engine *engine;

	log_set_level(LOG_LEVEL_ERROR);
	if (engine_open(&config, &engine, error))
		fail_msg("%s", error);
	assert_int_equal(engine_start(engine, spin_us), 0);
	return engine;
}

/* While parked, nothing moves: what the test writes into a worker stays, and no loop is counted. */
static void park_often(struct engine *engine, unsigned int rounds)
{
	struct engine_loop_stats before, after;

	for (unsigned int i = 0; i < rounds; i++) {
		engine_park(engine);
		for (unsigned int w = 0; w < engine->worker_count; w++) {
			engine_loop_stats(engine, w, &before);
			engine->worker[w]->wall_offset_ns = i;
			assert_int_equal(engine->worker[w]->wall_offset_ns, i);
			engine_loop_stats(engine, w, &after);
			assert_int_equal(before.loops, after.loops);
		}
		engine_unpark(engine);
	}
}

static void test_park_spinning(void **state)
{
	struct engine *engine = open_threads(1, 1000000);

	park_often(engine, 2000);
	engine_close(engine);
}

static void test_park_sleeping(void **state)
{
	struct engine *engine = open_threads(1, 0);

	park_often(engine, 2000);
	engine_close(engine);
}

static void test_park_several(void **state)
{
	struct engine *engine = open_threads(3, 20);

	park_often(engine, 1000);
	engine_close(engine);
}

/* A bell that rings all the time: parking races with waking. */
static void test_park_while_bells_ring(void **state)
{
	struct engine *engine = open_threads(2, 0);
	int bell[2] = { engine_bell_make(engine, 0), engine_bell_make(engine, 1) };
	struct engine_loop_stats stats;

	assert_true(bell[0] >= 0 && bell[1] >= 0);

	for (unsigned int i = 0; i < 2000; i++) {
		eventfd_write(bell[i % 2], 1);
		engine_park(engine);
		engine->worker[0]->wall_offset_ns++;
		engine->worker[1]->wall_offset_ns++;
		engine_unpark(engine);
	}
	engine_park(engine);
	engine_loop_stats(engine, 0, &stats);
	engine_unpark(engine);
	assert_true(stats.loops > 0);
	engine_close(engine);
	close(bell[0]);
	close(bell[1]);
}

static void test_start_and_stop(void **state)
{
	struct engine *engine = open_threads(2, 50);

	assert_int_equal(engine_start(engine, 50), -EALREADY);
	engine_stop(engine);
	engine_stop(engine);
	assert_int_equal(engine_bell_make(engine, 0), -ENOTCONN);
	assert_null(engine_daemon_page(engine));
	assert_int_equal(engine_start(engine, 50), 0);
	park_often(engine, 10);
	engine_close(engine);
}

/* Programs may read the daemon's page, and nobody but the daemon may write it. */
static void test_daemon_page(void **state)
{
	struct engine *engine = open_threads(1, 77);
	int fd = engine_daemon_page_fd(engine);
	const struct abi_daemon *page = mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(page, MAP_FAILED);
	assert_int_equal(page->magic, ABI_MAGIC);
	assert_int_equal(page->version, ABI_VERSION);
	assert_int_equal(page->workers, 1);
	assert_int_equal(page->spin_us, 77);
	assert_ptr_equal(mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
			 MAP_FAILED);
	assert_int_equal(ftruncate(fd, 0), -1);
	munmap((void *)page, sizeof(*page));
	engine_close(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_park_spinning),  cmocka_unit_test(test_park_sleeping),
		cmocka_unit_test(test_park_several),   cmocka_unit_test(test_park_while_bells_ring),
		cmocka_unit_test(test_start_and_stop), cmocka_unit_test(test_daemon_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
