/* SPDX-License-Identifier: BSD-3-Clause */
/* IGMP: what a host does when its groups change, when it is asked, and when time passes. */
#include "inet/igmp.h"

#include "inet/state.h"
#include "wire/csum.h"
#include "wire/igmp.h"

#define TENTH_NS 100000000ull
#define ALL_HOSTS WIRE_BE32(0xe0000001u)

/* Each worker has the groups of all (sock/shard.c); one speaks for them. */
static bool reported(const struct mcast_group *g)
{
	return g->group_be != ALL_HOSTS && g->ifindex != IFINDEX_LOOP && g->w->id == 0;
}

static uint64_t random_below(struct worker *w, uint64_t ns)
{
	return ((uint64_t)worker_random(w) << 32 | worker_random(w)) % (ns ? ns : 1);
}

unsigned int igmp_version(const struct worker *w, const struct netif *netif)
{
	if (netif->igmp.v1_until_ns > w->now_ns)
		return 1;
	return netif->igmp.v2_until_ns > w->now_ns ? 2 : 3;
}

/* ---- time passes ---- */

static void repeat_timer(struct worker *w, struct timer *t)
{
	struct mcast_group *g =
		(struct mcast_group *)((char *)t - offsetof(struct mcast_group, repeat));
	struct netif *netif = inet_netif(w->inet, g->ifindex);
	unsigned int version = igmp_version(w, netif);

	if (version == 3)
		igmp_send_change(w, g);
	else if (g->members)
		igmp_send_old(w, g, version == 2 ? IGMP_V2_REPORT : IGMP_V1_REPORT);
	if (--g->repeats_left)
		timer_set(&w->timers, t, w->now_ns + random_below(w, IGMP_REPEAT_NS));
	mcast_group_settle(w, g);
}

static void answer_timer(struct worker *w, struct timer *t)
{
	struct mcast_group *g =
		(struct mcast_group *)((char *)t - offsetof(struct mcast_group, answer));
	unsigned int version = igmp_version(w, inet_netif(w->inet, g->ifindex));

	if (!g->members)
		return;
	if (version == 3)
		igmp_send_state(w, g);
	else
		igmp_send_old(w, g, version == 2 ? IGMP_V2_REPORT : IGMP_V1_REPORT);
	g->last_reporter = true;
}

static void general_timer(struct worker *w, struct timer *t)
{
	struct netif *netif = (struct netif *)((char *)t - offsetof(struct netif, igmp.general));

	igmp_send_all(w, netif);
}

void igmp_netif_init(struct netif *netif)
{
	netif->igmp = (struct igmp_if){ .robustness = IGMP_ROBUSTNESS,
					.interval_ns = IGMP_QUERY_INTERVAL_NS };
	netif->igmp.general.fn = general_timer;
}

void igmp_netif_end(struct worker *w, struct netif *netif)
{
	timer_cancel(&w->timers, &netif->igmp.general);
}

void igmp_group_init(struct mcast_group *g)
{
	g->repeat.fn = repeat_timer;
	g->answer.fn = answer_timer;
}

void igmp_group_end(struct worker *w, struct mcast_group *g)
{
	timer_cancel(&w->timers, &g->repeat);
	timer_cancel(&w->timers, &g->answer);
}

/* ---- groups change ---- */

static bool filters_equal(const struct mcast_filter *a, const struct mcast_filter *b)
{
	return a->exclude == b->exclude && a->count == b->count &&
	       memcmp(a->source_be, b->source_be, a->count * sizeof(a->source_be[0])) == 0;
}

static bool lets_some(const struct mcast_filter *f)
{
	return f->exclude || f->count;
}

/* Versions 1 and 2 know of being in a group only. */
static void changed_old(struct worker *w, struct mcast_group *g, const struct mcast_filter *old,
			unsigned int version)
{
	bool is_in = lets_some(&g->filter);

	if (is_in == lets_some(old))
		return;
	if (is_in) {
		igmp_send_old(w, g, version == 2 ? IGMP_V2_REPORT : IGMP_V1_REPORT);
		g->last_reporter = true;
		g->repeats_left = 1;
		timer_set(&w->timers, &g->repeat, w->now_ns + random_below(w, IGMP_V2_REPEAT_NS));
		return;
	}
	g->repeats_left = 0;
	timer_cancel(&w->timers, &g->repeat);
	timer_cancel(&w->timers, &g->answer);
	if (version == 2 && g->last_reporter)
		igmp_send_old(w, g, IGMP_V2_LEAVE);
}

void igmp_group_changed(struct worker *w, struct mcast_group *g, const struct mcast_filter *old)
{
	struct netif *netif = inet_netif(w->inet, g->ifindex);
	unsigned int version = igmp_version(w, netif);

	if (!reported(g) || filters_equal(old, &g->filter))
		return;
	if (version < 3) {
		changed_old(w, g, old, version);
		return;
	}
	/* A change while another is being repeated: they are told of together. */
	if (!g->repeats_left) {
		g->told = *old;
		g->mode_changed = false;
	}
	g->mode_changed |= old->exclude != g->filter.exclude;
	igmp_send_change(w, g);
	g->repeats_left = (uint8_t)(netif->igmp.robustness - 1);
	if (g->repeats_left)
		timer_set(&w->timers, &g->repeat, w->now_ns + random_below(w, IGMP_REPEAT_NS));
}

/* ---- it is asked ---- */

static void for_each_group(struct worker *w, const struct netif *netif, uint64_t max_ns,
			   void (*fn)(struct worker *w, struct mcast_group *g, uint64_t max_ns))
{
	for (unsigned int i = 0; i < MCAST_BUCKETS; i++) {
		struct mcast_group *g = w->inet->mcast.buckets[i], *next;

		for (; g; g = next) {
			next = g->next;
			if (g->ifindex == netif->ifindex && g->members && reported(g))
				fn(w, g, max_ns);
		}
	}
}

