/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet filter of `weir dropwatch --kernel`: libpcap compiles the user's words for Ethernet to
 * classic BPF; that is translated to eBPF, which the kernel checks, compiles and runs at each drop
 * between kdrop() and kdrop_matched() (bpf/kdrop.bpf.c). So counts are exact under a filter too,
 * and nobody interprets anything.
 *
 * What it looks at is the packet in the CPU's scratch: the first bytes of the frame, as many as
 * kernel_filter_reach() says. A load beyond the packet rejects it, as always in classic BPF; one
 * beyond the bytes that are there, but not beyond the packet, counts it as KDROP_UNDECIDED.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_KERNEL_FILTER_H
#define WEIR_BIN_WEIR_DROPWATCH_KERNEL_FILTER_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

struct bpf_insn;

/* The maps of the loaded object that the filter's program speaks to, by descriptor. */
struct kernel_filter_maps {
	int scratch, stats, programs;
};

/* Compile words. The program is the caller's to free(). -EINVAL: libpcap's words are in error. */
int kernel_filter_compile(const char *words, struct sock_filter **code, size_t *count, char *error,
			  size_t error_bytes);

/* How many bytes of a frame the program may look at, at most KDROP_SNAP. */
uint32_t kernel_filter_reach(const struct sock_filter *code, size_t count);

/*
 * Translate. *insns is the caller's to free(). -EINVAL: no program that libpcap makes; -E2BIG: too
 * long for eBPF's jumps; -ENOMEM.
 */
int kernel_filter_translate(const struct sock_filter *code, size_t count,
			    const struct kernel_filter_maps *maps, struct bpf_insn **insns,
			    size_t *insn_count);

#endif
