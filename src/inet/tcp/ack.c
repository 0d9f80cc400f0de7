/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The acknowledgment field of a segment for a synchronised connection (RFC 9293 section 3.10.7.4,
 * "fifth, check the ACK field"): what arrived, the window, duplicates.
 */
#include "inet/tcp/recovery.h"

/* Does the segment tell more of the window than the one that did last? One that acknowledges more
 * does: else the window of another would be counted from where this one's acknowledgment is, and
 * reach further than any did [tcp_may_update_window]. */
static bool window_is_newer(const struct tcp_pcb *pcb, const struct tcp_seg *seg, uint32_t wnd)
{
	if (tcp_seq_gt(seg->ack, pcb->snd_una) || tcp_seq_gt(seg->seq, pcb->snd_wl1))
		return true;
	return seg->seq == pcb->snd_wl1 && (wnd > pcb->snd_wnd || wnd == 0);
}

void tcp_window_take(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	uint32_t wnd = seg->wnd << pcb->snd_wscale;

	if (!window_is_newer(pcb, seg, wnd))
		return;
	pcb->snd_wl1 = seg->seq;
	if (wnd == pcb->snd_wnd)
		return;
	if (wnd > pcb->snd_wnd && (pcb->flags & F_PERSIST))
		pcb->backoff = 0;
	pcb->snd_wnd = wnd;
	pcb->snd_max_wnd = tcp_max(pcb->snd_max_wnd, wnd);
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
}

/* Our FIN is acknowledged. */
static void fin_acked(struct worker *w, struct tcp_pcb *pcb)
{
	switch (pcb->pub.state) {
	case TCP_FIN_WAIT_1:
		tcp_set_state(w, pcb, TCP_FIN_WAIT_2);
		tcp_chrono(w, pcb);
		pcb->rtx_ns = 0;
		if ((pcb->flags & F_DETACHED) && pcb->pub.linger2_s < 0) {
			tcp_pcb_free(w, pcb); /* TCP_LINGER2: no FIN_WAIT_2 */
		} else if (pcb->flags & F_DETACHED) {
			pcb->long_ns = w->now_ns + tcp_fin_wait2_ns(w, pcb);
			tcp_timer_arm(w, pcb, pcb->long_ns);
		}
		break;
	case TCP_CLOSING:
		tcp_time_wait(w, pcb);
		break;
	case TCP_LAST_ACK:
		tcp_finish(w, pcb);
		break;
	default:
		break;
	}
}

/* The send ring gives up what was acknowledged: all below una that is not our FIN. */
static uint32_t ring_advance(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t end = tcp_data_end(pcb), una = pcb->snd_una, bytes;

	if (!(pcb->flags & F_SND_MAPPED))
		return 0;
	if (tcp_seq_gt(una, end))
		una = end;
	bytes = una - pcb->snd_base - pcb->pub.snd.head;
	if (bytes) {
		pcb->pub.snd.head += bytes;
		pcb->bytes_acked += bytes;
		pcb->flags |= F_ACKED;
	}
	return bytes;
}

/* Records below una: what arrived, and when it was sent. */
static void records_acked(struct worker *w, struct tcp_pcb *pcb, struct tcp_ack *a)
{
	while (pcb->sent_head) {
		struct tcp_sent *r =
			tcp_sent_of(&(struct tcp_sent_at){ pcb->sent_head, pcb->sent_head->first });
		uint32_t end = tcp_seq_lt(pcb->snd_una, r->end) ? pcb->snd_una : r->end;

		if (tcp_seq_geq(r->start, pcb->snd_una))
			return;
		if (!(r->flags & SENT_SACKED)) {
			if (r->flags & SENT_RXT) {
				a->what |= ACK_RXT;
			} else {
				if (tcp_seq_leq(r->end, pcb->recover))
					a->what |= ACK_ORIG;
				if (!a->oldest_acked_ns)
					a->oldest_acked_ns = r->sent_ns;
				a->newest_acked_ns = r->sent_ns;
				tcp_sack_reordered(pcb, r, a);
			}
			a->newly_bytes += end - r->start;
			pcb->delivered_segs += tcp_segments(pcb, end - r->start);
			tcp_rate_arrived(w, pcb, r, a);
			tcp_rack_arrived(w, pcb, r, a);
		}
		tcp_sent_shift(w, pcb, pcb->snd_una);
	}
}

static void advance(struct worker *w, struct tcp_pcb *pcb, struct tcp_ack *a)
{
	pcb->snd_una = a->una_seq;
	a->what |= ACK_ADVANCED;
	a->acked_bytes = a->una_seq - a->prior_una;
	records_acked(w, pcb, a);
	ring_advance(w, pcb);
	if (a->acked_bytes >= pcb->snd_mss)
		pcb->full_arrived = true;
	if (pcb->mtu_probe)
		tcp_mtu_probe_acked(w, pcb);
	if (pcb->rto_since_ms)
		tcp_rto_answered(w, pcb);
	/* What was passed stays passed, for longer than 2 GB too. */
	if (pcb->recovery < TCP_CWR && tcp_seq_gt(pcb->snd_una, pcb->recover))
		pcb->recover = pcb->snd_una;
	pcb->retries = 0;
	pcb->soft_error = 0;
	pcb->unacked_since_ns = w->now_ns;
	neigh_confirm(w, &pcb->flow);
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
}

