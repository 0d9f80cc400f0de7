/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ping-pong over TCP or UDP: one 64-byte message there and back, many times; prints the median and
 * the 99th percentile of the round trip in nanoseconds. An ordinary program: it knows nothing of
 * weir and is run on the kernel and on weir alike.
 *
 *   pingpong server tcp|udp PORT [spin]
 *   pingpong client tcp|udp ADDRESS PORT ROUNDS [spin]
 *
 * spin: never sleeps in the kernel; asks a non-blocking socket again and again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 64
#define WARMUP_ROUNDS 2000u

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "pingpong: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Receive one whole message; false at the end of the stream. */
static bool receive(int fd, char *message, bool stream)
{
	size_t have = 0;

	while (have < MESSAGE_BYTES) {
		ssize_t n = recv(fd, message + have, MESSAGE_BYTES - have, 0);

		if (n == 0)
			return false;
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				continue;
			return false;
		}
		have += (size_t)n;
		if (!stream)
			break;
	}
	return true;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void set_options(int fd, bool stream, bool spin)
{
	int one = 1;

	if (stream)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (spin)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int serve(bool stream, struct sockaddr_in *address, bool spin)
{
	int one = 1, fd = socket(AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	struct sockaddr_in peer;
	socklen_t peer_len = sizeof(peer);
	char message[MESSAGE_BYTES];

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)address, sizeof(*address)) < 0)
		die("bind");
	if (stream && listen(fd, 16) < 0)
		die("listen");
	printf("ready\n");
	fflush(stdout);
	if (stream) {
		fd = accept(fd, NULL, NULL);
	} else {
		if (recvfrom(fd, message, sizeof(message), 0, (struct sockaddr *)&peer, &peer_len) <
		    0)
			die("recvfrom");
		if (connect(fd, (struct sockaddr *)&peer, peer_len) < 0)
			die("connect");
		if (send(fd, message, sizeof(message), 0) < 0)
			die("send");
	}
	if (fd < 0)
		die("accept");
	set_options(fd, stream, spin);
	while (receive(fd, message, stream))
		if (message[0] == 'q' || send(fd, message, sizeof(message), 0) < 0)
			break;
	return 0;
}

static int ask(bool stream, struct sockaddr_in *address, uint32_t rounds, bool spin)
{
	int fd = socket(AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	uint64_t *sample = calloc(rounds, sizeof(*sample));
	char message[MESSAGE_BYTES] = "weir";

	if (!sample || connect(fd, (struct sockaddr *)address, sizeof(*address)) < 0)
		die("connect");
	set_options(fd, stream, spin);
	for (uint32_t i = 0; i < rounds + WARMUP_ROUNDS; i++) {
		uint64_t start = now_ns();

		if (send(fd, message, sizeof(message), 0) < 0 || !receive(fd, message, stream))
			die("lost the other side");
		if (i >= WARMUP_ROUNDS)
			sample[i - WARMUP_ROUNDS] = now_ns() - start;
	}
	message[0] = 'q';
	send(fd, message, sizeof(message), 0);
	qsort(sample, rounds, sizeof(*sample), by_value);
	printf("{\"p50_ns\": %llu, \"p99_ns\": %llu, \"rounds\": %u}\n",
	       (unsigned long long)sample[rounds / 2],
	       (unsigned long long)sample[rounds - 1 - rounds / 100], rounds);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	bool server = argc > 1 && strcmp(argv[1], "server") == 0;
	bool stream = argc > 2 && strcmp(argv[2], "tcp") == 0;

	if (argc < (server ? 4 : 6)) {
		fprintf(stderr, "usage: pingpong server tcp|udp PORT [spin]\n"
				"       pingpong client tcp|udp ADDRESS PORT ROUNDS [spin]\n");
		return 2;
	}
	if (server) {
		address.sin_port = htons((uint16_t)atoi(argv[3]));
		return serve(stream, &address, argc > 4);
	}
	if (inet_pton(AF_INET, argv[3], &address.sin_addr) != 1)
		die("address");
	address.sin_port = htons((uint16_t)atoi(argv[4]));
	return ask(stream, &address, (uint32_t)atoi(argv[5]), argc > 6);
}
