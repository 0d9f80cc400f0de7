/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may be sent now, is: first what was lost, then what is new, then the FIN.
 *
 * A new segment must fit the peer's window and the congestion window. A full one always goes; a
 * small one goes when it is all there is and Nagle's rule in Minshall's form agrees (no small
 * segment is unacknowledged), or TCP_NODELAY, or the FIN follows; never because a window cut it
 * short, unless that is half of the largest window ever seen (RFC 9293 section 3.8.6.2.1). Where
 * nothing is on the way and something waits, the persist timer looks again.
 */
#include <errno.h>

#include "inet/tcp/recovery.h"

/* The ring came: fix how its positions and sequence numbers relate. */
void tcp_snd_map(struct tcp_pcb *pcb)
{
	if ((pcb->flags & F_SND_MAPPED) || !pcb->pub.snd.data)
		return;
	pcb->snd_base = pcb->iss + 1 - pcb->pub.snd.head;
	pcb->flags |= F_SND_MAPPED;
}

uint32_t tcp_unsent(const struct tcp_pcb *pcb)
{
	int32_t unsent = (int32_t)(tcp_data_end(pcb) - pcb->snd_nxt);

	if (!(pcb->flags & F_SND_MAPPED))
		return byte_ring_used(&pcb->pub.snd);
	return unsent > 0 ? (uint32_t)unsent : 0;
}

uint32_t tcp_data_end(const struct tcp_pcb *pcb)
{
	if (pcb->flags & F_FIN_QUEUED)
		return pcb->fin_seq;
	return pcb->flags & F_SND_MAPPED ? pcb->snd_base + pcb->pub.snd.tail : pcb->iss + 1;
}

/* Bytes of TCP payload that one packet may carry. */
static uint32_t packet_max(const struct tcp_pcb *pcb, uint32_t mss)
{
	uint32_t room = TCP_GSO_MAX_BYTES - IP4_TCP_MAX_HDR_BYTES;

	/* Who cuts the packet knows nothing of urgent pointers. */
	if (room < 2 * mss || !pcb->flow.port || (pcb->flags & F_SND_URG) ||
	    !(pcb->flow.port->caps & (PORT_CAP_TX_TSO4 | PORT_CAP_LOOP)))
		return mss;
	/* The loopback's segment is nearly as large as a packet can be. */
	return room < mss ? mss : room - room % mss;
}

static uint32_t segment_mss(const struct tcp_pcb *pcb)
{
	return pcb->snd_mss + (pcb->flags & F_TS_OK ? 12u : 0u) - tcp_options_len(pcb);
}

static void resent_account(struct worker *w, struct tcp_pcb *pcb, struct tcp_sent *r)
{
	uint32_t len = r->end - r->start;

	r->rxt_ts = tcp_ts_now(w, pcb->ts_offset);
	if (!pcb->rxt_ts_set) {
		pcb->rxt_ts_set = true;
		pcb->rxt_ts = r->rxt_ts;
	}
	tcp_rate_sent(w, pcb, r, pcb->flight_bytes == 0);
	tcp_sent_state(pcb, r, SENT_OUT);
	r->flags |= SENT_RXT;
	pcb->undo_rxt = true;
	pcb->undo_rxt_bytes += len;
	pcb->prr_out += len;
	if (pcb->flags & F_PACED)
		tcp_pace_sent(w, pcb, len);
	pcb->total_retrans += (len + pcb->snd_mss - 1) / pcb->snd_mss;
	pcb->bytes_retrans += len;
	if (pcb->recovery == TCP_RECOVERY)
		tcp_mib_add(w, TCPFastRetrans, tcp_segments(pcb, len));
	else if (pcb->recovery == TCP_LOSS)
		tcp_mib_add(w, TCPSlowStartRetrans, tcp_segments(pcb, len));
}

