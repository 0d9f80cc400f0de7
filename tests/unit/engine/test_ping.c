/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP datagram sockets over a wire in memory; and what raw sockets hear of what came to nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "below.h"
#include "common/testing.h"
#include "dev/wire.h"
#include "inet/inet.h"
#include "inet/tcp/tcp.h"

#define NOBODY FRAME_IP(198, 18, 0, 77)

static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t request[] = { 8, 0, 0xff, 0xff, 0xee, 0xee, 0, 5, 'p', 'i', 'n', 'g' };

static struct app_sock ping_socket(struct program *p)
{
	struct app_sock s;

	assert_int_equal(below_ip_socket(p, SOCK_DGRAM, IP_PROTO_ICMP, &s), 0);
	return s;
}

static int set(struct program *p, struct app_sock s, uint32_t level, uint32_t name, uint32_t value)
{
	return below_option(p, s, ABI_CTL_SETSOCKOPT, level, name, value);
}

static uint16_t ident_of(struct program *p, struct app_sock s)
{
	return ntohs(app_slot(&p->app, s)->local_port_be);
}

static struct frame_spec from_peer(const struct program *p)
{
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US, .ttl = 33 };

	memcpy(spec.dst_mac, p->port->mac, 6);
	memcpy(spec.src_mac, peer_mac, 6);
	return spec;
}

static void peer_answers_arp(struct program *p)
{
	uint8_t frame[FRAME_ROOM];

	wire_put(p->port, frame,
		 frame_arp(frame, p->port->mac, 1, peer_mac, PEER, (uint8_t[6]){ 0 }, US));
	below_settle(p);
	frame_take_all(p->port);
}

static uint64_t drops(const struct program *p, unsigned int reason)
{
	return ledger_drops_of(&p->engine->worker[0]->ledger, reason);
}

/* Who may have one says ping_group_range; raw sockets are another matter. */
static void test_permission(void **state)
{
	struct program p;
	struct app_sock s;

	below_begin(&p, false);
	ping_socket(&p);
	assert_int_equal(below_ip_socket(&p, SOCK_RAW, IP_PROTO_ICMP, &s), -EPERM);
	assert_int_equal(tcp_param_set(p.engine->worker[0], "ping_group_range", "1 0"), 0);
	assert_int_equal(below_ip_socket(&p, SOCK_DGRAM, IP_PROTO_ICMP, &s), -EACCES);
	assert_int_equal(tcp_param_set(p.engine->worker[0], "net.ipv4.ping_group_range", "8 999"),
			 0);
	assert_int_equal(below_ip_socket(&p, SOCK_DGRAM, IP_PROTO_ICMP, &s), -EACCES);
	assert_int_equal(tcp_param_set(p.engine->worker[0], "ping_group_range", "1000 1000"), 0);
	ping_socket(&p);
	assert_int_equal(below_ip_socket(&p, SOCK_DGRAM, 58, &s), -EPROTONOSUPPORT);
	below_end(&p);
}

/* Identifier and checksum are weir's; what is no echo request is refused. */
static void test_sends(void **state)
{
	uint8_t frame[FRAME_ROOM], wrong[sizeof(request)];
	struct frame_info info;
	struct app_sock s;
	struct program p;

	below_begin(&p, false);
	peer_answers_arp(&p);
	s = ping_socket(&p);
	assert_int_equal(ident_of(&p, s), 0);
	assert_int_equal(below_send_to(&p, s, PEER, request, sizeof(request)), 0);
	assert_int_not_equal(ident_of(&p, s), 0);
	assert_int_not_equal(frame_take(p.port, ETH_TYPE_IP4, frame, &info), 0);
	assert_int_equal(info.icmp_type, 8);
	assert_int_equal(info.icmp_rest, (uint32_t)ident_of(&p, s) << 16 | 5);
	assert_int_equal(info.frag, IP4_DF);
	assert_int_equal(info.data_len, 4);
	assert_memory_equal(info.data, "ping", 4);
	assert_int_equal(below_send_to(&p, s, PEER, request, 7), -EINVAL);
	for (unsigned int i = 0; i < 2; i++) {
		memcpy(wrong, request, sizeof(wrong));
		wrong[i]++;
		assert_int_equal(below_send_to(&p, s, PEER, wrong, sizeof(wrong)), -EINVAL);
	}
	assert_int_equal(below_send_to(&p, s, FRAME_IP(0, 0, 0, 0), request, sizeof(request)),
			 -EDESTADDRREQ);
	assert_int_equal(below_send_to(&p, s, FRAME_IP(198, 18, 0, 255), request, sizeof(request)),
			 -EACCES);
	assert_int_equal(below_send_to(&p, s, FRAME_IP(9, 9, 9, 9), request, sizeof(request)),
			 -ENETUNREACH);
	assert_int_equal(wire_waiting(p.port), 0);
	below_end(&p);
}

