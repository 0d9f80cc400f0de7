/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a packet that is followed tells on its way: its stages, the decisions about it and its end,
 * in their order.
 */
#include <errno.h>
#include <string.h>

#include "dev/wire.h"
#include "inet/tcp/tcp.h"
#include "stories.h"
#include "wire/app_packet.h"

#define RX "port-rx eth-input ip4-input "
#define LOCAL RX "ip4-local "

static const struct reason_case usual = { .name = "usual" };

/* ---- UDP, the ways ---- */

static void test_delivered(void **state)
{
	struct stage_set *s = scene(&usual);
	struct story *story;

	lab_udp_socket(&s->lab, 7);
	lab_udp(&s->lab, 7, "hello", 5, 1);
	story = story_is(s, LOCAL "udp-input sock-deliver SOCKET QUEUE delivered");
	assert_true(story->note_arg[0] >= 5); /* bytes queued: the record's head, too */
	curtain(s);
}

static void test_dropped(void **state)
{
	struct stage_set *s = scene(&usual);

	lab_meet(&s->lab);
	forget(s);
	lab_udp(&s->lab, 7, "hello", 5, 1);
	story_is(s, LOCAL "udp-input ICMP_ERROR drop:NO_SOCKET");
	story_is(s, "icmp-output ip4-output ROUTE neigh-output port-tx transmitted");
	assert_int_equal(s->count, 2);
	curtain(s);
}

static void test_ping(void **state)
{
	struct stage_set *s = scene(&usual);
	struct frame_spec f = from_peer();

	lab_meet(&s->lab);
	forget(s);
	lab_send(&s->lab, frame_icmp(s->lab.frame, &f, 8, 0, 0x10001, "ping", 4), 1);
	story_is(s, LOCAL "icmp-input ANSWERED absorbed");
	story_is(s, "icmp-output ip4-output ROUTE neigh-output port-tx transmitted");
	curtain(s);
}

#define SENT "sock-send udp-output ip4-output SOCKET ROUTE neigh-output "

static void test_neighbour_wait(void **state)
{
	struct stage_set *s = scene(&usual);
	int fd = lab_udp_socket(&s->lab, 7);
	struct story *story;

	forget(s);
	assert_int_equal(lab_udp_send(&s->lab, fd, PEER, 9, "x", 1), 0);
	assert_int_equal(lab_udp_send(&s->lab, fd, PEER, 9, "y", 1), 0);
	assert_int_equal(stories_like(s, SENT "NEIGH_WAIT"), 2);
	lab_wait(&s->lab, 300 * MS);
	lab_send(&s->lab, frame_arp(s->lab.frame, us_mac, ARP_OP_REPLY, peer_mac, PEER, us_mac, US),
		 1);
	story = story_is(s, SENT "NEIGH_WAIT NEIGH_KNOWN port-tx transmitted");
	assert_int_equal(story->note_arg[0], host_to_be32(PEER));
	assert_int_equal(stories_like(s, SENT "NEIGH_WAIT NEIGH_KNOWN port-tx transmitted"), 2);
	assert_int_equal(lab_udp_send(&s->lab, fd, PEER, 9, "z", 1), 0);
	story_is(s, SENT "port-tx transmitted");
	curtain(s);
}

static void test_nobody_answers(void **state)
{
	struct stage_set *s = scene(&usual);
	int fd = lab_udp_socket(&s->lab, 7);

	assert_int_equal(lab_udp_send(&s->lab, fd, PEER, 9, "x", 1), 0);
	lab_wait(&s->lab, 5 * SEC);
	story_is(s, SENT "NEIGH_WAIT drop:NEIGH_FAILED");
	curtain(s);
}

/* Nobody takes frames off the wire, so its ring fills. */
static void test_port_is_full(void **state)
{
	struct stage_set *s = scene(&usual);
	int fd = lab_udp_socket(&s->lab, 7);
	struct story *story;

	lab_meet(&s->lab);
	while (wire_waiting(s->lab.wire[0]) < 4096) {
		assert_int_equal(lab_udp_send(&s->lab, fd, PEER, 9, "x", 1), 0);
		forget(s);
	}
	assert_int_equal(lab_udp_send(&s->lab, fd, PEER, 9, "y", 1), 0);
	story_is(s, SENT "port-tx TX_WAIT");
	assert_int_equal(lab_udp_send(&s->lab, fd, PEER, 9, "z", 1), 0);
	assert_int_equal(stories_like(s, SENT "port-tx TX_WAIT"), 2);
	frame_take_all(s->lab.wire[0]);
	lab_settle(&s->lab);
	story = story_is(s, SENT "port-tx TX_WAIT transmitted");
	assert_int_equal(story->note_arg[0], 0);
	assert_int_equal(stories_like(s, SENT "port-tx TX_WAIT transmitted"), 2);
	curtain(s);
}

