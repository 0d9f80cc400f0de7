/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reassembly: fragments of a few datagrams in any order, overlapping, missing, repeated. Where a
 * byte's value follows from its place, whatever is delivered must have the right bytes, and all of
 * them: a hole that was filled with something else would show.
 */
#include "host.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/udp.h"

#define REASM_IDS 4u
#define REASM_MAX_BYTES 65520u

static uint16_t reasm_len[REASM_IDS]; /* UDP length of each datagram */

static uint8_t pattern(unsigned int id, uint32_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7 + id * 101);
}

/* Bytes from..from+len of the datagram with this number, header included. */
static void fill(unsigned int id, uint32_t from, uint8_t *to, uint32_t len)
{
	struct udp_hdr h = { .src_port_be = host_to_be16((uint16_t)(1000 + id)),
			     .dst_port_be = WIRE_BE16(HOST_UDP_PORT),
			     .len_be = host_to_be16(reasm_len[id]) };

	for (uint32_t i = 0; i < len; i++)
		to[i] = from + i < UDP_HDR_BYTES ? ((uint8_t *)&h)[from + i]
						 : pattern(id, from + i);
}

static void datagram(struct pkt *p)
{
	static uint8_t got[65536], expected[65536];
	struct udp_hdr *h = pkt_header(p, p->l4, UDP_HDR_BYTES);
	unsigned int id;
	uint32_t len;

	FUZZ_CHECK(h);
	id = be16_to_host(h->src_port_be) - 1000u;
	FUZZ_CHECK(id < REASM_IDS);
	len = pkt_len_from(p, p->l7);
	FUZZ_CHECK(len == reasm_len[id] - UDP_HDR_BYTES);
	pkt_copy_out(p, p->l7, got, len);
	fill(id, UDP_HDR_BYTES, expected, len);
	FUZZ_CHECK(memcmp(got, expected, len) == 0);
}

static void op_fragment(struct fuzz_in *in)
{
	uint8_t payload[1480], frame[HOST_FRAME_BYTES];
	uint8_t what = fuzz_u8(in);
	unsigned int id = what % REASM_IDS;
	uint32_t offset = (fuzz_u16(in) & IP4_OFFSET_MASK) * 8u;
	uint32_t len = fuzz_u16(in) % (sizeof(payload) + 1);
	struct ip4_hdr ip;
	bool more = what & 0x10;

	if (what & 0x20) /* a small datagram: fragments meet more often */
		offset %= 4096;
	if (what & 0x40) /* and as a sender would cut it */
		len &= ~7u;
	if (offset + len > REASM_MAX_BYTES + 1000)
		return;
	fill(id, offset, payload, len);
	len = (uint32_t)host_ip_frame(frame, IP_PROTO_UDP, payload, len);
	memcpy(&ip, frame + ETH_HDR_BYTES, sizeof(ip));
	ip.id_be = host_to_be16((uint16_t)id);
	ip.frag_be = host_to_be16((uint16_t)(offset / 8 | (more ? IP4_MF : 0)));
	memcpy(frame + ETH_HDR_BYTES, &ip, sizeof(ip));
	host_fix_frame(frame, len);
	if (ip4_is_fragment(&ip))
		host_put(frame, len);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	host_setup();
	host.on_datagram = datagram;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };

	for (unsigned int i = 0; i < REASM_IDS; i++)
		reasm_len[i] = (uint16_t)(UDP_HDR_BYTES +
					  fuzz_u16(&in) % (REASM_MAX_BYTES - UDP_HDR_BYTES));
	host_open();
	while (fuzz_more(&in)) {
		uint8_t op = fuzz_u8(&in);

		if (op < 16)
			host_advance(1ull << (20 + op));
		else
			op_fragment(&in);
		if (op & 1)
			host_poll();
	}
	host_poll();
	host_close();
	return 0;
}
