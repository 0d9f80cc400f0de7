/* SPDX-License-Identifier: BSD-3-Clause */
/* Ethernet, ARP, neighbours, the port's queue and the fault link. */
#include <string.h>

#include "dev/wire.h"
#include "engine/engine.h"
#include "lab.h"

#define NOBODY FRAME_IP(198, 18, 0, 77)
#define HELD 1024u	 /* NEIGH_HELD_PACKETS */
#define WAITING 64u	 /* NEIGH_QUEUE_PACKETS */
#define NEIGHBOURS 1024u /* NEIGH_MAX */
#define BROAD "fault,loss=1,dir=in:wire,mac=02:00:00:00:00:02"

static void frame_of(struct lab *lab, const uint8_t *dst, uint16_t type, size_t len)
{
	static const uint8_t zeros[100];

	lab_send(lab, frame_eth(lab->frame, dst, peer_mac, type, zeros, len), 1);
}

static void eth_too_small(struct lab *lab)
{
	lab_send(lab, 10, 3);
}

static void eth_otherhost(struct lab *lab)
{
	static const uint8_t other[6] = { 2, 0, 0, 0, 0, 99 };

	frame_of(lab, other, ETH_TYPE_IP4, 46);
}

static void eth_unhandled(struct lab *lab)
{
	frame_of(lab, us_mac, 0x86dd, 46);
	frame_of(lab, us_mac, 0x88cc, 46);
}

static void arp_too_small(struct lab *lab)
{
	frame_of(lab, us_mac, ETH_TYPE_ARP, 27);
}

static void arp(struct lab *lab, uint16_t op, uint32_t sender, uint32_t target)
{
	lab_send(lab, frame_arp(lab->frame, frame_broadcast, op, peer_mac, sender, NULL, target),
		 1);
}

static void arp_malformed(struct lab *lab)
{
	arp(lab, 7, PEER, US);
	arp(lab, ARP_OP_REQUEST, FRAME_IP(224, 0, 0, 1), US);
	arp(lab, ARP_OP_REQUEST, FRAME_IP(198, 18, 0, 255), US);
}

static void arp_own_source(struct lab *lab)
{
	arp(lab, ARP_OP_REQUEST, US, PEER);
}

static void arp_not_for_us(struct lab *lab)
{
	arp(lab, ARP_OP_REQUEST, PEER, NOBODY);
}

static void neigh_failed(struct lab *lab)
{
	int fd = lab_udp_socket(lab, 0);

	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(lab_udp_send(lab, fd, NOBODY, 9, "x", 1), 0);
	lab_wait(lab, 10 * SEC);
}

static void neigh_queue(struct lab *lab)
{
	int fd = lab_udp_socket(lab, 0);

	for (unsigned int i = 0; i < WAITING + 5; i++)
		assert_int_equal(lab_udp_send(lab, fd, NOBODY, 9, "x", 1), 0);
}

static void neigh_held(struct lab *lab)
{
	int fd = lab_udp_socket(lab, 0);

	for (unsigned int i = 0; i < HELD; i++)
		lab_udp_send(lab, fd, FRAME_IP(198, 18, 0, 100 + i / WAITING), 9, "x", 1);
	lab_mark(lab);
	lab_udp_send(lab, fd, NOBODY, 9, "x", 1);
}

/* Every entry of the neighbours' table is being asked for. */
static void neighbours_fill(struct lab *lab)
{
	struct ipaddr prefix = ipaddr_from_ip4(host_to_be32(FRAME_IP(10, 0, 0, 0)));
	struct ipaddr none = ipaddr_any();
	int fd = lab_udp_socket(lab, 0);

	assert_int_equal(engine_route_add(lab->weir->engine, &prefix, 8, &none, 2), 0);
	for (unsigned int i = 0; i < NEIGHBOURS; i++)
		lab_udp_send(lab, fd, FRAME_IP(10, 0, i >> 8, i & 255), 9, "x", 1);
	frame_take_all(lab->wire[0]);
	lab_mark(lab);
}

/* A ping from an address behind a table that is full: the answer finds no entry. */
static void neigh_table_echo(struct lab *lab)
{
	struct frame_spec s = from_peer();

	neighbours_fill(lab);
	s.src_ip = FRAME_IP(10, 200, 0, 1);
	lab_send(lab, frame_icmp(lab->frame, &s, ICMP_TYPE_ECHO, 0, 1, "ping", 4), 1);
}

static void neigh_table_forward(struct lab *lab)
{
	struct frame_spec s = from_peer();

	neighbours_fill(lab);
	s.dst_ip = FRAME_IP(10, 200, 0, 1);
	lab_send(lab, frame_udp(lab->frame, &s, 1, 2, "x", 1), 1);
}

static void neigh_forward_failed(struct lab *lab)
{
	struct frame_spec s = from_peer();

	lab_meet(lab);
	s.dst_ip = FRAME_IP(198, 18, 1, 77);
	lab_send(lab, frame_udp(lab->frame, &s, 1, 2, "x", 1), 2);
	lab_wait(lab, 10 * SEC);
}