/* To ourselves: sent, and then another packet that comes. */
static void test_loopback(void **state)
{
	struct stage_set *s = scene(&usual);
	int fd = lab_udp_socket(&s->lab, 7);

	forget(s);
	assert_int_equal(lab_udp_send(&s->lab, fd, US, 7, "x", 1), 0);
	story_is(s, "sock-send udp-output ip4-output SOCKET ROUTE_SELF port-tx transmitted");
	story_is(s, LOCAL "udp-input sock-deliver SOCKET QUEUE delivered");
	assert_int_equal(s->count, 2);
	curtain(s);
}

static const struct reason_case router = { .name = "router", .forwarding = true };

static void route_one(struct lab *lab, uint32_t to)
{
	struct frame_spec f = from_peer();

	f.dst_ip = to;
	lab_send(lab, frame_udp(lab->frame, &f, 1, 9, "x", 1), 1);
}

/* FAR answers on the second wire. */
static void learn_far(struct lab *lab)
{
	static const uint8_t far_mac[6] = { 2, 0, 0, 0, 1, 1 };
	static const uint8_t our_mac[6] = { 2, 0, 0, 0, 1, 2 };

	frame_arp(lab->frame, our_mac, ARP_OP_REPLY, far_mac, FAR, our_mac,
		  FRAME_IP(198, 18, 1, 2));
	assert_int_equal(wire_put(lab->wire[1], lab->frame, 42), 0);
	lab_settle(lab);
}

static void test_forwarded(void **state)
{
	struct stage_set *s = scene(&router);
	struct story *story;

	route_one(&s->lab, FAR);
	story_is(s, RX "ip4-forward ROUTE neigh-output NEIGH_WAIT");
	learn_far(&s->lab);
	story_is(s, RX "ip4-forward ROUTE neigh-output NEIGH_WAIT NEIGH_KNOWN port-tx forwarded");
	route_one(&s->lab, FAR);
	story = story_is(s, RX "ip4-forward ROUTE neigh-output port-tx forwarded");
	assert_int_equal(story->note_arg[0], 3); /* the second wire */
	assert_int_equal(story->note_arg[1], host_to_be32(FAR));
	curtain(s);
}

static void test_no_route(void **state)
{
	struct stage_set *s = scene(&router);

	lab_meet(&s->lab);
	forget(s);
	route_one(&s->lab, OFF);
	story_is(s, RX "ip4-forward ICMP_ERROR drop:IP_INNOROUTES");
	curtain(s);
}

/* ---- pieces ---- */

static void test_reassembled(void **state)
{
	struct stage_set *s = scene(&usual);
	static uint8_t l4[FRAME_ROOM], data[3000];
	struct frame_spec f = from_peer();
	size_t len = frame_udp_datagram(l4, PEER, US, 1, 7, data, sizeof(data));
	struct story *first, *last;

	lab_udp_socket(&s->lab, 7);
	lab_meet(&s->lab);
	forget(s);
	f.id = 77;
	f.frag = (uint16_t)(1480 / 8); /* the last one comes first */
	lab_send(&s->lab, frame_ip4(s->lab.frame, &f, IP_PROTO_UDP, l4 + 1480, len - 1480), 1);
	f.frag = IP4_MF;
	story_is(s, LOCAL "ip4-reasm REASM_WAIT");
	lab_send(&s->lab, frame_ip4(s->lab.frame, &f, IP_PROTO_UDP, l4, 1480), 1);
	last = story_is(s, LOCAL "ip4-reasm REASM_WAIT JOINED absorbed");
	first = story_is(s, LOCAL "ip4-reasm REASM_WAIT REASSEMBLED udp-input sock-deliver SOCKET "
				  "QUEUE delivered");
	assert_int_equal(last->note_arg[0], first->id);
	curtain(s);
}

