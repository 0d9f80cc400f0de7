/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP before a connection is established, and after its end: no connection, LISTEN, SYN_SENT,
 * SYN_RECEIVED, TIME_WAIT; and what every segment is looked at for. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "engine/engine.h"
#include "inet/tcp/tcp_impl.h"
#include "lab.h"

#define DEFER_ACCEPT 9 /* netinet/tcp.h has it, and names that are TCP's here */

/* ---- every segment ---- */

static size_t segment(struct lab *lab, uint8_t flags, const uint8_t *options, size_t len)
{
	struct frame_spec s = from_peer();
	struct frame_tcp t = { .sport = 5000,
			       .dport = 80,
			       .seq = 1,
			       .flags = flags,
			       .window = 1000,
			       .options = options,
			       .options_len = len };

	return frame_tcp(lab->frame, &s, &t, "x", 1);
}

static void csum(struct lab *lab)
{
	size_t len = segment(lab, TCP_F_SYN, NULL, 0);

	lab->frame[len - 1] ^= 1;
	lab_send(lab, len, 2);
}

static void malformed(struct lab *lab)
{
	struct frame_spec s = from_peer();
	size_t len = segment(lab, TCP_F_SYN, NULL, 0);

	lab->frame[FRAME_L4_AT + 12] = 0x40;
	lab_send(lab, len, 1); /* 16 bytes of header */
	lab->frame[FRAME_L4_AT + 12] = 0xf0;
	lab_send(lab, len, 1); /* 60, and there are 21 */
	lab_send(lab, frame_ip4(lab->frame, &s, IP_PROTO_TCP, "1234567890", 10), 1);
	lab_send(lab, segment(lab, TCP_F_SYN, (const uint8_t[]){ 2, 40, 0, 0 }, 4), 1);
}

static void signature(struct lab *lab)
{
	static const uint8_t md5[20] = { TCP_OPT_MD5, 18 };

	lab_send(lab, segment(lab, TCP_F_SYN, md5, sizeof(md5)), 1);
}

static void flags(struct lab *lab)
{
	lab_send(lab, segment(lab, TCP_F_SYN | TCP_F_FIN, NULL, 0), 1);
	lab_send(lab, segment(lab, TCP_F_SYN | TCP_F_RST, NULL, 0), 1);
}

static void broadcast(struct lab *lab)
{
	size_t len = segment(lab, TCP_F_SYN, NULL, 0);

	memcpy(lab->frame, frame_broadcast, 6);
	lab_send(lab, len, 1);
}

static void no_socket(struct lab *lab)
{
	lab_meet(lab);
	lab_send(lab, segment(lab, TCP_F_SYN, NULL, 0), 2);
	lab_send(lab, segment(lab, TCP_F_RST, NULL, 0), 1);
}

/* The RST has no way back. */
static void no_way_back(struct lab *lab)
{
	struct talk t = { .src_ip = OFF, .sport = 5000, .dport = 80 };

	talk_segment(lab, &t, TCP_F_SYN, 1, 0, NULL, 0);
}

/* ---- LISTEN ---- */

static void listen_flags(struct lab *lab)
{
	struct talk t = talk_begin(lab, 5);

	talk_segment(lab, &t, TCP_F_ACK, t.seq, 77, NULL, 0);
	talk_segment(lab, &t, TCP_F_FIN, t.seq, 0, NULL, 0);
	talk_segment(lab, &t, 0, t.seq, 0, "x", 1);
}

static void listen_rst(struct lab *lab)
{
	struct talk t = talk_begin(lab, 5);

	talk_segment(lab, &t, TCP_F_RST, t.seq, 0, NULL, 0);
}

static void listen_no_route(struct lab *lab)
{
	struct talk t = talk_begin(lab, 5);

	t.src_ip = OFF;
	talk_segment(lab, &t, TCP_F_SYN, t.seq, 0, NULL, 0);
}

static void listen_no_pcb(struct lab *lab)
{
	struct talk t = talk_begin(lab, 5);
	struct tcp_slab *pcbs = &lab->w->tcp->pcbs;
	uint32_t limit = pcbs->limit, total = pcbs->total;

	pcbs->limit = 0;
	pcbs->total = pcbs->used; /* as if every one were taken */
	talk_segment(lab, &t, TCP_F_SYN, t.seq, 0, NULL, 0);
	pcbs->limit = limit;
	pcbs->total = total;
}

