/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Becoming a program that no loader of ours would load: its segments are mapped as execve() maps
 * them, and it gets a stack with arguments, environment and auxiliary vector. [elf(5),
 * getauxval(3), System V ABI AMD64: "Process Initialization"]
 */
#include "shim/foreign/foreign.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096ul
#define PH_MAX 64u
#define HEADER_BYTES 4096u
#define BASE_FIRST 0x100000000000ul /* where a program goes that runs anywhere: far below ours */
#define BASE_SPREAD 0x0fffffff0000ul
#define BASE_ALIGN 0x200000ul
#define TRIES 16

struct image {
	uintptr_t base;	 /* added to every address in the file */
	uintptr_t entry; /* as it is in memory */
	uintptr_t headers;
	uintptr_t low, high;
	unsigned int header_count;
	char interpreter[PATH_MAX];
	Elf64_Phdr ph[PH_MAX];
	uint16_t type;
};

static const char *why_not; /* words for people */

static int fail(const char *why, int err)
{
	why_not = why;
	return err ? err : -ENOEXEC;
}

static uintptr_t down(uintptr_t at)
{
	return at & -PAGE;
}

static uintptr_t up(uintptr_t at)
{
	return (at + PAGE - 1) & -PAGE;
}

/* ---- the file ---- */

static int read_headers(int fd, struct image *im)
{
	Elf64_Ehdr eh;
	size_t bytes;

	if (pread(fd, &eh, sizeof(eh), 0) != (ssize_t)sizeof(eh) ||
	    memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh.e_machine != EM_X86_64 || (eh.e_type != ET_EXEC && eh.e_type != ET_DYN))
		return fail("it is no 64-bit x86 program", 0);
	if (eh.e_phentsize != sizeof(Elf64_Phdr) || eh.e_phnum == 0 || eh.e_phnum > PH_MAX)
		return fail("its program headers are not as they should be", 0);
	bytes = eh.e_phnum * sizeof(Elf64_Phdr);
	if (pread(fd, im->ph, bytes, (off_t)eh.e_phoff) != (ssize_t)bytes)
		return fail("its program headers cannot be read", 0);
	im->header_count = eh.e_phnum;
	im->entry = eh.e_entry;
	im->headers = eh.e_phoff;
	im->type = eh.e_type;
	return 0;
}

static int find_extent(int fd, struct image *im)
{
	im->low = UINTPTR_MAX;
	im->high = 0;
	for (unsigned int i = 0; i < im->header_count; i++) {
		const Elf64_Phdr *ph = &im->ph[i];

		if (ph->p_type == PT_INTERP) {
			size_t n = ph->p_filesz < PATH_MAX ? ph->p_filesz : PATH_MAX - 1;

			if (pread(fd, im->interpreter, n, (off_t)ph->p_offset) != (ssize_t)n)
				return fail("its interpreter's name cannot be read", 0);
			im->interpreter[n] = '\0';
		}
		if (ph->p_type != PT_LOAD)
			continue;
		if (ph->p_memsz > BASE_FIRST || ph->p_vaddr > BASE_FIRST ||
		    ph->p_filesz > ph->p_memsz || (ph->p_vaddr - ph->p_offset) % PAGE)
			return fail("one of its segments is not as it should be", 0);
		if (down(ph->p_vaddr) < im->low)
			im->low = down(ph->p_vaddr);
		if (up(ph->p_vaddr + ph->p_memsz) > im->high)
			im->high = up(ph->p_vaddr + ph->p_memsz);
	}
	return im->high > im->low ? 0 : fail("it has nothing to load", 0);
}

/* ---- memory ---- */

static bool reserve(uintptr_t at, size_t bytes)
{
	void *m = mmap((void *)at, bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (m == MAP_FAILED)
		return false;
	if ((uintptr_t)m == at)
		return true;
	munmap(m, bytes);
	return false;
}

static int place(struct image *im)
{
	uint64_t random;

	if (im->type == ET_EXEC)
		return reserve(im->low, im->high - im->low)
			       ? 0
			       : fail("its addresses are taken", -ENOMEM);
	for (int i = 0; i < TRIES; i++) {
		if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
			break;
		im->base = (BASE_FIRST + random % BASE_SPREAD) & -BASE_ALIGN;
		if (reserve(im->base + im->low, im->high - im->low))
			return 0;
	}
	return fail("there is no room for it", -ENOMEM);
}

static int protection(const Elf64_Phdr *ph)
{
	return (ph->p_flags & PF_R ? PROT_READ : 0) | (ph->p_flags & PF_W ? PROT_WRITE : 0) |
	       (ph->p_flags & PF_X ? PROT_EXEC : 0);
}

static bool zero_rest(uintptr_t file_end, uintptr_t end, int prot)
{
	uintptr_t page = up(file_end);

	/* To the end of the page, as the kernel does: a loader takes the rest for fresh memory. */
	if ((prot & PROT_WRITE) && file_end < page && file_end < end)
		memset((void *)file_end, 0, page - file_end);
	if (end <= page)
		return true;
	return mmap((void *)page, up(end) - page, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) != MAP_FAILED;
}

static int map_segment(int fd, const struct image *im, const Elf64_Phdr *ph)
{
	uintptr_t start = im->base + ph->p_vaddr, first = down(start);
	size_t bytes = ph->p_filesz + (start - first);
	int prot = protection(ph);

	if (ph->p_filesz && mmap((void *)first, bytes, prot, MAP_PRIVATE | MAP_FIXED, fd,
				 (off_t)(ph->p_offset - (start - first))) == MAP_FAILED)
		return fail("a segment cannot be mapped", -errno);
	if (!zero_rest(start + ph->p_filesz, start + ph->p_memsz, prot))
		return fail("there is no memory for a segment", -ENOMEM);
	if (prot & PROT_EXEC)
		foreign_sites_early((uint8_t *)start, ph->p_filesz);
	return 0;
}

static int load(const char *path, struct image *im)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return fail("it cannot be read, which is needed for a program of its kind", -errno);
	err = read_headers(fd, im);
	if (!err)
		err = find_extent(fd, im);
	if (!err)
		err = place(im);
	for (unsigned int i = 0; !err && i < im->header_count; i++) {
		const Elf64_Phdr *ph = &im->ph[i];

		if (ph->p_type != PT_LOAD)
			continue;
		if (ph->p_offset <= im->headers && im->headers < ph->p_offset + ph->p_filesz)
			im->headers += im->base + ph->p_vaddr - ph->p_offset;
		err = map_segment(fd, im, ph);
	}
	im->entry += im->base;
	R(close)(fd);
	return err;
}

