/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine in virtual time, for the targets that feed the whole of it. */
#ifndef WEIR_TESTS_FUZZ_FUZZ_ENGINE_H
#define WEIR_TESTS_FUZZ_FUZZ_ENGINE_H

#include "core/log.h"
#include "engine/engine.h"
#include "fuzz.h"

#define FUZZ_START_NS 1000000000ull

static inline struct engine *fuzz_engine(void)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "96", NULL };
	struct engine_config config = { .workers = 1,
					.packets = 2048,
					.eal_args = args,
					.virtual_time = true,
					.seed = 1,
					.now_ns = FUZZ_START_NS };
	char error[ENGINE_ERROR_BYTES];
	struct engine *engine;

	log_set_level(LOG_LEVEL_ERROR);
	FUZZ_CHECK(engine_open(&config, &engine, error) == 0);
	return engine;
}

#endif
