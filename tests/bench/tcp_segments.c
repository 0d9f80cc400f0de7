/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What TCP costs for each segment, in bursts of 32 on one connection: to receive a full data
 * segment in order, to receive an ACK, to send a full segment. A real connection between two
 * engines on an in-memory wire that checks no checksums (as a card would have), with real sockets;
 * then the far side's segments are made from its last ones, so that it costs nothing and never
 * waits.
 *
 * Measured is what TCP and below do, and the socket layer where TCP calls it: from tcp_input() to
 * its return, the answer's way to the port included; for sending, from the submission (sock_poll())
 * to the port's burst. Not the port itself, not the copy between the program and its ring. The
 * receive buffer is kept at 256 KB: in one of 8 MB, which auto-tuning would make of it, each line
 * of the segment's copy misses the nearer caches, and that memory is what would be measured.
 *
 *   tcp_segments [REPETITIONS [BURSTS]]
 *
 * One line of JSON: for each figure the least, the median and the most of the repetitions, where
 * one is the median of its bursts; nanoseconds a segment.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dev/port.h"
#include "engine/direct.h"
#include "inet/tcp/tcp_impl.h"
#include "sock/sock.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "weir.h"

#define BURST 32u
#define MSS 1448u
#define ROUND_TRIP_NS 100000u
#define FRAME_ROOM 2048u
#define OPTIONS_AT (ETH_HDR_BYTES + IP4_HDR_BYTES + TCP_HDR_BYTES)
#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "tcp_segments: %s:%d: %s\n", __FILE__, __LINE__, #x);      \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

enum figure { RX_SEGMENT, RX_ACK, TX_SEGMENT, FIGURES };

static const char *const figure_name[FIGURES] = { "tcp_rx_segment_ns", "tcp_rx_ack_ns",
						  "tcp_tx_segment_ns" };

struct side {
	struct weir *weir;
	int fd;
};

struct template
{
	uint8_t frame[FRAME_ROOM];
	size_t len;
};

