/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checksums and TCP segmentation in software; see offload.h.
 *
 * A super-segment of H header bytes and N payload bytes becomes ceil(N / gso_size) packets. The
 * first is the super-segment itself, cut short, so that it ends in the ledger as what it was; the
 * others are copies of its headers with a piece of payload each.
 */
#include <errno.h>

#include "core/watch.h"
#include "dev/offload.h"
#include "wire/csum.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

bool offload_csum_finish(struct pkt *p)
{
	uint16_t csum;
	uint8_t *field;

	if (!(p->flags & PKT_F_CSUM_PARTIAL))
		return true;
	if (!pkt_header(p, p->l4, p->csum_at + 2u))
		return false;
	field = pkt_at(p, (uint16_t)(p->l4 + p->csum_at));
	/* The field holds the pseudo-header's sum, so it is part of what is summed. */
	csum = (uint16_t)~pkt_csum(p, p->l4, pkt_len_from(p, p->l4), 0);
	if (csum == 0 && p->csum_at == UDP_CSUM_AT)
		csum = 0xffff;
	memcpy(field, &csum, sizeof(csum));
	p->flags &= (uint16_t)~PKT_F_CSUM_PARTIAL;
	return true;
}

/* What is the same for all pieces of one super-segment. */
struct tso {
	struct ip4_hdr ip;
	struct tcp_hdr tcp;
	uint32_t l3_bytes, l4_bytes; /* headers */
	uint32_t hdr_bytes;	     /* from the packet's first byte to its payload */
	uint32_t payload_bytes;
};

static int tso_parse(const struct pkt *p, struct tso *t)
{
	const void *ip = pkt_header(p, p->l3, IP4_HDR_BYTES);
	const void *tcp = pkt_header(p, p->l4, TCP_HDR_BYTES);

	if (!ip || !tcp || !p->gso_size)
		return -EINVAL;
	memcpy(&t->ip, ip, sizeof(t->ip));
	memcpy(&t->tcp, tcp, sizeof(t->tcp));
	t->l3_bytes = ip4_hdr_bytes(&t->ip);
	t->l4_bytes = tcp_hdr_bytes(&t->tcp);
	if (ip4_version(&t->ip) != 4 || t->ip.proto != IP_PROTO_TCP || ip4_is_fragment(&t->ip) ||
	    t->l3_bytes < IP4_HDR_BYTES || p->l4 != p->l3 + t->l3_bytes ||
	    t->l4_bytes < TCP_HDR_BYTES || !pkt_header(p, p->l4, t->l4_bytes))
		return -EINVAL;
	t->hdr_bytes = p->l4 + t->l4_bytes - p->mbuf.data_off;
	t->payload_bytes = pkt_len(p) - t->hdr_bytes;
	return 0;
}

/* The pointer counts from the piece's own number. False: the urgent byte is in front of it. */
static bool tso_urgent(const struct tso *t, struct tcp_hdr *tcp, uint32_t offset)
{
	uint32_t up = be16_to_host(t->tcp.urgent_be);

	tcp->urgent_be = host_to_be16((uint16_t)(up > offset ? up - offset : 0));
	return up > offset;
}

/* Headers of the piece that carries len bytes from offset. */
static void tso_headers(const struct tso *t, struct pkt *p, uint32_t offset, uint32_t len)
{
	struct ip4_hdr *ip = (struct ip4_hdr *)pkt_at(p, p->l3);
	struct tcp_hdr *tcp = (struct tcp_hdr *)pkt_at(p, p->l4);
	uint32_t index = offset / (p->gso_size ? p->gso_size : 1);
	uint8_t flags = t->tcp.flags;

	if (offset + len < t->payload_bytes)
		flags &= (uint8_t) ~(TCP_F_FIN | TCP_F_PSH);
	if (offset)
		flags &= (uint8_t)~TCP_F_CWR;
	if ((flags & TCP_F_URG) && !tso_urgent(t, tcp, offset))
		flags &= (uint8_t)~TCP_F_URG;
	ip->len_be = host_to_be16((uint16_t)(t->l3_bytes + t->l4_bytes + len));
	ip->id_be = host_to_be16((uint16_t)(be16_to_host(t->ip.id_be) + index));
	ip->csum_be = 0;
	ip->csum_be = csum_of(ip, t->l3_bytes);
	tcp->seq_be = host_to_be32(be32_to_host(t->tcp.seq_be) + offset);
	tcp->flags = flags;
	tcp->csum_be = csum_fold(
		csum_pseudo_ip4(t->ip.src_be, t->ip.dst_be, IP_PROTO_TCP, t->l4_bytes + len));
	p->flags |= PKT_F_CSUM_PARTIAL;
	p->csum_at = TCP_CSUM_AT;
}

