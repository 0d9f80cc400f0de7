/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records to packets.
 *
 * A packet is in a hash by its number, and in one of two lists: `open`, the oldest first, or
 * `done`, in the order in which they ended. An end is final only in the next round, because a
 * driver may count a packet as sent and get it back (then TX_WAIT follows). Memory is bounded: of
 * too many open packets the oldest is given up, which it says.
 */
#include <stdlib.h>
#include <string.h>

#include "bin/weir/trace/trace.h"

#define BUCKETS 4096u

struct trace_store {
	const json_t *about;
	unsigned int open_max;
	uint64_t round, forgot;
	struct trace_list open, done;
	struct trace_packet *bucket[BUCKETS];
};

struct trace_store *trace_store_new(const json_t *about, unsigned int open_max)
{
	struct trace_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->about = about;
	s->open_max = open_max ? open_max : 1;
	return s;
}

void trace_packet_free(struct trace_packet *p)
{
	if (!p)
		return;
	free(p->event);
	free(p->data);
	free(p);
}

/* ---- lists and buckets ---- */

static void list_add(struct trace_list *l, struct trace_packet *p)
{
	p->newer = NULL;
	p->older = l->newest;
	if (l->newest)
		l->newest->newer = p;
	else
		l->oldest = p;
	l->newest = p;
	l->count++;
}

static void list_del(struct trace_list *l, struct trace_packet *p)
{
	if (p->older)
		p->older->newer = p->newer;
	else
		l->oldest = p->newer;
	if (p->newer)
		p->newer->older = p->older;
	else
		l->newest = p->older;
	l->count--;
}

static struct trace_packet **bucket_of(struct trace_store *s, uint32_t id)
{
	return &s->bucket[id % BUCKETS];
}

static struct trace_packet *packet_find(struct trace_store *s, uint32_t id)
{
	struct trace_packet *p = id ? *bucket_of(s, id) : NULL;

	while (p && p->id != id)
		p = p->next;
	return p;
}

static void bucket_del(struct trace_store *s, struct trace_packet *p)
{
	struct trace_packet **link = bucket_of(s, p->id);

	while (*link && *link != p)
		link = &(*link)->next;
	if (*link)
		*link = p->next;
}

/* ---- records ---- */

/* Is this the first that can be said of a packet? */
static bool is_beginning(const struct trace_store *s, const struct watch_record *r)
{
	const json_t *stage = json_array_get(json_object_get(s->about, "stages"), r->stage);

	if (r->kind == WATCH_NOTE)
		return r->code == WATCH_NOTE_MADE_FROM;
	if (r->kind == WATCH_DROP && !r->id)
		return true; /* it is all there is */
	return r->kind == WATCH_PACKET && (strcmp(cli_string(stage, "stage"), "port-rx") == 0 ||
					   strcmp(cli_string(stage, "direction"), "send") == 0);
}

static void end_it(struct trace_store *s, struct trace_packet *p, enum trace_end how)
{
	p->end = how;
	p->round = s->round;
	list_del(&s->open, p);
	list_add(&s->done, p);
}

static struct trace_packet *packet_new(struct trace_store *s, const struct watch_record *r)
{
	struct trace_packet *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	if (s->open.count >= s->open_max)
		end_it(s, s->open.oldest, TRACE_GIVEN_UP);
	p->id = r->id;
	p->begun = is_beginning(s, r);
	p->stamp_ns = r->stamp_ns;
	p->flags = r->flags;
	p->len_bytes = r->len_bytes;
	p->next = *bucket_of(s, p->id);
	*bucket_of(s, p->id) = p;
	list_add(&s->open, p);
	return p;
}

/* The first bytes that are seen are what it is named by. */
static void keep_bytes(struct trace_packet *p, const struct watch_record *r)
{
	if (p->data || !r->data_bytes || r->link == WATCH_LINK_NONE)
		return;
	p->data = malloc(r->data_bytes);
	if (!p->data)
		return;
	memcpy(p->data, r->data, r->data_bytes);
	p->data_bytes = r->data_bytes;
	p->len_bytes = r->len_bytes;
	p->link = r->link;
}

/* Room for one more. False: no memory. */
static bool event_room(struct trace_packet *p)
{
	unsigned int room = p->room ? p->room * 2 : 16;
	struct trace_event *more;

	if (p->count < p->room)
		return true;
	more = realloc(p->event, room * sizeof(*more));
	if (!more)
		return false;
	p->event = more;
	p->room = room;
	return true;
}

/* In the order of time: what one worker handed to another may be read in the other order. Where a
 * packet has too many events, the last one gives way. */
static void event_add(struct trace_packet *p, const struct trace_event *e)
{
	unsigned int at;

	if (p->count == TRACE_EVENTS_MAX) {
		p->more++;
		p->count--;
	}
	for (at = p->count; at && p->event[at - 1].cycles > e->cycles; at--)
		p->event[at] = p->event[at - 1];
	p->event[at] = *e;
	p->count++;
}

static bool is_end(const struct trace_event *e)
{
	return e->kind == WATCH_END || e->kind == WATCH_DROP;
}

/* Its packet, on its way; NULL: no memory, or it was given up. */
static struct trace_packet *packet_for(struct trace_store *s, const struct watch_record *r)
{
	struct trace_packet *p = packet_find(s, r->id);

	if (!p)
		return packet_new(s, r);
	if (p->end == TRACE_GIVEN_UP)
		return NULL;
	if (p->end != TRACE_OPEN) { /* it was not the end */
		list_del(&s->done, p);
		list_add(&s->open, p);
		p->end = TRACE_OPEN;
	}
	return p;
}

void trace_store_add(struct trace_store *s, const struct watch_record *r)
{
	const struct trace_event e = { .cycles = r->cycles,
				       .arg = { r->arg[0], r->arg[1] },
				       .site = r->site,
				       .code = r->code,
				       .kind = r->kind,
				       .stage = r->stage,
				       .ifindex = r->ifindex };
	struct trace_packet *p = packet_for(s, r);

	if (!p || !event_room(p)) {
		s->forgot++;
		return;
	}
	event_add(p, &e);
	keep_bytes(p, r);
	if (is_end(&p->event[p->count - 1]))
		end_it(s, p, TRACE_ENDED);
}

void trace_store_round(struct trace_store *s)
{
	s->round++;
}

static struct trace_packet *take(struct trace_store *s, struct trace_list *l)
{
	struct trace_packet *p = l->oldest;

	list_del(l, p);
	bucket_del(s, p);
	return p;
}

struct trace_packet *trace_store_take(struct trace_store *s, bool all)
{
	struct trace_packet *p = s->done.oldest;

	if (p && (all || p->round < s->round))
		return take(s, &s->done);
	if (!all || !s->open.oldest)
		return NULL;
	p = take(s, &s->open);
	p->end = TRACE_CUT_OFF;
	return p;
}

unsigned int trace_store_open(const struct trace_store *s)
{
	return s->open.count;
}

uint64_t trace_store_forgot(const struct trace_store *s)
{
	return s->forgot;
}

void trace_store_free(struct trace_store *s)
{
	struct trace_packet *p;

	if (!s)
		return;
	while ((p = trace_store_take(s, true)))
		trace_packet_free(p);
	free(s);
}
