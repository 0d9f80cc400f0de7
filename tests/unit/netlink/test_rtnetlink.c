/* SPDX-License-Identifier: BSD-3-Clause */
/* Questions of rtnetlink about a host on a wire: what is answered, in how many datagrams, and what
 * is refused. */
#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "../inet/fixture.h"
#include "inet/neigh.h"
#include "netlink/rtnetlink.h"

#define PORTID 4711u
#define SEQ 99u

struct request {
	struct nlmsghdr header;
	uint8_t body[64];
};

static struct rtnl rtnl_of(struct host *h)
{
	return (struct rtnl){ .worker = &h->w, .worker_count = 1 };
}

static struct request request(uint16_t type, uint16_t flags, size_t body)
{
	return (struct request){ .header = { .nlmsg_len = (uint32_t)(NLMSG_HDRLEN + body),
					     .nlmsg_type = type,
					     .nlmsg_flags = NLM_F_REQUEST | flags,
					     .nlmsg_seq = SEQ } };
}

static void add_attr(struct request *q, uint16_t type, const void *data, size_t len)
{
	size_t at = NLMSG_ALIGN(q->header.nlmsg_len) - NLMSG_HDRLEN;
	struct nlattr attr = { .nla_len = (uint16_t)(sizeof(attr) + len), .nla_type = type };

	memcpy(q->body + at, &attr, sizeof(attr));
	memcpy(q->body + at + sizeof(attr), data, len);
	q->header.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + at + NLMSG_ALIGN(sizeof(attr) + len));
}

/* The error in an NLMSG_ERROR that is all of b. */
static int error_in(const struct nl_buf *b)
{
	size_t at = 0;
	const struct nlmsghdr *m = nl_next(b->bytes, b->len, &at);
	const struct nlmsgerr *e;

	assert_non_null(m);
	assert_int_equal(m->nlmsg_type, NLMSG_ERROR);
	assert_int_equal(m->nlmsg_seq, SEQ);
	assert_int_equal(m->nlmsg_pid, PORTID);
	e = nl_fixed(m, sizeof(*e));
	assert_non_null(e);
	assert_null(nl_next(b->bytes, b->len, &at));
	return e->error;
}

static int ask_error(struct host *h, const struct request *q)
{
	struct rtnl r = rtnl_of(h);
	struct rtnl_dump d = { 0 };
	struct nl_buf b;

	nl_init(&b);
	rtnl_request(&r, &q->header, PORTID, &b, &d);
	assert_false(rtnl_dumping(&d));
	return error_in(&b);
}

/* A whole dump: calls see() for each message; returns the number of datagrams. */
static unsigned int dump(struct host *h, const struct request *q,
			 void (*see)(const struct nlmsghdr *m, void *arg), void *arg)
{
	struct rtnl r = rtnl_of(h);
	struct rtnl_dump d = { 0 };
	unsigned int datagrams = 0;
	bool done = false;
	struct nl_buf b;

	nl_init(&b);
	rtnl_request(&r, &q->header, PORTID, &b, &d);
	assert_int_equal(b.len, 0);
	assert_true(rtnl_dumping(&d));
	while (rtnl_dumping(&d)) {
		const struct nlmsghdr *m;
		size_t at = 0;

		nl_init(&b);
		rtnl_dump(&r, &d, &b);
		datagrams++;
		assert_true(b.len > 0 && b.len <= NL_DATAGRAM_BYTES);
		assert_true(datagrams < 1000);
		while ((m = nl_next(b.bytes, b.len, &at)) != NULL) {
			assert_false(done);
			assert_true(m->nlmsg_flags & NLM_F_MULTI);
			assert_int_equal(m->nlmsg_seq, SEQ);
			assert_int_equal(m->nlmsg_pid, PORTID);
			if (m->nlmsg_type == NLMSG_DONE)
				done = true;
			else if (see)
				see(m, arg);
		}
		assert_int_equal(at, b.len);
	}
	assert_true(done);
	return datagrams;
}

struct names {
	unsigned int count;
	char name[8][32];
	uint32_t flags[8];
};

static void see_link(const struct nlmsghdr *m, void *arg)
{
	const struct ifinfomsg *info = nl_fixed(m, sizeof(*info));
	struct names *names = arg;
	const char *name;
	size_t len;

	assert_int_equal(m->nlmsg_type, RTM_NEWLINK);
	name = nl_attr(m, sizeof(*info), IFLA_IFNAME, &len);
	assert_non_null(name);
	memcpy(names->name[names->count], name, len);
	names->flags[names->count++] = info->ifi_flags;
	assert_non_null(nl_attr(m, sizeof(*info), IFLA_STATS64, &len));
	assert_int_equal(len, sizeof(struct rtnl_link_stats64));
	assert_non_null(nl_attr(m, sizeof(*info), IFLA_ADDRESS, &len));
	assert_int_equal(len, 6);
}

