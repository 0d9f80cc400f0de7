/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Make the kernel drop frames, and print what each took: drops INTERFACE COUNT. The interface is
 * one end of a veth pair in a namespace of the caller's; nothing takes the frames' EtherType, so
 * the kernel drops each at the other end before the send is over, on this CPU.
 *
 * Prints {"ns": N, "sent": COUNT}: the lower quartile over chunks of frames, so that what else the
 * machine does is left out.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define CHUNK 1000
#define FRAME_BYTES 60
#define ETHERTYPE_EXPERIMENTAL 0x88b5

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int open_interface(const char *name)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = (int)if_nametoindex(name) };
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW, 0); /* receives nothing */

	if (fd < 0 || !to.sll_ifindex || bind(fd, (struct sockaddr *)&to, sizeof(to))) {
		perror(name);
		exit(1);
	}
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	return fd;
}

/* Broadcast, so that the other end takes it to look at. */
static void make_frame(uint8_t frame[FRAME_BYTES])
{
	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\x02\0\0\0\0\x01", 6);
	frame[12] = ETHERTYPE_EXPERIMENTAL >> 8;
	frame[13] = ETHERTYPE_EXPERIMENTAL & 0xff;
	memset(frame + 14, 'x', FRAME_BYTES - 14);
}

int main(int argc, char **argv)
{
	size_t count = argc == 3 ? strtoul(argv[2], NULL, 10) / CHUNK : 0;
	uint64_t *took = calloc(count + 1, sizeof(*took));
	uint8_t frame[FRAME_BYTES];
	int fd;

	if (!count || !took) {
		fprintf(stderr, "usage: drops INTERFACE COUNT (at least %d)\n", CHUNK);
		return 2;
	}
	make_frame(frame);
	fd = open_interface(argv[1]);
	for (size_t i = 0; i < count; i++) {
		uint64_t start = now_ns();

		for (int j = 0; j < CHUNK; j++) {
			if (send(fd, frame, sizeof(frame), 0) != FRAME_BYTES)
				perror("send");
		}
		took[i] = now_ns() - start;
	}
	qsort(took, count, sizeof(*took), by_value);
	printf("{\"ns\": %.1f, \"sent\": %zu}\n", (double)took[count / 4] / CHUNK, count * CHUNK);
	return 0;
}
