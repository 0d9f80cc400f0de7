/* SPDX-License-Identifier: BSD-3-Clause */
/* Two workers: siblings of listeners and datagram sockets, made and closed by the control thread.
 */
#include <errno.h>

#include "prog.h"
#include "sock/sock.h"

static struct worker *w[2];
static struct session *session;
static struct abi_arena *arena;
static struct prog p[2]; /* the same program, with a channel at each worker */
static unsigned int wakes;

static void wake(void *arg)
{
	wakes++;
}

static int setup(void **state)
{
	struct sock_hooks hooks = { .wake_control = wake };
	struct family_params params = {
		.name = "sharded", .memfd = true, .workers = w, .worker_count = 2
	};
	uint64_t offset;
	uint32_t index;

	wakes = 0;
	for (unsigned int i = 0; i < 2; i++) {
		w[i] = calloc(1, sizeof(*w[i]));
		assert_int_equal(worker_init(w[i], i, 256, TEST_START_NS, TEST_SEED), 0);
		assert_int_equal(sock_layer_init(w[i]), 0);
		sock_layer_hooks(w[i], &hooks);
	}
	fake_init(w[0]);
	assert_int_equal(session_create(&params, 1, &session), 0);
	arena = session_arena(session);
	for (unsigned int i = 0; i < 2; i++) {
		p[i] = (struct prog){ .w = w[i], .session = session, .arena = arena };
		assert_int_equal(session_channel(session, i, -1, 64, &index, &offset), 0);
		p[i].thread = (struct abi_channel *)((uint8_t *)arena + offset);
		assert_int_equal(p[i].thread->worker, i);
	}
	return 0;
}

static void control(void)
{
	for (unsigned int i = 0; i < 2; i++)
		sock_control(w[i]);
}

static int teardown(void **state)
{
	session_destroy(session);
	for (unsigned int i = 0; i < 2; i++)
		fake_run(w[i]);
	assert_int_equal(fake_pcb_count, 0);
	assert_int_equal(fake_udp_count, 0);
	for (unsigned int i = 0; i < 2; i++) {
		sock_layer_free(w[i]);
		test_worker_done(w[i]);
	}
	return 0;
}

/* The answer comes after the control thread has run. */
static int deferred(struct abi_ctl *ctl, struct psock *s)
{
	struct abi_channel *ch = p[0].thread;

	assert_int_equal(prog_ctl(&p[0], ctl, s), -ETIMEDOUT);
	assert_true(wakes > 0);
	control();
	assert_int_equal(atomic_load(&ch->ctl_done), atomic_load(&ch->ctl_seq));
	return ch->ctl.result;
}

static int bind_to(struct psock *s, uint16_t port)
{
	struct abi_ctl ctl = { .op = ABI_CTL_BIND,
			       .port_be = htons(port),
			       .addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK)) };

	return deferred(&ctl, s);
}

/* A port that was given away on the other worker. */
static void test_bind_conflict(void **state)
{
	struct psock there, here;

	assert_int_equal(prog_socket(&p[1], SOCK_STREAM, &there), 0);
	assert_int_equal(prog_bind(&p[1], there, 80), -ETIMEDOUT);
	control();
	assert_int_equal(p[1].thread->ctl.result, 0);
	assert_int_equal(prog_socket(&p[0], SOCK_STREAM, &here), 0);
	assert_int_equal(bind_to(&here, 80), -EADDRINUSE);
	assert_int_equal(prog_sock(&p[0], here)->local_port_be, 0);
	assert_int_equal(bind_to(&here, 81), 0);
	assert_int_equal(prog_sock(&p[0], here)->local_port_be, htons(81));
}

static void test_listener(void **state)
{
	struct abi_ctl ctl = { .op = ABI_CTL_LISTEN, .optname = 8 };
	struct psock l, second, c, s;
	unsigned int before;

	assert_int_equal(prog_socket(&p[0], SOCK_STREAM, &l), 0);
	assert_int_equal(bind_to(&l, 80), 0);
	assert_int_equal(deferred(&ctl, &l), 0);
	second.index = prog_sock(&p[0], l)->shard_next;
	assert_int_not_equal(second.index, ABI_SOCK_NONE);
	second.gen = atomic_load(&prog_sock(&p[0], second)->gen);
	assert_int_equal(prog_sock(&p[0], second)->worker, 1);
	assert_int_equal(prog_sock(&p[0], second)->shard_next, ABI_SOCK_NONE);
	assert_true(atomic_load(&prog_sock(&p[0], second)->state) & ABI_S_LISTEN);
	/* A connection that comes to the other worker waits there. */
	assert_int_equal(prog_socket(&p[1], SOCK_STREAM, &c), 0);
	assert_int_equal(prog_connect(&p[1], c, 80), -EINPROGRESS);
	prog_run(&p[1]);
	assert_int_equal(app_sock_rx_used(prog_sock(&p[0], l)), 0);
	assert_true(prog_accept(&p[1], second, &s));
	prog_run(&p[1]);
	/* The first one's end is the siblings' end. */
	before = wakes;
	prog_release(&p[0], l);
	prog_run(&p[0]);
	assert_true(wakes > before);
	assert_true(atomic_load(&prog_sock(&p[0], second)->state) & ABI_S_LISTEN);
	control();
	assert_int_equal(atomic_load(&prog_sock(&p[0], second)->state), 0);
	assert_true(atomic_load(&prog_sock(&p[0], s)->state) & ABI_S_CONNECTED);
}

