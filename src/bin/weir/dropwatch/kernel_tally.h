/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel's counters have grown by since they were last looked at.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_KERNEL_TALLY_H
#define WEIR_BIN_WEIR_DROPWATCH_KERNEL_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/kdrop.h"

struct kernel_growth {
	struct kdrop_key key;
	uint64_t count; /* more than at the last look */
};

struct kernel_tally;

struct kernel_tally *kernel_tally_new(void); /* NULL: no memory */
void kernel_tally_free(struct kernel_tally *tally);

/* A look at all counters: begin, then each of them with its count, then what has grown. */
void kernel_tally_begin(struct kernel_tally *tally);
void kernel_tally_see(struct kernel_tally *tally, const struct kdrop_key *key, uint64_t count);
const struct kernel_growth *kernel_tally_growth(const struct kernel_tally *tally, size_t *count);

/* A drop of this key was shown as a packet. */
void kernel_tally_shown(struct kernel_tally *tally, const struct kdrop_key *key);

/* At the end, when all counters were seen: in the growth's place, how many of each key were counted
 * and not shown. */
void kernel_tally_unshown(struct kernel_tally *tally);

/* The sum of all counters. */
uint64_t kernel_tally_total(const struct kernel_tally *tally);

#endif
