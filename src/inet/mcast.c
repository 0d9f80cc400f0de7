/* SPDX-License-Identifier: BSD-3-Clause */
/* Memberships and filters; see mcast.h. */
#include "inet/mcast.h"

#include <errno.h>
#include <stdlib.h>

#include "inet/igmp.h"
#include "inet/state.h"
#include "wire/ip4.h"

static struct mcast_group **bucket_of(struct worker *w, unsigned int ifindex, uint32_t group_be)
{
	return &w->inet->mcast.buckets[inet_hash32(group_be + ifindex) % MCAST_BUCKETS];
}

struct mcast_group *mcast_group_find(struct worker *w, unsigned int ifindex, uint32_t group_be)
{
	struct mcast_group *g = *bucket_of(w, ifindex, group_be);

	while (g && (g->group_be != group_be || g->ifindex != ifindex))
		g = g->next;
	return g;
}

static struct mcast_group *group_get(struct worker *w, unsigned int ifindex, uint32_t group_be)
{
	struct mcast_group **bucket = bucket_of(w, ifindex, group_be);
	struct mcast_group *g = mcast_group_find(w, ifindex, group_be);

	if (g)
		return g;
	if (w->inet->mcast.group_count == MCAST_GROUPS_MAX)
		return NULL;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->group_be = group_be;
	g->ifindex = (uint8_t)ifindex;
	g->w = w;
	g->next = *bucket;
	if (g->next)
		g->next->pprev = &g->next;
	g->pprev = bucket;
	*bucket = g;
	w->inet->mcast.group_count++;
	igmp_group_init(g);
	return g;
}

static void group_free(struct worker *w, struct mcast_group *g)
{
	igmp_group_end(w, g);
	*g->pprev = g->next;
	if (g->next)
		g->next->pprev = g->pprev;
	w->inet->mcast.group_count--;
	free(g);
}

void mcast_group_settle(struct worker *w, struct mcast_group *g)
{
	if (!g->members && !g->repeats_left)
		group_free(w, g);
}

void mcast_free(struct worker *w)
{
	for (unsigned int i = 0; i < MCAST_BUCKETS; i++) {
		while (w->inet->mcast.buckets[i])
			group_free(w, w->inet->mcast.buckets[i]);
	}
}

/* ---- the interface's filter ---- */

static bool has(const uint32_t *list, unsigned int count, uint32_t source_be)
{
	for (unsigned int i = 0; i < count; i++) {
		if (list[i] == source_be)
			return true;
	}
	return false;
}

/* Does the member let the source in? */
static bool member_lets(const struct mcast_member *m, uint32_t source_be)
{
	return has(m->source_be, m->count, source_be) != m->exclude;
}

static bool anybody_lets(const struct mcast_group *g, uint32_t source_be)
{
	for (const struct mcast_member *m = g->members; m; m = m->next) {
		if (member_lets(m, source_be))
			return true;
	}
	return false;
}

/* RFC 3376 section 3.2: what somebody wants is let in. */
static void filter_make(const struct mcast_group *g, struct mcast_filter *f)
{
	f->exclude = false;
	f->count = 0;
	for (const struct mcast_member *m = g->members; m; m = m->next)
		f->exclude |= m->exclude;
	for (const struct mcast_member *m = g->members; m; m = m->next) {
		for (unsigned int i = 0; i < m->count; i++) {
			uint32_t source_be = m->source_be[i];

			if (m->exclude != f->exclude || has(f->source_be, f->count, source_be) ||
			    anybody_lets(g, source_be) == f->exclude)
				continue;
			if (f->count < MCAST_GROUP_SOURCES) {
				f->source_be[f->count++] = source_be;
				continue;
			}
			/* Too many to tell: sockets filter by themselves. */
			if (!f->exclude)
				f->count = 0;
			f->exclude = true;
			return;
		}
	}
}

static void group_changed(struct worker *w, struct mcast_group *g)
{
	struct mcast_filter old = g->filter;

	filter_make(g, &g->filter);
	igmp_group_changed(w, g, &old);
	mcast_group_settle(w, g);
}

