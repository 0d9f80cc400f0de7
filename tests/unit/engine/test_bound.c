/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets that are bound to an interface, between two wires in memory. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "below.h"
#include "bin/weird/setup.h"
#include "common/testing.h"
#include "dev/wire.h"
#include "inet/inet.h"

#define SECOND 3u /* ifindex of the other wire */
#define US_2 FRAME_IP(198, 18, 1, 2)
#define PEER_2 FRAME_IP(198, 18, 1, 1)
#define PORT 7000u

static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };

struct wires {
	struct program p;
	struct port *port[2]; /* 198.18.0.2/24, 198.18.1.2/24 */
};

static void begin(struct wires *t, bool net_raw)
{
	char error[ENGINE_ERROR_BYTES];
	uint8_t frame[FRAME_ROOM];
	struct program *p = &t->p;

	below_begin(p, net_raw);
	assert_int_equal(setup_port(p->engine, "wire,name=second", error), SECOND);
	assert_int_equal(setup_addr(p->engine, "198.18.1.2/24@second", error), 0);
	below_settle(p);
	for (unsigned int i = 0; i < 2; i++) {
		t->port[i] = p->engine->port[1 + i];
		wire_put(t->port[i], frame,
			 frame_arp(frame, t->port[i]->mac, 1, peer_mac, i ? PEER_2 : PEER,
				   (uint8_t[6]){ 0 }, i ? US_2 : US));
		below_settle(p);
		frame_take_all(t->port[i]);
	}
}

static int bind_to(struct wires *t, struct app_sock s, const char *name)
{
	struct abi_ctl ctl = { .op = ABI_CTL_SETSOCKOPT,
			       .level = SOL_SOCKET,
			       .optname = SO_BINDTODEVICE,
			       .len = (uint32_t)strlen(name) };

	memcpy(ctl.data, name, strlen(name));
	return app_call(&t->p.app, &s, &ctl);
}

/* The answer's length or -errno; the answer is in the control slot. */
static int get(struct wires *t, struct app_sock s, uint32_t level, uint32_t name, uint32_t room)
{
	struct abi_ctl ctl = {
		.op = ABI_CTL_GETSOCKOPT, .level = level, .optname = name, .len = room
	};
	int ret = app_call(&t->p.app, &s, &ctl);

	return ret != 0 ? ret : (int)t->p.app.channel->ctl.len;
}

static struct app_sock open_sock(struct wires *t, int type, uint32_t proto)
{
	struct abi_ctl ctl = {
		.op = ABI_CTL_OPEN, .level = AF_INET, .optname = (uint32_t)type, .len = proto
	};
	struct app_sock s = { ABI_SOCK_NONE, 0 };

	assert_int_equal(app_call(&t->p.app, &s, &ctl), 0);
	return s;
}

static struct app_sock bound(struct wires *t, int type, const char *name)
{
	struct app_sock s = open_sock(t, type, 0);

	assert_int_equal(bind_to(t, s, name), 0);
	return s;
}

/* A datagram from port 9 of the wire's peer, to the address on the port. */
static void datagram(struct wires *t, unsigned int wire, uint32_t to, uint16_t port)
{
	struct frame_spec spec = { .src_ip = wire ? PEER_2 : PEER, .dst_ip = to };
	uint8_t frame[FRAME_ROOM];

	memcpy(spec.dst_mac, to == INADDR_BROADCAST ? frame_broadcast : t->port[wire]->mac, 6);
	memcpy(spec.src_mac, peer_mac, 6);
	wire_put(t->port[wire], frame, frame_udp(frame, &spec, 9, port, "data", 4));
	below_settle(&t->p);
}

/* Datagrams that came since this was asked last. */
static unsigned int heard(struct wires *t, struct app_sock s)
{
	uint8_t bytes[2048];
	struct abi_dgram d;
	unsigned int n = 0;

	while (below_take(&t->p, s, &d, bytes))
		n++;
	return n;
}

