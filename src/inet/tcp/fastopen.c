/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP Fast Open (RFC 7413): data in the SYN, which the program gets before the handshake is over.
 *
 * Server. A SYN that asks gets a cookie, a keyed hash of both addresses, in the SYN,ACK. One that
 * brings it (or where tcp_fastopen says that none is needed) makes a child that is ESTABLISHED at
 * once, in the accept queue, with its data, and may send. Its SYN,ACK, which acknowledges the data,
 * is not acknowledged yet (syn_unacked): until it is, the retransmission timer sends that and
 * nothing else, the peer may repeat its SYN, and the child is on its listener's list, which is as
 * long as TCP_FASTOPEN says. What a RST ends there still counts for a minute (section 5.1). No
 * cookie, a wrong one, no room: the usual handshake, and the data is left to be sent again.
 *
 * Client. Where a cookie of the peer is known the SYN waits for the first bytes that the program
 * writes (syn_waits), and takes what fits. They stay in the send ring and are not counted as sent:
 * what the SYN,ACK does not acknowledge is sent as if for the first time. A SYN that is sent again
 * has neither option nor data. Without a cookie the SYN asks for one and goes at once.
 *
 * Cookies that peers gave are in a table of a fixed size by address: a newer one takes the place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inet/tcp/tcp_impl.h"

/* The bits of tcp_fastopen [TFO_*]. */
#define FO_CLIENT 1
#define FO_SERVER 2
#define FO_CLIENT_NO_COOKIE 4
#define FO_SERVER_NO_COOKIE 0x200
#define FO_SERVER_ALL 0x400 /* listeners that did not ask, too */

#define FO_COOKIE_BYTES 8u /* of ours */
#define FO_PEERS 1024u	   /* power of two */
#define FO_RST_NS (60 * TCP_S_NS)

struct tcp_fo_peer {
	struct ipaddr local, remote;
	uint16_t mss;
	uint8_t cookie_len; /* 0: the place is free */
	uint8_t cookie[TCP_FO_COOKIE_MAX];
};

int tcp_fo_init(struct worker *w)
{
	struct tcp_stack *s = w->tcp;

	memcpy(s->fo_key, w->secret, sizeof(s->fo_key));
	tcp_slab_init(&s->fos, sizeof(struct tcp_fo), 64, TCP_MAX_PCBS);
	s->fo_peer = calloc(FO_PEERS, sizeof(*s->fo_peer));
	return s->fo_peer ? 0 : -ENOMEM;
}

void tcp_fo_free(struct worker *w)
{
	tcp_slab_free(&w->tcp->fos);
	free(w->tcp->fo_peer);
}

void tcp_fastopen_share(struct worker *w, const struct worker *from)
{
	memcpy(w->tcp->fo_key, from->tcp->fo_key, sizeof(w->tcp->fo_key));
}

static struct tcp_fo *fo_new(struct worker *w, struct tcp_pcb *pcb)
{
	if (tcp_slab_reserve(&w->tcp->fos, 1) == 0)
		pcb->fo = tcp_slab_get(&w->tcp->fos);
	return pcb->fo;
}

void tcp_fo_end(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_fo *fo = tcp_fo_of(pcb);

	pcb->pub.syn_waits = false;
	if (!fo)
		return;
	tcp_slab_put(&w->tcp->fos, fo);
	pcb->fo = NULL;
}

/* ---- server ---- */

void tcp_fastopen_keys_set(struct tcp_pcb *listener, const void *keys, uint32_t bytes)
{
	struct tcp_listener *l = listener->listen;

	l->fo_keys = (uint8_t)(bytes / TCP_FASTOPEN_KEY_BYTES);
	memcpy(l->fo_key, keys, l->fo_keys * TCP_FASTOPEN_KEY_BYTES);
}

static void cookie_make(const uint8_t *secret, const struct tcp_seg *seg,
			uint8_t cookie[FO_COOKIE_BYTES])
{
	const struct ipaddr key[2] = { seg->remote.addr, seg->local.addr };
	uint64_t hash = secret_hash(secret, key, sizeof(key));

	memcpy(cookie, &hash, FO_COOKIE_BYTES);
}

/* Is the segment's cookie ours? `give` becomes the one to give who has none. One by the second key
 * is good as long as there is that key: the SYN,ACK of an open connection brings no newer one. */
static bool cookie_judge(struct worker *w, const struct tcp_listener *l, const struct tcp_seg *seg,
			 uint8_t give[FO_COOKIE_BYTES])
{
	bool whole = seg->fo_len == FO_COOKIE_BYTES;
	uint8_t old[FO_COOKIE_BYTES];

	cookie_make(l->fo_keys ? l->fo_key[0] : w->tcp->fo_key, seg, give);
	if (whole && memcmp(seg->fo, give, FO_COOKIE_BYTES) == 0)
		return true;
	if (!whole || l->fo_keys < 2)
		return false;
	cookie_make(l->fo_key[1], seg, old);
	if (memcmp(seg->fo, old, FO_COOKIE_BYTES) != 0)
		return false;
	tcp_mib(w, TCPFastOpenPassiveAltKey);
	return true;
}

