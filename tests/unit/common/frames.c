/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/frames.h"

#include <string.h>

#include "common/testing.h"
#include "dev/wire.h"
#include "wire/csum.h"

const uint8_t frame_broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

size_t frame_eth(uint8_t *frame, const uint8_t dst[6], const uint8_t src[6], uint16_t type,
		 const void *payload, size_t len)
{
	eth_hdr_fill((struct eth_hdr *)frame, dst, src, type);
	if (len)
		memmove(frame + ETH_HDR_BYTES, payload, len);
	return ETH_HDR_BYTES + len;
}

void frame_fix_ip_csum(uint8_t *frame)
{
	struct ip4_hdr *h = (struct ip4_hdr *)(frame + FRAME_IP_AT);
	uint16_t csum;

	h->csum_be = 0;
	csum = csum_of(h, ip4_hdr_bytes(h));
	h->csum_be = csum;
}

size_t frame_ip4(uint8_t *frame, const struct frame_spec *s, uint8_t proto, const void *l4,
		 size_t len)
{
	struct ip4_hdr *h = (struct ip4_hdr *)(frame + FRAME_IP_AT);
	size_t options_len = (s->options_len + 3) & ~(size_t)3;
	size_t header_len = IP4_HDR_BYTES + options_len;

	if (len)
		memmove(frame + FRAME_IP_AT + header_len, l4, len);
	memset(h, 0, header_len);
	if (s->options_len)
		memcpy(h + 1, s->options, s->options_len);
	eth_hdr_fill((struct eth_hdr *)frame, s->dst_mac, s->src_mac, ETH_TYPE_IP4);
	h->version_ihl = (uint8_t)(0x40 | header_len / 4);
	h->tos = s->tos;
	h->len_be = host_to_be16((uint16_t)(header_len + len));
	h->id_be = host_to_be16(s->id);
	h->frag_be = host_to_be16(s->frag);
	h->ttl = s->ttl ? s->ttl : 64;
	h->proto = proto;
	h->src_be = host_to_be32(s->src_ip);
	h->dst_be = host_to_be32(s->dst_ip);
	frame_fix_ip_csum(frame);
	return FRAME_IP_AT + header_len + len;
}

size_t frame_udp_datagram(uint8_t *l4, uint32_t src_ip, uint32_t dst_ip, uint16_t sport,
			  uint16_t dport, const void *data, size_t len)
{
	struct udp_hdr *h = (struct udp_hdr *)l4;
	size_t total = UDP_HDR_BYTES + len;
	uint64_t sum;

	if (len)
		memmove(l4 + UDP_HDR_BYTES, data, len);
	h->src_port_be = host_to_be16(sport);
	h->dst_port_be = host_to_be16(dport);
	h->len_be = host_to_be16((uint16_t)total);
	h->csum_be = 0;
	sum = csum_pseudo_ip4(host_to_be32(src_ip), host_to_be32(dst_ip), IP_PROTO_UDP,
			      (uint32_t)total);
	h->csum_be = csum_finish_udp(csum_add(sum, l4, total));
	return total;
}

size_t frame_udp(uint8_t *frame, const struct frame_spec *s, uint16_t sport, uint16_t dport,
		 const void *data, size_t len)
{
	uint8_t *l4 = malloc(UDP_HDR_BYTES + len);
	size_t total;

	assert_non_null(l4);
	total = frame_udp_datagram(l4, s->src_ip, s->dst_ip, sport, dport, data, len);
	total = frame_ip4(frame, s, IP_PROTO_UDP, l4, total);
	free(l4);
	return total;
}

