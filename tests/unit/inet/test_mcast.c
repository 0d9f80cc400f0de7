/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups and source filters: who gets what, and what IGMP says of it, in virtual time. */
#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "inet/igmp.h"
#include "inet/mcast.h"
#include "inet/state.h"
#include "wire/csum.h"
#include "wire/igmp.h"

#define GROUP FRAME_IP(239, 1, 2, 3)
#define OTHER FRAME_IP(239, 1, 2, 4)
#define ALL_HOSTS FRAME_IP(224, 0, 0, 1)
#define ALL_ROUTERS FRAME_IP(224, 0, 0, 2)
#define V3_ROUTERS FRAME_IP(224, 0, 0, 22)

static struct mcast_request request(struct host *h, uint32_t group, uint32_t source)
{
	return (struct mcast_request){ .group_be = host_to_be32(group),
				       .ifindex = (uint32_t)h->ifindex,
				       .source_be = host_to_be32(source) };
}

static int join(struct host *h, struct udp_pcb *pcb, uint32_t group)
{
	struct mcast_request r = request(h, group, 0);
	int ret = mcast_join(h->w, &pcb->mcast, &r, true);

	host_run(h);
	return ret;
}

static int leave(struct host *h, struct udp_pcb *pcb, uint32_t group)
{
	struct mcast_request r = request(h, group, 0);
	int ret = mcast_leave(h->w, &pcb->mcast, &r);

	host_run(h);
	return ret;
}

static int source_add(struct host *h, struct udp_pcb *pcb, uint32_t source, bool exclude, bool add)
{
	struct mcast_request r = request(h, GROUP, source);
	int ret = mcast_source(h->w, &pcb->mcast, &r, exclude, add);

	host_run(h);
	return ret;
}

static struct frame_spec to_group(uint32_t group, uint32_t source)
{
	struct frame_spec s = from_peer();

	s.src_ip = source;
	s.dst_ip = group;
	memcpy(s.dst_mac, (uint8_t[]){ 1, 0, 0x5e, group >> 16 & 0x7f, group >> 8, group }, 6);
	return s;
}

static size_t datagram(uint8_t *frame, uint32_t group, uint32_t source)
{
	struct frame_spec s = to_group(group, source);

	return frame_udp(frame, &s, 1000, 7, "x", 1);
}

static unsigned int delivered(struct host *h, uint32_t group, uint32_t source)
{
	unsigned int before = h->deliveries;
	uint8_t frame[128];

	host_put(h, frame, datagram(frame, group, source));
	return h->deliveries - before;
}

/* A record of the report that was sent: type, group, sources in order; false: it is no such. */
static bool record_is(const struct host *h, unsigned int at, uint8_t type, uint32_t group,
		      unsigned int count, const uint32_t *sources)
{
	const uint8_t *p = h->info.l4 + 8 + at;

	if (p[0] != type || p[1] != 0 || be16_load(p + 2) != count || be32_load(p + 4) != group)
		return false;
	for (unsigned int i = 0; i < count; i++) {
		if (be32_load(p + 8 + 4 * i) != sources[i])
			return false;
	}
	return true;
}

/* The next frame is a version 3 report of so many records. */
static void take_report(struct host *h, unsigned int records)
{
	static const uint8_t mac[6] = { 1, 0, 0x5e, 0, 0, 22 };

	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.proto, IP_PROTO_IGMP);
	assert_int_equal(h->info.dst_ip, V3_ROUTERS);
	assert_int_equal(h->info.src_ip, US);
	assert_memory_equal(h->info.dst_mac, mac, 6);
	assert_int_equal(h->info.ttl, 1);
	assert_int_equal(h->info.tos, 0xc0);
	/* Router alert (RFC 2113). */
	assert_memory_equal(h->info.l4 - 4, "\x94\x04\0\0", 4);
	assert_int_equal(csum_of(h->info.l4, (uint32_t)h->info.l4_len), 0);
	assert_int_equal(h->info.l4[0], IGMP_V3_REPORT);
	assert_int_equal(be16_load(h->info.l4 + 6), records);
}

