/* SPDX-License-Identifier: BSD-3-Clause */
/* Reno's congestion control: RFC 5681 section 3.1, counted in bytes (RFC 3465), with HyStart++. */
#include "inet/tcp/cc.h"

#include "inet/tcp/hystart.h"
#include "inet/tcp/tcp_impl.h"

static void reno_init(struct worker *w, struct tcp_pcb *pcb)
{
	pcb->cwnd_acked = 0;
}

static void reno_acked(struct worker *w, struct tcp_pcb *pcb, const struct tcp_rate *rate)
{
	hystart_acked(tcp_cc_state(pcb, struct hystart), pcb, rate);
}

static void reno_grow(struct worker *w, struct tcp_pcb *pcb, uint32_t bytes)
{
	if (pcb->cwnd < pcb->ssthresh)
		bytes = hystart_grow(tcp_cc_state(pcb, struct hystart), pcb, bytes);
	if (bytes)
		tcp_additive(pcb, pcb->cwnd, bytes);
}

/* Of cwnd, as Linux, which only grows while it is in full use. What is on the way is less than the
 * window was where one ACK acknowledges much of it and shows the loss [tcp_reno_ssthresh]. */
static uint32_t reno_ssthresh(struct worker *w, struct tcp_pcb *pcb, uint32_t flight)
{
	return tcp_max(pcb->cwnd / 2, 2u * pcb->snd_mss);
}

const struct tcp_cc_ops tcp_reno = {
	.name = "reno",
	.init = reno_init,
	.acked = reno_acked,
	.grow = reno_grow,
	.ssthresh = reno_ssthresh,
};
