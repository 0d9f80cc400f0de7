/* SPDX-License-Identifier: BSD-3-Clause */
/* A source of drops that says what a test tells it, and the parts of weir.c that dropwatch uses. */
#ifndef WEIR_TESTS_UNIT_CLI_FAKE_SOURCE_H
#define WEIR_TESTS_UNIT_CLI_FAKE_SOURCE_H

#include "bin/weir/dropwatch/dropwatch.h"

struct fake_source {
	struct drop_source source;
	struct drop_settings settings; /* of the last start */
	const struct drop_event *events;
	size_t count; /* of the next poll; 0 afterwards */
	unsigned int polls, starts, stops, opens, closes;
	unsigned int dies_at; /* the poll that fails; 0: none */
	const char *refuses;  /* what opening it says */
	struct drop_stats stats;
};

extern struct fake_source fake;
extern char fake_errors[4096]; /* what cli_fail() and cli_misuse() said */

#endif
