/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagram sockets: records both ways, what does not fit, errors. */
#include <errno.h>
#include <time.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include "prog.h"

static struct worker *w;
static struct prog p;

static int setup(void **state)
{
	w = test_worker();
	assert_int_equal(sock_layer_init(w), 0);
	fake_init(w);
	prog_open(&p, w, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	prog_close(&p);
	assert_int_equal(fake_udp_count, 0);
	sock_layer_free(w);
	test_worker_done(w);
	return 0;
}

static void test_receive(void **state)
{
	struct abi_dgram d;
	struct psock s;
	char buf[64];

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_int_equal(app_sock_events(prog_sock(&p, s)), ABI_EV_OUT | ABI_EV_WRBAND);
	assert_int_equal(prog_bind(&p, s, 53), 0);
	assert_int_equal(prog_bind(&p, s, 54), -EINVAL);
	prog_watch(&p, s, p.epoll, ABI_EV_IN);
	fake_udp_deliver(w, 53, "hello", 5);
	fake_udp_deliver(w, 53, "", 0);
	prog_run(&p);
	assert_true(app_sock_events(prog_sock(&p, s)) & ABI_EV_IN);
	assert_int_equal(prog_recvfrom(&p, s, buf, sizeof(buf), &d), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(d.port_be, htons(9999));
	assert_int_equal(ipaddr_ip4(&d.addr), htonl(0xc6120001));
	assert_int_equal(ipaddr_ip4(&d.local), htonl(0xc6120002));
	assert_int_equal(d.ifindex, 2);
	assert_int_equal(prog_recvfrom(&p, s, buf, sizeof(buf), &d), 0);
	assert_int_equal(prog_recvfrom(&p, s, buf, sizeof(buf), &d), -1);
	assert_int_equal(w->ledger.fate[FATE_DELIVERED], 2);
}

static void test_truncated(void **state)
{
	struct abi_dgram d;
	struct psock s;
	char buf[4];

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_bind(&p, s, 53), 0);
	fake_udp_deliver(w, 53, "truncated", 9);
	fake_udp_deliver(w, 53, "next", 4);
	prog_run(&p);
	assert_int_equal(prog_recvfrom(&p, s, buf, sizeof(buf), &d), 9);
	assert_memory_equal(buf, "trun", 4);
	assert_int_equal(prog_recvfrom(&p, s, buf, sizeof(buf), &d), 4);
	assert_memory_equal(buf, "next", 4);
}

static void test_large_and_wrapping(void **state)
{
	static uint8_t out[60000], in[60000];
	struct abi_dgram d;
	struct psock s;

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_bind(&p, s, 53), 0);
	for (int round = 0; round < 20; round++) {
		uint32_t len = 30000 + (uint32_t)round * 1501;

		for (uint32_t i = 0; i < len; i++)
			out[i] = (uint8_t)(i * 13 + (uint32_t)round);
		fake_udp_deliver(w, 53, out, len);
		prog_run(&p);
		assert_int_equal(prog_recvfrom(&p, s, in, sizeof(in), &d), len);
		assert_memory_equal(in, out, len);
		assert_true(prog_sendto(&p, s, 99, out, len));
		prog_run(&p);
		assert_int_equal(fake_udp_last_len, len);
		assert_memory_equal(fake_udp_last, out, len);
	}
}

static void test_receive_overflow(void **state)
{
	static uint8_t block[16000];
	struct abi_dgram d;
	struct psock s;
	unsigned int n = 0;

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_setopt(&p, s, SOL_SOCKET, SO_RCVBUF, 1000), 0);
	assert_int_equal(prog_bind(&p, s, 53), 0);
	for (int i = 0; i < 12; i++)
		fake_udp_deliver(w, 53, block, sizeof(block));
	prog_run(&p);
	assert_int_equal(prog_sock(&p, s)->rx_size_bytes, 128 * 1024);
	while (prog_recvfrom(&p, s, block, sizeof(block), &d) >= 0)
		n++;
	assert_int_equal(n, 8);
	assert_int_equal(test_drops(w, SOCKET_RCVBUFF), 4);
	fake_udp_deliver(w, 53, "x", 1);
	prog_run(&p);
	assert_int_equal(prog_recvfrom(&p, s, block, sizeof(block), &d), 1);
}

