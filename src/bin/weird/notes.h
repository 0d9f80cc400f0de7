/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which texts a program has already sent for the log: each is shown once, and a bounded number.
 */
#ifndef WEIR_BIN_WEIRD_NOTES_H
#define WEIR_BIN_WEIRD_NOTES_H

#include <stdint.h>

#define NOTES_MAX 32u

struct notes {
	uint64_t seen[NOTES_MAX]; /* hashes of the texts */
	unsigned int count;
};

enum note { NOTE_NEW, NOTE_KNOWN, NOTE_LAST /* the first one too many; later ones are KNOWN */ };

enum note notes_add(struct notes *notes, const char *text);

#endif
