/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One segment: payload from the send ring, options, header, then IP. Also the way to the peer and
 * the size of segments that it allows.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "inet/state.h"
#include "inet/tcp/tcp_impl.h"
#include "wire/ip4.h"

#define IP4_AND_TCP_BYTES 40u

int tcp_route(struct worker *w, struct tcp_pcb *pcb)
{
	struct ip_flow *flow = &pcb->flow;
	int err;

	if (flow->generation == w->inet->generation && flow->ttl == pcb->pub.ttl &&
	    !((flow->tos ^ pcb->pub.tos) & ~IP_ECN_MASK) && flow->mtu_bytes == pcb->mss_mtu_bytes)
		return 0;
	flow->src = pcb->pub.local.addr;
	flow->dst = pcb->pub.remote.addr;
	flow->oif = pcb->pub.bound_if;
	flow->ttl = pcb->pub.ttl;
	flow->tos = pcb->pub.tos & (uint8_t)~IP_ECN_MASK;
	flow->any_src = pcb->pub.transparent;
	flow->df = pcb->pub.pmtudisc == IP_PMTUDISC_DO || pcb->pub.pmtudisc == IP_PMTUDISC_WANT;
	err = ip_flow_route(w, flow);
	if (pcb->pub.pmtudisc == IP_PMTUDISC_DO)
		flow->fragment = false;
	if (!err && flow->mtu_bytes != pcb->mss_mtu_bytes)
		tcp_mss_update(pcb);
	return err;
}

/* What we ask the peer to send: our interface's MTU, less fixed headers (RFC 6691). */
uint16_t tcp_adv_mss(const struct tcp_pcb *pcb)
{
	uint32_t mtu = pcb->flow.port ? pcb->flow.port->mtu_bytes : pcb->flow.mtu_bytes;
	uint32_t mss = mtu > IP4_AND_TCP_BYTES + TCP_MIN_MSS ? mtu - IP4_AND_TCP_BYTES
							     : TCP_MIN_MSS;

	if (pcb->pub.max_seg)
		mss = tcp_min(mss, tcp_max(pcb->pub.max_seg, TCP_MIN_MSS));
	return (uint16_t)mss;
}

/* Payload of a segment: what the path and the peer allow, less the options that always come. */
void tcp_mss_update(struct tcp_pcb *pcb)
{
	uint32_t mtu = pcb->mtu_probe ? tcp_min(tcp_mtu_limit(pcb), pcb->flow.mtu_bytes)
				      : pcb->flow.mtu_bytes;
	uint32_t mss = mtu > IP4_AND_TCP_BYTES + TCP_MIN_MSS ? mtu - IP4_AND_TCP_BYTES
							     : TCP_MIN_MSS;

	pcb->mss_mtu_bytes = pcb->flow.mtu_bytes;
	mss = tcp_min(mss, pcb->peer_mss ? pcb->peer_mss : TCP_DEFAULT_MSS);
	mss = tcp_max(mss, TCP_MIN_SND_MSS);
	if (pcb->flags & F_TS_OK)
		mss -= 12;
	pcb->snd_mss = (uint16_t)mss;
}

/* Copy len bytes that begin at seq from the send ring. */
static int payload_append(struct worker *w, struct tcp_pcb *pcb, struct pkt *p, uint32_t seq,
			  uint32_t len)
{
	uint32_t pos = seq - pcb->snd_base, run;

	while (len) {
		const uint8_t *src = byte_ring_run(&pcb->pub.snd, pos, len, &run);

		if (pkt_append(w, p, src, run) != 0)
			return -ENOBUFS;
		pos += run;
		len -= run;
	}
	return 0;
}

static void header_fill(struct worker *w, struct tcp_pcb *pcb, struct tcp_hdr *h,
			uint32_t hdr_bytes, uint32_t seq, uint8_t flags)
{
	uint32_t wnd = tcp_rcv_window(w, pcb);

	h->src_port_be = pcb->pub.local.port_be;
	h->dst_port_be = pcb->pub.remote.port_be;
	h->seq_be = host_to_be32(seq);
	h->ack_be = flags & TCP_F_ACK ? host_to_be32(pcb->rcv_nxt) : 0;
	h->offset_reserved = tcp_offset_of(hdr_bytes);
	h->flags = flags;
	/* The window of a SYN is never scaled (RFC 7323 section 2.2). */
	h->window_be = host_to_be16(
		(uint16_t)(flags & TCP_F_SYN ? tcp_min(wnd, 65535) : wnd >> pcb->rcv_wscale));
	h->urgent_be = 0;
	if (pcb->flags & F_SND_URG)
		tcp_urgent_mark(pcb, seq, h);
}

