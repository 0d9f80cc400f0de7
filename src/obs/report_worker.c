/* SPDX-License-Identifier: BSD-3-Clause */
#include "obs/report.h"

#include <rte_mempool.h>

json_t *report_worker(const struct worker *w)
{
	const struct ledger *l = &w->ledger;
	json_int_t size = 0, free_count = 0;

	if (w->pool) {
		size = (json_int_t)w->pool->size;
		free_count = (json_int_t)rte_mempool_avail_count(w->pool);
	}
	return json_pack("{s:i, s:I, s:I, s:{s:I, s:I}, s:{s:I, s:I, s:I, s:I, s:I}}", "worker",
			 (int)w->id, "now_ns", (json_int_t)w->now_ns, "timers",
			 (json_int_t)w->timers.pending, "pool", "size", size, "free", free_count,
			 "ledger", "entered", (json_int_t)l->entered, "originated",
			 (json_int_t)l->originated, "dropped", (json_int_t)l->dropped, "held",
			 (json_int_t)l->held, "balance", (json_int_t)ledger_balance(l));
}
