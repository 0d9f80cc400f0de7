/* SPDX-License-Identifier: BSD-3-Clause */
/* Raw IPv4 sockets, raw(7): whole packets in, payloads of their protocol out. */
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sock/packet.h"

int raw_open(struct sock *s, int protocol)
{
	struct raw_sock *raw = calloc(1, sizeof(*raw));
	int ret = raw != NULL ? record_open(s) : -ENOBUFS;

	if (ret != 0) {
		free(raw);
		return ret;
	}
	raw->pcb.proto = (uint8_t)protocol;
	raw->pcb.user = s;
	s->raw = raw;
	raw_add(s->part->w, &raw->pcb);
	return 0;
}

void raw_close(struct sock *s)
{
	raw_del(&s->raw->pcb);
	free(s->raw);
	s->raw = NULL;
	record_close(s);
}

static void name_publish(struct sock *s)
{
	s->abi->local_addr = s->raw->pcb.local;
	s->abi->peer_addr = s->raw->pcb.remote;
}

int raw_bind(struct sock *s, const struct ipaddr *addr)
{
	if (!ipaddr_is_any(addr) && !inet_addr_is_local(s->part->w, addr))
		return -EADDRNOTAVAIL;
	s->raw->pcb.local = *addr;
	name_publish(s);
	return 0;
}

int raw_connect(struct sock *s, const struct ipaddr *addr)
{
	s->raw->pcb.remote = *addr;
	if (ipaddr_is_any(addr))
		s->state &= ~ABI_S_CONNECTED;
	else
		s->state |= ABI_S_CONNECTED;
	name_publish(s);
	return 0;
}

void raw_copy(struct sock *s, const struct sock *from)
{
	s->raw->pcb.local = from->raw->pcb.local;
	s->raw->pcb.remote = from->raw->pcb.remote;
	s->raw->pcb.icmp_filter = from->raw->pcb.icmp_filter;
}

static int send_one(struct sock *s, const struct abi_dgram *d, uint32_t len)
{
	const struct raw_pcb *pcb = &s->raw->pcb;
	struct ip_flow flow = { .src = pcb->local,
				.dst = ipaddr_is_any(&d->addr) ? pcb->remote : d->addr,
				.proto = pcb->proto,
				.ttl = (uint8_t)(s->opt->ttl == -1 ? 0 : s->opt->ttl),
				.tos = (uint8_t)s->opt->tos,
				.broadcast_ok = s->opt->broadcast != 0 };
	const void *run[2];
	uint32_t run_len[2];

	if (ipaddr_is_any(&flow.dst))
		return -EDESTADDRREQ;
	record_runs(s, len, run, run_len);
	return raw_output(s->part->w, &flow, run, run_len);
}

int raw_flush(struct sock *s)
{
	struct abi_dgram d;
	uint32_t len;
	int ret = 0;

	for (unsigned int n = 0; n < SOCK_DGRAM_BURST && record_next(s, &d, &len) == 0; n++) {
		ret = s->state & ABI_S_TX_SHUT ? -EPIPE : send_one(s, &d, len);
		record_sent(s, len);
	}
	return ret;
}

bool raw_deliver(struct worker *w, struct raw_pcb *pcb, const struct pkt *p)
{
	struct sock *s = pcb->user;
	struct filter_packet fp = { .p = p,
				    .start = p->l3,
				    .len_bytes = pkt_len_from(p, p->l3),
				    .ifindex = p->ifindex,
				    .cpu = w->id,
				    .protocol = 0x800 };
	const uint8_t *ip = pkt_header(p, p->l3, 20);
	uint32_t len = filter_wants(s, &fp);
	struct abi_dgram d = { .len_bytes = len,
			       .wire_bytes = fp.len_bytes,
			       .ifindex = p->ifindex,
			       .stamp_ns = p->stamp_ns + w->wall_offset_ns };
	uint32_t src_be, dst_be;

	if (len == 0 || ip == NULL)
		return false;
	if (!record_room(s, len)) {
		s->raw->drops++;
		return false;
	}
	memcpy(&src_be, ip + 12, sizeof(src_be));
	memcpy(&dst_be, ip + 16, sizeof(dst_be));
	d.addr = ipaddr_from_ip4(src_be);
	d.local = ipaddr_from_ip4(dst_be);
	d.tos = ip[1];
	d.ttl = ip[8];
	d.drops = (uint32_t)s->raw->drops;
	record_put(s, &d, &fp, 0, len);
	return true;
}

int raw_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	if (name != ICMP_FILTER)
		return -ENOPROTOOPT;
	if (s->raw->pcb.proto != IPPROTO_ICMP)
		return -EOPNOTSUPP;
	if (len < sizeof(uint32_t))
		return -EINVAL;
	memcpy(&s->raw->pcb.icmp_filter, data, sizeof(uint32_t));
	return 0;
}
