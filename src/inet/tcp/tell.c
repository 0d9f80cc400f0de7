/* SPDX-License-Identifier: BSD-3-Clause */
/* What is decided about a segment, for who follows it (core/watch.h). Of others nobody calls. */
#include "core/watch.h"
#include "inet/tcp/tcp_impl.h"

static uint32_t program_of(const struct worker *w, const struct tcp_pcb *pcb)
{
	return w->tcp->up->program ? w->tcp->up->program(pcb->pub.user) : 0;
}

static void socket_tell(struct worker *w, const struct tcp_pcb *pcb, const struct pkt *p)
{
	watch_note(w, p, SOCKET, be16_to_host(pcb->pub.local.port_be), program_of(w, pcb));
}

void tcp_tell_listener(struct worker *w, const struct tcp_pcb *listener, const struct pkt *p)
{
	watch_note(w, p, LISTENER, be16_to_host(listener->pub.local.port_be),
		   program_of(w, listener));
}

static void ack_tell(struct worker *w, const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	uint32_t acked = seg->ack - pcb->snd_una, out = pcb->snd_nxt - pcb->snd_una;

	if (acked && acked <= out)
		watch_note(w, seg->p, TCP_ACK, acked, out - acked);
	else if (!acked && out && !seg->len)
		watch_note(w, seg->p, TCP_DUPACK, out, 0);
}

void tcp_tell_received(struct worker *w, const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	uint32_t ahead = seg->seq - pcb->rcv_nxt;

	socket_tell(w, pcb, seg->p);
	watch_note(w, seg->p, TCP_STATE, pcb->pub.state, pcb->rcv_nxt);
	if (!tcp_synchronised(pcb))
		return;
	if ((int32_t)ahead < 0)
		watch_note(w, seg->p, TCP_OLD, -ahead, 0);
	else if (ahead && seg->len)
		watch_note(w, seg->p, TCP_AHEAD, ahead, 0);
	if (seg->flags & TCP_F_ACK)
		ack_tell(w, pcb, seg);
}

void tcp_tell_queued(struct worker *w, const struct tcp_pcb *pcb, const struct pkt *p)
{
	const struct byte_ring *rcv = &pcb->pub.rcv;

	watch_note(w, p, QUEUE, byte_ring_used(rcv), byte_ring_free(rcv));
}

void tcp_tell_sent(struct worker *w, const struct tcp_pcb *pcb, const struct pkt *p, bool again)
{
	uint32_t len = pkt_len_from(p, p->l7);

	socket_tell(w, pcb, p);
	watch_note(w, p, TCP_SEND, pcb->pub.state, pcb->snd_nxt - pcb->snd_una);
	if (len)
		watch_note(w, p, TCP_WINDOW, pcb->cwnd, pcb->snd_wnd);
	if (again)
		watch_note(w, p, TCP_AGAIN, pcb->total_retrans, 0);
	if (p->flags & PKT_F_GSO_TCP4)
		watch_note(w, p, TCP_SUPER, len, p->gso_size);
}
