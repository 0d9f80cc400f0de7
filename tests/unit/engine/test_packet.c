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

#include "below.h"
#include "core/filter.h"
#include "common/testing.h"
#include "dev/wire.h"
#include "inet/inet.h"

static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 }, other_mac[6] = { 2, 0, 0, 0, 0, 9 };

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

	below_begin(&p, false);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s), -EPERM);
	below_end(&p);
	below_begin(&p, true);
	assert_int_equal(below_packet_socket(&p, SOCK_STREAM, ETH_P_ALL, &s), -ESOCKTNOSUPPORT);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s), 0);
	assert_int_equal(below_packet_bind(&p, s, 9, ETH_P_ALL), -ENODEV);
	below_end(&p);
}

/* A request comes in, ARP goes out: all of it in order, with types and addresses. */
static void test_sees(void **state)
{
	uint8_t frame[FRAME_ROOM], bytes[2048];
	struct app_sock all, arp, cooked, loop;
	struct abi_packet h;
	struct program p;
	size_t len;

	below_begin(&p, true);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ALL, &all), 0);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ARP, &arp), 0);
	assert_int_equal(below_packet_socket(&p, SOCK_DGRAM, ETH_P_IP, &cooked), 0);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, 0, &loop), 0);
	assert_int_equal(below_packet_bind(&p, loop, IFINDEX_LOOP, ETH_P_ALL), 0);
	len = ping(&p, frame, p.port->mac);
	assert_int_equal(wire_put(p.port, frame, len), 0);
	assert_true(below_take(&p, all, &h, bytes));
	assert_int_equal(h.ifindex, WIRE);
	assert_int_equal(h.pkttype, PACKET_HOST);
	assert_int_equal(h.protocol_be, htons(ETH_P_IP));
	assert_int_equal(h.len_bytes, len);
	assert_memory_equal(bytes, frame, len);
	assert_memory_equal(h.addr, peer_mac, 6);
	/* The answer waits for ARP, which only who listens to all sees go. */
	assert_true(below_take(&p, all, &h, bytes));
	assert_int_equal(h.pkttype, PACKET_OUTGOING);
	assert_int_equal(h.protocol_be, htons(ETH_P_ARP));
	assert_false(below_take(&p, all, &h, bytes));
	assert_false(below_take(&p, arp, &h, bytes));
	assert_true(below_take(&p, cooked, &h, bytes));
	assert_int_equal(h.len_bytes, len - 14);
	assert_memory_equal(bytes, frame + 14, len - 14);
	assert_false(below_take(&p, loop, &h, bytes));
	/* Another's: dropped by Ethernet, and seen. */
	len = ping(&p, frame, other_mac);
	wire_put(p.port, frame, len);
	assert_true(below_take(&p, all, &h, bytes));
	assert_int_equal(h.pkttype, PACKET_OTHERHOST);
	len = ping(&p, frame, frame_broadcast);
	wire_put(p.port, frame, len);
	assert_true(below_take(&p, all, &h, bytes));
	assert_int_equal(h.pkttype, PACKET_BROADCAST);
	below_end(&p);
}

/* A received tag is told beside the frame, which comes without it. */
static void test_vlan(void **state)
{
	uint8_t frame[FRAME_ROOM], tagged[FRAME_ROOM], bytes[2048];
	struct abi_packet h;
	struct app_sock s;
	struct program p;
	size_t len;

	below_begin(&p, true);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s), 0);
	len = ping(&p, frame, p.port->mac);
	memcpy(tagged, frame, 12);
	memcpy(tagged + 12, "\x81\x00\x00\x05", 4);
	memcpy(tagged + 16, frame + 12, len - 12);
	wire_put(p.port, tagged, len + 4);
	assert_true(below_take(&p, s, &h, bytes));
	assert_int_equal(h.len_bytes, len);
	assert_memory_equal(bytes, frame, len);
	assert_int_equal(h.vlan_tci, 5);
	assert_int_equal(h.vlan_tpid, 0x8100);
	assert_true(h.status & TP_STATUS_VLAN_VALID);
	assert_int_equal(h.protocol_be, htons(ETH_P_IP));
	below_end(&p);
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

	below_begin(&p, true);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s), 0);
	assert_int_equal(below_option(&p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_DETACH_FILTER, 0),
			 -ENOENT);
	arp_only[1].jf = 9;
	assert_int_equal(below_attach(&p, s, arp_only, 4), -EINVAL);
	arp_only[1].jf = 1;
	assert_int_equal(below_attach(&p, s, arp_only, 4), 0);
	wire_put(p.port, frame, ping(&p, frame, p.port->mac));
	assert_true(below_take(&p, s, &h, bytes)); /* the ARP question, cut */
	assert_int_equal(h.protocol_be, htons(ETH_P_ARP));
	assert_int_equal(h.len_bytes, 20);
	assert_int_equal(h.wire_bytes, 42);
	assert_false(below_take(&p, s, &h, bytes));
	assert_int_equal(below_option(&p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_LOCK_FILTER, 1), 0);
	assert_int_equal(below_option(&p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_DETACH_FILTER, 0),
			 -EPERM);
	assert_int_equal(below_attach(&p, s, arp_only, 4), -EPERM);
	below_end(&p);
}

