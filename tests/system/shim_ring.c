/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PACKET_RX_RING in each version, watched by poll or epoll: counts the ICMP frames that go by, and
 * checks what stands around them. Arguments: version (1, 2, 3), poll or epoll, how many.
 */
#include "shim_case.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#define BLOCK 8192u
#define BLOCKS 64u
#define FRAME 2048u
#define PRIV 24u

static uint8_t *ring;
static int version;
static unsigned int icmp, frames, blocks;

static void frame(const uint8_t *at, const struct sockaddr_ll *ll, uint32_t mac, uint32_t net,
		  uint32_t snaplen, uint32_t len)
{
	const uint8_t *eth = at + mac;

	CHECK(ll->sll_family == AF_PACKET && ll->sll_ifindex == 2 && ll->sll_halen == 6);
	CHECK(net == mac + 14 && snaplen == len && len >= 14);
	CHECK(memcmp(ll->sll_addr, eth + 6, 6) == 0);
	CHECK(memcmp(&ll->sll_protocol, eth + 12, 2) == 0);
	frames++;
	icmp += eth[12] == 8 && eth[13] == 0 && at[net + 9] == 1;
}

/* Versions 1 and 2: take what is there. */
static void take_frames(void)
{
	static unsigned int next;

	for (;; next = (next + 1) % (BLOCKS * BLOCK / FRAME)) {
		uint8_t *at = ring + next * FRAME;

		if (!(__atomic_load_n((uint32_t *)(void *)at, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			return;
		if (version == TPACKET_V1) {
			struct tpacket_hdr *h = (void *)at;

			CHECK(h->tp_sec > 1000000000 && h->tp_usec < 1000000);
			frame(at, (void *)(at + TPACKET_ALIGN(sizeof(*h))), h->tp_mac, h->tp_net,
			      h->tp_snaplen, h->tp_len);
			__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		} else {
			struct tpacket2_hdr *h = (void *)at;

			CHECK(h->tp_sec > 1000000000 && h->tp_nsec < 1000000000);
			frame(at, (void *)(at + TPACKET_ALIGN(sizeof(*h))), h->tp_mac, h->tp_net,
			      h->tp_snaplen, h->tp_len);
			__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		}
	}
}

static void block(struct tpacket_block_desc *b)
{
	struct tpacket_hdr_v1 *h = &b->hdr.bh1;
	uint8_t *at = (uint8_t *)b + h->offset_to_first_pkt, *end = (uint8_t *)b + h->blk_len;

	CHECK(b->version == TPACKET_V3 && h->num_pkts > 0 && h->blk_len <= BLOCK);
	CHECK(h->seq_num == ++blocks && h->offset_to_first_pkt >= b->offset_to_priv + PRIV);
	for (unsigned int i = h->num_pkts; i-- != 0;) {
		struct tpacket3_hdr *t = (void *)at;

		CHECK((t->tp_next_offset == 0) == (i == 0) && t->tp_status & TP_STATUS_USER);
		frame(at, (void *)(at + TPACKET_ALIGN(sizeof(*t))), t->tp_mac, t->tp_net,
		      t->tp_snaplen, t->tp_len);
		CHECK(at + t->tp_mac + t->tp_snaplen <= end);
		at += t->tp_next_offset;
	}
	__atomic_store_n(&h->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

static void take_blocks(void)
{
	static unsigned int next;

	for (;; next = (next + 1) % BLOCKS) {
		struct tpacket_block_desc *b = (void *)(ring + next * BLOCK);

		if (!(__atomic_load_n(&b->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			return;
		block(b);
	}
}

static int ring_open(void)
{
	struct tpacket_req3 req = { .tp_block_size = BLOCK,
				    .tp_block_nr = BLOCKS,
				    .tp_frame_size = FRAME,
				    .tp_frame_nr = BLOCKS * BLOCK / FRAME,
				    .tp_retire_blk_tov = 50,
				    .tp_sizeof_priv = PRIV };
	socklen_t size = version == TPACKET_V3 ? sizeof(req) : sizeof(struct tpacket_req);
	int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), v = 3, hdrlen = version;
	socklen_t len = sizeof(hdrlen);

	CHECK(s >= 0);
	CHECK(setsockopt(s, SOL_PACKET, PACKET_VERSION, &v, sizeof(v)) < 0 && errno == EINVAL);
	CHECK(getsockopt(s, SOL_PACKET, PACKET_HDRLEN, &hdrlen, &len) == 0);
	CHECK(hdrlen == (version == TPACKET_V1	 ? sizeof(struct tpacket_hdr)
			 : version == TPACKET_V2 ? sizeof(struct tpacket2_hdr)
						 : sizeof(struct tpacket3_hdr)));
	CHECK(setsockopt(s, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) == 0);
	CHECK(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, size - 1) < 0 && errno == EINVAL);
	req.tp_frame_nr++;
	CHECK(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, size) < 0 && errno == EINVAL);
	req.tp_frame_nr--;
	if (version == TPACKET_V3) {
		req.tp_sizeof_priv = UINT32_MAX;
		CHECK(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, size) < 0);
		CHECK(errno == EINVAL);
		req.tp_sizeof_priv = PRIV;
	}
	CHECK(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, size) == 0);
	CHECK(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, size) < 0 && errno == EBUSY);
	ring = mmap(NULL, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
	CHECK(ring != MAP_FAILED);
	return s;
}

int main(int argc, char **argv)
{
	struct tpacket_stats_v3 stats = { 0, 0, 77 };
	socklen_t len = sizeof(stats);
	bool by_epoll = strcmp(argv[2], "epoll") == 0;
	unsigned int wanted = (unsigned int)atoi(argv[3]);
	int s, set = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN };

	version = atoi(argv[1]) - 1;
	s = ring_open();
	CHECK(epoll_ctl(set, EPOLL_CTL_ADD, s, &event) == 0);
	CHECK(epoll_wait(set, &event, 1, 0) == 0);
	puts("ready");
	fflush(stdout);
	while (icmp < wanted) {
		struct pollfd p = { s, POLLIN, 0 };

		CHECK((by_epoll ? epoll_wait(set, &event, 1, 10000) : poll(&p, 1, 10000)) == 1);
		CHECK((by_epoll ? event.events : (uint32_t)p.revents) & POLLIN);
		if (version == TPACKET_V3)
			take_blocks();
		else
			take_frames();
	}
	CHECK(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0);
	CHECK(len == (version == TPACKET_V3 ? 12 : 8) && stats.tp_drops == 0);
	CHECK(stats.tp_packets >= frames && icmp >= wanted);
	puts("done");
	return 0;
}
