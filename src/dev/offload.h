/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In software what a port's hardware lacks: finishing checksums and cutting TCP super-segments.
 * Data path: no heap, buffers from the worker's pool. Threads: the packet's worker.
 */
#ifndef WEIR_DEV_OFFLOAD_H
#define WEIR_DEV_OFFLOAD_H

#include <stdbool.h>

#include "core/worker.h"

/*
 * Finish a PKT_F_CSUM_PARTIAL checksum: the sum from l4 to the packet's end goes to l4 + csum_at,
 * and the flag is cleared. A packet without the flag stays as it is. False where the offsets do not
 * lie in the packet's first segment (the packet is unchanged).
 */
bool offload_csum_finish(struct pkt *p);

/*
 * Cut a PKT_F_GSO_TCP4 packet (l3, l4 set) into segments of gso_size payload bytes, linked by
 * ->next in order; the first is p itself, the others are packets of ours (originated). Sequence
 * numbers, IP identification and lengths go on; FIN and PSH only on the last, CWR only on the first
 * (RFC 3168 section 6.1.2). Each has a right IP header checksum and a TCP checksum that is partial.
 * p was not changed on errors: -ENOMEM, or -EINVAL (not TCP over IPv4 as its offsets say; no
 * gso_size).
 */
int offload_tso4(struct worker *w, struct pkt *p);

/*
 * A received frame (l2 set) that may be larger than the wire's MTU: set l3, l4, PKT_F_GSO_TCP4 and
 * gso_size where it is TCP over IPv4 and longer than one segment of mtu_bytes.
 */
void offload_mark_gso(struct pkt *p, uint16_t mtu_bytes);

/*
 * Find l3, l4 and the TCP or UDP checksum (csum_at) of a received IPv4 frame that is no fragment
 * (l2 set). False where it is something else.
 */
bool offload_find_l4(struct pkt *p, uint8_t *proto);

#endif
