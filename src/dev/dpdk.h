/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A DPDK device as a port; only for files of dev/. dpdk_open.c: finding and configuring the device;
 * dpdk.c: frames in and out, sleeping; dpdk_stats.c: counters.
 */
#ifndef WEIR_DEV_DPDK_H
#define WEIR_DEV_DPDK_H

#include "dev/driver.h"

struct dpdk_queue {
	int epoll_fd; /* readable at an interrupt of this queue, or -1 */
	uint64_t rx_packets, tx_packets, tx_errors; /* entered; given; refused, so dropped */
} __attribute__((aligned(64)));

struct dpdk {
	uint16_t port_id;
	uint64_t tx_offloads; /* RTE_ETH_TX_OFFLOAD_* that are on */
	bool started;
	bool drain_at_close;	   /* buffers that wait in it are not given back by the driver */
	bool no_tx;		   /* the device only receives */
	uint16_t rx_ring, tx_ring; /* descriptors of each queue */
	struct worker **worker;	   /* [queues] a copy */
	struct dpdk_queue queue[];
};

extern const struct port_ops dpdk_ops;

/* dpdk_stats.c */
void dpdk_stats(struct port *port, struct port_stats *stats);
void dpdk_counters(struct port *port, port_counter_fn each, void *arg);
void dpdk_about(struct port *port, struct port_about *about);

/* Interrupts of each queue to a descriptor, where the device really has them. */
void dpdk_open_interrupts(struct port *port);

#endif
