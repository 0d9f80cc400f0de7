/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Latency between stages, and fates, over all packets. Times are kept in a histogram with 16 steps
 * to each doubling, so a quantile is right to about 6 %; least and most are exact.
 */
#include <stdlib.h>
#include <string.h>

#include "bin/weir/trace/trace.h"

#define STAGES 33u /* and one for the end */
#define STAGE_END 32u
#define STEPS 16u
#define SLOTS (STEPS * 40u)
#define FATES_MAX 64u

struct pair {
	uint64_t count;
	double min_us, max_us;
	uint32_t slot[SLOTS];
};

struct trace_summary {
	const json_t *about;
	uint64_t packets, no_beginning;
	struct pair *pair[STAGES][STAGES];
	struct {
		char name[48];
		uint64_t count;
	} fate[FATES_MAX];
	unsigned int fates;
};

struct trace_summary *trace_summary_new(const json_t *about)
{
	struct trace_summary *s = calloc(1, sizeof(*s));

	if (s)
		s->about = about;
	return s;
}

void trace_summary_free(struct trace_summary *s)
{
	for (unsigned int i = 0; s && i < STAGES * STAGES; i++)
		free(s->pair[i / STAGES][i % STAGES]);
	free(s);
}

/* ---- the histogram, of nanoseconds ---- */

static unsigned int slot_of(double us)
{
	uint64_t ns = (uint64_t)(us * 1e3);
	unsigned int doubling, slot;

	if (ns < STEPS)
		return (unsigned int)ns;
	doubling = 63u - (unsigned int)__builtin_clzll(ns);
	slot = (doubling - 3) * STEPS + (unsigned int)(ns >> (doubling - 4) & (STEPS - 1));
	return slot < SLOTS ? slot : SLOTS - 1;
}

/* The middle of a slot. */
static double slot_us(unsigned int slot)
{
	unsigned int doubling = slot / STEPS + 3, step = slot % STEPS;

	if (slot < STEPS)
		return slot / 1e3;
	return ((double)((STEPS + step) * (1ull << (doubling - 4))) +
		(double)(1ull << (doubling - 4)) / 2) /
	       1e3;
}

static double quantile(const struct pair *p, double part)
{
	uint64_t want = (uint64_t)(part * (double)(p->count - 1)) + 1, seen = 0;
	double us;
	unsigned int i;

	for (i = 0; i < SLOTS - 1; i++) {
		seen += p->slot[i];
		if (seen >= want)
			break;
	}
	us = slot_us(i);
	us = us < p->min_us ? p->min_us : us;
	return us > p->max_us ? p->max_us : us;
}

static void pair_add(struct trace_summary *s, unsigned int from, unsigned int to, double us)
{
	struct pair **at = &s->pair[from][to], *p = *at;

	if (!p)
		p = *at = calloc(1, sizeof(*p));
	if (!p)
		return;
	p->min_us = p->count && p->min_us < us ? p->min_us : us;
	p->max_us = p->max_us > us ? p->max_us : us;
	p->count++;
	p->slot[slot_of(us)]++;
}

/* ---- adding ---- */

static void fate_add(struct trace_summary *s, const struct trace_packet *p)
{
	const struct trace_event *last = trace_packet_last(p);
	char name[sizeof(s->fate[0].name)];
	unsigned int i = 0;

	if (!last)
		snprintf(name, sizeof(name), "end not seen");
	else if (last->kind == WATCH_DROP)
		snprintf(name, sizeof(name), "dropped: %.36s",
			 cli_string(trace_reason(s->about, last->code), "name"));
	else
		snprintf(name, sizeof(name), "%s", trace_fate(s->about, last->code));
	while (i < s->fates && strcmp(s->fate[i].name, name) != 0)
		i++;
	if (i == FATES_MAX)
		return;
	if (i == s->fates)
		memcpy(s->fate[s->fates++].name, name, sizeof(name));
	s->fate[i].count++;
}

void trace_summary_add(struct trace_summary *s, const struct trace_packet *p)
{
	const struct trace_event *from = NULL;

	s->packets++;
	s->no_beginning += !p->begun;
	fate_add(s, p);
	for (unsigned int i = 0; i < p->count; i++) {
		const struct trace_event *e = &p->event[i];
		bool end = e->kind == WATCH_END || e->kind == WATCH_DROP;
		unsigned int to = end ? STAGE_END : e->stage;

		if ((e->kind != WATCH_PACKET && !end) || to >= STAGES)
			continue;
		if (from && from->stage < STAGE_END)
			pair_add(s, from->stage, to, trace_us(s->about, from->cycles, e->cycles));
		from = e;
	}
}

/* ---- printing ---- */

static const char *stage_name(const struct trace_summary *s, unsigned int stage)
{
	return stage == STAGE_END ? "end" : trace_stage(s->about, stage);
}

void trace_summary_text(const struct trace_summary *s, FILE *to)
{
	static const char *const heads[] = { "from",	  "to",	    "packets", "min us",
					     "median us", "p99 us", "max us" };
	static const char *const fate_heads[] = { "fate", "packets" };
	struct cli_table *t = cli_table_new("llrrrrr", heads);

	for (unsigned int i = 0; i < STAGES * STAGES; i++) {
		const struct pair *p = s->pair[i / STAGES][i % STAGES];

		if (!p)
			continue;
		cli_table_cell(t, "%s", stage_name(s, i / STAGES));
		cli_table_cell(t, "%s", stage_name(s, i % STAGES));
		cli_table_number(t, (json_int_t)p->count);
		cli_table_cell(t, "%.3f", p->min_us);
		cli_table_cell(t, "%.3f", quantile(p, 0.5));
		cli_table_cell(t, "%.3f", quantile(p, 0.99));
		cli_table_cell(t, "%.3f", p->max_us);
	}
	cli_table_print(t, to);
	fputc('\n', to);
	t = cli_table_new("lr", fate_heads);
	for (unsigned int i = 0; i < s->fates; i++) {
		cli_table_cell(t, "%s", s->fate[i].name);
		cli_table_number(t, (json_int_t)s->fate[i].count);
	}
	cli_table_print(t, to);
	if (s->no_beginning)
		fprintf(to, "  (the beginning of %llu was not seen)\n",
			(unsigned long long)s->no_beginning);
}

json_t *trace_summary_json(const struct trace_summary *s)
{
	json_t *pairs = json_array(), *fates = json_object();

	for (unsigned int i = 0; i < STAGES * STAGES; i++) {
		const struct pair *p = s->pair[i / STAGES][i % STAGES];

		if (p)
			json_array_append_new(pairs,
					      json_pack("{s:s, s:s, s:I, s:f, s:f, s:f, s:f}",
							"from", stage_name(s, i / STAGES), "to",
							stage_name(s, i % STAGES), "packets",
							(json_int_t)p->count, "min_us", p->min_us,
							"median_us", quantile(p, 0.5), "p99_us",
							quantile(p, 0.99), "max_us", p->max_us));
	}
	for (unsigned int i = 0; i < s->fates; i++)
		json_object_set_new(fates, s->fate[i].name,
				    json_integer((json_int_t)s->fate[i].count));
	return json_pack("{s:I, s:I, s:o, s:o}", "packets", (json_int_t)s->packets,
			 "beginning_not_seen", (json_int_t)s->no_beginning, "stages", pairs,
			 "fates", fates);
}
