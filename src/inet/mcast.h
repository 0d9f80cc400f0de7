/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv4 multicast as a host receives it: which sockets are in which groups with which source
 * filters, and what that comes to on each interface (RFC 3376 section 3). igmp.h tells routers of
 * it.
 *
 * A member is one (socket, interface, group). Each group of an interface has the list of its
 * members and the interface's own filter, made from theirs: excluding what all that exclude
 * something exclude, and nobody includes; or including what anybody includes. Everything is
 * bounded, with Linux's figures for a socket. IPv6 would have groups of its own beside these.
 *
 * Threads: the worker's. Memory is allocated by joining alone.
 */
#ifndef WEIR_INET_MCAST_H
#define WEIR_INET_MCAST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/timer.h"
#include "core/worker.h"

struct netif;

#define MCAST_BUCKETS 256u
#define MCAST_GROUPS_MAX 1024u	  /* of a worker */
#define MCAST_MEMBERSHIPS_MAX 20u /* of a socket [igmp_max_memberships] */
#define MCAST_SOURCES_MAX 10u	  /* of a member [igmp_max_msf] */
#define MCAST_GROUP_SOURCES 64u	  /* of an interface's filter; with more all are let in */

/* Who may send: all but the sources, or these alone. */
struct mcast_filter {
	bool exclude;
	uint16_t count;
	uint32_t source_be[MCAST_GROUP_SOURCES];
};

struct mcast_member {
	struct mcast_member *socket_next;
	struct mcast_member *next; /* of its group */
	struct mcast_group *group;
	uint32_t address_be; /* by which the interface was named, 0: it was not */
	bool exclude;
	uint8_t count;
	uint32_t source_be[MCAST_SOURCES_MAX];
};

struct mcast_group {
	struct mcast_group *next, **pprev; /* of its bucket */
	uint32_t group_be;
	uint8_t ifindex;
	unsigned int member_count;
	struct mcast_member *members; /* none: it is left, and IGMP still says so */
	struct mcast_filter filter;   /* the interface's */
	/* igmp's own */
	struct mcast_filter told; /* what was told before the changes that are being repeated */
	struct timer repeat;	  /* of the last change */
	uint8_t repeats_left;
	bool mode_changed;    /* since told */
	struct timer answer;  /* to a query about this group */
	bool last_reporter;   /* version 2: nobody else answered after us */
	uint16_t asked_count; /* sources that the query was about; 0: all */
	uint32_t asked_be[MCAST_GROUP_SOURCES];
	struct worker *w;
};

struct mcast_table {
	struct mcast_group *buckets[MCAST_BUCKETS];
	unsigned int group_count;
};

/* What a program asks for, with Linux's errors. */
struct mcast_request {
	uint32_t group_be;
	uint32_t address_be; /* of the interface, where ifindex is 0; 0: as the route says */
	uint32_t ifindex;
	uint32_t source_be;
};

void mcast_free(struct worker *w); /* after the sockets */

/* list: of the socket. -EINVAL (no group), -ENODEV, -EADDRINUSE (is in it), -ENOBUFS;
 * -EADDRNOTAVAIL (is not in it). */
int mcast_join(struct worker *w, struct mcast_member **list, const struct mcast_request *r,
	       bool exclude);
int mcast_leave(struct worker *w, struct mcast_member **list, const struct mcast_request *r);
void mcast_leave_all(struct worker *w, struct mcast_member **list);

/* Add a source to (take it from) a member's filter of the mode: IP_BLOCK_SOURCE & co. */
int mcast_source(struct worker *w, struct mcast_member **list, const struct mcast_request *r,
		 bool exclude, bool add);

/* Replace a member's filter: IP_MSFILTER, MCAST_MSFILTER. */
int mcast_filter_set(struct worker *w, struct mcast_member **list, const struct mcast_request *r,
		     bool exclude, const uint32_t *source_be, unsigned int count);

/* The member that a request is about, as it is. */
int mcast_filter_get(struct worker *w, struct mcast_member *list, const struct mcast_request *r,
		     const struct mcast_member **member);

/* The same memberships for another socket of this or another worker: a shard. 0 or -errno. */
int mcast_copy(struct worker *w, struct mcast_member **to, const struct mcast_member *from);

/* The interface that a request means; NULL where there is none. */
struct netif *mcast_netif(struct worker *w, const struct mcast_request *r);

unsigned int mcast_ifindex(const struct netif *netif);

struct mcast_group *mcast_group_find(struct worker *w, unsigned int ifindex, uint32_t group_be);

/* A group that nobody is in, and of which nothing is left to be said, is freed. */
void mcast_group_settle(struct worker *w, struct mcast_group *g);

/* May a packet for the group come in by the interface? 0, or the DROP_* reason. */
unsigned int mcast_check(struct worker *w, unsigned int ifindex, uint32_t group_be,
			 uint32_t source_be);

/* Does a socket want it? all: IP_MULTICAST_ALL, which decides for groups it is not in. */
bool mcast_wanted(const struct mcast_member *list, bool all, unsigned int ifindex,
		  uint32_t group_be, uint32_t source_be);

#endif
