/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose packet it is, by its bytes: as far as they go, hostile as they are.
 * Threads: any.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_FLOW_H
#define WEIR_BIN_WEIR_DROPWATCH_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow {
	uint16_t protocol; /* EtherType, host order; 0: not known */
	bool ip4;	   /* then: */
	bool ports;	   /* there are some: TCP or UDP, and not a later fragment */
	uint8_t ip_proto;
	uint32_t src_be, dst_be;
	uint16_t src_port, dst_port; /* host order */
};

/* ethernet: the bytes begin with a frame's header; else with an IP header. */
void flow_parse(const uint8_t *bytes, size_t len, bool ethernet, struct flow *flow);

#define FLOW_TEXT_BYTES 96

/* "udp 198.18.0.1:4000 > 198.18.0.2:53"; "" where nothing is known. Returns text. */
const char *flow_text(const struct flow *flow, char text[FLOW_TEXT_BYTES]);

#endif
