/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A segment that weir sent beside the line that expects it.
 */
#include <stdio.h>
#include <string.h>

#include "run.h"
#include "wire/ip4.h"

#define OPT_FASTOPEN 34u

struct out {
	char *text;
	size_t room, len;
};

__attribute__((format(printf, 2, 3))) static void add(struct out *o, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(o->text + o->len, o->room - o->len, format, ap);
	va_end(ap);
	o->len += (size_t)n < o->room - o->len ? (size_t)n : o->room - o->len - 1;
}

static const uint8_t *option_end(const struct frame_info *i)
{
	return i->options + i->options_len;
}

/* Options one after the other, without padding: at is behind kind and length. */
static const uint8_t *option_next(const struct frame_info *i, const uint8_t *p, uint8_t *kind,
				  uint8_t *len)
{
	while (p < option_end(i) && *p == TCP_OPT_NOP)
		p++;
	if (p >= option_end(i) || *p == TCP_OPT_END)
		return NULL;
	assert_true(p + 2 <= option_end(i) && p[1] >= 2 && p + p[1] <= option_end(i));
	*kind = p[0];
	*len = (uint8_t)(p[1] - 2);
	return p + 2;
}

static void print_option(struct out *o, const struct flow *f, uint8_t kind, uint8_t len,
			 const uint8_t *p)
{
	if (kind == TCP_OPT_MSS && len == 2) {
		add(o, " mss %u", p[0] << 8 | p[1]);
	} else if (kind == TCP_OPT_WSCALE && len == 1) {
		add(o, " wscale %u", *p);
	} else if (kind == TCP_OPT_SACK_OK) {
		add(o, " sackOK");
	} else if (kind == TCP_OPT_TIMESTAMP && len == 8) {
		uint32_t base = f && f->ts_seen ? f->ts_base - PKT_TS_BASE : 0;

		add(o, " ts %u %u", be32_load(p) - base, be32_load(p + 4));
	} else if (kind == TCP_OPT_SACK) {
		add(o, " sack");
		for (unsigned int n = 0; n + 8 <= len; n += 8)
			add(o, " %d:%d", (int)(be32_load(p + n) - (f ? f->isn : 0)),
			    (int)(be32_load(p + n + 4) - (f ? f->isn : 0)));
	} else {
		add(o, kind == OPT_FASTOPEN ? " fastopen " : " option %u ", kind);
		for (unsigned int n = 0; n < len; n++)
			add(o, "%02x", p[n]);
	}
}

/* The numbers are relative where they can be. */
void match_print(struct run *r, const struct frame_info *i, char *text, size_t room)
{
	static const char letters[] = "FSRP.UEC";
	static const char *const ecn[] = { "", " ect1", " ect0", " ce" };
	const struct flow *f = i->proto == IP_PROTO_TCP ? net_flow(r, i) : NULL;
	struct out o = { text, room, 0 };
	const uint8_t *p = i->options;
	uint8_t kind, len;
	uint32_t seq;

	if (i->proto != IP_PROTO_TCP) {
		add(&o, "IP protocol %u, ICMP type %u code %u", i->proto, i->icmp_type,
		    i->icmp_code);
		return;
	}
	seq = i->seq - (i->flags & TCP_F_SYN ? i->seq : f ? f->iss : 0);
	if (f && f != &r->flow[0])
		add(&o, "@%c ", (int)('a' + (f - r->flow)));
	else if (!f)
		add(&o, "(ports %u to %u) ", i->sport, i->dport);
	for (unsigned int n = 0; n < 8; n++)
		if (i->flags & 1u << n)
			add(&o, "%c", letters[n]);
	add(&o, "%s %d:%d(%zu)", i->flags ? "" : "0", (int)seq, (int)(seq + i->data_len),
	    i->data_len);
	if (i->flags & TCP_F_ACK)
		add(&o, " ack %d", (int)(i->ack - (f ? f->isn : 0)));
	add(&o, " win %u", i->window);
	if (i->flags & TCP_F_URG)
		add(&o, " urg %u", i->l4[18] << 8 | i->l4[19]);
	add(&o, "%s%s", ecn[i->tos & 3], i->options_len ? " opt" : "");
	for (bool first = true; (p = option_next(i, p, &kind, &len)); p += len, first = false) {
		add(&o, "%s", first ? "" : ",");
		print_option(&o, f, kind, len, p);
	}
}

#define DIFFER(...)                                                                                \
	do {                                                                                       \
		snprintf(why, WHY_BYTES, __VA_ARGS__);                                             \
		return false;                                                                      \
	} while (0)
#define WHY_BYTES 200

