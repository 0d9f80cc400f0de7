/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PH_MAX 64u
#define LOADER "/lib64/ld-linux-x86-64.so.2" /* the GNU C library's */

/* Past the names that the shim takes over: this is part of it. */
static long file_close(int fd)
{
	return syscall(SYS_close, fd);
}

/* Is this the loader that the shim is made for? Another, of an older C library perhaps, would leave
 * the shim out and go on. */
static bool is_loader(const char *path)
{
	struct stat st, own;

	return strcmp(path, LOADER) == 0 || (stat(path, &st) == 0 && stat(LOADER, &own) == 0 &&
					     st.st_dev == own.st_dev && st.st_ino == own.st_ino);
}

/* An ELF file of this machine: will that loader load it? What is the loader itself is a program
 * without one: it may start anything. 0 or -EIO. */
static int elf_kind(int fd, const Elf64_Ehdr *eh, enum program_kind *kind)
{
	char loader[128];
	Elf64_Phdr ph;

	*kind = PROGRAM_NOT_OURS;
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_machine != EM_X86_64 ||
	    eh->e_phentsize != sizeof(ph) || eh->e_phnum > PH_MAX)
		return 0;
	*kind = PROGRAM_FOREIGN;
	for (unsigned int i = 0; i < eh->e_phnum; i++) {
		ssize_t n;

		if (pread(fd, &ph, sizeof(ph), (off_t)(eh->e_phoff + i * sizeof(ph))) !=
		    (ssize_t)sizeof(ph))
			return -EIO;
		if (ph.p_type != PT_INTERP)
			continue;
		n = pread(fd, loader, sizeof(loader) - 1, (off_t)ph.p_offset);
		if (n < 0)
			return -EIO;
		loader[n] = '\0';
		if (is_loader(loader))
			*kind = PROGRAM_DYNAMIC;
		break;
	}
	return 0;
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

/* The capabilities that security.capability holds: with one, or with the bit that makes them
 * effective, the image is privileged. [linux/capability.h: struct vfs_cap_data] */
static bool is_capable(int fd)
{
	uint32_t words[6] = { 0 };
	ssize_t n = fgetxattr(fd, "security.capability", words, sizeof(words));

	if (n < 0)
		return false;
	/* The first word: version and that bit. Then permitted and inheritable ones, in pairs, and
	 * a user namespace. */
	return (words[0] & 1) || (words[1] | words[2] | words[3] | words[4]);
}

static int file_facts(int fd, struct program_file *file)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0)
		return -errno;
	*file = (struct program_file){ .mode = st.st_mode,
				       .uid = st.st_uid,
				       .gid = st.st_gid,
				       .capable = is_capable(fd),
				       .nosuid = fs.f_flag & ST_NOSUID };
	return S_ISREG(st.st_mode) ? 0 : -EACCES;
}

/*
 * A descriptor that reads the file, or -errno; p->kind where it can only be executed. Devices and
 * FIFOs are not opened: that can have effects, or wait.
 */
