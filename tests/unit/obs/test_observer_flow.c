/* SPDX-License-Identifier: BSD-3-Clause */
/* Observers of a whole engine: packets that are followed to their end, wherever they go. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <string.h>
#include <sys/socket.h>

#include "dev/wire.h"
#include "engine/below.h"
#include "reader.h"

static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };
static uint8_t frame[FRAME_ROOM];

static struct frame_spec to_us(const struct port *port)
{
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US };

	memcpy(spec.dst_mac, port->mac, 6);
	memcpy(spec.src_mac, peer_mac, 6);
	return spec;
}

static void put_ping(const struct port *port)
{
	struct frame_spec spec = to_us(port);

	assert_int_equal(wire_put((struct port *)port, frame,
				  frame_icmp(frame, &spec, 8, 0, 0x10001, "ping", 4)),
			 0);
}

/* All stages that a followed ping goes through, and its end; its answer is another packet. */
static void test_to_its_end(void **state)
{
	struct observer_spec spec = READER_SPEC((1u << STAGE_MAX) - 1);
	unsigned int ends = 0, stages = 0, made = 0;
	struct watch_record *record;
	struct program p;
	struct reader r;
	uint32_t id = 0;

	below_begin(&p, false);
	spec.follow = true;
	reader_begin(&r, &spec, p.engine->worker, 1);
	put_ping(p.port);
	below_settle(&p);
	while ((record = reader_next(&r, 0))) {
		if (record->flags & WATCH_F_ORIGINATED) {
			made++; /* the answer, and ARP's question */
			assert_true(record->id != id);
			continue;
		}
		if (!id)
			id = record->id;
		assert_true(id != 0 && record->id == id);
		stages += record->kind == WATCH_PACKET;
		ends += record->kind == WATCH_END;
		if (record->kind == WATCH_END)
			assert_int_equal(record->code, FATE_ABSORBED);
	}
	assert_int_equal(ends, 1);
	assert_true(stages >= 5); /* port-rx, eth-input, ip4-input, ip4-local, icmp-input */
	assert_true(made >= 3);
	reader_end(&r);
	below_end(&p);
}

/* Only what is wanted at a stage is followed. */
static void test_only_what_is_wanted(void **state)
{
	struct observer_spec spec = READER_SPEC(1u << STAGE_UDP_INPUT);
	struct watch_record *record;
	struct frame_spec f;
	struct program p;
	struct reader r;

	below_begin(&p, false);
	f = to_us(p.port);
	spec.follow = true;
	spec.drops = true;
	reader_begin(&r, &spec, p.engine->worker, 1);
	put_ping(p.port);
	wire_put(p.port, frame, frame_udp(frame, &f, 1, 99, "x", 1));
	below_settle(&p);
	record = reader_next(&r, 0);
	assert_int_equal(record->kind, WATCH_PACKET);
	do
		record = reader_next(&r, 0);
	while (record && record->kind == WATCH_NOTE);
	assert_non_null(record);
	assert_int_equal(record->kind, WATCH_DROP);
	assert_int_equal(record->code, DROP_NO_SOCKET);
	assert_int_equal(record->id, 1);
	assert_null(reader_next(&r, 0));
	assert_int_equal(reader_drops(&r, DROP_NO_SOCKET), 1);
	reader_end(&r);
	below_end(&p);
}

/* ARP does not answer: the packet is held while its observer goes and others come. */
static void test_it_goes_while_packets_are_held(void **state)
{
	struct observer_spec spec = READER_SPEC(1u << STAGE_NEIGH_OUTPUT);
	static const struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct reader first, next[OBSERVERS_MAX - 1];
	struct watch_record *record;
	struct program p;

	below_begin(&p, false);
	spec.follow = true;
	spec.drops = true;
	reader_begin(&first, &spec, p.engine->worker, 1);
	put_ping(p.port);
	below_settle(&p);
	assert_true(reader_drain(&first, 0) > 0);
	assert_true(p.engine->worker[0]->ledger.held > 0);
	reader_end(&first);
	spec.stages = 0;
	spec.ethernet = spec.ip = &nothing;
	spec.ethernet_count = spec.ip_count = 1;
	for (unsigned int i = 0; i < OBSERVERS_MAX - 1; i++)
		reader_begin(&next[i], &spec, p.engine->worker, 1);
	below_wait(&p, 10000000000ull);
	assert_true(ledger_drops_of(&p.engine->worker[0]->ledger, DROP_NEIGH_FAILED) > 0);
	for (unsigned int i = 0; i < OBSERVERS_MAX - 1; i++) {
		while ((record = reader_next(&next[i], 0)))
			fail_msg("observer %u follows kind %u", i, record->kind);
		reader_end(&next[i]);
	}
	below_end(&p);
}

/* What a program sends as a frame begins with Ethernet at port-tx, whatever is in it; ARP's, too.
 */
