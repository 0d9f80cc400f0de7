/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_SHIM_REWRITE_DISPATCH_H
#define WEIR_SHIM_REWRITE_DISPATCH_H

#include "shim/shim.h"

/* The number, plus one, of the call that this thread makes for a rewritten site; 0: none. A signal
 * handler begins with none. */
extern SHIM_TLS int rewrite_busy;

/* In a forked child. */
void rewrite_forked(void);

#endif
