/* SPDX-License-Identifier: BSD-3-Clause */
/* RTM_GETADDR: our addresses. */
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "inet/state.h"
#include "netlink/rtnetlink.h"

static bool put_addr(const struct rtnl *r, const struct inet_addr *a, const struct rtnl_dump *d,
		     struct nl_buf *b)
{
	const struct ifa_cacheinfo forever = { .ifa_prefered = UINT32_MAX,
					       .ifa_valid = UINT32_MAX };
	struct port *port = inet_netif_port(r->worker[0], a->ifindex);
	uint32_t broadcast = a->ip_be | ~a->mask_be;
	struct ifaddrmsg *info =
		nl_begin(b, RTM_NEWADDR, NLM_F_MULTI, d->seq, d->portid, sizeof(*info));

	info->ifa_family = AF_INET;
	info->ifa_prefixlen = a->prefix_len;
	info->ifa_flags = IFA_F_PERMANENT;
	info->ifa_scope = a->ifindex == IFINDEX_LOOP ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	info->ifa_index = a->ifindex;
	nl_put_u32(b, IFA_ADDRESS, a->ip_be);
	nl_put_u32(b, IFA_LOCAL, a->ip_be);
	if (a->prefix_len < 31 && a->ifindex != IFINDEX_LOOP)
		nl_put_u32(b, IFA_BROADCAST, broadcast);
	nl_put_text(b, IFA_LABEL, port ? port->name : "");
	nl_put_u32(b, IFA_FLAGS, IFA_F_PERMANENT);
	nl_put(b, IFA_CACHEINFO, &forever, sizeof(forever));
	return nl_end(b);
}

bool rtnl_addrs(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b)
{
	const struct inet *inet = r->worker[0]->inet;

	if (d->family != AF_UNSPEC && d->family != AF_INET)
		return true;
	for (; d->at < inet->addr_count; d->at++) {
		const struct inet_addr *a = &inet->addr[d->at];

		if (ipaddr_is_ip4(&a->addr) && !put_addr(r, a, d, b))
			return false;
	}
	return true;
}
