/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of process/ share. */
#ifndef WEIR_SHIM_PROCESS_PROCESS_H
#define WEIR_SHIM_PROCESS_PROCESS_H

#include <spawn.h>
#include <stdio.h>

#include "shim/process/handed.h"
#include "shim/shim.h"
#include "wire/program.h"

int call_system(const char *command);
FILE *call_popen(const char *command, const char *mode);
int call_pclose(FILE *file);
void spawn_lock(bool take);

/* exec.c: descriptors that are inheritable for a moment; held from there to the new image, or to
 * where there is none. */
void exec_lock_take(void);
void exec_lock_drop(void);

/* What a new image is told of: the sockets, in a file without a name. */
struct handover {
	struct handed *list;
	unsigned int count, room;
	int list_fd; /* -1: none */
	int connection_fd;
	char text[96]; /* WEIR_SESSION */
};
/* Those that the new image has, by the descriptors' close-on-exec flags or (spawn) by what is to
 * be done before it begins. Nothing: count is 0. 0 or -errno. */
int handover_list(struct handover *h, bool spawn);
/* The list's file, and WEIR_SESSION's text. */
int handover_write(struct handover *h, int connection_fd);
/* Not close-on-exec any more (under exec_lock), or again. */
void handover_inheritable(const struct handover *h, bool on);
void handover_free(struct handover *h);

/* The environment for a new image. */
struct exec_env {
	char **envp;
	void *memory;
	size_t bytes;
	struct handover handed;
};
/* For an exec, with exec_lock held from here on. -ENOMEM, ... The caller undoes it where exec
 * fails. */
int exec_env_make(char *const *envp, struct exec_env *env);
void exec_env_undo(struct exec_env *env);

/* spawn.c; a positive errno as posix_spawn() answers it. search: look for it in PATH. */
int call_spawn(pid_t *pid, const char *file, bool search, const posix_spawn_file_actions_t *actions,
	       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);

/* env.c */
int env_make(char *const *envp, const char *handed, struct exec_env *env);
void env_free(struct exec_env *env);
/* Can the loader of a new image find us? Not behind chroot(). */
bool exec_shim_in_reach(void);
/* The path of a file that is installed beside us. */
void exec_beside(const char *name, char *path, size_t room);

/* fork.c: a connection of a child's, with references to all sockets, or (words) to these pairs
 * only. A private descriptor, or -errno. */
int session_for_child(const uint32_t *words, uint32_t word_count);

/* syscall(SYS_clone) and SYS_clone3, which know nothing of pthread_atfork(): a fork() with flags.
 * The kernel's answer as the C library gives it. */
long call_clone(long number, const long *args);

/* judge.c: 0, or -errno (with words on stderr where exec() would not have it) where the image could
 * not be on weir. p is what program_judge() found. */
int exec_judge(const struct program_at *at, const struct program_caller *caller, struct program *p);
/* Say why, on stderr and in the daemon's log; -EPERM. */
int exec_refuse(const char *name, const char *why);
/* Names of files that are given by descriptors, as the new image finds them too; NULL with errno.
 */
const char *exec_fd_name(int fd, char *path, size_t room);
const char *exec_at_name(int dir, const char *path, char *full, size_t room);
/* As posix_spawnp() finds it in PATH, for a child in the folder dir; the name itself where it does
 * not. */
const char *exec_find(int dir, const char *file, char *path, size_t room);

/* image.c: what to give execve() for a program that is to be on weir. */
struct exec_image {
	const char *path;
	char *const *argv, *const *envp;
	void *memory; /* NULL: the three are the caller's own, it is exec()ed as it is */
	size_t bytes;
};
/* 0 or -errno as exec_judge() has it. Undone by exec_image_free() where exec fails. */
int exec_image(const struct program_at *at, const struct program_caller *caller, char *const argv[],
	       char *const envp[], struct exec_image *im);
void exec_image_free(struct exec_image *im);

/* chdir.c: the folder that a child of posix_spawn() will be in, by its file actions. */
void spawn_chdir_note(const posix_spawn_file_actions_t *actions, const char *path, int fd);
void spawn_opens_note(const posix_spawn_file_actions_t *actions, int fd);
void spawn_chdir_forget(const posix_spawn_file_actions_t *actions);
/* AT_FDCWD: none is named; a descriptor that only names it, the caller's; -errno: it cannot be
 * seen, -ENOTSUP where only the child will know. */
int spawn_chdir_open(const posix_spawn_file_actions_t *actions);

#endif
