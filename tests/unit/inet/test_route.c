/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses, routes, and the way that a flow takes. */
#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "inet/neigh.h"
#include "inet/route.h"

static struct ipaddr ip(uint32_t host_order)
{
	return ipaddr_from_ip4(host_to_be32(host_order));
}

static const struct route *look(const struct route_table *t, uint32_t dst)
{
	struct ipaddr a = ip(dst);

	return route_lookup(t, &a);
}

static int add(struct route_table *t, uint32_t prefix, unsigned int len, unsigned int ifindex)
{
	struct ipaddr a = ip(prefix), none = ipaddr_any();

	return route_add(t, &a, len, &none, ifindex, false);
}

static void test_longest_prefix(void **state)
{
	struct route_table t = { .slots = NULL };
	struct ipaddr a;

	assert_int_equal(route_init(&t), 0);
	assert_null(look(&t, PEER));
	assert_int_equal(add(&t, 0, 0, 1), 0);
	assert_int_equal(add(&t, FRAME_IP(198, 18, 0, 0), 15, 2), 0);
	assert_int_equal(add(&t, FRAME_IP(198, 18, 0, 0), 24, 3), 0);
	assert_int_equal(add(&t, FRAME_IP(198, 18, 0, 128), 25, 4), 0);
	assert_int_equal(add(&t, FRAME_IP(198, 18, 0, 200), 32, 5), 0);
	assert_int_equal(add(&t, FRAME_IP(198, 18, 0, 77), 24, 9), -EEXIST);
	assert_int_equal(add(&t, FRAME_IP(198, 18, 0, 0), 33, 9), -EINVAL);
	assert_int_equal(look(&t, FRAME_IP(203, 0, 113, 1))->ifindex, 1);
	assert_int_equal(look(&t, FRAME_IP(198, 19, 255, 255))->ifindex, 2);
	assert_int_equal(look(&t, FRAME_IP(198, 18, 0, 127))->ifindex, 3);
	assert_int_equal(look(&t, FRAME_IP(198, 18, 0, 128))->ifindex, 4);
	assert_int_equal(look(&t, FRAME_IP(198, 18, 0, 200))->ifindex, 5);
	assert_int_equal(look(&t, FRAME_IP(198, 18, 0, 201))->ifindex, 4);
	a = ip(FRAME_IP(198, 18, 0, 128));
	assert_int_equal(route_del(&t, &a, 25, true), -ESRCH);
	assert_int_equal(route_del(&t, &a, 25, false), 0);
	assert_int_equal(route_del(&t, &a, 25, false), -ESRCH);
	assert_int_equal(look(&t, FRAME_IP(198, 18, 0, 201))->ifindex, 3);
	/* The other family lives in the same table, and its default is another one. */
	a = (struct ipaddr){ .b = { 0x20, 0x01, 0x0d, 0xb8 } };
	assert_null(route_lookup(&t, &a));
	assert_int_equal(route_add(&t, &a, 32, &(struct ipaddr){ .b = { 0 } }, 6, false), 0);
	a.b[15] = 9;
	assert_int_equal(route_lookup(&t, &a)->ifindex, 6);
	route_free(&t);
}

/* Many routes, against a plain search; half of them taken out again. */
static void test_many(void **state)
{
	struct route_table t = { .slots = NULL };
	struct worker *w = test_worker();
	struct {
		uint32_t prefix, mask;
		unsigned int len;
		bool there;
	} all[3000];

	assert_int_equal(route_init(&t), 0);
	for (unsigned int i = 0; i < 3000; i++) {
		all[i].len = 8 + worker_random(w) % 25;
		all[i].mask = 0xffffffffu << (32 - all[i].len);
		all[i].prefix = (FRAME_IP(198, 18, 0, 0) | (worker_random(w) & 0x1ffff)) &
				all[i].mask;
		all[i].there = add(&t, all[i].prefix, all[i].len, 1 + i % 200) == 0;
	}
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int k = 0; k < 5000; k++) {
			uint32_t dst = FRAME_IP(198, 18, 0, 0) | (worker_random(w) & 0x1ffff);
			const struct route *r = look(&t, dst);
			int best = -1;

			for (unsigned int i = 0; i < 3000; i++) {
				if (all[i].there && (dst & all[i].mask) == all[i].prefix &&
				    (best < 0 || all[i].len > all[best].len))
					best = (int)i;
			}
			assert_int_equal(r != NULL, best >= 0);
			if (r)
				assert_int_equal(r->ifindex, 1 + best % 200);
		}
		for (unsigned int i = 0; i < 3000; i += 2) {
			struct ipaddr a = ip(all[i].prefix);

			if (round == 0 && all[i].there)
				assert_int_equal(route_del(&t, &a, all[i].len, false), 0);
			if (round == 0)
				all[i].there = false;
		}
	}
	route_free(&t);
	test_worker_done(w);
}

