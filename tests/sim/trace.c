/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Samples of a run as lines of CSV, for scripts/sim_plot.py: one for each connection's sender,
 * every 10 ms.
 */
#include <inttypes.h>

#include "sim.h"

#define WEIR_NO_TCP_STATES
#include "inet/tcp/tcp_impl.h"

void trace_head(FILE *out, const struct sim_params *p)
{
	char text[SIM_TEXT_BYTES];

	params_print(p, text);
	fprintf(out, "# %s\n", text);
	fprintf(out, "ms,conn,cc,cwnd,ssthresh,flight,srtt_us,min_rtt_us,state,rx,retrans,queue,"
		     "overflow,lost,mss,pacing\n");
}

static void sample(struct sim *s, const struct conn *c)
{
	bool from_server = s->app == APP_RR || s->app == APP_HALF;
	const struct end *sender = &c->end[from_server];
	const struct tcp_pcb *pcb = app_pcb(s, sender);
	struct link_line *l = &s->line[from_server];

	if (!pcb || pcb->pub.state < TCP_ESTABLISHED || !pcb->snd_mss)
		return;
	fprintf(s->trace,
		"%.3f,%u,%s,%u,%u,%u,%u,%u,%u,%" PRIu64 ",%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64
		",%u,%" PRIu64 "\n",
		(double)(s->now_ns - SIM_START_NS) / 1e6, c->number, pcb->cc->name, pcb->cwnd,
		pcb->ssthresh >= TCP_MAX_CWND ? 0 : pcb->ssthresh, pcb->flight_bytes,
		pcb->srtt_us8 / 8, pcb->rtt_min_us, pcb->recovery, c->end[!from_server].rx,
		pcb->total_retrans, link_queue_bytes(l, s->now_ns), l->stats.overflow,
		l->stats.lost, pcb->snd_mss, pcb->pacing_rate);
}

void trace_sample(struct sim *s)
{
	for (uint32_t i = 0; i < s->opened; i++) {
		if (!s->conn[i].done_ns)
			sample(s, &s->conn[i]);
	}
}
