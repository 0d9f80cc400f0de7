/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loss recovery: RFC 6675 with SACK, RFC 6582 (NewReno) without, RFC 5681 after a time-out.
 *
 *   TCP_OPEN      nothing is known to be lost. Three duplicate ACKs, or SACKs that say as much:
 *   TCP_RECOVERY  until snd_una passes `recover`. cwnd = ssthresh. What is lost is resent once (the
 *                 head again, when what was sent after its retransmission arrived before it).
 *   TCP_LOSS      after a time-out, until snd_una passes `recover`: all that is not SACKed counts
 * as lost; cwnd begins at one segment and grows as in slow start.
 *
 * Limited transmit (RFC 3042) needs no code of its own: what duplicate ACKs or SACKs say has
 * arrived leaves the pipe, so new data may follow.
 */
#include "inet/tcp/cc.h"
#include "inet/tcp/tcp_impl.h"

/* Without SACK a duplicate ACK says that some segment arrived. */
static uint32_t dup_bytes(const struct tcp_pcb *pcb)
{
	if ((pcb->flags & F_SACK_OK) || pcb->recovery == TCP_LOSS)
		return 0;
	if (pcb->recovery == TCP_OPEN) /* RFC 3042: no more than two segments beyond the window */
		return tcp_min(pcb->dupacks, 2) * pcb->snd_mss;
	return pcb->dupacks * (uint32_t)pcb->snd_mss;
}

/* What is not SACKed below this is held for lost. */
static uint32_t lost_end(const struct tcp_pcb *pcb)
{
	uint32_t end = tcp_board_lost_end(pcb);

	if (pcb->recovery == TCP_LOSS && tcp_seq_lt(end, pcb->recover))
		return pcb->recover;
	if (pcb->recovery == TCP_RECOVERY && tcp_seq_lt(end, pcb->snd_una + pcb->snd_mss))
		return tcp_seq_lt(pcb->snd_una + pcb->snd_mss, pcb->snd_nxt)
			       ? pcb->snd_una + pcb->snd_mss
			       : pcb->snd_nxt;
	return end;
}

static uint32_t overlap(uint32_t start, uint32_t end, uint32_t from, uint32_t to)
{
	if (tcp_seq_lt(start, from))
		start = from;
	if (tcp_seq_gt(end, to))
		end = to;
	return tcp_seq_lt(start, end) ? end - start : 0;
}

/* The i-th stretch between SACKed ranges; false behind the last. */
static bool hole(const struct tcp_pcb *pcb, uint32_t i, uint32_t *start, uint32_t *end)
{
	uint32_t n = pcb->board ? pcb->board->n : 0;

	if (i > n)
		return false;
	*start = i ? pcb->board->r[i - 1].end : pcb->snd_una;
	*end = i < n ? pcb->board->r[i].start : pcb->snd_nxt;
	return true;
}

uint32_t tcp_pipe(const struct tcp_pcb *pcb)
{
	uint32_t out = pcb->snd_nxt - pcb->snd_una, dups = dup_bytes(pcb), pipe = 0;
	uint32_t start, end, lost;

	if (pcb->recovery == TCP_OPEN) {
		out -= pcb->sacked_bytes;
		return out > dups ? out - dups : 0;
	}
	lost = lost_end(pcb);
	for (uint32_t i = 0; hole(pcb, i, &start, &end); i++) {
		pipe += overlap(start, end, lost, pcb->snd_nxt);
		pipe += overlap(start, end, pcb->snd_una, pcb->high_rxt);
	}
	return pipe > dups ? pipe - dups : 0;
}

/* RFC 6675 NextSeg(), rule (1): the first lost range that was not retransmitted in this recovery.
 */
bool tcp_next_lost(const struct tcp_pcb *pcb, uint32_t *seq, uint32_t *len)
{
	uint32_t lost, start, end;

	if (pcb->recovery == TCP_OPEN)
		return false;
	lost = lost_end(pcb);
	for (uint32_t i = 0; hole(pcb, i, &start, &end); i++) {
		if (tcp_seq_lt(start, pcb->high_rxt))
			start = pcb->high_rxt;
		if (tcp_seq_geq(start, lost))
			return false;
		if (tcp_seq_gt(end, lost))
			end = lost;
		if (tcp_seq_lt(start, end)) {
			*seq = start;
			*len = end - start;
			return true;
		}
	}
	return false;
}

static void recovery_begin(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t flight = pcb->snd_nxt - pcb->snd_una;

	pcb->prior_cwnd = pcb->cwnd;
	pcb->ssthresh = pcb->cc->ssthresh(w, pcb, flight);
	pcb->recovery = TCP_RECOVERY;
	pcb->recover = pcb->snd_nxt;
	pcb->high_rxt = pcb->snd_una;
	pcb->cwnd = pcb->ssthresh;
	pcb->cwnd_acked = 0;
	pcb->lost_events++;
	pcb->flags |= F_FORCE_RXT;
	pcb->flags &= ~F_HEAD_AGAIN;
	tcp_rtx_start(w, pcb);
}

