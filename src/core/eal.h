/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting DPDK's environment (EAL), once a process.
 */
#ifndef WEIR_CORE_EAL_H
#define WEIR_CORE_EAL_H

#include <stdbool.h>

/*
 * Start EAL, with hugepages where there are some and without them otherwise (one log line says so).
 * It needs no privileges, leaves no files, opens no sockets, and any number of processes may do it
 * side by side. extra_args: more arguments for EAL (NULL-terminated) or NULL; they win over ours
 * where both say something ("-m", "2048").
 *
 * Idempotent: further calls return the first call's result and ignore extra_args. The calling
 * thread becomes EAL's main lcore; its CPU affinity is as before when this returns.
 * Returns 0 or a negative errno. Threads: one at a time (it takes a lock).
 */
int core_eal_init(const char *const *extra_args);

/* Did EAL find hugepages? False before core_eal_init(). */
bool core_eal_has_hugepages(void);

#endif
