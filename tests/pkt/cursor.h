/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line of a script, read from left to right. Every take_*() skips blanks first, moves on only
 * if it finds what it looks for, and says whether it did. The first error of a script is kept, with
 * its place; what is read after it does no harm.
 */
#ifndef WEIR_TESTS_PKT_CURSOR_H
#define WEIR_TESTS_PKT_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CURSOR_WORD_BYTES 48u

struct cursor {
	const char *line, *at;
	char error[256]; /* "": none; else what is wrong and what to do */
	unsigned int error_column;
};

/* False always, so that callers can return it. */
__attribute__((format(printf, 2, 3))) bool cursor_fail(struct cursor *c, const char *format, ...);

char cursor_peek(struct cursor *c); /* the next character that is no blank; 0 at the end */
bool take_char(struct cursor *c, char wanted);
bool take_text(struct cursor *c, const char *wanted);		/* "..", "<=" */
bool take_word(struct cursor *c, char word[CURSOR_WORD_BYTES]); /* a letter, then [A-Za-z0-9_] */
bool take_keyword(struct cursor *c, const char *keyword);	/* the whole word */
bool take_number(struct cursor *c, int64_t *n);			/* 12, -3, 0x1f */
bool take_duration(struct cursor *c, uint64_t *ns);		/* 0.2, 40ms, 65us, 2m, 1h */
/* A number, of time if it has a unit: *unit_ns is then 1, and *n nanoseconds; else 0. */
bool take_quantity(struct cursor *c, int64_t *n, uint64_t *unit_ns);

/* The same where it must be there: what names it in the error. */
bool need_char(struct cursor *c, char wanted);
bool need_word(struct cursor *c, char word[CURSOR_WORD_BYTES], const char *what);
bool need_number(struct cursor *c, int64_t *n, int64_t min, int64_t max, const char *what);
bool need_duration(struct cursor *c, uint64_t *ns, const char *what);
bool need_end(struct cursor *c);

#endif