/* The head was resent, and three segments that were sent later have arrived: it was lost again. */
static void head_again(struct tcp_pcb *pcb)
{
	const struct tcp_ranges *b = pcb->board;

	if (!b || tcp_seq_leq(pcb->high_rxt, pcb->snd_una))
		return;
	if (tcp_seq_gt(b->r[b->n - 1].end, pcb->head_mark + TCP_DUP_THRESH * pcb->snd_mss))
		pcb->flags |= F_HEAD_AGAIN;
}

/* A duplicate ACK, or an ACK with new SACK information. */
void tcp_recovery_dupack(struct worker *w, struct tcp_pcb *pcb, bool sacked)
{
	if (pcb->dupacks < 255)
		pcb->dupacks++;
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
	if (pcb->recovery != TCP_OPEN) {
		head_again(pcb);
		return;
	}
	/* RFC 6582 section 3.2: not for what an earlier recovery's retransmissions provoke. */
	if (!(pcb->flags & F_SACK_OK) && tcp_seq_lt(pcb->snd_una, pcb->recover))
		return;
	if (pcb->dupacks >= TCP_DUP_THRESH || tcp_board_lost_end(pcb) != pcb->snd_una)
		recovery_begin(w, pcb);
}

static void recovery_end(struct tcp_pcb *pcb)
{
	if (pcb->recovery == TCP_RECOVERY)
		pcb->cwnd = pcb->ssthresh;
	pcb->recovery = TCP_OPEN;
	pcb->dupacks = 0;
	pcb->flags &= ~(F_FORCE_RXT | F_HEAD_AGAIN);
}

/* bytes were newly acknowledged; snd_una has moved already. */
void tcp_recovery_acked(struct worker *w, struct tcp_pcb *pcb, uint32_t bytes)
{
	if (pcb->recovery == TCP_RECOVERY && tcp_seq_lt(pcb->snd_una, pcb->recover)) {
		uint32_t segments = (bytes + pcb->snd_mss - 1) / pcb->snd_mss;

		/* Partial: the first hole was filled by our retransmission, what lies behind it
		 * had been the duplicate ACKs'. */
		pcb->dupacks =
			pcb->dupacks > segments - 1 ? (uint8_t)(pcb->dupacks - (segments - 1)) : 0;
		if (tcp_seq_lt(pcb->high_rxt, pcb->snd_una))
			pcb->high_rxt = pcb->snd_una;
		if (!(pcb->flags & F_SACK_OK))
			pcb->flags |= F_FORCE_RXT;
		return;
	}
	if (pcb->recovery == TCP_RECOVERY) {
		recovery_end(pcb);
		return;
	}
	if (pcb->recovery == TCP_LOSS && tcp_seq_geq(pcb->snd_una, pcb->recover))
		recovery_end(pcb);
	pcb->dupacks = 0;
	if (pcb->recovery == TCP_LOSS && tcp_seq_lt(pcb->high_rxt, pcb->snd_una))
		pcb->high_rxt = pcb->snd_una;
	if ((pcb->flags & F_CWND_LIMITED) || pcb->recovery == TCP_LOSS)
		pcb->cc->grow(w, pcb, bytes);
}

void tcp_recovery_timeout(struct worker *w, struct tcp_pcb *pcb)
{
	/* RFC 5681 section 3.1: ssthresh once for each loss, not for each repetition of the timer
	 */
	if (pcb->recovery != TCP_LOSS || tcp_seq_geq(pcb->snd_una, pcb->recover))
		pcb->ssthresh = pcb->cc->ssthresh(w, pcb, pcb->snd_nxt - pcb->snd_una);
	if (pcb->recovery != TCP_LOSS)
		pcb->lost_events++;
	pcb->recovery = TCP_LOSS;
	pcb->recover = pcb->snd_nxt;
	pcb->high_rxt = pcb->snd_una;
	pcb->cwnd = pcb->snd_mss;
	pcb->cwnd_acked = 0;
	pcb->dupacks = 0;
	pcb->timeout_ts = tcp_ts_now(w, pcb->ts_offset);
	pcb->flags &= ~(F_RTT_TIMED | F_HEAD_AGAIN);
	pcb->flags |= F_FORCE_RXT | F_OUTPUT;
	/* The peer may have thrown away what it SACKed (RFC 2018 section 8): when the same thing
	 * times out again and again, do not count on it. */
	if (pcb->backoff >= 3)
		tcp_board_clear(w, pcb);
	tcp_list(w, pcb);
}