static void answer(struct program *p, uint16_t ident)
{
	struct frame_spec spec = from_peer(p);
	uint8_t frame[FRAME_ROOM];

	wire_put(p->port, frame,
		 frame_icmp(frame, &spec, 0, 0, (uint32_t)ident << 16 | 5, "answer", 6));
	below_settle(p);
}

/* An answer is who has its identifier's, from the ICMP header on. */
static void test_receives(void **state)
{
	struct app_sock a, b, else_bound;
	uint8_t bytes[2048];
	struct abi_dgram d;
	struct program p;

	below_begin(&p, false);
	a = ping_socket(&p);
	b = ping_socket(&p);
	else_bound = ping_socket(&p);
	assert_int_equal(app_bind(&p.app, &a, 0, US, 4711), 0);
	assert_int_equal(app_bind(&p.app, &b, 0, 0, 0), 0);
	assert_int_equal(app_bind(&p.app, &else_bound, 0, FRAME_IP(127, 0, 0, 1), 99), 0);
	answer(&p, 4711);
	assert_true(below_take(&p, a, &d, bytes));
	assert_int_equal(d.len_bytes, 14);
	assert_int_equal(bytes[0], 0);
	assert_memory_equal(bytes + 4, "\x12\x67\0\5answer", 10);
	assert_true(ipaddr_ip4(&d.addr) == htonl(PEER) && ipaddr_ip4(&d.local) == htonl(US));
	assert_int_equal(d.port_be, 0);
	assert_int_equal(d.ttl, 33);
	assert_false(below_take(&p, b, &d, bytes));
	answer(&p, ident_of(&p, b));
	assert_true(below_take(&p, b, &d, bytes));
	assert_int_equal(drops(&p, DROP_ICMP_NO_SOCKET), 0);
	answer(&p, 99);
	answer(&p, 4712);
	assert_int_equal(drops(&p, DROP_ICMP_NO_SOCKET), 2);
	app_release(&p.app, a);
	below_settle(&p);
	answer(&p, 4711);
	assert_int_equal(drops(&p, DROP_ICMP_NO_SOCKET), 3);
	below_end(&p);
}

/* To itself, by the loopback; and what the reader has no room for is dropped, with a reason. */
static void test_loopback_and_full(void **state)
{
	uint8_t big[8000] = { 8 }, bytes[9000];
	unsigned int sent = 0, got = 0;
	struct abi_dgram d;
	struct app_sock s;
	struct program p;

	below_begin(&p, false);
	s = ping_socket(&p);
	for (; sent < 100; sent++)
		assert_int_equal(below_send_to(&p, s, FRAME_IP(127, 0, 0, 1), big, sizeof(big)), 0);
	while (below_take(&p, s, &d, bytes)) {
		assert_int_equal(d.len_bytes, sizeof(big));
		got++;
	}
	assert_in_range(got, 1, 99);
	assert_int_equal(drops(&p, DROP_SOCKET_RCVBUFF), sent - got);
	below_end(&p);
}

