/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What kind of program a file is, and so by which way it can be on weir: `weir run` and exec() on
 * weir decide alike. Reads the file, changes nothing. [elf(5), execve(2)] Threads: any.
 */
#ifndef WEIR_WIRE_PROGRAM_H
#define WEIR_WIRE_PROGRAM_H

#include <limits.h>

enum program_kind {
	PROGRAM_UNKNOWN,  /* neither a program nor a script: execve() says what it is */
	PROGRAM_DYNAMIC,  /* the C library's loader gives it the shim (LD_PRELOAD); Go ones too */
	PROGRAM_FOREIGN,  /* static, or of another loader: weir-launch becomes it */
	PROGRAM_NOT_OURS, /* for another processor, or 32-bit */
};

#define PROGRAM_SCRIPTS 4 /* interpreters that are scripts themselves */
#define PROGRAM_LINE 256  /* of a script's first line, as the kernel reads it */

struct program {
	enum program_kind kind;
	char path[PATH_MAX]; /* the program: the file itself, or its interpreter */
	/* Arguments that stand before the script's own arguments, from its first lines; the last is
	 * the script. None where the file is no script. */
	unsigned int prefix_count;
	const char *prefix[2 * PROGRAM_SCRIPTS + 1];
	char line[PROGRAM_SCRIPTS][PROGRAM_LINE];
	char script[PATH_MAX];
};

/* Fill p for the file at path. 0, or -errno where it cannot be read: then kind is UNKNOWN. */
int program_judge(const char *path, struct program *p);

#endif