struct bench {
	struct side us, peer;
	struct tcp_pcb *pcb;	   /* ours */
	struct template data, ack; /* of the peer's */
	uint8_t bytes[BURST * MSS];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static struct weir *open_engine(const char *addr)
{
	const char *const addrs[] = { addr, NULL };
	const struct weir_port port = { .spec = "wire,csum=1", .addrs = addrs };
	const struct weir_config config = { .ports = &port,
					    .port_count = 1,
					    .virtual_time = true,
					    .start_ns = 1000000000ull,
					    .seed = 1 };
	char error[WEIR_ERROR_BYTES];
	struct weir *weir = weir_engine_open(&config, error);

	if (!weir) {
		fprintf(stderr, "tcp_segments: %s\n", error);
		exit(1);
	}
	return weir;
}

/* Frames from one to the other; the last data segment and the last pure ACK are kept. */
static unsigned int carry(struct side *from, struct side *to, struct bench *b)
{
	uint8_t frame[FRAME_ROOM];
	unsigned int n = 0;
	ssize_t len;

	weir_engine_poll(from->weir);
	for (; (len = weir_wire_take(from->weir, 0, frame, sizeof(frame))) > 0; n++) {
		struct template *t = len > 1000 ? &b->data : &b->ack;

		if (from == &b->peer) {
			memcpy(t->frame, frame, (size_t)len);
			t->len = (size_t)len;
		}
		MUST(weir_wire_put(to->weir, 0, frame, (size_t)len) == 0);
	}
	weir_engine_poll(to->weir);
	return n;
}

static void settle(struct bench *b)
{
	while (carry(&b->us, &b->peer, b) + carry(&b->peer, &b->us, b))
		;
}

static void find_pcb(const struct tcp_pcb *pcb, void *arg)
{
	if (pcb->pub.state == TCP_ESTABLISHED)
		*(struct tcp_pcb **)arg = (struct tcp_pcb *)pcb;
}

static void connect_sides(struct bench *b)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(80) };
	int listener;

	b->us.weir = open_engine("198.18.0.1/24");
	b->peer.weir = open_engine("198.18.0.2/24");
	weir_engine_advance(b->us.weir, 5000000000ull); /* gratuitous ARP is over */
	weir_engine_advance(b->peer.weir, 5000000000ull);
	MUST(inet_pton(AF_INET, "198.18.0.2", &to.sin_addr) == 1);
	listener = weir_socket(b->peer.weir, AF_INET, SOCK_STREAM, 0);
	MUST(weir_bind(b->peer.weir, listener, (struct sockaddr *)&to, sizeof(to)) == 0);
	MUST(weir_listen(b->peer.weir, listener, 1) == 0);
	b->us.fd = weir_socket(b->us.weir, AF_INET, SOCK_STREAM, 0);
	MUST(weir_setsockopt(b->us.weir, b->us.fd, SOL_SOCKET, SO_RCVBUF, &(int){ 128 << 10 },
			     sizeof(int)) == 0);
	MUST(weir_connect(b->us.weir, b->us.fd, (struct sockaddr *)&to, sizeof(to)) == -1);
	settle(b);
	b->peer.fd = weir_accept(b->peer.weir, listener, NULL, NULL);
	MUST(b->peer.fd >= 0);
	tcp_for_each(b->us.weir->w, find_pcb, &b->pcb);
	MUST(b->pcb);
	/* Both templates: a full segment of the peer's, and an ACK for one of ours. */
	MUST(weir_send(b->peer.weir, b->peer.fd, b->bytes, MSS, 0) == MSS);
	settle(b);
	MUST(weir_send(b->us.weir, b->us.fd, b->bytes, MSS, 0) == MSS);
	for (unsigned int i = 0; i < 50; i++) {
		weir_engine_advance(b->peer.weir, 1000000);
		settle(b);
	}
	MUST(b->data.len == OPTIONS_AT + 12 + MSS && b->ack.len == OPTIONS_AT + 12);
	/* One time stamp for all: none is from before the newest. */
	memcpy(b->data.frame + OPTIONS_AT, b->ack.frame + OPTIONS_AT, 12);
	MUST(weir_recv(b->us.weir, b->us.fd, b->bytes, MSS, 0) == MSS);
}

/* A burst as ip4_local() hands it to TCP: segment i is `step` bytes further than the one before. */
static void make_burst(struct bench *b, const struct template *t, uint32_t seq, uint32_t seq_step,
		       uint32_t ack, uint32_t ack_step, struct pkt **pkts)
{
	struct worker *w = b->us.weir->w;

	MUST(pkt_alloc_raw(w, pkts, BURST) == 0);
	for (unsigned int i = 0; i < BURST; i++)
		MUST(pkt_append(w, pkts[i], t->frame, (uint32_t)t->len) == 0);
	pkt_entered(w, pkts, BURST, 2);
	for (unsigned int i = 0; i < BURST; i++) {
		struct pkt *p = pkts[i];
		struct tcp_hdr *h;

		p->l3 = (uint16_t)(p->l2 + ETH_HDR_BYTES);
		p->l4 = (uint16_t)(p->l3 + IP4_HDR_BYTES);
		p->flags |= PKT_F_CSUM_OK;
		h = pkt_header(p, p->l4, TCP_HDR_BYTES);
		h->seq_be = host_to_be32(seq + i * seq_step);
		h->ack_be = host_to_be32(ack + i * ack_step);
		/* An echo that is fresh: else the round trip seems to grow, and our ring with it.
		 */
		be32_store((uint8_t *)(h + 1) + 8,
			   tcp_ts_now(w, b->pcb->ts_offset) - ROUND_TRIP_NS / 1000000);
	}
}

/* What the worker's loop does at its end, and the wire emptied. */
static void finish_turn(struct bench *b)
{
	uint8_t frame[FRAME_ROOM];

	weir_engine_poll(b->us.weir);
	while (weir_wire_take(b->us.weir, 0, frame, sizeof(frame)) > 0)
		;
}

