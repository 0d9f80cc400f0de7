/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Raw IPv4 sockets, raw(7): whole packets in, payloads of their protocol out. And ICMP datagram
 * sockets, icmp(7), which are the same with an identifier for a port: echo requests out, the
 * answers to them in, from their ICMP header on.
 */
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sock/options.h"
#include "sock/packet.h"
#include "wire/ip4.h"

/* What the program sees of the socket's name. A raw socket's port is its protocol, as in Linux. */
static void name_publish(struct sock *s)
{
	const struct raw_pcb *pcb = &s->raw->pcb;

	s->abi->local_addr = pcb->local;
	s->abi->local_port_be = pcb->ping ? pcb->ident_be : htobe16(pcb->proto);
	s->abi->peer_addr = pcb->remote;
	s->abi->peer_port_be = s->raw->peer_port_be;
}

int raw_open(struct sock *s, int protocol, bool ping)
{
	struct raw_sock *raw = calloc(1, sizeof(*raw));
	struct sock_options *opt = options_own(s);
	int ret = raw != NULL && opt != NULL ? record_open(s) : -ENOBUFS;

	if (ret != 0) {
		free(raw);
		return ret;
	}
	opt->hdrincl = protocol == IPPROTO_RAW;
	opt->reuse_addr = 1; /* as Linux has it of these [INET_PROTOSW_REUSE] */
	raw->pcb.proto = (uint8_t)protocol;
	raw->pcb.ping = ping;
	raw->pcb.user = s;
	s->raw = raw;
	if (!ping)
		raw_add(s->part->w, &raw->pcb);
	options_apply(s);
	name_publish(s);
	return 0;
}

void raw_close(struct sock *s)
{
	if (s->raw->pcb.ping)
		ping_unbind(&s->raw->pcb);
	else
		raw_del(&s->raw->pcb);
	free(s->raw);
	s->raw = NULL;
	record_close(s);
}

void raw_apply(struct sock *s)
{
	struct raw_pcb *pcb = &s->raw->pcb;

	pcb->reuse_addr = s->opt->reuse_addr;
	pcb->hdrincl = s->opt->hdrincl;
	pcb->recverr = s->opt->recverr;
	pcb->pmtudisc = (uint8_t)s->opt->mtu_discover;
	pcb->bound_if = option_ifindex(s->opt->bound_if);
}

/* ---- names ---- */

/* Ours; a raw socket may be bound to what only can be received on, too. */
static bool bindable(const struct sock *s, const struct ipaddr *addr)
{
	struct worker *w = s->part->w;

	if (ipaddr_is_any(addr) || inet_addr_is_local(w, addr))
		return true;
	return !s->raw->pcb.ping && ipaddr_is_ip4(addr) &&
	       (ip4_is_multicast(ipaddr_ip4(addr)) || inet_addr_is_broadcast(w, addr));
}

int raw_bind(struct sock *s, const struct endpoint *at)
{
	struct raw_pcb *pcb = &s->raw->pcb;
	int ret = 0;

	if (pcb->ping ? pcb->ident_be != 0 : (s->state & ABI_S_CONNECTED) != 0)
		return !pcb->ping || bindable(s, &at->addr) ? -EINVAL : -EADDRNOTAVAIL;
	if (!bindable(s, &at->addr))
		return -EADDRNOTAVAIL;
	if (pcb->ping)
		ret = ping_bind(s->part->w, pcb, at->port_be);
	if (ret != 0)
		return ret;
	pcb->ident_locked = at->port_be != 0;
	pcb->local = at->addr;
	s->raw->addr_locked = !ipaddr_is_any(&at->addr);
	name_publish(s);
	return 0;
}

static void disconnect(struct sock *s)
{
	struct raw_pcb *pcb = &s->raw->pcb;

	pcb->remote = ipaddr_any();
	s->raw->peer_port_be = 0;
	s->state &= ~ABI_S_CONNECTED;
	if (!s->raw->addr_locked)
		pcb->local = ipaddr_any();
	if (pcb->ping && !pcb->ident_locked)
		ping_unbind(pcb);
	name_publish(s);
}

