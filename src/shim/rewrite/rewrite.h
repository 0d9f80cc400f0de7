/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System-call sites rewritten in place: the calls that a library makes inside itself (stdio, the
 * resolver) never pass a name that could be taken over, so the `syscall` instruction itself is made
 * a jump to us.
 *
 * Theory of operation. scan.c finds the sites of the numbers that can concern a socket; patch.c
 * writes a jump over each, to a stub of its own in entry.S. A stub has what the `syscall`
 * instruction may change anyway (rax, rcx, r11) and no more: it steps over the red zone, looks the
 * descriptor up (one load) and, where it is the kernel's, makes the call there. Else wants.c, which
 * is compiled without vector registers, decides, and only for what is weir's are those saved and
 * rewrite_dispatch() called. The answer is the kernel's: a count or -errno in rax.
 *
 * Where the number was loaded right before, both instructions are replaced (7 bytes); where it was
 * loaded earlier, `syscall` and the comparison behind it, which the stub makes instead. A site that
 * something jumps into is left as it is. Two bytes behind each jump are an undefined instruction:
 * who would come there stops, loudly.
 */
#ifndef WEIR_SHIM_REWRITE_H
#define WEIR_SHIM_REWRITE_H

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

#define REWRITE_SITES_MAX 512
#define REWRITE_STUB_BYTES 32

/* struct rewrite_slot, for entry.S */
#define REWRITE_SLOT_BYTES 24
#define REWRITE_SLOT_BACK 0
#define REWRITE_SLOT_NUMBER 8
#define REWRITE_SLOT_ENTRY 16

#ifndef __ASSEMBLER__

/* What a stub reads: where to go on, the call's number, and which entry. */
struct rewrite_slot {
	const uint8_t *back;
	int32_t number; /* -1: in rax already */
	int32_t unused;
	void (*entry)(void);
};
extern struct rewrite_slot rewrite_slots[REWRITE_SITES_MAX];

enum rewrite_class {
	REWRITE_NONE, /* never concerns a socket */
	REWRITE_FD,   /* the first argument is the descriptor, and the only one */
	REWRITE_ANY,  /* several, or none: ask rewrite_wants() */
};
enum rewrite_class rewrite_class(long number);

struct rewrite_site {
	uint8_t *at;	/* first byte to replace */
	uint8_t length; /* 7 or 8 */
	int32_t number; /* the call's */
	bool loaded;	/* the number is in rax when the site is reached */
};

/* ---- scan.c (pure) ---- */

/*
 * Find the sites in text that can be patched and whose number has a class; at most max, in order of
 * address. *left: how many sites of such numbers cannot be patched.
 */
size_t rewrite_scan(uint8_t *text, size_t bytes, struct rewrite_site *sites, size_t max,
		    size_t *left);

/* ---- own.c (pure) ---- */

/* Is there a `syscall` instruction in the text of a program? Table entries that look like one are
 * told apart well, not surely: for who can live with an error in that direction. */
bool rewrite_own_calls(const uint8_t *text, size_t bytes);

/* ---- patch.c ---- */

/*
 * Patch sites, all within [text, text + bytes), which was mapped readable and executable and is so
 * again afterwards. Makes a page near it where the stubs are out of a jump's reach. 0, -ENOSPC (no
 * more stubs), -ENOMEM, or the errno with which mprotect() was refused: then nothing is changed.
 */
int rewrite_patch(uint8_t *text, size_t bytes, const struct rewrite_site *sites, size_t count);

/* ---- wants.c: general registers only; may be called with all others live ---- */

/* Could the call concern weir? args: the six of the kernel's convention. */
bool rewrite_wants(long number, const long *args);

/* ---- dispatch.c ---- */

/* Make the call: true and *result, a count or -errno; false: it is the kernel's after all. */
bool rewrite_dispatch(long number, const long *args, long *result);

/* ---- libc.c ---- */

/* Rewrite the C library of this process. Leaves it as it is where that is refused or switched off
 * (WEIR_REWRITE=0). */
void rewrite_start(void);
/* Are the C library's own calls taken over? */
bool rewrite_active(void);

/* ---- entry.S ---- */
extern const uint8_t rewrite_stubs[];
void rewrite_enter_fd(void);
void rewrite_enter_fd_loaded(void);
void rewrite_enter_any(void);
void rewrite_enter_any_loaded(void);
/* How the vector registers are saved: patch.c sets them before the first patch. */
extern uint32_t rewrite_save_bytes; /* of the area, with 64 to spare */
extern uint32_t rewrite_save_mask;
extern uint32_t rewrite_save_how; /* enum xsave_how */

#endif
#endif
