/* SPDX-License-Identifier: BSD-3-Clause */
/* Processes that come and go: fork, exec, death; and the connections that each leaves. */
#include <errno.h>

#include "prog.h"

static struct worker *w;
static struct prog p;

static int setup(void **state)
{
	w = test_worker();
	assert_int_equal(sock_layer_init(w), 0);
	fake_init(w);
	prog_open(&p, w, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	if (p.session != NULL)
		prog_close(&p);
	fake_run(w);
	sock_flush(w);
	assert_int_equal(fake_pcb_count, 0);
	sock_layer_free(w);
	test_worker_done(w);
	return 0;
}

static void child_of(struct prog *child)
{
	*child = (struct prog){ .w = w, .arena = p.arena };
	assert_int_equal(session_fork(p.session, 2, &child->session), 0);
	assert_int_equal(session_pid(child->session), 2);
	assert_string_equal(session_name(child->session), "prog");
	prog_channels(child);
}

static uint32_t state_of(struct psock s)
{
	return atomic_load(&prog_sock(&p, s)->state);
}

static void test_fork_shares_sockets(void **state)
{
	struct psock l, c, s, mine;
	struct prog child;

	prog_pair(&p, 80, &l, &c, &s);
	child_of(&child);
	prog_release(&p, s);
	prog_run(&p);
	assert_true(state_of(s) & ABI_S_CONNECTED); /* the child has it still */
	prog_send(&child, s, "from the child", 14);
	prog_run(&p);
	assert_int_equal(app_sock_rx_used(prog_sock(&p, c)), 14);
	assert_int_equal(prog_socket(&child, SOCK_STREAM, &mine), 0);
	prog_release(&p, mine); /* never was the parent's: nothing happens */
	prog_run(&p);
	assert_true(state_of(mine) & ABI_S_OPEN);
	session_destroy(child.session);
	prog_run(&p);
	assert_int_equal(state_of(mine), 0);
	assert_int_equal(state_of(s), 0);
	assert_true(state_of(c) & ABI_S_RX_EOF);
	assert_true(state_of(l) & ABI_S_LISTEN);
}

/* posix_spawn(): the child has what it was given, and no more. */
static void test_fork_with_some_sockets(void **state)
{
	struct psock l, c, s;
	struct prog child;
	uint32_t pairs[4];

	prog_pair(&p, 80, &l, &c, &s);
	child_of(&child);
	pairs[0] = s.index;
	pairs[1] = s.gen;
	pairs[2] = l.index;
	pairs[3] = l.gen + 1; /* stale */
	assert_int_equal(session_keep(child.session, pairs, 2), 0);
	prog_release(&p, l);
	prog_release(&p, c);
	prog_release(&p, s);
	prog_run(&p);
	assert_int_equal(state_of(l), 0);
	assert_int_equal(state_of(c), 0);
	assert_true(state_of(s) & ABI_S_RX_EOF);
	session_destroy(child.session);
	prog_run(&p);
	assert_int_equal(state_of(s), 0);
}

static void test_child_accepts_for_parent(void **state)
{
	struct psock l, c, s, first;
	struct prog child;
	char buf[8];

	prog_pair(&p, 80, &l, &c, &first);
	child_of(&child);
	prog_release(&p, l);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	prog_run(&p);
	assert_true(prog_accept(&child, l, &s));
	prog_run(&p);
	prog_send(&p, c, "hi", 2);
	prog_run(&p);
	assert_int_equal(prog_recv(&child, s, buf, sizeof(buf)), 2);
	/* Death of a process with its data read: FIN. */
	session_destroy(child.session);
	prog_run(&p);
	assert_true(state_of(c) & ABI_S_RX_EOF);
	assert_int_equal(app_sock_error(prog_sock(&p, c)), 0);
	assert_int_equal(state_of(l), 0);
}

static void test_death_with_unread_data(void **state)
{
	struct psock l, c, s, first;
	struct prog child;

	prog_pair(&p, 80, &l, &c, &first);
	child_of(&child);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	prog_run(&p);
	assert_true(prog_accept(&child, l, &s));
	prog_send(&p, c, "unread", 6);
	prog_run(&p);
	session_destroy(child.session);
	prog_run(&p);
	assert_int_equal(app_sock_error(prog_sock(&p, c)), ECONNRESET);
	assert_true(state_of(l) & ABI_S_LISTEN);
}

static void test_half_taken_connection_is_reaped(void **state)
{
	struct psock l, c, first;
	struct prog child;
	struct abi_sock *abi;

	prog_pair(&p, 80, &l, &c, &first);
	child_of(&child);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	prog_run(&p);
	/* The child took the entry and died before it said so. */
	abi = prog_sock(&p, l);
	atomic_fetch_add(&abi->rx_head, 1);
	session_destroy(child.session);
	prog_run(&p);
	assert_true(state_of(c) & ABI_S_CONNECTED);
	test_advance(w, 1100000000ull);
	prog_run(&p);
	assert_int_equal(app_sock_error(prog_sock(&p, c)), ECONNRESET);
}

static void test_slow_taker_is_not_reaped(void **state)
{
	struct psock l, c, s, first;
	struct prog child;

	prog_pair(&p, 80, &l, &c, &first);
	child_of(&child);
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	prog_run(&p);
	session_destroy(child.session); /* an unrelated death meanwhile */
	assert_true(prog_accept(&p, l, &s));
	prog_run(&p);
	test_advance(w, 1100000000ull);
	prog_run(&p);
	assert_true(state_of(c) & ABI_S_CONNECTED);
	assert_int_equal(app_sock_error(prog_sock(&p, c)), 0);
}

static void test_resume_keeps_what_is_named(void **state)
{
	struct psock l, c, s;
	uint32_t pairs[4];

	prog_pair(&p, 80, &l, &c, &s);
	pairs[0] = l.index;
	pairs[1] = l.gen;
	pairs[2] = s.index;
	pairs[3] = s.gen + 1; /* stale: not kept */
	session_resume(p.session, pairs, 2);
	prog_channels(&p);
	prog_run(&p);
	assert_true(state_of(l) & ABI_S_LISTEN);
	assert_int_equal(state_of(s), 0);
	assert_int_equal(state_of(c), 0);
	/* The new program goes on with it. */
	assert_int_equal(prog_socket(&p, SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p, c, 80), -EINPROGRESS);
	prog_run(&p);
	assert_true(prog_accept(&p, l, &s));
}

static void test_what_was_written_before_death_is_sent(void **state)
{
	struct psock l, c, s;
	struct prog child;

	prog_pair(&p, 80, &l, &c, &s);
	child_of(&child);
	/* The child writes and dies without having told; the parent keeps the socket. */
	struct abi_sock *abi = prog_sock(&p, c);

	atomic_store(&abi->tx_kick, 1);
	memcpy((uint8_t *)p.arena + abi->tx_offset, "late", 4);
	atomic_store(&abi->tx_tail, 4);
	session_destroy(child.session);
	prog_run(&p);
	assert_int_equal(app_sock_rx_used(prog_sock(&p, s)), 4);
	assert_int_equal(atomic_load(&abi->tx_kick), 0);
}

static unsigned int seen;

static void count_info(const struct sock_info *info, void *arg)
{
	seen++;
	if (info->state == TCP_LISTEN)
		assert_int_equal(info->local.port_be, htons(80));
	assert_string_equal(info->proto, "tcp");
	assert_int_equal(info->pid, 1);
}

static void test_list(void **state)
{
	struct psock l, c, s;

	prog_pair(&p, 80, &l, &c, &s);
	seen = 0;
	sock_for_each(w, count_info, NULL);
	assert_int_equal(seen, 3);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_fork_shares_sockets),
		T(test_fork_with_some_sockets),
		T(test_child_accepts_for_parent),
		T(test_death_with_unread_data),
		T(test_half_taken_connection_is_reaped),
		T(test_slow_taker_is_not_reaped),
		T(test_resume_keeps_what_is_named),
		T(test_what_was_written_before_death_is_sent),
		T(test_list),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
