/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A congestion controller: decides how much may be on the way (cwnd, bytes) and how fast it goes
 * out (pacing_rate, bytes a second). What is lost is decided by recovery.c and rack.c; when what
 * goes out, by output.c. One file a controller: a new one is a file and a line in cc.c.
 *
 * An ACK's course: acked() with its sample; then, unless the controller has control(), grow() where
 * the window may grow (OPEN, DISORDER, and LOSS, which is slow start), or the common PRR (RFC 6937)
 * in RECOVERY and CWR. A controller with control() is asked for everything in its place.
 *
 * State of its own: TCP_CC_STATE_BYTES in the pcb, zeros before init(). All calls: the pcb's
 * worker.
 */
#ifndef WEIR_INET_TCP_CC_H
#define WEIR_INET_TCP_CC_H

#include <stdbool.h>
#include <stdint.h>

struct worker;
struct tcp_pcb;

/* What one ACK tells (rate.c: the delivery rate estimation of Cheng, Cardwell and others). */
struct tcp_rate {
	uint64_t delivered_bytes;	/* pcb->delivered_bytes less prior_delivered_bytes */
	uint64_t interval_ns;		/* in which they were delivered; 0: no sample */
	uint64_t prior_delivered_bytes; /* when the newest segment that arrived was sent */
	uint64_t rtt_ns;      /* of the newest segment that arrived and was sent once; 0: none */
	uint32_t acked_bytes; /* snd_una moved by so much */
	uint32_t newly_bytes; /* arrived by this ACK, by SACK too */
	uint32_t lost_bytes;  /* held for lost by this ACK */
	uint32_t prior_flight_bytes; /* on the way before it */
	bool app_limited;   /* the sample's segment was sent for want of data, not of cwnd */
	bool retransmitted; /* the sample's segment was a retransmission */
	bool ece;	    /* the ACK carries ECE */
};

enum tcp_cc_event {
	TCP_CC_SEND_IDLE, /* the first segment after nothing was on the way */
	TCP_CC_RESTART,	  /* cwnd was cut after a pause (RFC 2861) */
	TCP_CC_DONE,	  /* fast recovery or CWR is over: cwnd = ssthresh */
	TCP_CC_TIMEOUT,	  /* the retransmission timer fired */
	/* With TCP_CC_ECN, before rcv_nxt moves: */
	TCP_CC_CE,    /* a segment came with CE, for controllers that answer finely */
	TCP_CC_NO_CE, /* and one with ECT */
};

#define TCP_CC_PACED 1u /* segments leave at pacing_rate, not in bursts */
#define TCP_CC_ECN 2u	/* asks for ECN on every connection */

struct tcp_cc_ops {
	const char *name;
	uint32_t flags;
	/* The connection is established, or the controller was changed (cwnd stays). */
	void (*init)(struct worker *w, struct tcp_pcb *pcb);
	/* Congestion (loss or ECE) with flight bytes on the way: the new ssthresh, 2 segments at
	 * least. */
	uint32_t (*ssthresh)(struct worker *w, struct tcp_pcb *pcb, uint32_t flight);
	/* bytes were acknowledged and the window was in full use. */
	void (*grow)(struct worker *w, struct tcp_pcb *pcb, uint32_t bytes);
	/* The loss was none: the cwnd to go back to. NULL: the larger of now and before. */
	uint32_t (*undo_cwnd)(struct worker *w, struct tcp_pcb *pcb);
	/* The rest may be NULL. */
	void (*acked)(struct worker *w, struct tcp_pcb *pcb, const struct tcp_rate *rate);
	void (*state)(struct worker *w, struct tcp_pcb *pcb, uint8_t recovery_state);
	void (*event)(struct worker *w, struct tcp_pcb *pcb, enum tcp_cc_event event);
	void (*control)(struct worker *w, struct tcp_pcb *pcb, const struct tcp_rate *rate);
	/* struct tcp_cc_info of linux/inet_diag.h, for TCP_CC_INFO: bytes filled */
	uint32_t (*info)(const struct tcp_pcb *pcb, void *info, uint32_t len);
};

#define TCP_CC_STATE_BYTES 128u

extern const struct tcp_cc_ops tcp_cubic, tcp_reno, tcp_dctcp, tcp_bbr;

/* By name (len bytes, ended by a zero or by len); NULL: there is none such. */
const struct tcp_cc_ops *tcp_cc_find(const char *name, uint32_t len);
/* The i-th, NULL behind the last; the first is what new stacks begin with. */
const struct tcp_cc_ops *tcp_cc_at(unsigned int i);
/* What new sockets get [tcp_congestion_control]. */
const struct tcp_cc_ops *tcp_cc_default(struct worker *w);

/* The connection is established: the initial window (RFC 6928). */
void tcp_cc_start(struct worker *w, struct tcp_pcb *pcb);
/* Change it, at any time (TCP_CONGESTION). */
void tcp_cc_choose(struct worker *w, struct tcp_pcb *pcb, const struct tcp_cc_ops *ops);
/* A child gets what its listener was given by name; else it keeps the default. */
void tcp_congestion_inherit(struct tcp_pcb *child, const struct tcp_pcb *listener);

/* The controller's own state. */
#define tcp_cc_state(pcb, type)                                                                    \
	({                                                                                         \
		_Static_assert(sizeof(type) <= TCP_CC_STATE_BYTES, "too much state");              \
		(type *)(void *)(pcb)->cc_state;                                                   \
	})

/* RFC 5681's slow start, for controllers that share it: what of bytes is left over when cwnd
 * reaches ssthresh. */
uint32_t tcp_slow_start(struct tcp_pcb *pcb, uint32_t bytes);
/* Congestion avoidance: a segment for each `window` bytes acknowledged. */
void tcp_additive(struct tcp_pcb *pcb, uint32_t window, uint32_t bytes);

#endif
