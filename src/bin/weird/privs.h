/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Giving up privileges. Nothing here is needed to run: ports may need some to open.
 */
#ifndef WEIR_BIN_WEIRD_PRIVS_H
#define WEIR_BIN_WEIRD_PRIVS_H

#include <sys/types.h>

struct privs_user {
	char name[64];
	uid_t uid;
	gid_t gid;
};

/* 0, -ENOENT when there is no such user, -errno. */
int privs_find_user(const char *name, struct privs_user *user);

/* Keep only the capabilities that opening ports may need; nothing that this process starts can gain
 * any (no_new_privs). Before other threads start: they inherit it. 0 or -errno. */
int privs_reduce(void);

/* Become this user for good, with every thread, and keep no capability. 0 or -errno. */
int privs_become(const struct privs_user *user);

#endif
