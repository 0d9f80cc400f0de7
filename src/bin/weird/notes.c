/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/notes.h"

static uint64_t text_hash(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	while (*text)
		hash = (hash ^ (uint8_t)*text++) * 0x100000001b3u;
	return hash;
}

enum note notes_add(struct notes *notes, const char *text)
{
	uint64_t hash = text_hash(text);

	for (unsigned int i = 0; i < notes->count && i < NOTES_MAX; i++)
		if (notes->seen[i] == hash)
			return NOTE_KNOWN;
	if (notes->count > NOTES_MAX)
		return NOTE_KNOWN;
	if (notes->count == NOTES_MAX) {
		notes->count++;
		return NOTE_LAST;
	}
	notes->seen[notes->count++] = hash;
	return NOTE_NEW;
}
