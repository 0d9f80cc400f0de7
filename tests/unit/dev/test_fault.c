/* SPDX-License-Identifier: BSD-3-Clause */
/* The fault link around a wire, in virtual time. */
#include "dev_testing.h"

#include "dev/fault.h"

#define MS 1000000ull

static uint8_t frame[2048];

static int setup(void **state)
{
	*state = test_worker_sized(8192);
	return 0;
}

static int teardown(void **state)
{
	test_worker_done(*state);
	return 0;
}

/* Send frames tagged from..to, one after the other. */
static void send_tags(struct worker *w, struct port *port, uint32_t from, uint32_t to, uint32_t len)
{
	for (uint32_t i = from; i < to; i++)
		port_send(w, port, dev_raw(w, len, i));
	port_flush(w, port);
	test_ledger(w);
}

static struct fault_stats stats_of(struct port *port, bool in)
{
	struct fault_stats stats;

	assert_int_equal(fault_stats(port, in, &stats), 0);
	return stats;
}

/* Let time go on from event to event until nothing is left; the frames' tags in order. */
static unsigned int drain(struct worker *w, struct port *port, uint32_t *tags, uint64_t *when)
{
	struct pkt *pkts[PORT_BURST];
	unsigned int n = 0;

	for (;;) {
		uint64_t next = port->ops->next_ns(port, 0);
		size_t len;

		if (next != TIMER_NEVER && next > w->now_ns)
			w->now_ns = next;
		assert_int_equal(port_rx(w, port, 0, pkts, PORT_BURST), 0);
		while ((len = wire_take(port, frame, sizeof(frame)))) {
			if (tags)
				tags[n] = dev_tag(frame, len);
			if (when)
				when[n] = w->now_ns;
			n++;
		}
		if (next == TIMER_NEVER)
			return n;
	}
}

static void test_transparent(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,seed=1:wire,mtu=1400,csum=1,tso=1");
	struct pkt *p;

	assert_int_equal(port->mtu_bytes, 1400);
	assert_int_equal(port->caps, 0); /* frames as on a wire */
	send_tags(w, port, 0, 100, 60);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(wire_take(port, frame, sizeof(frame)), 60);
		assert_int_equal(dev_tag(frame, 60), i);
	}
	assert_int_equal(wire_put(port, frame, 60), 0);
	assert_int_equal(port_rx(w, port, 0, &p, 1), 1);
	assert_int_equal(p->ifindex, 7);
	assert_false(p->flags & PKT_F_CSUM_OK);
	pkt_consume(w, p, FATE_ABSORBED);
	port_close(port);
}

/* The same seed loses the same frames; another one loses others; about as many as were asked for.
 */
static void test_loss(void **state)
{
	static uint32_t tags[3][10000];
	static const char *const specs[] = { "fault,loss=0.02,seed=5:wire",
					     "fault,loss=0.02,seed=5:wire",
					     "fault,loss=0.02,seed=6:wire" };
	struct worker *w = *state;
	unsigned int count[3] = { 0 };

	for (unsigned int run = 0; run < 3; run++) {
		struct port *port = dev_port(w, specs[run]);
		uint64_t before = test_drops(w, LINK_LOSS);

		for (uint32_t i = 0; i < 10000; i += 100) {
			send_tags(w, port, i, i + 100, 60);
			count[run] += drain(w, port, &tags[run][count[run]], NULL);
		}
		/* 200 expected, standard deviation 14: five of them either way */
		assert_in_range(10000 - count[run], 130, 270);
		assert_int_equal(stats_of(port, false).lost, 10000 - count[run]);
		assert_int_equal(test_drops(w, LINK_LOSS) - before, 10000 - count[run]);
		port_close(port);
	}
	assert_int_equal(count[0], count[1]);
	assert_memory_equal(tags[0], tags[1], count[0] * sizeof(tags[0][0]));
	assert_true(count[0] != count[2] || memcmp(tags[0], tags[2], count[0] * 4));
}

static void test_all_lost(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,loss=1:wire");
	struct pkt *p;

	send_tags(w, port, 0, 50, 60);
	assert_int_equal(wire_waiting(port), 0);
	assert_int_equal(wire_put(port, frame, 60), 0);
	assert_int_equal(port_rx(w, port, 0, &p, 1), 0);
	assert_int_equal(test_drops(w, LINK_LOSS), 51);
	assert_int_equal(stats_of(port, true).lost, 1);
	port_close(port);
}

