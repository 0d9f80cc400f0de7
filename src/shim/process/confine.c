/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filters and limits that a program lays on itself. Without this its next wait would be its last:
 * sched_yield() is in few programs' filters, and neither is the making of a bell.
 */
#include "shim/process/confine.h"

#include "shim/shim.h"

#include <sys/mman.h>

void confine_prepare(void)
{
	int saved = errno;

	if (!atomic_load(&session.attached))
		session_attach_early();
	for (unsigned int i = 0; atomic_load(&session.attached) && i < session.workers; i++)
		thread_channel(i);
	errno = saved;
}

static struct confine_fds own_fds(void)
{
	int first = session.fd;

	for (unsigned int i = 0; i < session.workers; i++) {
		if (session.bell[i] < first)
			first = session.bell[i];
	}
	if (thread_tls.bell >= 0 && thread_tls.bell < first)
		first = thread_tls.bell;
	return (struct confine_fds){ .first = (uint32_t)first };
}

static bool active;

bool confine_active(void)
{
	return active;
}

long confine_filter(const struct sock_fprog *theirs, long (*install)(struct sock_fprog *, void *),
		    void *arg)
{
	const size_t bytes = (CONFINE_RULES_MAX + BPF_MAXINSNS) * sizeof(struct sock_filter);
	struct sock_fprog both = *theirs;
	size_t rules;
	long r;

	active = true;
	confine_prepare();
	if (!atomic_load(&session.attached) || theirs->len == 0 || theirs->len > BPF_MAXINSNS)
		return install(&both, arg);
	both.filter = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (both.filter == MAP_FAILED)
		return -1;
	rules = confine_rules(both.filter, own_fds());
	memcpy(both.filter + rules, theirs->filter, theirs->len * sizeof(struct sock_filter));
	both.len = (unsigned short)(rules + theirs->len);
	r = install(&both, arg);
	munmap(both.filter, bytes);
	return r;
}
