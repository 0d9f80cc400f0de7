/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Can a new image be on weir? Where the loader would drop the preload (wire/program.c) or could not
 * find it (behind chroot()), and where nobody can see what kind of program it is, the image would
 * run on the host's network and nobody would know. It is refused with words.
 */
#include "shim/process/process.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char *name, const char *why)
{
	char text[PATH_MAX + 256];
	int n = snprintf(text, sizeof(text), "weir: %s cannot run on weir: %s\n", name, why);

	if (n > 0)
		(void)!R(write)(STDERR_FILENO, text,
				(size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
	session_notef("exec of %.60s refused: it could not be on weir", name);
}

int exec_refuse(const char *name, const char *why)
{
	say(name, why);
	return -EPERM;
}

/* What execve() answers as well needs no words of ours. */
static bool is_common(int err)
{
	return err == -ENOENT || err == -ENOTDIR || err == -EACCES || err == -ELOOP ||
	       err == -ENAMETOOLONG || err == -EBADF;
}

int exec_judge(const struct program_at *at, const struct program_caller *caller, struct program *p)
{
	int err = program_judge(at, p);
	const char *why;

	if (err) {
		if (!is_common(err))
			say(p->path, "it cannot be seen which kind of program it is (no descriptor "
				     "or memory left?)");
		return err;
	}
	/* For execvp() and shells to go on with. The kernel might know it all the same, by
	 * binfmt_misc, and start an interpreter that nobody has looked at. */
	if (p->kind == PROGRAM_UNKNOWN)
		return -ENOEXEC;
	if (p->kind == PROGRAM_HIDDEN)
		return exec_refuse(p->path, "it cannot be read, so it cannot be seen which kind of "
					    "program it is");
	why = program_secure(&p->file, caller);
	if (why)
		return exec_refuse(p->path, why);
	if (!exec_shim_in_reach())
		return exec_refuse(p->path, "weir's library is not in reach (a chroot?); "
					    "bind-mount it there");
	if (p->kind == PROGRAM_NOT_OURS)
		return exec_refuse(p->path, "it is not a program for 64-bit x86");
	return 0;
}

/* ---- names ---- */

const char *exec_fd_name(int fd, char *path, size_t room)
{
	char own[32];
	ssize_t n;

	snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
	n = readlink(own, path, room - 1);
	path[n > 0 ? n : 0] = '\0';
	/* One without a name (memfd_create) is found by the descriptor, where it stays open. */
	if (n <= 0 || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		snprintf(path, room, "%s", own);
	return path;
}

const char *exec_at_name(int dir, const char *path, char *full, size_t room)
{
	int fd;

	if (path[0] == '\0')
		return exec_fd_name(dir, full, room);
	if (path[0] == '/' || dir == AT_FDCWD)
		return path;
	fd = openat(dir, path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	exec_fd_name(fd, full, room);
	R(close)(fd);
	return full;
}

static bool executable(int dir, const char *path)
{
	struct stat st;

	return fstatat(dir, path, &st, 0) == 0 && S_ISREG(st.st_mode) &&
	       faccessat(dir, path, X_OK, 0) == 0;
}

const char *exec_find(int dir, const char *file, char *path, size_t room)
{
	const char *list = getenv("PATH");
	const char *at, *end;

	if (!file || strchr(file, '/'))
		return file;
	for (at = list ? list : "/bin:/usr/bin"; *at; at = *end ? end + 1 : end) {
		end = strchrnul(at, ':');
		snprintf(path, room, "%.*s/%s", end > at ? (int)(end - at) : 1, end > at ? at : ".",
			 file);
		if (executable(dir, path))
			return path;
	}
	return file;
}
