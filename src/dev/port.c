/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports: opening by specification, receive, and the send side that all drivers share.
 *
 * Theory of operation of the send side. Each worker has a send queue on each port: a burst, which
 * fills until it is full or port_flush() comes, and a backlog, a bounded FIFO of what the driver
 * did not take. The backlog goes first, always, so packets never overtake. A packet in either is
 * held (ledger); one that finds the backlog full is dropped TX_RING_FULL. Offloads that the port
 * lacks are done before a packet enters the burst.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/watch.h"
#include "dev/driver.h"
#include "dev/offload.h"
#include "wire/eth.h"

struct port_txq {
	struct worker *w; /* who uses it; known from its first packet on */
	uint16_t queue;
	uint16_t burst_count;
	uint32_t backlog_head;	/* runs freely */
	uint32_t backlog_count; /* the control thread looks at it: backlog_set() */
	struct pkt *burst[PORT_BURST];
	struct pkt **backlog; /* [PORT_BACKLOG_MAX]; memory comes with use */
} __attribute__((aligned(64)));

_Static_assert((PORT_BACKLOG_MAX & (PORT_BACKLOG_MAX - 1)) == 0, "used as a mask");

static inline void backlog_set(struct port_txq *q, uint32_t count)
{
	__atomic_store_n(&q->backlog_count, count, __ATOMIC_RELAXED);
}

static const struct {
	const char *type;
	port_open_fn open;
} drivers[] = {
	{ "tap", tap_open },   { "loop", loop_open },	{ "wire", wire_open },
	{ "dpdk", dpdk_open }, { "fault", fault_open },
};

static const char *const dpdk_short[] = { "af_packet", "af_xdp", "memif", "vhost",
					  "pcap",      "ring",	 "null",  "virtio_user" };

void port_random_mac(uint8_t mac[6])
{
	/* Cannot fail for so few bytes once the system is up. */
	if (getrandom(mac, 6, 0) != 6)
		memcpy(mac, &(uint64_t){ 0x010203040506 }, 6);
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

struct port *port_new(const struct port_ops *ops, const char *name, uint16_t queues)
{
	struct port *port = calloc(1, sizeof(*port));

	if (!port)
		return NULL;
	port->ops = ops;
	snprintf(port->name, sizeof(port->name), "%s", name);
	port_random_mac(port->mac);
	port->mtu_bytes = 1500;
	port->queues = queues;
	port->up = true;
	port->sleep_how = "timer";
	port->txqueuelen = PORT_BACKLOG_PACKETS;
	return port;
}

int port_open_driver(const char *spec, const struct port_open_ctx *ctx, struct port **port)
{
	size_t len = strcspn(spec, ",:");
	const char *rest = spec[len] ? spec + len + 1 : "";

	for (unsigned int i = 0; i < RTE_DIM(drivers); i++) {
		if (strlen(drivers[i].type) == len && memcmp(spec, drivers[i].type, len) == 0)
			return drivers[i].open(rest, ctx, port);
	}
	for (unsigned int i = 0; i < RTE_DIM(dpdk_short); i++) {
		if (strlen(dpdk_short[i]) == len && memcmp(spec, dpdk_short[i], len) == 0)
			return dpdk_open_short(dpdk_short[i], rest, ctx, port);
	}
	return port_fail(
		ctx->error, -EINVAL,
		"no port type \"%.*s\"; there are: tap, loop, wire, fault, dpdk, af_packet, "
		"af_xdp, memif, vhost, pcap, ring",
		(int)RTE_MIN(len, 40u), spec);
}

static int port_make_txqs(struct port *port)
{
	struct port_txq *txq = aligned_alloc(64, sizeof(*txq) * port->queues);

	if (!txq)
		return -ENOMEM;
	memset(txq, 0, sizeof(*txq) * port->queues);
	port->txq = txq;
	for (uint16_t i = 0; i < port->queues; i++) {
		txq[i].queue = i;
		txq[i].backlog = calloc(PORT_BACKLOG_MAX, sizeof(struct pkt *));
		if (!txq[i].backlog)
			return -ENOMEM;
	}
	return 0;
}

int port_open(const char *spec, const struct port_open_params *params, struct port **port,
	      char error[PORT_ERROR_BYTES])
{
	struct port_open_ctx ctx = { .params = params, .error = error };
	int err;

	error[0] = '\0';
	*port = NULL;
	if (params->workers == 0)
		return port_fail(error, -EINVAL, "a port needs one worker at least");
	err = port_open_driver(spec, &ctx, port);
	if (err) {
		*port = NULL;
		return err;
	}
	if (port_make_txqs(*port)) {
		port_close(*port);
		*port = NULL;
		return port_fail(error, -ENOMEM, "out of memory");
	}
	return 0;
}

static void txq_drop_all(struct port_txq *q)
{
	for (uint16_t i = 0; i < q->burst_count; i++)
		pkt_drop(q->w, q->burst[i], DROP_PORT_DOWN);
	for (uint32_t i = 0; i < q->backlog_count; i++)
		pkt_drop(q->w, q->backlog[(q->backlog_head + i) & (PORT_BACKLOG_MAX - 1)],
			 DROP_PORT_DOWN);
	if (q->w)
		ledger_release(q->w, q->burst_count + q->backlog_count);
}

void port_close(struct port *port)
{
	struct port_txq *txq;

	if (!port)
		return;
	txq = port->txq;
	for (uint16_t i = 0; txq && i < port->queues; i++) {
		txq_drop_all(&txq[i]);
		free(txq[i].backlog);
	}
	port->ops->close(port);
	free(txq);
}

uint16_t port_rx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts, uint16_t n)
{
	uint16_t got;

	if (unlikely(queue >= port->queues))
		return 0;
	got = port->ops->rx(w, port, queue, pkts, n);
	if (got) {
		stage_mark(w, STAGE_PORT_RX, pkts, got);
		stage_show(w, STAGE_PORT_RX, port->ifindex, pkts, got);
	}
	return got;
}

