/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a datagram costs from the wire to the program and from the program to the wire, in bursts
 * of 32 on one socket of an engine in this process: Ethernet, IP, UDP, the socket's ring, the
 * program's own call. Then the same bursts by one call each: sent by UDP_SEGMENT, received by
 * UDP_GRO. Made for counting instructions:
 *
 *   valgrind --tool=callgrind --toggle-collect=udp_receive udp_datagrams 1000
 *   valgrind --tool=callgrind --toggle-collect=udp_send_burst udp_datagrams 1000
 *
 * and so udp_receive_joined, udp_send_segments.
 *
 *   udp_datagrams [BURSTS [traced]]
 *
 * traced: with an observer that follows another flow (`weir trace 'udp port 9'`), on both sides.
 *
 * One line of JSON: nanoseconds a datagram, received and sent, each way.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/direct.h"
#include "obs/observer.h"
#include "weir.h"

#define BURST 32
#define BYTES 200
#define FRAME_ROOM 2048u
#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "udp_datagrams: %s:%d: %s\n", __FILE__, __LINE__, #x);     \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

struct side {
	struct weir *weir;
	int fd;
	struct sockaddr_in addr;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void side_open(struct side *s, const char *addr, const char *prefixed)
{
	const char *const addrs[] = { prefixed, NULL };
	const struct weir_port port = { .spec = "wire,csum=1", .addrs = addrs };
	const struct weir_config config = { .ports = &port,
					    .port_count = 1,
					    .virtual_time = true,
					    .start_ns = 1000000000ull,
					    .seed = 1 };
	char error[WEIR_ERROR_BYTES];

	s->weir = weir_engine_open(&config, error);
	MUST(s->weir);
	weir_engine_advance(s->weir, 5000000000ull); /* gratuitous ARP is over */
	s->addr.sin_family = AF_INET;
	s->addr.sin_port = htons(7);
	MUST(inet_pton(AF_INET, addr, &s->addr.sin_addr) == 1);
	s->fd = weir_socket(s->weir, AF_INET, SOCK_DGRAM, 0);
	MUST(weir_bind(s->weir, s->fd, (struct sockaddr *)&s->addr, sizeof(s->addr)) == 0);
}

static unsigned int carry(struct side *from, struct side *to)
{
	uint8_t frame[FRAME_ROOM];
	unsigned int n = 0;
	ssize_t len;

	weir_engine_poll(from->weir);
	for (; (len = weir_wire_take(from->weir, 0, frame, sizeof(frame))) > 0; n++)
		MUST(weir_wire_put(to->weir, 0, frame, (size_t)len) == 0);
	return n;
}

__attribute__((noinline)) static void udp_send_burst(struct side *s, const struct side *to)
{
	static const uint8_t data[BYTES];

	for (int i = 0; i < BURST; i++)
		MUST(weir_sendto(s->weir, s->fd, data, sizeof(data), 0,
				 (const struct sockaddr *)&to->addr, sizeof(to->addr)) == BYTES);
	weir_engine_poll(s->weir);
}

__attribute__((noinline)) static void udp_receive(struct side *s)
{
	uint8_t data[BYTES];

	weir_engine_poll(s->weir);
	for (int i = 0; i < BURST; i++)
		MUST(weir_recvfrom(s->weir, s->fd, data, sizeof(data), 0, NULL, NULL) == BYTES);
}

__attribute__((noinline)) static void udp_send_segments(struct side *s, const struct side *to)
{
	static const uint8_t data[BURST * BYTES];

	MUST(weir_sendto(s->weir, s->fd, data, sizeof(data), 0, (const struct sockaddr *)&to->addr,
			 sizeof(to->addr)) == sizeof(data));
	weir_engine_poll(s->weir);
}

__attribute__((noinline)) static void udp_receive_joined(struct side *s)
{
	uint8_t data[BURST * BYTES];

	weir_engine_poll(s->weir);
	MUST(weir_recvfrom(s->weir, s->fd, data, sizeof(data), 0, NULL, NULL) == sizeof(data));
}

typedef void (*send_fn)(struct side *s, const struct side *to);
typedef void (*receive_fn)(struct side *s);

/* Nanoseconds a datagram, sent and received. */
static void measure(struct side *us, struct side *peer, unsigned int bursts, send_fn send,
		    receive_fn receive, double ns[2])
{
	uint64_t sent_ns = 0, received_ns = 0, at;

	for (unsigned int i = 0; i < bursts; i++) {
		at = now_ns();
		send(us, peer);
		sent_ns += now_ns() - at;
		MUST(carry(us, peer) == BURST);
		at = now_ns();
		receive(peer);
		received_ns += now_ns() - at;
	}
	ns[0] = (double)sent_ns / bursts / BURST;
	ns[1] = (double)received_ns / bursts / BURST;
}

/* As `weir trace` asks for it. */
static struct observer *trace_another(struct weir *weir)
{
	pcap_t *pcap[2] = { pcap_open_dead(DLT_EN10MB, 65535), pcap_open_dead(DLT_RAW, 65535) };
	struct bpf_program program[2];
	struct observer_spec spec = { .stages = (1u << STAGE_MAX) - 1,
				      .drops = true,
				      .records = true,
				      .follow = true,
				      .snap_bytes = 128,
				      .ring_bytes = 4u << 20 };
	struct observer *o;