static uint64_t input_burst(struct bench *b, struct pkt **pkts)
{
	uint64_t start = now_ns();

	tcp_input(b->us.weir->w, pkts, BURST);
	return now_ns() - start;
}

/* Send a burst, have it acknowledged, receive a burst; nanoseconds of each. */
static void round_trip(struct bench *b, uint64_t ns[FIGURES])
{
	struct pkt *pkts[BURST];
	uint32_t before = b->pcb->snd_nxt, got = b->pcb->rcv_nxt;
	uint64_t start;

	MUST(weir_send(b->us.weir, b->us.fd, b->bytes, sizeof(b->bytes), 0) == sizeof(b->bytes));
	start = now_ns();
	sock_poll(b->us.weir->w);
	ns[TX_SEGMENT] = now_ns() - start;
	finish_turn(b);
	MUST(b->pcb->snd_nxt - before == sizeof(b->bytes));
	weir_engine_advance(b->us.weir, ROUND_TRIP_NS);

	make_burst(b, &b->ack, got, 0, before + MSS, MSS, pkts);
	ns[RX_ACK] = input_burst(b, pkts);
	MUST(b->pcb->snd_una == b->pcb->snd_nxt);
	finish_turn(b);

	make_burst(b, &b->data, got, MSS, b->pcb->snd_nxt, 0, pkts);
	ns[RX_SEGMENT] = input_burst(b, pkts);
	MUST(b->pcb->rcv_nxt - got == sizeof(b->bytes));
	finish_turn(b);
	MUST(weir_recv(b->us.weir, b->us.fd, b->bytes, sizeof(b->bytes), 0) == sizeof(b->bytes));
	finish_turn(b);
}

/* So that a burst fits into the congestion window. */
static void open_window(struct bench *b)
{
	struct pkt *pkts[BURST];

	for (unsigned int i = 0; i < 8; i++) {
		MUST(weir_send(b->us.weir, b->us.fd, b->bytes, sizeof(b->bytes), 0) ==
		     sizeof(b->bytes));
		finish_turn(b);
		while (b->pcb->snd_una != tcp_data_end(b->pcb)) {
			MUST(b->pcb->snd_una != b->pcb->snd_nxt);
			weir_engine_advance(b->us.weir, ROUND_TRIP_NS);
			make_burst(b, &b->ack, b->pcb->rcv_nxt, 0, b->pcb->snd_nxt, 0, pkts);
			tcp_input(b->us.weir->w, pkts, BURST);
			finish_turn(b);
		}
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

int main(int argc, char **argv)
{
	unsigned int repetitions = argc > 1 ? (unsigned int)atoi(argv[1]) : 15;
	unsigned int bursts = argc > 2 ? (unsigned int)atoi(argv[2]) : 2000;
	static struct bench b;
	double *burst[FIGURES], *result[FIGURES];
	uint64_t ns[FIGURES];

	MUST(repetitions && bursts);
	for (unsigned int f = 0; f < FIGURES; f++) {
		burst[f] = calloc(bursts, sizeof(double));
		result[f] = calloc(repetitions, sizeof(double));
		MUST(burst[f] && result[f]);
	}
	connect_sides(&b);
	open_window(&b);
	for (unsigned int r = 0; r < repetitions; r++) {
		for (unsigned int i = 0; i < bursts; i++) {
			round_trip(&b, ns);
			for (unsigned int f = 0; f < FIGURES; f++)
				burst[f][i] = (double)ns[f] / BURST;
		}
		for (unsigned int f = 0; f < FIGURES; f++)
			result[f][r] = median(burst[f], bursts);
	}
	for (unsigned int f = 0; f < FIGURES; f++) {
		double middle = median(result[f], repetitions);

		printf("%s\"%s\": {\"min\": %.1f, \"median\": %.1f, \"max\": %.1f, \"runs\": %u}",
		       f ? ", " : "{", figure_name[f], result[f][0], middle,
		       result[f][repetitions - 1], repetitions);
	}
	puts("}");
	weir_engine_close(b.us.weir);
	weir_engine_close(b.peer.weir);
	return 0;
}
