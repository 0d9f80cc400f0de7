/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/slice.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's struct sched_attr, its first version; glibc 2.36 has no declaration of it. */
struct slice_attr {
	uint32_t size;
	uint32_t sched_policy;
	uint64_t sched_flags;
	int32_t sched_nice;
	uint32_t sched_priority;
	uint64_t sched_runtime; /* for SCHED_OTHER: the slice wished for */
	uint64_t sched_deadline;
	uint64_t sched_period;
};

int slice_shorten(void)
{
	struct slice_attr attr = { .size = sizeof(attr) };

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0u))
		return -errno;
	if (attr.sched_policy != SCHED_OTHER)
		return 0;
	attr.size = sizeof(attr);
	attr.sched_runtime = SLICE_NS;
	return syscall(SYS_sched_setattr, 0, &attr, 0u) ? -errno : 0;
}
