/* SPDX-License-Identifier: BSD-3-Clause */
/* The ready list of an epoll set against sockets in a fake arena: no daemon, no descriptor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shim/poll/epset.h"

#define SOCKS 8u

struct session session = { .fd = -1 };

static struct abi_sock arena_socks[SOCKS];
static struct epitem *map[SOCKS];
static struct wsock socks[SOCKS];
static struct epset ep;
static struct epoll_event events[16];
static unsigned int looks;

/* As the shim's own: never given back, the items are used again. */
void *slab_more(size_t bytes)
{
	static struct epitem slab[32];
	static unsigned int used;

	assert_int_equal(bytes, sizeof(slab[0]));
	assert_true(used < 32);
	return &slab[used++];
}

void lock_take(struct lock *lock)
{
	lock->word = 1;
}

void lock_drop(struct lock *lock)
{
	lock->word = 0;
}

static uint32_t look(struct wsock *ws, uint32_t interest)
{
	looks++;
	return app_sock_events(ws->shm);
}

static int setup(void **state)
{
	memset(&ep, 0, sizeof(ep));
	memset(map, 0, sizeof(map));
	memset(arena_socks, 0, sizeof(arena_socks));
	memset(socks, 0, sizeof(socks));
	ep.map = map;
	ep.map_size = SOCKS;
	looks = 0;
	for (unsigned int i = 0; i < SOCKS; i++) {
		socks[i].shm = &arena_socks[i];
		socks[i].index = i;
		socks[i].gen = 10 + i;
		arena_socks[i].state = ABI_S_OPEN | ABI_S_STREAM | ABI_S_CONNECTED;
		arena_socks[i].rx_size_bytes = 4096;
		arena_socks[i].tx_size_bytes = 4096;
	}
	return 0;
}

static int teardown(void **state)
{
	while (ep.all)
		epset_remove(&ep, ep.all);
	assert_int_equal(ep.ready_count, 0);
	return 0;
}

static void add(unsigned int i, int fd, uint32_t bits)
{
	struct epoll_event e = { .events = bits, .data.fd = fd };

	assert_non_null(epset_add(&ep, &socks[i], fd, &e));
}

static int collect(void)
{
	return epset_collect(&ep, events, 16, look);
}

static void data_arrives(unsigned int i, unsigned int bytes)
{
	arena_socks[i].rx_tail += bytes;
	epset_mark(&ep, i, socks[i].gen);
}

static void test_level_stays_until_read(void **state)
{
	add(1, 5, EPOLLIN);
	assert_int_equal(collect(), 0);
	data_arrives(1, 10);
	assert_int_equal(collect(), 1);
	assert_int_equal(events[0].data.fd, 5);
	assert_int_equal(events[0].events, EPOLLIN);
	assert_int_equal(collect(), 1);
	arena_socks[1].rx_head = arena_socks[1].rx_tail;
	assert_int_equal(collect(), 0);
	/* Off the list now: not even looked at. */
	looks = 0;
	assert_int_equal(collect(), 0);
	assert_int_equal(looks, 0);
}

static void test_edge_once_for_each_arrival(void **state)
{
	add(1, 5, EPOLLIN | EPOLLET);
	data_arrives(1, 10);
	assert_int_equal(collect(), 1);
	assert_int_equal(collect(), 0);
	data_arrives(1, 10);
	assert_int_equal(collect(), 1);
	assert_int_equal(collect(), 0);
}

static void test_edge_is_told_at_add_and_mod(void **state)
{
	struct epoll_event e = { .events = EPOLLOUT | EPOLLET, .data.fd = 5 };

	add(1, 5, EPOLLOUT | EPOLLET);
	assert_int_equal(collect(), 1);
	assert_int_equal(collect(), 0);
	epset_modify(&ep, epset_find(&ep, &socks[1], 5), &e);
	assert_int_equal(collect(), 1);
}

static void test_oneshot_is_disabled(void **state)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT, .data.fd = 5 };

	add(1, 5, EPOLLIN | EPOLLONESHOT);
	data_arrives(1, 1);
	assert_int_equal(collect(), 1);
	data_arrives(1, 1);
	assert_int_equal(collect(), 0);
	epset_modify(&ep, epset_find(&ep, &socks[1], 5), &e);
	assert_int_equal(collect(), 1);
}