static void test_no_memory_for_the_ring(void **state)
{
	struct psock s;
	struct prog small;

	/* Room for the channels and one send ring only. */
	prog_open(&small, w, 64, 64 * 256 + (1 << 19) + 65536);
	assert_int_equal(prog_socket(&small, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_bind(&small, s, 53), 0);
	fake_udp_deliver(w, 53, "x", 1);
	assert_int_equal(test_drops(w, NOMEM), 1);
	assert_int_equal(prog_socket(&small, SOCK_DGRAM, &s), -ENOBUFS);
	session_destroy(small.session);
}

static void test_send(void **state)
{
	struct psock s;

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	for (int i = 0; i < 200; i++)
		assert_true(prog_sendto(&p, s, 99, "abc", 3));
	prog_run(&p);
	assert_int_equal(fake_udp_sent, 200);
	/* Bound by sending. */
	assert_int_not_equal(prog_sock(&p, s)->local_port_be, 0);
	/* Connected: no address needed. */
	assert_int_equal(prog_connect(&p, s, 77), 0);
	assert_int_equal(prog_sock(&p, s)->peer_port_be, htons(77));
	assert_true(prog_sendto(&p, s, 0, "abc", 3));
	prog_run(&p);
	assert_int_equal(fake_udp_sent, 201);
	assert_int_equal(prog_shutdown(&p, s, SHUT_RDWR), 0);
	assert_int_equal(prog_listen(&p, s, 1), -EOPNOTSUPP);
}

static void test_last_words(void **state)
{
	struct psock s;

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	for (int i = 0; i < 100; i++)
		assert_true(prog_sendto(&p, s, 99, "abc", 3));
	prog_release(&p, s);
	prog_run(&p);
	assert_int_equal(fake_udp_sent, 100);
}

static void test_errors(void **state)
{
	struct psock s;

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_bind(&p, s, 53), 0);
	prog_watch(&p, s, p.epoll, ABI_EV_IN);
	fake_udp_error(w, 53, ECONNREFUSED);
	prog_run(&p);
	assert_true(prog_cqe(p.epoll, &s));
	assert_int_equal(app_sock_take_error(prog_sock(&p, s)), ECONNREFUSED);
	assert_int_equal(app_sock_take_error(prog_sock(&p, s)), 0);
	fake_udp_result = -ENETUNREACH;
	assert_true(prog_sendto(&p, s, 99, "abc", 3));
	prog_run(&p);
	assert_int_equal(app_sock_take_error(prog_sock(&p, s)), ENETUNREACH);
	/* A full queue is not told, as in Linux. */
	fake_udp_result = -ENOBUFS;
	assert_true(prog_sendto(&p, s, 99, "abc", 3));
	prog_run(&p);
	assert_int_equal(app_sock_take_error(prog_sock(&p, s)), 0);
}

static bool take_error(struct psock s, struct abi_error *e)
{
	struct abi_ctl ctl = { .op = ABI_CTL_ERRQUEUE };

	if (prog_ctl(&p, &ctl, &s) != 0)
		return false;
	memcpy(e, ctl.data, sizeof(*e));
	return true;
}

static void take_range(struct psock s, uint32_t first, uint32_t last)
{
	struct abi_error e;

	assert_true(take_error(s, &e));
	assert_int_equal(e.origin, SO_EE_ORIGIN_ZEROCOPY);
	assert_int_equal(e.error, 0);
	assert_int_equal(e.code, SO_EE_CODE_ZEROCOPY_COPIED);
	assert_int_equal(e.info, first);
	assert_int_equal(e.data, last);
}

