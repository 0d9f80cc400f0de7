/* SPDX-License-Identifier: BSD-3-Clause */
/* One worker, packets by hand: what an observer wants, counts, writes and loses. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/frames.h"
#include "reader.h"

#define PEER FRAME_IP(198, 18, 0, 1)
#define US FRAME_IP(198, 18, 0, 2)
#define RX (1u << STAGE_PORT_RX)
#define N(x) (sizeof(x) / sizeof((x)[0]))

/* "udp" for frames and for IP, as libpcap makes it (without IPv6). */
static const struct sock_filter udp_eth[] = {
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x800, 0, 3),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 65535),	BPF_STMT(BPF_RET | BPF_K, 0),
};
static const struct sock_filter udp_ip[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 65535),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static void filter_udp(struct observer_spec *spec)
{
	spec->ethernet = udp_eth;
	spec->ethernet_count = N(udp_eth);
	spec->ip = udp_ip;
	spec->ip_count = N(udp_ip);
}

/* A frame that came from interface 2, at the beginning of port-rx. */
static struct pkt *came(struct worker *w, const uint8_t *frame, size_t len)
{
	struct pkt *p;

	assert_int_equal(pkt_alloc_raw(w, &p, 1), 0);
	assert_int_equal(pkt_append(w, p, frame, (uint32_t)len), 0);
	pkt_entered(w, &p, 1, 2);
	stage_mark(w, STAGE_PORT_RX, &p, 1);
	stage_show(w, STAGE_PORT_RX, 2, &p, 1);
	return p;
}

static struct pkt *came_udp(struct worker *w, uint16_t port, size_t payload)
{
	static uint8_t frame[FRAME_ROOM], data[FRAME_ROOM];
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US };

	return came(w, frame, frame_udp(frame, &spec, 1000, port, data, payload));
}

static struct pkt *came_ping(struct worker *w)
{
	static uint8_t frame[FRAME_ROOM];
	struct frame_spec spec = { .src_ip = PEER, .dst_ip = US };

	return came(w, frame, frame_icmp(frame, &spec, 8, 0, 0x10001, "ping", 4));
}

static void test_what_is_refused(void **state)
{
	struct worker *w = test_worker();
	struct observer_spec good = READER_SPEC(RX), bad;
	struct observer *o;

	static const uint32_t rings[] = { 0,
					  1,
					  WATCH_RING_MIN_BYTES / 2,
					  WATCH_RING_MIN_BYTES + 8,
					  WATCH_RING_MAX_BYTES * 2,
					  UINT32_MAX };
	for (size_t i = 0; i < N(rings); i++) {
		bad = good;
		bad.ring_bytes = rings[i];
		assert_int_equal(observer_new(&bad, &w, 1, &o), -EINVAL);
	}
	bad = good;
	bad.snap_bytes = WATCH_SNAP_MAX_BYTES + 1;
	assert_int_equal(observer_new(&bad, &w, 1, &o), -EINVAL);
	bad = good;
	bad.stages = 1u << STAGE_MAX;
	assert_int_equal(observer_new(&bad, &w, 1, &o), -EINVAL);
	/* One filter alone, and a filter that leads out of itself. */
	bad = good;
	bad.ethernet = udp_eth;
	bad.ethernet_count = N(udp_eth);
	assert_int_equal(observer_new(&bad, &w, 1, &o), -EINVAL);
	bad.ip = udp_ip;
	bad.ip_count = N(udp_ip) - 1;
	bad.ethernet_count = 3;
	assert_int_equal(observer_new(&bad, &w, 1, &o), -EINVAL);
	/* None of them is in the way of the next. */
	for (unsigned int i = 0; i < 2 * OBSERVERS_MAX; i++) {
		assert_int_equal(observer_new(&good, &w, 1, &o), 0);
		observer_free(o);
	}
	observer_free(NULL);
	test_worker_done(w);
}

