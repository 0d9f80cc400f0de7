/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A dynamically linked Go program gets the shim by LD_PRELOAD as others do, but Go makes its system
 * calls itself, and so do Free Pascal's, and what has `syscall` instructions of its own (inline
 * assembly, some Rust): the program's own code is watched, its libraries come by their names.
 */
#include "shim/foreign/foreign.h"
#include "shim/rewrite/rewrite.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define PAGE 4096ul
#define GO_NOTE 4 /* type of the note with Go's build ID; its name is "Go" */

static bool is_go_note(const uint8_t *at, size_t bytes)
{
	while (bytes >= sizeof(Elf64_Nhdr) + 4) {
		const Elf64_Nhdr *n = (const void *)at;
		size_t used =
			sizeof(*n) + ((n->n_namesz + 3ul) & ~3ul) + ((n->n_descsz + 3ul) & ~3ul);

		if (n->n_type == GO_NOTE && n->n_namesz == 4 &&
		    memcmp(at + sizeof(*n), "Go\0\0", 4) == 0)
			return true;
		if (used > bytes)
			return false;
		at += used;
		bytes -= used;
	}
	return false;
}

static bool is_go(const Elf64_Phdr *ph, size_t count, uintptr_t base)
{
	for (size_t i = 0; i < count; i++) {
		if (ph[i].p_type == PT_NOTE &&
		    is_go_note((const uint8_t *)(base + ph[i].p_vaddr), ph[i].p_filesz))
			return true;
	}
	return false;
}

static uintptr_t base_of(const Elf64_Phdr *ph, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (ph[i].p_type == PT_PHDR)
			return (uintptr_t)ph - ph[i].p_vaddr;
	}
	return 0;
}

/* Up to the end of the last page, which is mapped as a whole: the search takes blocks. */
static bool has_own_calls(const Elf64_Phdr *ph, size_t count, uintptr_t base)
{
	for (size_t i = 0; i < count; i++) {
		uintptr_t text = base + ph[i].p_vaddr;
		uintptr_t end = (text + ph[i].p_filesz + PAGE - 1) & -PAGE;

		if (ph[i].p_type == PT_LOAD && (ph[i].p_flags & PF_X) &&
		    rewrite_own_calls((const uint8_t *)text, end - text))
			return true;
	}
	return false;
}

void foreign_adopt_self(void)
{
	const Elf64_Phdr *ph = (const void *)getauxval(AT_PHDR);
	size_t count = getauxval(AT_PHNUM);
	uintptr_t base = ph ? base_of(ph, count) : 0;
	const char *why;

	if (!ph || (!is_go(ph, count, base) && !has_own_calls(ph, count, base)))
		return;
	if (foreign_start(base, &why)) {
		fprintf(stderr, "weir: %s cannot run on weir: %s\n", program_invocation_name, why);
		_exit(126);
	}
	for (size_t i = 0; i < count; i++) {
		if (ph[i].p_type == PT_LOAD && (ph[i].p_flags & PF_X))
			foreign_sites_early((uint8_t *)(base + ph[i].p_vaddr), ph[i].p_filesz);
	}
}
