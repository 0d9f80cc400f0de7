/* SPDX-License-Identifier: BSD-3-Clause */
/* The functions of an executable by address: its ELF symbol table. */
#ifndef WEIR_BIN_WEIR_DROPWATCH_WEIRD_SYMS_H
#define WEIR_BIN_WEIR_DROPWATCH_WEIRD_SYMS_H

#include <stdint.h>

struct weird_syms;

/* Of a file, as /proc/PID/exe. NULL: it is not there, is no ELF file, or has no symbols (stripped).
 */
struct weird_syms *weird_syms_read(const char *path);
void weird_syms_free(struct weird_syms *syms);

/*
 * The function that an address is in, counted from the first byte of the executable as it lies in
 * memory, and how far into it. NULL: in none. The name is the table's.
 */
const char *weird_syms_find(const struct weird_syms *syms, uint64_t address,
			    uint64_t *offset_bytes);

#endif