size_t frame_tcp(uint8_t *frame, const struct frame_spec *s, const struct frame_tcp *t,
		 const void *data, size_t len)
{
	size_t options_len = (t->options_len + 3) & ~(size_t)3;
	size_t total = TCP_HDR_BYTES + options_len + len;
	uint8_t *l4 = calloc(1, total);
	struct tcp_hdr *h = (struct tcp_hdr *)l4;
	uint64_t sum;

	assert_non_null(l4);
	h->src_port_be = host_to_be16(t->sport);
	h->dst_port_be = host_to_be16(t->dport);
	h->seq_be = host_to_be32(t->seq);
	h->ack_be = host_to_be32(t->ack);
	h->offset_reserved = tcp_offset_of((unsigned int)(TCP_HDR_BYTES + options_len));
	h->flags = t->flags;
	h->window_be = host_to_be16(t->window);
	if (t->options_len)
		memcpy(l4 + TCP_HDR_BYTES, t->options, t->options_len);
	if (len)
		memcpy(l4 + TCP_HDR_BYTES + options_len, data, len);
	sum = csum_pseudo_ip4(host_to_be32(s->src_ip), host_to_be32(s->dst_ip), IP_PROTO_TCP,
			      (uint32_t)total);
	h->csum_be = csum_finish(csum_add(sum, l4, total));
	total = frame_ip4(frame, s, IP_PROTO_TCP, l4, total);
	free(l4);
	return total;
}

size_t frame_icmp(uint8_t *frame, const struct frame_spec *s, uint8_t type, uint8_t code,
		  uint32_t rest, const void *data, size_t len)
{
	uint8_t *l4 = malloc(ICMP_HDR_BYTES + len);
	struct icmp_hdr *h = (struct icmp_hdr *)l4;
	size_t total = ICMP_HDR_BYTES + len;

	assert_non_null(l4);
	h->type = type;
	h->code = code;
	h->csum_be = 0;
	h->rest_be = host_to_be32(rest);
	if (len)
		memcpy(l4 + ICMP_HDR_BYTES, data, len);
	h->csum_be = csum_of(l4, total);
	total = frame_ip4(frame, s, IP_PROTO_ICMP, l4, total);
	free(l4);
	return total;
}

size_t frame_arp(uint8_t *frame, const uint8_t eth_dst[6], uint16_t op, const uint8_t sender_mac[6],
		 uint32_t sender_ip, const uint8_t target_mac[6], uint32_t target_ip)
{
	static const uint8_t zero[6];
	struct arp_msg m;

	arp_fill(&m, op);
	eth_addr_copy(m.sender_mac, sender_mac);
	eth_addr_copy(m.target_mac, target_mac ? target_mac : zero);
	m.sender_ip_be = host_to_be32(sender_ip);
	m.target_ip_be = host_to_be32(target_ip);
	return frame_eth(frame, eth_dst, sender_mac, ETH_TYPE_ARP, &m, sizeof(m));
}

/* The transport's checksum over a whole packet. */
static void check_l4_csum(const struct frame_info *info, size_t at, bool partial)
{
	uint64_t pseudo = csum_pseudo_ip4(host_to_be32(info->src_ip), host_to_be32(info->dst_ip),
					  info->proto, (uint32_t)info->l4_len);
	uint16_t field;

	memcpy(&field, info->l4 + at, sizeof(field));
	if (partial)
		assert_int_equal(field, csum_fold(pseudo));
	else if (info->proto != IP_PROTO_UDP || field)
		assert_int_equal(csum_finish(csum_add(pseudo, info->l4, info->l4_len)), 0);
}

static void parse_udp(struct frame_info *info, bool whole, bool partial)
{
	const struct udp_hdr *h = (const struct udp_hdr *)info->l4;

	assert_true(info->l4_len >= sizeof(*h));
	info->sport = be16_to_host(h->src_port_be);
	info->dport = be16_to_host(h->dst_port_be);
	info->data = info->l4 + sizeof(*h);
	info->data_len = info->l4_len - sizeof(*h);
	if (!whole)
		return;
	assert_int_equal(udp_len(h), info->l4_len);
	check_l4_csum(info, UDP_CSUM_AT, partial);
}

static void parse_tcp(struct frame_info *info, bool whole, bool partial)
{
	const struct tcp_hdr *h = (const struct tcp_hdr *)info->l4;
	size_t header_len;

	assert_true(info->l4_len >= sizeof(*h));
	header_len = tcp_hdr_bytes(h);
	assert_true(header_len >= sizeof(*h) && header_len <= info->l4_len);
	info->sport = be16_to_host(h->src_port_be);
	info->dport = be16_to_host(h->dst_port_be);
	info->seq = be32_to_host(h->seq_be);
	info->ack = be32_to_host(h->ack_be);
	info->flags = h->flags;
	info->window = be16_to_host(h->window_be);
	info->options = info->l4 + sizeof(*h);
	info->options_len = header_len - sizeof(*h);
	info->data = info->l4 + header_len;
	info->data_len = info->l4_len - header_len;
	if (whole)
		check_l4_csum(info, TCP_CSUM_AT, partial);
}

