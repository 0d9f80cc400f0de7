/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Round trip time and retransmission time-out (RFC 6298), with Linux's minimum: the variance counts
 * for tcp_rto_min_us (200 ms) at least. Each ACK is a sample: of the oldest segment that it
 * acknowledges, if none was resent (Karn), else of what it SACKs, else by the echoed time stamp
 * (RFC 7323 section 4).
 */
#include "inet/tcp/recovery.h"

void tcp_rtt_sample(const struct worker *w, struct tcp_pcb *pcb, uint64_t rtt_us)
{
	uint32_t r = rtt_us > 60000000 ? 60000000 : (uint32_t)rtt_us, var_us;

	if (r == 0)
		r = 1;
	if (pcb->srtt_us8 == 0) {
		pcb->srtt_us8 = r * 8;
		pcb->rttvar_us4 = r * 2;
		pcb->rtt_min_us = r;
	} else {
		uint32_t srtt = pcb->srtt_us8 / 8, diff = srtt > r ? srtt - r : r - srtt;

		pcb->rttvar_us4 += diff - pcb->rttvar_us4 / 4;
		pcb->srtt_us8 += r - srtt;
		pcb->rtt_min_us = tcp_min(pcb->rtt_min_us, r);
	}
	var_us = tcp_max(pcb->rttvar_us4, (uint32_t)w->tcp->params.tcp_rto_min_us);
	pcb->rto_us = tcp_min(pcb->srtt_us8 / 8 + var_us, (uint32_t)(tcp_rto_max_ns(w) / 1000));
	pcb->backoff = 0;
}

void tcp_rtt_syn(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->flags & F_RTT_TIMED)
		tcp_rtt_sample(w, pcb, (w->now_ns - pcb->unacked_since_ns) / 1000);
	pcb->flags &= ~F_RTT_TIMED;
}

void tcp_rtt_acked(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a)
{
	if (a->oldest_acked_ns && !(a->what & ACK_RXT)) {
		tcp_rtt_sample(w, pcb, (w->now_ns - a->oldest_acked_ns) / 1000);
	} else if (a->newest_sacked_ns) {
		tcp_rtt_sample(w, pcb, (w->now_ns - a->newest_sacked_ns) / 1000);
	} else if ((a->what & ACK_ADVANCED) && a->ts_ecr) {
		uint32_t ms = tcp_max(tcp_ts_now(w, pcb->ts_offset) - a->ts_ecr, 1);

		if (ms < (uint32_t)w->tcp->params.tcp_rto_max_ms)
			tcp_rtt_sample(w, pcb, ms * 1000ull);
	}
}

uint64_t tcp_rto_ns(const struct worker *w, const struct tcp_pcb *pcb)
{
	uint64_t rto_ns = pcb->rto_us * 1000ull, max_ns = tcp_rto_max_ns(w);

	for (unsigned int i = 0; i < pcb->backoff && rto_ns < max_ns; i++)
		rto_ns *= 2;
	return tcp_min64(rto_ns, max_ns);
}

uint64_t tcp_rto_left_ns(const struct worker *w, const struct tcp_pcb *pcb)
{
	struct tcp_sent_at at = tcp_sent_first(pcb);
	uint64_t at_ns = tcp_rto_ns(w, pcb) + (at.block ? tcp_sent_of(&at)->sent_ns : w->now_ns);

	return at_ns > w->now_ns ? at_ns - w->now_ns : 1;
}
