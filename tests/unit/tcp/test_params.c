/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP's parameters by name: what is taken, what is refused, and that a refusal changes nothing; its
 * counters by name. */
#include <errno.h>
#include <string.h>

#include "common/testing.h"
#include "inet/tcp/mib.h"
#include "inet/tcp/params.h"

static void assert_value(const struct tcp_params *p, const char *name, const char *value)
{
	char text[TCP_PARAM_TEXT_BYTES];

	assert_int_equal(tcp_params_get(p, name, text, sizeof(text)), 0);
	assert_string_equal(text, value);
}

static void test_initial(void **state)
{
	struct tcp_params p;
	const char *name, *text;
	unsigned int n = 0;

	tcp_params_init(&p);
	assert_value(&p, "tcp_syn_retries", "6");
	assert_value(&p, "net.ipv4.tcp_rmem", "4096 131072 6291456");
	assert_value(&p, "tcp_congestion_control", "cubic");
	assert_value(&p, "tcp_available_congestion_control", "cubic reno dctcp bbr");
	assert_value(&p, "net.core.somaxconn", "4096");
	for (; (name = tcp_params_name(n, &text)); n++) {
		char value[TCP_PARAM_TEXT_BYTES];

		assert_true(strlen(text) > 0);
		assert_int_equal(tcp_params_get(&p, name, value, sizeof(value)), 0);
		/* Each value is one that may be set. */
		assert_int_equal(tcp_params_set(&p, name, value),
				 strstr(name, "available") ? -EACCES : 0);
	}
	assert_true(n > 30);
}

static void test_set(void **state)
{
	struct tcp_params p;

	tcp_params_init(&p);
	assert_int_equal(tcp_params_set(&p, "tcp_syn_retries", "3"), 0);
	assert_int_equal(p.tcp_syn_retries, 3);
	assert_int_equal(tcp_params_set(&p, "net.ipv4.tcp_wmem", " 5000\t6000 7000 "), 0);
	assert_value(&p, "tcp_wmem", "5000 6000 7000");
	assert_int_equal(tcp_params_set(&p, "ip_local_port_range", "2000 2999"), 0);
	assert_value(&p, "ip_local_port_range", "2000 2999");
	assert_int_equal(tcp_params_set(&p, "tcp_congestion_control", "reno"), 0);
	assert_value(&p, "tcp_congestion_control", "reno");
}

static void test_refused(void **state)
{
	static const struct {
		const char *name, *value;
		int error;
	} cases[] = {
		{ "tcp_no_such", "1", -ENOENT },
		{ "net.ipv6.tcp_ecn", "1", -ENOENT },
		{ "tcp_congestion_control", "no-such", -ENOENT },
		{ "tcp_congestion_control", "", -ENOENT },
		{ "tcp_syn_retries", "", -EINVAL },
		{ "tcp_syn_retries", "3x", -EINVAL },
		{ "tcp_syn_retries", "3 4", -EINVAL },
		{ "tcp_syn_retries", "0", -ERANGE },
		{ "tcp_syn_retries", "128", -ERANGE },
		{ "tcp_syn_retries", "99999999999999999999", -ERANGE },
		{ "tcp_rmem", "4096 131072", -EINVAL },
		{ "tcp_rmem", "4096 131072 100", -ERANGE },
		{ "tcp_rmem", "1 2 3 4", -EINVAL },
		{ "ip_local_port_range", "2000", -EINVAL },
		{ "ip_local_port_range", "2000 1999", -ERANGE },
		{ "ip_local_port_range", "0 1999", -ERANGE },
	};
	struct tcp_params p, before;
	char tiny[4];

	tcp_params_init(&p);
	before = p;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(tcp_params_set(&p, cases[i].name, cases[i].value), cases[i].error);
		assert_memory_equal(&p, &before, sizeof(p));
	}
	assert_int_equal(tcp_params_get(&p, "tcp_no_such", tiny, sizeof(tiny)), -ENOENT);
	assert_int_equal(tcp_params_get(&p, "tcp_rmem", tiny, sizeof(tiny)), -ENOSPC);
}

static void test_counter_names(void **state)
{
	assert_int_equal(tcp_mib_find("OutRsts"), TCP_MIB_OutRsts);
	assert_int_equal(tcp_mib_find("TcpOutRsts"), TCP_MIB_OutRsts);
	assert_int_equal(tcp_mib_find("TcpExtListenDrops"), TCP_MIB_ListenDrops);
	assert_int_equal(tcp_mib_find("TcpListenDrops"), -1);
	assert_int_equal(tcp_mib_find("Tcp"), -1);
	for (int i = 0; i < TCP_MIB_MAX; i++)
		assert_int_equal(tcp_mib_find(tcp_mib_info((unsigned int)i)->name), i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_initial),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_counter_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
