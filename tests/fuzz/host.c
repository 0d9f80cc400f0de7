/* SPDX-License-Identifier: BSD-3-Clause */
#include "host.h"

#include <errno.h>

#include "core/eal.h"
#include "core/log.h"
#include "dev/wire.h"
#include "inet/tcp/tcp.h"
#include "inet/udp.h"
#include "wire/arp.h"
#include "wire/csum.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#define HOST_PACKETS 1024u

const uint8_t host_mac[6] = { 2, 0, 0, 0, 0, 2 };
const uint8_t host_peer_mac[6] = { 2, 0, 0, 0, 0, 1 };

struct host host;

/* ---- the program above ---- */

static int host_ring(struct byte_ring *r)
{
	r->data = malloc(HOST_RING_BYTES);
	if (!r->data)
		return -ENOMEM;
	r->size_bytes = HOST_RING_BYTES;
	r->tail = r->head;
	return 0;
}

static int up_need_rcv(struct worker *w, struct tcp_pcb *pcb, uint32_t least)
{
	return host_ring(&tcp_public(pcb)->rcv);
}

static void up_grow_rcv(struct worker *w, struct tcp_pcb *pcb, uint32_t beyond)
{
}

static int up_need_snd(struct worker *w, struct tcp_pcb *pcb)
{
	return host_ring(&tcp_public(pcb)->snd);
}

static void up_nothing(struct worker *w, struct tcp_pcb *pcb)
{
}

static int conn_find(const struct tcp_pcb *pcb)
{
	for (int i = 0; i < (int)HOST_CONNS; i++)
		if (host.conn[i] == pcb)
			return i;
	return -1;
}

static int up_incoming(struct worker *w, struct tcp_pcb *listener, struct tcp_pcb *pcb)
{
	int i = conn_find(NULL);

	FUZZ_CHECK(listener == host.listener);
	if (i < 0)
		return -ENOMEM;
	host.conn[i] = pcb;
	host.broken[i] = false;
	tcp_public(pcb)->user = &host;
	return 0;
}

static bool up_backlog_room(struct worker *w, struct tcp_pcb *listener)
{
	return conn_find(NULL) >= 0;
}

static void up_error(struct worker *w, struct tcp_pcb *pcb, int error, bool soft)
{
	int i = conn_find(pcb);

	if (i >= 0 && !soft)
		host.broken[i] = true;
}

static void up_gone(struct worker *w, struct tcp_pcb *pcb)
{
	int i = conn_find(pcb);

	if (i >= 0)
		host.conn[i] = NULL;
	if (!host.closing) /* else host_conn_close() frees it */
		free(tcp_public(pcb)->rcv.data);
	free(tcp_public(pcb)->snd.data);
}

void host_conn_close(unsigned int i)
{
	struct tcp_pcb *pcb = host.conn[i];
	uint8_t *rcv = tcp_public(pcb)->rcv.data;

	host.conn[i] = NULL;
	host.closing = true;
	tcp_close(&host.w, pcb);
	host.closing = false;
	free(rcv);
}

static void up_deliver(struct worker *w, struct udp_pcb *pcb, struct pkt *p,
		       const struct endpoint *from, const struct endpoint *to)
{
	FUZZ_CHECK(pcb == host.udp);
	if (host.on_datagram)
		host.on_datagram(p);
	pkt_consume(w, p, FATE_DELIVERED);
}

static void up_udp_error(struct worker *w, struct udp_pcb *pcb, const struct net_error *e)
{
}

static const struct inet_upcalls host_upcalls = {
	.tcp_connected = up_nothing,
	.tcp_incoming = up_incoming,
	.tcp_backlog_room = up_backlog_room,
	.tcp_need_rcv = up_need_rcv,
	.tcp_grow_rcv = up_grow_rcv,
	.tcp_need_snd = up_need_snd,
	.tcp_readable = up_nothing,
	.tcp_urgent = up_nothing,
	.tcp_acked = up_nothing,
	.tcp_sync_rcv = up_nothing,
	.tcp_error = up_error,
	.tcp_gone = up_gone,
	.udp_deliver = up_deliver,
	.udp_error = up_udp_error,
};

/* ---- start and end ---- */

