/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rtnetlink(7), as far as it is for reading: links, addresses, routes and neighbours, so that a
 * program on weir sees weir's network where it asks the kernel for its own (libc's getaddrinfo(),
 * Go's net package, dnsmasq, ip). What would change something is refused with words.
 *
 * One request is answered at once (rtnl_request), or begins a dump, which goes on datagram by
 * datagram as the program reads (rtnl_dump). Requests are hostile input.
 * Threads: the control thread; with neighbours and routes in question while workers are parked.
 */
#ifndef WEIR_NETLINK_RTNETLINK_H
#define WEIR_NETLINK_RTNETLINK_H

#include "core/worker.h"
#include "netlink/nlmsg.h"

struct rtnl {
	struct worker *const *worker;
	unsigned int worker_count;
};

/* A dump that was begun; zeroed: none. */
struct rtnl_dump {
	bool (*more)(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b);
	uint8_t family;
	uint32_t seq, portid;
	uint32_t generation; /* of routes and addresses, when it began */
	uint64_t at;	     /* the part's own: where it goes on */
};

/*
 * Answer one message of a program whose port is portid: into b (which is empty), or by beginning
 * the dump d (where none is going on). An acknowledgement where it is asked for.
 */
void rtnl_request(const struct rtnl *r, const struct nlmsghdr *msg, uint32_t portid,
		  struct nl_buf *b, struct rtnl_dump *d);

static inline bool rtnl_dumping(const struct rtnl_dump *d)
{
	return d->more != NULL;
}

/* The next datagram of a dump, into b (which is empty). The last one ends it. */
void rtnl_dump(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b);

/*
 * The parts: add what comes next to b. True: all was said. Each leaves d->at where a message did
 * not fit. The _one functions answer a question about one; 0 or a negative errno.
 */
bool rtnl_links(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b);
bool rtnl_addrs(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b);
bool rtnl_routes(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b);
bool rtnl_neighs(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b);
bool rtnl_rules(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b);
int rtnl_link_one(const struct rtnl *r, const struct nlmsghdr *msg, uint32_t portid,
		  struct nl_buf *b);
int rtnl_route_one(const struct rtnl *r, const struct nlmsghdr *msg, uint32_t portid,
		   struct nl_buf *b);

#endif
