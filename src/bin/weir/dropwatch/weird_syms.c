/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/weird_syms.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct sym {
	uint64_t start, size;
	const char *name;
};

struct weird_syms {
	const uint8_t *file;
	size_t file_bytes;
	size_t count;
	struct sym sym[];
};

/* Part of the file, or NULL where it is not all there. */
static const void *part(const uint8_t *file, size_t file_bytes, uint64_t at, uint64_t bytes)
{
	return at <= file_bytes && bytes <= file_bytes - at ? file + at : NULL;
}

/* Where the executable's first byte lies when it is loaded at 0. */
static uint64_t base_of(const uint8_t *file, size_t n, const Elf64_Ehdr *eh)
{
	uint64_t base = UINT64_MAX;
	Elf64_Phdr ph;

	for (unsigned int i = 0; i < eh->e_phnum; i++) {
		const void *at = part(file, n, eh->e_phoff + i * sizeof(ph), sizeof(ph));

		if (!at)
			break;
		memcpy(&ph, at, sizeof(ph));
		if (ph.p_type == PT_LOAD && ph.p_vaddr < base)
			base = ph.p_vaddr;
	}
	return base == UINT64_MAX ? 0 : base;
}

/* The section of a type or, type 0, of a number. */
static bool section(const uint8_t *file, size_t n, const Elf64_Ehdr *eh, uint32_t type,
		    uint32_t number, Elf64_Shdr *sh)
{
	for (uint32_t i = type ? 0 : number; i < eh->e_shnum; i++) {
		const void *at = part(file, n, eh->e_shoff + i * sizeof(*sh), sizeof(*sh));

		if (!at)
			return false;
		memcpy(sh, at, sizeof(*sh));
		if (!type || sh->sh_type == type)
			return part(file, n, sh->sh_offset, sh->sh_size) != NULL;
	}
	return false;
}

static int by_start(const void *a, const void *b)
{
	const struct sym *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return strcmp(x->name, y->name);
}

static struct weird_syms *gather(const uint8_t *file, size_t n)
{
	const char *strings;
	struct weird_syms *syms;
	Elf64_Shdr table, names;
	Elf64_Ehdr eh;
	uint64_t base;
	size_t count;

	if (n < sizeof(eh))
		return NULL;
	memcpy(&eh, file, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    !section(file, n, &eh, SHT_SYMTAB, 0, &table) ||
	    !section(file, n, &eh, 0, table.sh_link, &names) || names.sh_size == 0)
		return NULL;
	strings = (const char *)file + names.sh_offset;
	count = table.sh_size / sizeof(Elf64_Sym);
	syms = strings[names.sh_size - 1] == '\0'
		       ? calloc(1, sizeof(*syms) + count * sizeof(syms->sym[0]))
		       : NULL;
	if (!syms)
		return NULL;
	base = base_of(file, n, &eh);
	for (size_t i = 0; i < count; i++) {
		Elf64_Sym s;

		memcpy(&s, file + table.sh_offset + i * sizeof(s), sizeof(s));
		if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_shndx == SHN_UNDEF ||
		    s.st_name >= names.sh_size || s.st_value < base)
			continue;
		syms->sym[syms->count++] =
			(struct sym){ s.st_value - base, s.st_size, strings + s.st_name };
	}
	qsort(syms->sym, syms->count, sizeof(syms->sym[0]), by_start);
	return syms;
}

struct weird_syms *weird_syms_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct weird_syms *syms = NULL;
	struct stat st;
	void *file;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		syms = file == MAP_FAILED ? NULL : gather(file, (size_t)st.st_size);
		if (syms) {
			syms->file = file;
			syms->file_bytes = (size_t)st.st_size;
		} else if (file != MAP_FAILED) {
			munmap(file, (size_t)st.st_size);
		}
	}
	close(fd);
	return syms;
}

void weird_syms_free(struct weird_syms *syms)
{
	if (!syms)
		return;
	munmap((void *)(uintptr_t)syms->file, syms->file_bytes);
	free(syms);
}

const char *weird_syms_find(const struct weird_syms *syms, uint64_t address, uint64_t *offset_bytes)
{
	size_t low = 0, high = syms ? syms->count : 0;
	const struct sym *s;

	while (low < high) { /* the first that begins behind the address */
		size_t middle = low + (high - low) / 2;

		if (syms->sym[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	s = &syms->sym[low - 1];
	*offset_bytes = address - s->start;
	/* A return address may be the first byte behind a function that ends in a call. */
	return *offset_bytes <= s->size ? s->name : NULL;
}
