/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Multicast options: groups and source filters, by address (ip_mreq & co) or by interface number
 * (ip_mreqn, and the forms of RFC 3678 that suit any protocol); see ip(7).
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "inet/mcast.h"
#include "sock/options.h"

#define MSFILTER_HEAD_BYTES IP_MSFILTER_SIZE(0)

bool mcast_option_is(uint32_t level, uint32_t name)
{
	return level == IPPROTO_IP &&
	       (name == IP_MULTICAST_IF || (name >= IP_ADD_MEMBERSHIP && name <= MCAST_MSFILTER));
}

/* ip_mreq, or ip_mreqn where there is that much. */
static bool mreq_read(const void *data, uint32_t len, struct mcast_request *r)
{
	struct ip_mreqn mreq = { .imr_ifindex = 0 };

	if (len < sizeof(struct ip_mreq))
		return false;
	memcpy(&mreq, data, len < sizeof(mreq) ? sizeof(struct ip_mreq) : sizeof(mreq));
	*r = (struct mcast_request){ .group_be = mreq.imr_multiaddr.s_addr,
				     .address_be = mreq.imr_address.s_addr,
				     .ifindex = (uint32_t)mreq.imr_ifindex };
	return true;
}

static int membership(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	struct worker *w = s->part->w;
	struct mcast_request r;

	if (!mreq_read(data, len, &r))
		return -EINVAL;
	return name == IP_ADD_MEMBERSHIP ? mcast_join(w, &s->udp->mcast, &r, true)
					 : mcast_leave(w, &s->udp->mcast, &r);
}

/* Join for one source; a member that is there already gets one more. */
static int source_join(struct sock *s, const struct mcast_request *r)
{
	struct worker *w = s->part->w;
	int ret = mcast_join(w, &s->udp->mcast, r, false);

	if (ret != 0 && ret != -EADDRINUSE)
		return ret;
	return mcast_source(w, &s->udp->mcast, r, false, true);
}

static int source(struct sock *s, uint32_t name, const struct mcast_request *r)
{
	struct worker *w = s->part->w;
	struct mcast_member **list = &s->udp->mcast;

	switch (name) {
	case IP_BLOCK_SOURCE:
	case MCAST_BLOCK_SOURCE:
		return mcast_source(w, list, r, true, true);
	case IP_UNBLOCK_SOURCE:
	case MCAST_UNBLOCK_SOURCE:
		return mcast_source(w, list, r, true, false);
	case IP_ADD_SOURCE_MEMBERSHIP:
	case MCAST_JOIN_SOURCE_GROUP:
		return source_join(s, r);
	default:
		return mcast_source(w, list, r, false, false);
	}
}

static int source_of_address(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	struct ip_mreq_source mreq;
	struct mcast_request r;

	if (len != sizeof(mreq))
		return -EINVAL;
	memcpy(&mreq, data, sizeof(mreq));
	r = (struct mcast_request){ .group_be = mreq.imr_multiaddr.s_addr,
				    .address_be = mreq.imr_interface.s_addr,
				    .source_be = mreq.imr_sourceaddr.s_addr };
	return source(s, name, &r);
}

static bool address_read(const struct sockaddr_storage *ss, uint32_t *addr_be)
{
	struct sockaddr_in in;

	memcpy(&in, ss, sizeof(in));
	*addr_be = in.sin_addr.s_addr;
	return in.sin_family == AF_INET;
}

/* MCAST_JOIN_GROUP & co. */
static int group(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	struct group_req req;
	struct mcast_request r = { .group_be = 0 };

	if (len < sizeof(req))
		return -EINVAL;
	memcpy(&req, data, sizeof(req));
	if (!address_read(&req.gr_group, &r.group_be))
		return -EINVAL;
	r.ifindex = req.gr_interface;
	return name == MCAST_JOIN_GROUP ? mcast_join(s->part->w, &s->udp->mcast, &r, true)
					: mcast_leave(s->part->w, &s->udp->mcast, &r);
}

