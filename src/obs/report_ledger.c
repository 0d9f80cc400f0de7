/* SPDX-License-Identifier: BSD-3-Clause */
#include "obs/report.h"

#include <stdlib.h>
#include <string.h>

/* One cell of the table [site][reason] that is not zero. */
struct drop_cell {
	uint64_t count;
	uint32_t site;
	uint32_t reason;
};

const char *report_severity(enum drop_severity severity)
{
	static const char *const names[] = {
		[DROP_SEVERITY_INFO] = "info",
		[DROP_SEVERITY_WARN] = "warn",
		[DROP_SEVERITY_ERROR] = "error",
		[DROP_SEVERITY_BUG] = "bug",
	};

	return (unsigned int)severity < sizeof(names) / sizeof(names[0]) ? names[severity] : "bug";
}

const char *report_file(const char *file)
{
	const char *found = NULL;

	for (const char *at = file; (at = strstr(at, "src/")); at++) {
		if (at == file || at[-1] == '/')
			found = at;
	}
	return found ? found : file;
}

json_t *report_path(uint32_t path)
{
	json_t *labels = json_array();

	for (unsigned int stage = 0; labels && stage < STAGE_MAX; stage++) {
		if (path & 1u << stage)
			json_array_append_new(labels, json_string(stage_label(stage)));
	}
	return labels;
}

/* Largest count first; equal counts in the order of the sites, so that two prints compare well. */
static int drop_cell_compare(const void *a, const void *b)
{
	const struct drop_cell *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	if (x->site != y->site)
		return x->site < y->site ? -1 : 1;
	return x->reason < y->reason ? -1 : x->reason > y->reason;
}

/* The cells that are not zero, sorted: returns how many, and the array (the caller's) in *cells. */
static size_t drop_cells(const struct ledger *l, struct drop_cell **cells)
{
	size_t n = 0, room = 0;

	*cells = NULL;
	for (uint32_t site = 0; l->drops && site < l->site_count; site++) {
		for (uint32_t reason = 0; reason < DROP_REASON_MAX; reason++) {
			uint64_t count = l->drops[(size_t)site * DROP_REASON_MAX + reason];
			struct drop_cell *more;

			if (!count)
				continue;
			if (n == room) {
				room = room ? room * 2 : 16;
				more = realloc(*cells, room * sizeof(**cells));
				if (!more)
					break;
				*cells = more;
			}
			(*cells)[n++] = (struct drop_cell){ count, site, reason };
		}
	}
	if (n)
		qsort(*cells, n, sizeof(**cells), drop_cell_compare);
	return n;
}

/* {reason, function, file, line} of a site; a site that is out of range says so. */
static json_t *site_report(uint32_t site, unsigned int reason)
{
	const struct drop_site *s = drop_site(site);

	return json_pack("{s:s, s:s, s:s, s:I}", "reason", drop_reason_info(reason)->name,
			 "function", s ? s->function : "?", "file", s ? report_file(s->file) : "?",
			 "line", (json_int_t)(s ? s->line : 0));
}

static json_t *drop_report(const struct ledger *l, const struct drop_cell *cell)
{
	const struct drop_reason_info *info = drop_reason_info(cell->reason);
	json_t *drop = site_report(cell->site, cell->reason);

	if (!drop)
		return NULL;
	json_object_set_new(drop, "count", json_integer((json_int_t)cell->count));
	json_object_set_new(drop, "text", json_string(info->text));
	json_object_set_new(drop, "severity", json_string(report_severity(info->severity)));
	json_object_set_new(drop, "linux", json_string(info->linux_name));
	json_object_set_new(drop, "path",
			    report_path(l->drop_paths ? l->drop_paths[cell->site] : 0));
	return drop;
}

json_t *report_drops(const struct ledger *l)
{
	json_t *drops = json_array();
	struct drop_cell *cells;
	size_t n = drop_cells(l, &cells);

	for (size_t i = 0; drops && i < n; i++)
		json_array_append_new(drops, drop_report(l, &cells[i]));
	free(cells);
	return drops;
}

json_t *report_ledger(const struct ledger *l)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "entered",
			 (json_int_t)l->entered, "originated", (json_int_t)l->originated,
			 "delivered", (json_int_t)l->fate[FATE_DELIVERED], "transmitted",
			 (json_int_t)l->fate[FATE_TRANSMITTED], "forwarded",
			 (json_int_t)l->fate[FATE_FORWARDED], "absorbed",
			 (json_int_t)l->fate[FATE_ABSORBED], "dropped", (json_int_t)l->dropped,
			 "held", (json_int_t)l->held, "balance", (json_int_t)ledger_balance(l),
			 "alloc_failed", (json_int_t)l->alloc_failed, "drops", report_drops(l));
}

static json_t *hex(const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * sizeof(((struct drop_record *)0)->head)];

	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	return json_stringn(text, 2 * n);
}

static json_t *record_report(const struct drop_record *r, uint64_t now_ns)
{
	size_t head = r->len_bytes < sizeof(r->head) ? r->len_bytes : sizeof(r->head);
	uint64_t age_ns = now_ns > r->stamp_ns ? now_ns - r->stamp_ns : 0;
	const struct drop_reason_info *info = drop_reason_info(r->reason);
	json_t *record = site_report(r->site, r->reason);

	if (!record)
		return NULL;
	json_object_set_new(record, "text", json_string(info->text));
	json_object_set_new(record, "severity", json_string(report_severity(info->severity)));
	json_object_set_new(record, "age_us", json_integer((json_int_t)(age_ns / 1000)));
	json_object_set_new(record, "stage", json_string(stage_label(r->stage)));
	json_object_set_new(record, "ifindex", json_integer(r->ifindex));
	json_object_set_new(record, "length", json_integer(r->len_bytes));
	json_object_set_new(record, "path", report_path(r->path));
	json_object_set_new(record, "head", hex(r->head, head));
	return record;
}

json_t *report_recent(const struct ledger *l, uint64_t now_ns, unsigned int max)
{
	json_t *records = json_array();
	uint64_t there = l->recent_total < LEDGER_RECENT ? l->recent_total : LEDGER_RECENT;

	if (!l->recent)
		there = 0;
	for (uint64_t i = 0; records && i < there && i < max; i++) {
		uint64_t at = (l->recent_total - 1 - i) % LEDGER_RECENT;

		json_array_append_new(records, record_report(&l->recent[at], now_ns));
	}
	return records;
}
