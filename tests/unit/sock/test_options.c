/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket options of a stream, as Linux answers: which values are taken, what is given back, before
 * and after the connection, and what an accepted socket inherits. tests/system/test_sockopt.py
 * asks the kernel the same questions.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

#include "alone.h"

static struct weir *weir;

static int setup(void **state)
{
	weir = alone_open();
	return 0;
}

static int teardown(void **state)
{
	alone_close(weir);
	return 0;
}

static int set(int fd, int level, int name, int value)
{
	return weir_setsockopt(weir, fd, level, name, &value, sizeof(value)) == 0 ? 0 : errno;
}

static int get(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	if (weir_getsockopt(weir, fd, level, name, &value, &len) != 0)
		return -errno;
	return value;
}

struct expect {
	int level, name, value;
	int error; /* of setsockopt() */
	int back;  /* what getsockopt() gives then, or -errno */
};

#define GET_ONLY -2

static void check(int fd, const struct expect *e, size_t n)
{
	for (size_t i = 0; i < n; i++, e++) {
		if (e->error != GET_ONLY) {
			int error = set(fd, e->level, e->name, e->value);

			if (error != e->error)
				fail_msg("%d/%d = %d: %s instead of %s", e->level, e->name,
					 e->value, strerror(error), strerror(e->error));
		}
		if (get(fd, e->level, e->name) != e->back)
			fail_msg("%d/%d after %d: %d instead of %d", e->level, e->name, e->value,
				 get(fd, e->level, e->name), e->back);
	}
}

#define T IPPROTO_TCP
#define S SOL_SOCKET
#define CHECK(fd, table) check(fd, table, sizeof(table) / sizeof(table[0]))