static uint16_t txq_tx(struct worker *w, struct port *port, struct port_txq *q, struct pkt **pkts,
		       uint16_t n)
{
	uint16_t sent = port->ops->tx(w, port, q->queue, pkts, n);

	ledger_release(w, sent);
	return sent;
}

/* Offer the backlog to the driver, oldest first, in runs that do not wrap. */
static void txq_drain_backlog(struct worker *w, struct port *port, struct port_txq *q)
{
	while (q->backlog_count) {
		uint32_t at = q->backlog_head & (PORT_BACKLOG_MAX - 1);
		uint32_t run = RTE_MIN(q->backlog_count, PORT_BACKLOG_MAX - at);
		uint16_t n = (uint16_t)RTE_MIN(run, PORT_BURST);
		uint16_t sent = txq_tx(w, port, q, &q->backlog[at], n);

		q->backlog_head += sent;
		backlog_set(q, q->backlog_count - sent);
		if (sent < n)
			return;
	}
}

static void txq_run(struct worker *w, struct port *port, struct port_txq *q)
{
	uint16_t n = q->burst_count, sent = 0;

	if (n) {
		stage_mark(w, STAGE_PORT_TX, q->burst, n);
		stage_show(w, STAGE_PORT_TX, port->ifindex, q->burst, n);
	}
	if (unlikely(q->backlog_count))
		txq_drain_backlog(w, port, q);
	if (n && likely(!q->backlog_count))
		sent = txq_tx(w, port, q, q->burst, n);
	q->burst_count = 0;
	for (; unlikely(sent < n); sent++) {
		if (q->backlog_count >= port->txqueuelen) {
			ledger_release(w, 1);
			pkt_drop(w, q->burst[sent], DROP_TX_RING_FULL);
			continue;
		}
		watch_note(w, q->burst[sent], TX_WAIT, q->backlog_count, 0);
		q->backlog[(q->backlog_head + q->backlog_count) & (PORT_BACKLOG_MAX - 1)] =
			q->burst[sent];
		backlog_set(q, q->backlog_count + 1);
	}
}

