/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames by hand, for tests that play the other side of a wire: built with right lengths and
 * checksums (break them afterwards, at the FRAME_*_AT offsets), and taken apart with checks.
 * Addresses and ports are in host order here: FRAME_IP(198, 18, 0, 1).
 */
#ifndef WEIR_TESTS_UNIT_COMMON_FRAMES_H
#define WEIR_TESTS_UNIT_COMMON_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dev/port.h"
#include "wire/arp.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ipaddr.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#define FRAME_ROOM 70000u /* bytes: enough for any frame, super-segments too */
#define FRAME_IP(a, b, c, d)                                                                       \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* Offsets in frames whose IP header has no options. */
#define FRAME_IP_AT 14u
#define FRAME_L4_AT 34u

extern const uint8_t frame_broadcast[6];

/* Ethernet and IP of a frame to be. ttl 0: 64. frag: host order, IP4_DF | IP4_MF | offset / 8. */
struct frame_spec {
	uint8_t dst_mac[6], src_mac[6];
	uint32_t src_ip, dst_ip;
	uint8_t ttl, tos;
	uint16_t id, frag;
	const uint8_t *options; /* of IP; padded to a multiple of four */
	size_t options_len;
};

struct frame_tcp {
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window;
	const uint8_t *options; /* padded to a multiple of four */
	size_t options_len;
};

/* Each writes a whole frame and returns its length. room: FRAME_ROOM bytes, or what it takes. */
size_t frame_eth(uint8_t *frame, const uint8_t dst[6], const uint8_t src[6], uint16_t type,
		 const void *payload, size_t len);
size_t frame_ip4(uint8_t *frame, const struct frame_spec *s, uint8_t proto, const void *l4,
		 size_t len);
size_t frame_udp(uint8_t *frame, const struct frame_spec *s, uint16_t sport, uint16_t dport,
		 const void *data, size_t len);
size_t frame_tcp(uint8_t *frame, const struct frame_spec *s, const struct frame_tcp *t,
		 const void *data, size_t len);
size_t frame_icmp(uint8_t *frame, const struct frame_spec *s, uint8_t type, uint8_t code,
		  uint32_t rest, const void *data, size_t len);
size_t frame_arp(uint8_t *frame, const uint8_t eth_dst[6], uint16_t op, const uint8_t sender_mac[6],
		 uint32_t sender_ip, const uint8_t target_mac[6], uint32_t target_ip);

/* The datagram alone (header and data, checksum set), for those who cut it into fragments. */
size_t frame_udp_datagram(uint8_t *l4, uint32_t src_ip, uint32_t dst_ip, uint16_t sport,
			  uint16_t dport, const void *data, size_t len);

/* After changing an IP header of len bytes. */
void frame_fix_ip_csum(uint8_t *frame);

/* A frame taken apart. Pointers lead into the frame. */
struct frame_info {
	const uint8_t *dst_mac, *src_mac;
	uint16_t type; /* of Ethernet */
	/* ARP */
	struct arp_msg arp;
	/* IPv4: valid where type is ETH_TYPE_IP4 */
	uint32_t src_ip, dst_ip;
	uint8_t proto, ttl, tos;
	uint16_t id, frag; /* frag: flags and offset / 8, host order */
	size_t ip_len;	   /* as the header says */
	const uint8_t *l4; /* behind the IP header */
	size_t l4_len;
	/* TCP and UDP, in a packet that is not a later fragment */
	uint16_t sport, dport;
	const uint8_t *data;
	size_t data_len;
	/* TCP */
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window;
	const uint8_t *options;
	size_t options_len;
	/* ICMP: data is what is behind the eight bytes */
	uint8_t icmp_type, icmp_code;
	uint32_t icmp_rest;
};

/*
 * Take a frame apart and assert (cmocka) that it is well formed: lengths, IP header checksum, and
 * the transport's checksum where the packet is whole. csum_partial: the transport's is the
 * pseudo-header sum alone (what a port with PORT_CAP_TX_CSUM is given).
 */
void frame_parse(const uint8_t *frame, size_t len, bool csum_partial, struct frame_info *info);

/* Take the next frame of the type from a wire (ARP and others that come before are thrown away).
 * Returns its length, 0 where there is none; parsed into info. frame: FRAME_ROOM bytes. */
size_t frame_take(struct port *wire, uint16_t type, uint8_t *frame, struct frame_info *info);

/* Throw away whatever the port has sent. */
void frame_take_all(struct port *wire);

/* Find a TCP option; its bytes behind kind and length, or NULL. */
const uint8_t *frame_tcp_option(const struct frame_info *info, uint8_t kind);

#endif
