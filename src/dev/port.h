/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port: where frames come in and go out. Drivers: tap, dpdk (any DPDK device), loop (weir's own
 * 127.0.0.1), wire (in memory, for tests and direct users), and fault, which wraps any other port
 * and loses, delays, reorders, duplicates, corrupts and rate-limits frames from a seed.
 *
 * A port has queues; queue q of every port belongs to worker q. The stack asks for what it wants
 * (PKT_F_CSUM_PARTIAL, gso_size); port_send() does in software what the port's caps lack, so a
 * driver sees only what it said it can do. On receive a driver sets PKT_F_CSUM_OK where the
 * checksum is known to be good, and may hand up frames far larger than the MTU (PKT_F_GSO_TCP4,
 * gso_size).
 *
 * Threads: open and close on the control thread while workers are parked; stats, counters and about
 * on the control thread, at any time; rx, tx, send, flush by the worker of that queue.
 */
#ifndef WEIR_DEV_PORT_H
#define WEIR_DEV_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/worker.h"

#define PORT_MAX 32u
#define PORT_BURST 64u
#define PORT_NAME_BYTES 32u
#define PORT_ERROR_BYTES 256u
#define PORT_BACKLOG_PACKETS 1024u /* txqueuelen: that wait for room in a full send ring */
#define PORT_BACKLOG_MAX 16384u	   /* the most that txqueuelen may be */

/* port.caps */
#define PORT_CAP_TX_CSUM 0x01u /* finishes PKT_F_CSUM_PARTIAL */
#define PORT_CAP_TX_TSO4 0x02u /* cuts PKT_F_GSO_TCP4 */
#define PORT_CAP_LOOP 0x04u /* frames come back to the same worker: no Ethernet address, no ARP */
#define PORT_CAP_NO_CHECK                                                                          \
	0x08u /* its frames cannot be corrupted on the way: partial checksums stay */

struct port;

/*
 * What a port counts. A frame that its card saw was taken by weir (rx_packets, the ledger's
 * entered), waits in the card, or was lost before weir had it; a frame that weir gave away
 * (tx_packets) may have been lost behind it:
 *
 *   rx_seen = rx_packets + rx_waiting + rx_missed + rx_crc + rx_errors
 */
struct port_stats {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t rx_seen;    /* as the card itself has counted, or the sum where it does not */
	uint64_t rx_waiting; /* in the card now */
	/* Lost before weir. */
	uint64_t rx_missed; /* the receive ring was full */
	uint64_t rx_crc;    /* broken on the wire: checksum of the frame */
	uint64_t rx_errors; /* broken on the wire: anything else */
	/* Lost behind weir: counted as transmitted. */
	uint64_t tx_lost;
	/* No losses of their own. */
	uint64_t rx_nombuf;  /* times that there was no packet buffer: frames waited meanwhile */
	uint64_t tx_errors;  /* frames the device refused: drops of the ledger */
	uint64_t tx_backlog; /* waiting now */
};

static inline uint64_t port_lost_before(const struct port_stats *s)
{
	return s->rx_missed + s->rx_crc + s->rx_errors;
}

/* What a port is, as far as it is known: 0 and "" where it is not. */
struct port_about {
	char driver[32], version[32], bus[64];
	uint32_t speed_mbit;
	bool full_duplex, autoneg, copper;
	bool rx_csum; /* the device checks, or nothing can be corrupted on the way */
	uint32_t rx_ring, tx_ring, rx_ring_max, tx_ring_max; /* frames */
	uint16_t queues_max;
};

/* A statistic by its name, as ethtool -S has them. */
typedef void (*port_counter_fn)(void *arg, const char *name, uint64_t value);

