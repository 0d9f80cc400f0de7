/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that becomes another user, or leaves its root, before its first socket could not reach
 * the daemon any more then. So its session is made before; quietly, for most of those who do this
 * never have a socket.
 */
#include "shim/interpose/names.h"

#include <unistd.h>

static void before_leaving(void)
{
	if (!atomic_load(&session.attached))
		session_attach_early();
}

static void before_user(uid_t to)
{
	if (geteuid() == 0 && to != 0 && to != (uid_t)-1)
		before_leaving();
}

EXPORT int chroot(const char *path)
{
	before_leaving();
	return R(chroot)(path);
}

EXPORT int setuid(uid_t uid)
{
	before_user(uid);
	return R(setuid)(uid);
}

EXPORT int seteuid(uid_t uid)
{
	before_user(uid);
	return R(seteuid)(uid);
}

EXPORT int setreuid(uid_t real, uid_t effective)
{
	before_user(effective);
	return R(setreuid)(real, effective);
}

EXPORT int setresuid(uid_t real, uid_t effective, uid_t saved)
{
	before_user(effective);
	return R(setresuid)(real, effective, saved);
}
