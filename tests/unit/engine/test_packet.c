/* SPDX-License-Identifier: BSD-3-Clause */
/* Packet sockets over a wire in memory: what they see, what they send, what they lose. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app_client.h"
#include "bin/weird/setup.h"
#include "common/frames.h"
#include "common/testing.h"
#include "dev/wire.h"
#include "engine/engine.h"
#include "inet/inet.h"
#include "sock/session.h"
#include "wire/app_packet.h"

#define US FRAME_IP(198, 18, 0, 2)
#define PEER FRAME_IP(198, 18, 0, 1)
#define WIRE 2u /* its ifindex */

static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 }, other_mac[6] = { 2, 0, 0, 0, 0, 9 };
static char error[ENGINE_ERROR_BYTES];

struct program {
	struct engine *engine;
	struct session *session;
	struct port *port;
	struct app app;
};

static void settle(struct program *p)
{
	while (engine_poll(p->engine, 0, p->engine->worker[0]->now_ns))
		;
}

static void run_engine(void *arg)
{
	settle(arg);
}

static void begin(struct program *p, bool net_raw)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "128", NULL };
	struct engine_config config = { .packets = 4096,
					.eal_args = args,
					.virtual_time = true,
					.seed = TEST_SEED,
					.now_ns = TEST_START_NS };
	struct family_params params = { .name = "test",
					.arena_bytes = 64u << 20,
					.socks = 64,
					.worker_count = 1,
					.net_raw = net_raw };
	uint64_t offset;
	uint32_t index;

	memset(p, 0, sizeof(*p));
	log_set_level(LOG_LEVEL_ERROR);
	if (engine_open(&config, &p->engine, error))
		fail_msg("%s", error);
	assert_int_equal(setup_port(p->engine, "wire,name=cable", error), WIRE);
	assert_int_equal(setup_addr(p->engine, "198.18.0.2/24", error), 0);
	p->port = p->engine->port[WIRE - 1];
	params.workers = p->engine->worker;
	assert_int_equal(session_create(&params, getpid(), &p->session), 0);
	assert_int_equal(session_channel(p->session, 0, -1, ABI_CQ_THREAD, &index, &offset), 0);
	p->app.base = (uint8_t *)session_arena(p->session);
	p->app.channel = (struct abi_channel *)(p->app.base + offset);
	p->app.run = run_engine;
	p->app.arg = p;
	settle(p);
	frame_take_all(p->port);
}

static void end(struct program *p)
{
	settle(p);
	session_destroy(p->session);
	assert_true(p->engine->worker[0]->captures[CAPTURE_PORT_RX] == NULL);
	assert_int_equal(ledger_balance(&p->engine->worker[0]->ledger), 0);
	engine_close(p->engine);
}

static int packet_socket(struct program *p, int type, uint16_t protocol, struct app_sock *s)
{
	struct abi_ctl ctl = { .op = ABI_CTL_OPEN,
			       .level = AF_PACKET,
			       .optname = (uint32_t)type,
			       .len = htons(protocol) };

	*s = (struct app_sock){ ABI_SOCK_NONE, 0 };
	return app_call(&p->app, s, &ctl);
}

static int packet_bind(struct program *p, struct app_sock s, uint32_t ifindex, uint16_t protocol)
{
	struct abi_ctl ctl = { .op = ABI_CTL_BIND, .optname = ifindex, .port_be = htons(protocol) };

	return app_call(&p->app, &s, &ctl);
}

/* The next record; false: none. */
static bool take(struct program *p, struct app_sock s, struct abi_packet *h, uint8_t *bytes)
{
	struct abi_sock *shm = app_slot(&p->app, s);
	uint32_t size = shm->rx_size_bytes, head = shm->rx_head;

	settle(p);
	if (app_sock_rx_used(shm) == 0)
		return false;
	size = shm->rx_size_bytes;
	app_ring_read(h, p->app.base + shm->rx_offset, size, head, sizeof(*h));
	app_ring_read(bytes, p->app.base + shm->rx_offset, size, head + sizeof(*h), h->len_bytes);
	atomic_store(&shm->rx_head, head + app_dgram_space(h->len_bytes));
	return true;
}