#define CUT "sock-send udp-output ip4-output SOCKET ip4-frag FRAGMENTED ROUTE neigh-output port-tx "

static void test_fragmented(void **state)
{
	struct stage_set *s = scene(&usual);
	static const uint8_t data[4000];
	int fd = lab_udp_socket(&s->lab, 7);
	struct story *first;

	lab_meet(&s->lab);
	forget(s);
	assert_int_equal(lab_udp_send(&s->lab, fd, PEER, 9, data, sizeof(data)), 0);
	first = story_is(s, CUT "transmitted");
	assert_int_equal(stories_like(s, "MADE_FROM ROUTE neigh-output port-tx transmitted"), 2);
	assert_int_equal(s->count, 3);
	assert_true(first->id != 0);
	curtain(s);
}

/* ---- TCP ---- */

#define SEEN LOCAL "tcp-input SOCKET TCP_STATE "
#define ACK_SENT "tcp-output ip4-output SOCKET TCP_SEND ROUTE neigh-output port-tx transmitted"

static void segment(struct stage_set *s, const struct talk *t, uint8_t flags, uint32_t ahead,
		    uint32_t len)
{
	static const uint8_t data[1400];

	forget(s);
	talk_segment(&s->lab, t, flags, t->seq + ahead, t->ack, data, len);
}

/* One story of a received segment, and the state that it told. */
static void seen_in(struct stage_set *s, const char *story, enum tcp_state state)
{
	assert_int_equal(story_is(s, story)->state, state);
}

static void test_handshake_and_data(void **state)
{
	struct stage_set *s = scene(&usual);
	struct talk t = talk_begin(&s->lab, 4);

	forget(s);
	assert_true(talk_syn(&s->lab, &t));
	story_is(s, LOCAL "tcp-input LISTENER absorbed");
	seen_in(s, ACK_SENT, TCP_SYN_RECEIVED);
	segment(s, &t, TCP_F_ACK, 0, 0);
	seen_in(s, SEEN "absorbed", TCP_SYN_RECEIVED);
	t.fd = weir_accept(s->lab.weir, t.listener, NULL, NULL);
	lab_settle(&s->lab);
	segment(s, &t, TCP_F_ACK | TCP_F_PSH, 100, 50); /* a hole of 100 in front */
	seen_in(s, SEEN "TCP_AHEAD sock-deliver QUEUE delivered", TCP_ESTABLISHED);
	segment(s, &t, TCP_F_ACK | TCP_F_PSH, 0, 100);
	seen_in(s, SEEN "sock-deliver QUEUE delivered", TCP_ESTABLISHED);
	segment(s, &t, TCP_F_ACK | TCP_F_PSH, 0, 100);
	seen_in(s, SEEN "TCP_OLD drop:TCP_OLD_DATA", TCP_ESTABLISHED);
	segment(s, &t, TCP_F_ACK | TCP_F_SYN, 0, 0);
	seen_in(s, SEEN "TCP_OLD drop:TCP_INVALID_SYN", TCP_ESTABLISHED);
	curtain(s);
}

/* Sent, acknowledged, sent again. */
static void test_sending(void **state)
{
	struct stage_set *s = scene(&usual);
	struct talk t = talk_begin(&s->lab, 4);
	struct story *story;

	talk_open(&s->lab, &t, true);
	forget(s);
	assert_int_equal(weir_send(s->lab.weir, t.fd, "0123456789", 10, 0), 10);
	lab_settle(&s->lab);
	story_is(s, "sock-send tcp-output ip4-output SOCKET TCP_SEND TCP_WINDOW ROUTE "
		    "neigh-output port-tx transmitted");
	segment(s, &t, TCP_F_ACK, 0, 0); /* acknowledges nothing */
	seen_in(s, SEEN "TCP_DUPACK absorbed", TCP_ESTABLISHED);
	forget(s);
	lab_wait(&s->lab, 3 * SEC);
	story = story_is(s, "sock-send tcp-output ip4-output SOCKET TCP_SEND TCP_WINDOW TCP_AGAIN "
			    "ROUTE neigh-output port-tx transmitted");
	assert_true(story->ours);
	t.ack += 10;
	segment(s, &t, TCP_F_ACK, 0, 0);
	seen_in(s, SEEN "TCP_ACK absorbed", TCP_ESTABLISHED);
	curtain(s);
}