/* The way of one packet, as far as it is said. */
static void way_of(const struct sock *s, const struct abi_dgram *d, struct ip_flow *flow)
{
	const struct raw_pcb *pcb = &s->raw->pcb;
	const struct sock_options *o = s->opt;

	*flow = (struct ip_flow){ .src = ipaddr_is_any(&d->local) ? pcb->local : d->local,
				  .dst = ipaddr_is_any(&d->addr) ? pcb->remote : d->addr,
				  .proto = pcb->proto,
				  .ttl = (uint8_t)(o->ttl == -1 ? 0 : o->ttl),
				  .tos = d->flags & ABI_DGRAM_TOS ? d->tos : (uint8_t)o->tos,
				  .oif = pcb->bound_if,
				  .broadcast_ok = o->broadcast != 0 };
	if (d->ifindex != 0)
		flow->oif = option_ifindex((int32_t)(d->ifindex & INT32_MAX));
	if (ipaddr_is_ip4(&flow->dst) && ip4_is_multicast(ipaddr_ip4(&flow->dst)))
		flow->ttl = (uint8_t)(o->mcast_ttl == -1 ? 1 : o->mcast_ttl);
	else if (flow->oif == 0)
		flow->oif = option_ifindex(o->unicast_if);
	if (d->flags & ABI_DGRAM_TTL)
		flow->ttl = d->ttl;
	/* Bound to a group or broadcast address: it sends from another. */
	if (ipaddr_is_any(&d->local) && !inet_addr_is_local(s->part->w, &flow->src))
		flow->src = ipaddr_any();
}

int raw_connect(struct sock *s, const struct endpoint *to)
{
	struct abi_dgram d = { .addr = to->addr };
	struct raw_pcb *pcb = &s->raw->pcb;
	struct ip_flow flow;
	int ret = 0;

	if (ipaddr_is_any(&to->addr)) {
		disconnect(s);
		return 0;
	}
	if (pcb->ping && pcb->ident_be == 0)
		ret = ping_bind(s->part->w, pcb, 0);
	way_of(s, &d, &flow);
	if (!s->raw->addr_locked) /* connected anew: the source may be another one */
		flow.src = ipaddr_any();
	if (ret == 0)
		ret = ip_flow_route(s->part->w, &flow);
	if (ret != 0)
		return ret;
	pcb->remote = to->addr;
	if (!s->raw->addr_locked)
		pcb->local = flow.src;
	s->raw->peer_port_be = to->port_be;
	s->state |= ABI_S_CONNECTED;
	name_publish(s);
	return 0;
}

int raw_shutdown(struct sock *s, int how)
{
	if (how != SHUT_RD)
		s->state |= ABI_S_TX_SHUT;
	if (how != SHUT_WR)
		s->state |= ABI_S_RX_EOF;
	sock_mark(s, ABI_EV_IN | ABI_EV_OUT | ABI_EV_RDHUP);
	return s->state & ABI_S_CONNECTED ? 0 : -ENOTCONN;
}

/* A sibling on another worker: as from is. -EADDRINUSE: its identifier is another's there. */
int raw_copy(struct sock *s, const struct sock *from)
{
	struct raw_pcb *pcb = &s->raw->pcb;
	const struct raw_pcb *like = &from->raw->pcb;
	int ret = options_copy(s, from);

	if (ret != 0)
		return ret;
	options_apply(s);
	pcb->local = like->local;
	pcb->remote = like->remote;
	pcb->icmp_filter = like->icmp_filter;
	if (from->state & ABI_S_CONNECTED)
		s->state |= ABI_S_CONNECTED;
	else
		s->state &= ~ABI_S_CONNECTED;
	if (pcb->ident_be == like->ident_be)
		return 0;
	ping_unbind(pcb);
	return like->ident_be != 0 ? ping_bind(s->part->w, pcb, like->ident_be) : 0;
}

void raw_unbind(struct sock *s)
{
	ping_unbind(&s->raw->pcb);
	name_publish(s);
}

int raw_mtu(struct sock *s)
{
	struct abi_dgram d = { .len_bytes = 0 };
	struct ip_flow flow;
	int ret;

	way_of(s, &d, &flow);
	ret = ip_flow_route(s->part->w, &flow);
	return ret != 0 ? ret : flow.mtu_bytes;
}

/* ---- sending ---- */

static int send_one(struct sock *s, const struct abi_dgram *d, uint32_t len)
{
	struct raw_pcb *pcb = &s->raw->pcb;
	struct ip_flow flow;
	const void *run[2];
	uint32_t run_len[2];
	int ret = 0;

	way_of(s, d, &flow);
	if (ipaddr_is_any(&flow.dst))
		return -EDESTADDRREQ;
	if (pcb->ping && pcb->ident_be == 0) {
		ret = ping_bind(s->part->w, pcb, 0);
		name_publish(s);
	}
	record_runs(s, len, run, run_len);
	return ret != 0 ? ret : raw_output(s->part->w, pcb, &flow, run, run_len);
}

