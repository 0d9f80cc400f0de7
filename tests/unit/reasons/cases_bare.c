/* SPDX-License-Identifier: BSD-3-Clause */
/* What ends with a port or an engine, and what no frame leads to: stages called with packets that
 * the stages in front of them would have refused. */
#include <errno.h>
#include <string.h>

#include "dev/wire.h"
#include "inet/igmp.h"
#include "inet/inet.h"
#include "inet/neigh.h"
#include "inet/state.h"
#include "lab.h"

static void not_specified(struct lab *lab)
{
	pkt_drop(lab->w, lab_packet(lab, 100), DROP_REASON_MAX + 7);
}

static void send_too_small(struct lab *lab)
{
	struct port *port = lab_port(lab, "wire");
	struct pkt *p = lab_packet(lab, 20);

	port_send(lab->w, port, lab_packet(lab, 13));
	p->flags |= PKT_F_CSUM_PARTIAL; /* and no header to put it into */
	p->l4 = p->mbuf.data_off;
	p->csum_at = 100;
	port_send(lab->w, port, p);
	port_close(port);
}

static void send_too_big(struct lab *lab)
{
	struct port *port = lab_port(lab, "wire"), *loop = lab_port(lab, "loop");

	port_send(lab->w, port, lab_packet(lab, 1515));
	port_send(lab->w, loop, lab_packet(lab, 65550));
	port_close(port);
	port_close(loop);
}

static void send_lies(struct lab *lab)
{
	struct port *port = lab_port(lab, "wire");
	struct pkt *p = lab_packet(lab, 3000);

	p->flags |= PKT_F_GSO_TCP4; /* it is no TCP */
	p->gso_size = 1000;
	port_send(lab->w, port, p);
	port_close(port);
}

/* A burst that was never flushed. */
static void port_closed(struct lab *lab)
{
	struct port *port = lab_port(lab, "wire");

	for (unsigned int i = 0; i < 9; i++)
		port_send(lab->w, port, lab_packet(lab, 60));
	port_close(port);
}

/* 100 that the wire did not take. */
static void backlog_closed(struct lab *lab)
{
	struct port *port = lab_port(lab, "wire");

	for (unsigned int i = 0; i < 4096 + 100; i++)
		port_send(lab->w, port, lab_packet(lab, 60));
	port_flush(lab->w, port);
	port_close(port);
}

static void link_closed(struct lab *lab)
{
	struct port *port = lab_port(lab, "fault,delay_us=1000:wire");

	for (unsigned int i = 0; i < 6; i++)
		port_send(lab->w, port, lab_packet(lab, 60));
	port_flush(lab->w, port);
	port_close(port);
}

static void loop_closed(struct lab *lab)
{
	struct port *port = lab_port(lab, "loop");

	for (unsigned int i = 0; i < 5; i++)
		port_send(lab->w, port, lab_packet(lab, 60));
	port_flush(lab->w, port);
	port_close(port);
}

/* ---- stages, called with what the one before would not let by ---- */

static void no_interface(struct lab *lab)
{
	struct pkt *p = lab_packet(lab, 60);

	p->ifindex = 77;
	eth_input(lab->w, &p, 1);
	p = lab_packet(lab, 60);
	p->ifindex = 77;
	igmp_input(lab->w, &p, 1);
}

static struct ip_flow flow_to(uint32_t ip)
{
	return (struct ip_flow){ .dst = ipaddr_from_ip4(host_to_be32(ip)), .proto = 200 };
}

static void output_too_big(struct lab *lab)
{
	struct ip_flow flow = flow_to(PEER);

	assert_int_equal(ip_output(lab->w, lab_packet(lab, 65516), &flow), -EMSGSIZE);
}

static void output_needs_frag(struct lab *lab)
{
	struct ip_flow flow = flow_to(PEER);

	flow.df = true;
	assert_int_equal(ip_output(lab->w, lab_packet(lab, 1481), &flow), -EMSGSIZE);
}

static void output_no_headroom(struct lab *lab)
{
	struct ip_flow flow = flow_to(PEER);
	struct pkt *p = lab_packet(lab, 60);

	p->mbuf.data_off = 19;
	assert_int_equal(ip_output(lab->w, p, &flow), -ENOBUFS);
	p = lab_packet(lab, 60);
	p->mbuf.data_off = 13;
	p->path = p->stage = 0;
	neigh_send(lab->w, p, flow.neigh);
}

/* ---- an engine ends ---- */

