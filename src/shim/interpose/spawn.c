/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that start another program beside this one. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "shim/interpose/names.h"
#include "shim/process/process.h"

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return call_spawn(pid, path, actions, attr, argv, envp);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	char path[PATH_MAX];

	return call_spawn(pid, exec_find(file, path, sizeof(path)), actions, attr, argv, envp);
}

/* Only remembers that a child may get the socket: see process/exec.c. */
EXPORT int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int new)
{
	struct wsock *ws = fd_sock(fd);

	if (ws)
		atomic_fetch_or(&ws->opts, WS_SPAWN_DUP);
	return R(posix_spawn_file_actions_adddup2)(actions, fd, new);
}

/* The session that a child is given has to stay: those that are open now are closed one by one, and
 * the shim's own are not among them. */
static int close_others(posix_spawn_file_actions_t *actions, int from)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int err = 0;

	if (!dir)
		return R(posix_spawn_file_actions_addclosefrom_np)(actions, from);
	while (!err && (entry = readdir(dir)) != NULL) {
		int fd = entry->d_name[0] == '.' ? -1 : atoi(entry->d_name);

		if (fd >= from && fd != dirfd(dir) && !fd_private(fd))
			err = posix_spawn_file_actions_addclose(actions, fd);
	}
	closedir(dir);
	return err;
}

EXPORT int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from)
{
	if (from < 0 || !atomic_load(&session.attached) || session_is_dead())
		return R(posix_spawn_file_actions_addclosefrom_np)(actions, from);
	return close_others(actions, from);
}

EXPORT int system(const char *command)
{
	if (!command)
		return R(system)(command);
	return call_system(command);
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	return call_popen(command, mode);
}

EXPORT int pclose(FILE *file)
{
	return call_pclose(file);
}
