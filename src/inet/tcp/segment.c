/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A segment for a synchronised connection, in the order of RFC 9293 section 3.10.7.4: time stamp
 * (RFC 7323), sequence number, RST and SYN (RFC 5961), ACK, text, FIN. What no step asks for is
 * dropped with a reason; what is out of order with the sequence space is answered by an ACK.
 */
#include <errno.h>

#include "inet/tcp/tcp_impl.h"

/* PAWS (RFC 7323 section 5.3): from before the newest, and the newest is not too old to say so. */
bool tcp_paws_old(const struct worker *w, const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	return (pcb->flags & F_TS_OK) && seg->has_ts &&
	       (int32_t)(seg->ts_val - pcb->ts_recent) < 0 &&
	       tcp_now_s(w) - pcb->ts_recent_s < TCP_PAWS_IDLE_S;
}

/* RFC 7323 section 4.3: from the segment that the last ACK reached. */
void tcp_ts_update(const struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	if (!(pcb->flags & F_TS_OK) || !seg->has_ts || tcp_seq_gt(seg->seq, pcb->rcv_acked) ||
	    tcp_paws_old(w, pcb, seg))
		return;
	pcb->ts_recent = seg->ts_val;
	pcb->ts_recent_s = tcp_now_s(w);
}

static uint32_t seg_end(const struct tcp_seg *seg)
{
	return seg->seq + seg->len + !!(seg->flags & TCP_F_FIN);
}

static uint32_t offered(const struct tcp_pcb *pcb)
{
	return (int32_t)(pcb->rcv_adv - pcb->rcv_nxt) > 0 ? pcb->rcv_adv - pcb->rcv_nxt : 0;
}

/* RFC 5961 section 3.2. After the peer's FIN its RST may still have the FIN's number
 * [tcp_reset_check]. */
static void rst_input(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	bool after_fin = pcb->pub.rx_eof && seg->seq == pcb->rcv_nxt - 1;
	int error = pcb->pub.state == TCP_CLOSE_WAIT ? EPIPE : ECONNRESET;

	if (seg->seq == pcb->rcv_nxt || after_fin) {
		if (pcb->syn_unacked)
			tcp_fo_reset(w, pcb);
		pkt_consume(w, seg->p, FATE_ABSORBED);
		tcp_fail(w, pcb, error);
		return;
	}
	if (tcp_seq_gt(seg->seq, pcb->rcv_nxt) && tcp_seq_lt(seg->seq, pcb->rcv_adv))
		tcp_challenge(w, pcb);
	pkt_drop(w, seg->p, DROP_TCP_RESET);
}

static void paws_input(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	if (seg->len)
		tcp_ack_now(w, pcb);
	else
		tcp_ack_oow(w, pcb);
	tcp_mib(w, PAWSEstab);
	pkt_drop(w, seg->p, DROP_TCP_RFC7323_PAWS);
}

/* All of it lies below rcv_nxt. Its ACK may be new all the same: the peer resends when our ACKs get
 * lost, and puts its newest acknowledgment on what it resends. */
static void old_input(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	if (seg->len == 0 && !(seg->flags & TCP_F_FIN)) {
		tcp_ack_oow(w, pcb); /* keepalive and window probes look like this */
		pkt_drop(w, seg->p, DROP_TCP_INVALID_SEQUENCE);
		return;
	}
	tcp_mib(w, TCPDSACKOldSent);
	tcp_dsack_tell(w, pcb, seg->seq, seg_end(seg));
	/* Echo the stamp of what was resent, not of what was received first: else the peer takes
	 * the time that it waited for our lost ACK for the round trip. It is not recorded (RFC 7323
	 * section 5.3, R2 comes before R3): what the path held up would be refused for it. */
	if ((pcb->flags & F_TS_OK) && seg->has_ts)
		pcb->ts_echo = seg->ts_val;
	tcp_ack_now(w, pcb);
	if ((seg->flags & TCP_F_ACK) && !tcp_ack_segment(w, pcb, seg))
		return;
	pkt_drop(w, seg->p, DROP_TCP_OLD_DATA);
}

