/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir.h as its users have it: whole connections in virtual time, on the loopback of one engine and
 * between two engines over a wire that the test carries frames on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <string.h>

#include "common/testing.h"
#include "weir.h"

#define MS 1000000ull
#define S 1000000000ull

static char error[WEIR_ERROR_BYTES];
static uint8_t frame[70000];

static struct weir *open_one(const char *spec, const char *addr)
{
	const char *addrs[] = { addr, NULL };
	struct weir_port port = { .spec = spec, .addrs = addrs };
	struct weir_config config = { .ports = &port,
				      .port_count = spec != NULL,
				      .virtual_time = true,
				      .start_ns = S,
				      .seed = 7,
				      .packets = 4096 };
	struct weir *weir = weir_engine_open(&config, error);

	if (weir == NULL)
		fail_msg("%s", error);
	return weir;
}

static void balanced(struct weir *weir)
{
	struct weir_ledger l;

	weir_ledger(weir, &l);
	assert_int_equal(l.balance, 0);
	assert_int_equal(l.entered + l.originated, l.delivered + l.transmitted + l.forwarded +
							   l.absorbed + l.dropped + l.held);
}

static void close_quiet(struct weir *weir)
{
	struct weir_ledger l;

	weir_engine_advance(weir, 0);
	weir_ledger(weir, &l);
	assert_int_equal(l.balance, 0);
	assert_int_equal(l.held, 0);
	assert_true(weir_pool_is_full(weir));
	weir_engine_close(weir);
}

