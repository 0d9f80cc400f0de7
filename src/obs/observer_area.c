/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An observer's life, and the memory that it shares (wire/watch_abi.h): a memfd that can neither
 * shrink nor grow, so that nobody can make the workers fault in it.
 */
#include "obs/observer_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/filter.h"

#define PAGE_BYTES 4096u

static uint8_t bits_taken;

/* A packet comes in, gets its IP header, or, where it needs none, goes out. */
#define STAGES_ASKED (1u << STAGE_PORT_RX | 1u << STAGE_IP4_OUTPUT | 1u << STAGE_PORT_TX)

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) & ~(to - 1);
}

static struct watch_area area_layout(const struct observer *o)
{
	struct watch_area a = {
		.magic = WATCH_MAGIC,
		.version = WATCH_VERSION,
		.worker_count = o->worker_count,
		.site_count = o->site_count,
		.reason_count = DROP_REASON_MAX,
		.site_bytes = o->site_bytes,
		.ring_bytes = o->ring_bytes,
		.part_at = PAGE_BYTES,
	};

	a.ring_at = round_up(sizeof(struct watch_part) + (uint64_t)o->site_count * o->site_bytes,
			     PAGE_BYTES);
	a.part_bytes = a.ring_at + o->ring_bytes;
	a.area_bytes = a.part_at + a.part_bytes * o->worker_count;
	return a;
}

static int area_make(struct observer *o)
{
	struct watch_area a = area_layout(o);
	void *area;

	o->fd = memfd_create("weir-watch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (o->fd < 0)
		return -errno;
	if (ftruncate(o->fd, (off_t)a.area_bytes) ||
	    fcntl(o->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	area = mmap(NULL, a.area_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
	if (area == MAP_FAILED)
		return -errno;
	o->area = area;
	o->area_bytes = a.area_bytes;
	*o->area = a;
	for (unsigned int i = 0; i < o->worker_count; i++) {
		uint8_t *at = (uint8_t *)area + a.part_at + i * a.part_bytes;

		o->part[i].shared = (struct watch_part *)at;
		o->part[i].sites = at + sizeof(struct watch_part);
		o->part[i].ring = at + a.ring_at;
	}
	return 0;
}

static int filter_copy(struct observer_filter *to, const struct sock_filter *from, uint32_t count)
{
	if (filter_check(from, count))
		return -EINVAL;
	to->insn = calloc(count, sizeof(*from));
	if (!to->insn)
		return -ENOMEM;
	memcpy(to->insn, from, count * sizeof(*from));
	to->count = count;
	filter_jit_make(&to->jit, from, count);
	return 0;
}

static int filters_copy(struct observer *o, const struct observer_spec *spec)
{
	int err;

	o->filtered = spec->ethernet_count || spec->ip_count;
	if (!o->filtered)
		return 0;
	err = filter_copy(&o->ethernet, spec->ethernet, spec->ethernet_count);
	return err ? err : filter_copy(&o->ip, spec->ip, spec->ip_count);
}

static bool spec_good(const struct observer_spec *spec)
{
	return spec->ring_bytes >= WATCH_RING_MIN_BYTES &&
	       spec->ring_bytes <= WATCH_RING_MAX_BYTES &&
	       !(spec->ring_bytes & (spec->ring_bytes - 1)) &&
	       spec->snap_bytes <= WATCH_SNAP_MAX_BYTES && spec->stages < 1ull << STAGE_MAX;
}

static struct observer *observer_alloc(const struct observer_spec *spec,
				       struct worker *const *workers, unsigned int n)
{
	struct observer *o = calloc(1, sizeof(*o) + n * sizeof(o->part[0]));
	uint32_t all; /* stages at which every packet is seen, not only who is followed */

	if (!o)
		return NULL;
	o->fd = -1;
	o->workers = workers;
	o->worker_count = n;
	o->records = spec->records || spec->follow;
	o->follow = spec->follow;
	o->asks = spec->stages & 1u << STAGE_PORT_RX ? spec->stages & STAGES_ASKED : spec->stages;
	all = spec->follow ? o->asks | STAGES_OF_MAKING : UINT32_MAX;
	o->snap_bytes = spec->snap_bytes;
	o->ring_bytes = spec->ring_bytes;
	o->ports = spec->ports;
	memcpy(o->reasons, spec->reasons, sizeof(o->reasons));
	for (unsigned int i = 0; i < OBSERVER_REASON_WORDS; i++)
		o->picky |= spec->reasons[i] != 0;
	o->site_count = drop_site_count();
	o->site_bytes = (uint32_t)(sizeof(struct watch_site) + DROP_REASON_MAX * sizeof(uint64_t));
	for (unsigned int i = 0; i < n; i++) {
		o->part[i].o = o;
		o->part[i].watcher.ops = &observer_ops;
		o->part[i].watcher.wants = (spec->stages & all) |
					   (spec->drops || spec->follow ? WATCH_DROPS : 0);
		o->part[i].watcher.follows = spec->stages & ~all;
	}
	return o;
}

int observer_new(const struct observer_spec *spec, struct worker *const *workers, unsigned int n,
		 struct observer **out)
{
	struct observer *o;
	int err;

	if (!spec_good(spec))
		return -EINVAL;
	if (bits_taken == (1u << OBSERVERS_MAX) - 1)
		return -EUSERS;
	o = observer_alloc(spec, workers, n);
	if (!o)
		return -ENOMEM;
	o->bit = (uint8_t)(~bits_taken & (bits_taken + 1));
	bits_taken |= o->bit;
	err = filters_copy(o, spec);
	if (!err)
		err = area_make(o);
	if (err) {
		observer_free(o);
		return err;
	}
	*out = o;
	return 0;
}

void observer_free(struct observer *o)
{
	if (!o)
		return;
	bits_taken &= (uint8_t)~o->bit;
	if (o->area)
		munmap(o->area, o->area_bytes);
	if (o->fd >= 0)
		close(o->fd);
	filter_jit_free(&o->ethernet.jit);
	filter_jit_free(&o->ip.jit);
	free(o->ethernet.insn);
	free(o->ip.insn);
	free(o);
}

int observer_fd(const struct observer *o)
{
	return o->fd;
}

const char *observer_filter_how(const struct observer *o)
{
	if (!o->filtered)
		return "none";
	return o->ethernet.jit.fn && o->ip.jit.fn ? "machine code" : "interpreter";
}

void observer_start(struct observer *o)
{
	if (!o->started)
		o->epoch = ++observer_epoch;
	for (unsigned int i = 0; !o->started && i < o->worker_count; i++)
		watcher_add(o->workers[i], &o->part[i].watcher);
	o->started = true;
}

void observer_stop(struct observer *o)
{
	for (unsigned int i = 0; o->started && i < o->worker_count; i++)
		watcher_del(o->workers[i], &o->part[i].watcher);
	o->started = false;
}
