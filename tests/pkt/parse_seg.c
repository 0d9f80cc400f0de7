/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments and ICMP messages:
 *   < @a S.PFRUEC? seq:end(len) [ack N] [win N] [urg N] [xN] [ect0|ect1|ce|not_ect] [badsum]
 *     [opt mss N, wscale N, sackOK, ts VAL ECR, sack S:E S:E, fastopen ..., md5, raw HEX]
 */
#include <ctype.h>
#include <string.h>

#include "names.h"
#include "script.h"
#include "wire/tcp.h"

#define SEQ_MAX 0xffffffffll

static bool parse_flags(struct cursor *c, struct seg *seg)
{
	static const char letters[] = "FSRP.UEC";
	unsigned int n = 0;

	for (char ch = cursor_peek(c); ch && ch != ' ' && ch != '\t'; ch = *++c->at, n++) {
		const char *at = strchr(letters, ch);

		if (ch == '?')
			seg->psh_any = true;
		else if (ch == '0' && n == 0)
			seg->flags = 0;
		else if (at)
			seg->flags |= (uint8_t)(1u << (at - letters));
		else
			return cursor_fail(c,
					   "'%c' is no TCP flag: S . P F R U E C, ? for 'PSH or "
					   "not', or 0 for none",
					   ch);
	}
	return n || cursor_fail(c, "TCP flags are missing here: S . P F R U E C");
}

bool parse_flow_name(struct cursor *c, unsigned int *flow)
{
	if (!take_char(c, '@'))
		return true;
	if (*c->at < 'a' || *c->at > 'z')
		return cursor_fail(c, "a connection is one letter, @a to @z");
	*flow = (unsigned int)(*c->at++ - 'a');
	return true;
}

/* seq:end(len) or seq(len) */
static bool parse_numbers(struct cursor *c, struct seg *seg)
{
	int64_t end;

	if (!need_number(c, &seg->seq, -SEQ_MAX, SEQ_MAX, "the sequence number"))
		return false;
	if (!take_char(c, ':'))
		return need_char(c, '(') && need_number(c, &seg->len, 0, 4000000, "the length") &&
		       need_char(c, ')');
	if (!need_number(c, &end, -SEQ_MAX, SEQ_MAX, "the end") || !need_char(c, '(') ||
	    !need_number(c, &seg->len, 0, 4000000, "the length") || !need_char(c, ')'))
		return false;
	return end - seg->seq == seg->len ||
	       cursor_fail(c, "from %lld to %lld is not %lld bytes", (long long)seg->seq,
			   (long long)end, (long long)seg->len);
}

static bool parse_sack(struct cursor *c, struct seg_opts *o)
{
	int64_t *b;

	for (o->sack_n = 0; cursor_peek(c) == '-' || isdigit((unsigned char)*c->at);) {
		if (o->sack_n == 4)
			return cursor_fail(c, "four SACK blocks are the most");
		b = o->sack[o->sack_n++];
		if (!need_number(c, &b[0], -SEQ_MAX, SEQ_MAX, "the block's start") ||
		    !need_char(c, ':') ||
		    !need_number(c, &b[1], -SEQ_MAX, SEQ_MAX, "the block's end"))
			return false;
	}
	return o->sack_n || cursor_fail(c, "SACK blocks are missing here: 1001:2001");
}

static bool parse_hex(struct cursor *c, uint8_t *bytes, unsigned int room, unsigned int *n)
{
	cursor_peek(c);
	for (*n = 0; isxdigit((unsigned char)c->at[0]) && isxdigit((unsigned char)c->at[1]);
	     c->at += 2) {
		char two[3] = { c->at[0], c->at[1], '\0' };
		unsigned int value = 0;

		for (unsigned int i = 0; i < 2; i++)
			value = value * 16 + (unsigned int)(isdigit((unsigned char)two[i])
								    ? two[i] - '0'
								    : (two[i] | 32) - 'a' + 10);
		if (*n == room)
			return cursor_fail(c, "%u bytes are the most", room);
		bytes[(*n)++] = (uint8_t)value;
	}
	return *n || cursor_fail(c, "bytes in hex are missing here, such as 0b0c");
}

