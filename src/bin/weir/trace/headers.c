/* SPDX-License-Identifier: BSD-3-Clause */
/* A packet's headers, for its first line. Nothing in the bytes is trusted. */
#include <string.h>

#include "bin/weir/trace/trace.h"
#include "wire/arp.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

struct bytes {
	const uint8_t *at;
	uint32_t left;
};

/* The header at the beginning, copied; false: it is not there whole. */
static bool take(const struct bytes *b, void *header, uint32_t len)
{
	if (b->left < len)
		return false;
	memcpy(header, b->at, len);
	return true;
}

static void skip(struct bytes *b, uint32_t len)
{
	len = len < b->left ? len : b->left;
	b->at += len;
	b->left -= len;
}

static void tcp_read(const struct bytes *b, struct trace_headers *h)
{
	static const char *const names[] = {
		"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"
	};
	struct tcp_hdr tcp;
	size_t used = 0;

	h->protocol = "TCP";
	if (!take(b, &tcp, sizeof(tcp)))
		return;
	h->ports = true;
	h->src_port = be16_to_host(tcp.src_port_be);
	h->dst_port = be16_to_host(tcp.dst_port_be);
	for (unsigned int i = 0; i < 8; i++) {
		if (tcp.flags & 1u << i)
			used += (size_t)snprintf(h->detail + used, sizeof(h->detail) - used, "%s%s",
						 used ? "," : "", names[i]);
	}
}

static void udp_read(const struct bytes *b, struct trace_headers *h)
{
	struct udp_hdr udp;

	h->protocol = "UDP";
	if (!take(b, &udp, sizeof(udp)))
		return;
	h->ports = true;
	h->src_port = be16_to_host(udp.src_port_be);
	h->dst_port = be16_to_host(udp.dst_port_be);
}

static void icmp_read(const struct bytes *b, struct trace_headers *h)
{
	struct icmp_hdr icmp;

	h->protocol = "ICMP";
	if (!take(b, &icmp, ICMP_HDR_BYTES))
		return;
	if (icmp.type == ICMP_TYPE_ECHO || icmp.type == ICMP_TYPE_ECHO_REPLY)
		snprintf(h->detail, sizeof(h->detail), "echo %s %u",
			 icmp.type == ICMP_TYPE_ECHO ? "request" : "reply",
			 be16_to_host(icmp.echo.seq_be));
	else
		snprintf(h->detail, sizeof(h->detail), "type %u, code %u", icmp.type, icmp.code);
}

static void ip4_read(struct bytes b, struct trace_headers *h)
{
	struct ip4_hdr ip;

	h->protocol = "IPv4";
	if (!take(&b, &ip, sizeof(ip)) || ip4_version(&ip) != 4 ||
	    ip4_hdr_bytes(&ip) < IP4_HDR_BYTES)
		return;
	h->ip = true;
	h->src_be = ip.src_be;
	h->dst_be = ip.dst_be;
	h->len_bytes = ip4_len(&ip);
	skip(&b, ip4_hdr_bytes(&ip));
	snprintf(h->number, sizeof(h->number), "protocol %u", ip.proto);
	h->protocol = h->number;
	if (ip4_frag_offset(&ip) != 0)
		b.left = 0; /* no header is there */
	if (ip.proto == IP_PROTO_TCP)
		tcp_read(&b, h);
	else if (ip.proto == IP_PROTO_UDP)
		udp_read(&b, h);
	else if (ip.proto == IP_PROTO_ICMP)
		icmp_read(&b, h);
	if (ip4_is_fragment(&ip))
		snprintf(h->detail, sizeof(h->detail), "fragment of datagram %u from byte %u%s",
			 be16_to_host(ip.id_be), ip4_frag_offset(&ip),
			 ip4_more_fragments(&ip) ? "" : ", the last");
}

static void arp_read(const struct bytes *b, struct trace_headers *h)
{
	struct arp_msg arp;

	h->protocol = "ARP";
	if (!take(b, &arp, sizeof(arp)) || !arp_is_eth_ip4(&arp))
		return;
	h->ip = true;
	h->src_be = arp.sender_ip_be;
	h->dst_be = arp.target_ip_be;
	snprintf(h->detail, sizeof(h->detail), "%s",
		 arp_op(&arp) == ARP_OP_REQUEST ? "who has it?"
		 : arp_op(&arp) == ARP_OP_REPLY ? "it is here"
						: "");
}

static void ethernet_read(struct bytes b, struct trace_headers *h)
{
	struct eth_hdr eth;

	h->protocol = "Ethernet";
	if (!take(&b, &eth, sizeof(eth)))
		return;
	skip(&b, sizeof(eth));
	if (eth_type(&eth) == ETH_TYPE_IP4) {
		ip4_read(b, h);
	} else if (eth_type(&eth) == ETH_TYPE_ARP) {
		arp_read(&b, h);
	} else {
		snprintf(h->number, sizeof(h->number), "Ethernet type 0x%04x", eth_type(&eth));
		h->protocol = h->number;
	}
}

void trace_headers_read(const struct trace_packet *p, struct trace_headers *h)
{
	struct bytes b = { p->data, p->data ? p->data_bytes : 0 };

	memset(h, 0, sizeof(*h));
	h->protocol = "?";
	h->len_bytes = p->len_bytes;
	if (p->link == WATCH_LINK_ETHERNET)
		ethernet_read(b, h);
	else if (p->link == WATCH_LINK_IP)
		ip4_read(b, h);
}