unsigned int mcast_check(struct worker *w, unsigned int ifindex, uint32_t group_be,
			 uint32_t source_be)
{
	const struct mcast_group *g = mcast_group_find(w, ifindex, group_be);

	if (!g || !g->members)
		return DROP_MCAST_NOT_MEMBER;
	return has(g->filter.source_be, g->filter.count, source_be) != g->filter.exclude
		       ? 0
		       : DROP_MCAST_SOURCE_FILTER;
}

bool mcast_wanted(const struct mcast_member *list, bool all, unsigned int ifindex,
		  uint32_t group_be, uint32_t source_be)
{
	for (const struct mcast_member *m = list; m; m = m->socket_next) {
		if (m->group->group_be == group_be && m->group->ifindex == ifindex)
			return member_lets(m, source_be);
	}
	return all;
}

/* ---- joining and leaving ---- */

struct netif *mcast_netif(struct worker *w, const struct mcast_request *r)
{
	struct ip_flow flow = { .dst = ipaddr_from_ip4(r->group_be) };

	if (r->ifindex)
		return inet_netif(w->inet, r->ifindex);
	if (r->address_be) {
		for (unsigned int i = 0; i < w->inet->addr_count; i++) {
			if (w->inet->addr[i].ip_be == r->address_be)
				return inet_netif(w->inet, w->inet->addr[i].ifindex);
		}
		return NULL;
	}
	return ip_flow_route(w, &flow) == 0 ? inet_netif(w->inet, flow.ifindex) : NULL;
}

unsigned int mcast_ifindex(const struct netif *netif)
{
	return netif->ifindex;
}

static struct mcast_member *member_find(struct mcast_member *list, const struct netif *netif,
					uint32_t group_be)
{
	while (list &&
	       (list->group->group_be != group_be || list->group->ifindex != netif->ifindex))
		list = list->socket_next;
	return list;
}

static unsigned int list_length(const struct mcast_member *list)
{
	unsigned int n = 0;

	for (; list; list = list->socket_next)
		n++;
	return n;
}

static struct mcast_member *member_add(struct worker *w, struct mcast_member **list,
				       const struct netif *netif, uint32_t group_be, bool exclude)
{
	struct mcast_member *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->group = group_get(w, netif->ifindex, group_be);
	if (!m->group) {
		free(m);
		return NULL;
	}
	m->exclude = exclude;
	m->next = m->group->members;
	m->group->members = m;
	m->group->member_count++;
	m->socket_next = *list;
	*list = m;
	return m;
}

/* link: where the socket's list has it. */
static void member_del(struct worker *w, struct mcast_member **link)
{
	struct mcast_member *m = *link, **at = &m->group->members;
	struct mcast_group *g = m->group;

	*link = m->socket_next;
	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	g->member_count--;
	free(m);
	group_changed(w, g);
}

int mcast_join(struct worker *w, struct mcast_member **list, const struct mcast_request *r,
	       bool exclude)
{
	struct mcast_member *m;
	struct netif *netif;

	if (!ip4_is_multicast(r->group_be))
		return -EINVAL;
	netif = mcast_netif(w, r);
	if (!netif)
		return -ENODEV;
	if (member_find(*list, netif, r->group_be))
		return -EADDRINUSE;
	if (list_length(*list) >= MCAST_MEMBERSHIPS_MAX)
		return -ENOBUFS;
	m = member_add(w, list, netif, r->group_be, exclude);
	if (!m)
		return -ENOBUFS;
	m->address_be = r->address_be;
	/* Including nobody yet is not being in it: the source comes next. */
	if (exclude)
		group_changed(w, m->group);
	return 0;
}

