/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP's inner parts, for src/inet only. */
#ifndef WEIR_INET_ICMP_H
#define WEIR_INET_ICMP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/worker.h"

/*
 * How many errors we send (RFC 1812 section 4.3.2.8), with Linux's figures: 1000 a second in bursts
 * of 50 in all, and one a second in bursts of 6 to each destination (by hash: destinations that
 * share a bucket share the right to it). "Fragmentation needed" is never held back from a
 * destination, because connections hang without it.
 */
#define ICMP_LIMIT_RATE 1000u
#define ICMP_LIMIT_BURST 50u
#define ICMP_LIMIT_PEER_BURST 6u
#define ICMP_LIMIT_PEER_NS 1000000000ull /* for one token */
#define ICMP_LIMIT_PEERS 1024u

struct icmp_bucket {
	uint64_t filled_ns;
	uint32_t tokens;
};

struct icmp_limit {
	struct icmp_bucket all;
	struct icmp_bucket peer[ICMP_LIMIT_PEERS];
};

/* To ourselves, about a packet of ours (l3 set) that did not get out: it comes by the loopback, as
 * any other. False: it is none that may be answered, or there is no buffer. Does not take p. */
bool icmp_send_self(struct worker *w, const struct pkt *p, uint8_t type, uint8_t code);

void icmp_limit_init(struct icmp_limit *limit, uint64_t now_ns);

#endif