static void test_dup(void **state)
{
	static uint32_t tags[4000];
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,dup=0.5:wire");
	unsigned int n, twice = 0;

	send_tags(w, port, 0, 1000, 60);
	n = drain(w, port, tags, NULL);
	for (unsigned int i = 1; i < n; i++)
		twice += tags[i] == tags[i - 1];
	assert_int_equal(n, 1000 + twice);
	assert_in_range(twice, 400, 600);
	assert_int_equal(stats_of(port, false).duplicated, twice);
	assert_int_equal(w->ledger.originated, n);
	port_close(port);
}

/* Delay with jitter: within its bounds, in order. */
static void test_delay(void **state)
{
	static uint32_t tags[1000];
	static uint64_t when[1000];
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,delay_us=10000,jitter_us=2000:wire");
	uint64_t start = w->now_ns;
	bool varied = false;

	send_tags(w, port, 0, 1, 60);
	assert_int_equal(w->ledger.held, 1);
	assert_int_equal(wire_waiting(port), 0);
	assert_in_range(port->ops->next_ns(port, 0) - start, 8 * MS, 12 * MS);
	assert_int_equal(drain(w, port, tags, NULL), 1);
	for (uint32_t i = 0; i < 1000; i++) {
		start = w->now_ns;
		send_tags(w, port, i, i + 1, 60);
		assert_int_equal(drain(w, port, tags, when), 1);
		assert_in_range(when[0] - start, 8 * MS, 12 * MS);
		varied |= when[0] - start < 9 * MS;
	}
	assert_true(varied);
	send_tags(w, port, 0, 1000, 60);
	assert_int_equal(drain(w, port, tags, NULL), 1000);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(tags[i], i);
	port_close(port);
}

/* A jitter larger than the delay cannot bring a frame before it was sent. */
static void test_jitter_alone(void **state)
{
	static uint64_t when[200];
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,jitter_us=500:wire");

	for (unsigned int i = 0; i < 200; i++) {
		uint64_t start = w->now_ns;

		send_tags(w, port, i, i + 1, 60);
		assert_int_equal(drain(w, port, NULL, when), 1);
		assert_in_range(when[0] - start, 0, MS / 2);
	}
	port_close(port);
}

static void test_reorder(void **state)
{
	static uint32_t tags[1000];
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,reorder=0.1,reorder_us=3000:wire");
	unsigned int late = 0, n = 0;
	uint32_t seen[1000] = { 0 };

	/* A frame each millisecond: one that is held back is overtaken by three. */
	for (uint32_t i = 0; i < 1000; i++) {
		size_t len;

		send_tags(w, port, i, i + 1, 60);
		while ((len = wire_take(port, frame, sizeof(frame))))
			tags[n++] = dev_tag(frame, len);
		w->now_ns += MS;
	}
	n += drain(w, port, &tags[n], NULL);
	assert_int_equal(n, 1000);
	for (unsigned int i = 0; i < n; i++) {
		seen[tags[i]]++;
		late += i && tags[i] < tags[i - 1];
	}
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(seen[i], 1);
	assert_in_range(stats_of(port, false).reordered, 60, 140);
	assert_in_range(late, 40, 140);
	port_close(port);
}

/* Every frame arrives, some with one to three bits other than they were. */
static void test_corrupt(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,corrupt=0.25:wire");
	uint8_t original[200];
	unsigned int bad = 0;
	size_t len;

	for (unsigned int i = 0; i < sizeof(original); i++)
		original[i] = dev_byte(i);
	for (unsigned int i = 0; i < 2000; i++) {
		struct pkt *p = pkt_alloc(w);
		unsigned int flips = 0;

		assert_int_equal(pkt_append(w, p, original, sizeof(original)), 0);
		port_send(w, port, p);
		port_flush(w, port);
		len = wire_take(port, frame, sizeof(frame));
		assert_int_equal(len, sizeof(original));
		for (unsigned int b = 0; b < len; b++)
			flips += (unsigned int)__builtin_popcount(frame[b] ^ original[b]);
		assert_in_range(flips, 0, 3);
		bad += flips > 0;
	}
	assert_in_range(bad, 400, 600);
	assert_in_range(stats_of(port, false).corrupted - bad, 0, 5); /* two flips of one bit */
	port_close(port);
}

/* 10 Mbit/s: 1250-byte frames leave a millisecond apart; ten wait, more are dropped. */
static void test_rate(void **state)
{
	static uint32_t tags[100];
	static uint64_t when[100];
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,rate_mbit=10,queue=10,delay_us=5000:wire");
	uint64_t start = w->now_ns;

	send_tags(w, port, 0, 15, 1250);
	assert_int_equal(test_drops(w, LINK_QUEUE), 5);
	assert_int_equal(stats_of(port, false).queue_full, 5);
	assert_int_equal(w->ledger.held, 10);
	assert_int_equal(stats_of(port, false).waiting, 10);
	assert_int_equal(drain(w, port, tags, when), 10);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(tags[i], i);
		assert_int_equal(when[i] - start, (i + 1) * MS + 5 * MS);
	}
	/* An idle link has not saved up time. */
	w->now_ns += 1000 * MS;
	start = w->now_ns;
	send_tags(w, port, 0, 2, 1250);
	assert_int_equal(drain(w, port, tags, when), 2);
	assert_int_equal(when[1] - start, 7 * MS);
	port_close(port);
}