static void half_open(struct lab *lab, struct talk *t, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		t->sport++;
		talk_segment(lab, t, TCP_F_SYN, 1, 0, NULL, 0);
	}
}

static void half_open_full(struct lab *lab)
{
	struct talk t;

	lab_sysctl(lab, "tcp_syncookies", "0");
	t = talk_begin(lab, 3);
	half_open(lab, &t, 3 + 4);
}

static void accept_full_syn(struct lab *lab)
{
	struct talk t = talk_begin(lab, 1);

	for (unsigned int i = 0; i < 2; i++, t.sport++, t.seq = 1000)
		talk_open(lab, &t, false);
	lab_mark(lab);
	talk_segment(lab, &t, TCP_F_SYN, 1, 0, NULL, 0);
}

static void accept_full_ack(struct lab *lab)
{
	struct talk t = talk_begin(lab, 1), late;

	/* Its handshake begins while there is room, and ends when there is none. */
	late = t;
	late.sport = 6000;
	assert_true(talk_syn(lab, &late));
	for (unsigned int i = 0; i < 2; i++, t.sport++, t.seq = 1000)
		talk_open(lab, &t, false);
	lab_mark(lab);
	talk_segment(lab, &late, TCP_F_ACK, late.seq, late.ack, NULL, 0);
}

static void cookie_wrong(struct lab *lab)
{
	struct talk t;

	lab_sysctl(lab, "tcp_syncookies", "2");
	t = talk_begin(lab, 5);
	assert_true(talk_syn(lab, &t));
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack + 77777, NULL, 0);
}

static void cookie_no_route(struct lab *lab)
{
	struct talk t;

	lab_sysctl(lab, "tcp_syncookies", "2");
	t = talk_begin(lab, 5);
	t.src_ip = OFF;
	talk_segment(lab, &t, TCP_F_SYN, t.seq, 0, NULL, 0);
}

/* The cookie comes back, and the way to the peer is gone. */
static void cookie_route_gone(struct lab *lab)
{
	struct ipaddr prefix = ipaddr_from_ip4(host_to_be32(FRAME_IP(10, 0, 0, 0)));
	struct ipaddr gateway = ipaddr_from_ip4(host_to_be32(PEER));
	struct talk t;

	assert_int_equal(engine_route_add(lab->weir->engine, &prefix, 8, &gateway, 2), 0);
	lab_sysctl(lab, "tcp_syncookies", "2");
	t = talk_begin(lab, 5);
	t.src_ip = OFF;
	assert_true(talk_syn(lab, &t));
	assert_int_equal(inet_route_del(lab->w, &prefix, 8), 0);
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack, NULL, 0);
}

static void cookie_no_pcb(struct lab *lab)
{
	struct tcp_slab *pcbs = &lab->w->tcp->pcbs;
	uint32_t limit = pcbs->limit, total = pcbs->total;
	struct talk t;

	lab_sysctl(lab, "tcp_syncookies", "2");
	t = talk_begin(lab, 5);
	assert_true(talk_syn(lab, &t));
	pcbs->limit = 0;
	pcbs->total = pcbs->used;
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack, NULL, 0);
	pcbs->limit = limit;
	pcbs->total = total;
}

/* ---- SYN_SENT ---- */

/* Our SYN is out; t is the peer's side. */
static struct talk connecting(struct lab *lab)
{
	struct sockaddr_in a = lab_addr(PEER, 7);
	struct talk t = { .src_ip = PEER, .sport = 7, .seq = 500, .window = 1000 };

	lab_meet(lab);
	t.fd = weir_socket(lab->weir, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(weir_connect(lab->weir, t.fd, (struct sockaddr *)&a, sizeof(a)), -1);
	lab_settle(lab);
	assert_true(lab_take(lab, 0));
	t.dport = lab->info.sport;
	t.ack = lab->info.seq + 1;
	return t;
}

static void syn_sent_bad_ack(struct lab *lab)
{
	struct talk t = connecting(lab);

	talk_segment(lab, &t, TCP_F_SYN | TCP_F_ACK, t.seq, t.ack + 5, NULL, 0);
}

static void syn_sent_rst(struct lab *lab)
{
	struct talk t = connecting(lab);

	talk_segment(lab, &t, TCP_F_RST | TCP_F_ACK, t.seq, t.ack + 5, NULL, 0);
	talk_segment(lab, &t, TCP_F_RST, t.seq, 0, NULL, 0);
}

static void syn_sent_flags(struct lab *lab)
{
	struct talk t = connecting(lab);

	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack, NULL, 0);
}

