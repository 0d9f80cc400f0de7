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

#include "inet/tcp/tcp_impl.h"

/* The ring came: fix how its positions and sequence numbers relate. */
void tcp_snd_map(struct tcp_pcb *pcb)
{
	if ((pcb->flags & F_SND_MAPPED) || !pcb->pub.snd.data)
		return;
	pcb->snd_base = pcb->iss + 1 - pcb->pub.snd.head;
	pcb->flags |= F_SND_MAPPED;
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

	if (room < 2 * mss || !pcb->flow.port ||
	    !(pcb->flow.port->caps & (PORT_CAP_TX_TSO4 | PORT_CAP_LOOP)))
		return mss;
	/* The loopback's segment is nearly as large as a packet can be. */
	return room < mss ? mss : room - room % mss;
}

static uint32_t segment_mss(const struct tcp_pcb *pcb)
{
	return pcb->snd_mss + (pcb->flags & F_TS_OK ? 12u : 0u) - tcp_options_len(pcb);
}

/* [seq, seq + len) of what was sent before. */
static int retransmit(struct worker *w, struct tcp_pcb *pcb, uint32_t seq, uint32_t len)
{
	uint32_t end = tcp_data_end(pcb), max = packet_max(pcb, segment_mss(pcb));
	uint8_t flags = TCP_F_ACK;
	uint32_t bytes;
	int err;

	len = tcp_min(len, max);
	bytes = tcp_seq_lt(seq, end) ? tcp_min(len, end - seq) : 0;
	if ((pcb->flags & F_FIN_SENT) && seq + bytes == end && (len > bytes || len < max))
		flags |= TCP_F_FIN;
	if (bytes && seq + bytes == end)
		flags |= TCP_F_PSH;
	pcb->flags &= ~F_RTT_TIMED; /* Karn: it is no longer clear which one is acknowledged */
	err = tcp_xmit(w, pcb, seq, bytes, flags);
	if (err == -ENOBUFS)
		return err;
	pcb->total_retrans++;
	pcb->bytes_retrans += bytes;
	pcb->head_mark = pcb->snd_nxt;
	if (tcp_seq_gt(seq + bytes + !!(flags & TCP_F_FIN), pcb->high_rxt))
		pcb->high_rxt = seq + bytes + !!(flags & TCP_F_FIN);
	return 0;
}

/* Lost segments, while the pipe has room. False: no room, or no buffers; the new has to wait. */
static bool output_lost(struct worker *w, struct tcp_pcb *pcb, uint32_t *pipe)
{
	uint32_t seq, len;

	if (pcb->flags & F_HEAD_AGAIN) {
		pcb->flags &= ~F_HEAD_AGAIN;
		if (retransmit(w, pcb, pcb->snd_una, segment_mss(pcb)) != 0)
			return false;
	}
	while (tcp_next_lost(pcb, &seq, &len)) {
		uint32_t mss = segment_mss(pcb);

		if (*pipe + mss > pcb->cwnd && !(pcb->flags & F_FORCE_RXT))
			return false;
		if (*pipe + mss < pcb->cwnd)
			len = tcp_min(len, tcp_max(mss, (pcb->cwnd - *pipe) / mss * mss));
		else
			len = tcp_min(len, mss);
		if (pcb->flags & F_FORCE_RXT)
			len = tcp_min(len, mss);
		/* What the peer took back of its window may be asked about, but not filled. */
		if (seq != pcb->snd_una && tcp_seq_gt(seq + len, pcb->snd_una + pcb->snd_wnd))
			return false;
		if (retransmit(w, pcb, seq, len) != 0)
			return false;
		pcb->flags &= ~F_FORCE_RXT;
		*pipe = tcp_pipe(pcb);
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
	if (pcb->pub.cork && !(pcb->flags & F_FIN_QUEUED))
		return false;
	if (pcb->pub.nodelay || (pcb->flags & F_FIN_QUEUED))
		return true;
	return tcp_seq_leq(pcb->snd_small, pcb->snd_una); /* none such is on the way */
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
	uint64_t idle_ns = w->now_ns - pcb->last_snd_ns, rto_ns = tcp_rto_ns(pcb);
	uint32_t initial = TCP_INIT_CWND_SEGMENTS * pcb->snd_mss;

	if (pcb->snd_una != pcb->snd_nxt || !pcb->last_snd_ns || idle_ns <= rto_ns)
		return;
	if (pcb->cwnd > pcb->ssthresh * 3ull / 4)
		pcb->ssthresh = tcp_max(pcb->ssthresh, pcb->cwnd / 4 * 3);
	for (; idle_ns > rto_ns && pcb->cwnd > initial; idle_ns -= rto_ns)
		pcb->cwnd /= 2;
	pcb->cwnd = tcp_max(pcb->cwnd, initial);
}

static void rtt_begin(struct worker *w, struct tcp_pcb *pcb, uint32_t end)
{
	if ((pcb->flags & F_RTT_TIMED) || pcb->recovery != TCP_OPEN)
		return;
	pcb->rtt_seq = end - 1;
	pcb->rtt_start_ns = w->now_ns;
	pcb->flags |= F_RTT_TIMED;
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
	err = tcp_xmit(w, pcb, pcb->snd_nxt, len, flags);
	if (err == -ENOBUFS)
		return err;
	if (pcb->snd_una == pcb->snd_nxt)
		pcb->unacked_since_ns = w->now_ns;
	if (len % segment_mss(pcb))
		pcb->snd_small = end;
	if (fin) {
		pcb->flags |= F_FIN_SENT;
		end++;
	}
	rtt_begin(w, pcb, end);
	pcb->snd_nxt = end;
	return 0;
}

static bool fin_waits(const struct tcp_pcb *pcb)
{
	return (pcb->flags & (F_FIN_QUEUED | F_FIN_SENT)) == F_FIN_QUEUED &&
	       pcb->snd_nxt == pcb->fin_seq;
}

/* Returns false where buffers ran out. */
static bool output_fresh(struct worker *w, struct tcp_pcb *pcb, uint32_t pipe)
{
	uint32_t len;

	pcb->flags &= ~F_CWND_LIMITED;
	while ((len = next_len(pcb, pipe)) > 0) {
		if (output_new(w, pcb, len) != 0)
			return false;
		pipe += len;
	}
	if (pipe + pcb->snd_mss > pcb->cwnd || pipe * 2 > pcb->cwnd)
		pcb->flags |= F_CWND_LIMITED;
	/* The FIN alone: it needs no room in the windows' sense that matters. */
	if (fin_waits(pcb))
		return output_new(w, pcb, 0) == 0;
	return true;
}

void tcp_output(struct worker *w, struct tcp_pcb *pcb)
{
	bool enough = true;
	uint32_t pipe;

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
	pipe = tcp_pipe(pcb);
	if (pcb->recovery == TCP_OPEN || output_lost(w, pcb, &pipe))
		enough = output_fresh(w, pcb, pipe);
	pcb->flags &= ~F_PUSH_NOW;
	if (pcb->snd_una != pcb->snd_nxt) {
		if (!pcb->rtx_ns || (pcb->flags & F_PERSIST))
			tcp_rtx_start(w, pcb);
	} else if (!enough || pcb->snd_nxt != tcp_data_end(pcb) || fin_waits(pcb)) {
		if (!pcb->rtx_ns) {
			pcb->unacked_since_ns = w->now_ns;
			tcp_persist_start(w, pcb);
		}
	}
}
