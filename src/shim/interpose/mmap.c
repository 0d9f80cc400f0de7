/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmap(): only that of a packet socket's ring is ours. Every other is the kernel's, by a system
 * call made right here: allocators map memory before anything can be looked up.
 */
#include "shim/interpose/names.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "shim/call/packet.h"

static void *kernel_mmap(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	register long r10 __asm__("r10") = flags;
	register long r8 __asm__("r8") = fd;
	register long r9 __asm__("r9") = offset;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"((long)SYS_mmap), "D"(addr), "S"(len), "d"((long)prot), "r"(r10),
			   "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	if (r < 0 && r >= -4095) {
		errno = (int)-r;
		return MAP_FAILED;
	}
	return (void *)r;
}

EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	struct wsock *ws = flags & MAP_ANONYMOUS ? NULL : fd_sock(fd);

	if (unlikely(ws && ws->ring))
		return packet_ring_map(ws, len, prot, flags, offset);
	return kernel_mmap(addr, len, prot, flags, fd, offset);
}

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return mmap64(addr, len, prot, flags, fd, offset);
}
