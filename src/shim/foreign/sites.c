/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System call sites. Each has a stub; and where the instructions behind the site can be moved into
 * the stub (decode.c) the site becomes a jump to it:
 *
 *   site:  0f 05        syscall            e9 B0 0f 0b XX   jmp stub
 *          48 3d ...    cmp ..., %rax
 *
 * Something may jump to the instruction behind the `syscall`, and a thread may be waiting in the
 * kernel in just this call and return there. So the stub's place is chosen such that the jump's
 * last three bytes are instructions that trap: 0f 0b is ud2, and XX one that 64-bit mode does not
 * have. The SIGILL handler then sends the thread to the moved instructions. [The idea that a jump's
 * distance may double as instructions is "instruction punning": Chamith et al., PLDI 2017]
 *
 * Other threads may run through a site while it is written, so it is written with one store within
 * a cache line, or left as it is: SIGSYS finds the stub as well.
 */
#include "shim/foreign/decode.h"
#include "shim/foreign/foreign.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define SYSCALL_BYTES 2
#define JUMP_BYTES 5
#define STUB_BYTES 64
#define STUB_UNIT 16
#define ENTER_BYTES 23 /* of a stub, before the moved instructions */
#define MOVED_MAX (STUB_BYTES - ENTER_BYTES - JUMP_BYTES)
#define CACHE_LINE 64
#define PAGE 4096ul
#define SITES 8192u /* power of two; no more than half are used */
#define PAGES 2048u

struct site {
	uintptr_t rip; /* behind the instruction; 0: free */
	uint8_t *stub;
	uint8_t moved; /* bytes; 0: not patched */
};

struct page {
	uintptr_t at;
	uint64_t used[PAGE / STUB_UNIT / 64];
};

static struct site sites[SITES];
static unsigned int site_count;
static struct page pages[PAGES];
static unsigned int page_count;
static struct lock sites_lock;

/* One-byte instructions that 64-bit mode does not have, as the top byte of a distance forward. */
static const uint8_t traps[] = { 0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f };

static struct site *slot_of(uintptr_t rip)
{
	unsigned int i = (unsigned int)((rip * 0x9e3779b97f4a7c15ull) >> 40) & (SITES - 1);

	while (sites[i].rip && sites[i].rip != rip)
		i = (i + 1) & (SITES - 1);
	return &sites[i];
}

/* ---- memory for stubs ---- */

static uintptr_t map_page(uintptr_t at)
{
	long r = raw_call(SYS_mmap, (long)at, PAGE, PROT_READ | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);

	if (r < 0)
		return 0;
	if (at && (uintptr_t)r != at) {
		raw_call(SYS_munmap, r, PAGE, 0, 0, 0, 0);
		return 0;
	}
	return (uintptr_t)r;
}

static struct page *page_at(uintptr_t at)
{
	for (unsigned int i = 0; at && i < page_count; i++) {
		if (pages[i].at == at)
			return &pages[i];
	}
	if (page_count == PAGES)
		return NULL;
	at = map_page(at);
	if (!at)
		return NULL;
	pages[page_count].at = at;
	return &pages[page_count++];
}

/* Take the stub at an address that is a multiple of STUB_UNIT, where it is free. */
static bool take(struct page *page, uintptr_t at)
{
	unsigned int first = (unsigned int)(at - page->at) / STUB_UNIT;

	for (unsigned int i = first; i < first + STUB_BYTES / STUB_UNIT; i++) {
		if (page->used[i / 64] & 1ull << i % 64)
			return false;
	}
	for (unsigned int i = first; i < first + STUB_BYTES / STUB_UNIT; i++)
		page->used[i / 64] |= 1ull << i % 64;
	return true;
}

/* The 256 addresses from base on: the jump's lowest byte is free. */
static uintptr_t place_from(uintptr_t base)
{
	uintptr_t refused = 0;

	for (uintptr_t at = (base + STUB_UNIT - 1) & -STUB_UNIT; at < base + 256; at += STUB_UNIT) {
		struct page *page;

		if (at % PAGE > PAGE - STUB_BYTES || (at & -PAGE) == refused)
			continue;
		page = page_at(at & -PAGE);
		if (!page)
			refused = at & -PAGE;
		else if (take(page, at))
			return at;
	}
	return 0;
}

static uint8_t *place_for_jump(uintptr_t site)
{
	for (size_t i = 0; i < sizeof(traps); i++) {
		uintptr_t at =
			place_from(site + JUMP_BYTES + ((uintptr_t)traps[i] << 24 | 0x0b0f00));

		if (at)
			return (uint8_t *)at;
	}
	return NULL;
}

static uint8_t *place_anywhere(void)
{
	static struct page *page;
	static uintptr_t next;

	if (!page || next + STUB_BYTES > page->at + PAGE) {
		page = page_at(0);
		if (!page)
			return NULL;
		memset(page->used, 0xff, sizeof(page->used));
		next = page->at;
	}
	next += STUB_BYTES;
	return (uint8_t *)(next - STUB_BYTES);
}

/* ---- writing ---- */

static bool writable(uintptr_t at, size_t bytes, bool on)
{
	uintptr_t first = at & -PAGE;

	return raw_call(SYS_mprotect, (long)first,
			(long)(((at + bytes + PAGE - 1) & -PAGE) - first),
			PROT_READ | PROT_EXEC | (on ? PROT_WRITE : 0), 0, 0, 0) == 0;
}