/* Options as Linux has them: names, numbers, who may. */
static void test_options(void **state)
{
	struct app_sock s, raw, packet;
	struct wires t;

	begin(&t, false);
	s = open_sock(&t, SOCK_DGRAM, 0);
	assert_int_equal(get(&t, s, SOL_SOCKET, SO_BINDTODEVICE, 0), 0);
	assert_int_equal(bind_to(&t, s, "absent"), -ENODEV);
	assert_int_equal(bind_to(&t, s, "second-but-far-too-long"), -ENODEV);
	assert_int_equal(
		below_option(&t.p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_BINDTOIFINDEX, UINT32_MAX),
		-EINVAL);
	assert_int_equal(
		below_option(&t.p, s, ABI_CTL_SETSOCKOPT, IPPROTO_IP, IP_UNICAST_IF, htonl(9)),
		-EADDRNOTAVAIL);
	assert_int_equal(
		below_option(&t.p, s, ABI_CTL_SETSOCKOPT, IPPROTO_IP, IP_UNICAST_IF, htonl(SECOND)),
		0);
	assert_int_equal(get(&t, s, IPPROTO_IP, IP_UNICAST_IF, 4), 4);
	assert_memory_equal(t.p.app.channel->ctl.data, "\0\0\0\3", 4);
	assert_int_equal(bind_to(&t, s, "second"), 0);
	assert_int_equal(get(&t, s, SOL_SOCKET, SO_BINDTODEVICE, IF_NAMESIZE), 7);
	assert_string_equal((const char *)t.p.app.channel->ctl.data, "second");
	assert_int_equal(get(&t, s, SOL_SOCKET, SO_BINDTODEVICE, IF_NAMESIZE - 1), -EINVAL);
	assert_int_equal(get(&t, s, SOL_SOCKET, SO_BINDTOIFINDEX, 4), 4);
	assert_int_equal(t.p.app.channel->ctl.data[0], SECOND);
	assert_int_equal(
		below_option(&t.p, s, ABI_CTL_SETSOCKOPT, IPPROTO_IP, IP_UNICAST_IF, htonl(SECOND)),
		-EINVAL);
	/* What is bound stays bound, without privileges. */
	assert_int_equal(bind_to(&t, s, ""), -EPERM);
	assert_int_equal(bind_to(&t, s, "cable"), -EPERM);
	assert_int_equal(bind_to(&t, s, "absent"), -ENODEV);
	below_end(&t.p);

	begin(&t, true);
	s = bound(&t, SOCK_STREAM, "cable");
	assert_int_equal(bind_to(&t, s, "second"), 0);
	assert_int_equal(bind_to(&t, s, ""), 0);
	assert_int_equal(get(&t, s, SOL_SOCKET, SO_BINDTODEVICE, 3), 0);
	assert_int_equal(
		below_option(&t.p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_BINDTOIFINDEX, 99), 0);
	assert_int_equal(get(&t, s, SOL_SOCKET, SO_BINDTODEVICE, IF_NAMESIZE), -ENODEV);
	assert_int_equal(app_connect(&t.p.app, &s, SOCK_STREAM, PEER, 80), -ENODEV);
	raw = open_sock(&t, SOCK_RAW, 1);
	assert_int_equal(bind_to(&t, raw, "cable"), 0);
	assert_int_equal(below_packet_socket(&t.p, SOCK_RAW, 3, &packet), 0);
	assert_int_equal(bind_to(&t, packet, "cable"), 0);
	assert_int_equal(get(&t, packet, SOL_SOCKET, SO_BINDTODEVICE, IF_NAMESIZE), 6);
	below_end(&t.p);
}