static void test_a_fresh_socket(void **state)
{
	static const struct expect table[] = {
		{ T, TCP_NODELAY, -1, 0, 1 },
		{ T, TCP_MAXSEG, 0, GET_ONLY, 536 },
		{ T, TCP_MAXSEG, 87, EINVAL, 536 },
		{ T, TCP_MAXSEG, 88, 0, 88 },
		{ T, TCP_MAXSEG, 32768, EINVAL, 88 },
		{ T, TCP_MAXSEG, 0, 0, 536 },
		{ T, TCP_KEEPIDLE, 0, GET_ONLY, 7200 },
		{ T, TCP_KEEPIDLE, 0, EINVAL, 7200 },
		{ T, TCP_KEEPIDLE, 32767, 0, 32767 },
		{ T, TCP_KEEPIDLE, 32768, EINVAL, 32767 },
		{ T, TCP_KEEPINTVL, 0, GET_ONLY, 75 },
		{ T, TCP_KEEPINTVL, 3, 0, 3 },
		{ T, TCP_KEEPCNT, 0, GET_ONLY, 9 },
		{ T, TCP_KEEPCNT, 128, EINVAL, 9 },
		{ T, TCP_SYNCNT, 0, GET_ONLY, 6 },
		{ T, TCP_SYNCNT, 0, EINVAL, 6 },
		{ T, TCP_SYNCNT, 127, 0, 127 },
		{ T, TCP_LINGER2, 0, GET_ONLY, 60 },
		{ T, TCP_LINGER2, -5, 0, -1 },
		{ T, TCP_LINGER2, 119, 0, 119 },
		{ T, TCP_LINGER2, 100000, 0, 120 },
		{ T, TCP_LINGER2, 0, 0, 60 },
		{ T, TCP_DEFER_ACCEPT, -1, 0, 0 },
		{ T, TCP_DEFER_ACCEPT, 1, 0, 1 },
		{ T, TCP_DEFER_ACCEPT, 2, 0, 3 },
		{ T, TCP_DEFER_ACCEPT, 10, 0, 15 },
		{ T, TCP_DEFER_ACCEPT, 300, 0, 367 },
		{ T, TCP_DEFER_ACCEPT, 100000, 0, 29887 },
		{ T, TCP_WINDOW_CLAMP, 0, 0, 0 },
		{ T, TCP_WINDOW_CLAMP, 1, 0, 1152 },
		{ T, TCP_WINDOW_CLAMP, 65536, 0, 65536 },
		{ T, TCP_QUICKACK, 0, GET_ONLY, 1 },
		{ T, TCP_QUICKACK, 0, 0, 0 },
		{ T, TCP_QUICKACK, 1, 0, 1 },
		{ T, TCP_QUICKACK, 2, 0, 1 }, /* nothing waits that could be acknowledged */
		{ T, TCP_FASTOPEN, 5, 0, 5 },
		{ T, TCP_FASTOPEN, 70000, 0, 4096 },
		{ T, TCP_USER_TIMEOUT, -1, EINVAL, 0 },
		{ T, TCP_USER_TIMEOUT, 1000, 0, 1000 },
		{ T, TCP_THIN_LINEAR_TIMEOUTS, 2, EINVAL, 0 },
		{ T, TCP_THIN_LINEAR_TIMEOUTS, 1, 0, 1 },
		{ T, TCP_THIN_DUPACK, 1, 0, 0 },
		{ T, TCP_NOTSENT_LOWAT, 0, GET_ONLY, 0 },
		{ T, TCP_NOTSENT_LOWAT, -1, 0, -1 },
		{ T, TCP_REPAIR, 1, EPERM, 0 },
		{ T, TCP_REPAIR_QUEUE, 1, EPERM, -EINVAL },
		{ T, TCP_QUEUE_SEQ, 1, EINVAL, -EINVAL },
		{ T, TCP_REPAIR_OPTIONS, 1, EINVAL, -ENOPROTOOPT },
		{ T, TCP_TX_DELAY, 1000, ENOPROTOOPT, -ENOPROTOOPT },
		{ T, TCP_MD5SIG, 1, ENOPROTOOPT, -ENOPROTOOPT },
		{ T, TCP_ULP, 1, ENOENT, 0 },
		{ S, SO_RCVLOWAT, 0, GET_ONLY, 1 },
		{ S, SO_RCVLOWAT, 0, 0, 1 },
		{ S, SO_RCVLOWAT, 1000, 0, 1000 },
		{ S, SO_RCVLOWAT, -1, 0, 6291456 / 2 },
		{ S, SO_MAX_PACING_RATE, 0, GET_ONLY, -1 },
		{ S, SO_MAX_PACING_RATE, 1000, 0, 1000 },
		{ S, SO_INCOMING_NAPI_ID, 1, ENOPROTOOPT, 0 },
		{ S, SO_COOKIE, 1, ENOPROTOOPT, -EINVAL },
		{ S, SO_ZEROCOPY, 2, EINVAL, 0 },
		{ S, SO_ZEROCOPY, 1, 0, 1 },
		{ S, SO_TXTIME, 1, ENOPROTOOPT, -ENOPROTOOPT },
		{ S, SO_PEEK_OFF, 1, ENOPROTOOPT, -ENOPROTOOPT },
		{ IPPROTO_IP, IP_TOS, -1, 0, 252 },
		{ IPPROTO_IP, IP_TOS, 3, 0, 0 },
		{ IPPROTO_IP, IP_TTL, 0, EINVAL, 64 },
		{ IPPROTO_IP, IP_TTL, 255, 0, 255 },
		{ IPPROTO_IP, IP_TTL, -1, 0, 64 },
		{ IPPROTO_IP, IP_MULTICAST_TTL, 5, EINVAL, 1 },
		{ IPPROTO_IP, IP_HDRINCL, 0, GET_ONLY, 0 },
		{ S, SO_LOCK_FILTER, 0, 0, 0 },
		{ S, SO_LOCK_FILTER, 7, 0, 1 },
		{ S, SO_LOCK_FILTER, 0, EPERM, 1 },
		{ S, SO_DETACH_FILTER, 0, EPERM, -ENOPROTOOPT },
	};
	int fd = weir_socket(weir, AF_INET, SOCK_STREAM, 0);

	CHECK(fd, table);
	assert_int_equal(weir_close(weir, fd), 0);
}

