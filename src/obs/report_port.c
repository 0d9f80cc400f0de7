/* SPDX-License-Identifier: BSD-3-Clause */
#include "obs/report.h"

#include <stdio.h>
#include <string.h>

static json_t *caps_report(uint32_t caps)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
		{ PORT_CAP_TX_CSUM, "tx-csum" },
		{ PORT_CAP_TX_TSO4, "tx-tso4" },
		{ PORT_CAP_LOOP, "loop" },
		{ PORT_CAP_NO_CHECK, "no-check" },
	};
	json_t *list = json_array();

	for (size_t i = 0; list && i < sizeof(names) / sizeof(names[0]); i++) {
		if (caps & names[i].bit)
			json_array_append_new(list, json_string(names[i].name));
	}
	return list;
}

static void loss_append(json_t *list, const char *name, uint64_t count, const char *text)
{
	json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "name", name, "count",
					      (json_int_t)count, "text", text));
}

/* What the device lost on its own side of the border: weir cannot drop what it never had, but the
 * person who looks for a packet wants to find it here. */
static json_t *losses_report(const struct port_stats *s)
{
	json_t *list = json_array();

	if (!list)
		return NULL;
	loss_append(list, "rx_missed", s->rx_missed,
		    "the device's receive ring was full: weir polled too seldom");
	loss_append(list, "rx_errors", s->rx_errors, "broken on the wire (CRC, length)");
	loss_append(list, "rx_nombuf", s->rx_nombuf, "the device found no packet buffer");
	loss_append(list, "tx_errors", s->tx_errors,
		    "the device took the packet and could not send it");
	return list;
}

json_t *report_port(struct port *port, unsigned int ifindex)
{
	struct port_stats s = { 0 };
	char mac[18];

	port_stats(port, &s);
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", port->mac[0], port->mac[1],
		 port->mac[2], port->mac[3], port->mac[4], port->mac[5]);
	return json_pack(
		"{s:i, s:s, s:s, s:s, s:i, s:i, s:b, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:o}",
		"ifindex", (int)ifindex, "name", port->name, "type", port->ops->type, "mac", mac,
		"mtu", (int)port->mtu_bytes, "queues", (int)port->queues, "up", (int)port->up,
		"caps", caps_report(port->caps), "sleep",
		port->sleep_how ? port->sleep_how : "poll", "rx_packets", (json_int_t)s.rx_packets,
		"rx_bytes", (json_int_t)s.rx_bytes, "tx_packets", (json_int_t)s.tx_packets,
		"tx_bytes", (json_int_t)s.tx_bytes, "tx_backlog", (json_int_t)s.tx_backlog,
		"losses", losses_report(&s));
}
