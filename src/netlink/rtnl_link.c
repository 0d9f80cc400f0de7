/* SPDX-License-Identifier: BSD-3-Clause */
/* RTM_GETLINK: ports. */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "inet/inet.h"
#include "netlink/rtnetlink.h"

#define ETHERNET_TXQLEN 1000u

static void put_stats(struct nl_buf *b, struct port *port)
{
	struct rtnl_link_stats64 all = { 0 };
	struct rtnl_link_stats few = { 0 };
	struct port_stats s = { 0 };

	port_stats(port, &s);
	all.rx_packets = s.rx_packets;
	all.tx_packets = s.tx_packets;
	all.rx_bytes = s.rx_bytes;
	all.tx_bytes = s.tx_bytes;
	all.rx_errors = s.rx_errors + s.rx_crc;
	all.tx_errors = s.tx_errors + s.tx_lost;
	all.rx_dropped = s.rx_nombuf;
	all.rx_missed_errors = s.rx_missed;
	few.rx_packets = (uint32_t)s.rx_packets;
	few.tx_packets = (uint32_t)s.tx_packets;
	few.rx_bytes = (uint32_t)s.rx_bytes;
	few.tx_bytes = (uint32_t)s.tx_bytes;
	few.rx_errors = (uint32_t)(s.rx_errors + s.rx_crc);
	few.tx_errors = (uint32_t)(s.tx_errors + s.tx_lost);
	few.rx_dropped = (uint32_t)s.rx_nombuf;
	few.rx_missed_errors = (uint32_t)s.rx_missed;
	nl_put(b, IFLA_STATS64, &all, sizeof(all));
	nl_put(b, IFLA_STATS, &few, sizeof(few));
}

static bool put_link(struct nl_buf *b, struct port *port, unsigned int ifindex, uint16_t flags,
		     uint32_t seq, uint32_t portid)
{
	static const uint8_t none[6], all_ones[6] = { 255, 255, 255, 255, 255, 255 };
	bool loop = port->caps & PORT_CAP_LOOP;
	struct ifinfomsg *info = nl_begin(b, RTM_NEWLINK, flags, seq, portid, sizeof(*info));

	info->ifi_type = loop ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
	info->ifi_index = (int)ifindex;
	info->ifi_flags = IFF_UP | (loop ? IFF_LOOPBACK : IFF_BROADCAST | IFF_MULTICAST);
	if (port->up || loop)
		info->ifi_flags |= IFF_RUNNING | IFF_LOWER_UP;
	nl_put_text(b, IFLA_IFNAME, port->name);
	nl_put_u32(b, IFLA_TXQLEN, ETHERNET_TXQLEN);
	/* RFC 2863: unknown for the loopback, as Linux says it */
	nl_put_u8(b, IFLA_OPERSTATE, loop ? IF_OPER_UNKNOWN : port->up ? IF_OPER_UP : IF_OPER_DOWN);
	nl_put_u8(b, IFLA_LINKMODE, 0);
	nl_put_u32(b, IFLA_MTU, port->mtu_bytes);
	nl_put_u32(b, IFLA_GROUP, 0);
	nl_put_u32(b, IFLA_PROMISCUITY, 0);
	nl_put_u32(b, IFLA_NUM_TX_QUEUES, port->queues);
	nl_put_u32(b, IFLA_NUM_RX_QUEUES, port->queues);
	nl_put_u8(b, IFLA_CARRIER, port->up || loop);
	nl_put_text(b, IFLA_QDISC, "noqueue");
	nl_put(b, IFLA_ADDRESS, loop ? none : port->mac, sizeof(port->mac));
	nl_put(b, IFLA_BROADCAST, loop ? none : all_ones, sizeof(all_ones));
	put_stats(b, port);
	return nl_end(b);
}

bool rtnl_links(const struct rtnl *r, struct rtnl_dump *d, struct nl_buf *b)
{
	for (; d->at < INET_MAX_IF; d->at++) {
		unsigned int ifindex = (unsigned int)d->at + 1;
		struct port *port = inet_netif_port(r->worker[0], ifindex);

		if (port && !put_link(b, port, ifindex, NLM_F_MULTI, d->seq, d->portid))
			return false;
	}
	return true;
}

static unsigned int ifindex_of(const struct rtnl *r, const struct nlmsghdr *msg)
{
	const struct ifinfomsg *info = nl_fixed(msg, sizeof(*info));
	char text[PORT_NAME_BYTES] = "";
	const char *name;
	size_t len;

	if (!info)
		return 0;
	if (info->ifi_index)
		return info->ifi_index > 0 ? (unsigned int)info->ifi_index : 0;
	name = nl_attr(msg, sizeof(*info), IFLA_IFNAME, &len);
	len = name ? strnlen(name, len) : 0;
	if (len == 0 || len >= sizeof(text))
		return 0;
	memcpy(text, name, len);
	return inet_ifindex(r->worker[0], text);
}

int rtnl_link_one(const struct rtnl *r, const struct nlmsghdr *msg, uint32_t portid,
		  struct nl_buf *b)
{
	unsigned int ifindex = ifindex_of(r, msg);
	struct port *port = inet_netif_port(r->worker[0], ifindex);

	if (!port)
		return -ENODEV;
	return put_link(b, port, ifindex, 0, msg->nlmsg_seq, portid) ? 0 : -EMSGSIZE;
}
