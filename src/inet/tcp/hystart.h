/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HyStart++ (RFC 9406): slow start that ends before it has to lose packets. Rounds are counted by
 * sequence numbers. When a round's smallest RTT is clearly above the last round's, a queue builds:
 * conservative slow start (CSS) follows, at a quarter of the pace. If the RTT comes down again it
 * was noise, and slow start goes on; after five rounds it was not, and ssthresh is set.
 *
 * Only for the first slow start, while ssthresh is not known: after that it is plain slow start.
 */
#ifndef WEIR_INET_TCP_HYSTART_H
#define WEIR_INET_TCP_HYSTART_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_pcb;
struct tcp_rate;

/* A part of a controller's state; zeros to begin with. */
struct hystart {
	uint32_t round_end; /* the round is over when snd_una reaches this */
	uint32_t min_us,
		last_min_us; /* smallest RTT of this round and of the one before, 0: none */
	uint32_t base_us;    /* smallest RTT of the round in which CSS began */
	uint16_t samples;
	uint8_t css_rounds;
	bool begun, css;
};

/* From acked(). */
void hystart_acked(struct hystart *h, struct tcp_pcb *pcb, const struct tcp_rate *rate);
/* From grow(): slow start. What of bytes is left over when cwnd reaches ssthresh. */
uint32_t hystart_grow(struct hystart *h, struct tcp_pcb *pcb, uint32_t bytes);

#endif
