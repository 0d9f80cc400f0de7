/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * By which way a new image comes onto weir: the loader preloads us into dynamic programs; static
 * ones, and those of another loader, are started by weir-launch, which lies beside us and finds the
 * program's path in WEIR_LAUNCH. What can be on weir by no way is refused with words.
 */
#include "shim/process/process.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LAUNCHER "weir-launch"
#define VARIABLE "WEIR_LAUNCH="

/* What a launch needs, in memory of its own: exec() may come in a child with little stack. */
struct launch {
	struct program program;
	char launcher[PATH_MAX];
	char variable[sizeof(VARIABLE) + PATH_MAX];
	char *list[]; /* arguments, NULL, environment, NULL */
};

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static char **put_list(char **to, char *const *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*to++ = from[i];
	return to;
}

static void put_all(struct exec_image *im, struct launch *l, char *const argv[], char *const envp[])
{
	const struct program *p = &l->program;
	size_t args = count(argv), skip = p->prefix_count && args ? 1 : 0;
	char **at = l->list;

	snprintf(l->variable, sizeof(l->variable), VARIABLE "%s", p->path);
	exec_beside(LAUNCHER, l->launcher, sizeof(l->launcher));
	im->path = l->launcher;
	im->argv = at;
	for (unsigned int i = 0; i < p->prefix_count; i++)
		*at++ = (char *)(uintptr_t)p->prefix[i];
	at = put_list(at, argv + skip, args - skip);
	*at++ = NULL;
	im->envp = at;
	at = put_list(at, envp, count(envp));
	*at++ = l->variable;
	*at = NULL;
}

int exec_image(const struct program_at *at, const struct program_caller *caller, char *const argv[],
	       char *const envp[], struct exec_image *im)
{
	struct launch *l;
	int err;

	*im = (struct exec_image){ .path = at->path, .argv = argv, .envp = envp };
	if (!at->path || !at->name)
		return -EFAULT;
	im->bytes =
		sizeof(*l) + (count(argv) + count(envp) + 2 * PROGRAM_SCRIPTS + 5) * sizeof(char *);
	l = mmap(NULL, im->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (l == MAP_FAILED)
		return -ENOMEM;
	im->memory = l;
	err = exec_judge(at, caller, &l->program);
	if (!err && l->program.kind == PROGRAM_FOREIGN)
		put_all(im, l, argv, envp);
	else
		exec_image_free(im);
	return err;
}

void exec_image_free(struct exec_image *im)
{
	int saved = errno;

	if (im->memory)
		munmap(im->memory, im->bytes);
	im->memory = NULL;
	errno = saved;
}