/* Received frames go through a line of their own. */
static void test_direction(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,delay_us=1000,dir=in:wire");
	struct pkt *p;

	send_tags(w, port, 0, 5, 60);
	assert_int_equal(wire_waiting(port), 5);
	assert_int_equal(wire_put(port, frame, 60), 0);
	assert_int_equal(port_rx(w, port, 0, &p, 1), 0);
	test_ledger(w);
	assert_int_equal(w->ledger.held, 1);
	assert_int_equal(w->ledger.entered, 1);
	assert_int_equal(port->ops->next_ns(port, 0), w->now_ns + MS);
	w->now_ns += MS - 1;
	assert_int_equal(port_rx(w, port, 0, &p, 1), 0);
	w->now_ns += 1;
	assert_int_equal(port_rx(w, port, 0, &p, 1), 1);
	pkt_consume(w, p, FATE_ABSORBED);
	port_close(port);
}

/* Everything at once, both ways: what came in went out, was dropped, or is held. */
static void test_conservation(void **state)
{
	struct worker *w = *state;
	struct port *port =
		dev_port(w, "fault,loss=0.05,dup=0.05,reorder=0.05,corrupt=0.05,"
			    "delay_us=300,jitter_us=200,rate_mbit=100,queue=50,seed=99:wire");
	struct pkt *pkts[PORT_BURST];
	struct fault_stats in, out;
	uint64_t received = 0, taken = 0;

	for (unsigned int round = 0; round < 2000; round++) {
		uint16_t n;

		send_tags(w, port, round, round + worker_random(w) % 5,
			  60 + worker_random(w) % 1400);
		assert_int_equal(wire_put(port, frame, 14 + worker_random(w) % 1500), 0);
		w->now_ns += worker_random(w) % 200000;
		n = port_rx(w, port, 0, pkts, PORT_BURST);
		for (uint16_t i = 0; i < n; i++)
			pkt_consume(w, pkts[i], FATE_DELIVERED);
		received += n;
		test_ledger(w);
		while (wire_take(port, frame, sizeof(frame)))
			taken++;
	}
	in = stats_of(port, true);
	out = stats_of(port, false);
	assert_int_equal(in.frames, 2000);
	assert_int_equal(in.frames + in.duplicated,
			 received + in.lost + in.queue_full + in.waiting);
	assert_int_equal(out.frames + out.duplicated,
			 taken + out.lost + out.queue_full + out.waiting);
	assert_int_equal(w->ledger.held, in.waiting + out.waiting);
	assert_true(in.waiting + out.waiting > 0);
	assert_true(in.lost && in.duplicated && in.reordered && in.corrupted && out.lost);
	port_close(port); /* with frames on the way: PORT_DOWN */
	assert_int_equal(test_drops(w, PORT_DOWN), in.waiting + out.waiting);
}

/* The port below is full: frames wait in the line, in order. */
static void test_full_below(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,seed=1:wire");

	send_tags(w, port, 0, 4096 + 200, 60);
	assert_int_equal(w->ledger.held, 200);
	assert_true(port->ops->next_ns(port, 0) <= w->now_ns);
	for (uint32_t i = 0; i < 4096 + 200; i++) {
		struct pkt *p;

		assert_int_equal(wire_take(port, frame, sizeof(frame)), 60);
		assert_int_equal(dev_tag(frame, 60), i);
		assert_int_equal(port_rx(w, port, 0, &p, 1), 0);
	}
	port_close(port);
}

/* Links may be stacked; the wire is found below them. */
static void test_stacked(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "fault,delay_us=10:fault,delay_us=20:wire");
	struct fault_stats stats;
	struct port *wire;

	send_tags(w, port, 0, 1, 60);
	assert_int_equal(drain(w, port, NULL, NULL), 1);
	assert_int_equal(w->now_ns, TEST_START_NS + 30000);
	port_close(port);
	wire = dev_port(w, "wire");
	assert_int_equal(fault_stats(wire, true, &stats), -EINVAL);
	port_close(wire);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_transparent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loss, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_jitter_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reorder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_corrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_direction, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conservation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_below, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stacked, setup, teardown),
	};

	return cmocka_run_group_tests_name("fault", tests, test_eal, NULL);
}
