/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Destinations that are known to be reachable. A datagram is put into a ring, and what is wrong
 * with it (no route, a broadcast without leave) would be found later; programs expect send() to
 * say it. So the engine is asked before the first datagram to each destination, and what it allowed
 * is remembered here, as well as who sent us something. If a route goes meanwhile, the error is
 * told by the next call, as of an ICMP error.
 *
 * A table of fingerprints, of the whole process; a newer one takes the place of an older one.
 */
#include "shim/shim.h"

#define KNOWN_SLOTS 1024u

static _Atomic uint64_t known[KNOWN_SLOTS];

static inline uint64_t mix(uint64_t x, uint64_t y)
{
	x = (x ^ y) * 0x9e3779b97f4a7c15u;
	return x ^ (x >> 29);
}

/* Of a destination, the source that was chosen, how long segments are, and the socket: never 0. */
static inline uint64_t fingerprint(const struct wsock *ws, const struct ipaddr *to,
				   const struct ipaddr *from, uint32_t ifindex, uint32_t segment)
{
	uint64_t part[2], x;

	memcpy(part, to->b, sizeof(part));
	x = mix(mix((uint64_t)ws->index << 32 | ws->gen, part[0]), part[1]);
	memcpy(part, from->b, sizeof(part));
	x = mix(mix(x, part[0]), part[1]);
	x = mix(x, (uint64_t)segment << 48 | (uint64_t)ifindex << 32 |
			   atomic_load_explicit(&ws->salt, memory_order_relaxed));
	return x | 1;
}

static inline _Atomic uint64_t *slot(uint64_t print)
{
	return &known[print >> 40 & (KNOWN_SLOTS - 1)];
}

/* What is sent in segments has to fit the path: the longest of them. 0: not in segments. */
static inline uint32_t longest(const struct abi_dgram *d)
{
	if (likely(!d->segment_bytes))
		return 0;
	return d->segment_bytes < d->len_bytes ? d->segment_bytes : d->len_bytes;
}

bool known_to(const struct wsock *ws, const struct abi_dgram *d)
{
	uint64_t print = fingerprint(ws, &d->addr, &d->local, d->ifindex, longest(d));

	return atomic_load_explicit(slot(print), memory_order_relaxed) == print;
}

static void remember(uint64_t print)
{
	if (atomic_load_explicit(slot(print), memory_order_relaxed) != print)
		atomic_store_explicit(slot(print), print, memory_order_relaxed);
}

void known_add(const struct wsock *ws, const struct abi_dgram *d)
{
	remember(fingerprint(ws, &d->addr, &d->local, d->ifindex, longest(d)));
}

/* An answer is possible; who asks for IP_PKTINFO will send it from there. */
void known_from(const struct wsock *ws, const struct abi_dgram *received)
{
	uint32_t opts = atomic_load_explicit(&ws->shm->recv_opts, memory_order_relaxed);
	struct ipaddr any = ipaddr_any();

	remember(fingerprint(ws, &received->addr, &any, 0, 0));
	if (!(opts & (ABI_R_PKTINFO | ABI_R_PKTINFO6)) || (received->flags & ABI_DGRAM_SPEC_DST))
		return;
	remember(fingerprint(ws, &received->addr, &received->local, 0, 0));
	remember(fingerprint(ws, &received->addr, &received->local, received->ifindex, 0));
}
