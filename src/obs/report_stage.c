/* SPDX-License-Identifier: BSD-3-Clause */
#include "obs/report.h"

static const char *const stage_linux[STAGE_MAX] = {
#define STAGE(name, label, linux) [STAGE_##name] = linux,
#include "core/stage.def"
#undef STAGE
};

const char *report_stage_linux(unsigned int stage)
{
	return stage < STAGE_MAX ? stage_linux[stage] : "";
}

static double per(uint64_t amount, uint64_t of)
{
	return of ? (double)amount / (double)of : 0.0;
}

static json_t *stage_report(const struct stage_count *count, unsigned int stage)
{
	const char *direction = stage < STAGE_SOCK_SEND ? "receive" : "send";

	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f}", "stage",
			 stage_label(stage), "linux", report_stage_linux(stage), "direction",
			 direction, "packets", (json_int_t)count->packets, "bursts",
			 (json_int_t)count->bursts, "drops", (json_int_t)count->drops, "cycles",
			 (json_int_t)count->cycles, "packets_per_burst",
			 per(count->packets, count->bursts), "cycles_per_packet",
			 per(count->cycles, count->packets));
}

json_t *report_stages(const struct ledger *l)
{
	json_t *stages = json_array();

	for (unsigned int stage = 0; stages && stage < STAGE_MAX; stage++)
		json_array_append_new(stages, stage_report(&l->stage[stage], stage));
	return stages;
}
