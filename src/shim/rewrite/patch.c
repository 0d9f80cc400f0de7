/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing the jumps. Other threads may run meanwhile, so the text stays executable while it is
 * written, and is put back as it was. No function of the C library is called between the two.
 */
#include "shim/interpose/raw.h"
#include "shim/rewrite/rewrite.h"
#include "shim/rewrite/xsave.h"
#include "shim/shim.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096ul
#define FAR_JUMP_BYTES 16 /* jmp *0(%rip) and the address */
#define REACH (INT32_MAX - (64 << 20))

struct rewrite_slot rewrite_slots[REWRITE_SITES_MAX];
uint32_t rewrite_save_bytes = 512 + 64;
uint32_t rewrite_save_mask;
uint32_t rewrite_save_how;

static unsigned int slots_used;
static struct lock patch_lock;

/* How the processor saves its vector registers. */
static void choose_save(void)
{
	struct xsave x;

	if (rewrite_save_mask)
		return;
	x = xsave_here();
	rewrite_save_mask = x.mask;
	rewrite_save_bytes = x.bytes;
	rewrite_save_how = x.how;
}

static bool in_reach(const uint8_t *from, const uint8_t *to)
{
	intptr_t distance = to - from;

	return distance < REACH && distance > -REACH;
}

/* Room for far jumps, near the text: below or above it, where nothing is. */
static uint8_t *near_page(uint8_t *text, size_t bytes, size_t want)
{
	for (uintptr_t step = 1 << 20; step < (1u << 30); step <<= 1) {
		for (int side = 0; side < 2; side++) {
			uintptr_t at = side ? (uintptr_t)text - step
					    : (uintptr_t)text + bytes + step;
			uint8_t *p;

			if (side && (uintptr_t)text < step + (1 << 20))
				continue;
			p = mmap((void *)(at & ~(PAGE - 1)), want, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
			if (p == MAP_FAILED)
				continue;
			if (in_reach(text, p) && in_reach(text + bytes, p))
				return p;
			munmap(p, want);
		}
	}
	return NULL;
}

static void write_far_jump(uint8_t *at, const uint8_t *target)
{
	static const uint8_t jmp_rip[] = { 0xff, 0x25, 0, 0, 0, 0 };
	uint64_t address = (uintptr_t)target;

	memcpy(at, jmp_rip, sizeof(jmp_rip));
	memcpy(at + sizeof(jmp_rip), &address, sizeof(address));
}

static void fill_slot(struct rewrite_slot *slot, const struct rewrite_site *site)
{
	bool one = rewrite_class(site->number) == REWRITE_FD;

	slot->back = site->at + site->length;
	slot->number = site->number;
	if (site->loaded)
		slot->entry = one ? rewrite_enter_fd_loaded : rewrite_enter_any_loaded;
	else
		slot->entry = one ? rewrite_enter_fd : rewrite_enter_any;
}

/* The bytes that replace the site: a jump, and ud2 (and an int3) where nobody ever comes. */
static uint64_t site_bytes(const struct rewrite_site *site, const uint8_t *target)
{
	int32_t distance = (int32_t)(target - (site->at + 5));

	return 0xe9 | (uint64_t)(uint32_t)distance << 8 | (uint64_t)0x0b0f << 40 |
	       (uint64_t)0xcc << 56;
}

static void write_site(const struct rewrite_site *site, const uint8_t *target)
{
	uint64_t bytes = site_bytes(site, target), old;
	unsigned int shift = (unsigned int)((uintptr_t)site->at & 7) * 8;

	if (shift == 0 || (shift == 8 && site->length == 7)) {
		/* In one aligned word: at once. */
		_Atomic uint64_t *word = (_Atomic uint64_t *)(void *)(site->at - shift / 8);
		uint64_t mask = site->length == 8 ? ~0ull : 0xffffffffffffffull;

		old = atomic_load_explicit(word, memory_order_relaxed);
		atomic_store_explicit(word, (old & ~(mask << shift)) | (bytes & mask) << shift,
				      memory_order_relaxed);
		return;
	}
	for (unsigned int i = 0; i < site->length; i++)
		*(volatile uint8_t *)(site->at + i) = (uint8_t)(bytes >> (8 * i));
}

static int patch_locked(uint8_t *text, size_t bytes, const struct rewrite_site *sites, size_t count)
{
	const uint8_t *stubs = rewrite_stubs + (size_t)slots_used * REWRITE_STUB_BYTES;
	size_t near_bytes = (count * FAR_JUMP_BYTES + PAGE - 1) & ~(PAGE - 1);
	uintptr_t first = (uintptr_t)text & ~(PAGE - 1);
	size_t span = ((uintptr_t)text + bytes - first + PAGE - 1) & ~(PAGE - 1);
	size_t step = REWRITE_STUB_BYTES;
	uint8_t *near = NULL;
	long err;

	if (!in_reach(text, stubs) || !in_reach(text + bytes, stubs)) {
		near = near_page(text, bytes, near_bytes);
		if (!near)
			return -ENOMEM;
		for (size_t i = 0; i < count; i++)
			write_far_jump(near + i * FAR_JUMP_BYTES, stubs + i * step);
		mprotect(near, near_bytes, PROT_READ | PROT_EXEC);
		step = FAR_JUMP_BYTES;
	}
	for (size_t i = 0; i < count; i++)
		fill_slot(&rewrite_slots[slots_used + i], &sites[i]);
	err = raw_syscall3(SYS_mprotect, (long)first, (long)span,
			   PROT_READ | PROT_WRITE | PROT_EXEC);
	if (err) {
		if (near)
			munmap(near, near_bytes);
		return (int)err;
	}
	for (size_t i = 0; i < count; i++)
		write_site(&sites[i], (near ? near : stubs) + i * step);
	raw_syscall3(SYS_mprotect, (long)first, (long)span, PROT_READ | PROT_EXEC);
	slots_used += (unsigned int)count;
	return 0;
}

int rewrite_patch(uint8_t *text, size_t bytes, const struct rewrite_site *sites, size_t count)
{
	int err = -ENOSPC;

	if (count == 0)
		return 0;
	choose_save();
	lock_take(&patch_lock);
	if (count <= REWRITE_SITES_MAX - slots_used)
		err = patch_locked(text, bytes, sites, count);
	lock_drop(&patch_lock);
	return err;
}
