/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool of packet buffers is empty, or nearly so. */
#include <errno.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <string.h>

#include "dev/wire.h"
#include "lab.h"
#include "wire/app_packet.h"

#define JUMBO "wire,mac=02:00:00:00:00:02,mtu=9000"

static uint8_t data[60000];

static void udp_send(struct lab *lab)
{
	int fd;

	lab_meet(lab);
	fd = lab_udp_socket(lab, 0);
	lab_drain(lab, 1); /* for the first part of it */
	lab_udp_send(lab, fd, PEER, 9, data, 5000);
	lab_refill(lab);
}

/* 20,000 bytes are nine buffers; leave so many for what is to become of them. */
static void fragments(struct lab *lab, unsigned int leave)
{
	int fd;

	lab_meet(lab);
	fd = lab_udp_socket(lab, 0);
	lab_drain(lab, 10 + leave);
	lab_udp_send(lab, fd, PEER, 9, data, 20000);
	lab_refill(lab);
}

/* The second fragment has its first buffer, and not all of its others. */
static void fragment_part(struct lab *lab)
{
	fragments(lab, 2);
}

/* The second fragment is there, and the third is not. */
static void fragment_whole(struct lab *lab)
{
	fragments(lab, 5);
}

static void tcp_send(struct lab *lab)
{
	struct sockaddr_in a = lab_addr(FRAME_IP(127, 0, 0, 1), 80);
	int l = weir_socket(lab->weir, AF_INET, SOCK_STREAM, 0), c;

	assert_int_equal(weir_bind(lab->weir, l, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(weir_listen(lab->weir, l, 5), 0);
	c = weir_socket(lab->weir, AF_INET, SOCK_STREAM, 0);
	weir_connect(lab->weir, c, (struct sockaddr *)&a, sizeof(a));
	lab_settle(lab);
	lab_drain(lab, 1);
	assert_int_equal(weir_send(lab->weir, c, data, 20000, 0), 20000);
	weir_engine_poll(lab->weir);
	lab_refill(lab);
	lab_settle(lab);
}

static void raw_send(struct lab *lab)
{
	struct app_sock s = lab_below(lab, AF_INET, SOCK_RAW, 200);
	struct abi_dgram d = { .len_bytes = 5000, .addr = ipaddr_from_ip4(host_to_be32(PEER)) };

	lab_meet(lab);
	lab_mark(lab);
	lab_drain(lab, 1);
	assert_int_equal(lab_below_send(lab, s, &d, data, 5000), -ENOBUFS);
	lab_refill(lab);
}

static void packet_send(struct lab *lab)
{
	struct app_sock s = lab_below(lab, AF_PACKET, SOCK_RAW, 0);
	struct abi_packet h = { .len_bytes = 8000, .ifindex = 2 };

	lab_drain(lab, 1);
	assert_int_equal(lab_below_send(lab, s, &h, data, 8000), -ENOBUFS);
	lab_refill(lab);
}

/* A super-segment of 30,000 bytes is to be routed to a port that cannot cut it. It lies in 14
 * buffers, and each of its pieces needs five. */
static void segments(struct lab *lab, unsigned int leave)
{
	static const uint8_t second_mac[6] = { 2, 0, 0, 0, 1, 2 };
	struct frame_tcp t = { .sport = 1, .dport = 80, .flags = TCP_F_ACK, .window = 1000 };
	struct frame_spec s = from_peer();
	size_t len = frame_arp(lab->frame, second_mac, ARP_OP_REQUEST, peer_mac, FAR, NULL,
			       FRAME_IP(198, 18, 1, 2));

	assert_int_equal(wire_put(lab->wire[1], lab->frame, len), 0);
	lab_settle(lab);
	lab->wire[1]->mtu_bytes = 9000;
	s.dst_ip = FAR;
	lab_drain(lab, 14 + leave);
	lab_send(lab, frame_tcp(lab->frame, &s, &t, data, 30000), 1);
	lab_refill(lab);
}

static void segment_part(struct lab *lab)
{
	segments(lab, 3);
}

static void segment_whole(struct lab *lab)
{
	segments(lab, 5);
}

#define ROUTED (IN_FORWARD | AT(NEIGH_OUTPUT))
#define FRAG_UDP (OUT_UDP | AT(IP4_FRAG))

static const struct reason_case cases[] = {
	{ .name = "nomem: udp",
	  .run = udp_send,
	  .drops = { { DROP_NOMEM, "datagram", AT(SOCK_SEND), 1 } } },
	{ .name = "nomem: a fragment's buffers",
	  .run = fragment_part,
	  .drops = { { DROP_NOMEM, "fragment_make", FRAG_UDP, 1 },
		     { DROP_NOMEM, "frag_output", FRAG_UDP, 1 } },
	  .wire = JUMBO },
	{ .name = "nomem: a fragment",
	  .run = fragment_whole,
	  .drops = { { DROP_NOMEM, "fragments_make", FRAG_UDP, 1 },
		     { DROP_NOMEM, "frag_output", FRAG_UDP, 1 } },
	  .wire = JUMBO },
	{ .name = "nomem: tcp",
	  .run = tcp_send,
	  .drops = { { DROP_NOMEM, "tcp_xmit", AT(SOCK_SEND), 1 } } },
	{ .name = "nomem: raw socket",
	  .run = raw_send,
	  .drops = { { DROP_NOMEM, "raw_packet", AT(SOCK_SEND), 1 } } },
	{ .name = "nomem: packet socket",
	  .run = packet_send,
	  .drops = { { DROP_NOMEM, "send_frame", AT(SOCK_SEND), 1 } },
	  .wire = JUMBO },
	{ .name = "nomem: a piece of a super-segment",
	  .run = segment_part,
	  .drops = { { DROP_NOMEM, "tso_piece", ROUTED, 1 },
		     { DROP_NOMEM, "send_segmented", ROUTED, 1 } },
	  .wire = JUMBO ",csum=1,tso=1",
	  .forwarding = true },
	{ .name = "nomem: the pieces of a super-segment",
	  .run = segment_whole,
	  .drops = { { DROP_NOMEM, "offload_tso4", ROUTED, 1 },
		     { DROP_NOMEM, "send_segmented", ROUTED, 1 } },
	  .wire = JUMBO ",csum=1,tso=1",
	  .forwarding = true },
};

const struct case_table cases_nomem = { cases, sizeof(cases) / sizeof(cases[0]) };
