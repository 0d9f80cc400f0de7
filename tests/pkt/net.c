/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The peer's end of the wire: ARP, segments and ICMP messages made from script lines, and what weir
 * sends, with the time at which it did.
 */
#include <string.h>

#include "run.h"
#include "wire/csum.h"

#define OPT_FASTOPEN 34u
#define OPT_MD5 19u

static const uint8_t us_mac[6] = { 2, 0, 0, 0, 0, 2 };
static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };

uint8_t net_byte(int64_t position)
{
	uint64_t p = (uint64_t)position;

	return (uint8_t)(p * 131 + (p >> 8) * 7 + (p >> 16));
}

struct flow *net_flow(struct run *r, const struct frame_info *i)
{
	for (unsigned int n = 0; n < SCRIPT_FLOWS; n++) {
		struct flow *f = &r->flow[n];

		if (f->known && f->peer == i->dport && f->us == i->sport)
			return f;
	}
	return NULL;
}

static void put(struct run *r, const uint8_t *frame, size_t len)
{
	if (weir_wire_put(r->weir, 0, frame, len) != 0)
		run_fail(r, "the wire is full");
}

/* Ask for the address where there is a question; the peer is there always. */
static void arp_seen(struct run *r, const struct frame_info *i)
{
	uint8_t frame[64];
	uint32_t who = be32_to_host(i->arp.target_ip_be);

	if (i->arp.op_be != host_to_be16(ARP_OP_REQUEST) || who == PKT_US)
		return;
	put(r, frame, frame_arp(frame, us_mac, ARP_OP_REPLY, peer_mac, who, us_mac, PKT_US));
}

static void note(struct run *r, const uint8_t *frame, size_t len)
{
	struct seen *s = malloc(sizeof(*s) + len);
	char text[400];

	assert_non_null(s);
	memcpy(s->frame, frame, len);
	s->next = NULL;
	s->at_ns = r->weir->w->now_ns;
	frame_parse(s->frame, len, false, &s->info);
	if (s->info.type == ETH_TYPE_ARP) {
		arp_seen(r, &s->info);
		free(s);
		return;
	}
	match_print(r, &s->info, text, sizeof(text));
	run_trace(r, "%12.6f  > %s\n", run_seconds(s->at_ns), text);
	*r->seen_last = s;
	r->seen_last = &s->next;
}

void net_forget(struct run *r)
{
	struct seen *s = r->seen;

	r->seen = s->next;
	if (!r->seen)
		r->seen_last = &r->seen;
	free(s);
}

void net_poll(struct run *r)
{
	static uint8_t frame[FRAME_ROOM];
	bool moved;
	ssize_t n;

	do {
		weir_engine_advance(r->weir, 0);
		moved = false;
		while ((n = weir_wire_take(r->weir, 0, frame, sizeof(frame))) > 0) {
			note(r, frame, (size_t)n);
			moved = true;
		}
	} while (moved);
}

bool net_step(struct run *r, uint64_t end_ns)
{
	uint64_t now = r->weir->w->now_ns, next;

	net_poll(r);
	if (r->seen)
		return true;
	next = weir_engine_next_timer(r->weir);
	if (next > end_ns) {
		if (end_ns > now)
			weir_engine_advance(r->weir, end_ns - now);
		net_poll(r);
		return r->seen;
	}
	weir_engine_advance(r->weir, next > now ? next - now : 0);
	net_poll(r);
	return true;
}

void net_until(struct run *r, uint64_t end_ns)
{
	while (!r->seen && net_step(r, end_ns))
		;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
	be32_store(at, value);
	return at + 4;
}