static void test_frames_at_the_port(void **state)
{
	struct observer_spec spec = READER_SPEC(1u << STAGE_PORT_TX);
	struct abi_packet h = { .ifindex = WIRE, .len_bytes = 60 };
	struct watch_record *record;
	struct app_sock raw;
	struct program p;
	struct reader r;

	below_begin(&p, true);
	reader_begin(&r, &spec, p.engine->worker, 1);
	assert_int_equal(below_packet_socket(&p, SOCK_RAW, ETH_P_ALL, &raw), 0);
	memset(frame, 0x45, 60);
	assert_int_equal(below_send(&p, raw, &h, frame), 0);
	record = reader_next(&r, 0);
	assert_non_null(record);
	assert_int_equal(record->link, WATCH_LINK_ETHERNET);
	assert_int_equal(record->ifindex, WIRE);
	assert_memory_equal(record->data, frame, 60);
	put_ping(p.port);
	below_settle(&p);
	record = reader_next(&r, 0); /* who has the pinger? */
	assert_non_null(record);
	assert_int_equal(record->link, WATCH_LINK_ETHERNET);
	assert_int_equal(record->data[13], ETH_P_ARP & 0xff);
	assert_null(reader_next(&r, 0));
	reader_end(&r);
	below_end(&p);
}

static void settle_both(struct engine *engine)
{
	while (engine_poll(engine, 0, engine->worker[0]->now_ns) +
	       engine_poll(engine, 1, engine->worker[1]->now_ns))
		;
}

/* Nobody has its socket: worker 0 hands it to worker 1, which drops it; the number stays. */
static void test_over_workers(void **state)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "128", NULL };
	struct engine_config config = { .workers = 2,
					.packets = 4096,
					.eal_args = args,
					.virtual_time = true,
					.seed = TEST_SEED,
					.now_ns = TEST_START_NS };
	struct observer_spec spec = READER_SPEC(1u << STAGE_PORT_RX);
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(US));
	char error[ENGINE_ERROR_BYTES] = "";
	struct watch_record *record;
	struct engine *engine;
	struct frame_spec f;
	struct reader r;
	uint32_t ids[4];

	if (engine_open(&config, &engine, error))
		fail_msg("%s", error);
	assert_int_equal(engine_port_add(engine, "wire,queues=2", error), 2);
	assert_int_equal(engine_addr_add(engine, 2, &addr, 24), 0);
	settle_both(engine);
	spec.follow = true;
	spec.drops = true;
	reader_begin(&r, &spec, engine->worker, 2);
	f = to_us(engine->port[1]);
	for (int i = 0; i < 4; i++) {
		wire_put_queue(engine->port[1], i % 2, frame,
			       frame_udp(frame, &f, 1, (uint16_t)(90 + i), "x", 1));
		settle_both(engine);
		record = reader_next(&r, i % 2);
		assert_int_equal(record->kind, WATCH_PACKET);
		ids[i] = record->id;
		reader_drain(&r, i % 2); /* what was decided there */
		do
			record = reader_next(&r, 1 - i % 2);
		while (record && record->kind == WATCH_NOTE);
		assert_non_null(record);
		assert_int_equal(record->kind, WATCH_DROP);
		assert_int_equal(record->code, DROP_NO_SOCKET);
		assert_int_equal(record->id, ids[i]);
		assert_true(record->path & 1u << STAGE_STEER);
		for (int k = 0; k < i; k++)
			assert_true(ids[k] != ids[i]);
	}
	assert_int_equal(reader_drops(&r, DROP_NO_SOCKET), 4);
	reader_end(&r);
	engine_close(engine);
}

/* A copy is followed as its original is, by a number of its own. */
static void test_copies(void **state)
{
	struct observer_spec spec = READER_SPEC(1u << STAGE_ETH_INPUT);
	struct worker *w = test_worker();
	struct pkt *p = pkt_alloc(w), *copy;
	struct watch_record *record;
	struct reader r;

	spec.follow = true;
	reader_begin(&r, &spec, &w, 1);
	pkt_append(w, p, "0123456789abcdef", 16);
	stage_enter_one(w, STAGE_ETH_INPUT, p);
	copy = pkt_copy(w, p);
	assert_true(copy->follow_id && copy->follow_id != p->follow_id);
	pkt_consume(w, copy, FATE_DELIVERED);
	pkt_reborn(w, p);
	assert_int_equal(p->followed, 0);
	pkt_consume(w, p, FATE_TRANSMITTED); /* another packet by now */
	record = reader_next(&r, 0);
	assert_int_equal(record->kind, WATCH_PACKET);
	record = reader_next(&r, 0);
	assert_int_equal(record->kind, WATCH_NOTE);
	assert_int_equal(record->code, WATCH_NOTE_MADE_FROM);
	assert_int_equal(record->arg[0], 1);
	record = reader_next(&r, 0);
	assert_int_equal(record->kind, WATCH_END);
	assert_int_equal(record->code, FATE_DELIVERED);
	assert_int_equal(record->id, 2);
	record = reader_next(&r, 0);
	assert_int_equal(record->code, FATE_ABSORBED);
	assert_int_equal(record->id, 1);
	assert_null(reader_next(&r, 0));
	reader_end(&r);
	test_worker_done(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_to_its_end),
		cmocka_unit_test(test_only_what_is_wanted),
		cmocka_unit_test(test_it_goes_while_packets_are_held),
		cmocka_unit_test(test_frames_at_the_port),
		cmocka_unit_test(test_over_workers),
		cmocka_unit_test(test_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
