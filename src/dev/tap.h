/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our own TAP port; only for files of dev/. tap.c: setting the interface up; tap_io.c: frames in
 * and out; tap_offload.c: the virtio_net_hdr in front of each frame; tap_kernel.c: statistics, the
 * kernel's too.
 */
#ifndef WEIR_DEV_TAP_H
#define WEIR_DEV_TAP_H

#include <linux/virtio_net.h>
#include <net/if.h>
#include <sys/uio.h>

#include "dev/driver.h"

/* The first segment has headroom, those behind it none: 2048 + 30 * 2176 > 65536 + 18. */
#define TAP_MAX_FRAME_BYTES 65554u
#define TAP_CHAIN_MAX                                                                              \
	(1u + (TAP_MAX_FRAME_BYTES - PKT_ROOM_BYTES + PKT_HEADROOM_BYTES + PKT_ROOM_BYTES - 1) /   \
		      (PKT_HEADROOM_BYTES + PKT_ROOM_BYTES))

struct tap_queue {
	int fd;
	uint16_t chain_want;		     /* segments that the largest frame needs */
	uint16_t chain_count;		     /* of them present: the first chain_count of chain[] */
	struct pkt *chain[TAP_CHAIN_MAX];    /* raw buffers, owned by the queue */
	struct iovec iov[1 + TAP_CHAIN_MAX]; /* [0]: the header, then the chain */
	struct virtio_net_hdr rx_hdr;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t rx_errors, rx_nombuf, tx_errors; /* rx_errors: frames too short to be any */
	uint64_t rx_bad_header, rx_read_errors;	  /* no frame was lost by these */
} __attribute__((aligned(64)));

/* What the kernel counts on its side of the cable. Its tx is our rx. */
struct tap_kernel {
	uint64_t rx_packets, tx_packets, rx_dropped, tx_dropped, rx_errors, tx_errors;
	uint32_t txqueuelen; /* frames that wait for us to read them, at most; each queue */
};

struct tap {
	char ifname[IFNAMSIZ];
	int ifindex; /* the kernel's, of its network namespace at the start */
	int netlink; /* to ask the kernel with, in that namespace; -1: not to be had */
	bool offload;
	struct tap_kernel begin; /* an interface that was there before has counted before */
	struct tap_queue queue[];
};

uint16_t tap_rx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts, uint16_t n);
uint16_t tap_tx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts, uint16_t n);

/* tap_kernel.c: open the way to ask the kernel; what goes wrong there is no error. */
void tap_kernel_open(struct tap *tap);
void tap_kernel_close(struct tap *tap);

/* Since the port was opened. False: the kernel does not say. */
bool tap_kernel_stats(const struct tap *tap, struct tap_kernel *k);

void tap_stats(struct port *port, struct port_stats *stats);
void tap_counters(struct port *port, port_counter_fn each, void *arg);
void tap_about(struct port *port, struct port_about *about);

/*
 * Received: what the header says, into p's flags, l4, csum_at and gso_size (after pkt_entered()).
 * False where it makes no sense; the packet then counts as unchecked.
 */
bool tap_hdr_to_pkt(const struct virtio_net_hdr *hdr, struct pkt *p);

/* To be sent: the header that asks the kernel for what p still needs. */
void tap_hdr_from_pkt(struct virtio_net_hdr *hdr, const struct pkt *p);

#endif
