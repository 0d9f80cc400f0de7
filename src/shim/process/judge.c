/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Can a new image be on weir? Where the loader would drop the preload (privileges that the image
 * gains, a process whose real and effective user differ) or could not find it (behind chroot()),
 * the image would run on the host's network and nobody would know. It is refused with words.
 */
#include "shim/process/process.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

int exec_refuse(const char *name, const char *why)
{
	char text[PATH_MAX + 256];
	int n = snprintf(text, sizeof(text), "weir: %s cannot run on weir: %s\n", name, why);

	if (n > 0)
		(void)!R(write)(STDERR_FILENO, text,
				(size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
	session_notef("exec of %.60s refused: it could not be on weir", name);
	return -EPERM;
}

static int judge(const char *name, const struct stat *st, bool capable)
{
	if ((st->st_mode & S_ISUID) && st->st_uid != getuid())
		return exec_refuse(name, "it is set-user-ID, and the loader gives such programs no "
					 "preloads; run it as that user");
	/* Without group execute it is no set-group-ID program, but an old kind of lock. */
	if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st->st_gid != getgid())
		return exec_refuse(name,
				   "it is set-group-ID, and the loader gives such programs no "
				   "preloads; run it with that group");
	if (capable && geteuid() != 0)
		return exec_refuse(name,
				   "it has file capabilities, and the loader gives such programs "
				   "no preloads; run it as root");
	if (getuid() != geteuid() || getgid() != getegid())
		return exec_refuse(name,
				   "the real and the effective user of the process differ, and "
				   "the loader gives programs no preloads then");
	if (!exec_shim_in_reach())
		return exec_refuse(name,
				   "weir's library is not in reach (a chroot?); bind-mount it "
				   "there");
	return 0;
}

int exec_judge(const char *path)
{
	struct stat st;

	/* What is not there, execve() says. */
	if (!path || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return judge(path, &st, getxattr(path, "security.capability", NULL, 0) > 0);
}

int exec_judge_fd(int fd, const char *name)
{
	char path[32];
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	/* The descriptor may be one that only names the file (O_PATH). */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return judge(name, &st, getxattr(path, "security.capability", NULL, 0) > 0);
}

int exec_judge_at(int dir, const char *path, int flags)
{
	int fd, err;

	if (path && path[0] == '\0' && (flags & AT_EMPTY_PATH))
		return exec_judge_fd(dir, "a program");
	fd = path ? openat(dir, path, O_PATH | O_CLOEXEC) : -1;
	if (fd < 0)
		return 0;
	err = exec_judge_fd(fd, path);
	R(close)(fd);
	return err;
}

const char *exec_find(const char *file, char *path, size_t room)
{
	const char *list = getenv("PATH");
	const char *at, *end;

	if (!file || strchr(file, '/'))
		return file;
	for (at = list ? list : "/bin:/usr/bin"; *at; at = *end ? end + 1 : end) {
		end = strchrnul(at, ':');
		snprintf(path, room, "%.*s/%s", end > at ? (int)(end - at) : 1, end > at ? at : ".",
			 file);
		if (access(path, X_OK) == 0)
			return path;
	}
	return file;
}
