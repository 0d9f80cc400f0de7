/* SPDX-License-Identifier: BSD-3-Clause */
/* Running out of slots and memory, coming back from it, and the arena's allocator itself. */
#include <errno.h>
#include <sys/mman.h>

#include "prog.h"
#include "sock/arena_alloc.h"

static struct worker *w;

static int setup(void **state)
{
	w = test_worker();
	assert_int_equal(sock_layer_init(w), 0);
	fake_init(w);
	return 0;
}

static int teardown(void **state)
{
	fake_run(w);
	assert_int_equal(fake_pcb_count, 0);
	sock_layer_free(w);
	test_worker_done(w);
	return 0;
}

static void test_slots_run_out_and_come_back(void **state)
{
	struct psock s[64], x;
	struct prog p;

	prog_open(&p, w, 64, 64ull << 20);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 64; i++)
			assert_int_equal(prog_socket(&p, SOCK_STREAM, &s[i]), 0);
		assert_int_equal(atomic_load(&p.arena->socks_free), 0);
		assert_int_equal(prog_socket(&p, SOCK_STREAM, &x), -ENFILE);
		for (int i = 0; i < 64; i++)
			prog_release(&p, s[i]);
		prog_run(&p);
		assert_int_equal(atomic_load(&p.arena->socks_free), 64);
	}
	/* A stale name of a slot that is used again does no harm. */
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &x), 0);
	for (int i = 0; i < 64; i++)
		prog_release(&p, s[i]);
	prog_run(&p);
	assert_true(atomic_load(&prog_sock(&p, x)->state) & ABI_S_OPEN);
	prog_close(&p);
}

static void test_connections_do_not_leak(void **state)
{
	struct psock l, c, s;
	struct prog p;
	char buf[16];

	/* Room for a few connections at a time; a thousand come one after the other. */
	prog_open(&p, w, 64, 4ull << 20);
	prog_pair(&p, 80, &l, &c, &s);
	for (int i = 0; i < 1000; i++) {
		prog_release(&p, c);
		prog_release(&p, s);
		prog_run(&p);
		assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
		assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
		prog_run(&p);
		assert_true(prog_accept(&p, l, &s));
		assert_int_equal(prog_send(&p, c, "x", 1), 1);
		prog_run(&p);
		assert_int_equal(prog_recv(&p, s, buf, sizeof(buf)), 1);
	}
	prog_close(&p);
}

static void test_memory_runs_out_and_comes_back(void **state)
{
	struct psock l, c[20], s;
	struct prog p;
	int n = 0, failed = 0;

	prog_open(&p, w, 64, 2ull << 20);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &l), 0);
	assert_int_equal(prog_bind(&p, l, 80), 0);
	assert_int_equal(prog_listen(&p, l, 20), 0);
	for (n = 0; n < 20; n++) {
		int ret;

		assert_int_equal(prog_socket(&p, SOCK_STREAM, &c[n]), 0);
		ret = prog_connect(&p, c[n], 80);
		failed += ret == -ENOBUFS;
		assert_true(ret == -EINPROGRESS || ret == -ENOBUFS);
	}
	assert_true(failed > 0);
	prog_run(&p);
	for (int i = 0; i < 20; i++)
		prog_release(&p, c[i]);
	prog_run(&p);
	while (prog_accept(&p, l, &s))
		prog_release(&p, s);
	prog_run(&p);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c[0]), 0);
	assert_int_equal(prog_connect(&p, c[0], 80), -EINPROGRESS);
	prog_run(&p);
	assert_true(prog_accept(&p, l, &s));
	prog_run(&p);
	assert_true(atomic_load(&prog_sock(&p, c[0])->state) & ABI_S_CONNECTED);
	prog_close(&p);
}

static void test_impossible_families(void **state)
{
	struct session *session;
	struct family_params params = {
		.name = "x", .arena_bytes = 4096, .workers = &w, .worker_count = 1
	};

	assert_int_equal(session_create(&params, 1, &session), -EINVAL);
	params.worker_count = 0;
	assert_int_equal(session_create(&params, 1, &session), -EINVAL);
}

static void test_allocator(void **state)
{
	uint64_t bytes = 32ull << 20;
	uint8_t *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct arena_heap heap;
	void *block[4096], *big;
	uint32_t size[4096] = { 0 };
	uint64_t used = 0;

	assert_int_equal(arena_heap_init(&heap, base, 1000, false), -EINVAL);
	assert_int_equal(arena_heap_init(&heap, base, bytes, false), 0);
	memset(block, 0, sizeof(block));
	/* Random sizes in random order; each block keeps what is written in it. */
	for (int i = 0; i < 200000; i++) {
		unsigned int k = worker_random(w) % 512;

		if (block[k] != NULL) {
			assert_int_equal(*(uint32_t *)block[k], k);
			assert_int_equal(*(uint32_t *)((uint8_t *)block[k] + size[k] - 4), k);
			arena_release(&heap, block[k]);
			used -= size[k];
			block[k] = NULL;
			continue;
		}
		size[k] = 4096u << worker_random(w) % 8;
		block[k] = arena_alloc(&heap, size[k] - worker_random(w) % 2000);
		if (block[k] == NULL)
			continue;
		used += size[k];
		*(uint32_t *)block[k] = k;
		*(uint32_t *)((uint8_t *)block[k] + size[k] - 4) = k;
		assert_int_equal(heap.used_bytes, used);
	}
	for (unsigned int k = 0; k < 512; k++)
		arena_release(&heap, block[k]);
	assert_int_equal(heap.used_bytes, 0);
	/* All in small pieces now: the largest can still be had, four times. */
	for (int i = 0; i < 4; i++) {
		block[i] = arena_alloc(&heap, 8u << 20);
		assert_non_null(block[i]);
	}
	assert_null(arena_alloc(&heap, 4096));
	big = arena_alloc(&heap, 16u << 20);
	assert_null(big);
	arena_release(&heap, block[0]);
	arena_release(&heap, block[0]); /* twice: nothing */
	assert_non_null(arena_alloc(&heap, 4096));
	arena_heap_free(&heap);
	munmap(base, bytes);
}

static void test_memory_goes_back_beyond_the_reserve(void **state)
{
	uint64_t bytes = 256ull << 20;
	uint8_t *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct arena_heap heap;
	void *block[128];

	assert_int_equal(arena_heap_init(&heap, base, bytes, false), 0);
	for (int i = 0; i < 128; i++) {
		block[i] = arena_alloc(&heap, 1u << 20);
		memset(block[i], 1, 4096);
	}
	for (int i = 0; i < 128; i++)
		arena_release(&heap, block[i]);
	assert_int_equal(heap.warm_bytes, ARENA_WARM_BYTES);
	assert_int_equal(*(uint8_t *)block[0], 1);
	assert_int_equal(*(uint8_t *)block[127], 0);		   /* was given back */
	assert_ptr_equal(arena_alloc(&heap, 1u << 20), block[63]); /* the warmest first */
	arena_heap_free(&heap);
	munmap(base, bytes);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_slots_run_out_and_come_back),
		T(test_connections_do_not_leak),
		T(test_memory_runs_out_and_comes_back),
		T(test_impossible_families),
		T(test_allocator),
		T(test_memory_goes_back_beyond_the_reserve),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