static void test_hup_and_err_are_always_told(void **state)
{
	add(1, 5, 0);
	arena_socks[1].state |= ABI_S_RESET;
	epset_mark(&ep, 1, socks[1].gen);
	assert_int_equal(collect(), 1);
	assert_int_equal(events[0].events, EPOLLHUP);
}

static void test_rdhup_only_when_asked(void **state)
{
	add(1, 5, EPOLLIN);
	add(2, 6, EPOLLIN | EPOLLRDHUP);
	for (unsigned int i = 1; i <= 2; i++) {
		arena_socks[i].state |= ABI_S_RX_EOF;
		epset_mark(&ep, i, socks[i].gen);
	}
	assert_int_equal(collect(), 2);
	assert_int_equal(events[0].events, EPOLLIN);
	assert_int_equal(events[1].events, EPOLLIN | EPOLLRDHUP);
}

static void test_turns_when_there_is_more_than_room(void **state)
{
	for (unsigned int i = 0; i < 4; i++) {
		add(i, (int)i, EPOLLIN);
		data_arrives(i, 1);
	}
	assert_int_equal(epset_collect(&ep, events, 2, look), 2);
	assert_int_equal(events[0].data.fd, 0);
	assert_int_equal(events[1].data.fd, 1);
	assert_int_equal(epset_collect(&ep, events, 2, look), 2);
	assert_int_equal(events[0].data.fd, 2);
	assert_int_equal(events[1].data.fd, 3);
}

static void test_stale_generation_is_ignored(void **state)
{
	add(1, 5, EPOLLIN);
	assert_int_equal(collect(), 0);
	looks = 0;
	epset_mark(&ep, 1, 9);
	epset_mark(&ep, SOCKS + 5, 1);
	assert_int_equal(collect(), 0);
	assert_int_equal(looks, 0);
}

static void test_dups_are_items_of_their_own(void **state)
{
	add(1, 5, EPOLLIN);
	add(1, 6, EPOLLIN | EPOLLET);
	data_arrives(1, 1);
	assert_int_equal(collect(), 2);
	assert_int_equal(collect(), 1);
	assert_int_equal(epset_interest(&ep, &socks[1]) & (EPOLLIN | EPOLLET), EPOLLIN | EPOLLET);
	epset_remove(&ep, epset_find(&ep, &socks[1], 5));
	assert_null(epset_find(&ep, &socks[1], 5));
	assert_non_null(epset_first(&ep, &socks[1]));
	epset_remove(&ep, epset_find(&ep, &socks[1], 6));
	assert_null(epset_first(&ep, &socks[1]));
	assert_int_equal(ep.items, 0);
	assert_null(ep.ready_first);
	assert_null(ep.all);
}

static void test_removed_while_ready(void **state)
{
	for (unsigned int i = 0; i < 3; i++) {
		add(i, (int)i, EPOLLIN);
		data_arrives(i, 1);
	}
	epset_remove(&ep, epset_find(&ep, &socks[1], 1));
	assert_int_equal(collect(), 2);
	assert_int_equal(events[0].data.fd, 0);
	assert_int_equal(events[1].data.fd, 2);
}

static void test_mark_all_after_an_overflow(void **state)
{
	for (unsigned int i = 0; i < 3; i++)
		add(i, (int)i, EPOLLIN | EPOLLET);
	assert_int_equal(collect(), 0);
	arena_socks[2].rx_tail += 1;
	epset_mark_all(&ep);
	assert_int_equal(collect(), 1);
	assert_int_equal(events[0].data.fd, 2);
}

static void test_normal_data_names(void **state)
{
	add(1, 5, EPOLLRDNORM | EPOLLWRNORM);
	data_arrives(1, 1);
	assert_int_equal(collect(), 1);
	assert_int_equal(events[0].events, EPOLLRDNORM | EPOLLWRNORM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_level_stays_until_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_edge_once_for_each_arrival, setup, teardown),
		cmocka_unit_test_setup_teardown(test_edge_is_told_at_add_and_mod, setup, teardown),
		cmocka_unit_test_setup_teardown(test_oneshot_is_disabled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hup_and_err_are_always_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rdhup_only_when_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_turns_when_there_is_more_than_room, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_stale_generation_is_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dups_are_items_of_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_while_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mark_all_after_an_overflow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_normal_data_names, setup, teardown),
	};

	return cmocka_run_group_tests_name("shim: epoll set", tests, NULL, NULL);
}
