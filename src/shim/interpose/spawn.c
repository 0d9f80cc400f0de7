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
	return call_spawn(pid, path, false, actions, attr, argv, envp);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return call_spawn(pid, file, true, actions, attr, argv, envp);
}

/* Only remembers that a child may get the socket: see process/exec.c. */
EXPORT int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int new)
{
	struct wsock *ws = fd_sock(fd);
	int err = R(posix_spawn_file_actions_adddup2)(actions, fd, new);

	if (ws)
		atomic_fetch_or(&ws->opts, WS_SPAWN_DUP);
	if (!err)
		spawn_opens_note(actions, new);
	return err;
}

/* ---- where the child will be: see process/chdir.c ---- */

EXPORT int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions, int fd,
					    const char *path, int flags, mode_t mode)
{
	int err = R(posix_spawn_file_actions_addopen)(actions, fd, path, flags, mode);

	if (!err)
		spawn_opens_note(actions, fd);
	return err;
}

EXPORT int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions,
						const char *path)
{
	int err = R(posix_spawn_file_actions_addchdir_np)(actions, path);

	if (!err)
		spawn_chdir_note(actions, path, -1);
	return err;
}

EXPORT int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *actions, int fd)
{
	int err = R(posix_spawn_file_actions_addfchdir_np)(actions, fd);

	if (!err)
		spawn_chdir_note(actions, NULL, fd);
	return err;
}

EXPORT int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions)
{
	spawn_chdir_forget(actions);
	return R(posix_spawn_file_actions_init)(actions);
}

EXPORT int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions)
{
	spawn_chdir_forget(actions);
	return R(posix_spawn_file_actions_destroy)(actions);
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