static void beyond_input(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	bool text = seg_end(seg) != seg->seq;

	if (text)
		tcp_ack_now(w, pcb);
	else
		tcp_ack_oow(w, pcb);
	if (!text)
		pkt_drop(w, seg->p, DROP_TCP_INVALID_SEQUENCE);
	else if (offered(pcb) == 0)
		pkt_drop(w, seg->p, DROP_TCP_ZEROWINDOW);
	else
		pkt_drop(w, seg->p, DROP_TCP_OVERWINDOW);
}

/* First check: RFC 9293's four cases of RCV.WND and SEG.LEN. True: go on. */
static bool sequence_check(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	uint32_t end = seg_end(seg), window = offered(pcb);

	/* Overtaken by data that came since our last ACK: what it acknowledges is good
	 * [tcp_sequence, rcv_wup]. */
	if (end == seg->seq && tcp_seq_lt(end, pcb->rcv_nxt) && tcp_seq_geq(end, pcb->rcv_acked))
		return true;
	if (tcp_seq_lt(end, pcb->rcv_nxt) || (end == pcb->rcv_nxt && end != seg->seq)) {
		old_input(w, pcb, seg);
		return false;
	}
	/* With the window closed, what begins at rcv_nxt is a probe: its ACK is good. */
	if (seg->seq == pcb->rcv_nxt || tcp_seq_lt(seg->seq, pcb->rcv_nxt + window))
		return true;
	/* A pure ACK at the right edge is normal where we have taken all that we offered. */
	if (end == seg->seq && seg->seq == pcb->rcv_nxt + window)
		return true;
	beyond_input(w, pcb, seg);
	return false;
}

void tcp_fin_received(struct worker *w, struct tcp_pcb *pcb)
{
	pcb->rcv_nxt++;
	pcb->pub.rx_eof = true;
	pcb->flags |= F_READABLE;
	tcp_ack_now(w, pcb);
	switch (pcb->pub.state) {
	case TCP_ESTABLISHED:
		tcp_set_state(w, pcb, TCP_CLOSE_WAIT);
		break;
	case TCP_FIN_WAIT_1:
		tcp_set_state(w, pcb, TCP_CLOSING);
		break;
	case TCP_FIN_WAIT_2:
		tcp_ack_send(w, pcb);
		tcp_time_wait(w, pcb);
		break;
	default:
		break;
	}
}

void tcp_segment_rest(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	if (!tcp_ack_segment(w, pcb, seg))
		return;
	if (!tcp_synchronised(pcb)) {
		/* The ACK ended it; after LAST_ACK and CLOSING there is no text to come. */
		pkt_consume(w, seg->p, FATE_ABSORBED);
		return;
	}
	tcp_data(w, pcb, seg);
}

void tcp_segment(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	if (seg->flags & TCP_F_RST) {
		rst_input(w, pcb, seg);
		return;
	}
	if (pcb->syn_unacked && (seg->flags & (TCP_F_SYN | TCP_F_ACK)) == TCP_F_SYN &&
	    seg->seq == pcb->irs) {
		tcp_syn_repeated(w, pcb, seg);
		return;
	}
	if (seg->flags & TCP_F_SYN) {
		/* RFC 5961 section 4.2, whatever its number */
		tcp_mib(w, TCPSYNChallenge);
		tcp_challenge(w, pcb);
		pkt_drop(w, seg->p, DROP_TCP_INVALID_SYN);
		return;
	}
	if (tcp_paws_old(w, pcb, seg)) {
		paws_input(w, pcb, seg);
		return;
	}
	if (!sequence_check(w, pcb, seg))
		return;
	if (!(seg->flags & TCP_F_ACK)) {
		pkt_drop(w, seg->p, DROP_TCP_NO_ACK);
		return;
	}
	tcp_ts_update(w, pcb, seg);
	if (pcb->syn_unacked)
		tcp_fo_acked(w, pcb, seg);
	tcp_segment_rest(w, pcb, seg);
}