/* Each hears its own interface; the one that is bound goes before the one that is not. */
static void test_datagrams(void **state)
{
	struct app_sock first, second, any, exact;
	struct wires t;

	begin(&t, false);
	first = bound(&t, SOCK_DGRAM, "cable");
	second = bound(&t, SOCK_DGRAM, "second");
	any = open_sock(&t, SOCK_DGRAM, 0);
	assert_int_equal(app_bind(&t.p.app, &first, 0, 0, PORT), 0);
	datagram(&t, 0, US, PORT);
	datagram(&t, 1, US_2, PORT);
	assert_int_equal(heard(&t, first), 1);
	assert_int_equal(ledger_drops_of(&t.p.engine->worker[0]->ledger, DROP_NO_SOCKET), 1);
	assert_int_equal(app_bind(&t.p.app, &second, 0, 0, PORT), 0);
	assert_int_equal(app_bind(&t.p.app, &any, 0, 0, PORT), -EADDRINUSE);
	datagram(&t, 1, US_2, PORT);
	datagram(&t, 1, INADDR_BROADCAST, PORT);
	assert_int_equal(heard(&t, first), 0);
	assert_int_equal(heard(&t, second), 2);
	/* An address beats an interface. */
	for (unsigned int i = 0; i < 2; i++) {
		struct app_sock s = i ? first : any;

		assert_int_equal(
			below_option(&t.p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	}
	assert_int_equal(
		below_option(&t.p, second, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	assert_int_equal(app_bind(&t.p.app, &any, 0, 0, PORT), 0);
	datagram(&t, 0, US, PORT);
	assert_int_equal(heard(&t, any), 0);
	assert_int_equal(heard(&t, first), 1);
	exact = open_sock(&t, SOCK_DGRAM, 0);
	assert_int_equal(below_option(&t.p, exact, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_REUSEADDR, 1),
			 0);
	assert_int_equal(app_bind(&t.p.app, &exact, 0, US, PORT), 0);
	datagram(&t, 0, US, PORT);
	assert_int_equal(heard(&t, first), 0);
	assert_int_equal(heard(&t, exact), 1);
	below_end(&t.p);
}

static int send_to(struct wires *t, struct app_sock s, uint32_t ip)
{
	struct abi_dgram d = { .len_bytes = 4,
			       .addr = ipaddr_from_ip4(htonl(ip)),
			       .port_be = htons(9) };
	struct abi_sock *shm = app_slot(&t->p.app, s);
	struct abi_ctl ctl = { .op = ABI_CTL_SEND_CHECK, .len = sizeof(d) };
	uint32_t tail = shm->tx_tail;
	int ret;

	memcpy(ctl.data, &d, sizeof(d));
	ret = app_call(&t->p.app, &s, &ctl);
	if (ret != 0)
		return ret;
	app_ring_write(t->p.app.base + shm->tx_offset, shm->tx_size_bytes, tail, &d, sizeof(d));
	atomic_store(&shm->tx_tail, tail + app_dgram_space(4));
	app_submit(&t->p.app, ABI_OP_TX, s, 0, 0);
	below_settle(&t->p);
	return 0;
}

static uint32_t taken_from(struct wires *t, unsigned int wire, uint32_t *src)
{
	struct frame_info info = { .dst_ip = 0 };
	uint8_t frame[FRAME_ROOM];

	if (!frame_take(t->port[wire], ETH_TYPE_IP4, frame, &info))
		return 0;
	*src = info.src_ip;
	return info.dst_ip;
}

/* What is sent leaves by the interface, with its address; who has none sends a broadcast with none,
 * as a DHCP client does. */
static void test_sends(void **state)
{
	struct app_sock s, lo;
	uint32_t src = 1;
	struct wires t;

	begin(&t, true);
	s = bound(&t, SOCK_DGRAM, "second");
	below_option(&t.p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_BROADCAST, 1);
	assert_int_equal(send_to(&t, s, INADDR_BROADCAST), 0);
	assert_int_equal(taken_from(&t, 1, &src), INADDR_BROADCAST);
	assert_int_equal(src, US_2);
	assert_int_equal(wire_waiting(t.port[0]), 0);
	struct ipaddr first = ipaddr_from_ip4(htonl(US)), second = ipaddr_from_ip4(htonl(US_2));
	assert_int_equal(inet_addr_del(t.p.engine->worker[0], SECOND, &second, 24), 0);
	assert_int_equal(send_to(&t, s, INADDR_BROADCAST), 0);
	assert_int_equal(taken_from(&t, 1, &src), INADDR_BROADCAST);
	assert_int_equal(src, US); /* borrowed */
	assert_int_equal(inet_addr_del(t.p.engine->worker[0], WIRE, &first, 24), 0);
	assert_int_equal(send_to(&t, s, INADDR_BROADCAST), 0);
	assert_int_equal(taken_from(&t, 1, &src), INADDR_BROADCAST);
	assert_int_equal(src, 0);
	assert_int_equal(wire_waiting(t.port[0]), 0);
	lo = bound(&t, SOCK_DGRAM, "lo");
	assert_int_equal(send_to(&t, lo, PEER), -ENETUNREACH);
	assert_int_equal(send_to(&t, lo, INADDR_LOOPBACK), 0);
	below_end(&t.p);
}

/* To an address of our own: by the interface that has it. */
static void test_to_ourselves(void **state)
{
	struct app_sock first, second, any;
	uint32_t src;
	struct wires t;

	begin(&t, false);
	first = bound(&t, SOCK_DGRAM, "cable");
	second = bound(&t, SOCK_DGRAM, "second");
	any = open_sock(&t, SOCK_DGRAM, 0);
	assert_int_equal(app_bind(&t.p.app, &first, 0, 0, 9), 0);
	assert_int_equal(app_bind(&t.p.app, &second, 0, 0, 9), 0);
	assert_int_equal(send_to(&t, any, US), 0);
	assert_int_equal(heard(&t, first), 1);
	assert_int_equal(send_to(&t, any, US_2), 0);
	assert_int_equal(heard(&t, first), 0);
	assert_int_equal(heard(&t, second), 1);
	assert_int_equal(send_to(&t, second, US_2), 0);
	assert_int_equal(heard(&t, second), 1);
	/* Not ours by that interface: there may be another who has it. */
	assert_int_equal(send_to(&t, second, US), 0);
	assert_int_equal(heard(&t, first), 0);
	assert_int_equal(taken_from(&t, 1, &src), 0); /* ARP asks for it */
	below_wait(&t.p, 4000000000ull);
	below_end(&t.p);
}

static uint8_t syn(struct wires *t, unsigned int wire, uint32_t to)
{
	struct frame_spec spec = { .src_ip = wire ? PEER_2 : PEER, .dst_ip = to };
	struct frame_tcp tcp = {
		.sport = 5000, .dport = 80, .seq = 1, .flags = TCP_F_SYN, .window = 9000
	};
	struct frame_info info;
	uint8_t frame[FRAME_ROOM];

	memcpy(spec.dst_mac, t->port[wire]->mac, 6);
	memcpy(spec.src_mac, peer_mac, 6);
	wire_put(t->port[wire], frame, frame_tcp(frame, &spec, &tcp, NULL, 0));
	below_settle(&t->p);
	return frame_take(t->port[wire], ETH_TYPE_IP4, frame, &info) ? info.flags : 0;
}

/* A listener takes what comes by its interface alone; so two may share a port. */
static void test_listeners(void **state)
{
	struct app_sock first, second, any;
	struct wires t;

	begin(&t, false);
	first = bound(&t, SOCK_STREAM, "cable");
	second = bound(&t, SOCK_STREAM, "second");
	any = open_sock(&t, SOCK_STREAM, 0);
	assert_int_equal(app_bind(&t.p.app, &first, 0, 0, 80), 0);
	assert_int_equal(app_listen(&t.p.app, first, 5), 0);
	assert_int_equal(syn(&t, 1, US_2), TCP_F_RST | TCP_F_ACK);
	assert_int_equal(syn(&t, 0, US), TCP_F_SYN | TCP_F_ACK);
	assert_int_equal(app_bind(&t.p.app, &any, 0, 0, 80), -EADDRINUSE);
	assert_int_equal(app_bind(&t.p.app, &second, 0, 0, 80), 0);
	assert_int_equal(app_listen(&t.p.app, second, 5), 0);
	assert_int_equal(syn(&t, 1, US_2), TCP_F_SYN | TCP_F_ACK);
	/* The answer leaves by the interface, though the route leads elsewhere. */
	assert_int_equal(wire_waiting(t.port[0]), 0);
	below_end(&t.p);
}

/* A connection of an interface does not hear its peer from another. */
static void test_connection(void **state)
{
	struct frame_spec spec = { .src_ip = PEER_2, .dst_ip = US };
	struct frame_tcp tcp = { .sport = 80, .flags = TCP_F_SYN | TCP_F_ACK, .window = 9000 };
	struct frame_info info;
	uint8_t frame[FRAME_ROOM];
	struct app_sock s;
	struct wires t;

	begin(&t, false);
	s = bound(&t, SOCK_STREAM, "cable");
	wire_put(t.port[0], frame,
		 frame_arp(frame, t.port[0]->mac, 1, peer_mac, PEER_2, (uint8_t[6]){ 0 }, US));
	below_settle(&t.p);
	frame_take_all(t.port[0]);
	assert_int_equal(app_connect(&t.p.app, &s, 0, PEER_2, 80), -EINPROGRESS);
	below_settle(&t.p);
	/* Everybody is on the link of an interface that was chosen. */
	wire_put(t.port[0], frame,
		 frame_arp(frame, t.port[0]->mac, 2, peer_mac, PEER_2, t.port[0]->mac, US));
	below_settle(&t.p);
	assert_int_not_equal(frame_take(t.port[0], ETH_TYPE_IP4, frame, &info), 0);
	assert_int_equal(info.flags & TCP_F_SYN, TCP_F_SYN);
	tcp.dport = info.sport;
	tcp.ack = info.seq + 1;
	memcpy(spec.src_mac, peer_mac, 6);
	for (unsigned int wire = 2; wire-- != 0;) {
		memcpy(spec.dst_mac, t.port[wire]->mac, 6);
		wire_put(t.port[wire], frame, frame_tcp(frame, &spec, &tcp, NULL, 0));
		below_settle(&t.p);
		assert_int_equal(!!(app_slot(&t.p.app, s)->state & ABI_S_CONNECTED), wire == 0);
	}
	app_release(&t.p.app, s);
	below_wait(&t.p, 4000000000ull);
	below_end(&t.p);
}

/* Raw sockets and pings, the same. */
static void test_raw(void **state)
{
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US };
	struct app_sock first, second, ping;
	uint8_t frame[FRAME_ROOM];
	struct wires t;

	begin(&t, true);
	first = open_sock(&t, SOCK_RAW, 1);
	second = open_sock(&t, SOCK_RAW, 1);
	ping = open_sock(&t, SOCK_DGRAM, 1);
	assert_int_equal(bind_to(&t, first, "cable"), 0);
	assert_int_equal(bind_to(&t, second, "second"), 0);
	assert_int_equal(bind_to(&t, ping, "second"), 0);
	assert_int_equal(app_bind(&t.p.app, &ping, 0, 0, 77), 0);
	memcpy(spec.dst_mac, t.port[0]->mac, 6);
	memcpy(spec.src_mac, peer_mac, 6);
	wire_put(t.port[0], frame, frame_icmp(frame, &spec, 0, 0, 77u << 16, "x", 1));
	assert_int_equal(heard(&t, first), 1);
	assert_int_equal(heard(&t, second), 0);
	assert_int_equal(heard(&t, ping), 0);
	spec.src_ip = PEER_2;
	spec.dst_ip = US_2;
	memcpy(spec.dst_mac, t.port[1]->mac, 6);
	wire_put(t.port[1], frame, frame_icmp(frame, &spec, 0, 0, 77u << 16, "x", 1));
	assert_int_equal(heard(&t, first), 0);
	assert_int_equal(heard(&t, second), 1);
	assert_int_equal(heard(&t, ping), 1);
	below_end(&t.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),	  cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_sends),	  cmocka_unit_test(test_to_ourselves),
		cmocka_unit_test(test_listeners), cmocka_unit_test(test_connection),
		cmocka_unit_test(test_raw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
