/* SPDX-License-Identifier: BSD-3-Clause */
/* weir in the test's own process and in virtual time, without a port but for the loopback. */
#ifndef WEIR_TESTS_UNIT_SOCK_ALONE_H
#define WEIR_TESTS_UNIT_SOCK_ALONE_H

#include "common/testing.h"
#include "weir.h"

static inline struct weir *alone_open(void)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "96", NULL };
	struct weir_config config = { .virtual_time = true,
				      .start_ns = 1000000000,
				      .seed = 7,
				      .packets = 2048,
				      .eal_args = args };
	char error[WEIR_ERROR_BYTES];
	struct weir *weir = weir_engine_open(&config, error);

	if (weir == NULL)
		fail_msg("%s", error);
	return weir;
}

/* What still had to be done at this time is done. */
static inline void alone_close(struct weir *weir)
{
	weir_engine_advance(weir, 0);
	weir_engine_close(weir);
}

#endif