static void test_eight_and_no_more(void **state)
{
	struct worker *w = test_worker();
	struct observer_spec spec = READER_SPEC(RX);
	struct reader r[OBSERVERS_MAX];
	struct observer *ninth;

	for (unsigned int i = 0; i < OBSERVERS_MAX; i++)
		reader_begin(&r[i], &spec, &w, 1);
	assert_int_equal(observer_new(&spec, &w, 1, &ninth), -EUSERS);
	pkt_consume(w, came_udp(w, 7, 10), FATE_ABSORBED);
	for (unsigned int i = 0; i < OBSERVERS_MAX; i++)
		assert_int_equal(reader_drain(&r[i], 0), 1);
	reader_end(&r[3]);
	assert_int_equal(observer_new(&spec, &w, 1, &ninth), 0);
	observer_free(ninth);
	pkt_consume(w, came_udp(w, 7, 10), FATE_ABSORBED);
	for (unsigned int i = 0; i < OBSERVERS_MAX; i++) {
		if (i == 3)
			continue;
		assert_int_equal(reader_drain(&r[i], 0), 1);
		reader_end(&r[i]);
	}
	assert_int_equal(w->watched, 0);
	assert_true(w->watchers == NULL);
	test_worker_done(w);
}

static void test_a_record(void **state)
{
	struct worker *w = test_worker();
	struct observer_spec spec = READER_SPEC(RX | 1u << STAGE_UDP_INPUT);
	struct watch_record *record;
	struct reader r;
	struct pkt *p;

	reader_begin(&r, &spec, &w, 1);
	w->wall_offset_ns = 5000;
	p = came_udp(w, 7, 100);
	record = reader_next(&r, 0);
	assert_non_null(record);
	assert_int_equal(record->kind, WATCH_PACKET);
	assert_int_equal(record->stage, STAGE_PORT_RX);
	assert_int_equal(record->ifindex, 2);
	assert_int_equal(record->link, WATCH_LINK_ETHERNET);
	assert_int_equal(record->stamp_ns, w->now_ns + 5000);
	assert_int_equal(record->len_bytes, 142);
	assert_int_equal(record->data_bytes, 64);
	assert_memory_equal(record->data, pkt_data(p), 64);
	assert_int_equal(record->flags, 0);
	assert_int_equal(record->id, 0);
	w->now_ns += 700;
	p->l3 = (uint16_t)(p->l2 + ETH_HDR_BYTES);
	p->flags |= PKT_F_CSUM_PARTIAL | PKT_F_ROUTED | PKT_F_GSO_TCP4;
	stage_enter_one(w, STAGE_IP4_INPUT, p); /* not asked for */
	stage_enter_one(w, STAGE_UDP_INPUT, p);
	record = reader_next(&r, 0);
	assert_non_null(record);
	assert_int_equal(record->stage, STAGE_UDP_INPUT);
	assert_int_equal(record->age_ns, 700);
	assert_int_equal(record->flags, WATCH_F_CSUM_PARTIAL | WATCH_F_ROUTED | WATCH_F_GSO);
	assert_int_equal(record->path,
			 1u << STAGE_PORT_RX | 1u << STAGE_IP4_INPUT | 1u << STAGE_UDP_INPUT);
	assert_null(reader_next(&r, 0));
	pkt_consume(w, p, FATE_ABSORBED);
	assert_null(reader_next(&r, 0));
	reader_end(&r);
	test_worker_done(w);
}

