/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Explicit congestion notification (RFC 3168): a router marks a packet (CE) where it would have to
 * drop one soon; the receiver echoes that (ECE) until the sender says that it has reduced its
 *window (CWR).
 *
 *	SYN with ECE and CWR, SYN,ACK with ECE: both can	F_ECN
 *	new data leaves with ECT(0); with CWR after a reduction	ECN_CWR_DUE
 *	CE came: each segment of ours has ECE, until CWR comes	ECN_ECHO
 *	ECE came: the window is cut, once in a round trip	recovery.c, state CWR
 *
 * Not ECT: pure ACKs, probes, what is sent again (section 6.1.4 to 6.1.6). A controller with
 * TCP_CC_ECN wants it on every connection, on every segment, and hears of each mark by event(): it
 * keeps ECN_ECHO itself (RFC 8257).
 */
#include "inet/tcp/cc.h"
#include "inet/tcp/tcp_impl.h"
#include "wire/ip4.h"

static bool wanted_by_cc(const struct tcp_pcb *pcb)
{
	return pcb->cc->flags & TCP_CC_ECN;
}

static void off(struct tcp_pcb *pcb)
{
	pcb->flags &= ~F_ECN;
	pcb->ecn = 0;
	pcb->flow.tos &= (uint8_t)~IP_ECN_MASK;
}

void tcp_ecn_connect(const struct worker *w, struct tcp_pcb *pcb)
{
	if (w->tcp->params.tcp_ecn == 1 || wanted_by_cc(pcb))
		pcb->flags |= F_ECN;
}

/* A SYN that is itself ECT is no RFC 3168 sender's [tcp_ecn_create_request]. */
void tcp_ecn_listen(const struct worker *w, struct tcp_pcb *child, const struct tcp_seg *seg)
{
	const uint8_t both = TCP_F_ECE | TCP_F_CWR;

	if ((seg->flags & both) != both)
		return;
	if ((w->tcp->params.tcp_ecn && seg->ecn == IP_ECN_NOT_ECT) || wanted_by_cc(child))
		child->flags |= F_ECN;
}

void tcp_ecn_syn_sent(struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	const uint8_t want = seg->flags & TCP_F_ACK ? TCP_F_ECE : TCP_F_ECE | TCP_F_CWR;

	if ((pcb->flags & F_ECN) && (seg->flags & (TCP_F_ECE | TCP_F_CWR)) != want)
		off(pcb);
}

/* Section 6.1.1.1: a SYN that was lost may have been so because of its flags. */
static uint8_t syn_flags(const struct worker *w, const struct tcp_pcb *pcb, uint8_t flags)
{
	if (flags & TCP_F_ACK)
		return TCP_F_ECE;
	return pcb->retries && w->tcp->params.tcp_ecn_fallback ? 0 : TCP_F_ECE | TCP_F_CWR;
}

uint8_t tcp_ecn_mark(const struct worker *w, struct tcp_pcb *pcb, uint32_t seq, uint32_t len,
		     uint8_t flags)
{
	bool fresh = len && seq == pcb->snd_nxt && !(flags & TCP_F_SYN);
	uint8_t ecn = fresh || wanted_by_cc(pcb) ? IP_ECN_ECT0 : IP_ECN_NOT_ECT;

	if (flags & TCP_F_SYN) {
		flags |= syn_flags(w, pcb, flags);
	} else {
		if (fresh && (pcb->ecn & ECN_CWR_DUE)) {
			pcb->ecn &= (uint8_t)~ECN_CWR_DUE;
			flags |= TCP_F_CWR;
		}
		if (pcb->ecn & ECN_ECHO)
			flags |= TCP_F_ECE;
	}
	pcb->flow.tos = (uint8_t)((pcb->pub.tos & ~IP_ECN_MASK) | ecn);
	return flags;
}

/* The peer's window may be very small now: no delay. */
static void ack_soon(struct tcp_pcb *pcb)
{
	pcb->quickacks = pcb->quickacks > 2 ? pcb->quickacks : 2;
	pcb->flags &= ~F_PINGPONG;
}

static void cc_event(struct worker *w, struct tcp_pcb *pcb, enum tcp_cc_event event)
{
	if (wanted_by_cc(pcb) && pcb->cc->event)
		pcb->cc->event(w, pcb, event);
}

void tcp_ecn_data(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	if (seg->flags & TCP_F_CWR) {
		pcb->ecn &= (uint8_t)~ECN_ECHO;
		tcp_ack_now(w, pcb);
	}
	switch (seg->ecn) {
	case IP_ECN_NOT_ECT:
		/* one that was sent again, most likely: its sender has a small window */
		if (pcb->ecn & ECN_SEEN)
			ack_soon(pcb);
		return;
	case IP_ECN_CE:
		cc_event(w, pcb, TCP_CC_CE);
		if (!(pcb->ecn & ECN_ECHO))
			ack_soon(pcb);
		pcb->ecn |= ECN_ECHO;
		break;
	default:
		cc_event(w, pcb, TCP_CC_NO_CE);
		break;
	}
	pcb->ecn |= ECN_SEEN;
}
