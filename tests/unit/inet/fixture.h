/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host on a wire, in virtual time: weir's inet at 198.18.0.2/24 (mac 02:..:02), the test at
 * 198.18.0.1 (mac 02:..:01) on the other side. TCP is replaced by tcp_stub.c, which counts and
 * drops.
 */
#ifndef WEIR_TESTS_UNIT_INET_FIXTURE_H
#define WEIR_TESTS_UNIT_INET_FIXTURE_H

#include "common/frames.h"
#include "common/testing.h"
#include "dev/port.h"
#include "dev/wire.h"
#include "inet/inet.h"
#include "inet/udp.h"

#define US FRAME_IP(198, 18, 0, 2)
#define PEER FRAME_IP(198, 18, 0, 1)
#define THIRD FRAME_IP(198, 18, 0, 3)
#define FAR FRAME_IP(198, 19, 9, 9)
#define SUBNET_BROADCAST FRAME_IP(198, 18, 0, 255)
#define LOCALHOST FRAME_IP(127, 0, 0, 1)
#define MS 1000000ull
#define SEC 1000000000ull

extern const uint8_t us_mac[6], peer_mac[6], third_mac[6];

/* One datagram that was delivered. */
struct delivery {
	struct udp_pcb *pcb;
	struct endpoint from, to;
	uint32_t len;
	uint8_t data[65536];
};

/* What udp_error and the TCP stub were told. */
struct told {
	unsigned int count;
	int error;
	bool hard;
	uint16_t mtu_bytes;
	struct udp_pcb *udp;
	struct net_error net; /* pointers in it are not to be followed */
	uint32_t data_len;    /* of what was quoted */
	struct ipaddr local, remote;
	uint8_t l4[8];
};

struct host {
	struct worker *w;
	struct port *lo, *wire;
	int ifindex;
	struct udp_pcb *delivered_to[16]; /* the first ones */
	unsigned int deliveries;
	struct delivery last;
	struct told udp_told;
	uint8_t frame[FRAME_ROOM]; /* the frame last taken */
	struct frame_info info;
};

extern struct told tcp_told;	 /* tcp_stub.c */
extern bool tcp_stub_knows;	 /* tcp_icmp_error()'s answer */
extern unsigned int tcp_stub_in; /* packets that tcp_input() got */
extern uint8_t tcp_stub_tos;	 /* of the last one's IP header */

/* spec: the wire's, NULL for "wire,mac=02:00:00:00:00:02". ARP announcements are out and gone. */
struct host *host_open(const char *spec);
/* Everything is quiet, and every buffer is back. */
void host_close(struct host *h);

/* Receive, fire timers and send, until nothing moves; time stands still. */
void host_run(struct host *h);
/* Let time pass. */
void host_wait(struct host *h, uint64_t ns);

/* Put a frame on the wire and run. */
void host_put(struct host *h, const uint8_t *frame, size_t len);

/* Take the next frame of the type: into h->frame and h->info. Its length, 0 where there is none. */
size_t host_take(struct host *h, uint16_t type);

/* From PEER to US. */
struct frame_spec from_peer(void);

/* The peer makes itself known (it asks for us; its answer is thrown away). */
void host_meet(struct host *h, uint32_t ip, const uint8_t mac[6]);

struct endpoint endpoint4(uint32_t ip, uint16_t port);

/* A bound socket; port 0: an ephemeral one. */
struct udp_pcb *host_udp(struct host *h, uint32_t ip, uint16_t port);
int host_send(struct host *h, struct udp_pcb *pcb, uint32_t ip, uint16_t port, const void *data,
	      uint32_t len);

/* Assert that frame is dropped for the reason, and that nothing else comes of it but `answers`
 * frames of ours. */
#define host_drops(h, reason, frame, len, answers)                                                 \
	do {                                                                                       \
		uint64_t before_ = test_drops((h)->w, reason);                                     \
		host_put(h, frame, len);                                                           \
		assert_int_equal(test_drops((h)->w, reason), before_ + 1);                         \
		assert_int_equal(wire_waiting((h)->wire), answers);                                \
		test_ledger((h)->w);                                                               \
	} while (0)

/* Bounds of reassembly, as params.def has them at first. */
#define FRAG_MAX_DATAGRAMS 256u
#define FRAG_MAX_BYTES (4u << 20)

#endif
