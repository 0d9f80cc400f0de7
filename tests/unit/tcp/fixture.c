/* SPDX-License-Identifier: BSD-3-Clause */
#include "fixture.h"

#include <string.h>

static const uint8_t us_mac[6] = { 2, 0, 0, 0, 0, 2 };
static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };

static struct sock *sock_of(struct tcp_pcb *pcb)
{
	return tcp_public(pcb)->user;
}

static struct sock *sock_new(struct host *h)
{
	struct sock *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	assert_true(h->socks < SOCKS * 4);
	h->sock[h->socks++] = s;
	s->h = h;
	s->rx_size = s->tx_size = 65536;
	s->backlog = SOCKS;
	return s;
}

static void up_connected(struct worker *w, struct tcp_pcb *pcb)
{
	sock_of(pcb)->connected = true;
}

static int up_incoming(struct worker *w, struct tcp_pcb *listener, struct tcp_pcb *pcb)
{
	struct sock *l = sock_of(listener), *s;

	if (l->refuse)
		return -1;
	assert_true(l->queued < l->backlog);
	s = sock_new(l->h);
	s->pcb = pcb;
	s->rx_size = l->rx_size;
	s->tx_size = l->tx_size;
	s->no_memory = l->no_memory;
	s->connected = true;
	tcp_public(pcb)->user = s;
	l->queue[l->queued++] = s;
	return 0;
}

static bool up_room(struct worker *w, struct tcp_pcb *listener)
{
	struct sock *l = sock_of(listener);

	return l->queued < l->backlog;
}

static int up_need_rcv(struct worker *w, struct tcp_pcb *pcb, uint32_t least)
{
	struct sock *s = sock_of(pcb);

	if (s->no_memory)
		return -1;
	s->rx = malloc(s->rx_size);
	assert_non_null(s->rx);
	tcp_public(pcb)->rcv = (struct byte_ring){ s->rx, s->rx_size, 0, 0 };
	return 0;
}

static void up_grow_rcv(struct worker *w, struct tcp_pcb *pcb, uint32_t beyond)
{
}

static int up_need_snd(struct worker *w, struct tcp_pcb *pcb)
{
	struct sock *s = sock_of(pcb);

	s->tx = malloc(s->tx_size);
	assert_non_null(s->tx);
	tcp_public(pcb)->snd = (struct byte_ring){ s->tx, s->tx_size, 0, 0 };
	return 0;
}

static void up_readable(struct worker *w, struct tcp_pcb *pcb)
{
	struct sock *s = sock_of(pcb);

	assert_false(s->closed);
	s->readable++;
	s->eof = tcp_public(pcb)->rx_eof;
}

static void up_acked(struct worker *w, struct tcp_pcb *pcb)
{
	sock_of(pcb)->acked++;
}

static void up_sync_rcv(struct worker *w, struct tcp_pcb *pcb)
{
	assert_false(sock_of(pcb)->closed && tcp_public(pcb)->rcv.data == NULL);
}

static void up_urgent(struct worker *w, struct tcp_pcb *pcb)
{
	assert_false(sock_of(pcb)->closed);
}

static void up_error(struct worker *w, struct tcp_pcb *pcb, int error, bool soft)
{
	struct sock *s = sock_of(pcb);

	assert_false(s->closed);
	if (soft) {
		s->soft_error = error;
		return;
	}
	assert_false(s->errored);
	s->errored = true;
	s->error = error;
}

static void up_gone(struct worker *w, struct tcp_pcb *pcb)
{
	struct sock *s = sock_of(pcb);

	if (!s) /* a listener of inet_free() */
		return;
	assert_false(s->gone);
	s->gone = true;
	s->pcb = NULL;
}

static const struct inet_upcalls upcalls = {
	.tcp_connected = up_connected,
	.tcp_incoming = up_incoming,
	.tcp_backlog_room = up_room,
	.tcp_need_rcv = up_need_rcv,
	.tcp_grow_rcv = up_grow_rcv,
	.tcp_need_snd = up_need_snd,
	.tcp_readable = up_readable,
	.tcp_urgent = up_urgent,
	.tcp_acked = up_acked,
	.tcp_sync_rcv = up_sync_rcv,
	.tcp_error = up_error,
	.tcp_gone = up_gone,
};