static uint8_t *option_ts(struct run *r, struct flow *f, const struct seg *seg, uint8_t *at)
{
	const struct seg_opts *o = &seg->opt;
	uint32_t now_ms = (uint32_t)(r->weir->w->now_ns / 1000000), ecr = f->ts_last;
	uint32_t val = now_ms + f->ts_ahead;

	if (o->ts_val) {
		val = o->val;
		f->ts_ahead = val - now_ms; /* it goes on from there */
	}
	if (o->ts_ecr)
		ecr = o->ecr ? f->ts_base + o->ecr - PKT_TS_BASE : 0;
	if ((seg->flags & TCP_F_SYN) && !(seg->flags & TCP_F_ACK) && !o->ts_ecr)
		ecr = 0;
	*at++ = TCP_OPT_TIMESTAMP;
	*at++ = 10;
	return put32(put32(at, val), ecr);
}

static uint8_t *option_fastopen(const struct flow *f, const struct seg_opts *o, uint8_t *at)
{
	const uint8_t *cookie = o->cookie_kind == COOKIE_SEEN ? f->cookie : o->cookie;
	unsigned int len = o->cookie_kind == COOKIE_SEEN ? f->cookie_len : o->cookie_len;

	*at++ = OPT_FASTOPEN;
	*at++ = (uint8_t)(2 + len);
	memcpy(at, cookie, len);
	return at + len;
}

/* Into room for far more than the 40 bytes there may be. */
static size_t options_make(struct run *r, struct flow *f, const struct seg *seg, uint8_t *opt)
{
	const struct seg_opts *o = &seg->opt;
	uint8_t *at = opt;

	if (o->mss) {
		*at++ = TCP_OPT_MSS;
		*at++ = 4;
		*at++ = (uint8_t)(o->mss_value >> 8);
		*at++ = (uint8_t)o->mss_value;
	}
	if (o->wscale) {
		*at++ = TCP_OPT_WSCALE;
		*at++ = 3;
		*at++ = o->wscale_value;
	}
	if (o->sack_ok) {
		*at++ = TCP_OPT_SACK_OK;
		*at++ = 2;
	}
	if (o->ts ||
	    (f->peer_ts && f->ts_seen && !o->none && !(seg->flags & (TCP_F_RST | TCP_F_SYN))))
		at = option_ts(r, f, seg, at);
	if (o->sack_n) {
		*at++ = TCP_OPT_SACK;
		*at++ = (uint8_t)(2 + 8 * o->sack_n);
		for (unsigned int i = 0; i < 2 * o->sack_n; i++)
			at = put32(at, f->iss + (uint32_t)o->sack[i / 2][i % 2]);
	}
	if (o->fastopen)
		at = option_fastopen(f, o, at);
	if (o->md5) {
		*at++ = OPT_MD5;
		*at++ = 18;
		memset(at, 0x5a, 16);
		at += 16;
	}
	memcpy(at, o->raw, o->raw_len);
	at += o->raw_len;
	while ((at - opt) % 4)
		*at++ = TCP_OPT_NOP;
	return (size_t)(at - opt);
}

static void flow_fix(struct run *r, struct flow *f)
{
	if (f->known)
		return;
	f->known = true;
	if (!f->peer)
		f->peer = (uint16_t)(40000 + (f - r->flow));
	if (!f->us)
		f->us = 80;
}

bool net_is_urgent(const struct run *r, int64_t position)
{
	for (unsigned int i = 0; i < r->urgents; i++)
		if (r->urgent[i] == position)
			return true;
	return false;
}

/* The pointer is that of the byte behind the urgent one, but for tcp_stdurg. */
static void urgent_note(struct run *r, int64_t behind)
{
	char stdurg[64] = "";

	weir_sysctl_get(r->weir, "tcp_stdurg", stdurg, sizeof(stdurg));
	if (r->urgents == SCRIPT_URGENTS)
		run_fail(r, "%u urgent segments are the most in a script", SCRIPT_URGENTS);
	r->urgent[r->urgents++] = behind - (stdurg[0] != '1');
}

