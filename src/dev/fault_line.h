/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One direction of a fault link: the faults, and the delay line behind them. Only for fault.c.
 */
#ifndef WEIR_DEV_FAULT_LINE_H
#define WEIR_DEV_FAULT_LINE_H

#include "dev/fault.h"

#define LINE_PACKETS 16384u

struct fault_config {
	uint64_t loss, dup, reorder, corrupt; /* chances, of 2^32 */
	uint64_t delay_ns, jitter_ns, reorder_ns;
	uint64_t rate_mbit;
	uint64_t queue;
	bool in, out;
};

struct line_entry {
	uint64_t due_ns;
	uint64_t order;
	struct pkt *pkt;
};

struct fault_line {
	bool active;
	uint64_t rng;
	uint64_t next_order;
	uint64_t last_due_ns; /* of frames in order: jitter keeps it */
	uint64_t busy_ns;     /* the rate's server is busy until then */
	uint32_t server_head; /* of done_ns[]; runs freely */
	uint32_t server_tail;
	uint64_t *done_ns; /* [queue]: when each frame in the server is through; NULL: no rate */
	uint32_t count;
	struct line_entry *heap; /* [LINE_PACKETS] */
	struct fault_stats stats;
};

/* 0 or -ENOMEM; line_close() in both cases. */
int line_open(struct fault_line *l, const struct fault_config *c, bool active, uint64_t seed);

/* Drops what is on the way PORT_DOWN. w may be NULL where no packet was ever entered. */
void line_close(struct worker *w, struct fault_line *l);

/* Takes the packet: it is dropped, or held until its time has come; perhaps with a copy. */
void line_enter(struct worker *w, const struct fault_config *c, struct fault_line *l,
		struct pkt *p);

/* The packet that is due at w->now_ns, or NULL; it stays in the line until line_leave(). */
struct pkt *line_due_packet(const struct worker *w, const struct fault_line *l);
void line_leave(struct worker *w, struct fault_line *l);

/* When the next packet is due, or TIMER_NEVER. */
uint64_t line_next_ns(const struct fault_line *l);

#endif
