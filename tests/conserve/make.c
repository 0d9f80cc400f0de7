/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of a bad world: right ones of every protocol, most of them then broken somewhere, so that
 * each check of the receive path is met, and most packets get through to the one behind it.
 */
#include <string.h>

#include "conserve.h"
#include "wire/arp.h"
#include "wire/csum.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/igmp.h"
#include "wire/ip4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

const uint8_t mac_us[6] = { 2, 0, 0, 0, 0, 2 };
const uint8_t mac_peer[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t mac_all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t mac_group[6] = { 1, 0, 0x5e, 1, 1, 1 };

/* splitmix64 */
uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

bool rng_once(struct rng *r, uint32_t n)
{
	return rng_below(r, n) == 0;
}

static void noise(struct world *w, uint8_t *at, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += 8) {
		uint64_t bits = rng_next(&w->rng);

		memcpy(at + i, &bits, len - i < 8 ? len - i : 8);
	}
}

/* ---- headers ---- */

static uint32_t sources[] = { PEER_IP, PEER_IP, PEER_IP, PEER_IP + 2, PEER_IP + 5, 0xc6120063u };
static uint32_t odd_sources[] = { 0,	    0xffffffffu, 0x7f000001u, US_IP,
				  GROUP_IP, 0x0a090807u, 0xc61200ffu, NEAR_IP };
static uint32_t destinations[] = { US_IP, US_IP, US_IP, US_IP, US_IP, FAR_IP, NEAR_IP };
static uint32_t odd_destinations[] = { GROUP_IP,    GROUP_IP + 1, 0xffffffffu,
				       0xc61200ffu, 0xc6120042u,  0x7f000001u,
				       0x08080808u, 0xc612014du,  0xe0000001u };

#define PICK(w, list) (list)[rng_below(&(w)->rng, sizeof(list) / sizeof((list)[0]))]

/* An IPv4 header in front of len bytes; returns where those are to lie. */
static uint8_t *ip_header(struct world *w, uint8_t *frame, uint8_t proto, uint32_t len)
{
	struct ip4_hdr h = { .version_ihl = 0x45,
			     .tos = rng_once(&w->rng, 8) ? (uint8_t)rng_next(&w->rng) : 0,
			     .len_be = host_to_be16((uint16_t)(IP4_HDR_BYTES + len)),
			     .id_be = (uint16_t)rng_next(&w->rng),
			     .ttl = rng_once(&w->rng, 20) ? 1 : 64,
			     .proto = proto };
	uint32_t src = rng_once(&w->rng, 30) ? PICK(w, odd_sources) : PICK(w, sources);
	uint32_t dst = rng_once(&w->rng, 15) ? PICK(w, odd_destinations) : PICK(w, destinations);
	const uint8_t *mac = dst == GROUP_IP ? mac_group : (dst & 255) == 255 ? mac_all : mac_us;

	h.src_be = host_to_be32(src);
	h.dst_be = host_to_be32(dst);
	h.frag_be = rng_once(&w->rng, 4) ? WIRE_BE16(IP4_DF) : 0;
	eth_hdr_fill((struct eth_hdr *)frame, mac, mac_peer, ETH_TYPE_IP4);
	memcpy(frame + ETH_HDR_BYTES, &h, sizeof(h));
	return frame + ETH_HDR_BYTES + IP4_HDR_BYTES;
}

static uint16_t l4_csum(const struct ip4_hdr *ip, const uint8_t *l4, uint32_t len)
{
	uint64_t pseudo = 0;

	if (ip->proto == IP_PROTO_TCP || ip->proto == IP_PROTO_UDP)
		pseudo = csum_pseudo_ip4(ip->src_be, ip->dst_be, ip->proto, len);
	return csum_finish_udp(csum_add(pseudo, l4, len));
}

static void fix_l4(const struct ip4_hdr *ip, uint8_t *l4, uint32_t len)
{
	uint32_t at = ip->proto == IP_PROTO_TCP	  ? TCP_CSUM_AT
		      : ip->proto == IP_PROTO_UDP ? UDP_CSUM_AT
						  : 2;
	uint16_t csum;

	if ((ip->proto != IP_PROTO_TCP && ip->proto != IP_PROTO_UDP && ip->proto != IP_PROTO_ICMP &&
	     ip->proto != IP_PROTO_IGMP) ||
	    len < at + 2)
		return;
	if (ip->proto == IP_PROTO_UDP)
		be16_store(l4 + 4, (uint16_t)len);
	memset(l4 + at, 0, 2);
	csum = l4_csum(ip, l4, len);
	memcpy(l4 + at, &csum, sizeof(csum));
}

