/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way from foreign code to ours and back; foreign.h has the theory.
 *
 * A stub comes to foreign_enter with the registers of its `syscall` instruction and, in rcx, the
 * address to go back to. Only rax, rcx and r11 may be changed, and nothing may be written to the
 * program's stack: a goroutine's may be full, a thread that unmapped its own has none.
 */
#include "shim/foreign/layout.h"

#define FD_MAX (1 << 20)

	.text

	.macro	FUNCTION name
	.balign	16
	.globl	\name
	.hidden	\name
	.type	\name, @function
\name:
	.endm

	.macro	END name
	.size	\name, . - \name
	.endm

FUNCTION foreign_enter
	mov	%rcx, %gs:FT_BACK
	cmp	$FOREIGN_CALLS, %rax
	jae	.Lkernel
	lea	foreign_class(%rip), %r11
	movzbl	(%r11, %rax), %r11d
	cmp	$FOREIGN_FD, %r11d
	jb	.Lkernel
	ja	.Lask
	mov	%edi, %r11d
	cmp	$FD_MAX, %r11d
	jae	.Lkernel
	lea	fdtab(%rip), %rcx
	cmpq	$0, (%rcx, %r11, 8)
	jne	.Lask
.Lkernel:
	syscall
	mov	%gs:FT_BACK, %rcx
	jmp	*%rcx

.Lask:
	/* A handler that interrupted us is on our stack already: go on below it. */
	mov	%rsp, %r11
	cmp	%gs:FT_STACK_LOW, %rsp
	jb	1f
	cmp	%gs:FT_STACK_TOP, %rsp
	ja	1f
	lea	-128(%rsp), %rsp
	jmp	2f
1:	mov	%gs:FT_STACK_TOP, %rsp
2:	lea	-FR_BYTES(%rsp), %rsp
	and	$-64, %rsp
	mov	%rax, FR_RAX(%rsp)
	mov	%rbx, FR_RBX(%rsp)
	mov	%rdx, FR_RDX(%rsp)
	mov	%rsi, FR_RSI(%rsp)
	mov	%rdi, FR_RDI(%rsp)
	mov	%rbp, FR_RBP(%rsp)
	mov	%r8, FR_R8(%rsp)
	mov	%r9, FR_R9(%rsp)
	mov	%r10, FR_R10(%rsp)
	mov	%r12, FR_R12(%rsp)
	mov	%r13, FR_R13(%rsp)
	mov	%r14, FR_R14(%rsp)
	mov	%r15, FR_R15(%rsp)
	mov	%r11, FR_RSP(%rsp)
	mov	%gs:FT_BACK, %rcx
	mov	%rcx, FR_RIP(%rsp)
	mov	%rsp, %rbx
	rdfsbase %rax
	mov	%rax, FR_FS(%rbx)
	mov	%rax, %gs:FT_ITS_FS
	mov	%gs:FT_OUR_FS, %rax
	wrfsbase %rax
	cld

	mov	foreign_save_bytes(%rip), %eax
	sub	%rax, %rsp
	and	$-64, %rsp
	xor	%eax, %eax
	mov	%rax, 512(%rsp)
	mov	%rax, 520(%rsp)
	mov	%rax, 528(%rsp)
	mov	%rax, 536(%rsp)
	mov	%rax, 544(%rsp)
	mov	%rax, 552(%rsp)
	mov	%rax, 560(%rsp)
	mov	%rax, 568(%rsp)
	mov	foreign_save_mask(%rip), %eax
	xor	%edx, %edx
	xsavec	(%rsp)

	mov	%rbx, %rdi
	call	foreign_call
	mov	%rax, FR_RAX(%rbx)

	mov	foreign_save_mask(%rip), %eax
	xor	%edx, %edx
	xrstor	(%rsp)

.Lback:	/* rbx: the registers to have, rax among them */
	mov	FR_FS(%rbx), %rax
	wrfsbase %rax
	mov	FR_RAX(%rbx), %rax
	mov	FR_RDX(%rbx), %rdx
	mov	FR_RSI(%rbx), %rsi
	mov	FR_RDI(%rbx), %rdi
	mov	FR_RBP(%rbx), %rbp
	mov	FR_R8(%rbx), %r8
	mov	FR_R9(%rbx), %r9
	mov	FR_R10(%rbx), %r10
	mov	FR_R12(%rbx), %r12
	mov	FR_R13(%rbx), %r13
	mov	FR_R14(%rbx), %r14
	mov	FR_R15(%rbx), %r15
	mov	FR_RSP(%rbx), %r11
	mov	FR_RIP(%rbx), %rcx
	mov	FR_RBX(%rbx), %rbx
	mov	%r11, %rsp
	jmp	*%rcx
END foreign_enter

/* void foreign_run(struct foreign_regs *regs) */
FUNCTION foreign_run
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %gs:FT_LEAVE
	mov	%rdi, %rbx
	cmpq	$0, %gs:FT_STACK_TOP
	jne	.Lback
	mov	%rsp, %rax
	and	$-64, %rax
	mov	%rax, %gs:FT_STACK_TOP
	jmp	.Lback
END foreign_run

FUNCTION foreign_leave
	mov	%gs:FT_LEAVE, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
END foreign_leave

/* void foreign_sigreturn(long rsp, long fs) */
FUNCTION foreign_sigreturn
	mov	%rdi, %rsp
	wrfsbase %rsi
	mov	$15, %eax
	syscall
	hlt
END foreign_sigreturn

/* As the kernel calls a handler, with whichever FS base there was: (sig, info, context). */
FUNCTION foreign_signal_entry
	push	%rbp
	mov	%rsp, %rbp
	push	%rbx
	push	%r12
	and	$-16, %rsp
	mov	%gs:FT_BACK, %rbx
	rdfsbase %r12
	mov	%gs:FT_OUR_FS, %rax
	wrfsbase %rax
	mov	%r12, %rcx
	call	foreign_signal
	wrfsbase %r12
	mov	%rbx, %gs:FT_BACK
	lea	-16(%rbp), %rsp
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret
END foreign_signal_entry

FUNCTION foreign_restorer
	mov	$15, %eax
	syscall
	hlt
END foreign_restorer

/* void foreign_handler(int sig, siginfo_t *, void *context, uintptr_t func, uint64_t fs) */
FUNCTION foreign_handler
	push	%rbp
	mov	%rsp, %rbp
	and	$-16, %rsp
	wrfsbase %r8
	call	*%rcx
	mov	%gs:FT_OUR_FS, %rax
	wrfsbase %rax
	leave
	ret
END foreign_handler

	.section .note.GNU-stack, "", @progbits
