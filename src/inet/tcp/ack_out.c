/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Acknowledgments that we send, and the window that we offer.
 *
 * When (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2): at once, at the end of the burst, for the
 * second full segment, for anything out of order, for the first TCP_QUICKACKS of a connection (the
 * peer is in slow start); else within 40 ms, in the hope of data to carry it. The program's answers
 * switch to "ping-pong": then the ACK always waits for the answer.
 *
 * The window: free space of the receive ring, so that its right edge, rcv_adv, never moves left. It
 * moves right by steps of a segment or half of the ring (silly window avoidance, RFC 9293 section
 * 3.8.6.2.2). The field's granularity is 2^wscale: it is rounded down, and what was promised before
 * stays good (RFC 7323 section 2.4).
 */
#include <errno.h>

#include "inet/tcp/tcp_impl.h"

uint8_t tcp_rcv_wscale_of(uint32_t space_bytes)
{
	uint8_t shift = 0;

	while (shift < TCP_WSCALE_MAX && 65535u << shift < space_bytes)
		shift++;
	return shift;
}

static uint32_t rcv_free(const struct tcp_pcb *pcb)
{
	const struct byte_ring *rcv = &pcb->pub.rcv;
	uint32_t used = byte_ring_used(rcv);

	if (pcb->flags & F_DETACHED)
		return 0;
	if (!rcv->data)
		return pcb->pub.rcv_space_bytes;
	return used < rcv->size_bytes ? rcv->size_bytes - used : 0;
}

static uint32_t rcv_limit(const struct tcp_pcb *pcb)
{
	return pcb->pub.rcv.data ? pcb->pub.rcv.size_bytes : pcb->pub.rcv_space_bytes;
}

/* The most that the field can say: what the ring has beyond it is nothing to tell of. */
static uint32_t wnd_max(const struct tcp_pcb *pcb)
{
	return pcb->pub.state >= TCP_ESTABLISHED ? 65535u << pcb->rcv_wscale : 65535u;
}

/* The right edge that the ring allows now, moved only by a step worth telling. */
static uint32_t right_edge(const struct tcp_pcb *pcb)
{
	uint32_t right = pcb->rcv_nxt + tcp_min(rcv_free(pcb), wnd_max(pcb));
	uint32_t step = tcp_min(rcv_limit(pcb) / 2, pcb->adv_mss);

	if ((int32_t)(right - pcb->rcv_adv) < (int32_t)step)
		return pcb->rcv_adv;
	return right;
}

uint32_t tcp_rcv_window(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t right, wnd;

	if (pcb->pub.rcv.data && !(pcb->flags & F_DETACHED))
		w->tcp->up->tcp_sync_rcv(w, pcb);
	right = right_edge(pcb);
	if ((int32_t)(right - pcb->rcv_nxt) < 0)
		right = pcb->rcv_nxt;
	wnd = tcp_min(right - pcb->rcv_nxt, wnd_max(pcb));
	if (pcb->pub.state >= TCP_ESTABLISHED)
		wnd &= ~0u << pcb->rcv_wscale;
	if (tcp_seq_gt(pcb->rcv_nxt + wnd, pcb->rcv_adv))
		pcb->rcv_adv = pcb->rcv_nxt + wnd;
	return wnd;
}

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

/* What the peer may send now, as far as it knows. */
static uint32_t offered(const struct tcp_pcb *pcb)
{
	return (int32_t)(pcb->rcv_adv - pcb->rcv_nxt) > 0 ? pcb->rcv_adv - pcb->rcv_nxt : 0;
}

bool tcp_wants_consumed(const struct tcp_pcb *pcb)
{
	return tcp_may_receive(pcb) && pcb->pub.rcv.data &&
	       offered(pcb) <= tcp_min(rcv_limit(pcb), wnd_max(pcb)) / 2;
}

void tcp_consumed(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t old = offered(pcb), right;

	if (!tcp_may_receive(pcb) || (pcb->flags & F_DETACHED))
		return;
	right = right_edge(pcb);
	/* Tell when the window at least doubles [__tcp_select_window's caller tcp_cleanup_rbuf]. */
	if (right == pcb->rcv_adv || right - pcb->rcv_nxt < 2 * old)
		return;
	tcp_enter(w);
	tcp_ack_now(w, pcb);
	tcp_leave(w);
}