int mcast_leave(struct worker *w, struct mcast_member **list, const struct mcast_request *r)
{
	if (!r->ifindex && !r->address_be && !mcast_netif(w, r))
		return -ENODEV;
	for (; *list; list = &(*list)->socket_next) {
		const struct mcast_member *m = *list;

		if (m->group->group_be != r->group_be)
			continue;
		if (r->ifindex ? m->group->ifindex != r->ifindex
			       : r->address_be && m->address_be != r->address_be)
			continue;
		member_del(w, list);
		return 0;
	}
	return -EADDRNOTAVAIL;
}

void mcast_leave_all(struct worker *w, struct mcast_member **list)
{
	while (*list)
		member_del(w, list);
}

static int source_del(struct worker *w, struct mcast_member **list, struct mcast_member *m,
		      uint32_t source_be)
{
	unsigned int i = 0;

	while (i < m->count && m->source_be[i] != source_be)
		i++;
	if (i == m->count)
		return -EADDRNOTAVAIL;
	/* Including nobody is leaving. */
	if (m->count == 1 && !m->exclude) {
		while (*list != m)
			list = &(*list)->socket_next;
		member_del(w, list);
		return 0;
	}
	m->source_be[i] = m->source_be[--m->count];
	group_changed(w, m->group);
	return 0;
}

int mcast_source(struct worker *w, struct mcast_member **list, const struct mcast_request *r,
		 bool exclude, bool add)
{
	struct netif *netif = mcast_netif(w, r);
	struct mcast_member *m;

	if (!ip4_is_multicast(r->group_be))
		return -EINVAL;
	if (!netif)
		return -ENODEV;
	m = member_find(*list, netif, r->group_be);
	/* Only an empty filter may become one of the other mode. */
	if (!m || (m->count && m->exclude != exclude))
		return -EINVAL;
	if (m->exclude != exclude) {
		m->exclude = exclude;
		group_changed(w, m->group);
	}
	if (!add)
		return source_del(w, list, m, r->source_be);
	if (m->count == MCAST_SOURCES_MAX)
		return -ENOBUFS;
	if (has(m->source_be, m->count, r->source_be))
		return -EADDRNOTAVAIL;
	m->source_be[m->count++] = r->source_be;
	group_changed(w, m->group);
	return 0;
}

int mcast_filter_set(struct worker *w, struct mcast_member **list, const struct mcast_request *r,
		     bool exclude, const uint32_t *source_be, unsigned int count)
{
	struct netif *netif = mcast_netif(w, r);
	struct mcast_member *m;

	if (!ip4_is_multicast(r->group_be))
		return -EINVAL;
	if (!netif)
		return -ENODEV;
	if (count > MCAST_SOURCES_MAX)
		return -ENOBUFS;
	if (!exclude && count == 0) { /* whichever way it was joined */
		struct mcast_request leave = { .group_be = r->group_be, .ifindex = netif->ifindex };

		return mcast_leave(w, list, &leave);
	}
	m = member_find(*list, netif, r->group_be);
	if (!m)
		return -EINVAL;
	m->exclude = exclude;
	m->count = (uint8_t)count;
	memcpy(m->source_be, source_be, count * sizeof(*source_be));
	group_changed(w, m->group);
	return 0;
}

int mcast_filter_get(struct worker *w, struct mcast_member *list, const struct mcast_request *r,
		     const struct mcast_member **member)
{
	const struct netif *netif;

	if (!ip4_is_multicast(r->group_be))
		return -EINVAL;
	netif = mcast_netif(w, r);
	if (!netif)
		return -ENODEV;
	*member = member_find(list, netif, r->group_be);
	return *member ? 0 : -EADDRNOTAVAIL;
}

int mcast_copy(struct worker *w, struct mcast_member **to, const struct mcast_member *from)
{
	for (; from; from = from->socket_next) {
		const struct netif *netif = inet_netif(w->inet, from->group->ifindex);
		struct mcast_member *m =
			netif ? member_add(w, to, netif, from->group->group_be, from->exclude)
			      : NULL;

		if (!m)
			return -ENOBUFS;
		m->address_be = from->address_be;
		m->count = from->count;
		memcpy(m->source_be, from->source_be, sizeof(m->source_be));
		group_changed(w, m->group);
	}
	return 0;
}
