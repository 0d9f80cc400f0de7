/* SPDX-License-Identifier: BSD-3-Clause */
/* An engine in virtual time and a program on it, for tests of the whole. */
#ifndef WEIR_TESTS_UNIT_COMMON_ENGINE_H
#define WEIR_TESTS_UNIT_COMMON_ENGINE_H

#include <unistd.h>

#include "common/testing.h"
#include "core/log.h"
#include "engine/app_client.h"
#include "engine/engine.h"
#include "sock/session.h"

/* One worker, without ports but for the loopback. */
static inline struct engine *test_engine_open(void)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "128", NULL };
	struct engine_config config = { .packets = 4096,
					.eal_args = args,
					.virtual_time = true,
					.seed = TEST_SEED,
					.now_ns = TEST_START_NS };
	char error[ENGINE_ERROR_BYTES];
	struct engine *engine;

	log_set_level(LOG_LEVEL_ERROR);
	if (engine_open(&config, &engine, error))
		fail_msg("%s", error);
	return engine;
}

/* A program of that family on it, with a channel; run(arg) lets the engine go on. */
static inline struct session *test_program(struct engine *engine, struct family_params params,
					   struct app *app, void (*run)(void *arg), void *arg)
{
	struct session *session;
	uint64_t offset;
	uint32_t index;

	params.name = "test";
	params.arena_bytes = 64u << 20;
	params.socks = 64;
	params.workers = engine->worker;
	params.worker_count = 1;
	assert_int_equal(session_create(&params, getpid(), &session), 0);
	assert_int_equal(session_channel(session, 0, -1, ABI_CQ_THREAD, &index, &offset), 0);
	app->base = (uint8_t *)session_arena(session);
	app->channel = (struct abi_channel *)(app->base + offset);
	app->run = run;
	app->arg = arg;
	return session;
}

#endif
