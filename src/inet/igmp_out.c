/* SPDX-License-Identifier: BSD-3-Clause */
/* IGMP messages of ours: reports and leaves, with the router alert option (RFC 2113). */
#include <string.h>

#include "inet/igmp.h"
#include "inet/ip4.h"
#include "inet/state.h"
#include "wire/csum.h"
#include "wire/igmp.h"

#define ALL_ROUTERS WIRE_BE32(0xe0000002u)
#define V3_ROUTERS WIRE_BE32(0xe0000016u)
#define REPORT_ROOM 1400u /* fits every link that carries groups */
#define IP_BYTES 24u	  /* with the option */

static void header_fill(struct worker *w, struct ip4_hdr *h, const struct ip_flow *flow,
			uint32_t len)
{
	static const uint8_t router_alert[4] = { 0x94, 4, 0, 0 };

	*h = (struct ip4_hdr){ .version_ihl = 0x46,
			       .tos = 0xc0,
			       .len_be = host_to_be16((uint16_t)len),
			       .frag_be = WIRE_BE16(IP4_DF),
			       .ttl = 1,
			       .proto = IP_PROTO_IGMP,
			       .src_be = ipaddr_ip4(&flow->src),
			       .dst_be = ipaddr_ip4(&flow->dst) };
	memcpy(h + 1, router_alert, sizeof(router_alert));
	ip4_csum_fill(h, IP_BYTES);
}

static void send(struct worker *w, unsigned int ifindex, uint32_t dst_be, const void *message,
		 uint32_t len)
{
	struct ip_flow flow = { .dst = ipaddr_from_ip4(dst_be),
				.proto = IP_PROTO_IGMP,
				.oif = (uint8_t)ifindex };
	struct pkt *p;
	void *h;

	if (ip_flow_route(w, &flow) != 0)
		return; /* an interface without an address: nobody could be told whose it is */
	p = pkt_alloc(w);
	if (!p)
		return; /* counted; repeated anyway */
	stage_enter_one(w, STAGE_IGMP_OUTPUT, p);
	if (pkt_append(w, p, message, len)) {
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	p->l4 = p->l7 = p->mbuf.data_off;
	h = pkt_push(p, IP_BYTES);
	if (!h) {
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	p->l3 = p->mbuf.data_off;
	header_fill(w, h, &flow, IP_BYTES + len);
	(void)ip4_finish(w, p, &flow);
}

void igmp_send_old(struct worker *w, struct mcast_group *g, uint8_t type)
{
	struct igmp_hdr h = { .type = type, .group_be = g->group_be };
	uint16_t csum = csum_of(&h, sizeof(h));

	h.csum_be = csum;
	send(w, g->ifindex, type == IGMP_V2_LEAVE ? ALL_ROUTERS : g->group_be, &h, sizeof(h));
}

/* ---- version 3 ---- */

struct report {
	struct worker *w;
	unsigned int ifindex, records;
	uint32_t len;
	uint8_t bytes[REPORT_ROOM];
};

static void report_begin(struct report *r, struct worker *w, unsigned int ifindex)
{
	r->w = w;
	r->ifindex = ifindex;
	r->records = 0;
	r->len = sizeof(struct igmp_v3_report);
}

static void report_send(struct report *r)
{
	struct igmp_v3_report h = { .type = IGMP_V3_REPORT,
				    .record_count_be = host_to_be16((uint16_t)r->records) };
	uint16_t csum;

	if (!r->records)
		return;
	memcpy(r->bytes, &h, sizeof(h));
	csum = csum_of(r->bytes, r->len);
	memcpy(r->bytes + offsetof(struct igmp_v3_report, csum_be), &csum, sizeof(csum));
	send(r->w, r->ifindex, V3_ROUTERS, r->bytes, r->len);
	report_begin(r, r->w, r->ifindex);
}

static void record_add(struct report *r, uint8_t type, uint32_t group_be, const uint32_t *source_be,
		       unsigned int count)
{
	struct igmp_record record = { .type = type,
				      .source_count_be = host_to_be16((uint16_t)count),
				      .group_be = group_be };
	uint32_t bytes = count * (uint32_t)sizeof(*source_be);

	if (r->len + sizeof(record) + bytes > sizeof(r->bytes))
		report_send(r);
	memcpy(r->bytes + r->len, &record, sizeof(record));
	r->len += (uint32_t)sizeof(record);
	memcpy(r->bytes + r->len, source_be, bytes);
	r->len += bytes;
	r->records++;
}

/* What a has and b has not. Returns how many. */
static unsigned int minus(const struct mcast_filter *a, const struct mcast_filter *b, uint32_t *out)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < a->count; i++) {
		unsigned int j = 0;

		while (j < b->count && b->source_be[j] != a->source_be[i])
			j++;
		if (j == b->count)
			out[n++] = a->source_be[i];
	}
	return n;
}

void igmp_send_change(struct worker *w, struct mcast_group *g)
{
	const struct mcast_filter *now = &g->filter;
	uint32_t source_be[MCAST_GROUP_SOURCES];
	struct report r;
	unsigned int n;

	report_begin(&r, w, g->ifindex);
	if (g->mode_changed) {
		record_add(&r, now->exclude ? IGMP_TO_EXCLUDE : IGMP_TO_INCLUDE, g->group_be,
			   now->source_be, now->count);
		report_send(&r);
		return;
	}
	/* A source that is excluded no more is allowed, and the other way round. */
	n = now->exclude ? minus(&g->told, now, source_be) : minus(now, &g->told, source_be);
	if (n)
		record_add(&r, IGMP_ALLOW_NEW, g->group_be, source_be, n);
	n = now->exclude ? minus(now, &g->told, source_be) : minus(&g->told, now, source_be);
	if (n)
		record_add(&r, IGMP_BLOCK_OLD, g->group_be, source_be, n);
	report_send(&r);
}

static void record_state(struct report *r, const struct mcast_group *g)
{
	record_add(r, g->filter.exclude ? IGMP_IS_EXCLUDE : IGMP_IS_INCLUDE, g->group_be,
		   g->filter.source_be, g->filter.count);
}

void igmp_send_state(struct worker *w, struct mcast_group *g)
{
	uint32_t source_be[MCAST_GROUP_SOURCES];
	unsigned int n = 0;
	struct report r;

	report_begin(&r, w, g->ifindex);
	if (!g->asked_count)
		record_state(&r, g);
	/* About sources: those that we want of them. */
	for (unsigned int i = 0; i < g->asked_count; i++) {
		if (mcast_check(w, g->ifindex, g->group_be, g->asked_be[i]) == 0)
			source_be[n++] = g->asked_be[i];
	}
	if (n)
		record_add(&r, IGMP_IS_INCLUDE, g->group_be, source_be, n);
	g->asked_count = 0;
	report_send(&r);
}

void igmp_send_all(struct worker *w, struct netif *netif)
{
	struct report r;

	report_begin(&r, w, netif->ifindex);
	for (unsigned int i = 0; i < MCAST_BUCKETS; i++) {
		for (const struct mcast_group *g = w->inet->mcast.buckets[i]; g; g = g->next) {
			if (g->ifindex == netif->ifindex && g->members &&
			    g->group_be != WIRE_BE32(0xe0000001u) &&
			    (g->filter.exclude || g->filter.count))
				record_state(&r, g);
		}
	}
	report_send(&r);
}
