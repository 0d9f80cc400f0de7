/* SPDX-License-Identifier: BSD-3-Clause */
/* Offsets that entry.S and the C files share; foreign.h asserts that they are right. */
#ifndef WEIR_SHIM_FOREIGN_LAYOUT_H
#define WEIR_SHIM_FOREIGN_LAYOUT_H

#define FOREIGN_CALLS 512 /* numbers that the table knows; all others are the kernel's */
#define FOREIGN_KERNEL 0  /* the kernel's: called at once */
#define FOREIGN_FD 1	  /* the first argument is the only descriptor */
#define FOREIGN_ASK 2	  /* foreign_call() decides */

/* struct foreign_thread, at the GS base */
#define FT_SELF 0
#define FT_OUR_FS 8
#define FT_ITS_FS 16
#define FT_STACK_TOP 24
#define FT_STACK_LOW 32
#define FT_BACK 40
#define FT_LEAVE 48

/* struct foreign_regs, what a call site has */
#define FR_RAX 0
#define FR_RBX 8
#define FR_RDX 16
#define FR_RSI 24
#define FR_RDI 32
#define FR_RBP 40
#define FR_R8 48
#define FR_R9 56
#define FR_R10 64
#define FR_R12 72
#define FR_R13 80
#define FR_R14 88
#define FR_R15 96
#define FR_RSP 104
#define FR_RIP 112
#define FR_FS 120
#define FR_BYTES 128

#endif