/* Ours: no header, an IP header, a frame. The filter for each. */
static void test_what_it_begins_with(void **state)
{
	struct worker *w = test_worker();
	struct observer_spec spec =
		READER_SPEC(1u << STAGE_UDP_OUTPUT | 1u << STAGE_IP4_OUTPUT | 1u << STAGE_PORT_TX);
	uint8_t frame[FRAME_ROOM];
	struct frame_spec f = { .src_ip = US, .dst_ip = PEER };
	size_t len = frame_udp(frame, &f, 1, 2, "hello", 5);
	struct reader all, udp;
	struct watch_record *record;
	struct pkt *p = pkt_alloc(w);

	reader_begin(&all, &spec, &w, 1);
	filter_udp(&spec);
	reader_begin(&udp, &spec, &w, 1);
	pkt_append(w, p, frame + 42, 5);
	stage_enter_one(w, STAGE_UDP_OUTPUT, p);
	record = reader_next(&all, 0);
	assert_int_equal(record->link, WATCH_LINK_NONE);
	assert_int_equal(record->data_bytes, 0);
	assert_int_equal(record->len_bytes, 5);
	assert_int_equal(record->flags, WATCH_F_ORIGINATED);
	assert_null(reader_next(&udp, 0));
	memcpy(pkt_push(p, 28), frame + 14, 28);
	p->l3 = p->mbuf.data_off;
	stage_enter_one(w, STAGE_IP4_OUTPUT, p);
	for (struct reader *r = &all; r; r = r == &all ? &udp : NULL) {
		record = reader_next(r, 0);
		assert_non_null(record);
		assert_int_equal(record->link, WATCH_LINK_IP);
		assert_int_equal(record->data_bytes, len - 14);
		assert_memory_equal(record->data, frame + 14, len - 14);
	}
	memcpy(pkt_push(p, 14), frame, 14);
	p->l2 = p->mbuf.data_off;
	stage_mark(w, STAGE_PORT_TX, &p, 1);
	stage_show(w, STAGE_PORT_TX, 3, &p, 1);
	for (struct reader *r = &all; r; r = r == &all ? &udp : NULL) {
		record = reader_next(r, 0);
		assert_int_equal(record->link, WATCH_LINK_ETHERNET);
		assert_int_equal(record->ifindex, 3);
		assert_memory_equal(record->data, frame, len);
	}
	assert_int_equal(reader_part(&udp, 0)->seen, 3);
	assert_int_equal(reader_part(&udp, 0)->wanted, 2);
	pkt_consume(w, p, FATE_TRANSMITTED);
	reader_end(&udp);
	reader_end(&all);
	test_worker_done(w);
}

/* Filter, ports and snap length; a chain of segments; nothing of a packet, too. */
static void test_what_is_wanted(void **state)
{
	struct worker *w = test_worker();
	struct observer_spec spec = READER_SPEC(RX);
	struct watch_record *record;
	struct reader udp, other, whole, none;
	struct pkt *p;

	filter_udp(&spec);
	reader_begin(&udp, &spec, &w, 1);
	spec.ports = 1u << 3;
	reader_begin(&other, &spec, &w, 1);
	spec.ports = 1u << 2;
	spec.snap_bytes = WATCH_SNAP_MAX_BYTES;
	reader_begin(&whole, &spec, &w, 1);
	spec.snap_bytes = 0;
	reader_begin(&none, &spec, &w, 1);
	pkt_consume(w, came_ping(w), FATE_ABSORBED);
	p = came_udp(w, 7, 9000);
	assert_true(p->mbuf.nb_segs > 4);
	assert_int_equal(reader_drain(&udp, 0), 1);
	assert_int_equal(reader_part(&udp, 0)->seen, 2);
	assert_int_equal(reader_part(&udp, 0)->wanted, 1);
	assert_int_equal(reader_drain(&other, 0), 0);
	assert_int_equal(reader_part(&other, 0)->seen, 0);
	record = reader_next(&whole, 0);
	assert_int_equal(record->data_bytes, 9042);
	for (uint32_t i = 0; i < 9042; i++) {
		uint8_t byte;

		pkt_copy_out(p, p->mbuf.data_off + i, &byte, 1);
		assert_int_equal(record->data[i], byte);
	}
	record = reader_next(&none, 0);
	assert_int_equal(record->data_bytes, 0);
	assert_int_equal(record->len_bytes, 9042);
	pkt_consume(w, p, FATE_ABSORBED);
	reader_end(&udp);
	reader_end(&other);
	reader_end(&whole);
	reader_end(&none);
	test_worker_done(w);
}