/* The record again, max bytes of it at most. 0 or -errno. */
static int retransmit(struct worker *w, struct tcp_pcb *pcb, struct tcp_sent_at *at, uint32_t max)
{
	struct tcp_sent *r = tcp_sent_of(at);
	uint32_t data_end = tcp_data_end(pcb), start = r->start, end = r->end, bytes;
	uint8_t flags = TCP_F_ACK;
	int err;

	if (pcb->mtu_probe)
		tcp_mtu_probe_cancel(pcb);
	if (end - start > max) {
		end = start + max;
		if (tcp_sent_split(w, pcb, at, end))
			r = tcp_sent_of(at);
	}
	bytes = tcp_seq_gt(end, data_end) ? data_end - start : end - start;
	if (tcp_seq_gt(end, data_end))
		flags |= TCP_F_FIN;
	if (bytes && start + bytes == data_end)
		flags |= TCP_F_PSH;
	err = tcp_xmit(w, pcb, start, bytes, flags);
	if (err != -ENOBUFS)
		resent_account(w, pcb, r);
	return err == -ENOBUFS ? err : 0;
}

/* Lost segments, while the pipe has room. False: no room, or no buffers; the new has to wait. */
static bool output_lost(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_sent_at at = tcp_sent_first(pcb);

	for (; at.block && pcb->lost_bytes; tcp_sent_next(&at)) {
		const struct tcp_sent *r = tcp_sent_of(&at);
		uint32_t mss = segment_mss(pcb), pipe = tcp_pipe(pcb), room;
		bool head;

		if (!(r->flags & SENT_LOST))
			continue;
		room = pcb->cwnd > pipe ? pcb->cwnd - pipe : 0;
		if (room < mss && room < r->end - r->start)
			return false;
		/* What the peer took back of its window may be asked about, but not filled. */
		if (r->start != pcb->snd_una &&
		    tcp_seq_gt(r->start + mss, pcb->snd_una + pcb->snd_wnd))
			return false;
		room = room < mss ? mss : room / mss * mss;
		if (pcb->flags & F_PACED)
			room = tcp_min(room, tcp_pace_room(w, pcb, mss));
		if (!room)
			return false;
		head = r->start == pcb->snd_una;
		if (retransmit(w, pcb, &at, tcp_min(room, packet_max(pcb, mss))) != 0)
			return false;
		/* A probe's time is over, too. */
		if (head && pcb->rtx_kind != TCP_RTX_REO)
			tcp_rtx_start(w, pcb);
	}
	return true;
}

/* May a segment that is not full go? len is what the windows allow of avail. */
static bool small_may_go(const struct tcp_pcb *pcb, uint32_t len, uint32_t avail, uint32_t window)
{
	if (len < avail) {
		/* cut short by a window: silly, unless it is the peer's and it is small for good */
		return len == window && len >= pcb->snd_max_wnd / 2 && len > 0;
	}
	if ((pcb->flags & F_SND_URG) && tcp_urgent_mode(pcb))
		return true;
	if (pcb->pub.cork && !(pcb->flags & F_FIN_QUEUED))
		return false;
	if (pcb->pub.nodelay || (pcb->flags & F_FIN_QUEUED))
		return true;
	/* None such is on the way: acknowledged, or so long ago that the numbers went round. */
	return tcp_seq_leq(pcb->snd_small, pcb->snd_una) ||
	       tcp_seq_gt(pcb->snd_small, pcb->snd_nxt);
}

