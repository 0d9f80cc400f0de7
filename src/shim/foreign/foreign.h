/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Foreign code: programs that make their system calls themselves (static ones, Go), so that no
 * name of a library can be taken over. They run in one process with the shim and its C library.
 *
 * Theory of operation. load.c maps a static program into the process of weir-launch and gives it
 * a stack of its own; a Go program that is linked dynamically has the shim preloaded (self.c). Each
 * thread that runs foreign code has Syscall User Dispatch switched on: a `syscall` instruction
 * outside of the region where shared libraries lie raises SIGSYS, so none can be missed and nothing
 * has to be guessed about machine code. sites.c answers by sending the thread to a stub of that
 * site's own, and overwrites the site with a jump to the stub where the instructions behind it
 * allow; the next time no signal is needed. A stub behaves as the instruction did: it may change
 * rax, rcx and r11, and no more, and does not touch the stack.
 *
 * entry.S looks the number up, then the descriptor; what is the kernel's is called there and then.
 * For the rest it changes to a stack of ours and to our C library's thread area (FS base), saves
 * the vector registers and calls foreign_call(). The GS base points to the thread's block.
 *
 * A foreign thread is a thread of our C library underneath (thread.c), so that the shim's calls
 * have what they need. Foreign signal handlers run through a wrapper with their own FS base
 * (handlers.c). The foreign heap grows in a region apart (memory.c), since two allocators that
 * share the real one would cut off each other's memory; and files are mapped where calls are told.
 */
#ifndef WEIR_SHIM_FOREIGN_FOREIGN_H
#define WEIR_SHIM_FOREIGN_FOREIGN_H

#include <pthread.h>
#include <signal.h>

#include "shim/foreign/layout.h"
#include "shim/shim.h"

/* What a call site has, and what it is to have. */
struct foreign_regs {
	long rax, rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15, rsp, rip, fs;
};

/* A thread's block. Written by the thread itself alone. */
struct foreign_thread {
	struct foreign_thread *self;
	uint64_t our_fs;
	uint64_t its_fs;    /* as of the last call that changed to ours */
	uint64_t stack_top; /* of our stack */
	uint64_t stack_low;
	uint64_t back;	     /* entry.S: where the call at hand goes back to */
	uint64_t leave;	     /* the stack pointer with which foreign_leave() goes back */
	uint32_t *clear_tid; /* CLONE_CHILD_CLEARTID, set_tid_address() */
	bool main;
	void *memory; /* the block's, with the alternate signal stack */
	size_t bytes;
	stack_t alt;
};

#define FOREIGN_OFFSET(field, offset)                                                              \
	_Static_assert(offsetof(struct foreign_thread, field) == (offset), #field)
FOREIGN_OFFSET(our_fs, FT_OUR_FS);
FOREIGN_OFFSET(its_fs, FT_ITS_FS);
FOREIGN_OFFSET(stack_top, FT_STACK_TOP);
FOREIGN_OFFSET(stack_low, FT_STACK_LOW);
FOREIGN_OFFSET(back, FT_BACK);
FOREIGN_OFFSET(leave, FT_LEAVE);
_Static_assert(offsetof(struct foreign_regs, rsp) == FR_RSP &&
		       sizeof(struct foreign_regs) == FR_BYTES,
	       "entry.S knows the order");

static inline struct foreign_thread *foreign_self(void)
{
	struct foreign_thread *t;

	__asm__("mov %%gs:0, %0" : "=r"(t));
	return t;
}

/* The kernel, past every name that is taken over: a result or -errno. */
static inline long raw_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

/* ---- entry.S ---- */

extern const uint8_t foreign_enter[];
extern uint32_t foreign_save_bytes, foreign_save_mask;
/* Become the foreign program: registers and FS base as given. Comes back by foreign_leave(). */
void foreign_run(struct foreign_regs *regs);
void foreign_leave(void) __attribute__((noreturn));
void foreign_sigreturn(long rsp, long fs) __attribute__((noreturn));
void foreign_signal_entry(void);
void foreign_restorer(void);
/* Call a handler of the program's with its FS base. */
void foreign_handler(int sig, siginfo_t *info, void *context, uintptr_t func, uint64_t fs);

/* ---- sites.c ---- */

/* Where the thread that made a system call at rip (behind the instruction) has to go on. 0: no
 * memory for a stub. Only with all signals blocked. */
uintptr_t foreign_site(uintptr_t rip);
/* Where a thread has to go on that came to rip in the middle of a patched site; 0: it is none. */
uintptr_t foreign_site_inside(uintptr_t rip);
/* Patch those sites in a program's text that are beyond doubt; before it runs. How many. */
unsigned int foreign_sites_early(uint8_t *text, size_t bytes);
void foreign_sites_lock(bool take); /* for fork() */

/* ---- calls.c ---- */

extern uint8_t foreign_class[FOREIGN_CALLS];
long foreign_call(struct foreign_regs *regs); /* from entry.S */
void foreign_name(const char *path);	      /* what /proc/self/exe is to be */

/* ---- memory.c ---- */

long foreign_break(uintptr_t wanted); /* brk() */
long foreign_mmap(const struct foreign_regs *regs);

/* ---- thread.c ---- */

extern bool foreign_active; /* foreign code runs in this process */
int foreign_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine)(void *),
			   void *arg);

/* Make the calling thread one that may run foreign code, which lies at `at` (0: not known yet). 0
 * or -errno, and *why for people. */
int foreign_start(uintptr_t at, const char **why);
/* Each thread, and again in a forked child: have the kernel tell of each `syscall`. */
int foreign_watch(void);
long foreign_clone(struct foreign_regs *regs);
long foreign_fork(struct foreign_regs *regs, long flags);
bool foreign_threads_made(void); /* was there ever more than one? */
void foreign_exit(int status) __attribute__((noreturn));
long foreign_sigaltstack(const stack_t *ss, stack_t *old);

/* ---- handlers.c ---- */

int foreign_handlers_start(void);
struct kernel_sigaction {
	uintptr_t func;
	unsigned long flags;
	uintptr_t restorer;
	uint64_t mask;
};
long foreign_sigaction(int sig, const struct kernel_sigaction *act, struct kernel_sigaction *old,
		       size_t set_bytes);
/* The signals that sites raise may never be blocked. */
uint64_t foreign_mask(uint64_t mask);
void foreign_signal(int sig, siginfo_t *info, void *context, uint64_t fs); /* from entry.S */

/* The same for sigaction(), where foreign code runs beside library code. */
int foreign_library_sigaction(int sig, const struct sigaction *act, struct sigaction *old);

/* ---- self.c ---- */

/* Does the program that we were preloaded into make its calls itself? Then watch them from here on;
 * where that cannot be, end the process with words. From the shim's constructor. */
void foreign_adopt_self(void);

/* ---- load.c ---- */

/* The body of weir-launch: become the program at path. Only comes back where that fails, with words
 * told. */
int weir_launch(const char *path, int argc, char **argv);

#endif