/* The timer runs for what is on the way now (RFC 6298 section 5.3, RFC 8985 section 7.2). */
static void timer_rearm(struct worker *w, struct tcp_pcb *pcb, uint8_t kind)
{
	if (pcb->snd_una == pcb->snd_nxt) {
		pcb->rtx_ns = 0;
		return;
	}
	if (pcb->rtx_ns && pcb->rtx_kind == TCP_RTX_REO && kind != TCP_RTX_REO)
		return; /* rack_detect() has just set it */
	if (tcp_tlp_schedule(w, pcb))
		return;
	if (kind == TCP_RTX_TLP || kind == TCP_RTX_REO)
		tcp_rtx_kind(w, pcb, TCP_RTX_RTO, tcp_rto_left_ns(w, pcb));
	else
		tcp_rtx_start(w, pcb);
}

static void ack_begin(const struct tcp_pcb *pcb, const struct tcp_seg *seg, struct tcp_ack *a)
{
	*a = (struct tcp_ack){
		.prior_una = pcb->snd_una,
		.prior_flight = pcb->flight_bytes,
		.prior_fack = pcb->sacked_bytes ? pcb->fack : pcb->snd_una,
		.prior_lost = pcb->lost_total,
		.una_seq = seg->ack,
		.ts_ecr = seg->has_ts && (pcb->flags & F_TS_OK) ? seg->ts_ecr : 0,
		.what = seg->len || (seg->flags & TCP_F_FIN) ? ACK_TEXT : 0,
	};
	if ((seg->flags & TCP_F_ECE) && (pcb->flags & F_ECN))
		a->what |= ACK_ECE;
}

static void ack_end(struct worker *w, struct tcp_pcb *pcb, struct tcp_ack *a)
{
	uint8_t kind = pcb->rtx_kind;

	tcp_rtt_acked(w, pcb, a);
	if (pcb->rtx_kind == TCP_RTX_REO)
		pcb->rtx_kind = TCP_RTX_RTO; /* unless RACK says so again */
	tcp_recovery_ack(w, pcb, a);
	if (a->what & ACK_ADVANCED) {
		if (pcb->recovery < TCP_RECOVERY)
			pcb->backoff = 0;
		timer_rearm(w, pcb, pcb->rtx_kind == TCP_RTX_REO ? TCP_RTX_RTO : kind);
	} else if (kind == TCP_RTX_REO && pcb->rtx_kind != TCP_RTX_REO && pcb->rtx_ns) {
		tcp_rtx_kind(w, pcb, TCP_RTX_RTO, tcp_rto_left_ns(w, pcb));
	}
	if ((a->what & ACK_ADVANCED) && (pcb->flags & F_FIN_SENT) &&
	    pcb->snd_una == pcb->fin_seq + 1)
		fin_acked(w, pcb);
}

void tcp_ack_fast(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	struct tcp_ack a;

	ack_begin(pcb, seg, &a);
	advance(w, pcb, &a);
	ack_end(w, pcb, &a);
}

/* RFC 5961 section 5: what it acknowledges is too old, or was never sent. */
static bool ack_refused(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	if (tcp_seq_gt(seg->ack, pcb->snd_nxt)) {
		tcp_challenge(w, pcb);
		pkt_drop(w, seg->p, DROP_TCP_INVALID_ACK_SEQUENCE);
		return true;
	}
	if (tcp_seq_lt(seg->ack, pcb->snd_una - pcb->snd_max_wnd)) {
		tcp_challenge(w, pcb);
		pkt_drop(w, seg->p, DROP_TCP_OLD_ACK);
		return true;
	}
	return false;
}

static bool is_duplicate(const struct tcp_pcb *pcb, const struct tcp_seg *seg, uint32_t old_wnd)
{
	return seg->len == 0 && !(seg->flags & TCP_F_FIN) && pcb->snd_una != pcb->snd_nxt &&
	       seg->wnd << pcb->snd_wscale == old_wnd;
}

/* An acknowledgment older than the newest: its SACK blocks may be news all the same. */
static bool old_ack(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	struct tcp_ack a;

	if (seg->sack_n) {
		ack_begin(pcb, seg, &a);
		a.una_seq = pcb->snd_una;
		tcp_sack_take(w, pcb, seg, &a);
		if (a.what & (ACK_SACKED | ACK_DSACK))
			ack_end(w, pcb, &a);
	}
	if (seg->len || (seg->flags & TCP_F_FIN))
		return true;
	pkt_drop(w, seg->p, DROP_TCP_OLD_ACK);
	return false;
}

bool tcp_ack_segment(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	uint32_t old_wnd = pcb->snd_wnd;
	struct tcp_ack a;

	if (ack_refused(w, pcb, seg))
		return false;
	if (tcp_seq_lt(seg->ack, pcb->snd_una))
		return old_ack(w, pcb, seg);
	ack_begin(pcb, seg, &a);
	tcp_sack_take(w, pcb, seg, &a);
	pcb->last_ack_rcv_ms = tcp_now_ms(w);
	tcp_window_take(w, pcb, seg);
	if (pcb->flags & F_PERSIST)
		pcb->retries = 0; /* it answers */
	if (seg->ack != pcb->snd_una)
		advance(w, pcb, &a);
	else if (is_duplicate(pcb, seg, old_wnd) && !(pcb->flags & F_SACK_OK))
		a.what |= ACK_DUP;
	if (a.what & (ACK_ADVANCED | ACK_SACKED | ACK_DSACK | ACK_DUP | ACK_ECE) ||
	    (pcb->tlp_end && !(a.what & ACK_TEXT)))
		ack_end(w, pcb, &a);
	return true;
}