static int send_frame(struct program *p, struct app_sock s, const struct abi_packet *h,
		      const void *bytes)
{
	struct abi_sock *shm = app_slot(&p->app, s);
	struct abi_ctl ctl = { .op = ABI_CTL_SEND };
	uint32_t tail = shm->tx_tail;

	app_ring_write(p->app.base + shm->tx_offset, shm->tx_size_bytes, tail, h, sizeof(*h));
	app_ring_write(p->app.base + shm->tx_offset, shm->tx_size_bytes, tail + sizeof(*h), bytes,
		       h->len_bytes);
	atomic_store(&shm->tx_tail, tail + app_dgram_space(h->len_bytes));
	return app_call(&p->app, &s, &ctl);
}

static int attach(struct program *p, struct app_sock s, const struct sock_filter *f, uint32_t n)
{
	struct abi_ctl ctl = { .op = ABI_CTL_FILTER,
			       .optname = n,
			       .len = n * (uint32_t)sizeof(*f) };

	memcpy(ctl.data, f, ctl.len);
	return app_call(&p->app, &s, &ctl);
}

static int option(struct program *p, struct app_sock s, uint32_t op, uint32_t level, uint32_t name,
		  uint32_t value)
{
	struct abi_ctl ctl = { .op = op, .level = level, .optname = name, .len = sizeof(value) };

	memcpy(ctl.data, &value, sizeof(value));
	return app_call(&p->app, &s, &ctl);
}

/* A ping of the peer's, to the MAC address given. Its length. */
static size_t ping(struct program *p, uint8_t *frame, const uint8_t *dst_mac)
{
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US };

	memcpy(spec.dst_mac, dst_mac, 6);
	memcpy(spec.src_mac, peer_mac, 6);
	return frame_icmp(frame, &spec, 8, 0, 0x12340001, "ping", 4);
}

static void test_permission(void **state)
{
	struct app_sock s;
	struct program p;

	begin(&p, false);
	assert_int_equal(packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s), -EPERM);
	end(&p);
	begin(&p, true);
	assert_int_equal(packet_socket(&p, SOCK_STREAM, ETH_P_ALL, &s), -ESOCKTNOSUPPORT);
	assert_int_equal(packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s), 0);
	assert_int_equal(packet_bind(&p, s, 9, ETH_P_ALL), -ENODEV);
	end(&p);
}

