/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bin/weird/privs.h"

#define BACKLOG 128

/* Who owns a directory may put other sockets into it, and programs would talk to those. */
static int check_owner(const char *dir, uid_t owner, const struct weird_config *config,
		       char error[CONFIG_ERROR_BYTES])
{
	const struct passwd *entry;
	struct privs_user user;

	if (owner == geteuid() || owner == 0)
		return 0;
	/* What a daemon with --user left behind. */
	if (config->user[0] && privs_find_user(config->user, &user) == 0 && user.uid == owner)
		return 0;
	entry = getpwuid(owner);
	snprintf(error, CONFIG_ERROR_BYTES,
		 "the directory %.200s belongs to another user (%.40s, %u), who could put other "
		 "sockets there: choose another with --rundir DIR (and WEIR_RUNDIR=DIR for weir), "
		 "or remove it",
		 dir, entry ? entry->pw_name : "no name", (unsigned int)owner);
	return -EPERM;
}

static int make_dir(const char *dir, const struct weird_config *config,
		    char error[CONFIG_ERROR_BYTES])
{
	struct stat st;

	if (mkdir(dir, 0755) == 0)
		return 0;
	if (errno == EEXIST) {
		if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
			return check_owner(dir, st.st_uid, config, error);
		errno = ENOTDIR;
	}
	snprintf(error, CONFIG_ERROR_BYTES,
		 "cannot make the directory %.200s: %s; make it, run as "
		 "root, or choose another with --rundir DIR (and WEIR_RUNDIR=DIR for weir)",
		 dir, strerror(errno));
	return -errno;
}

static void lock_write_pid(int fd)
{
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%d\n", (int)getpid());
}

static long lock_read_pid(int fd)
{
	char text[32] = "";
	long pid = 0;

	if (pread(fd, text, sizeof(text) - 1, 0) > 0)
		sscanf(text, "%ld", &pid);
	return pid;
}

int rundir_lock(struct rundir *rundir, const struct weird_config *config,
		char error[CONFIG_ERROR_BYTES])
{
	char path[PATH_MAX + 16];
	struct stat st;
	int err;

	rundir->lock_fd = rundir->app_fd = rundir->ctl_fd = -1;
	rundir->pid = getpid();
	snprintf(rundir->dir, sizeof(rundir->dir), "%s/%s", config->rundir, config->instance);
	if (strlen(rundir->dir) + sizeof("/app.sock") >
	    sizeof(((struct sockaddr_un *)0)->sun_path)) {
		snprintf(error, CONFIG_ERROR_BYTES,
			 "the path %.200s is too long for a socket: "
			 "choose a shorter --rundir",
			 rundir->dir);
		return -ENAMETOOLONG;
	}
	err = make_dir(config->rundir, config, error);
	if (!err)
		err = make_dir(rundir->dir, config, error);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/lock", rundir->dir);
	rundir->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (rundir->lock_fd < 0) {
		err = -errno;
		snprintf(error, CONFIG_ERROR_BYTES,
			 "cannot open %.200s: %s; does another user's "
			 "instance have this name? Choose another --instance or --rundir",
			 path, strerror(-err));
		return err;
	}
	if (flock(rundir->lock_fd, LOCK_EX | LOCK_NB)) {
		snprintf(error, CONFIG_ERROR_BYTES,
			 "instance '%s' is already running (process %ld): "
			 "stop it ('weir --instance %s stop'), or choose another --instance NAME",
			 config->instance, lock_read_pid(rundir->lock_fd), config->instance);
		close(rundir->lock_fd);
		rundir->lock_fd = -1;
		return -EBUSY;
	}
	if (fstat(rundir->lock_fd, &st) == 0 && st.st_nlink == 0) {
		close(rundir->lock_fd); /* its last holder removed it while we waited: once more */
		return rundir_lock(rundir, config, error);
	}
	lock_write_pid(rundir->lock_fd);
	return 0;
}

static int listen_on(const struct rundir *rundir, const char *name, int type,
		     char error[CONFIG_ERROR_BYTES])
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	/* rundir_lock() has checked that it fits */
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.90s/%s", rundir->dir, name);
	unlink(addr.sun_path); /* what a killed daemon left */
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	    chmod(addr.sun_path, 0666) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	err = -errno;
	snprintf(error, CONFIG_ERROR_BYTES, "cannot listen on %.120s: %s", addr.sun_path,
		 strerror(-err));
	if (fd >= 0)
		close(fd);
	return err;
}

int rundir_listen(struct rundir *rundir, char error[CONFIG_ERROR_BYTES])
{
	rundir->app_fd = listen_on(rundir, "app.sock", SOCK_SEQPACKET, error);
	if (rundir->app_fd < 0)
		return rundir->app_fd;
	rundir->ctl_fd = listen_on(rundir, "ctl.sock", SOCK_STREAM, error);
	return rundir->ctl_fd < 0 ? rundir->ctl_fd : 0;
}

int rundir_chown(struct rundir *rundir, uid_t uid, gid_t gid)
{
	static const char *const names[] = { "", "/lock", "/app.sock", "/ctl.sock" };
	char path[PATH_MAX + 16];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", rundir->dir, names[i]);
		if (lchown(path, uid, gid))
			return -errno;
	}
	return 0;
}

void rundir_close(struct rundir *rundir)
{
	static const char *const names[] = { "app.sock", "ctl.sock", "lock" };
	char path[PATH_MAX + 16];

	if (rundir->app_fd >= 0)
		close(rundir->app_fd);
	if (rundir->ctl_fd >= 0)
		close(rundir->ctl_fd);
	if (rundir->lock_fd < 0 || rundir->pid != getpid())
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", rundir->dir, names[i]);
		unlink(path);
	}
	rmdir(rundir->dir);
	close(rundir->lock_fd);
}
