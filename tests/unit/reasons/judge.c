/* SPDX-License-Identifier: BSD-3-Clause */
/* The ledger's difference against what the case says: counters, the last drops, and JSON. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "lab.h"
#include "obs/report.h"

static const char *function_of(uint32_t site)
{
	return drop_site(site) ? drop_site(site)->function : "?";
}

static void say_path(uint32_t path)
{
	for (unsigned int i = 0; i < STAGE_MAX; i++)
		if (path & 1u << i)
			print_error(" %s", stage_label(i));
	print_error("\n");
}

/* What moved, for whoever has to mend the case or weir. */
static void say_difference(const struct lab *lab)
{
	const struct ledger *l = &lab->w->ledger, *b = &lab->before;
	uint64_t n = l->recent_total - b->recent_total;

	print_error("case %s\n", lab->rc->name);
	for (uint32_t s = 0; s < l->site_count; s++) {
		for (unsigned int r = 0; r < DROP_REASON_MAX; r++) {
			size_t at = (size_t)s * DROP_REASON_MAX + r;

			if (l->drops[at] != b->drops[at])
				print_error("  moved: %s %s() line %u: %llu\n",
					    drop_reason_info(r)->name, function_of(s),
					    drop_site(s)->line,
					    (unsigned long long)(l->drops[at] - b->drops[at]));
		}
	}
	for (uint64_t i = 0; i < n && i < 4; i++) {
		const struct drop_record *r = &l->recent[(l->recent_total - 1 - i) % LEDGER_RECENT];

		print_error("  record: %s %s() stage %s, path", drop_reason_info(r->reason)->name,
			    function_of(r->site), stage_label(r->stage));
		say_path(r->path);
	}
}

#define JUDGE(lab, condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			say_difference(lab);                                                       \
			fail_msg("%s: not so: %s", (lab)->rc->name, #condition);                   \
		}                                                                                  \
	} while (0)

static const struct expected *expectation(const struct reason_case *rc, uint16_t reason,
					  uint32_t site)
{
	for (unsigned int i = 0; i < CASE_DROPS && rc->drops[i].count; i++) {
		const struct expected *e = &rc->drops[i];

		if (e->reason == reason && strcmp(e->function, function_of(site)) == 0)
			return e;
	}
	return NULL;
}

static void judge_counters(const struct lab *lab, bool *sites)
{
	const struct ledger *l = &lab->w->ledger, *b = &lab->before;
	uint64_t got[CASE_DROPS] = { 0 }, total = 0;

	for (uint32_t s = 0; s < l->site_count; s++) {
		for (unsigned int r = 0; r < DROP_REASON_MAX; r++) {
			size_t at = (size_t)s * DROP_REASON_MAX + r;
			uint64_t moved = l->drops[at] - b->drops[at];
			const struct expected *e;

			if (!moved)
				continue;
			e = expectation(lab->rc, (uint16_t)r, s);
			JUDGE(lab, e != NULL);
			JUDGE(lab, (l->drop_paths[s] & e->path) == e->path);
			got[e - lab->rc->drops] += moved;
			total += moved;
			sites[s] = true;
		}
	}
	for (unsigned int i = 0; i < CASE_DROPS; i++)
		JUDGE(lab, got[i] == lab->rc->drops[i].count);
	JUDGE(lab, l->dropped - b->dropped == total);
	JUDGE(lab, l->recent_total - b->recent_total == total);
	JUDGE(lab, ledger_balance(l) == 0);
}

static void judge_recent(const struct lab *lab)
{
	const struct ledger *l = &lab->w->ledger;
	uint64_t n = l->recent_total - lab->before.recent_total;

	for (uint64_t i = 0; i < n && i < LEDGER_RECENT; i++) {
		const struct drop_record *r = &l->recent[(l->recent_total - 1 - i) % LEDGER_RECENT];
		const struct expected *e = expectation(lab->rc, r->reason, r->site);

		JUDGE(lab, e != NULL);
		JUDGE(lab, r->path == e->path);
		JUDGE(lab, r->path == 0 || r->path & 1u << r->stage);
		JUDGE(lab, r->stamp_ns <= lab->w->now_ns);
	}
}

static bool text_is(const json_t *object, const char *key, const char *value)
{
	const char *is = json_string_value(json_object_get(object, key));

	return is && strcmp(is, value) == 0;
}

static uint32_t path_of(const json_t *labels)
{
	uint32_t path = 0;
	json_t *label;
	size_t i;

	json_array_foreach(labels, i, label)
	{
		for (unsigned int s = 0; s < STAGE_MAX; s++)
			if (strcmp(json_string_value(label), stage_label(s)) == 0)
				path |= 1u << s;
	}
	return path;
}

/* How many drops the array says for the expectation; each entry's words are looked at. */
static uint64_t json_drops(const struct lab *lab, const json_t *drops, const struct expected *e)
{
	const struct drop_reason_info *info = drop_reason_info(e->reason);
	uint64_t count = 0;
	json_t *drop;
	size_t i;

	json_array_foreach(drops, i, drop)
	{
		const json_t *n = json_object_get(drop, "count");

		if (!text_is(drop, "reason", info->name) || !text_is(drop, "function", e->function))
			continue;
		JUDGE(lab, text_is(drop, "text", info->text));
		JUDGE(lab, text_is(drop, "severity", report_severity(info->severity)));
		JUDGE(lab, strstr(json_string_value(json_object_get(drop, "file")), "/"));
		JUDGE(lab, json_integer_value(json_object_get(drop, "line")) > 0);
		if (n) {
			JUDGE(lab, text_is(drop, "linux", info->linux_name));
			count += (uint64_t)json_integer_value(n);
		} else {
			JUDGE(lab, path_of(json_object_get(drop, "path")) == e->path);
			JUDGE(lab, json_string_value(json_object_get(drop, "stage")) != NULL);
			count++;
		}
	}
	return count;
}

/* What was dropped for the expectation before the mark. */
static uint64_t before_of(const struct lab *lab, const struct expected *e)
{
	uint64_t count = 0;

	for (uint32_t s = 0; s < lab->before.site_count; s++)
		if (strcmp(function_of(s), e->function) == 0)
			count += lab->before.drops[(size_t)s * DROP_REASON_MAX + e->reason];
	return count;
}

static void judge_json(const struct lab *lab)
{
	const struct ledger *l = &lab->w->ledger;
	uint64_t n = l->recent_total - lab->before.recent_total;
	json_t *ledger = report_ledger(l);
	json_t *recent = report_recent(l, lab->w->now_ns, (unsigned int)n);

	assert_non_null(ledger);
	assert_non_null(recent);
	JUDGE(lab, json_integer_value(json_object_get(ledger, "balance")) == 0);
	JUDGE(lab,
	      json_integer_value(json_object_get(ledger, "dropped")) == (json_int_t)l->dropped);
	for (unsigned int i = 0; i < CASE_DROPS && lab->rc->drops[i].count; i++) {
		const struct expected *e = &lab->rc->drops[i];

		JUDGE(lab, json_drops(lab, json_object_get(ledger, "drops"), e) ==
				   e->count + before_of(lab, e));
		if (n <= LEDGER_RECENT)
			JUDGE(lab, json_drops(lab, recent, e) == e->count);
	}
	json_decref(ledger);
	json_decref(recent);
}

void lab_judge(struct lab *lab, bool *sites)
{
	judge_counters(lab, sites);
	judge_recent(lab);
	judge_json(lab);
}