/* Programs of one program have a bound together; what is given back can be had again. */
static void test_filters_are_bounded(void **state)
{
	static struct sock_filter longest[FILTER_MAX_INSNS];
	struct app_sock s[60];
	unsigned int taken[2] = { 0, 0 };
	struct program p;

	for (unsigned int i = 0; i < FILTER_MAX_INSNS; i++)
		longest[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, i);
	below_begin(&p, true);
	for (unsigned int i = 0; i < 60; i++)
		assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s[i]), 0);
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < 60; i++) {
			int ret = below_attach(&p, s[i], longest, FILTER_MAX_INSNS);

			assert_true(ret == 0 || ret == -ENOMEM);
			taken[round] += ret == 0;
			assert_true((ret == 0) ==
				    (taken[round] == i + 1)); /* none behind one refused */
		}
		assert_true(taken[round] >= 30 &&
			    taken[round] < 40); /* 32 KiB each, 1 MiB and some */
		/* Given back, as a whole; a short one needs little. */
		for (unsigned int i = 0; i < 2 * taken[round]; i++) {
			if (i % 2)
				assert_int_equal(below_attach(&p, s[i / 2], longest, 1), 0);
			assert_int_equal(below_option(&p, s[i / 2], ABI_CTL_SETSOCKOPT, SOL_SOCKET,
						      SO_DETACH_FILTER, 0),
					 0);
		}
	}
	assert_int_equal(taken[0], taken[1]);
	/* A socket that is closed has none. */
	for (unsigned int i = 0; i < 59; i++)
		app_release(&p.app, s[i]);
	below_settle(&p);
	assert_int_equal(below_attach(&p, s[59], longest, FILTER_MAX_INSNS), 0);
	below_end(&p);
}

/* Options that change nothing are kept; what there is not is refused. */
static void test_options(void **state)
{
	static const uint32_t kept[] = { PACKET_LOSS, PACKET_ORIGDEV, PACKET_QDISC_BYPASS,
					 PACKET_TIMESTAMP, PACKET_IGNORE_OUTGOING };
	static const uint32_t absent[] = { PACKET_FANOUT, PACKET_VNET_HDR, 99 };
	struct app_sock s;
	struct program p;

	below_begin(&p, true);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s), 0);
	for (unsigned int i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		for (uint32_t value = 2; value-- != 0;) {
			assert_int_equal(
				below_option(&p, s, ABI_CTL_SETSOCKOPT, SOL_PACKET, kept[i], value),
				0);
			assert_int_equal(
				below_option(&p, s, ABI_CTL_GETSOCKOPT, SOL_PACKET, kept[i], 77),
				0);
			assert_int_equal(p.app.channel->ctl.data[0], value);
		}
	}
	for (unsigned int i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		assert_int_equal(below_option(&p, s, ABI_CTL_SETSOCKOPT, SOL_PACKET, absent[i], 1),
				 -ENOPROTOOPT);
		assert_int_equal(below_option(&p, s, ABI_CTL_GETSOCKOPT, SOL_PACKET, absent[i], 1),
				 -ENOPROTOOPT);
	}
	below_end(&p);
}

