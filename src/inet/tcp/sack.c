/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SACK blocks (RFC 2018) into the records of what was sent, and D-SACK (RFC 2883). A block that is
 * not within what is on the way is ignored; so is one that cuts a record for which there is no
 * memory to be cut.
 */
#include "inet/tcp/recovery.h"

static bool tlp_twice(const struct tcp_pcb *pcb, const struct tcp_range *r)
{
	return pcb->tlp_end && pcb->tlp_rxt && r->end == pcb->tlp_end;
}

/* The peer got [start, end) twice: so much of what was resent need not have been. Where more came
 * twice than was resent it is the path that duplicates, and nothing follows from it. */
static void dsack(struct worker *w, struct tcp_pcb *pcb, const struct tcp_range *r,
		  struct tcp_ack *a)
{
	uint32_t len = r->end - r->start;

	if (len > pcb->snd_max_wnd)
		return;
	pcb->dsack_dups += (len + pcb->snd_mss - 1) / pcb->snd_mss;
	tcp_mib_add(w, TCPDSACKRecv, (len + pcb->snd_mss - 1) / pcb->snd_mss);
	if (pcb->dsack_dups > pcb->total_retrans)
		return;
	a->what |= ACK_DSACK;
	if (tlp_twice(pcb, r)) {
		a->what |= ACK_DSACK_TLP;
		return;
	}
	if (!pcb->undo_marker || tcp_seq_lt(r->start, pcb->undo_marker))
		return;
	pcb->undo_rxt_bytes = len < pcb->undo_rxt_bytes ? pcb->undo_rxt_bytes - len : 0;
}

/* Is the first block a D-SACK: below the acknowledgment, or inside the second? */
static bool is_dsack(const struct tcp_seg *seg)
{
	const struct tcp_range *b = seg->sack;

	if (!tcp_seq_lt(b[0].start, b[0].end))
		return false;
	if (tcp_seq_leq(b[0].end, seg->ack))
		return true;
	return seg->sack_n > 1 && tcp_seq_geq(b[0].start, b[1].start) &&
	       tcp_seq_leq(b[0].end, b[1].end);
}

/* A record that was sent once arrived while later ones had before it: an earlier ACK told of them.
 * What the same ACK tells of is no more than a burst. */
void tcp_sack_reordered(struct tcp_pcb *pcb, const struct tcp_sent *r, struct tcp_ack *a)
{
	uint32_t distance;

	if ((r->flags & SENT_RXT) || !tcp_seq_lt(r->start, a->prior_fack))
		return;
	distance = (a->prior_fack - r->start + pcb->snd_mss - 1) / pcb->snd_mss;
	pcb->reordering = (uint16_t)tcp_min(tcp_max(pcb->reordering, distance), 300);
	if (!(a->what & ACK_REORDERED))
		pcb->reord_seen++;
	a->what |= ACK_REORDERED;
}

static void record_sacked(struct worker *w, struct tcp_pcb *pcb, struct tcp_sent_at *at,
			  struct tcp_ack *a)
{
	struct tcp_sent *r = tcp_sent_of(at);

	tcp_sack_reordered(pcb, r, a);
	a->what |= ACK_SACKED;
	if (!(r->flags & SENT_RXT)) {
		if (tcp_seq_leq(r->end, pcb->recover))
			a->what |= ACK_ORIG;
		/* The newest: of the others an earlier SACK may have been lost, and what was held
		 * for lost has waited too long to tell the round trip. */
		if (!(r->flags & SENT_LOST) && r->sent_ns > a->newest_sacked_ns)
			a->newest_sacked_ns = r->sent_ns;
	}
	tcp_rate_arrived(w, pcb, r, a);
	tcp_rack_arrived(w, pcb, r, a);
	a->newly_bytes += r->end - r->start;
	pcb->delivered_segs += tcp_segments(pcb, r->end - r->start);
	tcp_sent_state(pcb, r, SENT_SACKED);
	if (tcp_seq_gt(r->end, pcb->fack) || pcb->sacked_bytes == r->end - r->start)
		pcb->fack = r->end;
	tcp_sent_merge(at);
}

static void block_take(struct worker *w, struct tcp_pcb *pcb, const struct tcp_range *b,
		       struct tcp_ack *a)
{
	struct tcp_sent_at at = tcp_sent_find(pcb, b->start);

	for (; at.block && tcp_seq_lt(tcp_sent_of(&at)->start, b->end); tcp_sent_next(&at)) {
		struct tcp_sent *r = tcp_sent_of(&at);

		if (r->flags & SENT_SACKED)
			continue;
		if (tcp_seq_lt(r->start, b->start)) {
			if (!tcp_sent_split(w, pcb, &at, b->start))
				continue;
			tcp_sent_next(&at);
			r = tcp_sent_of(&at);
		}
		if (tcp_seq_gt(r->end, b->end) && !tcp_sent_split(w, pcb, &at, b->end))
			return;
		record_sacked(w, pcb, &at, a);
	}
}

/* Those that tell of what is on the way, the lowest first: what one segment reports came in no
 * order that it could tell, and must not look reordered. */
static unsigned int blocks_sorted(const struct tcp_pcb *pcb, const struct tcp_seg *seg,
				  unsigned int first, struct tcp_range *sorted)
{
	unsigned int n = 0;

	for (unsigned int i = first; i < seg->sack_n; i++) {
		const struct tcp_range b = seg->sack[i];
		unsigned int at = n;

		if (!tcp_seq_lt(b.start, b.end) || tcp_seq_leq(b.end, seg->ack) ||
		    tcp_seq_lt(b.start, pcb->snd_una) || tcp_seq_gt(b.end, pcb->snd_nxt))
			continue;
		for (; at > 0 && tcp_seq_lt(b.start, sorted[at - 1].start); at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = b;
		n++;
	}
	return n;
}

void tcp_sack_take(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg,
		   struct tcp_ack *a)
{
	struct tcp_range sorted[4];
	unsigned int n;
	bool twice;

	if (!(pcb->flags & F_SACK_OK) || !seg->sack_n)
		return;
	twice = is_dsack(seg);
	if (twice)
		dsack(w, pcb, &seg->sack[0], a);
	n = blocks_sorted(pcb, seg, twice, sorted);
	for (unsigned int i = 0; i < n; i++)
		block_take(w, pcb, &sorted[i], a);
}
