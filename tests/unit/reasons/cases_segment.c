/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP in a connection: segments that are old, too early, or make no sense. */
#include <string.h>

#include "inet/tcp/tcp_impl.h"
#include "lab.h"

static struct talk open_talk(struct lab *lab, bool ts)
{
	struct talk t = talk_begin(lab, 5);

	t.ts = ts;
	talk_open(lab, &t, true);
	return t;
}

/* Data from the peer, in order. */
static void say(struct lab *lab, struct talk *t, const char *text)
{
	talk_segment(lab, t, TCP_F_ACK, t->seq, t->ack, text, strlen(text));
	t->seq += (uint32_t)strlen(text);
}

static void rst(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	talk_segment(lab, &t, TCP_F_RST, t.seq + 5, 0, NULL, 0);
	talk_segment(lab, &t, TCP_F_RST, t.seq - 5, 0, NULL, 0);
}

static void paws(struct lab *lab)
{
	struct talk t = open_talk(lab, true);

	t.ts_val -= 1000;
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack, "x", 1);
}

static void syn(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	talk_segment(lab, &t, TCP_F_SYN, t.seq, 0, NULL, 0);
}

static void no_ack(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	talk_segment(lab, &t, 0, t.seq, 0, "x", 1);
}

static void old_data(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	say(lab, &t, "hello");
	talk_segment(lab, &t, TCP_F_ACK, t.seq - 5, t.ack, "hello", 5);
}

static void old_sequence(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	say(lab, &t, "hello");
	lab_wait(lab, 1 * SEC); /* it is acknowledged */
	talk_segment(lab, &t, TCP_F_ACK, t.seq - 3, t.ack, NULL, 0);
}

static void far_sequence(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	talk_segment(lab, &t, TCP_F_ACK, t.seq + 100000000, t.ack, NULL, 0);
}

static void over_window(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	talk_segment(lab, &t, TCP_F_ACK, t.seq + 100000000, t.ack, "x", 1);
}

/* The program reads nothing, until the window is closed. */
static struct talk close_window(struct lab *lab)
{
	static uint8_t data[1400];
	struct talk t = open_talk(lab, false);
	struct frame_info *i = &lab->info;

	for (unsigned int n = 0; n < 5000; n++) {
		size_t len = sizeof(data);

		if (n && i->window < len)
			len = i->window;
		talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack, data, len);
		t.seq += (uint32_t)len;
		lab_wait(lab, 100 * MS);
		while (lab_take(lab, 0))
			;
		if (i->ack == t.seq && i->window == 0)
			return t;
	}
	fail_msg("the window does not close");
	return t;
}

static void zero_window(struct lab *lab)
{
	struct talk t = close_window(lab);

	lab_mark(lab);
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack, "x", 1); /* a probe */
}

static void zero_window_beyond(struct lab *lab)
{
	struct talk t = close_window(lab);

	lab_mark(lab);
	talk_segment(lab, &t, TCP_F_ACK, t.seq + 1, t.ack, "x", 1);
}

static void future_ack(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack + 1, NULL, 0);
}

static void ancient_ack(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack - 1000000, NULL, 0);
}

static void old_ack(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	assert_int_equal(weir_send(lab->weir, t.fd, "hello", 5, 0), 5);
	lab_settle(lab);
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack + 5, NULL, 0);
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack + 2, NULL, 0);
}

static void again_out_of_order(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	talk_segment(lab, &t, TCP_F_ACK, t.seq + 10, t.ack, "x", 1);
	talk_segment(lab, &t, TCP_F_ACK, t.seq + 10, t.ack, "x", 1);
}

static void holes(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	for (unsigned int i = 0; i <= TCP_RANGES_MAX; i++)
		talk_segment(lab, &t, TCP_F_ACK, t.seq + 2 * i + 1, t.ack, "x", 1);
}

static void behind_fin(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	talk_segment(lab, &t, TCP_F_ACK | TCP_F_FIN, t.seq, t.ack, NULL, 0);
	talk_segment(lab, &t, TCP_F_ACK, t.seq + 1, t.ack, "more", 4);
}