void make_fix(uint8_t *frame, uint32_t len)
{
	struct ip4_hdr ip;
	uint32_t hdr;

	if (len < ETH_HDR_BYTES + IP4_HDR_BYTES || be16_load(frame + 12) != ETH_TYPE_IP4)
		return;
	memcpy(&ip, frame + ETH_HDR_BYTES, sizeof(ip));
	hdr = ip4_hdr_bytes(&ip);
	if (hdr < IP4_HDR_BYTES || hdr > len - ETH_HDR_BYTES)
		return;
	ip.len_be = host_to_be16((uint16_t)(len - ETH_HDR_BYTES));
	ip.csum_be = 0;
	memcpy(frame + ETH_HDR_BYTES, &ip, sizeof(ip));
	ip.csum_be = csum_of(frame + ETH_HDR_BYTES, hdr);
	memcpy(frame + ETH_HDR_BYTES, &ip, sizeof(ip));
	if (!ip4_is_fragment(&ip))
		fix_l4(&ip, frame + ETH_HDR_BYTES + hdr, len - ETH_HDR_BYTES - hdr);
}

/* ---- one of each protocol ---- */

uint32_t make_arp(uint8_t *frame, uint16_t op, const uint8_t mac[6], uint32_t sender_ip,
		  uint32_t target_ip)
{
	struct arp_msg m;

	arp_fill(&m, op);
	eth_addr_copy(m.sender_mac, mac);
	eth_addr_copy(m.target_mac, mac_us);
	m.sender_ip_be = host_to_be32(sender_ip);
	m.target_ip_be = host_to_be32(target_ip);
	eth_hdr_fill((struct eth_hdr *)frame, op == ARP_OP_REPLY ? mac_us : mac_all, mac,
		     ETH_TYPE_ARP);
	memcpy(frame + ETH_HDR_BYTES, &m, sizeof(m));
	return ETH_HDR_BYTES + ARP_MSG_BYTES;
}

static uint32_t any_arp(struct world *w, uint8_t *frame)
{
	uint16_t op = rng_once(&w->rng, 3) ? ARP_OP_REPLY : ARP_OP_REQUEST;
	uint32_t sender = rng_once(&w->rng, 8) ? PICK(w, odd_sources) : PICK(w, sources);

	return make_arp(frame, op, mac_peer, sender, rng_once(&w->rng, 3) ? FAR_IP : US_IP);
}

static uint32_t udp(struct world *w, uint8_t *frame)
{
	uint32_t len = UDP_HDR_BYTES +
		       (rng_once(&w->rng, 10) ? rng_below(&w->rng, 1400) : rng_below(&w->rng, 64));
	uint8_t *l4 = ip_header(w, frame, IP_PROTO_UDP, len);

	noise(w, l4, len);
	be16_store(l4, (uint16_t)(1024 + rng_below(&w->rng, 8)));
	be16_store(l4 + 2, (uint16_t)(PORTS_FROM + rng_below(&w->rng, PORTS + 2)));
	return ETH_HDR_BYTES + IP4_HDR_BYTES + len;
}

/* What an ICMP error quotes: a packet of ours, as far as anybody can know. */
static uint32_t quote(struct world *w, uint8_t *at)
{
	const struct talk *t = &w->talk[rng_below(&w->rng, TALKS)];
	struct ip4_hdr h = { .version_ihl = 0x45,
			     .len_be = WIRE_BE16(60),
			     .ttl = 60,
			     .proto = rng_once(&w->rng, 3) ? IP_PROTO_UDP : IP_PROTO_TCP };

	h.src_be = host_to_be32(t->our_ip ? t->our_ip : US_IP);
	h.dst_be = host_to_be32(t->peer_ip ? t->peer_ip : PEER_IP);
	memcpy(at, &h, sizeof(h));
	be16_store(at + sizeof(h), t->our_port);
	be16_store(at + sizeof(h) + 2, t->peer_port);
	be32_store(at + sizeof(h) + 4, t->ack - rng_below(&w->rng, 3) * 100);
	return sizeof(h) + 8;
}

