/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of one and of many segments, against a plain array of bytes. */
#include "common/testing.h"

#include <errno.h>
#include <string.h>

#include "wire/csum.h"

#define MODEL_BYTES 20000u

static uint8_t model[MODEL_BYTES];

static int setup(void **state)
{
	struct worker *w = test_worker_sized(256);

	for (unsigned int i = 0; i < MODEL_BYTES; i++)
		model[i] = (uint8_t)worker_random(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	test_worker_done(*state);
	return 0;
}

/* The packet holds len bytes of the model from its beginning, and its segments add up. */
static void check(const struct pkt *p, const uint8_t *expected, uint32_t len)
{
	static uint8_t out[MODEL_BYTES];
	const char *reason;

	assert_int_equal(pkt_len(p), len);
	assert_int_equal(rte_mbuf_check(&p->mbuf, 1, &reason), 0);
	pkt_copy_out(p, p->mbuf.data_off, out, len);
	assert_memory_equal(out, expected, len);
}

static void test_alloc(void **state)
{
	struct worker *w = *state;
	struct pkt *p = pkt_alloc(w);

	assert_int_equal(pkt_len(p), 0);
	assert_int_equal(p->mbuf.data_off, PKT_HEADROOM_BYTES);
	assert_true(rte_pktmbuf_tailroom(&p->mbuf) >= PKT_ROOM_BYTES);
	assert_int_equal(p->l2, PKT_HEADROOM_BYTES);
	assert_int_equal(p->l7, PKT_HEADROOM_BYTES);
	assert_int_equal(p->flags, 0);
	assert_int_equal(p->stamp_ns, w->now_ns);
	/* What a packet leaves behind is not found by the next one in the same buffer. */
	memset(&p->path, 0xff, PKT_PRIV_BYTES);
	pkt_consume(w, p, FATE_ABSORBED);
	p = pkt_alloc(w);
	assert_int_equal(p->path, 0);
	assert_null(p->next);
	assert_int_equal(p->user[1], 0);
	pkt_consume(w, p, FATE_ABSORBED);
}

static void test_raw(void **state)
{
	struct worker *w = *state;
	struct pkt *pkts[32], *all[256];
	uint64_t failed;

	assert_int_equal(pkt_alloc_raw(w, pkts, 32), 0);
	assert_int_equal(ledger_balance(&w->ledger), 0); /* not packets yet */
	pkts[3]->mbuf.data_off = 64;
	memset(&pkts[3]->path, 0xff, PKT_PRIV_BYTES);
	pkt_entered(w, pkts, 8, 7);
	assert_int_equal(w->ledger.entered, 8);
	assert_int_equal(pkts[3]->flags, PKT_F_ENTERED);
	assert_int_equal(pkts[3]->ifindex, 7);
	assert_int_equal(pkts[3]->l2, 64);
	assert_int_equal(pkts[3]->path, 0);
	pkt_free_raw(pkts + 8, 24);
	pkt_consume_burst(w, pkts, 8, FATE_ABSORBED);
	failed = w->ledger.alloc_failed;
	assert_int_equal(pkt_alloc_raw(w, all, 257), -ENOMEM);
	assert_int_equal(w->ledger.alloc_failed, failed + 257);
	assert_int_equal(pkt_alloc_raw(w, all, 256), 0);
	assert_null(pkt_alloc(w));
	assert_int_equal(w->ledger.alloc_failed, failed + 258);
	pkt_free_raw(all, 256);
}

static void test_header(void **state)
{
	struct worker *w = *state;
	struct pkt *p = pkt_alloc(w);
	uint16_t at = p->mbuf.data_off;

	assert_int_equal(pkt_append(w, p, model, 40), 0);
	assert_ptr_equal(pkt_header(p, at, 40), pkt_data(p));
	assert_null(pkt_header(p, at, 41));
	assert_non_null(pkt_header(p, (uint16_t)(at + 20), 20));
	assert_null(pkt_header(p, (uint16_t)(at + 20), 21));
	assert_non_null(pkt_header(p, (uint16_t)(at + 40), 0));
	assert_null(pkt_header(p, (uint16_t)(at + 41), 0));
	assert_null(pkt_header(p, (uint16_t)(at - 1), 1));
	assert_null(pkt_header(p, at, UINT32_MAX));
	assert_null(pkt_header(p, UINT16_MAX, 1));
	assert_int_equal(pkt_len_from(p, (uint16_t)(at + 10)), 30);
	assert_non_null(pkt_push(p, 14));
	assert_int_equal(pkt_len(p), 54);
	assert_null(pkt_push(p, 115));
	assert_non_null(pkt_push(p, 114));
	assert_null(pkt_push(p, 1));
	pkt_consume(w, p, FATE_ABSORBED);
}

/* Any pieces, any lengths: the bytes and their checksum are those of the model. */
static void test_random_appends(void **state)
{
	struct worker *w = *state;

	for (unsigned int round = 0; round < 500; round++) {
		struct pkt *p = pkt_alloc(w), *copy;
		uint32_t len = 0, cut, from;

		while (worker_random(w) % 8) {
			uint32_t piece = worker_random(w) % 3000;

			if (len + piece > MODEL_BYTES)
				break;
			assert_int_equal(pkt_append(w, p, model + len, piece), 0);
			len += piece;
		}
		check(p, model, len);
		from = len ? worker_random(w) % (len < 60000 ? len : 60000) : 0;
		cut = len - from ? worker_random(w) % (len - from + 1) : 0;
		assert_int_equal(pkt_csum(p, (uint16_t)(p->mbuf.data_off + from), cut, 0x1234),
				 csum_fold(csum_add(0x1234, model + from, cut)));
		copy = pkt_copy(w, p);
		check(copy, model, len);
		cut = worker_random(w) % (len + 100);
		pkt_trim(p, cut);
		check(p, model, cut < len ? cut : len);
		check(copy, model, len);
		pkt_consume(w, p, FATE_ABSORBED);
		pkt_consume(w, copy, FATE_ABSORBED);
		test_quiet(w);
	}
}

/* Segments as small and as odd as a driver might make them. */
static struct pkt *shredded(struct worker *w, uint32_t len)
{
	struct pkt *p = pkt_alloc(w);
	struct rte_mbuf *last = &p->mbuf;
	uint32_t done = 0;

	while (done < len) {
		uint32_t run = 1 + worker_random(w) % 37;
		struct pkt *more;

		if (run > len - done)
			run = len - done;
		if (done) {
			assert_int_equal(pkt_alloc_raw(w, &more, 1), 0);
			last->next = &more->mbuf;
			last = &more->mbuf;
			p->mbuf.nb_segs++;
		}
		memcpy(rte_pktmbuf_mtod(last, uint8_t *), model + done, run);
		last->data_len = (uint16_t)run;
		p->mbuf.pkt_len += run;
		done += run;
	}
	return p;
}

static void test_shredded(void **state)
{
	struct worker *w = *state;

	for (unsigned int round = 0; round < 500; round++) {
		uint32_t len = 1 + worker_random(w) % 1500;
		uint32_t from = worker_random(w) % len, part = worker_random(w) % (len - from + 1);
		struct pkt *p = shredded(w, len);
		uint16_t at = p->mbuf.data_off;

		check(p, model, len);
		assert_int_equal(pkt_csum(p, (uint16_t)(at + from), part, 0),
				 csum_fold(csum_add(0, model + from, part)));
		assert_int_equal(pkt_pull(p, len + 1), -EINVAL);
		assert_int_equal(pkt_pull(p, part), 0);
		assert_true(p->mbuf.data_len >= part);
		assert_memory_equal(pkt_header(p, at, part), model, part);
		check(p, model, len);
		pkt_trim(p, from);
		check(p, model, from);
		pkt_consume(w, p, FATE_ABSORBED);
		test_quiet(w);
	}
}

static void test_pull_without_room(void **state)
{
	struct worker *w = *state;
	struct pkt *p = pkt_alloc(w);

	assert_int_equal(pkt_append(w, p, model, 10000), 0);
	assert_int_equal(pkt_pull(p, PKT_ROOM_BYTES + 1), -EINVAL);
	check(p, model, 10000);
	pkt_trim(p, 0);
	check(p, model, 0);
	assert_int_equal(p->mbuf.nb_segs, 1);
	assert_int_equal(pkt_append(w, p, model, 5000), 0);
	check(p, model, 5000);
	pkt_consume(w, p, FATE_ABSORBED);
}

/* The pool runs dry in the middle: the packet is as it was, and works again later. */
static void test_append_out_of_buffers(void **state)
{
	struct worker *w = *state;
	struct pkt *p = pkt_alloc(w), *rest[253], *copy;
	uint64_t failed;

	assert_int_equal(pkt_append(w, p, model, 100), 0);
	assert_int_equal(pkt_alloc_raw(w, rest, 253), 0); /* two are left */
	assert_int_equal(pkt_append(w, p, model + 100, 7000), -ENOMEM);
	check(p, model, 100);
	assert_int_equal(pkt_append(w, p, model + 100, 4000), 0);
	check(p, model, 4100);
	failed = w->ledger.alloc_failed;
	assert_null(pkt_copy(w, p));
	assert_int_equal(w->ledger.alloc_failed, failed + 1);
	assert_int_equal(ledger_balance(&w->ledger), 1); /* p alone */
	pkt_free_raw(rest, 2);
	copy = pkt_copy(w, p);
	assert_non_null(copy);
	check(copy, model, 4100);
	pkt_consume(w, copy, FATE_ABSORBED);
	pkt_free_raw(rest + 2, 251);
	pkt_consume(w, p, FATE_ABSORBED);
}

/* The end of a super-segment lies behind what 16 bits of offset could name. */
static void test_copy_out_far(void **state)
{
	struct worker *w = *state;
	struct pkt *p = pkt_alloc(w);
	uint8_t out[100], last[100];
	uint32_t len = 65500;

	for (uint32_t i = 0; i < sizeof(last); i++)
		last[i] = (uint8_t)(i * 7 + 1);
	assert_int_equal(pkt_append(w, p, NULL, len), 0);
	assert_int_equal(pkt_append(w, p, last, sizeof(last)), 0);
	assert_true(p->mbuf.data_off + len > 65535);
	memset(out, 0, sizeof(out));
	pkt_copy_out(p, p->mbuf.data_off + len, out, sizeof(out));
	assert_memory_equal(out, last, sizeof(out));
	pkt_consume(w, p, FATE_ABSORBED);
}

static void test_copy(void **state)
{
	struct worker *w = *state;
	struct pkt *p, *copy;

	assert_int_equal(pkt_alloc_raw(w, &p, 1), 0);
	pkt_entered(w, &p, 1, 2);
	assert_int_equal(pkt_append(w, p, model, 60), 0);
	p->l3 = (uint16_t)(p->l2 + 14);
	p->flags |= PKT_F_CSUM_OK | PKT_F_ROUTED;
	p->next = p;
	stage_enter_one(w, STAGE_IP4_INPUT, p);
	w->now_ns += 9;
	copy = pkt_copy(w, p);
	assert_int_equal(copy->flags, PKT_F_CSUM_OK);
	assert_int_equal(copy->l3, p->l3);
	assert_int_equal(copy->path, p->path);
	assert_int_equal(copy->stamp_ns, w->now_ns);
	assert_null(copy->next);
	assert_int_equal(w->ledger.originated, 1);
	pkt_consume(w, p, FATE_ABSORBED);
	check(copy, model, 60);
	pkt_consume(w, copy, FATE_TRANSMITTED);
	assert_int_equal(w->ledger.fate[FATE_TRANSMITTED], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_alloc, setup, teardown),
		cmocka_unit_test_setup_teardown(test_raw, setup, teardown),
		cmocka_unit_test_setup_teardown(test_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_appends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shredded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pull_without_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_append_out_of_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy_out_far, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
