/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The course of an ACK through loss recovery: ack.c fills a struct tcp_ack while it takes the
 * acknowledgment and the SACK blocks in, then recovery.c decides. Inside inet/tcp only.
 */
#ifndef WEIR_INET_TCP_RECOVERY_H
#define WEIR_INET_TCP_RECOVERY_H

#include "inet/tcp/tcp_impl.h"

/* tcp_ack.what */
#define ACK_ADVANCED 0x001u  /* snd_una moved */
#define ACK_SACKED 0x002u    /* something was SACKed that was not */
#define ACK_ORIG 0x004u	     /* what arrived was sent once, before the last time-out */
#define ACK_RXT 0x008u	     /* what snd_una passed was resent */
#define ACK_DSACK 0x010u     /* the peer got something twice */
#define ACK_DSACK_TLP 0x020u /* namely the tail loss probe */
#define ACK_DUP 0x040u	     /* a duplicate in the sense of RFC 5681 */
#define ACK_LOST 0x080u	     /* loss was found by this ACK */
#define ACK_REORDERED 0x100u /* it shows that the path reorders */
#define ACK_TEXT 0x200u	     /* the segment carries data or a FIN */
#define ACK_ECE 0x400u	     /* it says that a packet of ours was marked (RFC 3168) */

struct tcp_ack {
	uint32_t what;
	uint32_t prior_una, prior_flight;
	uint32_t prior_fack; /* the highest that was SACKed before it; none: prior_una */
	uint32_t una_seq;    /* the segment's acknowledgment */
	uint32_t ts_ecr;     /* 0: none */
	/* the newest record that arrived, for the rate */
	uint64_t newest_sent_ns, newest_delivered_ns, newest_interval_ns, newest_delivered_bytes;
	uint32_t newest_end, newest_flags;
	/* of records that were sent once: the oldest and newest that snd_una passed, the oldest
	 * that was SACKed; 0: none */
	uint64_t oldest_acked_ns, newest_acked_ns, newest_sacked_ns;
	uint32_t newly_bytes, acked_bytes;
	uint32_t prior_lost;
};

/* sack.c: blocks of the segment into the records. */
void tcp_sack_take(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg,
		   struct tcp_ack *a);
/* r was sent once and arrived behind what was sent later. */
void tcp_sack_reordered(struct tcp_pcb *pcb, const struct tcp_sent *r, struct tcp_ack *a);

/* rate.c */
void tcp_rate_sent(struct worker *w, struct tcp_pcb *pcb, struct tcp_sent *r, bool was_idle);
void tcp_rate_arrived(struct worker *w, struct tcp_pcb *pcb, struct tcp_sent *r, struct tcp_ack *a);
void tcp_rate_sample(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a,
		     struct tcp_rate *rate);

/* rack.c: RFC 8985 sections 6 and 7 */
void tcp_rack_arrived(struct worker *w, struct tcp_pcb *pcb, const struct tcp_sent *r,
		      const struct tcp_ack *a);
void tcp_rack_detect(struct worker *w, struct tcp_pcb *pcb);
void tcp_rack_reo_wnd(struct tcp_pcb *pcb, const struct tcp_ack *a);
void tcp_rack_timer(struct worker *w, struct tcp_pcb *pcb);
bool tcp_rack_overdue(const struct worker *w, const struct tcp_pcb *pcb, const struct tcp_sent *r);
bool tcp_sent_after(uint64_t a_ns, uint32_t a_end, uint64_t b_ns, uint32_t b_end);
bool tcp_tlp_schedule(struct worker *w, struct tcp_pcb *pcb); /* false: not a case for it */
void tcp_tlp_timer(struct worker *w, struct tcp_pcb *pcb);
void tcp_tlp_acked(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a);

/* undo.c: RFC 3522, 4015 (Eifel), 3708 (D-SACK) */
void tcp_undo_begin(struct tcp_pcb *pcb);
bool tcp_undo_partial(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a);
bool tcp_undo_dsack(struct worker *w, struct tcp_pcb *pcb);
bool tcp_undo_recovered(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a);
bool tcp_undo_loss(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a, bool frto);

/* prr.c: RFC 6937 */
void tcp_prr_begin(struct worker *w, struct tcp_pcb *pcb);
void tcp_prr_acked(struct tcp_pcb *pcb, const struct tcp_ack *a, uint32_t lost);
void tcp_prr_end(struct worker *w, struct tcp_pcb *pcb);

/* recovery.c */
void tcp_recovery_state(struct worker *w, struct tcp_pcb *pcb, uint8_t state);
void tcp_recovery_ack(struct worker *w, struct tcp_pcb *pcb, struct tcp_ack *a);
void tcp_recovery_cwr(struct worker *w, struct tcp_pcb *pcb);	 /* congestion without loss */
void tcp_recovery_settle(struct worker *w, struct tcp_pcb *pcb); /* OPEN or DISORDER */

#endif
