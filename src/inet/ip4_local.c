/* SPDX-License-Identifier: BSD-3-Clause */
/* A packet for us: put together from fragments where need be, then to its transport. */
#include "inet/icmp.h"
#include "inet/ip4.h"
#include "inet/raw.h"
#include "inet/state.h"
#include "wire/icmp.h"
#include "wire/igmp.h"

/* Enough for every transport header, and for what an ICMP error quotes. */
#define LOCAL_PULL_BYTES 128u

struct local_sorted {
	struct pkt *tcp[PORT_BURST];
	struct pkt *udp[PORT_BURST];
	struct pkt *icmp[PORT_BURST];
	struct pkt *igmp[PORT_BURST];
	unsigned int tcp_count, udp_count, icmp_count, igmp_count;
};

/* Headers must lie in the first segment; a reassembled packet may begin with eight bytes only. */
static void pull_headers(struct pkt *p)
{
	uint32_t want = (uint32_t)(p->l4 - p->mbuf.data_off) + LOCAL_PULL_BYTES;

	if (want > pkt_len(p))
		want = pkt_len(p);
	if (p->mbuf.data_len < want)
		(void)pkt_pull(p, want); /* where it fails the transport's own check sees it */
}

/* A device cannot know the ports of a later fragment, so it spreads the fragments of a datagram
 * over its queues. What came by the loopback never left its worker. */
static bool fragment_elsewhere(struct worker *w, struct pkt *p, const struct ip4_hdr *h)
{
	if (likely(!w->inet->up.steer_fragment) || p->flags & PKT_F_LOOPBACK)
		return false;
	return w->inet->up.steer_fragment(
		w, p,
		inet_hash32(h->src_be ^
			    inet_hash32(h->dst_be ^ ((uint32_t)h->id_be << 8) ^ h->proto)));
}

static void local_sort_one(struct worker *w, struct pkt *p, struct local_sorted *sorted)
{
	const struct ip4_hdr *h = pkt_header(p, p->l3, sizeof(*h));

	if (unlikely(ip4_is_fragment(h))) {
		if (fragment_elsewhere(w, p, h))
			return;
		p = frag_input(w, p);
		if (!p)
			return;
		h = pkt_header(p, p->l3, sizeof(*h));
	}
	if (unlikely(p->mbuf.nb_segs > 1))
		pull_headers(p);
	if (unlikely(w->inet->raws))
		raw_input(w, p);
	h = pkt_header(p, p->l3, sizeof(*h));
	switch (h->proto) {
	case IP_PROTO_TCP:
		sorted->tcp[sorted->tcp_count++] = p;
		break;
	case IP_PROTO_UDP:
		sorted->udp[sorted->udp_count++] = p;
		break;
	case IP_PROTO_ICMP:
		sorted->icmp[sorted->icmp_count++] = p;
		break;
	case IP_PROTO_IGMP:
		sorted->igmp[sorted->igmp_count++] = p;
		break;
	default:
		if (p->flags & PKT_F_RAW) {
			stage_enter_one(w, STAGE_SOCK_DELIVER, p);
			pkt_consume(w, p, FATE_DELIVERED);
			break;
		}
		icmp_send_error(w, p, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PROTOCOL, 0);
		pkt_drop(w, p, DROP_IP_NOPROTO);
		break;
	}
}

void ip4_local(struct worker *w, struct pkt **pkts, unsigned int n)
{
	struct local_sorted sorted;

	sorted.tcp_count = 0;
	sorted.udp_count = 0;
	sorted.icmp_count = 0;
	sorted.igmp_count = 0;
	stage_enter(w, STAGE_IP4_LOCAL, pkts, n);
	for (unsigned int i = 0; i < n; i++)
		local_sort_one(w, pkts[i], &sorted);
	if (sorted.tcp_count)
		tcp_input(w, sorted.tcp, sorted.tcp_count);
	if (sorted.udp_count)
		udp_input(w, sorted.udp, sorted.udp_count);
	if (sorted.icmp_count)
		icmp_input(w, sorted.icmp, sorted.icmp_count);
	if (unlikely(sorted.igmp_count))
		igmp_input(w, sorted.igmp, sorted.igmp_count);
}

void inet_steered(struct worker *w, struct pkt **pkts, unsigned int n)
{
	while (n) {
		unsigned int burst = n < PORT_BURST ? n : PORT_BURST;

		ip4_local(w, pkts, burst);
		pkts += burst;
		n -= burst;
	}
}