static void inject(struct run *r, struct flow *f, const struct seg *seg, int64_t seq, uint32_t len)
{
	static uint8_t frame[FRAME_ROOM], data[65536];
	struct frame_spec s = { .src_ip = PKT_PEER, .dst_ip = PKT_US, .ttl = seg->ttl };
	struct frame_tcp t = { .sport = f->peer, .dport = f->us };
	int64_t position = seq - 1 + !!(seg->flags & TCP_F_SYN);
	uint8_t opt[160];
	size_t n;

	memcpy(s.dst_mac, us_mac, 6);
	memcpy(s.src_mac, peer_mac, 6);
	s.tos = seg->ecn;
	t.seq = f->isn + (uint32_t)seq;
	t.flags = seg->flags;
	if (seg->has_ack)
		t.ack = f->iss + (uint32_t)seg->ack;
	t.window = (uint16_t)f->win;
	t.options = opt;
	t.options_len = options_make(r, f, seg, opt);
	if (t.options_len > 40)
		run_fail(r, "the options take %zu bytes, 40 are the most", t.options_len);
	if (len > 65535 - 60 - 20)
		run_fail(r, "one segment of %u bytes: say `in N` for several", len);
	for (uint32_t i = 0; i < len; i++)
		data[i] = net_byte(position + i);
	if (seg->flags & TCP_F_URG)
		urgent_note(r, position + seg->urg);
	n = frame_tcp(frame, &s, &t, data, len);
	if (seg->has_urg) /* the checksum changes with it */
		frame[FRAME_L4_AT + 18] = (uint8_t)(seg->urg >> 8),
				    frame[FRAME_L4_AT + 19] = (uint8_t)seg->urg;
	if (seg->bad_offset)
		frame[FRAME_L4_AT + 12] = 0x40;
	if (seg->has_urg || seg->bad_offset) {
		uint8_t *l4 = frame + FRAME_L4_AT;
		uint64_t sum = csum_pseudo_ip4(host_to_be32(PKT_PEER), host_to_be32(PKT_US),
					       IP_PROTO_TCP, (uint32_t)(n - FRAME_L4_AT));
		uint16_t csum = 0;

		memcpy(l4 + TCP_CSUM_AT, &csum, 2);
		csum = csum_finish(csum_add(sum, l4, n - FRAME_L4_AT));
		memcpy(l4 + TCP_CSUM_AT, &csum, 2);
	}
	if (seg->bad_csum)
		frame[FRAME_L4_AT + TCP_CSUM_AT] ^= 0x55;
	put(r, frame, n);
}

void net_inject(struct run *r, const struct event *e)
{
	struct flow *f = &r->flow[e->flow];
	const struct seg *seg = &e->seg;
	unsigned int pieces = seg->pieces ? seg->pieces : 1;
	uint32_t len = (uint32_t)(seg->len / pieces);

	flow_fix(r, f);
	if (seg->has_win)
		f->win = seg->win;
	if (seg->flags & TCP_F_SYN)
		f->peer_ts = seg->opt.ts;
	for (unsigned int i = 0; i < pieces; i++) {
		inject(r, f, seg, seg->seq + (int64_t)i * len, len);
		if (!seg->burst)
			net_poll(r);
	}
	net_poll(r);
}

/* The packet quoted is the last that weir sent, or it would be one at `seq`. */
void net_icmp(struct run *r, const struct event *e)
{
	struct flow *f = &r->flow[e->flow];
	struct frame_spec s = { .src_ip = PKT_PEER, .dst_ip = PKT_US };
	uint8_t frame[256], quote[60];

	if (!f->last_len)
		run_fail(r, "weir has sent nothing yet that ICMP could quote");
	memcpy(s.dst_mac, us_mac, 6);
	memcpy(s.src_mac, peer_mac, 6);
	memcpy(quote, f->last, f->last_len);
	if (e->icmp.has_seq)
		be32_store(quote + IP4_HDR_BYTES + 4, f->iss + (uint32_t)e->icmp.seq);
	put(r, frame,
	    frame_icmp(frame, &s, e->icmp.type, e->icmp.code, e->icmp.mtu, quote, f->last_len));
	net_poll(r);
}