/* How many new bytes to put into the next packet: 0 for none. */
static uint32_t next_len(const struct tcp_pcb *pcb, uint32_t pipe)
{
	uint32_t avail = tcp_data_end(pcb) - pcb->snd_nxt, mss = segment_mss(pcb);
	int32_t window = (int32_t)(pcb->snd_una + pcb->snd_wnd - pcb->snd_nxt);
	uint32_t room = pcb->cwnd > pipe ? pcb->cwnd - pipe : 0;
	uint32_t len;

	if (window <= 0 || (int32_t)avail <= 0)
		return 0;
	if (room < mss && room < avail && pipe)
		return 0;
	len = tcp_min(avail, tcp_min((uint32_t)window, room));
	len = tcp_min(len, packet_max(pcb, mss));
	if (len == 0 || (pcb->flags & F_PUSH_NOW))
		return len;
	if (len % mss == 0)
		return len;
	if (len < mss)
		return small_may_go(pcb, len, avail, (uint32_t)window) ? len : 0;
	/* Full segments and a rest: the rest only if it could go alone. */
	if (len == avail && small_may_go(pcb, len % mss, len % mss, (uint32_t)window) &&
	    (pcb->pub.nodelay || (pcb->flags & F_FIN_QUEUED)))
		return len;
	return len - len % mss;
}

/* RFC 2861, as Linux does it: after a pause the window is not what the path was seen to carry. */
static void restart_after_idle(struct worker *w, struct tcp_pcb *pcb)
{
	uint64_t idle_ns = w->now_ns - pcb->last_snd_ns, rto_ns = tcp_rto_ns(w, pcb);
	uint32_t initial = TCP_INIT_CWND_SEGMENTS * pcb->snd_mss;

	if (pcb->snd_una != pcb->snd_nxt || !pcb->last_snd_ns || idle_ns <= rto_ns ||
	    !w->tcp->params.tcp_slow_start_after_idle || pcb->cc->control)
		return;
	if (pcb->cwnd > pcb->ssthresh * 3ull / 4)
		pcb->ssthresh = tcp_max(pcb->ssthresh, pcb->cwnd / 4 * 3);
	for (; idle_ns > rto_ns && pcb->cwnd > initial; idle_ns -= rto_ns)
		pcb->cwnd /= 2;
	pcb->cwnd = tcp_max(pcb->cwnd, initial);
}

/* Is there room for one more record? */
static bool record_ready(const struct worker *w, const struct tcp_pcb *pcb)
{
	const struct tcp_sent_block *b = pcb->sent_tail;

	if (b && b->first + b->n < TCP_SENT_PER_BLOCK)
		return true;
	if (w->tcp->sent.free && pcb->sent_blocks < TCP_SENT_BLOCKS_MAX)
		return true;
	return b && (tcp_sent_last(pcb)->flags & SENT_OUT);
}

static void sent_record(struct worker *w, struct tcp_pcb *pcb, uint32_t end)
{
	bool idle = pcb->snd_una == pcb->snd_nxt;
	struct tcp_sent *r = tcp_sent_add(w, pcb, pcb->snd_nxt, end);

	if (idle && pcb->cc->event)
		pcb->cc->event(w, pcb, TCP_CC_SEND_IDLE);
	tcp_rate_sent(w, pcb, r, idle);
	if (pcb->flags & F_PACED)
		tcp_pace_sent(w, pcb, end - pcb->snd_nxt);
	pcb->prr_out += end - pcb->snd_nxt;
}

/* One packet of new data. */
static int output_new(struct worker *w, struct tcp_pcb *pcb, uint32_t len)
{
	uint32_t end = pcb->snd_nxt + len, data_end = tcp_data_end(pcb);
	bool fin = (pcb->flags & F_FIN_QUEUED) && end == data_end && !(pcb->flags & F_FIN_SENT);
	uint8_t flags = TCP_F_ACK;
	int err;

	if (len && end == data_end)
		flags |= TCP_F_PSH;
	if (fin)
		flags |= TCP_F_FIN;
	if (!record_ready(w, pcb))
		return -ENOBUFS;
	err = tcp_xmit(w, pcb, pcb->snd_nxt, len, flags);
	if (err == -ENOBUFS)
		return err;
	if (pcb->snd_una == pcb->snd_nxt)
		pcb->unacked_since_ns = w->now_ns;
	if (len % segment_mss(pcb) && !(pcb->mtu_probe && tcp_mtu_probe_is(pcb, pcb->snd_nxt, len)))
		pcb->snd_small = end;
	if (fin) {
		pcb->flags |= F_FIN_SENT;
		end++;
	}
	sent_record(w, pcb, end);
	pcb->snd_nxt = end;
	return 0;
}

