/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/privs.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Why each is kept: ports (tap, AF_PACKET, AF_XDP, PCI devices, hugepages) need the first line, the
 * run directory the second, --user and the limit of descriptors the third.
 */
static const unsigned int keep[] = {
	CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN,    CAP_SYS_RAWIO, CAP_IPC_LOCK,
	CAP_BPF,       CAP_PERFMON, CAP_DAC_OVERRIDE, CAP_CHOWN,     CAP_FOWNER,
	CAP_SETUID,    CAP_SETGID,  CAP_SYS_RESOURCE, CAP_SYS_NICE,
};

int privs_find_user(const char *name, struct privs_user *user)
{
	struct passwd *entry;

	errno = 0;
	entry = getpwnam(name);
	if (!entry)
		return errno ? -errno : -ENOENT;
	snprintf(user->name, sizeof(user->name), "%s", name);
	user->uid = entry->pw_uid;
	user->gid = entry->pw_gid;
	return 0;
}

int privs_reduce(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint32_t mask[2] = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	if (syscall(SYS_capget, &header, data))
		return -errno;
	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
		mask[keep[i] / 32] |= 1u << (keep[i] % 32);
	for (unsigned int i = 0; i < 2; i++) {
		data[i].effective &= mask[i];
		data[i].permitted &= mask[i];
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

int privs_become(const struct privs_user *user)
{
	/* libc's calls change every thread; the last one drops the capabilities of each. */
	if (initgroups(user->name, user->gid) || setresgid(user->gid, user->gid, user->gid) ||
	    setresuid(user->uid, user->uid, user->uid))
		return -errno;
	return 0;
}
