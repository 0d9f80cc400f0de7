/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/procnet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bin/weird/loop.h"
#include "procnet/procnet.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int file_of(const char *text, size_t len)
{
	int fd = memfd_create("weir-proc-net", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, text, len);
	if (!err && (lseek(fd, 0, SEEK_SET) < 0 || fcntl(fd, F_ADD_SEALS, SEALS)))
		err = -errno;
	if (err)
		close(fd);
	return err ? err : fd;
}

int weird_procnet_open(struct engine *engine, const char *name)
{
	const struct procnet p = { .worker = engine->worker, .worker_count = engine->worker_count };
	size_t len = 0;
	char *text = NULL;
	int fd;

	control_park();
	fd = procnet_read(&p, name, &text, &len);
	if (!fd) {
		fd = file_of(text, len);
		free(text);
	}
	return fd;
}
