/* SPDX-License-Identifier: BSD-3-Clause */
/* What a port tells of itself: the same words for every driver, and the driver's own. */
#include <string.h>

#include "dev/driver.h"

void port_stats(struct port *port, struct port_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	port->ops->stats(port, stats);
	if (!stats->rx_seen)
		stats->rx_seen = stats->rx_packets + stats->rx_waiting + port_lost_before(stats);
	stats->tx_backlog += port_backlog(port);
}

void port_counters(struct port *port, port_counter_fn each, void *arg)
{
	struct port_stats s;

	port_stats(port, &s);
	each(arg, "rx_packets", s.rx_packets);
	each(arg, "tx_packets", s.tx_packets);
	each(arg, "rx_bytes", s.rx_bytes);
	each(arg, "tx_bytes", s.tx_bytes);
	each(arg, "rx_seen", s.rx_seen);
	each(arg, "rx_waiting", s.rx_waiting);
	each(arg, "rx_missed", s.rx_missed);
	each(arg, "rx_crc", s.rx_crc);
	each(arg, "rx_errors", s.rx_errors);
	each(arg, "rx_nombuf", s.rx_nombuf);
	each(arg, "tx_lost", s.tx_lost);
	each(arg, "tx_errors", s.tx_errors);
	each(arg, "tx_backlog", s.tx_backlog);
	if (port->ops->counters)
		port->ops->counters(port, each, arg);
}

void port_about(struct port *port, struct port_about *about)
{
	memset(about, 0, sizeof(*about));
	strcpy(about->driver, port->ops->type);
	about->queues_max = port->queues;
	if (port->ops->about)
		port->ops->about(port, about);
}