static struct port *port_of(struct host *h, const char *spec)
{
	struct port_open_params params = { .workers = 1, .worker = &h->w };
	char error[PORT_ERROR_BYTES] = "";
	struct port *port;

	if (port_open(spec, &params, &port, error) != 0)
		fail_msg("%s: %s", spec, error);
	return port;
}

struct host *host_open(uint32_t ip, unsigned int packets, const char *spec)
{
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(ip));
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	h->w = test_worker_sized(packets);
	h->ip = ip;
	h->frame = malloc(FRAME_ROOM);
	assert_int_equal(inet_init(h->w, &upcalls), 0);
	h->lo = port_of(h, "loop");
	h->wire = port_of(h, spec);
	assert_int_equal(inet_netif_add(h->w, h->lo), IFINDEX_LOOP);
	h->ifindex = inet_netif_add(h->w, h->wire);
	assert_true(h->ifindex > 1);
	assert_int_equal(inet_addr_add(h->w, (unsigned int)h->ifindex, &addr, 24), 0);
	return h;
}

struct host *host_plain(void)
{
	struct host *h = host_open(US, 4096, "wire,mac=02:00:00:00:00:02");
	uint8_t frame[64];
	size_t len;

	host_wait(h, 10 * SEC);
	len = frame_arp(frame, frame_broadcast, ARP_OP_REQUEST, peer_mac, PEER, NULL, US);
	assert_int_equal(wire_put(h->wire, frame, len), 0);
	host_run(h);
	frame_take_all(h->wire);
	h->plain = true;
	return h;
}

static void sock_delete(struct sock *s)
{
	free(s->rx);
	free(s->tx);
	free(s);
}

void host_close(struct host *h)
{
	host_run(h);
	inet_free(h->w);
	port_close(h->wire);
	port_close(h->lo);
	for (unsigned int i = 0; i < h->socks; i++)
		sock_delete(h->sock[i]);
	test_worker_done(h->w);
	free(h->frame);
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
	port_flush(h->w, h->wire);
	test_ledger(h->w);
}

/* The test as peer answers ARP, asked or not. */
static void arp_answer(struct host *h)
{
	uint8_t frame[64];
	size_t len = frame_arp(frame, us_mac, ARP_OP_REPLY, peer_mac, PEER, us_mac, US);

	assert_int_equal(wire_put(h->wire, frame, len), 0);
	host_run(h);
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
		if (h->plain)
			arp_answer(h);
	}
	h->w->now_ns = end;
	host_run(h);
}

struct endpoint ep(uint32_t ip, uint16_t port)
{
	return (struct endpoint){ .addr = ip ? ipaddr_from_ip4(host_to_be32(ip)) : ipaddr_any(),
				  .port_be = host_to_be16(port) };
}

struct sock *sock_open(struct host *h)
{
	struct sock *s = sock_new(h);

	assert_int_equal(tcp_open(h->w, &s->pcb, s), 0);
	return s;
}

struct sock *sock_listen(struct host *h, uint32_t ip, uint16_t port)
{
	struct sock *s = sock_open(h);
	struct endpoint local = ep(ip, port);

	tcp_public(s->pcb)->reuse_addr = true;
	assert_int_equal(tcp_bind(h->w, s->pcb, &local), 0);
	assert_int_equal(tcp_listen(h->w, s->pcb, 4096), 0);
	return s;
}

struct sock *sock_connect(struct host *h, uint32_t ip, uint16_t port)
{
	struct sock *s = sock_open(h);
	struct endpoint remote = ep(ip, port);

	assert_int_equal(tcp_connect(h->w, s->pcb, &remote), 0);
	return s;
}

struct sock *sock_accept(struct sock *l)
{
	struct sock *s;

	if (l->queued == 0)
		return NULL;
	s = l->queue[0];
	memmove(&l->queue[0], &l->queue[1], --l->queued * sizeof(l->queue[0]));
	return s;
}

