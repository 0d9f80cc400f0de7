/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP options, read and written: MSS (RFC 9293), window scale and time stamps (RFC 7323), SACK
 * (RFC 2018), D-SACK (RFC 2883). What is not known is skipped by its length (RFC 9293 MUST-6).
 */
#include <string.h>

#include "inet/tcp/tcp_impl.h"

#define TS_WORD                                                                                    \
	(TCP_OPT_NOP << 24 | TCP_OPT_NOP << 16 | TCP_OPT_TIMESTAMP << 8 | TCP_OPT_TIMESTAMP_BYTES)

static void sack_parse(struct tcp_seg *seg, const uint8_t *at, uint32_t len)
{
	uint32_t n = (len - TCP_OPT_SACK_BASE_BYTES) / TCP_OPT_SACK_BLOCK_BYTES;

	if ((len - TCP_OPT_SACK_BASE_BYTES) % TCP_OPT_SACK_BLOCK_BYTES)
		return;
	for (uint32_t i = 0; i < n && i < 4; i++) {
		seg->sack[i].start = be32_load(at + 2 + 8 * i);
		seg->sack[i].end = be32_load(at + 6 + 8 * i);
		seg->sack_n = (uint8_t)(i + 1);
	}
}

/* RFC 7413 section 4.1.1: none, or 4 to 16 bytes, an even number. */
static void fastopen_parse(struct tcp_seg *seg, const uint8_t *at, uint32_t len)
{
	uint32_t cookie = len - 2;

	if (!(seg->flags & TCP_F_SYN) || cookie > TCP_FO_COOKIE_MAX || (cookie && cookie < 4) ||
	    cookie % 2)
		return;
	seg->has_fo = true;
	seg->fo_len = (uint8_t)cookie;
	seg->fo = at + 2;
}

static void option_parse(struct tcp_seg *seg, const uint8_t *at, uint32_t len)
{
	bool syn = seg->flags & TCP_F_SYN;

	switch (at[0]) {
	case TCP_OPT_MSS:
		if (syn && len == TCP_OPT_MSS_BYTES)
			seg->mss = be16_load(at + 2);
		break;
	case TCP_OPT_WSCALE:
		if (syn && len == TCP_OPT_WSCALE_BYTES) {
			seg->has_wscale = true;
			seg->wscale = at[2] > TCP_WSCALE_MAX ? TCP_WSCALE_MAX : at[2];
		}
		break;
	case TCP_OPT_SACK_OK:
		if (syn && len == TCP_OPT_SACK_OK_BYTES)
			seg->sack_ok = true;
		break;
	case TCP_OPT_SACK:
		if (!syn && len >= TCP_OPT_SACK_BASE_BYTES + TCP_OPT_SACK_BLOCK_BYTES)
			sack_parse(seg, at, len);
		break;
	case TCP_OPT_TIMESTAMP:
		if (len == TCP_OPT_TIMESTAMP_BYTES) {
			seg->has_ts = true;
			seg->ts_val = be32_load(at + 2);
			seg->ts_ecr = be32_load(at + 6);
		}
		break;
	case TCP_OPT_FASTOPEN:
		fastopen_parse(seg, at, len);
		break;
	case TCP_OPT_MD5:
		seg->signature = true;
		break;
	default:
		break;
	}
}

bool tcp_options_parse(struct tcp_seg *seg, const uint8_t *opt, uint32_t len)
{
	/* As nearly every segment has them (RFC 7323 appendix A). */
	if (len == 12 && be32_load(opt) == TS_WORD) {
		seg->has_ts = true;
		seg->ts_val = be32_load(opt + 4);
		seg->ts_ecr = be32_load(opt + 8);
		return true;
	}
	while (len) {
		uint32_t bytes;

		if (opt[0] == TCP_OPT_END)
			return true;
		if (opt[0] == TCP_OPT_NOP) {
			opt++;
			len--;
			continue;
		}
		if (len < 2 || opt[1] < 2 || opt[1] > len)
			return false;
		bytes = opt[1];
		option_parse(seg, opt, bytes);
		opt += bytes;
		len -= bytes;
	}
	return true;
}

static uint32_t put_ts(const struct worker *w, struct tcp_pcb *pcb, uint8_t *opt)
{
	be32_store(opt, TS_WORD);
	be32_store(opt + 4, tcp_ts_now(w, pcb->ts_offset));
	be32_store(opt + 8, pcb->ts_echo ? pcb->ts_echo : pcb->ts_recent);
	pcb->ts_echo = 0;
	return 12;
}

/* On a SYN we offer what the parameters say; on a SYN,ACK what the peer offered too. As in Linux
 * SACK-permitted is where the padding before a time stamp would be: with all options that leaves 20
 * bytes, which the longest Fast Open cookie fills. */
