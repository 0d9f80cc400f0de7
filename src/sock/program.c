/* SPDX-License-Identifier: BSD-3-Clause */
/* The programs that have sessions, for people. What they say of themselves is copied once. */
#include <string.h>

#include "sock/sock_priv.h"

static void count_sessions(const struct family *f, struct program_info *info)
{
	for (const struct session *s = f->sessions; s != NULL; s = s->next) {
		if (s->pid == 0) { /* a descriptor that is passed: session_pass() */
			info->in_flight++;
			continue;
		}
		if (info->pid_count < PROGRAM_PIDS_MAX)
			info->pids[info->pid_count++] = s->pid;
		info->processes++;
	}
}

void program_for_each(struct worker *w, void (*fn)(const struct program_info *info, void *arg),
		      void *arg)
{
	for (struct part *part = w->socks->parts; part != NULL; part = part->next) {
		const struct family *f = part->family;
		struct abi_arena *arena = (struct abi_arena *)f->base;
		struct program_info info = { .id = f->id, .name = f->name };

		if (f->sessions == NULL)
			continue;
		count_sessions(f, &info);
		for (unsigned int i = 0; i < ABI_OFF_MAX; i++)
			info.off_weir[i] =
				atomic_load_explicit(&arena->off_weir[i], memory_order_relaxed);
		memcpy(info.kernel_nets, arena->kernel_nets, sizeof(info.kernel_nets));
		info.kernel_nets[sizeof(info.kernel_nets) - 1] = '\0';
		fn(&info, arg);
	}
}
