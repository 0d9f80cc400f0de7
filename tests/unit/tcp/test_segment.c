/* SPDX-License-Identifier: BSD-3-Clause */
/* Segments of an established connection: order, windows, nonsense, blind attacks, PAWS. */
#include <errno.h>
#include <string.h>

#include "fixture.h"

static void test_in_order(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	char data[16];

	peer_send(&p, TCP_F_ACK | TCP_F_PSH, "hello", 5);
	assert_int_equal(s->readable, 1);
	peer_expect(&p, TCP_F_ACK, 0); /* quick at the start */
	assert_int_equal(h->info.ack, p.seq);
	assert_int_equal(sock_read(s, data, sizeof(data)), 5);
	assert_memory_equal(data, "hello", 5);
	assert_int_equal(h->w->ledger.fate[FATE_DELIVERED], 1);
	host_close(h);
}

/* One segment covers a range that came before it and reaches into the next. */
static void test_over_two_ranges(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	char data[32];

	peer_send_at(&p, p.seq + 4, p.ack, TCP_F_ACK, "45", 2);
	peer_send_at(&p, p.seq + 8, p.ack, TCP_F_ACK, "89abcd", 6);
	frame_take_all(h->wire);
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK, "0123456789", 10);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(h->info.ack, p.seq + 14);
	assert_ptr_equal(s->pcb->ooo, NULL);
	assert_int_equal(sock_read(s, data, sizeof(data)), 14);
	assert_memory_equal(data, "0123456789abcd", 14);
	host_close(h);
}

/* What an earlier segment said of the window is not counted from a later acknowledgment: a segment
 * behind a hole, then the one before it, which acknowledges more and closes the window. */
static void test_window_of_another(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	static char block[3000];

	p.window = 3 * 536;
	peer_send_at(&p, p.seq + 100, p.ack, TCP_F_ACK, "x", 1);
	frame_take_all(h->wire);
	assert_int_equal(sock_write(s, block, sizeof(block)), sizeof(block));
	host_run(h);
	frame_take_all(h->wire);
	assert_int_equal(s->pcb->snd_nxt - s->pcb->snd_una, 3 * 536);
	p.window = 10;
	p.ack += 3 * 536;
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK, "y", 1);
	assert_int_equal(s->pcb->snd_una, p.ack);
	assert_int_equal(s->pcb->snd_wnd, 10);
	host_close(h);
}

/* A FIN, though something from behind it has come: the FIN is where the stream ends. */
static void test_fin_below_range(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	char data[16];

	peer_send_at(&p, p.seq + 2, p.ack, TCP_F_ACK, "2345", 4);
	frame_take_all(h->wire);
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK | TCP_F_FIN, "012", 3);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(h->info.ack, p.seq + 4);
	assert_int_equal(sock_read(s, data, sizeof(data)), 3);
	assert_int_equal(sock_state(s), TCP_CLOSE_WAIT);
	assert_ptr_equal(s->pcb->ooo, NULL);
	host_close(h);
}

static void test_out_of_order(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	char data[16];

	peer_send_at(&p, p.seq + 5, p.ack, TCP_F_ACK, "56789", 5);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(h->info.ack, p.seq);
	assert_int_equal(s->readable, 0);
	peer_send_at(&p, p.seq + 6, p.ack, TCP_F_ACK, "67", 2);
	assert_int_equal(drops_of(h, TCP_OFOMERGE), 1);
	peer_expect(&p, TCP_F_ACK, 0);
	/* the FIN too may come early */
	peer_send_at(&p, p.seq + 10, p.ack, TCP_F_ACK | TCP_F_FIN, NULL, 0);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(sock_state(s), TCP_ESTABLISHED);
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK, "0123456", 7);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(h->info.ack, p.seq + 11);
	assert_int_equal(sock_read(s, data, sizeof(data)), 10);
	assert_memory_equal(data, "0123456789", 10);
	assert_int_equal(sock_state(s), TCP_CLOSE_WAIT);
	assert_true(s->eof);
	assert_int_equal(s->pcb->ooo, NULL);
	/* nothing comes behind a FIN */
	peer_send_at(&p, p.seq + 11, p.ack, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, TCP_CLOSE), 1);
	host_close(h);
}