	for (unsigned int i = 0; i < 2; i++) {
		MUST(pcap[i]);
		MUST(pcap_compile(pcap[i], &program[i], "udp port 9", 1, 0) == 0);
	}
	spec.ethernet = (const struct sock_filter *)program[0].bf_insns;
	spec.ethernet_count = program[0].bf_len;
	spec.ip = (const struct sock_filter *)program[1].bf_insns;
	spec.ip_count = program[1].bf_len;
	MUST(observer_new(&spec, &weir->w, 1, &o) == 0);
	observer_start(o);
	for (unsigned int i = 0; i < 2; i++) {
		pcap_freecode(&program[i]);
		pcap_close(pcap[i]);
	}
	return o;
}

int main(int argc, char **argv)
{
	struct observer *traces[2] = { NULL, NULL };
	unsigned int bursts = argc > 1 ? (unsigned int)atoi(argv[1]) : 2000;
	double single[2], joined[2];
	struct side us, peer;
	uint64_t word;
	int on = 1, segment = BYTES;

	side_open(&us, "198.18.0.1", "198.18.0.1/24");
	side_open(&peer, "198.18.0.2", "198.18.0.2/24");
	MUST(weir_sendto(us.weir, us.fd, "", 0, 0, (const struct sockaddr *)&peer.addr,
			 sizeof(peer.addr)) == 0);
	while (carry(&us, &peer) + carry(&peer, &us))
		;
	MUST(weir_recv(peer.weir, peer.fd, &word, sizeof(word), 0) == 0);
	if (argc > 2) {
		traces[0] = trace_another(us.weir);
		traces[1] = trace_another(peer.weir);
	}
	measure(&us, &peer, bursts, udp_send_burst, udp_receive, single);
	MUST(weir_setsockopt(us.weir, us.fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) == 0);
	MUST(weir_setsockopt(peer.weir, peer.fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) == 0);
	measure(&us, &peer, bursts, udp_send_segments, udp_receive_joined, joined);
	printf("{\"udp_rx_ns\": %.1f, \"udp_tx_ns\": %.1f, \"udp_rx_joined_ns\": %.1f, "
	       "\"udp_tx_segments_ns\": %.1f}\n",
	       single[1], single[0], joined[1], joined[0]);
	for (unsigned int i = 0; i < 2 && traces[i]; i++) {
		observer_stop(traces[i]);
		observer_free(traces[i]);
	}
	weir_engine_close(us.weir);
	weir_engine_close(peer.weir);
	return 0;
}
