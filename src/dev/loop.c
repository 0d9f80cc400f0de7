/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loopback: what a worker sends comes back to the same worker, as the same buffer. A packet's life
 * ends (transmitted) and another begins (entered) while it lies in the FIFO, so nothing there is
 * held. Checksums stay partial and super-segments whole: nothing can corrupt them on the way.
 *
 * Threads: FIFO q belongs to worker q.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/driver.h"

#define LOOP_PACKETS 4096u /* power of two, in each FIFO */

struct loop_fifo {
	struct worker *w;    /* who sent into it last */
	uint32_t head, tail; /* run freely */
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	struct pkt *pkt[LOOP_PACKETS];
} __attribute__((aligned(64)));

/* What must outlive the packet's new beginning. */
#define LOOP_KEEP (PKT_F_CSUM_PARTIAL | PKT_F_GSO_TCP4)

static uint16_t loop_rx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts,
			uint16_t n)
{
	struct loop_fifo *f = &((struct loop_fifo *)port->driver)[queue];
	struct {
		uint16_t flags, gso_size, csum_at;
		uint8_t ifindex;
	} keep[PORT_BURST];
	/* Below a fault link frames may have been corrupted, and their checksums are real. */
	uint16_t good = PKT_F_LOOPBACK | (port->caps & PORT_CAP_NO_CHECK ? PKT_F_CSUM_OK : 0);
	uint64_t bytes = 0;
	uint16_t got = (uint16_t)RTE_MIN(RTE_MIN(f->tail - f->head, (uint32_t)n), PORT_BURST);

	if (!got)
		return 0;
	for (uint16_t i = 0; i < got; i++) {
		pkts[i] = f->pkt[(f->head + i) & (LOOP_PACKETS - 1)];
		keep[i].flags = pkts[i]->flags & LOOP_KEEP;
		keep[i].gso_size = pkts[i]->gso_size;
		keep[i].csum_at = pkts[i]->csum_at;
		keep[i].ifindex = pkts[i]->loop_ifindex;
		bytes += pkt_len(pkts[i]);
	}
	f->head += got;
	port_count(&f->rx_packets, got);
	port_count(&f->rx_bytes, bytes);
	pkt_entered(w, pkts, got, port->ifindex);
	for (uint16_t i = 0; i < got; i++) {
		pkts[i]->flags |= keep[i].flags | good;
		pkts[i]->gso_size = keep[i].gso_size;
		pkts[i]->csum_at = keep[i].csum_at;
		if (unlikely(keep[i].ifindex))
			pkts[i]->ifindex = keep[i].ifindex;
	}
	return got;
}

static uint16_t loop_tx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts,
			uint16_t n)
{
	struct loop_fifo *f = &((struct loop_fifo *)port->driver)[queue];
	uint16_t room = (uint16_t)RTE_MIN(LOOP_PACKETS - (f->tail - f->head), (uint32_t)n);
	uint64_t bytes = 0;

	f->w = w;
	for (uint16_t i = 0; i < room; i++) {
		bytes += pkt_len(pkts[i]);
		pkt_sent(w, pkts[i]);
		f->pkt[f->tail++ & (LOOP_PACKETS - 1)] = pkts[i];
	}
	port_count(&f->tx_packets, room);
	port_count(&f->tx_bytes, bytes);
	return room;
}

/* What waits is due at once. */
static uint64_t loop_next_ns(struct port *port, uint16_t queue)
{
	const struct loop_fifo *f = &((struct loop_fifo *)port->driver)[queue];

	return f->head == f->tail ? TIMER_NEVER : 0;
}

static bool loop_arm(struct port *port, uint16_t queue, bool on)
{
	const struct loop_fifo *f = &((struct loop_fifo *)port->driver)[queue];

	return f->head != f->tail;
}

static int loop_sleep_fd(struct port *port, uint16_t queue)
{
	return -ENOTSUP;
}

static void loop_stats(struct port *port, struct port_stats *stats)
{
	const struct loop_fifo *f = port->driver;

	for (uint16_t q = 0; q < port->queues; q++, f++) {
		stats->rx_packets += port_counted(&f->rx_packets);
		stats->rx_bytes += port_counted(&f->rx_bytes);
		stats->tx_packets += port_counted(&f->tx_packets);
		stats->tx_bytes += port_counted(&f->tx_bytes);
	}
}

static void loop_about(struct port *port, struct port_about *about)
{
	about->full_duplex = true;
	about->rx_csum = port->caps & PORT_CAP_NO_CHECK;
	about->rx_ring = about->tx_ring = about->rx_ring_max = about->tx_ring_max = LOOP_PACKETS;
}

static void loop_close(struct port *port)
{
	struct loop_fifo *f = port->driver;

	/* Transmitted already: they come in once more, to be counted out. */
	for (uint16_t q = 0; q < port->queues; q++, f++) {
		for (; f->head != f->tail; f->head++) {
			struct pkt *p = f->pkt[f->head & (LOOP_PACKETS - 1)];

			pkt_entered(f->w, &p, 1, port->ifindex);
			pkt_drop(f->w, p, DROP_PORT_DOWN);
		}
	}
	free(port->driver);
	free(port);
}

static const struct port_ops loop_ops = {
	.type = "loop",
	.rx = loop_rx,
	.tx = loop_tx,
	.sleep_fd = loop_sleep_fd,
	.arm = loop_arm,
	.next_ns = loop_next_ns,
	.stats = loop_stats,
	.about = loop_about,
	.close = loop_close,
};

int loop_open(const char *rest, const struct port_open_ctx *ctx, struct port **out)
{
	static const char *const known[] = { NULL };
	uint16_t queues = ctx->params->workers;
	struct port *port;
	struct spec spec;
	int err = spec_parse(&spec, "loop", rest, known, ctx->error);

	if (err)
		return err;
	port = port_new(&loop_ops, "lo", queues);
	if (port)
		port->driver = aligned_alloc(64, sizeof(struct loop_fifo) * queues);
	if (!port || !port->driver) {
		free(port);
		return port_fail(ctx->error, -ENOMEM, "loop: out of memory");
	}
	memset(port->driver, 0, sizeof(struct loop_fifo) * queues);
	memset(port->mac, 0, sizeof(port->mac));
	port->mtu_bytes = 65535;
	port->caps = PORT_CAP_LOOP;
	if (!ctx->plain)
		port->caps |= PORT_CAP_NO_CHECK | PORT_CAP_TX_CSUM | PORT_CAP_TX_TSO4;
	port->sleep_how = "timer";
	*out = port;
	return 0;
}
