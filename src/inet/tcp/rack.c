/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RACK (RFC 8985 section 6): a packet is lost when one that was sent later has arrived, and more
 * than a round trip and a window for reordering have passed since it was sent. What is not that old
 * yet is looked at again by a timer. The window is a quarter of the smallest round trip once
 * reordering was seen, more where D-SACKs say that it was too short, and nothing as long as the
 * path keeps order and three segments say that there is a loss.
 */
#include "inet/tcp/recovery.h"

#define REO_WND_PERSIST 16u /* recoveries for which a larger window is kept */

bool tcp_sent_after(uint64_t a_ns, uint32_t a_end, uint64_t b_ns, uint32_t b_end)
{
	return a_ns > b_ns || (a_ns == b_ns && tcp_seq_gt(a_end, b_end));
}

/* Section 6.2 step 2: r arrived. What arrives sooner after its retransmission than any round trip
 * is the first transmission's doing. */
void tcp_rack_arrived(struct worker *w, struct tcp_pcb *pcb, const struct tcp_sent *r,
		      const struct tcp_ack *a)
{
	uint64_t rtt_ns = w->now_ns - r->sent_ns;

	if (r->flags & SENT_RXT) {
		if (a->ts_ecr && (int32_t)(a->ts_ecr - r->rxt_ts) < 0)
			return;
		if (rtt_ns / 1000 < pcb->rtt_min_us)
			return;
	}
	/* The round trip of the newest only: an older one's SACK may have been lost before. */
	if (!pcb->rack_sent_ns ||
	    tcp_sent_after(r->sent_ns, r->end, pcb->rack_sent_ns, pcb->rack_end)) {
		pcb->rack_rtt_ns = rtt_ns;
		pcb->rack_sent_ns = r->sent_ns;
		pcb->rack_end = r->end;
	}
}

/* Step 4 */
static uint64_t reo_wnd_ns(const struct tcp_pcb *pcb)
{
	uint64_t wnd_us, srtt_us = pcb->srtt_us8 / 8;

	if (!pcb->reord_seen) {
		if (pcb->recovery >= TCP_RECOVERY)
			return 0;
		if (pcb->sacked_bytes >= TCP_DUP_THRESH * (uint32_t)pcb->snd_mss)
			return 0;
	}
	wnd_us = (uint64_t)pcb->rtt_min_us / 4 * pcb->reo_steps;
	return (wnd_us < srtt_us ? wnd_us : srtt_us) * 1000;
}

/* Steps for the window: one more for each round trip with a D-SACK, back to one after 16
 * recoveries without. */
void tcp_rack_reo_wnd(struct tcp_pcb *pcb, const struct tcp_ack *a)
{
	if (pcb->dsack_round && tcp_seq_geq(a->una_seq, pcb->dsack_round))
		pcb->dsack_round = 0;
	if ((a->what & ACK_DSACK) && !pcb->dsack_round) {
		pcb->dsack_round = pcb->snd_nxt ? pcb->snd_nxt : 1;
		if (pcb->reo_steps < 255)
			pcb->reo_steps++;
		pcb->reo_persist = REO_WND_PERSIST;
	} else if (!pcb->reo_persist) {
		pcb->reo_steps = 1;
	}
}

bool tcp_rack_overdue(const struct worker *w, const struct tcp_pcb *pcb, const struct tcp_sent *r)
{
	return r->sent_ns + pcb->rack_rtt_ns + reo_wnd_ns(pcb) <= w->now_ns;
}

static void lose(struct worker *w, struct tcp_pcb *pcb, struct tcp_sent *r)
{
	if (r->flags & SENT_RXT)
		tcp_mib_add(w, TCPLostRetransmit, tcp_segments(pcb, r->end - r->start));
	tcp_sent_state(pcb, r, SENT_LOST);
	pcb->lost_total += r->end - r->start;
}

/* Step 5. Records are in the order of numbers; as long as none was resent that is the order of
 * time too, and the walk ends at the first that was sent after what arrived. */
static uint64_t detect(struct worker *w, struct tcp_pcb *pcb)
{
	uint64_t allowed_ns = pcb->rack_rtt_ns + reo_wnd_ns(pcb), wait_ns = 0;
	struct tcp_sent_at at = tcp_sent_first(pcb);

	for (; at.block; tcp_sent_next(&at)) {
		struct tcp_sent *r = tcp_sent_of(&at);

		if (!(r->flags & SENT_OUT))
			continue;
		if (!tcp_sent_after(pcb->rack_sent_ns, pcb->rack_end, r->sent_ns, r->end)) {
			if (!(r->flags & SENT_RXT))
				break;
			continue;
		}
		if (r->sent_ns + allowed_ns <= w->now_ns)
			lose(w, pcb, r);
		else if (r->sent_ns + allowed_ns - w->now_ns > wait_ns)
			wait_ns = r->sent_ns + allowed_ns - w->now_ns;
	}
	return wait_ns;
}

void tcp_rack_detect(struct worker *w, struct tcp_pcb *pcb)
{
	uint64_t wait_ns;

	if (!pcb->rack_sent_ns || !pcb->sent_head)
		return;
	wait_ns = detect(w, pcb);
	if (wait_ns)
		tcp_rtx_kind(w, pcb, TCP_RTX_REO, wait_ns);
}

/* The reordering timer (section 6.3). */
void tcp_rack_timer(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t lost = pcb->lost_bytes;

	tcp_rack_detect(w, pcb);
	if (pcb->lost_bytes > lost) {
		if (pcb->recovery < TCP_RECOVERY) {
			tcp_recovery_enter(w, pcb);
			if (!pcb->cc->control)
				tcp_prr_acked(pcb, &(struct tcp_ack){ .newly_bytes = pcb->snd_mss },
					      0);
		}
		pcb->flags |= F_OUTPUT;
		tcp_list(w, pcb);
	}
	if (pcb->rtx_kind != TCP_RTX_REO)
		tcp_rtx_start(w, pcb);
}
