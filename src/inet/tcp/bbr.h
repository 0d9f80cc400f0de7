/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BBR's model of the path, shared by bbr.c (what follows from it), bbr_model.c (how it is measured)
 * and bbr_policer.c.
 */
#ifndef WEIR_INET_TCP_BBR_H
#define WEIR_INET_TCP_BBR_H

#include "inet/tcp/cc.h"
#include "inet/tcp/tcp_impl.h"

/* Rates are kept in 64 bytes a second, gains in 1/256, times in nanoseconds where they say nothing
 * else. */
#define BBR_BW_SHIFT 6u
#define BBR_GAIN_ONE 256u
#define BBR_GAIN_HIGH 739u /* 2/ln(2): the least that doubles the rate each round */
#define BBR_GAIN_DRAIN 88u /* its inverse */
#define BBR_GAIN_CWND 512u
#define BBR_CYCLE 8u	    /* phases of PROBE_BW, a min_rtt each */
#define BBR_BW_SLOTS 5u	    /* the maximum is that of so many times two rounds */
#define BBR_EXTRA_ROUNDS 5u /* of each of the two windows for extra_acked */
#define BBR_MIN_RTT_NS (10ull * TCP_S_NS)
#define BBR_PROBE_RTT_NS (200ull * TCP_MS_NS)
#define BBR_MIN_SEGMENTS 4u

enum bbr_mode { BBR_STARTUP, BBR_DRAIN, BBR_PROBE_BW, BBR_PROBE_RTT };

struct bbr {
	uint64_t min_rtt_ns_at;	    /* when min_rtt_us was measured */
	uint64_t probe_rtt_done_ns; /* 0: the pipe is not down to four segments yet */
	uint64_t cycle_ns;	    /* when this phase of PROBE_BW began */
	uint64_t epoch_ns;	    /* of ack aggregation */
	uint32_t epoch_bytes;	    /* acknowledged in it */
	uint32_t extra_acked[2];    /* most that came beyond the rate, in two windows */
	uint32_t round_end; /* delivered_bytes (its lower half) at which the round is over */
	uint32_t rounds;
	uint32_t bw[BBR_BW_SLOTS];
	uint32_t full_bw; /* the rate when it grew last in STARTUP */
	uint32_t min_rtt_us;
	uint32_t prior_cwnd; /* before PROBE_RTT, or recovery */
	/* the long-term rate, bbr_policer.c */
	uint32_t lt_bw, lt_delivered, lt_lost, lt_ms;
	uint8_t lt_rounds;
	uint8_t mode; /* enum bbr_mode */
	uint8_t cycle;
	uint8_t prior_state;  /* of recovery, at the last ACK */
	uint8_t full_rounds;  /* without growth */
	uint8_t extra_rounds; /* of this window */
	uint8_t extra_slot : 1;
	bool lt_sampling : 1, lt_use : 1;
	bool round_start : 1, full : 1, idle_restart : 1, conserve : 1, rtt_seen : 1;
	bool probe_rtt_round : 1; /* a round has gone by in PROBE_RTT */
};

static inline uint64_t bbr_bytes_s(uint32_t bw)
{
	return (uint64_t)bw << BBR_BW_SHIFT;
}

static inline uint32_t bbr_bw_of(uint64_t bytes, uint64_t ns)
{
	return (uint32_t)tcp_min64((bytes * TCP_S_NS / ns) >> BBR_BW_SHIFT, UINT32_MAX);
}

/* bbr.c */
uint32_t bbr_pacing_gain(const struct bbr *b);
uint32_t bbr_inflight(struct worker *w, const struct tcp_pcb *pcb, const struct bbr *b, uint32_t bw,
		      uint32_t gain);
void bbr_probe_bw(struct worker *w, struct bbr *b);
void bbr_probe_rtt_over(struct worker *w, struct tcp_pcb *pcb, struct bbr *b);
void bbr_save_cwnd(const struct tcp_pcb *pcb, struct bbr *b);

/* bbr_model.c */
uint32_t bbr_max_bw(const struct bbr *b);
uint32_t bbr_bw(const struct bbr *b); /* the long-term rate where a policer was found */
void bbr_model(struct worker *w, struct tcp_pcb *pcb, struct bbr *b, const struct tcp_rate *rate);

/* bbr_policer.c */
void bbr_lt_reset(const struct worker *w, const struct tcp_pcb *pcb, struct bbr *b);
void bbr_lt_sample(struct worker *w, const struct tcp_pcb *pcb, struct bbr *b, bool lost,
		   bool app_limited);

#endif