static void take_old(struct host *h, uint8_t type, uint32_t dst, uint32_t group)
{
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.proto, IP_PROTO_IGMP);
	assert_int_equal(h->info.dst_ip, dst);
	assert_int_equal(h->info.l4_len, 8);
	assert_int_equal(h->info.l4[0], type);
	assert_int_equal(csum_of(h->info.l4, 8), 0);
	assert_int_equal(be32_load(h->info.l4 + 4), group);
}

static void quiet(struct host *h)
{
	assert_int_equal(host_take(h, ETH_TYPE_IP4), 0);
}

static size_t igmp_frame(uint8_t *frame, uint32_t dst, uint8_t *message, size_t len)
{
	struct frame_spec s = to_group(dst, PEER);
	uint16_t csum;

	static const uint8_t alert[4] = { 0x94, 4, 0, 0 };

	s.ttl = 1;
	s.options = alert;
	s.options_len = 4;
	message[2] = message[3] = 0;
	csum = csum_of(message, (uint32_t)len);
	memcpy(message + 2, &csum, 2);
	return frame_ip4(frame, &s, IP_PROTO_IGMP, message, len);
}

static void query(struct host *h, uint32_t dst, uint32_t group, uint8_t code, bool v3,
		  unsigned int count, const uint32_t *sources)
{
	uint8_t message[64] = { IGMP_QUERY, code }, frame[256];

	be32_store(message + 4, group);
	if (v3) {
		message[8] = 2;
		message[9] = 125;
		message[11] = (uint8_t)count;
		for (unsigned int i = 0; i < count; i++)
			be32_store(message + 12 + 4 * i, sources[i]);
	}
	host_put(h, frame, igmp_frame(frame, dst, message, v3 ? 12 + 4 * count : 8));
}

static struct host *open_peered(void)
{
	struct host *h = host_open(NULL);

	host_meet(h, PEER, peer_mac);
	return h;
}

static void test_membership(void **state)
{
	struct host *h = open_peered();
	struct udp_pcb *a = host_udp(h, 0, 7);
	uint8_t frame[128];

	host_drops(h, MCAST_NOT_MEMBER, frame, datagram(frame, GROUP, PEER), 0);
	assert_int_equal(join(h, a, GROUP), 0);
	assert_int_equal(join(h, a, GROUP), -EADDRINUSE);
	assert_int_equal(join(h, a, PEER), -EINVAL);
	assert_int_equal(delivered(h, GROUP, PEER), 1);
	assert_int_equal(leave(h, a, OTHER), -EADDRNOTAVAIL);
	assert_int_equal(leave(h, a, GROUP), 0);
	frame_take_all(h->wire);
	host_drops(h, MCAST_NOT_MEMBER, frame, datagram(frame, GROUP, PEER), 0);
	/* By the interface's address, by the route, by an interface that is not there. */
	struct mcast_request r = { .group_be = host_to_be32(GROUP),
				   .address_be = host_to_be32(US) };
	assert_int_equal(mcast_join(h->w, &a->mcast, &r, true), 0);
	r.address_be = host_to_be32(PEER);
	assert_int_equal(mcast_join(h->w, &a->mcast, &r, true), -ENODEV);
	r.address_be = 0;
	assert_int_equal(mcast_join(h->w, &a->mcast, &r, true), -ENODEV); /* no route */
	r.ifindex = 9;
	assert_int_equal(mcast_join(h->w, &a->mcast, &r, true), -ENODEV);
	/* A socket's bound. */
	for (unsigned int i = 1; i < MCAST_MEMBERSHIPS_MAX; i++)
		assert_int_equal(join(h, a, FRAME_IP(239, 9, 9, i)), 0);
	assert_int_equal(join(h, a, OTHER), -ENOBUFS);
	/* They end with the socket. */
	host_wait(h, 5 * SEC);
	frame_take_all(h->wire);
	udp_close(h->w, a);
	host_run(h);
	for (unsigned int i = 0; i < MCAST_MEMBERSHIPS_MAX; i++)
		take_report(h, 1);
	host_wait(h, 5 * SEC);
	assert_int_equal(h->w->inet->mcast.group_count, 0);
	host_close(h);
}