static void nobody_reads(struct lab *lab)
{
	struct talk t = open_talk(lab, false);

	weir_close(lab->weir, t.fd);
	lab_settle(lab);
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack + 1, "hello", 5);
}

/* The arena has no room for the connection's receive buffer. */
static void no_ring(struct lab *lab)
{
	struct talk t = talk_begin(lab, 5);
	unsigned int n = 0;

	/* Sockets of UDP take what there is. */
	while (test_drops(lab->w, NOMEM) == 0) {
		uint16_t port = (uint16_t)(1000 + n);

		assert_true(++n < 4000);
		lab_udp_socket(lab, port);
		lab_udp(lab, port, "x", 1, 1);
	}
	talk_open(lab, &t, true);
	lab_mark(lab);
	talk_segment(lab, &t, TCP_F_ACK, t.seq, t.ack, "x", 1);
}

#define ONE(reason, function)                                                                      \
	{                                                                                          \
		{                                                                                  \
			DROP_##reason, function, IN_TCP, 1                                         \
		}                                                                                  \
	}

static const struct reason_case cases[] = {
	{ .name = "segment: rst",
	  .run = rst,
	  .drops = { { DROP_TCP_RESET, "rst_input", IN_TCP, 2 } } },
	{ .name = "segment: old time stamp",
	  .run = paws,
	  .drops = ONE(TCP_RFC7323_PAWS, "paws_input") },
	{ .name = "segment: syn", .run = syn, .drops = ONE(TCP_INVALID_SYN, "tcp_segment") },
	{ .name = "segment: no ack", .run = no_ack, .drops = ONE(TCP_NO_ACK, "tcp_segment") },
	{ .name = "segment: old data", .run = old_data, .drops = ONE(TCP_OLD_DATA, "old_input") },
	{ .name = "segment: old sequence",
	  .run = old_sequence,
	  .drops = ONE(TCP_INVALID_SEQUENCE, "old_input") },
	{ .name = "segment: far sequence",
	  .run = far_sequence,
	  .drops = ONE(TCP_INVALID_SEQUENCE, "beyond_input") },
	{ .name = "segment: beyond the window",
	  .run = over_window,
	  .drops = ONE(TCP_OVERWINDOW, "beyond_input") },
	{ .name = "segment: the window is closed",
	  .run = zero_window,
	  .drops = ONE(TCP_ZEROWINDOW, "in_order") },
	{ .name = "segment: beyond a closed window",
	  .run = zero_window_beyond,
	  .drops = ONE(TCP_ZEROWINDOW, "beyond_input") },
	{ .name = "segment: ack of what was not sent",
	  .run = future_ack,
	  .drops = ONE(TCP_INVALID_ACK_SEQUENCE, "ack_refused") },
	{ .name = "segment: very old ack",
	  .run = ancient_ack,
	  .drops = ONE(TCP_OLD_ACK, "ack_refused") },
	{ .name = "segment: old ack", .run = old_ack, .drops = ONE(TCP_OLD_ACK, "old_ack") },
	{ .name = "segment: out of order, again",
	  .run = again_out_of_order,
	  .drops = ONE(TCP_OFOMERGE, "out_of_order") },
	{ .name = "segment: too many holes",
	  .run = holes,
	  .drops = ONE(TCP_OFO_QUEUE_PRUNE, "out_of_order") },
	{ .name = "segment: behind the end",
	  .run = behind_fin,
	  .drops = ONE(TCP_CLOSE, "tcp_data") },
	{ .name = "segment: nobody reads",
	  .run = nobody_reads,
	  .drops = ONE(TCP_ABORT_ON_DATA, "nobody_reads") },
	{ .name = "segment: no memory for the buffer",
	  .run = no_ring,
	  .drops = ONE(SOCKET_RCVBUFF, "tcp_data"),
	  .memory_bytes = 16u << 20 },
};

const struct case_table cases_segment = { cases, sizeof(cases) / sizeof(cases[0]) };