/* Does the segment carry anything that was sent before? */
static bool sent_before(const struct tcp_pcb *pcb, uint32_t seq, uint32_t len, uint8_t flags)
{
	if (flags & TCP_F_SYN)
		return pcb->total_retrans != 0;
	return (len || (flags & TCP_F_FIN)) && tcp_seq_lt(seq, pcb->snd_nxt);
}

static void sent_account(struct worker *w, struct tcp_pcb *pcb, uint32_t seq, uint32_t len,
			 uint8_t flags)
{
	uint32_t segs = len && pcb->snd_mss ? (len + pcb->snd_mss - 1) / pcb->snd_mss : 1;

	if (flags & TCP_F_ACK) {
		pcb->rcv_acked = pcb->rcv_nxt;
		pcb->flags &= ~(F_ACK_NOW | F_ACK_LATER);
		pcb->ack_ns = 0;
		if (pcb->quickacks)
			pcb->quickacks--;
	}
	if (sent_before(pcb, seq, len, flags))
		tcp_mib_add(w, RetransSegs, segs);
	else
		tcp_mib_add(w, OutSegs, segs);
	if (len && !sent_before(pcb, seq, len, flags))
		tcp_mib_add(w, TCPOrigDataSent, segs);
	pcb->segs_out += segs;
	if (len) {
		pcb->data_segs_out += segs;
		pcb->bytes_sent += len;
		/* An answer soon after a question: both will go on like that. */
		if (w->now_ns - pcb->last_data_rcv_ns < TCP_DELACK_NS)
			pcb->flags |= F_PINGPONG;
		pcb->last_snd_ns = w->now_ns;
	}
}

int tcp_xmit(struct worker *w, struct tcp_pcb *pcb, uint32_t seq, uint32_t len, uint8_t flags)
{
	uint8_t opt[TCP_OPTIONS_MAX_BYTES];
	uint32_t opt_len, hdr_bytes, mss;
	struct pkt *p = pkt_alloc(w);
	struct tcp_hdr *h;

	if (!p)
		return -ENOBUFS;
	if (len)
		stage_enter_one(w, STAGE_SOCK_SEND, p);
	opt_len = tcp_options_build(w, pcb, flags, opt);
	hdr_bytes = TCP_HDR_BYTES + opt_len;
	if (payload_append(w, pcb, p, seq + !!(flags & TCP_F_SYN), len) != 0 ||
	    !(h = pkt_push(p, (uint16_t)hdr_bytes))) {
		pkt_drop(w, p, DROP_NOMEM);
		return -ENOBUFS;
	}
	stage_enter_one(w, STAGE_TCP_OUTPUT, p);
	if (pcb->flags & F_ECN)
		flags = tcp_ecn_mark(w, pcb, seq, len, flags);
	p->l4 = p->mbuf.data_off;
	p->l7 = (uint16_t)(p->l4 + hdr_bytes);
	header_fill(w, pcb, h, hdr_bytes, seq, flags);
	memcpy(h + 1, opt, opt_len);
	h->csum_be = ip_pseudo_csum(&pcb->flow, hdr_bytes + len);
	p->flags |= PKT_F_CSUM_PARTIAL;
	p->csum_at = TCP_CSUM_AT;
	mss = pcb->snd_mss + (pcb->flags & F_TS_OK ? 12u : 0u) - opt_len;
	if (len > mss && !(flags & TCP_F_SYN) &&
	    !(pcb->mtu_probe && tcp_mtu_probe_is(pcb, seq, len))) {
		p->flags |= PKT_F_GSO_TCP4;
		p->gso_size = (uint16_t)mss;
	}
	if (unlikely(p->followed)) {
		p->user[0] = (uintptr_t)pcb;
		p->user[1] = sent_before(pcb, seq, len, flags);
	}
	sent_account(w, pcb, seq, len, flags);
	return ip_output(w, p, &pcb->flow);
}