static void upcall_nothing(struct worker *w, struct tcp_pcb *pcb)
{
}

static void inet_ends(struct lab *lab)
{
	static const struct inet_upcalls up = { .tcp_gone = upcall_nothing };
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(US));
	struct port *loop = lab_port(lab, "loop"),
		    *wire = lab_port(lab, "wire,mac=02:00:00:00:00:02");
	struct frame_spec s = from_peer();
	struct ip_flow flow = flow_to(PEER);
	struct pkt *pkts[4];
	size_t len;

	assert_int_equal(inet_init(lab->w, &up), 0);
	assert_int_equal(inet_netif_add(lab->w, loop), IFINDEX_LOOP);
	assert_int_equal(inet_netif_add(lab->w, wire), 2);
	assert_int_equal(inet_addr_add(lab->w, 2, &addr, 24), 0);
	s.frag = IP4_MF;
	len = frame_ip4(lab->frame, &s, 17, "12345678", 8);
	assert_int_equal(wire_put(wire, lab->frame, len), 0);
	assert_int_equal(port_rx(lab->w, wire, 0, pkts, 4), 1);
	eth_input(lab->w, pkts, 1); /* waits for its other fragments */
	assert_int_equal(ip_output(lab->w, lab_packet(lab, 60), &flow), 0); /* waits for the peer */
	inet_free(lab->w);
	port_flush(lab->w, wire); /* the question who has its address */
	port_close(wire);
	port_close(loop);
}

static const struct reason_case cases[] = {
	{ .name = "no such reason",
	  .run = not_specified,
	  .drops = { { DROP_NOT_SPECIFIED, "not_specified", 0, 1 } },
	  .bare = true },
	{ .name = "port: too small",
	  .run = send_too_small,
	  .drops = { { DROP_PKT_TOO_SMALL, "send_one", 0, 2 } },
	  .bare = true },
	{ .name = "port: too big",
	  .run = send_too_big,
	  .drops = { { DROP_PKT_TOO_BIG, "send_one", 0, 2 } },
	  .bare = true },
	{ .name = "port: no super-segment",
	  .run = send_lies,
	  .drops = { { DROP_TCP_MALFORMED, "send_segmented", 0, 1 } },
	  .bare = true },
	{ .name = "port: closed",
	  .run = port_closed,
	  .drops = { { DROP_PORT_DOWN, "txq_drop_all", 0, 9 } },
	  .bare = true },
	{ .name = "port: closed, with a backlog",
	  .run = backlog_closed,
	  .drops = { { DROP_PORT_DOWN, "txq_drop_all", AT(PORT_TX), 100 } },
	  .bare = true },
	{ .name = "fault link: closed",
	  .run = link_closed,
	  .drops = { { DROP_PORT_DOWN, "line_close", AT(PORT_TX), 6 } },
	  .bare = true },
	{ .name = "loop: closed",
	  .run = loop_closed,
	  .drops = { { DROP_PORT_DOWN, "loop_close", 0, 5 } },
	  .bare = true },
	{ .name = "stage: no interface",
	  .run = no_interface,
	  .drops = { { DROP_PORT_DOWN, "eth_sort_one", AT(ETH_INPUT), 1 },
		     { DROP_PORT_DOWN, "igmp_input", AT(IGMP_INPUT), 1 } } },
	{ .name = "stage: too big for IP",
	  .run = output_too_big,
	  .drops = { { DROP_PKT_TOO_BIG, "ip_output", AT(IP4_OUTPUT), 1 } } },
	{ .name = "stage: may not be fragmented",
	  .run = output_needs_frag,
	  .drops = { { DROP_PKT_NEEDS_FRAG, "ip_output", AT(IP4_OUTPUT), 1 } } },
	{ .name = "stage: no headroom",
	  .run = output_no_headroom,
	  .drops = { { DROP_NOMEM, "ip_output", AT(IP4_OUTPUT), 1 },
		     { DROP_NOMEM, "neigh_send", 0, 1 } } },
	{ .name = "inet: ends",
	  .run = inet_ends,
	  .drops = { { DROP_FRAG_REASM_TIMEOUT, "datagram_drop", IN_FRAG, 1 },
		     { DROP_NEIGH_FAILED, "neigh_queue_drop", AT(IP4_OUTPUT) | AT(NEIGH_OUTPUT),
		       1 } },
	  .bare = true },
};

const struct case_table cases_bare = { cases, sizeof(cases) / sizeof(cases[0]) };
