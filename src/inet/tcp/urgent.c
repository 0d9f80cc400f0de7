/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Urgent data (RFC 9293 section 3.8.5), in the one meaning that programs know, Linux's and BSD's
 * (RFC 6093): the pointer is that of the byte behind the urgent one, and there is one urgent byte
 * at a time. It is not in the stream, unless the program asked for that; the reader steps over it
 * (wire/app_urgent.h), here it lies in the ring like any other.
 *
 * Sending: while the urgent byte is not acknowledged ("urgent mode") each segment in front of it
 * says where it is, Nagle's rule rests, and no packet is larger than a segment.
 *
 * Receiving: a pointer that is ahead of rcv_nxt and of the pointer before it is announced at once
 * (SIGURG); its byte is taken as soon as it is there, be it behind a hole.
 */
#include "inet/tcp/tcp_impl.h"

#define URGENT_MAX 0xffffu
#define HOLE_BYTES_MAX 63 /* as many bits as it has */

/* Number behind our last urgent byte. */
static uint32_t snd_up(const struct tcp_pcb *pcb)
{
	return pcb->snd_base + pcb->pub.snd_urg;
}

void tcp_push_urgent(struct tcp_pcb *pcb, uint32_t pos)
{
	pcb->pub.snd_urg = pos;
	pcb->flags |= F_SND_URG;
}

bool tcp_urgent_mode(const struct tcp_pcb *pcb)
{
	return (pcb->flags & F_SND_MAPPED) && tcp_seq_lt(pcb->snd_una, snd_up(pcb));
}

void tcp_urgent_mark(struct tcp_pcb *pcb, uint32_t seq, struct tcp_hdr *h)
{
	uint32_t ahead = snd_up(pcb) - seq;

	if (!tcp_urgent_mode(pcb)) {
		if (pcb->flags & F_SND_MAPPED)
			pcb->flags &= ~F_SND_URG; /* it is acknowledged */
		return;
	}
	if ((int32_t)ahead <= 0 || (h->flags & (TCP_F_SYN | TCP_F_RST)))
		return;
	if (ahead > URGENT_MAX) {
		/* Further than the field reaches: somewhere ahead is all that can be said, and is
		 * said by the newest segment only. */
		if (tcp_seq_leq(seq + URGENT_MAX, pcb->snd_nxt))
			return;
		ahead = URGENT_MAX;
	}
	h->flags |= TCP_F_URG;
	h->urgent_be = host_to_be16((uint16_t)ahead);
}

/* Number of the urgent byte that was announced last. */
static uint32_t rcv_up(const struct tcp_pcb *pcb)
{
	return pcb->rcv_nxt + (pcb->pub.urg_pos - pcb->pub.rcv.tail);
}

/*
 * The reader stands in front of the older mark, or in front of such that it will skip and then the
 * older one: that is not to become data now, and is skipped as well.
 */
static void widen_hole(struct tcp_public *pub)
{
	uint32_t stands = pub->rcv.head;

	if (stands - pub->urg_hole < pub->urg_hole_bytes)
		stands = pub->urg_hole + pub->urg_hole_bytes;
	else
		pub->urg_hole_bytes = 0;
	if (pub->urg == TCP_URG_NONE || pub->urg_pos != stands || pub->rcv.tail == stands ||
	    pub->urg_hole_bytes == HOLE_BYTES_MAX)
		return;
	if (pub->urg_hole_bytes++ == 0)
		pub->urg_hole = stands;
}

/* A pointer to something that has not come before [tcp_check_urg]. */
static void announce(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	struct tcp_public *pub = &pcb->pub;
	bool back = seg->urgent && !w->tcp->params.tcp_stdurg;
	uint32_t at = seg->seq + seg->urgent - back;

	if (tcp_seq_lt(at, pcb->rcv_nxt) ||
	    ((pcb->flags & F_FIN_SEEN) && tcp_seq_geq(at, pcb->peer_fin)) ||
	    (pub->urg != TCP_URG_NONE && tcp_seq_leq(at, rcv_up(pcb))))
		return;
	if (pub->rcv.data)
		w->tcp->up->tcp_sync_rcv(w, pcb);
	widen_hole(pub);
	pub->urg_pos = pub->rcv.tail + (at - pcb->rcv_nxt);
	pub->urg = TCP_URG_ANNOUNCED;
	pcb->flags |= F_URG_WAIT;
	w->tcp->up->tcp_urgent(w, pcb);
}

void tcp_urgent(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	uint32_t offset;

	if (!tcp_may_receive(pcb) || (pcb->flags & F_DETACHED))
		return;
	if (seg->flags & TCP_F_URG)
		announce(w, pcb, seg);
	if (!(pcb->flags & F_URG_WAIT))
		return;
	offset = rcv_up(pcb) - seg->seq;
	if (offset >= seg->len)
		return;
	pkt_copy_out(seg->p, seg->payload + offset, &pcb->pub.urg_byte, 1);
	pcb->pub.urg = TCP_URG_HERE;
	pcb->flags &= ~F_URG_WAIT;
	w->tcp->up->tcp_urgent(w, pcb);
}
