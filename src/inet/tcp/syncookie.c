/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SYN cookies (RFC 4987 section 3.6): a listener whose half-open queue is full keeps nothing of a
 * SYN. What it would have to remember is in the numbers of its SYN,ACK, and comes back with the
 * ACK that ends the handshake.
 *
 * The initial sequence number:
 *
 *   peer's number + F(peer) + minute * 2^24 + (F(peer, minute) + mss) mod 2^24
 *
 * F is keyed with the worker's secret, and of the peer it has addresses, ports and initial number;
 * mss is an index into a table of the usual sizes. So an ACK has to guess 22 bits right, and its
 * cookie is good for one to two minutes. What the peer offered beside is in the last six bits of
 * our time stamp, where both have them: four of window scale (15: none), SACK, ECN. Without time
 * stamps there is neither.
 *
 * What is lost: the exact segment size, options without time stamps, and the SYN,ACK is not sent
 * again. No round trip time is known.
 *
 * Several workers: the SYN and the ACK of a connection come to the same worker, whose secret it is.
 * An ACK that comes to another one for once is no cookie of its, and is handed on (input.c), so
 * that each looks with its own secret before the last one refuses it.
 */
#include <string.h>

#include "inet/tcp/tcp_impl.h"

#define COOKIE_MINUTE_NS (60 * TCP_S_NS)
#define COOKIE_MINUTES 2u /* [MAX_SYNCOOKIE_AGE] */
#define COOKIE_LOW 0xffffffu

/* What the time stamp carries [TSBITS]. */
#define STAMP_MASK 0x3fu
#define STAMP_WSCALE 0x0fu
#define STAMP_NO_WSCALE 0x0fu
#define STAMP_SACK 0x10u
#define STAMP_ECN 0x20u

/* The sizes that nearly all peers have [msstab]; the largest that is not above the peer's counts.
 */
static const uint16_t mss_table[] = { 536, 1300, 1440, 1460 };

#define MSS_SIZES (sizeof(mss_table) / sizeof(mss_table[0]))

struct cookie_key {
	struct ipaddr local, remote;
	uint16_t local_port_be, remote_port_be;
	uint32_t purpose, minute, peer_seq;
};

_Static_assert(sizeof(struct cookie_key) == 2 * sizeof(struct ipaddr) + 16, "no padding");

/* seq: the peer's initial number. */
static uint32_t keyed(const struct worker *w, const struct tcp_seg *seg, uint32_t seq,
		      uint32_t purpose, uint32_t minute)
{
	struct cookie_key key = {
		.local = seg->local.addr,
		.remote = seg->remote.addr,
		.local_port_be = seg->local.port_be,
		.remote_port_be = seg->remote.port_be,
		.purpose = purpose,
		.minute = minute,
		.peer_seq = seq,
	};

	return (uint32_t)worker_hash(w, &key, sizeof(key));
}

static uint32_t minute_now(const struct worker *w)
{
	return (uint32_t)(w->now_ns / COOKIE_MINUTE_NS);
}

static uint32_t cookie_make(const struct worker *w, const struct tcp_seg *syn, uint32_t mss_index)
{
	uint32_t minute = minute_now(w), seq = syn->seq;

	return seq + keyed(w, syn, seq, 3, 0) + (minute << 24) +
	       ((keyed(w, syn, seq, 4, minute) + mss_index) & COOKIE_LOW);
}

/* The segment size that an ACK's cookie says, or 0: it is none of ours, or too old. */
static uint16_t cookie_mss(const struct worker *w, const struct tcp_seg *ack)
{
	uint32_t seq = ack->seq - 1, left = ack->ack - 1 - seq - keyed(w, ack, seq, 3, 0);
	uint32_t age = (minute_now(w) - (left >> 24)) & 0xff, index;

	if (age >= COOKIE_MINUTES)
		return 0;
	index = (left - keyed(w, ack, seq, 4, minute_now(w) - age)) & COOKIE_LOW;
	return index < MSS_SIZES ? mss_table[index] : 0;
}

static uint32_t mss_index_of(uint32_t mss)
{
	uint32_t i = MSS_SIZES - 1;

	while (i > 0 && mss_table[i] > mss)
		i--;
	return i;
}

/* Options that the cookie cannot carry are not agreed on. */
static void options_limit(struct tcp_pcb *child)
{
	if (child->flags & F_TS_OK)
		return;
	child->flags &= ~(F_SACK_OK | F_WSCALE_OK | F_ECN);
	child->snd_wscale = child->rcv_wscale = 0;
}