void host_setup(void)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "96", NULL };

	log_set_level(LOG_LEVEL_ERROR);
	FUZZ_CHECK(core_eal_init(args) == 0);
	FUZZ_CHECK(worker_init(&host.w, 0, HOST_PACKETS, 1000000000ull, 1) == 0);
}

static struct port *host_port(const char *spec)
{
	struct port_open_params params = { .workers = 1 };
	char error[PORT_ERROR_BYTES];
	struct port *port;

	FUZZ_CHECK(port_open(spec, &params, &port, error) == 0);
	return port;
}

static void host_listen(void)
{
	struct endpoint at = { .addr = ipaddr_any(), .port_be = WIRE_BE16(HOST_TCP_PORT) };

	FUZZ_CHECK(tcp_open(&host.w, &host.listener, &host) == 0);
	FUZZ_CHECK(tcp_bind(&host.w, host.listener, &at) == 0);
	tcp_public(host.listener)->rcv_space_bytes = HOST_RING_BYTES;
	FUZZ_CHECK(tcp_listen(&host.w, host.listener, 4096) == 0);
	at.port_be = WIRE_BE16(HOST_UDP_PORT);
	FUZZ_CHECK(udp_open(&host.w, &host.udp, &host) == 0);
	FUZZ_CHECK(udp_bind(&host.w, host.udp, &at) == 0);
}

void host_open(void)
{
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(HOST_IP));

	memset(host.conn, 0, sizeof(host.conn));
	host.loop = host_port("loop");
	host.wire = host_port("wire,mac=02:00:00:00:00:02");
	FUZZ_CHECK(inet_init(&host.w, &host_upcalls) == 0);
	FUZZ_CHECK(inet_netif_add(&host.w, host.loop) == (int)IFINDEX_LOOP);
	FUZZ_CHECK(inet_netif_add(&host.w, host.wire) > (int)IFINDEX_LOOP);
	FUZZ_CHECK(inet_addr_add(&host.w, host.wire->ifindex, &addr, 24) == 0);
	host_listen();
	host_poll();
}

void host_close(void)
{
	inet_free(&host.w);
	port_close(host.wire);
	port_close(host.loop);
	FUZZ_CHECK(host.w.ledger.held == 0);
	FUZZ_CHECK(ledger_balance(&host.w.ledger) == 0);
	FUZZ_CHECK(worker_pool_is_full(&host.w));
	FUZZ_CHECK(host.w.timers.pending == 0);
}

/* ---- the loop ---- */

static unsigned int host_receive(struct port *port)
{
	struct pkt *pkts[PORT_BURST];
	uint16_t n = port_rx(&host.w, port, 0, pkts, PORT_BURST);

	if (n)
		eth_input(&host.w, pkts, n);
	return n;
}

/* Whoever asks for the attacker's address is told. */
static void host_answer_arp(const uint8_t *frame, size_t len)
{
	uint8_t reply[ETH_HDR_BYTES + ARP_MSG_BYTES];
	struct arp_msg ask, *m = (struct arp_msg *)(reply + ETH_HDR_BYTES);

	if (len < sizeof(reply) || be16_load(frame + 12) != ETH_TYPE_ARP)
		return;
	memcpy(&ask, frame + ETH_HDR_BYTES, sizeof(ask));
	if (arp_op(&ask) != ARP_OP_REQUEST || ask.target_ip_be != host_to_be32(HOST_PEER_IP))
		return;
	eth_hdr_fill((struct eth_hdr *)reply, host_mac, host_peer_mac, ETH_TYPE_ARP);
	arp_fill(m, ARP_OP_REPLY);
	eth_addr_copy(m->sender_mac, host_peer_mac);
	eth_addr_copy(m->target_mac, ask.sender_mac);
	m->sender_ip_be = ask.target_ip_be;
	m->target_ip_be = ask.sender_ip_be;
	wire_put(host.wire, reply, sizeof(reply));
}

static unsigned int host_take(void)
{
	uint8_t frame[HOST_FRAME_BYTES];
	unsigned int count = 0;
	size_t len;

	while ((len = wire_take(host.wire, frame, sizeof(frame))) > 0) {
		FUZZ_CHECK(len <= ETH_HDR_BYTES + host.wire->mtu_bytes);
		count++;
		host_answer_arp(frame, len);
		if (host.on_frame)
			host.on_frame(frame, len);
	}
	return count;
}