/* bind(), connect() and their undoing, as Linux has them. */
static void test_identifiers(void **state)
{
	struct app_sock a, b, c;
	struct program p;

	below_begin(&p, false);
	a = ping_socket(&p);
	b = ping_socket(&p);
	c = ping_socket(&p);
	assert_int_equal(app_bind(&p.app, &a, 0, FRAME_IP(9, 9, 9, 9), 1), -EADDRNOTAVAIL);
	assert_int_equal(app_bind(&p.app, &a, 0, FRAME_IP(224, 0, 0, 9), 1), -EADDRNOTAVAIL);
	assert_int_equal(app_bind(&p.app, &a, 0, 0, 1), 0);
	assert_int_equal(app_bind(&p.app, &a, 0, 0, 2), -EINVAL);
	assert_int_equal(set(&p, a, SOL_SOCKET, SO_REUSEADDR, 0), 0);
	assert_int_equal(app_bind(&p.app, &b, 0, 0, 1), -EADDRINUSE);
	assert_int_equal(set(&p, b, SOL_SOCKET, SO_REUSEADDR, 0), 0);
	assert_int_equal(set(&p, a, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	assert_int_equal(app_bind(&p.app, &b, 0, 0, 1), -EADDRINUSE);
	assert_int_equal(set(&p, b, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	assert_int_equal(app_bind(&p.app, &b, 0, 0, 1), 0);
	assert_int_equal(app_connect(&p.app, &c, 0, FRAME_IP(9, 9, 9, 9), 0), -ENETUNREACH);
	assert_int_equal(app_connect(&p.app, &c, 0, PEER, 5), 0);
	assert_true(app_slot(&p.app, c)->state & ABI_S_CONNECTED);
	assert_true(ipaddr_ip4(&app_slot(&p.app, c)->local_addr) == htonl(US));
	assert_int_not_equal(ident_of(&p, c), 0);
	assert_int_equal(app_connect(&p.app, &c, 0, 0, 0), 0);
	assert_int_equal(ident_of(&p, c), 0);
	assert_true(ipaddr_is_any(&app_slot(&p.app, c)->local_addr));
	assert_int_equal(app_connect(&p.app, &a, 0, PEER, 0), 0);
	assert_int_equal(app_connect(&p.app, &a, 0, 0, 0), 0);
	assert_int_equal(ident_of(&p, a), 1); /* bind() chose it */
	below_end(&p);
}

static int pending(struct program *p, struct app_sock s)
{
	return app_sock_take_error(app_slot(&p->app, s));
}

/* The oldest entry of the error queue, false: there is none. */
static bool queued(struct program *p, struct app_sock s, struct abi_error *e, uint8_t *bytes)
{
	struct abi_ctl ctl = { .op = ABI_CTL_ERRQUEUE, .len = ABI_CTL_DATA_BYTES };
	int ret = app_call(&p->app, &s, &ctl);

	if (ret != 0) {
		assert_int_equal(ret, -EAGAIN);
		return false;
	}
	memcpy(e, p->app.channel->ctl.data, sizeof(*e));
	memcpy(bytes, p->app.channel->ctl.data + sizeof(*e), e->len_bytes);
	return true;
}

/* The peer says what became of a request of ours. */
static void error_from_peer(struct program *p, uint8_t type, uint8_t code, uint16_t ident)
{
	struct frame_spec spec = from_peer(p), inner = { .src_ip = US, .dst_ip = NOBODY };
	uint8_t frame[FRAME_ROOM], quoted[FRAME_ROOM];
	size_t len = frame_icmp(quoted, &inner, 8, 0, (uint32_t)ident << 16 | 5, "data", 4);

	wire_put(p->port, frame,
		 frame_icmp(frame, &spec, type, code, 0, quoted + FRAME_IP_AT, len - FRAME_IP_AT));
	below_settle(p);
}

/* IP_RECVERR hears of all, who is connected of what is hard, who is neither of nothing. */
static void test_errors(void **state)
{
	struct app_sock deaf, connected, all;
	struct abi_error e;
	uint8_t bytes[2048];
	struct program p;

	below_begin(&p, false);
	deaf = ping_socket(&p);
	connected = ping_socket(&p);
	all = ping_socket(&p);
	assert_int_equal(app_bind(&p.app, &deaf, 0, 0, 1), 0);
	assert_int_equal(app_bind(&p.app, &connected, 0, 0, 2), 0);
	assert_int_equal(app_bind(&p.app, &all, 0, 0, 3), 0);
	assert_int_equal(app_connect(&p.app, &connected, 0, NOBODY, 0), 0);
	assert_int_equal(set(&p, all, SOL_IP, IP_RECVERR, 1), 0);
	for (uint16_t ident = 1; ident <= 3; ident++)
		error_from_peer(&p, 11, 0, ident);
	assert_int_equal(pending(&p, deaf), 0);
	assert_int_equal(pending(&p, connected), 0);
	assert_int_equal(pending(&p, all), EHOSTUNREACH);
	assert_true(queued(&p, all, &e, bytes));
	assert_int_equal(e.error, EHOSTUNREACH);
	assert_int_equal(e.origin, SO_EE_ORIGIN_ICMP);
	assert_int_equal(e.type, 11);
	assert_int_equal(e.ttl, 33);
	assert_int_equal(e.port_be, 0);
	assert_true(ipaddr_ip4(&e.offender) == htonl(PEER) && ipaddr_ip4(&e.addr) == htonl(NOBODY));
	assert_int_equal(e.len_bytes, 12);
	assert_memory_equal(bytes + 4, "\0\3\0\5data", 8);
	assert_false(queued(&p, all, &e, bytes));
	for (uint16_t ident = 1; ident <= 4; ident++)
		error_from_peer(&p, 3, 10, ident);
	assert_int_equal(pending(&p, deaf), 0);
	assert_int_equal(pending(&p, connected), EHOSTUNREACH);
	assert_int_equal(pending(&p, all), EHOSTUNREACH);
	assert_int_equal(drops(&p, DROP_ICMP_NO_SOCKET), 1); /* ident 4 */
	below_end(&p);
}

/* What is too long for the path, where it may not be fragmented. */
static void test_too_long(void **state)
{
	uint8_t big[1473 + 8] = { 8 }, bytes[2048];
	struct abi_error e;
	struct app_sock s;
	struct program p;

	below_begin(&p, false);
	s = ping_socket(&p);
	assert_int_equal(set(&p, s, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), 0);
	assert_int_equal(below_send_to(&p, s, PEER, big, sizeof(big)), -EMSGSIZE);
	assert_int_equal(set(&p, s, SOL_IP, IP_RECVERR, 1), 0);
	assert_int_equal(below_send_to(&p, s, PEER, big, sizeof(big)), -EMSGSIZE);
	assert_true(queued(&p, s, &e, bytes));
	assert_int_equal(e.error, EMSGSIZE);
	assert_int_equal(e.origin, SO_EE_ORIGIN_LOCAL);
	assert_int_equal(e.info, 1500);
	assert_int_equal(below_send_to(&p, s, PEER, big, sizeof(big) - 1), 0);
	frame_take_all(p.port);
	peer_answers_arp(&p);
	below_end(&p);
}

/* Nobody answers ARP: it is told as from our own host, once; and raw sockets see the message. */
static void test_host_unreachable(void **state)
{
	struct app_sock s, raw, other;
	struct abi_error e;
	struct abi_dgram d;
	uint8_t bytes[2048];
	struct program p;

	below_begin(&p, true);
	s = ping_socket(&p);
	assert_int_equal(set(&p, s, SOL_IP, IP_RECVERR, 1), 0);
	for (unsigned int with_raw = 0; with_raw < 2; with_raw++) {
		if (with_raw) {
			assert_int_equal(below_ip_socket(&p, SOCK_RAW, IP_PROTO_ICMP, &raw), 0);
			assert_int_equal(below_ip_socket(&p, SOCK_RAW, 253, &other), 0);
			assert_int_equal(set(&p, other, SOL_IP, IP_RECVERR, 1), 0);
			assert_int_equal(below_send_to(&p, other, NOBODY, "another", 8), 0);
		}
		assert_int_equal(below_send_to(&p, s, NOBODY, request, sizeof(request)), 0);
		below_wait(&p, 4000000000ull);
		assert_int_equal(pending(&p, s), EHOSTUNREACH);
		assert_true(queued(&p, s, &e, bytes));
		assert_int_equal(e.type, 3);
		assert_int_equal(e.code, 1);
		assert_true(ipaddr_ip4(&e.offender) == htonl(US));
		assert_int_equal(e.len_bytes, sizeof(request));
		assert_false(queued(&p, s, &e, bytes));
		frame_take_all(p.port);
	}
	assert_true(queued(&p, other, &e, bytes));
	assert_int_equal(e.error, EHOSTUNREACH);
	assert_int_equal(e.len_bytes, 8);
	assert_memory_equal(bytes, "another", 8);
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(below_take(&p, raw, &d, bytes));
		assert_int_equal(bytes[20], 3);
		assert_int_equal(bytes[21], 1);
		assert_true(ipaddr_ip4(&d.addr) == htonl(US));
	}
	assert_false(below_take(&p, raw, &d, bytes));
	below_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_permission),  cmocka_unit_test(test_sends),
		cmocka_unit_test(test_receives),    cmocka_unit_test(test_loopback_and_full),
		cmocka_unit_test(test_identifiers), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_too_long),    cmocka_unit_test(test_host_unreachable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