static int group_source(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	struct group_source_req req;
	struct mcast_request r = { .group_be = 0 };

	if (len != sizeof(req))
		return -EINVAL;
	memcpy(&req, data, sizeof(req));
	if (!address_read(&req.gsr_group, &r.group_be) ||
	    !address_read(&req.gsr_source, &r.source_be))
		return -EADDRNOTAVAIL;
	r.ifindex = req.gsr_interface;
	return source(s, name, &r);
}

static int msfilter(struct sock *s, const void *data, uint32_t len)
{
	struct mcast_request r;
	struct ip_msfilter head;
	uint32_t list[MCAST_SOURCES_MAX];

	if (len < MSFILTER_HEAD_BYTES)
		return -EINVAL;
	memcpy(&head, data, MSFILTER_HEAD_BYTES);
	if (head.imsf_numsrc > MCAST_SOURCES_MAX)
		return -ENOBUFS;
	if (len < IP_MSFILTER_SIZE(head.imsf_numsrc) ||
	    (head.imsf_fmode != MCAST_INCLUDE && head.imsf_fmode != MCAST_EXCLUDE))
		return -EINVAL;
	memcpy(list, (const uint8_t *)data + MSFILTER_HEAD_BYTES,
	       head.imsf_numsrc * sizeof(list[0]));
	r = (struct mcast_request){ .group_be = head.imsf_multiaddr.s_addr,
				    .address_be = head.imsf_interface.s_addr };
	return mcast_filter_set(s->part->w, &s->udp->mcast, &r, head.imsf_fmode == MCAST_EXCLUDE,
				list, head.imsf_numsrc);
}

/* MCAST_MSFILTER, as the shim has brought it. */
static int group_filter(struct sock *s, const void *data, uint32_t len)
{
	struct abi_mcast_filter head;
	uint32_t list[MCAST_SOURCES_MAX];
	struct mcast_request r;

	if (len < sizeof(head))
		return -EINVAL;
	memcpy(&head, data, sizeof(head));
	if (head.count > MCAST_SOURCES_MAX)
		return -ENOBUFS;
	if (len < sizeof(head) + head.count * sizeof(list[0]) ||
	    (head.mode != MCAST_INCLUDE && head.mode != MCAST_EXCLUDE))
		return -EINVAL;
	memcpy(list, (const uint8_t *)data + sizeof(head), head.count * sizeof(list[0]));
	r = (struct mcast_request){ .group_be = head.group_be, .ifindex = head.ifindex };
	return mcast_filter_set(s->part->w, &s->udp->mcast, &r, head.mode == MCAST_EXCLUDE, list,
				head.count);
}

/* An address, or an interface with the source to use; neither: as the route says. */
static int multicast_if(struct sock *s, const void *data, uint32_t len)
{
	struct mcast_request r = { .group_be = 0 };
	const struct netif *netif;
	uint8_t ifindex = 0;

	if (len >= sizeof(struct ip_mreq))
		mreq_read(data, len, &r);
	else if (len >= sizeof(struct in_addr))
		memcpy(&r.address_be, data, sizeof(r.address_be));
	else
		return -EINVAL;
	if (r.ifindex || r.address_be) {
		netif = mcast_netif(s->part->w, &r);
		if (!netif)
			return r.ifindex ? -ENODEV : -EADDRNOTAVAIL;
		ifindex = mcast_ifindex(netif);
	}
	s->udp->mcast_ifindex = ifindex;
	s->udp->mcast_addr = r.address_be ? ipaddr_from_ip4(r.address_be) : ipaddr_any();
	return 0;
}

/* A stream is in no group, so most make no sense there. (Linux lets it join by some of the names,
 * and it hears nothing.) */
static int not_dgram(uint32_t name)
{
	switch (name) {
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
	case IP_ADD_SOURCE_MEMBERSHIP:
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
	case MCAST_JOIN_SOURCE_GROUP:
		return -EPROTO;
	default:
		return -EINVAL;
	}
}

