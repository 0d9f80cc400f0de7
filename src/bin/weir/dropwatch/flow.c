/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/flow.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "wire/arp.h"
#include "wire/eth.h"
#include "wire/ip4.h"

#define PROTO_ICMP 1
#define PROTO_IGMP 2
#define PROTO_TCP 6
#define PROTO_UDP 17

static void parse_ip4(const uint8_t *bytes, size_t len, struct flow *flow)
{
	struct ip4_hdr h;
	uint16_t ports[2];
	size_t at;

	if (len < sizeof(h))
		return;
	memcpy(&h, bytes, sizeof(h));
	if (ip4_version(&h) != 4)
		return;
	flow->ip4 = true;
	flow->ip_proto = h.proto;
	flow->src_be = h.src_be;
	flow->dst_be = h.dst_be;
	at = ip4_hdr_bytes(&h);
	if ((h.proto != PROTO_TCP && h.proto != PROTO_UDP) || ip4_frag_offset(&h) ||
	    at < sizeof(h) || len < at + sizeof(ports))
		return;
	memcpy(ports, bytes + at, sizeof(ports));
	flow->ports = true;
	flow->src_port = be16_to_host(ports[0]);
	flow->dst_port = be16_to_host(ports[1]);
}

void flow_parse(const uint8_t *bytes, size_t len, bool ethernet, struct flow *flow)
{
	struct eth_hdr h;

	*flow = (struct flow){ 0 };
	if (!ethernet) {
		parse_ip4(bytes, len, flow);
		flow->protocol = flow->ip4 ? ETH_TYPE_IP4 : 0;
		return;
	}
	if (len < sizeof(h))
		return;
	memcpy(&h, bytes, sizeof(h));
	flow->protocol = eth_type(&h);
	if (flow->protocol == ETH_TYPE_IP4)
		parse_ip4(bytes + sizeof(h), len - sizeof(h), flow);
}

static const char *proto_name(uint8_t proto, char text[16])
{
	switch (proto) {
	case PROTO_ICMP:
		return "icmp";
	case PROTO_IGMP:
		return "igmp";
	case PROTO_TCP:
		return "tcp";
	case PROTO_UDP:
		return "udp";
	default:
		snprintf(text, 16, "ip proto %u", proto);
		return text;
	}
}

const char *flow_text(const struct flow *flow, char text[FLOW_TEXT_BYTES])
{
	char src[INET_ADDRSTRLEN] = "", dst[INET_ADDRSTRLEN] = "", proto[16];

	text[0] = '\0';
	if (!flow->ip4) {
		if (flow->protocol == ETH_TYPE_ARP)
			snprintf(text, FLOW_TEXT_BYTES, "arp");
		else if (flow->protocol == ETH_TYPE_IP6)
			snprintf(text, FLOW_TEXT_BYTES, "IPv6");
		else if (flow->protocol)
			snprintf(text, FLOW_TEXT_BYTES, "EtherType 0x%04x", flow->protocol);
		return text;
	}
	inet_ntop(AF_INET, &flow->src_be, src, sizeof(src));
	inet_ntop(AF_INET, &flow->dst_be, dst, sizeof(dst));
	if (flow->ports)
		snprintf(text, FLOW_TEXT_BYTES, "%s %s:%u > %s:%u",
			 proto_name(flow->ip_proto, proto), src, flow->src_port, dst,
			 flow->dst_port);
	else
		snprintf(text, FLOW_TEXT_BYTES, "%s %s > %s", proto_name(flow->ip_proto, proto),
			 src, dst);
	return text;
}