static uint32_t icmp(struct world *w, uint8_t *frame)
{
	static const uint8_t types[] = { ICMP_TYPE_ECHO,	ICMP_TYPE_ECHO,
					 ICMP_TYPE_ECHO_REPLY,	ICMP_TYPE_UNREACHABLE,
					 ICMP_TYPE_UNREACHABLE, ICMP_TYPE_TIME_EXCEEDED,
					 ICMP_TYPE_PARAMETER,	13 };
	uint8_t body[1500] = { PICK(w, types) };
	uint32_t len = ICMP_HDR_BYTES;

	noise(w, body + 4, 4);
	if (body[0] == ICMP_TYPE_UNREACHABLE)
		body[1] = (uint8_t)rng_below(&w->rng, 18);
	if (icmp_type_is_error(body[0])) {
		be32_store(body + 4, rng_once(&w->rng, 2) ? 1400 : 0);
		len += quote(w, body + len);
	} else {
		uint32_t more = rng_below(&w->rng, rng_once(&w->rng, 8) ? 1400 : 60);

		noise(w, body + len, more);
		len += more;
	}
	memcpy(ip_header(w, frame, IP_PROTO_ICMP, len), body, len);
	return ETH_HDR_BYTES + IP4_HDR_BYTES + len;
}

static uint32_t igmp(struct world *w, uint8_t *frame)
{
	static const uint8_t types[] = {
		IGMP_QUERY,	IGMP_QUERY, IGMP_V1_REPORT, IGMP_V2_REPORT, IGMP_V2_LEAVE,
		IGMP_V3_REPORT, 0x40
	};
	uint32_t len = rng_once(&w->rng, 2) ? 8 : 12, all = host_to_be32(0xe0000001u);
	uint8_t *l4 = ip_header(w, frame, IP_PROTO_IGMP, len);

	memset(l4, 0, len);
	l4[0] = PICK(w, types);
	l4[1] = (uint8_t)rng_below(&w->rng, 20);
	be32_store(l4 + 4, rng_once(&w->rng, 2) ? GROUP_IP : 0);
	memcpy(frame + ETH_HDR_BYTES + 16, &all, sizeof(all));
	memcpy(frame, mac_group, 6);
	return ETH_HDR_BYTES + IP4_HDR_BYTES + len;
}

static uint32_t other_proto(struct world *w, uint8_t *frame)
{
	uint32_t len = rng_below(&w->rng, 100);

	noise(w, ip_header(w, frame, (uint8_t)rng_next(&w->rng), len), len);
	return ETH_HDR_BYTES + IP4_HDR_BYTES + len;
}

/* A piece of a datagram of four times 200 bytes; most come in order, and go together. */
static uint32_t fragment(struct world *w, uint8_t *frame)
{
	uint32_t piece = w->frag_id % 4, len = 200, at = piece * 200;
	struct ip4_hdr h;
	uint8_t *l4;

	if (rng_once(&w->rng, 12)) {
		len = 8 * rng_below(&w->rng, 40) + rng_below(&w->rng, 3);
		at = 8 * rng_below(&w->rng, 120);
	}
	l4 = ip_header(w, frame, rng_once(&w->rng, 6) ? IP_PROTO_ICMP : IP_PROTO_UDP, len);
	noise(w, l4, len);
	if (at == 0 && len >= UDP_HDR_BYTES) {
		be16_store(l4 + 2, PORTS_FROM);
		be16_store(l4 + 4, 800);
		be16_store(l4 + 6, 0); /* no checksum */
	}
	memcpy(&h, frame + ETH_HDR_BYTES, sizeof(h));
	h.id_be = host_to_be16(w->frag_id / 4);
	h.tos = rng_once(&w->rng, 20) ? 1 : 0;
	h.src_be = host_to_be32(PEER_IP);
	h.dst_be = host_to_be32(US_IP);
	h.proto = IP_PROTO_UDP;
	h.frag_be = host_to_be16((uint16_t)(at / 8 | (piece < 3 ? IP4_MF : 0)));
	memcpy(frame + ETH_HDR_BYTES, &h, sizeof(h));
	memcpy(frame, mac_us, 6);
	w->frag_id = (uint16_t)(w->frag_id + (rng_once(&w->rng, 20) ? 2 : 1));
	return ETH_HDR_BYTES + IP4_HDR_BYTES + len;
}

