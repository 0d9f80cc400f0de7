/* SPDX-License-Identifier: BSD-3-Clause */
#include "netlink/rtnetlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "inet/state.h"

typedef int (*one_fn)(const struct rtnl *r, const struct nlmsghdr *msg, uint32_t portid,
		      struct nl_buf *b);
typedef bool (*more_fn)(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b);

static const struct {
	uint16_t type;
	more_fn dump;
	one_fn one;
} table[] = {
	{ RTM_GETLINK, rtnl_links, rtnl_link_one },
	{ RTM_GETADDR, rtnl_addrs, NULL },
	{ RTM_GETROUTE, rtnl_routes, rtnl_route_one },
	{ RTM_GETNEIGH, rtnl_neighs, NULL },
	{ RTM_GETRULE, rtnl_rules, NULL },
};

static uint32_t generation(const struct rtnl *r)
{
	return r->worker[0]->inet->generation;
}

static void dump_begin(const struct rtnl *r, const struct nlmsghdr *msg, uint32_t portid,
		       more_fn more, struct rtnl_dump *d)
{
	/* Programs send struct rtgenmsg, a byte, where a longer part would belong. */
	const uint8_t *family = nl_fixed(msg, 1);

	memset(d, 0, sizeof(*d));
	d->more = more;
	d->family = family ? *family : 0;
	d->seq = msg->nlmsg_seq;
	d->portid = portid;
	d->generation = generation(r);
}

static int unknown(const struct nlmsghdr *msg, const char **text)
{
	/* Of each object there are four: new, del, get, set; only `get` asks. */
	bool asks = msg->nlmsg_type < RTM_BASE || ((msg->nlmsg_type - RTM_BASE) & 3) == 2;

	*text = asks ? "weir does not answer this question"
		     : "weir's network is set up by weird's options, not by its programs";
	return asks ? -EOPNOTSUPP : -EPERM;
}

void rtnl_request(const struct rtnl *r, const struct nlmsghdr *msg, uint32_t portid,
		  struct nl_buf *b, struct rtnl_dump *d)
{
	bool wants_all = (msg->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	const char *text = NULL;
	int err;

	if (!(msg->nlmsg_flags & NLM_F_REQUEST) || msg->nlmsg_type < NLMSG_MIN_TYPE) {
		if (msg->nlmsg_flags & NLM_F_ACK)
			nl_error(b, msg, portid, 0, NULL);
		return;
	}
	err = unknown(msg, &text);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].type != msg->nlmsg_type || (!wants_all && !table[i].one))
			continue;
		text = NULL;
		err = 0;
		if (!wants_all)
			err = table[i].one(r, msg, portid, b);
		else if (rtnl_dumping(d))
			err = -EBUSY;
		else
			dump_begin(r, msg, portid, table[i].dump, d);
	}
	/* A dump's end is its acknowledgement. */
	if (err || ((msg->nlmsg_flags & NLM_F_ACK) && !wants_all))
		nl_error(b, msg, portid, err, text);
}

void rtnl_dump(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b)
{
	uint16_t changed = d->generation != generation(r) ? NLM_F_DUMP_INTR : 0;

	if (d->more(r, d, b) && nl_done(b, d->seq, d->portid, changed))
		d->more = NULL;
}

bool rtnl_rules(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b)
{
	return true; /* there is one table, and no rule */
}
