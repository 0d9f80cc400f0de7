/* SPDX-License-Identifier: BSD-3-Clause */
/* What one run leaves behind, in words: for whoever looks for the reason of a failure. */
#include <inttypes.h>
#include <string.h>

#include "sim.h"

#define WEIR_NO_TCP_STATES
#include "inet/tcp/mib.h"
#include "inet/tcp/tcp_impl.h"

static void report_drop(const struct weir_drop *drop, void *arg)
{
	fprintf(arg, "    %8" PRIu64 "  %s in %s()\n", drop->count, drop->reason, drop->function);
}

static void report_counters(FILE *out, struct weir *weir)
{
	for (unsigned int i = 0; i < TCP_MIB_MAX; i++) {
		if (weir->w->tcp->mib[i])
			fprintf(out, "    %8" PRIu64 "  %s\n", (uint64_t)weir->w->tcp->mib[i],
				tcp_mib_info(i)->name);
	}
}

static void report_line(FILE *out, unsigned int i, const struct link_stats *l)
{
	fprintf(out,
		"link from engine %u: %" PRIu64 " frames (%" PRIu64 " with data), %" PRIu64
		" overflowed, %" PRIu64 " lost, %" PRIu64 " twice, %" PRIu64 " held up, %" PRIu64
		" corrupted, %" PRIu64 " marked, %" PRIu64 " overtaken, %" PRIu64
		" bytes waited at most\n",
		i, l->frames, l->data_frames, l->overflow, l->lost, l->dup, l->held_up,
		l->corrupted, l->marked, l->overtaken, l->queue_max_bytes);
}

static void report_end(FILE *out, struct sim *s, const struct end *e)
{
	const struct tcp_pcb *pcb = app_pcb(s, e);

	fprintf(out,
		"connection %u %s: wrote %" PRIu64 ", read %" PRIu64
		"%s%s%s; sent again %u, time-outs %" PRIu64 ", recoveries %" PRIu64
		", probes %u, D-SACKs %u, undone %u\n",
		e->conn->number, e->side ? "server" : "client", e->tx, e->rx, e->eof ? ", eof" : "",
		e->shut ? ", shut" : "", e->closed ? ", closed" : "", e->retrans, e->rtos,
		e->recoveries, e->tlps, e->dsacks, e->undone);
	if (!pcb)
		return;
	fprintf(out,
		"    %s, recovery state %u; una %u, nxt +%u, data end +%u, window %u, cwnd %u, "
		"flight %u, sacked %u, lost %u, rto %u us, backoff %u, retries %u, flags %08x, "
		"timer %u in %.3f s, reordering seen %u\n",
		tcp_state_name(pcb->pub.state), pcb->recovery, pcb->snd_una,
		pcb->snd_nxt - pcb->snd_una, tcp_data_end(pcb) - pcb->snd_una, pcb->snd_wnd,
		pcb->cwnd, pcb->flight_bytes, pcb->sacked_bytes, pcb->lost_bytes, pcb->rto_us,
		pcb->backoff, pcb->retries, pcb->flags, pcb->rtx_kind,
		pcb->rtx_ns ? ((double)pcb->rtx_ns - (double)s->now_ns) / 1e9 : -1.0,
		pcb->reord_seen);
}

void sim_report(struct sim *s, FILE *out)
{
	for (uint32_t i = 0; i < s->opened && i < 10; i++) {
		report_end(out, s, &s->conn[i].end[0]);
		report_end(out, s, &s->conn[i].end[1]);
	}
	for (unsigned int i = 0; i < 2; i++) {
		report_line(out, i, &s->line[i].stats);
		fprintf(out, "engine %u dropped:\n", i);
		weir_drops(s->side[i].weir, report_drop, out);
		fprintf(out, "engine %u counted:\n", i);
		report_counters(out, s->side[i].weir);
	}
}
