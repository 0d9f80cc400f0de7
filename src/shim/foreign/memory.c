/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of foreign code: a heap of its own, and files where its calls are seen. What it maps may
 * be code, of a library that another loader than ours loads (musl's, a second GNU one, a static
 * program's dlopen()). In the upper half of the address space, where the kernel would put it, such
 * code's calls were taken for ours (thread.c), so files are mapped far below.
 */
#include "shim/foreign/foreign.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE 4096ul
#define HEAP_BYTES (64ul << 30) /* of address space; memory only where it is used */
#define FILES_FIRST 0x200000000000ul
#define FILES_END 0x600000000000ul
#define UPPER_HALF 0x700000000000ul
#define FILES_ALIGN 0x200000ul
#define TRIES 64

/* ---- the heap ---- */

static uintptr_t heap_start, heap_end;
static struct lock heap_lock;

static bool heap_change(uintptr_t from, uintptr_t to)
{
	from = (from + PAGE - 1) & -PAGE;
	to = (to + PAGE - 1) & -PAGE;
	if (to > from)
		return raw_call(SYS_mprotect, (long)from, (long)(to - from), PROT_READ | PROT_WRITE,
				0, 0, 0) == 0;
	if (to < from) /* memory that comes back later is zero */
		raw_call(SYS_mmap, (long)to, (long)(from - to), PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	return true;
}

long foreign_break(uintptr_t wanted)
{
	lock_take(&heap_lock);
	if (!heap_start) {
		void *m = mmap(NULL, HEAP_BYTES, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		/* Without: an allocator that gets nothing here takes mmap(). */
		heap_start = heap_end = m == MAP_FAILED ? 1 : (uintptr_t)m;
	}
	if (heap_start != 1 && wanted >= heap_start && wanted <= heap_start + HEAP_BYTES &&
	    heap_change(heap_end, wanted))
		heap_end = wanted;
	lock_drop(&heap_lock);
	return (long)heap_end;
}

/* ---- files ---- */

static long map_at(uintptr_t at, const struct foreign_regs *r)
{
	return raw_call(SYS_mmap, (long)at, r->rsi, r->rdx, r->r10 | MAP_FIXED_NOREPLACE, r->r8,
			r->r9);
}

/* The next place that is free; the places are gone through again and again. */
static long map_below(const struct foreign_regs *r)
{
	static _Atomic uintptr_t next = FILES_FIRST;
	uintptr_t bytes = ((uintptr_t)r->rsi + FILES_ALIGN - 1) & -FILES_ALIGN;

	for (int i = 0; bytes && bytes < FILES_END - FILES_FIRST && i < TRIES; i++) {
		uintptr_t at = atomic_fetch_add(&next, bytes);
		long m;

		if (at + bytes > FILES_END) {
			atomic_store(&next, FILES_FIRST);
			continue;
		}
		m = map_at(at, r);
		if (m != -EEXIST)
			return m;
	}
	return -ENOMEM;
}

long foreign_mmap(const struct foreign_regs *r)
{
	bool file = !(r->r10 & MAP_ANONYMOUS);

	if (file && fd_sock((int)r->r8)) { /* a packet socket's ring */
		void *m = mmap((void *)r->rdi, (size_t)r->rsi, (int)r->rdx, (int)r->r10, (int)r->r8,
			       r->r9);

		return m == MAP_FAILED ? -errno : (long)m;
	}
	if (file && !(r->r10 & (MAP_FIXED | MAP_FIXED_NOREPLACE)) &&
	    (r->rdi == 0 || (uintptr_t)r->rdi >= UPPER_HALF))
		return map_below(r);
	return raw_call(SYS_mmap, r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9);
}