/* ---- its stack ---- */

/* What the program may know about the machine as the kernel told it to us. */
static const unsigned long passed_on[] = {
	AT_PAGESZ, AT_CLKTCK, AT_UID,	   AT_EUID,	    AT_GID,   AT_EGID,
	AT_HWCAP,  AT_HWCAP2, AT_PLATFORM, AT_SYSINFO_EHDR, AT_FLAGS, 51 /* AT_MINSIGSTKSZ */,
};
#define PASSED (sizeof(passed_on) / sizeof(passed_on[0]))

struct stack {
	uint64_t *at;
};

static void put(struct stack *s, uint64_t value)
{
	*s->at++ = value;
}

static void put_aux(struct stack *s, unsigned long type, uint64_t value)
{
	put(s, type);
	put(s, value);
}

static void put_auxv(struct stack *s, const struct image *im, const struct image *loader,
		     const char *path, const void *random)
{
	for (size_t i = 0; i < PASSED; i++) {
		unsigned long value = getauxval(passed_on[i]);

		if (value || passed_on[i] != AT_SYSINFO_EHDR)
			put_aux(s, passed_on[i], value);
	}
	put_aux(s, AT_PHDR, im->headers);
	put_aux(s, AT_PHENT, sizeof(Elf64_Phdr));
	put_aux(s, AT_PHNUM, im->header_count);
	put_aux(s, AT_BASE, loader == im ? 0 : loader->base);
	put_aux(s, AT_ENTRY, im->entry);
	put_aux(s, AT_EXECFN, (uint64_t)path);
	put_aux(s, AT_RANDOM, (uint64_t)random);
	put_aux(s, AT_SECURE, 0);
	put_aux(s, AT_NULL, 0);
}

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n;
}

/* At the lowest end of the process's own stack, where it can grow. Does not come back. */
static void start(const struct image *im, const struct image *loader, const char *path, int argc,
		  char **argv, const void *random)
{
	size_t vars = count(environ);
	size_t words = 1 + (size_t)argc + 1 + vars + 1 + 2 * (PASSED + 9);
	uint64_t *frame = __builtin_alloca_with_align((words + 2) * 8, 512);
	struct stack s = { .at = frame };
	struct foreign_regs regs = { .rsp = (long)frame, .rip = (long)loader->entry };

	put(&s, (uint64_t)argc);
	for (int i = 0; i <= argc; i++)
		put(&s, (uint64_t)argv[i]);
	for (size_t i = 0; i <= vars; i++)
		put(&s, (uint64_t)environ[i]);
	put_auxv(&s, im, loader, path, random);
	foreign_run(&regs);
}

static void set_comm(const char *path)
{
	const char *slash = strrchr(path, '/');

	prctl(PR_SET_NAME, slash ? slash + 1 : path, 0, 0, 0);
}

static int refused(const char *path)
{
	fprintf(stderr, "weir: %s cannot run on weir: %s\n", path, why_not);
	return 126;
}

/* The name that weir-launch calls. */
__attribute__((visibility("default"))) int weir_launch(const char *path, int argc, char **argv)
{
	static struct image image, loader;
	static uint64_t random[2];
	static char full[PATH_MAX];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random) ||
	    !realpath(path, full))
		snprintf(full, sizeof(full), "%s", path);
	if (foreign_start(0, &why_not) || load(full, &image) ||
	    (image.interpreter[0] && load(image.interpreter, &loader)))
		return refused(path);
	/* Another loader, be it the program itself, cannot take the GNU C library's objects; exec()
	 * puts the name back. */
	unsetenv("LD_PRELOAD");
	foreign_name(full);
	set_comm(path);
	start(&image, image.interpreter[0] ? &loader : &image, path, argc, argv, random);
	return 126;
}