#define TSO "wire,mac=02:00:00:00:00:02,tso=1,csum=1"

/* Sent in one by a port that cuts by itself. */
static void test_super_segment(void **state)
{
	static const struct reason_case cutting = { .name = "cutting", .wire = TSO };
	struct stage_set *s = scene(&cutting);
	struct talk t = talk_begin(&s->lab, 4);
	static const uint8_t data[5000];

	talk_open(&s->lab, &t, true);
	forget(s);
	assert_int_equal(weir_send(s->lab.weir, t.fd, data, sizeof(data), 0), sizeof(data));
	lab_settle(&s->lab);
	story_is(s, "sock-send tcp-output ip4-output SOCKET TCP_SEND TCP_WINDOW TCP_SUPER ROUTE "
		    "neigh-output port-tx transmitted");
	curtain(s);
}

/* Came in one, and goes by a port that does not cut: by us. */
static void test_segmented(void **state)
{
	static const struct reason_case cutting = { .name = "cutting",
						    .wire = TSO,
						    .forwarding = true };
	struct stage_set *s = scene(&cutting);
	struct frame_spec f = from_peer();
	struct frame_tcp tcp = { .sport = 1, .dport = 2, .flags = TCP_F_ACK };
	static const uint8_t data[5000];
	struct story *super;

	f.dst_ip = FAR;
	lab_send(&s->lab, frame_tcp(s->lab.frame, &f, &tcp, data, sizeof(data)), 1);
	super = story_is(s, RX "ip4-forward ROUTE neigh-output NEIGH_WAIT");
	learn_far(&s->lab);
	listen_to(s);
	assert_string_equal(super->text, RX "ip4-forward ROUTE neigh-output NEIGH_WAIT "
					    "NEIGH_KNOWN SEGMENTED port-tx forwarded");
	assert_int_equal(super->note_arg[0], 4);
	assert_int_equal(super->note_arg[1], 1460);
	assert_int_equal(stories_like(s, "MADE_FROM port-tx forwarded"), 3);
	curtain(s);
}

/* We close first. */
static void test_closing(void **state)
{
	struct stage_set *s = scene(&usual);
	struct talk t = talk_begin(&s->lab, 4);

	talk_open(&s->lab, &t, true);
	forget(s);
	assert_int_equal(weir_shutdown(s->lab.weir, t.fd, SHUT_WR), 0);
	lab_settle(&s->lab);
	seen_in(s, ACK_SENT, TCP_FIN_WAIT_1);
	t.ack++;
	segment(s, &t, TCP_F_ACK, 0, 0);
	seen_in(s, SEEN "TCP_ACK absorbed", TCP_FIN_WAIT_1);
	segment(s, &t, TCP_F_ACK | TCP_F_PSH, 0, 20);
	seen_in(s, SEEN "sock-deliver QUEUE delivered", TCP_FIN_WAIT_2);
	t.seq += 20;
	segment(s, &t, TCP_F_ACK | TCP_F_FIN, 0, 0);
	seen_in(s, SEEN "absorbed", TCP_FIN_WAIT_2);
	segment(s, &t, TCP_F_ACK | TCP_F_FIN, 0, 0);
	seen_in(s, LOCAL "tcp-input TCP_STATE absorbed", TCP_TIME_WAIT);
	curtain(s);
}

/* The peer closes first. */
static void test_closed_by_peer(void **state)
{
	struct stage_set *s = scene(&usual);
	struct talk t = talk_begin(&s->lab, 4);

	talk_open(&s->lab, &t, true);
	segment(s, &t, TCP_F_ACK | TCP_F_FIN, 0, 0);
	seen_in(s, SEEN "absorbed", TCP_ESTABLISHED);
	t.seq++;
	segment(s, &t, TCP_F_ACK | TCP_F_PSH, 0, 20);
	seen_in(s, SEEN "drop:TCP_CLOSE", TCP_CLOSE_WAIT);
	assert_int_equal(weir_close(s->lab.weir, t.fd), 0);
	lab_settle(&s->lab);
	t.ack++;
	segment(s, &t, TCP_F_ACK, 0, 0);
	seen_in(s, SEEN "TCP_ACK absorbed", TCP_LAST_ACK);
	segment(s, &t, TCP_F_ACK, 0, 0);
	story_is(s, LOCAL "tcp-input LISTENER RESET drop:TCP_FLAGS");
	curtain(s);
}