static uint32_t syn_options(const struct worker *w, struct tcp_pcb *pcb, uint8_t flags,
			    uint8_t *opt)
{
	const struct tcp_params *params = &w->tcp->params;
	bool offer = !(flags & TCP_F_ACK);
	bool sack = offer ? params->tcp_sack : (pcb->flags & F_SACK_OK) != 0;
	bool stamps = offer ? params->tcp_timestamps : (pcb->flags & F_TS_OK) != 0;
	uint32_t n = TCP_OPT_MSS_BYTES;

	opt[0] = TCP_OPT_MSS;
	opt[1] = TCP_OPT_MSS_BYTES;
	be16_store(opt + 2, pcb->adv_mss);
	if (stamps) {
		n += put_ts(w, pcb, opt + n);
	} else if (sack) {
		memset(opt + n, TCP_OPT_NOP, 4);
		n += 4;
	}
	if (sack) {
		opt[TCP_OPT_MSS_BYTES] = TCP_OPT_SACK_OK;
		opt[TCP_OPT_MSS_BYTES + 1] = TCP_OPT_SACK_OK_BYTES;
	}
	if (offer ? params->tcp_window_scaling : (pcb->flags & F_WSCALE_OK) != 0) {
		opt[n++] = TCP_OPT_NOP;
		opt[n++] = TCP_OPT_WSCALE;
		opt[n++] = TCP_OPT_WSCALE_BYTES;
		opt[n++] = pcb->rcv_wscale;
	}
	if (tcp_fo_of(pcb))
		n += tcp_fo_option(pcb, opt + n, TCP_OPTIONS_MAX_BYTES - n);
	return n;
}

/* The peer's FIN came, but not all that is before it: it has a number, and so a place in a block.
 */
static bool fin_waits(const struct tcp_pcb *pcb)
{
	return (pcb->flags & F_FIN_SEEN) && !pcb->pub.rx_eof;
}

/* Does it need a block of its own? */
static bool fin_alone(const struct tcp_pcb *pcb)
{
	const struct tcp_ranges *o = pcb->ooo;

	return fin_waits(pcb) && !(o && o->r[o->n - 1].end == pcb->peer_fin);
}

/* How many SACK blocks the next segment carries, a D-SACK first. */
static uint32_t sack_blocks(const struct tcp_pcb *pcb)
{
	uint32_t n = (pcb->ooo ? pcb->ooo->n : 0) + fin_alone(pcb);

	if (!(pcb->flags & F_SACK_OK))
		return 0;
	n = tcp_min(n, 3) + !!(pcb->flags & F_DSACK);
	return tcp_min(n, pcb->flags & F_TS_OK ? 3 : 4);
}

uint32_t tcp_options_len(const struct tcp_pcb *pcb)
{
	uint32_t n = sack_blocks(pcb);

	return (pcb->flags & F_TS_OK ? 12 : 0) + (n ? 4 + 8 * n : 0);
}

/* The range as one more block, unless it is one of those chosen: how many there are now. */
static uint32_t choose(const struct tcp_pcb *pcb, const struct tcp_range *r,
		       struct tcp_range *chosen, uint32_t n)
{
	if (!r)
		return n;
	for (uint32_t i = 0; i < n; i++) {
		if (chosen[i].start == r->start)
			return n;
	}
	chosen[n] = *r;
	if (fin_waits(pcb) && r->end == pcb->peer_fin)
		chosen[n].end++;
	return n + 1;
}

/* The ranges that changed last come first (RFC 2018 section 4), then from the lowest on. */
static uint32_t sack_choose(const struct tcp_pcb *pcb, struct tcp_range *chosen, uint32_t max)
{
	const struct tcp_range fin = { pcb->peer_fin, pcb->peer_fin + 1 };
	const struct tcp_ranges *o = pcb->ooo;
	bool alone = fin_alone(pcb);
	uint32_t n = 0;

	/* Nothing else came: the FIN did. */
	if (alone && (!o || !o->untold))
		n = choose(pcb, &fin, chosen, n);
	for (uint32_t i = 0; o && i < o->recent_n && n < max; i++)
		n = choose(pcb, tcp_range_with(o, o->recent[i]), chosen, n);
	for (uint32_t i = 0; o && i < o->n && n < max; i++)
		n = choose(pcb, &o->r[i], chosen, n);
	return alone && n < max ? choose(pcb, &fin, chosen, n) : n;
}

static uint32_t put_sack(struct tcp_pcb *pcb, uint8_t *opt)
{
	uint32_t n = 0, max = sack_blocks(pcb);
	struct tcp_range chosen[4];

	if (max == 0)
		return 0;
	if (pcb->flags & F_DSACK)
		chosen[n++] = pcb->dsack;
	n += sack_choose(pcb, chosen + n, max - n);
	opt[0] = TCP_OPT_NOP;
	opt[1] = TCP_OPT_NOP;
	opt[2] = TCP_OPT_SACK;
	opt[3] = (uint8_t)(2 + 8 * n);
	for (uint32_t i = 0; i < n; i++) {
		be32_store(opt + 4 + 8 * i, chosen[i].start);
		be32_store(opt + 8 + 8 * i, chosen[i].end);
	}
	pcb->flags &= ~F_DSACK;
	if (pcb->ooo)
		pcb->ooo->untold = 0;
	return 4 + 8 * n;
}

uint32_t tcp_options_build(const struct worker *w, struct tcp_pcb *pcb, uint8_t flags, uint8_t *opt)
{
	uint32_t n = 0;

	if (flags & TCP_F_SYN)
		return syn_options(w, pcb, flags, opt);
	if (pcb->flags & F_TS_OK)
		n = put_ts(w, pcb, opt);
	if (!(flags & TCP_F_RST))
		n += put_sack(pcb, opt + n);
	return n;
}
