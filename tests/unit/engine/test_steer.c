/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two and three workers of one engine, polled in turn in virtual time; the test is the hash that
 * puts frames into the workers' queues.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app_client.h"
#include "common/frames.h"
#include "common/testing.h"
#include "dev/wire.h"
#include "engine/engine.h"
#include "inet/tcp/tcp_impl.h"
#include "sock/session.h"

#define US FRAME_IP(198, 18, 0, 2)
#define PEER FRAME_IP(198, 18, 0, 1)
#define NONE ((struct app_sock){ ABI_SOCK_NONE, 0 })

static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };
static uint8_t frame[FRAME_ROOM];

/* An engine with a wire, and one program that has a channel at each worker. */
struct net {
	struct engine *engine;
	struct port *wire;
	struct session *session;
	struct app app[3]; /* one a worker */
};

static struct net net;

static unsigned int poll_all(void)
{
	struct engine *engine = net.engine;
	unsigned int work = 0;

	for (unsigned int i = 0; i < engine->worker_count; i++)
		work += engine_poll(engine, i, engine->worker[i]->now_ns);
	return work;
}

static void settle(void)
{
	unsigned int loops = 0;

	while (poll_all())
		assert_true(++loops < 1000);
}

/* Let time pass for all, from timer to timer. */
static void pass(uint64_t ns)
{
	struct engine *engine = net.engine;
	uint64_t end_ns = engine->worker[0]->now_ns + ns;

	for (;;) {
		uint64_t next_ns = end_ns;

		for (unsigned int i = 0; i < engine->worker_count; i++)
			next_ns = RTE_MIN(next_ns, engine_next_ns(engine, i));
		for (unsigned int i = 0; i < engine->worker_count; i++)
			engine_poll(engine, i, next_ns);
		settle();
		if (next_ns == end_ns)
			return;
	}
}

static void run_engine(void *arg)
{
	settle();
}

/* The sum over the workers balances at every moment, what is in a mailbox included. */
static struct ledger *sum(void)
{
	static struct ledger ledger;

	ledger_free(&ledger);
	assert_int_equal(ledger_init(&ledger), 0);
	engine_ledger(net.engine, &ledger);
	assert_int_equal(ledger_balance(&ledger), 0);
	for (unsigned int i = 0; i < net.engine->worker_count; i++)
		assert_int_equal(ledger_balance(&net.engine->worker[i]->ledger), 0);
	return &ledger;
}

static void start(unsigned int workers, unsigned int packets)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "128", NULL };
	struct engine_config config = { .workers = workers,
					.packets = packets,
					.eal_args = args,
					.virtual_time = true,
					.seed = TEST_SEED,
					.now_ns = TEST_START_NS };
	struct family_params params = { .name = "test", .arena_bytes = 256u << 20, .socks = 256 };
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(US));
	char error[ENGINE_ERROR_BYTES] = "", spec[32];
	uint64_t offset;
	uint32_t index;

	memset(&net, 0, sizeof(net));
	log_set_level(LOG_LEVEL_ERROR);
	if (engine_open(&config, &net.engine, error))
		fail_msg("%s", error);
	snprintf(spec, sizeof(spec), "wire,queues=%u", workers);
	assert_int_equal(engine_port_add(net.engine, spec, error), 2);
	assert_int_equal(engine_addr_add(net.engine, 2, &addr, 24), 0);
	net.wire = net.engine->port[1];
	params.workers = net.engine->worker;
	params.worker_count = workers;
	assert_int_equal(session_create(&params, getpid(), &net.session), 0);
	for (unsigned int i = 0; i < workers; i++) {
		assert_int_equal(
			session_channel(net.session, i, -1, ABI_CQ_THREAD, &index, &offset), 0);
		net.app[i].base = (uint8_t *)session_arena(net.session);
		net.app[i].channel = (struct abi_channel *)(net.app[i].base + offset);
		net.app[i].run = run_engine;
	}
	pass(5000000000ull); /* the announcements are over */
	frame_take_all(net.wire);
}

static void end(void)
{
	settle();
	session_destroy(net.session);
	pass(200000000000ull);
	assert_int_equal(sum()->held, 0);
	for (unsigned int i = 0; i < net.engine->worker_count; i++)
		assert_true(worker_pool_is_full(net.engine->worker[i]));
	engine_close(net.engine);
}

static struct frame_spec spec_to_us(void)
{
	struct frame_spec s = { .src_ip = PEER, .dst_ip = US, .ttl = 64 };

	memcpy(s.dst_mac, net.wire->mac, 6);
	memcpy(s.src_mac, peer_mac, 6);
	return s;
}

static void put(unsigned int queue, size_t len)
{
	assert_int_equal(wire_put_queue(net.wire, queue, frame, len), 0);
}

