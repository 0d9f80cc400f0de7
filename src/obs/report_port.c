/* SPDX-License-Identifier: BSD-3-Clause */
#include "obs/report.h"

#include <stddef.h>
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

enum side { LOST_BEFORE, LOST_AFTER, NOT_LOST };

/* What a port counts beside what it carries. */
static const struct {
	const char *name;
	size_t offset; /* in struct port_stats */
	enum side side;
	const char *text;
} losses[] = {
#define LOSS(member, side, text)                                                                   \
	{                                                                                          \
#member, offsetof(struct port_stats, member), side, text                           \
	}
	LOSS(rx_missed, LOST_BEFORE,
	     "the device's receive ring was full: weir did not take them in time"),
	LOSS(rx_crc, LOST_BEFORE, "broken on the wire: the frame's checksum (CRC) was wrong"),
	LOSS(rx_errors, LOST_BEFORE, "broken on the wire in another way (length, coding)"),
	LOSS(tx_lost, LOST_AFTER, "the device took it from weir, and lost it"),
	LOSS(rx_nombuf, NOT_LOST,
	     "times that no packet buffer was free: frames waited in the device"),
	LOSS(tx_errors, NOT_LOST, "frames that the device refused: each is a drop of the ledger"),
#undef LOSS
};

#define LOSSES (sizeof(losses) / sizeof(losses[0]))

static json_t *loss_report(const struct port_stats *s, size_t i)
{
	static const char *const sides[] = { "before weir", "after weir", "" };
	uint64_t count;

	memcpy(&count, (const char *)s + losses[i].offset, sizeof(count));
	return json_pack("{s:s, s:I, s:s, s:s}", "name", losses[i].name, "count", (json_int_t)count,
			 "text", losses[i].text, "lost", sides[losses[i].side]);
}

/* What the device lost on its own side of the border: weir cannot drop what it never had, but the
 * person who looks for a packet wants to find it here. */
static json_t *losses_report(const struct port_stats *s)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < LOSSES; i++)
		json_array_append_new(list, loss_report(s, i));
	return list;
}

json_t *report_port_ledger(struct port *port, unsigned int ifindex)
{
	struct port_stats s;
	int64_t balance;

	port_stats(port, &s);
	balance = (int64_t)(s.rx_seen - s.rx_packets - s.rx_waiting - port_lost_before(&s));
	return json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "ifindex",
			 (int)ifindex, "name", port->name, "type", port->ops->type, "seen",
			 (json_int_t)s.rx_seen, "entered", (json_int_t)s.rx_packets, "waiting",
			 (json_int_t)s.rx_waiting, "lost_before", (json_int_t)port_lost_before(&s),
			 "balance", (json_int_t)balance, "given", (json_int_t)s.tx_packets,
			 "lost_after", (json_int_t)s.tx_lost, "losses", losses_report(&s));
}

static void counter_append(void *list, const char *name, uint64_t value)
{
	json_array_append_new(list,
			      json_pack("{s:s, s:I}", "name", name, "value", (json_int_t)value));
}

json_t *report_port_counters(struct port *port)
{
	json_t *list = json_array();

	if (list)
		port_counters(port, counter_append, list);
	return list;
}

json_t *report_port_about(struct port *port)
{
	struct port_about a;

	port_about(port, &a);
	return json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:i, s:I}",
			 "driver", a.driver, "firmware", a.version, "bus", a.bus, "speed_mbit",
			 (json_int_t)a.speed_mbit, "full_duplex", (int)a.full_duplex, "autoneg",
			 (int)a.autoneg, "twisted_pair", (int)a.copper, "rx_csum", (int)a.rx_csum,
			 "rx_ring", (json_int_t)a.rx_ring, "tx_ring", (json_int_t)a.tx_ring,
			 "rx_ring_max", (json_int_t)a.rx_ring_max, "tx_ring_max",
			 (json_int_t)a.tx_ring_max, "queues_max", (int)a.queues_max, "txqueuelen",
			 (json_int_t)port->txqueuelen);
}

json_t *report_port(struct port *port, unsigned int ifindex)
{
	struct port_stats s = { 0 };
	struct port_about about;
	char mac[18];

	port_stats(port, &s);
	port_about(port, &about);
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", port->mac[0], port->mac[1],
		 port->mac[2], port->mac[3], port->mac[4], port->mac[5]);
	return json_pack(
		"{s:i, s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:o}",
		"ifindex", (int)ifindex, "name", port->name, "type", port->ops->type, "driver",
		about.driver, "mac", mac, "mtu", (int)port->mtu_bytes, "queues", (int)port->queues,
		"up", (int)port->up, "caps", caps_report(port->caps), "sleep",
		port->sleep_how ? port->sleep_how : "poll", "rx_packets", (json_int_t)s.rx_packets,
		"rx_bytes", (json_int_t)s.rx_bytes, "tx_packets", (json_int_t)s.tx_packets,
		"tx_bytes", (json_int_t)s.tx_bytes, "tx_backlog", (json_int_t)s.tx_backlog,
		"rx_ring", (json_int_t)about.rx_ring, "txqueuelen", (json_int_t)port->txqueuelen,
		"losses", losses_report(&s));
}