static bool parse_ts(struct cursor *c, struct seg_opts *o)
{
	int64_t n;

	o->ts = true;
	o->ts_val = take_number(c, &n);
	if (!o->ts_val)
		return take_char(c, '*') || true;
	o->val = (uint32_t)n;
	o->ts_ecr = take_number(c, &n);
	if (o->ts_ecr)
		o->ecr = (uint32_t)n;
	return true;
}

static bool parse_fastopen(struct cursor *c, struct seg_opts *o)
{
	o->fastopen = true;
	o->cookie_kind = COOKIE_BYTES;
	if (take_char(c, '*'))
		o->cookie_kind = COOKIE_ANY;
	else if (take_keyword(c, "request"))
		o->cookie_kind = COOKIE_REQUEST;
	else if (take_keyword(c, "seen"))
		o->cookie_kind = COOKIE_SEEN;
	else
		return parse_hex(c, o->cookie, sizeof(o->cookie), &o->cookie_len);
	return true;
}

static bool parse_option(struct cursor *c, struct seg_opts *o)
{
	int64_t n = 0;

	if (take_keyword(c, "mss")) {
		o->mss = true;
		o->mss_any = take_char(c, '*');
		if (!o->mss_any && !need_number(c, &n, 0, 65535, "the MSS"))
			return false;
		o->mss_value = (uint16_t)n;
	} else if (take_keyword(c, "wscale")) {
		o->wscale = true;
		o->wscale_any = take_char(c, '*');
		if (!o->wscale_any && !need_number(c, &n, 0, 255, "the shift"))
			return false;
		o->wscale_value = (uint8_t)n;
	} else if (take_keyword(c, "sackOK")) {
		o->sack_ok = true;
	} else if (take_keyword(c, "ts")) {
		return parse_ts(c, o);
	} else if (take_keyword(c, "sack")) {
		return parse_sack(c, o);
	} else if (take_keyword(c, "fastopen")) {
		return parse_fastopen(c, o);
	} else if (take_keyword(c, "md5")) {
		o->md5 = true;
	} else if (take_keyword(c, "raw")) {
		return parse_hex(c, o->raw, sizeof(o->raw), &o->raw_len);
	} else {
		return cursor_fail(c, "an option is missing here: mss N, wscale N, sackOK, ts VAL "
				      "ECR, sack A:B, fastopen request|seen|*|HEX, md5, raw HEX, "
				      "none, any");
	}
	return true;
}

static bool parse_options(struct cursor *c, struct seg_opts *o)
{
	o->given = true;
	o->none = take_keyword(c, "none");
	o->any = !o->none && take_keyword(c, "any");
	if (o->none || o->any)
		return true;
	do {
		if (!parse_option(c, o))
			return false;
	} while (take_char(c, ','));
	return true;
}

static bool parse_ecn(struct cursor *c, struct seg *seg)
{
	static const char *const words[] = { "not_ect", "ect1", "ect0", "ce" };

	for (unsigned int i = 0; i < 4; i++) {
		if (!take_keyword(c, words[i]))
			continue;
		seg->has_ecn = true;
		seg->ecn = (uint8_t)i;
		return true;
	}
	return false;
}

static bool parse_pieces(struct cursor *c, struct seg *seg)
{
	int64_t n;

	if (!need_number(c, &n, 1, 10000, "how many segments"))
		return false;
	seg->pieces = (unsigned int)n;
	return true;
}