/* Answers ARP questions on the given queue; returns the first IP packet that came. */
static bool take_ip(struct frame_info *info, unsigned int arp_queue)
{
	static uint8_t got[FRAME_ROOM];
	size_t len;

	settle();
	while ((len = wire_take(net.wire, got, sizeof(got)))) {
		frame_parse(got, len, false, info);
		if (info->type == ETH_TYPE_IP4)
			return true;
		if (be32_to_host(info->arp.target_ip_be) != PEER)
			continue;
		put(arp_queue, frame_arp(frame, net.wire->mac, ARP_OP_REPLY, peer_mac, PEER,
					 net.wire->mac, US));
		settle();
	}
	return false;
}

static void put_tcp(unsigned int queue, const struct frame_tcp *t, const void *data, size_t len)
{
	struct frame_spec s = spec_to_us();

	put(queue, frame_tcp(frame, &s, t, data, len));
}

static uint64_t steered(void)
{
	return sum()->stage[STAGE_STEER].packets;
}

/* A connection that worker 0's program opens; everything from the peer comes to `queue`. */
static struct app_sock connect_out(unsigned int queue, struct frame_tcp *t)
{
	struct app_sock s = NONE;
	struct frame_info info;
	int err = app_connect(&net.app[0], &s, SOCK_STREAM, PEER, 80);

	assert_true(err == 0 || err == -EINPROGRESS);
	assert_true(take_ip(&info, queue));
	assert_int_equal(info.flags, TCP_F_SYN);
	*t = (struct frame_tcp){ .sport = 80,
				 .dport = info.sport,
				 .seq = 1000,
				 .ack = info.seq + 1,
				 .flags = TCP_F_SYN | TCP_F_ACK,
				 .window = 65535 };
	put_tcp(queue, t, NULL, 0);
	assert_true(app_wait(&net.app[0], s, ABI_EV_OUT));
	t->seq++;
	t->flags = TCP_F_ACK;
	return s;
}

/* Everything of the connection, the ARP answer too, comes to the other worker. */
static void test_connection(void **state)
{
	struct app_sock s;
	struct frame_info info;
	struct frame_tcp t;
	char bytes[8];

	start(2, 2048);
	s = connect_out(1, &t);
	assert_true(steered() > 0);
	put_tcp(1, &t, "hello", 5);
	/* In the mailbox: worker 1 has handed it on, worker 0 has not looked. */
	engine_poll(net.engine, 1, net.engine->worker[1]->now_ns);
	assert_true(engine_next_ns(net.engine, 0) <= net.engine->worker[0]->now_ns);
	assert_int_equal(sum()->held, 1);
	assert_int_equal(net.engine->worker[1]->ledger.held, 0);
	settle();
	assert_int_equal(app_read(&net.app[0], s, bytes, sizeof(bytes)), 5);
	assert_memory_equal(bytes, "hello", 5);
	assert_int_equal(app_write(&net.app[0], s, "answer", 6), 6);
	do
		assert_true(take_ip(&info, 1));
	while (info.data_len == 0);
	assert_memory_equal(info.data, "answer", 6);
	assert_int_equal(test_drops(net.engine->worker[0], NO_SOCKET), 0);
	assert_int_equal(test_drops(net.engine->worker[1], NO_SOCKET), 0);
	end();
}

/* A listener's siblings: who gets the SYN has the connection; the rest may come elsewhere. */
static void test_listener(void **state)
{
	struct app_sock listener = NONE, s;
	struct frame_tcp t = { .sport = 5000, .dport = 80, .seq = 7, .window = 65535 };
	struct frame_info info;
	struct app_sock sibling;

	start(2, 2048);
	assert_int_equal(app_bind(&net.app[0], &listener, SOCK_STREAM, US, 80), 0);
	assert_int_equal(app_listen(&net.app[0], listener, 16), 0);
	t.flags = TCP_F_SYN;
	put_tcp(1, &t, NULL, 0);
	assert_true(take_ip(&info, 0)); /* the ARP answer comes to worker 0 */
	assert_int_equal(info.flags, TCP_F_SYN | TCP_F_ACK);
	t.seq++;
	t.ack = info.seq + 1;
	t.flags = TCP_F_ACK;
	put_tcp(0, &t, "x", 1); /* where only the listener's first socket is */
	settle();
	assert_int_equal(steered(), 1);
	sibling.index = app_slot(&net.app[0], listener)->shard_next;
	sibling.gen = atomic_load(&app_slot(&net.app[0], sibling)->gen);
	assert_true(app_accept(&net.app[1], sibling, &s));
	assert_int_equal(app_slot(&net.app[1], s)->worker, 1);
	end();
}

/* Nothing is kept of a SYN that got a cookie: who sent it finds that it is good, wherever the ACK
 * comes, and has the connection. One that is nobody's is refused by all. */