/* MSG_ZEROCOPY: completions grow together, and none is lost where the queue is full. */
static void test_zerocopy(void **state)
{
	struct abi_error e;
	struct psock s;
	int n = 0;

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_bind(&p, s, 53), 0);
	prog_submit(&p, ABI_OP_ZEROCOPY, s, 0, 1); /* nobody asked */
	prog_run(&p);
	assert_false(prog_sock(&p, s)->state & ABI_S_ERRQ);
	assert_int_equal(prog_setopt(&p, s, SOL_SOCKET, SO_ZEROCOPY, 1), 0);
	for (int i = 0; i < 3; i++)
		prog_submit(&p, ABI_OP_ZEROCOPY, s, 0, 1);
	prog_run(&p);
	assert_true(app_sock_events(prog_sock(&p, s)) & ABI_EV_ERR);
	take_range(s, 0, 2);
	assert_false(take_error(s, &e));
	/* Errors between them part them; without IP_RECVERR these alone go. */
	assert_int_equal(prog_setopt(&p, s, IPPROTO_IP, IP_RECVERR, 1), 0);
	for (int i = 0; i < 3; i++) {
		fake_udp_error(w, 53, ECONNREFUSED);
		prog_submit(&p, ABI_OP_ZEROCOPY, s, 0, 1);
		prog_run(&p);
	}
	assert_int_equal(prog_setopt(&p, s, IPPROTO_IP, IP_RECVERR, 0), 0);
	take_range(s, 3, 3);
	take_range(s, 4, 4);
	take_range(s, 5, 5);
	assert_false(take_error(s, &e));
	/* A full queue: what has no room is told behind it. */
	assert_int_equal(prog_setopt(&p, s, IPPROTO_IP, IP_RECVERR, 1), 0);
	for (int i = 0; i < 1000; i++)
		fake_udp_error(w, 53, ECONNREFUSED);
	for (int i = 0; i < 5; i++)
		prog_submit(&p, ABI_OP_ZEROCOPY, s, 0, 1);
	prog_run(&p);
	while (take_error(s, &e) && e.origin == NET_ERROR_ICMP)
		n++;
	assert_true(n > 50 && n < 1000);
	assert_int_equal(e.info, 6);
	assert_int_equal(e.data, 10);
	assert_false(take_error(s, &e));
}

/* IP_RECVERR: a queue of errors, with what recvmsg() hands out. */
static void test_error_queue(void **state)
{
	struct abi_ctl ctl = { .op = ABI_CTL_ERRQUEUE };
	struct abi_error e;
	struct psock s;

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_bind(&p, s, 53), 0);
	assert_int_equal(prog_ctl(&p, &ctl, &s), -EAGAIN);
	assert_int_equal(prog_setopt(&p, s, IPPROTO_IP, IP_RECVERR, 1), 0);
	assert_false(app_sock_events(prog_sock(&p, s)) & ABI_EV_ERR);
	fake_udp_error(w, 53, ECONNREFUSED);
	fake_udp_error(w, 53, EHOSTUNREACH);
	prog_run(&p);
	assert_true(prog_sock(&p, s)->state & ABI_S_ERRQ);
	assert_true(app_sock_events(prog_sock(&p, s)) & ABI_EV_ERR);
	assert_false(app_sock_events(prog_sock(&p, s)) & ABI_EV_PRI);
	assert_int_equal(app_sock_take_error(prog_sock(&p, s)), EHOSTUNREACH);
	ctl = (struct abi_ctl){ .op = ABI_CTL_ERRQUEUE };
	assert_int_equal(prog_ctl(&p, &ctl, &s), 0);
	assert_int_equal(ctl.len, sizeof(e));
	memcpy(&e, ctl.data, sizeof(e));
	assert_int_equal(e.error, ECONNREFUSED);
	assert_int_equal(e.origin, NET_ERROR_ICMP);
	assert_int_equal(e.type, 3);
	assert_int_equal(e.port_be, htons(99));
	assert_int_equal(ipaddr_ip4(&e.offender), htonl(0xc6120001));
	assert_int_equal(ipaddr_ip4(&e.addr), htonl(0xc6120009));
	/* The next one of ICMP is the pending error; with the last one it is none. */
	assert_int_equal(app_sock_error(prog_sock(&p, s)), EHOSTUNREACH);
	assert_int_equal(prog_ctl(&p, &ctl, &s), 0);
	assert_int_equal(app_sock_error(prog_sock(&p, s)), 0);
	prog_run(&p);
	assert_false(app_sock_events(prog_sock(&p, s)) & ABI_EV_ERR);
	assert_int_equal(prog_ctl(&p, &ctl, &s), -EAGAIN);
	/* Bounded; and gone with the option. */
	for (int i = 0; i < 1000; i++)
		fake_udp_error(w, 53, ECONNREFUSED);
	for (int i = 0; i < 100; i++)
		assert_int_equal(prog_ctl(&p, &ctl, &s), 0);
	assert_int_equal(prog_setopt(&p, s, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1), 0);
	assert_true(app_sock_events(prog_sock(&p, s)) & ABI_EV_PRI);
	assert_int_equal(prog_setopt(&p, s, IPPROTO_IP, IP_RECVERR, 0), 0);
	assert_false(prog_sock(&p, s)->state & ABI_S_ERRQ);
	assert_int_equal(prog_ctl(&p, &ctl, &s), -EAGAIN);
	/* A program that ends with entries in it leaves nothing. */
	assert_int_equal(prog_setopt(&p, s, IPPROTO_IP, IP_RECVERR, 1), 0);
	fake_udp_error(w, 53, ECONNREFUSED);
}