static uint32_t stamp_bits(const struct tcp_pcb *child)
{
	uint32_t bits = child->flags & F_WSCALE_OK ? child->snd_wscale : STAMP_NO_WSCALE;

	return bits | (child->flags & F_SACK_OK ? STAMP_SACK : 0) |
	       (child->flags & F_ECN ? STAMP_ECN : 0);
}

/* The newest time that ends in these bits and is not in the future. */
static uint32_t stamp_time(const struct worker *w, uint32_t bits)
{
	uint32_t now = tcp_ts_now(w, 0), at = (now & ~STAMP_MASK) | bits;

	return at > now ? at - (STAMP_MASK + 1) : at;
}

/* The SYN,ACK is that of a child which lives until it is sent. */
void tcp_cookie_syn(struct worker *w, struct tcp_pcb *listener, struct tcp_seg *seg)
{
	uint32_t mss = seg->mss ? seg->mss : TCP_DEFAULT_MSS;
	struct tcp_pcb child;

	memset(&child, 0, sizeof(child));
	tcp_pcb_begin(w, &child);
	tcp_child_fill(&child, listener, seg);
	if (tcp_route(w, &child) != 0) {
		tcp_listen_drop(w, listener->listen, seg, DROP_IP_OUTNOROUTES);
		return;
	}
	tcp_child_syn(w, &child, seg, cookie_make(w, seg, mss_index_of(mss)));
	options_limit(&child);
	child.ts_offset += stamp_time(w, stamp_bits(&child)) - tcp_ts_now(w, 0);
	listener->listen->cookie_ns = w->now_ns;
	tcp_mib(w, SyncookiesSent);
	tcp_xmit(w, &child, child.iss, 0, TCP_F_SYN | TCP_F_ACK);
	pkt_consume(w, seg->p, FATE_ABSORBED);
}

bool tcp_cookie_expected(const struct worker *w, const struct tcp_pcb *listener,
			 const struct tcp_seg *seg)
{
	uint64_t sent_ns = listener->listen->cookie_ns;

	return sent_ns && w->now_ns - sent_ns < COOKIE_MINUTES * COOKIE_MINUTE_NS &&
	       (seg->flags & (TCP_F_ACK | TCP_F_SYN | TCP_F_RST)) == TCP_F_ACK &&
	       w->tcp->params.tcp_syncookies;
}

/* The SYN that the peer must have sent. */
static struct tcp_seg syn_of(struct worker *w, const struct tcp_seg *ack, uint16_t mss)
{
	struct tcp_seg syn = {
		.seq = ack->seq - 1,
		.wnd = ack->wnd,
		.mss = mss,
		.flags = TCP_F_SYN,
		.has_ts = ack->has_ts,
		.ts_val = ack->ts_val,
		.local = ack->local,
		.remote = ack->remote,
	};
	uint32_t bits = (ack->ts_ecr - tcp_ts_offset(w, &ack->local, &ack->remote)) & STAMP_MASK;

	if (ack->has_ts) {
		syn.has_wscale = (bits & STAMP_WSCALE) != STAMP_NO_WSCALE;
		syn.wscale = bits & STAMP_WSCALE;
		syn.sack_ok = bits & STAMP_SACK;
		if (bits & STAMP_ECN)
			syn.flags |= TCP_F_ECE | TCP_F_CWR;
	}
	return syn;
}

bool tcp_cookie_ack(struct worker *w, struct tcp_pcb *listener, struct tcp_seg *seg)
{
	struct tcp_pcb *child;
	struct tcp_seg syn;
	uint16_t mss;

	if (likely(!tcp_cookie_expected(w, listener, seg)))
		return false;
	mss = cookie_mss(w, seg);
	if (!mss)
		return false;
	tcp_mib(w, SyncookiesRecv);
	syn = syn_of(w, seg, mss);
	child = tcp_child_new(w, listener, &syn);
	if (!child) {
		tcp_listen_drop(w, listener->listen, seg, DROP_NOMEM);
		return true;
	}
	if (tcp_route(w, child) != 0) {
		tcp_pcb_free(w, child);
		tcp_listen_drop(w, listener->listen, seg, DROP_IP_OUTNOROUTES);
		return true;
	}
	tcp_child_syn(w, child, &syn, seg->ack - 1);
	options_limit(child);
	tcp_rcv_window(w, child); /* which the SYN,ACK offered */
	tcp_last_ack(w, child, seg);
	/* Nothing is remembered of who found no room: it was only an ACK. */
	if (child->pub.state == TCP_SYN_RECEIVED)
		tcp_pcb_free(w, child);
	return true;
}
