/* SPDX-License-Identifier: BSD-3-Clause */
/* RTM_GETROUTE: the routing table, and the way to one address. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "inet/state.h"
#include "netlink/rtnetlink.h"

#define IP4_LENGTHS 33u

static uint32_t source_of(const struct rtnl *r, const struct route *route)
{
	const struct inet *inet = r->worker[0]->inet;
	uint32_t prefix = route->len == ROUTE_IP4_BITS ? 0 : ipaddr_ip4(&route->prefix);
	const struct inet_addr *a = inet_addr_onlink(inet, route->ifindex, prefix);

	return a ? a->ip_be : 0;
}

static bool put_route(const struct rtnl *r, const struct route *route, const struct rtnl_dump *d,
		      struct nl_buf *b)
{
	bool on_link = ipaddr_is_any(&route->gateway);
	struct rtmsg *info =
		nl_begin(b, RTM_NEWROUTE, NLM_F_MULTI, d->seq, d->portid, sizeof(*info));

	info->rtm_family = AF_INET;
	info->rtm_dst_len = (uint8_t)(route->len - ROUTE_IP4_BITS);
	info->rtm_table = RT_TABLE_MAIN;
	info->rtm_protocol = route->connected ? RTPROT_KERNEL : RTPROT_STATIC;
	info->rtm_scope = on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	info->rtm_type = RTN_UNICAST;
	nl_put_u32(b, RTA_TABLE, RT_TABLE_MAIN);
	if (info->rtm_dst_len)
		nl_put_u32(b, RTA_DST, ipaddr_ip4(&route->prefix));
	if (!on_link)
		nl_put_u32(b, RTA_GATEWAY, ipaddr_ip4(&route->gateway));
	else if (source_of(r, route))
		nl_put_u32(b, RTA_PREFSRC, source_of(r, route));
	nl_put_u32(b, RTA_OIF, route->ifindex);
	return nl_end(b);
}

/* Shorter prefixes first, as people expect the default route to be: the table is walked once for
 * each length that occurs. */
bool rtnl_routes(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b)
{
	const struct route_table *t = &r->worker[0]->inet->routes;

	if ((d->family != AF_UNSPEC && d->family != AF_INET) || t->slot_count == 0)
		return true;
	for (uint64_t end = (uint64_t)IP4_LENGTHS * t->slot_count; d->at < end; d->at++) {
		unsigned int len = ROUTE_IP4_BITS + (unsigned int)(d->at / t->slot_count);
		const struct route *route = &t->slots[d->at % t->slot_count];

		if (t->lengths[len] == 0) {
			d->at += t->slot_count - 1;
			continue;
		}
		if (route->used && route->len == len && route->ifindex != IFINDEX_LOOP &&
		    !put_route(r, route, d, b))
			return false;
	}
	return true;
}

int rtnl_route_one(const struct rtnl *r, const struct nlmsghdr *msg, uint32_t portid,
		   struct nl_buf *b)
{
	const struct rtmsg *asked = nl_fixed(msg, sizeof(*asked));
	struct ip_flow flow = { .broadcast_ok = true };
	/* The last attribute, as Linux has it; nmap does not look at the last one, and needs the
	 * source. */
	const struct rta_cacheinfo cache = { 0 };
	const struct route *route;
	const uint8_t *dst;
	struct rtmsg *info;
	uint32_t ip_be;
	size_t len;
	int err;

	if (!asked || asked->rtm_family != AF_INET)
		return asked ? -EAFNOSUPPORT : -EINVAL;
	dst = nl_attr(msg, sizeof(*asked), RTA_DST, &len);
	if (!dst || len != sizeof(ip_be))
		return -EINVAL;
	memcpy(&ip_be, dst, sizeof(ip_be));
	flow.dst = ipaddr_from_ip4(ip_be);
	err = ip_flow_route(r->worker[0], &flow);
	if (err)
		return err;
	route = route_lookup(&r->worker[0]->inet->routes, &flow.dst);
	info = nl_begin(b, RTM_NEWROUTE, 0, msg->nlmsg_seq, portid, sizeof(*info));
	info->rtm_family = AF_INET;
	info->rtm_dst_len = 32;
	info->rtm_table = RT_TABLE_MAIN;
	info->rtm_scope = RT_SCOPE_UNIVERSE;
	info->rtm_type = flow.ifindex == IFINDEX_LOOP ? RTN_LOCAL : RTN_UNICAST;
	info->rtm_flags = RTM_F_CLONED;
	nl_put_u32(b, RTA_TABLE, RT_TABLE_MAIN);
	nl_put_u32(b, RTA_DST, ip_be);
	if (route && flow.ifindex == route->ifindex && !ipaddr_is_any(&route->gateway))
		nl_put_u32(b, RTA_GATEWAY, ipaddr_ip4(&route->gateway));
	nl_put_u32(b, RTA_OIF, flow.ifindex);
	nl_put_u32(b, RTA_PREFSRC, ipaddr_ip4(&flow.src));
	nl_put(b, RTA_CACHEINFO, &cache, sizeof(cache));
	return nl_end(b) ? 0 : -EMSGSIZE;
}
