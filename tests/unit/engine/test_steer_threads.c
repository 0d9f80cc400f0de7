/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mailboxes between worker threads, under TSan too (suite threads): packets that nobody knows go
 * round all workers, fragments to the one that puts them together. Real time, but nothing waits for
 * it to pass.
 */
#include <sched.h>
#include <string.h>

#include "common/frames.h"
#include "common/testing.h"
#include "dev/wire.h"
#include "engine/engine.h"

#define US FRAME_IP(198, 18, 0, 2)
#define PEER FRAME_IP(198, 18, 0, 1)
#define WORKERS 3u
#define ROUNDS 200u
#define TRIES 200000u

static uint8_t frame[FRAME_ROOM];

static struct engine *start(unsigned int spin_us)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "128", NULL };
	struct engine_config config = {
		.workers = WORKERS, .packets = 2048, .eal_args = args, .seed = TEST_SEED
	};
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(US));
	char error[ENGINE_ERROR_BYTES] = "";
	struct engine *engine;

	log_set_level(LOG_LEVEL_ERROR);
	if (engine_open(&config, &engine, error))
		fail_msg("%s", error);
	assert_int_equal(engine_port_add(engine, "wire,queues=3", error), 2);
	assert_int_equal(engine_addr_add(engine, 2, &addr, 24), 0);
	assert_int_equal(engine_start(engine, spin_us), 0);
	return engine;
}

static struct frame_spec spec_to_us(struct port *wire)
{
	static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct frame_spec s = { .src_ip = PEER, .dst_ip = US, .ttl = 64 };

	memcpy(s.dst_mac, wire->mac, 6);
	memcpy(s.src_mac, peer_mac, 6);
	return s;
}

/* Parked: one datagram for nobody, and one in two fragments, on each queue. */
static void put_round(struct port *wire, uint16_t round)
{
	uint8_t datagram[1024 + UDP_HDR_BYTES] = { 0 };
	struct frame_spec s = spec_to_us(wire);
	size_t len;

	for (unsigned int q = 0; q < WORKERS; q++) {
		s.frag = 0;
		len = frame_udp(frame, &s, 5000, 81, "x", 1);
		assert_int_equal(wire_put_queue(wire, q, frame, len), 0);
		len = frame_udp_datagram(datagram, PEER, US, 5000, 82, frame, 1024);
		s.id = (uint16_t)(round * WORKERS + q);
		s.frag = IP4_MF;
		assert_int_equal(wire_put_queue(wire, q, frame,
						frame_ip4(frame, &s, IP_PROTO_UDP, datagram, 512)),
				 0);
		s.frag = 512 / 8;
		assert_int_equal(wire_put_queue(wire, (q + 1) % WORKERS, frame,
						frame_ip4(frame, &s, IP_PROTO_UDP, datagram + 512,
							  len - 512)),
				 0);
	}
}

/* Parked: the sum balances exactly, whatever is on its way. Returns the datagrams that have ended.
 */
static uint64_t look(struct engine *engine)
{
	struct ledger sum;
	uint64_t ended;

	assert_int_equal(ledger_init(&sum), 0);
	engine_ledger(engine, &sum);
	assert_int_equal(ledger_balance(&sum), 0);
	ended = ledger_drops_of(&sum, DROP_NO_SOCKET);
	assert_int_equal(ledger_drops_of(&sum, DROP_CPU_BACKLOG), 0);
	ledger_free(&sum);
	return ended;
}

static void run(unsigned int spin_us)
{
	struct engine *engine = start(spin_us);
	struct port *wire = engine->port[1];
	uint64_t put = 0, ended = 0;
	unsigned int round = 0;

	for (unsigned int i = 0; i < TRIES && (round < ROUNDS || ended < put); i++) {
		engine_park(engine);
		ended = look(engine);
		if (round < ROUNDS && put - ended < 60) {
			put_round(wire, (uint16_t)round++);
			put += 2 * (uint64_t)WORKERS;
		}
		frame_take_all(wire);
		engine_unpark(engine);
		sched_yield();
	}
	assert_int_equal(ended, put);
	engine_stop(engine);
	assert_int_equal(look(engine), put);
	engine_close(engine);
}

static void test_spinning(void **state)
{
	run(1000000);
}

static void test_sleeping(void **state)
{
	run(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spinning),
		cmocka_unit_test(test_sleeping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
