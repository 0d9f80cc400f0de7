/* SPDX-License-Identifier: BSD-3-Clause */
/* Two readings compared: what each detector knows, what none does, and in which order to tell. */
#include "bin/weir/why/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/weir/advice.h"
#include "bin/weir/cli.h"

#define RANK_OTHERS 35u

static const struct why_detector *const groups[] = { why_detectors_port, why_detectors_ip,
						     why_detectors_sock, why_detectors_tcp };

/* ---- what detectors say ---- */

void why_say(json_t *finding, const char *member, const char *format, ...)
{
	char text[WHY_TEXT_BYTES * 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_object_set_new(finding, member, json_string(text));
}

void why_add(json_t *finding, const char *list, const char *format, ...)
{
	char text[WHY_TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(json_object_get(finding, list), json_string(text));
}

/* ---- what readings say ---- */

const json_t *why_list(const json_t *reading, const char *part)
{
	return json_object_get(json_object_get(reading, "stat"), part);
}

static const json_t *named(const json_t *list, const char *name)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (strcmp(cli_string(item, "name"), name) == 0)
			return item;
	}
	return NULL;
}

json_int_t why_counter(const json_t *reading, const char *name)
{
	return cli_int(named(json_object_get(reading, "counters"), name), "value");
}

json_int_t why_param(const json_t *reading, const char *name, unsigned int n)
{
	const char *text = cli_string(named(json_object_get(reading, "parameters"), name), "value");
	json_int_t value = 0;
	char *end;

	for (unsigned int i = 0; i <= n; i++) {
		value = strtoll(text, &end, 10);
		if (end == text)
			return 0;
		text = end;
	}
	return value;
}

static bool equal_in(const json_t *a, const json_t *b, const char *const *keys)
{
	for (; *keys; keys++) {
		if (!json_equal(json_object_get(a, *keys), json_object_get(b, *keys)))
			return false;
	}
	return true;
}

json_int_t why_grown(const struct why *w, const char *part, const json_t *item,
		     const char *const *keys, const char *member)
{
	const json_t *then;
	size_t i;

	json_array_foreach(why_list(w->before, part), i, then)
	{
		if (equal_in(then, item, keys) && cli_int(then, member) <= cli_int(item, member))
			return cli_int(item, member) - cli_int(then, member);
	}
	return cli_int(item, member);
}

json_int_t why_port_loss(const json_t *port, const char *name)
{
	return cli_int(named(json_object_get(port, "losses"), name), "count");
}

json_int_t why_ports_loss(const json_t *reading, const char *name)
{
	const json_t *port;
	json_int_t sum = 0;
	size_t i;

	json_array_foreach(why_list(reading, "ports"), i, port) sum += why_port_loss(port, name);
	return sum;
}

json_int_t why_round_up(json_int_t n)
{
	json_int_t size = 1;

	while (size < n && size < (json_int_t)1 << 40)
		size <<= 1;
	return size;
}

/* ---- drops ---- */

static const json_t *drops_of(const json_t *reading)
{
	return json_object_get(why_list(reading, "ledger"), "drops");
}

/* How often a site dropped for its reason between the readings. */
static json_int_t drop_grown(const struct why *w, const json_t *drop)
{
	static const char *const keys[] = { "reason", "function", "file", "line", NULL };
	const json_t *then;
	size_t i;

	json_array_foreach(drops_of(w->before), i, then)
	{
		if (equal_in(then, drop, keys))
			return cli_int(drop, "count") - cli_int(then, "count");
	}
	return cli_int(drop, "count");
}

static bool knows(const struct why_detector *d, const char *reason)
{
	for (unsigned int i = 0; i < WHY_REASONS_MAX && d->reasons[i]; i++) {
		if (strcmp(d->reasons[i], reason) == 0)
			return true;
	}
	return false;
}

bool why_has_reason(const json_t *finding, const char *reason)
{
	const json_t *each;
	size_t i;

	json_array_foreach(json_object_get(finding, "reasons"), i, each)
	{
		if (strcmp(json_string_value(each), reason) == 0)
			return true;
	}
	return false;
}

static json_t *finding_new(const char *name, unsigned int rank)
{
	return json_pack("{s:s, s:s, s:i, s:f, s:i, s:[], s:[], s:[], s:s, s:s, s:[], s:i}", "name",
			 name, "title", "", "lost", 0, "rate", 0.0, "total", 0, "reasons", "where",
			 "who", "why", "", "change", "", "commands", "rank", (int)rank);
}

static void finding_count(json_t *finding, json_int_t lost, json_int_t total)
{
	json_object_set_new(finding, "lost", json_integer(cli_int(finding, "lost") + lost));
	json_object_set_new(finding, "total", json_integer(cli_int(finding, "total") + total));
}

