/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4's stages, for src/inet only. Each takes the packets it is given. */
#ifndef WEIR_INET_IP4_H
#define WEIR_INET_IP4_H

#include "inet/inet.h"
#include "wire/ip4.h"

/* From eth_input(): l2 and l3 set, and nothing of the IP header checked. */
void ip4_input(struct worker *w, struct pkt **pkts, unsigned int n);

/* For us: checked, trimmed, l4 set. Reassembly, then to the transports. */
void ip4_local(struct worker *w, struct pkt **pkts, unsigned int n);

/* For somebody else, and forwarding is on. */
void ip4_forward(struct worker *w, struct pkt **pkts, unsigned int n);

/* Check the options behind a header (RFC 791 section 3.1). 0, or the DROP_* reason, and in *at the
 * offset of what is wrong. */
unsigned int ip4_options_check(const uint8_t *header, unsigned int header_len, unsigned int *at);

/*
 * Cut p (first byte: its IP header, l3 and l4 set) into fragments of mtu_bytes at most and send
 * them along the flow. 0, or the errno of the first that could not be sent.
 */
int frag_output(struct worker *w, struct pkt *p, const struct ip_flow *flow,
		unsigned int mtu_bytes);

/* The last step out of IP: to the neighbour, or to the loop port. */
int ip4_finish(struct worker *w, struct pkt *p, const struct ip_flow *flow);

/* The id of the next packet without DF between two hosts (RFC 6864). */
uint16_t ip4_next_id(struct worker *w, uint32_t src_be, uint32_t dst_be, uint8_t proto);

/* Write the sum into an IPv4 header whose checksum field may hold anything. */
void ip4_csum_fill(struct ip4_hdr *h, unsigned int header_len);

#endif