static void test_old(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	peer_send(&p, TCP_F_ACK, "hello", 5);
	frame_take_all(h->wire);
	peer_send_at(&p, p.seq - 5, p.ack, TCP_F_ACK, "hello", 5);
	assert_int_equal(drops_of(h, TCP_OLD_DATA), 1);
	peer_expect(&p, TCP_F_ACK, 0);
	/* half old, half new */
	peer_send_at(&p, p.seq - 3, p.ack, TCP_F_ACK, "llo wor", 7);
	assert_int_equal(byte_ring_used(&tcp_public(s->pcb)->rcv), 9);
	p.seq += 4;
	/* a keepalive probe */
	frame_take_all(h->wire);
	host_wait(h, SEC);
	peer_send_at(&p, p.seq - 1, p.ack, TCP_F_ACK, NULL, 0);
	assert_int_equal(drops_of(h, TCP_INVALID_SEQUENCE), 1);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(h->info.ack, p.seq);
	/* answered at most twice a second */
	peer_send_at(&p, p.seq - 1, p.ack, TCP_F_ACK, NULL, 0);
	peer_silent(&p);
	host_close(h);
}

static void test_window_edges(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	static char block[1460];
	uint32_t edge;

	peer_send_at(&p, p.seq + 70000, p.ack, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, TCP_OVERWINDOW), 1);
	peer_expect(&p, TCP_F_ACK, 0);
	peer_send_at(&p, p.seq + 70000, p.ack, TCP_F_ACK, NULL, 0);
	assert_int_equal(drops_of(h, TCP_INVALID_SEQUENCE), 1);
	frame_take_all(h->wire);
	edge = p.seq + 65535;
	/* Fill it to the last byte; the right edge never moves left. */
	while (s->pcb->rcv_adv - s->pcb->rcv_nxt >= sizeof(block)) {
		peer_send(&p, TCP_F_ACK, block, sizeof(block));
		while (frame_take(h->wire, ETH_TYPE_IP4, h->frame, &h->info)) {
			assert_false(tcp_seq_lt(h->info.ack + h->info.window, edge));
			edge = h->info.ack + h->info.window;
		}
	}
	peer_send(&p, TCP_F_ACK, block, s->pcb->rcv_adv - s->pcb->rcv_nxt);
	host_wait(h, SEC);
	frame_take_all(h->wire);
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, TCP_ZEROWINDOW), 1);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(h->info.window, 0);
	/* A little room is not worth a word (silly window), twice the window is. */
	assert_true(tcp_wants_consumed(s->pcb));
	sock_read(s, NULL, 100);
	peer_silent(&p);
	sock_read(s, NULL, 40000);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_in_range(h->info.window, 40100, 40101);
	assert_false(tcp_wants_consumed(s->pcb) && h->info.window > 32768);
	host_close(h);
}

static void test_no_ring(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	s->no_memory = true;
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, SOCKET_RCVBUFF), 1);
	s->no_memory = false;
	peer_send(&p, TCP_F_ACK, "x", 1);
	assert_int_equal(s->readable, 1);
	host_close(h);
}

static void test_malformed(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	uint8_t frame[128];
	struct frame_spec spec = { .dst_mac = { 2, 0, 0, 0, 0, 2 },
				   .src_mac = { 2, 0, 0, 0, 0, 1 },
				   .src_ip = PEER,
				   .dst_ip = US };
	static const uint8_t bad[] = { 8, 1, 0, 0 };
	struct frame_tcp t = { .sport = 40000, .dport = 80, .flags = TCP_F_ACK };
	struct sock *s = peer_established(&p, h, NULL);
	size_t len;

	t.seq = p.seq;
	t.ack = p.ack;
	/* a header length below 20, and one beyond the packet */
	len = frame_tcp(frame, &spec, &t, NULL, 0);
	frame[FRAME_L4_AT + 12] = 0x40;
	wire_put(h->wire, frame, len);
	frame[FRAME_L4_AT + 12] = 0xf0;
	wire_put(h->wire, frame, len);
	/* an option that is longer than it can be */
	t.options = bad;
	t.options_len = sizeof(bad);
	wire_put(h->wire, frame, frame_tcp(frame, &spec, &t, NULL, 0));
	host_run(h);
	assert_int_equal(drops_of(h, TCP_MALFORMED), 3);
	/* a byte changed on the way */
	t.options_len = 0;
	len = frame_tcp(frame, &spec, &t, "data", 4);
	frame[len - 1] ^= 1;
	wire_put(h->wire, frame, len);
	host_run(h);
	assert_int_equal(drops_of(h, TCP_CSUM), 1);
	peer_silent(&p);
	/* cut short below the fixed header: IP's total length says 10 bytes of TCP */
	len = frame_ip4(frame, &spec, 6, "0123456789", 10);
	wire_put(h->wire, frame, len);
	host_run(h);
	assert_int_equal(drops_of(h, TCP_MALFORMED), 4);
	assert_int_equal(s->readable, 0);
	host_close(h);
}