/* A site's drops go into the finding. */
static void finding_drop(json_t *finding, const json_t *drop, json_int_t lost)
{
	const char *reason = cli_string(drop, "reason");

	finding_count(finding, lost, cli_int(drop, "count"));
	if (!lost)
		return;
	if (!why_has_reason(finding, reason))
		json_array_append_new(json_object_get(finding, "reasons"), json_string(reason));
	json_array_append_new(json_object_get(finding, "where"),
			      json_pack("{s:s, s:s, s:I, s:s, s:I}", "function",
					cli_string(drop, "function"), "file",
					cli_string(drop, "file"), "line", cli_int(drop, "line"),
					"reason", reason, "count", lost));
}

static json_t *detect(const struct why *w, const struct why_detector *d)
{
	json_t *finding = finding_new(d->name, d->rank);
	const json_t *drop;
	size_t i;

	json_array_foreach(drops_of(w->after), i, drop)
	{
		if (knows(d, cli_string(drop, "reason")))
			finding_drop(finding, drop, drop_grown(w, drop));
	}
	if (d->count)
		finding_count(finding, d->count(w->after) - d->count(w->before),
			      d->count(w->after));
	if (cli_int(finding, "lost") > 0) {
		d->explain(w, finding);
		/* A detector that finds it normal has said nothing. */
		if (cli_string(finding, "title")[0])
			return finding;
	}
	json_decref(finding);
	return NULL;
}

static bool known_to_any(const char *reason)
{
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		for (const struct why_detector *d = groups[g]; d->name; d++) {
			if (knows(d, reason))
				return true;
		}
	}
	return false;
}

/* A reason that no detector knows: its sentence of advice.def. */
static json_t *other_finding(const json_t *drop, json_int_t lost)
{
	const char *reason = cli_string(drop, "reason");
	json_t *finding = finding_new("other", RANK_OTHERS);

	finding_drop(finding, drop, lost);
	why_say(finding, "title", "%s", cli_string(drop, "text"));
	why_say(finding, "why", "reason %s, severity %s", reason, cli_string(drop, "severity"));
	why_say(finding, "change", "%s", advice_for(reason));
	return finding;
}

static void others(const struct why *w, json_t *findings, json_t *normal)
{
	const json_t *drop;
	size_t i;

	json_array_foreach(drops_of(w->after), i, drop)
	{
		json_int_t lost = drop_grown(w, drop);

		if (!lost || known_to_any(cli_string(drop, "reason")))
			continue;
		if (strcmp(cli_string(drop, "severity"), "info"))
			json_array_append_new(findings, other_finding(drop, lost));
		else
			json_array_append_new(normal,
					      json_pack("{s:s, s:I, s:s}", "reason",
							cli_string(drop, "reason"), "count", lost,
							"text", cli_string(drop, "text")));
	}
}

/* ---- the order ---- */

static int finding_compare(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	json_int_t rank = cli_int(y, "rank") - cli_int(x, "rank");
	json_int_t lost = cli_int(y, "lost") - cli_int(x, "lost");

	return rank ? (rank > 0 ? 1 : -1) : lost ? (lost > 0 ? 1 : -1) : 0;
}

static json_t *sorted(json_t *findings, double seconds)
{
	size_t n = json_array_size(findings);
	json_t **all = calloc(n ? n : 1, sizeof(*all)), *list = json_array();

	for (size_t i = 0; all && i < n; i++)
		all[i] = json_array_get(findings, i);
	if (all)
		qsort(all, n, sizeof(*all), finding_compare);
	for (size_t i = 0; all && i < n; i++) {
		double lost = (double)cli_int(all[i], "lost");

		json_object_set_new(all[i], "rate", json_real(seconds > 0 ? lost / seconds : 0));
		json_object_del(all[i], "rank");
		json_array_append(list, all[i]);
	}
	free(all);
	json_decref(findings);
	return list;
}

json_t *why_find(const json_t *before, const json_t *after)
{
	struct why w = { before, after, 0 };
	json_t *findings = json_array(), *normal = json_array();

	w.seconds = (double)(cli_int(after, "time_ns") - cli_int(before, "time_ns")) / 1e9;
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		for (const struct why_detector *d = groups[g]; d->name; d++) {
			json_t *finding = detect(&w, d);

			if (finding)
				json_array_append_new(findings, finding);
		}
	}
	others(&w, findings, normal);
	return json_pack("{s:f, s:o, s:o}", "seconds", w.seconds, "findings",
			 sorted(findings, w.seconds), "normal", normal);
}
