/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls made right here, past every name and every rewritten site. They return -errno. */
#ifndef WEIR_SHIM_RAW_H
#define WEIR_SHIM_RAW_H

static inline long raw_syscall6(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static inline long raw_syscall3(long number, long a, long b, long c)
{
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return r;
}

static inline long raw_syscall0(long number)
{
	return raw_syscall3(number, 0, 0, 0);
}

#endif
