/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RUNDIR/INSTANCE: the directory of an instance, with its lock, app.sock (programs) and ctl.sock
 * (the command line). The lock is held while the daemon lives; sockets that a killed daemon left
 * are replaced by whoever gets the lock.
 */
#ifndef WEIR_BIN_WEIRD_RUNDIR_H
#define WEIR_BIN_WEIRD_RUNDIR_H

#include <limits.h>
#include <sys/types.h>

#include "bin/weird/config.h"

struct rundir {
	char dir[PATH_MAX];
	int lock_fd;
	int app_fd; /* listening, SOCK_SEQPACKET */
	int ctl_fd; /* listening, SOCK_STREAM */
	pid_t pid;  /* who made it; only this process removes it */
};

/* Take the instance's lock. -EBUSY: another daemon has it; -EPERM: the directory is another user's.
 * error: words for people. */
int rundir_lock(struct rundir *rundir, const struct weird_config *config,
		char error[CONFIG_ERROR_BYTES]);

/* Listen on the two sockets. */
int rundir_listen(struct rundir *rundir, char error[CONFIG_ERROR_BYTES]);

/* Give directory and files to another user, who will remove them. */
int rundir_chown(struct rundir *rundir, uid_t uid, gid_t gid);

/* Stop listening, remove sockets, lock and directory. */
void rundir_close(struct rundir *rundir);

#endif
