/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What kind of program a file is, and so by which way it can be on weir; and whether it gets
 * privileges that keep the loader from giving it the shim. `weir run` and exec() on weir decide
 * alike. Reads files, changes nothing. [elf(5), execve(2), ld.so(8): secure-execution mode]
 * Threads: any.
 */
#ifndef WEIR_WIRE_PROGRAM_H
#define WEIR_WIRE_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

enum program_kind {
	PROGRAM_UNKNOWN,  /* neither a program nor a script: ENOEXEC, but for binfmt_misc */
	PROGRAM_DYNAMIC,  /* the C library's loader gives it the shim (LD_PRELOAD); Go ones too */
	PROGRAM_FOREIGN,  /* static, or of another loader: weir-launch becomes it */
	PROGRAM_NOT_OURS, /* for another processor, or 32-bit */
	PROGRAM_HIDDEN,	  /* may be executed, but not read */
};

#define PROGRAM_SCRIPTS 5 /* scripts in a row, each the interpreter of the one before */
#define PROGRAM_LINE 256  /* of a script's first line, as the kernel reads it */

/* Which file, as execveat() names it. */
struct program_at {
	int dir; /* what path is relative to, or AT_FDCWD */
	const char *path;
	int flags;	  /* AT_EMPTY_PATH: dir is the file itself; AT_SYMLINK_NOFOLLOW */
	int cwd;	  /* what a script's interpreter is relative to: AT_FDCWD mostly */
	const char *name; /* by which the new image finds the file, and for people */
};

/* What privileges depend on: of the file whose code would run, ... */
struct program_file {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	bool capable; /* it has file capabilities that give any */
	bool nosuid;  /* where it lies neither they nor set-user-ID count */
};

/* ... and of who would execute it. */
struct program_caller {
	uid_t uid, euid;
	gid_t gid, egid;
	bool no_new_privs;
};

struct program {
	enum program_kind kind;
	char path[PATH_MAX]; /* the program: the file itself, or its interpreter */
	struct program_file file;
	/* Arguments that stand before the script's own arguments, from its first lines; the last is
	 * the script. None where the file is no script. */
	unsigned int prefix_count;
	const char *prefix[2 * PROGRAM_SCRIPTS + 1];
	char line[PROGRAM_SCRIPTS][PROGRAM_LINE];
	char script[PATH_MAX];
};

/*
 * Fill p for the file. 0; or -errno where it cannot be seen what the file is, and then it must not
 * be executed: mostly what execve() answers too (-ENOENT, -EACCES, -ELOOP, ...), else one of its
 * answers (-EMFILE, -ENFILE, -ENOMEM, -EIO).
 */
int program_judge(const struct program_at *at, struct program *p);

/* The calling process as it is now. */
struct program_caller program_caller(void);

/*
 * Why the image would be in secure-execution mode, in which the loader drops preloads, in words
 * for people: "it is set-user-ID, ..."; NULL: it would not be.
 */
const char *program_secure(const struct program_file *file, const struct program_caller *caller);

#endif
