/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/kernel_tally.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS (4 * KDROP_KEYS) /* a power of two; the kernel's table has KDROP_KEYS at most */

struct slot {
	struct kdrop_key key;
	uint64_t count, shown;
	bool used;
};

struct kernel_tally {
	struct slot slot[SLOTS];
	struct kernel_growth growth[KDROP_KEYS];
	size_t grown;
	uint64_t total;
};

struct kernel_tally *kernel_tally_new(void)
{
	return calloc(1, sizeof(struct kernel_tally));
}

void kernel_tally_free(struct kernel_tally *t)
{
	free(t);
}

static size_t slot_of(const struct kdrop_key *key)
{
	uint64_t h = key->location ^ (uint64_t)key->reason << 32 ^ key->netns ^
		     (uint64_t)(uint32_t)key->stack << 17;

	h *= 0x9e3779b97f4a7c15ull;
	return (size_t)(h >> 32) % SLOTS;
}

/* NULL: more keys than the kernel's table can have. */
static struct slot *find(struct kernel_tally *t, const struct kdrop_key *key)
{
	size_t at = slot_of(key);

	for (size_t i = 0; i < SLOTS; i++, at = (at + 1) % SLOTS) {
		struct slot *s = &t->slot[at];

		if (!s->used)
			*s = (struct slot){ .key = *key, .used = true };
		if (memcmp(&s->key, key, sizeof(*key)) == 0)
			return s;
	}
	return NULL;
}

void kernel_tally_begin(struct kernel_tally *t)
{
	t->grown = 0;
}

void kernel_tally_see(struct kernel_tally *t, const struct kdrop_key *key, uint64_t count)
{
	struct slot *s;

	if (!count || t->grown == KDROP_KEYS)
		return;
	s = find(t, key);
	if (!s || s->count >= count)
		return;
	t->growth[t->grown++] = (struct kernel_growth){ *key, count - s->count };
	t->total += count - s->count;
	s->count = count;
}

void kernel_tally_shown(struct kernel_tally *t, const struct kdrop_key *key)
{
	struct slot *s = find(t, key);

	if (s)
		s->shown++;
}

/* Packets whose key found no room in the kernel's table: they are in the overflow's count. */
static uint64_t shown_of_overflow(const struct kernel_tally *t)
{
	uint64_t shown = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		const struct slot *s = &t->slot[i];

		if (s->used && s->shown > s->count)
			shown += s->shown - s->count;
	}
	return shown;
}

void kernel_tally_unshown(struct kernel_tally *t)
{
	uint64_t elsewhere = shown_of_overflow(t);

	t->grown = 0;
	for (size_t i = 0; i < SLOTS && t->grown < KDROP_KEYS; i++) {
		const struct slot *s = &t->slot[i];
		uint64_t shown = s->shown + (s->key.location ? 0 : elsewhere);

		if (s->used && s->count > shown)
			t->growth[t->grown++] = (struct kernel_growth){ s->key, s->count - shown };
	}
}

const struct kernel_growth *kernel_tally_growth(const struct kernel_tally *t, size_t *count)
{
	*count = t->grown;
	return t->growth;
}

uint64_t kernel_tally_total(const struct kernel_tally *t)
{
	return t->total;
}
