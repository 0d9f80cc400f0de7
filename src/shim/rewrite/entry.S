/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where rewritten sites arrive: by a jump, with the registers as the `syscall` instruction has
 * them: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9. It may change rax, rcx and r11, so
 * may we, and nothing else: not the red zone, no vector register, not the direction flag. The
 * arithmetic flags are those of a comparison of the answer with -4096: who looked at them by an
 * instruction that we replaced finds them so.
 *
 * For unwinders the frame's caller is the site, so a thread that is cancelled here runs its
 * handlers, and a debugger shows who called.
 */
#include "shim/rewrite/rewrite.h"

#define RED_ZONE 128
#define FRAME (RED_ZONE + 8)
#define FD_MAX (1 << 20)

	.text

/* ---- a stub for each site ---- */

	.balign	64
	.globl	rewrite_stubs
	.hidden	rewrite_stubs
	.type	rewrite_stubs, @object
rewrite_stubs:
	.set	slot, 0
	.rept	REWRITE_SITES_MAX
	.balign	REWRITE_STUB_BYTES
	.cfi_startproc
	.cfi_def_cfa rsp, 0
	.cfi_undefined rip
	mov	rewrite_slots + slot * REWRITE_SLOT_BYTES + REWRITE_SLOT_BACK(%rip), %rcx
	.cfi_register rip, rcx
	mov	rewrite_slots + slot * REWRITE_SLOT_BYTES + REWRITE_SLOT_NUMBER(%rip), %r11d
	jmp	*rewrite_slots + slot * REWRITE_SLOT_BYTES + REWRITE_SLOT_ENTRY(%rip)
	.cfi_endproc
	.set	slot, slot + 1
	.endr
	.size	rewrite_stubs, . - rewrite_stubs

	.macro	ENTRY name
	.balign	16
	.globl	\name
	.hidden	\name
	.type	\name, @function
\name:
	.cfi_startproc
	.cfi_def_cfa rsp, 0
	.cfi_register rip, rcx
	.endm

	/* Step over the red zone and keep the way back. */
	.macro	PUSH_FRAME
	lea	-FRAME(%rsp), %rsp
	.cfi_def_cfa rsp, FRAME
	mov	%rcx, (%rsp)
	.cfi_offset rip, -FRAME
	.endm

	.macro	END name
	.cfi_endproc
	.size	\name, . - \name
	.endm

/* ---- one descriptor: the kernel's, mostly ---- */

ENTRY rewrite_enter_fd
	mov	%r11d, %eax
	jmp	rewrite_enter_fd_loaded
END rewrite_enter_fd

ENTRY rewrite_enter_fd_loaded
	PUSH_FRAME
	mov	%edi, %r11d
	cmp	$FD_MAX, %r11d
	jae	1f
	lea	fdtab(%rip), %rcx
	cmpq	$0, (%rcx, %r11, 8)
	jne	rewrite_ask
1:	syscall
	mov	(%rsp), %rcx
	lea	FRAME(%rsp), %rsp
	.cfi_def_cfa rsp, 0
	.cfi_register rip, rcx
	cmp	$-4096, %rax
	jmp	*%rcx
END rewrite_enter_fd_loaded

/* ---- all others ---- */

ENTRY rewrite_enter_any
	mov	%r11d, %eax
	jmp	rewrite_enter_any_loaded
END rewrite_enter_any

ENTRY rewrite_enter_any_loaded
	PUSH_FRAME
	jmp	rewrite_ask
END rewrite_enter_any_loaded

/* Below the frame, from rbp: the old rbp; the number, the six arguments, the answer. */
#define NUMBER (-8)
#define RESULT (-16)
#define ARGS (-64)
#define LOCALS 64

	.macro	LOAD_ARGS
	mov	ARGS+0(%rbp), %rdi
	mov	ARGS+8(%rbp), %rsi
	mov	ARGS+16(%rbp), %rdx
	mov	ARGS+24(%rbp), %r10
	mov	ARGS+32(%rbp), %r8
	mov	ARGS+40(%rbp), %r9
	.endm

	.balign	16
	.type	rewrite_ask, @function
rewrite_ask:
	.cfi_startproc
	.cfi_def_cfa rsp, FRAME
	.cfi_offset rip, -FRAME
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	mov	%rsp, %rbp
	.cfi_def_cfa_register rbp
	sub	$LOCALS, %rsp
	mov	%rax, NUMBER(%rbp)
	mov	%rdi, ARGS+0(%rbp)
	mov	%rsi, ARGS+8(%rbp)
	mov	%rdx, ARGS+16(%rbp)
	mov	%r10, ARGS+24(%rbp)
	mov	%r8, ARGS+32(%rbp)
	mov	%r9, ARGS+40(%rbp)
	and	$-64, %rsp
	mov	%rax, %rdi
	lea	ARGS(%rbp), %rsi
	call	rewrite_wants
	test	%al, %al
	je	.Lkernel

	mov	rewrite_save_bytes(%rip), %eax
	sub	%rax, %rsp
	and	$-64, %rsp
	/* The header of the area is zero; no instruction up to the choice touches the flags. */
	cmpl	$1, rewrite_save_how(%rip)
	jb	1f
	movq	$0, 512(%rsp)
	movq	$0, 520(%rsp)
	movq	$0, 528(%rsp)
	movq	$0, 536(%rsp)
	movq	$0, 544(%rsp)
	movq	$0, 552(%rsp)
	movq	$0, 560(%rsp)
	movq	$0, 568(%rsp)
	mov	rewrite_save_mask(%rip), %eax
	mov	$0, %edx
	je	2f
	xsavec	(%rsp)
	jmp	3f
1:	fxsave	(%rsp)
	jmp	3f
2:	xsave	(%rsp)
3:
	mov	NUMBER(%rbp), %rdi
	lea	ARGS(%rbp), %rsi
	lea	RESULT(%rbp), %rdx
	call	rewrite_dispatch
	mov	%eax, %ecx
	cmpl	$1, rewrite_save_how(%rip)
	jb	4f
	mov	rewrite_save_mask(%rip), %eax
	xor	%edx, %edx
	xrstor	(%rsp)
	jmp	5f
4:	fxrstor	(%rsp)
5:	test	%cl, %cl
	je	.Lkernel
	LOAD_ARGS
	mov	RESULT(%rbp), %rax
	jmp	.Lback

.Lkernel:
	LOAD_ARGS
	mov	NUMBER(%rbp), %rax
	syscall
.Lback:
	leave
	.cfi_def_cfa rsp, FRAME
	.cfi_restore rbp
	mov	(%rsp), %rcx
	lea	FRAME(%rsp), %rsp
	.cfi_def_cfa rsp, 0
	.cfi_register rip, rcx
	cmp	$-4096, %rax
	jmp	*%rcx
END rewrite_ask

	.section .note.GNU-stack, "", @progbits