static void test_links(void **state)
{
	struct host *h = host_open(NULL);
	struct request q = request(RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	struct names names = { 0 };

	assert_int_equal(dump(h, &q, see_link, &names), 1);
	assert_int_equal(names.count, 2);
	assert_string_equal(names.name[0], "lo");
	assert_true(names.flags[0] & IFF_LOOPBACK);
	assert_string_equal(names.name[1], h->wire->name);
	assert_int_equal(names.flags[1],
			 IFF_UP | IFF_BROADCAST | IFF_MULTICAST | IFF_RUNNING | IFF_LOWER_UP);
	host_close(h);
}

static void test_one_link(void **state)
{
	struct host *h = host_open(NULL);
	struct request q = request(RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	struct rtnl r = rtnl_of(h);
	struct rtnl_dump d = { 0 };
	const struct nlmsghdr *m;
	struct names names = { 0 };
	struct nl_buf b;
	size_t at = 0;

	assert_int_equal(ask_error(h, &q), -ENODEV);
	add_attr(&q, IFLA_IFNAME, h->wire->name, strlen(h->wire->name) + 1);
	nl_init(&b);
	rtnl_request(&r, &q.header, PORTID, &b, &d);
	m = nl_next(b.bytes, b.len, &at);
	assert_non_null(m);
	assert_false(m->nlmsg_flags & NLM_F_MULTI);
	see_link(m, &names);
	assert_string_equal(names.name[0], h->wire->name);
	assert_null(nl_next(b.bytes, b.len, &at));
	q = request(RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	add_attr(&q, IFLA_IFNAME, "nobody", 7);
	assert_int_equal(ask_error(h, &q), -ENODEV);
	q = request(RTM_GETLINK, 0, 1); /* too short for its fixed part */
	assert_int_equal(ask_error(h, &q), -ENODEV);
	host_close(h);
}

struct addrs {
	unsigned int count;
	uint32_t local[512], broadcast[512];
	uint8_t prefix_len[512];
};

static void see_addr(const struct nlmsghdr *m, void *arg)
{
	const struct ifaddrmsg *info = nl_fixed(m, sizeof(*info));
	struct addrs *addrs = arg;
	const void *value;
	size_t len;

	assert_int_equal(m->nlmsg_type, RTM_NEWADDR);
	value = nl_attr(m, sizeof(*info), IFA_LOCAL, &len);
	assert_non_null(value);
	memcpy(&addrs->local[addrs->count], value, 4);
	value = nl_attr(m, sizeof(*info), IFA_BROADCAST, &len);
	if (value)
		memcpy(&addrs->broadcast[addrs->count], value, 4);
	addrs->prefix_len[addrs->count++] = info->ifa_prefixlen;
}

static void test_addrs(void **state)
{
	struct host *h = host_open(NULL);
	struct request q = request(RTM_GETADDR, NLM_F_DUMP, 1);
	static struct addrs addrs;

	memset(&addrs, 0, sizeof(addrs));
	assert_int_equal(dump(h, &q, see_addr, &addrs), 1);
	assert_int_equal(addrs.count, 2);
	assert_int_equal(addrs.local[0], host_to_be32(LOCALHOST));
	assert_int_equal(addrs.broadcast[0], 0);
	assert_int_equal(addrs.local[1], host_to_be32(US));
	assert_int_equal(addrs.broadcast[1], host_to_be32(SUBNET_BROADCAST));
	assert_int_equal(addrs.prefix_len[1], 24);
	q.body[0] = AF_INET6;
	memset(&addrs, 0, sizeof(addrs));
	assert_int_equal(dump(h, &q, see_addr, &addrs), 1);
	assert_int_equal(addrs.count, 0);
	/* There is no question about one address. */
	q = request(RTM_GETADDR, 0, 8);
	assert_int_equal(ask_error(h, &q), -EOPNOTSUPP);
	host_close(h);
}

struct routes {
	unsigned int count, gateways;
	unsigned int last_len;
};

static void see_route(const struct nlmsghdr *m, void *arg)
{
	const struct rtmsg *info = nl_fixed(m, sizeof(*info));
	struct routes *routes = arg;
	size_t len;

	assert_int_equal(m->nlmsg_type, RTM_NEWROUTE);
	assert_true(info->rtm_dst_len >= routes->last_len);
	routes->last_len = info->rtm_dst_len;
	routes->count++;
	routes->gateways += nl_attr(m, sizeof(*info), RTA_GATEWAY, &len) != NULL;
	assert_non_null(nl_attr(m, sizeof(*info), RTA_OIF, &len));
}

static void test_many_routes(void **state)
{
	struct host *h = host_open(NULL);
	struct request q = request(RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg));
	struct ipaddr gateway = ipaddr_from_ip4(host_to_be32(PEER));
	struct routes routes = { 0 };

	for (uint32_t i = 0; i < 1000; i++) {
		struct ipaddr prefix = ipaddr_from_ip4(host_to_be32(0x0a000000u + (i << 8)));

		assert_int_equal(inet_route_add(h->w, &prefix, 24 + i % 2, &gateway,
						(unsigned int)h->ifindex),
				 0);
	}
	assert_true(dump(h, &q, see_route, &routes) > 10);
	assert_int_equal(routes.count, 1001); /* and that of the address */
	assert_int_equal(routes.gateways, 1000);
	host_close(h);
}

/* The table changes while it is told: the end says so. */
static void test_changed_meanwhile(void **state)
{
	struct host *h = host_open(NULL);
	struct request q = request(RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg));
	struct ipaddr gateway = ipaddr_from_ip4(host_to_be32(PEER)), prefix;
	struct rtnl r = rtnl_of(h);
	struct rtnl_dump d = { 0 };
	const struct nlmsghdr *m;
	struct nl_buf b;
	size_t at = 0;

	nl_init(&b);
	rtnl_request(&r, &q.header, PORTID, &b, &d);
	/* A second one at the same time has to wait. */
	rtnl_request(&r, &q.header, PORTID, &b, &d);
	assert_int_equal(error_in(&b), -EBUSY);
	prefix = ipaddr_from_ip4(host_to_be32(0x0a000000u));
	assert_int_equal(inet_route_add(h->w, &prefix, 8, &gateway, (unsigned int)h->ifindex), 0);
	nl_init(&b);
	rtnl_dump(&r, &d, &b);
	assert_false(rtnl_dumping(&d));
	do {
		m = nl_next(b.bytes, b.len, &at);
		assert_non_null(m);
	} while (m->nlmsg_type != NLMSG_DONE);
	assert_true(m->nlmsg_flags & NLM_F_DUMP_INTR);
	host_close(h);
}

static void test_route_to(void **state)
{
	struct host *h = host_open(NULL);
	struct request q = request(RTM_GETROUTE, 0, sizeof(struct rtmsg));
	uint32_t dst = host_to_be32(THIRD), far = host_to_be32(FAR), value;
	struct rtnl r = rtnl_of(h);
	struct rtnl_dump d = { 0 };
	const struct nlmsghdr *m;
	struct nl_buf b;
	size_t at = 0, len;

	q.body[0] = AF_INET;
	assert_int_equal(ask_error(h, &q), -EINVAL); /* to where? */
	add_attr(&q, RTA_DST, &dst, sizeof(dst));
	nl_init(&b);
	rtnl_request(&r, &q.header, PORTID, &b, &d);
	m = nl_next(b.bytes, b.len, &at);
	assert_non_null(m);
	assert_int_equal(m->nlmsg_type, RTM_NEWROUTE);
	memcpy(&value, nl_attr(m, sizeof(struct rtmsg), RTA_PREFSRC, &len), 4);
	assert_int_equal(value, host_to_be32(US));
	memcpy(&value, nl_attr(m, sizeof(struct rtmsg), RTA_OIF, &len), 4);
	assert_int_equal(value, h->ifindex);
	assert_non_null(nl_attr(m, sizeof(struct rtmsg), RTA_CACHEINFO, &len));
	assert_int_equal(len, sizeof(struct rta_cacheinfo));
	q = request(RTM_GETROUTE, 0, sizeof(struct rtmsg));
	q.body[0] = AF_INET;
	add_attr(&q, RTA_DST, &far, sizeof(far));
	assert_int_equal(ask_error(h, &q), -ENETUNREACH);
	q = request(RTM_GETROUTE, 0, sizeof(struct rtmsg));
	q.body[0] = AF_INET6;
	assert_int_equal(ask_error(h, &q), -EAFNOSUPPORT);
	host_close(h);
}

static void see_neigh(const struct nlmsghdr *m, void *arg)
{
	const struct ndmsg *info = nl_fixed(m, sizeof(*info));
	unsigned int *count = arg;
	const uint8_t *mac;
	size_t len;

	assert_int_equal(m->nlmsg_type, RTM_NEWNEIGH);
	mac = nl_attr(m, sizeof(*info), NDA_LLADDR, &len);
	assert_non_null(mac);
	assert_memory_equal(mac, peer_mac, 6);
	++*count;
}

static void test_neighs(void **state)
{
	struct host *h = host_open(NULL);
	struct request q = request(RTM_GETNEIGH, NLM_F_DUMP, sizeof(struct ndmsg));
	unsigned int count = 0;

	dump(h, &q, see_neigh, &count);
	assert_int_equal(count, 0);
	host_meet(h, PEER, peer_mac);
	dump(h, &q, see_neigh, &count);
	assert_int_equal(count, 1);
	host_close(h);
}

static void test_refused(void **state)
{
	struct host *h = host_open(NULL);
	struct request q = request(RTM_NEWADDR, NLM_F_ACK, sizeof(struct ifaddrmsg));
	struct rtnl r = rtnl_of(h);
	struct rtnl_dump d = { 0 };
	struct nl_buf b;

	assert_int_equal(ask_error(h, &q), -EPERM);
	q = request(RTM_DELROUTE, 0, sizeof(struct rtmsg));
	assert_int_equal(ask_error(h, &q), -EPERM);
	q = request(RTM_GETQDISC, NLM_F_DUMP, sizeof(struct tcmsg));
	assert_int_equal(ask_error(h, &q), -EOPNOTSUPP);
	/* Not a request: nobody answers. */
	q = request(RTM_GETADDR, 0, 1);
	q.header.nlmsg_flags = 0;
	nl_init(&b);
	rtnl_request(&r, &q.header, PORTID, &b, &d);
	assert_int_equal(b.len, 0);
	assert_false(rtnl_dumping(&d));
	q = request(NLMSG_NOOP, NLM_F_ACK, 0);
	assert_int_equal(ask_error(h, &q), 0);
	host_close(h);
}

static void test_what_does_not_fit(void **state)
{
	static const uint8_t large[NL_DATAGRAM_BYTES];
	struct nl_buf b;
	size_t before;

	nl_init(&b);
	nl_begin(&b, RTM_NEWLINK, 0, 1, 1, 16);
	nl_put_u32(&b, 1, 7);
	assert_true(nl_end(&b));
	before = b.len;
	nl_begin(&b, RTM_NEWLINK, 0, 1, 1, 16);
	nl_put_u32(&b, 1, 7);
	nl_put(&b, 2, large, sizeof(large));
	nl_put_u32(&b, 3, 7); /* would find room */
	assert_false(nl_end(&b));
	assert_int_equal(b.len, before);
	nl_begin(&b, RTM_NEWLINK, 0, 1, 1, 16);
	assert_true(nl_end(&b));
}

static void test_broken_messages(void **state)
{
	_Alignas(struct nlmsghdr) uint8_t datagram[64] = { 0 };
	struct nlmsghdr *m = (struct nlmsghdr *)datagram;
	size_t at = 0, len;

	assert_null(nl_next(datagram, 0, &at));
	assert_null(nl_next(datagram, sizeof(*m) - 1, &at));
	m->nlmsg_len = 15;
	assert_null(nl_next(datagram, sizeof(datagram), &at));
	m->nlmsg_len = 65;
	assert_null(nl_next(datagram, sizeof(datagram), &at));
	m->nlmsg_len = UINT32_MAX;
	assert_null(nl_next(datagram, sizeof(datagram), &at));
	m->nlmsg_len = 62; /* its padding reaches beyond the end */
	assert_ptr_equal(nl_next(datagram, 62, &at), m);
	assert_null(nl_next(datagram, 62, &at));
	/* An attribute that is shorter than itself, and one that is longer than its message. */
	assert_null(nl_attr(m, 4, 1, &len));
	((struct nlattr *)(datagram + NLMSG_HDRLEN + 4))->nla_len = 60;
	assert_null(nl_attr(m, 4, 0, &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_one_link),
		cmocka_unit_test(test_addrs),
		cmocka_unit_test(test_many_routes),
		cmocka_unit_test(test_changed_meanwhile),
		cmocka_unit_test(test_route_to),
		cmocka_unit_test(test_neighs),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_what_does_not_fit),
		cmocka_unit_test(test_broken_messages),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
