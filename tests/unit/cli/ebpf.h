/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Enough of an eBPF machine to run what kernel_filter_translate() makes, without privileges: its
 * memory is the stack and one struct kdrop_scratch, and each access is checked as the kernel's
 * verifier would.
 */
#ifndef WEIR_TESTS_UNIT_CLI_EBPF_H
#define WEIR_TESTS_UNIT_CLI_EBPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/kdrop.h"

struct bpf_insn;

/* The maps' descriptors that the program was made with. */
enum { EBPF_SCRATCH = 10, EBPF_STATS = 11, EBPF_PROGRAMS = 12 };

struct ebpf_run {
	bool wrong;    /* it did what the kernel would not allow */
	bool accepted; /* it called KDROP_SLOT_MATCHED */
	uint64_t stats[KDROP_STATS];
	size_t steps;
};

void ebpf_run(const struct bpf_insn *insns, size_t count, struct kdrop_scratch *scratch,
	      struct ebpf_run *run);

#endif