static void test_datagram(void **state)
{
	struct abi_ctl ctl = { .op = ABI_CTL_BIND,
			       .port_be = htons(53),
			       .addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK)) };
	struct psock s;
	uint32_t second;

	assert_int_equal(prog_socket(&p[0], SOCK_DGRAM, &s), 0);
	assert_int_equal(deferred(&ctl, &s), 0);
	second = prog_sock(&p[0], s)->shard_next;
	assert_int_not_equal(second, ABI_SOCK_NONE);
	assert_int_equal(fake_udp_count, 2);
	/* Connected, the sibling takes only what is from the peer, as the first one. */
	ctl.op = ABI_CTL_CONNECT;
	ctl.port_be = htons(5353);
	assert_int_equal(deferred(&ctl, &s), 0);
	assert_int_equal(prog_sock(&p[0], (struct psock){ .index = second })->peer_port_be,
			 htons(5353));
}

/* The siblings are the first socket's: who says that it accepted one does not get it, and cannot
 * close it under the first one. */
static void test_sibling_is_not_accepted(void **state)
{
	struct abi_ctl ctl = { .op = ABI_CTL_LISTEN, .optname = 8 };
	struct psock l, second, other;

	assert_int_equal(prog_socket(&p[0], SOCK_STREAM, &l), 0);
	assert_int_equal(bind_to(&l, 80), 0);
	assert_int_equal(deferred(&ctl, &l), 0);
	second.index = prog_sock(&p[0], l)->shard_next;
	second.gen = atomic_load(&prog_sock(&p[0], second)->gen);
	prog_submit(&p[1], ABI_OP_ACCEPTED, second, 0, 0);
	prog_release(&p[1], second);
	prog_run(&p[1]);
	assert_true(atomic_load(&prog_sock(&p[0], second)->state) & ABI_S_LISTEN);
	assert_int_equal(
		session_pass(session, second.index, second.gen, &(struct session *){ NULL }),
		-EBADF);
	prog_release(&p[0], l);
	prog_run(&p[0]);
	control();
	assert_int_equal(atomic_load(&prog_sock(&p[0], second)->state), 0);
	/* Its slot is free once, not twice. */
	assert_int_equal(prog_socket(&p[1], SOCK_STREAM, &l), 0);
	assert_int_equal(prog_socket(&p[1], SOCK_STREAM, &other), 0);
	assert_int_not_equal(l.index, other.index);
}

/* Between listen() and the control thread, another thread of the program has made something else of
 * the socket, and that has ended. */
static void test_listener_gone_meanwhile(void **state)
{
	struct abi_ctl ctl = { .op = ABI_CTL_LISTEN, .optname = 8 };
	struct prog thread = p[0];
	struct psock l;
	uint64_t offset;
	uint32_t index;

	assert_int_equal(session_channel(session, 0, -1, 64, &index, &offset), 0);
	thread.thread = (struct abi_channel *)((uint8_t *)arena + offset);
	assert_int_equal(prog_socket(&p[0], SOCK_STREAM, &l), 0);
	assert_int_equal(bind_to(&l, 80), 0);
	assert_int_equal(prog_ctl(&p[0], &ctl, &l), -ETIMEDOUT);
	assert_int_equal(prog_shutdown(&thread, l, SHUT_RD), 0);
	assert_int_equal(prog_connect(&thread, l, 99), -EINPROGRESS);
	prog_run(&thread);
	assert_true(atomic_load(&prog_sock(&thread, l)->state) & ABI_S_RESET);
	control();
	assert_int_equal(p[0].thread->ctl.result, -EINVAL);
	assert_int_equal(prog_sock(&p[0], l)->shard_next, ABI_SOCK_NONE);
}

static void test_program_gone_meanwhile(void **state)
{
	struct abi_ctl ctl = { .op = ABI_CTL_LISTEN, .optname = 8 };
	struct psock l;

	assert_int_equal(prog_socket(&p[0], SOCK_STREAM, &l), 0);
	assert_int_equal(prog_ctl(&p[0], &ctl, &l), -ETIMEDOUT);
	/* teardown: the session is destroyed with the request still posted */
}

static void test_foreign_worker(void **state)
{
	struct psock s;

	assert_int_equal(prog_socket(&p[1], SOCK_STREAM, &s), 0);
	prog_submit(&p[0], ABI_OP_TX, s, 0, 0);
	prog_run(&p[0]);
	assert_non_null(session_broken(session));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bind_conflict),
		T(test_listener),
		T(test_datagram),
		T(test_program_gone_meanwhile),
		T(test_foreign_worker),
		T(test_sibling_is_not_accepted),
		T(test_listener_gone_meanwhile),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