/* Version 2: an answer that is due sooner stays. */
static void answer_within(struct worker *w, struct mcast_group *g, uint64_t max_ns)
{
	uint64_t at_ns = w->now_ns + random_below(w, max_ns);

	if (timer_armed(&g->answer) && g->answer.expires_ns <= w->now_ns + max_ns)
		return;
	timer_set(&w->timers, &g->answer, at_ns);
}

static void query_old(struct worker *w, struct netif *netif, const struct igmp_hdr *h)
{
	uint64_t max_ns = h->code ? h->code * TENTH_NS : 100 * TENTH_NS;
	uint64_t until_ns = w->now_ns + netif->igmp.robustness * netif->igmp.interval_ns + max_ns;
	struct mcast_group *g;

	if (h->code == 0)
		netif->igmp.v1_until_ns = until_ns;
	else
		netif->igmp.v2_until_ns = until_ns;
	/* What version 3 was about to say is not understood now. */
	timer_cancel(&w->timers, &netif->igmp.general);
	if (h->group_be == 0) {
		for_each_group(w, netif, max_ns, answer_within);
		return;
	}
	g = mcast_group_find(w, netif->ifindex, h->group_be);
	if (g && g->members && reported(g))
		answer_within(w, g, max_ns);
}

/* RFC 3376 section 5.2, the rules for a query about one group. */
static void query_group(struct worker *w, struct mcast_group *g, const struct pkt *p,
			uint64_t at_ns, unsigned int sources)
{
	bool pending = timer_armed(&g->answer);
	unsigned int known = pending ? g->asked_count : 0;

	if (sources == 0 || (pending && known == 0) || known + sources > MCAST_GROUP_SOURCES) {
		g->asked_count = 0;
	} else {
		pkt_copy_out(p, p->l4 + IGMP_V3_QUERY_BYTES, g->asked_be + known,
			     sources * (uint32_t)sizeof(uint32_t));
		g->asked_count = (uint16_t)(known + sources);
	}
	if (!pending || g->answer.expires_ns > at_ns)
		timer_set(&w->timers, &g->answer, at_ns);
}

static unsigned int query_v3(struct worker *w, struct netif *netif, const struct pkt *p,
			     uint32_t len)
{
	const struct igmp_v3_query *q = pkt_header(p, p->l4, IGMP_V3_QUERY_BYTES);
	unsigned int sources = q ? be16_to_host(q->source_count_be) : 0;
	struct igmp_if *igmp = &netif->igmp;
	struct mcast_group *g;
	uint64_t at_ns;

	if (!q || len < IGMP_V3_QUERY_BYTES + sources * 4u)
		return DROP_IGMP_MALFORMED;
	igmp->robustness = q->flags & 7 ? q->flags & 7 : IGMP_ROBUSTNESS;
	if (q->interval_code)
		igmp->interval_ns = igmp_code_value(q->interval_code) * 1000000000ull;
	at_ns = w->now_ns + random_below(w, igmp_code_value(q->hdr.code) * TENTH_NS);
	/* While an older router is about nothing but its version is spoken. */
	if (igmp_version(w, netif) < 3)
		return 0;
	if (timer_armed(&igmp->general) && igmp->general.expires_ns <= at_ns)
		return 0;
	if (q->hdr.group_be == 0) {
		timer_set(&w->timers, &igmp->general, at_ns);
		return 0;
	}
	g = mcast_group_find(w, netif->ifindex, q->hdr.group_be);
	if (g && g->members && reported(g))
		query_group(w, g, p, at_ns, sources);
	return 0;
}

/* Somebody else told the router of it: once is enough (versions 1 and 2). */
static void report_heard(struct worker *w, const struct netif *netif, uint32_t group_be)
{
	struct mcast_group *g = mcast_group_find(w, netif->ifindex, group_be);

	if (!g || igmp_version(w, netif) == 3)
		return;
	timer_cancel(&w->timers, &g->answer);
	g->last_reporter = false;
}

/* 0, or the DROP_* reason. */
static unsigned int message(struct worker *w, struct netif *netif, const struct pkt *p)
{
	const struct igmp_hdr *h = pkt_header(p, p->l4, sizeof(*h));
	uint32_t len = pkt_len_from(p, p->l4);

	if (!h)
		return DROP_IGMP_MALFORMED;
	if (csum_finish(pkt_csum(p, p->l4, len, 0)) != 0)
		return DROP_IGMP_CSUM;
	switch (h->type) {
	case IGMP_QUERY:
		if (len != IGMP_HDR_BYTES)
			return query_v3(w, netif, p, len);
		query_old(w, netif, h);
		return 0;
	case IGMP_V1_REPORT:
	case IGMP_V2_REPORT:
		report_heard(w, netif, h->group_be);
		return 0;
	case IGMP_V2_LEAVE:
	case IGMP_V3_REPORT:
		return 0; /* for routers */
	default:
		return DROP_IGMP_UNKNOWN_TYPE;
	}
}

void igmp_input(struct worker *w, struct pkt **pkts, unsigned int n)
{
	stage_enter(w, STAGE_IGMP_INPUT, pkts, n);
	for (unsigned int i = 0; i < n; i++) {
		struct netif *netif = inet_netif(w->inet, pkts[i]->ifindex);
		unsigned int reason = netif ? message(w, netif, pkts[i]) : DROP_PORT_DOWN;

		if (reason)
			pkt_drop(w, pkts[i], reason);
		else if (!inet_steer(w, pkts[i])) /* the other workers have groups too */
			pkt_consume(w, pkts[i], FATE_ABSORBED);
	}
}
