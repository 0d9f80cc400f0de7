/* SPDX-License-Identifier: BSD-3-Clause */
/* The ready list of an epoll set against sockets in a fake arena: no daemon, no descriptor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "shim/poll/epset.h"

#define SOCKS 8u

static struct abi_sock arena_socks[SOCKS];
static struct epshare *sh;
static struct epoll_event events[16];
static unsigned int looks;
static uint32_t inner_news;
static bool inner_ready;

static uint32_t gen_of(unsigned int i)
{
	return arena_socks[i].gen;
}

static struct epkey key(unsigned int i, int fd)
{
	return (struct epkey){ .sock = i, .gen = gen_of(i), .fd = fd, .type = SOCK_STREAM };
}

static uint32_t look(struct epitem *item, uint32_t interest, struct epwords *words)
{
	looks++;
	if (item->sock == EPSOCK_SET) {
		item->news_seen = inner_news;
		return inner_ready && (!(item->interest & EPOLLET) || item->edge ||
				       item->news_seen != item->news_told)
			       ? EPOLLIN
			       : 0;
	}
	if (item->gen != gen_of(item->sock))
		return EPITEM_GONE;
	words->rx_tail = arena_socks[item->sock].rx_tail;
	words->tx_head = arena_socks[item->sock].tx_head;
	words->error = arena_socks[item->sock].error;
	words->state = arena_socks[item->sock].state;
	return app_sock_events(&arena_socks[item->sock]);
}

static int setup(void **state)
{
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(sh, MAP_FAILED);
	memset(arena_socks, 0, sizeof(arena_socks));
	looks = 0;
	for (unsigned int i = 0; i < SOCKS; i++) {
		arena_socks[i].gen = 10 + i;
		arena_socks[i].state = ABI_S_OPEN | ABI_S_STREAM | ABI_S_CONNECTED;
		arena_socks[i].rx_size_bytes = 4096;
		arena_socks[i].tx_size_bytes = 4096;
	}
	return 0;
}

static int teardown(void **state)
{
	while (sh->all)
		epshare_remove(sh, &sh->item[sh->all]);
	assert_int_equal(sh->ready_count, 0);
	assert_int_equal(sh->items, 0);
	munmap(sh, sizeof(*sh));
	return 0;
}

static struct epitem *find(unsigned int i, int fd)
{
	struct epkey k = key(i, fd);

	return epshare_find(sh, &k);
}

static void add(unsigned int i, int fd, uint32_t bits)
{
	struct epoll_event e = { .events = bits, .data.fd = fd };

	struct epkey k = key(i, fd);

	assert_non_null(epshare_add(sh, &k, &e));
}

static int collect(void)
{
	return epshare_collect(sh, events, 16, look);
}

static void data_arrives(unsigned int i, unsigned int bytes)
{
	arena_socks[i].rx_tail += bytes;
	epshare_mark(sh, i, gen_of(i));
}

/* What was there when the socket was added is seen here, and the engine tells of it too when it has
 * the watch: one edge. What comes meanwhile is another one. */
static void test_watch_tells_no_edge_twice(void **state)
{
	arena_socks[1].rx_tail = arena_socks[2].rx_tail = 10;
	add(1, 5, EPOLLIN | EPOLLET);
	add(2, 6, EPOLLIN | EPOLLET);
	assert_int_equal(collect(), 2);
	epshare_mark(sh, 1 | ABI_CQE_WATCHED, gen_of(1));
	arena_socks[2].rx_tail++;
	epshare_mark(sh, 2 | ABI_CQE_WATCHED, gen_of(2));
	assert_int_equal(collect(), 1);
	assert_int_equal(events[0].data.fd, 6);
	data_arrives(1, 1);
	assert_int_equal(collect(), 1);
	assert_int_equal(events[0].data.fd, 5);
	/* Other words of the engine are news, whatever they are of: shutdown() of what was shut. */
	epshare_modify(sh, find(2, 6), &(struct epoll_event){ .events = EPOLLIN | EPOLLET });
	assert_int_equal(collect(), 1);
	epshare_mark(sh, 2, gen_of(2));
	assert_int_equal(collect(), 1);
	/* An error with nothing else is news. */
	epshare_modify(sh, find(1, 5), &(struct epoll_event){ .events = EPOLLIN | EPOLLET });
	assert_int_equal(collect(), 1);
	arena_socks[1].error = 1u << 16 | ECONNREFUSED;
	epshare_mark(sh, 1 | ABI_CQE_WATCHED, gen_of(1));
	assert_int_equal(collect(), 1);
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
	epshare_modify(sh, find(1, 5), &e);
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
	epshare_modify(sh, find(1, 5), &e);
	assert_int_equal(collect(), 1);
}

