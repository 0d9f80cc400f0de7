/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet filters as machine code: DPDK's rte_bpf, for those programs of core/filter.h that can be.
 * The step before it, from classic to extended instructions, is ours: rte_bpf_convert() of DPDK
 * 22.11 gives computed offsets the wrong register, and its machine code for a JSET with a small
 * constant is not what it should be.
 *
 * What DPDK's code does with a load whose offset is computed: where the offset is near 2^32, or
 * negative, its own check of the packet's length wraps, and it reads elsewhere. So a program is
 * taken only where we know, for each of its loads, that the offset stays small whatever the packet
 * says (the bounds of A and X are followed through the program). All that libpcap makes of ports,
 * addresses and protocols is; a program that takes an offset out of the packet is not, nor is one
 * with Linux's ancillary loads. Those stay with the interpreter.
 *
 * Threads: made and freed by the control thread; run by any number.
 */
#ifndef WEIR_CORE_FILTER_JIT_H
#define WEIR_CORE_FILTER_JIT_H

#include "core/filter.h"

struct filter_jit {
	uint64_t (*fn)(void *mbuf);
	void *bpf; /* DPDK's */
};

/* The program was checked (filter_check()). False: it is the interpreter's. */
bool filter_jit_make(struct filter_jit *jit, const struct sock_filter *insn, uint32_t count);

/* Nothing was made: nothing happens. */
void filter_jit_free(struct filter_jit *jit);

/* As filter_run(), on a packet from its first byte on. */
static inline uint32_t filter_jit_run(const struct filter_jit *jit, const struct pkt *p)
{
	return (uint32_t)jit->fn((void *)(uintptr_t)&p->mbuf);
}

#endif
