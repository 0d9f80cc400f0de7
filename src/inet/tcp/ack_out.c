/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Acknowledgments that we send; the window on them is window.c's.
 *
 * When (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2): at once, at the end of the burst, for the
 * second full segment, for anything out of order, for the first TCP_QUICKACKS of a connection (the
 * peer is in slow start); else within 40 ms, in the hope of data to carry it. The program's answers
 * switch to "ping-pong": then the ACK always waits for the answer.
 */
#include <errno.h>

#include "inet/tcp/tcp_impl.h"

void tcp_ack_now(struct worker *w, struct tcp_pcb *pcb)
{
	pcb->flags |= F_ACK_NOW;
	tcp_list(w, pcb);
}

void tcp_ack_oow(struct worker *w, struct tcp_pcb *pcb)
{
	if (!tcp_oow_allowed(w, pcb->oow_ack_ns))
		return;
	pcb->oow_ack_ns = w->now_ns;
	tcp_ack_now(w, pcb);
}

/* The next ACK tells that [start, end) came twice (RFC 2883). One that waits to be told goes now.
 */
void tcp_dsack_tell(struct worker *w, struct tcp_pcb *pcb, uint32_t start, uint32_t end)
{
	if (!(pcb->flags & F_SACK_OK) || !w->tcp->params.tcp_dsack)
		return;
	if (pcb->flags & F_DSACK) {
		tcp_ack_send(w, pcb);
		tcp_ack_now(w, pcb);
	}
	pcb->dsack = (struct tcp_range){ start, end };
	pcb->flags |= F_DSACK;
}

static bool quick(const struct tcp_pcb *pcb)
{
	return pcb->quickacks && !(pcb->flags & F_PINGPONG);
}

void tcp_ack_data(struct worker *w, struct tcp_pcb *pcb, uint32_t len, uint32_t segment_bytes)
{
	uint64_t idle_ns = w->now_ns - pcb->last_data_rcv_ns;

	if (segment_bytes > pcb->rcv_mss)
		pcb->rcv_mss = (uint16_t)tcp_min(segment_bytes, pcb->adv_mss);
	/* At first, and after a pause, the peer is in slow start. */
	if ((!pcb->last_data_rcv_ns || idle_ns > pcb->rto_us * 1000ull) &&
	    !(pcb->flags & F_PINGPONG))
		pcb->quickacks = TCP_QUICKACKS;
	pcb->last_data_rcv_ns = w->now_ns;
	pcb->flags |= F_ACK_LATER;
	tcp_list(w, pcb);
}

/* The end of the burst: does the ACK have to go now? */
void tcp_ack_flush(struct worker *w, struct tcp_pcb *pcb)
{
	bool now = (pcb->flags & F_ACK_NOW) || quick(pcb) ||
		   pcb->rcv_nxt - pcb->rcv_acked > pcb->rcv_mss || (pcb->ooo && pcb->ooo->n);

	if (now) {
		tcp_ack_send(w, pcb);
	} else if (!pcb->ack_ns) {
		pcb->ack_ns = w->now_ns + TCP_DELACK_NS;
		tcp_timer_arm(w, pcb, pcb->ack_ns);
	}
}

void tcp_ack_send(struct worker *w, struct tcp_pcb *pcb)
{
	if (!tcp_synchronised(pcb))
		return;
	if (tcp_xmit(w, pcb, pcb->snd_nxt, 0, TCP_F_ACK) != -ENOBUFS ||
	    !(pcb->flags & (F_ACK_NOW | F_ACK_LATER)))
		return;
	/* No buffers: once more, in a while. */
	pcb->flags |= F_ACK_LATER;
	pcb->ack_ns = w->now_ns + TCP_DELACK_NS;
	tcp_timer_arm(w, pcb, pcb->ack_ns);
}
