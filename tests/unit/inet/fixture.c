/* SPDX-License-Identifier: BSD-3-Clause */
#include "fixture.h"

#include <string.h>

const uint8_t us_mac[6] = { 2, 0, 0, 0, 0, 2 };
const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };
const uint8_t third_mac[6] = { 2, 0, 0, 0, 0, 3 };

static struct host *current; /* upcalls have no argument of their own */

static void on_deliver(struct worker *w, struct udp_pcb *pcb, struct pkt *p,
		       const struct endpoint *from, const struct endpoint *to)
{
	struct delivery *d = &current->last;

	assert_true(pkt_len_from(p, p->l7) <= sizeof(d->data));
	d->pcb = pcb;
	d->from = *from;
	d->to = *to;
	d->len = pkt_len_from(p, p->l7);
	pkt_copy_out(p, p->l7, d->data, d->len);
	if (current->deliveries < 16)
		current->delivered_to[current->deliveries] = pcb;
	current->deliveries++;
	pkt_consume(w, p, FATE_DELIVERED);
}

static void on_udp_error(struct worker *w, struct udp_pcb *pcb, const struct net_error *e)
{
	current->udp_told.count++;
	current->udp_told.error = e->error;
	current->udp_told.net = *e;
	memcpy(current->udp_told.l4, e->l4, 8);
	current->udp_told.data_len = e->p ? pkt_len_from(e->p, e->data_at) : 0;
	current->udp_told.udp = pcb;
}

static struct port *open_port(const char *spec)
{
	struct port_open_params params = { .workers = 1 };
	char error[PORT_ERROR_BYTES];
	struct port *port;

	assert_int_equal(port_open(spec, &params, &port, error), 0);
	return port;
}

struct host *host_open(const char *spec)
{
	struct inet_upcalls up = { .udp_deliver = on_deliver, .udp_error = on_udp_error };
	struct ipaddr us = ipaddr_from_ip4(host_to_be32(US));
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	current = h;
	memset(&tcp_told, 0, sizeof(tcp_told));
	tcp_stub_knows = true;
	tcp_stub_in = 0;
	h->w = test_worker_sized(8192);
	assert_int_equal(inet_init(h->w, &up), 0);
	h->lo = open_port("loop");
	h->wire = open_port(spec ? spec : "wire,mac=02:00:00:00:00:02");
	assert_int_equal(inet_netif_add(h->w, h->lo), IFINDEX_LOOP);
	h->ifindex = inet_netif_add(h->w, h->wire);
	assert_true(h->ifindex > (int)IFINDEX_LOOP);
	assert_int_equal(inet_addr_add(h->w, (unsigned int)h->ifindex, &us, 24), 0);
	host_wait(h, 10 * SEC);
	frame_take_all(h->wire);
	return h;
}

void host_close(struct host *h)
{
	host_run(h);
	inet_free(h->w);
	port_close(h->wire);
	port_close(h->lo);
	test_worker_done(h->w);
	free(h);
}

static unsigned int rx_all(struct host *h, struct port *port)
{
	struct pkt *pkts[PORT_BURST];
	unsigned int total = 0;
	uint16_t n;

	while ((n = port_rx(h->w, port, 0, pkts, PORT_BURST))) {
		eth_input(h->w, pkts, n);
		total += n;
	}
	return total;
}

void host_run(struct host *h)
{
	unsigned int moved;

	do {
		moved = rx_all(h, h->wire) + rx_all(h, h->lo);
		moved += timer_run(h->w, &h->w->timers, h->w->now_ns);
		port_flush(h->w, h->wire);
		port_flush(h->w, h->lo);
		moved += rx_all(h, h->lo);
	} while (moved);
	test_ledger(h->w);
}

void host_wait(struct host *h, uint64_t ns)
{
	uint64_t end = h->w->now_ns + ns;

	for (;;) {
		uint64_t next = timer_next_ns(&h->w->timers);

		if (next > end)
			break;
		if (next > h->w->now_ns)
			h->w->now_ns = next;
		host_run(h);
	}
	h->w->now_ns = end;
	host_run(h);
}

void host_put(struct host *h, const uint8_t *frame, size_t len)
{
	assert_int_equal(wire_put(h->wire, frame, len), 0);
	host_run(h);
}

size_t host_take(struct host *h, uint16_t type)
{
	return frame_take(h->wire, type, h->frame, &h->info);
}

struct frame_spec from_peer(void)
{
	struct frame_spec s = { .src_ip = PEER, .dst_ip = US };

	memcpy(s.dst_mac, us_mac, 6);
	memcpy(s.src_mac, peer_mac, 6);
	return s;
}

void host_meet(struct host *h, uint32_t ip, const uint8_t mac[6])
{
	uint8_t frame[64];

	host_put(h, frame, frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, mac, ip, NULL, US));
	assert_true(host_take(h, ETH_TYPE_ARP));
	assert_int_equal(arp_op(&h->info.arp), ARP_OP_REPLY);
}

struct endpoint endpoint4(uint32_t ip, uint16_t port)
{
	return (struct endpoint){ .addr = ip ? ipaddr_from_ip4(host_to_be32(ip)) : ipaddr_any(),
				  .port_be = host_to_be16(port) };
}

struct udp_pcb *host_udp(struct host *h, uint32_t ip, uint16_t port)
{
	struct endpoint local = endpoint4(ip, port);
	struct udp_pcb *pcb;

	assert_int_equal(udp_open(h->w, &pcb, NULL), 0);
	assert_int_equal(udp_bind(h->w, pcb, &local), 0);
	return pcb;
}

int host_send(struct host *h, struct udp_pcb *pcb, uint32_t ip, uint16_t port, const void *data,
	      uint32_t len)
{
	struct endpoint to = endpoint4(ip, port);
	int err = udp_send(h->w, pcb, &to, data, len, NULL, 0);

	host_run(h);
	return err;
}
