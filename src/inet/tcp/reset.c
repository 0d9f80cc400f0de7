/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RST and challenge ACKs (RFC 9293 section 3.5.2, RFC 5961).
 */
#include <string.h>

#include "core/watch.h"
#include "inet/tcp/tcp_impl.h"

void tcp_reply(struct worker *w, const struct endpoint *local, const struct endpoint *remote,
	       uint8_t oif, const struct tcp_hdr *hdr, const uint8_t *opt, uint32_t opt_len)
{
	struct ip_flow flow = {
		.src = local->addr, .dst = remote->addr, .proto = 6, .oif = oif, .df = true
	};
	uint32_t len = TCP_HDR_BYTES + opt_len;
	struct pkt *p = pkt_alloc(w);
	struct tcp_hdr *h;

	if (!p)
		return;
	stage_enter_one(w, STAGE_TCP_OUTPUT, p);
	h = pkt_push(p, (uint16_t)len);
	if (!h) {
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	p->l4 = p->mbuf.data_off;
	p->l7 = (uint16_t)(p->l4 + len);
	*h = *hdr;
	h->src_port_be = local->port_be;
	h->dst_port_be = remote->port_be;
	h->offset_reserved = tcp_offset_of(len);
	h->urgent_be = 0;
	if (opt_len)
		memcpy(h + 1, opt, opt_len);
	if (ip_flow_route(w, &flow) != 0) {
		pkt_drop(w, p, DROP_IP_OUTNOROUTES);
		return;
	}
	h->csum_be = ip_pseudo_csum(&flow, len);
	p->flags |= PKT_F_CSUM_PARTIAL;
	p->csum_at = TCP_CSUM_AT;
	tcp_mib(w, OutSegs);
	ip_output(w, p, &flow);
}

/* For a segment that no connection of ours expects. Never for a RST, nor for what was not sent to
 * us alone (RFC 1122 section 4.2.3.10). */
void tcp_reset_for(struct worker *w, const struct tcp_seg *seg)
{
	struct tcp_hdr h = { .flags = TCP_F_RST };
	uint32_t len = seg->len + !!(seg->flags & TCP_F_SYN) + !!(seg->flags & TCP_F_FIN);

	if ((seg->flags & TCP_F_RST) || (seg->p->flags & (PKT_F_BROADCAST | PKT_F_MULTICAST)))
		return;
	if (seg->flags & TCP_F_ACK) {
		h.seq_be = host_to_be32(seg->ack);
	} else {
		h.flags |= TCP_F_ACK;
		h.ack_be = host_to_be32(seg->seq + len);
	}
	watch_note(w, seg->p, RESET, 0, 0);
	tcp_mib(w, OutRsts);
	tcp_reply(w, &seg->local, &seg->remote, 0, &h, NULL, 0);
}

static bool limit_take(const struct worker *w, struct tcp_limit *l, uint32_t each_second)
{
	uint64_t now_s = w->now_ns / TCP_S_NS;

	if (l->second != now_s) {
		l->second = now_s;
		l->left = each_second;
	}
	if (l->left == 0)
		return false;
	l->left--;
	return true;
}

void tcp_reset_stranger(struct worker *w, const struct tcp_seg *seg)
{
	if (seg->flags & TCP_F_RST)
		return;
	if (limit_take(w, &w->tcp->reset, (uint32_t)w->tcp->params.tcp_reset_limit))
		tcp_reset_for(w, seg);
	else
		tcp_mib(w, TCPResetSkipped);
}

void tcp_reset_send(struct worker *w, struct tcp_pcb *pcb)
{
	tcp_mib(w, OutRsts);
	tcp_xmit(w, pcb, pcb->snd_nxt, 0, TCP_F_RST | TCP_F_ACK);
}

bool tcp_challenge_allowed(struct worker *w)
{
	uint32_t limit = (uint32_t)w->tcp->params.tcp_challenge_ack_limit;

	/* Not the same each second: else counting them tells of other connections. */
	return limit_take(w, &w->tcp->challenge, (limit + 1) / 2 + worker_random(w) % limit);
}

void tcp_challenge(struct worker *w, struct tcp_pcb *pcb)
{
	if (!tcp_oow_allowed(w, pcb->oow_ack_ns))
		return;
	if (!tcp_challenge_allowed(w))
		return;
	tcp_mib(w, TCPChallengeACK);
	tcp_ack_oow(w, pcb);
}