struct port_ops {
	const char *type;
	/* Up to n frames into pkts. The driver takes buffers with pkt_alloc_raw() and calls
	 * pkt_entered(). Sets l2 = data_off. Never blocks. */
	uint16_t (*rx)(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts,
		       uint16_t n);
	/* Take up to n packets; returns how many of the first it took. For each taken: pkt_sent()
	 * before the buffer is given away or freed (pkt_consume(FATE_TRANSMITTED) does both; see
	 * port_sent_and_free()). */
	uint16_t (*tx)(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts,
		       uint16_t n);
	/* A descriptor that is readable when frames wait, or -ENOTSUP: then the engine polls with a
	 * timer that backs off. May be NULL (same). */
	int (*sleep_fd)(struct port *port, uint16_t queue);
	/* About to sleep (on) or awake again (off): enable or disable the interrupt. Returns true
	 * if frames are waiting already. May be NULL. */
	bool (*arm)(struct port *port, uint16_t queue, bool on);
	/* The next time at which the port has something to do by itself (delay line, rate), or
	 * TIMER_NEVER. May be NULL. */
	uint64_t (*next_ns)(struct port *port, uint16_t queue);
	/* These three while the workers work: what workers count is read as port_counted(). */
	void (*stats)(struct port *port, struct port_stats *stats);
	/* The driver's own statistics, beyond those of stats; and what it is. May be NULL. */
	void (*counters)(struct port *port, port_counter_fn each, void *arg);
	void (*about)(struct port *port, struct port_about *about);
	/* Frees the port; packets it held are dropped PORT_DOWN, on the worker that gave them. */
	void (*close)(struct port *port);
};

struct port {
	const struct port_ops *ops;
	void *driver; /* the driver's own state */
	char name[PORT_NAME_BYTES];
	uint8_t mac[6];
	uint16_t mtu_bytes; /* largest IP packet on the wire; GSO frames may be larger */
	uint16_t queues;
	uint32_t caps;
	bool up;	     /* link state, as of port_open() or the last port_stats() */
	uint32_t txqueuelen; /* frames that may wait on each queue; changed while workers are parked
			      */
	uint8_t ifindex; /* what drivers pass to pkt_entered(); set by inet_netif_add(), 0 before */
	const char *sleep_how; /* for weir stat: "fd", "interrupt", "timer" */
	struct port_txq *txq;  /* [queues], dev/port.c's */
};

struct port_open_params {
	uint16_t workers; /* queues wanted at most; the port may answer fewer */
	/* [workers]; DPDK ports need it (their pools), others do without: NULL. */
	struct worker **worker;
};

/* clang-format off */
/*
 * Open a port from its specification:
 *   tap,name=weir0[,mtu=1500][,mac=..][,queues=N][,addr=ADDR/LEN][,offload=0|1]
 *                           addr: for the kernel's side
 *   dpdk,DEVARGS            e.g. dpdk,net_memif0,role=server   dpdk,0000:01:00.0
 *   af_packet,iface=X | af_xdp,iface=X | memif,... | vhost,path=.. | pcap,... | ring,...
 *                           short for dpdk,net_<type>0,...
 *   loop
 *   wire[,name=..][,mtu=..][,mac=..][,csum=0|1][,tso=0|1][,queues=N]
 *   fault,loss=0.02,dup=..,reorder=..,delay_us=..,jitter_us=..,corrupt=..,rate_mbit=..,queue=..,
 *         seed=N:SPEC       (dev/fault.h)
 * Returns 0 or a negative errno, then error holds words for people (what, why, what to do).
 */
/* clang-format on */
int port_open(const char *spec, const struct port_open_params *params, struct port **port,
	      char error[PORT_ERROR_BYTES]);

/* Drops what is held (PORT_DOWN) and gives every buffer back: before worker_free(). NULL is fine.
 */
void port_close(struct port *port);

/* Receive a burst: ops->rx with the stage counted. Nothing where the port has no such queue. */
uint16_t port_rx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts,
		 uint16_t n);

/*
 * Queue a packet for sending on this worker's queue (w->id must be below port->queues); it leaves
 * with port_flush() or when a burst is full. Takes the packet. Does checksum and segmentation in
 * software where the port cannot. What a full ring refuses waits in a bounded backlog (held), then
 * is dropped TX_RING_FULL.
 */
void port_send(struct worker *w, struct port *port, struct pkt *p);

/* Send what is queued. Returns how many packets still wait (backlog). */
unsigned int port_flush(struct worker *w, struct port *port);

void port_stats(struct port *port, struct port_stats *stats);

/* Every statistic: those of port_stats() by Linux's names, then the driver's own. */
void port_counters(struct port *port, port_counter_fn each, void *arg);
void port_about(struct port *port, struct port_about *about);

/* Frames that wait for room in the send ring, of all queues; any time. */
uint64_t port_backlog(const struct port *port);

/* For drivers: count n packets as sent and give their buffers back. */
void port_sent_and_free(struct worker *w, struct pkt **pkts, unsigned int n);

#endif