static bool fin_waits(const struct tcp_pcb *pcb)
{
	return (pcb->flags & (F_FIN_QUEUED | F_FIN_SENT)) == F_FIN_QUEUED &&
	       pcb->snd_nxt == pcb->fin_seq;
}

/* Nothing more to send, though the windows would let it: samples of the rate say too little. A ring
 * that is nearly full is no such case: there the program waits for us. */
static void app_limited(struct tcp_pcb *pcb, uint32_t pipe)
{
	const struct byte_ring *snd = &pcb->pub.snd;

	if (pcb->snd_nxt == tcp_data_end(pcb) && pipe + pcb->snd_mss <= pcb->cwnd &&
	    !pcb->lost_bytes && byte_ring_used(snd) < snd->size_bytes / 4 * 3)
		pcb->app_limited_bytes = tcp_max64(pcb->delivered_bytes + pipe, 1);
}

/* False: what is new waits for a probe of the path's size, or buffers ran out (*enough). */
static bool output_mtu_probe(struct worker *w, struct tcp_pcb *pcb, bool *enough)
{
	uint32_t len;

	switch (tcp_mtu_probe_next(w, pcb, &len)) {
	case TCP_MTU_PROBE_WAIT:
		return false;
	case TCP_MTU_PROBE_NOW:
		*enough = output_new(w, pcb, len) == 0;
		if (!*enough)
			tcp_mtu_probe_cancel(pcb);
		return *enough;
	default:
		return true;
	}
}

/* Was cwnd full at some time of this window? Else: how much was on the way at most? What holds is
 * kept for a round trip, for after each ACK there is room for a moment [tcp_cwnd_validate]. */
static void cwnd_validate(struct tcp_pcb *pcb, uint32_t pipe)
{
	uint32_t out = pcb->snd_nxt - pcb->snd_una;
	bool full = pipe + pcb->snd_mss > pcb->cwnd;

	if (!full && tcp_seq_lt(pcb->snd_una, pcb->out_seq) &&
	    ((pcb->flags & F_CWND_LIMITED) || out <= pcb->out_max))
		return;
	pcb->flags &= ~F_CWND_LIMITED;
	if (full)
		pcb->flags |= F_CWND_LIMITED;
	pcb->out_max = out;
	pcb->out_seq = pcb->snd_nxt;
}

/* Slow start may get to twice what was on the way [tcp_is_cwnd_limited]; after it only a window
 * that was full grows: what was not tried is not known to be there (RFC 7661 section 4.1). */
bool tcp_cwnd_used(const struct tcp_pcb *pcb)
{
	if (pcb->flags & F_CWND_LIMITED)
		return true;
	return pcb->cwnd < pcb->ssthresh && pcb->cwnd < 2 * pcb->out_max;
}

/* Returns false where buffers ran out. */
static bool output_fresh(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t len, pipe, before = pcb->snd_nxt;
	bool enough = true;

	if (pcb->mtu_probe && !output_mtu_probe(w, pcb, &enough)) {
		pcb->flags |= F_CWND_LIMITED;
		return enough;
	}
	while ((len = next_len(pcb, tcp_pipe(pcb))) > 0) {
		if (pcb->flags & F_PACED)
			len = tcp_min(len, tcp_pace_room(w, pcb, segment_mss(pcb)));
		if (!len)
			break;
		if (output_new(w, pcb, len) != 0)
			return false;
	}
	pipe = tcp_pipe(pcb);
	if (pcb->snd_nxt != before || pipe + pcb->snd_mss > pcb->cwnd)
		cwnd_validate(pcb, pipe);
	app_limited(pcb, pipe);
	/* The FIN alone: it needs no room in the windows' sense that matters. */
	if (fin_waits(pcb))
		return output_new(w, pcb, 0) == 0;
	return true;
}