/* With options in front of what it is. */
static uint32_t options(struct world *w, uint8_t *frame, uint32_t len)
{
	static const uint8_t kinds[][8] = {
		{ 1, 1, 1, 1, 1, 1, 1, 0 },    { 7, 7, 4, 0, 0, 0, 0, 0 },
		{ 0x44, 8, 5, 0, 0, 0, 0, 0 }, { 131, 7, 4, 10, 0, 0, 1, 0 },
		{ 0x94, 4, 0, 0, 0, 0, 0, 0 }, { 7, 200, 4, 0, 0, 0, 0, 0 },
	};
	uint8_t *at = frame + ETH_HDR_BYTES + IP4_HDR_BYTES;

	if (len < ETH_HDR_BYTES + IP4_HDR_BYTES || be16_load(frame + 12) != ETH_TYPE_IP4)
		return len;
	memmove(at + 8, at, len - ETH_HDR_BYTES - IP4_HDR_BYTES);
	memcpy(at, kinds[rng_below(&w->rng, 6)], 8);
	frame[ETH_HDR_BYTES] = 0x47;
	return len + 8;
}

static uint32_t garbage(struct world *w, uint8_t *frame)
{
	static const uint16_t types[] = { ETH_TYPE_IP4, ETH_TYPE_ARP, ETH_TYPE_VLAN, 0x86dd,
					  0x88cc };
	uint32_t len = rng_below(&w->rng, 200);

	noise(w, frame, len);
	if (len < ETH_HDR_BYTES)
		return len;
	if (!rng_once(&w->rng, 4))
		memcpy(frame, mac_us, 6);
	be16_store(frame + 12, PICK(w, types));
	return len;
}

/* ---- mutation ---- */

static uint32_t flip(struct world *w, uint8_t *frame, uint32_t len)
{
	/* Headers are what is read. */
	uint32_t within = rng_once(&w->rng, 4) || len < 60 ? len : 60;

	for (uint32_t n = 1 + rng_below(&w->rng, 3); n && within; n--)
		frame[rng_below(&w->rng, within)] ^= (uint8_t)(1u << rng_below(&w->rng, 8));
	return len;
}

static uint32_t lengthen(struct world *w, uint8_t *frame, uint32_t len)
{
	/* Padding; now and then so much that it takes several buffers. */
	uint32_t more = rng_once(&w->rng, 4) ? rng_below(&w->rng, 4000) : rng_below(&w->rng, 60);

	if (len + more > FRAME_MOST)
		more = FRAME_MOST - len;
	noise(w, frame + len, more);
	return len + more;
}

static uint32_t splice(struct world *w, uint8_t *frame, uint32_t len)
{
	uint32_t at = rng_below(&w->rng, len + 1);

	if (w->before_len <= at)
		return len;
	memcpy(frame + at, w->before + at, w->before_len - at);
	return w->before_len;
}

uint32_t make_mutate(struct world *w, uint8_t *frame, uint32_t len)
{
	switch (rng_below(&w->rng, 14)) {
	case 0:
	case 1:
		len = flip(w, frame, len);
		break;
	case 2:
		flip(w, frame, len);
		make_fix(frame, len); /* what was turned over is right all the same */
		return len;
	case 3:
		len = rng_below(&w->rng, len + 1);
		if (rng_once(&w->rng, 2))
			make_fix(frame, len);
		break;
	case 4:
		len = lengthen(w, frame, len);
		if (rng_once(&w->rng, 2))
			make_fix(frame, len);
		break;
	case 5:
		len = splice(w, frame, len);
		break;
	default:
		break;
	}
	return len;
}

uint32_t make_frame(struct world *w, uint8_t *frame)
{
	uint32_t what = rng_below(&w->rng, 100), len;

	if (what < 45)
		len = make_tcp(w, frame);
	else if (what < 63)
		len = udp(w, frame);
	else if (what < 73)
		len = icmp(w, frame);
	else if (what < 83)
		len = fragment(w, frame);
	else if (what < 88)
		len = any_arp(w, frame);
	else if (what < 92)
		len = igmp(w, frame);
	else if (what < 95)
		len = other_proto(w, frame);
	else
		len = garbage(w, frame);
	if (what < 95 && rng_once(&w->rng, 25))
		len = options(w, frame, len);
	if (what < 95)
		make_fix(frame, len);
	len = make_mutate(w, frame, len);
	if (rng_once(&w->rng, 16)) {
		memcpy(w->before, frame, len);
		w->before_len = len;
	}
	return len;
}
