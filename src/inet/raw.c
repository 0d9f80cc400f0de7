/* SPDX-License-Identifier: BSD-3-Clause */
#include "inet/raw.h"

#include <errno.h>

#include "core/watch.h"
#include "inet/ip4.h"
#include "inet/state.h"
#include "inet/udp.h"
#include "wire/csum.h"
#include "wire/icmp.h"

#define RAW_MAX_BYTES 65515u /* behind a header without options */

void raw_add(struct worker *w, struct raw_pcb *pcb)
{
	struct inet *inet = w->inet;

	pcb->next = inet->raws;
	pcb->pprev = &inet->raws;
	if (pcb->next)
		pcb->next->pprev = &pcb->next;
	inet->raws = pcb;
}

void raw_del(struct raw_pcb *pcb)
{
	*pcb->pprev = pcb->next;
	if (pcb->next)
		pcb->next->pprev = pcb->pprev;
}

static bool raw_wants(const struct worker *w, const struct raw_pcb *pcb, const struct pkt *p,
		      const struct ip4_hdr *h)
{
	const struct ipaddr to = ipaddr_from_ip4(h->dst_be);
	const uint8_t *type;

	if (pcb->proto != h->proto ||
	    (!ipaddr_is_any(&pcb->local) && ipaddr_ip4(&pcb->local) != h->dst_be) ||
	    (!ipaddr_is_any(&pcb->remote) && ipaddr_ip4(&pcb->remote) != h->src_be))
		return false;
	if (pcb->bound_if && !inet_came_by(w, pcb->bound_if, p, &to))
		return false;
	if (h->proto != IP_PROTO_ICMP || pcb->icmp_filter == 0)
		return true;
	type = pkt_header(p, p->l4, 1);
	return type && (*type >= 32 || !(pcb->icmp_filter & 1u << *type));
}

void raw_input(struct worker *w, struct pkt *p)
{
	const struct ip4_hdr *h = pkt_header(p, p->l3, sizeof(*h));

	/* Another worker had it before, and the socket's sibling there has its copy. */
	if (p->steered && p->flags & PKT_F_RAW)
		return;
	p->flags &= (uint16_t)~PKT_F_RAW;
	for (struct raw_pcb *pcb = w->inet->raws; pcb; pcb = pcb->next) {
		if (!raw_wants(w, pcb, p, h) || w->inet->up.raw_deliver(w, pcb, p) != 0)
			continue;
		watch_note(w, p, RAW_SOCKET, 0,
			   w->inet->up.program ? w->inet->up.program(pcb->user) : 0);
		p->flags |= PKT_F_RAW;
	}
}

/* ---- errors ---- */

static bool raw_may_have_sent(const struct raw_pcb *pcb, const struct net_error *e, uint8_t proto)
{
	return pcb->proto == proto &&
	       (ipaddr_is_any(&pcb->local) || ipaddr_equal(&pcb->local, &e->local)) &&
	       (ipaddr_is_any(&pcb->remote) || ipaddr_equal(&pcb->remote, &e->remote));
}

bool raw_knows(struct worker *w, const struct net_error *e, uint8_t proto)
{
	const struct raw_pcb *pcb = w->inet->raws;

	while (pcb && !raw_may_have_sent(pcb, e, proto))
		pcb = pcb->next;
	return pcb || (proto == IP_PROTO_ICMP && ping_of_error(w, e));
}

/* As of UDP: of what may pass by itself hears who set IP_RECVERR, of the rest who is connected,
 * too. */
static void error_tell(struct worker *w, struct raw_pcb *pcb, const struct net_error *e)
{
	bool too_large = e->error == EMSGSIZE;

	if (too_large && pcb->pmtudisc == UDP_PMTU_DONT && !pcb->recverr)
		return;
	if (pcb->recverr || ((e->hard || too_large) && !ipaddr_is_any(&pcb->remote)))
		w->inet->up.raw_error(w, pcb, e);
}

bool raw_icmp_error(struct worker *w, const struct net_error *e, uint8_t proto)
{
	struct raw_pcb *ping = proto == IP_PROTO_ICMP ? ping_of_error(w, e) : NULL;
	bool told = ping != NULL;

	if (ping)
		error_tell(w, ping, e);
	for (struct raw_pcb *pcb = w->inet->raws; pcb; pcb = pcb->next) {
		if (!raw_may_have_sent(pcb, e, proto))
			continue;
		error_tell(w, pcb, e);
		told = true;
	}
	return told;
}

/* ---- sending ---- */

static uint8_t byte_at(const void *const run[2], const uint32_t len[2], uint32_t i)
{
	return i < len[0] ? ((const uint8_t *)run[0])[i] : ((const uint8_t *)run[1])[i - len[0]];
}

static bool is_echo_request(const void *const run[2], const uint32_t len[2])
{
	return len[0] + len[1] >= ICMP_HDR_BYTES && byte_at(run, len, 0) == ICMP_TYPE_ECHO &&
	       byte_at(run, len, 1) == 0;
}