static void parse_icmp(struct frame_info *info, bool whole)
{
	const struct icmp_hdr *h = (const struct icmp_hdr *)info->l4;

	assert_true(info->l4_len >= sizeof(*h));
	info->icmp_type = h->type;
	info->icmp_code = h->code;
	info->icmp_rest = be32_to_host(h->rest_be);
	info->data = info->l4 + sizeof(*h);
	info->data_len = info->l4_len - sizeof(*h);
	if (whole)
		assert_int_equal(csum_of(info->l4, info->l4_len), 0);
}

static void parse_ip4(const uint8_t *frame, size_t len, bool partial, struct frame_info *info)
{
	const struct ip4_hdr *h = (const struct ip4_hdr *)(frame + FRAME_IP_AT);
	size_t header_len;
	bool whole;

	assert_true(len >= FRAME_IP_AT + sizeof(*h));
	header_len = ip4_hdr_bytes(h);
	assert_int_equal(ip4_version(h), 4);
	assert_true(header_len >= sizeof(*h) && FRAME_IP_AT + header_len <= len);
	assert_int_equal(csum_of(h, header_len), 0);
	info->ip_len = ip4_len(h);
	assert_true(info->ip_len >= header_len && FRAME_IP_AT + info->ip_len <= len);
	info->src_ip = be32_to_host(h->src_be);
	info->dst_ip = be32_to_host(h->dst_be);
	info->proto = h->proto;
	info->ttl = h->ttl;
	info->tos = h->tos;
	info->id = be16_to_host(h->id_be);
	info->frag = be16_to_host(h->frag_be);
	info->l4 = frame + FRAME_IP_AT + header_len;
	info->l4_len = info->ip_len - header_len;
	if (ip4_frag_offset(h))
		return;
	whole = !ip4_more_fragments(h);
	if (h->proto == IP_PROTO_UDP)
		parse_udp(info, whole, partial);
	else if (h->proto == IP_PROTO_TCP)
		parse_tcp(info, whole, partial);
	else if (h->proto == IP_PROTO_ICMP)
		parse_icmp(info, whole);
}

void frame_parse(const uint8_t *frame, size_t len, bool csum_partial, struct frame_info *info)
{
	const struct eth_hdr *eth = (const struct eth_hdr *)frame;

	memset(info, 0, sizeof(*info));
	assert_true(len >= sizeof(*eth));
	info->dst_mac = eth->dst;
	info->src_mac = eth->src;
	info->type = eth_type(eth);
	if (info->type == ETH_TYPE_ARP) {
		assert_true(len >= ETH_HDR_BYTES + ARP_MSG_BYTES);
		memcpy(&info->arp, frame + ETH_HDR_BYTES, ARP_MSG_BYTES);
		assert_true(arp_is_eth_ip4(&info->arp));
	} else if (info->type == ETH_TYPE_IP4) {
		parse_ip4(frame, len, csum_partial, info);
	}
}

size_t frame_take(struct port *wire, uint16_t type, uint8_t *frame, struct frame_info *info)
{
	size_t len;

	while ((len = wire_take(wire, frame, FRAME_ROOM))) {
		assert_true(len <= FRAME_ROOM);
		frame_parse(frame, len, wire->caps & PORT_CAP_TX_CSUM, info);
		if (info->type == type)
			return len;
	}
	return 0;
}

void frame_take_all(struct port *wire)
{
	uint8_t byte;

	while (wire_take(wire, &byte, 1))
		;
}

const uint8_t *frame_tcp_option(const struct frame_info *info, uint8_t kind)
{
	size_t i = 0;

	while (i < info->options_len && info->options[i] != TCP_OPT_END) {
		if (info->options[i] == TCP_OPT_NOP) {
			i++;
			continue;
		}
		assert_true(i + 1 < info->options_len && info->options[i + 1] >= 2);
		if (info->options[i] == kind)
			return info->options + i + 2;
		i += info->options[i + 1];
	}
	return NULL;
}