static struct sockaddr_in at(const char *ip, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static int tcp_listen_on(struct weir *weir, const char *ip, uint16_t port, int backlog)
{
	struct sockaddr_in a = at(ip, port);
	int fd = weir_socket(weir, AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(weir_bind(weir, fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(weir_listen(weir, fd, backlog), 0);
	return fd;
}

static int tcp_connect_to(struct weir *weir, const char *ip, uint16_t port)
{
	struct sockaddr_in a = at(ip, port);
	int fd = weir_socket(weir, AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(weir_connect(weir, fd, (struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, EINPROGRESS);
	return fd;
}

static int so_error(struct weir *weir, int fd)
{
	socklen_t len = sizeof(int);
	int value = -1;

	assert_int_equal(weir_getsockopt(weir, fd, SOL_SOCKET, SO_ERROR, &value, &len), 0);
	assert_int_equal(len, sizeof(int));
	return value;
}

static short events(struct weir *weir, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };

	weir_poll(weir, &p, 1);
	return p.revents;
}

static void test_loopback_connection(void **state)
{
	struct weir *weir = open_one(NULL, NULL);
	int l = tcp_listen_on(weir, "127.0.0.1", 80, 5), c, s;
	struct sockaddr_in a, b;
	socklen_t len = sizeof(a);
	char buf[64];

	assert_int_equal(weir_accept(weir, l, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	c = tcp_connect_to(weir, "127.0.0.1", 80);
	weir_engine_advance(weir, 0);
	assert_int_equal(events(weir, c), POLLOUT);
	assert_int_equal(events(weir, l), POLLIN);
	s = weir_accept(weir, l, (struct sockaddr *)&a, &len);
	assert_true(s >= 0);
	len = sizeof(b);
	assert_int_equal(weir_getsockname(weir, c, (struct sockaddr *)&b, &len), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(weir_getpeername(weir, c, (struct sockaddr *)&b, &len), 0);
	assert_int_equal(b.sin_port, htons(80));

	assert_int_equal(weir_send(weir, c, "ping", 4, MSG_NOSIGNAL), 4);
	weir_engine_advance(weir, 0);
	assert_int_equal(weir_recv(weir, s, buf, sizeof(buf), MSG_PEEK), 4);
	assert_int_equal(weir_recv(weir, s, buf, sizeof(buf), 0), 4);
	assert_memory_equal(buf, "ping", 4);
	assert_int_equal(weir_recv(weir, s, buf, sizeof(buf), 0), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(weir_shutdown(weir, c, SHUT_WR), 0);
	assert_int_equal(weir_send(weir, c, "x", 1, 0), -1);
	assert_int_equal(errno, EPIPE);
	weir_engine_advance(weir, 0);
	assert_int_equal(weir_recv(weir, s, buf, sizeof(buf), 0), 0);
	assert_int_equal(weir_send(weir, s, "pong", 4, 0), 4);
	assert_int_equal(weir_close(weir, s), 0);
	weir_engine_advance(weir, 0);
	assert_int_equal(weir_recv(weir, c, buf, sizeof(buf), 0), 4);
	assert_int_equal(weir_recv(weir, c, buf, sizeof(buf), 0), 0);
	assert_int_equal(weir_close(weir, c), 0);
	assert_int_equal(weir_close(weir, c), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(weir_close(weir, l), 0);
	weir_engine_advance(weir, 120 * S);
	balanced(weir);
	assert_int_equal(weir_engine_now(weir), 121 * S);
	close_quiet(weir);
}

static void test_refused(void **state)
{
	struct weir *weir = open_one(NULL, NULL);
	int c = tcp_connect_to(weir, "127.0.0.1", 81);
	char buf[4];

	weir_engine_advance(weir, 0);
	assert_true(events(weir, c) & (POLLERR | POLLHUP));
	assert_int_equal(so_error(weir, c), ECONNREFUSED);
	assert_int_equal(so_error(weir, c), 0);
	assert_int_equal(weir_recv(weir, c, buf, sizeof(buf), 0), 0);
	close_quiet(weir);
}

static void test_bulk_on_loopback(void **state)
{
	static uint8_t out[3000000], in[3000000];
	struct weir *weir = open_one(NULL, NULL);
	int l = tcp_listen_on(weir, "127.0.0.1", 80, 5);
	int c = tcp_connect_to(weir, "127.0.0.1", 80), s;
	size_t sent = 0, got = 0;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 31 + (i >> 11));
	weir_engine_advance(weir, 0);
	s = weir_accept(weir, l, NULL, NULL);
	assert_true(s >= 0);
	for (int i = 0; i < 100000 && got < sizeof(out); i++) {
		ssize_t n = weir_send(weir, c, out + sent, sizeof(out) - sent, 0);

		sent += n > 0 ? (size_t)n : 0;
		weir_engine_advance(weir, 0);
		n = weir_recv(weir, s, in + got, sizeof(in) - got, 0);
		got += n > 0 ? (size_t)n : 0;
		if (n < 0)
			weir_engine_advance(weir, MS);
	}
	assert_int_equal(got, sizeof(out));
	assert_memory_equal(in, out, sizeof(out));
	balanced(weir);
	weir_close(weir, s);
	weir_close(weir, c);
	weir_engine_advance(weir, 120 * S);
	close_quiet(weir);
}

static void test_unread_data_resets(void **state)
{
	struct weir *weir = open_one(NULL, NULL);
	int l = tcp_listen_on(weir, "127.0.0.1", 80, 5);
	int c = tcp_connect_to(weir, "127.0.0.1", 80), s;
	char buf[4];

	weir_engine_advance(weir, 0);
	s = weir_accept(weir, l, NULL, NULL);
	weir_send(weir, c, "data", 4, 0);
	weir_engine_advance(weir, 0);
	weir_close(weir, s);
	weir_engine_advance(weir, 0);
	assert_true(events(weir, c) & POLLERR);
	assert_int_equal(weir_recv(weir, c, buf, sizeof(buf), 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(weir_send(weir, c, "x", 1, 0), -1);
	assert_int_equal(errno, EPIPE);
	close_quiet(weir);
}

static void test_backlog_overflow(void **state)
{
	struct weir *weir = open_one(NULL, NULL);
	int l = tcp_listen_on(weir, "127.0.0.1", 80, 1), c[6], accepted = 0;

	/* One after the other, so that it is the accept queue that overflows, not the half-open. */
	for (int i = 0; i < 6; i++) {
		c[i] = tcp_connect_to(weir, "127.0.0.1", 80);
		weir_engine_advance(weir, 200 * MS);
	}
	assert_true(weir_drops_of(weir, "TCP_LISTEN_OVERFLOW") > 0);
	/* They try again; all come in in the end. */
	for (int i = 0; i < 400 && accepted < 6; i++) {
		if (weir_accept(weir, l, NULL, NULL) >= 0)
			accepted++;
		weir_engine_advance(weir, 100 * MS);
	}
	assert_int_equal(accepted, 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(so_error(weir, c[i]), 0);
	balanced(weir);
	weir_engine_close(weir);
}

static void test_udp_on_loopback(void **state)
{
	struct weir *weir = open_one(NULL, NULL);
	struct sockaddr_in a = at("127.0.0.1", 53), from;
	int s = weir_socket(weir, AF_INET, SOCK_DGRAM, 0);
	int c = weir_socket(weir, AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(from);
	static char big[65507], in[65507];
	char buf[16];

	assert_int_equal(weir_bind(weir, s, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(weir_send(weir, c, "x", 1, 0), -1);
	assert_int_equal(errno, EDESTADDRREQ);
	assert_int_equal(weir_sendto(weir, c, "query", 5, 0, (struct sockaddr *)&a, sizeof(a)), 5);
	weir_engine_advance(weir, 0);
	assert_int_equal(weir_recvfrom(weir, s, buf, 3, MSG_TRUNC, (struct sockaddr *)&from, &len),
			 5);
	assert_memory_equal(buf, "que", 3);
	assert_int_equal(weir_sendto(weir, s, "answer", 6, 0, (struct sockaddr *)&from, len), 6);
	weir_engine_advance(weir, 0);
	assert_int_equal(weir_recv(weir, c, buf, sizeof(buf), 0), 6);
	memset(big, 'b', sizeof(big));
	assert_int_equal(
		weir_sendto(weir, c, big, sizeof(big), 0, (struct sockaddr *)&a, sizeof(a)),
		sizeof(big));
	weir_engine_advance(weir, 0);
	assert_int_equal(weir_recv(weir, s, in, sizeof(in), 0), sizeof(big));
	assert_memory_equal(in, big, sizeof(big));
	assert_int_equal(
		weir_sendto(weir, c, big, sizeof(big) + 1, 0, (struct sockaddr *)&a, sizeof(a)),
		-1);
	assert_int_equal(errno, EMSGSIZE);
	/* Nobody there: the connected sender is told. */
	a = at("127.0.0.1", 54);
	assert_int_equal(weir_connect(weir, c, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(weir_send(weir, c, "x", 1, 0), 1);
	weir_engine_advance(weir, 0);
	assert_int_equal(weir_recv(weir, c, buf, sizeof(buf), 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_true(weir_drops_of(weir, "NO_SOCKET") >= 1);
	close_quiet(weir);
}

static void test_udp_overflow(void **state)
{
	struct weir *weir = open_one(NULL, NULL);
	struct sockaddr_in a = at("127.0.0.1", 53);
	int s = weir_socket(weir, AF_INET, SOCK_DGRAM, 0);
	int c = weir_socket(weir, AF_INET, SOCK_DGRAM, 0);
	static char block[1000];
	unsigned int got = 0;
	const unsigned int sent = 400;

	assert_int_equal(weir_bind(weir, s, (struct sockaddr *)&a, sizeof(a)), 0);
	for (unsigned int i = 0; i < sent; i++) {
		while (weir_sendto(weir, c, block, sizeof(block), 0, (struct sockaddr *)&a,
				   sizeof(a)) < 0)
			weir_engine_advance(weir, 0);
	}
	weir_engine_advance(weir, 0);
	while (weir_recv(weir, s, block, sizeof(block), 0) == sizeof(block))
		got++;
	assert_true(got < sent);
	assert_int_equal(got + weir_drops_of(weir, "SOCKET_RCVBUFF"), sent);
	close_quiet(weir);
}

/* ---- two engines and a cable ---- */

static struct weir *a_side, *b_side;

static bool carry(struct weir *from, struct weir *to)
{
	bool any = false;
	ssize_t n;

	while ((n = weir_wire_take(from, 0, frame, sizeof(frame))) > 0) {
		assert_int_equal(weir_wire_put(to, 0, frame, (size_t)n), 0);
		any = true;
	}
	return any;
}

/* Let ns go by on both, frames going across as they come. */
static void both(uint64_t ns)
{
	uint64_t end = weir_engine_now(a_side) + ns;

	for (;;) {
		uint64_t now = weir_engine_now(a_side), next, other;
		bool moved;

		do {
			weir_engine_advance(a_side, 0);
			weir_engine_advance(b_side, 0);
			moved = carry(a_side, b_side);
			moved = carry(b_side, a_side) || moved;
		} while (moved);
		if (now >= end)
			return;
		next = weir_engine_next_timer(a_side);
		other = weir_engine_next_timer(b_side);
		next = next < other ? next : other;
		next = next > end ? end : next <= now ? now + 1 : next;
		weir_engine_advance(a_side, next - now);
		weir_engine_advance(b_side, next - now);
	}
}

static void transfer(const char *a_spec, size_t bytes)
{
	static uint8_t out[2000000], in[2000000];
	size_t sent = 0, got = 0;
	int l, c, s = -1;

	a_side = open_one(a_spec, "198.18.0.1/24");
	b_side = open_one("wire", "198.18.0.2/24");
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(i * 17 + (i >> 9));
	l = tcp_listen_on(b_side, "198.18.0.2", 80, 5);
	c = tcp_connect_to(a_side, "198.18.0.2", 80);
	for (int i = 0; i < 20000 && got < bytes; i++) {
		ssize_t n = weir_send(a_side, c, out + sent, bytes - sent, 0);

		if (n < 0 && errno != EAGAIN)
			fail_msg("send: %s", strerror(errno));
		sent += n > 0 ? (size_t)n : 0;
		both(sent == bytes || n < 0 ? 20 * MS : 0);
		if (s < 0)
			s = weir_accept(b_side, l, NULL, NULL);
		n = s >= 0 ? weir_recv(b_side, s, in + got, bytes - got, 0) : 0;
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, bytes);
	assert_memory_equal(in, out, bytes);
	balanced(a_side);
	balanced(b_side);
	weir_close(a_side, c);
	both(5 * S);
	assert_int_equal(weir_recv(b_side, s, in, 1, 0), 0);
	weir_close(b_side, s);
	both(200 * S);
	close_quiet(a_side);
	close_quiet(b_side);
}

static void test_two_engines(void **state)
{
	transfer("wire", 2000000);
}

static void test_two_engines_and_loss(void **state)
{
	transfer("fault,loss=0.02,seed=3:wire", 500000);
}

static void test_silent_peer_times_out(void **state)
{
	int c;

	a_side = open_one("wire", "198.18.0.1/24");
	c = tcp_connect_to(a_side, "198.18.0.2", 80);
	for (int i = 0; i < 300 && !(events(a_side, c) & POLLERR); i++) {
		weir_engine_advance(a_side, S);
		while (weir_wire_take(a_side, 0, frame, sizeof(frame)) > 0)
			;
	}
	/* ARP was never answered. */
	assert_int_equal(so_error(a_side, c), EHOSTUNREACH);
	weir_engine_advance(a_side, 200 * S);
	while (weir_wire_take(a_side, 0, frame, sizeof(frame)) > 0)
		;
	close_quiet(a_side);
}

static void test_bad_arguments(void **state)
{
	struct weir_port port = { .spec = "no-such-port" };
	struct weir_config config = { .ports = &port, .port_count = 1, .virtual_time = true };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in a = at("198.18.9.9", 80);
	struct weir *weir;
	int fd;

	assert_null(weir_engine_open(&config, error));
	assert_true(strlen(error) > 0);
	weir = open_one("wire", "198.18.0.1/24");
	fd = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(weir_bind(weir, fd, (struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, EADDRNOTAVAIL);
	assert_int_equal(weir_bind(weir, fd, (struct sockaddr *)&v6, 4), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(weir_connect(weir, fd, (struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, ENETUNREACH);
	assert_int_equal(weir_socket(weir, AF_UNIX, SOCK_STREAM, 0), -1);
	assert_int_equal(errno, EAFNOSUPPORT);
	assert_int_equal(weir_wire_put(weir, 1, "x", 1), -1);
	assert_int_equal(weir_send(weir, 99, "x", 1, 0), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(weir_accept(weir, fd, NULL, NULL), -1);
	assert_int_equal(errno, EINVAL);
	close_quiet(weir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loopback_connection),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bulk_on_loopback),
		cmocka_unit_test(test_unread_data_resets),
		cmocka_unit_test(test_backlog_overflow),
		cmocka_unit_test(test_udp_on_loopback),
		cmocka_unit_test(test_udp_overflow),
		cmocka_unit_test(test_two_engines),
		cmocka_unit_test(test_two_engines_and_loss),
		cmocka_unit_test(test_silent_peer_times_out),
		cmocka_unit_test(test_bad_arguments),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