static void test_flags(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	peer_send_at(&p, p.seq, 0, 0, "x", 1);
	assert_int_equal(drops_of(h, TCP_NO_ACK), 1);
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK | TCP_F_SYN | TCP_F_FIN, NULL, 0);
	assert_int_equal(drops_of(h, TCP_FLAGS), 1);
	peer_silent(&p);
	/* URG: the data is taken in line */
	peer_send(&p, TCP_F_ACK | TCP_F_URG, "abc", 3);
	assert_int_equal(sock_read(s, NULL, 9), 3);
	host_close(h);
}

static void test_acks(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	sock_write(s, "abc", 3);
	peer_expect(&p, TCP_F_ACK | TCP_F_PSH, 3);
	peer_send(&p, TCP_F_ACK, NULL, 0);
	assert_int_equal(s->acked, 1);
	peer_send_at(&p, p.seq, p.ack + 1, TCP_F_ACK, NULL, 0);
	assert_int_equal(drops_of(h, TCP_INVALID_ACK_SEQUENCE), 1);
	peer_expect(&p, TCP_F_ACK, 0); /* a challenge */
	peer_send_at(&p, p.seq, p.ack - 2, TCP_F_ACK, NULL, 0);
	assert_int_equal(drops_of(h, TCP_OLD_ACK), 1);
	host_wait(h, SEC);
	peer_send_at(&p, p.seq, p.ack - 100000, TCP_F_ACK, "x", 1);
	assert_int_equal(drops_of(h, TCP_OLD_ACK), 2);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(s->readable, 0);
	host_close(h);
}

/* RFC 5961: a RST or SYN or ACK that merely lies in the window is not believed. */
static void test_blind(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);

	peer_send_at(&p, p.seq + 1, 0, TCP_F_RST, NULL, 0);
	assert_int_equal(drops_of(h, TCP_RESET), 1);
	peer_expect(&p, TCP_F_ACK, 0);
	peer_send_at(&p, p.seq + 2, 0, TCP_F_RST, NULL, 0);
	assert_int_equal(drops_of(h, TCP_RESET), 2);
	peer_silent(&p); /* rate limited */
	peer_send_at(&p, p.seq + 90000, 0, TCP_F_RST, NULL, 0);
	assert_int_equal(drops_of(h, TCP_RESET), 3);
	host_wait(h, SEC);
	peer_send_at(&p, p.seq, 0, TCP_F_SYN, NULL, 0);
	assert_int_equal(drops_of(h, TCP_INVALID_SYN), 1);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(sock_state(s), TCP_ESTABLISHED);
	/* this one is right */
	peer_send_at(&p, p.seq, 0, TCP_F_RST, NULL, 0);
	assert_int_equal(s->error, ECONNRESET);
	assert_int_equal(sock_state(s), TCP_CLOSED);
	sock_close(s);
	assert_true(s->gone);
	host_close(h);
}

static void test_challenge_limit(void **state)
{
	struct host *h = host_plain();
	unsigned int n = 0;

	h->w->now_ns += 5 * SEC;
	while (tcp_challenge_allowed(h->w))
		n++;
	assert_in_range(n, 500, 1500); /* tcp_challenge_ack_limit is 1000 */
	h->w->now_ns += SEC;
	assert_true(tcp_challenge_allowed(h->w));
	host_close(h);
}

static struct sock *with_ts(struct peer *p, struct host *h)
{
	struct sock *l = sock_listen(h, US, 80);

	p->ts = true;
	p->ts_val = 1000;
	peer_connect(p, h, 40000, 80);
	return sock_accept(l);
}