/* One datagram for every socket that wants it; IP_MULTICAST_ALL. */
static void test_every_member(void **state)
{
	struct host *h = open_peered();
	struct udp_pcb *pcb[4];

	for (unsigned int i = 0; i < 4; i++) {
		struct endpoint local = endpoint4(0, 7);

		assert_int_equal(udp_open(h->w, &pcb[i], NULL), 0);
		pcb[i]->reuse_addr = true;
		assert_int_equal(udp_bind(h->w, pcb[i], &local), 0);
	}
	assert_int_equal(join(h, pcb[0], GROUP), 0);
	assert_int_equal(join(h, pcb[1], GROUP), 0);
	pcb[3]->mcast_all = false;
	assert_int_equal(delivered(h, GROUP, PEER), 3); /* pcb[2] hears what others joined */
	assert_int_equal(leave(h, pcb[0], GROUP), 0);
	pcb[0]->mcast_all = pcb[2]->mcast_all = false;
	assert_int_equal(delivered(h, GROUP, PEER), 1);
	assert_ptr_equal(h->last.pcb, pcb[1]);
	/* Bound to the group: that alone. */
	udp_unbind(h->w, pcb[1]);
	assert_int_equal(udp_bind(h->w, pcb[1],
				  &(struct endpoint){ ipaddr_from_ip4(host_to_be32(OTHER)),
						      host_to_be16(7) }),
			 0);
	uint8_t frame[128];
	frame_take_all(h->wire);
	host_drops(h, MCAST_SOURCE_FILTER, frame, datagram(frame, GROUP, PEER), 0);
	host_close(h);
}

static void test_source_filters(void **state)
{
	struct host *h = open_peered();
	struct udp_pcb *a = host_udp(h, 0, 7), *b = host_udp(h, 0, 8);
	struct mcast_request r = request(h, GROUP, PEER);
	uint8_t frame[128];

	assert_int_equal(source_add(h, a, PEER, true, true), -EINVAL); /* not in it */
	assert_int_equal(join(h, a, GROUP), 0);
	assert_int_equal(source_add(h, a, PEER, true, true), 0);
	assert_int_equal(source_add(h, a, PEER, true, true), -EADDRNOTAVAIL);
	assert_int_equal(source_add(h, a, THIRD, false, true), -EINVAL); /* the other mode */
	assert_int_equal(delivered(h, GROUP, THIRD), 1);
	frame_take_all(h->wire);
	host_drops(h, MCAST_SOURCE_FILTER, frame, datagram(frame, GROUP, PEER), 0);
	/* Another socket wants it: it comes in, and not to the first. */
	assert_int_equal(join(h, b, GROUP), 0);
	frame_take_all(h->wire);
	host_drops(h, MCAST_SOURCE_FILTER, frame, datagram(frame, GROUP, PEER), 0); /* port 7 */
	assert_int_equal(source_add(h, a, THIRD, true, false), -EADDRNOTAVAIL);
	assert_int_equal(source_add(h, a, PEER, true, false), 0);
	assert_int_equal(delivered(h, GROUP, PEER), 1);
	/* Including some. */
	assert_int_equal(leave(h, a, GROUP), 0);
	assert_int_equal(leave(h, b, GROUP), 0);
	assert_int_equal(mcast_join(h->w, &a->mcast, &r, false), 0);
	assert_int_equal(source_add(h, a, PEER, false, true), 0);
	assert_int_equal(delivered(h, GROUP, PEER), 1);
	frame_take_all(h->wire);
	host_drops(h, MCAST_SOURCE_FILTER, frame, datagram(frame, GROUP, THIRD), 0);
	for (unsigned int i = 1; i < MCAST_SOURCES_MAX; i++)
		assert_int_equal(source_add(h, a, FRAME_IP(9, 9, 9, i), false, true), 0);
	assert_int_equal(source_add(h, a, THIRD, false, true), -ENOBUFS);
	/* A filter at once. */
	uint32_t list[2] = { host_to_be32(THIRD), host_to_be32(FAR) };
	assert_int_equal(mcast_filter_set(h->w, &a->mcast, &r, false, list, 2), 0);
	assert_int_equal(delivered(h, GROUP, THIRD), 1);
	assert_int_equal(mcast_filter_set(h->w, &a->mcast, &r, true, list, 1), 0);
	assert_int_equal(delivered(h, GROUP, PEER), 1);
	assert_int_equal(mcast_filter_set(h->w, &a->mcast, &r, false, list, 2), 0);
	/* The last one that is included goes: it is left. */
	assert_int_equal(source_add(h, a, THIRD, false, false), 0);
	assert_int_equal(source_add(h, a, FAR, false, false), 0);
	assert_null(a->mcast);
	host_close(h);
}

