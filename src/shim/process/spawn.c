/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * posix_spawn(): its child is made inside the C library and only execs, so the session of the new
 * image is made beforehand, with references to the sockets that it can have: those without
 * close-on-exec, and those that a file action dups. Which of them it has it finds itself (adopt.c).
 *
 * system() and popen() spawn inside the C library as well; here they are made of call_spawn().
 */
#include "shim/process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The session that the new image will find. */
static int child_session(struct handover *h)
{
	uint32_t *words = mmap(NULL, ABI_MSG_WORDS_MAX * sizeof(*words), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t n = 0;
	int fd;

	if (words == MAP_FAILED)
		return -ENOMEM;
	for (unsigned int i = 0; i < h->count && n + 2 <= ABI_MSG_WORDS_MAX; i++) {
		if (h->list[i].index == ABI_SOCK_NONE)
			continue;
		words[n++] = h->list[i].index;
		words[n++] = h->list[i].gen;
	}
	fd = session_for_child(words, n);
	munmap(words, ABI_MSG_WORDS_MAX * sizeof(*words));
	return fd;
}

static int prepare(struct handover *h, char *const envp[], struct exec_env *env)
{
	int fd, err = handover_list(h, true);

	if (!err && h->count) {
		fd = child_session(h);
		err = fd < 0 ? fd : handover_write(h, fd);
	}
	if (!err)
		err = env_make(envp, h->count ? h->text : NULL, env);
	return err;
}

static struct program_caller child_ids(const posix_spawnattr_t *attr)
{
	struct program_caller ids = program_caller();
	short flags = 0;

	if (attr)
		posix_spawnattr_getflags(attr, &flags);
	if (flags & POSIX_SPAWN_RESETIDS) {
		ids.euid = ids.uid;
		ids.egid = ids.gid;
	}
	return ids;
}

static int spawn_image(pid_t *pid, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, const struct exec_image *im)
{
	struct exec_env env = { .memory = NULL };
	struct handover *h = &env.handed;
	int err;

	exec_lock_take();
	err = prepare(h, (char **)im->envp, &env);
	if (!err) {
		handover_inheritable(h, true);
		err = -R(posix_spawn)(pid, im->path, actions, attr, im->argv, env.envp);
		env_free(&env);
	}
	/* The child has its copies, or there is none: then this ends the session. */
	fdtab_close_private(h->connection_fd);
	handover_free(h);
	exec_lock_drop();
	return err;
}

int call_spawn(pid_t *pid, const char *file, bool search, const posix_spawn_file_actions_t *actions,
	       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct program_caller ids = child_ids(attr);
	struct program_at at = { .dir = spawn_chdir_open(actions) };
	struct exec_image im;
	char found[PATH_MAX];
	int err;

	if (at.dir < 0 && at.dir != AT_FDCWD)
		return at.dir == -ENOTSUP
			       ? -exec_refuse(file, "nobody can say in which folder it would be "
						    "looked for; name it by its whole path")
			       : -at.dir;
	at.path = search ? exec_find(at.dir, file, found, sizeof(found)) : file;
	at.name = at.path;
	at.cwd = at.dir;
	err = exec_image(&at, &ids, argv, envp, &im);
	if (at.dir >= 0)
		R(close)(at.dir);
	if (err)
		return -err;
	err = spawn_image(pid, actions, attr, &im);
	exec_image_free(&im);
	return -err;
}

/* ---- system() ---- */

struct waiting {
	pid_t pid;
	struct sigaction intr, quit;
	sigset_t mask;
};
static struct lock system_lock;
static unsigned int systems; /* how many wait: the first changes the signals, the last back */
static struct sigaction intr_before, quit_before;

static void signals_off(sigset_t *mask)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t chld;

	lock_take(&system_lock);
	if (systems++ == 0) {
		R(sigaction)(SIGINT, &ignore, &intr_before);
		R(sigaction)(SIGQUIT, &ignore, &quit_before);
	}
	lock_drop(&system_lock);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &chld, mask);
}

