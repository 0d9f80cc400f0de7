/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TAP's statistics: ours, and what the kernel counts on its side of the cable, asked for by
 * RTM_GETLINK (the files of /sys/class/net may be of another network namespace). A frame that the
 * kernel could not put into the queue that we read from is its tx_dropped: to us, one that the
 * receive ring had no room for.
 */
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dev/tap.h"

#define ANSWER_BYTES 8192u

/* rtnl_link_stats64 and the queue's length out of the attributes; false: they are not there. */
static bool take_attributes(const struct nlmsghdr *h, struct tap_kernel *k)
{
	struct rtnl_link_stats64 s;
	const struct rtattr *a;
	int left = (int)IFLA_PAYLOAD(h);
	bool found = false;

	for (a = IFLA_RTA(NLMSG_DATA(h)); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_TXQLEN && RTA_PAYLOAD(a) >= sizeof(k->txqueuelen))
			memcpy(&k->txqueuelen, RTA_DATA(a), sizeof(k->txqueuelen));
		if (a->rta_type != IFLA_STATS64)
			continue;
		memset(&s, 0, sizeof(s));
		memcpy(&s, RTA_DATA(a), RTE_MIN(sizeof(s), (size_t)RTA_PAYLOAD(a)));
		k->rx_packets = s.rx_packets;
		k->tx_packets = s.tx_packets;
		k->rx_dropped = s.rx_dropped;
		k->tx_dropped = s.tx_dropped;
		k->rx_errors = s.rx_errors;
		k->tx_errors = s.tx_errors;
		found = true;
	}
	return found;
}

/* The kernel answers while we ask, so nothing is waited for. */
static bool ask(const struct tap *tap, struct tap_kernel *k)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg info;
	} request = {
		.h = { .nlmsg_len = sizeof(request),
		       .nlmsg_type = RTM_GETLINK,
		       .nlmsg_flags = NLM_F_REQUEST },
		.info = { .ifi_family = AF_UNSPEC, .ifi_index = tap->ifindex },
	};
	char answer[ANSWER_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *h = (const struct nlmsghdr *)(void *)answer;
	ssize_t n;

	memset(k, 0, sizeof(*k));
	if (tap->netlink < 0 || send(tap->netlink, &request, sizeof(request), 0) < 0)
		return false;
	n = recv(tap->netlink, answer, sizeof(answer), MSG_DONTWAIT);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct ifinfomsg)) || !NLMSG_OK(h, (size_t)n) ||
	    h->nlmsg_type != RTM_NEWLINK)
		return false;
	return take_attributes(h, k);
}

void tap_kernel_open(struct tap *tap)
{
	struct ifreq ifr = { 0 };

	tap->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (tap->netlink < 0)
		return;
	memcpy(ifr.ifr_name, tap->ifname, sizeof(ifr.ifr_name));
	if (ioctl(tap->netlink, SIOCGIFINDEX, &ifr) == 0)
		tap->ifindex = ifr.ifr_ifindex;
	if (!tap->ifindex || !ask(tap, &tap->begin))
		tap_kernel_close(tap);
}

void tap_kernel_close(struct tap *tap)
{
	if (tap->netlink >= 0)
		close(tap->netlink);
	tap->netlink = -1;
}

bool tap_kernel_stats(const struct tap *tap, struct tap_kernel *k)
{
	if (!ask(tap, k))
		return false;
	k->rx_packets -= tap->begin.rx_packets;
	k->tx_packets -= tap->begin.tx_packets;
	k->rx_dropped -= tap->begin.rx_dropped;
	k->tx_dropped -= tap->begin.tx_dropped;
	k->rx_errors -= tap->begin.rx_errors;
	k->tx_errors -= tap->begin.tx_errors;
	return true;
}

/* The kernel counts a frame when we read it, and we when it is in: between the two it waits. */
static void add_kernel(const struct tap_kernel *k, struct port_stats *s)
{
	uint64_t ours = s->rx_packets + s->rx_errors;

	s->rx_missed = k->tx_dropped;
	s->rx_waiting = k->tx_packets > ours ? k->tx_packets - ours : 0;
	s->rx_seen = k->tx_packets + k->tx_dropped;
	/* What it refused at once it counts too, and so do we: those have their drop. */
	s->tx_lost = k->rx_dropped > s->tx_errors ? k->rx_dropped - s->tx_errors : 0;
}

void tap_stats(struct port *port, struct port_stats *stats)
{
	const struct tap *tap = port->driver;
	const struct tap_queue *q = tap->queue;
	struct tap_kernel k;

	for (uint16_t i = 0; i < port->queues; i++, q++) {
		stats->rx_packets += port_counted(&q->rx_packets);
		stats->rx_bytes += port_counted(&q->rx_bytes);
		stats->tx_packets += port_counted(&q->tx_packets);
		stats->tx_bytes += port_counted(&q->tx_bytes);
		stats->rx_errors += port_counted(&q->rx_errors);
		stats->rx_nombuf += port_counted(&q->rx_nombuf);
		stats->tx_errors += port_counted(&q->tx_errors);
	}
	if (tap_kernel_stats(tap, &k))
		add_kernel(&k, stats);
}

void tap_counters(struct port *port, port_counter_fn each, void *arg)
{
	const struct tap *tap = port->driver;
	uint64_t bad_header = 0, read_errors = 0;
	struct tap_kernel k;
	char name[48];

	for (uint16_t i = 0; i < port->queues; i++) {
		const struct tap_queue *q = &tap->queue[i];

		snprintf(name, sizeof(name), "rx_queue_%u_packets", i);
		each(arg, name, port_counted(&q->rx_packets));
		snprintf(name, sizeof(name), "tx_queue_%u_packets", i);
		each(arg, name, port_counted(&q->tx_packets));
		bad_header += port_counted(&q->rx_bad_header);
		read_errors += port_counted(&q->rx_read_errors);
	}
	each(arg, "rx_bad_offload_header", bad_header);
	each(arg, "rx_read_errors", read_errors);
	if (!tap_kernel_stats(tap, &k))
		return;
	each(arg, "kernel_rx_packets", k.rx_packets);
	each(arg, "kernel_tx_packets", k.tx_packets);
	each(arg, "kernel_rx_dropped", k.rx_dropped);
	each(arg, "kernel_tx_dropped", k.tx_dropped);
	each(arg, "kernel_rx_errors", k.rx_errors);
	each(arg, "kernel_tx_errors", k.tx_errors);
}

void tap_about(struct port *port, struct port_about *about)
{
	const struct tap *tap = port->driver;
	struct tap_kernel k;

	strcpy(about->driver, "tun");
	strcpy(about->bus, "tap");
	about->full_duplex = true;
	about->copper = true;
	about->rx_csum = tap->offload;
	if (tap_kernel_stats(tap, &k))
		about->rx_ring = k.txqueuelen;
}
