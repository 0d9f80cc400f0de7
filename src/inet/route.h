/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The routing table: longest prefix match over both families (IPv4 prefixes are held as IPv4-mapped
 * IPv6 ones, 96 bits longer).
 *
 * One hash table holds every (prefix, length); a bitmap says which lengths occur, so a look-up
 * tries only those, the longest first: two or three probes for a host, a few more for a router.
 * Flows cache what they found, so this runs once a flow. It grows with what is configured (no
 * packet can).
 */
#ifndef WEIR_INET_ROUTE_H
#define WEIR_INET_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/ipaddr.h"

#define ROUTE_MAX (1u << 20)
#define ROUTE_IP4_BITS 96u /* an IPv4 prefix is so much longer here */

struct route {
	struct ipaddr prefix;
	struct ipaddr gateway; /* any: on the link */
	uint8_t len;	       /* in bits of 128; with `used` the key */
	uint8_t ifindex;
	bool used;
	bool connected; /* came with an address */
};

struct route_table {
	struct route *slots; /* power of two, at most half full */
	uint32_t slot_count;
	uint32_t count;
	uint32_t lengths[129]; /* routes of each length */
	uint64_t present[3];   /* one bit a length that occurs */
};

int route_init(struct route_table *t); /* 0 or -ENOMEM */
void route_free(struct route_table *t);

/* prefix_len counts the family's own bits. -EEXIST, -EINVAL, -ENOMEM, -ENOSPC. */
int route_add(struct route_table *t, const struct ipaddr *prefix, unsigned int prefix_len,
	      const struct ipaddr *gateway, unsigned int ifindex, bool connected);

/* -ESRCH. connected: whether to take one that came with an address, or one that did not. */
int route_del(struct route_table *t, const struct ipaddr *prefix, unsigned int prefix_len,
	      bool connected);

/* The best route, or NULL. Valid until the table changes. */
const struct route *route_lookup(const struct route_table *t, const struct ipaddr *dst);

#endif
