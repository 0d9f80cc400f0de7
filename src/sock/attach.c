/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filters of sockets: SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER. A program comes from the
 * program in pieces as large as a control slot (ABI_CTL_FILTER); it is checked when it is whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sock/packet.h"

static struct sock_filters *filters_of(struct sock *s)
{
	if (s->filters == NULL)
		s->filters = calloc(1, sizeof(*s->filters));
	return s->filters;
}

static void coming_free(struct sock_filters *f)
{
	free(f->coming);
	f->coming = NULL;
	f->coming_count = f->coming_have = 0;
}

static int filter_attach(struct sock_filters *f)
{
	int ret = filter_check(f->coming, f->coming_count);

	if (ret == 0) {
		free(f->insn);
		f->insn = f->coming;
		f->count = f->coming_count;
		f->coming = NULL;
	}
	coming_free(f);
	return ret;
}

int filter_piece(struct sock *s, uint32_t first, uint32_t count, const void *data, uint32_t len)
{
	uint32_t n = len / (uint32_t)sizeof(struct sock_filter);
	struct sock_filters *f = filters_of(s);

	if (f == NULL)
		return -ENOBUFS;
	if (f->locked)
		return -EPERM;
	if (first == 0) {
		coming_free(f);
		if (count == 0 || count > FILTER_MAX_INSNS)
			return -EINVAL;
		f->coming = calloc(count, sizeof(struct sock_filter));
		if (f->coming == NULL)
			return -ENOBUFS;
		f->coming_count = count;
	}
	/* Two threads that attach at once: neither gets a mixture. */
	if (f->coming == NULL || count != f->coming_count || first != f->coming_have || n == 0 ||
	    n > count - first || len % sizeof(struct sock_filter) != 0) {
		coming_free(f);
		return -EINVAL;
	}
	memcpy(f->coming + first, data, len);
	f->coming_have += n;
	return f->coming_have == count ? filter_attach(f) : 0;
}

static int filter_detach(struct sock *s)
{
	struct sock_filters *f = s->use == SLOT_STREAM ? NULL : s->filters;

	if (filter_is_locked(s))
		return -EPERM;
	if (f == NULL || f->insn == NULL)
		return -ENOENT;
	free(f->insn);
	f->insn = NULL;
	return 0;
}

bool filter_is_locked(const struct sock *s)
{
	if (s->use == SLOT_STREAM)
		return s->filter_locked;
	return s->filters != NULL && s->filters->locked;
}

static int filter_lock(struct sock *s, bool on)
{
	struct sock_filters *f;

	if (s->use == SLOT_STREAM) {
		if (s->filter_locked && !on)
			return -EPERM;
		s->filter_locked = on;
		return 0;
	}
	f = filters_of(s);
	if (f == NULL)
		return -ENOBUFS;
	if (f->locked && !on)
		return -EPERM;
	f->locked = on;
	return 0;
}

/* SO_DETACH_FILTER, SO_LOCK_FILTER */
int filter_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	int32_t value;

	if (len < sizeof(value))
		return -EINVAL;
	memcpy(&value, data, sizeof(value));
	return name == SO_DETACH_FILTER ? filter_detach(s) : filter_lock(s, value != 0);
}

int filter_copy(struct sock *s, const struct sock *from)
{
	size_t bytes;
	struct sock_filters *f;

	filter_free(s);
	if (from->filters == NULL || from->filters->insn == NULL)
		return 0;
	f = filters_of(s);
	bytes = from->filters->count * sizeof(struct sock_filter);
	if (f == NULL || (f->insn = malloc(bytes)) == NULL)
		return -ENOBUFS;
	memcpy(f->insn, from->filters->insn, bytes);
	f->count = from->filters->count;
	return 0;
}

void filter_free(struct sock *s)
{
	struct sock_filters *f = s->filters;

	if (f == NULL)
		return;
	coming_free(f);
	free(f->insn);
	free(f);
	s->filters = NULL;
}
