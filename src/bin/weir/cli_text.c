/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *cli_colour(enum cli_colour colour)
{
	static const char *const codes[] = {
		[CLI_PLAIN] = "\033[0m", [CLI_BOLD] = "\033[1m",   [CLI_DIM] = "\033[2m",
		[CLI_RED] = "\033[31m",	 [CLI_GREEN] = "\033[32m", [CLI_YELLOW] = "\033[33m",
	};

	return cli.colour ? codes[colour] : "";
}

bool cli_digits(const char *text, uint64_t most, uint64_t *value, const char **rest)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	*rest = end;
	return !errno && *value <= most;
}

bool cli_unsigned(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
	const char *rest;

	return cli_digits(text, most, value, &rest) && !*rest && *value >= least;
}

bool cli_duration(const char *text, uint64_t most, uint64_t *ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = { { "", 1000000000u },
		      { "s", 1000000000u },
		      { "ms", 1000000u },
		      { "m", 60000000000u },
		      { "h", 3600000000000u } };
	const char *rest;
	uint64_t n;

	if (!cli_digits(text, most, &n, &rest) || !n)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(rest, units[i].name) == 0)
			return !__builtin_mul_overflow(n, units[i].ns, ns);
	}
	return false;
}

const char *cli_number(json_int_t value, char text[CLI_NUMBER_BYTES])
{
	char digits[CLI_NUMBER_BYTES];
	int n = snprintf(digits, sizeof(digits), "%lld",
			 value < 0 ? -(long long)value : (long long)value);
	char *to = text;

	if (value < 0)
		*to++ = '-';
	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return text;
}

json_int_t cli_int(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

const char *cli_string(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

const char *cli_join(const json_t *array, const char *separator, char *text, size_t room_bytes)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *word = json_string_value(json_array_get(array, i));
		int n = snprintf(text + used, room_bytes - used, "%s%s", i ? separator : "",
				 word ? word : "?");

		if (n < 0 || (size_t)n >= room_bytes - used)
			break;
		used += (size_t)n;
	}
	return text;
}

/* ---- tables ---- */

struct cli_table {
	const char *align;
	size_t columns, cells, room;
	char **cell;
};

static void table_add(struct cli_table *t, char *text)
{
	if (t->cells == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		char **more = realloc(t->cell, room * sizeof(*more));

		if (!more) {
			free(text);
			return;
		}
		t->cell = more;
		t->room = room;
	}
	t->cell[t->cells++] = text;
}

struct cli_table *cli_table_new(const char *align, const char *const *heads)
{
	struct cli_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->align = align;
	t->columns = strlen(align);
	for (size_t i = 0; i < t->columns; i++)
		table_add(t, strdup(heads[i]));
	return t;
}

void cli_table_cell(struct cli_table *t, const char *format, ...)
{
	va_list args;
	char *text;

	if (!t)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	table_add(t, text);
}

void cli_table_number(struct cli_table *t, json_int_t value)
{
	char text[CLI_NUMBER_BYTES];

	cli_table_cell(t, "%s", cli_number(value, text));
}

static int column_width(const struct cli_table *t, size_t column)
{
	size_t width = 0;

	for (size_t i = column; i < t->cells; i += t->columns) {
		size_t len = t->cell[i] ? strlen(t->cell[i]) : 0;

		width = len > width ? len : width;
	}
	return (int)width;
}

static void print_cell(const struct cli_table *t, size_t i, int width, FILE *to)
{
	const char *text = t->cell[i] ? t->cell[i] : "";
	size_t column = i % t->columns;

	if (t->align[column] == 'r')
		fprintf(to, "  %*s", width, text);
	else if (column + 1 == t->columns)
		fprintf(to, "  %s", text); /* no blanks at the end of a line */
	else
		fprintf(to, "  %-*s", width, text);
}

void cli_table_free(struct cli_table *t)
{
	for (size_t i = 0; t && i < t->cells; i++)
		free(t->cell[i]);
	if (t)
		free(t->cell);
	free(t);
}

void cli_table_print(struct cli_table *t, FILE *to)
{
	int *width;

	if (!t)
		return;
	width = calloc(t->columns, sizeof(*width));
	for (size_t c = 0; width && c < t->columns; c++)
		width[c] = column_width(t, c);
	for (size_t i = 0; width && i < t->cells; i++) {
		if (i == 0)
			fputs(cli_colour(CLI_DIM), to);
		print_cell(t, i, width[i % t->columns], to);
		if (i + 1 == t->columns)
			fputs(cli_colour(CLI_PLAIN), to);
		if ((i + 1) % t->columns == 0)
			fputc('\n', to);
	}
	free(width);
	cli_table_free(t);
}
