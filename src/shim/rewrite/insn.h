/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_SHIM_INSN_H
#define WEIR_SHIM_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the instruction at p, of those before end; 0: unknown, or cut off. Pure. */
size_t insn_length(const uint8_t *p, const uint8_t *end);

#endif
