/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's functions by address, as /proc/kallsyms tells them: for `weir dropwatch --kernel`.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_KERNEL_SYMS_H
#define WEIR_BIN_WEIR_DROPWATCH_KERNEL_SYMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define KERNEL_SYMS_PATH "/proc/kallsyms"

struct kernel_syms;

/*
 * Read the table. *hidden: there are names, but no addresses: the kernel shows those to no one
 * (kernel.kptr_restrict=2), or only to who has CAP_SYSLOG. Lines that are none are passed over.
 * NULL: no memory.
 */
struct kernel_syms *kernel_syms_read(FILE *from, bool *hidden);
void kernel_syms_free(struct kernel_syms *syms);

/*
 * The function that holds an address, and how far into it that is; NULL where there is none at or
 * below it. The name is the table's. Where a function's entry padding has a name of its own
 * ("__pfx_..."), it is passed over.
 */
const char *kernel_syms_find(const struct kernel_syms *syms, uint64_t address,
			     uint64_t *offset_bytes);

/* The address of a name; 0: there is none. Of several with one name, the lowest. */
uint64_t kernel_syms_address(const struct kernel_syms *syms, const char *name);

#endif