static int open_file(const struct program_at *at, struct program *p)
{
	bool itself = (at->flags & AT_EMPTY_PATH) && at->path[0] == '\0';
	int follow = at->flags & AT_SYMLINK_NOFOLLOW;
	const char *path = at->path;
	int dir = at->dir, fd;
	char own[32];
	struct stat st;

	/* The descriptor may be one that only names the file (O_PATH). */
	if (itself) {
		if (fstat(dir, &st) < 0)
			return -errno;
		snprintf(own, sizeof(own), "/proc/self/fd/%d", dir);
		path = own;
		dir = AT_FDCWD;
	}
	if (fstatat(dir, path, &st, follow) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	if (!S_ISREG(st.st_mode) || faccessat(dir, path, X_OK, AT_EACCESS) < 0)
		return -EACCES;
	fd = openat(dir, path,
		    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (follow ? O_NOFOLLOW : 0));
	if (fd < 0 && errno == EACCES)
		p->kind = PROGRAM_HIDDEN;
	return fd < 0 ? -errno : fd;
}

/* The script's first line goes in front of what is there, and its interpreter is the program. */
static bool put_script(struct program *p, const char *text, unsigned int depth)
{
	char *interpreter, *argument;

	memcpy(p->line[depth], text, PROGRAM_LINE);
	if (!script_line(p->line[depth], &interpreter, &argument))
		return false;
	memmove(p->prefix + 1 + (argument != NULL), p->prefix,
		p->prefix_count * sizeof(p->prefix[0]));
	p->prefix[0] = interpreter;
	if (argument)
		p->prefix[1] = argument;
	p->prefix_count += 1 + (argument != NULL);
	snprintf(p->path, sizeof(p->path), "%s", interpreter);
	return true;
}

/* One file. 1: it is a script, and p->path is its interpreter now; 0: p->kind is known; -errno. */
static int judge_one(const struct program_at *at, struct program *p, unsigned int depth)
{
	union {
		Elf64_Ehdr eh;
		char text[PROGRAM_LINE];
	} head;
	int fd = open_file(at, p), err;
	ssize_t n;

	if (fd < 0)
		return p->kind == PROGRAM_HIDDEN ? 0 : fd;
	memset(&head, 0, sizeof(head));
	err = file_facts(fd, &p->file);
	n = err ? 0 : pread(fd, &head, sizeof(head) - 1, 0);
	if (n < 0)
		err = -EIO;
	if (n >= (ssize_t)sizeof(head.eh) && memcmp(head.eh.e_ident, ELFMAG, SELFMAG) == 0)
		err = elf_kind(fd, &head.eh, &p->kind);
	file_close(fd);
	if (err || n < 3 || head.text[0] != '#' || head.text[1] != '!')
		return err;
	if (depth == PROGRAM_SCRIPTS)
		return -ELOOP;
	return put_script(p, head.text, depth);
}

int program_judge(const struct program_at *at, struct program *p)
{
	struct program_at next = { .dir = at->cwd, .path = p->path, .cwd = at->cwd };
	int r;

	p->kind = PROGRAM_UNKNOWN;
	p->prefix_count = 1;
	snprintf(p->script, sizeof(p->script), "%s", at->name);
	snprintf(p->path, sizeof(p->path), "%s", at->name);
	p->prefix[0] = p->script;
	r = judge_one(at, p, 0);
	for (unsigned int depth = 1; r > 0; depth++)
		r = judge_one(&next, p, depth);
	if (p->prefix_count == 1)
		p->prefix_count = 0;
	return r;
}

/* ---- privileges ---- */

struct program_caller program_caller(void)
{
	return (struct program_caller){ .uid = getuid(),
					.euid = geteuid(),
					.gid = getgid(),
					.egid = getegid(),
					.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) ==
							1 };
}

/*
 * As the kernel decides (AT_SECURE): the new effective user or group is not the real one, or one
 * who is not root gets capabilities. Capabilities of the file count under no_new_privs as well.
 */
const char *program_secure(const struct program_file *f, const struct program_caller *c)
{
	bool set = !f->nosuid && !c->no_new_privs;
	/* Without group execute it is no set-group-ID program, but an old kind of lock. */
	bool set_group = set && (f->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);

	if (set && (f->mode & S_ISUID)) {
		if (f->uid != c->uid)
			return "it is set-user-ID, and the loader gives such programs no preloads; "
			       "run it as that user";
	} else if (c->euid != c->uid) {
		return "the real and the effective user of the process differ, and the loader "
		       "gives programs no preloads then";
	}
	if (set_group) {
		if (f->gid != c->gid)
			return "it is set-group-ID, and the loader gives such programs no "
			       "preloads; run it with that group";
	} else if (c->egid != c->gid) {
		return "the real and the effective group of the process differ, and the loader "
		       "gives programs no preloads then";
	}
	if (f->capable && !f->nosuid && c->uid != 0)
		return "it has file capabilities, and the loader gives such programs no preloads; "
		       "run it as root";
	return NULL;
}