/* What a record says of itself alone reaches the transport; what may not be sent is told at once.
 */
static void test_send_check(void **state)
{
	struct abi_ctl ctl = { .op = ABI_CTL_SEND_CHECK, .len = sizeof(struct abi_dgram) };
	struct abi_dgram d = { .len_bytes = 3,
			       .addr = ipaddr_from_ip4(htonl(0x7f000001)),
			       .port_be = htons(9) };
	struct psock s;

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	memcpy(ctl.data, &d, sizeof(d));
	assert_int_equal(prog_ctl(&p, &ctl, &s), 0);
	assert_int_not_equal(prog_sock(&p, s)->local_port_be, 0);
	assert_int_equal(fake_udp_sent, 0);
	fake_udp_result = -ENETUNREACH;
	assert_int_equal(prog_ctl(&p, &ctl, &s), -ENETUNREACH);
	assert_int_equal(app_sock_error(prog_sock(&p, s)), 0);
	fake_udp_result = 0;
	ctl.len = 5;
	assert_int_equal(prog_ctl(&p, &ctl, &s), -EINVAL);
	/* Only who forbids fragments has to ask because of the length. */
	assert_int_equal(prog_sock(&p, s)->tx_limit_bytes, UINT32_MAX);
	assert_int_equal(prog_setopt(&p, s, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), 0);
	assert_int_equal(prog_sock(&p, s)->tx_limit_bytes, 0);
	assert_int_equal(prog_setopt(&p, s, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT), 0);
	assert_int_equal(prog_sock(&p, s)->tx_limit_bytes, UINT32_MAX);
}

