/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A family's memory: the arena (header | socket table | ring heap of each worker) and, outside of
 * what the program can reach, the private side of every socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sock/sock_priv.h"

#define ARENA_BYTES_DEFAULT (4ull << 30)
#define SOCKS_DEFAULT 65536u

static _Atomic uint32_t families;

/* A pcb has a byte for whose it is. Called by one thread, the control thread. */
static uint8_t owner_of(uint32_t uid)
{
	static uint32_t users[UINT8_MAX];
	static uint8_t count;
	uint8_t i = 0;

	while (i < count && users[i] != uid)
		i++;
	if (i == count && count < UINT8_MAX)
		users[count++] = uid;
	return i;
}

static size_t socks_bytes(const struct family *f)
{
	return (size_t)f->sock_count * sizeof(struct sock);
}

static int arena_map(struct family *f, bool memfd)
{
	int flags = MAP_NORESERVE | (memfd ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
	void *base;

	if (memfd) {
		f->arena_fd = memfd_create("weir-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (f->arena_fd < 0)
			return -errno;
		/* A program must not be able to take pages away under us (SIGBUS). */
		if (ftruncate(f->arena_fd, (off_t)f->arena_bytes) != 0 ||
		    fcntl(f->arena_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
			return -errno;
	}
	base = mmap(NULL, f->arena_bytes, PROT_READ | PROT_WRITE, flags, f->arena_fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	f->base = base;
	base = mmap(NULL, socks_bytes(f), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	f->socks = base;
	return 0;
}

static int part_create(struct family *f, struct worker *w, unsigned int i, uint64_t heap_offset,
		       uint64_t heap_bytes)
{
	struct part *part = calloc(1, sizeof(*part));
	int ret;

	if (part == NULL)
		return -ENOMEM;
	f->part[i] = part;
	f->parts = i + 1;
	part->family = f;
	part->w = w;
	part->arena = (struct abi_arena *)f->base;
	part->free_head = ABI_SOCK_NONE;
	ret = arena_heap_init(&part->heap, f->base + heap_offset, heap_bytes, f->arena_fd >= 0);
	return ret;
}

static void part_list(struct part *part)
{
	struct sock_layer *l = part->w->socks;

	part->next = l->parts;
	part->pprev = &l->parts;
	if (l->parts != NULL)
		l->parts->pprev = &part->next;
	l->parts = part;
}

static int parts_create(struct family *f, const struct family_params *params)
{
	struct abi_arena *arena = (struct abi_arena *)f->base;
	uint64_t heap =
		(sizeof(*arena) + (uint64_t)f->sock_count * sizeof(struct abi_sock) + 4095) &
		~4095ull;
	uint64_t each = heap < f->arena_bytes
				? ((f->arena_bytes - heap) / params->worker_count) & ~4095ull
				: 0;
	uint32_t socks_each = f->sock_count / params->worker_count;

	for (unsigned int i = 0; i < params->worker_count; i++) {
		int ret = part_create(f, params->workers[i], i, heap + i * each, each);

		if (ret != 0)
			return ret;
		f->part[i]->first = i * socks_each;
		f->part[i]->count = socks_each;
		f->part[i]->fresh = i * socks_each;
	}
	arena->magic = ABI_MAGIC;
	arena->version = ABI_VERSION;
	arena->size_bytes = f->arena_bytes;
	arena->sock_offset = sizeof(*arena);
	arena->sock_count = f->sock_count;
	atomic_store(&arena->socks_free, f->sock_count);
	for (unsigned int i = 0; i < f->parts; i++)
		part_list(f->part[i]);
	atomic_store(&f->live_parts, f->parts);
	return 0;
}

int family_create(const struct family_params *params, struct family **family)
{
	uint32_t round = 64 * params->worker_count; /* no word of a session's bits is shared */
	struct family *f;
	int ret;

	if (params->worker_count == 0 || params->worker_count > ABI_MAX_WORKERS)
		return -EINVAL;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	strncpy(f->name, params->name != NULL ? params->name : "?", sizeof(f->name) - 1);
	f->net_raw = params->net_raw;
	f->unprivileged = params->unprivileged;
	f->uid = params->uid;
	f->owner = owner_of(params->uid);
	f->group_count = params->group_count;
	f->arena_fd = -1;
	for (unsigned int i = 0; i < ABI_MAX_WORKERS; i++)
		f->worker_bell[i] = -1;
	f->arena_bytes = params->arena_bytes != 0 ? (params->arena_bytes + 4095) & ~4095ull
						  : ARENA_BYTES_DEFAULT;
	f->id = atomic_fetch_add(&families, 1);
	f->sock_count = params->socks != 0 ? params->socks : SOCKS_DEFAULT;
	f->sock_count = (f->sock_count + round - 1) / round * round;
	f->groups = calloc(f->group_count + 1, sizeof(*f->groups));
	ret = f->groups != NULL ? arena_map(f, params->memfd) : -ENOMEM;
	if (ret == 0 && f->group_count != 0)
		memcpy(f->groups, params->groups, f->group_count * sizeof(*f->groups));
	if (ret == 0)
		ret = parts_create(f, params);
	if (ret != 0) {
		family_free(f);
		return ret;
	}
	*family = f;
	return 0;
}

void part_unlist(struct part *part)
{
	struct sock_layer *l = part->w->socks;

	if (part->pprev == NULL)
		return;
	if (l->turn == part)
		l->turn = part->next;
	*part->pprev = part->next;
	if (part->next != NULL)
		part->next->pprev = part->pprev;
	part->pprev = NULL;
}

void family_free(struct family *f)
{
	for (unsigned int i = 0; i < f->parts; i++) {
		part_unlist(f->part[i]);
		arena_heap_free(&f->part[i]->heap);
		free(f->part[i]);
	}
	free(f->groups);
	if (f->socks != NULL)
		munmap(f->socks, socks_bytes(f));
	if (f->base != NULL)
		munmap(f->base, f->arena_bytes);
	if (f->arena_fd >= 0)
		close(f->arena_fd);
	for (unsigned int i = 0; i < ABI_MAX_WORKERS; i++)
		if (f->worker_bell[i] >= 0)
			close(f->worker_bell[i]);
	free(f);
}

struct part *part_of_address(struct worker *w, const void *ptr)
{
	const uint8_t *p = ptr;

	for (struct part *part = w->socks->parts; part != NULL; part = part->next)
		if (p >= part->heap.base &&
		    p < part->heap.base + (uint64_t)part->heap.blocks * ARENA_BLOCK_BYTES)
			return part;
	return NULL;
}

void part_settle(struct part *part)
{
	struct family *f = part->family;

	if (!part->dead || part->orphans != 0 || part->pprev == NULL)
		return;
	part_unlist(part);
	if (atomic_fetch_sub(&f->live_parts, 1) == 1)
		family_free(f);
}
