/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames in and out of a DPDK device. Buffers of received frames come from the worker's pool (the
 * driver takes them from there) and carry our private area; sent ones belong to the driver, which
 * frees them when it likes, so a packet is counted before the burst and uncounted where refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <rte_epoll.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_log.h>

#include "dev/dpdk.h"
#include "dev/offload.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/tcp.h"

/* What the device found out about the checksum. Known to be bad counts as not known: the stack
 * looks for itself, and drops the packet with the right reason. */
static void dpdk_rx_flags(struct pkt *p, uint64_t ol)
{
	uint64_t l4 = ol & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	uint8_t proto;

	if (likely(!l4))
		return;
	if (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD) {
		p->flags |= PKT_F_CSUM_OK;
	} else if (l4 == RTE_MBUF_F_RX_L4_CKSUM_NONE && offload_find_l4(p, &proto)) {
		/* A neighbour in memory (vhost, virtio) left it unfinished. */
		p->flags |= PKT_F_CSUM_OK | PKT_F_CSUM_PARTIAL;
	}
}

static uint16_t dpdk_rx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts,
			uint16_t n)
{
	struct dpdk *d = port->driver;
	uint16_t got = rte_eth_rx_burst(d->port_id, queue, (struct rte_mbuf **)pkts, n);

	if (!got)
		return 0;
	pkt_entered(w, pkts, got, port->ifindex);
	port_count(&d->queue[queue].rx_packets, got);
	for (uint16_t i = 0; i < got; i++)
		dpdk_rx_flags(pkts[i], pkts[i]->mbuf.ol_flags);
	return got;
}

/* Say in DPDK's words what the packet needs. False: cannot be said, do it in software. */
static bool dpdk_tx_flags(struct pkt *p)
{
	struct rte_mbuf *m = &p->mbuf;
	const struct ip4_hdr *ip = pkt_header(p, p->l3, IP4_HDR_BYTES);
	const struct tcp_hdr *tcp = pkt_header(p, p->l4, TCP_HDR_BYTES);

	if (!ip || ip4_version(ip) != 4 || p->l4 < p->l3 + IP4_HDR_BYTES)
		return false;
	m->l2_len = (uint64_t)(p->l3 - m->data_off) & 0x7f;
	m->l3_len = (uint64_t)(p->l4 - p->l3) & 0x1ff;
	m->ol_flags |= RTE_MBUF_F_TX_IPV4;
	if (p->flags & PKT_F_GSO_TCP4) {
		if (!tcp || !p->gso_size)
			return false;
		m->l4_len = tcp_hdr_bytes(tcp);
		m->tso_segsz = p->gso_size;
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM |
			       RTE_MBUF_F_TX_IP_CKSUM;
		return true;
	}
	if (ip->proto != IP_PROTO_TCP && ip->proto != IP_PROTO_UDP)
		return false;
	m->ol_flags |= ip->proto == IP_PROTO_TCP ? RTE_MBUF_F_TX_TCP_CKSUM
						 : RTE_MBUF_F_TX_UDP_CKSUM;
	return true;
}

/* Make one packet as the device wants it. False: it cannot take it. */
static bool dpdk_tx_prepare(const struct dpdk *d, struct pkt *p)
{
	struct rte_mbuf *m = &p->mbuf;

	m->ol_flags = 0; /* what reception left there */
	if (unlikely(m->nb_segs > 1) && !(d->tx_offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) &&
	    pkt_pull(p, pkt_len(p)))
		return false;
	if (!(p->flags & PKT_F_CSUM_PARTIAL))
		return true;
	if (dpdk_tx_flags(p) && rte_eth_tx_prepare(d->port_id, 0, &m, 1) == 1)
		return true;
	m->ol_flags = 0;
	return !(p->flags & PKT_F_GSO_TCP4) && offload_csum_finish(p);
}

/* Send those that are ready; returns how many the device took. */
static uint16_t dpdk_burst(struct worker *w, struct dpdk *d, uint16_t queue, struct pkt **pkts,
			   uint16_t n)
{
	uint16_t sent;

	for (uint16_t i = 0; i < n; i++)
		pkt_sent(w, pkts[i]);
	sent = rte_eth_tx_burst(d->port_id, queue, (struct rte_mbuf **)pkts, n);
	for (uint16_t i = sent; i < n; i++)
		pkt_sent_undo(w, pkts[i]);
	port_count(&d->queue[queue].tx_packets, sent);
	return sent;
}