/* UDP_GRO: what comes in one turn is joined, as far as it is of one flow and of one length. */
static void test_gro(void **state)
{
	static const uint32_t in[] = { 100, 100, 40, 100, 100, 120, 120, 0, 100 };
	static const struct {
		int len;
		uint16_t segment;
	} out[] = { { 240, 100 }, { 200, 100 }, { 240, 120 }, { 0, 0 }, { 100, 0 } };
	static uint8_t data[70000], got[70000];
	struct abi_dgram d;
	struct psock s;

	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 | 0x80); /* no IP header */
	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_bind(&p, s, 53), 0);
	assert_int_equal(prog_setopt(&p, s, IPPROTO_UDP, UDP_GRO, 1), 0);
	for (uint32_t i = 0, at = 0; i < sizeof(in) / sizeof(in[0]); at += in[i++])
		fake_udp_deliver(w, 53, data + at, in[i]);
	prog_run(&p);
	for (uint32_t i = 0, at = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		assert_int_equal(prog_recvfrom(&p, s, got, sizeof(got), &d), out[i].len);
		assert_int_equal(d.segment_bytes, out[i].segment);
		assert_memory_equal(got, data + at, (size_t)out[i].len);
		at += (uint32_t)out[i].len;
	}
	/* What the program may have seen stays as it is. */
	fake_udp_deliver(w, 53, data, 10);
	prog_run(&p);
	fake_udp_deliver(w, 53, data, 10);
	prog_run(&p);
	assert_int_equal(prog_recvfrom(&p, s, got, sizeof(got), &d), 10);
	assert_int_equal(prog_recvfrom(&p, s, got, sizeof(got), &d), 10);
	/* No longer than a datagram, nor of more than 128. */
	for (int i = 0; i < 60; i++)
		fake_udp_deliver(w, 53, data, 1200);
	prog_run(&p);
	assert_int_equal(prog_recvfrom(&p, s, got, sizeof(got), &d), 54 * 1200);
	assert_int_equal(prog_recvfrom(&p, s, got, sizeof(got), &d), 6 * 1200);
	for (int i = 0; i < 130; i++)
		fake_udp_deliver(w, 53, data, 2);
	prog_run(&p);
	assert_int_equal(prog_recvfrom(&p, s, got, sizeof(got), &d), 256);
	assert_int_equal(prog_recvfrom(&p, s, got, sizeof(got), &d), 4);
	assert_int_equal(prog_setopt(&p, s, IPPROTO_UDP, UDP_GRO, 0), 0);
	fake_udp_deliver(w, 53, data, 10);
	fake_udp_deliver(w, 53, data, 10);
	prog_run(&p);
	assert_int_equal(prog_recvfrom(&p, s, got, sizeof(got), &d), 10);
	assert_int_equal(prog_recvfrom(&p, s, got, sizeof(got), &d), 10);
	assert_int_equal(prog_recvfrom(&p, s, got, sizeof(got), &d), -1);
}

/* Joined records are bounded by the ring like any, and every datagram is in the ledger. */
static void test_gro_full(void **state)
{
	static uint8_t block[1400], got[70000];
	struct abi_dgram d;
	struct psock s;
	int total = 0, n;

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_int_equal(prog_setopt(&p, s, SOL_SOCKET, SO_RCVBUF, 1000), 0);
	assert_int_equal(prog_bind(&p, s, 53), 0);
	assert_int_equal(prog_setopt(&p, s, IPPROTO_UDP, UDP_GRO, 1), 0);
	for (int i = 0; i < 100; i++)
		fake_udp_deliver(w, 53, block, sizeof(block));
	prog_run(&p);
	while ((n = prog_recvfrom(&p, s, got, sizeof(got), &d)) >= 0)
		total += n;
	assert_int_equal(total, 1400 * (int)w->ledger.fate[FATE_DELIVERED]);
	assert_in_range(w->ledger.fate[FATE_DELIVERED], 90, 93);
	assert_int_equal(test_drops(w, SOCKET_RCVBUFF), 100 - w->ledger.fate[FATE_DELIVERED]);
}

/* A record in segments is handed down as that. */
static void test_segments(void **state)
{
	struct psock s;

	assert_int_equal(prog_socket(&p, SOCK_DGRAM, &s), 0);
	assert_true(prog_sendto(&p, s, 99, "abcdefg", 7));
	prog_run(&p);
	assert_int_equal(fake_udp_last_send.segment_bytes, 0);
	assert_true(prog_sendto_segments(&p, s, 99, "abcdefg", 7, 3));
	prog_run(&p);
	assert_int_equal(fake_udp_last_send.segment_bytes, 3);
	assert_int_equal(fake_udp_last_len, 7);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_receive),
		T(test_truncated),
		T(test_large_and_wrapping),
		T(test_receive_overflow),
		T(test_no_memory_for_the_ring),
		T(test_send),
		T(test_last_words),
		T(test_errors),
		T(test_error_queue),
		T(test_zerocopy),
		T(test_gro),
		T(test_gro_full),
		T(test_segments),
		T(test_send_check),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
