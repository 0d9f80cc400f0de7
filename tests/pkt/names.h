/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The words of scripts and what they stand for: tables only.
 */
#ifndef WEIR_TESTS_PKT_NAMES_H
#define WEIR_TESTS_PKT_NAMES_H

#include <stdbool.h>
#include <stdint.h>

struct name {
	const char *name;
	int value;
};

/* Each table ends with a NULL name. */
extern const struct name names_errno[];
extern const struct name names_poll[];
extern const struct name names_msg[];
extern const struct name names_how[];
extern const struct name names_state[]; /* Linux's numbers, as in tcp_info */
extern const struct name names_ca_state[];
extern const struct name names_reason[]; /* enum drop_reason */
extern const struct name names_call[];	 /* enum call_fn */

const struct name *name_find(const struct name *table, const char *name); /* NULL: none */
const char *name_of(const struct name *table, int value);		  /* "?" */

struct option_name {
	const char *name;
	int level, opt;
};
const struct option_name *option_name_find(const char *name);

/* Fields of struct tcp_info. */
struct tcp_info_full;
int info_field_find(const char *name); /* -1: none */
const char *info_field_name(int field);
int64_t info_field_value(int field, const struct tcp_info_full *info);
uint64_t info_field_unit_ns(int field); /* what 1 is, 0: it is no time */

#endif
