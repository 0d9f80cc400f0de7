/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each frame that enters the link as a line, and what the link does to it: for people who follow a
 * run. Sequence numbers count from the SYN of each side, as in the scripts of tests/pkt.
 */
#include <stdio.h>

#include "link.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/tcp.h"

/* The first number of each side, by the client's port. */
static uint32_t isn[2][65536];

static void print_flags(FILE *out, uint8_t flags)
{
	static const char letters[] = "FSRP.UEC";

	for (unsigned int i = 0; i < 8; i++) {
		if (flags & 1 << i)
			fputc(letters[i], out);
	}
}

static void print_sack(FILE *out, const uint8_t *opt, uint8_t len, uint32_t base)
{
	fputs(" sack", out);
	for (; len >= 8; len -= 8, opt += 8)
		fprintf(out, " %u:%u", be32_load(opt) - base, be32_load(opt + 4) - base);
}

static void print_options(FILE *out, const struct tcp_hdr *tcp, uint32_t base)
{
	const uint8_t *opt = (const uint8_t *)(tcp + 1);
	const uint8_t *end = (const uint8_t *)tcp + tcp_hdr_bytes(tcp);

	while (opt < end && *opt != TCP_OPT_END) {
		if (*opt == TCP_OPT_NOP) {
			opt++;
			continue;
		}
		if (opt + 1 >= end || opt[1] < 2 || opt + opt[1] > end)
			return;
		if (*opt == TCP_OPT_SACK)
			print_sack(out, opt + 2, opt[1] - 2, base);
		else if (*opt == TCP_OPT_TIMESTAMP && opt[1] == TCP_OPT_TIMESTAMP_BYTES)
			fprintf(out, " ts %u %u", be32_load(opt + 2), be32_load(opt + 6));
		opt += opt[1];
	}
}

void frames_print(FILE *out, unsigned int direction, uint64_t ns, const uint8_t *frame,
		  uint32_t len, const char *fate)
{
	const struct eth_hdr *eth = (const struct eth_hdr *)frame;
	const struct ip4_hdr *ip = (const struct ip4_hdr *)(eth + 1);
	const struct tcp_hdr *tcp = (const struct tcp_hdr *)((const uint8_t *)ip + 20);
	uint32_t seq, ack, bytes;
	uint16_t port;

	if (eth->type_be != host_to_be16(ETH_TYPE_IP4) || ip->proto != IP_PROTO_TCP)
		return;
	port = be16_to_host(direction ? tcp->dst_port_be : tcp->src_port_be);
	seq = be32_to_host(tcp->seq_be);
	if (tcp->flags & TCP_F_SYN)
		isn[direction][port] = seq;
	seq -= isn[direction][port];
	ack = be32_to_host(tcp->ack_be) - isn[!direction][port];
	bytes = len - (uint32_t)sizeof(*eth) - IP4_HDR_BYTES - tcp_hdr_bytes(tcp);
	fprintf(out, "%12.6f %s%u ", (double)ns / 1e9, direction ? "<<" : ">>", port);
	print_flags(out, tcp->flags);
	fprintf(out, " %u:%u(%u) ack %u win %u", seq, seq + bytes, bytes, ack,
		be16_to_host(tcp->window_be));
	print_options(out, tcp, isn[!direction][port]);
	fprintf(out, "%s%s\n", (ip->tos & 3) == 3 ? " ce" : (ip->tos & 3) ? " ect" : "", fate);
}
