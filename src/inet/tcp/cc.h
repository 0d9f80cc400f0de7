/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A congestion controller: decides cwnd (bytes) and ssthresh; what is lost and what may be sent is
 * decided by recovery.c and output.c. One file a controller.
 */
#ifndef WEIR_INET_TCP_CC_H
#define WEIR_INET_TCP_CC_H

#include <stdint.h>

struct worker;
struct tcp_pcb;

struct tcp_cc_ops {
	const char *name;
	/* The connection is established: set cwnd and ssthresh. */
	void (*start)(struct worker *w, struct tcp_pcb *pcb);
	/* bytes were newly acknowledged, not in fast recovery, and the window was in full use. */
	void (*acked)(struct worker *w, struct tcp_pcb *pcb, uint32_t bytes);
	/* Loss was seen, flight bytes were on the way: the new ssthresh. */
	uint32_t (*ssthresh)(struct worker *w, struct tcp_pcb *pcb, uint32_t flight);
};

extern const struct tcp_cc_ops tcp_reno;

#endif
