/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's ring, which is only memory, and an engine of two workers. */
#include "dev/dpdk.h"
#include "dev/wire.h"
#include "engine/engine.h"
#include "engine/steer.h"
#include "lab.h"

/* ---- DPDK ---- */

static void send_three(struct lab *lab, struct port *port, uint32_t len)
{
	for (unsigned int i = 0; i < 3; i++)
		port_send(lab->w, port, lab_packet(lab, len));
	port_flush(lab->w, port);
	port_close(port);
}

/* As of a device that has no queue for sending. */
static void no_tx(struct lab *lab)
{
	struct port *port = lab_port(lab, "ring");

	((struct dpdk *)port->driver)->no_tx = true;
	send_three(lab, port, 60);
}

/* As of a device that takes one buffer a frame: what is larger than a buffer cannot be sent. */
static void one_buffer(struct lab *lab)
{
	struct port *port = lab_port(lab, "ring");

	((struct dpdk *)port->driver)->tx_offloads = 0;
	port->mtu_bytes = 9000;
	send_three(lab, port, 5000);
}

/* A ring of DPDK's is only memory: what lies in it is counted when it goes. */
static void ring_closed(struct lab *lab)
{
	struct port *port = lab_port(lab, "ring");

	for (unsigned int i = 0; i < 20; i++)
		port_send(lab->w, port, lab_packet(lab, 60));
	port_flush(lab->w, port);
	port_close(port);
}

/* ---- two workers ---- */

/* Datagrams for nobody come to the first worker: each is handed to the second, which does not look,
 * until its mailbox is full. */
static void mailbox_fill(struct lab *lab)
{
	static const uint8_t data[1400];
	struct frame_spec s = from_peer();
	size_t len = frame_udp(lab->frame, &s, 1, 9, data, sizeof(data));

	while (test_drops(lab->w, CPU_BACKLOG) == 0) {
		assert_int_equal(wire_put(lab->wire[0], lab->frame, len), 0);
		engine_poll(lab->engine, 0, lab->w->now_ns);
	}
	lab_mark(lab);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(wire_put(lab->wire[0], lab->frame, len), 0);
		engine_poll(lab->engine, 0, lab->w->now_ns);
	}
}

/* What the second worker's mailbox holds when the engine ends is dropped by the second worker. */
static void mailbox_closed(struct lab *lab)
{
	struct frame_spec s = from_peer();
	size_t len = frame_udp(lab->frame, &s, 1, 9, "x", 1);

	for (unsigned int i = 0; i < 7; i++)
		assert_int_equal(wire_put(lab->wire[0], lab->frame, len), 0);
	engine_poll(lab->engine, 0, lab->w->now_ns);
	lab->w = lab->engine->worker[1];
	lab_mark(lab);
	steer_free(lab->engine);
}

static const struct reason_case cases[] = {
	{ .name = "dpdk: cannot send",
	  .run = no_tx,
	  .drops = { { DROP_PORT_DOWN, "dpdk_tx", AT(PORT_TX), 3 } },
	  .bare = true },
	{ .name = "dpdk: one buffer a frame",
	  .run = one_buffer,
	  .drops = { { DROP_PKT_TOO_BIG, "dpdk_tx", AT(PORT_TX), 3 } },
	  .bare = true },
	{ .name = "dpdk: closed",
	  .run = ring_closed,
	  .drops = { { DROP_PORT_DOWN, "dpdk_drain", 0, 20 } },
	  .bare = true },
	{ .name = "workers: a mailbox is full",
	  .run = mailbox_fill,
	  .drops = { { DROP_CPU_BACKLOG, "packet_hand", IN_UDP | AT(STEER), 5 } },
	  .workers = 2 },
	{ .name = "workers: a mailbox at the end",
	  .run = mailbox_closed,
	  .drops = { { DROP_PORT_DOWN, "box_drop", IN_UDP | AT(STEER), 7 } },
	  .workers = 2 },
};

const struct case_table cases_dpdk = { cases, sizeof(cases) / sizeof(cases[0]) };
