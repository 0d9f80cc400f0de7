/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Datagrams received: copied into the receive ring as they come, or dropped SOCKET_RCVBUFF.
 *
 * With UDP_GRO a datagram joins the record before it, where it is of the same flow, no longer than
 * the first of that record, and the program has not been shown the record: so what comes in one
 * turn is one read. One that is shorter is the last of its record [udp_gro_receive_segment].
 */
#include <errno.h>
#include <string.h>

#include "core/watch.h"
#include "sock/packet.h"
#include "wire/app_ring.h"
#include "wire/ip4.h"
#include "wire/udp.h"

#define GRO_MAX_BYTES 65507u

bool dgram_sync_rx(struct sock *s)
{
	uint32_t head = atomic_load_explicit(&s->abi->rx_head, memory_order_acquire);

	if (head - s->rx.head > s->pub_rx_tail - s->rx.head || (head & 63) != 0) {
		sock_broken(s->part, "a receive position is outside of its ring");
		return false;
	}
	s->rx.head = head;
	return true;
}

/* The payload, segment by segment. */
static void copy_in(struct sock *s, const struct pkt *p, uint32_t pos, uint32_t len)
{
	const struct rte_mbuf *m = &p->mbuf;
	const uint8_t *from = pkt_at(p, p->l7);
	uint32_t n = pkt_head_len_from(p, p->l7);

	while (len != 0) {
		n = n < len ? n : len;
		app_ring_write(s->rx.data, s->rx.size_bytes, pos, from, n);
		pos += n;
		len -= n;
		m = m->next;
		if (m == NULL)
			break;
		from = rte_pktmbuf_mtod(m, const uint8_t *);
		n = m->data_len;
	}
}

static void ttl_tos(const struct pkt *p, struct abi_dgram *d)
{
	const struct ip4_hdr *ip = pkt_header(p, p->l3, sizeof(*ip));

	if (ip != NULL && ip4_version(ip) == 4) {
		d->ttl = ip->ttl;
		d->tos = ip->tos;
	}
}

/* A filter sees a datagram from its UDP header on. What it would cut stays whole. */
static bool filter_passes(const struct sock *s, const struct pkt *p)
{
	struct filter_packet fp = { .p = p,
				    .start = p->l3,
				    .len_bytes = pkt_len_from(p, p->l3),
				    .data_at = (uint32_t)(p->l4 - p->l3),
				    .ifindex = p->ifindex,
				    .cpu = s->part->w->id,
				    .protocol = 0x800 };

	return filter_wants(s, &fp) != 0;
}

/* The record that the next datagram may join. Nothing that is read there decides more than what the
 * program is given in one piece. */
static struct abi_dgram *gro_record(const struct sock *s)
{
	return app_record(s->rx.data, s->rx.size_bytes, s->udp->gro_pos);
}

static bool gro_same_flow(const struct abi_dgram *r, const struct abi_dgram *d)
{
	return r->port_be == d->port_be && ipaddr_equal(&r->addr, &d->addr) &&
	       ipaddr_equal(&r->local, &d->local) && r->ifindex == d->ifindex && r->ttl == d->ttl &&
	       r->tos == d->tos;
}

/* For who follows the packet. */
static void queue_tell(struct worker *w, const struct sock *s, const struct pkt *p)
{
	watch_note(w, p, QUEUE, byte_ring_used(&s->rx), byte_ring_free(&s->rx));
}

/* Add p to the record before it. False: it is to have one of its own. */
static bool gro_join(struct worker *w, struct sock *s, struct pkt *p, const struct abi_dgram *d)
{
	struct udp_pcb *pcb = s->udp;
	uint32_t len = d->len_bytes, total = pcb->gro_len + len;
	uint32_t more = app_dgram_space(total) - app_dgram_space(pcb->gro_len);
	struct abi_dgram *r = gro_record(s);

	if (!pcb->gro_open || (int32_t)(pcb->gro_pos - s->pub_rx_tail) < 0 || d->flags != 0 ||
	    len == 0 || len > pcb->gro_segment || total > GRO_MAX_BYTES ||
	    more > byte_ring_free(&s->rx) || !gro_same_flow(r, d))
		return false;
	copy_in(s, p, pcb->gro_pos + (uint32_t)sizeof(*r) + pcb->gro_len, len);
	s->rx.tail += more;
	r->len_bytes = r->wire_bytes = total;
	r->segment_bytes = pcb->gro_segment;
	pcb->gro_len = total;
	pcb->gro_open = len == pcb->gro_segment && ++pcb->gro_count < UDP_MAX_SEGMENTS;
	if (unlikely(p->followed))
		queue_tell(w, s, p);
	pkt_consume(w, p, FATE_DELIVERED);
	return true;
}

/* The record at the tail is of d alone, so far. */
static void gro_begin(const struct sock *s, const struct abi_dgram *d)
{
	struct udp_pcb *pcb = s->udp;

	pcb->gro_open = d->flags == 0 && d->len_bytes != 0;
	pcb->gro_pos = s->rx.tail;
	pcb->gro_len = d->len_bytes;
	pcb->gro_segment = (uint16_t)d->len_bytes;
	pcb->gro_count = 1;
}

void dgram_deliver(struct worker *w, struct udp_pcb *pcb, struct pkt *p,
		   const struct endpoint *from, const struct endpoint *to)
{
	struct sock *s = pcb->user;
	uint32_t len = pkt_len_from(p, p->l7), space = app_dgram_space(len);
	struct abi_dgram d = {
		.len_bytes = len,
		.wire_bytes = len,
		.addr = from->addr,
		.local = to->addr,
		.port_be = from->port_be,
		.ifindex = p->ifindex,
		.stamp_ns = p->stamp_ns + w->wall_offset_ns,
		.drops = pcb->drops,
	};
	bool fits;

	stage_enter_one(w, STAGE_SOCK_DELIVER, p);
	watch_note(w, p, SOCKET, be16toh(to->port_be), sock_program(s));
	if (s == NULL || part_broken(s->part)) {
		pkt_drop(w, p, DROP_SOCKET_CLOSED);
		return;
	}
	if (unlikely(s->filters != NULL) && !filter_passes(s, p)) {
		pkt_drop(w, p, DROP_SOCKET_FILTER);
		return;
	}
	if (s->rx.data == NULL) {
		if (ring_make(s->part, &s->rx, s->rx_want_bytes) != 0) {
			pkt_drop(w, p, DROP_NOMEM);
			return;
		}
		sock_publish_rx_ring(s, &s->rx);
	}
	if (unlikely(p->flags & (PKT_F_BROADCAST | PKT_F_MULTICAST))) {
		d.flags = ABI_DGRAM_SPEC_DST;
		d.spec_dst_be = inet_specific_dst(w, p->ifindex, ipaddr_ip4(&from->addr));
	}
	ttl_tos(p, &d);
	fits = dgram_sync_rx(s);
	if (unlikely(pcb->gro) && fits && gro_join(w, s, p, &d))
		return;
	if (!fits || space > byte_ring_free(&s->rx)) {
		pcb->drops++;
		pkt_drop(w, p, DROP_SOCKET_RCVBUFF);
		return;
	}
	if (unlikely(pcb->gro))
		gro_begin(s, &d);
	*app_record(s->rx.data, s->rx.size_bytes, s->rx.tail) = d;
	copy_in(s, p, s->rx.tail + (uint32_t)sizeof(d), len);
	s->rx.tail += space;
	if (unlikely(p->followed))
		queue_tell(w, s, p);
	pkt_consume(w, p, FATE_DELIVERED);
	s->excl_budget++;
	sock_mark(s, ABI_EV_IN);
}
