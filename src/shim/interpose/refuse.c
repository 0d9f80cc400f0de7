/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What would lead past weir, and so is refused: a second C library beside the one that is taken
 * over, and io_uring, whose sockets are made in the kernel. Programs know that both may fail; the
 * first is told on stderr too, since a program may not say why it ends.
 */
#include "shim/interpose/names.h"

#include <dlfcn.h>
#include <unistd.h>

#include "shim/process/process.h"

struct io_uring_params;
void *dlmopen(Lmid_t ns, const char *file, int mode);
int io_uring_setup(unsigned int entries, struct io_uring_params *p);
int io_uring_queue_init(unsigned int entries, void *ring, unsigned int flags);
int io_uring_queue_init_params(unsigned int entries, void *ring, struct io_uring_params *p);
int io_uring_queue_init_mem(unsigned int entries, void *ring, struct io_uring_params *p, void *buf,
			    size_t bytes);

#define NO_NAMESPACE (1l << 30) /* dlmopen() refuses it, so that dlerror() has something to say */

EXPORT void *dlmopen(Lmid_t ns, const char *file, int mode)
{
	if (ns == LM_ID_BASE)
		return R(dlmopen)(ns, file, mode);
	exec_refuse(
		file ? file : "a library",
		"dlmopen() would give it a C library of its own, whose sockets were the host's");
	return R(dlmopen)(NO_NAMESPACE, file, mode);
}

/* ---- liburing, which makes the call itself; syscall() has it in syscall.c ---- */

EXPORT int io_uring_setup(unsigned int entries, struct io_uring_params *p)
{
	return -ENOSYS;
}

EXPORT int io_uring_queue_init(unsigned int entries, void *ring, unsigned int flags)
{
	return -ENOSYS;
}

EXPORT int io_uring_queue_init_params(unsigned int entries, void *ring, struct io_uring_params *p)
{
	return -ENOSYS;
}

EXPORT int io_uring_queue_init_mem(unsigned int entries, void *ring, struct io_uring_params *p,
				   void *buf, size_t bytes)
{
	return -ENOSYS;
}
