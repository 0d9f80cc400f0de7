/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that start processes and images, and those of signal handlers. */
#include "shim/foreign/foreign.h"
#include "shim/interpose/names.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim/process/process.h"

pid_t __vfork(void);
int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);
void (*__sysv_signal(int sig, void (*handler)(int)))(int);
void (*bsd_signal(int sig, void (*handler)(int)))(int);

/* A child of vfork() borrows our memory; what it does to the tables would be done to us. */
EXPORT pid_t vfork(void)
{
	return R(fork)();
}

EXPORT pid_t __vfork(void)
{
	return R(fork)();
}

/* Without the handlers of pthread_atfork() the child would use its parent's session. */
EXPORT pid_t _Fork(void)
{
	return R(fork)();
}

/* exec for a file: what the judge said, then the way that the kind needs. how is called where the
 * file is to be executed as it is. */
struct exec_call {
	void (*how)(const struct exec_call *c, char *const envp[]);
	struct program_at at;
	char *const *argv;
};

static int exec_by(const struct exec_call *c, char *const envp[])
{
	struct program_caller caller = program_caller();
	struct exec_image im;
	struct exec_env env;
	int err = exec_image(&c->at, &caller, c->argv, envp, &im);

	if (err)
		return (int)answer(err);
	err = exec_env_make(im.envp, &env);
	if (err) {
		exec_image_free(&im);
		return (int)answer(err);
	}
	if (im.memory)
		R(execve)(im.path, im.argv, env.envp);
	else
		c->how(c, env.envp);
	exec_env_undo(&env);
	exec_image_free(&im);
	return -1;
}

static void by_path(const struct exec_call *c, char *const envp[])
{
	R(execve)(c->at.path, c->argv, envp);
}

static void by_fd(const struct exec_call *c, char *const envp[])
{
	R(fexecve)(c->at.dir, c->argv, envp);
}

static void by_folder(const struct exec_call *c, char *const envp[])
{
	R(execveat)(c->at.dir, c->at.path, c->argv, envp, c->at.flags);
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	struct exec_call c = { .how = by_path, .argv = argv };

	c.at = (struct program_at){ AT_FDCWD, path, 0, AT_FDCWD, path };
	return exec_by(&c, envp);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	struct exec_call c = { .how = by_fd, .argv = argv };
	char path[PATH_MAX];

	c.at = (struct program_at){ fd, "", AT_EMPTY_PATH, AT_FDCWD,
				    exec_fd_name(fd, path, sizeof(path)) };
	return exec_by(&c, envp);
}

EXPORT int execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
	struct exec_call c = { .how = by_folder, .argv = argv };
	char full[PATH_MAX];

	if (!path)
		return (int)answer(-EFAULT);
	c.at = (struct program_at){ fd, path, flags, AT_FDCWD,
				    exec_at_name(fd, path, full, sizeof(full)) };
	return c.at.name ? exec_by(&c, envp) : -1;
}

/* What is neither a program nor a script is the shell's. [execvp(3)] */
static int exec_or_shell(const char *path, char *const argv[], char *const envp[])
{
	size_t n = 0;
	char **args;

	execve(path, argv, envp);
	if (errno != ENOEXEC)
		return -1;
	while (argv && argv[n])
		n++;
	args = __builtin_alloca((n + 3) * sizeof(*args));
	args[0] = (char *)(uintptr_t) "/bin/sh";
	args[1] = (char *)(uintptr_t)path;
	args[2] = NULL;
	for (size_t i = 1; i < n; i++) {
		args[i + 1] = argv[i];
		args[i + 2] = NULL;
	}
	return execve(args[0], args, envp);
}

static bool goes_on(int err)
{
	return err == EACCES || err == ENOENT || err == ESTALE || err == ENOTDIR || err == ENODEV ||
	       err == ETIMEDOUT || err == ENAMETOOLONG;
}

/* Each file is judged as it is tried: the search is ours, not the C library's. */
EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	const char *list = getenv("PATH"), *at, *end;
	bool denied = false;
	char path[PATH_MAX];

	if (!file || !*file || strlen(file) > NAME_MAX || strchr(file, '/'))
		return exec_or_shell(file, argv, envp);
	for (at = list ? list : "/bin:/usr/bin";; at = end + 1) {
		end = strchrnul(at, ':');
		if (snprintf(path, sizeof(path), "%.*s%s%s", (int)(end - at), at,
			     end > at ? "/" : "", file) < (int)sizeof(path)) {
			exec_or_shell(path, argv, envp);
			if (!goes_on(errno))
				return -1;
			denied |= errno == EACCES;
		}
		if (!*end)
			break;
	}
	return (int)answer(denied ? -EACCES : -ENOENT);
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

static size_t count_args(va_list args)
{
	size_t n = 1;

	while (va_arg(args, char *))
		n++;
	return n;
}

static char *const *take_args(char **argv, const char *first, va_list args)
{
	size_t n = 0;

	argv[n++] = (char *)(uintptr_t)first;
	if (first) {
		while ((argv[n] = va_arg(args, char *)) != NULL)
			n++;
	}
	return argv;
}

/* The three execl spellings: collect the arguments on the stack, as the C library does. */
#define COLLECT(first, argv)                                                                       \
	char **argv;                                                                               \
	va_list args;                                                                              \
	va_start(args, first);                                                                     \
	argv = __builtin_alloca((count_args(args) + 1) * sizeof(char *));                          \
	va_end(args);                                                                              \
	va_start(args, first);                                                                     \
	take_args(argv, first, args)

EXPORT int execl(const char *path, const char *first, ...)
{
	COLLECT(first, argv);
	va_end(args);
	return execve(path, argv, environ);
}

EXPORT int execlp(const char *file, const char *first, ...)
{
	COLLECT(first, argv);
	va_end(args);
	return execvpe(file, argv, environ);
}

EXPORT int execle(const char *path, const char *first, ...)
{
	char *const *envp;

	COLLECT(first, argv);
	envp = va_arg(args, char *const *);
	va_end(args);
	return execve(path, argv, envp);
}

/* ---- handlers ---- */

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return (int)answer(foreign_active ? foreign_library_sigaction(sig, act, old)
					  : signals_action(sig, act, old));
}

EXPORT int __sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return sigaction(sig, act, old);
}

static void (*install(int sig, void (*handler)(int), int flags))(int)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags }, old;

	sigemptyset(&act.sa_mask);
	if (!(flags & SA_NODEFER))
		sigaddset(&act.sa_mask, sig);
	return sigaction(sig, &act, &old) < 0 ? SIG_ERR : old.sa_handler;
}

EXPORT void (*signal(int sig, void (*handler)(int)))(int)
{
	return install(sig, handler, SA_RESTART);
}

EXPORT void (*bsd_signal(int sig, void (*handler)(int)))(int)
{
	return install(sig, handler, SA_RESTART);
}

EXPORT void (*__sysv_signal(int sig, void (*handler)(int)))(int)
{
	return install(sig, handler, SA_RESETHAND | SA_NODEFER);
}

EXPORT int siginterrupt(int sig, int interrupt)
{
	struct sigaction act;

	if (sigaction(sig, NULL, &act) < 0)
		return -1;
	if (interrupt)
		act.sa_flags &= ~SA_RESTART;
	else
		act.sa_flags |= SA_RESTART;
	return sigaction(sig, &act, NULL);
}