/* RFC 3376 section 5.1: what is said when a filter changes, and said again. */
static void test_v3_changes(void **state)
{
	struct host *h = open_peered();
	struct udp_pcb *a = host_udp(h, 0, 7), *b = host_udp(h, 0, 8);
	const uint32_t third[] = { THIRD };

	assert_int_equal(join(h, a, GROUP), 0);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_TO_EXCLUDE, GROUP, 0, NULL));
	quiet(h);
	host_wait(h, 1 * SEC);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_TO_EXCLUDE, GROUP, 0, NULL));
	host_wait(h, 10 * SEC);
	quiet(h);
	/* A second member changes nothing. */
	assert_int_equal(join(h, b, GROUP), 0);
	quiet(h);
	assert_int_equal(leave(h, b, GROUP), 0);
	quiet(h);
	assert_int_equal(source_add(h, a, THIRD, true, true), 0);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_BLOCK_OLD, GROUP, 1, third));
	host_wait(h, 10 * SEC);
	take_report(h, 1);
	assert_int_equal(source_add(h, a, THIRD, true, false), 0);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_ALLOW_NEW, GROUP, 1, third));
	host_wait(h, 10 * SEC);
	take_report(h, 1);
	quiet(h);
	assert_int_equal(leave(h, a, GROUP), 0);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_TO_INCLUDE, GROUP, 0, NULL));
	host_wait(h, 1 * SEC);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_TO_INCLUDE, GROUP, 0, NULL));
	host_wait(h, 10 * SEC);
	quiet(h);
	assert_int_equal(h->w->inet->mcast.group_count, 0);
	/* Joined for a source alone; and nothing of the group where all hosts are. */
	struct mcast_request r = request(h, GROUP, THIRD);
	assert_int_equal(mcast_join(h->w, &a->mcast, &r, false), 0);
	assert_int_equal(source_add(h, a, THIRD, false, true), 0);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_ALLOW_NEW, GROUP, 1, third));
	host_wait(h, 10 * SEC);
	take_report(h, 1);
	assert_int_equal(join(h, a, ALL_HOSTS), 0);
	host_wait(h, 10 * SEC);
	quiet(h);
	/* Left and joined again before the first report was repeated. */
	assert_int_equal(leave(h, a, GROUP), 0);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_BLOCK_OLD, GROUP, 1, third));
	assert_int_equal(join(h, a, GROUP), 0);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_TO_EXCLUDE, GROUP, 0, NULL));
	host_wait(h, 10 * SEC);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_TO_EXCLUDE, GROUP, 0, NULL));
	quiet(h);
	host_close(h);
}

