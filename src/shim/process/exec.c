/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exec: sockets without close-on-exec stay usable in the new image. The control connection is made
 * inheritable and named, with the sockets, in WEIR_SESSION of the new environment:
 *
 *   WEIR_SESSION=CONNECTION;FD,INDEX,GENERATION,TYPE,FAMILY,OPTIONS,LISTEN,PORT;...  (hexadecimal)
 *
 * The new image resumes the session there with just these sockets (ABI_MSG_RESUME). Without such
 * sockets nothing is handed over, and the new image attaches when it needs to. The names that make
 * a program run on weir (LD_PRELOAD, WEIR_INSTANCE, WEIR_RUNDIR) are put back where they were lost.
 */
#include "shim/shim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SOCK_TEXT_BYTES 80 /* one socket in WEIR_SESSION, at most */
#define NAME_BYTES (PATH_MAX + 32)

static char shim_path[PATH_MAX];

void exec_keep_names(void)
{
	Dl_info info;

	if (dladdr((void *)(uintptr_t)exec_keep_names, &info) && info.dli_fname)
		snprintf(shim_path, sizeof(shim_path), "%s", info.dli_fname);
}

static bool inherited(int fd)
{
	return fd_sock(fd) && !(R(fcntl64)(fd, F_GETFD) & FD_CLOEXEC);
}

static unsigned int count_inherited(void)
{
	unsigned int n = 0;

	for (unsigned int fd = 0; fd < fdtab_top(); fd++)
		n += inherited((int)fd);
	return n;
}

static char *write_sessions(char *at, char *end)
{
	at += snprintf(at, (size_t)(end - at), "WEIR_SESSION=%x", (unsigned int)session.fd);
	for (unsigned int fd = 0; fd < fdtab_top(); fd++) {
		struct wsock *ws = fd_sock((int)fd);

		if (!inherited((int)fd) || end - at < SOCK_TEXT_BYTES)
			continue;
		if (!ws->shm && !(atomic_load(&ws->opts) & WS_QUIET) && ctl_create(ws))
			continue;
		at += snprintf(at, (size_t)(end - at), ";%x,%x,%x,%x,%x,%x,%x,%x", fd, ws->index,
			       ws->gen, ws->type, ws->family, atomic_load(&ws->opts),
			       ws->quiet_listen, ws->quiet_port_be);
	}
	return at + 1;
}

static bool is_name(const char *var, const char *name)
{
	size_t n = strlen(name);

	return strncmp(var, name, n) == 0 && var[n] == '=';
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

int exec_env_make(char *const *envp, struct exec_env *env)
{
	bool live = atomic_load(&session.attached) && !session_is_dead();
	unsigned int socks = live ? count_inherited() : 0;
	const char *before = get(envp, "LD_PRELOAD");
	struct builder b;
	size_t vars = 0;

	while (envp && envp[vars])
		vars++;
	env->bytes = (vars + 6) * sizeof(char *) + 3 * NAME_BYTES + (before ? strlen(before) : 0) +
		     (size_t)(socks + 1) * SOCK_TEXT_BYTES;
	env->memory =
		mmap(NULL, env->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (env->memory == MAP_FAILED)
		return -ENOMEM;
	env->envp = env->memory;
	b.var = env->envp;
	b.text = (char *)env->memory + (vars + 6) * sizeof(char *);
	b.end = (char *)env->memory + env->bytes;
	for (size_t i = 0; i < vars; i++) {
		if (!is_name(envp[i], "LD_PRELOAD") && !is_name(envp[i], "WEIR_INSTANCE") &&
		    !is_name(envp[i], "WEIR_RUNDIR") && !is_name(envp[i], "WEIR_SESSION"))
			*b.var++ = envp[i];
	}
	put_preload(&b, envp);
	put_name(&b, "WEIR_INSTANCE", session_instance());
	put_name(&b, "WEIR_RUNDIR", session_rundir());
	if (socks) {
		*b.var++ = b.text;
		b.text = write_sessions(b.text, b.end);
		R(fcntl64)(session.fd, F_SETFD, 0);
	}
	*b.var = NULL;
	return 0;
}

void exec_env_undo(struct exec_env *env)
{
	int saved = errno;

	if (session.fd >= 0)
		R(fcntl64)(session.fd, F_SETFD, FD_CLOEXEC);
	munmap(env->memory, env->bytes);
	errno = saved;
}

/* ---- the new image ---- */

struct handed {
	unsigned int fd, index, gen, type, family, opts, listen, port;
};

/* Parse the next socket; NULL at the end or where the text is not ours. */
static const char *next_handed(const char *at, struct handed *h)
{
	int used = 0;

	if (*at != ';' || sscanf(at, ";%x,%x,%x,%x,%x,%x,%x,%x%n", &h->fd, &h->index, &h->gen,
				 &h->type, &h->family, &h->opts, &h->listen, &h->port, &used) != 8)
		return NULL;
	return at + used;
}

static struct wsock *adopt_one(const struct handed *h)
{
	struct wsock *ws;

	/* A dup of one that is here already shares it. */
	for (unsigned int fd = 0; h->index != ABI_SOCK_NONE && fd < fdtab_top(); fd++) {
		ws = fd_sock((int)fd);
		if (ws && ws->index == h->index) {
			obj_get(&ws->obj);
			return ws;
		}
	}
	ws = wsock_new();
	if (!ws)
		return NULL;
	ws->type = (uint8_t)h->type;
	ws->family = (uint8_t)h->family;
	ws->protocol = h->type == SOCK_STREAM ? 6 : 17;
	ws->quiet_listen = (uint8_t)h->listen;
	ws->quiet_port_be = (uint16_t)h->port;
	atomic_store(&ws->opts, h->opts);
	if (h->index < session.sock_count)
		wsock_adopt(ws, h->index, h->gen);
	return ws;
}

static void adopt_all(const char *list)
{
	struct handed h;

	while ((list = next_handed(list, &h)) != NULL) {
		struct wsock *ws = h.fd < FD_MAX ? adopt_one(&h) : NULL;

		if (!ws)
			continue;
		fdtab_set((int)h.fd, &ws->obj);
		owner_adopt(ws, (int)h.fd);
	}
}

static bool is_connection(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return R(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

void exec_adopt(void)
{
	static uint32_t words[ABI_MSG_WORDS_MAX];
	const char *text = getenv("WEIR_SESSION");
	uint32_t n = 0;
	struct handed h;
	unsigned int fd;
	int used = 0;

	if (!text)
		return;
	if (sscanf(text, "%x%n", &fd, &used) == 1 && is_connection((int)fd)) {
		for (const char *at = text + used; (at = next_handed(at, &h)) != NULL;) {
			if (h.index == ABI_SOCK_NONE || n + 2 > ABI_MSG_WORDS_MAX)
				continue;
			words[n++] = h.index;
			words[n++] = h.gen;
		}
		if (session_resume((int)fd, words, n) == 0)
			adopt_all(text + used);
	}
	unsetenv("WEIR_SESSION");
}
