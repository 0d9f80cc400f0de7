/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that start processes and images, and those of signal handlers. */
#include "shim/foreign/foreign.h"
#include "shim/interpose/names.h"

#include <limits.h>
#include <stdarg.h>
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

/*
 * exec for a file whose name is path: what the judge said, then the way that the kind needs. how is
 * called where the file is to be executed as it is.
 */
struct exec_call {
	void (*how)(const struct exec_call *c, char *const envp[]);
	const char *file;
	int fd, flags;
	char *const *argv;
};

static int exec_by(const struct exec_call *c, int err, const char *path, char *const envp[])
{
	struct exec_image im;
	struct exec_env env;

	if (!err)
		err = exec_image(path, c->argv, envp, &im);
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
	R(execve)(c->file, c->argv, envp);
}

static void by_search(const struct exec_call *c, char *const envp[])
{
	R(execvpe)(c->file, c->argv, envp);
}

static void by_fd(const struct exec_call *c, char *const envp[])
{
	R(fexecve)(c->fd, c->argv, envp);
}

static void by_folder(const struct exec_call *c, char *const envp[])
{
	R(execveat)(c->fd, c->file, c->argv, envp, c->flags);
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	struct exec_call c = { .how = by_path, .file = path, .argv = argv };

	return exec_by(&c, exec_judge(path), path, envp);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	struct exec_call c = { .how = by_search, .file = file, .argv = argv };
	char found[PATH_MAX];
	const char *path = exec_find(file, found, sizeof(found));

	return exec_by(&c, exec_judge(path), path, envp);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	struct exec_call c = { .how = by_fd, .fd = fd, .argv = argv };
	char path[PATH_MAX];

	return exec_by(&c, exec_judge_fd(fd, argv && argv[0] ? argv[0] : "a program"),
		       exec_fd_name(fd, path, sizeof(path)), envp);
}

EXPORT int execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
	struct exec_call c = {
		.how = by_folder, .file = path, .fd = fd, .flags = flags, .argv = argv
	};
	char full[PATH_MAX];

	return exec_by(&c, exec_judge_at(fd, path, flags),
		       exec_at_name(fd, path, full, sizeof(full)), envp);
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
