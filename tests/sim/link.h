/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The link between the two engines: for each direction a bottleneck (a rate with a FIFO of so many
 * bytes in front, that marks or drops), then the faults (loss alone or in bursts, an outage, bits
 * turned over, duplicates), then the way (delay, jitter that keeps order, frames that are held up
 * and lose it). ARP suffers none of the faults: it is not what is tested here.
 *
 * A super-segment of a port that cuts is cut here. Every frame that is lost is counted with its
 * payload, so that what TCP sends again can be compared with what was lost.
 */
#ifndef WEIR_TESTS_SIM_LINK_H
#define WEIR_TESTS_SIM_LINK_H

#include <stdio.h>

#include "params.h"

#define LINK_NEVER UINT64_MAX
#define LINK_FRAME_BYTES 1600u
#define LINK_MTU 1500u

struct link_stats {
	uint64_t frames, bytes;
	uint64_t data_frames;	/* with payload, FIN or SYN */
	uint64_t payload_bytes; /* offered */
	uint64_t overflow,
		lost;	    /* frames dropped by the FIFO; by the faults (corrupted ones too) */
	uint64_t data_lost; /* of both, with payload, FIN or SYN */
	uint64_t dup, held_up, corrupted, marked, overtaken;
	uint64_t queue_max_bytes;
};

struct link_frame {
	uint64_t due_ns, order;
	uint32_t len;
	uint8_t data[LINK_FRAME_BYTES];
};

struct link_departure {
	uint64_t at_ns;
	uint32_t len;
};

struct link_line {
	const struct sim_params *p;
	double loss;
	uint64_t start_ns;
	uint64_t rng;
	uint64_t rate_kbit, delay_ns;
	/* the bottleneck: when each frame in the FIFO is through */
	struct link_departure *fifo; /* [LINK_FIFO] */
	uint32_t fifo_head, fifo_tail;
	uint64_t queue_bytes, busy_ns;
	uint64_t burst_end_ns;
	/* the way: a heap by due_ns, order */
	struct link_frame **heap;
	uint32_t count, room;
	uint64_t next_order, last_due_ns, newest_seen;
	struct link_frame *free;
	FILE *frames; /* where each is printed, or NULL */
	unsigned int direction;
	struct link_stats stats;
};

void link_open(struct link_line *l, const struct sim_params *p, unsigned int direction,
	       uint64_t start_ns);
void link_close(struct link_line *l);
/* A frame as the port sent it. cut: TCP's checksums are partial and segments may be large. */
void link_enter(struct link_line *l, uint64_t now_ns, const uint8_t *frame, uint32_t len, bool cut);
/* LINK_NEVER: nothing is on the way. */
uint64_t link_next_ns(const struct link_line *l);
/* The frame that is due, or NULL; good until the next call. */
const struct link_frame *link_take(struct link_line *l, uint64_t now_ns);
uint64_t link_queue_bytes(struct link_line *l, uint64_t now_ns);

/* frames.c */
void frames_print(FILE *out, unsigned int direction, uint64_t ns, const uint8_t *frame,
		  uint32_t len, const char *fate);

#endif