/* ---- SYN_RECEIVED ---- */

static struct talk received(struct lab *lab, bool ts)
{
	struct talk t = talk_begin(lab, 5);

	t.ts = ts;
	assert_true(talk_syn(lab, &t));
	return t;
}

static void syn_received_rst(struct lab *lab)
{
	struct talk t = received(lab, false);

	talk_segment(lab, &t, TCP_F_RST, t.seq + 9, 0, NULL, 0);
}

static void syn_received_paws(struct lab *lab)
{
	struct talk t = received(lab, true);

	t.ts_val -= 1000;
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack, NULL, 0);
}

static void syn_received_syn(struct lab *lab)
{
	struct talk t = received(lab, false);

	talk_segment(lab, &t, TCP_F_SYN, t.seq + 5, 0, NULL, 0);
}

static void syn_received_window(struct lab *lab)
{
	struct talk t = received(lab, false);

	talk_segment(lab, &t, TCP_F_ACK, t.seq + 1000000, t.ack, NULL, 0);
}

static void syn_received_no_ack(struct lab *lab)
{
	struct talk t = received(lab, false);

	talk_segment(lab, &t, 0, t.seq, 0, "x", 1);
}

static void syn_received_bad_ack(struct lab *lab)
{
	struct talk t = received(lab, false);

	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack + 1, NULL, 0);
}

static void defer_accept(struct lab *lab)
{
	struct talk t = talk_begin(lab, 5);

	assert_int_equal(lab_option(lab, t.listener, IPPROTO_TCP, DEFER_ACCEPT, 3), 0);
	lab_settle(lab);
	assert_true(talk_syn(lab, &t));
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack, NULL, 0);
}

/* ---- TIME_WAIT ---- */

static struct talk waiting(struct lab *lab, bool ts)
{
	struct talk t = talk_begin(lab, 5);

	t.ts = ts;
	talk_open(lab, &t, true);
	talk_time_wait(lab, &t);
	lab_mark(lab);
	return t;
}

static void time_wait_syn(struct lab *lab)
{
	struct talk t = waiting(lab, false);

	talk_segment(lab, &t, TCP_F_SYN, t.seq - 100, 0, NULL, 0);
}

static void time_wait_rst(struct lab *lab)
{
	struct talk t = waiting(lab, false);

	talk_segment(lab, &t, TCP_F_RST, t.seq + 5, 0, NULL, 0);
}

static void time_wait_paws(struct lab *lab)
{
	struct talk t = waiting(lab, true);

	t.ts_val -= 5000;
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack, NULL, 0);
}

static void time_wait_data(struct lab *lab)
{
	struct talk t = waiting(lab, false);

	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack, "late", 4);
}

static void time_wait_sequence(struct lab *lab)
{
	struct talk t = waiting(lab, false);

	talk_segment(lab, &t, TCP_F_ACK, t.seq - 7, t.ack, NULL, 0);
}

#define ONE(reason, function)                                                                      \
	{                                                                                          \
		{                                                                                  \
			DROP_##reason, function, IN_TCP, 1                                         \
		}                                                                                  \
	}