static uint8_t *put64(uint8_t *p, uint8_t first, uint8_t second, uint64_t value)
{
	*p++ = first;
	*p++ = second;
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static bool write_stub(uint8_t *stub, uintptr_t rip, size_t moved)
{
	uint8_t *p = stub, *tail = stub + ENTER_BYTES;
	int32_t distance;

	if (!writable((uintptr_t)stub, STUB_BYTES, true))
		return false;
	p = put64(p, 0x48, 0xb9, moved ? (uintptr_t)tail : rip); /* movabs, %rcx */
	p = put64(p, 0x49, 0xbb, (uintptr_t)foreign_enter);	 /* movabs, %r11 */
	memcpy(p, (const uint8_t[]){ 0x41, 0xff, 0xe3 }, 3);	 /* jmp *%r11 */
	if (moved) {
		memcpy(tail, (const void *)rip, moved);
		p = tail + moved;
		distance = (int32_t)((intptr_t)(rip + moved) - (intptr_t)(p + JUMP_BYTES));
		*p = 0xe9;
		memcpy(p + 1, &distance, sizeof(distance));
	}
	writable((uintptr_t)stub, STUB_BYTES, false);
	return true;
}

/* The text is writable. */
static void write_jump(uint8_t *site, const uint8_t *stub)
{
	int32_t distance = (int32_t)(stub - (site + JUMP_BYTES));
	uint64_t word;

	memcpy(&word, site, sizeof(word));
	word &= ~0ull << 8 * JUMP_BYTES;
	word |= 0xe9ull | (uint64_t)(uint32_t)distance << 8;
	*(volatile uint64_t *)(void *)site = word;
}

static bool alone(void)
{
	return !foreign_threads_made();
}

/* Bytes behind the site that its stub takes over; 0: leave the site. */
static size_t movable(uintptr_t rip, size_t have)
{
	uintptr_t site = rip - SYSCALL_BYTES;
	size_t n = decode_movable((const uint8_t *)rip, have, JUMP_BYTES - SYSCALL_BYTES);

	if (n > MOVED_MAX || (!alone() && site % CACHE_LINE > CACHE_LINE - sizeof(uint64_t)))
		return 0;
	return n;
}

/* have: bytes that may be read from rip on. unlocked: the text is writable already. */
static struct site *make_site(struct site *s, uintptr_t rip, size_t have, bool unlocked)
{
	size_t moved = have < sizeof(uint64_t) ? 0 : movable(rip, have);
	uintptr_t at = rip - SYSCALL_BYTES;
	uint8_t *stub = moved ? place_for_jump(at) : NULL;

	if (site_count >= SITES / 2)
		return NULL;
	if (!stub) {
		moved = 0;
		stub = place_anywhere();
	}
	if (!stub || !write_stub(stub, rip, moved))
		return NULL;
	s->stub = stub;
	s->moved = (uint8_t)moved;
	s->rip = rip;
	site_count++;
	/* A text that may not be written stays as it is: SIGSYS each time. */
	if (!moved || (!unlocked && !writable(at, sizeof(uint64_t), true)))
		return s;
	write_jump((uint8_t *)at, stub);
	if (!unlocked)
		writable(at, sizeof(uint64_t), false);
	return s;
}

uintptr_t foreign_site(uintptr_t rip)
{
	struct site *s;

	lock_take(&sites_lock);
	s = slot_of(rip);
	/* To the end of its page: what is behind may not be there. */
	if (!s->rip)
		s = make_site(s, rip, PAGE - rip % PAGE, false);
	lock_drop(&sites_lock);
	return s ? (uintptr_t)s->stub : 0;
}

uintptr_t foreign_site_inside(uintptr_t rip)
{
	uintptr_t to = 0;

	lock_take(&sites_lock);
	for (uintptr_t back = 0; back <= 2 && !to; back += 2) {
		struct site *s = slot_of(rip - back);

		if (s->rip && s->moved > back)
			to = (uintptr_t)s->stub + ENTER_BYTES + back;
	}
	lock_drop(&sites_lock);
	return to;
}

void foreign_sites_lock(bool take)
{
	if (take)
		lock_take(&sites_lock);
	else
		lock_drop(&sites_lock);
}

/* ---- before the program runs ---- */

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* mov $NUMBER, %eax right before, or a comparison with the least error right behind. */
static bool sure(const uint8_t *p, size_t before, size_t behind)
{
	const uint8_t *q = p + SYSCALL_BYTES;

	if (before >= 5 && p[-5] == 0xb8 && load32(p - 4) < FOREIGN_CALLS)
		return true;
	if (behind < 8 || before < 3 || p[-3] == 0xe8 || p[-3] == 0xe9)
		return false;
	q += q[0] == 0x48;
	return q[0] == 0x3d && (load32(q + 1) == 0xfffff000u || load32(q + 1) == 0xfffff001u);
}

unsigned int foreign_sites_early(uint8_t *text, size_t bytes)
{
	uint8_t *end = text + bytes;
	unsigned int n = 0;

	if (bytes < 16 || !writable((uintptr_t)text, bytes, true))
		return 0;
	for (uint8_t *p = text; p < end - 16 && (p = memchr(p, 0x0f, (size_t)(end - 16 - p)));
	     p++) {
		struct site *s;

		if (p[1] != 0x05 || !sure(p, (size_t)(p - text), (size_t)(end - p) - 2))
			continue;
		s = slot_of((uintptr_t)p + SYSCALL_BYTES);
		if (!s->rip &&
		    make_site(s, (uintptr_t)p + SYSCALL_BYTES, (size_t)(end - p) - 2, true))
			n++;
	}
	writable((uintptr_t)text, bytes, false);
	return n;
}