static void test_no_listener(void **state)
{
	struct stage_set *s = scene(&usual);
	struct talk t = talk_begin(&s->lab, 4);

	t.dport = 81;
	segment(s, &t, TCP_F_SYN, 0, 0);
	story_is(s, LOCAL "tcp-input RESET drop:NO_SOCKET");
	story_is(s, "tcp-output ip4-output ROUTE neigh-output port-tx transmitted");
	curtain(s);
}

/* ---- others ---- */

static void settle_both(struct engine *engine)
{
	while (engine_poll(engine, 0, engine->worker[0]->now_ns) +
	       engine_poll(engine, 1, engine->worker[1]->now_ns))
		;
}

static void test_steered(void **state)
{
	static const struct reason_case two = { .name = "two", .workers = 2 };
	struct stage_set *s = scene(&two);
	struct frame_spec f = from_peer();

	settle_both(s->lab.engine);
	forget(s);
	wire_put_queue(s->lab.wire[0], 1, s->lab.frame, frame_udp(s->lab.frame, &f, 1, 99, "x", 1));
	settle_both(s->lab.engine);
	/* Worker 0 is listened to first, so what it told stands first. */
	story_is(s, "STEERED ip4-local udp-input ICMP_ERROR drop:NO_SOCKET " LOCAL
		    "udp-input steer STEER");
	curtain(s);
}

/* A program's own frame has no IP header that anybody made: it is asked about at the port. */
static void test_frame_of_a_program(void **state)
{
	struct stage_set *s = scene(&usual);
	struct app_sock raw = lab_below(&s->lab, AF_PACKET, SOCK_RAW, 0x0300);
	struct abi_packet h = { .ifindex = 2, .len_bytes = 60 };
	uint8_t frame[60] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5 };

	forget(s);
	assert_int_equal(lab_below_send(&s->lab, raw, &h, frame, sizeof(frame)), 0);
	lab_settle(&s->lab);
	story_is(s, "sock-send port-tx transmitted");
	curtain(s);
}

/* What the filter does not want leaves nothing, and is not marked. */
static void test_not_wanted(void **state)
{
	static const struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct observer_spec spec = READER_SPEC((1u << STAGE_MAX) - 1);
	struct stage_set *s = calloc(1, sizeof(*s));
	struct talk t;

	assert_non_null(s);
	lab_open(&s->lab, &usual);
	spec.follow = true;
	spec.ethernet = spec.ip = &nothing;
	spec.ethernet_count = spec.ip_count = 1;
	reader_begin(&s->reader, &spec, &s->lab.w, 1);
	t = talk_begin(&s->lab, 4);
	talk_open(&s->lab, &t, true);
	assert_int_equal(weir_send(s->lab.weir, t.fd, "0123456789", 10, 0), 10);
	lab_udp(&s->lab, 99, "x", 1, 1);
	lab_wait(&s->lab, 3 * SEC);
	assert_null(reader_next(&s->reader, 0));
	assert_int_equal(s->lab.w->follow_last, 0);
	/* Each was asked about once: what came, and what was sent. */
	assert_int_equal(reader_part(&s->reader, 0)->seen,
			 s->lab.w->ledger.entered + s->lab.w->ledger.originated -
				 s->lab.before.entered - s->lab.before.originated);
	curtain(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivered),      cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_ping),	       cmocka_unit_test(test_neighbour_wait),
		cmocka_unit_test(test_nobody_answers), cmocka_unit_test(test_port_is_full),
		cmocka_unit_test(test_loopback),       cmocka_unit_test(test_forwarded),
		cmocka_unit_test(test_no_route),       cmocka_unit_test(test_reassembled),
		cmocka_unit_test(test_fragmented),     cmocka_unit_test(test_handshake_and_data),
		cmocka_unit_test(test_sending),	       cmocka_unit_test(test_super_segment),
		cmocka_unit_test(test_segmented),      cmocka_unit_test(test_closing),
		cmocka_unit_test(test_closed_by_peer), cmocka_unit_test(test_no_listener),
		cmocka_unit_test(test_steered),	       cmocka_unit_test(test_frame_of_a_program),
		cmocka_unit_test(test_not_wanted),
	};

	return cmocka_run_group_tests_name("decisions", tests, NULL, NULL);
}
