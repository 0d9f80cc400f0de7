/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream's rings get another size while the program uses them, and while it misbehaves. */
#include <errno.h>
#include <sys/socket.h>

#include "prog.h"
#include "sock/sock_priv.h"

static struct worker *w;
static struct prog p;
static struct psock l, c, s;

static int setup(void **state)
{
	w = test_worker();
	assert_int_equal(sock_layer_init(w), 0);
	fake_init(w);
	prog_open(&p, w, 64, 64ull << 20);
	prog_pair(&p, 80, &l, &c, &s);
	return 0;
}

static int teardown(void **state)
{
	prog_close(&p);
	assert_int_equal(fake_pcb_count, 0);
	sock_layer_free(w);
	test_worker_done(w);
	return 0;
}

static uint8_t byte_at(uint32_t position)
{
	return (uint8_t)(position * 7 + (position >> 8));
}

/* The next n bytes of the stream, from c to s. */
static void send_more(uint32_t *sent, uint32_t n)
{
	uint8_t data[65536];

	for (uint32_t i = 0; i < n; i++)
		data[i] = byte_at(*sent + i);
	assert_int_equal(prog_send(&p, c, data, n), n);
	*sent += n;
	prog_run(&p);
}

static void read_more(uint32_t *got, uint32_t n)
{
	uint8_t data[65536];

	assert_int_equal(prog_recv(&p, s, data, n), n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(data[i], byte_at(*got + i));
	*got += n;
}

static struct tcp_public *receiver(void)
{
	return tcp_public(fake_pcb_of_port(80, false));
}

static struct arena_heap *heap(void)
{
	return &p.session->family->part[0]->heap;
}

static void test_grows_with_its_bytes(void **state)
{
	uint32_t sent = 0, got = 0;
	uint64_t before;

	/* Half way round, so that what waits wraps in the old ring and not in the new. */
	send_more(&sent, 65536);
	send_more(&sent, 50000);
	read_more(&got, 65536);
	send_more(&sent, 65536);
	before = heap()->used_bytes;
	for (uint32_t size = 262144; size <= 2097152; size *= 2) {
		receiver()->rcv_space_bytes = size;
		fake_up.tcp_grow_rcv(w, (struct tcp_pcb *)receiver(), 0);
		assert_int_equal(prog_sock(&p, s)->rx_size_bytes, size);
		assert_int_equal(heap()->used_bytes, before - 131072 + size);
		read_more(&got, 10000);
		send_more(&sent, 60000);
		send_more(&sent, 60000);
	}
	while (got != sent)
		read_more(&got, sent - got < 65536 ? sent - got : 65536);
	assert_null(session_broken(p.session));
}

/* What came out of order lies behind the tail. */
static void test_takes_along_what_is_out_of_order(void **state)
{
	uint32_t sent = 0, got = 0, at;
	struct byte_ring *rcv;

	send_more(&sent, 60000);
	read_more(&got, 60000);
	send_more(&sent, 60000);
	rcv = &receiver()->rcv;
	for (uint32_t i = 0; i < 30000; i++)
		rcv->data[(rcv->tail + i) & (rcv->size_bytes - 1)] = byte_at(sent + i);
	at = rcv->tail;
	receiver()->rcv_space_bytes = 262144;
	fake_up.tcp_grow_rcv(w, (struct tcp_pcb *)receiver(), 30000);
	assert_int_equal(rcv->size_bytes, 262144);
	for (uint32_t i = 0; i < 30000; i++)
		assert_int_equal(rcv->data[(at + i) & (rcv->size_bytes - 1)], byte_at(sent + i));
	read_more(&got, 60000);
}

/* A thread is in the ring, or was killed there, or holds the word for ever: nothing moves. */
static void test_waits_for_the_lock(void **state)
{
	uint32_t sent = 0, got = 0;

	send_more(&sent, 1000);
	receiver()->rcv_space_bytes = 262144;
	assert_true(app_try_lock(&prog_sock(&p, s)->rx_lock, 77));
	fake_up.tcp_grow_rcv(w, (struct tcp_pcb *)receiver(), 0);
	assert_int_equal(prog_sock(&p, s)->rx_size_bytes, 131072);
	assert_int_equal(receiver()->rcv_space_bytes, 262144);
	assert_int_equal(atomic_load(&prog_sock(&p, s)->rx_lock), 77);
	app_unlock(&prog_sock(&p, s)->rx_lock);
	fake_up.tcp_grow_rcv(w, (struct tcp_pcb *)receiver(), 0);
	assert_int_equal(prog_sock(&p, s)->rx_size_bytes, 262144);
	assert_int_equal(atomic_load(&prog_sock(&p, s)->rx_lock), 0);
	read_more(&got, 1000);
}

/* Three quarters of the arena may go into growing; then the buffer stays as it is. */
static void test_memory_is_limited(void **state)
{
	uint32_t sent = 0, got = 0;

	send_more(&sent, 1000);
	heap()->used_bytes += 48ull << 20;
	receiver()->rcv_space_bytes = 4194304;
	fake_up.tcp_grow_rcv(w, (struct tcp_pcb *)receiver(), 0);
	assert_int_equal(prog_sock(&p, s)->rx_size_bytes, 131072);
	assert_int_equal(receiver()->rcv_space_bytes, 131072);
	heap()->used_bytes -= 48ull << 20;
	read_more(&got, 1000);
}

static void test_a_read_position_that_cannot_be(void **state)
{
	uint32_t sent = 0;

	send_more(&sent, 1000);
	receiver()->rcv_space_bytes = 262144;
	atomic_store(&prog_sock(&p, s)->rx_head, 1001);
	fake_up.tcp_grow_rcv(w, (struct tcp_pcb *)receiver(), 0);
	assert_non_null(session_broken(p.session));
	assert_int_equal(receiver()->rcv.size_bytes, 131072);
}

/* ---- the send ring ---- */

/* The program waits for room, and there should be more. */
static void want_more(uint32_t space)
{
	fake_snd_space = space;
	atomic_fetch_or(&prog_sock(&p, c)->want, ABI_WANT_TX);
	fake_up.tcp_acked(w, fake_pcb_of_port(80, true));
	sock_flush(w);
}

static uint32_t fill(uint32_t *sent)
{
	static uint8_t data[1 << 20];
	uint32_t n = app_sock_tx_free(prog_sock(&p, c));

	for (uint32_t i = 0; i < n; i++)
		data[i] = byte_at(*sent + i);
	assert_int_equal(prog_send(&p, c, data, sizeof(data)), n);
	*sent += n;
	return n;
}

static void test_send_ring_grows_with_its_bytes(void **state)
{
	uint32_t sent = 0, got = 0;
	uint64_t before;

	send_more(&sent, 50000);
	read_more(&got, 50000);
	fake_hold_acks = true;
	before = heap()->used_bytes;
	assert_int_equal(fill(&sent), 131072);
	want_more(200000);
	assert_int_equal(prog_sock(&p, c)->tx_size_bytes, 262144);
	assert_int_equal(heap()->used_bytes, before + 131072);
	assert_false(atomic_load(&prog_sock(&p, c)->want) & ABI_WANT_TX);
	assert_int_equal(fill(&sent), 131072);
	want_more(1000000);
	assert_int_equal(prog_sock(&p, c)->tx_size_bytes, 1048576);
	assert_int_equal(fill(&sent), 1048576 - 262144);
	/* The window got smaller: the ring does not. */
	want_more(131072);
	assert_int_equal(prog_sock(&p, c)->tx_size_bytes, 1048576);
	fake_hold_acks = false;
	prog_run(&p);
	while (got != sent) {
		read_more(&got, sent - got < 65536 ? sent - got : 65536);
		prog_run(&p);
	}
	assert_null(session_broken(p.session));
}

/* The program has written and not told yet: that goes along, and is sent. */
static void test_what_was_written_is_seen(void **state)
{
	struct abi_sock *abi = prog_sock(&p, c);
	uint32_t sent = 0, got = 0;

	app_ring_write((uint8_t *)p.arena + abi->tx_offset, abi->tx_size_bytes, 0,
		       (uint8_t[]){ byte_at(0), byte_at(1) }, 2);
	atomic_store(&abi->tx_tail, 2);
	want_more(200000);
	assert_int_equal(fake_pcb_of_port(80, true)->pushes, 1);
	assert_int_equal(abi->tx_size_bytes, 262144);
	sent = 2;
	prog_run(&p);
	read_more(&got, 2);
	send_more(&sent, 60000);
	read_more(&got, 60000);
}

static void test_send_ring_waits_for_the_lock(void **state)
{
	assert_true(app_try_lock(&prog_sock(&p, c)->tx_lock, 77));
	want_more(200000);
	assert_int_equal(prog_sock(&p, c)->tx_size_bytes, 131072);
	app_unlock(&prog_sock(&p, c)->tx_lock);
	want_more(200000);
	assert_int_equal(prog_sock(&p, c)->tx_size_bytes, 262144);
	assert_int_equal(atomic_load(&prog_sock(&p, c)->tx_lock), 0);
}

static void test_a_write_position_that_cannot_be(void **state)
{
	atomic_store(&prog_sock(&p, c)->tx_tail, 131073);
	want_more(200000);
	assert_non_null(session_broken(p.session));
	assert_int_equal(tcp_public(fake_pcb_of_port(80, true))->snd.size_bytes, 131072);
}

/* SO_SNDBUF: at once where what is in the ring fits, else the program may not write more of it. */
static void test_send_ring_gets_smaller(void **state)
{
	struct abi_sock *abi = prog_sock(&p, c);
	uint32_t sent = 0, got = 0;

	fake_hold_acks = true;
	send_more(&sent, 10000);
	assert_int_equal(prog_setopt(&p, c, SOL_SOCKET, SO_SNDBUF, 5000), 0);
	assert_int_equal(abi->tx_size_bytes, 131072);
	assert_int_equal(app_sock_tx_room(abi), 0);
	assert_false(app_sock_events(abi) & ABI_EV_OUT);
	fake_hold_acks = false;
	prog_run(&p);
	assert_int_equal(abi->tx_size_bytes, 8192);
	assert_int_equal(app_sock_tx_room(abi), 8192);
	assert_true(app_sock_events(abi) & ABI_EV_OUT);
	read_more(&got, 10000);
	assert_int_equal(prog_setopt(&p, c, SOL_SOCKET, SO_SNDBUF, 65536), 0);
	assert_int_equal(abi->tx_size_bytes, 65536);
	send_more(&sent, 60000);
	read_more(&got, 60000);
}

/* ---- silence ---- */

static void pass(unsigned int seconds)
{
	for (; seconds; seconds--) {
		w->now_ns += 1000000000ull;
		timer_run(w, &w->timers, w->now_ns);
		prog_run(&p);
	}
}

static void test_rings_of_the_silent_go_back(void **state)
{
	uint32_t sent = 0, got = 0;
	uint64_t none;
	struct abi_ctl ctl = { .op = ABI_CTL_RING };

	send_more(&sent, 1000);
	pass(30);
	/* Unread bytes keep the one ring; nothing the three others. */
	none = heap()->used_bytes - 131072;
	assert_int_equal(prog_sock(&p, s)->rx_size_bytes, 131072);
	assert_int_equal(prog_sock(&p, c)->tx_size_bytes, 0);
	assert_int_equal(prog_sock(&p, s)->tx_size_bytes, 0);
	assert_true(app_sock_events(prog_sock(&p, c)) & ABI_EV_OUT);
	read_more(&got, 1000);
	pass(30);
	assert_int_equal(heap()->used_bytes, none);
	/* Who has something to write asks for the ring; data brings both of the other side. */
	assert_int_equal(prog_send(&p, c, "x", 1), 0);
	assert_int_equal(prog_ctl(&p, &ctl, &c), 0);
	assert_int_equal(prog_ctl(&p, &ctl, &c), 0);
	send_more(&sent, 60000);
	assert_int_equal(prog_sock(&p, s)->rx_size_bytes, 131072);
	assert_int_equal(prog_sock(&p, s)->tx_size_bytes, 131072);
	read_more(&got, 60000);
	assert_int_equal(heap()->used_bytes, none + 3 * 131072);
}

static void test_the_busy_keep_theirs(void **state)
{
	uint32_t sent = 0, got = 0;

	for (unsigned int i = 0; i < 30; i++) {
		send_more(&sent, 10);
		read_more(&got, 10);
		pass(2);
	}
	assert_int_equal(prog_sock(&p, s)->rx_size_bytes, 131072);
	assert_int_equal(prog_sock(&p, c)->tx_size_bytes, 131072);
}

static void test_who_is_inside_keeps_it(void **state)
{
	uint32_t sent = 0, got = 0;

	send_more(&sent, 10);
	read_more(&got, 10);
	assert_true(app_try_lock(&prog_sock(&p, s)->rx_lock, 77));
	assert_true(app_try_lock(&prog_sock(&p, c)->tx_lock, 77));
	pass(30);
	assert_int_equal(prog_sock(&p, s)->rx_size_bytes, 131072);
	assert_int_equal(prog_sock(&p, c)->tx_size_bytes, 131072);
	app_unlock(&prog_sock(&p, s)->rx_lock);
	app_unlock(&prog_sock(&p, c)->tx_lock);
	pass(30);
	assert_int_equal(prog_sock(&p, s)->rx_size_bytes, 0);
	assert_int_equal(prog_sock(&p, c)->tx_size_bytes, 0);
	/* A program that writes where there is no ring. */
	atomic_store(&prog_sock(&p, c)->tx_tail, 20);
	prog_submit(&p, ABI_OP_TX, c, 0, 0);
	prog_run(&p);
	assert_non_null(session_broken(p.session));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_grows_with_its_bytes),
		T(test_takes_along_what_is_out_of_order),
		T(test_rings_of_the_silent_go_back),
		T(test_the_busy_keep_theirs),
		T(test_who_is_inside_keeps_it),
		T(test_waits_for_the_lock),
		T(test_memory_is_limited),
		T(test_a_read_position_that_cannot_be),
		T(test_send_ring_grows_with_its_bytes),
		T(test_what_was_written_is_seen),
		T(test_send_ring_waits_for_the_lock),
		T(test_a_write_position_that_cannot_be),
		T(test_send_ring_gets_smaller),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
