/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SACK scoreboard (RFC 2018, RFC 6675): what the peer has above snd_una, and what follows from
 * it for the rest: lost or on the way.
 */
#include "inet/tcp/tcp_impl.h"

static uint32_t board_bytes(const struct tcp_ranges *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n; i++)
		n += b->r[i].end - b->r[i].start;
	return n;
}

/* Enter the blocks of a segment. True: something was new. A block below the acknowledgment, or
 * inside another, is a D-SACK: the peer got something twice (RFC 2883 section 4). */
bool tcp_board_take(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	bool fresh = false;

	if (!(pcb->flags & F_SACK_OK))
		return false;
	for (unsigned int i = 0; i < seg->sack_n; i++) {
		uint32_t start = seg->sack[i].start, end = seg->sack[i].end;

		if (!tcp_seq_lt(start, end))
			continue;
		if (i == 0 && tcp_seq_leq(end, seg->ack)) {
			pcb->dsack_dups++;
			continue;
		}
		if (tcp_seq_lt(start, pcb->snd_una) || tcp_seq_gt(end, pcb->snd_nxt))
			continue;
		if (!pcb->board)
			pcb->board = tcp_ranges_new(w);
		if (!pcb->board)
			return fresh;
		fresh |= tcp_range_add(pcb->board, start, end) == TCP_RANGE_NEW;
	}
	if (fresh)
		pcb->sacked_bytes = board_bytes(pcb->board);
	return fresh;
}

void tcp_board_acked(struct worker *w, struct tcp_pcb *pcb)
{
	if (!pcb->board)
		return;
	tcp_range_below(pcb->board, pcb->snd_una);
	if (pcb->board->n == 0)
		tcp_board_clear(w, pcb);
	else
		pcb->sacked_bytes = board_bytes(pcb->board);
}

void tcp_board_clear(struct worker *w, struct tcp_pcb *pcb)
{
	tcp_ranges_free(w, &pcb->board);
	pcb->sacked_bytes = 0;
}

/* What is not SACKed below this is lost: three ranges, or more than two segments, were SACKed above
 * it (RFC 6675 section 4, IsLost). snd_una where nothing is. */
uint32_t tcp_board_lost_end(const struct tcp_pcb *pcb)
{
	const struct tcp_ranges *b = pcb->board;
	uint32_t ranges = 0, bytes = 0;

	for (uint32_t i = b ? b->n : 0; i-- > 0;) {
		ranges++;
		bytes += b->r[i].end - b->r[i].start;
		if (ranges >= TCP_DUP_THRESH || bytes > (TCP_DUP_THRESH - 1) * pcb->snd_mss)
			return b->r[i].start;
	}
	return pcb->snd_una;
}
