/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports and frames for the tests of dev/. Checksums are computed here again, byte by byte. */
#ifndef WEIR_TESTS_UNIT_DEV_TESTING_H
#define WEIR_TESTS_UNIT_DEV_TESTING_H

#include "common/testing.h"

#include <errno.h>
#include <string.h>

#include "dev/port.h"
#include "dev/wire.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#define FRAME_SRC_IP 0xc6120002u /* 198.18.0.2 */
#define FRAME_DST_IP 0xc6120001u
#define FRAME_HEADERS (ETH_HDR_BYTES + IP4_HDR_BYTES + TCP_HDR_BYTES)
#define FRAME_SEQ 0xfffff000u /* wraps within a super-segment */

static inline struct port *dev_port(struct worker *w, const char *spec)
{
	char error[PORT_ERROR_BYTES];
	struct worker *workers[1] = { w };
	struct port_open_params params = { .workers = 1, .worker = workers };
	struct port *port;

	if (port_open(spec, &params, &port, error))
		fail_msg("%s: %s", spec, error);
	port->ifindex = 7;
	return port;
}

static inline uint8_t dev_byte(uint32_t i)
{
	return (uint8_t)(i * 131 + (i >> 8) * 17);
}

/* One's complement sum of big-endian words, as RFC 1071 describes it. */
static inline uint32_t dev_sum(uint32_t sum, const uint8_t *at, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i & 1 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Is the IPv4 header's checksum right, and TCP's or UDP's (with the pseudo-header)? */
static inline void dev_check_csums(const uint8_t *frame, uint32_t len)
{
	const uint8_t *ip = frame + ETH_HDR_BYTES;
	uint32_t ihl = (ip[0] & 15u) * 4, total = (uint32_t)ip[2] << 8 | ip[3];
	uint8_t pseudo[12] = { 0 };

	assert_int_equal(total + ETH_HDR_BYTES, len);
	assert_int_equal(dev_sum(0, ip, ihl), 0xffff);
	memcpy(pseudo, ip + 12, 8);
	pseudo[9] = ip[9];
	pseudo[10] = (uint8_t)((total - ihl) >> 8);
	pseudo[11] = (uint8_t)(total - ihl);
	assert_int_equal(dev_sum(dev_sum(0, pseudo, 12), ip + ihl, total - ihl), 0xffff);
}

/* A packet of ours: Ethernet, IPv4, TCP with a partial checksum, payload of dev_byte()s. */
static inline struct pkt *dev_tcp(struct worker *w, uint32_t payload, uint8_t flags,
				  uint16_t gso_size)
{
	struct pkt *p = pkt_alloc(w);
	struct eth_hdr eth = { .dst = { 2, 0, 0, 0, 0, 1 },
			       .src = { 2, 0, 0, 0, 0, 2 },
			       .type_be = WIRE_BE16(ETH_TYPE_IP4) };
	struct ip4_hdr ip = { .version_ihl = 0x45,
			      .ttl = 64,
			      .proto = IP_PROTO_TCP,
			      .frag_be = WIRE_BE16(IP4_DF),
			      .id_be = WIRE_BE16(0xfffe) };
	struct tcp_hdr tcp = { .src_port_be = WIRE_BE16(1234),
			       .dst_port_be = WIRE_BE16(80),
			       .offset_reserved = 0x50,
			       .flags = flags,
			       .ack_be = 1 };
	uint8_t pseudo[12] = { 0 };
	uint32_t l4_len = TCP_HDR_BYTES + payload, sum;

	assert_non_null(p);
	ip.len_be = host_to_be16((uint16_t)(IP4_HDR_BYTES + l4_len));
	ip.src_be = host_to_be32(FRAME_SRC_IP);
	ip.dst_be = host_to_be32(FRAME_DST_IP);
	ip.csum_be = host_to_be16((uint16_t)~dev_sum(0, (uint8_t *)&ip, sizeof(ip)));
	memcpy(pseudo, &ip.src_be, 8);
	pseudo[9] = IP_PROTO_TCP;
	pseudo[10] = (uint8_t)(l4_len >> 8);
	pseudo[11] = (uint8_t)l4_len;
	sum = dev_sum(0, pseudo, 12);
	tcp.seq_be = host_to_be32(FRAME_SEQ);
	tcp.csum_be = host_to_be16((uint16_t)sum);
	assert_int_equal(pkt_append(w, p, &eth, sizeof(eth)), 0);
	assert_int_equal(pkt_append(w, p, &ip, sizeof(ip)), 0);
	assert_int_equal(pkt_append(w, p, &tcp, sizeof(tcp)), 0);
	for (uint32_t i = 0; i < payload; i++) {
		uint8_t b = dev_byte(i);

		assert_int_equal(pkt_append(w, p, &b, 1), 0);
	}
	p->l2 = p->mbuf.data_off;
	p->l3 = (uint16_t)(p->l2 + ETH_HDR_BYTES);
	p->l4 = (uint16_t)(p->l3 + IP4_HDR_BYTES);
	p->l7 = (uint16_t)(p->l4 + TCP_HDR_BYTES);
	p->flags |= PKT_F_CSUM_PARTIAL | (gso_size ? PKT_F_GSO_TCP4 : 0);
	p->csum_at = TCP_CSUM_AT;
	p->gso_size = gso_size;
	return p;
}

/* A packet of ours of len bytes that begins as an Ethernet frame; its last four bytes hold `tag`.
 */
static inline struct pkt *dev_raw(struct worker *w, uint32_t len, uint32_t tag)
{
	struct pkt *p = pkt_alloc(w);
	uint8_t bytes[2048] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5 };

	assert_non_null(p);
	assert_true(len <= sizeof(bytes));
	if (len >= 18)
		memcpy(bytes + len - 4, &tag, 4);
	assert_int_equal(pkt_append(w, p, bytes, len), 0);
	return p;
}

static inline uint32_t dev_tag(const uint8_t *frame, size_t len)
{
	uint32_t tag;

	memcpy(&tag, frame + len - 4, 4);
	return tag;
}

#endif
