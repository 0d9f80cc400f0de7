/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a listener's options do to the connections that come: TCP_SAVE_SYN keeps the headers of
 * their SYNs, TCP_FASTOPEN_KEY makes and knows the cookies of Fast Open.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>

#include "alone.h"

#define MS_NS 1000000u
#define PORT 90

static struct weir *weir;

static int setup(void **state)
{
	weir = alone_open();
	assert_int_equal(weir_sysctl(weir, "tcp_fastopen", "3"), 0);
	return 0;
}

static int teardown(void **state)
{
	alone_close(weir);
	return 0;
}

static const struct sockaddr_in at = { .sin_family = AF_INET,
				       .sin_port = 0x5a00, /* PORT */
				       .sin_addr.s_addr = 0x0100007f };

static void set(int fd, int name, const void *value, socklen_t len)
{
	assert_int_equal(weir_setsockopt(weir, fd, IPPROTO_TCP, name, value, len), 0);
}

static int listener(int name, const void *value, socklen_t len)
{
	int fd = weir_socket(weir, AF_INET, SOCK_STREAM, 0), on = 1;

	weir_setsockopt(weir, fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(weir_bind(weir, fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	if (name)
		set(fd, name, value, len);
	assert_int_equal(weir_listen(weir, fd, 5), 0);
	return fd;
}

/* Two ends that are accepted. */
static void meet(int listen_fd, int *active, int *passive)
{
	*active = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
	weir_connect(weir, *active, (const struct sockaddr *)&at, sizeof(at));
	weir_engine_advance(weir, 10 * MS_NS);
	*passive = weir_accept(weir, listen_fd, NULL, NULL);
	assert_true(*passive >= 0);
}

/* How many bytes; room is what the program has. Negative: -errno, and *len is left in `most`. */
static int saved(int fd, uint8_t *bytes, socklen_t room, socklen_t *most)
{
	*most = room;
	return weir_getsockopt(weir, fd, IPPROTO_TCP, TCP_SAVED_SYN, bytes, most) == 0 ? (int)*most
										       : -errno;
}

static void is_syn_of(const uint8_t *bytes, int len, int active)
{
	struct sockaddr_in name;
	socklen_t size = sizeof(name);
	struct tcphdr tcp;
	struct iphdr ip;

	memcpy(&ip, bytes, sizeof(ip));
	memcpy(&tcp, bytes + sizeof(ip), sizeof(tcp));
	assert_int_equal(ip.version, 4);
	assert_int_equal(ip.protocol, IPPROTO_TCP);
	assert_int_equal(ntohs(ip.tot_len), len);
	assert_int_equal(tcp.syn, 1);
	assert_int_equal(tcp.ack, 0);
	assert_int_equal(20 + tcp.doff * 4, len);
	assert_int_equal(ntohs(tcp.dest), PORT);
	weir_getsockname(weir, active, (struct sockaddr *)&name, &size);
	assert_int_equal(tcp.source, name.sin_port);
}

static void test_the_syn_is_kept(void **state)
{
	int one = 1, l = listener(TCP_SAVE_SYN, &one, sizeof(one)), a, b, len;
	uint8_t bytes[200];
	socklen_t most;

	meet(l, &a, &b);
	assert_int_equal(saved(l, bytes, sizeof(bytes), &most), 0);
	assert_int_equal(saved(a, bytes, sizeof(bytes), &most), 0);
	assert_int_equal(saved(b, bytes, 39, &most), -EINVAL);
	assert_true(most > 39);
	len = saved(b, bytes, sizeof(bytes), &most);
	is_syn_of(bytes, len, a);
	assert_int_equal(saved(b, bytes, sizeof(bytes), &most), 0); /* once */
	weir_close(weir, a);
	weir_close(weir, b);
	weir_close(weir, l);
}

/* With the link's header, which is Linux's on the loopback: no addresses, and IPv4. */
static void test_the_frame_is_kept(void **state)
{
	int two = 2, l = listener(TCP_SAVE_SYN, &two, sizeof(two)), a, b, len;
	static const uint8_t link[14] = { [12] = 8 };
	uint8_t bytes[200];
	socklen_t most;

	meet(l, &a, &b);
	len = saved(b, bytes, sizeof(bytes), &most);
	assert_memory_equal(bytes, link, sizeof(link));
	is_syn_of(bytes + sizeof(link), len - (int)sizeof(link), a);
	weir_close(weir, a);
	weir_close(weir, b);
	weir_close(weir, l);
}

/* What nobody reads goes with the connection, and its place is used again. */
static void test_unread_ones_go(void **state)
{
	int one = 1, l = listener(TCP_SAVE_SYN, &one, sizeof(one)), a, b;
	uint8_t bytes[200];
	socklen_t most;

	for (unsigned int i = 0; i < 600; i++) {
		struct linger hard = { .l_onoff = 1, .l_linger = 0 };

		meet(l, &a, &b);
		if (i % 3 == 0)
			is_syn_of(bytes, saved(b, bytes, sizeof(bytes), &most), a);
		weir_setsockopt(weir, b, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		weir_close(weir, b);
		weir_close(weir, a);
		weir_engine_advance(weir, MS_NS);
	}
	weir_close(weir, l);
}

/* A listener with these keys, and a client that has the cookie the last one gave it, if any: do
 * its SYN's data open the connection? */
static bool opens(const char *keys)
{
	int queue = 5, l = listener(TCP_FASTOPEN, &queue, sizeof(queue)), a, b;
	int64_t before = weir_tcp_counter(weir, "TCPFastOpenPassive");
	bool opened;

	set(l, TCP_FASTOPEN_KEY, keys, (socklen_t)strlen(keys));
	a = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
	weir_sendto(weir, a, "hello", 5, MSG_FASTOPEN, (const struct sockaddr *)&at, sizeof(at));
	weir_engine_advance(weir, 10 * MS_NS);
	b = weir_accept(weir, l, NULL, NULL);
	assert_true(b >= 0);
	opened = weir_tcp_counter(weir, "TCPFastOpenPassive") > before;
	weir_close(weir, l);
	weir_close(weir, a);
	weir_close(weir, b);
	weir_engine_advance(weir, 10 * MS_NS);
	return opened;
}

#define K1 "the first key..."
#define K2 "the second key.."

static void test_the_key_is_the_listeners(void **state)
{
	assert_false(opens(K1)); /* it asks for a cookie */
	assert_true(opens(K1));
	assert_true(opens(K2 K1));
	assert_int_equal(weir_tcp_counter(weir, "TCPFastOpenPassiveAltKey"), 1);
	assert_false(opens(K2)); /* not by this one, by which it gets another */
	assert_int_equal(weir_tcp_counter(weir, "TCPFastOpenPassiveFail"), 1);
	assert_true(opens(K2));
	assert_true(opens(K2 K1));
	assert_int_equal(weir_tcp_counter(weir, "TCPFastOpenPassiveAltKey"), 1);
}

static void test_keys_are_given_back(void **state)
{
	int fd = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
	socklen_t len = 40;
	char got[40];

	assert_int_equal(weir_getsockopt(weir, fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, got, &len), 0);
	assert_int_equal(len, 0);
	for (socklen_t n = 0; n < 40; n++) {
		int ret = weir_setsockopt(weir, fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, K1 K2 "-------",
					  n);

		assert_int_equal(ret, n == 16 || n == 32 ? 0 : -1);
	}
	len = sizeof(got);
	assert_int_equal(weir_getsockopt(weir, fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, got, &len), 0);
	assert_int_equal(len, 32);
	assert_memory_equal(got, K1 K2, 32);
	weir_close(weir, fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_syn_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_frame_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unread_ones_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_key_is_the_listeners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_are_given_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