uint32_t sock_write(struct sock *s, const void *data, uint32_t len)
{
	struct byte_ring *snd = &tcp_public(s->pcb)->snd;
	uint32_t done = 0, run;

	if (len > byte_ring_free(snd))
		len = byte_ring_free(snd);
	while (done < len) {
		uint8_t *dst = byte_ring_run(snd, snd->tail, len - done, &run);

		memcpy(dst, (const uint8_t *)data + done, run);
		snd->tail += run;
		done += run;
	}
	tcp_push(s->h->w, s->pcb);
	port_flush(s->h->w, s->h->wire);
	return len;
}

uint32_t sock_read(struct sock *s, void *data, uint32_t room)
{
	struct byte_ring *rcv = &tcp_public(s->pcb)->rcv;
	uint32_t len, done = 0, run;

	if (!rcv->data)
		return 0;
	len = byte_ring_used(rcv) < room ? byte_ring_used(rcv) : room;
	while (done < len) {
		const uint8_t *src = byte_ring_run(rcv, rcv->head, len - done, &run);

		if (data)
			memcpy((uint8_t *)data + done, src, run);
		rcv->head += run;
		done += run;
	}
	if (len)
		tcp_consumed(s->h->w, s->pcb);
	port_flush(s->h->w, s->h->wire);
	return len;
}

void sock_close(struct sock *s)
{
	s->closed = true;
	tcp_close(s->h->w, s->pcb);
	port_flush(s->h->w, s->h->wire);
}

static void peer_put(struct peer *p, uint32_t seq, uint32_t ack, uint8_t flags, const void *data,
		     size_t len)
{
	struct frame_spec s = { .src_ip = PEER, .dst_ip = US };
	struct frame_tcp t = { .sport = p->port,
			       .dport = p->to,
			       .seq = seq,
			       .flags = flags,
			       .ack = flags & TCP_F_ACK ? ack : 0,
			       .window = p->window };
	uint8_t opt[40] = { 1, 1, 8, 10 }, *frame = malloc(FRAME_ROOM);

	memcpy(s.dst_mac, us_mac, 6);
	memcpy(s.src_mac, peer_mac, 6);
	if (p->ts) {
		be32_store(opt + 4, p->ts_val);
		be32_store(opt + 8, p->ts_ecr);
		t.options = opt;
		t.options_len = 12;
	}
	if (p->opt_len) {
		t.options = p->opt;
		t.options_len = p->opt_len;
	}
	assert_int_equal(wire_put(p->h->wire, frame, frame_tcp(frame, &s, &t, data, len)), 0);
	free(frame);
	host_run(p->h);
}

void peer_send(struct peer *p, uint8_t flags, const void *data, size_t len)
{
	uint32_t seq = p->seq;

	p->seq += (uint32_t)len + !!(flags & TCP_F_SYN) + !!(flags & TCP_F_FIN);
	peer_put(p, seq, p->ack, flags, data, len);
}

void peer_send_at(struct peer *p, uint32_t seq, uint32_t ack, uint8_t flags, const void *data,
		  size_t len)
{
	peer_put(p, seq, ack, flags, data, len);
}

void peer_expect(struct peer *p, uint8_t flags, uint32_t len)
{
	struct frame_info *i = &p->h->info;
	const uint8_t *ts;

	if (!frame_take(p->h->wire, ETH_TYPE_IP4, p->h->frame, i))
		fail_msg("no segment where flags %02x, %u bytes are expected", flags, len);
	assert_int_equal(i->proto, 6);
	assert_int_equal(i->sport, p->to);
	assert_int_equal(i->dport, p->port);
	assert_int_equal(i->flags, flags);
	assert_int_equal(i->data_len, len);
	if (i->seq == p->ack)
		p->ack += len + !!(flags & TCP_F_SYN) + !!(flags & TCP_F_FIN);
	ts = frame_tcp_option(i, TCP_OPT_TIMESTAMP);
	if (ts)
		p->ts_ecr = be32_load(ts);
}

