/* SPDX-License-Identifier: BSD-3-Clause */
/* What the BPF program of `weir dropwatch --kernel` counts and shows, as it is read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bin/weir/dropwatch/kernel_netns.h"
#include "bin/weir/dropwatch/kernel_packets.h"
#include "bin/weir/dropwatch/kernel_tally.h"

static struct kdrop_key key(uint64_t location, uint32_t reason)
{
	return (struct kdrop_key){
		.location = location, .reason = reason, .netns = 4026531840, .stack = KDROP_NO_STACK
	};
}

static void see(struct kernel_tally *t, uint64_t location, uint32_t reason, uint64_t count)
{
	struct kdrop_key k = key(location, reason);

	kernel_tally_see(t, &k, count);
}

static uint64_t growth_of(const struct kernel_tally *t, uint64_t location, uint32_t reason)
{
	size_t count;
	const struct kernel_growth *g = kernel_tally_growth(t, &count);

	for (size_t i = 0; i < count; i++) {
		if (g[i].key.location == location && g[i].key.reason == reason)
			return g[i].count;
	}
	return 0;
}

static void only_growth_is_told(void **state)
{
	struct kernel_tally *t = kernel_tally_new();
	size_t count;

	kernel_tally_begin(t);
	see(t, 1, 2, 10);
	see(t, 1, 3, 5);
	see(t, 0, 0, 0); /* a counter that has counted nothing */
	kernel_tally_growth(t, &count);
	assert_int_equal(count, 2);
	assert_int_equal(growth_of(t, 1, 2), 10);
	assert_int_equal(growth_of(t, 1, 3), 5);
	kernel_tally_begin(t);
	see(t, 1, 2, 10);
	see(t, 1, 3, 7);
	kernel_tally_growth(t, &count);
	assert_int_equal(count, 1);
	assert_int_equal(growth_of(t, 1, 3), 2);
	assert_int_equal(kernel_tally_total(t), 17);
	kernel_tally_free(t);
}

static void as_many_keys_as_the_kernel_has(void **state)
{
	struct kernel_tally *t = kernel_tally_new();
	size_t count;

	for (unsigned int round = 1; round <= 2; round++) {
		kernel_tally_begin(t);
		for (uint64_t i = 0; i < KDROP_KEYS; i++)
			see(t, 0xffffffff81000000 + i * 16, i % 128, round * (i + 1));
		kernel_tally_growth(t, &count);
		assert_int_equal(count, KDROP_KEYS);
		assert_int_equal(growth_of(t, 0xffffffff81000000 + 16, 1), 2);
	}
	assert_int_equal(kernel_tally_total(t), (uint64_t)KDROP_KEYS * (KDROP_KEYS + 1));
	kernel_tally_free(t);
}

static void what_was_not_shown_is_told_at_the_end(void **state)
{
	struct kernel_tally *t = kernel_tally_new();
	struct kdrop_key shown = key(1, 2), elsewhere = key(9, 9);
	size_t count;

	kernel_tally_begin(t);
	for (unsigned int i = 0; i < 4; i++)
		kernel_tally_shown(t, &shown);
	kernel_tally_shown(t, &elsewhere); /* it was counted in the overflow */
	see(t, 1, 2, 10);
	see(t, 1, 3, 5);
	struct kdrop_key overflow = { .stack = KDROP_NO_STACK };
	kernel_tally_see(t, &overflow, 3);
	kernel_tally_unshown(t);
	kernel_tally_growth(t, &count);
	assert_int_equal(count, 3);
	assert_int_equal(growth_of(t, 1, 2), 6);
	assert_int_equal(growth_of(t, 1, 3), 5);
	assert_int_equal(growth_of(t, 0, 0), 2);
	assert_int_equal(kernel_tally_total(t), 18);
	kernel_tally_free(t);
}

/* ---- packets ---- */

#define HEAD (offsetof(struct kdrop_packet, bytes))
#define FRAMES (offsetof(struct kdrop_packet, time_ns))

static void records_are_copied(void **state)
{
	struct kernel_packets *p = kernel_packets_new(false);
	struct kdrop_packet *from = calloc(1, sizeof(*from));
	struct drop_packet shown;

	for (uint32_t i = 0; i < 500; i++) {
		from->location = i;
		from->time_ns = 1000 + i;
		from->caplen_bytes = from->len_bytes = i;
		memset(from->bytes, (int)i, i);
		assert_true(kernel_packets_add(p, &from->time_ns, HEAD - FRAMES + i));
	}
	assert_int_equal(kernel_packets_count(p), 500);
	for (uint32_t i = 0; i < 500; i++) {
		const struct kdrop_packet *at = kernel_packets_at(p, i);

		assert_int_equal(at->location, i);
		assert_int_equal(at->frames_bytes, 0);
		kernel_packet_show(at, 5000, &shown);
		assert_int_equal(shown.time_ns, 6000 + i);
		assert_int_equal(shown.caplen_bytes, i);
		assert_int_equal(shown.link_type, 1);
		assert_null(shown.ifname);
		assert_true(i == 0 ||
			    (shown.bytes[0] == (uint8_t)i && shown.bytes[i - 1] == (uint8_t)i));
	}
	kernel_packets_clear(p);
	assert_int_equal(kernel_packets_count(p), 0);
	free(from);
	kernel_packets_free(p);
}

