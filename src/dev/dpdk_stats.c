/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a DPDK device counts, but for packets, which we count ourselves: some forget when their peer
 * goes (memif). Its ipackets are frames that it has received: those that lie in its
 * ring yet are the difference to what we took. CRC errors are part of its errors, by a name that
 * differs from driver to driver.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_ethdev.h>

#include "dev/dpdk.h"

/* All extended statistics: names and values, the caller's to free; 0 where there are none. */
static int xstats_get(uint16_t id, struct rte_eth_xstat_name **names, struct rte_eth_xstat **values)
{
	int n = rte_eth_xstats_get_names(id, NULL, 0);

	*names = NULL;
	*values = NULL;
	if (n <= 0)
		return 0;
	*names = calloc((size_t)n, sizeof(**names));
	*values = calloc((size_t)n, sizeof(**values));
	if (!*names || !*values || rte_eth_xstats_get_names(id, *names, (unsigned int)n) != n ||
	    rte_eth_xstats_get(id, *values, (unsigned int)n) != n)
		return 0;
	return n;
}

static void each_xstat(uint16_t id, port_counter_fn each, void *arg)
{
	struct rte_eth_xstat_name *names;
	struct rte_eth_xstat *values;
	int n = xstats_get(id, &names, &values);

	for (int i = 0; i < n; i++) {
		if (values[i].id < (uint64_t)n)
			each(arg, names[values[i].id].name, values[i].value);
	}
	free(names);
	free(values);
}

/* rx_crc_errors (Intel), rx_phy_crc_errors (Mellanox), rx_fcs_err_frames (Broadcom)... */
static void find_crc(void *arg, const char *name, uint64_t value)
{
	if (strncmp(name, "rx_", 3) == 0 && (strstr(name, "crc_err") || strstr(name, "fcs_err")))
		*(uint64_t *)arg = value;
}

void dpdk_stats(struct port *port, struct port_stats *stats)
{
	const struct dpdk *d = port->driver;
	struct rte_eth_link link;
	struct rte_eth_stats s;

	/* A peer may have come or gone since (memif, vhost, a cable). */
	if (rte_eth_link_get_nowait(d->port_id, &link) == 0)
		port->up = link.link_status;
	for (uint16_t q = 0; q < port->queues; q++) {
		stats->rx_packets += port_counted(&d->queue[q].rx_packets);
		stats->tx_packets += port_counted(&d->queue[q].tx_packets);
		stats->tx_errors += port_counted(&d->queue[q].tx_errors);
	}
	if (rte_eth_stats_get(d->port_id, &s))
		return;
	stats->rx_bytes = s.ibytes;
	stats->tx_bytes = s.obytes;
	stats->rx_missed = s.imissed;
	if (s.ierrors)
		each_xstat(d->port_id, find_crc, &stats->rx_crc);
	stats->rx_errors = s.ierrors > stats->rx_crc ? s.ierrors - stats->rx_crc : 0;
	stats->rx_nombuf = s.rx_nombuf;
	stats->tx_lost = s.oerrors;
	if (s.ipackets > stats->rx_packets)
		stats->rx_waiting = s.ipackets - stats->rx_packets;
}

void dpdk_counters(struct port *port, port_counter_fn each, void *arg)
{
	const struct dpdk *d = port->driver;

	each_xstat(d->port_id, each, arg);
}

void dpdk_about(struct port *port, struct port_about *about)
{
	const struct dpdk *d = port->driver;
	struct rte_eth_dev_info info;
	struct rte_eth_link link;

	if (rte_eth_dev_info_get(d->port_id, &info) == 0) {
		snprintf(about->driver, sizeof(about->driver), "%s", info.driver_name);
		about->rx_ring_max = info.rx_desc_lim.nb_max;
		about->tx_ring_max = info.tx_desc_lim.nb_max;
		about->queues_max = RTE_MIN(info.max_rx_queues, info.max_tx_queues);
		if (info.device)
			snprintf(about->bus, sizeof(about->bus), "%s", rte_dev_name(info.device));
	}
	if (rte_eth_dev_fw_version_get(d->port_id, about->version, sizeof(about->version)))
		about->version[0] = '\0';
	if (rte_eth_link_get_nowait(d->port_id, &link) == 0) {
		if (link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
			about->speed_mbit = link.link_speed;
		about->full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
		about->autoneg = link.link_autoneg == RTE_ETH_LINK_AUTONEG;
	}
	about->rx_ring = d->rx_ring;
	about->tx_ring = d->tx_ring;
}
