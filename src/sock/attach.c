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

/* What the filters of a program may have on a worker: this, and so much more for each socket that
 * it could have there. Linux bounds each socket's [optmem_max]; thousands of sockets would be too
 * much memory of the daemon's. */
#define FILTER_PART_BYTES (1u << 20)
#define FILTER_SOCK_BYTES 1024u

static uint64_t filter_bytes(uint32_t count)
{
	return (uint64_t)count * sizeof(struct sock_filter);
}

static bool has_room(const struct part *part, uint64_t bytes)
{
	return part->filter_bytes + bytes <=
	       FILTER_PART_BYTES + (uint64_t)part->count * FILTER_SOCK_BYTES;
}

/* NULL: too much, or no memory. */
static struct sock_filter *insns_new(struct part *part, uint32_t count)
{
	struct sock_filter *insns =
		has_room(part, filter_bytes(count)) ? calloc(count, sizeof(*insns)) : NULL;

	if (insns != NULL)
		part->filter_bytes += filter_bytes(count);
	return insns;
}

static void insns_free(struct part *part, struct sock_filter *insns, uint32_t count)
{
	if (insns != NULL)
		part->filter_bytes -= filter_bytes(count);
	free(insns);
}

static void coming_free(struct part *part, struct sock_filters *f)
{
	insns_free(part, f->coming, f->coming_count);
	f->coming = NULL;
	f->coming_count = f->coming_have = 0;
}

static int filter_attach(struct part *part, struct sock_filters *f)
{
	int ret = filter_check(f->coming, f->coming_count);

	if (ret == 0) {
		insns_free(part, f->insn, f->count);
		f->insn = f->coming;
		f->count = f->coming_count;
		f->coming = NULL;
	}
	coming_free(part, f);
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
		coming_free(s->part, f);
		if (count == 0 || count > FILTER_MAX_INSNS)
			return -EINVAL;
		f->coming = insns_new(s->part, count);
		if (f->coming == NULL)
			return -ENOMEM;
		f->coming_count = count;
	}
	/* Two threads that attach at once: neither gets a mixture. */
	if (f->coming == NULL || count != f->coming_count || first != f->coming_have || n == 0 ||
	    n > count - first || len % sizeof(struct sock_filter) != 0) {
		coming_free(s->part, f);
		return -EINVAL;
	}
	memcpy(f->coming + first, data, len);
	f->coming_have += n;
	return f->coming_have == count ? filter_attach(s->part, f) : 0;
}

static int filter_detach(struct sock *s)
{
	struct sock_filters *f = s->use == SLOT_STREAM ? NULL : s->filters;

	if (filter_is_locked(s))
		return -EPERM;
	if (f == NULL || f->insn == NULL)
		return -ENOENT;
	insns_free(s->part, f->insn, f->count);
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
	struct sock_filters *f;

	filter_free(s);
	if (from->filters == NULL || from->filters->insn == NULL)
		return 0;
	f = filters_of(s);
	if (f == NULL)
		return -ENOBUFS;
	f->insn = insns_new(s->part, from->filters->count);
	if (f->insn == NULL)
		return -ENOMEM;
	f->count = from->filters->count;
	memcpy(f->insn, from->filters->insn, filter_bytes(f->count));
	return 0;
}

void filter_free(struct sock *s)
{
	struct sock_filters *f = s->filters;

	if (f == NULL)
		return;
	coming_free(s->part, f);
	insns_free(s->part, f->insn, f->count);
	free(f);
	s->filters = NULL;
}

static uint64_t filters_bytes(const struct sock *s)
{
	const struct sock_filters *f = s->use == SLOT_STREAM ? NULL : s->filters;

	if (f == NULL)
		return 0;
	return filter_bytes((f->insn != NULL ? f->count : 0) + f->coming_count);
}

bool filter_may_move(const struct sock *s, const struct part *to)
{
	return has_room(to, filters_bytes(s));
}

void filter_moved(const struct sock *s, struct part *from)
{
	uint64_t bytes = filters_bytes(s);

	from->filter_bytes -= bytes;
	s->part->filter_bytes += bytes;
}