static uint32_t queue_max(const struct worker *w, const struct tcp_pcb *listener)
{
	if (listener->pub.fastopen)
		return listener->pub.fastopen;
	return w->tcp->params.tcp_fastopen & FO_SERVER_ALL ? listener->listen->backlog : 0;
}

static bool queue_room(struct worker *w, const struct tcp_pcb *listener)
{
	struct tcp_listener *l = listener->listen;
	uint32_t most = queue_max(w, listener);

	if (l->fo_n + l->fo_reset_n >= most && w->now_ns >= l->fo_reset_ns + FO_RST_NS)
		l->fo_reset_n = 0;
	if (l->fo_n + l->fo_reset_n < most)
		return true;
	tcp_mib(w, TCPFastOpenListenOverflow);
	return false;
}

static bool no_cookie_needed(const struct worker *w, const struct tcp_pcb *listener)
{
	return (w->tcp->params.tcp_fastopen & FO_SERVER_NO_COOKIE) ||
	       listener->pub.fastopen_no_cookie;
}

/* Give the program the connection and the data, then say so. Takes the packet. */
static void child_open(struct worker *w, struct tcp_pcb *listener, struct tcp_pcb *child,
		       struct tcp_seg *seg)
{
	struct tcp_seg ack = *seg;

	tcp_rcv_window(w, child);
	ack.ack = child->iss + 1;
	tcp_established(w, child, &ack);
	if (!tcp_synchronised(child)) {
		tcp_mib(w, TCPFastOpenPassiveFail);
		pkt_consume(w, seg->p, FATE_ABSORBED);
		return;
	}
	tcp_mib(w, TCPFastOpenPassive);
	child->syn_unacked = true;
	child->fo_data = seg->len != 0;
	child->unacked_since_ns = w->now_ns;
	tcp_half_open_add(listener, child);
	seg->seq++;
	seg->flags &= (uint8_t)~TCP_F_SYN;
	tcp_data(w, child, seg);
	child->flags |= F_RTT_TIMED;
	tcp_xmit(w, child, child->iss, 0, TCP_F_SYN | TCP_F_ACK);
	tcp_rtx_start(w, child);
}

bool tcp_fo_syn(struct worker *w, struct tcp_pcb *listener, struct tcp_pcb *child,
		struct tcp_seg *seg)
{
	uint8_t cookie[FO_COOKIE_BYTES];
	bool good, known;

	if (likely(!seg->has_fo && seg->len == 0))
		return false;
	if (seg->has_fo && seg->fo_len == 0)
		tcp_mib(w, TCPFastOpenCookieReqd);
	if (!(w->tcp->params.tcp_fastopen & FO_SERVER) || !queue_max(w, listener) ||
	    !queue_room(w, listener))
		return false;
	good = no_cookie_needed(w, listener);
	if (!good && !seg->has_fo)
		return false;
	known = cookie_judge(w, listener->listen, seg, cookie);
	if (!good && seg->fo_len) {
		good = known;
		if (!good)
			tcp_mib(w, TCPFastOpenPassiveFail);
	}
	if (good) {
		child_open(w, listener, child, seg);
		return true;
	}
	/* With the SYN,ACK that follows, once. */
	if (fo_new(w, child)) {
		child->fo->put = true;
		child->fo->cookie_len = FO_COOKIE_BYTES;
		memcpy(child->fo->cookie, cookie, FO_COOKIE_BYTES);
	}
	return false;
}

/* Any acknowledgment of the SYN,ACK ends the handshake. */
void tcp_fo_acked(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	if (tcp_seq_leq(seg->ack, pcb->iss) || tcp_seq_gt(seg->ack, pcb->snd_nxt))
		return;
	if (pcb->parent)
		tcp_half_open_remove(pcb);
	pcb->syn_unacked = false;
	pcb->retries = 0;
	tcp_rtt_syn(w, pcb);
	pcb->backoff = 0;
	pcb->unacked_since_ns = pcb->snd_una == pcb->snd_nxt ? 0 : w->now_ns;
	if (pcb->snd_una == pcb->snd_nxt)
		pcb->rtx_ns = 0;
	else
		tcp_rtx_start(w, pcb);
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
}

/* A SYN with a spoofed address costs its place for as long as one that nobody answers would. */
void tcp_fo_reset(struct worker *w, struct tcp_pcb *pcb)
{
	if (!pcb->parent)
		return;
	pcb->parent->listen->fo_reset_n++;
	pcb->parent->listen->fo_reset_ns = w->now_ns;
}

/* ---- client ---- */

static struct tcp_fo_peer *peer_place(const struct worker *w, const struct tcp_pcb *pcb)
{
	const struct ipaddr key[2] = { pcb->pub.local.addr, pcb->pub.remote.addr };

	return &w->tcp->fo_peer[worker_hash(w, key, sizeof(key)) & (FO_PEERS - 1)];
}