static uint16_t dpdk_tx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts,
			uint16_t n)
{
	struct dpdk *d = port->driver;
	uint16_t from = 0, i, sent;

	for (i = 0; i < n; i++) {
		if (likely(!d->no_tx) && likely(dpdk_tx_prepare(d, pkts[i])))
			continue;
		/* Those before it go first. */
		sent = i > from ? dpdk_burst(w, d, queue, &pkts[from], (uint16_t)(i - from)) : 0;
		if (from + sent < i)
			return (uint16_t)(from + sent);
		port_count(&d->queue[queue].tx_errors, 1);
		pkt_drop(w, pkts[i], d->no_tx ? DROP_PORT_DOWN : DROP_PKT_TOO_BIG);
		from = (uint16_t)(i + 1);
	}
	if (from == n)
		return n;
	return (uint16_t)(from + dpdk_burst(w, d, queue, &pkts[from], (uint16_t)(n - from)));
}

/* Try a queue's interrupt for real: its descriptor, or -1. */
static int dpdk_open_interrupt(const struct dpdk *d, uint16_t queue)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -1;
	if (rte_eth_dev_rx_intr_ctl_q(d->port_id, queue, fd, RTE_INTR_EVENT_ADD, NULL))
		goto fail;
	if (rte_eth_dev_rx_intr_enable(d->port_id, queue)) {
		rte_eth_dev_rx_intr_ctl_q(d->port_id, queue, fd, RTE_INTR_EVENT_DEL, NULL);
		goto fail;
	}
	rte_eth_dev_rx_intr_disable(d->port_id, queue);
	return fd;
fail:
	close(fd);
	return -1;
}

/*
 * A queue's interrupt reaches us as an event on a descriptor of our own; EAL empties the device's.
 * Most virtual devices have none and ethdev would log that as an error: it is none.
 */
void dpdk_open_interrupts(struct port *port)
{
	struct dpdk *d = port->driver;
	int logtype = rte_log_register("lib.ethdev");
	int level = logtype >= 0 ? rte_log_get_level((uint32_t)logtype) : -1;
	bool all = true;

	if (level >= 0)
		rte_log_set_level((uint32_t)logtype, RTE_LOG_EMERG);
	for (uint16_t q = 0; q < port->queues; q++) {
		d->queue[q].epoll_fd = dpdk_open_interrupt(d, q);
		all &= d->queue[q].epoll_fd >= 0;
	}
	if (level >= 0)
		rte_log_set_level((uint32_t)logtype, (uint32_t)level);
	if (all)
		port->sleep_how = "interrupt";
}

static int dpdk_sleep_fd(struct port *port, uint16_t queue)
{
	int fd = ((struct dpdk *)port->driver)->queue[queue].epoll_fd;

	return fd >= 0 ? fd : -ENOTSUP;
}

static bool dpdk_arm(struct port *port, uint16_t queue, bool on)
{
	struct dpdk *d = port->driver;
	struct rte_epoll_event event;
	int fd = d->queue[queue].epoll_fd;

	if (fd < 0)
		return false;
	if (on) {
		if (rte_eth_dev_rx_intr_enable(d->port_id, queue))
			return true; /* not now (vhost without its peer): better awake than deaf */
		/* What came before the interrupt was on makes none. Not every driver can tell. */
		return rte_eth_rx_queue_count(d->port_id, queue) > 0;
	}
	rte_eth_dev_rx_intr_disable(d->port_id, queue);
	rte_epoll_wait(fd, &event, 1, 0);
	return false;
}

/* Frames that lie in a device which is only memory: count them in and out, or they leak. */
static void dpdk_drain(struct port *port)
{
	struct dpdk *d = port->driver;
	struct pkt *pkts[PORT_BURST];
	uint16_t n;

	for (uint16_t q = 0; q < port->queues; q++) {
		while ((n = dpdk_rx(d->worker[q], port, q, pkts, PORT_BURST))) {
			for (uint16_t i = 0; i < n; i++)
				pkt_drop(d->worker[q], pkts[i], DROP_PORT_DOWN);
		}
	}
}

static void dpdk_close(struct port *port)
{
	struct dpdk *d = port->driver;
	struct rte_eth_dev_info info;
	bool known = rte_eth_dev_info_get(d->port_id, &info) == 0;

	if (d->started && d->drain_at_close)
		dpdk_drain(port);
	for (uint16_t q = 0; q < port->queues; q++) {
		if (d->queue[q].epoll_fd < 0)
			continue;
		rte_eth_dev_rx_intr_ctl_q(d->port_id, q, d->queue[q].epoll_fd, RTE_INTR_EVENT_DEL,
					  NULL);
		close(d->queue[q].epoll_fd);
	}
	if (d->started)
		rte_eth_dev_stop(d->port_id);
	rte_eth_dev_close(d->port_id);
	if (known)
		rte_dev_remove(info.device);
	free(d->worker);
	free(d);
	free(port);
}

const struct port_ops dpdk_ops = {
	.type = "dpdk",
	.rx = dpdk_rx,
	.tx = dpdk_tx,
	.sleep_fd = dpdk_sleep_fd,
	.arm = dpdk_arm,
	.stats = dpdk_stats,
	.counters = dpdk_counters,
	.about = dpdk_about,
	.close = dpdk_close,
};
