/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv4 input: the checks of RFC 1122 section 3.2.1 and RFC 1812 section 5.2.2, padding trimmed, and
 * the decision: for us, to be forwarded, or neither.
 */
#include "inet/ip4.h"

#include "inet/icmp.h"
#include "inet/state.h"
#include "wire/csum.h"
#include "wire/icmp.h"
#include "wire/igmp.h"

/* The header's form. 0, or the DROP_* reason. Sets l4 and trims the link's padding. */
static unsigned int header_check(struct worker *w, struct pkt *p)
{
	const struct ip4_hdr *h = pkt_header(p, p->l3, sizeof(*h));
	unsigned int header_len, len, bad_at, reason;

	if (!h)
		return DROP_PKT_TOO_SMALL;
	header_len = ip4_hdr_bytes(h);
	if (ip4_version(h) != 4 || header_len < IP4_HDR_BYTES)
		return DROP_IP_INHDR;
	if (!pkt_header(p, p->l3, header_len))
		return DROP_PKT_TOO_SMALL;
	/* What nobody could corrupt on the way needs no check. */
	if ((p->flags & (PKT_F_LOOPBACK | PKT_F_CSUM_OK)) != (PKT_F_LOOPBACK | PKT_F_CSUM_OK) &&
	    csum_of(h, header_len) != 0)
		return DROP_IP_CSUM;
	len = ip4_len(h);
	if (len < header_len)
		return DROP_IP_INHDR;
	if (len > pkt_len_from(p, p->l3))
		return DROP_PKT_TOO_SMALL;
	if (header_len > IP4_HDR_BYTES) {
		reason = ip4_options_check((const uint8_t *)h, header_len, &bad_at);
		if (reason == DROP_IP_INHDR)
			icmp_send_error(w, p, ICMP_TYPE_PARAMETER, 0, bad_at << 24);
		if (reason)
			return reason;
	}
	p->l4 = (uint16_t)(p->l3 + header_len);
	p->l7 = p->l4;
	if (len < pkt_len_from(p, p->l3))
		pkt_trim(p, (uint32_t)(p->l3 - p->mbuf.data_off) + len);
	return 0;
}

/* May these addresses be seen on a wire (RFC 1122 section 3.2.1.3)? 0, or the DROP_* reason. */
static unsigned int addresses_check(const struct inet *inet, const struct ip4_hdr *h,
				    unsigned int dst_kinds)
{
	unsigned int src_kinds = inet_addr_kinds(inet, h->src_be);

	if ((src_kinds | dst_kinds) & ADDR_LOOPBACK)
		return DROP_IP_LOCALNET;
	if (src_kinds & ADDR_LOCAL)
		return DROP_IP_OWN_SOURCE;
	if (src_kinds & (ADDR_BROADCAST | ADDR_MULTICAST))
		return DROP_IP_INVALID_SOURCE;
	/* A host that does not know its address yet may broadcast. */
	if (ip4_is_zeronet(h->src_be) && !(h->src_be == 0 && dst_kinds & ADDR_BROADCAST))
		return DROP_IP_INVALID_SOURCE;
	if (ip4_is_zeronet(h->dst_be))
		return DROP_IP_INADDRERRORS;
	return 0;
}

/* Is it for a group that a socket of ours is in, from whom it wants to hear? IGMP is for whoever is
 * in the group. 0, or the DROP_* reason. */
static unsigned int group_check(struct worker *w, const struct pkt *p, const struct ip4_hdr *h,
				unsigned int kinds)
{
	unsigned int reason;

	if (kinds & ADDR_JOINED)
		return 0;
	reason = mcast_check(w, p->ifindex, h->dst_be, h->src_be);
	return reason == DROP_MCAST_SOURCE_FILTER && h->proto == IP_PROTO_IGMP ? 0 : reason;
}

struct ip4_sorted {
	struct pkt *local[PORT_BURST];
	struct pkt *forward[PORT_BURST];
	unsigned int local_count, forward_count;
};

static void sort_one(struct worker *w, struct pkt *p, struct ip4_sorted *sorted)
{
	const struct inet *inet = w->inet;
	unsigned int reason = header_check(w, p), kinds;
	const struct ip4_hdr *h;

	if (reason)
		goto drop;
	h = pkt_header(p, p->l3, sizeof(*h));
	kinds = inet_addr_kinds(inet, h->dst_be);
	if (!(p->flags & PKT_F_LOOPBACK)) {
		reason = addresses_check(inet, h, kinds);
		if (reason)
			goto drop;
	}
	if (kinds & ADDR_BROADCAST && !(kinds & ADDR_LOCAL))
		p->flags |= PKT_F_BROADCAST;
	if (unlikely(kinds & ADDR_MULTICAST)) {
		p->flags |= PKT_F_MULTICAST;
		reason = group_check(w, p, h, kinds);
		if (reason)
			goto drop;
	}
	if (kinds & (ADDR_LOCAL | ADDR_BROADCAST | ADDR_MULTICAST)) {
		sorted->local[sorted->local_count++] = p;
		return;
	}
	/* What went to everybody on the link is not for us to pass on (RFC 1812 section 5.3.4). */
	if (inet->forwarding && !(p->flags & (PKT_F_BROADCAST | PKT_F_MULTICAST))) {
		sorted->forward[sorted->forward_count++] = p;
		return;
	}
	reason = DROP_IP_INADDRERRORS;
drop:
	pkt_drop(w, p, reason);
}

void ip4_input(struct worker *w, struct pkt **pkts, unsigned int n)
{
	struct ip4_sorted sorted;

	sorted.local_count = 0;
	sorted.forward_count = 0;
	stage_enter(w, STAGE_IP4_INPUT, pkts, n);
	for (unsigned int i = 0; i < n; i++)
		sort_one(w, pkts[i], &sorted);
	if (sorted.local_count)
		ip4_local(w, sorted.local, sorted.local_count);
	if (sorted.forward_count)
		ip4_forward(w, sorted.forward, sorted.forward_count);
}