/* Lengths that do not fit are cut, for what is read by them must be there. */
static void records_are_bounded(void **state)
{
	struct kernel_packets *p = kernel_packets_new(true);
	struct kdrop_packet *from = calloc(1, sizeof(*from));

	assert_false(kernel_packets_add(p, from, 0));
	assert_false(kernel_packets_add(p, from, HEAD - 1));
	assert_false(kernel_packets_add(p, from, sizeof(*from) + 1));
	from->caplen_bytes = UINT32_MAX;
	from->frames_bytes = UINT32_MAX;
	memset(from->ifname, 'x', sizeof(from->ifname));
	assert_true(kernel_packets_add(p, from, HEAD + 7));
	assert_int_equal(kernel_packets_at(p, 0)->caplen_bytes, 7);
	assert_int_equal(kernel_packets_at(p, 0)->frames_bytes, sizeof(from->frames));
	assert_int_equal(strlen(kernel_packets_at(p, 0)->ifname), 15);
	assert_true(kernel_packets_add(p, from, sizeof(*from)));
	assert_int_equal(kernel_packets_at(p, 1)->caplen_bytes, KDROP_SNAP);
	free(from);
	kernel_packets_free(p);
}

static void sockets_are_told_in_words(void **state)
{
	char text[KERNEL_SOCKET_BYTES];
	struct kdrop_socket s = { .family = 2,
				  .protocol = 6,
				  .state = 1,
				  .local_port = 80,
				  .remote_port = 4711,
				  .local = { 198, 18, 0, 2 },
				  .remote = { 198, 18, 0, 1 } };

	assert_string_equal(kernel_socket_text(&s, text),
			    "tcp 198.18.0.2:80 198.18.0.1:4711 ESTABLISHED");
	s.state = 200;
	assert_string_equal(kernel_socket_text(&s, text), "tcp 198.18.0.2:80 198.18.0.1:4711");
	s = (struct kdrop_socket){ .family = 10,
				   .protocol = 17,
				   .local_port = 53,
				   .local = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	assert_string_equal(kernel_socket_text(&s, text), "udp [2001:db8::1]:53");
	s = (struct kdrop_socket){ .family = 2, .protocol = 132, .local_port = 9 };
	assert_string_equal(kernel_socket_text(&s, text), "protocol-132 0.0.0.0:9");
	s = (struct kdrop_socket){ .family = 17 };
	assert_string_equal(kernel_socket_text(&s, text), "packet socket");
	s = (struct kdrop_socket){ .family = 0 };
	assert_null(kernel_socket_text(&s, text));
	s = (struct kdrop_socket){ .family = 1 };
	assert_null(kernel_socket_text(&s, text));
}

/* ---- namespaces ---- */

static void our_namespace_has_names(void **state)
{
	struct kernel_netns *n = kernel_netns_new();
	uint32_t own = 0, same = 0;
	char error[256] = "";

	assert_int_equal(kernel_netns_find(".", &own, error, sizeof(error)), 0);
	assert_true(own > 0);
	assert_int_equal(kernel_netns_find(NULL, &same, error, sizeof(error)), 0);
	assert_int_equal(same, own);
	assert_int_equal(kernel_netns_find("/proc/self/ns/net", &same, error, sizeof(error)), 0);
	assert_int_equal(same, own);
	assert_true(strlen(kernel_netns_name(n, own)) > 0);
	assert_ptr_equal(kernel_netns_name(n, own), kernel_netns_name(n, own));
	assert_string_equal(kernel_netns_name(n, 1), "net:[1]"); /* nobody is in it */
	assert_string_equal(kernel_netns_name(n, 0), "not known");
	kernel_netns_free(n);
}

static void what_is_no_namespace_is_refused(void **state)
{
	uint32_t inum = 0;
	char error[256] = "";

	assert_int_equal(kernel_netns_find("/etc/hostname", &inum, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "no network namespace"));
	assert_int_equal(kernel_netns_find("/proc/self/ns/mnt", &inum, error, sizeof(error)),
			 -EINVAL);
	assert_int_equal(kernel_netns_find("no-such-name", &inum, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "no-such-name"));
	assert_true(kernel_netns_find("4194999999", &inum, error, sizeof(error)) < 0);
	assert_true(kernel_netns_find("", &inum, error, sizeof(error)) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_growth_is_told),
		cmocka_unit_test(as_many_keys_as_the_kernel_has),
		cmocka_unit_test(what_was_not_shown_is_told_at_the_end),
		cmocka_unit_test(records_are_copied),
		cmocka_unit_test(records_are_bounded),
		cmocka_unit_test(sockets_are_told_in_words),
		cmocka_unit_test(our_namespace_has_names),
		cmocka_unit_test(what_is_no_namespace_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
