/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that start another program beside this one. */
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
