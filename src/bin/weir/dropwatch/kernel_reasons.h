/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why the host's kernel dropped: names by number from the kernel's own BTF (enum skb_drop_reason
 * differs between versions), words to them from kernel_reasons.def.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_KERNEL_REASONS_H
#define WEIR_BIN_WEIR_DROPWATCH_KERNEL_REASONS_H

#include <stddef.h>
#include <stdint.h>

struct btf;
struct kernel_reasons;

struct kernel_reason {
	const char *name; /* "NO_SOCKET": without SKB_DROP_REASON_ */
	const char *severity;
	const char *meaning, *advice; /* NULL: this weir knows no words for it */
};

/* btf: the kernel's; NULL, or one without the enum (before Linux 5.17): no names. It is not needed
 * afterwards. NULL: no memory. */
struct kernel_reasons *kernel_reasons_new(const struct btf *btf);
void kernel_reasons_free(struct kernel_reasons *reasons);

/* Of any number: one without a name is "REASON_<number>". Good until kernel_reasons_free(). */
void kernel_reason_of(struct kernel_reasons *reasons, uint32_t number,
		      struct kernel_reason *reason);

/* The number of a name, in any case, with or without SKB_DROP_REASON_; -ENOENT. */
int kernel_reason_number(const struct kernel_reasons *reasons, const char *name);

#endif