static void test_sends(void **state)
{
	uint8_t frame[FRAME_ROOM], bytes[2048];
	struct app_sock raw, cooked, other;
	struct abi_packet h = { .ifindex = WIRE }, got;
	struct program p;

	below_begin(&p, true);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ALL, &raw), 0);
	assert_int_equal(below_packet_socket(&p, SOCK_DGRAM, 0, &cooked), 0);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ALL, &other), 0);
	h.len_bytes = (uint32_t)frame_eth(frame, peer_mac, other_mac, 0x88b5, "hello", 5);
	assert_int_equal(below_send(&p, raw, &h, frame), 0);
	assert_int_equal(wire_take(p.port, bytes, sizeof(bytes)), h.len_bytes);
	assert_memory_equal(bytes, frame, h.len_bytes);
	/* The others hear it, the sender does not. */
	assert_true(below_take(&p, other, &got, bytes));
	assert_int_equal(got.pkttype, PACKET_OUTGOING);
	assert_false(below_take(&p, raw, &got, bytes));
	h.len_bytes = 5;
	h.protocol_be = htons(0x88b5);
	memcpy(h.addr, peer_mac, 6);
	assert_int_equal(below_send(&p, cooked, &h, "hello"), 0);
	assert_int_equal(wire_take(p.port, bytes, sizeof(bytes)), 19);
	assert_memory_equal(bytes, peer_mac, 6);
	assert_memory_equal(bytes + 6, p.port->mac, 6);
	assert_memory_equal(bytes + 12, "\x88\xb5hello", 7);
	assert_int_equal(below_send(&p, raw, &h, "short"), -EINVAL);
	h.len_bytes = 1515;
	assert_int_equal(below_send(&p, raw, &h, frame), -EMSGSIZE);
	h.len_bytes = 60;
	h.ifindex = 9;
	assert_int_equal(below_send(&p, raw, &h, frame), -ENXIO);
	h.ifindex = 0;
	assert_int_equal(below_send(&p, raw, &h, frame), -ENXIO);
	below_end(&p);
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

	below_begin(&p, true);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ALL, &s), 0);
	assert_int_equal(below_option(&p, s, ABI_CTL_SETSOCKOPT, SOL_SOCKET, SO_RCVBUF, 1), 0);
	wire_put(p.port, frame,
		 frame_arp(frame, p.port->mac, 1, peer_mac, PEER, (uint8_t[6]){ 0 }, US));
	below_settle(&p);
	frame_take_all(p.port);
	for (unsigned int i = 0; i < 2000; i++) {
		struct frame_info info;

		wire_put(p.port, frame, ping(&p, frame, p.port->mac));
		below_settle(&p);
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
	while (below_take(&p, s, &h, bytes))
		seen++;
	assert_true(stats.tp_drops != 0);
	assert_int_equal(seen + stats.tp_drops, stats.tp_packets);
	below_end(&p);
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
	below_settle(p);
	return app_sock_rx_used(app_slot(&p->app, s));
}

/* Every raw socket of the protocol gets its copy; a protocol that only it knows is delivered. */
static void test_raw(void **state)
{
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US };
	struct app_sock icmp, deaf, other, s;
	uint8_t frame[FRAME_ROOM];
	struct program p;

	below_begin(&p, false);
	assert_int_equal(raw_socket(&p, 1, &s), -EPERM);
	below_end(&p);
	below_begin(&p, true);
	memcpy(spec.dst_mac, p.port->mac, 6);
	memcpy(spec.src_mac, peer_mac, 6);
	assert_int_equal(raw_socket(&p, 0, &s), -EPROTONOSUPPORT);
	assert_int_equal(raw_socket(&p, 256, &s), -EINVAL);
	assert_int_equal(raw_socket(&p, 1, &icmp), 0);
	assert_int_equal(raw_socket(&p, 1, &deaf), 0);
	assert_int_equal(raw_socket(&p, 253, &other), 0);
	assert_int_equal(below_option(&p, deaf, ABI_CTL_SETSOCKOPT, SOL_RAW, 1, 1u << 0), 0);
	assert_int_equal(below_option(&p, other, ABI_CTL_SETSOCKOPT, SOL_RAW, 1, 1), -EOPNOTSUPP);
	wire_put(p.port, frame, frame_icmp(frame, &spec, 0, 0, 1, "answer", 6));
	assert_int_equal(used(&p, icmp), app_dgram_space(20 + 8 + 6));
	assert_int_equal(used(&p, deaf), 0);
	assert_int_equal(used(&p, other), 0);
	assert_int_equal(ledger_drops_of(&p.engine->worker[0]->ledger, DROP_ICMP_NO_SOCKET), 0);
	wire_put(p.port, frame, frame_ip4(frame, &spec, 253, "bytes", 5));
	assert_int_equal(used(&p, other), app_dgram_space(25));
	assert_int_equal(ledger_drops_of(&p.engine->worker[0]->ledger, DROP_IP_NOPROTO), 0);
	wire_put(p.port, frame, frame_ip4(frame, &spec, 252, "bytes", 5));
	below_settle(&p);
	assert_int_equal(ledger_drops_of(&p.engine->worker[0]->ledger, DROP_IP_NOPROTO), 1);
	below_end(&p);
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

	below_begin(&p, false);
	memcpy(spec.dst_mac, p.port->mac, 6);
	memcpy(spec.src_mac, peer_mac, 6);
	assert_int_equal(app_bind(&p.app, &s, SOCK_DGRAM, US, 7000), 0);
	assert_int_equal(below_attach(&p, s, port_9, 4), 0);
	for (uint16_t port = 8; port < 11; port++)
		wire_put(p.port, frame, frame_udp(frame, &spec, port, 7000, "data", 4));
	below_settle(&p);
	assert_int_equal(app_sock_rx_used(app_slot(&p.app, s)), app_dgram_space(4));
	assert_int_equal(ledger_drops_of(&p.engine->worker[0]->ledger, DROP_SOCKET_FILTER), 2);
	below_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_permission),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_sees),
		cmocka_unit_test(test_vlan),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_filters_are_bounded),
		cmocka_unit_test(test_sends),
		cmocka_unit_test(test_loses),
		cmocka_unit_test(test_datagram_filter),
		cmocka_unit_test(test_raw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