static void test_syn_cookie(void **state)
{
	struct app_sock listener = NONE, s;
	struct frame_tcp t = { .sport = 5000, .dport = 80, .seq = 7, .window = 65535 };
	struct frame_info info;
	char bytes[8];

	start(2, 2048);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(tcp_param_set(net.engine->worker[i], "tcp_syncookies", "2"), 0);
	assert_int_equal(app_bind(&net.app[0], &listener, SOCK_STREAM, US, 80), 0);
	assert_int_equal(app_listen(&net.app[0], listener, 16), 0);
	t.flags = TCP_F_SYN;
	put_tcp(0, &t, NULL, 0);
	assert_true(take_ip(&info, 0));
	assert_int_equal(info.flags, TCP_F_SYN | TCP_F_ACK);
	assert_int_equal(net.engine->worker[0]->tcp->mib[TCP_MIB_SyncookiesSent], 1);
	t.seq++;
	t.ack = info.seq + 1;
	t.flags = TCP_F_ACK;
	put_tcp(1, &t, NULL, 0);
	put_tcp(1, &t, "hello", 5);
	settle();
	assert_int_equal(steered(), 2);
	assert_int_equal(net.engine->worker[0]->tcp->mib[TCP_MIB_SyncookiesRecv], 1);
	assert_int_equal(net.engine->worker[1]->tcp->mib[TCP_MIB_SyncookiesRecv], 0);
	assert_true(app_accept(&net.app[0], listener, &s));
	assert_int_equal(app_slot(&net.app[0], s)->worker, 0);
	assert_int_equal(app_read(&net.app[0], s, bytes, sizeof(bytes)), 5);
	t.sport++;
	put_tcp(1, &t, NULL, 0);
	do
		assert_true(take_ip(&info, 1));
	while (!(info.flags & TCP_F_RST));
	assert_int_equal(steered(), 3);
	assert_false(app_accept(&net.app[0], listener, &s));
	end();
}

/* Who is known to nobody is told so once, by the last worker that looked. */
static void test_nobody(void **state)
{
	struct frame_tcp t = { .sport = 5000, .dport = 81, .seq = 7, .flags = TCP_F_SYN };
	struct frame_spec s;
	struct frame_info info;

	start(3, 2048);
	put_tcp(1, &t, NULL, 0);
	assert_true(take_ip(&info, 1));
	assert_int_equal(info.flags, TCP_F_RST | TCP_F_ACK);
	assert_false(take_ip(&info, 1));
	assert_int_equal(steered(), 2);
	assert_int_equal(test_drops(net.engine->worker[0], NO_SOCKET), 1); /* 1, 2, 0 */
	s = spec_to_us();
	put(0, frame_udp(frame, &s, 5000, 81, "x", 1));
	assert_true(take_ip(&info, 1));
	assert_int_equal(info.icmp_type, ICMP_TYPE_UNREACHABLE);
	assert_int_equal(test_drops(net.engine->worker[2], NO_SOCKET), 1); /* 0, 1, 2 */
	assert_int_equal(steered(), 4);
	end();
}

/* A UDP socket that was never bound has no siblings; the answers find it, and so do errors. */
static void test_datagram(void **state)
{
	struct app_sock s = NONE;
	struct frame_spec spec;
	struct frame_info info;
	uint8_t quote[28];

	start(2, 2048);
	assert_int_equal(app_connect(&net.app[0], &s, SOCK_DGRAM, PEER, 53), 0);
	assert_true(app_slot(&net.app[0], s)->shard_next == ABI_SOCK_NONE);
	spec = spec_to_us();
	put(1, frame_udp(frame, &spec, 53, be16_to_host(app_slot(&net.app[0], s)->local_port_be),
			 "answer", 6));
	settle();
	assert_int_equal(sum()->fate[FATE_DELIVERED], 1);
	/* Port unreachable, quoting a datagram of ours. */
	memset(&info, 0, sizeof(info));
	spec = (struct frame_spec){ .src_ip = US, .dst_ip = PEER };
	assert_true(frame_udp(frame, &spec, be16_to_host(app_slot(&net.app[0], s)->local_port_be),
			      53, NULL, 0) >= 42);
	memcpy(quote, frame + FRAME_IP_AT, sizeof(quote));
	spec = spec_to_us();
	put(1, frame_icmp(frame, &spec, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT, 0, quote,
			  sizeof(quote)));
	settle();
	assert_int_equal(app_sock_take_error(app_slot(&net.app[0], s)), ECONNREFUSED);
	/* One that is nobody's. */
	quote[21] ^= 1;
	put(1, frame_icmp(frame, &spec, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT, 0, quote,
			  sizeof(quote)));
	settle();
	assert_int_equal(test_drops(net.engine->worker[0], ICMP_NO_SOCKET), 1);
	end();
}