/* A request comes in, ARP goes out: all of it in order, with types and addresses. */
static void test_sees(void **state)
{
	uint8_t frame[FRAME_ROOM], bytes[2048];
	struct app_sock all, arp, cooked, loop;
	struct abi_packet h;
	struct program p;
	size_t len;

	begin(&p, true);
	assert_int_equal(packet_socket(&p, SOCK_RAW, ETH_P_ALL, &all), 0);
	assert_int_equal(packet_socket(&p, SOCK_RAW, ETH_P_ARP, &arp), 0);
	assert_int_equal(packet_socket(&p, SOCK_DGRAM, ETH_P_IP, &cooked), 0);
	assert_int_equal(packet_socket(&p, SOCK_RAW, 0, &loop), 0);
	assert_int_equal(packet_bind(&p, loop, IFINDEX_LOOP, ETH_P_ALL), 0);
	len = ping(&p, frame, p.port->mac);
	assert_int_equal(wire_put(p.port, frame, len), 0);
	assert_true(take(&p, all, &h, bytes));
	assert_int_equal(h.ifindex, WIRE);
	assert_int_equal(h.pkttype, PACKET_HOST);
	assert_int_equal(h.protocol_be, htons(ETH_P_IP));
	assert_int_equal(h.len_bytes, len);
	assert_memory_equal(bytes, frame, len);
	assert_memory_equal(h.addr, peer_mac, 6);
	/* The answer waits for ARP, which only who listens to all sees go. */
	assert_true(take(&p, all, &h, bytes));
	assert_int_equal(h.pkttype, PACKET_OUTGOING);
	assert_int_equal(h.protocol_be, htons(ETH_P_ARP));
	assert_false(take(&p, all, &h, bytes));
	assert_false(take(&p, arp, &h, bytes));
	assert_true(take(&p, cooked, &h, bytes));
	assert_int_equal(h.len_bytes, len - 14);
	assert_memory_equal(bytes, frame + 14, len - 14);
	assert_false(take(&p, loop, &h, bytes));
	/* Another's: dropped by Ethernet, and seen. */
	len = ping(&p, frame, other_mac);
	wire_put(p.port, frame, len);
	assert_true(take(&p, all, &h, bytes));
	assert_int_equal(h.pkttype, PACKET_OTHERHOST);
	len = ping(&p, frame, frame_broadcast);
	wire_put(p.port, frame, len);
	assert_true(take(&p, all, &h, bytes));
	assert_int_equal(h.pkttype, PACKET_BROADCAST);
	end(&p);
}

/* A received tag is told beside the frame, which comes without it. */
static void test_vlan(void **state)
{
	uint8_t frame[FRAME_ROOM], tagged[FRAME_ROOM], bytes[2048];
	struct abi_packet h;
	struct app_sock s;
	struct program p;
	size_t len;

	begin(&p, true);
	assert_int_equal(packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s), 0);
	len = ping(&p, frame, p.port->mac);
	memcpy(tagged, frame, 12);
	memcpy(tagged + 12, "\x81\x00\x00\x05", 4);
	memcpy(tagged + 16, frame + 12, len - 12);
	wire_put(p.port, tagged, len + 4);
	assert_true(take(&p, s, &h, bytes));
	assert_int_equal(h.len_bytes, len);
	assert_memory_equal(bytes, frame, len);
	assert_int_equal(h.vlan_tci, 5);
	assert_int_equal(h.vlan_tpid, 0x8100);
	assert_true(h.status & TP_STATUS_VLAN_VALID);
	assert_int_equal(h.protocol_be, htons(ETH_P_IP));
	end(&p);
}

static void test_filter(void **state)
{
	struct sock_filter arp_only[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 20),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	uint8_t frame[FRAME_ROOM], bytes[2048];
	struct abi_packet h;
	struct app_sock s;
	struct program p;

	begin(&p, true);
	assert_int_equal(packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s), 0);
	assert_int_equal(option(&p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_DETACH_FILTER, 0),
			 -ENOENT);
	arp_only[1].jf = 9;
	assert_int_equal(attach(&p, s, arp_only, 4), -EINVAL);
	arp_only[1].jf = 1;
	assert_int_equal(attach(&p, s, arp_only, 4), 0);
	wire_put(p.port, frame, ping(&p, frame, p.port->mac));
	assert_true(take(&p, s, &h, bytes)); /* the ARP question, cut */
	assert_int_equal(h.protocol_be, htons(ETH_P_ARP));
	assert_int_equal(h.len_bytes, 20);
	assert_int_equal(h.wire_bytes, 42);
	assert_false(take(&p, s, &h, bytes));
	assert_int_equal(option(&p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_LOCK_FILTER, 1), 0);
	assert_int_equal(option(&p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_DETACH_FILTER, 0),
			 -EPERM);
	assert_int_equal(attach(&p, s, arp_only, 4), -EPERM);
	end(&p);
}

