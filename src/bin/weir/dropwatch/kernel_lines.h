/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Source lines of the kernel's code, where its debug information is installed; silently none where
 * it is not.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_KERNEL_LINES_H
#define WEIR_BIN_WEIR_DROPWATCH_KERNEL_LINES_H

#include <stdbool.h>
#include <stdint.h>

struct kernel_lines;

/* The debug information of the running kernel; NULL: none was found. */
struct kernel_lines *kernel_lines_of_kernel(uint64_t stext);

/*
 * That of an ELF file. symbol and address: where one of its symbols lies in memory now, for the
 * kernel is loaded somewhere else each time. NULL: the file is none, or has no such symbol.
 */
struct kernel_lines *kernel_lines_open(const char *path, const char *symbol, uint64_t address);
void kernel_lines_close(struct kernel_lines *lines);

/* Of the instruction before a return address; *file is good until kernel_lines_close(). */
bool kernel_lines_find(struct kernel_lines *lines, uint64_t return_address, const char **file,
		       uint32_t *line);

#endif
