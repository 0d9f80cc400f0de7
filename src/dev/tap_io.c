/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames in and out of a TAP, one system call each (the kernel has no burst for them).
 *
 * Receive: each queue keeps a chain of empty buffers, enough for the largest frame (64 KB with
 * offloads), with iovecs that point at them. A read fills as many as the frame needs; those leave
 * as the packet's segments, the next read finds new ones in their places. So a small frame costs
 * one buffer, and no byte is copied but by the kernel. Without buffers nothing is read: frames wait
 * in the kernel's queue.
 *
 * Send: one iovec a segment.
 */
#include <errno.h>
#include <unistd.h>

#include "dev/tap.h"

/* Segments of one packet to be sent; longer chains are dropped PKT_TOO_BIG. */
#define TAP_TX_SEGMENTS 128u

/* Put an empty buffer into the chain at a place. */
static void tap_place(struct tap_queue *q, unsigned int at, struct pkt *p)
{
	p->mbuf.data_off = at ? 0 : PKT_HEADROOM_BYTES;
	q->chain[at] = p;
	q->iov[1 + at].iov_base = p->mbuf.buf_addr;
	q->iov[1 + at].iov_len = PKT_HEADROOM_BYTES + PKT_ROOM_BYTES;
	if (at)
		return;
	q->iov[1].iov_base = rte_pktmbuf_mtod(&p->mbuf, void *);
	q->iov[1].iov_len = PKT_ROOM_BYTES;
}

/* Have chain_want empty buffers ready. False when the pool has not so many. */
static bool tap_refill(struct worker *w, struct tap_queue *q)
{
	for (; q->chain_count < q->chain_want; q->chain_count++) {
		struct pkt *p;

		if (pkt_alloc_raw(w, &p, 1))
			return false;
		tap_place(q, q->chain_count, p);
	}
	return true;
}

/* The first `used` buffers left as a packet: new ones take their places. */
static void tap_chain_used(struct worker *w, struct tap_queue *q, unsigned int used)
{
	unsigned int at = 0;

	while (at < used) {
		struct pkt *p;

		if (pkt_alloc_raw(w, &p, 1))
			break;
		tap_place(q, at++, p);
	}
	if (likely(at == used))
		return;
	/* Out of buffers: close the gap. */
	for (unsigned int from = used; from < q->chain_count; from++)
		tap_place(q, at++, q->chain[from]);
	q->chain_count = (uint16_t)at;
}

/* The chain's first buffers hold a frame of len bytes: make them one packet. */
static struct pkt *tap_take_frame(struct tap_queue *q, uint32_t len)
{
	struct pkt *first = q->chain[0];
	struct rte_mbuf *last = NULL;
	uint32_t left = len;
	unsigned int used = 0;

	do {
		struct rte_mbuf *m = &q->chain[used]->mbuf;
		uint32_t run = RTE_MIN(left, (uint32_t)q->iov[1 + used].iov_len);

		m->data_len = (uint16_t)run;
		left -= run;
		if (last)
			last->next = m;
		last = m;
		used++;
	} while (left);
	first->mbuf.pkt_len = len;
	first->mbuf.nb_segs = (uint16_t)used;
	return first;
}

uint16_t tap_rx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts, uint16_t n)
{
	struct tap_queue *q = &((struct tap *)port->driver)->queue[queue];
	uint16_t got = 0;

	while (got < n) {
		struct pkt *p;
		ssize_t len;

		if (unlikely(q->chain_count < q->chain_want) && !tap_refill(w, q)) {
			port_count(&q->rx_nombuf, 1);
			break;
		}
		len = readv(q->fd, q->iov, 1 + q->chain_count);
		if (len < 0) {
			if (errno != EAGAIN && errno != EINTR)
				port_count(&q->rx_read_errors, 1);
			break;
		}
		if (len < (ssize_t)sizeof(q->rx_hdr)) {
			port_count(&q->rx_errors, 1);
			continue;
		}
		len -= (ssize_t)sizeof(q->rx_hdr);
		p = tap_take_frame(q, (uint32_t)len);
		tap_chain_used(w, q, p->mbuf.nb_segs);
		pkt_entered(w, &p, 1, port->ifindex);
		if (!tap_hdr_to_pkt(&q->rx_hdr, p))
			port_count(&q->rx_bad_header, 1);
		port_count(&q->rx_bytes, (uint64_t)len);
		pkts[got++] = p;
	}
	port_count(&q->rx_packets, got);
	return got;
}

/* Write one frame. 0, or the errno. */
static int tap_write(const struct tap_queue *q, const struct pkt *p)
{
	struct iovec iov[1 + TAP_TX_SEGMENTS];
	struct virtio_net_hdr hdr;
	int count = 1;

	if (p->mbuf.nb_segs > TAP_TX_SEGMENTS)
		return EMSGSIZE;
	tap_hdr_from_pkt(&hdr, p);
	iov[0].iov_base = &hdr;
	iov[0].iov_len = sizeof(hdr);
	for (const struct rte_mbuf *m = &p->mbuf; m; m = m->next, count++) {
		iov[count].iov_base = rte_pktmbuf_mtod(m, void *);
		iov[count].iov_len = m->data_len;
	}
	return writev(q->fd, iov, count) < 0 ? errno : 0;
}

static enum drop_reason tap_drop_reason(int err)
{
	switch (err) {
	case EMSGSIZE:
		return DROP_PKT_TOO_BIG;
	case EINVAL:
		return DROP_PKT_TOO_SMALL; /* shorter than the header in front of it says */
	case ENOMEM:
	case ENOBUFS:
		return DROP_NOMEM;
	default:
		return DROP_PORT_DOWN; /* EIO, EBADFD: the interface is down or gone */
	}
}

uint16_t tap_tx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts, uint16_t n)
{
	struct tap_queue *q = &((struct tap *)port->driver)->queue[queue];
	uint16_t i;

	for (i = 0; i < n; i++) {
		int err = tap_write(q, pkts[i]);

		if (err == EAGAIN || err == EINTR)
			break;
		if (unlikely(err)) {
			port_count(&q->tx_errors, 1);
			pkt_drop(w, pkts[i], tap_drop_reason(err));
			continue;
		}
		port_count(&q->tx_packets, 1);
		port_count(&q->tx_bytes, pkt_len(pkts[i]));
		pkt_consume(w, pkts[i], FATE_TRANSMITTED);
	}
	return i;
}