/* What is not the program's to choose. */
static void ping_finish(const struct raw_pcb *pcb, struct pkt *p)
{
	struct icmp_hdr *icmp = pkt_header(p, p->l4, sizeof(*icmp));
	uint16_t csum;

	icmp->echo.id_be = pcb->ident_be;
	icmp->csum_be = 0;
	csum = csum_finish(pkt_csum(p, p->l4, pkt_len_from(p, p->l4), 0));
	icmp->csum_be = csum;
}

/* It may not be fragmented here, and would have to be. */
static int too_large(struct worker *w, struct raw_pcb *pcb, const struct ip_flow *flow)
{
	static const uint8_t none[8];
	struct net_error e = { .error = EMSGSIZE,
			       .from = NET_ERROR_LOCAL,
			       .info = flow->mtu_bytes,
			       .local = flow->src,
			       .remote = flow->dst,
			       .l4 = none };

	if (pcb->recverr)
		w->inet->up.raw_error(w, pcb, &e);
	return -EMSGSIZE;
}

/* The way; and whether routers may fragment what goes it. */
static int flow_ready(struct worker *w, struct raw_pcb *pcb, struct ip_flow *flow, uint32_t len)
{
	const uint8_t how = pcb->pmtudisc;
	int err;

	if (len > RAW_MAX_BYTES)
		return -EMSGSIZE;
	flow->own_mtu = how >= UDP_PMTU_PROBE;
	err = ip_flow_route(w, flow);
	if (err)
		return err;
	if (how == UDP_PMTU_DO || how == UDP_PMTU_PROBE)
		flow->fragment = false;
	return inet_pmtu_allows(flow, how, len + IP4_HDR_BYTES) ? 0 : too_large(w, pcb, flow);
}

static struct pkt *raw_packet(struct worker *w, const void *const run[2], const uint32_t len[2])
{
	struct pkt *p = pkt_alloc(w);

	if (!p)
		return NULL;
	stage_enter_one(w, STAGE_SOCK_SEND, p);
	if ((len[0] && pkt_append(w, p, run[0], len[0])) ||
	    (len[1] && pkt_append(w, p, run[1], len[1]))) {
		pkt_drop(w, p, DROP_NOMEM);
		return NULL;
	}
	return p;
}

/* The program's own header is right enough to be sent. Linux lets one pass whose length says less
 * than 20 bytes; nobody could read it. */
static bool header_ok(const void *const run[2], const uint32_t len[2])
{
	uint32_t header;

	if (len[0] + len[1] < IP4_HDR_BYTES)
		return false;
	header = (byte_at(run, len, 0) & 15u) * 4;
	return header >= IP4_HDR_BYTES && header <= len[0] + len[1];
}

/* As Linux: what nobody can know beforehand [raw_send_hdrinc]. */
static void header_finish(struct worker *w, struct ip4_hdr *h, const struct ip_flow *flow,
			  uint32_t len)
{
	if (h->src_be == 0)
		h->src_be = ipaddr_ip4(&flow->src);
	h->len_be = host_to_be16((uint16_t)len);
	if (h->id_be == 0)
		h->id_be = host_to_be16(ip4_next_id(w, h->src_be, h->dst_be, h->proto));
	ip4_csum_fill(h, ip4_hdr_bytes(h));
}

static int output_with_header(struct worker *w, struct raw_pcb *pcb, struct ip_flow *flow,
			      const void *const run[2], const uint32_t len[2])
{
	uint32_t total = len[0] + len[1];
	struct ip4_hdr *h;
	struct pkt *p;
	int err;

	flow->own_mtu = true;
	err = ip_flow_route(w, flow);
	if (err)
		return err;
	if (total > flow->mtu_bytes)
		return too_large(w, pcb, flow);
	if (!header_ok(run, len))
		return -EINVAL;
	p = raw_packet(w, run, len);
	if (!p)
		return -ENOBUFS;
	stage_mark(w, STAGE_IP4_OUTPUT, &p, 1);
	p->l3 = p->mbuf.data_off;
	h = pkt_header(p, p->l3, sizeof(*h));
	p->l4 = p->l7 = (uint16_t)(p->l3 + ip4_hdr_bytes(h));
	header_finish(w, h, flow, total);
	stage_show(w, STAGE_IP4_OUTPUT, 0, &p, 1); /* with its header */
	return ip4_finish(w, p, flow);
}

int raw_output(struct worker *w, struct raw_pcb *pcb, struct ip_flow *flow,
	       const void *const run[2], const uint32_t len[2])
{
	struct pkt *p;
	int err;

	if (pcb->hdrincl)
		return output_with_header(w, pcb, flow, run, len);
	if (pcb->ping && !is_echo_request(run, len))
		return -EINVAL;
	err = flow_ready(w, pcb, flow, len[0] + len[1]);
	if (err)
		return err;
	p = raw_packet(w, run, len);
	if (!p)
		return -ENOBUFS;
	p->l4 = p->mbuf.data_off;
	p->l7 = p->l4;
	if (pcb->ping)
		ping_finish(pcb, p);
	return ip_output(w, p, flow);
}
