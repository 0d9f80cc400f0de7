/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The window that we offer.
 *
 * Never more than the free space of the receive ring, so that what was offered finds room; and its
 * right edge, rcv_adv, never moves left. It moves right by steps of a segment or half of the buffer
 * (silly window avoidance, RFC 9293 section 3.8.6.2.2). The field counts units of 2^wscale: what is
 * offered is rounded up to them where the ring has the room, so that the edge does not move left on
 * the wire either (RFC 7323 section 2.4).
 *
 * Within the buffer the window opens with the data that comes, by twice as much, as the sender's
 * slow start does [rcv_ssthresh, tcp_grow_window]: a sender that never fills it is not promised
 * memory for more.
 */
#include "inet/tcp/tcp_impl.h"

uint8_t tcp_rcv_wscale_of(const struct worker *w, const struct tcp_public *pub)
{
	uint32_t space = pub->rcv_space_bytes;
	uint8_t shift = 0;

	/* For the largest that it may become: it cannot be told again [tcp_select_initial_window]
	 */
	if (!pub->rcv_locked && w->tcp->params.tcp_moderate_rcvbuf)
		space = tcp_max(space, (uint32_t)w->tcp->params.tcp_rmem[2]);
	if (pub->window_clamp)
		space = tcp_min(space, pub->window_clamp);
	while (shift < TCP_WSCALE_MAX && 65535u << shift < space)
		shift++;
	return shift;
}

/* The most that may be in the buffer, or be offered to come. */
static uint32_t rcv_limit(const struct tcp_pcb *pcb)
{
	const struct tcp_public *pub = &pcb->pub;
	uint32_t limit = pub->rcv_space_bytes;

	if (pub->rcv.data)
		limit = tcp_min(limit, pub->rcv.size_bytes);
	return pub->window_clamp ? tcp_min(limit, pub->window_clamp) : limit;
}

uint32_t tcp_rcv_free(const struct tcp_pcb *pcb)
{
	uint32_t used = byte_ring_used(&pcb->pub.rcv), limit = rcv_limit(pcb);

	if (pcb->flags & F_DETACHED)
		return 0;
	return used < limit ? limit - used : 0;
}

/* How far the window has opened so far: before any data, as far as a SYN can say. */
uint32_t tcp_rcv_ssthresh(const struct tcp_pcb *pcb)
{
	return pcb->rcvq ? pcb->rcvq->ssthresh : tcp_min(rcv_limit(pcb), 65535);
}

/* The most that the field can say: what the ring has beyond it is nothing to tell of. */
static uint32_t wnd_max(const struct tcp_pcb *pcb)
{
	uint32_t field = pcb->pub.state >= TCP_ESTABLISHED ? 65535u << pcb->rcv_wscale : 65535u;

	return tcp_min(field, tcp_rcv_ssthresh(pcb));
}

/* The right edge that the ring allows now, moved only by a step worth telling. */
static uint32_t right_edge(const struct tcp_pcb *pcb)
{
	uint32_t right = pcb->rcv_nxt + tcp_min(tcp_rcv_free(pcb), wnd_max(pcb));
	uint32_t step = tcp_min(rcv_limit(pcb) / 2, pcb->rcv_mss);

	if ((int32_t)(right - pcb->rcv_adv) < (int32_t)step)
		return pcb->rcv_adv;
	return right;
}

/* In units of the field; up, where there is room for what the rounding adds. */
static uint32_t in_units(const struct tcp_pcb *pcb, uint32_t wnd)
{
	uint32_t unit = 1u << pcb->rcv_wscale, up = (wnd + unit - 1) & ~(unit - 1);

	if (pcb->pub.state < TCP_ESTABLISHED)
		return wnd;
	return up <= tcp_rcv_free(pcb) && up >> pcb->rcv_wscale <= 65535 ? up : wnd & ~(unit - 1);
}

static void rcv_sync(struct worker *w, struct tcp_pcb *pcb)
{
	const struct tcp_ranges *o = pcb->ooo;
	struct tcp_public *pub = &pcb->pub;

	if (!pub->rcv.data || (pcb->flags & F_DETACHED))
		return;
	w->tcp->up->tcp_sync_rcv(w, pcb);
	tcp_rcv_space_adjust(w, pcb);
	if (pub->rcv.size_bytes < pub->rcv_space_bytes && tcp_may_receive(pcb))
		w->tcp->up->tcp_grow_rcv(w, pcb, o ? o->r[o->n - 1].end - pcb->rcv_nxt : 0);
}

uint32_t tcp_rcv_window(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t right, wnd;

	rcv_sync(w, pcb);
	right = right_edge(pcb);
	if ((int32_t)(right - pcb->rcv_nxt) < 0)
		right = pcb->rcv_nxt;
	wnd = in_units(pcb, right - pcb->rcv_nxt);
	if (tcp_seq_gt(pcb->rcv_nxt + wnd, pcb->rcv_adv))
		pcb->rcv_adv = pcb->rcv_nxt + wnd;
	return wnd;
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
	rcv_sync(w, pcb);
	right = right_edge(pcb);
	/* Tell when the window at least doubles [__tcp_select_window's caller tcp_cleanup_rbuf]. */
	if (right == pcb->rcv_adv || right - pcb->rcv_nxt < 2 * old)
		return;
	tcp_enter(w);
	tcp_ack_now(w, pcb);
	tcp_leave(w);
}