/* Nobody takes what is sent: 4,096 frames lie on the wire, 1,024 wait, and the rest is lost. */
static void ring_full(struct lab *lab)
{
	int fd;

	lab_meet(lab);
	fd = lab_udp_socket(lab, 0);
	lab_mark(lab);
	for (unsigned int i = 0; i < 4096 + 1024 + 7; i++)
		lab_udp_send(lab, fd, PEER, 9, "x", 1);
}

static void link_loss_in(struct lab *lab)
{
	lab_udp(lab, 9, "x", 1, 4);
}

static void link_loss_out(struct lab *lab)
{
	lab_send(lab, frame_arp(lab->frame, us_mac, ARP_OP_REQUEST, peer_mac, PEER, NULL, US), 1);
}

static void link_queue(struct lab *lab)
{
	struct frame_spec s = from_peer();
	size_t len = frame_udp(lab->frame, &s, 1, 9, "x", 1);

	for (unsigned int i = 0; i < 12; i++)
		assert_int_equal(wire_put(lab->wire[0], lab->frame, len), 0);
	lab_settle(lab);
}

static const struct reason_case cases[] = {
	{ .name = "eth: too small",
	  .run = eth_too_small,
	  .drops = { { DROP_PKT_TOO_SMALL, "eth_sort_one", IN_ETH, 3 } } },
	{ .name = "eth: other host",
	  .run = eth_otherhost,
	  .drops = { { DROP_OTHERHOST, "eth_sort_one", IN_ETH, 1 } } },
	{ .name = "eth: unknown types",
	  .run = eth_unhandled,
	  .drops = { { DROP_UNHANDLED_PROTO, "eth_sort_one", IN_ETH, 2 } } },
	{ .name = "arp: too small",
	  .run = arp_too_small,
	  .drops = { { DROP_PKT_TOO_SMALL, "arp_input_one", IN_ARP, 1 } } },
	{ .name = "arp: malformed",
	  .run = arp_malformed,
	  .drops = { { DROP_ARP_MALFORMED, "arp_input_one", IN_ARP, 3 } } },
	{ .name = "arp: our address",
	  .run = arp_own_source,
	  .drops = { { DROP_IP_OWN_SOURCE, "arp_input_one", IN_ARP, 1 } } },
	{ .name = "arp: not for us",
	  .run = arp_not_for_us,
	  .drops = { { DROP_ARP_NOT_FOR_US, "arp_input_one", IN_ARP, 1 } } },
	{ .name = "neighbour: no answer",
	  .run = neigh_failed,
	  .drops = { { DROP_NEIGH_FAILED, "neigh_fail", OUT_UDP | AT(NEIGH_OUTPUT), 3 } } },
	{ .name = "neighbour: its queue is full",
	  .run = neigh_queue,
	  .drops = { { DROP_NEIGH_QUEUEFULL, "queue_drop_oldest", OUT_UDP | AT(NEIGH_OUTPUT),
		       5 } } },
	{ .name = "neighbour: too many packets wait",
	  .run = neigh_held,
	  .drops = { { DROP_NEIGH_QUEUEFULL, "neigh_enqueue", OUT_UDP | AT(NEIGH_OUTPUT), 1 } } },
	{ .name = "neighbour: no entry for an answer",
	  .run = neigh_table_echo,
	  .drops = { { DROP_NEIGH_QUEUEFULL, "ip_output", AT(ICMP_OUTPUT) | AT(IP4_OUTPUT), 1 } } },
	{ .name = "neighbour: no entry for a routed packet",
	  .run = neigh_table_forward,
	  .drops = { { DROP_NEIGH_QUEUEFULL, "forward_one", IN_FORWARD, 1 } },
	  .forwarding = true },
	{ .name = "neighbour: no answer for routed packets",
	  .run = neigh_forward_failed,
	  .drops = { { DROP_NEIGH_FAILED, "neigh_fail", IN_FORWARD | AT(NEIGH_OUTPUT), 2 } },
	  .forwarding = true },
	{ .name = "port: send ring and backlog are full",
	  .run = ring_full,
	  .drops = { { DROP_TX_RING_FULL, "txq_run", OUT_UDP | AT(NEIGH_OUTPUT) | AT(PORT_TX),
		       7 } } },
	{ .name = "fault link: loss of what comes",
	  .run = link_loss_in,
	  .drops = { { DROP_LINK_LOSS, "line_enter", 0, 4 } },
	  .wire = BROAD },
	{ .name = "fault link: loss of what goes",
	  .run = link_loss_out,
	  .drops = { { DROP_LINK_LOSS, "line_enter", AT(PORT_TX), 1 } },
	  .wire = "fault,loss=1,dir=out:wire,mac=02:00:00:00:00:02" },
	{ .name = "fault link: its queue is full",
	  .run = link_queue,
	  .drops = { { DROP_LINK_QUEUE, "line_enter", 0, 7 } },
	  .wire = "fault,rate_mbit=1,queue=5,dir=in:wire,mac=02:00:00:00:00:02" },
};

const struct case_table cases_link = { cases, sizeof(cases) / sizeof(cases[0]) };