static bool peer_is(const struct tcp_fo_peer *peer, const struct tcp_pcb *pcb)
{
	return peer->cookie_len && ipaddr_equal(&peer->local, &pcb->pub.local.addr) &&
	       ipaddr_equal(&peer->remote, &pcb->pub.remote.addr);
}

/* Something on the way eats SYNs with data [tcp_fastopen_active_disable]: none for a while, each
 * time for twice as long. */
static void black_hole(struct worker *w)
{
	struct tcp_stack *s = w->tcp;
	uint64_t pause_ns = (uint64_t)s->params.tcp_fastopen_blackhole_timeout_sec * TCP_S_NS;

	if (!pause_ns)
		return;
	tcp_mib(w, TCPFastOpenBlackhole);
	s->fo_off_ns = w->now_ns + (pause_ns << tcp_min(s->fo_off_times, 6));
	s->fo_off_times++;
}

bool tcp_fo_connect(struct worker *w, struct tcp_pcb *pcb)
{
	int32_t allowed = w->tcp->params.tcp_fastopen;
	struct tcp_fo_peer *peer;

	if (!(allowed & FO_CLIENT) || w->now_ns < w->tcp->fo_off_ns || !fo_new(w, pcb))
		return false;
	peer = peer_place(w, pcb);
	if ((allowed & FO_CLIENT_NO_COOKIE) || pcb->pub.fastopen_no_cookie) {
		pcb->fo->mss = peer_is(peer, pcb) ? peer->mss : 0;
	} else if (peer_is(peer, pcb)) {
		pcb->fo->put = true;
		pcb->fo->mss = peer->mss;
		pcb->fo->cookie_len = peer->cookie_len;
		memcpy(pcb->fo->cookie, peer->cookie, sizeof(peer->cookie));
	} else {
		pcb->fo->put = true;
		pcb->fo_fail = TCP_FO_COOKIE_UNAVAILABLE;
		return false;
	}
	pcb->pub.syn_waits = true;
	return true;
}

/* What a SYN has room for: the options may need all of theirs. The peer may have said anything. */
static uint32_t syn_room(const struct tcp_pcb *pcb)
{
	uint32_t mss = pcb->fo->mss ? pcb->fo->mss : TCP_DEFAULT_MSS;

	return tcp_max(tcp_min(mss, pcb->adv_mss), TCP_MIN_SND_MSS) - TCP_OPTIONS_MAX_BYTES;
}

void tcp_fo_send(struct worker *w, struct tcp_pcb *pcb)
{
	pcb->pub.syn_waits = false;
	tcp_snd_map(pcb);
	pcb->fo->data = tcp_min(byte_ring_used(&pcb->pub.snd), syn_room(pcb));
	pcb->unacked_since_ns = pcb->last_rcv_ns = w->now_ns;
	tcp_xmit(w, pcb, pcb->iss, pcb->fo->data, TCP_F_SYN);
	tcp_rtx_start(w, pcb);
}

void tcp_fo_timeout(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->pub.state == TCP_SYN_SENT && pcb->fo && pcb->retries == 2)
		black_hole(w);
}

static void peer_learn(struct worker *w, const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	struct tcp_fo_peer *peer = peer_place(w, pcb);

	if (!seg->has_fo || seg->fo_len == 0)
		return; /* nor is it forgotten: the SYN may have been one that was sent again */
	peer->local = pcb->pub.local.addr;
	peer->remote = pcb->pub.remote.addr;
	peer->mss = seg->mss ? seg->mss : TCP_DEFAULT_MSS;
	peer->cookie_len = seg->fo_len;
	memcpy(peer->cookie, seg->fo, seg->fo_len);
}

void tcp_fo_syn_ack(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	uint32_t acked = seg->ack - (pcb->iss + 1);

	if (likely(!pcb->fo))
		return;
	peer_learn(w, pcb, seg);
	if (acked) {
		tcp_mib(w, TCPFastOpenActive);
		w->tcp->fo_off_times = 0;
		pcb->fo_data = true;
		pcb->snd_nxt = seg->ack;
		pcb->pub.snd.head += acked;
		pcb->bytes_acked += acked;
		pcb->delivered_bytes += acked;
		pcb->flags |= F_ACKED;
	} else if (pcb->fo->data) {
		tcp_mib(w, TCPFastOpenActiveFail);
		pcb->fo_fail = pcb->total_retrans ? TCP_FO_SYN_RETRANSMITTED
						  : TCP_FO_DATA_NOT_ACKED;
	}
	tcp_fo_end(w, pcb);
}

/* ---- the option ---- */

uint32_t tcp_fo_option(struct tcp_pcb *pcb, uint8_t *opt, uint32_t room)
{
	uint32_t n = 2u + pcb->fo->cookie_len, bytes = (n + 3) & ~3u;

	if (!pcb->fo->put || bytes > room)
		return 0;
	pcb->fo->put = false;
	opt[0] = TCP_OPT_FASTOPEN;
	opt[1] = (uint8_t)n;
	memcpy(opt + 2, pcb->fo->cookie, pcb->fo->cookie_len);
	memset(opt + n, TCP_OPT_NOP, bytes - n);
	return bytes;
}
