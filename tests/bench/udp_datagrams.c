/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a datagram costs from the wire to the program and from the program to the wire, in bursts
 * of 32 on one socket of an engine in this process: Ethernet, IP, UDP, the socket's ring, the
 * program's own call. Made for counting instructions:
 *
 *   valgrind --tool=callgrind --toggle-collect=udp_receive udp_datagrams 1000
 *   valgrind --tool=callgrind --toggle-collect=udp_send_burst udp_datagrams 1000
 *
 *   udp_datagrams [BURSTS]
 *
 * One line of JSON: nanoseconds a datagram, received and sent.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

int main(int argc, char **argv)
{
	unsigned int bursts = argc > 1 ? (unsigned int)atoi(argv[1]) : 2000;
	uint64_t sent_ns = 0, received_ns = 0, at;
	struct side us, peer;

	side_open(&us, "198.18.0.1", "198.18.0.1/24");
	side_open(&peer, "198.18.0.2", "198.18.0.2/24");
	MUST(weir_sendto(us.weir, us.fd, "", 0, 0, (const struct sockaddr *)&peer.addr,
			 sizeof(peer.addr)) == 0);
	while (carry(&us, &peer) + carry(&peer, &us))
		;
	MUST(weir_recv(peer.weir, peer.fd, &at, sizeof(at), 0) == 0);
	for (unsigned int i = 0; i < bursts; i++) {
		at = now_ns();
		udp_send_burst(&us, &peer);
		sent_ns += now_ns() - at;
		MUST(carry(&us, &peer) == BURST);
		at = now_ns();
		udp_receive(&peer);
		received_ns += now_ns() - at;
	}
	printf("{\"udp_rx_ns\": %.1f, \"udp_tx_ns\": %.1f}\n", (double)received_ns / bursts / BURST,
	       (double)sent_ns / bursts / BURST);
	weir_engine_close(us.weir);
	weir_engine_close(peer.weir);
	return 0;
}