static inline void txq_put(struct worker *w, struct port *port, struct port_txq *q, struct pkt *p)
{
	ledger_hold(w, 1);
	q->w = w;
	q->burst[q->burst_count++] = p;
	if (q->burst_count == PORT_BURST)
		txq_run(w, port, q);
}

/* Why the port cannot carry this frame, or DROP_REASON_MAX if it can. */
static enum drop_reason frame_unfit(const struct port *port, const struct pkt *p)
{
	uint32_t len = pkt_len(p);
	const struct eth_hdr *eth;

	if (port->caps & PORT_CAP_LOOP)
		return len > UINT16_MAX + ETH_HDR_BYTES ? DROP_PKT_TOO_BIG : DROP_REASON_MAX;
	eth = pkt_header(p, p->mbuf.data_off, ETH_HDR_BYTES);
	if (unlikely(!eth))
		return DROP_PKT_TOO_SMALL;
	if (likely(len <= (uint32_t)port->mtu_bytes + ETH_HDR_BYTES))
		return DROP_REASON_MAX;
	if (p->flags & PKT_F_GSO_TCP4)
		return len > UINT16_MAX ? DROP_PKT_TOO_BIG : DROP_REASON_MAX;
	if (eth->type_be == WIRE_BE16(ETH_TYPE_VLAN) &&
	    len <= (uint32_t)port->mtu_bytes + ETH_HDR_BYTES + ETH_VLAN_BYTES)
		return DROP_REASON_MAX;
	return DROP_PKT_TOO_BIG;
}

/* Checksum as far as the port needs it, then into the burst. */
static void send_one(struct worker *w, struct port *port, struct port_txq *q, struct pkt *p)
{
	enum drop_reason unfit = frame_unfit(port, p);

	if (unlikely(unfit != DROP_REASON_MAX)) {
		pkt_drop(w, p, unfit);
		return;
	}
	if (unlikely((p->flags & PKT_F_CSUM_PARTIAL) &&
		     !(port->caps & (PORT_CAP_TX_CSUM | PORT_CAP_NO_CHECK))) &&
	    !offload_csum_finish(p)) {
		pkt_drop(w, p, DROP_PKT_TOO_SMALL);
		return;
	}
	txq_put(w, port, q, p);
}

static void send_segmented(struct worker *w, struct port *port, struct port_txq *q, struct pkt *p)
{
	int err = offload_tso4(w, p);

	if (err) {
		pkt_drop(w, p, err == -ENOMEM ? DROP_NOMEM : DROP_TCP_MALFORMED);
		return;
	}
	while (p) {
		struct pkt *next = p->next;

		send_one(w, port, q, p);
		p = next;
	}
}

void port_send(struct worker *w, struct port *port, struct pkt *p)
{
	struct port_txq *q = &port->txq[w->id];

	if (unlikely((p->flags & PKT_F_GSO_TCP4) && !(port->caps & PORT_CAP_TX_TSO4)))
		send_segmented(w, port, q, p);
	else
		send_one(w, port, q, p);
}

unsigned int port_flush(struct worker *w, struct port *port)
{
	struct port_txq *q = &port->txq[w->id];

	if (q->burst_count || q->backlog_count)
		txq_run(w, port, q);
	return q->backlog_count;
}

uint64_t port_backlog(const struct port *port)
{
	uint64_t waiting = 0;

	for (uint16_t i = 0; i < port->queues; i++)
		waiting += __atomic_load_n(&port->txq[i].backlog_count, __ATOMIC_RELAXED);
	return waiting;
}

void port_sent_and_free(struct worker *w, struct pkt **pkts, unsigned int n)
{
	pkt_consume_burst(w, pkts, n, FATE_TRANSMITTED);
}