static void test_hup_and_err_are_always_told(void **state)
{
	add(1, 5, 0);
	arena_socks[1].state |= ABI_S_RESET;
	epshare_mark(sh, 1, gen_of(1));
	assert_int_equal(collect(), 1);
	assert_int_equal(events[0].events, EPOLLHUP);
}

static void test_rdhup_only_when_asked(void **state)
{
	add(1, 5, EPOLLIN);
	add(2, 6, EPOLLIN | EPOLLRDHUP);
	for (unsigned int i = 1; i <= 2; i++) {
		arena_socks[i].state |= ABI_S_RX_EOF;
		epshare_mark(sh, i, gen_of(i));
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
	assert_int_equal(epshare_collect(sh, events, 2, look), 2);
	assert_int_equal(events[0].data.fd, 0);
	assert_int_equal(events[1].data.fd, 1);
	assert_int_equal(epshare_collect(sh, events, 2, look), 2);
	assert_int_equal(events[0].data.fd, 2);
	assert_int_equal(events[1].data.fd, 3);
}

static void test_stale_generation_is_ignored(void **state)
{
	add(1, 5, EPOLLIN);
	assert_int_equal(collect(), 0);
	looks = 0;
	epshare_mark(sh, 1, 9);
	epshare_mark(sh, SOCKS + 5, 1);
	epshare_mark(sh, EPSHARE_SOCKS, 1);
	epshare_mark(sh, ABI_SOCK_NONE, 1);
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
	assert_int_equal(epshare_interest(sh, 1, gen_of(1)) & (EPOLLIN | EPOLLET),
			 EPOLLIN | EPOLLET);
	epshare_remove(sh, find(1, 5));
	assert_null(find(1, 5));
	assert_non_null(epshare_first(sh, 1, gen_of(1)));
	epshare_remove(sh, find(1, 6));
	assert_null(epshare_first(sh, 1, gen_of(1)));
	assert_int_equal(sh->items, 0);
	assert_int_equal(sh->ready_first, EPITEM_NONE);
	assert_int_equal(sh->all, EPITEM_NONE);
}

static void test_removed_while_ready(void **state)
{
	for (unsigned int i = 0; i < 3; i++) {
		add(i, (int)i, EPOLLIN);
		data_arrives(i, 1);
	}
	epshare_remove(sh, find(1, 1));
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
	epshare_mark_all(sh);
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

/* Closed by another process: never told of, and out when it is seen, or when its slot has another
 * socket. */
static void test_closed_elsewhere(void **state)
{
	add(1, 5, EPOLLIN);
	add(1, 6, EPOLLIN);
	data_arrives(1, 1);
	arena_socks[1].gen++;
	assert_int_equal(collect(), 0);
	assert_int_equal(sh->items, 0);
	add(2, 7, EPOLLIN);
	assert_int_equal(collect(), 0);
	arena_socks[2].gen++;
	add(2, 7, EPOLLIN);
	assert_int_equal(sh->items, 1);
	assert_int_equal(find(2, 7)->gen, gen_of(2));
}

/* Who held the lock was killed: whatever it had done to the lists, they are whole again. */
static void test_rebuild(void **state)
{
	unsigned int seed = 5;

	for (unsigned int i = 0; i < SOCKS; i++) {
		add(i, (int)i, EPOLLIN);
		add(i, (int)(i + 100), EPOLLIN | EPOLLET);
	}
	epshare_remove(sh, find(3, 3));
	for (int round = 0; round < 100; round++) {
		for (uint32_t n = 1; n <= sh->fresh; n++) {
			struct epitem *item = &sh->item[n];

			item->same = (uint32_t)rand_r(&seed) % (sh->fresh + 1);
			item->ready_next = (uint32_t)rand_r(&seed) % (sh->fresh + 1);
			item->all_next = (uint32_t)rand_r(&seed) % (sh->fresh + 1);
			item->queued = (uint8_t)(rand_r(&seed) % 2);
		}
		sh->ready_first = (uint32_t)rand_r(&seed) % (sh->fresh + 1);
		sh->all = sh->free = 0;
		epshare_rebuild(sh);
		assert_int_equal(sh->items, 2 * SOCKS - 1);
		assert_int_equal(sh->ready_count, sh->items);
		assert_null(find(3, 3));
		assert_non_null(find(3, 103));
		assert_int_equal(collect(), 0);
		assert_int_equal(sh->ready_count, 0);
	}
	data_arrives(4, 1);
	assert_int_equal(collect(), 2);
	add(3, 3, EPOLLIN);
	assert_int_equal(sh->fresh, 2 * SOCKS);
}

static void test_has_event_takes_nothing(void **state)
{
	add(1, 5, EPOLLIN | EPOLLET);
	add(2, 6, EPOLLIN);
	assert_false(epshare_has_event(sh, look));
	data_arrives(1, 1);
	for (int i = 0; i < 3; i++)
		assert_true(epshare_has_event(sh, look));
	assert_int_equal(collect(), 1);
	assert_false(epshare_has_event(sh, look));
}

/* A set in the set has a number, is looked at each time, and has an edge with each news. */
static void test_a_set_inside(void **state)
{
	struct epkey set = { .sock = EPSOCK_SET, .gen = 77, .fd = 9 };
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = 9 };

	inner_ready = false;
	inner_news = 5;
	assert_non_null(epshare_add(sh, &set, &event));
	assert_ptr_equal(epshare_next_set(sh, NULL), epshare_find(sh, &set));
	assert_null(epshare_next_set(sh, epshare_find(sh, &set)));
	assert_int_equal(collect(), 0);
	inner_ready = true;
	assert_int_equal(collect(), 0); /* off the list: nobody told */
	epshare_mark_sets(sh);
	assert_int_equal(collect(), 1);
	epshare_mark_sets(sh);
	assert_int_equal(collect(), 0);
	inner_news++;
	epshare_mark_sets(sh);
	assert_int_equal(collect(), 1);
	assert_int_equal(events[0].events, EPOLLIN);
	epshare_set_edge(sh, 76);
	epshare_mark_sets(sh);
	assert_int_equal(collect(), 0);
	epshare_set_edge(sh, 77);
	epshare_mark_sets(sh);
	assert_int_equal(collect(), 1);
	event.events = EPOLLIN;
	epshare_modify(sh, epshare_find(sh, &set), &event);
	assert_int_equal(collect(), 1);
	assert_int_equal(collect(), 1);
	epshare_rebuild(sh);
	assert_non_null(epshare_next_set(sh, NULL));
	inner_ready = false;
	assert_int_equal(collect(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_watch_tells_no_edge_twice, setup, teardown),
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
		cmocka_unit_test_setup_teardown(test_closed_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rebuild, setup, teardown),
		cmocka_unit_test_setup_teardown(test_has_event_takes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_set_inside, setup, teardown),
	};

	return cmocka_run_group_tests_name("shim: epoll set", tests, NULL, NULL);
}
