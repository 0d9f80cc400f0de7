/* SPDX-License-Identifier: BSD-3-Clause */
/* RTM_GETNEIGH: neighbours. Each worker has its own; of one that several know the first is told. */
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "inet/state.h"
#include "netlink/rtnetlink.h"

static uint16_t nud_of(enum neigh_state state)
{
	static const uint16_t nud[NEIGH_STATE_MAX] = {
		[NEIGH_NONE] = NUD_NONE,	   [NEIGH_INCOMPLETE] = NUD_INCOMPLETE,
		[NEIGH_FAILED] = NUD_FAILED,	   [NEIGH_STALE] = NUD_STALE,
		[NEIGH_DELAY] = NUD_DELAY,	   [NEIGH_PROBE] = NUD_PROBE,
		[NEIGH_REACHABLE] = NUD_REACHABLE, [NEIGH_PERMANENT] = NUD_PERMANENT,
	};

	return state < NEIGH_STATE_MAX ? nud[state] : NUD_NONE;
}

static bool put_neigh(const struct neigh *n, const struct rtnl_dump *d, struct nl_buf *b)
{
	struct ndmsg *info =
		nl_begin(b, RTM_NEWNEIGH, NLM_F_MULTI, d->seq, d->portid, sizeof(*info));

	info->ndm_family = AF_INET;
	info->ndm_ifindex = n->ifindex;
	info->ndm_state = nud_of(n->state);
	info->ndm_type = RTN_UNICAST;
	nl_put_u32(b, NDA_DST, ipaddr_ip4(&n->addr));
	if (n->state >= NEIGH_STALE)
		nl_put(b, NDA_LLADDR, n->eth.dst, sizeof(n->eth.dst));
	return nl_end(b);
}

bool rtnl_neighs(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b)
{
	if (d->family != AF_UNSPEC && d->family != AF_INET)
		return true;
	for (; d->at < (uint64_t)r->worker_count * NEIGH_MAX; d->at++) {
		unsigned int worker = (unsigned int)(d->at / NEIGH_MAX);
		const struct neigh *n = &r->worker[worker]->inet->neighs.entries[d->at % NEIGH_MAX];

		if (neigh_listed(r->worker, worker, n) && !put_neigh(n, d, b))
			return false;
	}
	return true;
}
