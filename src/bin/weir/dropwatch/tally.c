/* SPDX-License-Identifier: BSD-3-Clause */
/* Drops summed up by kind: place, reason, and who said it. There are some hundred kinds at most. */
#include <stdlib.h>
#include <string.h>

#include "bin/weir/dropwatch/dropwatch.h"

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len--)
		hash = (hash ^ *at++) * 0x100000001b3ull;
	return hash;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
	return text ? mix(hash, text, strlen(text) + 1) : mix(hash, "", 1);
}

/* Not by the address where the place has a name: one site may be compiled twice. */
static uint64_t kind_hash(const struct drop_event *event)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	hash = mix(hash, &event->hardware, sizeof(event->hardware));
	hash = mix_text(mix_text(hash, event->function), event->site);
	if (event->file)
		hash = mix(mix_text(hash, event->file), &event->line, sizeof(event->line));
	else
		hash = mix(hash, &event->address, sizeof(event->address));
	hash = mix_text(hash, event->netns);
	return mix_text(hash, event->reason);
}

static bool keep_text(const char **to, const char *text)
{
	char *copy = NULL;

	if (*to && text && strcmp(*to, text) == 0)
		return true;
	if (text) {
		copy = strdup(text);
		if (!copy)
			return false;
	}
	free((void *)(uintptr_t)*to);
	*to = copy;
	return true;
}

/* The newest of what may change from drop to drop; the rest once. */
static bool keep_event(struct drop_event *to, const struct drop_event *from)
{
	to->hardware = from->hardware;
	to->address = from->address;
	to->offset_bytes = from->offset_bytes;
	to->line = from->line;
	return keep_text(&to->function, from->function) && keep_text(&to->site, from->site) &&
	       keep_text(&to->file, from->file) && keep_text(&to->reason, from->reason) &&
	       keep_text(&to->severity, from->severity) && keep_text(&to->meaning, from->meaning) &&
	       keep_text(&to->advice, from->advice) && keep_text(&to->path, from->path) &&
	       keep_text(&to->flow, from->flow) && keep_text(&to->socket, from->socket) &&
	       keep_text(&to->program, from->program) && keep_text(&to->netns, from->netns);
}

static void forget_event(struct drop_event *event)
{
	const char **texts[] = {
		&event->function, &event->site,	   &event->file,    &event->reason,
		&event->severity, &event->meaning, &event->advice,  &event->path,
		&event->flow,	  &event->socket,  &event->program, &event->netns
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		keep_text(texts[i], NULL);
}

static struct tally_entry *entry_new(struct tally *t, uint64_t hash)
{
	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		struct tally_entry *more = realloc(t->entries, room * sizeof(*more));

		if (!more)
			return NULL;
		t->entries = more;
		t->room = room;
	}
	t->entries[t->count] = (struct tally_entry){ .hash = hash };
	return &t->entries[t->count++];
}

struct tally_entry *tally_add(struct tally *t, const struct drop_event *event)
{
	uint64_t hash = kind_hash(event);
	struct tally_entry *entry = NULL;

	for (size_t i = 0; i < t->count && !entry; i++) {
		if (t->entries[i].hash == hash)
			entry = &t->entries[i];
	}
	if (!entry)
		entry = entry_new(t, hash);
	if (!entry || !keep_event(&entry->event, event))
		return NULL;
	entry->event.count += event->count;
	entry->total += event->count;
	return entry;
}

static int by_total(const void *a, const void *b)
{
	const struct tally_entry *x = a, *y = b;

	if (x->total != y->total)
		return x->total < y->total ? 1 : -1;
	return strcmp(x->event.reason, y->event.reason);
}

void tally_sort(struct tally *t)
{
	if (t->count)
		qsort(t->entries, t->count, sizeof(t->entries[0]), by_total);
}

void tally_free(struct tally *t)
{
	for (size_t i = 0; i < t->count; i++)
		forget_event(&t->entries[i].event);
	free(t->entries);
	*t = (struct tally){ 0 };
}