static void test_sends(void **state)
{
	uint8_t frame[FRAME_ROOM], bytes[2048];
	struct app_sock raw, cooked, other;
	struct abi_packet h = { .ifindex = WIRE }, got;
	struct program p;

	begin(&p, true);
	assert_int_equal(packet_socket(&p, SOCK_RAW, ETH_P_ALL, &raw), 0);
	assert_int_equal(packet_socket(&p, SOCK_DGRAM, 0, &cooked), 0);
	assert_int_equal(packet_socket(&p, SOCK_RAW, ETH_P_ALL, &other), 0);
	h.len_bytes = (uint32_t)frame_eth(frame, peer_mac, other_mac, 0x88b5, "hello", 5);
	assert_int_equal(send_frame(&p, raw, &h, frame), 0);
	assert_int_equal(wire_take(p.port, bytes, sizeof(bytes)), h.len_bytes);
	assert_memory_equal(bytes, frame, h.len_bytes);
	/* The others hear it, the sender does not. */
	assert_true(take(&p, other, &got, bytes));
	assert_int_equal(got.pkttype, PACKET_OUTGOING);
	assert_false(take(&p, raw, &got, bytes));
	h.len_bytes = 5;
	h.protocol_be = htons(0x88b5);
	memcpy(h.addr, peer_mac, 6);
	assert_int_equal(send_frame(&p, cooked, &h, "hello"), 0);
	assert_int_equal(wire_take(p.port, bytes, sizeof(bytes)), 19);
	assert_memory_equal(bytes, peer_mac, 6);
	assert_memory_equal(bytes + 6, p.port->mac, 6);
	assert_memory_equal(bytes + 12, "\x88\xb5hello", 7);
	assert_int_equal(send_frame(&p, raw, &h, "short"), -EINVAL);
	h.len_bytes = 1515;
	assert_int_equal(send_frame(&p, raw, &h, frame), -EMSGSIZE);
	h.len_bytes = 60;
	h.ifindex = 9;
	assert_int_equal(send_frame(&p, raw, &h, frame), -ENXIO);
	h.ifindex = 0;
	assert_int_equal(send_frame(&p, raw, &h, frame), -ENXIO);
	end(&p);
}

/* A reader that does not read loses copies, counted; the network loses nothing. */
static void test_loses(void **state)
{
	uint8_t frame[FRAME_ROOM], bytes[2048];
	struct tpacket_stats stats;
	unsigned int answered = 0, seen = 0;
	struct abi_packet h;
	struct app_sock s;
	struct program p;

	begin(&p, true);
	assert_int_equal(packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s), 0);
	assert_int_equal(option(&p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_RCVBUF, 1), 0);
	wire_put(p.port, frame,
		 frame_arp(frame, p.port->mac, 1, peer_mac, PEER, (uint8_t[6]){ 0 }, US));
	settle(&p);
	frame_take_all(p.port);
	for (unsigned int i = 0; i < 2000; i++) {
		struct frame_info info;

		wire_put(p.port, frame, ping(&p, frame, p.port->mac));
		settle(&p);
		answered += frame_take(p.port, ETH_TYPE_IP4, frame, &info) != 0;
	}
	assert_int_equal(answered, 2000);
	struct abi_ctl ctl = { .op = ABI_CTL_GETSOCKOPT,
			       .level = SOL_PACKET,
			       .optname = PACKET_STATISTICS,
			       .len = sizeof(stats) };
	assert_int_equal(app_call(&p.app, &s, &ctl), 0);
	memcpy(&stats, p.app.channel->ctl.data, sizeof(stats));
	assert_int_equal(stats.tp_packets, 4002);
	while (take(&p, s, &h, bytes))
		seen++;
	assert_true(stats.tp_drops != 0);
	assert_int_equal(seen + stats.tp_drops, stats.tp_packets);
	end(&p);
}

static int raw_socket(struct program *p, uint32_t proto, struct app_sock *s)
{
	struct abi_ctl ctl = {
		.op = ABI_CTL_OPEN, .level = AF_INET, .optname = SOCK_RAW, .len = proto
	};

	*s = (struct app_sock){ ABI_SOCK_NONE, 0 };
	return app_call(&p->app, s, &ctl);
}

