/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets that are not on weir, counted by why: for `weir sockets`. The counts are in the arena;
 * those from before there is a session wait here.
 */
#include "shim/shim.h"

#include <stdio.h>

static _Atomic uint32_t early[ABI_OFF_MAX];

void left_count(enum abi_off why)
{
	if (atomic_load(&session.attached))
		atomic_fetch_add_explicit(&session.arena->off_weir[why], 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&early[why], 1, memory_order_relaxed);
}

void left_family(int domain)
{
	left_count(domain == AF_UNIX	  ? ABI_OFF_UNIX
		   : domain == AF_NETLINK ? ABI_OFF_NETLINK
					  : ABI_OFF_OTHER);
}

void left_attached(void)
{
	const char *nets = policy_text();

	for (unsigned int i = 0; i < ABI_OFF_MAX; i++)
		atomic_fetch_add_explicit(&session.arena->off_weir[i],
					  atomic_exchange(&early[i], 0), memory_order_relaxed);
	if (nets)
		snprintf(session.arena->kernel_nets, sizeof(session.arena->kernel_nets), "%s",
			 nets);
}
