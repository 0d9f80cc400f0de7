/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of /proc/net for programs on weir. Threads: the control thread. */
#ifndef WEIR_BIN_WEIRD_PROCNET_H
#define WEIR_BIN_WEIRD_PROCNET_H

#include "engine/engine.h"

/* A descriptor, the caller's, of a file in memory that has the text of /proc/net/NAME and cannot be
 * changed; or -ENOENT (there is none of that name) or another -errno. */
int weird_procnet_open(struct engine *engine, const char *name);

#endif
