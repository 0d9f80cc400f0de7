/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/kernel_syms.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct sym {
	uint64_t address;
	size_t name; /* in names */
};

struct kernel_syms {
	struct sym *sym;
	size_t count, room;
	char *names;
	size_t names_bytes, names_room;
};

static void *grow(void *old, size_t *room, size_t wanted, size_t each_bytes)
{
	size_t more = *room ? *room * 2 : 4096;
	void *p;

	while (more < wanted)
		more *= 2;
	p = realloc(old, more * each_bytes);
	if (p)
		*room = more;
	return p;
}

static bool names_add(struct kernel_syms *s, const char *name, size_t len)
{
	if (s->names_bytes + len + 1 > s->names_room) {
		char *more = grow(s->names, &s->names_room, s->names_bytes + len + 1, 1);

		if (!more)
			return false;
		s->names = more;
	}
	memcpy(s->names + s->names_bytes, name, len);
	s->names[s->names_bytes + len] = '\0';
	s->names_bytes += len + 1;
	return true;
}

static bool syms_add(struct kernel_syms *s, uint64_t address, const char *name, size_t len)
{
	size_t at = s->names_bytes;

	if (s->count == s->room) {
		struct sym *more = grow(s->sym, &s->room, s->count + 1, sizeof(*more));

		if (!more)
			return false;
		s->sym = more;
	}
	if (!names_add(s, name, len))
		return false;
	s->sym[s->count++] = (struct sym){ address, at };
	return true;
}

/* "ffffffff81e3d7f0 t kfree_skbmem	[module]": 1: a function, 0: none. */
static int parse_line(const char *line, uint64_t *address, const char **name, size_t *len)
{
	char *end;
	char type;

	if (!isxdigit((unsigned char)line[0]))
		return 0;
	*address = strtoull(line, &end, 16);
	if (*end != ' ')
		return 0;
	type = end[1];
	if (type == '\0' || end[2] != ' ' || !strchr("tTwW", type))
		return 0;
	*name = end + 3;
	*len = strcspn(*name, " \t\n");
	return *len > 0 && strncmp(*name, "__pfx_", 6) != 0;
}

static int by_address(const void *a, const void *b)
{
	const struct sym *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name; /* in the order of the table */
}

struct kernel_syms *kernel_syms_read(FILE *from, bool *hidden)
{
	struct kernel_syms *s = calloc(1, sizeof(*s));
	bool ok = s, names = false;
	size_t len, room = 0;
	const char *name;
	uint64_t address;
	char *line = NULL;

	while (ok && getline(&line, &room, from) > 0) {
		if (!parse_line(line, &address, &name, &len))
			continue;
		names = true;
		if (address)
			ok = syms_add(s, address, name, len);
	}
	free(line);
	if (!ok) {
		kernel_syms_free(s);
		return NULL;
	}
	if (s->count)
		qsort(s->sym, s->count, sizeof(*s->sym), by_address);
	*hidden = names && s->count == 0;
	return s;
}

void kernel_syms_free(struct kernel_syms *s)
{
	if (!s)
		return;
	free(s->sym);
	free(s->names);
	free(s);
}

const char *kernel_syms_find(const struct kernel_syms *s, uint64_t address, uint64_t *offset_bytes)
{
	size_t low = 0, high = s->count;

	while (low < high) { /* the first that begins behind the address */
		size_t middle = low + (high - low) / 2;

		if (s->sym[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	low--;
	while (low > 0 && s->sym[low - 1].address == s->sym[low].address)
		low--;
	*offset_bytes = address - s->sym[low].address;
	return s->names + s->sym[low].name;
}

uint64_t kernel_syms_address(const struct kernel_syms *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->names + s->sym[i].name, name) == 0)
			return s->sym[i].address;
	}
	return 0;
}