static bool match_sack(const struct flow *f, const struct seg_opts *want, uint8_t len,
		       const uint8_t *p, char *why)
{
	if (len != 8 * want->sack_n)
		DIFFER("%u SACK blocks instead of %u", len / 8, want->sack_n);
	for (unsigned int n = 0; n < 2 * want->sack_n; n++) {
		uint32_t edge = be32_load(p + 4 * n) - f->isn;

		if (edge != (uint32_t)want->sack[n / 2][n % 2])
			DIFFER("SACK block %u has %d", n / 2 + 1, (int)edge);
	}
	return true;
}

static bool match_fastopen(struct flow *f, const struct seg_opts *want, uint8_t len,
			   const uint8_t *p, char *why)
{
	const uint8_t *cookie = want->cookie_kind == COOKIE_SEEN ? f->cookie : want->cookie;
	unsigned int n = want->cookie_kind == COOKIE_SEEN ? f->cookie_len : want->cookie_len;

	if (want->cookie_kind == COOKIE_ANY) {
		if (len < 4 || len > 16)
			DIFFER("a cookie of %u bytes", len);
		memcpy(f->cookie, p, len);
		f->cookie_len = len;
		return true;
	}
	if (n != len || memcmp(p, cookie, n) != 0)
		DIFFER("another fast open cookie");
	return true;
}

static bool match_ts(const struct flow *f, const struct seg_opts *want, const uint8_t *p, char *why)
{
	uint32_t val = be32_load(p) - f->ts_base + PKT_TS_BASE;

	if (want->ts_val && val != want->val)
		DIFFER("time stamp %u", val);
	if (want->ts_ecr && be32_load(p + 4) != want->ecr)
		DIFFER("echo of time stamp %u", be32_load(p + 4));
	return true;
}

static bool match_option(struct flow *f, const struct seg_opts *want, uint8_t kind, uint8_t len,
			 const uint8_t *p, char *why)
{
	switch (kind) {
	case TCP_OPT_MSS:
		if (!want->mss || (!want->mss_any && (p[0] << 8 | p[1]) != want->mss_value))
			DIFFER("option mss %u", p[0] << 8 | p[1]);
		return true;
	case TCP_OPT_WSCALE:
		if (!want->wscale || (!want->wscale_any && *p != want->wscale_value))
			DIFFER("option wscale %u", *p);
		return true;
	case TCP_OPT_SACK_OK:
		if (!want->sack_ok)
			DIFFER("option sackOK");
		return true;
	case TCP_OPT_TIMESTAMP:
		if (want->given && !want->ts)
			DIFFER("a time stamp");
		return match_ts(f, want, p, why);
	case TCP_OPT_SACK:
		if (!want->sack_n)
			DIFFER("SACK blocks");
		return match_sack(f, want, len, p, why);
	case OPT_FASTOPEN:
		if (!want->fastopen)
			DIFFER("option fastopen");
		return match_fastopen(f, want, len, p, why);
	default:
		DIFFER("option %u", kind);
	}
}

/* Without `opt`: a SYN may have any, others a time stamp and nothing else. */
static bool match_options(struct flow *f, const struct seg *seg, const struct frame_info *i,
			  char *why)
{
	const struct seg_opts *want = &seg->opt;
	unsigned int wanted = want->mss + want->wscale + want->sack_ok + want->ts +
			      (want->sack_n > 0) + want->fastopen,
		     found = 0;
	const uint8_t *p = i->options;
	uint8_t kind, len;

	if (want->any || (!want->given && seg->flags & TCP_F_SYN))
		return true;
	for (; (p = option_next(i, p, &kind, &len)); p += len, found++)
		if (!match_option(f, want, kind, len, p, why))
			return false;
	if (want->given && found != wanted)
		DIFFER("%u options instead of %u", found, wanted);
	return true;
}

static bool match_payload(const struct frame_info *i, int64_t position, char *why)
{
	for (size_t n = 0; n < i->data_len; n++)
		if (i->data[n] != net_byte(position + (int64_t)n))
			DIFFER("byte %zu of the payload is %02x instead of %02x", n, i->data[n],
			       net_byte(position + (int64_t)n));
	return true;
}

