/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-memory wire: two FIFOs of frames. Slots keep their memory, so a wire that has warmed up
 * does not allocate.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/driver.h"
#include "dev/offload.h"
#include "dev/wire.h"

#define WIRE_FRAMES 4096u /* power of two, each way */
#define WIRE_MIN_ROOM_BYTES 2048u

struct wire_slot {
	uint8_t *data;
	uint32_t len_bytes;
	uint32_t room_bytes;
};

struct wire_fifo {
	uint32_t head, tail; /* run freely */
	struct wire_slot slot[WIRE_FRAMES];
};

struct wire_queue {
	struct wire_fifo in;  /* put by the caller, received by the port */
	struct wire_fifo out; /* sent by the port, taken by the caller */
	struct port_stats stats;
} __attribute__((aligned(64)));

struct wire {
	bool csum;
	bool tso;
	unsigned int queues;
	struct wire_queue queue[];
};

/* The next free slot with room for len bytes, not yet in the FIFO; NULL: full, or out of memory. */
static struct wire_slot *fifo_reserve(struct wire_fifo *f, uint32_t len)
{
	struct wire_slot *s = &f->slot[f->tail & (WIRE_FRAMES - 1)];

	if (f->tail - f->head == WIRE_FRAMES)
		return NULL;
	if (s->room_bytes < len || !s->data) {
		uint32_t room = RTE_MAX(len, WIRE_MIN_ROOM_BYTES);
		uint8_t *data = realloc(s->data, room);

		if (!data)
			return NULL;
		s->data = data;
		s->room_bytes = room;
	}
	s->len_bytes = len;
	return s;
}

static struct wire *wire_of(const struct port *port)
{
	const struct port *inner;

	while ((inner = fault_inner(port)))
		port = inner;
	return port->driver;
}

int wire_put(struct port *port, const void *frame, size_t len_bytes)
{
	return wire_put_queue(port, 0, frame, len_bytes);
}

int wire_put_queue(struct port *port, unsigned int queue, const void *frame, size_t len_bytes)
{
	struct wire *wire = wire_of(port);
	struct wire_fifo *f;
	struct wire_slot *s;

	if (queue >= wire->queues)
		return -EINVAL;
	f = &wire->queue[queue].in;
	if (len_bytes > WIRE_MAX_FRAME_BYTES)
		return -EMSGSIZE;
	s = fifo_reserve(f, (uint32_t)len_bytes);
	if (!s)
		return -ENOBUFS;
	if (len_bytes)
		memcpy(s->data, frame, len_bytes);
	f->tail++;
	return 0;
}

/* The first FIFO with a frame in it, or NULL. */
static struct wire_fifo *wire_fifo_out(struct wire *wire)
{
	for (unsigned int q = 0; q < wire->queues; q++) {
		struct wire_fifo *f = &wire->queue[q].out;

		if (f->head != f->tail)
			return f;
	}
	return NULL;
}

size_t wire_take(struct port *port, void *frame, size_t room_bytes)
{
	struct wire_fifo *f = wire_fifo_out(wire_of(port));
	const struct wire_slot *s;

	if (!f)
		return 0;
	s = &f->slot[f->head & (WIRE_FRAMES - 1)];
	memcpy(frame, s->data, RTE_MIN((size_t)s->len_bytes, room_bytes));
	f->head++;
	return s->len_bytes;
}

size_t wire_waiting(const struct port *port)
{
	const struct wire *wire = wire_of(port);
	size_t n = 0;

	for (unsigned int q = 0; q < wire->queues; q++)
		n += wire->queue[q].out.tail - wire->queue[q].out.head;
	return n;
}

static uint16_t wire_rx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts,
			uint16_t n)
{
	const struct wire *wire = port->driver;
	struct wire_queue *q = &((struct wire *)port->driver)->queue[queue];
	struct wire_fifo *f = &q->in;
	uint16_t got = 0;

	for (; got < n && f->head != f->tail; got++, f->head++) {
		const struct wire_slot *s = &f->slot[f->head & (WIRE_FRAMES - 1)];
		struct pkt *p;

		if (pkt_alloc_raw(w, &p, 1)) {
			port_count(&q->stats.rx_nombuf, 1);
			break;
		}
		if (pkt_append(w, p, s->data, s->len_bytes)) {
			pkt_free_raw(&p, 1);
			port_count(&q->stats.rx_nombuf, 1);
			break;
		}
		pkts[got] = p;
		port_count(&q->stats.rx_bytes, s->len_bytes);
	}
	if (!got)
		return 0;
	port_count(&q->stats.rx_packets, got);
	pkt_entered(w, pkts, got, port->ifindex);
	for (uint16_t i = 0; i < got; i++) {
		if (wire->csum)
			pkts[i]->flags |= PKT_F_CSUM_OK;
		if (wire->tso)
			offload_mark_gso(pkts[i], port->mtu_bytes);
	}
	return got;
}

