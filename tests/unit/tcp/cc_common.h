/* SPDX-License-Identifier: BSD-3-Clause */
/* Controllers without a connection: a zeroed pcb, ACKs and time made by the test. */
#ifndef WEIR_TESTS_UNIT_TCP_CC_COMMON_H
#define WEIR_TESTS_UNIT_TCP_CC_COMMON_H

#include <string.h>

#include "common/testing.h"
#include "inet/tcp/tcp_impl.h"

#define MSS 1000u
#define MS 1000000ull

struct cc_bench {
	struct worker w;
	struct tcp_pcb pcb;
};

static inline struct cc_bench *cc_open(const struct tcp_cc_ops *ops)
{
	struct cc_bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->w.now_ns = TEST_START_NS;
	b->pcb.snd_mss = MSS;
	b->pcb.cc = ops;
	b->pcb.snd_una = b->pcb.snd_nxt = 1000;
	tcp_cc_start(&b->w, &b->pcb);
	return b;
}

/* One ACK of bytes that were on the way for rtt_ns; the window is in full use or not. */
static inline void cc_ack(struct cc_bench *b, uint32_t bytes, uint64_t rtt_ns, bool limited)
{
	struct tcp_pcb *pcb = &b->pcb;
	struct tcp_rate rate = { .acked_bytes = bytes,
				 .newly_bytes = bytes,
				 .rtt_ns = rtt_ns,
				 .prior_flight_bytes = pcb->cwnd };

	pcb->srtt_us8 = (uint32_t)(rtt_ns / 1000 * 8);
	pcb->snd_una += bytes;
	pcb->snd_nxt = pcb->snd_una + pcb->cwnd;
	if (pcb->cc->acked)
		pcb->cc->acked(&b->w, pcb, &rate);
	if (limited)
		pcb->cc->grow(&b->w, pcb, bytes);
}

/* A round trip in which a window is acknowledged, a segment an ACK. */
static inline void cc_round(struct cc_bench *b, uint64_t rtt_ns, bool limited)
{
	uint32_t segments = b->pcb.cwnd / MSS;

	for (uint32_t i = 0; i < segments; i++) {
		b->w.now_ns += rtt_ns / segments;
		cc_ack(b, MSS, rtt_ns, limited);
	}
}

/* A congestion event as recovery.c has it, with what PRR makes of the window at the end. */
static inline void cc_lose(struct cc_bench *b)
{
	struct tcp_pcb *pcb = &b->pcb;

	pcb->prior_cwnd = pcb->cwnd;
	pcb->ssthresh = pcb->cc->ssthresh(&b->w, pcb, pcb->cwnd);
	pcb->cwnd = pcb->ssthresh;
}

#endif
