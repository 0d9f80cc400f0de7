/* SPDX-License-Identifier: BSD-3-Clause */
#include "cursor.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_MAX_NS (1000ull * 24 * 3600 * 1000000000ull) /* a thousand days */

bool cursor_fail(struct cursor *c, const char *format, ...)
{
	va_list ap;

	if (c->error[0])
		return false;
	va_start(ap, format);
	vsnprintf(c->error, sizeof(c->error), format, ap);
	va_end(ap);
	c->error_column = (unsigned int)(c->at - c->line) + 1;
	return false;
}

char cursor_peek(struct cursor *c)
{
	while (*c->at == ' ' || *c->at == '\t')
		c->at++;
	return *c->at;
}

bool take_char(struct cursor *c, char wanted)
{
	if (cursor_peek(c) != wanted || !wanted)
		return false;
	c->at++;
	return true;
}

bool take_text(struct cursor *c, const char *wanted)
{
	size_t len = strlen(wanted);

	cursor_peek(c);
	if (strncmp(c->at, wanted, len) != 0)
		return false;
	c->at += len;
	return true;
}

static bool word_char(char ch)
{
	return isalnum((unsigned char)ch) || ch == '_';
}

bool take_word(struct cursor *c, char word[CURSOR_WORD_BYTES])
{
	size_t n = 0;

	word[0] = '\0';
	if (!isalpha((unsigned char)cursor_peek(c)))
		return false;
	while (word_char(c->at[n]))
		n++;
	if (n >= CURSOR_WORD_BYTES)
		return cursor_fail(c, "a word of %zu letters: %u are the most", n,
				   CURSOR_WORD_BYTES - 1);
	memcpy(word, c->at, n);
	word[n] = '\0';
	c->at += n;
	return true;
}

bool take_keyword(struct cursor *c, const char *keyword)
{
	size_t len = strlen(keyword);

	cursor_peek(c);
	if (strncmp(c->at, keyword, len) != 0 || word_char(c->at[len]))
		return false;
	c->at += len;
	return true;
}

bool take_number(struct cursor *c, int64_t *n)
{
	char *end;
	char first = cursor_peek(c);

	if (!isdigit((unsigned char)first) && (first != '-' || !isdigit((unsigned char)c->at[1])))
		return false;
	errno = 0;
	*n = strtoll(c->at, &end, 0);
	if (errno)
		return cursor_fail(c, "the number is too large");
	c->at = end;
	return true;
}

static uint64_t unit_of(struct cursor *c)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = { { "ns", 1 },
		      { "us", 1000 },
		      { "ms", 1000000 },
		      { "s", 1000000000 },
		      { "m", 60 * 1000000000ull },
		      { "h", 3600 * 1000000000ull } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(c->at, units[i].name, len) == 0 && !word_char(c->at[len])) {
			c->at += len;
			return units[i].ns;
		}
	}
	return 0;
}

/* Digits with or without a fraction, without a sign: as 10^-9. */
static bool take_fraction(struct cursor *c, uint64_t *whole, uint64_t *nano)
{
	uint64_t scale = 100000000;
	const char *p = c->at;

	*whole = *nano = 0;
	if (!isdigit((unsigned char)cursor_peek(c)))
		return false;
	for (p = c->at; isdigit((unsigned char)*p); p++) {
		if (*whole > DURATION_MAX_NS)
			return cursor_fail(c, "the number is too large");
		*whole = *whole * 10 + (uint64_t)(*p - '0');
	}
	if (*p == '.' && isdigit((unsigned char)p[1])) {
		for (p++; isdigit((unsigned char)*p); p++, scale /= 10)
			*nano += (uint64_t)(*p - '0') * scale;
	}
	c->at = p;
	return true;
}

bool take_duration(struct cursor *c, uint64_t *ns)
{
	uint64_t whole, nano, unit;

	if (!take_fraction(c, &whole, &nano))
		return false;
	unit = unit_of(c);
	if (!unit)
		unit = 1000000000; /* without a unit it is seconds */
	if (whole > DURATION_MAX_NS / unit)
		return cursor_fail(c, "longer than a thousand days");
	*ns = whole * unit + (uint64_t)((double)nano * 1e-9 * (double)unit + 0.5);
	return true;
}

bool take_quantity(struct cursor *c, int64_t *n, uint64_t *unit_ns)
{
	const char *start;
	uint64_t whole, nano;

	cursor_peek(c);
	start = c->at;
	*unit_ns = 0;
	if (take_fraction(c, &whole, &nano) && unit_of(c)) {
		c->at = start;
		*unit_ns = 1;
		return take_duration(c, (uint64_t *)n);
	}
	c->at = start;
	return take_number(c, n);
}

bool need_char(struct cursor *c, char wanted)
{
	return take_char(c, wanted) || cursor_fail(c, "'%c' is missing here", wanted);
}

bool need_word(struct cursor *c, char word[CURSOR_WORD_BYTES], const char *what)
{
	return take_word(c, word) || cursor_fail(c, "%s is missing here", what);
}

bool need_number(struct cursor *c, int64_t *n, int64_t min, int64_t max, const char *what)
{
	const char *start = c->at;

	if (!take_number(c, n))
		return cursor_fail(c, "%s is missing here: a number", what);
	if (*n >= min && *n <= max)
		return true;
	c->at = start;
	return cursor_fail(c, "%s must be %" PRId64 " to %" PRId64, what, min, max);
}

bool need_duration(struct cursor *c, uint64_t *ns, const char *what)
{
	return take_duration(c, ns) ||
	       cursor_fail(c, "%s is missing here: a time such as 0.2 or 200ms", what);
}

bool need_end(struct cursor *c)
{
	return cursor_peek(c) == '\0' ||
	       cursor_fail(c, "'%s' is more than this line can have", c->at);
}
