/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PH_MAX 64u
#define LOADER_PREFIX "/ld-linux-x86-64.so" /* the GNU C library's */

/* Past the names that the shim takes over: this is part of it. */
static long file_close(int fd)
{
	return syscall(SYS_close, fd);
}

/* An ELF file of this machine: has it the loader that knows LD_PRELOAD as we mean it? */
static enum program_kind elf_kind(int fd, const Elf64_Ehdr *eh)
{
	char loader[128];
	Elf64_Phdr ph;

	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_machine != EM_X86_64 ||
	    eh->e_phentsize != sizeof(ph) || eh->e_phnum > PH_MAX)
		return PROGRAM_NOT_OURS;
	for (unsigned int i = 0; i < eh->e_phnum; i++) {
		ssize_t n;

		if (pread(fd, &ph, sizeof(ph), (off_t)(eh->e_phoff + i * sizeof(ph))) !=
		    (ssize_t)sizeof(ph))
			return PROGRAM_UNKNOWN;
		if (ph.p_type != PT_INTERP)
			continue;
		n = pread(fd, loader, sizeof(loader) - 1, (off_t)ph.p_offset);
		loader[n > 0 ? n : 0] = '\0';
		return strstr(loader, LOADER_PREFIX) ? PROGRAM_DYNAMIC : PROGRAM_FOREIGN;
	}
	return PROGRAM_FOREIGN;
}

/* "#! INTERPRETER [ARGUMENT]": both, NULL for no argument. */
static bool script_line(char *line, char **interpreter, char **argument)
{
	char *end;

	line[strcspn(line, "\n")] = '\0';
	*interpreter = line + 2 + strspn(line + 2, " \t");
	end = *interpreter + strcspn(*interpreter, " \t");
	*argument = end + strspn(end, " \t");
	*end = '\0';
	end = *argument + strlen(*argument);
	while (end > *argument && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	if (!**argument)
		*argument = NULL;
	return **interpreter != '\0';
}

/* One file. 1: it is a script, and p->path is its interpreter now; 0: p->kind is known; -errno. */
static int judge_one(struct program *p, unsigned int depth)
{
	union {
		Elf64_Ehdr eh;
		char text[PROGRAM_LINE];
	} head;
	int fd = open(p->path, O_RDONLY | O_CLOEXEC);
	char *interpreter, *argument;
	ssize_t n;

	if (fd < 0)
		return -errno;
	memset(&head, 0, sizeof(head));
	n = pread(fd, &head, sizeof(head) - 1, 0);
	if (n >= (ssize_t)sizeof(head.eh) && memcmp(head.eh.e_ident, ELFMAG, SELFMAG) == 0)
		p->kind = elf_kind(fd, &head.eh);
	file_close(fd);
	if (n < 3 || head.text[0] != '#' || head.text[1] != '!' || depth == PROGRAM_SCRIPTS)
		return n < 0 ? -EIO : 0;
	memcpy(p->line[depth], head.text, sizeof(head.text));
	if (!script_line(p->line[depth], &interpreter, &argument))
		return 0;
	/* In front of what is there. */
	memmove(p->prefix + 1 + (argument != NULL), p->prefix,
		p->prefix_count * sizeof(p->prefix[0]));
	p->prefix[0] = interpreter;
	if (argument)
		p->prefix[1] = argument;
	p->prefix_count += 1 + (argument != NULL);
	snprintf(p->path, sizeof(p->path), "%s", interpreter);
	return 1;
}

int program_judge(const char *path, struct program *p)
{
	int r = 1;

	p->kind = PROGRAM_UNKNOWN;
	p->prefix_count = 1;
	snprintf(p->script, sizeof(p->script), "%s", path);
	snprintf(p->path, sizeof(p->path), "%s", path);
	p->prefix[0] = p->script;
	for (unsigned int depth = 0; r > 0 && depth <= PROGRAM_SCRIPTS; depth++)
		r = judge_one(p, depth);
	if (p->prefix_count == 1)
		p->prefix_count = 0;
	return r < 0 ? r : 0;
}