static bool parse_word(struct cursor *c, struct seg *seg)
{
	int64_t n;

	if (take_keyword(c, "ack")) {
		seg->has_ack = true;
		return need_number(c, &seg->ack, -SEQ_MAX, SEQ_MAX, "the acknowledgment");
	}
	if (take_keyword(c, "win")) {
		seg->has_win = need_number(c, &n, 0, 65535, "the window");
		seg->win = (uint32_t)n;
		return seg->has_win;
	}
	if (take_keyword(c, "urg")) {
		seg->has_urg = need_number(c, &n, 0, 65535, "the urgent pointer");
		seg->urg = (uint16_t)n;
		return seg->has_urg;
	}
	if (take_keyword(c, "ttl")) {
		seg->has_ttl = need_number(c, &n, 1, 255, "the TTL");
		seg->ttl = (uint8_t)n;
		return seg->has_ttl;
	}
	if (take_keyword(c, "df"))
		return seg->has_df = seg->df = true;
	if (take_keyword(c, "nodf"))
		return seg->has_df = true;
	if (take_keyword(c, "badsum"))
		return seg->bad_csum = true;
	if (take_keyword(c, "badoff"))
		return seg->bad_offset = true;
	if (take_keyword(c, "in"))
		return parse_pieces(c, seg);
	seg->burst = take_keyword(c, "burst");
	if (seg->burst)
		return parse_pieces(c, seg);
	return parse_ecn(c, seg) ||
	       cursor_fail(
		       c,
		       "'%s' is no part of a segment: ack N, win N, urg N, ttl N, in N, burst N, "
		       "ce, "
		       "ect0, ect1, not_ect, df, nodf, badsum, badoff, opt ...",
		       c->at);
}

bool parse_seg(struct cursor *c, struct event *e, bool in)
{
	struct seg *seg = &e->seg;

	e->kind = in ? EV_IN : EV_OUT;
	if (!parse_flow_name(c, &e->flow) || !parse_flags(c, seg) || !parse_numbers(c, seg))
		return false;
	while (cursor_peek(c)) {
		if (take_keyword(c, "opt"))
			return parse_options(c, &seg->opt) && need_end(c);
		if (!parse_word(c, seg))
			return false;
	}
	if (seg->pieces && (seg->len < seg->pieces || seg->len % seg->pieces))
		return cursor_fail(c, "%lld bytes are not %u segments of the same length",
				   (long long)seg->len, seg->pieces);
	return true;
}

bool parse_icmp(struct cursor *c, struct event *e)
{
	static const struct name types[] = {
		{ "net_unreachable", 0x300 },	   { "host_unreachable", 0x301 },
		{ "protocol_unreachable", 0x302 }, { "port_unreachable", 0x303 },
		{ "frag_needed", 0x304 },	   { "source_route_failed", 0x305 },
		{ "admin_prohibited", 0x30d },	   { "ttl_exceeded", 0xb00 },
		{ "reassembly_exceeded", 0xb01 },  { "source_quench", 0x400 },
		{ "parameter_problem", 0xc00 },	   { NULL, 0 },
	};
	char word[CURSOR_WORD_BYTES];
	const struct name *type;
	int64_t n;

	e->kind = EV_ICMP;
	if (!parse_flow_name(c, &e->flow) || !need_word(c, word, "the kind of ICMP message"))
		return false;
	type = name_find(types, word);
	if (!type)
		return cursor_fail(c,
				   "'%s' is no ICMP message here: frag_needed, host_unreachable, "
				   "net_unreachable, port_unreachable, ttl_exceeded, ...",
				   word);
	e->icmp.type = (uint8_t)(type->value >> 8);
	e->icmp.code = (uint8_t)type->value;
	while (cursor_peek(c)) {
		if (take_keyword(c, "mtu")) {
			if (!need_number(c, &n, 0, 65535, "the MTU"))
				return false;
			e->icmp.mtu = (uint32_t)n;
		} else if (take_keyword(c, "seq")) {
			e->icmp.has_seq = true;
			if (!need_number(c, &e->icmp.seq, -SEQ_MAX, SEQ_MAX, "the number"))
				return false;
		} else {
			return cursor_fail(c, "'%s' is no part of an ICMP message: mtu N, seq N",
					   c->at);
		}
	}
	return true;
}
