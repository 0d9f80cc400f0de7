/* SPDX-License-Identifier: BSD-3-Clause */
/* Reno's congestion control: RFC 5681 section 3.1, counted in bytes (RFC 3465). */
#include "inet/tcp/cc.h"

#include "inet/tcp/tcp_impl.h"

static void reno_start(struct worker *w, struct tcp_pcb *pcb)
{
	pcb->cwnd = TCP_INIT_CWND_SEGMENTS * pcb->snd_mss;
	pcb->ssthresh = TCP_MAX_CWND;
	pcb->cwnd_acked = 0;
}

static void reno_acked(struct worker *w, struct tcp_pcb *pcb, uint32_t bytes)
{
	if (pcb->cwnd < pcb->ssthresh) {
		uint32_t room = pcb->ssthresh - pcb->cwnd, step = tcp_min(bytes, room);

		pcb->cwnd += step;
		bytes -= step;
	}
	/* Congestion avoidance: one segment for each window's worth. */
	pcb->cwnd_acked += bytes;
	if (bytes && pcb->cwnd_acked >= pcb->cwnd) {
		pcb->cwnd_acked -= pcb->cwnd;
		pcb->cwnd += pcb->snd_mss;
	}
	pcb->cwnd = tcp_min(pcb->cwnd, TCP_MAX_CWND);
}

static uint32_t reno_ssthresh(struct worker *w, struct tcp_pcb *pcb, uint32_t flight)
{
	return tcp_max(flight / 2, 2u * pcb->snd_mss);
}

const struct tcp_cc_ops tcp_reno = {
	.name = "reno",
	.start = reno_start,
	.acked = reno_acked,
	.ssthresh = reno_ssthresh,
};