/* The fragments of a datagram come to all queues, and together at one worker. */
static void test_fragments(void **state)
{
	static uint8_t echo[4096], l4[FRAME_ROOM];
	struct frame_spec s;
	struct frame_info info;

	start(3, 2048);
	for (unsigned int i = 0; i < sizeof(echo); i++)
		echo[i] = (uint8_t)(i * 7);
	for (uint16_t id = 1; id <= 30; id++) {
		uint8_t *begin;
		size_t len;

		s = spec_to_us();
		len = frame_icmp(l4, &s, ICMP_TYPE_ECHO, 0, id, echo, sizeof(echo)) - FRAME_L4_AT;
		begin = l4 + FRAME_L4_AT;
		s.id = id;
		for (unsigned int at = 0, n = 0; at < len; at += 1480, n++) {
			size_t part = RTE_MIN(len - at, 1480u);

			s.frag = (uint16_t)((at + part < len ? IP4_MF : 0) | at / 8);
			put((n + id) % 3, frame_ip4(frame, &s, IP_PROTO_ICMP, begin + at, part));
		}
		settle();
		(void)take_ip(&info, 0); /* fragments of the answer */
		while (take_ip(&info, 0))
			;
	}
	assert_int_equal(sum()->held, 0);
	/* Each datagram ends as one answer: the others of its three fragments are absorbed. */
	assert_true(steered() > 30 && steered() < 90);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(net.engine->worker[i]->ledger.stage[STAGE_ICMP_INPUT].packets > 0);
	assert_int_equal(sum()->stage[STAGE_ICMP_INPUT].packets, 30);
	end();
}

/* A mailbox is bounded, and a full one drops with a reason. */
static void test_overflow(void **state)
{
	static uint8_t data[1400];
	struct frame_tcp t;
	uint64_t dropped;

	start(2, 2048);
	connect_out(1, &t);
	for (unsigned int i = 0; i < 1000; i++) {
		put_tcp(1, &t, data, sizeof(data));
		t.seq += sizeof(data);
		/* Only the one that has nothing to do with it works. */
		engine_poll(net.engine, 1, net.engine->worker[1]->now_ns);
	}
	for (unsigned int i = 0; i < 20; i++)
		engine_poll(net.engine, 1, net.engine->worker[1]->now_ns);
	dropped = test_drops(net.engine->worker[1], CPU_BACKLOG);
	assert_true(dropped > 100 && dropped < 500);
	assert_int_equal(sum()->held, 1000 - dropped);
	assert_true(worker_pool_is_full(net.engine->worker[1]));
	settle();
	end();
}

/* A worker without buffers leaves what it cannot take in the mailbox, and takes it later. */
static void test_no_buffers(void **state)
{
	struct worker *w;
	struct pkt *all[256];
	struct app_sock s;
	struct frame_tcp t;
	char byte;

	start(2, 256);
	s = connect_out(1, &t);
	settle();
	w = net.engine->worker[0];
	for (unsigned int i = 0; i < 256; i++) {
		all[i] = NULL;
		if (pkt_alloc_raw(w, &all[i], 1))
			all[i] = NULL;
	}
	put_tcp(1, &t, "x", 1);
	poll_all();
	poll_all();
	assert_int_equal(sum()->held, 1);
	assert_int_equal(app_read(&net.app[0], s, &byte, 1), 0);
	for (unsigned int i = 0; i < 256; i++)
		if (all[i])
			pkt_free_raw(&all[i], 1);
	settle();
	assert_int_equal(sum()->dropped, 0);
	assert_int_equal(app_read(&net.app[0], s, &byte, 1), 1);
	end();
}

/* What is in a mailbox when the engine ends is dropped, and its buffers go back. */
static void test_close_with_mail(void **state)
{
	struct frame_tcp t;

	start(2, 2048);
	connect_out(1, &t);
	put_tcp(1, &t, "x", 1);
	engine_poll(net.engine, 1, net.engine->worker[1]->now_ns);
	assert_int_equal(sum()->held, 1);
	session_destroy(net.session);
	engine_close(net.engine);
}

/* Workers do not take the same port for two connections. */
static void test_ports(void **state)
{
	start(2, 2048);
	for (unsigned int i = 0; i < 40; i++) {
		struct app_sock s = NONE;
		int type = i % 4 < 2 ? SOCK_STREAM : SOCK_DGRAM;
		int err = app_connect(&net.app[i % 2], &s, type, PEER, 80);

		assert_true(err == 0 || err == -EINPROGRESS);
		assert_int_equal(be16_to_host(app_slot(&net.app[0], s)->local_port_be) % 2, i % 2);
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection),	cmocka_unit_test(test_listener),
		cmocka_unit_test(test_syn_cookie),	cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_datagram),	cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_overflow),	cmocka_unit_test(test_no_buffers),
		cmocka_unit_test(test_close_with_mail), cmocka_unit_test(test_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