/* One more piece: a packet with super's headers and len bytes of its payload from offset. */
static struct pkt *tso_piece(struct worker *w, const struct pkt *super, const struct tso *t,
			     uint32_t offset, uint32_t len)
{
	struct pkt *p = pkt_alloc(w);
	uint16_t from = super->mbuf.data_off;
	const struct rte_mbuf *seg = &super->mbuf;
	uint32_t skip = t->hdr_bytes + offset;

	if (!p)
		return NULL;
	p->mbuf.data_off = from;
	p->path = super->path;
	p->stage = super->stage;
	if (pkt_append(w, p, pkt_data(super), t->hdr_bytes))
		goto nomem;
	for (; len; seg = seg->next) {
		uint32_t run;

		if (skip >= seg->data_len) {
			skip -= seg->data_len;
			continue;
		}
		run = RTE_MIN(seg->data_len - skip, len);
		if (pkt_append(w, p, rte_pktmbuf_mtod_offset(seg, const uint8_t *, skip), run))
			goto nomem;
		len -= run;
		skip = 0;
	}
	p->l2 = super->l2;
	p->l3 = super->l3;
	p->l4 = super->l4;
	p->l7 = (uint16_t)(from + t->hdr_bytes);
	p->gso_size = super->gso_size;
	p->flags |= super->flags & (PKT_F_ROUTED | PKT_F_BROADCAST | PKT_F_MULTICAST);
	watch_derive(w, super, p);
	return p;
nomem:
	pkt_drop(w, p, DROP_NOMEM);
	return NULL;
}

int offload_tso4(struct worker *w, struct pkt *p)
{
	struct pkt *tail = p;
	struct tso t;
	uint32_t mss = p->gso_size;

	if (tso_parse(p, &t))
		return -EINVAL;
	p->next = NULL;
	for (uint32_t offset = mss; offset < t.payload_bytes; offset += mss) {
		uint32_t len = RTE_MIN(mss, t.payload_bytes - offset);
		struct pkt *piece = tso_piece(w, p, &t, offset, len);

		if (!piece)
			goto nomem;
		tso_headers(&t, piece, offset, len);
		piece->gso_size = 0;
		piece->next = NULL;
		tail->next = piece;
		tail = piece;
	}
	watch_note(w, p, SEGMENTED, (t.payload_bytes + mss - 1) / mss, mss);
	pkt_trim(p, t.hdr_bytes + RTE_MIN(mss, t.payload_bytes));
	tso_headers(&t, p, 0, RTE_MIN(mss, t.payload_bytes));
	p->flags &= (uint16_t)~PKT_F_GSO_TCP4;
	p->gso_size = 0;
	return 0;
nomem:
	while (p->next) {
		struct pkt *piece = p->next;

		p->next = piece->next;
		pkt_drop(w, piece, DROP_NOMEM);
	}
	return -ENOMEM;
}

bool offload_find_l4(struct pkt *p, uint8_t *proto)
{
	const struct eth_hdr *eth = pkt_header(p, p->l2, ETH_HDR_BYTES);
	const struct ip4_hdr *ip;
	uint16_t l3 = (uint16_t)(p->l2 + ETH_HDR_BYTES);

	if (!eth || eth->type_be != WIRE_BE16(ETH_TYPE_IP4))
		return false;
	ip = pkt_header(p, l3, IP4_HDR_BYTES);
	if (!ip || ip4_version(ip) != 4 || ip4_hdr_bytes(ip) < IP4_HDR_BYTES ||
	    ip4_is_fragment(ip) || (ip->proto != IP_PROTO_TCP && ip->proto != IP_PROTO_UDP) ||
	    !pkt_header(p, (uint16_t)(l3 + ip4_hdr_bytes(ip)), UDP_HDR_BYTES))
		return false;
	p->l3 = l3;
	p->l4 = (uint16_t)(l3 + ip4_hdr_bytes(ip));
	p->csum_at = ip->proto == IP_PROTO_TCP ? TCP_CSUM_AT : UDP_CSUM_AT;
	*proto = ip->proto;
	return true;
}

void offload_mark_gso(struct pkt *p, uint16_t mtu_bytes)
{
	const struct tcp_hdr *tcp;
	uint32_t headers;
	uint8_t proto;

	if (pkt_len(p) <= (uint32_t)mtu_bytes + ETH_HDR_BYTES || !offload_find_l4(p, &proto) ||
	    proto != IP_PROTO_TCP)
		return;
	tcp = pkt_header(p, p->l4, TCP_HDR_BYTES);
	if (!tcp)
		return;
	headers = (uint32_t)(p->l4 - p->l3) + tcp_hdr_bytes(tcp);
	if (headers >= mtu_bytes)
		return;
	p->gso_size = (uint16_t)(mtu_bytes - headers);
	p->flags |= PKT_F_GSO_TCP4;
}