static void test_dropped(void **state)
{
	struct worker *w = test_worker();
	struct observer_spec spec = READER_SPEC(0);
	struct watch_record *record;
	struct reader every, counts, picky;

	spec.drops = true;
	reader_begin(&every, &spec, &w, 1);
	spec.records = false;
	filter_udp(&spec);
	reader_begin(&counts, &spec, &w, 1);
	spec.reasons[DROP_UDP_CSUM / 64] |= 1ull << (DROP_UDP_CSUM & 63);
	spec.records = true;
	reader_begin(&picky, &spec, &w, 1);
	for (int i = 0; i < 10; i++)
		pkt_drop(w, came_udp(w, 7, 10), i < 3 ? DROP_UDP_CSUM : DROP_NO_SOCKET);
	pkt_drop(w, came_ping(w), DROP_ICMP_CSUM);
	assert_int_equal(reader_drops(&every, DROP_UDP_CSUM), 3);
	assert_int_equal(reader_drops(&every, DROP_NO_SOCKET), 7);
	assert_int_equal(reader_drops(&every, DROP_ICMP_CSUM), 1);
	assert_int_equal(reader_drops(&counts, DROP_NO_SOCKET), 7);
	assert_int_equal(reader_drops(&counts, DROP_ICMP_CSUM), 0);
	assert_int_equal(reader_drops(&picky, DROP_UDP_CSUM), 3);
	assert_int_equal(reader_drops(&picky, DROP_NO_SOCKET), 0);
	assert_int_equal(reader_drain(&counts, 0), 0);
	assert_int_equal(reader_drain(&picky, 0), 3);
	record = reader_next(&every, 0);
	assert_int_equal(record->kind, WATCH_DROP);
	assert_int_equal(record->code, DROP_UDP_CSUM);
	assert_string_equal(drop_site(record->site)->function, __func__);
	assert_true(record->pc > 0);
	assert_int_equal(watch_site_of(every.area, 0, record->site)->pc, record->pc);
	assert_int_equal(watch_site_of(every.area, 0, record->site)->path, RX);
	assert_int_equal(reader_drain(&every, 0), 10);
	reader_end(&every);
	reader_end(&counts);
	reader_end(&picky);
	test_worker_done(w);
}

/* Records of any size, many times around the ring, at every distance of its reader. */
static void test_around_the_ring(void **state)
{
	struct worker *w = test_worker();
	struct observer_spec spec = READER_SPEC(RX);
	uint64_t written = 0, seen = 0;
	struct watch_record *record;
	struct reader r;

	spec.snap_bytes = WATCH_SNAP_MAX_BYTES;
	reader_begin(&r, &spec, &w, 1);
	for (unsigned int i = 0; i < 4000; i++) {
		unsigned int burst = 1 + worker_random(w) % 20;

		for (unsigned int k = 0; k < burst; k++) {
			size_t payload = 8 + worker_random(w) % (k == 0 ? 9000 : 300);
			uint8_t data[9008], frame[9100];
			struct frame_spec f = { .src_ip = PEER, .dst_ip = US };

			memset(data, (int)(written & 0xff), payload);
			memcpy(data, &written, 8);
			pkt_consume(w, came(w, frame, frame_udp(frame, &f, 1, 2, data, payload)),
				    FATE_ABSORBED);
			written++;
		}
		if (i % 7 == 0)
			continue;
		while ((record = reader_next(&r, 0))) {
			uint64_t number;

			memcpy(&number, record->data + 42, 8);
			assert_int_equal(number, seen);
			assert_int_equal(record->data_bytes, record->len_bytes);
			for (uint32_t at = 50; at < record->data_bytes; at++)
				assert_int_equal(record->data[at], number & 0xff);
			seen++;
		}
	}
	reader_drain(&r, 0);
	assert_int_equal(reader_part(&r, 0)->lost, 0);
	assert_true(reader_part(&r, 0)->head > 100ull * WATCH_RING_MIN_BYTES);
	reader_end(&r);
	test_worker_done(w);
}

