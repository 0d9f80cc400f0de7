/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What packets that are followed tell, as stories. A packet's story is a line of words: stages in
 * small letters, notes in capitals, the fate last.
 */
#ifndef WEIR_TESTS_UNIT_OBS_STORIES_H
#define WEIR_TESTS_UNIT_OBS_STORIES_H

#include <string.h>

#include "core/watch.h"
#include "engine/engine.h"
#include "reader.h"
#include "reasons/lab.h"

#define STORIES 256u
#define STORY_BYTES 512u

struct story {
	uint32_t id;
	bool ours;
	char text[STORY_BYTES];
	uint64_t state, note_arg[2]; /* of TCP_STATE or TCP_SEND; of its last note */
};

struct stage_set {
	struct lab lab;
	struct reader reader;
	struct story story[STORIES];
	unsigned int count;
};

static const char *const fates[] = { "delivered", "transmitted", "forwarded", "absorbed" };

static const char *const notes[] = {
#define NOTE(name, text) #name,
#include "wire/watch_note.def"
#undef NOTE
};

/* ---- reading ---- */

static inline struct story *story_of(struct stage_set *s, const struct watch_record *r)
{
	for (unsigned int i = 0; i < s->count; i++)
		if (s->story[i].id == r->id)
			return &s->story[i];
	assert_true(s->count < STORIES);
	s->story[s->count] = (struct story){ .id = r->id, .ours = r->flags & WATCH_F_ORIGINATED };
	return &s->story[s->count++];
}

static inline void tell(struct stage_set *s, const struct watch_record *r)
{
	struct story *story = story_of(s, r);
	const char *word = r->kind == WATCH_PACKET ? stage_label(r->stage)
			   : r->kind == WATCH_NOTE ? notes[r->code]
			   : r->kind == WATCH_END  ? fates[r->code]
						   : drop_reason_info(r->code)->name;

	assert_true(r->id != 0);
	if (r->kind == WATCH_NOTE) {
		memcpy(story->note_arg, r->arg, sizeof(r->arg));
		if (r->code == WATCH_NOTE_TCP_STATE || r->code == WATCH_NOTE_TCP_SEND)
			story->state = r->arg[0];
	}
	assert_true(strlen(story->text) + strlen(word) + 8 < STORY_BYTES);
	if (story->text[0])
		strcat(story->text, " ");
	if (r->kind == WATCH_DROP)
		strcat(story->text, "drop:");
	strcat(story->text, word);
}

/* All that was told since it was asked last; packets that were begun go on. */
static inline void listen_to(struct stage_set *s)
{
	const struct watch_record *r;

	for (unsigned int w = 0; w < s->reader.area->worker_count; w++)
		while ((r = reader_next(&s->reader, w)))
			tell(s, r);
}

static inline void forget(struct stage_set *s)
{
	listen_to(s);
	s->count = 0;
}

/* Is there one packet with this story? */
static inline struct story *story_is(struct stage_set *s, const char *text)
{
	listen_to(s);
	for (unsigned int i = 0; i < s->count; i++)
		if (strcmp(s->story[i].text, text) == 0)
			return &s->story[i];
	for (unsigned int i = 0; i < s->count; i++)
		print_error("  #%u: %s\n", s->story[i].id, s->story[i].text);
	fail_msg("no packet's story is: %s", text);
	return NULL;
}

static inline unsigned int stories_like(struct stage_set *s, const char *text)
{
	unsigned int n = 0;

	listen_to(s);
	for (unsigned int i = 0; i < s->count; i++)
		n += strcmp(s->story[i].text, text) == 0;
	return n;
}

/* ---- the scene ---- */

static inline struct stage_set *scene(const struct reason_case *rc)
{
	struct observer_spec spec = READER_SPEC((1u << STAGE_MAX) - 1);
	struct stage_set *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	lab_open(&s->lab, rc);
	spec.follow = true;
	spec.ring_bytes = 4u << 20;
	reader_begin(&s->reader, &spec, s->lab.engine->worker, s->lab.engine->worker_count);
	return s;
}

static inline void curtain(struct stage_set *s)
{
	reader_end(&s->reader);
	lab_close(&s->lab);
	free(s);
}

#endif