/* RFC 3376 section 5.2: queries of each kind, answered within their time. */
static void test_v3_queries(void **state)
{
	struct host *h = open_peered();
	struct udp_pcb *a = host_udp(h, 0, 7);
	const uint32_t asked[] = { PEER, THIRD }, third[] = { THIRD };

	assert_int_equal(join(h, a, GROUP), 0);
	assert_int_equal(source_add(h, a, PEER, true, true), 0);
	assert_int_equal(join(h, a, OTHER), 0);
	host_wait(h, 10 * SEC);
	frame_take_all(h->wire);
	query(h, ALL_HOSTS, 0, 100, true, 0, NULL);
	assert_int_equal(h->w->ledger.fate[FATE_ABSORBED] > 0, true);
	host_wait(h, 10 * SEC);
	take_report(h, 2);
	quiet(h);
	query(h, GROUP, GROUP, 10, true, 0, NULL);
	host_wait(h, 1 * SEC);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_IS_EXCLUDE, GROUP, 1, (const uint32_t[]){ PEER }));
	/* About sources: those that are let in. */
	query(h, GROUP, GROUP, 10, true, 2, asked);
	host_wait(h, 1 * SEC);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_IS_INCLUDE, GROUP, 1, third));
	query(h, GROUP, GROUP, 10, true, 1, asked);
	host_wait(h, 1 * SEC);
	quiet(h);
	/* Two of them before the first is answered: one answer. */
	query(h, GROUP, GROUP, 10, true, 1, asked);
	query(h, GROUP, GROUP, 10, true, 1, third);
	host_wait(h, 1 * SEC);
	take_report(h, 1);
	assert_true(record_is(h, 0, IGMP_IS_INCLUDE, GROUP, 1, third));
	quiet(h);
	/* About a group where we are not. */
	query(h, ALL_HOSTS, FRAME_IP(239, 7, 7, 7), 10, true, 0, NULL);
	host_wait(h, 10 * SEC);
	quiet(h);
	host_close(h);
}

/* A router of version 2: its reports and leaves, and back to version 3 when it is silent. */
static void test_v2(void **state)
{
	struct host *h = open_peered();
	struct udp_pcb *a = host_udp(h, 0, 7);
	uint8_t frame[128], report[8] = { IGMP_V2_REPORT, 0, 0, 0, 239, 1, 2, 3 };
	struct netif *netif = inet_netif(h->w->inet, (unsigned int)h->ifindex);

	query(h, ALL_HOSTS, 0, 100, false, 0, NULL);
	assert_int_equal(igmp_version(h->w, netif), 2);
	assert_int_equal(join(h, a, GROUP), 0);
	take_old(h, IGMP_V2_REPORT, GROUP, GROUP);
	host_wait(h, 10 * SEC);
	take_old(h, IGMP_V2_REPORT, GROUP, GROUP); /* once more */
	quiet(h);
	query(h, ALL_HOSTS, 0, 50, false, 0, NULL);
	host_wait(h, 5 * SEC);
	take_old(h, IGMP_V2_REPORT, GROUP, GROUP);
	query(h, GROUP, GROUP, 10, false, 0, NULL);
	host_wait(h, 1 * SEC);
	take_old(h, IGMP_V2_REPORT, GROUP, GROUP);
	quiet(h);
	/* Somebody else answers first: nothing is said, and leaving is theirs to tell. */
	query(h, ALL_HOSTS, 0, 100, false, 0, NULL);
	host_put(h, frame, igmp_frame(frame, GROUP, report, 8));
	host_wait(h, 10 * SEC);
	quiet(h);
	assert_int_equal(leave(h, a, GROUP), 0);
	quiet(h);
	assert_int_equal(join(h, a, GROUP), 0);
	take_old(h, IGMP_V2_REPORT, GROUP, GROUP);
	assert_int_equal(leave(h, a, GROUP), 0);
	take_old(h, IGMP_V2_LEAVE, ALL_ROUTERS, GROUP);
	host_wait(h, 20 * SEC);
	quiet(h);
	/* Version 1 knows of no leaving. */
	query(h, ALL_HOSTS, 0, 0, false, 0, NULL);
	assert_int_equal(igmp_version(h->w, netif), 1);
	assert_int_equal(join(h, a, GROUP), 0);
	take_old(h, IGMP_V1_REPORT, GROUP, GROUP);
	assert_int_equal(leave(h, a, GROUP), 0);
	host_wait(h, 20 * SEC);
	quiet(h);
	host_wait(h, 260 * SEC);
	assert_int_equal(igmp_version(h->w, netif), 3);
	assert_int_equal(join(h, a, GROUP), 0);
	take_report(h, 1);
	host_close(h);
}