static void test_paws(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = with_ts(&p, h);

	p.ts_val = 2000;
	peer_send(&p, TCP_F_ACK, "a", 1);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(be32_load(frame_tcp_option(&h->info, TCP_OPT_TIMESTAMP) + 4), 2000);
	p.ts_val = 1999;
	peer_send_at(&p, p.seq, p.ack, TCP_F_ACK, "b", 1);
	assert_int_equal(drops_of(h, TCP_RFC7323_PAWS), 1);
	peer_expect(&p, TCP_F_ACK, 0);
	assert_int_equal(s->readable, 1);
	/* a RST is not asked for its time stamp */
	peer_send_at(&p, p.seq, 0, TCP_F_RST, NULL, 0);
	assert_int_equal(s->error, ECONNRESET);
	sock_close(s);
	host_close(h);
}

/* After 24 days of silence the stamp says nothing any more. */
static void test_paws_idle(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = with_ts(&p, h);

	h->w->now_ns += (TCP_PAWS_IDLE_S + 1ull) * SEC;
	p.ts_val = 5;
	peer_send(&p, TCP_F_ACK, "a", 1);
	assert_int_equal(s->readable, 1);
	assert_int_equal(drops_of(h, TCP_RFC7323_PAWS), 0);
	host_close(h);
}

static void test_broadcast(void **state)
{
	struct host *h = host_plain();
	uint8_t frame[128];
	struct frame_spec spec = { .src_mac = { 2, 0, 0, 0, 0, 1 }, .src_ip = PEER, .dst_ip = US };
	struct frame_tcp t = { .sport = 40000, .dport = 80, .flags = TCP_F_SYN };

	memset(spec.dst_mac, 0xff, 6);
	sock_listen(h, US, 80);
	wire_put(h->wire, frame, frame_tcp(frame, &spec, &t, NULL, 0));
	host_run(h);
	assert_int_equal(wire_waiting(h->wire), 0);
	assert_int_equal(h->w->tcp->pcbs.used, 1);
	host_close(h);
}

static void test_sack_sent(void **state)
{
	static const uint8_t opt[] = { 1, 1, 4, 2 };
	struct host *h = host_plain();
	struct peer p = { .opt_len = sizeof(opt) };
	const uint8_t *sack;
	struct sock *s;

	memcpy(p.opt, opt, sizeof(opt));
	s = peer_established(&p, h, NULL);
	assert_true(s->pcb->flags & F_SACK_OK);
	peer_send_at(&p, p.seq + 10, p.ack, TCP_F_ACK, "x", 1);
	peer_send_at(&p, p.seq + 20, p.ack, TCP_F_ACK, "x", 1);
	peer_expect(&p, TCP_F_ACK, 0);
	peer_expect(&p, TCP_F_ACK, 0);
	sack = frame_tcp_option(&h->info, TCP_OPT_SACK);
	assert_int_equal(be32_load(sack), p.seq + 20); /* the newest comes first */
	assert_int_equal(be32_load(sack + 8), p.seq + 10);
	/* a duplicate is told as D-SACK, in front */
	peer_send_at(&p, p.seq + 10, p.ack, TCP_F_ACK, "x", 1);
	peer_expect(&p, TCP_F_ACK, 0);
	sack = frame_tcp_option(&h->info, TCP_OPT_SACK);
	assert_int_equal(be32_load(sack), p.seq + 10);
	assert_int_equal(be32_load(sack + 4), p.seq + 11);
	assert_int_equal(be32_load(sack + 8), p.seq + 10);
	host_close(h);
}

static void wire_segment(struct host *h, const struct peer *p, uint32_t at, uint32_t len)
{
	struct frame_spec spec = { .dst_mac = { 2, 0, 0, 0, 0, 2 },
				   .src_mac = { 2, 0, 0, 0, 0, 1 },
				   .src_ip = PEER,
				   .dst_ip = US };
	struct frame_tcp t = {
		.sport = 40000, .dport = 80, .flags = TCP_F_ACK, .ack = p->ack, .seq = p->seq + at
	};
	static uint8_t frame[2048];
	static const char block[1000];

	wire_put(h->wire, frame, frame_tcp(frame, &spec, &t, block, len));
}

/* Is the range from p->seq + start to p->seq + end in the ACK that came last? */
static bool sacked(const struct host *h, const struct peer *p, uint32_t start, uint32_t end)
{
	const uint8_t *sack = frame_tcp_option(&h->info, TCP_OPT_SACK);

	for (unsigned int i = 0; sack && i < (sack[-1] - 2u) / 8; i++) {
		if (be32_load(sack + 8 * i) == p->seq + start &&
		    be32_load(sack + 8 * i + 4) == p->seq + end)
			return true;
	}
	return false;
}