void peer_silent(struct peer *p)
{
	if (frame_take(p->h->wire, ETH_TYPE_IP4, p->h->frame, &p->h->info))
		fail_msg("a segment where none is expected: flags %02x, %zu bytes",
			 p->h->info.flags, p->h->info.data_len);
}

void peer_connect(struct peer *p, struct host *h, uint16_t port, uint16_t to)
{
	p->h = h;
	p->port = port;
	p->to = to;
	p->seq = 1000;
	if (!p->window)
		p->window = 65535;
	peer_send(p, TCP_F_SYN, NULL, 0);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_int_equal(h->info.flags, TCP_F_SYN | TCP_F_ACK);
	assert_int_equal(h->info.ack, p->seq);
	p->ack = h->info.seq + 1;
	if (p->ts)
		p->ts_ecr = be32_load(frame_tcp_option(&h->info, TCP_OPT_TIMESTAMP));
	p->opt_len = 0;
	peer_send(p, TCP_F_ACK, NULL, 0);
}

void peer_accept(struct peer *p, struct host *h, struct sock **s, uint16_t port)
{
	p->h = h;
	p->port = port;
	p->seq = 1000;
	if (!p->window)
		p->window = 65535;
	*s = sock_connect(h, PEER, port);
	host_run(h);
	assert_true(frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info));
	assert_int_equal(h->info.flags, TCP_F_SYN);
	p->to = h->info.sport;
	p->ack = h->info.seq + 1;
	peer_send(p, TCP_F_SYN | TCP_F_ACK, NULL, 0);
	p->opt_len = 0;
	peer_expect(p, TCP_F_ACK, 0);
	assert_true((*s)->connected);
}

struct sock *peer_established(struct peer *p, struct host *h, struct sock **listener)
{
	struct sock *l = sock_listen(h, US, 80), *s;

	peer_connect(p, h, 40000, 80);
	s = sock_accept(l);
	assert_non_null(s);
	assert_int_equal(sock_state(s), TCP_ESTABLISHED);
	if (listener)
		*listener = l;
	return s;
}

void net_open(struct net *n, const char *a, const char *b, unsigned int packets)
{
	n->a = host_open(US, packets, a);
	n->b = host_open(PEER, packets, b);
	n->now_ns = n->a->w->now_ns;
}

static unsigned int carry(struct host *from, struct host *to)
{
	unsigned int n = 0;
	size_t len;

	while ((len = wire_take(from->wire, from->frame, FRAME_ROOM))) {
		assert_true(len <= FRAME_ROOM);
		if (wire_put(to->wire, from->frame, len) != 0)
			break; /* a full cable loses frames */
		n++;
	}
	return n;
}

void net_run(struct net *n)
{
	unsigned int moved;

	n->a->w->now_ns = n->b->w->now_ns = n->now_ns;
	do {
		host_run(n->a);
		host_run(n->b);
		moved = carry(n->a, n->b) + carry(n->b, n->a);
	} while (moved);
}

static uint64_t host_next(struct host *h)
{
	uint64_t next = timer_next_ns(&h->w->timers), line = TIMER_NEVER;

	if (h->wire->ops->next_ns)
		line = h->wire->ops->next_ns(h->wire, 0);
	return next < line ? next : line;
}

bool net_step(struct net *n, uint64_t end_ns)
{
	uint64_t a, b, next;

	net_run(n);
	a = host_next(n->a);
	b = host_next(n->b);
	next = a < b ? a : b;
	if (next > end_ns) {
		n->now_ns = n->now_ns > end_ns ? n->now_ns : end_ns;
		net_run(n);
		return false;
	}
	if (next > n->now_ns)
		n->now_ns = next;
	net_run(n);
	return true;
}

void net_wait(struct net *n, uint64_t ns)
{
	uint64_t end_ns = n->now_ns + ns;

	while (net_step(n, end_ns))
		;
}

void net_close(struct net *n)
{
	struct host *h[2] = { n->a, n->b };

	net_run(n);
	for (unsigned int i = 0; i < 2; i++)
		host_close(h[i]);
}