int mcast_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	if (s->use != SLOT_DGRAM)
		return not_dgram(name);
	switch (name) {
	case IP_MULTICAST_IF:
		return multicast_if(s, data, len);
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
		return membership(s, name, data, len);
	case IP_UNBLOCK_SOURCE:
	case IP_BLOCK_SOURCE:
	case IP_ADD_SOURCE_MEMBERSHIP:
	case IP_DROP_SOURCE_MEMBERSHIP:
		return source_of_address(s, name, data, len);
	case IP_MSFILTER:
		return msfilter(s, data, len);
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
		return group(s, name, data, len);
	case MCAST_BLOCK_SOURCE:
	case MCAST_UNBLOCK_SOURCE:
	case MCAST_JOIN_SOURCE_GROUP:
	case MCAST_LEAVE_SOURCE_GROUP:
		return group_source(s, name, data, len);
	case MCAST_MSFILTER:
		return group_filter(s, data, len);
	default:
		return NOT_MINE;
	}
}

/* How many sources of the member there is room for behind `head` bytes of an answer of *len. */
static uint32_t give_sources(const struct mcast_member *m, uint8_t *data, uint32_t head,
			     uint32_t *len, uint32_t wanted)
{
	uint32_t n = (*len - head) / (uint32_t)sizeof(m->source_be[0]);

	n = n < m->count ? n : m->count;
	n = n < wanted ? n : wanted;
	memcpy(data + head, m->source_be, n * sizeof(m->source_be[0]));
	*len = head + n * (uint32_t)sizeof(m->source_be[0]);
	return n;
}

static int msfilter_get(const struct sock *s, void *data, uint32_t *len)
{
	const struct mcast_member *m = NULL;
	struct ip_msfilter head;
	struct mcast_request r;
	int ret;

	if (*len < MSFILTER_HEAD_BYTES)
		return -EINVAL;
	memcpy(&head, data, MSFILTER_HEAD_BYTES);
	r = (struct mcast_request){ .group_be = head.imsf_multiaddr.s_addr,
				    .address_be = head.imsf_interface.s_addr };
	ret = mcast_filter_get(s->part->w, s->udp->mcast, &r, &m);
	if (ret != 0)
		return ret;
	give_sources(m, data, MSFILTER_HEAD_BYTES, len, head.imsf_numsrc);
	head.imsf_fmode = m->exclude ? MCAST_EXCLUDE : MCAST_INCLUDE;
	head.imsf_numsrc = m->count;
	memcpy(data, &head, MSFILTER_HEAD_BYTES);
	return 0;
}

static int group_filter_get(const struct sock *s, void *data, uint32_t *len)
{
	const struct mcast_member *m = NULL;
	struct abi_mcast_filter head;
	struct mcast_request r;
	int ret;

	if (*len < sizeof(head))
		return -EINVAL;
	memcpy(&head, data, sizeof(head));
	r = (struct mcast_request){ .group_be = head.group_be, .ifindex = head.ifindex };
	/* Here a number that no interface has is a group that the socket is not in. */
	ret = mcast_filter_get(s->part->w, s->udp->mcast, &r, &m);
	if (ret != 0)
		return ret == -ENODEV ? -EADDRNOTAVAIL : ret;
	give_sources(m, data, sizeof(head), len, head.count);
	head.mode = m->exclude ? MCAST_EXCLUDE : MCAST_INCLUDE;
	head.count = m->count;
	memcpy(data, &head, sizeof(head));
	return 0;
}

int mcast_option_get(const struct sock *s, uint32_t name, void *data, uint32_t *len)
{
	uint32_t addr_be;

	if (s->use != SLOT_DGRAM)
		return name == IP_MSFILTER || name == MCAST_MSFILTER ? -EADDRNOTAVAIL : NOT_MINE;
	switch (name) {
	case IP_MULTICAST_IF:
		addr_be = ipaddr_is_any(&s->udp->mcast_addr) ? 0 : ipaddr_ip4(&s->udp->mcast_addr);
		return give(data, len, &addr_be, sizeof(addr_be));
	case IP_MSFILTER:
		return msfilter_get(s, data, len);
	case MCAST_MSFILTER:
		return group_filter_get(s, data, len);
	default:
		return NOT_MINE;
	}
}