static uint16_t wire_tx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts,
			uint16_t n)
{
	struct wire_queue *q = &((struct wire *)port->driver)->queue[queue];
	uint16_t sent = 0;

	for (; sent < n; sent++) {
		struct pkt *p = pkts[sent];
		struct wire_slot *s = fifo_reserve(&q->out, pkt_len(p));

		if (!s)
			break;
		pkt_copy_out(p, p->mbuf.data_off, s->data, pkt_len(p));
		q->out.tail++;
		port_count(&q->stats.tx_bytes, pkt_len(p));
	}
	port_count(&q->stats.tx_packets, sent);
	port_sent_and_free(w, pkts, sent);
	return sent;
}

static uint64_t wire_next_ns(struct port *port, uint16_t queue)
{
	const struct wire *wire = port->driver;

	return wire->queue[queue].in.head == wire->queue[queue].in.tail ? TIMER_NEVER : 0;
}

static bool wire_arm(struct port *port, uint16_t queue, bool on)
{
	const struct wire *wire = port->driver;

	return wire->queue[queue].in.head != wire->queue[queue].in.tail;
}

static void wire_stats(struct port *port, struct port_stats *stats)
{
	const struct wire *wire = port->driver;

	for (unsigned int i = 0; i < wire->queues; i++) {
		const struct port_stats *q = &wire->queue[i].stats;

		stats->rx_packets += port_counted(&q->rx_packets);
		stats->rx_bytes += port_counted(&q->rx_bytes);
		stats->rx_nombuf += port_counted(&q->rx_nombuf);
		stats->tx_packets += port_counted(&q->tx_packets);
		stats->tx_bytes += port_counted(&q->tx_bytes);
	}
}

static void wire_about(struct port *port, struct port_about *about)
{
	about->full_duplex = true;
	about->rx_csum = ((struct wire *)port->driver)->csum;
	about->rx_ring = about->tx_ring = about->rx_ring_max = about->tx_ring_max = WIRE_FRAMES;
}

static void wire_close(struct port *port)
{
	struct wire *wire = port->driver;

	for (unsigned int i = 0; i < WIRE_FRAMES * wire->queues; i++) {
		struct wire_queue *q = &wire->queue[i / WIRE_FRAMES];

		free(q->in.slot[i % WIRE_FRAMES].data);
		free(q->out.slot[i % WIRE_FRAMES].data);
	}
	free(wire);
	free(port);
}

static const struct port_ops wire_ops = {
	.type = "wire",
	.rx = wire_rx,
	.tx = wire_tx,
	.arm = wire_arm,
	.next_ns = wire_next_ns,
	.stats = wire_stats,
	.about = wire_about,
	.close = wire_close,
};

static struct wire *wire_new(unsigned int queues)
{
	size_t bytes = sizeof(struct wire) + queues * sizeof(struct wire_queue);
	struct wire *wire = aligned_alloc(64, bytes);

	if (!wire)
		return NULL;
	memset(wire, 0, bytes);
	wire->queues = queues;
	return wire;
}

int wire_open(const char *rest, const struct port_open_ctx *ctx, struct port **out)
{
	static const char *const known[] = { "name", "mtu", "mac", "csum", "tso", "queues", NULL };
	uint64_t mtu = 1500, queues = 1;
	bool csum = false, tso = false;
	struct port *port;
	struct wire *wire;
	struct spec spec;
	uint8_t mac[6];
	int err;

	port_random_mac(mac);
	if ((err = spec_parse(&spec, "wire", rest, known, ctx->error)) ||
	    (err = spec_number(&spec, "mtu", 68, 65521, &mtu, ctx->error)) ||
	    (err = spec_number(&spec, "queues", 1, 64, &queues, ctx->error)) ||
	    (err = spec_mac(&spec, "mac", mac, ctx->error)) ||
	    (err = spec_bool(&spec, "csum", &csum, ctx->error)) ||
	    (err = spec_bool(&spec, "tso", &tso, ctx->error)))
		return err;
	if (tso && !csum)
		return port_fail(ctx->error, -EINVAL, "wire: tso=1 needs csum=1");
	wire = wire_new((unsigned int)queues);
	port = port_new(&wire_ops, spec_get(&spec, "name") ? spec_get(&spec, "name") : "wire",
			(uint16_t)queues);
	if (!wire || !port) {
		free(wire);
		free(port);
		return port_fail(ctx->error, -ENOMEM, "wire: out of memory");
	}
	wire->csum = csum && !ctx->plain;
	wire->tso = tso && !ctx->plain;
	memcpy(port->mac, mac, sizeof(mac));
	port->mtu_bytes = (uint16_t)mtu;
	port->caps = (wire->csum ? PORT_CAP_TX_CSUM : 0) | (wire->tso ? PORT_CAP_TX_TSO4 : 0);
	port->driver = wire;
	*out = port;
	return 0;
}