/* Nobody reads: what finds no room is counted, what is there stays whole, and it goes on after. */
static void test_a_full_ring(void **state)
{
	struct worker *w = test_worker();
	struct observer_spec spec = READER_SPEC(RX);
	struct reader r;
	unsigned int read = 0;

	spec.drops = true;
	reader_begin(&r, &spec, &w, 1);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 5000; i++)
			pkt_drop(w, came_udp(w, 7, 30), DROP_NO_SOCKET);
		read += reader_drain(&r, 0);
		assert_int_equal(read + reader_part(&r, 0)->lost, (round + 1) * 10000);
	}
	assert_true(read >= 5 * 1500 && reader_part(&r, 0)->lost > 10000);
	assert_int_equal(reader_drops(&r, DROP_NO_SOCKET), 25000);
	assert_int_equal(reader_part(&r, 0)->wanted, 50000);
	reader_end(&r);
	test_worker_done(w);
}

/* The watcher writes what it likes, wherever it likes, while packets flow. */
static void test_a_hostile_watcher(void **state)
{
	struct worker *w = test_worker();
	struct observer_spec spec = READER_SPEC(RX);
	struct reader r, honest;

	spec.drops = true;
	spec.follow = true;
	spec.snap_bytes = WATCH_SNAP_MAX_BYTES;
	reader_begin(&r, &spec, &w, 1);
	spec.snap_bytes = 0;
	reader_begin(&honest, &spec, &w, 1);
	for (int i = 0; i < 20000; i++) {
		uint32_t *words = (uint32_t *)r.area;
		struct watch_part *part = reader_part(&honest, 0);

		for (int k = 0; k < 16; k++)
			words[worker_random(w) % (r.bytes / 4)] = worker_random(w);
		if (i % 3 == 0) /* near the end of its ring, far off, ahead */
			((struct watch_part *)((uint8_t *)r.area + 4096))->tail =
				worker_random(w) % 2 ? worker_random(w)
						     : UINT64_MAX - worker_random(w) % 64;
		if (i % 2000 == 0)
			memset((uint8_t *)r.area, i / 2000 % 2 ? 0xff : 0, r.bytes);
		pkt_drop(w, came_udp(w, 7, worker_random(w) % 3000), DROP_NO_SOCKET);
		part->tail = part->head;
	}
	assert_int_equal(reader_drops(&honest, DROP_NO_SOCKET), 20000);
	assert_int_equal(reader_part(&honest, 0)->lost, 0);
	assert_int_equal(test_drops(w, NO_SOCKET), 20000);
	observer_stop(r.o);
	observer_free(r.o);
	munmap(r.area, r.bytes);
	reader_end(&honest);
	test_worker_done(w);
}

/* Neither side can make the other fault. */
static void test_the_memory_is_sealed(void **state)
{
	struct worker *w = test_worker();
	struct observer_spec spec = READER_SPEC(RX);
	struct reader r;

	reader_begin(&r, &spec, &w, 1);
	assert_int_equal(ftruncate(observer_fd(r.o), 0), -1);
	assert_int_equal(ftruncate(observer_fd(r.o), (off_t)r.bytes * 2), -1);
	reader_end(&r);
	test_worker_done(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_eight_and_no_more),
		cmocka_unit_test(test_a_record),
		cmocka_unit_test(test_what_it_begins_with),
		cmocka_unit_test(test_what_is_wanted),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_around_the_ring),
		cmocka_unit_test(test_a_full_ring),
		cmocka_unit_test(test_a_hostile_watcher),
		cmocka_unit_test(test_the_memory_is_sealed),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