int raw_flush(struct sock *s)
{
	const struct raw_pcb *pcb = &s->raw->pcb;
	/* As Linux: where the IP header is weir's, shutdown() forbids nothing. */
	bool shut = s->state & ABI_S_TX_SHUT && (pcb->ping || pcb->hdrincl);
	struct abi_dgram d;
	uint32_t len;
	int ret = 0;

	for (unsigned int n = 0; n < SOCK_DGRAM_BURST && record_next(s, &d, &len) == 0; n++) {
		ret = shut ? -EPIPE : send_one(s, &d, len);
		record_sent(s, len);
	}
	return ret;
}

/* ---- receiving ---- */

unsigned int raw_deliver(struct worker *w, struct raw_pcb *pcb, const struct pkt *p)
{
	struct sock *s = pcb->user;
	struct filter_packet fp = { .p = p,
				    .start = p->l3,
				    .len_bytes = pkt_len_from(p, p->l3),
				    .data_at = pcb->ping ? (uint32_t)(p->l4 - p->l3) : 0,
				    .ifindex = p->ifindex,
				    .cpu = w->id,
				    .protocol = 0x800 };
	const uint8_t *ip = pkt_header(p, p->l3, 20);
	uint32_t len = filter_wants(s, &fp);
	struct abi_dgram d = { .len_bytes = len,
			       .wire_bytes = fp.len_bytes - fp.data_at,
			       .ifindex = p->ifindex,
			       .stamp_ns = p->stamp_ns + w->wall_offset_ns };
	uint32_t src_be, dst_be;

	if (len == 0 || ip == NULL)
		return DROP_SOCKET_FILTER;
	if (!record_room(s, len)) {
		s->raw->drops++;
		return DROP_SOCKET_RCVBUFF;
	}
	memcpy(&src_be, ip + 12, sizeof(src_be));
	memcpy(&dst_be, ip + 16, sizeof(dst_be));
	d.addr = ipaddr_from_ip4(src_be);
	d.local = ipaddr_from_ip4(dst_be);
	d.tos = ip[1];
	d.ttl = ip[8];
	d.drops = (uint32_t)s->raw->drops;
	record_put(s, &d, &fp, fp.data_at, len);
	return 0;
}

/* Where in p begins what the program gave: behind the IP header, or with it. p is an ICMP message,
 * or, where it could not be made, the very packet. */
static uint16_t quote_at(const struct raw_pcb *pcb, const struct net_error *e)
{
	uint16_t l4 = (uint16_t)(e->data_at - 8);

	if (!pcb->hdrincl)
		return l4;
	return l4 == e->p->l4 ? e->p->l3 : (uint16_t)(e->p->l4 + 8);
}

/* The queue's entry holds all that the program sent. */
void raw_error(struct worker *w, struct raw_pcb *pcb, const struct net_error *e)
{
	struct sock *s = pcb->user;
	struct net_error whole = *e;

	if (e->p != NULL)
		whole.data_at = quote_at(pcb, e);
	if (pcb->recverr)
		errqueue_net_error(s, &whole);
	if (e->from != NET_ERROR_LOCAL)
		sock_set_error(s, e->error);
}

/* The level SOL_RAW is there for all, and has one option, of ICMP. */
int raw_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	if (name != ICMP_FILTER || s->raw->pcb.ping)
		return -ENOPROTOOPT;
	if (s->raw->pcb.proto != IPPROTO_ICMP)
		return -EOPNOTSUPP;
	memcpy(&s->raw->pcb.icmp_filter, data, len < sizeof(uint32_t) ? len : sizeof(uint32_t));
	return 0;
}

int raw_option_get(struct sock *s, uint32_t name, void *data, uint32_t *len)
{
	if (s->raw->pcb.ping)
		return -EOPNOTSUPP;
	if (name != ICMP_FILTER)
		return -ENOPROTOOPT;
	if (s->raw->pcb.proto != IPPROTO_ICMP)
		return -EOPNOTSUPP;
	return give(data, len, &s->raw->pcb.icmp_filter, sizeof(uint32_t));
}
