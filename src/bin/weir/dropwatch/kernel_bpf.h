/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The BPF program of `weir dropwatch --kernel` as it runs: loaded with the user's choice, attached,
 * read, and taken away. bpf/kdrop.bpf.c is the program, bpf/kdrop.h what it writes.
 *
 * It needs Linux 5.8 (ring buffers), BTF in the kernel, and CAP_BPF with CAP_PERFMON, or root.
 *
 * In the environment, for tests and for who looks for a fault: WEIR_KDROP_LOG prints what libbpf
 * and the verifier say, WEIR_KDROP_RAW takes raw_tp, WEIR_KDROP_KEYS makes the table of counts
 * smaller.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_KERNEL_BPF_H
#define WEIR_BIN_WEIR_DROPWATCH_KERNEL_BPF_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/kdrop.h"

struct btf;
struct bpf_object;
struct bpf_link;
struct ring_buffer;

struct kernel_bpf {
	const struct btf *btf; /* the kernel's; the caller's */
	struct bpf_object *object;
	struct bpf_link *link;
	struct ring_buffer *ring; /* NULL where no packets are wanted */
	struct kdrop_shared *shared;
	int counts, stats, stacks; /* maps */
	int program, filter;	   /* -1: none */
	int cpus;
	bool raw; /* it runs as raw_tp: the kernel refused tp_btf */
};

/* on_packet is called by kernel_bpf_take(), as libbpf has it; false ends that call. */
typedef bool kernel_bpf_packet_fn(void *context, const void *record, size_t bytes);

/*
 * Load and attach. config: with_reason, with_rx_sk, filter and snap_bytes are set here. filter: a
 * classic program, or NULL. 0, or a negative errno and words; then nothing is left behind.
 */
int kernel_bpf_start(struct kernel_bpf *b, const struct btf *btf, struct kdrop_config *config,
		     const struct sock_filter *filter, size_t filter_count, char *error,
		     size_t error_bytes);

/* Detach, and wait until no CPU is in the program any more: counts are final then. */
void kernel_bpf_detach(struct kernel_bpf *b);

/* Detach if need be, and give everything back. */
void kernel_bpf_close(struct kernel_bpf *b);

/* Call fn for each key with its count, all CPUs together. 0 or a negative errno. */
int kernel_bpf_counts(const struct kernel_bpf *b,
		      void (*fn)(void *context, const struct kdrop_key *key, uint64_t count),
		      void *context);

/* Sums of enum kdrop_stat over the CPUs. */
void kernel_bpf_stats(const struct kernel_bpf *b, uint64_t stats[KDROP_STATS]);

/* How many times the kernel kept the program from running inside itself, on one CPU. */
uint64_t kernel_bpf_missed(const struct kernel_bpf *b);

/* Take packets out of the ring until it is empty or fn says so. */
void kernel_bpf_take(struct kernel_bpf *b, kernel_bpf_packet_fn *fn, void *context);

/* Readable when there are packets; -1: none are wanted. */
int kernel_bpf_poll_fd(const struct kernel_bpf *b);

/* The frames of a key's stack, innermost first; 0: none. */
size_t kernel_bpf_stack(const struct kernel_bpf *b, int32_t stack, __u64 frames[KDROP_FRAMES]);

/* kernel_why.c: what keeps BPF from running here, in words, after `what` failed with rc. */
void kernel_why(const char *what, int rc, char *error, size_t error_bytes);

#endif
