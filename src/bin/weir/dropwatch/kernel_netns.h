/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Network namespaces by name and by inode number, for `weir dropwatch --kernel`: a drop carries the
 * number, people say names.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_KERNEL_NETNS_H
#define WEIR_BIN_WEIR_DROPWATCH_KERNEL_NETNS_H

#include <stddef.h>
#include <stdint.h>

struct kernel_netns;

/*
 * The inode number of a namespace: NULL or "." is the one we are in, a path is that file, a number
 * is a process's (unless `ip netns` has one of that name), anything else a name of `ip netns`.
 * 0, or a negative errno and words in error.
 */
int kernel_netns_find(const char *name, uint32_t *inum, char *error, size_t error_bytes);

struct kernel_netns *kernel_netns_new(void); /* NULL: no memory */
void kernel_netns_free(struct kernel_netns *netns);

/*
 * What people call it: its name of `ip netns`, else "pid 4711 (nginx)", the lowest process in it,
 * else "net:[4026531840]". Good until kernel_netns_free(). Looks through /proc when a number is
 * new, and only then.
 */
const char *kernel_netns_name(struct kernel_netns *netns, uint32_t inum);

#endif
