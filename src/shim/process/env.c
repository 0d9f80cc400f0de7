/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The environment of a new image: the names that make a program run on weir (LD_PRELOAD,
 * WEIR_INSTANCE, WEIR_RUNDIR, WEIR_KERNEL) are put back where they were lost, and WEIR_SESSION says
 * what is handed over (exec.c).
 */
#include "shim/process/process.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME_BYTES (PATH_MAX + 32)

static char shim_path[PATH_MAX];

/* Those that are not the program's to choose. */
static const char *const names[] = { "LD_PRELOAD", "WEIR_INSTANCE", "WEIR_RUNDIR", "WEIR_KERNEL",
				     "WEIR_SESSION" };
#define NAMES (sizeof(names) / sizeof(names[0]))

void exec_keep_names(void)
{
	Dl_info info;

	if (dladdr((void *)(uintptr_t)exec_keep_names, &info) && info.dli_fname)
		snprintf(shim_path, sizeof(shim_path), "%s", info.dli_fname);
}

bool exec_shim_in_reach(void)
{
	return access(shim_path, R_OK) == 0;
}

void exec_beside(const char *name, char *path, size_t room)
{
	const char *slash = strrchr(shim_path, '/');
	int folder = slash ? (int)(slash + 1 - shim_path) : 0;

	snprintf(path, room, "%.*s%s", folder, shim_path, name);
}

static bool is_name(const char *var, const char *name)
{
	size_t n = strlen(name);

	return strncmp(var, name, n) == 0 && var[n] == '=';
}

static bool is_ours(const char *var)
{
	for (size_t i = 0; i < NAMES; i++) {
		if (is_name(var, names[i]))
			return true;
	}
	return false;
}

static const char *get(char *const *envp, const char *name)
{
	for (; envp && *envp; envp++) {
		if (is_name(*envp, name))
			return *envp + strlen(name) + 1;
	}
	return NULL;
}

struct builder {
	char **var;
	char *text, *end;
};

static void put_name(struct builder *b, const char *name, const char *value)
{
	*b->var++ = b->text;
	b->text += snprintf(b->text, (size_t)(b->end - b->text), "%s=%s", name, value) + 1;
}

static void put_preload(struct builder *b, char *const *envp)
{
	const char *before = get(envp, "LD_PRELOAD");

	if (before && strstr(before, shim_path)) {
		put_name(b, "LD_PRELOAD", before);
		return;
	}
	*b->var++ = b->text;
	b->text += snprintf(b->text, (size_t)(b->end - b->text), "LD_PRELOAD=%s%s%s", shim_path,
			    before ? ":" : "", before ? before : "") +
		   1;
}

int env_make(char *const *envp, const char *handed, struct exec_env *env)
{
	const char *before = get(envp, "LD_PRELOAD");
	struct builder b;
	size_t vars = 0;

	while (envp && envp[vars])
		vars++;
	env->bytes = (vars + NAMES + 1) * sizeof(char *) + NAMES * NAME_BYTES +
		     (before ? strlen(before) : 0);
	env->memory =
		mmap(NULL, env->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (env->memory == MAP_FAILED)
		return -ENOMEM;
	env->envp = env->memory;
	b.var = env->envp;
	b.text = (char *)env->memory + (vars + NAMES + 1) * sizeof(char *);
	b.end = (char *)env->memory + env->bytes;
	for (size_t i = 0; i < vars; i++) {
		if (!is_ours(envp[i]))
			*b.var++ = envp[i];
	}
	put_preload(&b, envp);
	put_name(&b, "WEIR_INSTANCE", session_instance());
	put_name(&b, "WEIR_RUNDIR", session_rundir());
	if (policy_text())
		put_name(&b, "WEIR_KERNEL", policy_text());
	if (handed)
		put_name(&b, "WEIR_SESSION", handed);
	*b.var = NULL;
	return 0;
}

void env_free(struct exec_env *env)
{
	munmap(env->memory, env->bytes);
}