static void test_bad_igmp(void **state)
{
	struct host *h = open_peered();
	uint8_t frame[256], message[16] = { IGMP_QUERY, 10 };
	size_t len;

	len = igmp_frame(frame, ALL_HOSTS, message, 8);
	frame[len - 1] ^= 1;
	host_drops(h, IGMP_CSUM, frame, len, 0);
	host_drops(h, IGMP_MALFORMED, frame, igmp_frame(frame, ALL_HOSTS, message, 7), 0);
	host_drops(h, IGMP_MALFORMED, frame, igmp_frame(frame, ALL_HOSTS, message, 10), 0);
	message[11] = 5; /* sources that are not there */
	host_drops(h, IGMP_MALFORMED, frame, igmp_frame(frame, ALL_HOSTS, message, 16), 0);
	message[0] = 0x99;
	host_drops(h, IGMP_UNKNOWN_TYPE, frame, igmp_frame(frame, ALL_HOSTS, message, 8), 0);
	host_close(h);
}

/* Sending: TTL, interface, source, the copy for our own sockets. */
static void test_send(void **state)
{
	struct host *h = open_peered();
	struct ipaddr second = ipaddr_from_ip4(host_to_be32(FRAME_IP(198, 18, 0, 77)));
	struct udp_pcb *a = host_udp(h, 0, 7), *b = host_udp(h, 0, 8);

	assert_int_equal(host_send(h, b, GROUP, 7, "x", 1), -ENETUNREACH);
	b->mcast_ifindex = (uint8_t)h->ifindex;
	assert_int_equal(host_send(h, b, GROUP, 7, "x", 1), 0);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.ttl, 1);
	assert_memory_equal(h->info.dst_mac, "\1\0\x5e\1\2\3", 6);
	assert_int_equal(h->deliveries, 0);
	assert_int_equal(join(h, a, GROUP), 0);
	host_wait(h, 10 * SEC);
	frame_take_all(h->wire);
	b->mcast_ttl = 9;
	assert_int_equal(host_send(h, b, GROUP, 7, "x", 1), 0);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.ttl, 9);
	assert_int_equal(h->deliveries, 1);
	assert_ptr_equal(h->last.pcb, a);
	assert_int_equal(ipaddr_ip4(&h->last.from.addr), host_to_be32(US));
	b->mcast_loop = false;
	assert_int_equal(host_send(h, b, GROUP, 7, "x", 1), 0);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->deliveries, 1);
	/* Not beyond this host. */
	b->mcast_loop = true;
	b->mcast_ttl = 0;
	assert_int_equal(host_send(h, b, GROUP, 7, "x", 1), 0);
	assert_int_equal(test_drops(h->w, IP_TTL), 1);
	assert_int_equal(h->deliveries, 2);
	quiet(h);
	/* Its own source, and the interface of one datagram. */
	assert_int_equal(inet_addr_add(h->w, (unsigned int)h->ifindex, &second, 24), 0);
	host_wait(h, 10 * SEC);
	frame_take_all(h->wire);
	b->mcast_ttl = 1;
	b->mcast_addr = second;
	assert_int_equal(host_send(h, b, GROUP, 7, "x", 1), 0);
	assert_true(host_take(h, ETH_TYPE_IP4));
	assert_int_equal(h->info.src_ip, FRAME_IP(198, 18, 0, 77));
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_membership),     cmocka_unit_test(test_every_member),
		cmocka_unit_test(test_source_filters), cmocka_unit_test(test_v3_changes),
		cmocka_unit_test(test_v3_queries),     cmocka_unit_test(test_v2),
		cmocka_unit_test(test_bad_igmp),       cmocka_unit_test(test_send),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
