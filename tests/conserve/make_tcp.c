/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP from the other side, by who knows what weir sent: segments for conversations in each of their
 * states, most of them sensible, the rest near it.
 */
#include <string.h>

#include "conserve.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/tcp.h"

static struct talk *talk_find(struct world *w, const struct talk *like)
{
	for (unsigned int i = 0; i < TALKS; i++) {
		struct talk *t = &w->talk[i];

		if (t->peer_ip == like->peer_ip && t->peer_port == like->peer_port &&
		    t->our_ip == like->our_ip && t->our_port == like->our_port)
			return t;
	}
	return NULL;
}

void talk_seen(struct world *w, const uint8_t *frame, uint32_t len)
{
	const uint8_t *ip = frame + ETH_HDR_BYTES, *tcp;
	struct talk like = { 0 }, *t;
	uint32_t hdr, data;

	if (len < ETH_HDR_BYTES + IP4_HDR_BYTES + TCP_HDR_BYTES ||
	    be16_load(frame + 12) != ETH_TYPE_IP4 || ip[9] != IP_PROTO_TCP)
		return;
	tcp = ip + (ip[0] & 15) * 4;
	hdr = (uint32_t)(tcp[12] >> 4) * 4;
	if (tcp + hdr > frame + len)
		return;
	data = (uint32_t)(frame + len - tcp) - hdr;
	like.our_ip = be32_load(ip + 12);
	like.peer_ip = be32_load(ip + 16);
	like.our_port = be16_load(tcp);
	like.peer_port = be16_load(tcp + 2);
	t = talk_find(w, &like);
	if (!t) {
		t = &w->talk[w->talk_next++ % TALKS];
		*t = like;
		t->seq = (uint32_t)rng_next(&w->rng);
	}
	t->opening = (tcp[13] & (TCP_F_SYN | TCP_F_ACK)) == TCP_F_SYN;
	t->ack = be32_load(tcp + 4) + data + !!(tcp[13] & TCP_F_SYN) + !!(tcp[13] & TCP_F_FIN);
	if (tcp[13] & TCP_F_ACK)
		t->seq = be32_load(tcp + 8);
	t->ts = hdr >= 32 && tcp[20] == 1 && tcp[21] == 1 && tcp[22] == 8;
	if (t->ts)
		t->ts_ours = be32_load(tcp + 24);
}

static uint32_t near(struct world *w, uint32_t value)
{
	switch (rng_below(&w->rng, 10)) {
	case 0:
		return value + rng_below(&w->rng, 40) - 20;
	case 1:
		return value + rng_below(&w->rng, 60000) - 30000;
	case 2:
		return rng_once(&w->rng, 4) ? (uint32_t)rng_next(&w->rng) : value;
	default:
		return value;
	}
}

/* Options behind the header; returns how many bytes. */
static uint32_t options(struct world *w, const struct talk *t, uint8_t flags, uint8_t *at)
{
	static const uint8_t syn[12] = { 2, 4, 5, 0xb4, 4, 2, 1, 1, 1, 3, 3, 7 };
	static const uint8_t odd[][4] = {
		{ 19, 18, 0, 0 }, { 2, 9, 0, 0 }, { 254, 2, 1, 0 }, { 34, 2, 1, 1 }
	};
	uint32_t len = 0;

	if (flags & TCP_F_SYN && !rng_once(&w->rng, 4)) {
		memcpy(at, syn, sizeof(syn));
		len = sizeof(syn);
	}
	if (t->ts || (flags & TCP_F_SYN && rng_once(&w->rng, 2))) {
		be32_store(at + len, 0x0101080a);
		be32_store(at + len + 4, 1000 - (rng_once(&w->rng, 20) ? 500 : 0));
		be32_store(at + len + 8, t->ts_ours);
		len += 12;
	} else if (!(flags & TCP_F_SYN) && rng_once(&w->rng, 8)) {
		be32_store(at + len, 0x0101050a);
		be32_store(at + len + 4, near(w, t->ack));
		be32_store(at + len + 8, near(w, t->ack) + 500);
		len += 12;
	}
	if (rng_once(&w->rng, 50)) {
		memcpy(at + len, odd[rng_below(&w->rng, 4)], 4);
		len += 4;
	}
	return len;
}

static uint8_t flags_of(struct world *w, const struct talk *t)
{
	static const uint8_t usual[] = { TCP_F_ACK,
					 TCP_F_ACK,
					 TCP_F_ACK | TCP_F_PSH,
					 TCP_F_ACK | TCP_F_PSH,
					 TCP_F_ACK,
					 TCP_F_ACK | TCP_F_FIN,
					 TCP_F_RST };

	if (t->opening && !rng_once(&w->rng, 4))
		return TCP_F_SYN | TCP_F_ACK;
	if (rng_once(&w->rng, 30))
		return (uint8_t)rng_next(&w->rng);
	return usual[rng_below(&w->rng, rng_once(&w->rng, 10) ? 7 : 5)];
}

static uint32_t segment(struct world *w, uint8_t *frame, const struct talk *t, uint8_t flags)
{
	struct ip4_hdr ip = { .version_ihl = 0x45,
			      .ttl = 64,
			      .proto = IP_PROTO_TCP,
			      .src_be = host_to_be32(t->peer_ip),
			      .dst_be = host_to_be32(t->our_ip) };
	uint8_t *tcp = frame + ETH_HDR_BYTES + IP4_HDR_BYTES;
	uint32_t hdr, data = 0;

	eth_hdr_fill((struct eth_hdr *)frame, mac_us, mac_peer, ETH_TYPE_IP4);
	memcpy(frame + ETH_HDR_BYTES, &ip, sizeof(ip));
	memset(tcp, 0, TCP_HDR_BYTES);
	be16_store(tcp, t->peer_port);
	be16_store(tcp + 2, t->our_port);
	be32_store(tcp + 4, near(w, t->seq));
	be32_store(tcp + 8, flags & TCP_F_ACK ? near(w, t->ack) : 0);
	hdr = TCP_HDR_BYTES + options(w, t, flags, tcp + TCP_HDR_BYTES);
	tcp[12] = (uint8_t)(hdr / 4 << 4);
	tcp[13] = flags;
	be16_store(tcp + 14, rng_once(&w->rng, 12) ? 0 : 60000);
	if (flags & TCP_F_PSH || rng_once(&w->rng, 12))
		data = rng_below(&w->rng, rng_once(&w->rng, 4) ? 1300 : 40);
	for (uint32_t i = 0; i < data; i++)
		tcp[hdr + i] = (uint8_t)i;
	return ETH_HDR_BYTES + IP4_HDR_BYTES + hdr + data;
}

uint32_t make_tcp(struct world *w, uint8_t *frame)
{
	struct talk *t = &w->talk[rng_below(&w->rng, TALKS)], fresh;

	if (t->our_port && !rng_once(&w->rng, 6))
		return segment(w, frame, t, flags_of(w, t));
	fresh = (struct talk){ .peer_ip = PEER_IP + (rng_once(&w->rng, 8) ? 2 : 0),
			       .our_ip = US_IP,
			       .peer_port = (uint16_t)(2000 + rng_below(&w->rng, 40000)),
			       .our_port = (uint16_t)(PORTS_FROM + rng_below(&w->rng, PORTS + 1)),
			       .seq = (uint32_t)rng_next(&w->rng),
			       .ack = (uint32_t)rng_next(&w->rng) };
	return segment(w, frame, &fresh, rng_once(&w->rng, 10) ? TCP_F_ACK : TCP_F_SYN);
}