static uint32_t used(struct program *p, struct app_sock s)
{
	settle(p);
	return app_sock_rx_used(app_slot(&p->app, s));
}

/* Every raw socket of the protocol gets its copy; a protocol that only it knows is delivered. */
static void test_raw(void **state)
{
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US };
	struct app_sock icmp, deaf, other, s;
	uint8_t frame[FRAME_ROOM];
	struct program p;

	begin(&p, false);
	assert_int_equal(raw_socket(&p, 1, &s), -EPERM);
	end(&p);
	begin(&p, true);
	memcpy(spec.dst_mac, p.port->mac, 6);
	memcpy(spec.src_mac, peer_mac, 6);
	assert_int_equal(raw_socket(&p, 0, &s), -EPROTONOSUPPORT);
	assert_int_equal(raw_socket(&p, 256, &s), -EPROTONOSUPPORT);
	assert_int_equal(raw_socket(&p, 1, &icmp), 0);
	assert_int_equal(raw_socket(&p, 1, &deaf), 0);
	assert_int_equal(raw_socket(&p, 253, &other), 0);
	assert_int_equal(option(&p, deaf, ABI_CTL_SETSOCKOPT, SOL_RAW, 1, 1u << 0), 0);
	assert_int_equal(option(&p, other, ABI_CTL_SETSOCKOPT, SOL_RAW, 1, 1), -EOPNOTSUPP);
	wire_put(p.port, frame, frame_icmp(frame, &spec, 0, 0, 1, "answer", 6));
	assert_int_equal(used(&p, icmp), app_dgram_space(20 + 8 + 6));
	assert_int_equal(used(&p, deaf), 0);
	assert_int_equal(used(&p, other), 0);
	assert_int_equal(ledger_drops_of(&p.engine->worker[0]->ledger, DROP_ICMP_NO_SOCKET), 0);
	wire_put(p.port, frame, frame_ip4(frame, &spec, 253, "bytes", 5));
	assert_int_equal(used(&p, other), app_dgram_space(25));
	assert_int_equal(ledger_drops_of(&p.engine->worker[0]->ledger, DROP_IP_NOPROTO), 0);
	wire_put(p.port, frame, frame_ip4(frame, &spec, 252, "bytes", 5));
	settle(&p);
	assert_int_equal(ledger_drops_of(&p.engine->worker[0]->ledger, DROP_IP_NOPROTO), 1);
	end(&p);
}

/* A datagram that the socket's filter does not want is dropped, with that reason. */
static void test_datagram_filter(void **state)
{
	struct sock_filter port_9[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), /* of the UDP header */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 9, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US };
	struct app_sock s = { ABI_SOCK_NONE, 0 };
	uint8_t frame[FRAME_ROOM];
	struct program p;

	begin(&p, false);
	memcpy(spec.dst_mac, p.port->mac, 6);
	memcpy(spec.src_mac, peer_mac, 6);
	assert_int_equal(app_bind(&p.app, &s, SOCK_DGRAM, US, 7000), 0);
	assert_int_equal(attach(&p, s, port_9, 4), 0);
	for (uint16_t port = 8; port < 11; port++)
		wire_put(p.port, frame, frame_udp(frame, &spec, port, 7000, "data", 4));
	settle(&p);
	assert_int_equal(app_sock_rx_used(app_slot(&p.app, s)), app_dgram_space(4));
	assert_int_equal(ledger_drops_of(&p.engine->worker[0]->ledger, DROP_SOCKET_FILTER), 2);
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_permission),
		cmocka_unit_test(test_sees),
		cmocka_unit_test(test_vlan),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_sends),
		cmocka_unit_test(test_loses),
		cmocka_unit_test(test_datagram_filter),
		cmocka_unit_test(test_raw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