/* Ten holes in one burst: each range between them is told by three ACKs, as long as as many follow,
 * so that it is not sent again because an ACK was lost (RFC 2018 section 4). Segments that extend a
 * range need no ACK of their own. */
static void test_burst_with_holes(void **state)
{
	static const uint8_t opt[] = { 1, 1, 4, 2 };
	struct host *h = host_plain();
	struct peer p = { .opt_len = sizeof(opt) };
	unsigned int seen[10] = { 0 }, acks = 0;

	memcpy(p.opt, opt, sizeof(opt));
	peer_established(&p, h, NULL);
	for (unsigned int i = 0; i < 10; i++) {
		for (unsigned int j = 0; j < 5; j++)
			wire_segment(h, &p, 600 * i + 100 + 100 * j, 100);
	}
	host_run(h);
	for (; wire_waiting(h->wire); acks++) {
		peer_expect(&p, TCP_F_ACK, 0);
		for (unsigned int i = 0; i < 10; i++)
			seen[i] += sacked(h, &p, 600 * i + 100, 600 * i + 600);
	}
	for (unsigned int i = 0; i < 10; i++)
		assert_true(seen[i] >= (i < 8 ? 3 : 10 - i));
	assert_int_equal(acks, 10);
	host_close(h);
}

/* Copies in one burst: each is told (RFC 2883). */
static void test_burst_of_copies(void **state)
{
	static const uint8_t opt[] = { 1, 1, 4, 2 };
	struct host *h = host_plain();
	struct peer p = { .opt_len = sizeof(opt) };

	memcpy(p.opt, opt, sizeof(opt));
	peer_established(&p, h, NULL);
	peer_send(&p, TCP_F_ACK, "0123456789", 10);
	peer_expect(&p, TCP_F_ACK, 0);
	wire_segment(h, &p, 100, 100);
	for (unsigned int i = 0; i < 3; i++)
		wire_segment(h, &p, i - 10, 1);
	wire_segment(h, &p, 100, 100);
	host_run(h);
	assert_int_equal(wire_waiting(h->wire), 4);
	for (unsigned int i = 0; i < 3; i++) {
		peer_expect(&p, TCP_F_ACK, 0);
		assert_true(sacked(h, &p, i - 10, i - 9));
	}
	peer_expect(&p, TCP_F_ACK, 0);
	assert_true(sacked(h, &p, 100, 200));
	assert_int_equal(drops_of(h, TCP_OLD_DATA), 3);
	assert_int_equal(drops_of(h, TCP_OFOMERGE), 1);
	host_close(h);
}

/* A hundred segments in one burst: one upcall and one ACK. */
static void test_burst(void **state)
{
	struct host *h = host_plain();
	struct peer p = { 0 };
	struct sock *s = peer_established(&p, h, NULL);
	struct frame_spec spec = { .dst_mac = { 2, 0, 0, 0, 0, 2 },
				   .src_mac = { 2, 0, 0, 0, 0, 1 },
				   .src_ip = PEER,
				   .dst_ip = US };
	struct frame_tcp t = { .sport = 40000, .dport = 80, .flags = TCP_F_ACK, .ack = p.ack };
	static uint8_t frame[2048];
	static const char block[1000];

	for (unsigned int i = 0; i < 60; i++) {
		t.seq = p.seq + i * 1000;
		wire_put(h->wire, frame, frame_tcp(frame, &spec, &t, block, sizeof(block)));
	}
	p.seq += 60000;
	host_run(h);
	assert_in_range(s->readable, 1, 2);
	assert_in_range(wire_waiting(h->wire), 1, 2);
	peer_expect(&p, TCP_F_ACK, 0);
	host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_over_two_ranges),
		cmocka_unit_test(test_fin_below_range),
		cmocka_unit_test(test_window_of_another),
		cmocka_unit_test(test_old),
		cmocka_unit_test(test_window_edges),
		cmocka_unit_test(test_no_ring),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_acks),
		cmocka_unit_test(test_blind),
		cmocka_unit_test(test_challenge_limit),
		cmocka_unit_test(test_paws),
		cmocka_unit_test(test_paws_idle),
		cmocka_unit_test(test_broadcast),
		cmocka_unit_test(test_sack_sent),
		cmocka_unit_test(test_burst_with_holes),
		cmocka_unit_test(test_burst_of_copies),
		cmocka_unit_test(test_burst),
	};

	return cmocka_run_group_tests(tests, test_eal, NULL);
}
