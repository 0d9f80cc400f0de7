/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How large the receive buffer is.
 *
 * It begins at tcp_rmem[1] and grows up to tcp_rmem[2], unless SO_RCVBUF said how large it
 * is to be (dynamic right-sizing [tcp_rcv_space_adjust]): once a round trip we look at how much the
 * program has read in it; the window has to be twice that, for the sender may double what it sends.
 * The round trip is known from the time stamps that come back on data, or from how long a whole
 * window of data takes [rcv_rtt_est]. A program that does not read lets nothing grow. The ring
 * itself is the socket layer's to change (tcp_grow_rcv); till it has the window keeps to the old.
 */
#include "inet/tcp/tcp_impl.h"

#define RTT_SAMPLE_MAX_MS 100000u /* a time stamp that is older says nothing */

static struct tcp_rcvq *rcvq_new(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_rcvq *q = tcp_slab_get(&w->tcp->rcvqs);

	if (!q)
		return NULL;
	q->ssthresh = tcp_max(tcp_rcv_ssthresh(pcb), pcb->rcv_adv - pcb->rcv_nxt);
	q->space = tcp_min(q->ssthresh, TCP_INIT_CWND_SEGMENTS * pcb->adv_mss);
	q->seq = pcb->rcv_nxt - byte_ring_used(&pcb->pub.rcv);
	q->start_ns = w->now_ns;
	pcb->rcvq = q;
	return q;
}

void tcp_rcvq_free(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->rcvq)
		tcp_slab_put(&w->tcp->rcvqs, pcb->rcvq);
	pcb->rcvq = NULL;
}

/* Of time stamps: the mean. Of windows: the least, for a sender that pauses is no long path. */
static void rtt_update(struct tcp_rcvq *q, uint64_t us, bool of_window)
{
	uint32_t m = (uint32_t)tcp_min64(us ? us : 1, RTT_SAMPLE_MAX_MS * 1000ull);

	if (q->rtt_us8 && !of_window)
		q->rtt_us8 += m - q->rtt_us8 / 8;
	else if (!q->rtt_us8 || m * 8 < q->rtt_us8)
		q->rtt_us8 = m * 8;
}

static void rtt_by_stamp(const struct worker *w, const struct tcp_pcb *pcb, struct tcp_rcvq *q,
			 const struct tcp_seg *seg)
{
	uint32_t ms = tcp_ts_now(w, pcb->ts_offset) - seg->ts_ecr;

	if (!(pcb->flags & F_TS_OK) || !seg->has_ts || seg->ts_ecr == q->rtt_ecr)
		return;
	q->rtt_ecr = seg->ts_ecr;
	/* A small segment may have waited for more to come. */
	if (seg->len >= pcb->rcv_mss && ms < RTT_SAMPLE_MAX_MS)
		rtt_update(q, (ms ? ms : 1) * 1000ull, false);
}

static void rtt_by_window(const struct worker *w, const struct tcp_pcb *pcb, struct tcp_rcvq *q)
{
	if (q->rtt_start_ns) {
		if (tcp_seq_lt(pcb->rcv_nxt, q->rtt_seq))
			return;
		rtt_update(q, (w->now_ns - q->rtt_start_ns) / 1000, true);
	}
	q->rtt_seq = pcb->rcv_adv;
	q->rtt_start_ns = w->now_ns;
}

void tcp_rcvq_data(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg, uint32_t len)
{
	struct tcp_rcvq *q = pcb->rcvq ? pcb->rcvq : rcvq_new(w, pcb);
	uint32_t most;

	if (!q)
		return;
	rtt_by_stamp(w, pcb, q, seg);
	rtt_by_window(w, pcb, q);
	most = tcp_rcv_free(pcb);
	if (len >= 128 && q->ssthresh < most)
		q->ssthresh += tcp_min(most - q->ssthresh, 2 * tcp_max(pcb->adv_mss, len));
}

/* The window for a program that read so much in the last round trip, and less in the one before. */
static uint32_t space_for(const struct tcp_pcb *pcb, uint32_t copied, uint32_t before)
{
	uint64_t wnd = 2ull * copied + 16ull * pcb->adv_mss;

	/* It grows: by as much again, for what is on its way already. */
	wnd += 2 * (wnd * (copied - before) / before);
	return (uint32_t)tcp_min64(wnd, UINT32_MAX / 2);
}

void tcp_rcv_space_adjust(struct worker *w, struct tcp_pcb *pcb)
{
	const struct tcp_params *params = &w->tcp->params;
	struct tcp_public *pub = &pcb->pub;
	struct tcp_rcvq *q = pcb->rcvq;
	uint32_t read_seq, copied, space;

	if (!q || !q->rtt_us8 || w->now_ns - q->start_ns < q->rtt_us8 / 8 * 1000ull || pub->rx_eof)
		return;
	read_seq = pcb->rcv_nxt - byte_ring_used(&pub->rcv);
	copied = read_seq - q->seq;
	if ((int32_t)(copied - q->space) > 0) {
		space = tcp_min(space_for(pcb, copied, q->space), (uint32_t)params->tcp_rmem[2]);
		if (params->tcp_moderate_rcvbuf && !pub->rcv_locked && space > pub->rcv_space_bytes)
			pub->rcv_space_bytes = space;
		q->space = copied;
	}
	q->seq = read_seq;
	q->start_ns = w->now_ns;
}

bool tcp_rcv_release(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->ooo)
		return false;
	tcp_rcvq_free(w, pcb);
	if (!pcb->pub.rcv_locked)
		pcb->pub.rcv_space_bytes = (uint32_t)w->tcp->params.tcp_rmem[1];
	return true;
}