static void test_addresses(void **state)
{
	struct host *h = host_open(NULL);
	unsigned int ifindex = (unsigned int)h->ifindex;
	struct ipaddr a = ip(US), b = ip(FRAME_IP(198, 18, 0, 77)),
		      v6 = { .b = { 0x20, 1, 0xd, 0xb8 } };
	static const struct {
		uint32_t ip;
		unsigned int len;
	} bad[] = {
		{ LOCALHOST, 8 },
		{ 0, 24 },
		{ FRAME_IP(224, 0, 0, 5), 24 },
		{ 0xffffffff, 32 },
		{ FRAME_IP(198, 18, 1, 0), 24 },
		{ FRAME_IP(198, 18, 1, 255), 24 },
		{ FRAME_IP(198, 18, 1, 1), 0 },
		{ FRAME_IP(198, 18, 1, 1), 33 },
	};

	assert_int_equal(inet_addr_add(h->w, ifindex, &a, 24), -EEXIST);
	assert_int_equal(inet_addr_add(h->w, 9, &b, 24), -ENODEV);
	assert_int_equal(inet_addr_add(h->w, 99, &b, 24), -ENODEV);
	assert_int_equal(inet_addr_add(h->w, ifindex, &v6, 24), -EAFNOSUPPORT);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ipaddr x = ip(bad[i].ip);

		assert_int_equal(inet_addr_add(h->w, ifindex, &x, bad[i].len), -EINVAL);
	}
	a = ip(FRAME_IP(127, 200, 1, 1));
	assert_true(inet_addr_is_local(h->w, &a));
	a = ip(SUBNET_BROADCAST);
	assert_true(inet_addr_is_broadcast(h->w, &a));
	a = ip(0xffffffff);
	assert_true(inet_addr_is_broadcast(h->w, &a));
	assert_false(inet_addr_is_local(h->w, &b));
	assert_int_equal(inet_addr_add(h->w, ifindex, &b, 24), 0);
	assert_true(inet_addr_is_local(h->w, &b));
	/* The connected route stays while an address of the subnet does. */
	a = ip(US);
	assert_int_equal(inet_addr_del(h->w, ifindex, &a, 23), -EADDRNOTAVAIL);
	assert_int_equal(inet_addr_del(h->w, ifindex, &a, 24), 0);
	assert_false(inet_addr_is_local(h->w, &a));
	{
		struct ip_flow flow = { .dst = ip(PEER) };

		assert_int_equal(ip_flow_route(h->w, &flow), 0);
		assert_true(ipaddr_equal(&flow.src, &b));
		assert_int_equal(inet_addr_del(h->w, ifindex, &b, 24), 0);
		flow.src = ipaddr_any();
		assert_int_equal(ip_flow_route(h->w, &flow), -ENETUNREACH);
	}
	host_wait(h, 10 * SEC);
	frame_take_all(h->wire);
	host_close(h);
}

static void test_interfaces(void **state)
{
	struct host *h = host_open(NULL);
	struct inet_upcalls up = { .udp_error = NULL };
	struct worker *w = test_worker();

	assert_ptr_equal(inet_netif_port(h->w, IFINDEX_LOOP), h->lo);
	assert_ptr_equal(inet_netif_port(h->w, (unsigned int)h->ifindex), h->wire);
	assert_null(inet_netif_port(h->w, 0));
	assert_null(inet_netif_port(h->w, 33));
	/* The loop port is the first and only the first. */
	assert_int_equal(inet_netif_add(h->w, h->lo), -EINVAL);
	assert_int_equal(inet_init(w, &up), 0);
	assert_int_equal(inet_netif_add(w, h->wire), -EINVAL);
	inet_free(w);
	test_worker_done(w);
	for (unsigned int i = 0; i < INET_MAX_IF - 2; i++)
		assert_true(inet_netif_add(h->w, h->wire) > 0);
	assert_int_equal(inet_netif_add(h->w, h->wire), -ENOSPC);
	host_close(h);
}