static bool match_numbers(const struct flow *f, const struct seg *seg, const struct frame_info *i,
			  int64_t seq, int64_t len, char *why)
{
	uint32_t from = i->seq - f->iss;

	if (from != (uint32_t)seq)
		DIFFER("sequence number %d instead of %d", (int)from, (int)seq);
	if ((int64_t)i->data_len != len)
		DIFFER("%zu bytes instead of %d", i->data_len, (int)len);
	if (seg->has_ack && i->ack != (seg->flags & TCP_F_ACK ? f->isn : 0) + (uint32_t)seg->ack)
		DIFFER("acknowledgment %d instead of %d", (int)(i->ack - f->isn), (int)seg->ack);
	if (seg->has_win && i->window != seg->win)
		DIFFER("window %u instead of %u", i->window, seg->win);
	if (seg->has_urg && (uint32_t)(i->l4[18] << 8 | i->l4[19]) != seg->urg)
		DIFFER("urgent pointer %u", i->l4[18] << 8 | i->l4[19]);
	if (seg->has_ecn && (i->tos & 3) != seg->ecn)
		DIFFER("ECN field %u instead of %u", i->tos & 3, seg->ecn);
	if (seg->has_df && !!(i->frag & IP4_DF) != seg->df)
		DIFFER("DF %s", seg->df ? "is missing" : "is set");
	if (seg->has_ttl && i->ttl != seg->ttl)
		DIFFER("TTL %u instead of %u", i->ttl, seg->ttl);
	return match_payload(i, seq - 1 + !!(i->flags & TCP_F_SYN), why);
}

static bool match_seg(struct flow *f, const struct seg *seg, const struct frame_info *i,
		      int64_t seq, int64_t len, char *why)
{
	uint8_t ignore = seg->psh_any || seg->pieces ? TCP_F_PSH : 0;

	if ((i->flags | ignore) != (seg->flags | ignore))
		DIFFER("other flags");
	return match_numbers(f, seg, i, seq, len, why) && match_options(f, seg, i, why);
}

/* The connection that the line speaks of gets to know its ports and numbers from a SYN. */
static bool learn(struct run *r, struct flow *f, const struct frame_info *i)
{
	const uint8_t *ts = frame_tcp_option(i, TCP_OPT_TIMESTAMP);

	if (net_flow(r, i) != f) {
		if (net_flow(r, i) || (i->flags & (TCP_F_SYN | TCP_F_ACK)) != TCP_F_SYN)
			return false;
		f->known = true;
		f->peer = i->dport;
		f->us = i->sport;
	}
	if (i->flags & TCP_F_SYN) {
		f->iss = i->seq;
		f->ts_seen = false;
	}
	if (!ts)
		return true;
	if (!f->ts_seen)
		f->ts_base = be32_load(ts);
	f->ts_seen = true;
	f->ts_last = be32_load(ts);
	return true;
}

/* What ICMP errors quote. */
static void remember(struct flow *f, const struct seen *s)
{
	size_t len = s->info.ip_len < sizeof(f->last) ? s->info.ip_len : sizeof(f->last);

	memcpy(f->last, s->frame + FRAME_IP_AT, len);
	f->last_len = (unsigned int)len;
}

static void expect_one(struct run *r, const struct event *e, int64_t seq, int64_t len)
{
	uint64_t tolerance = e->has_tolerance ? e->tolerance_ns : r->tolerance_ns;
	uint64_t earliest = r->at_ns + e->delay_ns, latest = r->at_ns + e->delay_max_ns + tolerance;
	struct flow *f = &r->flow[e->flow];
	char why[WHY_BYTES] = "it is of another connection", text[400];
	struct seen *s;

	while (!r->seen && net_step(r, latest))
		;
	s = r->seen;
	if (!s)
		run_fail(r, "no segment came until %.6f", run_seconds(latest));
	if (s->info.proto != IP_PROTO_TCP || !learn(r, f, &s->info) ||
	    !match_seg(f, &e->seg, &s->info, seq, len, why)) {
		match_print(r, &s->info, text, sizeof(text));
		run_fail(r, "%s\n  expected: %s\n  seen:     > %s", why, e->text, text);
	}
	if (s->at_ns + tolerance < earliest || s->at_ns > latest)
		run_fail(r, "the segment was sent at %.6f, it should be between %.6f and %.6f",
			 run_seconds(s->at_ns), run_seconds(earliest),
			 run_seconds(latest - tolerance));
	if (r->at_ns < s->at_ns)
		r->at_ns = s->at_ns;
	remember(f, s);
	net_forget(r);
}

void match_out(struct run *r, const struct event *e)
{
	const struct seg *seg = &e->seg;
	unsigned int pieces = seg->pieces ? seg->pieces : 1;
	struct event one = *e;

	for (unsigned int i = 0; i < pieces; i++) {
		int64_t len = seg->len / pieces;

		expect_one(r, &one, seg->seq + i * len, len);
		one.delay_ns = one.delay_max_ns = 0;
	}
}
