/* SPDX-License-Identifier: BSD-3-Clause */
/* The descriptor table: look-up, counts of dups, what is released when. */
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shim/shim.h"

struct session session = { .fd = -1 };

static unsigned int released, sets_freed, unwatched;
static uint32_t released_sock;

int submit(unsigned int worker, uint8_t op, uint32_t sock, uint32_t gen, uint16_t arg16,
	   uint32_t arg32)
{
	assert_int_equal(op, ABI_OP_RELEASE);
	released++;
	released_sock = sock;
	return 0;
}

SHIM_TLS struct thread_state thread_tls;

void signals_let_through(void)
{
}

void netlink_free(struct nlsock *nl)
{
}

void epset_free(struct epset *ep)
{
	sets_freed++;
}

void async_gone(struct wsock *ws)
{
	(void)ws;
}

void owner_gone(struct wsock *ws)
{
}

void epset_fd_gone(struct epset *ep, int fd)
{
}

bool epset_any_forked(void)
{
	return false;
}

void packet_ring_free(struct wsock *ws)
{
}

void epset_sock_closed(struct wsock *ws)
{
	unwatched++;
}

static int setup(void **state)
{
	released = sets_freed = unwatched = 0;
	return 0;
}

static struct wsock *stream(void)
{
	struct wsock *ws = wsock_new();

	assert_non_null(ws);
	ws->type = SOCK_STREAM;
	return ws;
}

static int drop(int fd)
{
	struct obj *o = fdtab_take(fd);

	assert_non_null(o);
	obj_put(o);
	return close(fd);
}

static void test_placeholder_is_a_socket(void **state)
{
	struct wsock *ws = stream();
	int fd = fdtab_placeholder(ws, SOCK_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_ptr_equal(fd_sock(fd), ws);
	assert_null(fd_epset(fd));
	assert_false(fd_private(fd));
	drop(fd);
	assert_null(fd_sock(fd));
	/* It never was in the engine: there is nothing to tell it. */
	assert_int_equal(released, 0);
}

static void test_released_with_the_last_dup(void **state)
{
	static struct abi_sock shm;
	struct wsock *ws = stream();
	int fd = fdtab_placeholder(ws, 0);
	int copy = dup(fd);

	ws->shm = &shm;
	ws->index = 7;
	obj_get(&ws->obj);
	fdtab_set(copy, &ws->obj);
	drop(fd);
	assert_int_equal(released, 0);
	assert_ptr_equal(fd_sock(copy), ws);
	drop(copy);
	assert_int_equal(released, 1);
	assert_int_equal(released_sock, 7);
}

static void test_a_waiting_call_keeps_it(void **state)
{
	static struct abi_sock shm;
	struct wsock *ws = stream();
	int fd = fdtab_placeholder(ws, 0);

	ws->shm = &shm;
	obj_get(&ws->obj);
	drop(fd);
	assert_int_equal(released, 0);
	obj_put(&ws->obj);
	assert_int_equal(released, 1);
}

static void test_watched_leaves_its_sets(void **state)
{
	struct wsock *ws = stream();
	int fd = fdtab_placeholder(ws, 0);

	atomic_store(&ws->watched, 1);
	drop(fd);
	assert_int_equal(unwatched, 1);
}

static void test_replaced_entry_is_let_go(void **state)
{
	static struct abi_sock shm;
	struct wsock *a = stream(), *b = stream();
	int fd = fdtab_placeholder(a, 0);

	a->shm = &shm;
	fdtab_set(fd, &b->obj);
	assert_int_equal(released, 1);
	assert_ptr_equal(fd_sock(fd), b);
	drop(fd);
}

static void test_out_of_range(void **state)
{
	assert_null(fd_obj(-1));
	assert_null(fd_obj((int)FD_MAX));
	assert_null(fd_obj(INT32_MAX));
	assert_null(fdtab_take(-1));
}

static void test_private_is_high_and_protected(void **state)
{
	int low = dup(0);
	int fd = fdtab_make_private(low);

	assert_true(fd > low);
	assert_true(fd_private(fd));
	assert_true(fdtab_top() > (unsigned int)fd);
	assert_null(fd_sock(fd));
	fdtab_close_private(fd);
	assert_false(fd_private(fd));
}

static void test_memory_is_used_again(void **state)
{
	struct wsock *first = stream();
	bool again = false;

	obj_put(&first->obj);
	for (int i = 0; i < 64 && !again; i++) {
		struct wsock *ws = stream();

		again = ws == first;
		assert_int_equal(atomic_load(&ws->obj.refs), 1);
		assert_null(ws->shm);
		obj_put(&ws->obj);
	}
	assert_true(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_placeholder_is_a_socket, setup),
		cmocka_unit_test_setup(test_released_with_the_last_dup, setup),
		cmocka_unit_test_setup(test_a_waiting_call_keeps_it, setup),
		cmocka_unit_test_setup(test_watched_leaves_its_sets, setup),
		cmocka_unit_test_setup(test_replaced_entry_is_let_go, setup),
		cmocka_unit_test_setup(test_out_of_range, setup),
		cmocka_unit_test_setup(test_private_is_high_and_protected, setup),
		cmocka_unit_test_setup(test_memory_is_used_again, setup),
	};

	return cmocka_run_group_tests_name("shim: descriptor table", tests, NULL, NULL);
}