/* F-RTO's new data goes before the lost; where there is none, the lost after all. */
static bool output_frto(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t before = pcb->snd_nxt;
	bool enough;

	pcb->frto_new = false;
	pcb->cwnd = tcp_max(pcb->cwnd, tcp_pipe(pcb) + 2u * pcb->snd_mss);
	enough = output_fresh(w, pcb);
	if (pcb->snd_nxt == before)
		pcb->frto = false;
	return enough;
}

static bool output_all(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->frto_new) {
		bool enough = output_frto(w, pcb);

		if (pcb->frto || !enough)
			return enough;
	}
	if (pcb->lost_bytes && !output_lost(w, pcb))
		return true;
	return output_fresh(w, pcb);
}

/* What runs now that something is on the way: a probe's timer, or the time-out. */
static void timer_start(struct worker *w, struct tcp_pcb *pcb, bool news)
{
	bool none = !pcb->rtx_ns || (pcb->flags & F_PERSIST);

	if (news && (none || pcb->rtx_kind == TCP_RTX_TLP) && tcp_tlp_schedule(w, pcb))
		return;
	if (none)
		tcp_rtx_start(w, pcb);
}

static void output(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t before;
	bool enough;

	tcp_snd_map(pcb);
	if (pcb->snd_una == pcb->snd_nxt && pcb->snd_nxt == tcp_data_end(pcb) &&
	    !(pcb->flags & F_FIN_QUEUED))
		return;
	if (tcp_route(w, pcb) != 0) {
		/* No way for now: the timer tries again. */
		pcb->soft_error = ENETUNREACH;
		tcp_persist_start(w, pcb);
		return;
	}
	restart_after_idle(w, pcb);
	before = pcb->snd_nxt;
	enough = output_all(w, pcb);
	pcb->flags &= ~F_PUSH_NOW;
	if (pcb->pub.tell_sent && before != pcb->snd_nxt)
		w->tcp->up->tcp_acked(w, pcb);
	if (pcb->flags & F_PACED)
		pcb->pace_burst = 0;
	if (pcb->snd_una != pcb->snd_nxt) {
		timer_start(w, pcb, before != pcb->snd_nxt);
	} else if (!enough || pcb->snd_nxt != tcp_data_end(pcb) || fin_waits(pcb)) {
		if (!pcb->rtx_ns && !(pcb->flags & F_PACE_WAIT)) {
			pcb->unacked_since_ns = w->now_ns;
			tcp_persist_start(w, pcb);
		}
	}
}

void tcp_output(struct worker *w, struct tcp_pcb *pcb)
{
	output(w, pcb);
	tcp_chrono(w, pcb);
}

bool tcp_output_probe(struct worker *w, struct tcp_pcb *pcb)
{
	int32_t window = (int32_t)(pcb->snd_una + pcb->snd_wnd - pcb->snd_nxt);
	uint32_t avail = tcp_data_end(pcb) - pcb->snd_nxt, mss = segment_mss(pcb);
	struct tcp_sent_at at;

	if (tcp_route(w, pcb) != 0)
		return false;
	if ((int32_t)avail > 0 && window > 0 && !fin_waits(pcb))
		return output_new(w, pcb, tcp_min(tcp_min(avail, mss), (uint32_t)window)) == 0;
	at = tcp_sent_find(pcb, pcb->snd_nxt - 1);
	if (!at.block || !(tcp_sent_of(&at)->flags & SENT_OUT))
		return false;
	if (tcp_sent_of(&at)->end - tcp_sent_of(&at)->start > mss) {
		if (!tcp_sent_split(w, pcb, &at, tcp_sent_of(&at)->end - mss))
			return false;
		tcp_sent_next(&at);
	}
	return retransmit(w, pcb, &at, mss) == 0;
}