static void test_routes(void **state)
{
	struct host *h = host_open(NULL);
	unsigned int ifindex = (unsigned int)h->ifindex;
	struct ipaddr any = ipaddr_any(), gw = ip(PEER), far = ip(FAR),
		      net = ip(FRAME_IP(198, 19, 0, 0));
	struct ip_flow flow = { .dst = far };

	assert_int_equal(inet_route_add(h->w, &any, 0, &far, ifindex), -ENETUNREACH);
	assert_int_equal(inet_route_add(h->w, &any, 0, &gw, 7), -ENODEV);
	assert_int_equal(ip_flow_route(h->w, &flow), -ENETUNREACH);
	assert_int_equal(inet_route_add(h->w, &any, 0, &gw, IFINDEX_NONE), 0); /* by the gateway */
	assert_int_equal(inet_route_add(h->w, &any, 0, &gw, ifindex), -EEXIST);
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	assert_ptr_equal(flow.port, h->wire);
	assert_true(ipaddr_equal(&flow.neigh->addr, &gw));
	/* A better one: flows notice by the generation. */
	assert_int_equal(inet_route_add(h->w, &net, 16, NULL, ifindex), 0);
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	assert_true(ipaddr_equal(&flow.neigh->addr, &far));
	assert_int_equal(inet_route_del(h->w, &net, 16), 0);
	assert_int_equal(inet_route_del(h->w, &net, 16), -ESRCH);
	assert_int_equal(inet_route_del(h->w, &any, 0), 0);
	assert_int_equal(ip_flow_route(h->w, &flow), -ENETUNREACH);
	net = ip(FRAME_IP(198, 18, 0, 0));
	assert_int_equal(inet_route_del(h->w, &net, 24), -ESRCH); /* goes with its address only */
	host_close(h);
}

static void test_flow(void **state)
{
	struct host *h = host_open(NULL);
	struct ip_flow flow = { .dst = ip(PEER) };
	struct pkt *p;

	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	assert_int_equal(be32_to_host(ipaddr_ip4(&flow.src)), US);
	assert_int_equal(flow.mtu_bytes, 1500);
	assert_int_equal(flow.hops, 64);
	flow = (struct ip_flow){ .dst = ip(PEER), .src = ip(THIRD) };
	assert_int_equal(ip_flow_route(h->w, &flow), -ENETUNREACH);
	flow.any_src = true; /* IP_TRANSPARENT */
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	flow = (struct ip_flow){ .dst = ip(PEER), .src = ip(LOCALHOST) };
	assert_int_equal(ip_flow_route(h->w, &flow), -EINVAL);
	flow = (struct ip_flow){ .dst = { .b = { 0x20, 1, 0xd, 0xb8 } } };
	assert_int_equal(ip_flow_route(h->w, &flow), -ENETUNREACH);
	flow = (struct ip_flow){ .dst = ip(US) };
	assert_int_equal(ip_flow_route(h->w, &flow), 0);
	assert_ptr_equal(flow.port, h->lo);
	assert_true(ipaddr_equal(&flow.src, &flow.dst));
	assert_true(flow.mtu_bytes > 60000);
	neigh_confirm(h->w, &flow); /* harmless where there is none */
	/* No way out: the packet says why. */
	flow = (struct ip_flow){ .dst = ip(FAR) };
	p = pkt_alloc(h->w);
	assert_int_equal(pkt_append(h->w, p, "12345678", 8), 0);
	assert_int_equal(ip_output(h->w, p, &flow), -ENETUNREACH);
	assert_int_equal(test_drops(h->w, IP_OUTNOROUTES), 1);
	host_close(h);
}

/* Ids of packets that may be fragmented do not repeat; others have none. */
static void test_ids(void **state)
{
	struct host *h = host_open(NULL);
	struct udp_pcb *pcb = host_udp(h, 0, 5000);
	struct ip_flow flow = { .dst = ip(PEER), .df = true, .proto = 99 };
	uint16_t last = 0;
	struct pkt *p;

	host_meet(h, PEER, peer_mac);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(host_send(h, pcb, PEER, 9, "x", 1), 0);
		assert_true(host_take(h, ETH_TYPE_IP4));
		if (i)
			assert_int_equal(h->info.id, (uint16_t)(last + 1));
		last = h->info.id;
	}
	p = pkt_alloc(h->w);
	assert_int_equal(pkt_append(h->w, p, "12345678", 8), 0);
	assert_int_equal(ip_output(h->w, p, &flow), 0);
	host_run(h);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.frag, IP4_DF);
	assert_int_equal(h->info.id, 0);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longest_prefix),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_flow),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