/* A listener on this port of the loopback, a connection to it, and its accepted side. */
static void connected(uint16_t port, int fd[3])
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	assert_int_equal(weir_bind(weir, fd[0], (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(weir_listen(weir, fd[0], 5), 0);
	fd[1] = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
	weir_connect(weir, fd[1], (struct sockaddr *)&at, sizeof(at));
	weir_engine_advance(weir, 10 * 1000 * 1000);
	fd[2] = weir_accept(weir, fd[0], NULL, NULL);
	assert_true(fd[2] >= 0);
}

static void test_a_connection(void **state)
{
	static const struct expect listener[] = {
		{ T, TCP_KEEPIDLE, 11, 0, 11 },	      { T, TCP_DEFER_ACCEPT, 3, 0, 3 },
		{ T, TCP_LINGER2, 7, 0, 7 },	      { T, TCP_USER_TIMEOUT, 5000, 0, 5000 },
		{ T, TCP_NOTSENT_LOWAT, 99, 0, 99 },  { T, TCP_SYNCNT, 2, 0, 2 },
		{ S, SO_MAX_PACING_RATE, 77, 0, 77 },
	};
	static const struct expect accepted[] = {
		{ T, TCP_KEEPIDLE, 0, GET_ONLY, 11 },
		{ T, TCP_DEFER_ACCEPT, 0, GET_ONLY, 0 },
		{ T, TCP_LINGER2, 0, GET_ONLY, 7 },
		{ T, TCP_USER_TIMEOUT, 0, GET_ONLY, 5000 },
		{ T, TCP_NOTSENT_LOWAT, 0, GET_ONLY, 99 },
		{ T, TCP_SYNCNT, 0, GET_ONLY, 2 },
		{ T, TCP_WINDOW_CLAMP, 0, EINVAL, 131072 },
		{ T, TCP_QUEUE_SEQ, 1, EPERM, -EINVAL },
		{ S, SO_MAX_PACING_RATE, 0, GET_ONLY, 77 },
	};
	uint64_t cookie[2] = { 0, 0 };
	int fd[3], mss, stamp;

	fd[0] = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
	CHECK(fd[0], listener);
	assert_int_equal(set(fd[0], T, TCP_DEFER_ACCEPT, 0), 0);
	connected(81, fd);
	CHECK(fd[2], accepted);
	mss = get(fd[1], T, TCP_MAXSEG);
	assert_true(mss > 1000);
	assert_int_equal(set(fd[1], T, TCP_MAXSEG, 500), 0); /* too late */
	assert_int_equal(get(fd[1], T, TCP_MAXSEG), mss);
	stamp = get(fd[1], T, TCP_TIMESTAMP);
	weir_engine_advance(weir, 25 * 1000 * 1000);
	assert_int_equal(get(fd[1], T, TCP_TIMESTAMP) - stamp, 25);
	for (unsigned int i = 0; i < 2; i++) {
		socklen_t len = sizeof(cookie[i]);

		assert_int_equal(weir_getsockopt(weir, fd[i + 1], S, SO_COOKIE, &cookie[i], &len),
				 0);
		assert_int_equal(len, 8);
	}
	assert_true(cookie[0] != cookie[1]);
	for (unsigned int i = 0; i < 3; i++)
		weir_close(weir, fd[i]);
}

static void test_wide_values(void **state)
{
	int fd = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
	uint64_t rate = 5000000000ull, back = 0;
	struct linger linger = { .l_onoff = 1, .l_linger = 9 }, got;
	socklen_t len = sizeof(back);
	char name[16];

	assert_int_equal(weir_setsockopt(weir, fd, S, SO_MAX_PACING_RATE, &rate, sizeof(rate)), 0);
	assert_int_equal(weir_getsockopt(weir, fd, S, SO_MAX_PACING_RATE, &back, &len), 0);
	assert_true(back == rate);
	assert_int_equal(get(fd, S, SO_MAX_PACING_RATE), -1); /* more than four bytes can say */
	assert_int_equal(weir_setsockopt(weir, fd, S, SO_LINGER, &linger, sizeof(linger)), 0);
	linger = (struct linger){ .l_onoff = 0, .l_linger = 3 }; /* off leaves the time alone */
	assert_int_equal(weir_setsockopt(weir, fd, S, SO_LINGER, &linger, sizeof(linger)), 0);
	len = sizeof(got);
	assert_int_equal(weir_getsockopt(weir, fd, S, SO_LINGER, &got, &len), 0);
	assert_int_equal(got.l_onoff, 0);
	assert_int_equal(got.l_linger, 9);
	len = sizeof(name);
	assert_int_equal(weir_getsockopt(weir, fd, T, TCP_ULP, name, &len), 0);
	assert_int_equal(len, 0);
	weir_close(weir, fd);
}

/* Of the IP level: one byte, or none, stands for an int. */
static void test_short_values(void **state)
{
	int fd = weir_socket(weir, AF_INET, SOCK_DGRAM, 0);
	uint8_t byte = 200, back[4] = { 0, 7, 7, 7 };
	socklen_t len = 2;

	assert_int_equal(weir_setsockopt(weir, fd, IPPROTO_IP, IP_TTL, &byte, 1), 0);
	assert_int_equal(weir_getsockopt(weir, fd, IPPROTO_IP, IP_TTL, back, &len), 0);
	assert_int_equal(len, 1);
	assert_int_equal(back[0], 200);
	assert_int_equal(back[1], 7);
	assert_int_equal(weir_setsockopt(weir, fd, IPPROTO_IP, IP_TOS, &byte, 0), 0);
	assert_int_equal(get(fd, IPPROTO_IP, IP_TOS), 0);
	assert_int_equal(set(fd, IPPROTO_IP, IP_MULTICAST_TTL, -1), 0);
	assert_int_equal(get(fd, IPPROTO_IP, IP_MULTICAST_TTL), 1);
	weir_close(weir, fd);
}

/* SO_MEMINFO: what lies in the buffers. */
static void test_memory(void **state)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);
	char bytes[3000] = "";
	int fd[3];

	fd[0] = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(set(fd[0], S, SO_LOCK_FILTER, 1), 0);
	connected(82, fd);
	assert_int_equal(get(fd[2], S, SO_LOCK_FILTER), 1);
	assert_int_equal(weir_send(weir, fd[1], bytes, sizeof(bytes), 0), sizeof(bytes));
	weir_engine_advance(weir, 10 * 1000 * 1000);
	assert_int_equal(weir_getsockopt(weir, fd[2], S, SO_MEMINFO, info, &len), 0);
	assert_int_equal(len, sizeof(info));
	assert_int_equal(info[SK_MEMINFO_RMEM_ALLOC], sizeof(bytes));
	assert_int_equal(info[SK_MEMINFO_WMEM_QUEUED], 0);
	assert_int_equal(info[SK_MEMINFO_RCVBUF], get(fd[2], S, SO_RCVBUF));
	assert_int_equal(info[SK_MEMINFO_SNDBUF], get(fd[2], S, SO_SNDBUF));
	for (unsigned int i = 0; i < 3; i++)
		weir_close(weir, fd[i]);
}

/* What was not set follows the parameter. */
static void test_parameters_are_the_defaults(void **state)
{
	int fd = weir_socket(weir, AF_INET, SOCK_STREAM, 0);

	assert_int_equal(weir_sysctl(weir, "tcp_keepalive_time", "100"), 0);
	assert_int_equal(weir_sysctl(weir, "tcp_syn_retries", "3"), 0);
	assert_int_equal(weir_sysctl(weir, "tcp_fin_timeout", "20"), 0);
	assert_int_equal(get(fd, T, TCP_KEEPIDLE), 100);
	assert_int_equal(get(fd, T, TCP_SYNCNT), 3);
	assert_int_equal(get(fd, T, TCP_LINGER2), 20);
	weir_close(weir, fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_fresh_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wide_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parameters_are_the_defaults, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