static void signals_on(const sigset_t *mask)
{
	lock_take(&system_lock);
	if (--systems == 0) {
		R(sigaction)(SIGINT, &intr_before, NULL);
		R(sigaction)(SIGQUIT, &quit_before, NULL);
	}
	lock_drop(&system_lock);
	pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/* Cancelled while it waits: the command ends with the thread, as in the C library. */
static void cancelled(void *arg)
{
	struct waiting *w = arg;

	kill(w->pid, SIGKILL);
	while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
		;
	signals_on(&w->mask);
}

static int wait_for(struct waiting *w)
{
	int status = -1;

	pthread_cleanup_push(cancelled, w);
	while (waitpid(w->pid, &status, 0) < 0) {
		if (errno != EINTR) {
			status = -1;
			break;
		}
	}
	pthread_cleanup_pop(0);
	return status;
}

static void attr_make(posix_spawnattr_t *attr, const sigset_t *mask)
{
	sigset_t reset;

	sigemptyset(&reset);
	if (intr_before.sa_handler != SIG_IGN)
		sigaddset(&reset, SIGINT);
	if (quit_before.sa_handler != SIG_IGN)
		sigaddset(&reset, SIGQUIT);
	posix_spawnattr_init(attr);
	posix_spawnattr_setsigmask(attr, mask);
	posix_spawnattr_setsigdefault(attr, &reset);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

int call_system(const char *command)
{
	char *argv[] = { "sh", "-c", "--", (char *)(uintptr_t)command, NULL };
	posix_spawnattr_t attr;
	struct waiting w;
	int status, err;

	signals_off(&w.mask);
	attr_make(&attr, &w.mask);
	err = call_spawn(&w.pid, "/bin/sh", false, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	status = err ? W_EXITCODE(127, 0) : wait_for(&w);
	signals_on(&w.mask);
	if (err)
		errno = err;
	return status;
}

/* ---- popen() ---- */

struct opened {
	FILE *file;
	pid_t pid;
	struct opened *next;
};
static struct lock opened_lock;
static struct opened *opened;

/* The streams of earlier popen() calls are closed in the new child (POSIX). */
static void actions_make(posix_spawn_file_actions_t *actions, int theirs, int target)
{
	posix_spawn_file_actions_init(actions);
	lock_take(&opened_lock);
	for (struct opened *o = opened; o; o = o->next) {
		int fd = fileno(o->file);

		if (fd >= 0 && fd != target)
			posix_spawn_file_actions_addclose(actions, fd);
	}
	lock_drop(&opened_lock);
	posix_spawn_file_actions_adddup2(actions, theirs, target);
}

static int spawn_shell(struct opened *o, const char *command, int theirs, int target)
{
	char *argv[] = { "sh", "-c", "--", (char *)(uintptr_t)command, NULL };
	posix_spawn_file_actions_t actions;
	int err;

	actions_make(&actions, theirs, target);
	err = call_spawn(&o->pid, "/bin/sh", false, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

FILE *call_popen(const char *command, const char *mode)
{
	bool reads = strchr(mode, 'r') != NULL, cloexec = strchr(mode, 'e') != NULL;
	struct opened *o = malloc(sizeof(*o));
	int pipe_fd[2], err;

	if (!o || reads == (strchr(mode, 'w') != NULL)) {
		errno = o ? EINVAL : ENOMEM;
		free(o);
		return NULL;
	}
	if (pipe2(pipe_fd, O_CLOEXEC) < 0) {
		free(o);
		return NULL;
	}
	/* A descriptor that is dup2()ed onto itself stays close-on-exec in older C libraries. */
	err = spawn_shell(o, command, pipe_fd[reads], reads);
	R(close)(pipe_fd[reads]);
	o->file = err ? NULL : R(fdopen)(pipe_fd[!reads], reads ? "r" : "w");
	if (!o->file) {
		R(close)(pipe_fd[!reads]);
		free(o);
		errno = err ? err : errno;
		return NULL;
	}
	R(fcntl64)(pipe_fd[!reads], F_SETFD, cloexec ? FD_CLOEXEC : 0);
	lock_take(&opened_lock);
	o->next = opened;
	opened = o;
	lock_drop(&opened_lock);
	return o->file;
}

int call_pclose(FILE *file)
{
	struct opened *o, **link = &opened;
	int status = -1, r;
	pid_t pid;

	lock_take(&opened_lock);
	while (*link && (*link)->file != file)
		link = &(*link)->next;
	o = *link;
	if (o)
		*link = o->next;
	lock_drop(&opened_lock);
	if (!o)
		return R(pclose)(file);
	pid = o->pid;
	free(o);
	r = fclose(file);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return r == 0 ? status : -1;
}

void spawn_lock(bool take)
{
	if (take) {
		lock_take(&system_lock);
		lock_take(&opened_lock);
	} else {
		lock_drop(&opened_lock);
		lock_drop(&system_lock);
	}
}
