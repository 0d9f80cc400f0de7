/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drops of the host's kernel in words: the BPF program's numbers become the front end's events,
 * with functions, source lines, reasons, namespaces and sockets.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_KERNEL_WORDS_H
#define WEIR_BIN_WEIR_DROPWATCH_KERNEL_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "bin/weir/dropwatch/source.h"
#include "bpf/kdrop.h"

struct btf;
struct kernel_words;

/* *note: words about what cannot be shown here, or NULL; good as long as this. NULL: no memory. */
struct kernel_words *kernel_words_new(const struct btf *btf, const char **note);
void kernel_words_free(struct kernel_words *words);

/* The number of a reason's name, or -ENOENT. */
int kernel_words_reason(const struct kernel_words *words, const char *name);

/* Forget the events, and have room for so many more. 0 or -ENOMEM. */
int kernel_words_begin(struct kernel_words *words, size_t count);

/* One more event; the two others add to the last one. */
void kernel_words_add(struct kernel_words *words, const struct kdrop_key *key, uint64_t count);
void kernel_words_frames(struct kernel_words *words, const __u64 *frames, size_t count);
void kernel_words_packet(struct kernel_words *words, const struct kdrop_packet *packet,
			 int64_t realtime_ns);

/* Good until kernel_words_begin(). */
const struct drop_event *kernel_words_events(const struct kernel_words *words, size_t *count);

#endif
