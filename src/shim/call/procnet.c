/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open() of a file of /proc/net: the daemon writes it, with weir's network in it. What is not the
 * network's own there stays the system's; what weir does not have is not there (ENOENT): the host's
 * figures would be believed to be weir's.
 */
#include "shim/shim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* Behind prefix, or NULL. */
static const char *after(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	return path && strncmp(path, prefix, len) == 0 ? path + len : NULL;
}

/* What follows a process's own number, or NULL. */
static const char *after_own_pid(const char *path)
{
	char own[16];

	snprintf(own, sizeof(own), "%d", (int)getpid());
	return after(path, own);
}

/* The name of a file of /proc/net, by all the ways there; NULL: it is none. */
static const char *name_of(const char *path)
{
	static const char *const systems[] = { "unix",	"netlink", "protocols", "psched",
					       "ptype", "packet",  "connector", NULL };
	const char *at = after(path, "/proc/"), *process = NULL;

	if (!at)
		return NULL;
	process = after(at, "self");
	if (!process)
		process = after(at, "thread-self");
	if (!process)
		process = after_own_pid(at);
	at = after(process ? process : at, process ? "/net/" : "net/");
	if (!at || !*at || strchr(at, '/') || strlen(at) >= sizeof(((struct abi_msg *)0)->text))
		return NULL;
	for (unsigned int i = 0; systems[i]; i++) {
		if (strcmp(at, systems[i]) == 0)
			return NULL;
	}
	return at;
}

static int ask(const char *name, int flags)
{
	struct abi_msg msg = { .type = ABI_MSG_PROCNET, .version = ABI_VERSION };
	int fd = -1, err = session_attach();

	if (err)
		return err;
	snprintf(msg.text, sizeof(msg.text), "%s", name);
	err = session_request_fd(&msg, &fd);
	if (err)
		return err;
	if (fd < 0)
		return -EPROTO;
	if (!(flags & O_CLOEXEC) && R(fcntl64)(fd, F_SETFD, 0) < 0)
		err = -errno;
	if (err)
		R(close)(fd);
	return err ? err : fd;
}

bool procnet_open(const char *path, int flags, long *result)
{
	const char *name = bad_pointer(path) ? NULL : name_of(path);
	int saved = errno;

	if (!name)
		return false;
	if ((flags & O_ACCMODE) != O_RDONLY)
		*result = -EACCES;
	else if (flags & O_DIRECTORY)
		*result = -ENOTDIR;
	else
		*result = ask(name, flags);
	if (*result < 0) {
		errno = (int)-*result;
		*result = -1;
	} else {
		errno = saved;
	}
	return true;
}