static const struct reason_case cases[] = {
	{ .name = "tcp: checksum",
	  .run = csum,
	  .drops = { { DROP_TCP_CSUM, "parse", IN_TCP, 2 } } },
	{ .name = "tcp: malformed",
	  .run = malformed,
	  .drops = { { DROP_TCP_MALFORMED, "parse", IN_TCP, 4 } } },
	{ .name = "tcp: signed", .run = signature, .drops = ONE(TCP_MD5UNEXPECTED, "parse") },
	{ .name = "tcp: flags", .run = flags, .drops = { { DROP_TCP_FLAGS, "parse", IN_TCP, 2 } } },
	{ .name = "tcp: broadcast", .run = broadcast, .drops = ONE(OTHERHOST, "tcp_input") },
	{ .name = "tcp: closed port",
	  .run = no_socket,
	  .drops = { { DROP_NO_SOCKET, "no_pcb", IN_TCP, 3 } } },
	{ .name = "tcp: no way back for a RST",
	  .run = no_way_back,
	  .drops = { { DROP_NO_SOCKET, "no_pcb", IN_TCP, 1 },
		     { DROP_IP_OUTNOROUTES, "tcp_reply", AT(TCP_OUTPUT), 1 } } },
	{ .name = "listen: flags",
	  .run = listen_flags,
	  .drops = { { DROP_TCP_FLAGS, "tcp_listen_input", IN_TCP, 3 } } },
	{ .name = "listen: rst", .run = listen_rst, .drops = ONE(TCP_RESET, "tcp_listen_input") },
	{ .name = "listen: no route",
	  .run = listen_no_route,
	  .drops = ONE(IP_OUTNOROUTES, "listen_syn") },
	{ .name = "listen: no memory", .run = listen_no_pcb, .drops = ONE(NOMEM, "listen_syn") },
	{ .name = "listen: half-open queue is full",
	  .run = half_open_full,
	  .drops = { { DROP_TCP_REQQ_FULL, "listen_syn", IN_TCP, 4 } } },
	{ .name = "listen: accept queue is full",
	  .run = accept_full_syn,
	  .drops = ONE(TCP_LISTEN_OVERFLOW, "listen_syn") },
	{ .name = "listen: accept queue is full at the last ack",
	  .run = accept_full_ack,
	  .drops = ONE(TCP_LISTEN_OVERFLOW, "accept_full") },
	{ .name = "cookie: wrong",
	  .run = cookie_wrong,
	  .drops = ONE(TCP_SYNCOOKIE, "tcp_listen_input") },
	{ .name = "cookie: no route",
	  .run = cookie_no_route,
	  .drops = ONE(IP_OUTNOROUTES, "tcp_cookie_syn") },
	{ .name = "cookie: the route is gone",
	  .run = cookie_route_gone,
	  .drops = ONE(IP_OUTNOROUTES, "tcp_cookie_ack") },
	{ .name = "cookie: no memory",
	  .run = cookie_no_pcb,
	  .drops = ONE(NOMEM, "tcp_cookie_ack") },
	{ .name = "syn_sent: bad ack",
	  .run = syn_sent_bad_ack,
	  .drops = ONE(TCP_INVALID_ACK_SEQUENCE, "tcp_syn_sent") },
	{ .name = "syn_sent: rst",
	  .run = syn_sent_rst,
	  .drops = { { DROP_TCP_RESET, "tcp_syn_sent", IN_TCP, 2 } } },
	{ .name = "syn_sent: flags",
	  .run = syn_sent_flags,
	  .drops = ONE(TCP_FLAGS, "tcp_syn_sent") },
	{ .name = "syn_received: rst",
	  .run = syn_received_rst,
	  .drops = ONE(TCP_RESET, "rst_input") },
	{ .name = "syn_received: old time stamp",
	  .run = syn_received_paws,
	  .drops = ONE(TCP_RFC7323_PAWS, "tcp_syn_received") },
	{ .name = "syn_received: syn",
	  .run = syn_received_syn,
	  .drops = ONE(TCP_INVALID_SYN, "tcp_syn_received") },
	{ .name = "syn_received: outside of the window",
	  .run = syn_received_window,
	  .drops = ONE(TCP_INVALID_SEQUENCE, "tcp_syn_received") },
	{ .name = "syn_received: no ack",
	  .run = syn_received_no_ack,
	  .drops = ONE(TCP_NO_ACK, "tcp_syn_received") },
	{ .name = "syn_received: bad ack",
	  .run = syn_received_bad_ack,
	  .drops = ONE(TCP_INVALID_ACK_SEQUENCE, "tcp_syn_received") },
	{ .name = "syn_received: waits for data",
	  .run = defer_accept,
	  .drops = ONE(TCP_DEFER_ACCEPT, "tcp_syn_received") },
	{ .name = "time_wait: syn", .run = time_wait_syn, .drops = ONE(TCP_INVALID_SYN, "tw_syn") },
	{ .name = "time_wait: rst", .run = time_wait_rst, .drops = ONE(TCP_RESET, "tw_rst") },
	{ .name = "time_wait: old time stamp",
	  .run = time_wait_paws,
	  .drops = ONE(TCP_RFC7323_PAWS, "tcp_tw_input") },
	{ .name = "time_wait: data",
	  .run = time_wait_data,
	  .drops = ONE(TCP_CLOSE, "tcp_tw_input") },
	{ .name = "time_wait: sequence",
	  .run = time_wait_sequence,
	  .drops = ONE(TCP_INVALID_SEQUENCE, "tcp_tw_input") },
};

const struct case_table cases_handshake = { cases, sizeof(cases) / sizeof(cases[0]) };
