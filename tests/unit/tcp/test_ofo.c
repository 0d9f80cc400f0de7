/* SPDX-License-Identifier: BSD-3-Clause */
/* How many holes there may be in what is received, and what goes when there are more. */
#include <string.h>

#include "fixture.h"

static void test_too_many_holes(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	for (unsigned int i = 0; i < TCP_RANGES_MAX; i++)
		peer_send_at(&p, p.seq + 2 * i + 1, p.ack, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, TCP_OFO_QUEUE_PRUNE), 0);
	peer_send_at(&p, p.seq + 2 * TCP_RANGES_MAX + 1, p.ack, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, TCP_OFO_QUEUE_PRUNE), 1);
	assert_int_equal(s->pcb->ooo->n, TCP_RANGES_MAX);
	host_close(h);
}

/* All large blocks are others': the few ranges of a small one have to do. */
static void test_no_large_block(void **state)
{
	struct host *h = host_plain();
	struct tcp_slab *many = &h->w->tcp->ranges_many;
	void *free_objects = many->free;
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	many->free = NULL;
	for (unsigned int i = 0; i < TCP_RANGES_FEW; i++)
		peer_send_at(&p, p.seq + 2 * i + 1, p.ack, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, TCP_OFO_QUEUE_PRUNE), 0);
	peer_send_at(&p, p.seq + 2 * TCP_RANGES_FEW + 1, p.ack, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, TCP_OFO_QUEUE_PRUNE), 1);
	assert_int_equal(s->pcb->ooo->n, TCP_RANGES_FEW);
	/* With one it goes on. */
	many->free = free_objects;
	peer_send_at(&p, p.seq + 2 * TCP_RANGES_FEW + 1, p.ack, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, TCP_OFO_QUEUE_PRUNE), 1);
	assert_int_equal(s->pcb->ooo->n, TCP_RANGES_FEW + 1);
	host_close(h);
}

/* One that is lower than the highest takes its place: what is next to the hole is needed first. The
 * peer resends what was given up, for it was never acknowledged, and the bytes are right. */
static void test_the_highest_is_pruned(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	const uint32_t n = TCP_RANGES_MAX;
	uint8_t all[3 * TCP_RANGES_MAX + 10], got[sizeof(all)];

	for (unsigned int i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)(i * 7);
	for (unsigned int i = 1; i <= n; i++)
		peer_send_at(&p, p.seq + 3 * i, p.ack, TCP_F_ACK, all + 3 * i, 1);
	peer_send_at(&p, p.seq + 1, p.ack, TCP_F_ACK, all + 1, 1);
	assert_int_equal(drops_of(h, TCP_OFO_QUEUE_PRUNE), 0);
	assert_int_equal(s->pcb->ooo->n, n);
	assert_int_equal(s->pcb->ooo->r[0].start, p.seq + 1);
	assert_int_equal(s->pcb->ooo->r[n - 1].start, p.seq + 3 * (n - 1));
	assert_int_equal(h->w->tcp->mib[TCP_MIB_OfoPruned], 1);
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK, all, sizeof(all));
	assert_int_equal(sock_read(s, got, sizeof(got)), sizeof(all));
	assert_memory_equal(got, all, sizeof(all));
	assert_null(s->pcb->ooo);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_many_holes),
		cmocka_unit_test(test_no_large_block),
		cmocka_unit_test(test_the_highest_is_pruned),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
