/* SPDX-License-Identifier: BSD-3-Clause */
/* The few machine instructions that a patch may move: see decode.c. */
#ifndef WEIR_SHIM_FOREIGN_DECODE_H
#define WEIR_SHIM_FOREIGN_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How many bytes behind a `syscall` instruction can be moved elsewhere, whole instructions of which
 * none depends on its address, so that at least `need` bytes are free: their count, or 0. Looks at
 * `have` bytes at most. The first instruction is two bytes or longer, and none but the first begins
 * at one of the bytes 1 or 3, see sites.c.
 */
size_t decode_movable(const uint8_t *at, size_t have, size_t need);

#endif