static void host_close_broken(void)
{
	for (unsigned int i = 0; i < HOST_CONNS; i++) {
		if (host.conn[i] && host.broken[i])
			host_conn_close(i);
	}
}

void host_poll(void)
{
	unsigned int moved, rounds = 0;

	do {
		moved = host_receive(host.wire) + host_receive(host.loop);
		moved += timer_run(&host.w, &host.w.timers, host.w.now_ns);
		host_close_broken();
		port_flush(&host.w, host.wire);
		port_flush(&host.w, host.loop);
		moved += host_take();
	} while (moved && ++rounds < 64);
}

void host_advance(uint64_t ns)
{
	uint64_t end = host.w.now_ns + ns;
	unsigned int steps = 0;

	for (uint64_t next; (next = timer_next_ns(&host.w.timers)) < end && steps < 200; steps++) {
		if (next > host.w.now_ns)
			host.w.now_ns = next;
		host_poll();
	}
	host.w.now_ns = end;
	host_poll();
}

/* ---- frames ---- */

void host_put(const uint8_t *frame, size_t len)
{
	if (wire_put(host.wire, frame, len) == -ENOBUFS)
		host_poll();
}

static void fix_l4(uint8_t *l4, size_t len, const struct ip4_hdr *ip)
{
	uint64_t pseudo = csum_pseudo_ip4(ip->src_be, ip->dst_be, ip->proto, (uint32_t)len);
	size_t at = ip->proto == IP_PROTO_TCP ? TCP_CSUM_AT : UDP_CSUM_AT;
	uint16_t csum;

	if (ip->proto == IP_PROTO_ICMP) {
		pseudo = 0;
		at = 2;
	} else if (ip->proto == IP_PROTO_UDP && len >= UDP_HDR_BYTES) {
		be16_store(l4 + 4, (uint16_t)len);
	} else if (ip->proto != IP_PROTO_TCP) {
		return;
	}
	if (len < at + 2)
		return;
	memset(l4 + at, 0, 2);
	csum = csum_finish_udp(csum_add(pseudo, l4, len));
	memcpy(l4 + at, &csum, 2);
}

void host_fix_frame(uint8_t *frame, size_t len)
{
	struct ip4_hdr ip;
	size_t hdr;

	if (len < ETH_HDR_BYTES + IP4_HDR_BYTES || be16_load(frame + 12) != ETH_TYPE_IP4)
		return;
	memcpy(&ip, frame + ETH_HDR_BYTES, sizeof(ip));
	hdr = ip4_hdr_bytes(&ip);
	if (ip4_version(&ip) != 4 || hdr < IP4_HDR_BYTES || hdr > len - ETH_HDR_BYTES)
		return;
	ip.len_be = host_to_be16((uint16_t)(len - ETH_HDR_BYTES));
	ip.csum_be = 0;
	memcpy(frame + ETH_HDR_BYTES, &ip, sizeof(ip));
	ip.csum_be = csum_of(frame + ETH_HDR_BYTES, hdr);
	memcpy(frame + ETH_HDR_BYTES, &ip, sizeof(ip));
	if (!ip4_is_fragment(&ip))
		fix_l4(frame + ETH_HDR_BYTES + hdr, len - ETH_HDR_BYTES - hdr, &ip);
}

size_t host_ip_frame(uint8_t *frame, uint8_t proto, const void *payload, size_t len)
{
	struct ip4_hdr ip = {
		.version_ihl = 0x45,
		.ttl = 64,
		.proto = proto,
		.src_be = host_to_be32(HOST_PEER_IP),
		.dst_be = host_to_be32(HOST_IP),
	};

	eth_hdr_fill((struct eth_hdr *)frame, host_mac, host_peer_mac, ETH_TYPE_IP4);
	memcpy(frame + ETH_HDR_BYTES, &ip, sizeof(ip));
	memcpy(frame + ETH_HDR_BYTES + sizeof(ip), payload, len);
	return ETH_HDR_BYTES + sizeof(ip) + len;
}
